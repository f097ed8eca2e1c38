//! Normalisations.

use crate::graph::{Dim, Facts, OpKind};

use super::broadcast::{broadcast_dim, broadcast_known};
use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, int, required};
use super::work::TRANSCENDENTAL;
use super::{Array, AttrType, Element, EvalError, Func, OpError, Schema, Work};

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

/// Types of the outputs: the first input's.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    use OpKind::*;
    let x = call.ty(0)?;
    for index in 0..call.inputs.len() {
        call.want(index, "a float", |dtype| dtype.is_float())?;
    }
    if matches!(call.kind, LayerNormalization | RMSNormalization) {
        call.axis("axis", x.rank())?;
        for index in (1..call.inputs.len()).filter(|&index| call.has(index)) {
            let shape = &call.ty(index)?.shape;
            let tail = x.shape.len().checked_sub(shape.len()).map(|skip| &x.shape[skip..]);
            if !tail.is_some_and(|tail| tail.iter().zip(shape.iter()).all(|(x, d)| goes_into(d, x))) {
                return Err(call.fail(format!("input {index} does not broadcast to the first input")));
            }
        }
        return call.one(x.dtype, x.shape.clone());
    }
    if x.rank() < 2 {
        return Err(call.fail("the first input needs at least two axes, batch and channels"));
    }
    for index in 1..call.inputs.len() {
        let channels = call.ty(index)?;
        let [c] = &*channels.shape else { return Err(call.fail(format!("input {index} must have one axis"))) };
        if differ(c, &x.shape[1]) {
            return Err(call.fail(format!("input {index} has {c} elements for {} channels", x.shape[1])));
        }
    }
    if call.kind == GroupNormalization {
        let groups = call.int("num_groups")?;
        if groups < 1 || x.shape[1].known().is_some_and(|c| c % groups != 0) {
            return Err(call.fail(format!("attribute \"num_groups\" {groups} does not divide the channels")));
        }
    }
    if call.kind == LRN && call.int("size")? < 1 {
        return Err(call.fail("attribute \"size\" must be positive"));
    }
    call.one(x.dtype, x.shape.clone())
}

/// Whether two sizes are certainly different.
fn differ(a: &Dim, b: &Dim) -> bool {
    matches!((a, b), (Dim::Known(a), Dim::Known(b)) if a != b)
}

/// Whether an axis of size `from` may broadcast to one of size `to`.
fn goes_into(from: &Dim, to: &Dim) -> bool {
    broadcast_dim(from, to).is_some_and(|joint| !differ(&joint, to))
}

