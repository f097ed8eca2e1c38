//! Constructors on constants of the rule language: always folded, never written to a file.

use super::axis_map::{AxisMap, FILL};
use super::call::{Call, EvalCall, WorkCall};
use super::schema::{
    MANY,
    rows::{int, required},
};
use super::support::{Evaluated, Inferred, one, output_shapes, same_dtype};
use super::{Array, AttrType, Element, OpError, Schema, Work, array::strides, dims::agree};
use crate::graph::{DType, Dim, OpKind};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Enlarge, (1, 1)).attrs(&[required("kernel_shape", AttrType::Ints)]),
    Schema::of(OpKind::IdentityKernel, (0, 0)).attrs(&[
        required("channels", AttrType::Int),
        int("group", 1),
        required("kernel_shape", AttrType::Ints),
        int("dtype", 1),
    ]),
    Schema::of(OpKind::IdentityMatrix, (0, 0)).attrs(&[required("size", AttrType::Int), int("dtype", 1)]),
    Schema::of(OpKind::PoolKernel, (0, 0)).attrs(&[
        required("channels", AttrType::Int),
        required("kernel_shape", AttrType::Ints),
        int("dtype", 1),
    ]),
    Schema::of(OpKind::BlockDiagonal, (1, MANY)),
    Schema::of(OpKind::Ungroup, (1, 1)).attrs(&[required("group", AttrType::Int)]),
];

fn dtype(call: &Call<'_>) -> Result<DType, OpError> {
    let number = call.int("dtype")?;
    let dtype = i32::try_from(number).ok().and_then(DType::from_onnx).filter(|d| d.is_float() || d.is_int());
    dtype.ok_or_else(|| call.fail(format!("attribute dtype = {number}")))
}

fn positive(call: &Call<'_>, name: &'static str) -> Result<i64, OpError> {
    let value = call.int(name)?;
    if value < 1 {
        return Err(call.fail(format!("attribute {name} = {value}")));
    }
    Ok(value)
}

fn kernel_shape<'a>(call: &Call<'a>) -> Result<&'a [i64], OpError> {
    let kernel = call.ints("kernel_shape")?;
    if kernel.iter().any(|&k| k < 1) {
        return Err(call.fail(format!("attribute kernel_shape = {kernel:?}")));
    }
    Ok(kernel)
}

fn known(sizes: impl IntoIterator<Item = i64>) -> Vec<Dim> {
    sizes.into_iter().map(Dim::Known).collect()
}

/// Types of the outputs.
pub(super) fn infer(call: &Call<'_>) -> Inferred {
    match call.kind {
        OpKind::IdentityKernel => {
            let (channels, group) = (positive(call, "channels")?, positive(call, "group")?);
            if channels % group != 0 {
                return Err(call.fail(format!("{group} groups do not divide {channels} channels")));
            }
            let shape = [channels, channels / group].into_iter().chain(kernel_shape(call)?.iter().copied());
            one(call, dtype(call)?, known(shape))
        }
        OpKind::IdentityMatrix => {
            let size = positive(call, "size")?;
            one(call, dtype(call)?, known([size, size]))
        }
        OpKind::PoolKernel => {
            let shape = [positive(call, "channels")?, 1].into_iter().chain(kernel_shape(call)?.iter().copied());
            one(call, dtype(call)?, known(shape))
        }
        OpKind::Enlarge => infer_enlarge(call),
        OpKind::BlockDiagonal => infer_block_diagonal(call),
        OpKind::Ungroup => {
            let (w, group) = (call.ty(0)?, positive(call, "group")?);
            let [outputs, inputs, ..] = &*w.shape else { return Err(call.fail("the kernel has fewer than 2 axes")) };
            if outputs.known().is_some_and(|n| n % group != 0) {
                return Err(call.fail(format!("{group} groups do not divide {outputs} channels")));
            }
            let mut shape = w.shape.to_vec();
            shape[1] = inputs.mul(&Dim::Known(group));
            one(call, w.dtype, shape)
        }
        _ => Err(call.misrouted()),
    }
}

/// The trailing axes grow to the sizes stated, by an even difference each.
fn infer_enlarge(call: &Call<'_>) -> Inferred {
    let (w, kernel) = (call.ty(0)?, kernel_shape(call)?);
    let Some(lead) = w.rank().checked_sub(kernel.len()) else {
        return Err(call.fail(format!("attribute kernel_shape = {kernel:?}")));
    };
    for (have, &want) in w.shape[lead..].iter().zip(kernel) {
        if have.known().is_some_and(|have| have > want || want.abs_diff(have) % 2 != 0) {
            return Err(call.fail(format!("{have} cannot grow to {want} evenly on both sides")));
        }
    }
    one(call, w.dtype, w.shape[..lead].iter().cloned().chain(known(kernel.iter().copied())).collect())
}

