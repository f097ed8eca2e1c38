//! Operators that move elements without computing.

use tch::Tensor;

use super::{Call, Outputs, RunError, host_ints, index_tensor};

type Output = Result<Tensor, RunError>;

/// Joins tensors along an axis.
pub(super) fn concat(call: &Call<'_>) -> Output {
    let parts: Vec<&Tensor> = (0..call.arity()).map(|slot| call.input(slot)).collect::<Result<_, _>>()?;
    let axis = call.axis(call.input(0)?.dim())?;
    Ok(Tensor::f_cat(&parts, axis)?)
}

/// Cuts along an axis: into the sizes of `split`, or evenly with a smaller last part.
pub(super) fn split(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let axis = call.axis(x.dim())?;
    let n = x.size()[axis as usize];
    let mut sizes = call.ints_or_input("split", 1)?;
    if sizes.is_empty() {
        let parts = call.num_outputs as i64;
        let chunk = n.div_euclid(parts) + i64::from(n % parts != 0);
        sizes = (0..parts).map(|i| chunk.min(n - chunk * i).max(0)).collect();
    }
    if sizes.iter().sum::<i64>() != n || sizes.iter().any(|&s| s < 0) {
        return Err(call.invalid(format!("parts {sizes:?} of {n} elements")));
    }
    Ok(x.f_split_with_sizes(&sizes[..], axis)?)
}

/// `x[start:end:step]` along each axis with ONNX's clamping, which is numpy's.
pub(super) fn slice(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let starts = call.ints_or_input("starts", 1)?;
    let ends = call.ints_or_input("ends", 2)?;
    let mut axes = call.ints_or_input("axes", 3)?;
    let mut steps = call.ints_or_input("steps", 4)?;
    if axes.is_empty() {
        axes = (0..starts.len() as i64).collect();
    }
    if steps.is_empty() {
        steps = vec![1; starts.len()];
    }
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(call.invalid(format!("starts {starts:?}, ends {ends:?}, axes {axes:?}, steps {steps:?}")));
    }
    let mut result = x.shallow_clone();
    for i in 0..starts.len() {
        let axis = call.wrap(axes[i], x.dim())?;
        let n = result.size().get(axis as usize).copied().ok_or_else(|| call.invalid(format!("axis {axis}")))?;
        let step = steps[i];
        let wrap = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
        result = match step {
            0 => return Err(call.invalid("a step of 0")),
            1.. => {
                let start = wrap(starts[i]).clamp(0, n);
                let end = wrap(ends[i]).clamp(start, n.max(start));
                result.f_slice(axis, start, end, step.min(n.max(1)))?
            }
            _ => {
                let start = wrap(starts[i]).clamp(-1, n - 1);
                let end = wrap(ends[i]).clamp(-1, n - 1);
                let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
                let picked: Vec<i64> = (end + 1..=start).rev().step_by(stride).collect();
                result.f_index_select(axis, &index_tensor(&picked, x.device())?)?
            }
        };
    }
    Ok(result)
}

/// Permutes the dimensions.
pub(super) fn transpose(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    match call.ints("perm") {
        [] => {
            let reversed: Vec<i64> = (0..x.dim() as i64).rev().collect();
            Ok(x.f_permute(&reversed[..])?)
        }
        perm => Ok(x.f_permute(perm)?),
    }
}

/// Gives another shape: 0 keeps the dimension (unless `allowzero`), -1 is what remains.
pub(super) fn reshape(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let mut target = call.ints_or_input("shape", 1)?;
    let old = x.size();
    if !call.flag("allowzero") {
        for (i, d) in target.iter_mut().enumerate() {
            if *d == 0 {
                *d = *old.get(i).ok_or_else(|| call.invalid(format!("no dimension {i} to copy from {old:?}")))?;
            }
        }
    }
    if x.numel() == 0
        && let Some(free) = target.iter().position(|&d| d == -1)
    {
        // libtorch refuses to infer a dimension of an empty tensor.
        let others: i64 = target.iter().filter(|&&d| d != -1).product();
        target[free] = if others == 0 { 0 } else { x.numel() as i64 / others };
    }
    Ok(x.f_reshape(&target[..])?)
}

