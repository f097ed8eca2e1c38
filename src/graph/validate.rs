//! The invariants of a graph, all checked by [`Graph::validate`]:
//!
//! 1. every operand names an output of a node that exists;
//! 2. edges mirror operands, one each;
//! 3. there is no cycle;
//! 4. inputs are `Op::Input` nodes, each listed once, and no other node is one;
//! 5. graph outputs name values that exist, under names that differ;
//! 6. a constant node has constant operands only, and every weight is constant;
//! 7. names of values that are not empty are unique.

use rustc_hash::FxHashSet;

use super::{Graph, NodeId, Op, ValueRef};

/// A broken invariant.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum InvalidGraph {
    /// An operand that does not exist.
    #[error("node {node:?} input {slot}: no such value")]
    MissingOperand {
        /// Name of the node.
        node: String,
        /// Which input.
        slot: usize,
    },
    /// Edges and operands disagree.
    #[error("edges do not mirror the operands")]
    Edges,
    /// A cycle.
    #[error("node {node:?} depends on itself")]
    Cycle {
        /// Name of a node on the cycle.
        node: String,
    },
    /// The list of inputs and the input nodes disagree.
    #[error("the list of inputs does not match the input nodes ({node:?})")]
    Inputs {
        /// Name of the node.
        node: String,
    },
    /// A graph output that does not exist, or a name used twice.
    #[error("graph output {name:?} is missing or doubled")]
    Output {
        /// Name of the output.
        name: String,
    },
    /// A node marked constant that is not.
    #[error("node {node:?} is marked constant and has an operand that is not")]
    Constant {
        /// Name of the node.
        node: String,
    },
    /// Two values with one name.
    #[error("two values are named {name:?}")]
    DoubledName {
        /// The name.
        name: String,
    },
}

impl Graph {
    /// Checks the invariants listed at the top of this file.
    pub fn validate(&self) -> Result<(), InvalidGraph> {
        let name = |id: NodeId| self.node(id).name.to_string();
        let exists = |v: ValueRef| self.get(v.node).is_some_and(|n| (v.slot as usize) < n.outputs.len());
        let mut edges = Vec::new();
        let mut value_names = FxHashSet::default();
        for id in self.node_ids() {
            let node = self.node(id);
            for (slot, operand) in node.inputs.iter().enumerate() {
                let Some(v) = operand else { continue };
                if !exists(*v) {
                    return Err(InvalidGraph::MissingOperand { node: name(id), slot });
                }
                edges.push((v.node, v.slot, id, slot as u32));
            }
            let operands_constant = node.inputs.iter().flatten().all(|v| self.is_constant(*v));
            let is_weight = matches!(node.op, Op::Weight(_));
            if (node.constant && !operands_constant) || (is_weight && !node.constant) {
                return Err(InvalidGraph::Constant { node: name(id) });
            }
            if matches!(node.op, Op::Input) != self.inputs().contains(&id) {
                return Err(InvalidGraph::Inputs { node: name(id) });
            }
            for output in &node.outputs {
                if !output.name.is_empty() && !value_names.insert(output.name.clone()) {
                    return Err(InvalidGraph::DoubledName { name: output.name.to_string() });
                }
            }
        }
        edges.sort_unstable();
        if edges != self.sorted_edges() {
            return Err(InvalidGraph::Edges);
        }
        let mut output_names = FxHashSet::default();
        for output in self.outputs() {
            if !exists(output.value) || !output_names.insert(output.name.clone()) {
                return Err(InvalidGraph::Output { name: output.name.to_string() });
            }
        }
        self.find_cycle().map_or(Ok(()), |id| Err(InvalidGraph::Cycle { node: name(id) }))
    }

    /// A node on a cycle, if there is one (Kahn's algorithm).
    fn find_cycle(&self) -> Option<NodeId> {
        let mut waiting = vec![0usize; self.id_bound()];
        for id in self.node_ids() {
            waiting[id.index()] = self.node(id).inputs.iter().flatten().count();
        }
        let mut ready: Vec<NodeId> = self.node_ids().filter(|id| waiting[id.index()] == 0).collect();
        while let Some(id) = ready.pop() {
            for user in self.users(id) {
                waiting[user.node.index()] -= 1;
                if waiting[user.node.index()] == 0 {
                    ready.push(user.node);
                }
            }
        }
        self.node_ids().find(|id| waiting[id.index()] > 0)
    }
}
