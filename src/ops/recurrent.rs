//! Recurrent layers over a whole sequence.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, floats, int, required, text, texts};
use super::{Array, AttrType, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::LSTM, (3, 8)).outputs(1, 3).attrs(&[
        text("direction", "forward"),
        required("hidden_size", AttrType::Int),
        texts("activations"),
        floats("activation_alpha"),
        floats("activation_beta"),
        float("clip", 0.0),
        int("layout", 0),
        int("input_forget", 0),
    ]),
    Schema::of(OpKind::GRU, (3, 6)).outputs(1, 2).attrs(&[
        text("direction", "forward"),
        required("hidden_size", AttrType::Int),
        texts("activations"),
        floats("activation_alpha"),
        floats("activation_beta"),
        float("clip", 0.0),
        int("layout", 0),
        int("linear_before_reset", 0),
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
