//! Shapes, and constants made of them.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{absent, int, ints, number};
use super::{Array, AttrType, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Shape, (1, 1)).attrs(&[int("start", 0), int("end", i64::MAX)]),
    Schema::of(OpKind::Size, (1, 1)),
    Schema::of(OpKind::ConstantOfShape, (0, 1))
        .attrs(&[number("value", 0.0), int("dtype", 1), ints("shape")])
        .not_foldable(),
    Schema::of(OpKind::Range, (3, 3)).not_foldable(),
    Schema::of(OpKind::Constant, (0, 0)).attrs(&[
        absent("value_float", AttrType::Float),
        absent("value_int", AttrType::Int),
        absent("value_floats", AttrType::Floats),
        absent("value_ints", AttrType::Ints),
    ]),
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
