//! Shapes, generated constants, and the rule language's constructors on constants.

use tch::{Device, Kind, Tensor};

use super::convolution::pad_spatial;
use super::{Call, RunError, host_floats, host_ints, is_float};
use crate::graph::Attr;

type Output = Result<Tensor, RunError>;

/// Dimensions `start..end` of the input. Shapes stay on the CPU.
pub(super) fn shape(call: &Call<'_>) -> Output {
    let sizes = call.input(0)?.size();
    let rank = sizes.len() as i64;
    let at = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank) as usize;
    let start = at(call.op.int("start").unwrap_or(0));
    let end = at(call.op.int("end").unwrap_or(i64::MAX)).max(start);
    Ok(Tensor::f_from_slice(&sizes[start..end])?)
}

/// Number of elements.
pub(super) fn size(call: &Call<'_>) -> Output {
    Ok(Tensor::f_from_slice(&[call.input(0)?.numel() as i64])?.f_reshape([0i64; 0])?)
}

/// A tensor of one value; its shape is an attribute or the input.
pub(super) fn constant_of_shape(call: &Call<'_>) -> Output {
    let shape = call.ints_or_input("shape", 0)?;
    if shape.iter().any(|&d| d < 0) {
        return Err(call.invalid(format!("shape {shape:?}")));
    }
    let options = (call.dtype("dtype")?, call.place.device);
    match (call.op.int("value"), call.op.float("value")) {
        (Some(value), _) => Ok(Tensor::f_full(&shape[..], value, options)?),
        (None, value) => Ok(Tensor::f_full(&shape[..], value.map_or(0.0, f64::from), options)?),
    }
}

/// `start, start + delta, …` up to but not including `limit`.
pub(super) fn range(call: &Call<'_>) -> Output {
    let (start, limit, delta) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let kind = start.kind();
    if is_float(kind) {
        let read = |t: &Tensor| -> Result<f64, RunError> {
            host_floats(t)?.first().copied().ok_or_else(|| call.invalid("an empty bound"))
        };
        let (start, limit, delta) = (read(start)?, read(limit)?, read(delta)?);
        let count = ((limit - start) / delta).ceil().max(0.0);
        if !count.is_finite() {
            return Err(call.invalid(format!("from {start} to {limit} by {delta}")));
        }
        let steps = Tensor::f_arange(count as i64, (Kind::Double, Device::Cpu))?;
        let values = steps.f_mul_scalar(delta)?.f_add_scalar(start)?.f_to_kind(kind)?;
        return Ok(values.f_to_device(call.place.device)?);
    }
    let read = |t: &Tensor| -> Result<i64, RunError> {
        host_ints(t)?.first().copied().ok_or_else(|| call.invalid("an empty bound"))
    };
    let (start, limit, delta) = (read(start)?, read(limit)?, read(delta)?);
    if delta == 0 {
        return Err(call.invalid("a step of 0"));
    }
    let limit = if (limit - start).signum() == delta.signum() { limit } else { start };
    Ok(Tensor::f_arange_start_step(start, limit, delta, (kind, Device::Cpu))?)
}

/// A constant of the rule language.
pub(super) fn constant(call: &Call<'_>) -> Output {
    let float = if call.place.wide { Kind::Double } else { Kind::Float };
    if let Some(value) = call.op.float("value_float") {
        return Ok(Tensor::f_full([0i64; 0], f64::from(value), (float, call.place.device))?);
    }
    if let Some(value) = call.op.int("value_int") {
        return Ok(Tensor::f_full([0i64; 0], value, (Kind::Int64, call.place.device))?);
    }
    if let Some(values) = call.op.floats("value_floats").filter(|v| !v.is_empty()) {
        return Ok(Tensor::f_from_slice(values)?.f_to_kind(float)?.f_to_device(call.place.device)?);
    }
    if let Some(values) = call.op.ints("value_ints") {
        return Ok(Tensor::f_from_slice(values)?.f_to_device(call.place.device)?);
    }
    Err(call.invalid("no value"))
}

