//! Resize: nearest and linear, axis by axis, with ONNX's coordinates.

use tch::Tensor;

use super::{Call, RunError, host_floats, host_ints, index_tensor};

type Output = Result<Tensor, RunError>;

/// How one axis changes.
struct Axis {
    axis: usize,
    from: i64,
    to: i64,
    /// Output elements per input element, as given or as the sizes imply.
    scale: f64,
}

/// Resizes the dimensions in `axes` (all, if empty) to `sizes` or by `scales` (attributes, or inputs 3 and 2).
pub(super) fn resize(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let mode = call.text("mode");
    let plain = matches!(call.text("keep_aspect_ratio_policy"), "" | "stretch") && !call.flag("antialias");
    if !matches!(mode, "nearest" | "linear") || !plain || call.flag("exclude_outside") {
        return Err(call.unsupported(format!("mode {mode:?} and these options")));
    }
    let axes = axes(call, x)?;
    if let Some(y) = whole(call, x, &axes)? {
        return Ok(y);
    }
    let mut result = x.shallow_clone();
    for a in &axes {
        let coordinates: Vec<f64> = (0..a.to).map(|i| source(call, i, a)).collect::<Result<_, _>>()?;
        if mode == "nearest" && a.from == a.to && coordinates.iter().enumerate().all(|(i, &c)| c == i as f64) {
            continue;
        }
        result = if mode == "nearest" {
            nearest(call, &result, a, &coordinates)?
        } else {
            linear(&result, a, &coordinates)?
        };
    }
    Ok(result)
}

/// The axes that change, with their sizes and scales.
fn axes(call: &Call<'_>, x: &Tensor) -> Result<Vec<Axis>, RunError> {
    let shape = x.size();
    let list: Vec<i64> = match call.ints("axes") {
        [] => (0..shape.len() as i64).collect(),
        given => given.iter().map(|&a| call.wrap(a, shape.len())).collect::<Result<_, _>>()?,
    };
    let mut sizes = call.ints("sizes").to_vec();
    let mut scales: Vec<f64> = call.op.floats("scales").unwrap_or_default().iter().map(|&s| f64::from(s)).collect();
    if let (true, true, Some(input)) = (sizes.is_empty(), scales.is_empty(), call.optional(3)) {
        sizes = host_ints(input)?;
    } else if let (true, true, Some(input)) = (sizes.is_empty(), scales.is_empty(), call.optional(2)) {
        scales = host_floats(input)?;
    }
    let entries = if sizes.is_empty() { scales.len() } else { sizes.len() };
    if entries != list.len() {
        return Err(call.invalid(format!("{entries} sizes or scales for axes {list:?}")));
    }
    let row = |(i, &axis): (usize, &i64)| {
        let axis = axis as usize;
        let from = shape[axis];
        match sizes.get(i) {
            Some(&to) => Axis { axis, from, to, scale: to as f64 / from as f64 },
            None => Axis { axis, from, to: (from as f64 * scales[i]).floor() as i64, scale: scales[i] },
        }
    };
    // An axis that keeps its size keeps its elements, except for scales such as 1.2 on a short axis.
    Ok(list.iter().enumerate().map(row).filter(|a| a.from != a.to || a.scale != 1.0).collect())
}

/// libtorch's own call, where it computes the same: the last two of four dimensions, whole-number scales for nearest.
fn whole(call: &Call<'_>, x: &Tensor, axes: &[Axis]) -> Result<Option<Tensor>, RunError> {
    let [h, w] = axes else { return Ok(None) };
    if x.dim() != 4 || (h.axis, w.axis) != (2, 3) || !super::is_float(x.kind()) {
        return Ok(None);
    }
    let coordinates = call.text("coordinate_transformation_mode");
    let grows = |a: &Axis| a.from > 0 && a.to >= a.from && a.to % a.from == 0 && a.scale == (a.to / a.from) as f64;
    let size = [h.to, w.to];
    if call.text("mode") == "nearest" {
        let rounds = call.text("nearest_mode");
        let same = match coordinates {
            "asymmetric" => rounds == "floor",
            "half_pixel" => matches!(rounds, "round_prefer_floor" | "round_prefer_ceil" | ""),
            _ => false,
        };
        return if same && grows(h) && grows(w) {
            Ok(Some(x.f_upsample_nearest2d(size, None, None)?))
        } else {
            Ok(None)
        };
    }
    match coordinates {
        "align_corners" if h.to > 1 && w.to > 1 => Ok(Some(x.f_upsample_bilinear2d(size, true, None, None)?)),
        "half_pixel" | "pytorch_half_pixel" if grows(h) && grows(w) && h.to > 1 && w.to > 1 => {
            Ok(Some(x.f_upsample_bilinear2d(size, false, None, None)?))
        }
        _ => Ok(None),
    }
}

/// The coordinate in the input that an output position takes its value from.
fn source(call: &Call<'_>, i: i64, a: &Axis) -> Result<f64, RunError> {
    let (i, from, to) = (i as f64, a.from as f64, a.to as f64);
    let half = (i + 0.5) / a.scale - 0.5;
    Ok(match call.text("coordinate_transformation_mode") {
        "" | "half_pixel" => half,
        "pytorch_half_pixel" if a.to > 1 => half,
        "pytorch_half_pixel" => 0.0,
        "align_corners" if a.to > 1 => i * (from - 1.0) / (to - 1.0),
        "align_corners" => 0.0,
        "asymmetric" => i / a.scale,
        "tf_half_pixel_for_nn" => (i + 0.5) / a.scale,
        "half_pixel_symmetric" => {
            let adjustment = to / (a.scale * from);
            from / 2.0 * (1.0 - adjustment) + half
        }
        other => return Err(call.unsupported(format!("coordinates {other:?}"))),
    })
}

fn nearest(call: &Call<'_>, x: &Tensor, a: &Axis, coordinates: &[f64]) -> Output {
    let round = |c: f64| -> Result<i64, RunError> {
        let whole = match call.text("nearest_mode") {
            "" | "round_prefer_floor" => (c - 0.5).ceil(),
            "round_prefer_ceil" => (c + 0.5).floor(),
            "floor" => c.floor(),
            "ceil" => c.ceil(),
            other => return Err(call.unsupported(format!("nearest_mode {other:?}"))),
        };
        Ok((whole as i64).clamp(0, a.from - 1))
    };
    let picked: Vec<i64> = coordinates.iter().map(|&c| round(c)).collect::<Result<_, _>>()?;
    Ok(x.f_index_select(a.axis as i64, &index_tensor(&picked, x.device())?)?)
}

/// Between the two neighbours; beyond the ends, the end.
fn linear(x: &Tensor, a: &Axis, coordinates: &[f64]) -> Output {
    let clamp = |v: f64| (v as i64).clamp(0, a.from - 1);
    let low: Vec<i64> = coordinates.iter().map(|c| clamp(c.floor())).collect();
    let high: Vec<i64> = coordinates.iter().map(|c| clamp(c.floor() + 1.0)).collect();
    let share: Vec<f64> = coordinates.iter().map(|c| c - c.floor()).collect();
    let axis = a.axis as i64;
    let mut shape = vec![1; x.dim()];
    shape[a.axis] = -1;
    let share = Tensor::f_from_slice(&share)?.f_to_kind(x.kind())?.f_to_device(x.device())?.f_reshape(&shape[..])?;
    let low = x.f_index_select(axis, &index_tensor(&low, x.device())?)?;
    let high = x.f_index_select(axis, &index_tensor(&high, x.device())?)?;
    Ok(low.f_add(&high.f_sub(&low)?.f_mul(&share)?)?)
}
