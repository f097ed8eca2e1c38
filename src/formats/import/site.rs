//! One node of a model as the normalisers see it: its attributes, checked for type, and what is known of its operands.

use crate::formats::model::{ModelAttr, ModelNode};
use crate::formats::opset::{Form, Row};
use crate::graph::{Attr, DType, Dim, Facts, Graph, Op, OpKind, Tensor, TensorType, ValueRef};

/// Lists of integers or floats longer than this are not read from constant operands.
const LIMIT: u64 = 4096;

/// Why a node is not brought to the normal form.
pub(super) enum Refusal {
    /// It is something that we do not cover, or do not understand: the node becomes opaque.
    Opaque(String),
    /// The file contradicts itself.
    Fault {
        /// Which part of the node.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// An error that is already said.
    Error(super::ImportError),
}

pub(super) type Read<T> = Result<T, Refusal>;

/// The node becomes opaque for this reason.
pub(super) fn opaque<T>(reason: impl Into<String>) -> Read<T> {
    Err(Refusal::Opaque(reason.into()))
}

/// The file contradicts itself.
pub(super) fn fault<T>(field: impl Into<String>, problem: impl Into<String>) -> Read<T> {
    Err(Refusal::Fault { field: field.into(), problem: problem.into() })
}

/// An operand of the normal form.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// A value of the graph, or an optional operand left out.
    Given(Option<ValueRef>),
    /// A constant that the file has as an attribute.
    New(&'static str, Tensor),
}

/// The normal form of a node.
#[derive(Clone, Debug)]
pub(super) struct Normal {
    pub kind: OpKind,
    pub attrs: Vec<(&'static str, Attr)>,
    pub inputs: Vec<Operand>,
    pub outputs: usize,
}

impl Normal {
    /// Sets an attribute, over an earlier value if there is one.
    pub fn set(&mut self, name: &'static str, value: Attr) {
        self.remove(name);
        self.attrs.push((name, value));
    }

    pub fn ints(&mut self, name: &'static str, values: &[i64]) {
        self.set(name, Attr::ints(values));
    }

    pub fn int(&mut self, name: &'static str, value: i64) {
        self.set(name, Attr::Int(value));
    }

    /// Drops an attribute that the normal form does not have.
    pub fn remove(&mut self, name: &str) {
        self.attrs.retain(|pair| pair.0 != name);
    }

    /// Keeps the first operands only: the others became attributes.
    pub fn operands(&mut self, count: usize) {
        self.inputs.truncate(count);
    }
}

/// What is known of integers that are an attribute or an operand.
pub(super) enum Moved {
    /// Their values; `None` if they are left out.
    Given(Option<Vec<i64>>),
    /// An operand that is not constant.
    Computed,
}

/// A node of a model, with what is known of its operands.
pub(super) struct Site<'a> {
    pub node: &'a ModelNode,
    pub row: &'static Row,
    pub opset: i64,
    pub graph: &'a Graph,
    /// Operands, without trailing ones left out.
    pub inputs: &'a [Option<ValueRef>],
    /// For each output of the node, whether anything uses it.
    pub used: &'a [bool],
}

impl<'a> Site<'a> {
    /// The node as the table of operators describes it: attributes checked, defaults filled in, operands as they are.
    pub fn plain(&self) -> Read<Normal> {
        for name in self.node.attrs.keys() {
            if self.row.attribute(name, self.opset).is_none() {
                return opaque(format!("{} of opset {} has no attribute {name:?}", self.row.name, self.opset));
            }
        }
        let mut attrs = Vec::new();
        for attribute in self.row.attributes(self.opset) {
            let name = attribute.name;
            let missing = || opaque(format!("attribute {name:?} is missing"));
            let value = match attribute.form {
                Form::Int(default) => Some(Attr::Int(self.given_int(name)?.unwrap_or(default))),
                Form::Float(default) => Some(Attr::Float(self.given_float(name)?.unwrap_or(default))),
                Form::Text(default) => Some(Attr::str(self.given_text(name)?.unwrap_or(default))),
                Form::NeedInt | Form::AnyInt => self.given_int(name)?.map(Attr::Int),
                Form::AnyFloat => self.given_float(name)?.map(Attr::Float),
                Form::NeedText => self.given_text(name)?.map(Attr::str),
                Form::NeedInts | Form::AnyInts => self.given_ints(name)?.map(Attr::ints),
                Form::NeedFloats | Form::AnyFloats => self.given_floats(name)?.map(|v| Attr::Floats(v.into())),
                Form::AnyTexts => self.given_texts(name)?.map(Attr::Strs),
                Form::AnyTensor => None,
            };
            let needed = matches!(attribute.form, Form::NeedInt | Form::NeedText | Form::NeedInts | Form::NeedFloats);
            match value {
                Some(value) => attrs.push((name, value)),
                None if needed => return missing(),
                None => {}
            }
        }
        let inputs = self.inputs.iter().map(|&v| Operand::Given(v)).collect();
        let named = self.node.outputs.iter().rposition(|name| !name.is_empty()).map_or(1, |last| last + 1);
        Ok(Normal { kind: self.row.kind, attrs, inputs, outputs: named })
    }

