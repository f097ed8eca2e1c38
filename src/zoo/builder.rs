//! Writes models node by node, with the names that a framework's exporter gives: a node of module `layer1.0.conv1` is
//! `/layer1.0/conv1/Conv`, its value `/layer1.0/conv1/Conv_output_0`, its weight `layer1.0.conv1.weight`.

use std::collections::HashMap;

use bytes::Bytes;
use indexmap::IndexMap;

use super::ZooError;
use super::moments::Moments;
use crate::formats::model::{DeclaredDim, DeclaredType, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight};
use crate::graph::{DType, Data, Init, Tensor};

/// A value of the model under construction: its name, its shape and what its elements look like.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) moments: Moments,
}

impl Value {
    /// Size along `axis`.
    pub(super) fn dim(&self, axis: usize) -> u64 {
        self.shape[axis]
    }

    /// Size along the last axis.
    pub(super) fn last(&self) -> u64 {
        *self.shape.last().expect("a value with at least one axis")
    }

    /// Number of axes.
    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }
}

/// A model under construction. The first error sticks and comes out of [`Builder::finish`], so that architectures read
/// straight through.
pub(super) struct Builder {
    model: Model,
    used: HashMap<String, u32>,
    seed: u64,
    error: Option<ZooError>,
}

impl Builder {
    /// An empty model of opset 17.
    pub(super) fn new(name: &str) -> Builder {
        let opset_import = IndexMap::from([(String::new(), 17)]);
        let model = Model { name: name.into(), opset_import, ..Model::default() };
        Builder { model, used: HashMap::new(), seed: 0, error: None }
    }

    /// Records that the sizes do not fit the architecture; the first complaint is the one that the caller sees.
    pub(super) fn fail(&mut self, at: &str, reason: impl Into<String>) {
        let error = ZooError::DoesNotFit { model: self.model.name.clone(), at: at.into(), reason: reason.into() };
        self.error.get_or_insert(error);
    }

    /// Complains unless `divisor` divides `n`; the quotient otherwise (1 after a complaint).
    pub(super) fn quotient(&mut self, at: &str, n: u64, divisor: u64) -> u64 {
        if divisor == 0 || !n.is_multiple_of(divisor) || n == 0 {
            self.fail(at, format!("{divisor} does not divide {n}"));
            return 1;
        }
        n / divisor
    }

    fn unique(&mut self, wanted: String) -> String {
        let count = self.used.entry(wanted.clone()).or_insert(0);
        *count += 1;
        match *count {
            1 => wanted,
            n => {
                let name = format!("{wanted}_{}", n - 1);
                self.used.insert(name.clone(), 1);
                name
            }
        }
    }

    /// A graph input.
    pub(super) fn input(&mut self, name: &str, dtype: DType, shape: &[u64]) -> Value {
        self.model.inputs.push(declare(name, dtype, shape));
        self.used.insert(name.into(), 1);
        Value { name: name.into(), shape: shape.into(), moments: Moments::UNIT }
    }

    fn add_weight(
        &mut self,
        name: String,
        tensor: Result<Tensor, crate::graph::TensorError>,
        moments: Moments,
    ) -> Value {
        let (shape, weight) = match tensor {
            Ok(tensor) => (tensor.shape().to_vec(), Some(tensor)),
            Err(source) => {
                let model = self.model.name.clone();
                self.error.get_or_insert(ZooError::Tensor { model, weight: name.clone(), source });
                (vec![1; 4], None)
            }
        };
        if let Some(tensor) = weight {
            let weight = Weight { tensor, doc: String::new(), storage: Storage::Inline, metadata: Vec::new() };
            self.model.weights.insert(name.clone(), weight);
        }
        Value { name, shape, moments }
    }

    fn drawn(&mut self, name: &str, shape: &[u64], init: Init, moments: Moments) -> Value {
        let name = self.unique(name.into());
        self.add_weight(name, Tensor::new(DType::F32, shape, Data::Init(init)), moments)
    }

    /// A parameter drawn from a normal distribution. Each parameter has a seed of its own.
    pub(super) fn normal(&mut self, name: &str, shape: &[u64], std: f64) -> Value {
        self.seed += 1;
        let std = four_digits(std);
        self.drawn(name, shape, Init::Normal { seed: self.seed, std }, Moments::new(0.0, std * std))
    }

    /// A parameter drawn uniformly from `[low, high)`.
    pub(super) fn uniform(&mut self, name: &str, shape: &[u64], low: f64, high: f64) -> Value {
        self.seed += 1;
        let (low, high) = (four_digits(low), four_digits(high));
        let moments = Moments::new(0.5 * (low + high), (high - low) * (high - low) / 12.0);
        self.drawn(name, shape, Init::Uniform { seed: self.seed, low, high }, moments)
    }

    /// A matrix of ones: not a parameter, but what masks are cut from.
    pub(super) fn ones(&mut self, scope: &str, shape: &[u64]) -> Value {
        self.drawn(&constant_name(scope), shape, Init::Ones, Moments::new(1.0, 0.0))
    }

    /// A constant of 64-bit integers, as exporters write shapes and indices.
    pub(super) fn ints(&mut self, scope: &str, shape: &[u64], values: &[i64]) -> Value {
        let name = self.unique(constant_name(scope));
        self.add_weight(name, Tensor::from_i64s(shape, values), Moments::UNIT)
    }

