//! Sliding windows: what convolutions and pools share. Output sizes follow ONNX's Conv and pooling operators.

use super::OpError;
use super::call::Call;
use super::dims::{larger, smaller};
use super::support::ints;
use crate::graph::Dim;

/// How the padding is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AutoPad {
    Explicit,
    Valid,
    SameUpper,
    SameLower,
}

/// A window's attributes, checked, for `n` spatial axes.
pub struct Window {
    pub kernel: Vec<Dim>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    /// Begin of every axis, then end of every axis; none negative.
    pub pads: Vec<i64>,
    pub auto: AutoPad,
    pub ceil: bool,
}

/// One axis of a window placed on an input of known size.
#[derive(Clone, Copy, Debug)]
pub struct WindowAxis {
    /// Input size.
    pub size: usize,
    /// Kernel size.
    pub kernel: usize,
    /// Output size.
    pub out: usize,
    pub stride: i64,
    pub dilation: i64,
    pub begin: i64,
    pub end: i64,
}

impl WindowAxis {
    /// The input coordinate under kernel element `k` of output `o`, counted in the input; outside it in the padding.
    pub fn coordinate(&self, o: usize, k: usize) -> i64 {
        let at = i128::from(self.stride) * o as i128 + i128::from(self.dilation) * k as i128 - i128::from(self.begin);
        at.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The same, where it is inside the input.
    pub fn inside(&self, o: usize, k: usize) -> Option<usize> {
        usize::try_from(self.coordinate(o, k)).ok().filter(|&at| at < self.size)
    }
}

impl Window {
    /// Reads `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode`; empty lists are the defaults.
    pub fn read(call: &Call, kernel: Vec<Dim>) -> Result<Window, OpError> {
        let n = kernel.len();
        let list = |name: &'static str, len: usize, default: i64| -> Result<Vec<i64>, OpError> {
            let values = ints(call, name);
            if !values.is_empty() && values.len() != len {
                return Err(call.fail(format!("attribute {name} = {values:?} should have {len} entries")));
            }
            if let Some(&bad) = values.iter().find(|&&v| v < default) {
                return Err(call.fail(format!("attribute {name} = {values:?} has the entry {bad}")));
            }
            Ok(if values.is_empty() { vec![default; len] } else { values.to_vec() })
        };
        let auto = match call.op.text("auto_pad") {
            None | Some("NOTSET" | "") => AutoPad::Explicit,
            Some("VALID") => AutoPad::Valid,
            Some("SAME_UPPER") => AutoPad::SameUpper,
            Some("SAME_LOWER") => AutoPad::SameLower,
            Some(other) => return Err(call.fail(format!("attribute auto_pad = {other:?}"))),
        };
        if let Some(k) = kernel.iter().filter_map(Dim::known).find(|&k| k < 1) {
            return Err(call.fail(format!("a kernel of size {k}")));
        }
        Ok(Window {
            strides: list("strides", n, 1)?,
            dilations: list("dilations", n, 1)?,
            pads: if auto == AutoPad::Explicit { list("pads", 2 * n, 0)? } else { vec![0; 2 * n] },
            ceil: call.op.int("ceil_mode").unwrap_or(0) != 0,
            kernel,
            auto,
        })
    }

    /// Input positions that the window spans on an axis.
    pub fn extent(&self, axis: usize) -> Dim {
        let one = Dim::Known(1);
        self.kernel[axis].sub(&one).mul(&Dim::Known(self.dilations[axis])).add(&one)
    }

    /// Output size on an axis of this input size.
    pub fn output(&self, call: &Call, axis: usize, size: &Dim) -> Result<Dim, OpError> {
        let one = Dim::Known(1);
        let n = self.strides.len();
        let stride = Dim::Known(self.strides[axis]);
        let divide = |a: &Dim, up: bool| {
            let quotient = if up { a.ceil_div(&stride) } else { a.floor_div(&stride) };
            quotient.ok_or_else(|| call.fail("attribute strides has the entry 0"))
        };
        if matches!(self.auto, AutoPad::SameUpper | AutoPad::SameLower) {
            return divide(size, true);
        }
        let begin = size.add(&Dim::Known(self.pads[axis]));
        let free = begin.add(&Dim::Known(self.pads[n + axis])).sub(&self.extent(axis));
        if free.known().is_some_and(|free| free < 0) {
            let extent = self.extent(axis);
            return Err(call.fail(format!("a window of {extent} does not fit an axis of {size} with its padding")));
        }
        let out = divide(&free, self.ceil)?.add(&one);
        // A window that would start in the padding at the end is left out.
        Ok(if self.ceil { smaller(&out, &divide(&begin.sub(&one), false)?.add(&one)) } else { out })
    }

    /// The window on an input of known sizes; `None` where a kernel size is not known.
    pub fn place(&self, sizes: &[usize], outs: &[usize]) -> Option<Vec<WindowAxis>> {
        let n = self.strides.len();
        if sizes.len() != n || outs.len() != n {
            return None;
        }
        (0..n)
            .map(|i| {
                let total = match self.auto {
                    AutoPad::Explicit | AutoPad::Valid => None,
                    AutoPad::SameUpper | AutoPad::SameLower => {
                        let reach = Dim::Known(i64::try_from(outs[i]).ok()?)
                            .sub(&Dim::Known(1))
                            .mul(&Dim::Known(self.strides[i]))
                            .add(&self.extent(i));
                        Some(larger(&Dim::Known(0), &reach.sub(&Dim::Known(i64::try_from(sizes[i]).ok()?))).known()?)
                    }
                };
                let (begin, end) = match total {
                    None => (self.pads[i], self.pads[n + i]),
                    Some(total) => split_padding(total, self.auto),
                };
                Some(WindowAxis {
                    size: sizes[i],
                    kernel: usize::try_from(self.kernel[i].known()?).ok()?,
                    out: outs[i],
                    stride: self.strides[i],
                    dilation: self.dilations[i],
                    begin,
                    end,
                })
            })
            .collect()
    }
}

/// A total padding split between begin and end: the odd element goes to the end for SAME_UPPER.
pub fn split_padding(total: i64, auto: AutoPad) -> (i64, i64) {
    let small = total / 2;
    match auto {
        AutoPad::SameLower => (total - small, small),
        AutoPad::SameUpper | AutoPad::Explicit | AutoPad::Valid => (small, total - small),
    }
}
