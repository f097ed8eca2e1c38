//! Operators that move elements: their axes, sizes and targets become attributes where they are constant.

use crate::graph::Attr;

use super::site::{Moved, Normal, Read, Site, fault, opaque};

/// Concat.
pub(super) fn concat(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let known = (0..site.inputs.len()).find(|&i| site.rank(i).is_some()).unwrap_or(0);
    site.settle_axis(&mut normal, known);
    Ok(normal)
}

/// Split: sizes as an attribute, later as an operand, or equal parts, of which the last may be smaller since operator
/// set 18.
pub(super) fn split(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    site.settle_axis(&mut normal, 0);
    normal.remove("num_outputs");
    let parts = site.node.outputs.len();
    normal.outputs = parts;
    if site.int("num_outputs")?.is_some_and(|n| usize::try_from(n) != Ok(parts)) {
        return fault("attribute \"num_outputs\"", format!("the node has {parts} outputs"));
    }
    let Moved::Given(sizes) = site.moved_ints("split", 1)? else {
        normal.ints("split", &[]);
        return Ok(normal);
    };
    normal.operands(1);
    let sizes = match sizes {
        Some(sizes) if sizes.len() != parts => {
            return fault("split", format!("{} sizes for {parts} outputs", sizes.len()));
        }
        Some(sizes) => sizes,
        None => equal_parts(site, parts)?,
    };
    normal.ints("split", &sizes);
    Ok(normal)
}

/// Sizes of equal parts; empty while the size of the axis is not known.
fn equal_parts(site: &Site<'_>, parts: usize) -> Read<Vec<i64>> {
    let axis = site.axis(site.int("axis")?.unwrap_or(0), site.rank(0));
    let at = |ty: &crate::graph::TensorType| ty.shape.get(usize::try_from(axis).ok()?)?.known();
    let Some(size) = site.ty(0).and_then(at) else { return Ok(Vec::new()) };
    let count = parts as i64;
    let uneven = site.opset >= 18 && site.int("num_outputs")?.is_some();
    if size % count == 0 {
        return Ok(vec![size / count; parts]);
    }
    let part = size / count + 1;
    let last = size - part * (count - 1);
    if !uneven {
        return fault("split", format!("{size} elements cannot be split into {parts} equal parts"));
    }
    if last < 0 {
        return opaque("more parts than the split has elements");
    }
    let mut sizes = vec![part; parts - 1];
    sizes.push(last);
    Ok(sizes)
}

/// Slice: attributes before operator set 10, operands since.
pub(super) fn slice(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let (starts, ends, axes, steps) = if site.knows("starts") {
        let given = |name: &str| Ok(site.ints(name)?.map(<[i64]>::to_vec));
        (given("starts")?, given("ends")?, given("axes")?, None)
    } else {
        let constant = |i: usize| site.const_ints(i);
        let dynamic = (1..5).any(|i| site.has(i) && constant(i).is_none());
        if dynamic {
            return Ok(normal);
        }
        (constant(1), constant(2), constant(3), constant(4))
    };
    let (Some(starts), Some(ends)) = (starts, ends) else { return opaque("starts or ends are missing") };
    let n = starts.len();
    let axes = axes.unwrap_or_else(|| (0..n as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; n]);
    if [ends.len(), axes.len(), steps.len()] != [n; 3] {
        return fault("starts, ends, axes, steps", "their lengths differ");
    }
    let axes: Vec<i64> = axes.iter().map(|&a| site.axis(a, site.rank(0))).collect();
    normal.operands(1);
    normal.ints("starts", &starts);
    normal.ints("ends", &ends);
    normal.ints("axes", &axes);
    normal.ints("steps", &steps);
    Ok(normal)
}

/// Transpose: the permutation is explicit.
pub(super) fn transpose(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    if site.ints("perm")?.is_none_or(<[i64]>::is_empty) {
        let perm: Vec<i64> = (0..site.need_rank(0)? as i64).rev().collect();
        normal.ints("perm", &perm);
    }
    Ok(normal)
}

