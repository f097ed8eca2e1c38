//! Convolutions as engines deploy them: the weight laid out once for the machine, the activation computed while the
//! result is still in cache. libtorch has these as oneDNN operators outside its Rust bindings; the
//! calls are in `onednn.cpp`.
#![allow(unsafe_code, reason = "calls of C++ have no safe interface")]

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use tch::Tensor;
use torch_sys::C_tensor;

use super::kernels::RunError;

/// What a convolution does to its result, in oneDNN's names.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Activation {
    /// oneDNN's name; `none` for none.
    pub name: &'static CStr,
    /// Its parameters.
    pub scalars: Vec<f64>,
    /// Its variant; empty for none.
    pub algorithm: &'static CStr,
}

impl Activation {
    /// The result as it is.
    pub const NONE: Activation = Activation { name: c"none", scalars: Vec::new(), algorithm: c"" };
}

/// A convolution's sizes; each list has an entry for each spatial dimension.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    /// Zeros on either side.
    pub padding: Vec<i64>,
    /// Steps.
    pub stride: Vec<i64>,
    /// Distances between the kernel's elements.
    pub dilation: Vec<i64>,
    /// Groups of channels.
    pub groups: i64,
}

#[repr(C)]
struct RawConvolution {
    padding: *const i64,
    stride: *const i64,
    dilation: *const i64,
    spatial: usize,
    groups: i64,
    activation: *const c_char,
    scalars: *const f64,
    scalar_count: usize,
    algorithm: *const c_char,
}

unsafe extern "C" {
    fn graphopt_onednn_is_available() -> c_int;
    fn graphopt_onednn_pack(
        weight: *const C_tensor,
        convolution: *const RawConvolution,
        shape: *const i64,
        rank: usize,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn graphopt_onednn_convolve(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        convolution: *const RawConvolution,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// Whether this libtorch has the operators.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    // SAFETY: takes nothing and only asks libtorch's table of operators, which is complete once the library is loaded.
    *AVAILABLE.get_or_init(|| unsafe { graphopt_onednn_is_available() != 0 })
}

fn raw(geometry: &Geometry, activation: &Activation) -> RawConvolution {
    RawConvolution {
        padding: geometry.padding.as_ptr(),
        stride: geometry.stride.as_ptr(),
        dilation: geometry.dilation.as_ptr(),
        spatial: geometry.padding.len(),
        groups: geometry.groups,
        activation: activation.name.as_ptr(),
        scalars: activation.scalars.as_ptr(),
        scalar_count: activation.scalars.len(),
        algorithm: activation.algorithm.as_ptr(),
    }
}

/// Lays out a weight `[O, C / groups, …]` for inputs of `shape` `[N, C, …]`.
///
/// # Errors
/// What libtorch says.
pub(super) fn pack(weight: &Tensor, geometry: &Geometry, shape: &[i64]) -> Result<Tensor, RunError> {
    let mut out = std::ptr::null_mut();
    let convolution = raw(geometry, &Activation::NONE);
    // SAFETY: every pointer is valid during the call, which copies what it keeps; lists have the lengths given.
    let message = unsafe { graphopt_onednn_pack(weight.as_ptr(), &convolution, shape.as_ptr(), shape.len(), &mut out) };
    taken(message, out)
}

/// `activation(convolution(x, weight) + bias)`; `weight` as [`pack`] gives it.
///
/// # Errors
/// What libtorch says.
pub(super) fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Geometry,
    activation: &Activation,
) -> Result<Tensor, RunError> {
    let mut out = std::ptr::null_mut();
    let convolution = raw(geometry, activation);
    let bias = bias.map_or(std::ptr::null(), Tensor::as_ptr);
    // SAFETY: as in `pack`; null stands for a bias left out.
    let message = unsafe { graphopt_onednn_convolve(x.as_ptr(), weight.as_ptr(), bias, &convolution, &mut out) };
    taken(message, out)
}

/// The result of a call.
fn taken(message: *mut c_char, out: *mut C_tensor) -> Result<Tensor, RunError> {
    if message.is_null() {
        // SAFETY: without a message, `out` is a new tensor that nobody else owns.
        return Ok(unsafe { Tensor::from_ptr(out) });
    }
    // SAFETY: a message is a C string from strdup, ours to free, which is not used after.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        libc::free(message.cast());
        text
    };
    Err(RunError::Torch(text.lines().next().unwrap_or_default().trim().to_owned()))
}
