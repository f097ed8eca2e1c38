//! Gather, GatherElements, GatherND. Indices below 0 count from the end.

use super::*;
use crate::ops::array::strides;
use crate::ops::call::resolve_axis;
use crate::ops::dims::agree;
use crate::ops::support::{one, positions, want_integer};

fn check_known(call: &Call<'_>, dim: &Dim) -> Result<(), crate::ops::OpError> {
    let (Some(indices), Some(len)) = (call.elements(1), dim.known()) else { return Ok(()) };
    match indices.iter().filter_map(Dim::known).find(|&i| i >= len || i < len.saturating_neg()) {
        Some(i) => Err(call.fail(format!("index {i} is out of range for an axis of {len}"))),
        None => Ok(()),
    }
}

/// The data's shape with the axis replaced by the indices' shape.
pub fn infer(call: &Call<'_>) -> Inferred {
    let (data, indices) = (call.ty(0)?, call.ty(1)?);
    want_integer(call, 1)?;
    let axis = call.axis("axis", data.rank())?;
    check_known(call, &data.shape[axis])?;
    let shape = [&data.shape[..axis], &indices.shape, &data.shape[axis + 1..]].concat();
    one(call, data.dtype, shape)
}

pub fn map(movement: &Movement<'_>) -> Option<AxisMap> {
    let axis = movement.axis()?;
    let indices = positions(movement.other(1)?.values.as_ref()?, movement.from[axis])?;
    Some(AxisMap::along(movement.from, axis, indices.into_iter().map(Some)))
}

/// The indices' shape; beside the axis no dimension exceeds the data's.
pub fn infer_elements(call: &Call<'_>) -> Inferred {
    let (data, indices) = (call.ty(0)?, call.ty(1)?);
    want_integer(call, 1)?;
    let axis = call.axis("axis", data.rank())?;
    if indices.rank() != data.rank() {
        return Err(call.fail("data and indices have different ranks"));
    }
    for (i, (have, want)) in data.shape.iter().zip(indices.shape.iter()).enumerate() {
        if let (Some(have), Some(want)) = (have.known(), want.known())
            && i != axis
            && want > have
        {
            return Err(call.fail(format!("the indices reach {want} on axis {i} of {have}")));
        }
    }
    check_known(call, &data.shape[axis])?;
    one(call, data.dtype, indices.shape.to_vec())
}

pub fn map_elements(movement: &Movement<'_>) -> Option<AxisMap> {
    let axis = movement.axis()?;
    let indices = positions(movement.other(1)?.values.as_ref()?, movement.from[axis])?;
    let (own, strides) = (strides(movement.to), strides(movement.from));
    let position = |(flat, &index): (usize, &usize)| {
        let coordinate = |i: usize| flat / own[i] % movement.to[i];
        (0..own.len()).map(|i| if i == axis { index } else { coordinate(i) } * strides[i]).sum()
    };
    Some(AxisMap::new(vec![indices.iter().enumerate().map(position).collect()]))
}

/// `indices [B…, I…, k]` into `data [B…, D…]`: the shape `B… I…` and then what k indices leave of `D…`.
pub fn infer_nd(call: &Call<'_>) -> Inferred {
    let (data, indices) = (call.ty(0)?, call.ty(1)?);
    want_integer(call, 1)?;
    let batch = call.int("batch_dims")?;
    let Some(batch) = usize::try_from(batch).ok().filter(|&b| b < data.rank().min(indices.rank())) else {
        return Err(call.fail(format!("batch_dims {batch} does not fit the ranks")));
    };
    for (have, want) in data.shape.iter().zip(indices.shape.iter()).take(batch) {
        if agree(have, want).is_none() {
            return Err(call.fail(format!("batch dimensions {have} and {want} differ")));
        }
    }
    let (lead, last) = (&indices.shape[..indices.rank() - 1], &indices.shape[indices.rank() - 1]);
    let Some(depth) = last.known() else { return call.unknown() };
    let Some(rest) = usize::try_from(depth).ok().and_then(|k| data.shape.get(batch.checked_add(k)?..)) else {
        return Err(call.fail(format!("{depth} indices for data of rank {} with {batch} batch axes", data.rank())));
    };
    one(call, data.dtype, [lead, rest].concat())
}

pub fn map_nd(movement: &Movement<'_>) -> Option<AxisMap> {
    let batch = usize::try_from(movement.op.int("batch_dims")?).ok()?;
    let indices = movement.other(1)?;
    let (&depth, lead) = indices.shape.split_last()?;
    let strides = strides(movement.from);
    let inner: usize = movement.from[batch + depth..].iter().product();
    let per_batch: usize = lead[batch..].iter().product();
    let batch_stride: usize = movement.from[batch..].iter().product();
    let values = indices.values.as_ref()?;
    let mut starts = Vec::with_capacity(lead.iter().product());
    for row in 0..lead.iter().product() {
        let mut start = row / per_batch.max(1) * batch_stride;
        for k in 0..depth {
            let index = resolve_axis(values[row * depth + k], movement.from[batch + k])?;
            start += index * strides[batch + k];
        }
        starts.push(start);
    }
    Some(AxisMap::new(vec![starts, (0..inner).collect()]))
}
