//! Resampling.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, floats, int, ints, text};
use super::{Array, Element, EvalError, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[Schema::of(OpKind::Resize, (1, 4)).attrs(&[
    text("mode", "nearest"),
    text("coordinate_transformation_mode", "half_pixel"),
    text("nearest_mode", "round_prefer_floor"),
    float("cubic_coeff_a", -0.75),
    int("exclude_outside", 0),
    float("extrapolation_value", 0.0),
    int("antialias", 0),
    text("keep_aspect_ratio_policy", "stretch"),
    ints("axes"),
    floats("scales"),
    ints("sizes"),
])];

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
