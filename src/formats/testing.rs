//! Small models for tests, built by hand.

use bytes::Bytes;
use indexmap::IndexMap;

use super::model::{DeclaredDim, DeclaredType, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight};
use crate::graph::{Attr, DType, Op, Tensor};

/// A value with a declared type; `shape` is words separated by spaces: numbers, names, or `?`.
pub(super) fn value(name: &str, dtype: DType, shape: &str) -> ValueInfo {
    let dim = |word: &str| match word {
        "?" => DeclaredDim::Unknown,
        word => word.parse().map_or_else(|_| DeclaredDim::Name(word.to_owned()), DeclaredDim::Size),
    };
    let shape = shape.split_whitespace().map(dim).collect();
    let ty = Some(DeclaredType { dtype, shape: Some(shape) });
    ValueInfo { name: name.to_owned(), ty, doc: String::new(), proto: None }
}

/// A value of which nothing is declared.
pub(super) fn untyped(name: &str) -> ValueInfo {
    ValueInfo { name: name.to_owned(), ty: None, doc: String::new(), proto: None }
}

/// A node; inputs and outputs are words separated by spaces, `-` is one left out.
pub(super) fn node(op: &str, inputs: &str, outputs: &str, attrs: &[(&str, ModelAttr)]) -> ModelNode {
    let words = |text: &str| text.split_whitespace().map(|w| if w == "-" { "" } else { w }.to_owned()).collect();
    ModelNode {
        name: format!("{}_{}", op.to_lowercase(), outputs.replace(' ', "_")),
        op: op.to_owned(),
        inputs: words(inputs),
        outputs: words(outputs),
        attrs: attrs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ..ModelNode::default()
    }
}

pub(super) fn text(value: &str) -> ModelAttr {
    ModelAttr::Str(Bytes::copy_from_slice(value.as_bytes()))
}

pub(super) fn ints(values: &[i64]) -> ModelAttr {
    ModelAttr::Ints(values.to_vec())
}

/// A constant list of integers.
pub(super) fn list(values: &[i64]) -> Tensor {
    Tensor::from_i64s(&[values.len() as u64], values).unwrap()
}

/// A constant of f32 whose elements are all 0.5.
pub(super) fn halves(shape: &[u64]) -> Tensor {
    let count = shape.iter().product::<u64>() as usize;
    Tensor::from_f32s(shape, &vec![0.5; count]).unwrap()
}

/// A model; the types of its outputs are not declared.
pub(super) fn model(
    opset: i64,
    inputs: Vec<ValueInfo>,
    weights: &[(&str, Tensor)],
    nodes: Vec<ModelNode>,
    outputs: &[&str],
) -> Model {
    let weight = |tensor: &Tensor| Weight {
        tensor: tensor.clone(),
        doc: String::new(),
        storage: Storage::Inline,
        metadata: Vec::new(),
    };
    Model {
        name: "test".to_owned(),
        opset_import: IndexMap::from([(String::new(), opset)]),
        inputs,
        outputs: outputs.iter().map(|name| untyped(name)).collect(),
        weights: weights.iter().map(|(name, tensor)| ((*name).to_owned(), weight(tensor))).collect(),
        nodes,
        ..Model::default()
    }
}

/// An operator with its attributes as text: `Squeeze axes=[0]`. Attributes named in `hide` are left out.
pub(super) fn show(op: &Op, hide: &[&str]) -> String {
    let Op::Apply(kind, attrs) = op else { return op.label() };
    let mut out = kind.name().to_owned();
    for (name, value) in attrs.iter().filter(|(name, _)| !hide.contains(name)) {
        let value = match value {
            Attr::Int(v) => v.to_string(),
            Attr::Float(v) => v.to_string(),
            Attr::Str(v) => v.to_string(),
            Attr::Ints(v) => format!("{v:?}"),
            Attr::Floats(v) => format!("{v:?}"),
            Attr::Strs(v) => format!("{v:?}"),
        };
        out += &format!(" {name}={value}");
    }
    out
}
