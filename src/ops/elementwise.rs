//! Element-wise operators of two or more operands, with broadcasting.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::{MANY, rows::int};
use super::{Array, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Add, (2, 2)).commutative(),
    Schema::of(OpKind::Sub, (2, 2)),
    Schema::of(OpKind::Mul, (2, 2)).commutative(),
    Schema::of(OpKind::Div, (2, 2)),
    Schema::of(OpKind::Pow, (2, 2)),
    Schema::of(OpKind::Mod, (2, 2)).attrs(&[int("fmod", 0)]),
    Schema::of(OpKind::Min, (1, MANY)).commutative(),
    Schema::of(OpKind::Max, (1, MANY)).commutative(),
    Schema::of(OpKind::Mean, (1, MANY)).commutative(),
    Schema::of(OpKind::Sum, (1, MANY)).commutative(),
    Schema::of(OpKind::PRelu, (2, 2)),
    Schema::of(OpKind::And, (2, 2)).commutative(),
    Schema::of(OpKind::Or, (2, 2)).commutative(),
    Schema::of(OpKind::Xor, (2, 2)).commutative(),
    Schema::of(OpKind::Equal, (2, 2)).commutative(),
    Schema::of(OpKind::Less, (2, 2)),
    Schema::of(OpKind::LessOrEqual, (2, 2)),
    Schema::of(OpKind::Greater, (2, 2)),
    Schema::of(OpKind::GreaterOrEqual, (2, 2)),
    Schema::of(OpKind::Where, (3, 3)),
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
