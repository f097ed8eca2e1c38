//! Pad in all modes, and Trilu.

use super::*;
use crate::ops::OpError;
use crate::ops::array::strides;
use crate::ops::axis_map::FILL;
use crate::ops::call::resolve_axis;
use crate::ops::support::{list, number_list, one, want_integer};

/// Paddings at the begin and the end of every axis from those of the axes named (none named: all).
fn per_axis<T: Clone>(pads: &[T], axes: &[i64], rank: usize, zero: T) -> Option<Vec<(T, T)>> {
    let count = if axes.is_empty() { rank } else { axes.len() };
    if pads.len() != 2 * count {
        return None;
    }
    let mut out = vec![None; rank];
    for i in 0..count {
        let axis = axes.get(i).map_or(Some(i), |&axis| resolve_axis(axis, rank))?;
        if out[axis].replace((pads[i].clone(), pads[count + i].clone())).is_some() {
            return None;
        }
    }
    Some(out.into_iter().map(|pads| pads.unwrap_or((zero.clone(), zero.clone()))).collect())
}

/// Every dimension with its paddings added (negative ones crop).
pub fn infer(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    want_integer(call, 1)?;
    want_integer(call, 3)?;
    call.want(2, x.dtype.name(), |dtype| dtype == x.dtype)?;
    let mode = call.text("mode")?;
    if !matches!(mode, "constant" | "reflect" | "edge" | "wrap") {
        return Err(call.fail(format!("attribute mode = {mode:?}")));
    }
    let (Some(pads), Some(axes)) = (list(call, "pads", 1), number_list(call, "axes", 3)) else {
        return call.unknown();
    };
    let padded = per_axis(&pads, &axes, x.rank(), Dim::Known(0));
    let padded = padded.ok_or_else(|| call.fail(format!("pads {pads:?} do not fit rank {}", x.rank())))?;
    let mut shape = Vec::with_capacity(x.rank());
    for (dim, (begin, end)) in x.shape.iter().zip(&padded) {
        let out = dim.add(begin).add(end);
        if mode != "constant" && *dim == Dim::Known(0) && out.known().is_some_and(|n| n > 0) {
            return Err(call.fail(format!("mode {mode} has no element to pad with")));
        }
        shape.push(out);
    }
    one(call, x.dtype, shape)
}

/// The coordinate that is read at `at` (counted from the axis's first element, outside it in the padding).
fn source(mode: &str, at: i64, len: i64) -> Option<i64> {
    if (0..len).contains(&at) {
        return Some(at);
    }
    match mode {
        "edge" => Some(at.clamp(0, len - 1)),
        "wrap" => Some(at.rem_euclid(len)),
        "reflect" if len == 1 => Some(0),
        "reflect" => {
            let period = 2 * (len - 1);
            let at = at.rem_euclid(period);
            Some(if at < len { at } else { period - at })
        }
        _ => None,
    }
}

pub fn map(movement: &Movement<'_>) -> Option<AxisMap> {
    let (pads, axes) = (movement.list("pads", 1)?, movement.list("axes", 3)?);
    let mode = movement.op.text("mode")?;
    let rank = movement.from.len();
    let strides = strides(movement.from);
    let mut map = AxisMap::strided((0..rank).map(|_| (0, 0)));
    for (axis, (begin, _)) in per_axis(&pads, &axes, rank, 0)?.into_iter().enumerate() {
        let (len, out) = (i64::try_from(movement.from[axis]).ok()?, i64::try_from(movement.to[axis]).ok()?);
        if len == 0 && mode != "constant" {
            continue;
        }
        let read = |i: i64| source(mode, i.saturating_sub(begin), len).and_then(|at| usize::try_from(at).ok());
        map.set_axis(axis, strides[axis], (0..out).map(read));
    }
    Some(map)
}

/// The input's type; its last two axes are the matrices.
pub fn infer_trilu(call: &Call<'_>) -> Result<Vec<crate::graph::Facts>, OpError> {
    let x = call.ty(0)?;
    want_integer(call, 1)?;
    if x.rank() < 2 {
        return Err(call.fail("the input is no matrix"));
    }
    if let Some(k) = call.optional(1)
        && dims::product(&k.shape).known().is_some_and(|n| n != 1)
    {
        return Err(call.fail("the diagonal's number is no scalar"));
    }
    one(call, x.dtype, x.shape.to_vec())
}

pub fn map_trilu(movement: &Movement<'_>) -> Option<AxisMap> {
    let diagonal = match movement.other(1) {
        Some(other) => *other.values.as_ref()?.first()?,
        None => 0,
    };
    let upper = movement.op.int("upper")? != 0;
    let [.., rows, columns] = movement.from else { return None };
    let count: usize = movement.from.iter().product();
    let kept = |flat: usize| {
        let (row, column) = ((flat / columns % rows) as i64, (flat % columns) as i64);
        let distance = column - row;
        if upper { distance >= diagonal } else { distance <= diagonal }
    };
    Some(AxisMap::new(vec![(0..count).map(|flat| if kept(flat) { flat } else { FILL }).collect()]))
}
