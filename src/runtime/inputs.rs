//! Random inputs that suit what a graph does with them: valid indices for gathers, masks of zeros and ones, normal floats.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Kind, Tensor};

use super::available::check_available;
use super::kernels::{Place, RunError};
use super::weights::to_torch;
use crate::graph::{self, Data, Dim, Graph, Init, OpKind, TensorType, ValueRef, splitmix64};

/// What a value that is drawn at random may hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// Normal floats with mean 0 and deviation 1; small integers; booleans.
    Plain,
    /// Floats in [0.5, 2), for values that go into a logarithm or a root.
    Positive,
    /// Integers in [0, n) for the smallest of these n.
    Index(Vec<Dim>),
    /// Integers in [1, n] for the smallest of these n: lengths of sequences, numbers of elements.
    Length(Vec<Dim>),
    /// Zeros and ones, the first along the last axis a one, so that no row is masked whole.
    Mask,
}

/// What a graph does with one of its values, found by following it through operators that only move elements.
pub fn role(graph: &Graph, value: ValueRef) -> Role {
    let Some(ty) = &graph.facts(value).ty else { return Role::Plain };
    let (mut index, mut length, mut positive, mut masks) = (Vec::new(), Vec::new(), false, false);
    let mut seen = BTreeSet::from([value]);
    let mut stack = vec![value];
    while let Some(at) = stack.pop() {
        for user in graph.consumers(at) {
            let node = graph.node(user.node);
            let Some(kind) = node.op.kind() else { continue };
            let operand = |slot: usize| node.inputs.get(slot).copied().flatten();
            let shape = |slot: usize| operand(slot).and_then(|v| graph.facts(v).ty.as_ref()).map(|ty| ty.shape.clone());
            let slot = user.slot as usize;
            match (kind, slot) {
                (OpKind::Gather | OpKind::GatherElements, 1) => {
                    let axis = node.op.int("axis").unwrap_or(0);
                    index.extend(shape(0).and_then(|s| s.get(usize::try_from(axis).ok()?).cloned()));
                }
                (OpKind::GatherND, 1) => {
                    let batch = usize::try_from(node.op.int("batch_dims").unwrap_or(0)).unwrap_or(0);
                    index.extend(shape(0).iter().flat_map(|s| s.iter().skip(batch).cloned()));
                }
                (OpKind::LSTM | OpKind::GRU, 4) => length.extend(shape(0).and_then(|s| s.first().cloned())),
                (OpKind::TopK, 1) => {
                    let axis = node.op.int("axis").unwrap_or(-1);
                    length.extend(shape(0).and_then(|s| s.get(usize::try_from(axis).ok()?).cloned()));
                }
                (OpKind::Log | OpKind::Sqrt, 0) => positive = true,
                (OpKind::Where, 0) => masks = true,
                (kind, slot) if carries(kind, slot) => {
                    for slot in 0..node.outputs.len() {
                        let next = ValueRef { node: user.node, slot: slot as u32 };
                        if seen.insert(next) {
                            stack.push(next);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    let named_mask = graph.value_name(value).to_lowercase().contains("mask");
    if ty.dtype.is_float() {
        return if positive { Role::Positive } else { Role::Plain };
    }
    match (index.is_empty(), length.is_empty()) {
        (false, _) => Role::Index(index),
        (true, false) => Role::Length(length),
        (true, true) if masks || named_mask || ty.dtype == graph::DType::Bool => Role::Mask,
        (true, true) => Role::Plain,
    }
}

/// Whether an operator hands the elements of this operand on.
fn carries(kind: OpKind, slot: usize) -> bool {
    use OpKind as K;
    match kind {
        K::Identity
        | K::Dropout
        | K::Cast
        | K::Reshape
        | K::Flatten
        | K::Squeeze
        | K::Unsqueeze
        | K::Expand
        | K::Tile
        | K::Slice
        | K::Transpose
        | K::Split
        | K::Gather => slot == 0,
        K::Concat => true,
        K::Where => slot > 0,
        _ => false,
    }
}

/// A value that cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// A dimension is an expression with unbound names.
    #[error("dimension {dim} of {name:?} has no size")]
    Unbound {
        /// Name of the value.
        name: String,
        /// The dimension.
        dim: String,
    },
    /// The type is not known.
    #[error("the type of {name:?} is not known")]
    Untyped {
        /// Name of the value.
        name: String,
    },
    /// libtorch or memory.
    #[error("{name:?}: {error}")]
    Make {
        /// Name of the value.
        name: String,
        /// Why.
        error: RunError,
    },
}

/// A random tensor on the CPU for a value, in the value's own type. The same seed, type and role give the same tensor.
///
/// # Errors
/// [`DrawError`].
pub fn draw(graph: &Graph, value: ValueRef, sizes: &BTreeMap<String, i64>, seed: u64) -> Result<Tensor, DrawError> {
    let name = || graph.value_name(value).to_string();
    let ty = graph.facts(value).ty.as_ref().ok_or_else(|| DrawError::Untyped { name: name() })?;
    let mut shape = Vec::new();
    for dim in ty.shape.iter() {
        let bound = dim.bind(sizes);
        match bound.known() {
            Some(size) if size >= 0 => shape.push(size),
            _ => return Err(DrawError::Unbound { name: name(), dim: bound.to_string() }),
        }
    }
    make(ty, &shape, &role(graph, value), sizes, seed).map_err(|error| DrawError::Make { name: name(), error })
}

fn make(
    ty: &TensorType,
    shape: &[i64],
    role: &Role,
    sizes: &BTreeMap<String, i64>,
    seed: u64,
) -> Result<Tensor, RunError> {
    let dims: Vec<u64> = shape.iter().map(|&d| d as u64).collect();
    let count = graph::element_count(&dims).filter(|&n| n < 1 << 34);
    let count = count.ok_or_else(|| RunError::Torch(format!("a tensor of shape {shape:?} is too large")))?;
    if ty.dtype.is_float() {
        let init = match role {
            Role::Positive => Init::Uniform { seed, low: 0.5, high: 2.0 },
            _ => Init::Normal { seed, std: 1.0 },
        };
        let drawn = graph::Tensor::new(ty.dtype, &dims, Data::Init(init));
        let drawn = drawn.map_err(|e| RunError::Torch(e.to_string()))?;
        return to_torch(&drawn)?.ok_or_else(|| RunError::NotAnOperator(ty.dtype.to_string()));
    }
    let least = |dims: &[Dim]| dims.iter().filter_map(|d| d.bind(sizes).known()).min().unwrap_or(1).max(1) as u64;
    let width = shape.last().copied().unwrap_or(1).max(1) as u64;
    let element = |i: u64| -> i64 {
        let random = splitmix64(seed, i) >> 11;
        match role {
            Role::Index(dims) => (random % least(dims)) as i64,
            Role::Length(dims) => 1 + (random % least(dims)) as i64,
            Role::Mask if i.is_multiple_of(width) => 1,
            Role::Mask => (random % 2) as i64,
            // Never 0, which could end up as a divisor or as a size.
            Role::Plain | Role::Positive => 1 + (random % 3) as i64,
        }
    };
    check_available(&format!("a tensor of shape {shape:?}"), count * 8)?;
    let values: Vec<i64> = (0..count).map(element).collect();
    let kind = Place::CPU.kind(ty.dtype).unwrap_or(Kind::Int64);
    Ok(Tensor::f_from_slice(&values)?.f_reshape(shape)?.f_to_kind(kind)?)
}

/// Random tensors for all inputs of a graph.
///
/// # Errors
/// [`DrawError`].
pub fn draw_inputs(graph: &Graph, sizes: &BTreeMap<String, i64>, seed: u64) -> Result<Vec<Tensor>, DrawError> {
    let seeds = |i: usize| splitmix64(seed, i as u64);
    graph.inputs().iter().enumerate().map(|(i, &id)| draw(graph, ValueRef::first(id), sizes, seeds(i))).collect()
}

/// Sizes for a graph's named dimensions to try one after the other: those given, and for the others several sizes (all
/// the same within one try, since names that differ often have to agree; batches are smaller).
pub fn size_sets(graph: &Graph, given: &BTreeMap<String, i64>) -> Vec<BTreeMap<String, i64>> {
    let mut names = BTreeSet::new();
    for &id in graph.inputs() {
        let ty = graph.facts(ValueRef::first(id)).ty.as_ref();
        names.extend(ty.iter().flat_map(|ty| ty.shape.iter()).filter_map(|d| d.as_symbol().map(str::to_owned)));
    }
    names.retain(|name| !given.contains_key(name));
    if names.is_empty() {
        return vec![given.clone()];
    }
    // Images of convolutional networks come last: they are dear, and small sizes do for most.
    let tries = [(2, 8), (1, 12), (3, 16), (1, 32), (1, 64), (1, 128), (1, 224)];
    let batch = |name: &str| name.eq_ignore_ascii_case("n") || name.to_lowercase().contains("batch");
    let set = |(small, large): (i64, i64)| {
        let size = |name: &String| (name.clone(), if batch(name) { small } else { large });
        given.clone().into_iter().chain(names.iter().map(size)).collect()
    };
    tries.into_iter().map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{DType, Facts, Node, Output};
    use crate::ops;

    fn typed(dtype: DType, shape: &[Dim]) -> Facts {
        Facts { ty: Some(TensorType::new(dtype, shape.to_vec())), elements: None }
    }

    fn embedding() -> (Graph, ValueRef, ValueRef) {
        let mut graph = Graph::new("g");
        let (n, five) = (Dim::symbol("seq"), Dim::Known(5));
        let ids = ValueRef::first(graph.add_input("ids", typed(DType::I64, std::slice::from_ref(&n))));
        let mask = ValueRef::first(graph.add_input("attention_mask", typed(DType::I64, &[Dim::Known(2), n.clone()])));
        let table = graph::Tensor::new(DType::F32, &[5, 3], Data::Init(Init::Ones)).unwrap();
        let table = ValueRef::first(graph.add_node(Node::weight("table", table)));
        let out = |name: &str, facts| Output { name: name.into(), facts };
        let cast = ops::build(OpKind::Cast, vec![("to", graph::Attr::Int(6))]).unwrap();
        let facts = typed(DType::I32, std::slice::from_ref(&n));
        let cast = ValueRef::first(graph.add_node(Node::new("c", cast, [Some(ids)], [out("c", facts)], false)));
        let gather = ops::build(OpKind::Gather, vec![("axis", graph::Attr::Int(0))]).unwrap();
        let facts = typed(DType::F32, &[n, Dim::Known(3)]);
        let gather = graph.add_node(Node::new("g", gather, [Some(table), Some(cast)], [out("y", facts)], false));
        graph.add_output("y", ValueRef::first(gather));
        assert_eq!(role(&graph, ids), Role::Index(vec![five]));
        (graph, ids, mask)
    }

    #[test]
    fn indices_are_valid_and_masks_leave_something() {
        let (graph, ids, mask) = embedding();
        let sizes = BTreeMap::from([("seq".to_owned(), 200)]);
        let ids = Vec::<i64>::try_from(&draw(&graph, ids, &sizes, 7).unwrap()).unwrap();
        assert_eq!((ids.len(), ids.iter().min(), ids.iter().max()), (200, Some(&0), Some(&4)));
        assert_eq!(role(&graph, mask), Role::Mask);
        let drawn = Vec::<Vec<i64>>::try_from(&draw(&graph, mask, &sizes, 7).unwrap()).unwrap();
        assert!(drawn.iter().all(|row| row[0] == 1 && row.contains(&0) && row.iter().all(|v| (0..2).contains(v))));
        assert!(draw(&graph, mask, &BTreeMap::new(), 7).unwrap_err().to_string().contains("seq"));
    }

    #[test]
    fn named_dimensions_get_several_sizes_and_given_ones_stay() {
        let (graph, ..) = embedding();
        let sets = size_sets(&graph, &BTreeMap::new());
        assert!(sets.len() > 2 && sets[0]["seq"] != sets[1]["seq"]);
        let given = BTreeMap::from([("seq".to_owned(), 9)]);
        assert_eq!(size_sets(&graph, &given), vec![given]);
    }
}
