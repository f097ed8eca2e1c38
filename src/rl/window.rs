//! A piece of a graph as a graph of its own.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::graph::{Graph, Node, NodeId, Op, ValueRef};

use super::random::Random;

/// Cuts out a connected piece of at most `size` operators around a random one. What it reads from the rest becomes an input,
/// what the rest reads of it an output; weights come along. `None` if the graph has no operator whose types are known.
pub fn window(graph: &Graph, size: usize, random: &mut Random) -> Option<Graph> {
    let usable: Vec<NodeId> = graph.node_ids().filter(|id| is_usable(graph, *id)).collect();
    if usable.is_empty() {
        return None;
    }
    let mut chosen = BTreeSet::from([usable[random.below(usable.len())]]);
    let mut border: Vec<NodeId> = chosen.iter().copied().collect();
    while chosen.len() < size && !border.is_empty() {
        // From a random node of the border on: pieces are round rather than long.
        let id = border.swap_remove(random.below(border.len()));
        let operands = graph.node(id).inputs.iter().flatten().map(|v| v.node);
        let mut next: Vec<NodeId> = operands.chain(graph.users(id).into_iter().map(|user| user.node)).collect();
        random.shuffle(&mut next);
        for id in next {
            if chosen.len() < size && is_usable(graph, id) && chosen.insert(id) {
                border.push(id);
            }
        }
    }
    Some(cut(graph, &chosen))
}

/// An operator that is understood and no constant, between values of known type.
fn is_usable(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let typed = |v: &ValueRef| graph.facts(*v).ty.is_some();
    !node.constant
        && matches!(node.op, Op::Apply(..))
        && node.outputs.iter().all(|o| o.facts.ty.is_some())
        && node.inputs.iter().flatten().all(typed)
}

fn cut(graph: &Graph, chosen: &BTreeSet<NodeId>) -> Graph {
    let mut piece = Graph::new(graph.name());
    let mut values: FxHashMap<ValueRef, ValueRef> = FxHashMap::default();
    let mut needed = chosen.clone();
    // Constants of constants, until there are no more.
    let mut queue: Vec<NodeId> = chosen.iter().copied().collect();
    while let Some(id) = queue.pop() {
        for v in graph.node(id).inputs.iter().flatten() {
            if graph.node(v.node).constant && needed.insert(v.node) {
                queue.push(v.node);
            }
        }
    }
    for id in graph.topological().into_iter().filter(|id| needed.contains(id)) {
        let node = graph.node(id);
        let mut operand = |v: ValueRef| {
            *values.entry(v).or_insert_with(|| {
                let name = format!("in{}", piece.inputs().len());
                ValueRef::first(piece.add_input(&name, graph.facts(v).clone()))
            })
        };
        let inputs: Vec<Option<ValueRef>> = node.inputs.iter().map(|v| v.map(&mut operand)).collect();
        let new = piece.add_node(Node::new("", node.op.clone(), inputs, node.outputs.clone(), node.constant));
        for slot in 0..node.outputs.len() as u32 {
            values.insert(ValueRef { node: id, slot }, ValueRef { node: new, slot });
        }
    }
    for &id in chosen {
        for slot in 0..graph.node(id).outputs.len() as u32 {
            let value = ValueRef { node: id, slot };
            let leaves = graph.consumers(value).iter().any(|user| !chosen.contains(&user.node));
            if leaves || graph.is_output(value) {
                piece.add_output(&format!("out{}", piece.outputs().len()), values[&value]);
            }
        }
    }
    piece
}
