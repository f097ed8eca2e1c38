//! Operators with a window: convolutions and pools. Pads become explicit.

use crate::graph::{Attr, Dim, OpKind};

use super::site::{Normal, Read, Site, fault, opaque};

/// The window of a node along its spatial axes. All lists have one entry for each.
struct Window {
    kernel: Vec<Option<i64>>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    /// Begins, then ends.
    pads: Vec<i64>,
    input: Vec<Option<i64>>,
}

impl Window {
    fn read(site: &Site<'_>, kernel: Option<Vec<Option<i64>>>) -> Read<Window> {
        let given = ["kernel_shape", "strides", "dilations"];
        let mut spatial = site.rank(0).map(|rank| rank.saturating_sub(2)).or(kernel.as_ref().map(Vec::len));
        for name in given {
            let len = site.ints(name)?.map(<[i64]>::len);
            spatial = spatial.or(len);
            if len.is_some() && len != spatial {
                return fault(format!("attribute {name:?}"), "its length is not the number of spatial axes");
            }
        }
        let Some(n) = spatial else { return opaque("the rank of input 0 is not known") };
        let list = |name: &str| Ok(site.ints(name)?.map_or_else(|| vec![1; n], <[i64]>::to_vec));
        let pads = site.ints("pads")?.map_or_else(|| vec![0; 2 * n], <[i64]>::to_vec);
        if pads.len() != 2 * n {
            return fault("attribute \"pads\"", "its length is not twice the number of spatial axes");
        }
        let kernel_shape = site.ints("kernel_shape")?;
        let known = |dims: Option<&[Dim]>| -> Vec<Option<i64>> {
            dims.map_or_else(|| vec![None; n], |dims| dims.iter().map(Dim::known).collect())
        };
        let input = known(site.ty(0).and_then(|ty| ty.shape.get(2..)));
        let mut kernel = kernel.unwrap_or_else(|| vec![None; n]);
        kernel.resize(n, None);
        for (i, size) in kernel_shape.unwrap_or(&[]).iter().enumerate() {
            if kernel[i].is_some_and(|own| own != *size) {
                return fault("attribute \"kernel_shape\"", "it contradicts the shape of the kernel");
            }
            kernel[i] = Some(*size);
        }
        let window = Window { kernel, strides: list("strides")?, dilations: list("dilations")?, pads, input };
        let positive = window.strides.iter().chain(&window.dilations).chain(window.kernel.iter().flatten());
        if positive.copied().any(|v| v < 1) {
            return fault("attributes", "kernel_shape, strides and dilations must be positive");
        }
        Ok(window)
    }

    fn write(&self, normal: &mut Normal, auto_pad: &str) {
        normal.ints("strides", &self.strides);
        normal.ints("dilations", &self.dilations);
        normal.ints("pads", &self.pads);
        normal.set("auto_pad", Attr::str(auto_pad));
    }

    /// Extent of the window along an axis, with its holes.
    fn extent(&self, axis: usize) -> Option<i64> {
        (self.kernel[axis]?).checked_sub(1)?.checked_mul(self.dilations[axis])?.checked_add(1)
    }

    /// What SAME pads along an axis: the output has ceil(input / stride) elements. With stride 1 that does not depend on
    /// the input.
    fn same_total(&self, axis: usize) -> Option<i64> {
        let extent = self.extent(axis)?;
        if self.strides[axis] == 1 {
            return extent.checked_sub(1);
        }
        let (input, stride) = (self.input[axis]?, self.strides[axis]);
        let steps = input.checked_add(stride - 1)? / stride - 1;
        Some(steps.checked_mul(stride)?.checked_add(extent)?.checked_sub(input)?.max(0))
    }

    fn set_total(&mut self, axis: usize, total: i64, upper: bool) {
        let n = self.strides.len();
        let (small, large) = (total / 2, total - total / 2);
        (self.pads[axis], self.pads[axis + n]) = if upper { (small, large) } else { (large, small) };
    }
}

