//! The largest or smallest elements along an axis.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::int;
use super::{Array, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] =
    &[Schema::of(OpKind::TopK, (2, 2)).outputs(2, 2).attrs(&[int("axis", -1), int("largest", 1), int("sorted", 1)])];

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