    /// A constant of 32-bit floats.
    pub(super) fn floats(&mut self, scope: &str, shape: &[u64], values: &[f32]) -> Value {
        let name = self.unique(constant_name(scope));
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64;
        self.add_weight(name, Tensor::from_f32s(shape, values), Moments::new(mean, 0.0))
    }

    /// A scalar.
    pub(super) fn scalar(&mut self, scope: &str, value: f32) -> Value {
        self.floats(scope, &[], &[value])
    }

    /// A node with one output of the given shape.
    pub(super) fn node(
        &mut self,
        scope: &str,
        op: &str,
        inputs: &[&Value],
        attrs: &[(&str, ModelAttr)],
        shape: &[u64],
        moments: Moments,
    ) -> Value {
        let mut outputs = self.nodes(scope, op, inputs, attrs, &[shape.to_vec()], moments);
        outputs.pop().expect("one output was asked for")
    }

    /// A node with several outputs.
    pub(super) fn nodes(
        &mut self,
        scope: &str,
        op: &str,
        inputs: &[&Value],
        attrs: &[(&str, ModelAttr)],
        shapes: &[Vec<u64>],
        moments: Moments,
    ) -> Vec<Value> {
        let name = self.unique(format!("{}/{op}", module_path(scope)));
        let outputs: Vec<Value> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| Value { name: format!("{name}_output_{i}"), shape: shape.clone(), moments })
            .collect();
        self.model.nodes.push(ModelNode {
            name,
            op: op.into(),
            inputs: inputs.iter().map(|v| v.name.clone()).collect(),
            outputs: outputs.iter().map(|v| v.name.clone()).collect(),
            attrs: attrs.iter().map(|(name, attr)| (name.to_string(), attr.clone())).collect(),
            ..ModelNode::default()
        });
        outputs
    }

    /// The model, with these values as its outputs under these names.
    pub(super) fn finish(mut self, outputs: &[(&str, &Value)]) -> Result<Model, ZooError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let names: HashMap<&str, &str> = outputs.iter().map(|(name, v)| (v.name.as_str(), *name)).collect();
        for node in &mut self.model.nodes {
            for name in node.inputs.iter_mut().chain(&mut node.outputs) {
                if let Some(&public) = names.get(name.as_str()) {
                    *name = public.into();
                }
            }
        }
        self.model.outputs = outputs.iter().map(|(name, v)| declare(name, DType::F32, &v.shape)).collect();
        Ok(self.model)
    }
}

fn declare(name: &str, dtype: DType, shape: &[u64]) -> ValueInfo {
    let shape = Some(shape.iter().map(|&n| DeclaredDim::Size(n)).collect());
    ValueInfo { name: name.into(), ty: Some(DeclaredType { dtype, shape }), doc: String::new(), proto: None }
}

/// `layer1.0.conv1` as the path of a node: `/layer1.0/conv1` (an index stays with the name of its list).
fn module_path(scope: &str) -> String {
    let mut path = String::new();
    for part in scope.split('.').filter(|part| !part.is_empty()) {
        let is_index = part.bytes().all(|b| b.is_ascii_digit());
        path.push(if is_index && !path.is_empty() { '.' } else { '/' });
        path.push_str(part);
    }
    path
}

fn constant_name(scope: &str) -> String {
    format!("{}/Constant_output_0", module_path(scope))
}

/// The nearest number of four significant digits, so that model files are short to read.
fn four_digits(x: f64) -> f64 {
    format!("{x:.3e}").parse().expect("a formatted number parses")
}

/// An `INT` attribute.
pub(super) fn int(value: i64) -> ModelAttr {
    ModelAttr::Int(value)
}

/// An `INTS` attribute.
pub(super) fn ints(values: &[u64]) -> ModelAttr {
    ModelAttr::Ints(values.iter().map(|&v| v as i64).collect())
}

/// A `FLOAT` attribute.
pub(super) fn float(value: f32) -> ModelAttr {
    ModelAttr::Float(value)
}

/// A `STRING` attribute.
pub(super) fn string(value: &str) -> ModelAttr {
    ModelAttr::Str(Bytes::copy_from_slice(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_exporters_give_them() {
        assert_eq!(module_path("layer1.0.conv1"), "/layer1.0/conv1");
        assert_eq!(module_path(""), "");
        let mut b = Builder::new("t");
        let x = b.input("x", DType::F32, &[2]);
        let y = b.node("a.1", "Relu", &[&x], &[], &[2], Moments::UNIT);
        let z = b.node("a.1", "Relu", &[&y], &[], &[2], Moments::UNIT);
        assert_eq!((y.name.as_str(), z.name.as_str()), ("/a.1/Relu_output_0", "/a.1/Relu_1_output_0"));
        let model = b.finish(&[("out", &z)]).unwrap();
        assert_eq!(model.nodes[1].outputs, ["out"]);
        assert_eq!(model.nodes[1].inputs, ["/a.1/Relu_output_0"]);
    }

    #[test]
    fn the_first_complaint_is_reported() {
        let mut b = Builder::new("t");
        let x = b.input("x", DType::F32, &[2]);
        b.quotient("heads", 10, 3);
        b.fail("later", "also wrong");
        let error = b.finish(&[("x", &x)]).unwrap_err();
        assert_eq!(error.to_string(), "model t at heads: 3 does not divide 10");
    }
}