/// Reshape: a constant target is an attribute, the exact sizes where they are all known.
pub(super) fn reshape(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let allowzero = site.int("allowzero")?.unwrap_or(0) != 0;
    let Some(target) = site.const_ints(1) else {
        normal.ints("shape", &[]);
        return Ok(normal);
    };
    normal.operands(1);
    let exact = site.ty(0).and_then(|ty| exact_sizes(&ty.known_shape()?, &target, allowzero));
    match exact {
        Some(sizes) if !sizes.contains(&0) => {
            normal.ints("shape", &sizes);
            normal.int("allowzero", 0);
        }
        _ => {
            let irrelevant = !target.contains(&0);
            normal.ints("shape", &target);
            normal.int("allowzero", i64::from(allowzero && !irrelevant));
        }
    }
    Ok(normal)
}

/// The sizes that a Reshape gives, unless they do not fit.
fn exact_sizes(input: &[i64], target: &[i64], allowzero: bool) -> Option<Vec<i64>> {
    let count = input.iter().try_fold(1i64, |n, &d| n.checked_mul(d))?;
    let mut sizes = Vec::with_capacity(target.len());
    let mut free = None;
    for (i, &size) in target.iter().enumerate() {
        sizes.push(match size {
            0 if !allowzero => *input.get(i)?,
            -1 if free.is_none() => {
                free = Some(i);
                1
            }
            size if size >= 0 => size,
            _ => return None,
        });
    }
    let rest = sizes.iter().try_fold(1i64, |n, &d| n.checked_mul(d))?;
    if let Some(i) = free {
        if rest == 0 || count % rest != 0 {
            return None;
        }
        sizes[i] = count / rest;
    } else if rest != count {
        return None;
    }
    Some(sizes)
}

/// Squeeze: without axes, all axes of size 1, which must then be certain.
pub(super) fn squeeze(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let Moved::Given(axes) = site.moved_ints("axes", 1)? else {
        normal.ints("axes", &[]);
        return Ok(normal);
    };
    normal.operands(1);
    let mut axes = match axes {
        Some(axes) if axes.is_empty() => return opaque("an empty list of axes"),
        Some(axes) => axes.iter().map(|&a| site.axis(a, site.rank(0))).collect(),
        None => {
            let Some(sizes) = site.ty(0).and_then(|ty| ty.known_shape()) else {
                return opaque("which axes have size 1 is not known");
            };
            (0..sizes.len() as i64).filter(|&i| sizes[i as usize] == 1).collect::<Vec<i64>>()
        }
    };
    axes.sort_unstable();
    normal.ints("axes", &axes);
    Ok(normal)
}

/// Unsqueeze: axes of the output.
pub(super) fn unsqueeze(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let Moved::Given(Some(axes)) = site.moved_ints("axes", 1)? else {
        normal.ints("axes", &[]);
        return Ok(normal);
    };
    normal.operands(1);
    let rank = site.rank(0).map(|rank| rank + axes.len());
    let mut axes: Vec<i64> = axes.iter().map(|&a| site.axis(a, rank)).collect();
    axes.sort_unstable();
    normal.ints("axes", &axes);
    Ok(normal)
}

/// Expand and Tile: a constant second operand becomes the attribute of this name.
pub(super) fn sizes_operand(site: &Site<'_>, name: &'static str) -> Read<Normal> {
    let mut normal = site.plain()?;
    let sizes = site.const_ints(1);
    if sizes.is_some() {
        normal.operands(1);
    }
    normal.ints(name, &sizes.unwrap_or_default());
    Ok(normal)
}

