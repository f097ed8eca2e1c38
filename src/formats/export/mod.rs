//! From an optimised [`Graph`] back to a [`Model`], guided by the model that it came from.
//!
//! What was not rewritten is written as it was: nodes with their attributes, documentation and metadata, names of values,
//! unused weights, declared types. New nodes are written for the model's operator set.

mod denormal;
mod names;
mod plan;
mod write;

use crate::graph::{Graph, Tensor, ValueRef};

use super::import::Imported;
use super::model::Model;
use names::Names;
use plan::Plan;

/// Why a graph cannot be written as a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The operator set of the model has no such operator.
    #[error("{op} exists since operator set {since}, and the model has {opset}")]
    NotInOpset {
        /// Operator.
        op: String,
        /// First operator set that has it.
        since: i64,
        /// Operator set of the model.
        opset: i64,
    },
    /// The operator set of the model cannot say this.
    #[error("{op} with {what} cannot be expressed in operator set {opset}")]
    Inexpressible {
        /// Operator.
        op: String,
        /// What it cannot say.
        what: String,
        /// Operator set of the model.
        opset: i64,
    },
    /// A constructor on constants that was not folded into a weight.
    #[error("{op} is no operator of ONNX, and was not folded into a weight")]
    NotFolded {
        /// Operator.
        op: String,
    },
    /// A node that was not read from the model, yet is not understood.
    #[error("opaque node {node:?} is not in the model")]
    Foreign {
        /// The node.
        node: String,
    },
    /// A name that callers rely on is taken.
    #[error("the name {name:?} is needed by two values")]
    Name {
        /// The name.
        name: String,
    },
}

/// Writes a graph as a model: `imported` says where it came from, `folded` gives the tensor of a constant value that is to
/// be written as a weight (`None`: its nodes are written). Only values that other than constant nodes use are asked for.
///
/// The result equals the original model, with the bytes of its file, if nothing changed.
///
/// # Errors
/// An operator or attribute that the model's operator set lacks, by name; a constructor on constants that was not folded.
pub fn export(
    graph: &Graph,
    imported: &Imported,
    folded: &dyn Fn(ValueRef) -> Option<Tensor>,
) -> Result<Model, ExportError> {
    if imported.dims.is_empty() && unchanged(graph, &imported.graph) {
        return Ok((*imported.model).clone());
    }
    let model = rewrite(graph, imported, folded)?;
    let original = Model { source: None, ..(*imported.model).clone() };
    Ok(if model == original { (*imported.model).clone() } else { model })
}

fn rewrite(
    graph: &Graph,
    imported: &Imported,
    folded: &dyn Fn(ValueRef) -> Option<Tensor>,
) -> Result<Model, ExportError> {
    let plan = Plan::new(graph, imported, folded)?;
    let names = Names::new(graph, imported, &plan)?;
    write::write(graph, imported, &plan, names)
}

fn unchanged(graph: &Graph, original: &Graph) -> bool {
    graph.len() == original.len()
        && graph.outputs() == original.outputs()
        && original.node_ids().all(|id| graph.get(id).is_some_and(|node| node == original.node(id)))
}

#[cfg(test)]
mod tests;
