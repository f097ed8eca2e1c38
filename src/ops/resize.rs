//! Resampling: nearest neighbour and linear interpolation, axis by axis.

use super::array::{around, strides};
use super::axis_map::AxisMap;
use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, floats, int, ints, text};
use super::support::{self, Evaluated, Inferred, one, output_shapes};
use super::{Array, Element, OpError, Schema, Work};
use crate::graph::{Dim, OpKind};

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

/// Where an output coordinate lies in the input.
#[derive(Clone, Copy)]
enum Transform {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

/// Which neighbour is nearest.
#[derive(Clone, Copy)]
enum Nearest {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

#[derive(Clone, Copy)]
enum Mode {
    Nearest(Nearest),
    Linear,
}

fn modes(op: &crate::graph::Op) -> Result<(Mode, Transform), String> {
    let transform = match op.text("coordinate_transformation_mode").unwrap_or("half_pixel") {
        "half_pixel" => Transform::HalfPixel,
        "half_pixel_symmetric" => Transform::HalfPixelSymmetric,
        "pytorch_half_pixel" => Transform::PytorchHalfPixel,
        "align_corners" => Transform::AlignCorners,
        "asymmetric" => Transform::Asymmetric,
        other => return Err(format!("coordinate_transformation_mode {other:?} is not supported")),
    };
    let nearest = match op.text("nearest_mode").unwrap_or("round_prefer_floor") {
        "round_prefer_floor" => Nearest::PreferFloor,
        "round_prefer_ceil" => Nearest::PreferCeil,
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        other => return Err(format!("nearest_mode {other:?} is not known")),
    };
    let mode = match op.text("mode").unwrap_or("nearest") {
        "nearest" => Mode::Nearest(nearest),
        "linear" => Mode::Linear,
        other => return Err(format!("mode {other:?} is not supported")),
    };
    if op.int("antialias").unwrap_or(0) != 0 {
        return Err("antialias is not supported".to_owned());
    }
    if op.text("keep_aspect_ratio_policy").unwrap_or("stretch") != "stretch" {
        return Err("keep_aspect_ratio_policy other than stretch is not supported".to_owned());
    }
    Ok((mode, transform))
}

/// Output size of a dimension times a scale; `None` if no expression says it.
fn scaled(dim: &Dim, scale: f32) -> Option<Dim> {
    match dim {
        // Computed in f32, as runtimes do.
        Dim::Known(n) => Some(Dim::Known((*n as f32 * scale).floor() as i64)),
        _ if scale.fract() == 0.0 && scale < 1e6 => Some(dim.mul(&Dim::Known(scale as i64))),
        _ if scale < 1.0 && (1.0 / scale).fract() == 0.0 => dim.floor_div(&Dim::Known((1.0 / scale) as i64)),
        _ => None,
    }
}

fn resized_axes(call: &Call<'_>, rank: usize) -> Result<Vec<usize>, OpError> {
    let named = support::ints(call, "axes");
    if named.is_empty() {
        return Ok((0..rank).collect());
    }
    support::axes(call, named, rank)?;
    let resolve = |&axis: &i64| super::call::resolve_axis(axis, rank);
    named.iter().map(resolve).collect::<Option<_>>().ok_or_else(|| call.fail("attribute axes"))
}

/// The input's shape with the resized axes scaled, or of the sizes stated. Inputs: x, roi (ignored), scales, sizes.
pub(super) fn infer(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    modes(call.op).map_err(|e| call.fail(e))?;
    let axes = resized_axes(call, x.rank())?;
    let mut shape = x.shape.to_vec();
    let scales = call.op.floats("scales").unwrap_or_default();
    let wrong = |n: usize| call.fail(format!("{n} scales or sizes for {} axes", axes.len()));
    if call.has(3) || scales.is_empty() && !call.has(2) {
        support::want_integer(call, 3)?;
        let Some(sizes) = support::list(call, "sizes", 3) else { return call.unknown() };
        if sizes.len() != axes.len() {
            return Err(wrong(sizes.len()));
        }
        for (&axis, size) in axes.iter().zip(sizes) {
            shape[axis] = size;
        }
        return one(call, x.dtype, shape);
    }
    if scales.is_empty() {
        return call.unknown();
    }
    if scales.len() != axes.len() {
        return Err(wrong(scales.len()));
    }
    for (&axis, &scale) in axes.iter().zip(scales) {
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(call.fail(format!("a scale of {scale}")));
        }
        let Some(size) = scaled(&shape[axis], scale) else { return call.unknown() };
        shape[axis] = size;
    }
    one(call, x.dtype, shape)
}

/// Two operations for each resized axis and output element where it interpolates.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    let axes = call.op.ints("axes").map_or(0, <[i64]>::len);
    let axes = if axes > 0 { axes } else { call.outputs.first().map_or(0, |ty| ty.rank()) };
    match call.op.text("mode") {
        Some("nearest") => support::copy(call.outputs),
        _ => call.per_output(3.0 * axes as f64),
    }
}

