//! The largest or smallest elements along an axis.

use crate::graph::{DType, Facts, OpKind, TensorType};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::int;
use super::work::TRANSCENDENTAL;
use super::{Array, Element, EvalError, OpError, Schema, Work, arith, array};

pub(super) const SCHEMAS: &[Schema] =
    &[Schema::of(OpKind::TopK, (2, 2)).outputs(2, 2).attrs(&[int("axis", -1), int("largest", 1), int("sorted", 1)])];

/// Types of the outputs: values and indices. A number k that is not known makes both unknown.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let x = call.ty(0)?;
    call.want(0, "a number", |dtype| dtype.is_float() || dtype.is_int())?;
    call.want(1, "an integer", |dtype| dtype.is_int())?;
    let axis = call.axis("axis", x.rank())?;
    let Some([k]) = call.elements(1) else { return call.unknown() };
    let few = k.known().is_none_or(|k| k >= 0) && arith::greater(k, &x.shape[axis]) != Some(true);
    if !few {
        return Err(call.fail(format!("k is {k} and axis {axis} has {} elements", x.shape[axis])));
    }
    let mut shape = x.shape.to_vec();
    shape[axis] = k.clone();
    let values = TensorType::new(x.dtype, shape);
    let indices = TensorType { dtype: DType::I64, shape: values.shape.clone() };
    Ok(vec![Facts::typed(values), Facts::typed(indices)])
}

/// Work of one application: a partial sort.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    call.per_input(TRANSCENDENTAL)
}

/// Values of the outputs, sorted whether or not that is asked for; of equal elements the first comes first.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    let (x, k) = (call.input(0)?, call.input(1)?.to_i64s()?);
    let axis = call.axis("axis", x.rank())?;
    let (outer, along, inner) = array::around(&x.shape, axis);
    let k = k.first().and_then(|&k| usize::try_from(k).ok()).filter(|&k| k <= along);
    let k = k.ok_or_else(|| call.fail(format!("k does not fit the {along} elements of axis {axis}")))?;
    let largest = call.int("largest")? != 0;
    let mut shape = x.shape.clone();
    shape[axis] = k;
    let zero = E::constant(0.0);
    let (mut values, mut indices) = (Array::filled(&shape, zero.clone())?, Array::filled(&shape, zero)?);
    for row in 0..outer * inner {
        let (block, lane) = (row / inner, row % inner);
        let at = |j: usize| &x.data[block * along * inner + j * inner + lane];
        let mut failed = None;
        let mut order: Vec<usize> = (0..along).collect();
        order.sort_by(|&i, &j| {
            let order = at(i).order(at(j)).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                std::cmp::Ordering::Equal
            });
            if largest { order.reverse() } else { order }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        for (to, from) in order.into_iter().take(k).enumerate() {
            let slot = block * k * inner + to * inner + lane;
            values.data[slot] = at(from).clone();
            indices.data[slot] = E::constant(from as f64);
        }
    }
    Ok(vec![values, indices])
}
