//! Expand and Tile.

use super::*;
use crate::ops::array::strides;
use crate::ops::broadcast::broadcast;
use crate::ops::support::{list, one, want_integer};

/// Expand: the input's shape broadcast against the target.
pub fn infer_expand(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    want_integer(call, 1)?;
    let Some(target) = list(call, "shape", 1) else { return call.unknown() };
    if let Some(bad) = target.iter().filter_map(Dim::known).find(|&n| n < 0) {
        return Err(call.fail(format!("the target has the dimension {bad}")));
    }
    let shape = broadcast(&x.shape, &target);
    one(call, x.dtype, shape.ok_or_else(|| call.fail(format!("the input does not broadcast to {target:?}")))?)
}

pub fn map_expand(movement: &Movement<'_>) -> Option<AxisMap> {
    let strides = strides(movement.from);
    let new = movement.to.len().checked_sub(movement.from.len())?;
    let stride = |i: usize| match i.checked_sub(new) {
        Some(k) if movement.from[k] != 1 => strides[k],
        _ => 0,
    };
    Some(AxisMap::strided(movement.to.iter().enumerate().map(|(i, &n)| (n, stride(i)))))
}

/// Tile: every dimension times its number of repeats.
pub fn infer_tile(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    want_integer(call, 1)?;
    let Some(repeats) = list(call, "repeats", 1) else { return call.unknown() };
    if repeats.len() != x.rank() || repeats.iter().any(|r| r.known().is_some_and(|r| r < 0)) {
        return Err(call.fail(format!("repeats {repeats:?} do not fit rank {}", x.rank())));
    }
    one(call, x.dtype, x.shape.iter().zip(&repeats).map(|(d, r)| d.mul(r)).collect())
}

pub fn map_tile(movement: &Movement<'_>) -> Option<AxisMap> {
    if movement.to.contains(&0) {
        return Some(AxisMap::strided([(0, 0)]));
    }
    let repeats = movement.list("repeats", 1)?;
    let strides = strides(movement.from);
    let mut axes = Vec::with_capacity(2 * repeats.len());
    for (i, (&n, &repeats)) in movement.from.iter().zip(&repeats).enumerate() {
        axes.extend([(usize::try_from(repeats).ok()?, 0), (n, strides[i])]);
    }
    Some(AxisMap::strided(axes))
}
