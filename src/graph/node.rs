//! Nodes and the values they produce.

use std::fmt;
use std::sync::Arc;

use petgraph::stable_graph::NodeIndex;
use smallvec::SmallVec;

use super::{Facts, Op, Tensor, TensorType};

/// Identity of a node within its graph. The id of a removed node is used again.
pub type NodeId = NodeIndex<u32>;

/// A value: an output of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueRef {
    /// The node that produces it.
    pub node: NodeId,
    /// Which of the node's outputs.
    pub slot: u32,
}

impl ValueRef {
    /// The first output of a node.
    pub fn first(node: NodeId) -> ValueRef {
        ValueRef { node, slot: 0 }
    }
}

impl fmt::Debug for ValueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node.index(), self.slot)
    }
}

/// An output of a node: the name of the value and what is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// Name of the value; empty for an output that the model does not name.
    pub name: Arc<str>,
    /// What is known of it.
    pub facts: Facts,
}

/// The inputs of a node; `None` is an optional input left out.
pub type Inputs = SmallVec<[Option<ValueRef>; 3]>;

/// A node: an operator applied to values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Name; may be empty, and need not be unique.
    pub name: Arc<str>,
    /// What it is.
    pub op: Op,
    /// Operands.
    pub inputs: Inputs,
    /// Results.
    pub outputs: SmallVec<[Output; 1]>,
    /// Whether the value depends on weights alone and may be folded into a weight.
    pub constant: bool,
    /// The node of the model that this was imported from.
    pub origin: Option<u32>,
    /// A digest of `op` and the number of outputs, computed once.
    pub(super) op_digest: u128,
}

impl Node {
    /// A node from its parts.
    pub fn new(
        name: impl Into<Arc<str>>,
        op: Op,
        inputs: impl IntoIterator<Item = Option<ValueRef>>,
        outputs: impl IntoIterator<Item = Output>,
        constant: bool,
    ) -> Node {
        let outputs: SmallVec<[Output; 1]> = outputs.into_iter().collect();
        let op_digest = super::hash::op_digest(&op, outputs.len());
        Node { name: name.into(), op, inputs: inputs.into_iter().collect(), outputs, constant, origin: None, op_digest }
    }

    /// A constant.
    pub fn weight(name: &str, tensor: Tensor) -> Node {
        let ty = TensorType::of(&tensor);
        let elements = tensor.to_i64s(MAX_ELEMENTS).map(|values| values.into_iter().map(super::Dim::Known).collect());
        let output = Output { name: name.into(), facts: Facts { ty: Some(ty), elements } };
        Node::new(name, Op::Weight(tensor), [], [output], true)
    }

    /// A graph input.
    pub fn input(name: &str, facts: Facts) -> Node {
        Node::new(name, Op::Input, [], [Output { name: name.into(), facts }], false)
    }

    /// The type of the first output, if it is known.
    pub fn ty(&self) -> Option<&TensorType> {
        self.outputs.first().and_then(|o| o.facts.ty.as_ref())
    }
}

/// Integer tensors up to this many elements carry their elements in [`Facts`].
pub const MAX_ELEMENTS: u64 = 4096;
