//! Convolutions.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{int, ints, text};
use super::{Array, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Conv, (2, 3)).attrs(&[
        ints("strides"),
        ints("pads"),
        ints("dilations"),
        int("group", 1),
        text("auto_pad", "NOTSET"),
    ]),
    Schema::of(OpKind::ConvTranspose, (2, 3)).attrs(&[
        ints("strides"),
        ints("pads"),
        ints("dilations"),
        int("group", 1),
        text("auto_pad", "NOTSET"),
        ints("output_padding"),
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
