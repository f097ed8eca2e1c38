//! Operators along axes and normalisations: Softmax and its kin, reductions, CumSum, TopK, the norms.

use crate::graph::{Attr, Dim, OpKind, Tensor};

use super::site::{Moved, Normal, Operand, Read, Site, opaque};

/// Softmax, LogSoftmax, Hardmax. Before operator set 13 they flatten to two dimensions at the axis; where that is the
/// same as going along one axis, the normal form says so.
pub(super) fn softmax(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    site.settle_axis(&mut normal, 0);
    normal.int("coerced", 0);
    if site.opset >= 13 {
        return Ok(normal);
    }
    let axis = site.axis(site.int("axis")?.unwrap_or(1), site.rank(0));
    let Some(ty) = site.ty(0) else {
        normal.int("coerced", i64::from(axis != -1));
        return Ok(normal);
    };
    let tail = usize::try_from(axis).ok().and_then(|at| ty.shape.get(at..)).unwrap_or(&[]);
    let wide: Vec<usize> = (0..tail.len()).filter(|&i| tail[i] != Dim::Known(1)).collect();
    match wide[..] {
        _ if tail.is_empty() => normal.int("coerced", 1),
        [] => {}
        [only] => normal.int("axis", axis + only as i64),
        _ => normal.int("coerced", 1),
    }
    Ok(normal)
}

/// LpNormalization, ArgMax, ArgMin, Gather, GatherElements: an axis of the first operand.
pub(super) fn one_axis(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    site.settle_axis(&mut normal, 0);
    Ok(normal)
}

/// ReduceSum and its kin: axes as an attribute, later as an operand; none means all, or none at all.
pub(super) fn reduce(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let noop = site.int("noop_with_empty_axes")?.unwrap_or(0) != 0;
    let Moved::Given(axes) = site.moved_ints("axes", 1)? else {
        normal.ints("axes", &[]);
        return Ok(normal);
    };
    normal.operands(1);
    normal.int("noop_with_empty_axes", 0);
    match axes {
        Some(axes) if !axes.is_empty() => {
            let mut axes: Vec<i64> = axes.iter().map(|&a| site.axis(a, site.rank(0))).collect();
            axes.sort_unstable();
            normal.ints("axes", &axes);
        }
        _ if noop => {
            use OpKind::{ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum};
            // The others still square or take absolute values, element by element.
            if !matches!(normal.kind, ReduceSum | ReduceMean | ReduceMax | ReduceMin | ReduceProd) {
                return opaque("a reduction over no axis at all");
            }
            normal.kind = OpKind::Identity;
            normal.attrs.clear();
        }
        _ => {
            let all: Vec<i64> = (0..site.rank(0).unwrap_or(0) as i64).collect();
            normal.ints("axes", &all);
        }
    }
    Ok(normal)
}

/// CumSum: the axis is an operand in ONNX.
pub(super) fn cumsum(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    match site.const_ints(1).as_deref() {
        Some(&[axis]) => {
            normal.operands(1);
            normal.int("axis", site.axis(axis, site.rank(0)));
        }
        _ => normal.int("axis", i64::MIN),
    }
    Ok(normal)
}

/// TopK: k is an operand, before operator set 10 an attribute. Both outputs are always there.
pub(super) fn topk(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    site.settle_axis(&mut normal, 0);
    if let Some(k) = site.int("k")?
        && site.knows("k")
    {
        let tensor = Tensor::from_i64s(&[1], &[k]).expect("one integer has the shape [1]");
        normal.remove("k");
        normal.operands(1);
        normal.inputs.push(Operand::New("k", tensor));
    }
    normal.outputs = 2;
    Ok(normal)
}

/// BatchNormalization in its inference form.
pub(super) fn batch_norm(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    if site.int("training_mode")?.unwrap_or(0) != 0 || normal.outputs > 1 {
        return opaque("batch normalisation in training mode");
    }
    if site.int("spatial")?.unwrap_or(1) != 1 {
        return opaque("batch normalisation by element (spatial = 0)");
    }
    normal.attrs.retain(|pair| pair.0 == "epsilon");
    Ok(normal)
}

/// LayerNormalization and RMSNormalization with their first output.
pub(super) fn layer_norm(site: &Site<'_>) -> Read<Normal> {
    if site.uses_more_than_one() {
        return opaque("statistics of the layer normalisation are used");
    }
    let mut normal = one_axis(site)?;
    normal.outputs = 1;
    Ok(normal)
}

/// GroupNormalization. Before operator set 21 scale and bias are per group: the same only with one channel per group.
pub(super) fn group_norm(site: &Site<'_>) -> Read<Normal> {
    let normal = site.plain()?;
    if site.opset < 21 {
        let channels = site.ty(0).and_then(|ty| ty.shape.get(1)).and_then(Dim::known);
        if channels.is_none() || channels != site.int("num_groups")? {
            return opaque("group normalisation with scale and bias per group (deprecated in opset 21)");
        }
    }
    Ok(normal)
}

/// LSTM and GRU with the default activations.
pub(super) fn recurrent(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let defaults: &[&str] =
        if normal.kind == OpKind::LSTM { &["sigmoid", "tanh", "tanh"] } else { &["sigmoid", "tanh"] };
    for (name, value) in &normal.attrs {
        match (*name, value) {
            ("activations", Attr::Strs(texts)) => {
                let usual = texts.iter().zip(defaults.iter().cycle()).all(|(t, d)| t.eq_ignore_ascii_case(d));
                if !usual {
                    return opaque("activations other than the default ones");
                }
            }
            ("activation_alpha" | "activation_beta", Attr::Floats(v)) if !v.is_empty() => {
                return opaque("parameters of activations");
            }
            ("clip", _) => return opaque("clipped activations"),
            _ => {}
        }
    }
    for name in ["activations", "activation_alpha", "activation_beta"] {
        normal.remove(name);
    }
    if !normal.attrs.iter().any(|pair| pair.0 == "hidden_size") {
        // R is [directions, gates * hidden, hidden].
        let Some(hidden) = site.ty(2).and_then(|ty| ty.shape.get(2)).and_then(Dim::known) else {
            return opaque("the hidden size is not known");
        };
        normal.int("hidden_size", hidden);
    }
    Ok(normal)
}
