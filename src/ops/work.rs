//! What one application of an operator costs in arithmetic and memory traffic.

use crate::graph::{Dim, TensorType};

/// Arithmetic, memory traffic and kernel launches of one application.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Work {
    /// Floating-point operations (a multiply-add counts as 2; a transcendental function as [`TRANSCENDENTAL`]).
    pub flops: f64,
    /// Bytes read and written, each operand once.
    pub bytes: f64,
    /// Kernels launched on a device; 0 for an operator that only gives another view.
    pub launches: u32,
}

/// Operations that an exponential, logarithm, root or trigonometric function counts as.
pub const TRANSCENDENTAL: f64 = 8.0;

impl Work {
    /// One kernel that reads all inputs and writes all outputs once.
    pub fn streaming(flops: f64, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> Work {
        let read: f64 = inputs.iter().flatten().map(|ty| bytes(ty)).sum();
        let written: f64 = outputs.iter().map(bytes).sum();
        Work { flops, bytes: read + written, launches: 1 }
    }

    /// No arithmetic, no traffic, no kernel: another view of the same memory, or something known beforehand.
    pub fn view() -> Work {
        Work::default()
    }
}

/// A dimension as a number; one that is not a number counts as 1.
pub fn size(dim: &Dim) -> f64 {
    dim.known().map_or(1.0, |n| n.max(0) as f64)
}

/// Number of elements; dimensions that are no numbers count as 1.
pub fn count(ty: &TensorType) -> f64 {
    ty.shape.iter().map(size).product()
}

/// Bytes of a tensor; dimensions that are no numbers count as 1, strings as 16 bytes each.
pub fn bytes(ty: &TensorType) -> f64 {
    let bits = if ty.dtype.bits() == 0 { 128 } else { ty.dtype.bits() };
    count(ty) * f64::from(bits) / 8.0
}
