//! Conv and ConvTranspose of any number of spatial dimensions.

use tch::{Kind, Tensor};

use super::{Call, RunError};
use crate::graph::Op;

type Output = Result<Tensor, RunError>;

/// Sizes along each spatial dimension.
pub(in crate::runtime) struct Window {
    /// Kernel sizes.
    pub kernel: Vec<i64>,
    /// Steps between windows.
    pub strides: Vec<i64>,
    /// Distances between a kernel's elements.
    pub dilations: Vec<i64>,
    /// Padding before each dimension; may be negative.
    pub before: Vec<i64>,
    /// Padding after each dimension; may be negative.
    pub after: Vec<i64>,
}

impl Window {
    /// From `strides`, `dilations`, `pads` and `auto_pad`, for an input of this spatial shape.
    pub(super) fn of(call: &Call<'_>, kernel: Vec<i64>, spatial: &[i64]) -> Result<Window, RunError> {
        Window::of_op(call.op, kernel, spatial).map_err(|what| call.invalid(what))
    }

    /// Likewise for an operator that is not being run; the error says what does not fit.
    pub fn of_op(op: &Op, kernel: Vec<i64>, spatial: &[i64]) -> Result<Window, String> {
        let n = kernel.len();
        let list = |name: &str, len: usize, absent: i64| {
            let given = op.ints(name).unwrap_or_default();
            match given.len() {
                0 => Ok(vec![absent; len]),
                k if k == len => Ok(given.to_vec()),
                k => Err(format!("{name} has {k} entries, not {len}")),
            }
        };
        if spatial.len() != n {
            return Err(format!("kernel {kernel:?} on spatial dimensions {spatial:?}"));
        }
        let (strides, dilations) = (list("strides", n, 1)?, list("dilations", n, 1)?);
        if strides.iter().chain(&dilations).any(|&v| v < 1) {
            return Err(format!("strides {strides:?} and dilations {dilations:?} are not all positive"));
        }
        let pads = list("pads", 2 * n, 0)?;
        let (before, after) = (pads[..n].to_vec(), pads[n..].to_vec());
        let mut window = Window { kernel, strides, dilations, before, after };
        let auto = op.text("auto_pad").unwrap_or_default();
        if auto == "SAME_UPPER" || auto == "SAME_LOWER" {
            for (i, &size) in spatial.iter().enumerate() {
                let stride = window.strides[i];
                let out = size.div_euclid(stride) + i64::from(size % stride != 0);
                let total = ((out - 1) * stride + window.extent(i) - size).max(0);
                let (small, large) = (total / 2, total - total / 2);
                (window.before[i], window.after[i]) =
                    if auto == "SAME_UPPER" { (small, large) } else { (large, small) };
            }
        }
        Ok(window)
    }

    /// Elements that the dilated kernel spans along a dimension.
    pub fn extent(&self, dim: usize) -> i64 {
        (self.kernel[dim] - 1) * self.dilations[dim] + 1
    }

    /// The padding that both sides share and libtorch can apply itself (never negative).
    pub fn common(&self) -> Vec<i64> {
        self.before.iter().zip(&self.after).map(|(&b, &a)| b.min(a).max(0)).collect()
    }
}

/// Pads (or, where negative, crops) the trailing dimensions with a value.
pub(in crate::runtime) fn pad_spatial(x: &Tensor, before: &[i64], after: &[i64], value: f64) -> Output {
    if before.iter().chain(after).all(|&p| p == 0) {
        return Ok(x.shallow_clone());
    }
    // libtorch lists the last dimension first.
    let list: Vec<i64> = before.iter().zip(after).rev().flat_map(|(&b, &a)| [b, a]).collect();
    Ok(x.f_pad(&list[..], "constant", value)?)
}

/// Convolution: x `[N, C, …]`, w `[O, C / group, …]`, optional bias `[O]`.
pub(super) fn convolution(call: &Call<'_>) -> Output {
    let (x, w, bias) = (call.input(0)?, call.input(1)?, call.optional(2));
    let (shape, kernel) = (x.size(), w.size());
    if shape.len() < 3 || kernel.len() != shape.len() {
        return Err(call.invalid(format!("input {shape:?}, kernel {kernel:?}")));
    }
    let window = Window::of(call, kernel[2..].to_vec(), &shape[2..])?;
    let group = call.op.int("group").unwrap_or(1);
    let common = window.common();
    let rest = |pads: &[i64]| -> Vec<i64> { pads.iter().zip(&common).map(|(p, c)| p - c).collect() };
    let x = pad_spatial(x, &rest(&window.before), &rest(&window.after), 0.0)?;
    if x.kind() == Kind::Double && group >= 8 && kernel[1] == 1 && kernel[0] == group && shape.len() == 4 {
        return depthwise(&pad_spatial(&x, &common, &common, 0.0)?, w, bias, &window);
    }
    let none = vec![0; common.len()];
    Ok(x.f_convolution(w, bias, &window.strides[..], &common[..], &window.dilations[..], false, &none[..], group)?)
}