/// Work of one application.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    match call.kind {
        // Scale and shift are taken to be computed from the four vectors once.
        OpKind::BatchNormalization => call.per_output(2.0),
        OpKind::LRN => call.per_output(2.0 * call.op.int("size").unwrap_or(1) as f64 + TRANSCENDENTAL),
        OpKind::RMSNormalization => call.per_output(5.0),
        _ => call.per_output(8.0),
    }
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    use OpKind::*;
    let x = call.input(0)?;
    if matches!(call.kind, LayerNormalization | RMSNormalization) {
        return Ok(vec![layer(call, x)?]);
    }
    let &[batch, channels, ..] = x.shape.as_slice() else { return Err(call.fail("the first input needs two axes")) };
    for index in 1..call.inputs.len() {
        if call.input(index)?.shape != [channels] {
            return Err(call.fail(format!("input {index} must have shape [{channels}]")));
        }
    }
    let inner: usize = x.shape[2..].iter().product();
    let mut out = x.clone();
    let channel_of = |at: usize| (at / inner) % channels;
    match call.kind {
        BatchNormalization => {
            let (scale, shift) = (call.input(1)?, call.input(2)?);
            let (mean, variance) = (call.input(3)?, call.input(4)?);
            let epsilon = E::constant(call.float("epsilon")?);
            let factor = |c: usize| scale.data[c].div(&E::apply1(Func::Sqrt, &variance.data[c].add(&epsilon))?);
            let factors: Vec<E> = (0..channels).map(factor).collect::<Result<_, _>>()?;
            for (at, value) in out.data.iter_mut().enumerate() {
                let c = channel_of(at);
                *value = value.sub(&mean.data[c]).mul(&factors[c]).add(&shift.data[c]);
            }
        }
        InstanceNormalization | GroupNormalization => {
            let groups = match call.kind {
                InstanceNormalization => channels,
                _ => usize::try_from(call.int("num_groups")?).unwrap_or(0),
            };
            if groups == 0 || channels % groups != 0 {
                return Err(call.fail(format!("{groups} groups of {channels} channels")));
            }
            let epsilon = E::constant(call.float("epsilon")?);
            let size = channels / groups * inner;
            for block in 0..batch * groups {
                standardise(&mut out.data[block * size..(block + 1) * size], &epsilon, true)?;
            }
            let (scale, shift) = (call.input(1)?, call.input(2)?);
            for (at, value) in out.data.iter_mut().enumerate() {
                let c = channel_of(at);
                *value = value.mul(&scale.data[c]).add(&shift.data[c]);
            }
        }
        LRN => {
            let size = usize::try_from(call.int("size")?).ok().filter(|&size| size > 0);
            let size = size.ok_or_else(|| call.fail("size must be positive"))?;
            let (alpha, beta) = (call.float("alpha")?, E::constant(call.float("beta")?));
            let (slope, bias) = (E::constant(alpha / size as f64), E::constant(call.float("bias")?));
            for (at, value) in out.data.iter_mut().enumerate() {
                let c = channel_of(at);
                let window = c.saturating_sub((size - 1) / 2)..=(c + size / 2).min(channels - 1);
                let square = |k: usize| x.data[at + k * inner - c * inner].mul(&x.data[at + k * inner - c * inner]);
                let total = window.map(square).fold(E::constant(0.0), |sum, value| sum.add(&value));
                *value = value.div(&E::apply2(Func::Pow, &bias.add(&slope.mul(&total)), &beta)?)?;
            }
        }
        _ => return Err(call.misrouted()),
    }
    Ok(vec![out])
}

/// Divides by the root of the mean square, after taking the mean out if `centre`.
fn standardise<E: Element>(values: &mut [E], epsilon: &E, centre: bool) -> Result<(), EvalError> {
    let count = E::constant(values.len() as f64);
    if centre {
        let mean = values.iter().fold(E::constant(0.0), |sum, value| sum.add(value)).div(&count)?;
        values.iter_mut().for_each(|value| *value = value.sub(&mean));
    }
    let squares = values.iter().fold(E::constant(0.0), |sum, value| sum.add(&value.mul(value)));
    let root = E::apply1(Func::Sqrt, &squares.div(&count)?.add(epsilon))?;
    for value in values {
        *value = value.div(&root)?;
    }
    Ok(())
}

/// `LayerNormalization` and `RMSNormalization`: over all axes from `axis` on.
fn layer<E: Element>(call: &EvalCall<'_, E>, x: &Array<E>) -> Result<Array<E>, EvalError> {
    let axis = call.axis("axis", x.rank())?;
    let size: usize = x.shape[axis..].iter().product();
    let epsilon = E::constant(call.float("epsilon")?);
    let mut out = x.clone();
    for row in out.data.chunks_mut(size.max(1)) {
        standardise(row, &epsilon, call.kind == OpKind::LayerNormalization)?;
    }
    for index in (1..call.inputs.len()).filter(|&index| call.optional(index).is_some()) {
        let factor = call.input(index)?;
        if broadcast_known(&factor.shape, &x.shape).as_ref() != Some(&x.shape) {
            return Err(call.fail(format!("input {index} does not broadcast to the first input")));
        }
        let factor = factor.broadcast_to(&x.shape)?;
        for (value, other) in out.data.iter_mut().zip(&factor.data) {
            *value = if index == 1 { value.mul(other) } else { value.add(other) };
        }
    }
    Ok(out)
}
