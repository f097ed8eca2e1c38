//! Results whose elements are copies of elements, or zero.

use super::super::recipe::{Applied, Recipe, SECOND, ZERO};
use super::super::tensor::{Joints, MAX_RANK, Type};

/// A copy whose source is told by the place in the result.
fn copies(ty: &Type, source: impl Fn([usize; MAX_RANK]) -> Option<usize>) -> Recipe {
    Recipe::Copy(ty.places().map(|at| source(at).map_or(ZERO, |from| from as u16)).collect())
}

/// A kernel with zeros around it.
pub fn enlarge(a: &Type) -> Option<(Type, Recipe)> {
    let small = a.rank == 4 && a.dims[2] <= 3 && a.dims[3] <= 3 && (a.dims[2], a.dims[3]) != (3, 3);
    if !small {
        return None;
    }
    let mut ty = *a;
    let mut margins = [0; MAX_RANK];
    for (axis, margin) in margins.iter_mut().enumerate().skip(2) {
        *margin = usize::from((3 - a.dims[axis]) / 2);
        (ty.dims[axis], ty.joints[axis]) = (3, Joints::NONE);
    }
    Some((ty, copies(&ty, |at| shifted(a, at, margins))))
}

/// The element at a place counted from before the first, if there is one.
fn shifted(a: &Type, at: [usize; MAX_RANK], before: [usize; MAX_RANK]) -> Option<usize> {
    let mut place = at;
    for axis in 0..MAX_RANK {
        place[axis] = at[axis].checked_sub(before[axis]).filter(|&i| i < usize::from(a.dims[axis]))?;
    }
    Some(a.index(place))
}

/// A zero before the first element of the last axis.
pub fn pad(a: &Type) -> Option<(Type, Recipe)> {
    let last = usize::from(a.rank).checked_sub(1)?;
    let (mut ty, mut before) = (*a, [0; MAX_RANK]);
    ty.dims[last] += 1;
    ty.joints[last] = Joints::NONE;
    before[last] = 1;
    Some((ty, copies(&ty, |at| shifted(a, at, before))))
}

/// The first half along an axis of even size.
pub fn slice(a: &Type, axis: usize) -> Option<(Type, Recipe)> {
    let mut ty = *a;
    (ty.dims[axis], ty.joints[axis]) = (a.dims[axis] / 2, Joints::NONE);
    a.dims[axis].is_multiple_of(2).then(|| (ty, copies(&ty, |at| Some(a.index(at)))))
}

/// The axes in another order.
pub fn permute(a: &Type, axes: &[u8]) -> (Type, Recipe) {
    let mut ty = *a;
    for (to, &from) in axes.iter().enumerate() {
        (ty.dims[to], ty.joints[to]) = (a.dims[usize::from(from)], a.joints[usize::from(from)]);
    }
    let source = |at: [usize; MAX_RANK]| {
        let mut place = [0; MAX_RANK];
        axes.iter().enumerate().for_each(|(to, &from)| place[usize::from(from)] = at[to]);
        Some(a.index(place))
    };
    (ty, copies(&ty, source))
}

/// The last axis as two, of which the first has two elements.
pub fn heads(a: &Type) -> Option<(Type, Recipe)> {
    let last = usize::from(a.rank).checked_sub(1).filter(|last| last + 1 < MAX_RANK)?;
    if a.dims[last] < 4 || !a.dims[last].is_multiple_of(2) {
        return None;
    }
    let mut ty = *a;
    ty.rank += 1;
    (ty.dims[last], ty.joints[last]) = (2, Joints::NONE);
    (ty.dims[last + 1], ty.joints[last + 1]) = (a.dims[last] / 2, Joints::NONE);
    Some((ty, copies(&ty, |at| Some(ty.index(at)))))
}

/// Two tensors one behind the other.
pub fn concat(a: &Type, b: &Type, rank: u8, axis: usize) -> Option<(Type, Recipe)> {
    if a.rank != rank || b.rank != rank || (0..MAX_RANK).any(|i| i != axis && a.dims[i] != b.dims[i]) {
        return None;
    }
    let mut ty = a.agreeing_with(b);
    ty.transposed = false;
    ty.dims[axis] = a.dims[axis].checked_add(b.dims[axis])?;
    ty.joints[axis] = a.joints[axis].joined(a.dims[axis], b.joints[axis])?;
    let cut = usize::from(a.dims[axis]);
    let source = |mut at: [usize; MAX_RANK]| {
        Some(match at[axis].checked_sub(cut) {
            None => a.index(at),
            Some(rest) => {
                at[axis] = rest;
                usize::from(SECOND) + b.index(at)
            }
        })
    };
    Some((ty, copies(&ty, source)))
}

/// The two parts on both sides of the last joint.
pub fn split(a: &Type, axis: usize) -> Option<Applied> {
    if axis >= usize::from(a.rank) {
        return None;
    }
    let (at, left, right) = a.joints[axis].cut()?;
    let part = |from: u8, to: u8, joints: Joints| {
        let mut ty = *a;
        ty.transposed = false;
        (ty.dims[axis], ty.joints[axis]) = (to - from, joints);
        let source = |mut place: [usize; MAX_RANK]| {
            place[axis] += usize::from(from);
            Some(a.index(place))
        };
        (ty, copies(&ty, source))
    };
    let (first, second) = (part(0, at, left), part(at, a.dims[axis], right));
    Some(Applied { types: vec![first.0, second.0], recipes: vec![first.1, second.1], relu: false })
}
