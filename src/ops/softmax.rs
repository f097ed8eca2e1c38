//! Operators along one axis that keep the shape: softmax and its kin, Lp normalisation, cumulative sums.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall, resolve_axis};
use super::schema::rows::int;
use super::work::TRANSCENDENTAL;
use super::{Array, Element, EvalError, Func, OpError, Schema, Work, array};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Softmax, (1, 1)).attrs(&[int("axis", -1), int("coerced", 0)]),
    Schema::of(OpKind::LogSoftmax, (1, 1)).attrs(&[int("axis", -1), int("coerced", 0)]),
    Schema::of(OpKind::Hardmax, (1, 1)).attrs(&[int("axis", -1), int("coerced", 0)]),
    Schema::of(OpKind::LpNormalization, (1, 1)).attrs(&[int("axis", -1), int("p", 2)]),
    Schema::of(OpKind::CumSum, (1, 2)).attrs(&[int("axis", i64::MIN), int("exclusive", 0), int("reverse", 0)]),
];

/// Types of the outputs: the input's.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let x = call.ty(0)?;
    if call.kind == OpKind::CumSum {
        call.want(0, "a number", |dtype| dtype.is_float() || dtype.is_int())?;
        call.want(1, "an integer", |dtype| dtype.is_int())?;
        let axis = match call.has(1) {
            true => call.known_elements(1).and_then(|elements| elements.first().copied()),
            false => Some(call.int("axis")?),
        };
        if let Some(axis) = axis
            && resolve_axis(axis, x.rank()).is_none()
        {
            return Err(call.fail(format!("axis {axis} is out of range for rank {}", x.rank())));
        }
    } else {
        call.want(0, "a float", |dtype| dtype.is_float())?;
        call.axis("axis", x.rank())?;
    }
    if call.kind == OpKind::LpNormalization && !matches!(call.int("p")?, 1 | 2) {
        return Err(call.fail("attribute \"p\" must be 1 or 2"));
    }
    call.one(x.dtype, x.shape.clone())
}

/// Work of one application: for softmax maximum, difference, exponential, sum and quotient.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    call.per_output(match call.kind {
        OpKind::Softmax | OpKind::LogSoftmax => TRANSCENDENTAL + 4.0,
        OpKind::LpNormalization => 3.0,
        _ => 1.0,
    })
}

/// Values of the outputs. A row of norm 0 stays 0 under `LpNormalization`.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    let x = call.input(0)?;
    let (outer, along, inner) = if call.kind == OpKind::CumSum {
        let axis = match call.optional(1) {
            Some(axis) => axis.to_i64s()?.first().copied().ok_or_else(|| call.fail("the axis is empty"))?,
            None => call.int("axis")?,
        };
        let axis = resolve_axis(axis, x.rank()).ok_or_else(|| call.fail(format!("axis {axis} is out of range")))?;
        array::around(&x.shape, axis)
    } else {
        let axis = call.axis("axis", x.rank())?;
        let coerced = call.op.int("coerced") == Some(1);
        let (outer, along, inner) = array::around(&x.shape, axis);
        // Before opset 13 all axes from the given one on were normalised together.
        if coerced { (outer, along * inner, 1) } else { (outer, along, inner) }
    };
    let mut out = x.data.clone();
    for row in 0..outer * inner {
        let start = (row / inner) * along * inner + row % inner;
        let values: Vec<E> = (0..along).map(|k| x.data[start + k * inner].clone()).collect();
        for (k, value) in evaluate_row(call, &values)?.into_iter().enumerate() {
            out[start + k * inner] = value;
        }
    }
    Ok(vec![Array { shape: x.shape.clone(), data: out }])
}

fn evaluate_row<E: Element>(call: &EvalCall<'_, E>, values: &[E]) -> Result<Vec<E>, EvalError> {
    let sum = |values: &[E]| values.iter().fold(E::constant(0.0), |sum, value| sum.add(value));
    match call.kind {
        OpKind::Softmax | OpKind::LogSoftmax => {
            let pivot = E::pivot(values);
            let shifted: Vec<E> = values.iter().map(|value| value.sub(&pivot)).collect();
            let powers: Vec<E> = shifted.iter().map(|v| E::apply1(Func::Exp, v)).collect::<Result<_, _>>()?;
            let total = sum(&powers);
            if call.kind == OpKind::Softmax {
                return powers.iter().map(|power| power.div(&total)).collect();
            }
            let log = E::apply1(Func::Log, &total)?;
            Ok(shifted.iter().map(|value| value.sub(&log)).collect())
        }
        OpKind::Hardmax => {
            let mut best = 0;
            for k in 1..values.len() {
                if values[k].order(&values[best])?.is_gt() {
                    best = k;
                }
            }
            Ok((0..values.len()).map(|k| E::constant(if k == best { 1.0 } else { 0.0 })).collect())
        }
        OpKind::LpNormalization => {
            let norm = if call.int("p")? == 1 {
                let sizes: Vec<E> = values.iter().map(|v| E::apply1(Func::Abs, v)).collect::<Result<_, _>>()?;
                sum(&sizes)
            } else {
                let squares: Vec<E> = values.iter().map(|v| v.mul(v)).collect();
                E::apply1(Func::Sqrt, &sum(&squares))?
            };
            if norm == E::constant(0.0) {
                return Ok(values.to_vec());
            }
            values.iter().map(|value| value.div(&norm)).collect()
        }
        OpKind::CumSum => {
            let (exclusive, reverse) = (call.int("exclusive")? == 1, call.int("reverse")? == 1);
            let mut out = values.to_vec();
            let mut total = E::constant(0.0);
            for k in 0..values.len() {
                let at = if reverse { values.len() - 1 - k } else { k };
                let next = total.add(&values[at]);
                out[at] = if exclusive { total } else { next.clone() };
                total = next;
            }
            Ok(out)
        }
        _ => Err(call.misrouted()),
    }
}