/// To two dimensions, cut at `axis`.
pub(super) fn flatten(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let shape = x.size();
    let axis = call.wrap(call.op.int("axis").unwrap_or(1), shape.len())? as usize;
    let (rows, columns) = shape.split_at(axis);
    Ok(x.f_reshape([rows.iter().product::<i64>(), columns.iter().product::<i64>()])?)
}

/// Drops dimensions of size 1: those in `axes` (attribute, or input 1), or all.
pub(super) fn squeeze(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let shape = x.size();
    let given = call.ints_or_input("axes", 1)?;
    let axes: Vec<i64> = if given.is_empty() {
        (0..shape.len() as i64).filter(|&a| shape[a as usize] == 1).collect()
    } else {
        given.iter().map(|&a| call.wrap(a, shape.len())).collect::<Result<_, _>>()?
    };
    if let Some(&axis) = axes.iter().find(|&&a| shape.get(a as usize) != Some(&1)) {
        return Err(call.invalid(format!("dimension {axis} of {shape:?} is not 1")));
    }
    Ok(x.f_squeeze_dims(&axes[..])?)
}

/// Adds dimensions of size 1 at `axes` of the result (attribute, or input 1).
pub(super) fn unsqueeze(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let given = call.ints_or_input("axes", 1)?;
    let rank = x.dim() + given.len();
    let mut axes: Vec<i64> = given.iter().map(|&a| call.wrap(a, rank)).collect::<Result<_, _>>()?;
    axes.sort_unstable();
    let mut result = x.shallow_clone();
    for axis in axes {
        result = result.f_unsqueeze(axis)?;
    }
    Ok(result)
}

/// Broadcasts with `shape` (both ways, so that a 1 there keeps the dimension).
pub(super) fn expand(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let mut target = call.ints_or_input("shape", 1)?;
    let shape = x.size();
    while target.len() < shape.len() {
        target.insert(0, 1);
    }
    let offset = target.len() - shape.len();
    for (i, &d) in shape.iter().enumerate() {
        if target[offset + i] == 1 {
            target[offset + i] = d;
        }
    }
    Ok(x.f_expand(&target[..], false)?)
}

/// Repeats along each dimension.
pub(super) fn tile(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    Ok(x.f_repeat(&call.ints_or_input("repeats", 1)?[..])?)
}

/// Channels into blocks of space: `DCR` takes the block position from the slow part of the channel, `CRD` from the fast.
pub(super) fn depth_to_space(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let b = call.int("blocksize")?;
    if call.text("mode") == "CRD" {
        return Ok(x.f_pixel_shuffle(b)?);
    }
    let &[n, c, h, w] = &x.size()[..] else { return Err(call.invalid("the input has not 4 dimensions")) };
    let parts = x.f_reshape([n, b, b, c / (b * b), h, w])?.f_permute([0, 3, 4, 1, 5, 2])?;
    Ok(parts.f_reshape([n, c / (b * b), h * b, w * b])?)
}

/// Blocks of space into channels, the block position in the slow part.
pub(super) fn space_to_depth(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let b = call.int("blocksize")?;
    let &[n, c, h, w] = &x.size()[..] else { return Err(call.invalid("the input has not 4 dimensions")) };
    let parts = x.f_reshape([n, c, h / b, b, w / b, b])?.f_permute([0, 3, 5, 1, 2, 4])?;
    Ok(parts.f_reshape([n, c * b * b, h / b, w / b])?)
}

/// The upper or lower triangle, from diagonal `k` (input 1) on.
pub(super) fn triangle(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let k = match call.optional(1) {
        Some(k) => *host_ints(k)?.first().ok_or_else(|| call.invalid("k is empty"))?,
        None => 0,
    };
    Ok(if call.op.int("upper").unwrap_or(1) != 0 { x.f_triu(k)? } else { x.f_tril(k)? })
}
