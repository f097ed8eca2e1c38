//! Convolution and transposed convolution over any number of spatial axes, with padding, dilation and groups.

use super::call::{Call, EvalCall, WorkCall};
use super::dims::agree;
use super::schema::Schema;
use super::schema::rows::{int, ints, text};
use super::support::{Evaluated, Inferred, advance, attributes, one, output_shapes, same_dtype, want_float};
use super::window::{AutoPad, Window, WindowAxis, split_padding};
use super::work::{count, size};
use super::{Array, AttrSpec, Element, OpError, Work, support};
use crate::graph::{Dim, OpKind};

/// Schemas of the family.
pub const SCHEMAS: &[Schema] =
    &[Schema::of(OpKind::Conv, (2, 3)).attrs(&CONV), Schema::of(OpKind::ConvTranspose, (2, 3)).attrs(&CONV_TRANSPOSE)];

const CONV: [AttrSpec; 5] =
    [text("auto_pad", "NOTSET"), ints("dilations"), int("group", 1), ints("pads"), ints("strides")];

const CONV_TRANSPOSE: [AttrSpec; 6] = [CONV[0], CONV[1], CONV[2], ints("output_padding"), CONV[3], CONV[4]];

/// Types of the outputs: `x [N, C, *S]`, `w [O, C/group, *K]` (ConvTranspose: `[C, O/group, *K]`), `b [O]`.
pub fn infer(call: &Call) -> Inferred {
    let (x, w) = (call.ty(0)?, call.ty(1)?);
    want_float(call, 0)?;
    same_dtype(call, x.dtype, 1..3)?;
    if x.rank() < 3 || w.rank() != x.rank() {
        return Err(call.fail("an input needs at least one spatial axis, and the kernel as many"));
    }
    let group = call.op.int("group").unwrap_or(1);
    if group < 1 {
        return Err(call.fail(format!("attribute group = {group}")));
    }
    let groups = Dim::Known(group);
    let window = Window::read(call, w.shape[2..].to_vec())?;
    let transposed = call.kind == OpKind::ConvTranspose;
    let (channels, outputs) = match transposed {
        false => (w.shape[1].mul(&groups), w.shape[0].clone()),
        true => (w.shape[0].clone(), w.shape[1].mul(&groups)),
    };
    if agree(&x.shape[1], &channels).is_none() {
        return Err(call.fail(format!("the kernel is for {channels} channels in {group} groups")));
    }
    for channels in [&x.shape[1], &outputs] {
        if channels.known().is_some_and(|n| n % group != 0) {
            return Err(call.fail(format!("{group} groups do not divide {channels} channels")));
        }
    }
    if let Some(b) = call.optional(2)
        && (b.rank() != 1 || agree(&b.shape[0], &outputs).is_none())
    {
        return Err(call.fail(format!("the bias should have the shape [{outputs}]")));
    }
    let mut shape = vec![x.shape[0].clone(), outputs];
    for (axis, size) in x.shape[2..].iter().enumerate() {
        shape.push(match transposed {
            false => window.output(call, axis, size)?,
            true => transposed_output(call, &window, axis, size)?,
        });
    }
    one(call, x.dtype, shape)
}

fn output_padding(call: &Call, axis: usize, rank: usize) -> Result<i64, OpError> {
    let values = support::ints(call, "output_padding");
    if !values.is_empty() && values.len() != rank || values.iter().any(|&v| v < 0) {
        return Err(call.fail(format!("attribute output_padding = {values:?}")));
    }
    Ok(values.get(axis).copied().unwrap_or(0))
}

fn transposed_output(call: &Call, window: &Window, axis: usize, size: &Dim) -> Result<Dim, OpError> {
    let rank = window.strides.len();
    let stride = Dim::Known(window.strides[axis]);
    let extra = output_padding(call, axis, rank)?;
    if matches!(window.auto, AutoPad::SameUpper | AutoPad::SameLower) {
        return Ok(size.mul(&stride));
    }
    let pads = Dim::Known(window.pads[axis]).add(&Dim::Known(window.pads[rank + axis]));
    let full = size.sub(&Dim::Known(1)).mul(&stride).add(&window.extent(axis)).add(&Dim::Known(extra));
    Ok(full.sub(&pads))
}

/// Two operations for each weight that an output element meets, one for the bias.
pub fn work(call: &WorkCall) -> Work {
    let (Some(Some(x)), Some(Some(w)), Some(y)) = (call.inputs.first(), call.inputs.get(1), call.outputs.first())
    else {
        return Work::default();
    };
    let per_channel: f64 = w.shape.iter().skip(1).map(size).product();
    let products = per_channel * if call.kind == OpKind::ConvTranspose { count(x) } else { count(y) };
    let bias = if call.inputs.get(2).is_some_and(Option::is_some) { count(y) } else { 0.0 };
    Work::streaming(2.0 * products + bias, call.inputs, call.outputs)
}