/// Pad: pads for all axes, begins then ends, and the value.
pub(super) fn pad(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let mode = site.text("mode")?.unwrap_or("constant");
    if !matches!(mode, "constant" | "reflect" | "edge") {
        return opaque(format!("padding mode {mode:?}"));
    }
    if site.knows("pads") {
        return Ok(normal);
    }
    let rank = site.rank(0);
    let pads = site.const_ints(1);
    let value = if site.has(2) && mode == "constant" { site.const_f32(2) } else { Some(0.0) };
    let axes = if site.has(3) { site.const_ints(3) } else { rank.map(|rank| (0..rank as i64).collect()) };
    let (Some(pads), Some(value), Some(axes), Some(rank)) = (pads, value, axes, rank) else {
        normal.ints("pads", &[]);
        normal.set("value", Attr::Float(0.0));
        return Ok(normal);
    };
    let n = axes.len();
    if pads.len() != 2 * n {
        return fault("input 1 (pads)", format!("{} numbers for {n} axes", pads.len()));
    }
    let mut full = vec![0; 2 * rank];
    for (i, &axis) in axes.iter().enumerate() {
        let at = usize::try_from(site.axis(axis, Some(rank))).ok().filter(|&at| at < rank);
        let Some(at) = at else { return fault("input 3 (axes)", format!("axis {axis} of a value of rank {rank}")) };
        (full[at], full[at + rank]) = (pads[i], pads[i + n]);
    }
    normal.operands(1);
    normal.ints("pads", &full);
    normal.set("value", Attr::Float(value));
    Ok(normal)
}

/// DepthToSpace and SpaceToDepth.
pub(super) fn depth_space(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    if site.row.name == "SpaceToDepth" {
        let mode = site.text("mode")?.unwrap_or("DCR");
        if mode != "DCR" {
            return opaque(format!("mode {mode:?}"));
        }
        normal.remove("mode");
    }
    Ok(normal)
}

/// Resize, and Upsample, which is its ancestor.
pub(super) fn resize(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let legacy = site.row.name == "Upsample" || site.opset < 11;
    let mode = match site.text("mode")?.unwrap_or("nearest") {
        mode @ ("nearest" | "linear") => mode,
        "bilinear" if legacy => "linear",
        other => return opaque(format!("resizing mode {other:?}")),
    };
    normal.set("mode", Attr::str(mode));
    for (name, value) in &normal.attrs {
        match (*name, value) {
            ("antialias" | "exclude_outside", Attr::Int(v)) if *v != 0 => return opaque(format!("attribute {name:?}")),
            ("keep_aspect_ratio_policy", Attr::Str(v)) if &**v != "stretch" => {
                return opaque(format!("attribute {name:?} {v:?}"));
            }
            ("coordinate_transformation_mode", Attr::Str(v)) if &**v == "tf_crop_and_resize" => {
                return opaque(format!("attribute {name:?} {v:?}"));
            }
            _ => {}
        }
    }
    let scales_at = if legacy { 1 } else { 2 };
    let scales = if site.knows("scales") {
        normal.attrs.iter().find_map(|pair| match pair {
            ("scales", Attr::Floats(v)) => Some(v.to_vec()),
            _ => None,
        })
    } else if site.has(scales_at) {
        let values = site.const_floats(scales_at);
        values.map(|values| values.iter().map(|&v| v as f32).collect())
    } else {
        Some(Vec::new())
    };
    let sizes = if !legacy && site.has(3) { site.const_ints(3) } else { Some(Vec::new()) };
    let (Some(scales), Some(sizes)) = (scales, sizes) else {
        return opaque("scales or sizes that are computed");
    };
    if scales.is_empty() == sizes.is_empty() {
        return opaque("neither or both of scales and sizes are given");
    }
    if legacy {
        normal.set("coordinate_transformation_mode", Attr::str("asymmetric"));
        normal.set("nearest_mode", Attr::str("floor"));
    }
    let rank = site.need_rank(0)?;
    let axes: Vec<i64> = match site.ints("axes")? {
        Some(axes) if !axes.is_empty() => axes.iter().map(|&a| site.axis(a, Some(rank))).collect(),
        _ => (0..rank as i64).collect(),
    };
    if scales.len().max(sizes.len()) != axes.len() {
        return fault("scales or sizes", format!("their length is not the number of axes, {}", axes.len()));
    }
    normal.operands(1);
    normal.set("scales", Attr::Floats(scales.into()));
    normal.ints("sizes", &sizes);
    normal.ints("axes", &axes);
    Ok(normal)
}
