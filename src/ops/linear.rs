//! Products of matrices.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::{
    MANY,
    rows::{float, int, required},
};
use super::{Array, AttrType, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::MatMul, (2, 2)),
    Schema::of(OpKind::Gemm, (2, 3)).attrs(&[
        float("alpha", 1.0),
        float("beta", 1.0),
        int("transA", 0),
        int("transB", 0),
    ]),
    Schema::of(OpKind::Einsum, (1, MANY)).attrs(&[required("equation", AttrType::Str)]),
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
