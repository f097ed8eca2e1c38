//! Constructors on constants of the rule language: always folded, never written to a file.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::{
    MANY,
    rows::{int, required},
};
use super::{Array, AttrType, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Enlarge, (1, 1)).attrs(&[required("kernel_shape", AttrType::Ints)]),
    Schema::of(OpKind::IdentityKernel, (0, 0)).attrs(&[
        required("channels", AttrType::Int),
        int("group", 1),
        required("kernel_shape", AttrType::Ints),
        int("dtype", 1),
    ]),
    Schema::of(OpKind::IdentityMatrix, (0, 0)).attrs(&[required("size", AttrType::Int), int("dtype", 1)]),
    Schema::of(OpKind::PoolKernel, (0, 0)).attrs(&[
        required("channels", AttrType::Int),
        required("kernel_shape", AttrType::Ints),
        int("dtype", 1),
    ]),
    Schema::of(OpKind::BlockDiagonal, (1, MANY)),
    Schema::of(OpKind::Ungroup, (1, 1)).attrs(&[required("group", AttrType::Int)]),
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
