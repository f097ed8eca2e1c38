//! How shapes combine when operands are broadcast against one another.

use crate::graph::Dim;

use super::{Array, Element, EvalError, array};

/// The dimension that two dimensions broadcast to; `None` if no run could accept them.
///
/// Sizes are at least 1, so of two different expressions that fit either is 1 or both are equal: the result is their
/// maximum. A number other than 1 decides by itself.
pub fn broadcast_dim(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (Dim::Known(1), other) | (other, Dim::Known(1)) => Some(other.clone()),
        (Dim::Known(_), Dim::Known(_)) => None,
        (Dim::Known(n), _) | (_, Dim::Known(n)) => Some(Dim::Known(*n)),
        (Dim::Symbolic(_), Dim::Symbolic(_)) => Some(a.maximum(b)),
    }
}

/// The shape that two shapes broadcast to, aligned at their last axes; `None` if no run could accept them.
pub fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut out = long.to_vec();
    for (slot, dim) in out[long.len() - short.len()..].iter_mut().zip(short) {
        *slot = broadcast_dim(slot, dim)?;
    }
    Some(out)
}

/// The shape that two known shapes broadcast to; `None` if they do not.
pub fn broadcast_known(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut out = long.to_vec();
    for (slot, &dim) in out[long.len() - short.len()..].iter_mut().zip(short) {
        *slot = match (*slot, dim) {
            (n, m) if n == m => n,
            (1, n) | (n, 1) => n,
            _ => return None,
        };
    }
    Some(out)
}

/// For each element of `shape` in row-major order, the position of the element of `from` that it is broadcast from.
/// `from` must broadcast to `shape`.
pub fn broadcast_positions(from: &[usize], shape: &[usize]) -> Vec<usize> {
    let count = shape.iter().product();
    let offset = shape.len() - from.len();
    let own = array::strides(from);
    let step = |axis: usize| if axis < offset || from[axis - offset] == 1 { 0 } else { own[axis - offset] };
    let steps: Vec<usize> = (0..shape.len()).map(step).collect();
    let mut out = Vec::with_capacity(count);
    let mut index = vec![0usize; shape.len()];
    let mut position = 0usize;
    for _ in 0..count {
        out.push(position);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            position += steps[axis];
            if index[axis] < shape[axis] {
                break;
            }
            position -= steps[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    out
}

impl<E: Element> Array<E> {
    /// The array broadcast to a shape.
    ///
    /// # Errors
    /// [`EvalError::Undefined`] if it does not broadcast to it.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Array<E>, EvalError> {
        if self.shape == shape {
            return Ok(self.clone());
        }
        if broadcast_known(&self.shape, shape).as_deref() != Some(shape) {
            return Err(EvalError::Undefined { what: format!("broadcasting {:?} to {shape:?}", self.shape) });
        }
        array::checked_count(shape)?;
        let data = broadcast_positions(&self.shape, shape).into_iter().map(|p| self.data[p].clone()).collect();
        Ok(Array { shape: shape.to_vec(), data })
    }
}
