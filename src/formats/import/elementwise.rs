//! Element-wise operators whose parameters moved between operator sets; casts; shapes and constants.

use bytes::Bytes;

use crate::formats::model::ModelAttr;
use crate::graph::{Attr, DType, Data, Tensor};

use super::site::{Normal, Read, Site, opaque};

/// Clip: bounds as attributes where they are constant and exact in f32.
pub(super) fn clip(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    if site.knows("min") {
        return Ok(normal);
    }
    let float = site.dtype(0).is_some_and(DType::is_float);
    let bound = |index: usize, absent: f32| if site.has(index) { site.const_f32(index) } else { Some(absent) };
    if let (true, Some(min), Some(max)) = (float, bound(1, f32::NEG_INFINITY), bound(2, f32::INFINITY)) {
        normal.operands(1);
        normal.set("min", Attr::Float(min));
        normal.set("max", Attr::Float(max));
    }
    Ok(normal)
}

/// Whether the optimiser computes with values of this type.
pub(super) fn computes_with(dtype: DType) -> bool {
    dtype.is_float() || dtype == DType::Bool || (dtype.is_int() && !matches!(dtype, DType::I4 | DType::U4))
}

/// Cast between types that the optimiser computes with, and CastLike, which takes the type of its second operand.
pub(super) fn cast(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let to = if site.row.name == "CastLike" {
        normal.operands(1);
        site.dtype(1)
    } else {
        site.int("to")?.and_then(|to| i32::try_from(to).ok()).and_then(DType::from_onnx)
    };
    let Some(to) = to.filter(|to| computes_with(*to)) else {
        return opaque("a cast to a type that is only passed through, or not known");
    };
    normal.int("to", to.onnx().into());
    if site.text("round_mode")?.unwrap_or("up") != "up" {
        return opaque("a rounding mode");
    }
    normal.remove("round_mode");
    // Saturation is about 8-bit floats only.
    normal.int("saturate", 1);
    Ok(normal)
}

/// Dropout at inference: the first output is the input.
pub(super) fn dropout(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    if site.uses_more_than_one() {
        return opaque("the mask of the dropout is used");
    }
    if site.has(2) && site.const_bool(2).is_none_or(|training| training) {
        return opaque("dropout in training mode");
    }
    let ratio = site.const_f32(1);
    normal.remove("seed");
    normal.operands(1);
    normal.outputs = 1;
    if let Some(ratio) = ratio {
        normal.set("ratio", Attr::Float(ratio));
    }
    Ok(normal)
}

/// Range.
pub(super) fn range(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    normal.remove("stash_type");
    Ok(normal)
}

/// ConstantOfShape: value and type as attributes, the shape too where it is constant.
pub(super) fn constant_of_shape(site: &Site<'_>) -> Read<Normal> {
    let mut normal = site.plain()?;
    let (value, dtype) = match site.tensor("value")? {
        None => (Attr::Float(0.0), DType::F32),
        Some(tensor) => {
            let dtype = tensor.dtype();
            let value = if dtype.is_float() {
                let exact = |v: f64| (f64::from(v as f32).to_bits() == v.to_bits()).then_some(Attr::Float(v as f32));
                tensor.to_f64s(1).and_then(|v| exact(*v.first()?))
            } else if computes_with(dtype) {
                tensor
                    .to_i64s(1)
                    .and_then(|v| v.first().copied())
                    .filter(|&v| v >= 0 || dtype != DType::U64)
                    .map(Attr::Int)
            } else {
                None
            };
            let Some(value) = value else { return opaque("a value that is not one plain number") };
            (value, dtype)
        }
    };
    normal.set("value", value);
    normal.int("dtype", dtype.onnx().into());
    let shape = site.const_ints(0);
    if shape.is_some() {
        normal.operands(0);
    }
    normal.ints("shape", &shape.unwrap_or_default());
    Ok(normal)
}

/// The tensor of a Constant node.
pub(super) fn constant(site: &Site<'_>) -> Read<Tensor> {
    let mut attrs = site.node.attrs.iter();
    let (Some((name, value)), None) = (attrs.next(), attrs.next()) else {
        return opaque("a Constant without exactly one value");
    };
    let texts = |shape: &[u64], v: &[Bytes]| Tensor::new(DType::String, shape, Data::Strings(v.into()));
    let tensor = match (name.as_str(), value) {
        ("value", ModelAttr::Tensor(tensor)) => Ok(tensor.clone()),
        ("value_int", ModelAttr::Int(v)) => Tensor::from_i64s(&[], &[*v]),
        ("value_float", ModelAttr::Float(v)) => Tensor::from_f32s(&[], &[*v]),
        ("value_ints", ModelAttr::Ints(v)) => Tensor::from_i64s(&[v.len() as u64], v),
        ("value_floats", ModelAttr::Floats(v)) => Tensor::from_f32s(&[v.len() as u64], v),
        ("value_string", ModelAttr::Str(v)) => texts(&[], std::slice::from_ref(v)),
        ("value_strings", ModelAttr::Strs(v)) => texts(&[v.len() as u64], v),
        _ => return opaque(format!("the value of a Constant as attribute {name:?}")),
    };
    tensor.or_else(|e| opaque(e.to_string()))
}
