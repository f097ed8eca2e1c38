//! Concat and Split.

use super::*;
use crate::graph::{Facts, TensorType};
use crate::ops::OpError;
use crate::ops::array::around;
use crate::ops::dims::agree;
use crate::ops::support::{one, same_dtype, value, want_integer};

/// All dimensions but the one along the axis agree, and those along it add up.
pub fn infer_concat(call: &Call<'_>) -> Inferred {
    let first = call.ty(0)?;
    let axis = call.axis("axis", first.rank())?;
    same_dtype(call, first.dtype, 1..call.inputs.len())?;
    let mut shape = first.shape.to_vec();
    for slot in 1..call.inputs.len() {
        let ty = call.ty(slot)?;
        if ty.rank() != shape.len() {
            return Err(call.fail(format!("input {slot} has rank {}, not {}", ty.rank(), shape.len())));
        }
        for (i, (have, dim)) in shape.iter_mut().zip(ty.shape.iter()).enumerate() {
            *have = match i == axis {
                true => have.add(dim),
                false => agree(have, dim)
                    .ok_or_else(|| call.fail(format!("dimensions {have} and {dim} of axis {i} differ")))?,
            };
        }
    }
    let mut outputs = one(call, first.dtype, shape)?;
    outputs[0].elements = joined_elements(call, axis).map(Into::into);
    Ok(outputs)
}

fn joined_elements(call: &Call<'_>, axis: usize) -> Option<Vec<Dim>> {
    let mut parts = Vec::with_capacity(call.inputs.len());
    let mut total = 0;
    for slot in 0..call.inputs.len() {
        let elements = call.elements(slot)?;
        let shape = dims::sizes(&call.optional(slot)?.shape)?;
        total += elements.len();
        if dims::count_within(&shape, MAX_ELEMENTS as usize)? != elements.len() || total > MAX_ELEMENTS as usize {
            return None;
        }
        parts.push((shape, elements));
    }
    let parts: Vec<(&[usize], &[Dim])> = parts.iter().map(|(shape, elements)| (shape.as_slice(), *elements)).collect();
    Some(join(&parts, axis))
}

/// The parts' elements joined along an axis, on which alone their shapes differ.
fn join<T: Clone>(parts: &[(&[usize], &[T])], axis: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.1.len()).sum());
    let Some((first, _)) = parts.first() else { return out };
    for block in 0..around(first, axis).0 {
        for (shape, data) in parts {
            let (_, along, inner) = around(shape, axis);
            out.extend_from_slice(&data[block * along * inner..][..along * inner]);
        }
    }
    out
}

/// The arrays joined along the axis.
pub fn evaluate_concat<E: Element>(call: &EvalCall<'_, E>) -> Evaluated<E> {
    let shape = output_shapes(call, 1, |_| false, infer_concat)?.remove(0);
    let axis = call.axis("axis", shape.len())?;
    let parts: Vec<(&[usize], &[E])> = call.inputs.iter().flatten().map(|a| (&*a.shape, &*a.data)).collect();
    Ok(vec![Array { data: join(&parts, axis), shape }])
}

/// Sizes along the axis: as `split` says, or equal parts of which the last may be smaller.
fn split_sizes(call: &Call<'_>, dim: &Dim) -> Result<Option<Vec<Dim>>, OpError> {
    let Some(given) = crate::ops::support::list(call, "split", 1) else { return Ok(None) };
    if !given.is_empty() {
        if given.len() != call.outputs {
            return Err(call.fail(format!("attribute split has {} sizes for {} outputs", given.len(), call.outputs)));
        }
        let total = given.iter().fold(Dim::Known(0), |sum, size| sum.add(size));
        if agree(&total, dim).is_none() {
            return Err(call.fail(format!("the parts add up to {total}, not to {dim}")));
        }
        return Ok(Some(given));
    }
    let parts = Dim::Known(i64::try_from(call.outputs).unwrap_or(i64::MAX));
    let part = dim.ceil_div(&parts).ok_or_else(|| call.fail("there is no output"))?;
    let mut sizes = vec![part.clone(); call.outputs];
    if let Some(last) = sizes.last_mut() {
        *last = dim.sub(&part.mul(&parts.sub(&Dim::Known(1))));
    }
    Ok(Some(sizes))
}

/// The input's type with the axis cut into parts.
pub fn infer_split(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    let axis = call.axis("axis", x.rank())?;
    want_integer(call, 1)?;
    let Some(sizes) = split_sizes(call, &x.shape[axis])? else { return call.unknown() };
    let part = |size: &Dim| {
        let mut shape = x.shape.to_vec();
        shape[axis] = size.clone();
        value(call, x.dtype, shape)
    };
    let outputs = sizes.iter().map(part).collect::<Result<Vec<Facts>, _>>()?;
    if call.elements(0).is_none() {
        return Ok(outputs);
    }
    let offsets = offsets(outputs.iter().map(|facts| along(facts.ty.as_ref(), axis)));
    carry(call, outputs, |index, from, to, elements| {
        let start = offsets[index]?;
        let map = AxisMap::along(from, axis, (start..start + to[axis]).map(Some));
        Some(map.apply(elements, &Dim::Known(0)))
    })
}

fn along(ty: Option<&TensorType>, axis: usize) -> Option<usize> {
    usize::try_from(ty?.shape[axis].known()?).ok()
}

/// Sums of the sizes before each one.
fn offsets(sizes: impl Iterator<Item = Option<usize>>) -> Vec<Option<usize>> {
    let mut next = Some(0usize);
    sizes
        .map(|size| {
            let start = next;
            next = start.and_then(|start| start.checked_add(size?));
            start
        })
        .collect()
}

/// The parts of the array. Where `split` is not given the number of parts is not known, and this is an error.
pub fn evaluate_split<E: Element>(call: &EvalCall<'_, E>) -> Evaluated<E> {
    let source = call.input(0)?;
    let axis = call.axis("axis", source.rank())?;
    let parts = match call.optional(1) {
        Some(split) => split.len(),
        None => attributes(call).op.ints("split").unwrap_or_default().len(),
    };
    if parts == 0 {
        return Err(call.fail("the number of parts is not stated"));
    }
    let shapes = output_shapes(call, parts, |slot| slot == 1, infer_split)?;
    let mut start = 0;
    let mut outputs = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let map = AxisMap::along(&source.shape, axis, (start..start + shape[axis]).map(Some));
        start += shape[axis];
        outputs.push(Array { data: map.apply(&source.data, &E::constant(0.0)), shape });
    }
    Ok(outputs)
}
