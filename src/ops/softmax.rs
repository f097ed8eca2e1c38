//! Operators along one axis that keep the shape: softmax and its kin, Lp normalisation, cumulative sums.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::int;
use super::{Array, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Softmax, (1, 1)).attrs(&[int("axis", -1), int("coerced", 0)]),
    Schema::of(OpKind::LogSoftmax, (1, 1)).attrs(&[int("axis", -1), int("coerced", 0)]),
    Schema::of(OpKind::Hardmax, (1, 1)).attrs(&[int("axis", -1), int("coerced", 0)]),
    Schema::of(OpKind::LpNormalization, (1, 1)).attrs(&[int("axis", -1), int("p", 2)]),
    Schema::of(OpKind::CumSum, (1, 2)).attrs(&[int("axis", i64::MIN), int("exclusive", 0), int("reverse", 0)]),
];

/// Types of the outputs.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    Err(call.misrouted())
}

/// Work of one application.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    call.per_output(1.0)
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    Err(call.misrouted())
}
