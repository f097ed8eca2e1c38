//! Reshape, Flatten, Squeeze, Unsqueeze: the elements stay where they are.

use super::*;
use crate::graph::Facts;
use crate::ops::OpError;
use crate::ops::support::{axes, list, number_list, one, want_integer};

/// Reshape: `-1` is what is left over, `0` (unless `allowzero`) the input's dimension in this place.
pub fn infer(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    want_integer(call, 1)?;
    match list(call, "shape", 1) {
        Some(target) => one(call, x.dtype, reshaped(call, &x.shape, target)?),
        None => call.unknown(),
    }
}

fn reshaped(call: &Call<'_>, from: &[Dim], mut target: Vec<Dim>) -> Result<Vec<Dim>, OpError> {
    let allow_zero = call.op.int("allowzero").unwrap_or(0) != 0;
    let mut open = None;
    for (i, dim) in target.iter_mut().enumerate() {
        match *dim {
            Dim::Known(0) if !allow_zero => {
                let copied = from.get(i).cloned();
                *dim = copied.ok_or_else(|| call.fail(format!("0 in place {i} of the target, beyond the input")))?;
            }
            Dim::Known(-1) if open.is_none() => open = Some(i),
            Dim::Known(n) if n < 0 => return Err(call.fail(format!("the target has {n} in place {i}"))),
            _ => {}
        }
    }
    let misfit = |target: &[Dim]| call.fail(format!("the elements of {from:?} do not fill {target:?}"));
    // Equal dimensions cancel first, so that expressions of several terms need no division.
    let mut left: Vec<&Dim> = from.iter().collect();
    let mut right: Vec<&Dim> = Vec::new();
    for (i, dim) in target.iter().enumerate().filter(|(i, _)| Some(*i) != open) {
        match left.iter().position(|have| *have == dim && *dim != Dim::Known(0)) {
            Some(at) => drop(left.remove(at)),
            None => right.push(&target[i]),
        }
    }
    let count = |dims: &[&Dim]| dims.iter().fold(Dim::Known(1), |n, d| n.mul(d));
    let (have, want) = (count(&left), count(&right));
    match open {
        None => match have.sub(&want) {
            Dim::Known(0) | Dim::Symbolic(_) => Ok(target),
            Dim::Known(_) => Err(misfit(&target)),
        },
        Some(open) => {
            let exact = have.exact_div(&want).filter(|_| want != Dim::Known(0));
            let quotient = match (exact, have.known(), want.known()) {
                (Some(quotient), ..) => Some(quotient),
                (None, Some(_), Some(_)) => None,
                (None, ..) => have.floor_div(&want),
            };
            target[open] = quotient.ok_or_else(|| misfit(&target))?;
            Ok(target)
        }
    }
}

/// Flatten: a matrix of the axes before `axis` and those from it on.
pub fn infer_flatten(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    let stated = call.int("axis")?;
    let rank = x.rank() as i64;
    let axis = if stated < 0 { stated.saturating_add(rank) } else { stated };
    if axis < 0 || axis > rank {
        return Err(call.fail(format!("axis {stated} is out of range for rank {rank}")));
    }
    let (before, after) = x.shape.split_at(axis as usize);
    one(call, x.dtype, vec![dims::product(before), dims::product(after)])
}

/// Squeeze: without the named axes, all of size 1; without any named, without all axes of size 1.
pub fn infer_squeeze(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    want_integer(call, 1)?;
    let Some(named) = number_list(call, "axes", 1) else { return call.unknown() };
    let gone = if !call.has(1) && named.is_empty() {
        let Some(sizes) = dims::sizes(&x.shape) else { return call.unknown() };
        (0..sizes.len()).filter(|&i| sizes[i] == 1).collect()
    } else {
        axes(call, &named, x.rank())?
    };
    if let Some(&axis) = gone.iter().find(|&&axis| x.shape[axis].known().is_some_and(|n| n != 1)) {
        return Err(call.fail(format!("axis {axis} has the size {}, not 1", x.shape[axis])));
    }
    let kept = x.shape.iter().enumerate().filter(|(i, _)| gone.binary_search(i).is_err());
    one(call, x.dtype, kept.map(|(_, dim)| dim.clone()).collect())
}

/// Unsqueeze: with axes of size 1 at the named places of the output.
pub fn infer_unsqueeze(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let x = call.ty(0)?;
    want_integer(call, 1)?;
    let Some(named) = number_list(call, "axes", 1) else { return call.unknown() };
    let rank = x.rank() + named.len();
    let new = axes(call, &named, rank)?;
    let mut old = x.shape.iter().cloned();
    let dim = |i| if new.binary_search(&i).is_ok() { Dim::Known(1) } else { old.next().unwrap_or(Dim::Known(1)) };
    one(call, x.dtype, (0..rank).map(dim).collect())
}
