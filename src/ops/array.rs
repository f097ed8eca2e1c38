//! Dense arrays that the reference semantics compute with.

use super::{Element, EvalError};

/// No evaluation makes an array of more elements than this (2 GiB of f64).
pub const MAX_EVALUATED: usize = 1 << 28;

/// A dense array, row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct Array<E> {
    /// Dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub data: Vec<E>,
}

impl<E> Array<E> {
    /// An array from its parts, after checking that they agree.
    pub fn new(shape: &[usize], data: Vec<E>) -> Result<Array<E>, EvalError> {
        if checked_count(shape)? != data.len() {
            return Err(EvalError::Length { shape: shape.to_vec(), found: data.len() });
        }
        Ok(Array { shape: shape.to_vec(), data })
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// How far apart in `data` neighbours along each axis are.
    pub fn strides(&self) -> Vec<usize> {
        strides(&self.shape)
    }
}

impl<E: Element> Array<E> {
    /// An array with all elements equal.
    pub fn filled(shape: &[usize], value: E) -> Result<Array<E>, EvalError> {
        Ok(Array { shape: shape.to_vec(), data: vec![value; checked_count(shape)?] })
    }

    /// A scalar.
    pub fn scalar(value: E) -> Array<E> {
        Array { shape: Vec::new(), data: vec![value] }
    }

    /// A list of numbers.
    pub fn from_i64s(values: &[i64]) -> Array<E> {
        let data = values.iter().map(|&v| E::constant(v as f64)).collect();
        Array { shape: vec![values.len()], data }
    }

    /// The elements as integers; an error where one is no integer.
    pub fn to_i64s(&self) -> Result<Vec<i64>, EvalError> {
        self.data.iter().map(E::to_integer).collect()
    }

    /// The array with a function applied to each element.
    pub fn map(&self, f: impl FnMut(&E) -> Result<E, EvalError>) -> Result<Array<E>, EvalError> {
        Ok(Array { shape: self.shape.clone(), data: self.data.iter().map(f).collect::<Result<_, _>>()? })
    }
}

/// How far apart in row-major order neighbours along each axis are.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut out = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        out[axis - 1] = out[axis].saturating_mul(shape[axis]);
    }
    out
}

/// Number of elements, if an evaluation may make an array of that many.
pub fn checked_count(shape: &[usize]) -> Result<usize, EvalError> {
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    count.filter(|&n| n <= MAX_EVALUATED).ok_or_else(|| EvalError::TooLarge { shape: shape.to_vec() })
}

/// The array as `outer` blocks of `along` rows of `inner` elements, about an axis: `(outer, along, inner)`.
pub fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}