/// Depthwise convolution in f64, for which libtorch on a CPU only has one matrix product for each channel: a sum over the
/// kernel's positions of shifted inputs. `x` is padded already.
fn depthwise(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, window: &Window) -> Output {
    let shape = x.size();
    let out: Vec<i64> = (0..2).map(|i| (shape[2 + i] - window.extent(i)).div_euclid(window.strides[i]) + 1).collect();
    let mut sum = match bias {
        Some(bias) => bias
            .f_reshape([1, -1, 1, 1])?
            .f_expand([shape[0], shape[1], out[0].max(0), out[1].max(0)], false)?
            .f_contiguous()?,
        None => Tensor::f_zeros([shape[0], shape[1], out[0].max(0), out[1].max(0)], (x.kind(), x.device()))?,
    };
    for i in 0..window.kernel[0] {
        for j in 0..window.kernel[1] {
            let mut view = x.shallow_clone();
            for (axis, at) in [i, j].into_iter().enumerate() {
                let start = at * window.dilations[axis];
                let end = start + (out[axis] - 1) * window.strides[axis] + 1;
                view = view.f_slice(2 + axis as i64, start, end, window.strides[axis])?;
            }
            let tap = w.f_slice(2, i, i + 1, 1)?.f_slice(3, j, j + 1, 1)?.f_reshape([1, -1, 1, 1])?;
            sum = sum.f_addcmul(&view, &tap)?;
        }
    }
    Ok(sum)
}

/// Transposed convolution: x `[N, C, …]`, w `[C, O / group, …]`, optional bias `[O]`.
pub(super) fn transposed(call: &Call<'_>) -> Output {
    let (x, w, bias) = (call.input(0)?, call.input(1)?, call.optional(2));
    let (shape, kernel) = (x.size(), w.size());
    if shape.len() < 3 || kernel.len() != shape.len() {
        return Err(call.invalid(format!("input {shape:?}, kernel {kernel:?}")));
    }
    let spatial = &shape[2..];
    let mut window = Window::of(call, kernel[2..].to_vec(), spatial)?;
    let group = call.op.int("group").unwrap_or(1);
    let n = spatial.len();
    let extra = match call.ints("output_padding") {
        [] => vec![0; n],
        given if given.len() == n => given.to_vec(),
        given => return Err(call.invalid(format!("output_padding {given:?} for {n} spatial dimensions"))),
    };
    let auto = call.text("auto_pad");
    if auto.starts_with("SAME") {
        // The output is stride times the input.
        for i in 0..n {
            let stride = window.strides[i];
            let total = stride * (spatial[i] - 1) + extra[i] + window.extent(i) - stride * spatial[i];
            let (small, large) = (total.div_euclid(2), total - total.div_euclid(2));
            (window.before[i], window.after[i]) = if auto == "SAME_UPPER" { (small, large) } else { (large, small) };
        }
    }
    let fits = (0..n).all(|i| {
        window.before[i] == window.after[i]
            && window.before[i] >= 0
            && extra[i] < window.strides[i].max(window.dilations[i])
    });
    let (strides, dilations) = (&window.strides[..], &window.dilations[..]);
    if fits {
        return Ok(x.f_convolution(w, bias, strides, &window.before[..], dilations, true, &extra[..], group)?);
    }
    // The whole result without padding, then crop (or extend by zeros, which nothing reaches) and add the bias.
    let none = vec![0; n];
    let whole = x.f_convolution(w, None::<&Tensor>, strides, &none[..], dilations, true, &none[..], group)?;
    let before: Vec<i64> = window.before.iter().map(|p| -p).collect();
    let after: Vec<i64> = window.after.iter().zip(&extra).map(|(p, e)| e - p).collect();
    let cut = pad_spatial(&whole, &before, &after, 0.0)?;
    match bias {
        Some(bias) => {
            let mut broadcast = vec![1; shape.len()];
            broadcast[1] = -1;
            Ok(cut.f_add(&bias.f_reshape(&broadcast[..])?)?)
        }
        None => Ok(cut),
    }
}
