//! Names that sub-graphs take from the graph around them, and the names that they use themselves.

use std::collections::HashSet;

use indexmap::IndexSet;
use prost::Message;

use crate::formats::model::{Model, ModelAttr, ModelNode};
use crate::formats::proto::{AttributeProto, FunctionProto, GraphProto};

/// Names of outer values that the sub-graphs of a node use, in order of first use.
pub(crate) fn captures(node: &ModelNode) -> IndexSet<String> {
    let mut free = IndexSet::new();
    for attr in node.attrs.values() {
        match attr {
            ModelAttr::Graph(graph) => free.extend(free_names(graph)),
            ModelAttr::Proto(bytes) => {
                for graph in encoded_graphs(bytes) {
                    free.extend(free_names_encoded(&graph));
                }
            }
            _ => {}
        }
    }
    free
}

/// Every name that a value has inside the sub-graphs of a node.
pub(crate) fn inner_names(node: &ModelNode, into: &mut HashSet<String>) {
    for attr in node.attrs.values() {
        match attr {
            ModelAttr::Graph(graph) => {
                into.extend(graph.inputs.iter().map(|v| v.name.clone()));
                into.extend(graph.weights.keys().chain(graph.foreign_weights.keys()).cloned());
                for node in &graph.nodes {
                    into.extend(node.outputs.iter().cloned());
                    inner_names(node, into);
                }
            }
            ModelAttr::Proto(bytes) => encoded_graphs(bytes).iter().for_each(|graph| inner_names_encoded(graph, into)),
            _ => {}
        }
    }
}

/// (domain, name) of a model's function.
pub(super) fn function_name(encoded: &[u8]) -> Option<(String, String)> {
    let function = FunctionProto::decode(encoded).ok()?;
    let domain = function.domain.unwrap_or_default();
    let domain = if domain == "ai.onnx" { String::new() } else { domain };
    Some((domain, function.name.unwrap_or_default()))
}

fn free_names(graph: &Model) -> IndexSet<String> {
    let mut defined: HashSet<&str> = graph.inputs.iter().map(|v| v.name.as_str()).collect();
    defined.extend(graph.weights.keys().chain(graph.foreign_weights.keys()).map(String::as_str));
    defined.extend(graph.nodes.iter().flat_map(|n| &n.outputs).map(String::as_str));
    let mut used = IndexSet::new();
    for node in &graph.nodes {
        used.extend(node.inputs.iter().cloned());
        used.extend(captures(node));
    }
    used.extend(graph.outputs.iter().map(|v| v.name.clone()));
    used.retain(|name| !name.is_empty() && !defined.contains(name.as_str()));
    used
}

fn encoded_graphs(attribute: &[u8]) -> Vec<GraphProto> {
    // The reader decoded these bytes before; what does not decode names nothing.
    AttributeProto::decode(attribute).map(graphs_of).unwrap_or_default()
}

fn graphs_of(attribute: AttributeProto) -> Vec<GraphProto> {
    attribute.g.map(|g| *g).into_iter().chain(attribute.graphs).collect()
}

fn free_names_encoded(graph: &GraphProto) -> IndexSet<String> {
    let text = |name: &Option<String>| name.clone().unwrap_or_default();
    let mut defined: HashSet<String> = graph.input.iter().map(|v| text(&v.name)).collect();
    defined.extend(graph.initializer.iter().map(|t| text(&t.name)));
    defined.extend(graph.sparse_initializer.iter().filter_map(|t| t.values.as_ref()).map(|t| text(&t.name)));
    defined.extend(graph.node.iter().flat_map(|n| n.output.iter().cloned()));
    let mut used = IndexSet::new();
    for node in &graph.node {
        used.extend(node.input.iter().cloned());
        for attribute in &node.attribute {
            for inner in graphs_of(attribute.clone()) {
                used.extend(free_names_encoded(&inner));
            }
        }
    }
    used.extend(graph.output.iter().map(|v| text(&v.name)));
    used.retain(|name| !name.is_empty() && !defined.contains(name));
    used
}

fn inner_names_encoded(graph: &GraphProto, into: &mut HashSet<String>) {
    into.extend(graph.input.iter().filter_map(|v| v.name.clone()));
    into.extend(graph.initializer.iter().filter_map(|t| t.name.clone()));
    into.extend(graph.sparse_initializer.iter().filter_map(|t| t.values.as_ref()?.name.clone()));
    for node in &graph.node {
        into.extend(node.output.iter().cloned());
        for attribute in &node.attribute {
            graphs_of(attribute.clone()).iter().for_each(|inner| inner_names_encoded(inner, into));
        }
    }
}
