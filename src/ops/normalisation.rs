//! Normalisations.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, int, required};
use super::{Array, AttrType, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::BatchNormalization, (5, 5)).attrs(&[float("epsilon", 1e-5)]),
    Schema::of(OpKind::LayerNormalization, (2, 3)).attrs(&[
        int("axis", -1),
        float("epsilon", 1e-5),
        int("stash_type", 1),
    ]),
    Schema::of(OpKind::InstanceNormalization, (3, 3)).attrs(&[float("epsilon", 1e-5)]),
    Schema::of(OpKind::GroupNormalization, (3, 3)).attrs(&[
        float("epsilon", 1e-5),
        required("num_groups", AttrType::Int),
        int("stash_type", 1),
    ]),
    Schema::of(OpKind::RMSNormalization, (2, 2)).attrs(&[
        int("axis", -1),
        float("epsilon", 1e-5),
        int("stash_type", 1),
    ]),
    Schema::of(OpKind::LRN, (1, 1)).attrs(&[
        float("alpha", 0.0001),
        float("beta", 0.75),
        float("bias", 1.0),
        required("size", AttrType::Int),
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
