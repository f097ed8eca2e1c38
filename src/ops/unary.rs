//! Element-wise operators of one operand, Clip and Cast.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, int, required};
use super::{Array, AttrType, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Neg, (1, 1)),
    Schema::of(OpKind::Abs, (1, 1)),
    Schema::of(OpKind::Sqrt, (1, 1)),
    Schema::of(OpKind::Exp, (1, 1)),
    Schema::of(OpKind::Log, (1, 1)),
    Schema::of(OpKind::Reciprocal, (1, 1)),
    Schema::of(OpKind::Floor, (1, 1)),
    Schema::of(OpKind::Ceil, (1, 1)),
    Schema::of(OpKind::Round, (1, 1)),
    Schema::of(OpKind::Sign, (1, 1)),
    Schema::of(OpKind::Not, (1, 1)),
    Schema::of(OpKind::IsNaN, (1, 1)),
    Schema::of(OpKind::Erf, (1, 1)),
    Schema::of(OpKind::Sin, (1, 1)),
    Schema::of(OpKind::Cos, (1, 1)),
    Schema::of(OpKind::Tan, (1, 1)),
    Schema::of(OpKind::Asin, (1, 1)),
    Schema::of(OpKind::Acos, (1, 1)),
    Schema::of(OpKind::Atan, (1, 1)),
    Schema::of(OpKind::Sinh, (1, 1)),
    Schema::of(OpKind::Cosh, (1, 1)),
    Schema::of(OpKind::Tanh, (1, 1)),
    Schema::of(OpKind::Asinh, (1, 1)),
    Schema::of(OpKind::Acosh, (1, 1)),
    Schema::of(OpKind::Atanh, (1, 1)),
    Schema::of(OpKind::IsInf, (1, 1)).attrs(&[int("detect_negative", 1), int("detect_positive", 1)]),
    Schema::of(OpKind::Clip, (1, 3)).attrs(&[float("min", f32::NEG_INFINITY), float("max", f32::INFINITY)]),
    Schema::of(OpKind::Cast, (1, 1)).attrs(&[required("to", AttrType::Int), int("saturate", 1)]),
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
