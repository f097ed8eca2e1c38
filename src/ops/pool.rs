//! Pooling over windows and over whole planes.

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{int, ints, required, text};
use super::support::{Evaluated, Inferred, advance, attributes, output_shapes, value, want_float};
use super::window::{Window, WindowAxis};
use super::{Array, AttrType, Element, EvalError, Func, OpError, Schema, Work};
use crate::graph::{DType, Dim, OpKind};

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

fn is_global(kind: OpKind) -> bool {
    matches!(kind, OpKind::GlobalAveragePool | OpKind::GlobalMaxPool)
}

fn is_max(kind: OpKind) -> bool {
    matches!(kind, OpKind::MaxPool | OpKind::GlobalMaxPool)
}

fn window(call: &Call<'_>) -> Result<Window, OpError> {
    let kernel = call.ints("kernel_shape")?;
    let window = Window::read(call, kernel.iter().map(|&k| Dim::Known(k)).collect())?;
    if let Some((pad, k)) = window.pads.iter().zip(kernel.iter().cycle()).find(|(pad, k)| pad >= k) {
        return Err(call.fail(format!("a padding of {pad} for a window of {k}")));
    }
    Ok(window)
}

/// `[N, C, *S]` to `[N, C, *windows]` (global pools: `[N, C, 1…]`); MaxPool's second output has the same shape and holds
/// the positions of the maxima in the whole input.
pub(super) fn infer(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    match call.kind {
        OpKind::MaxPool => call.want(0, "of a numeric type", |dtype| dtype.is_float() || dtype.is_int())?,
        _ => want_float(call, 0)?,
    }
    if x.rank() < 3 {
        return Err(call.fail("the input has no spatial axis"));
    }
    let mut shape = x.shape[..2].to_vec();
    if is_global(call.kind) {
        shape.resize(x.rank(), Dim::Known(1));
    } else {
        let window = window(call)?;
        if window.kernel.len() != x.rank() - 2 {
            return Err(call.fail(format!("attribute kernel_shape should have {} entries", x.rank() - 2)));
        }
        for (axis, size) in x.shape[2..].iter().enumerate() {
            shape.push(window.output(call, axis, size)?);
        }
    }
    let mut outputs = vec![value(call, x.dtype, shape.clone())?];
    if call.outputs > 1 {
        if call.op.int("storage_order").unwrap_or(0) != 0 {
            return Err(call.fail("column-major positions (storage_order 1) are not supported"));
        }
        outputs.push(value(call, DType::I64, shape)?);
    }
    Ok(outputs)
}

/// One operation for each element under each window.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    match call.op.ints("kernel_shape") {
        Some(kernel) => call.per_output(kernel.iter().map(|&k| k.max(1) as f64).product()),
        None => call.per_input(1.0),
    }
}

/// Maxima or means of the windows.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Evaluated<E> {
    let shape = output_shapes(call, 1, |_| false, infer)?.remove(0);
    let x = call.input(0)?;
    let (sizes, outs) = (&x.shape[2..], &shape[2..]);
    let axes = match is_global(call.kind) {
        true => sizes.iter().map(|&size| whole(size)).collect(),
        false => window(&attributes(call)).ok().and_then(|w| w.place(sizes, outs)).ok_or_else(|| call.misrouted())?,
    };
    let (planes, plane): (usize, usize) = (x.shape[..2].iter().product(), sizes.iter().product());
    let windows: usize = outs.iter().product();
    let mut data = vec![E::constant(0.0); planes * windows];
    let mut indices = data.clone();
    let mut at = vec![0; outs.len()];
    for target in 0..if planes == 0 { 0 } else { windows } {
        let under = positions(&axes, &at);
        if under.is_empty() {
            return Err(call.fail("a window holds no element"));
        }
        let include = call.op.int("count_include_pad").unwrap_or(0) != 0;
        let divisor = if include { padded_count(&axes, &at) } else { under.len() };
        for p in 0..planes {
            let values = &x.data[p * plane..][..plane];
            let to = p * windows + target;
            if is_max(call.kind) {
                let best = largest(values, &under)?;
                data[to] = values[best].clone();
                indices[to] = E::constant((p * plane + best) as f64);
            } else {
                let sum = under.iter().fold(E::constant(0.0), |sum, &i| sum.add(&values[i]));
                data[to] = sum.div(&E::constant(divisor as f64))?;
            }
        }
        advance(&mut at, outs);
    }
    let mut outputs = vec![Array { shape: shape.clone(), data }];
    if call.kind == OpKind::MaxPool && call.op.int("storage_order").unwrap_or(0) == 0 {
        outputs.push(Array { shape, data: indices });
    }
    Ok(outputs)
}

/// The window of a global pool.
fn whole(size: usize) -> WindowAxis {
    WindowAxis { size, kernel: size, out: 1, stride: 1, dilation: 1, begin: 0, end: 0 }
}

/// Positions in the plane under the window at `at`, in row-major order.
fn positions(axes: &[WindowAxis], at: &[usize]) -> Vec<usize> {
    axes.iter().zip(at).fold(vec![0], |positions, (axis, &o)| {
        let inside: Vec<usize> = (0..axis.kernel).filter_map(|k| axis.inside(o, k)).collect();
        positions.iter().flat_map(|&p| inside.iter().map(move |&i| p * axis.size + i)).collect()
    })
}

/// How many elements of the window at `at` are in the input or in its padding.
fn padded_count(axes: &[WindowAxis], at: &[usize]) -> usize {
    let inside = |(axis, &o): (&WindowAxis, &usize)| {
        let limit = i64::try_from(axis.size).unwrap_or(i64::MAX).saturating_add(axis.end);
        (0..axis.kernel).filter(|&k| axis.coordinate(o, k) < limit).count()
    };
    axes.iter().zip(at).map(inside).product()
}

/// Position of the first maximum.
fn largest<E: Element>(values: &[E], under: &[usize]) -> Result<usize, EvalError> {
    let mut best = under[0];
    for &i in &under[1..] {
        // The maximum as a function of two arguments, so that elements without an order can name it.
        if E::apply2(Func::Max, &values[best], &values[i])? != values[best] {
            best = i;
        }
    }
    Ok(best)
}
