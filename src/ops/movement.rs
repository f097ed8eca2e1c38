//! Operators that move elements and compute nothing.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::{
    MANY,
    rows::{float, int, ints, required, text},
};
use super::{Array, AttrType, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Concat, (1, MANY)).attrs(&[required("axis", AttrType::Int)]),
    Schema::of(OpKind::Split, (1, 2)).outputs(1, MANY).attrs(&[int("axis", 0), ints("split")]),
    Schema::of(OpKind::Slice, (1, 5)).attrs(&[ints("starts"), ints("ends"), ints("axes"), ints("steps")]),
    Schema::of(OpKind::Gather, (2, 2)).attrs(&[int("axis", 0)]),
    Schema::of(OpKind::GatherElements, (2, 2)).attrs(&[int("axis", 0)]),
    Schema::of(OpKind::GatherND, (2, 2)).attrs(&[int("batch_dims", 0)]),
    Schema::of(OpKind::Transpose, (1, 1)).attrs(&[ints("perm")]),
    Schema::of(OpKind::Reshape, (1, 2)).attrs(&[ints("shape"), int("allowzero", 0)]),
    Schema::of(OpKind::Flatten, (1, 1)).attrs(&[int("axis", 1)]),
    Schema::of(OpKind::Squeeze, (1, 2)).attrs(&[ints("axes")]),
    Schema::of(OpKind::Unsqueeze, (1, 2)).attrs(&[ints("axes")]),
    Schema::of(OpKind::Expand, (1, 2)).attrs(&[ints("shape")]).not_foldable(),
    Schema::of(OpKind::Tile, (1, 2)).attrs(&[ints("repeats")]).not_foldable(),
    Schema::of(OpKind::Pad, (1, 4)).attrs(&[text("mode", "constant"), ints("pads"), float("value", 0.0)]),
    Schema::of(OpKind::DepthToSpace, (1, 1)).attrs(&[required("blocksize", AttrType::Int), text("mode", "DCR")]),
    Schema::of(OpKind::SpaceToDepth, (1, 1)).attrs(&[required("blocksize", AttrType::Int)]),
    Schema::of(OpKind::Trilu, (1, 2)).attrs(&[int("upper", 1)]),
    Schema::of(OpKind::Identity, (1, 1)),
    Schema::of(OpKind::Dropout, (1, 1)).attrs(&[float("ratio", 0.5)]),
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
