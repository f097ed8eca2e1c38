//! Peak memory of activations, from types and liveness alone.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::graph::{Graph, NodeId, Op, OpKind, ValueRef};

/// The point of a run at which activations take most memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeakMemory {
    /// Bytes of all live activations, graph inputs among them until their last use; weights are not counted.
    pub bytes: u64,
    /// The node that runs at that point.
    pub at: Option<NodeId>,
}

/// Peak memory when nodes run in topological order and each value goes after its last use. Operators that give the same
/// elements another shape share their operand's memory. Dimensions that stay unbound count as 1, unknown types as nothing.
pub fn peak_memory(graph: &Graph, sizes: &BTreeMap<String, i64>) -> PeakMemory {
    let order: Vec<NodeId> = graph.topological().into_iter().filter(|&id| !graph.node(id).constant).collect();
    // The value whose memory a value is in.
    let mut home: FxHashMap<ValueRef, ValueRef> = FxHashMap::default();
    let mut last: FxHashMap<ValueRef, usize> = FxHashMap::default();
    for (position, &id) in order.iter().enumerate() {
        let node = graph.node(id);
        for operand in node.inputs.iter().flatten() {
            let at = *home.get(operand).unwrap_or(operand);
            last.insert(at, position);
        }
        let shared = node.inputs.first().copied().flatten().filter(|_| node.op.kind().is_some_and(shares));
        for slot in 0..node.outputs.len() {
            let value = ValueRef { node: id, slot: slot as u32 };
            match shared {
                Some(operand) => home.insert(value, *home.get(&operand).unwrap_or(&operand)),
                None => last.insert(value, position).map(|_| value),
            };
        }
    }
    for output in graph.outputs() {
        last.insert(*home.get(&output.value).unwrap_or(&output.value), usize::MAX);
    }
    let size = |value: ValueRef| -> u64 {
        let Some(ty) = &graph.facts(value).ty else { return 0 };
        let count =
            ty.shape.iter().map(|d| d.bind(sizes).known().unwrap_or(1).max(0) as u64).fold(1, u64::saturating_mul);
        ty.dtype.byte_len(count).unwrap_or(0)
    };
    let mut ending: BTreeMap<usize, u64> = BTreeMap::new();
    for (&value, &position) in &last {
        if !graph.node(value.node).constant {
            let ends = ending.entry(position).or_insert(0);
            *ends = ends.saturating_add(size(value));
        }
    }
    let mut live: u64 = graph
        .inputs()
        .iter()
        .map(|&id| ValueRef::first(id))
        .filter(|v| last.contains_key(v))
        .map(size)
        .fold(0, u64::saturating_add);
    let mut peak = PeakMemory { bytes: live, at: None };
    for (position, &id) in order.iter().enumerate() {
        let node = graph.node(id);
        if !matches!(node.op, Op::Input) {
            for slot in 0..node.outputs.len() {
                let value = ValueRef { node: id, slot: slot as u32 };
                if !home.contains_key(&value) {
                    live = live.saturating_add(size(value));
                }
            }
        }
        if live > peak.bytes {
            peak = PeakMemory { bytes: live, at: Some(id) };
        }
        live -= ending.get(&position).copied().unwrap_or(0).min(live);
    }
    peak
}

/// Whether the result is the operand's memory seen with another shape.
fn shares(kind: OpKind) -> bool {
    use OpKind as K;
    matches!(kind, K::Identity | K::Dropout | K::Reshape | K::Flatten | K::Squeeze | K::Unsqueeze)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{DType, Dim, Facts, Node, Output, TensorType};
    use crate::ops;

    fn graph(steps: &[(OpKind, &[usize])]) -> Graph {
        let facts = |name: &str| Facts {
            ty: Some(TensorType::new(DType::F32, vec![Dim::symbol(name), Dim::Known(10)])),
            elements: None,
        };
        let mut graph = Graph::new("g");
        let mut values = vec![ValueRef::first(graph.add_input("x", facts("n")))];
        for (i, (kind, operands)) in steps.iter().enumerate() {
            let op = ops::build::<&str>(*kind, vec![]).unwrap();
            let output = Output { name: format!("v{i}").into(), facts: facts("n") };
            let inputs: Vec<Option<ValueRef>> = operands.iter().map(|&o| Some(values[o])).collect();
            values.push(ValueRef::first(graph.add_node(Node::new("", op, inputs, [output], false))));
        }
        graph.add_output("y", values[values.len() - 1]);
        graph
    }

    #[test]
    fn a_chain_holds_two_values_and_a_residual_three() {
        let sizes = BTreeMap::from([("n".to_owned(), 5)]);
        let value = 5 * 10 * 4;
        let chain = graph(&[(OpKind::Relu, &[0]), (OpKind::Neg, &[1]), (OpKind::Abs, &[2])]);
        assert_eq!(peak_memory(&chain, &sizes).bytes, 2 * value);
        let residual = graph(&[(OpKind::Relu, &[0]), (OpKind::Neg, &[1]), (OpKind::Add, &[0, 2])]);
        let peak = peak_memory(&residual, &sizes);
        assert_eq!(peak.bytes, 3 * value);
        let shared = graph(&[(OpKind::Identity, &[0]), (OpKind::Identity, &[1]), (OpKind::Add, &[1, 2])]);
        assert_eq!(peak_memory(&shared, &sizes).bytes, 2 * value);
        assert_eq!(peak_memory(&chain, &BTreeMap::new()).bytes, 2 * 10 * 4, "unbound counts as 1");
    }
}
