//! Pad.

use tch::Tensor;

use super::{Call, RunError, host_floats, index_tensor, is_float};

type Output = Result<Tensor, RunError>;

/// Pads each dimension before and after; negative numbers crop. Pads, value and axes are attributes or inputs 1 to 3.
pub(super) fn pad(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let rank = x.dim();
    let mut pads = call.ints_or_input("pads", 1)?;
    if call.optional(3).is_some() {
        let axes = call.ints_or_input("axes", 3)?;
        let mut full = vec![0; 2 * rank];
        if pads.len() != 2 * axes.len() {
            return Err(call.invalid(format!("pads {pads:?} for axes {axes:?}")));
        }
        for (i, &axis) in axes.iter().enumerate() {
            let axis = call.wrap(axis, rank)? as usize;
            (full[axis], full[rank + axis]) = (pads[i], pads[axes.len() + i]);
        }
        pads = full;
    }
    if pads.len() != 2 * rank {
        return Err(call.invalid(format!("pads {pads:?} for {rank} dimensions")));
    }
    let (before, after) = pads.split_at(rank);
    match call.text("mode") {
        "" | "constant" => {
            let value = match call.optional(2) {
                Some(value) => host_floats(value)?.first().copied().unwrap_or(0.0),
                None => call.op.float("value").map_or(0.0, f64::from),
            };
            // libtorch lists the last dimension first.
            let list: Vec<i64> = before.iter().zip(after).rev().flat_map(|(&b, &a)| [b, a]).collect();
            if is_float(x.kind()) || value == 0.0 {
                return Ok(x.f_pad(&list[..], "constant", value)?);
            }
            let wide = x.f_to_kind(tch::Kind::Double)?.f_pad(&list[..], "constant", value)?;
            Ok(wide.f_to_kind(x.kind())?)
        }
        mode => {
            let mut result = x.shallow_clone();
            for axis in 0..rank {
                let (b, a, n) = (before[axis], after[axis], x.size()[axis]);
                if (b, a) == (0, 0) {
                    continue;
                }
                if n == 0 {
                    return Err(call.invalid(format!("mode {mode} on an empty dimension")));
                }
                let source: Vec<i64> = match mode {
                    "edge" => (-b..n + a).map(|i| i.clamp(0, n - 1)).collect(),
                    "wrap" => (-b..n + a).map(|i| i.rem_euclid(n)).collect(),
                    "reflect" => (-b..n + a).map(|i| reflected(i, n)).collect(),
                    other => return Err(call.unsupported(format!("mode {other:?}"))),
                };
                result = result.f_index_select(axis as i64, &index_tensor(&source, x.device())?)?;
            }
            Ok(result)
        }
    }
}

/// Position `i` on an axis of `n` elements mirrored at its ends without repeating them.
fn reflected(i: i64, n: i64) -> i64 {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n - 1);
    let at = i.rem_euclid(period);
    at.min(period - at)
}