/// Conv and the pools. `kernel_shape` is kept by pools, dropped by convolutions (it is the kernel's).
fn slide(site: &Site<'_>, normal: &mut Normal, mut window: Window) -> Read<()> {
    let auto_pad = site.text("auto_pad")?.unwrap_or("NOTSET");
    if auto_pad != "NOTSET" && window.pads.iter().any(|&p| p != 0) {
        return opaque("both auto_pad and pads are given");
    }
    match auto_pad {
        "NOTSET" => window.write(normal, "NOTSET"),
        "VALID" => {
            window.write(normal, "NOTSET");
            if normal.attrs.iter().any(|pair| pair.0 == "ceil_mode") {
                normal.int("ceil_mode", 0);
            }
        }
        "SAME_UPPER" | "SAME_LOWER" => {
            let totals: Option<Vec<i64>> = (0..window.strides.len()).map(|axis| window.same_total(axis)).collect();
            let Some(totals) = totals else {
                window.write(normal, auto_pad);
                return Ok(());
            };
            for (axis, total) in totals.into_iter().enumerate() {
                window.set_total(axis, total, auto_pad == "SAME_UPPER");
            }
            window.write(normal, "NOTSET");
            if normal.attrs.iter().any(|pair| pair.0 == "ceil_mode") {
                // The pads already give ceil(input / stride).
                normal.int("ceil_mode", 0);
            }
        }
        other => return opaque(format!("auto_pad {other:?}")),
    }
    Ok(())
}

fn kernel_of(site: &Site<'_>) -> Option<Vec<Option<i64>>> {
    Some(site.ty(1)?.shape.get(2..)?.iter().map(Dim::known).collect())
}

/// Conv.
pub(super) fn conv(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let window = Window::read(site, kernel_of(site))?;
    normal.remove("kernel_shape");
    slide(site, &mut normal, window)?;
    Ok(normal)
}

/// MaxPool and AveragePool.
pub(super) fn pool(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let window = Window::read(site, None)?;
    slide(site, &mut normal, window)?;
    if normal.kind == OpKind::MaxPool {
        if !site.uses_more_than_one() {
            normal.outputs = 1;
        } else if site.int("storage_order")?.unwrap_or(0) != 0 {
            return opaque("indices in column-major order");
        }
        normal.int("storage_order", 0);
    }
    Ok(normal)
}

/// ConvTranspose: `output_shape` and `auto_pad` become pads. How an odd total is shared between begin and end differs
/// between versions of the specification, so such a node stays opaque.
pub(super) fn conv_transpose(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let mut window = Window::read(site, kernel_of(site))?;
    let n = window.strides.len();
    let output_padding = site.ints("output_padding")?.map_or_else(|| vec![0; n], <[i64]>::to_vec);
    if output_padding.len() != n {
        return fault("attribute \"output_padding\"", "its length is not the number of spatial axes");
    }
    let auto_pad = site.text("auto_pad")?.unwrap_or("NOTSET");
    let output_shape = site.ints("output_shape")?;
    let total = |axis: usize| -> Option<i64> {
        let (stride, extent) = (window.strides[axis], window.extent(axis)?.checked_add(output_padding[axis])?);
        let total = match output_shape {
            Some(sizes) => {
                let full = stride.checked_mul(window.input[axis]?.checked_sub(1)?)?.checked_add(extent)?;
                full.checked_sub(*sizes.get(axis)?)?
            }
            None => extent.checked_sub(stride)?,
        };
        (total >= 0 && total % 2 == 0).then_some(total)
    };
    if output_shape.is_some_and(|sizes| sizes.len() != n) {
        return opaque("output_shape of another length than the number of spatial axes");
    }
    if output_shape.is_some() || matches!(auto_pad, "SAME_UPPER" | "SAME_LOWER") {
        let Some(totals) = (0..n).map(total).collect::<Option<Vec<i64>>>() else {
            return opaque("pads of a transposed convolution that are not certain");
        };
        for (axis, total) in totals.into_iter().enumerate() {
            window.set_total(axis, total, true);
        }
    } else if !matches!(auto_pad, "NOTSET" | "VALID") {
        return opaque(format!("auto_pad {auto_pad:?}"));
    }
    normal.remove("kernel_shape");
    normal.remove("output_shape");
    normal.ints("output_padding", &output_padding);
    window.write(&mut normal, "NOTSET");
    Ok(normal)
}
