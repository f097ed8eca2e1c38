//! What the families that compute shapes share: lists that are attributes or inputs, checks of element types, partial
//! values of moved elements, output shapes of evaluations.

use std::ops::Range;

use super::call::{Call, EvalCall, carried_count, resolve_axis};
use super::{Array, Element, EvalError, MAX_EVALUATED, OpError, Work, dims, work};
use crate::graph::{DType, Dim, Facts, MAX_ELEMENTS, TensorType};

/// What an inference gives.
pub type Inferred = Result<Vec<Facts>, OpError>;

/// What an evaluation gives.
pub type Evaluated<E> = Result<Vec<Array<E>>, EvalError>;

/// A list that is an attribute or, where it is not constant, an input: `None` if it is an input of unknown elements.
pub fn list(call: &Call, name: &'static str, slot: usize) -> Option<Vec<Dim>> {
    match call.has(slot) {
        true => call.elements(slot).map(<[Dim]>::to_vec),
        false => Some(ints(call, name).iter().map(|&n| Dim::Known(n)).collect()),
    }
}

/// As [`list`], numbers only.
pub fn number_list(call: &Call, name: &'static str, slot: usize) -> Option<Vec<i64>> {
    list(call, name, slot)?.iter().map(Dim::known).collect()
}

/// An attribute that is a list of integers; empty if it is absent.
pub fn ints<'a>(call: &Call<'a>, name: &str) -> &'a [i64] {
    call.op.ints(name).unwrap_or_default()
}

