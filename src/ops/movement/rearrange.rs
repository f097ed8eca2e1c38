//! Transpose, DepthToSpace, SpaceToDepth: strided views.

use super::*;
use crate::ops::OpError;
use crate::ops::array::strides;
use crate::ops::call::resolve_axis;
use crate::ops::support::one;

/// The axes in their new order; an empty `perm` reverses them.
fn order(perm: &[i64], rank: usize) -> Option<Vec<usize>> {
    if perm.is_empty() {
        return Some((0..rank).rev().collect());
    }
    let order = perm.iter().map(|&axis| resolve_axis(axis, rank)).collect::<Option<Vec<_>>>()?;
    let mut seen = order.clone();
    seen.sort_unstable();
    seen.into_iter().eq(0..rank).then_some(order)
}

/// The dimensions in their new order.
pub fn infer_transpose(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    let perm = call.ints("perm")?;
    let order = order(perm, x.rank());
    let order = order.ok_or_else(|| call.fail(format!("perm {perm:?} is no order of {} axes", x.rank())))?;
    one(call, x.dtype, order.into_iter().map(|axis| x.shape[axis].clone()).collect())
}

pub fn map_transpose(movement: &Movement<'_>) -> Option<AxisMap> {
    let order = order(movement.op.ints("perm")?, movement.from.len())?;
    let strides = strides(movement.from);
    Some(AxisMap::strided(order.into_iter().map(|axis| (movement.from[axis], strides[axis]))))
}

fn exact(call: &Call<'_>, dim: &Dim, divisor: i64) -> Result<Dim, OpError> {
    if dim.known().is_some_and(|n| n % divisor != 0) {
        return Err(call.fail(format!("{divisor} does not divide the dimension {dim}")));
    }
    dim.floor_div(&Dim::Known(divisor)).ok_or_else(|| call.fail("attribute blocksize is 0"))
}

/// `[N, C, H, W]` with channels traded for blocks of `blocksize` x `blocksize`.
pub fn infer_blocks(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    let block = call.int("blocksize")?;
    let area = block.checked_mul(block).filter(|_| block > 0);
    let area = area.ok_or_else(|| call.fail(format!("attribute blocksize = {block}")))?;
    let [n, c, h, w] = &*x.shape else { return Err(call.fail("the input should have 4 dimensions")) };
    let side = Dim::Known(block);
    let shape = if call.kind == OpKind::DepthToSpace {
        if !matches!(call.text("mode")?, "DCR" | "CRD") {
            return Err(call.fail(format!("attribute mode = {:?}", call.text("mode")?)));
        }
        vec![n.clone(), exact(call, c, area)?, h.mul(&side), w.mul(&side)]
    } else {
        vec![n.clone(), c.mul(&Dim::Known(area)), exact(call, h, block)?, exact(call, w, block)?]
    };
    one(call, x.dtype, shape)
}

pub fn map_depth_to_space(movement: &Movement<'_>) -> Option<AxisMap> {
    let block = usize::try_from(movement.op.int("blocksize")?).ok()?;
    let (&[n, _, h, w], &[_, channels, ..]) = (movement.from, movement.to) else { return None };
    let strides = strides(movement.from);
    // Input channels are (channel, row in block, column in block), or (row in block, column in block, channel).
    let (channel, row, column) = match movement.op.text("mode") {
        Some("CRD") => (block * block, block, 1),
        _ => (1, block * channels, channels),
    };
    let plane = strides[1];
    Some(AxisMap::strided([
        (n, strides[0]),
        (channels, channel * plane),
        (h, strides[2]),
        (block, row * plane),
        (w, strides[3]),
        (block, column * plane),
    ]))
}

pub fn map_space_to_depth(movement: &Movement<'_>) -> Option<AxisMap> {
    let block = usize::try_from(movement.op.int("blocksize")?).ok()?;
    let (&[n, c, ..], &[_, _, h, w]) = (movement.from, movement.to) else { return None };
    let strides = strides(movement.from);
    Some(AxisMap::strided([
        (n, strides[0]),
        (block, strides[2]),
        (block, strides[3]),
        (c, strides[1]),
        (h, block * strides[2]),
        (w, block * strides[3]),
    ]))
}
