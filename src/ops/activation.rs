//! Activation functions.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, text};
use super::{Array, Element, EvalError, OpError, Schema, Work};

/// ONNX's default, which is this number as f32.
const SELU_ALPHA: f32 = 1.673_263_2;
/// ONNX's default, which is this number as f32.
const SELU_GAMMA: f32 = 1.050_701;

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Relu, (1, 1)),
    Schema::of(OpKind::LeakyRelu, (1, 1)).attrs(&[float("alpha", 0.01)]),
    Schema::of(OpKind::Sigmoid, (1, 1)),
    Schema::of(OpKind::Gelu, (1, 1)).attrs(&[text("approximate", "none")]),
    Schema::of(OpKind::HardSigmoid, (1, 1)).attrs(&[float("alpha", 0.2), float("beta", 0.5)]),
    Schema::of(OpKind::HardSwish, (1, 1)),
    Schema::of(OpKind::Elu, (1, 1)).attrs(&[float("alpha", 1.0)]),
    Schema::of(OpKind::Selu, (1, 1)).attrs(&[float("alpha", SELU_ALPHA), float("gamma", SELU_GAMMA)]),
    Schema::of(OpKind::Celu, (1, 1)).attrs(&[float("alpha", 1.0)]),
    Schema::of(OpKind::ThresholdedRelu, (1, 1)).attrs(&[float("alpha", 1.0)]),
    Schema::of(OpKind::Softplus, (1, 1)),
    Schema::of(OpKind::Softsign, (1, 1)),
    Schema::of(OpKind::Mish, (1, 1)),
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