/// Several axes counted from the front, sorted, none twice.
pub fn axes(call: &Call, axes: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    let mut out = Vec::with_capacity(axes.len().min(rank));
    for &axis in axes {
        match resolve_axis(axis, rank) {
            Some(a) if !out.contains(&a) => out.push(a),
            Some(_) => return Err(call.fail(format!("axis {axis} is named twice"))),
            None => return Err(call.fail(format!("axis {axis} is out of range for rank {rank}"))),
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// A single output of this type, after checking its dimensions.
pub fn one(call: &Call, dtype: DType, shape: Vec<Dim>) -> Inferred {
    Ok(vec![value(call, dtype, shape)?])
}

/// Facts of one output of this type, after checking its dimensions.
pub fn value(call: &Call, dtype: DType, shape: Vec<Dim>) -> Result<Facts, OpError> {
    let mut count = 1i64;
    for dim in shape.iter().filter_map(Dim::known) {
        if dim < 0 {
            return Err(call.fail(format!("the output would have the shape {shape:?}")));
        }
        let next = count.checked_mul(dim.max(1));
        count = next.ok_or_else(|| call.fail(format!("the output of shape {shape:?} has too many elements")))?;
    }
    Ok(Facts::typed(TensorType::new(dtype, shape)))
}

/// All inputs of `slots` that are there have the element type `dtype`.
pub fn same_dtype(call: &Call, dtype: DType, slots: Range<usize>) -> Result<(), OpError> {
    slots.into_iter().try_for_each(|slot| call.want(slot, dtype.name(), |found| found == dtype))
}

/// An input, if it is there, is of a floating-point type.
pub fn want_float(call: &Call, slot: usize) -> Result<(), OpError> {
    call.want(slot, "of a floating-point type", DType::is_float)
}

/// An input, if it is there, is of an integer type.
pub fn want_integer(call: &Call, slot: usize) -> Result<(), OpError> {
    call.want(slot, "of an integer type", DType::is_int)
}

/// Adds the elements of outputs where the operator moves known elements of input 0: `moved` gets the output's position,
/// the source's shape, the output's shape and the source's elements.
pub fn carry(
    call: &Call,
    mut outputs: Vec<Facts>,
    moved: impl Fn(usize, &[usize], &[usize], &[Dim]) -> Option<Vec<Dim>>,
) -> Inferred {
    let Some(elements) = call.elements(0) else { return Ok(outputs) };
    let Some(from) = call.optional(0).and_then(|ty| dims::sizes(&ty.shape)) else { return Ok(outputs) };
    if dims::count_within(&from, MAX_ELEMENTS as usize) != Some(elements.len()) {
        return Ok(outputs);
    }
    for (index, facts) in outputs.iter_mut().enumerate() {
        let Some(ty) = &facts.ty else { continue };
        let (Some(to), Some(count)) = (dims::sizes(&ty.shape), carried_count(ty)) else { continue };
        if dims::count_within(&to, MAX_ELEMENTS as usize).is_none() {
            continue;
        }
        let found = moved(index, &from, &to, elements).filter(|e| e.len() == count);
        facts.elements = found.map(Into::into);
    }
    Ok(outputs)
}

/// The output shapes of an evaluation: inference on the arrays' shapes, so that evaluation accepts what inference does
/// and kernels may rely on what it checked. `integers` says which slots hold shapes or indices.
pub fn output_shapes<E: Element>(
    call: &EvalCall<E>,
    outputs: usize,
    integers: impl Fn(usize) -> bool,
    infer: fn(&Call) -> Inferred,
) -> Result<Vec<Vec<usize>>, EvalError> {
    let facts_of = |(slot, array): (usize, &Option<&Array<E>>)| {
        let array = (*array)?;
        let shape: Vec<Dim> = array.shape.iter().map(|&n| Dim::Known(i64::try_from(n).unwrap_or(i64::MAX))).collect();
        let dtype = if integers(slot) { DType::I64 } else { DType::F64 };
        let mut facts = Facts::typed(TensorType::new(dtype, shape));
        if dtype == DType::I64 && array.data.len() <= MAX_ELEMENTS as usize {
            facts.elements = array.data.iter().map(|x| x.to_integer().ok().map(Dim::Known)).collect();
        }
        Some(facts)
    };
    for array in call.inputs.iter().flatten() {
        if dims::count_within(&array.shape, MAX_EVALUATED) != Some(array.data.len()) {
            return Err(EvalError::Length { shape: array.shape.clone(), found: array.data.len() });
        }
    }
    let facts: Vec<Option<Facts>> = call.inputs.iter().enumerate().map(facts_of).collect();
    let inputs: Vec<Option<&Facts>> = facts.iter().map(Option::as_ref).collect();
    let inferred = infer(&Call { kind: call.kind, op: call.op, inputs: &inputs, outputs });
    let inferred = inferred.map_err(|e| call.fail(e.to_string()))?;
    let shape = |facts: &Facts| {
        let shape = facts.ty.as_ref().and_then(|ty| dims::sizes(&ty.shape));
        let shape = shape.ok_or_else(|| call.fail("the output's shape depends on what is not known"))?;
        match dims::count_within(&shape, MAX_EVALUATED) {
            Some(_) => Ok(shape),
            None => Err(EvalError::TooLarge { shape }),
        }
    };
    inferred.iter().map(shape).collect()
}

/// Indices as positions on an axis of `len` elements (negative ones count from the back); `None` if one is outside.
pub fn positions(indices: &[i64], len: usize) -> Option<Vec<usize>> {
    indices.iter().map(|&i| resolve_axis(i, len)).collect()
}

/// Steps to the next coordinates in row-major order; false after the last.
pub fn advance(at: &mut [usize], shape: &[usize]) -> bool {
    for (i, n) in at.iter_mut().zip(shape).rev() {
        *i += 1;
        if *i < *n {
            return true;
        }
        *i = 0;
    }
    false
}

/// Work of one kernel that reads of its inputs only what it writes.
pub fn copy(outputs: &[TensorType]) -> Work {
    Work { flops: 0.0, bytes: 2.0 * outputs.iter().map(work::bytes).sum::<f64>(), launches: 1 }
}

/// The operator of an evaluation without its operands, for what reads attributes only.
pub fn attributes<'a, E>(call: &EvalCall<'a, E>) -> Call<'a> {
    Call { kind: call.kind, op: call.op, inputs: &[], outputs: 1 }
}
