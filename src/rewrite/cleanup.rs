//! The clean-up that every edit ends in: dead code, common subexpressions, and applications that pass an operand
//! through. It keeps the function and never costs anything, so it is no rule and no choice.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::graph::{Facts, Graph, Node, NodeId, Op, ValueRef};

use super::identity::passes_through;

/// What a clean-up did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CleanUp {
    /// Nodes that nothing needed, constants included.
    pub dead: usize,
    /// Nodes that computed what another node computes.
    pub merged: usize,
    /// Nodes that passed an operand through.
    pub passed_through: usize,
}

impl CleanUp {
    /// Both together.
    pub fn plus(self, other: CleanUp) -> CleanUp {
        CleanUp {
            dead: self.dead + other.dead,
            merged: self.merged + other.merged,
            passed_through: self.passed_through + other.passed_through,
        }
    }
}

/// Cleans up the whole graph.
pub fn clean_up(graph: &mut Graph) -> CleanUp {
    let mut done = merge_weights(graph);
    let mut worklist: Vec<NodeId> = graph.node_ids().collect();
    let order = graph.topological();
    // Users are looked at after their operands, so that twins meet.
    worklist.retain(|id| !order.contains(id));
    worklist.extend(order.into_iter().rev());
    done = done.plus(clean_up_from(graph, worklist));
    done
}

/// Cleans up what can have changed around the nodes of `worklist` (taken from its end).
pub(super) fn clean_up_from(graph: &mut Graph, mut worklist: Vec<NodeId>) -> CleanUp {
    let mut done = CleanUp::default();
    while let Some(id) = worklist.pop() {
        let Some(node) = graph.get(id) else { continue };
        if matches!(node.op, Op::Input) {
            continue;
        }
        if graph.use_count(id) == 0 && !graph.feeds_output(id) {
            worklist.extend(node.inputs.iter().flatten().map(|v| v.node));
            graph.remove_node(id);
            done.dead += 1;
        } else if let Some(value) = operand_passed_through(graph, node) {
            done.passed_through += 1;
            replace(graph, id, &[value], &mut worklist);
        } else if let Some(twin) = find_twin(graph, id, node) {
            done.merged += 1;
            let values: SmallVec<[ValueRef; 2]> =
                (0..node.outputs.len() as u32).map(|slot| ValueRef { node: twin, slot }).collect();
            replace(graph, id, &values, &mut worklist);
        }
    }
    done
}

/// Redirects all uses of a node's outputs to `values` and removes it; names go along where the new value has none.
fn replace(graph: &mut Graph, id: NodeId, values: &[ValueRef], worklist: &mut Vec<NodeId>) {
    for (slot, value) in values.iter().enumerate() {
        let old = ValueRef { node: id, slot: slot as u32 };
        worklist.extend(graph.consumers(old).iter().map(|u| u.node));
        graph.replace_uses(old, *value);
        let name = graph.value_name(old).clone();
        if !name.is_empty() && graph.value_name(*value).is_empty() {
            graph.rename_value(old, "".into());
            graph.rename_value(*value, name);
        }
    }
    worklist.extend(graph.node(id).inputs.iter().flatten().map(|v| v.node));
    graph.remove_node(id);
}

fn operand_passed_through(graph: &Graph, node: &Node) -> Option<ValueRef> {
    let inputs: SmallVec<[Option<&Facts>; 4]> = node.inputs.iter().map(|v| v.map(|v| graph.facts(v))).collect();
    let outputs: SmallVec<[Facts; 1]> = node.outputs.iter().map(|o| o.facts.clone()).collect();
    passes_through(&node.op, &inputs, &outputs).and_then(|at| node.inputs[at])
}

/// Another node with the same operator and operands. Opaque nodes are never equal, so never merged.
fn find_twin(graph: &Graph, id: NodeId, node: &Node) -> Option<NodeId> {
    if !matches!(node.op, Op::Apply(..)) {
        return None;
    }
    let first = node.inputs.iter().flatten().next()?;
    let users = graph.consumers(*first);
    let twin = |other: &NodeId| {
        let candidate = graph.node(*other);
        *other != id
            && candidate.inputs == node.inputs
            && candidate.outputs.len() == node.outputs.len()
            && candidate.op == node.op
    };
    users.iter().map(|u| u.node).find(twin)
}

/// Merges weights of equal content.
fn merge_weights(graph: &mut Graph) -> CleanUp {
    let mut done = CleanUp::default();
    let mut first: FxHashMap<u128, NodeId> = FxHashMap::default();
    let ids: Vec<NodeId> = graph.node_ids().collect();
    for id in ids {
        let Op::Weight(tensor) = &graph.node(id).op else { continue };
        let keeper = *first.entry(tensor.digest()).or_insert(id);
        if keeper != id {
            graph.replace_uses(ValueRef::first(id), ValueRef::first(keeper));
            if !graph.feeds_output(id) {
                graph.remove_node(id);
                done.merged += 1;
            }
        }
    }
    done
}
