//! Nodes made from operators: what is known of their results, and whether they may be folded.

use std::sync::Arc;

use crate::graph::{Facts, Graph, Inputs, MAX_ELEMENTS, Node, Op, Output};

use super::{OpError, infer, schema};

/// Whether an operator with constant operands may be folded into a weight: deterministic, understood, and not growing
/// beyond what is small anyway.
pub fn folds(op: &Op, outputs: &[Facts]) -> bool {
    match op {
        Op::Weight(_) => true,
        Op::Input | Op::Opaque(_) => false,
        Op::Apply(kind, _) => {
            let small = |facts: &Facts| {
                let count = facts.ty.as_ref().and_then(|ty| ty.count().known());
                count.is_some_and(|n| n <= MAX_ELEMENTS as i64)
            };
            outputs.iter().all(|f| f.ty.is_some()) && (schema(*kind).foldable || outputs.iter().all(small))
        }
    }
}

/// A node that applies an understood operator to values of `graph`, its results inferred. `names` gives the names of
/// the results, and so their number.
pub fn make_node(graph: &Graph, name: &str, op: Op, inputs: Inputs, names: &[Arc<str>]) -> Result<Node, OpError> {
    let facts: Vec<Option<&Facts>> = inputs.iter().map(|v| v.map(|v| graph.facts(v))).collect();
    let results = infer(&op, &facts, names.len())?;
    let constant = inputs.iter().flatten().all(|v| graph.is_constant(*v)) && folds(&op, &results);
    let outputs = results.into_iter().zip(names).map(|(facts, name)| Output { name: name.clone(), facts });
    Ok(Node::new(name, op, inputs, outputs, constant))
}