/// The sum over channels of a group and kernel elements, directly.
pub fn evaluate<E: Element>(call: &EvalCall<E>) -> Evaluated<E> {
    let shape = output_shapes(call, 1, |_| false, infer)?.remove(0);
    let (x, w) = (call.input(0)?, call.input(1)?);
    let bias = call.optional(2);
    let group = usize::try_from(call.op.int("group").unwrap_or(1)).map_err(|_| call.fail("attribute group"))?;
    let transposed = call.kind == OpKind::ConvTranspose;
    let axes = placed(call, x, w, &shape).ok_or_else(|| call.fail("the window's sizes are not known"))?;
    let plane: usize = shape[2..].iter().product();
    let outputs = shape[1];
    let mut out: Vec<E> = Vec::with_capacity(shape.iter().product());
    for _ in 0..shape[0] {
        for o in 0..outputs {
            let start = bias.map_or_else(|| E::constant(0.0), |b| b.data[o].clone());
            out.extend(std::iter::repeat_n(start, plane));
        }
    }
    let (in_plane, kernel_len): (usize, usize) = (x.shape[2..].iter().product(), w.shape[2..].iter().product());
    let (channels, per_group) = (x.shape[1], x.shape[1] / group);
    let outs_per_group = outputs / group;
    let mut tap = vec![0; axes.len()];
    for k in 0..kernel_len {
        let pairs = pairs(&axes, &tap);
        for (n, o, c) in indices(shape[0], outputs, per_group) {
            let first = o / outs_per_group * per_group;
            let target = (n * outputs + o) * plane;
            let source = (n * channels + first + c) * in_plane;
            let weight = match transposed {
                false => &w.data[(o * per_group + c) * kernel_len + k],
                true => &w.data[((first + c) * outs_per_group + o % outs_per_group) * kernel_len + k],
            };
            for &(over, window) in &pairs {
                let (from, to) = if transposed { (window, over) } else { (over, window) };
                let product = x.data[source + from].mul(weight);
                out[target + to] = out[target + to].add(&product);
            }
        }
        advance(&mut tap, &w.shape[2..]);
    }
    Ok(vec![Array { shape, data: out }])
}

fn indices(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

/// The window on the input (for a transposed convolution: on the output, sliding over it as the input says).
fn placed<E: Element>(call: &EvalCall<E>, x: &Array<E>, w: &Array<E>, shape: &[usize]) -> Option<Vec<WindowAxis>> {
    let call = &attributes(call);
    let transposed = call.kind == OpKind::ConvTranspose;
    let kernel = w.shape[2..].iter().map(|&k| i64::try_from(k).ok().map(Dim::Known)).collect::<Option<_>>()?;
    let mut window = Window::read(call, kernel).ok()?;
    if !transposed {
        return window.place(&x.shape[2..], &shape[2..]);
    }
    if matches!(window.auto, AutoPad::SameUpper | AutoPad::SameLower) {
        let rank = window.strides.len();
        for axis in 0..rank {
            let size = Dim::Known(i64::try_from(x.shape[2 + axis]).ok()?);
            let explicit = size.sub(&Dim::Known(1)).mul(&Dim::Known(window.strides[axis])).add(&window.extent(axis));
            let full = explicit.add(&Dim::Known(output_padding(call, axis, rank).ok()?));
            let total = full.sub(&Dim::Known(i64::try_from(shape[2 + axis]).ok()?)).known()?.max(0);
            (window.pads[axis], window.pads[rank + axis]) = split_padding(total, window.auto);
        }
        window.auto = AutoPad::Explicit;
    }
    window.place(&shape[2..], &x.shape[2..])
}

/// The pairs (position in the plane that the window slides over, position in the plane of windows) that kernel element
/// `k` connects.
fn pairs(axes: &[WindowAxis], k: &[usize]) -> Vec<(usize, usize)> {
    let mut pairs = vec![(0, 0)];
    for (axis, &k) in axes.iter().zip(k) {
        let inside: Vec<(usize, usize)> = (0..axis.out).filter_map(|o| Some((axis.inside(o, k)?, o))).collect();
        pairs = pairs
            .iter()
            .flat_map(|&(over, window)| inside.iter().map(move |&(i, o)| (over * axis.size + i, window * axis.out + o)))
            .collect();
    }
    pairs
}