/// `[a_i, b_i, …]` to `[sum a_i, sum b_i, …]`.
fn infer_block_diagonal(call: &Call<'_>) -> Inferred {
    let first = call.ty(0)?;
    same_dtype(call, first.dtype, 1..call.inputs.len())?;
    let mut shape = first.shape.to_vec();
    for slot in 0..call.inputs.len() {
        let ty = call.ty(slot)?;
        if ty.rank() < 2 || ty.rank() != shape.len() {
            return Err(call.fail(format!("input {slot} is no matrix, or its rank differs")));
        }
        for (i, (sum, dim)) in shape.iter_mut().zip(ty.shape.iter()).enumerate() {
            match i {
                0 | 1 if slot > 0 => *sum = sum.add(dim),
                0 | 1 => {}
                _ if agree(sum, dim).is_none() => {
                    return Err(call.fail(format!("dimensions {sum} and {dim} of axis {i} differ")));
                }
                _ => {}
            }
        }
    }
    one(call, first.dtype, shape)
}

/// Constants are made once, not at run time.
pub(super) fn work(_: &WorkCall<'_>) -> Work {
    Work::view()
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Evaluated<E> {
    let shape = output_shapes(call, 1, |_| false, infer)?.remove(0);
    let count = shape.iter().product();
    let zero = E::constant(0.0);
    let data = match call.kind {
        OpKind::PoolKernel => {
            let area: usize = shape[2..].iter().product();
            vec![E::constant(1.0).div(&E::constant(area as f64))?; count]
        }
        OpKind::IdentityMatrix => {
            let mut data = vec![zero; count];
            (0..shape[0]).for_each(|i| data[i * shape[0] + i] = E::constant(1.0));
            data
        }
        OpKind::IdentityKernel => {
            let mut data = vec![zero; count];
            let strides = strides(&shape);
            let centre: usize = shape.iter().zip(&strides).skip(2).map(|(&k, &stride)| (k - 1) / 2 * stride).sum();
            for channel in 0..shape[0] {
                data[channel * strides[0] + channel % shape[1] * strides[1] + centre] = E::constant(1.0);
            }
            data
        }
        OpKind::Enlarge => enlarge(call.input(0)?, &shape).apply(&call.input(0)?.data, &zero),
        OpKind::Ungroup => ungroup(call.input(0)?, &shape).apply(&call.input(0)?.data, &zero),
        _ => block_diagonal(call, &shape)?,
    };
    Ok(vec![Array { shape, data }])
}

fn enlarge<E: Element>(w: &Array<E>, shape: &[usize]) -> AxisMap {
    let strides = strides(&w.shape);
    let mut map = AxisMap::strided(shape.iter().map(|_| (0, 0)));
    for (axis, (&from, &to)) in w.shape.iter().zip(shape).enumerate() {
        let margin = (to - from) / 2;
        map.set_axis(axis, strides[axis], (0..to).map(|i| i.checked_sub(margin).filter(|&i| i < from)));
    }
    map
}

/// Each group's inputs stand at its own place among all inputs; rows of the table are (group, output in it, input).
fn ungroup<E: Element>(w: &Array<E>, shape: &[usize]) -> AxisMap {
    let (per_group, inner) = (w.shape[1], shape[2..].iter().product::<usize>());
    let groups = shape[1].checked_div(per_group).unwrap_or(1).max(1);
    let outputs_per_group = (shape[0] / groups).max(1);
    let place = |row: usize| {
        let (output, input) = (row / shape[1], row % shape[1]);
        let own = output / outputs_per_group == input / per_group;
        if own { (output * per_group + input % per_group) * inner } else { FILL }
    };
    AxisMap::new(vec![(0..shape[0] * shape[1]).map(place).collect(), (0..inner).collect()])
}

fn block_diagonal<E: Element>(call: &EvalCall<'_, E>, shape: &[usize]) -> Result<Vec<E>, super::EvalError> {
    let mut data = vec![E::constant(0.0); shape.iter().product()];
    let inner: usize = shape[2..].iter().product();
    let (mut row, mut column) = (0, 0);
    for slot in 0..call.inputs.len() {
        let block = call.input(slot)?;
        let (rows, columns) = (block.shape[0], block.shape[1]);
        for i in 0..rows {
            let to = ((row + i) * shape[1] + column) * inner;
            let from = i * columns * inner;
            data[to..to + columns * inner].clone_from_slice(&block.data[from..from + columns * inner]);
        }
        (row, column) = (row + rows, column + columns);
    }
    Ok(data)
}
