//! Reductions over axes.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{int, ints};
use super::{Array, AttrSpec, Element, EvalError, OpError, Schema, Work};

const REDUCTION: &[AttrSpec] = &[ints("axes"), int("keepdims", 1), int("noop_with_empty_axes", 0)];

const fn reduction(kind: OpKind) -> Schema {
    Schema::of(kind, (1, 2)).attrs(REDUCTION)
}

pub(super) const SCHEMAS: &[Schema] = &[
    reduction(OpKind::ReduceSum),
    reduction(OpKind::ReduceMean),
    reduction(OpKind::ReduceMax),
    reduction(OpKind::ReduceMin),
    reduction(OpKind::ReduceProd),
    reduction(OpKind::ReduceL1),
    reduction(OpKind::ReduceL2),
    reduction(OpKind::ReduceLogSum),
    reduction(OpKind::ReduceLogSumExp),
    reduction(OpKind::ReduceSumSquare),
    Schema::of(OpKind::ArgMax, (1, 1)).attrs(&[int("axis", 0), int("keepdims", 1), int("select_last_index", 0)]),
    Schema::of(OpKind::ArgMin, (1, 1)).attrs(&[int("axis", 0), int("keepdims", 1), int("select_last_index", 0)]),
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
