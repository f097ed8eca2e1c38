//! What a graph costs: time, work, memory, with units and sources named.

mod cache;
mod measured;
mod roofline;

use crate::graph::{Facts, Graph, Node, NodeId, Op, TensorType};
use crate::rewrite::Patch;

pub use cache::{application_name, cache_folder, read_costs};
pub use measured::Measured;
pub use roofline::{DeviceProfile, Roofline};

/// What running something once costs.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize)]
pub struct Cost {
    /// Time in microseconds, as the cost model estimates or measured it.
    pub time_us: f64,
    /// Floating-point operations (a multiply-add counts as 2).
    pub flops: f64,
    /// Bytes read and written.
    pub bytes: f64,
    /// Kernels launched.
    pub launches: f64,
    /// Largest sum of the activations that live at one time, in bytes; 0 where it was not asked for.
    pub peak_memory: f64,
}

impl Cost {
    /// Component-wise sum (of the peaks: the larger).
    pub fn plus(self, other: Cost) -> Cost {
        Cost {
            time_us: self.time_us + other.time_us,
            flops: self.flops + other.flops,
            bytes: self.bytes + other.bytes,
            launches: self.launches + other.launches,
            peak_memory: self.peak_memory.max(other.peak_memory),
        }
    }
}

/// Estimates what one application costs. Constants are not asked for: they are folded and cost nothing at inference.
pub trait CostModel: Sync {
    /// The name that reports give, with the device that the numbers hold for.
    fn name(&self) -> String;

    /// Cost of one application; operands of unknown type are `None`.
    fn apply(&self, op: &Op, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> Cost;
}

/// Cost of a node of the graph. Inputs, constants, opaque nodes and nodes of unknown type cost nothing.
pub fn node_cost(model: &dyn CostModel, graph: &Graph, id: NodeId) -> Cost {
    let node = graph.node(id);
    let inputs: smallvec::SmallVec<[Option<&TensorType>; 4]> =
        node.inputs.iter().map(|v| v.and_then(|v| graph.facts(v).ty.as_ref())).collect();
    node_with(model, node, &inputs)
}

fn node_with(model: &dyn CostModel, node: &Node, inputs: &[Option<&TensorType>]) -> Cost {
    if node.constant || !matches!(node.op, Op::Apply(..)) {
        return Cost::default();
    }
    match types(node.outputs.iter().map(|o| &o.facts)) {
        Some(outputs) => model.apply(&node.op, inputs, &outputs),
        None => Cost::default(),
    }
}

fn types<'a>(facts: impl Iterator<Item = &'a Facts>) -> Option<smallvec::SmallVec<[TensorType; 2]>> {
    facts.map(|f| f.ty.clone()).collect()
}

/// Cost of all nodes that an output needs, without the peak of memory.
pub fn graph_cost(model: &dyn CostModel, graph: &Graph) -> Cost {
    graph.topological().into_iter().map(|id| node_cost(model, graph, id)).fold(Cost::default(), Cost::plus)
}

/// What applying a patch changes in time, in microseconds: its new nodes less those it makes dead.
pub fn predicted_change(model: &dyn CostModel, graph: &Graph, patch: &Patch) -> f64 {
    use crate::rewrite::PatchValue;
    let facts = |v: &PatchValue| match v {
        PatchValue::Old(v) => graph.facts(*v).ty.as_ref(),
        PatchValue::New { node, slot } => patch.nodes[*node as usize].outputs[*slot as usize].ty.as_ref(),
    };
    let mut change = 0.0;
    for node in patch.nodes.iter().filter(|n| !n.constant) {
        let inputs: smallvec::SmallVec<[Option<&TensorType>; 4]> =
            node.inputs.iter().map(|v| v.as_ref().and_then(facts)).collect();
        if let Some(outputs) = types(node.outputs.iter()) {
            change += model.apply(&node.op, &inputs, &outputs).time_us;
        }
    }
    change - patch.dead.iter().map(|id| node_cost(model, graph, *id).time_us).sum::<f64>()
}

/// Bytes of the weights that inference reads: constants that an operator which is not constant uses, each once.
pub fn weight_bytes(graph: &Graph) -> u64 {
    let mut total = 0;
    for id in graph.node_ids().filter(|id| graph.node(*id).constant) {
        let users = graph.users(id);
        if graph.feeds_output(id) || users.iter().any(|u| !graph.node(u.node).constant) {
            for ty in graph.node(id).outputs.iter().filter_map(|o| o.facts.ty.as_ref()) {
                let count = ty.count().known().unwrap_or(0).max(0) as u64;
                total += ty.dtype.byte_len(count).unwrap_or(0);
            }
        }
    }
    total
}