/// One axis to be resampled.
struct Axis {
    from: usize,
    to: usize,
    /// The scale stated; the quotient of the sizes where these are stated.
    scale: f64,
}

impl Axis {
    fn coordinate(&self, transform: Transform, x: usize) -> f64 {
        let x = x as f64;
        let half_pixel = (x + 0.5) / self.scale - 0.5;
        match transform {
            Transform::HalfPixel => half_pixel,
            Transform::PytorchHalfPixel if self.to > 1 => half_pixel,
            Transform::PytorchHalfPixel => 0.0,
            Transform::HalfPixelSymmetric => {
                let adjustment = self.to as f64 / (self.scale * self.from as f64);
                self.from as f64 / 2.0 * (1.0 - adjustment) + half_pixel
            }
            Transform::AlignCorners if self.to > 1 => x * (self.from as f64 - 1.0) / (self.to as f64 - 1.0),
            Transform::AlignCorners => 0.0,
            Transform::Asymmetric => x / self.scale,
        }
    }

    fn clamp(&self, at: f64) -> usize {
        at.clamp(0.0, self.from as f64 - 1.0) as usize
    }

    fn nearest(&self, transform: Transform, nearest: Nearest, x: usize) -> usize {
        // Rounded to f32, in which runtimes compute coordinates: a tie there is a tie here.
        let at = f64::from(self.coordinate(transform, x) as f32);
        self.clamp(match nearest {
            Nearest::PreferFloor => (at - 0.5).ceil(),
            Nearest::PreferCeil => (at + 0.5).floor(),
            Nearest::Floor => at.floor(),
            Nearest::Ceil => at.ceil(),
        })
    }
}

/// The resampled array.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Evaluated<E> {
    let mut x = call.input(0)?.clone();
    let attributes = support::attributes(call);
    let axes = resized_axes(&attributes, x.rank()).map_err(|e| call.fail(e.to_string()))?;
    let dynamic = call.optional(2).filter(|scales| !scales.is_empty() && call.optional(3).is_none());
    if dynamic.is_some() {
        return Err(call.fail("scales that are no attribute are not supported"));
    }
    let shape = output_shapes(call, 1, |slot| slot == 3, infer)?.remove(0);
    let (mode, transform) = modes(call.op).map_err(|e| call.fail(e))?;
    let scales = if call.optional(3).is_some() { &[] } else { call.op.floats("scales").unwrap_or_default() };
    if x.is_empty() && !shape.contains(&0) {
        return Err(call.fail("there is no element to sample"));
    }
    for (i, &axis) in axes.iter().enumerate() {
        let (from, to) = (x.shape[axis], shape[axis]);
        let scale = scales.get(i).map_or(to as f64 / from as f64, |&scale| scale.into());
        if from == to && scale == 1.0 {
            continue;
        }
        let resampled = Axis { from, to, scale };
        let mut new_shape = x.shape.clone();
        new_shape[axis] = to;
        super::array::checked_count(&new_shape)?;
        x.data = match mode {
            _ if new_shape.contains(&0) => Vec::new(),
            Mode::Nearest(nearest) => {
                let mut map = AxisMap::strided(x.shape.iter().copied().zip(strides(&x.shape)));
                let read = |k| Some(resampled.nearest(transform, nearest, k));
                map.set_axis(axis, strides(&x.shape)[axis], (0..to).map(read));
                map.apply(&x.data, &E::constant(0.0))
            }
            Mode::Linear => interpolate(&x, axis, &resampled, transform),
        };
        x.shape = new_shape;
    }
    Ok(vec![x])
}

fn interpolate<E: Element>(x: &Array<E>, axis: usize, resampled: &Axis, transform: Transform) -> Vec<E> {
    let (outer, along, inner) = around(&x.shape, axis);
    let mut out = Vec::with_capacity(outer * resampled.to * inner);
    for block in 0..outer {
        for k in 0..resampled.to {
            let at = resampled.coordinate(transform, k);
            let (low, weight) = (at.floor(), at - at.floor());
            let row = |at: f64| &x.data[(block * along + resampled.clamp(at)) * inner..][..inner];
            let (left, right) = (E::constant(1.0 - weight), E::constant(weight));
            let pairs = row(low).iter().zip(row(low + 1.0));
            out.extend(pairs.map(|(a, b)| a.mul(&left).add(&b.mul(&right))));
        }
    }
    out
}
