//! Pooling over spatial dimensions.

use tch::{Kind, Tensor};

use super::convolution::{Window, pad_spatial};
use super::{Call, Outputs, RunError, is_float};
use crate::graph::OpKind;

type Output = Result<Tensor, RunError>;

/// One-dimensional pooling is two-dimensional pooling of height 1; a window with its input as libtorch pools it.
struct Pooling {
    x: Tensor,
    window: Window,
    ceil: bool,
    /// Output sizes of the spatial dimensions.
    out: Vec<i64>,
    flat: bool,
}

impl Pooling {
    fn of(call: &Call<'_>) -> Result<Pooling, RunError> {
        let x = call.input(0)?;
        let shape = x.size();
        if shape.len() < 3 {
            return Err(call.invalid(format!("input {shape:?} has no spatial dimensions")));
        }
        let mut window = Window::of(call, call.ints("kernel_shape").to_vec(), &shape[2..])?;
        if window.kernel.iter().any(|&k| k < 1) {
            return Err(call.invalid(format!("kernel_shape {:?}", window.kernel)));
        }
        let flat = shape.len() == 3;
        let x = if flat { x.f_unsqueeze(2)? } else { x.shallow_clone() };
        if flat {
            window.kernel.insert(0, 1);
            window.strides.insert(0, 1);
            window.dilations.insert(0, 1);
            window.before.insert(0, 0);
            window.after.insert(0, 0);
        }
        let ceil = call.flag("ceil_mode");
        let spatial = &x.size()[2..];
        let out: Vec<i64> = (0..spatial.len())
            .map(|i| {
                let (before, stride) = (window.before[i], window.strides[i]);
                let span = spatial[i] + before + window.after[i] - window.extent(i);
                if !ceil {
                    return span.div_euclid(stride) + 1;
                }
                let n = -(-span).div_euclid(stride) + 1;
                // A window must not start in the padding at the end.
                if (n - 1) * stride >= spatial[i] + before { n - 1 } else { n }
            })
            .collect();
        if out.iter().any(|&n| n < 0) {
            return Err(call.invalid(format!("a window of {:?} on {spatial:?}", window.kernel)));
        }
        Ok(Pooling { x, window, ceil, out, flat })
    }

    fn spatial(&self) -> Vec<i64> {
        self.x.size()[2..].to_vec()
    }

    /// Whether libtorch's own padding does it: the same on both sides, at most half the kernel.
    fn direct(&self) -> bool {
        let w = &self.window;
        (0..w.kernel.len()).all(|i| w.before[i] == w.after[i] && w.before[i] >= 0 && 2 * w.before[i] <= w.kernel[i])
    }

    /// Padding after each dimension that makes the last window end with the input.
    fn exact_after(&self) -> Vec<i64> {
        let (w, spatial) = (&self.window, self.spatial());
        let end = |i: usize| (self.out[i] - 1) * w.strides[i] + w.extent(i) - spatial[i] - w.before[i];
        (0..spatial.len()).map(end).collect()
    }

    fn squeezed(&self, t: Tensor) -> Output {
        if self.flat { Ok(t.f_squeeze_dim(2)?) } else { Ok(t) }
    }
}

/// Maxima, and with two outputs the positions of their first occurrence in the flattened input.
pub(super) fn max(call: &Call<'_>) -> Outputs {
    let p = Pooling::of(call)?;
    let w = &p.window;
    let kind = p.x.kind();
    // libtorch pools floats only on some devices; small integers are exact in f32.
    let exact_in = if is_float(kind) { kind } else { Kind::Float };
    let lowest = f64::NEG_INFINITY;
    let direct = p.direct();
    let none = vec![0; w.kernel.len()];
    let x = p.x.f_to_kind(exact_in)?;
    let (x, pads, ceil) = if direct {
        (x, &w.before, p.ceil)
    } else {
        (pad_spatial(&x, &w.before, &p.exact_after(), lowest)?, &none, false)
    };
    let (k, s, d, pads) = (&w.kernel[..], &w.strides[..], &w.dilations[..], &pads[..]);
    let two = w.kernel.len() == 2;
    if call.num_outputs < 2 {
        let y = match (two, w.kernel.len()) {
            (true, _) => x.f_max_pool2d(k, s, pads, d, ceil)?,
            (false, 3) => x.f_max_pool3d(k, s, pads, d, ceil)?,
            (false, n) => return Err(call.unsupported(format!("{n} spatial dimensions"))),
        };
        return Ok(vec![p.squeezed(y.f_to_kind(kind)?)?]);
    }
    let (y, mut at) = match (two, w.kernel.len()) {
        (true, _) => x.f_max_pool2d_with_indices(k, s, pads, d, ceil)?,
        (false, 3) => x.f_max_pool3d_with_indices(k, s, pads, d, ceil)?,
        (false, n) => return Err(call.unsupported(format!("{n} spatial dimensions"))),
    };
    let spatial = p.spatial();
    if !direct {
        // From positions in the padded plane to positions in the plane.
        let padded = &x.size()[2..];
        let mut rest = at;
        let mut position = rest.f_zeros_like()?;
        let mut stride = 1;
        for i in (0..spatial.len()).rev() {
            let coordinate = rest.f_remainder(padded[i])?.f_sub_scalar(w.before[i])?;
            rest = rest.f_floor_divide_scalar(padded[i])?;
            position = position.f_add(&coordinate.f_mul_scalar(stride)?)?;
            stride *= spatial[i];
        }
        at = position;
    }
    let shape = x.size();
    let plane: i64 = spatial.iter().product();
    let mut planes = vec![1; shape.len()];
    (planes[0], planes[1]) = (shape[0], shape[1]);
    let first = Tensor::f_arange(shape[0] * shape[1], (Kind::Int64, x.device()))?.f_mul_scalar(plane)?;
    let at = at.f_add(&first.f_reshape(&planes[..])?)?;
    Ok(vec![p.squeezed(y.f_to_kind(kind)?)?, p.squeezed(at)?])
}