    fn wrong_type<T>(&self, name: &str, expected: &str) -> Read<T> {
        opaque(format!("attribute {name:?} is not {expected}"))
    }

    fn given_int(&self, name: &str) -> Read<Option<i64>> {
        match self.node.attrs.get(name) {
            None => Ok(None),
            Some(ModelAttr::Int(v)) => Ok(Some(*v)),
            Some(_) => self.wrong_type(name, "an integer"),
        }
    }

    fn given_float(&self, name: &str) -> Read<Option<f32>> {
        match self.node.attrs.get(name) {
            None => Ok(None),
            Some(ModelAttr::Float(v)) => Ok(Some(*v)),
            Some(_) => self.wrong_type(name, "a float"),
        }
    }

    fn given_text(&self, name: &str) -> Read<Option<&'a str>> {
        match self.node.attrs.get(name) {
            None => Ok(None),
            Some(ModelAttr::Str(v)) => match std::str::from_utf8(v) {
                Ok(text) => Ok(Some(text)),
                Err(_) => self.wrong_type(name, "UTF-8 text"),
            },
            Some(_) => self.wrong_type(name, "a text"),
        }
    }

    fn given_ints(&self, name: &str) -> Read<Option<&'a [i64]>> {
        match self.node.attrs.get(name) {
            None => Ok(None),
            Some(ModelAttr::Ints(v)) => Ok(Some(v)),
            // An empty list has no type of its own in a JSON file.
            Some(ModelAttr::Floats(v)) if v.is_empty() => Ok(Some(&[])),
            Some(_) => self.wrong_type(name, "a list of integers"),
        }
    }

    fn given_floats(&self, name: &str) -> Read<Option<&'a [f32]>> {
        match self.node.attrs.get(name) {
            None => Ok(None),
            Some(ModelAttr::Floats(v)) => Ok(Some(v)),
            Some(ModelAttr::Ints(v)) if v.is_empty() => Ok(Some(&[])),
            Some(_) => self.wrong_type(name, "a list of floats"),
        }
    }

    fn given_texts(&self, name: &str) -> Read<Option<std::sync::Arc<[std::sync::Arc<str>]>>> {
        match self.node.attrs.get(name) {
            None => Ok(None),
            Some(ModelAttr::Strs(v)) => {
                let texts: Result<Vec<_>, _> = v.iter().map(|s| std::str::from_utf8(s).map(Into::into)).collect();
                texts.map_or_else(|_| self.wrong_type(name, "a list of UTF-8 texts"), |texts| Ok(Some(texts.into())))
            }
            Some(_) => self.wrong_type(name, "a list of texts"),
        }
    }

    /// An integer attribute that the file gives.
    pub fn int(&self, name: &str) -> Read<Option<i64>> {
        self.given_int(name)
    }

    /// A text attribute that the file gives.
    pub fn text(&self, name: &str) -> Read<Option<&'a str>> {
        self.given_text(name)
    }

    /// Integers that the file gives as an attribute.
    pub fn ints(&self, name: &str) -> Read<Option<&'a [i64]>> {
        self.given_ints(name)
    }

    /// Integers that are an attribute in early operator sets, and the operand at `index` in later ones.
    pub fn moved_ints(&self, name: &str, index: usize) -> Read<Moved> {
        if self.knows(name) {
            return Ok(Moved::Given(self.ints(name)?.map(<[i64]>::to_vec)));
        }
        if !self.has(index) {
            return Ok(Moved::Given(None));
        }
        Ok(self.const_ints(index).map_or(Moved::Computed, |values| Moved::Given(Some(values))))
    }

    /// A tensor attribute.
    pub fn tensor(&self, name: &str) -> Read<Option<&'a Tensor>> {
        match self.node.attrs.get(name) {
            None => Ok(None),
            Some(ModelAttr::Tensor(t)) => Ok(Some(t)),
            Some(_) => self.wrong_type(name, "a tensor"),
        }
    }

    /// Whether an operand is there.
    pub fn has(&self, index: usize) -> bool {
        matches!(self.inputs.get(index), Some(Some(_)))
    }

    /// Whether the operator set has this attribute for the operator.
    pub fn knows(&self, name: &str) -> bool {
        self.row.attribute(name, self.opset).is_some()
    }

    fn facts(&self, index: usize) -> Option<&'a Facts> {
        Some(self.graph.facts((*self.inputs.get(index)?)?))
    }

    /// The type of an operand.
    pub fn ty(&self, index: usize) -> Option<&'a TensorType> {
        self.facts(index)?.ty.as_ref()
    }

    /// The element type of an operand.
    pub fn dtype(&self, index: usize) -> Option<DType> {
        self.ty(index).map(|ty| ty.dtype)
    }

    /// Number of dimensions of an operand.
    pub fn rank(&self, index: usize) -> Option<usize> {
        self.ty(index).map(TensorType::rank)
    }

    /// Number of dimensions of an operand without which the node has no normal form.
    pub fn need_rank(&self, index: usize) -> Read<usize> {
        match self.rank(index) {
            Some(rank) => Ok(rank),
            None => opaque(format!("the rank of input {index} is not known")),
        }
    }

    /// The elements of an integer operand, if all are numbers.
    pub fn const_ints(&self, index: usize) -> Option<Vec<i64>> {
        let facts = self.facts(index)?;
        if !matches!(facts.ty.as_ref()?.dtype, DType::I64 | DType::I32) {
            return None;
        }
        facts.elements.as_ref()?.iter().map(Dim::known).collect()
    }

    /// The elements of an operand that is a floating-point weight.
    pub fn const_floats(&self, index: usize) -> Option<Vec<f64>> {
        self.weight(index)?.to_f64s(LIMIT)
    }

    /// The one element of a constant operand of any number type, if it is an f32 exactly.
    pub fn const_f32(&self, index: usize) -> Option<f32> {
        let values = match self.const_floats(index) {
            Some(values) => values,
            None => self.weight(index)?.to_i64s(1)?.into_iter().map(|v| v as f64).collect(),
        };
        let [value] = values[..] else { return None };
        (f64::from(value as f32).to_bits() == value.to_bits() || value.is_nan()).then_some(value as f32)
    }

    /// The one element of a constant boolean operand.
    pub fn const_bool(&self, index: usize) -> Option<bool> {
        match self.weight(index)?.to_i64s(1)?[..] {
            [value] => Some(value != 0),
            _ => None,
        }
    }

    fn weight(&self, index: usize) -> Option<&'a Tensor> {
        match &self.graph.node((*self.inputs.get(index)?)?.node).op {
            Op::Weight(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Makes an axis non-negative where the rank is known.
    pub fn axis(&self, axis: i64, rank: Option<usize>) -> i64 {
        match rank {
            Some(rank) if axis < 0 => axis.saturating_add(rank as i64),
            _ => axis,
        }
    }

    /// Makes the `axis` of a normal form non-negative where the rank of an operand is known.
    pub fn settle_axis(&self, normal: &mut Normal, index: usize) {
        for (name, value) in &mut normal.attrs {
            if let ("axis", Attr::Int(axis)) = (*name, value) {
                *axis = self.axis(*axis, self.rank(index));
            }
        }
    }

    /// Whether an output beyond the first is used.
    pub fn uses_more_than_one(&self) -> bool {
        self.used.iter().skip(1).any(|&used| used)
    }
}