/// The element type of a constructor's result: its `dtype` attribute, else f32.
fn float_kind(call: &Call<'_>) -> Result<Kind, RunError> {
    match call.op {
        crate::graph::Op::Apply(_, attrs) if matches!(attrs.get("dtype"), Some(Attr::Int(_) | Attr::Str(_))) => {
            call.dtype("dtype")
        }
        _ if call.place.wide => Ok(Kind::Double),
        _ => Ok(Kind::Float),
    }
}

/// A kernel with zeros around its trailing spatial dimensions, the same on both sides.
pub(super) fn enlarge(call: &Call<'_>) -> Output {
    let w = call.input(0)?;
    let target = call.ints("kernel_shape");
    let shape = w.size();
    if target.len() > shape.len() {
        return Err(call.invalid(format!("kernel_shape {target:?} of a weight {shape:?}")));
    }
    let spatial = &shape[shape.len() - target.len()..];
    let missing: Vec<i64> = target.iter().zip(spatial).map(|(t, s)| t - s).collect();
    if missing.iter().any(|&m| m < 0 || m % 2 != 0) {
        return Err(call.invalid(format!("kernel_shape {target:?} of a weight {shape:?}")));
    }
    let half: Vec<i64> = missing.iter().map(|m| m / 2).collect();
    pad_spatial(w, &half, &half, 0.0)
}

/// The kernel `[C, C / group, …]` of the convolution that changes nothing.
pub(super) fn identity_kernel(call: &Call<'_>) -> Output {
    let (channels, group) = (call.int("channels")?, call.op.int("group").unwrap_or(1));
    let kernel = call.ints("kernel_shape");
    if group < 1 || channels % group != 0 || kernel.iter().any(|k| k % 2 == 0) {
        return Err(call.invalid(format!("{channels} channels in {group} groups, kernel {kernel:?}")));
    }
    let width = channels / group;
    let mut shape = vec![channels, width];
    shape.extend(kernel.iter().map(|_| 1));
    let eye = Tensor::f_eye(width, (float_kind(call)?, call.place.device))?.f_repeat([group, 1])?;
    let half: Vec<i64> = kernel.iter().map(|k| k / 2).collect();
    pad_spatial(&eye.f_reshape(&shape[..])?, &half, &half, 0.0)
}

/// The identity matrix.
pub(super) fn identity_matrix(call: &Call<'_>) -> Output {
    Ok(Tensor::f_eye(call.int("size")?, (float_kind(call)?, call.place.device))?)
}

/// The depthwise kernel `[C, 1, …]` that takes the mean of each window.
pub(super) fn pool_kernel(call: &Call<'_>) -> Output {
    let kernel = call.ints("kernel_shape");
    let mut shape = vec![call.int("channels")?, 1];
    shape.extend(kernel);
    let share = 1.0 / kernel.iter().product::<i64>() as f64;
    Ok(Tensor::f_full(&shape[..], share, (float_kind(call)?, call.place.device))?)
}

/// Matrices along the diagonal of one.
pub(super) fn block_diagonal(call: &Call<'_>) -> Output {
    let blocks: Vec<&Tensor> = (0..call.arity()).map(|slot| call.input(slot)).collect::<Result<_, _>>()?;
    if let Some(block) = blocks.iter().find(|b| b.dim() != 2) {
        return Err(call.invalid(format!("block of shape {:?}", block.size())));
    }
    Ok(Tensor::f_block_diag(&blocks)?)
}

/// A grouped kernel `[O, I / group, …]` as the dense kernel `[O, I, …]`, zero between groups.
pub(super) fn ungroup(call: &Call<'_>) -> Output {
    let w = call.input(0)?;
    let group = call.int("group")?;
    let shape = w.size();
    if shape.len() < 2 || group < 1 || shape[0] % group != 0 {
        return Err(call.invalid(format!("weight {shape:?} in {group} groups")));
    }
    let (rows, width) = (shape[0] / group, shape[1]);
    let mut parts = Vec::new();
    for g in 0..group {
        let own = w.f_narrow(0, g * rows, rows)?;
        // Zeros for the groups before and after, in dimension 1.
        let mut list = vec![0; 2 * (shape.len() - 2)];
        list.extend([g * width, (group - 1 - g) * width]);
        parts.push(own.f_pad(&list[..], "constant", 0.0)?);
    }
    Ok(Tensor::f_cat(&parts, 0)?)
}
