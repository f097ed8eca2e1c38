//! Types of values: element type and shape.

use std::fmt;
use std::sync::Arc;

use super::{DType, Dim, Tensor};

/// Element type and shape of a value. Clones share the shape.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, each at least 0; empty for a scalar.
    pub shape: Arc<[Dim]>,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Arc<[Dim]>>) -> TensorType {
        TensorType { dtype, shape: shape.into() }
    }

    /// A type whose dimensions are all numbers.
    pub fn known(dtype: DType, shape: &[i64]) -> TensorType {
        TensorType { dtype, shape: shape.iter().map(|&n| Dim::Known(n)).collect() }
    }

    /// The type of a constant tensor.
    pub fn of(tensor: &Tensor) -> TensorType {
        let dim = |&n: &u64| Dim::Known(i64::try_from(n).unwrap_or(i64::MAX));
        TensorType { dtype: tensor.dtype(), shape: tensor.shape().iter().map(dim).collect() }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The dimensions, if all are numbers.
    pub fn known_shape(&self) -> Option<Vec<i64>> {
        self.shape.iter().map(Dim::known).collect()
    }

    /// Number of elements, as an expression if need be.
    pub fn count(&self) -> Dim {
        self.shape.iter().fold(Dim::Known(1), |n, d| n.mul(d))
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (i, dim) in self.shape.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{dim}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of a value before anything runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Its type; `None` below an operator that is not understood.
    pub ty: Option<TensorType>,
    /// Elements of a small integer or boolean tensor, row-major, one expression each (booleans as 0 and 1).
    pub elements: Option<Arc<[Dim]>>,
}

impl Facts {
    /// Facts that state a type only.
    pub fn typed(ty: TensorType) -> Facts {
        Facts { ty: Some(ty), elements: None }
    }
}
