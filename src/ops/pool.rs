//! Pooling.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{int, ints, required, text};
use super::{Array, AttrType, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::MaxPool, (1, 1)).outputs(1, 2).attrs(&[
        required("kernel_shape", AttrType::Ints),
        ints("strides"),
        ints("pads"),
        ints("dilations"),
        int("ceil_mode", 0),
        text("auto_pad", "NOTSET"),
        int("storage_order", 0),
    ]),
    Schema::of(OpKind::AveragePool, (1, 1)).attrs(&[
        required("kernel_shape", AttrType::Ints),
        ints("strides"),
        ints("pads"),
        ints("dilations"),
        int("ceil_mode", 0),
        text("auto_pad", "NOTSET"),
        int("count_include_pad", 0),
    ]),
    Schema::of(OpKind::GlobalAveragePool, (1, 1)),
    Schema::of(OpKind::GlobalMaxPool, (1, 1)),
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
