//! Constants ahead of time: what depends on weights alone is computed once, in f64, and rounded once.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Kind, Tensor};

use super::kernels::{self, Place, RunError};
use super::weights::{Weights, from_torch};
use crate::graph::{self, Graph, NodeId, Op, ValueRef};

/// The values of computed constants (weights themselves are not among them).
pub struct Constants {
    /// Floats in f64, on the CPU.
    values: BTreeMap<ValueRef, Tensor>,
    /// Constant nodes that could not be computed, and why.
    failed: Vec<(NodeId, String)>,
}

impl Constants {
    /// Computes every constant that a non-constant node or a graph output takes and that is no weight itself.
    ///
    /// A constant that cannot be computed (its type, an option that is not supported) is noted, and is no error.
    pub fn of(graph: &Graph, weights: &mut Weights) -> Constants {
        Constants::evaluate(graph, &wanted(graph), weights)
    }

    /// A computed value in f64 (integers and booleans in their own type).
    pub fn get(&self, value: ValueRef) -> Option<&Tensor> {
        self.values.get(&value)
    }

    /// Constant nodes that could not be computed, and why.
    pub fn failed(&self) -> &[(NodeId, String)] {
        &self.failed
    }

    fn evaluate(graph: &Graph, wanted: &BTreeSet<ValueRef>, weights: &mut Weights) -> Constants {
        let order = needed(graph, wanted);
        let mut uses: BTreeMap<ValueRef, usize> = BTreeMap::new();
        for id in &order {
            for operand in graph.node(*id).inputs.iter().flatten() {
                *uses.entry(*operand).or_insert(0) += 1;
            }
        }
        let mut result = Constants { values: BTreeMap::new(), failed: Vec::new() };
        for id in order {
            let node = graph.node(id);
            match result.compute(graph, id, weights) {
                Ok(outputs) => {
                    for (slot, tensor) in outputs.into_iter().enumerate() {
                        result.values.insert(ValueRef { node: id, slot: slot as u32 }, tensor);
                    }
                }
                Err(error) => result.failed.push((id, error.to_string())),
            }
            for operand in node.inputs.iter().flatten() {
                let left = uses.get_mut(operand).expect("every operand was counted");
                *left -= 1;
                if *left == 0 && !wanted.contains(operand) {
                    result.values.remove(operand);
                }
            }
        }
        result.values.retain(|value, _| wanted.contains(value));
        result
    }

    fn compute(&self, graph: &Graph, id: NodeId, weights: &mut Weights) -> Result<Vec<Tensor>, RunError> {
        let node = graph.node(id);
        if let Op::Weight(tensor) = &node.op {
            return match weights.load(tensor, Place::CPU)? {
                Some(t) if tensor.dtype().is_float() => Ok(vec![t.f_to_kind(Kind::Double)?]),
                Some(t) => Ok(vec![t]),
                None => Err(RunError::NotAnOperator(format!("a weight of type {}", tensor.dtype()))),
            };
        }
        let mut inputs = Vec::new();
        for operand in &node.inputs {
            inputs.push(match operand {
                None => None,
                Some(value) => match self.values.get(value) {
                    Some(tensor) => Some(tensor),
                    None => return Err(RunError::NotAnOperator(graph.value_name(*value).to_string())),
                },
            });
        }
        kernels::run(&node.op, &inputs, node.outputs.len(), Place { wide: true, ..Place::CPU })
    }
}

/// Constants, other than weights, that are taken by what is not constant.
fn wanted(graph: &Graph) -> BTreeSet<ValueRef> {
    let mut wanted = BTreeSet::new();
    let mut want = |value: ValueRef| {
        let node = graph.node(value.node);
        if node.constant && !matches!(node.op, Op::Weight(_)) {
            wanted.insert(value);
        }
    };
    for id in graph.topological() {
        let node = graph.node(id);
        if !node.constant {
            node.inputs.iter().flatten().for_each(|value| want(*value));
        }
    }
    graph.outputs().iter().for_each(|output| want(output.value));
    wanted
}

/// The constant nodes that the wanted values need, operands first.
fn needed(graph: &Graph, wanted: &BTreeSet<ValueRef>) -> Vec<NodeId> {
    let mut keep: BTreeSet<NodeId> = BTreeSet::new();
    let mut stack: Vec<NodeId> = wanted.iter().map(|value| value.node).collect();
    while let Some(id) = stack.pop() {
        if keep.insert(id) {
            stack.extend(graph.node(id).inputs.iter().flatten().map(|value| value.node));
        }
    }
    graph.topological().into_iter().filter(|id| keep.contains(id)).collect()
}

/// Constants folded for export.
pub struct Folded {
    /// For each constant value that a non-constant node or a graph output takes and that is no weight itself: its tensor,
    /// computed in f64 and rounded once to the value's type.
    pub tensors: BTreeMap<ValueRef, graph::Tensor>,
    /// Constant nodes that could not be folded, and why: they have to be written as they are.
    pub failed: Vec<(NodeId, String)>,
}

/// Folds a graph's constants for export.
pub fn fold(graph: &Graph) -> Folded {
    fold_with(graph, &mut Weights::default())
}

/// Folds a graph's constants for export, with weights that are loaded already.
pub fn fold_with(graph: &Graph, weights: &mut Weights) -> Folded {
    let mut constants = Constants::of(graph, weights);
    let mut folded = Folded { tensors: BTreeMap::new(), failed: std::mem::take(&mut constants.failed) };
    // Each value is dropped once it is rounded, since f64 takes twice the memory.
    while let Some((value, tensor)) = constants.values.pop_first() {
        let declared = graph.facts(value).ty.as_ref().map(|ty| ty.dtype);
        let made = declared.or_else(|| dtype_of(&tensor)).map(|dtype| from_torch(&tensor, dtype));
        match made {
            Some(Ok(tensor)) => {
                folded.tensors.insert(value, tensor);
            }
            Some(Err(error)) => folded.failed.push((value.node, error.to_string())),
            None => folded.failed.push((value.node, format!("libtorch type {:?}", tensor.kind()))),
        }
    }
    folded
}

fn dtype_of(tensor: &Tensor) -> Option<graph::DType> {
    use graph::DType;
    Some(match tensor.kind() {
        Kind::Double => DType::F64,
        Kind::Float => DType::F32,
        Kind::Half => DType::F16,
        Kind::BFloat16 => DType::BF16,
        Kind::Int64 => DType::I64,
        Kind::Int => DType::I32,
        Kind::Int16 => DType::I16,
        Kind::Int8 => DType::I8,
        Kind::Uint8 => DType::U8,
        Kind::Bool => DType::Bool,
        _ => return None,
    })
}