/// Means; padding counts as zeros with `count_include_pad`, and is left out of the count otherwise.
pub(super) fn average(call: &Call<'_>) -> Output {
    let p = Pooling::of(call)?;
    let w = &p.window;
    let include = call.flag("count_include_pad");
    let (k, s) = (&w.kernel[..], &w.strides[..]);
    if p.direct() && w.dilations.iter().all(|&d| d == 1) {
        let y = match k.len() {
            2 => p.x.f_avg_pool2d(k, s, &w.before[..], p.ceil, include, None)?,
            3 => p.x.f_avg_pool3d(k, s, &w.before[..], p.ceil, include, None)?,
            n => return Err(call.unsupported(format!("{n} spatial dimensions"))),
        };
        return p.squeezed(y);
    }
    let after = p.exact_after();
    let sum = window_sum(call, &pad_spatial(&p.x, &w.before, &after, 0.0)?, &p)?;
    // What counts: the input, with its padding if that is included, but never what `ceil_mode` adds.
    let mut shape = vec![1, 1];
    shape.extend(p.spatial());
    let ones = Tensor::f_ones(&shape[..], (sum.kind(), sum.device()))?;
    let counted = if include {
        let ring = pad_spatial(&ones, &w.before, &w.after, 1.0)?;
        let beyond: Vec<i64> = after.iter().zip(&w.after).map(|(a, b)| a - b).collect();
        pad_spatial(&ring, &vec![0; k.len()], &beyond, 0.0)?
    } else {
        pad_spatial(&ones, &w.before, &after, 0.0)?
    };
    p.squeezed(sum.f_div(&window_sum(call, &counted, &p)?)?)
}

/// Sum over each window of an input padded to fit exactly.
fn window_sum(call: &Call<'_>, x: &Tensor, p: &Pooling) -> Output {
    let w = &p.window;
    let (k, s, none) = (&w.kernel[..], &w.strides[..], vec![0; w.kernel.len()]);
    if w.dilations.iter().all(|&d| d == 1) {
        return match k.len() {
            2 => Ok(x.f_avg_pool2d(k, s, &none[..], false, true, 1)?),
            3 => Ok(x.f_avg_pool3d(k, s, &none[..], false, true, 1)?),
            n => Err(call.unsupported(format!("{n} spatial dimensions"))),
        };
    }
    let mut total: Option<Tensor> = None;
    for tap in 0..k.iter().product::<i64>() {
        let (mut view, mut rest) = (x.shallow_clone(), tap);
        for i in (0..k.len()).rev() {
            let start = (rest % k[i]) * w.dilations[i];
            rest /= k[i];
            view = view.f_slice(2 + i as i64, start, start + (p.out[i] - 1) * s[i] + 1, s[i])?;
        }
        total = Some(match total {
            Some(sum) => sum.f_add(&view)?,
            None => view,
        });
    }
    total.ok_or_else(|| call.invalid("an empty kernel"))
}

/// Mean or maximum over all spatial dimensions.
pub(super) fn global(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let axes: Vec<i64> = (2..x.dim() as i64).collect();
    if axes.is_empty() {
        return Ok(x.shallow_clone());
    }
    Ok(match call.kind {
        OpKind::GlobalMaxPool => x.f_amax(&axes[..], true)?,
        _ => x.f_mean_dim(&axes[..], true, None)?,
    })
}
