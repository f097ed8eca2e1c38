//! Whether opaque nodes of two files are the same. Nobody runs them: that they compute the same is known only if they are the same
//! operator with the same attributes. Their operands are compared as values, by [`compare`](crate::runtime::compare).

use std::collections::{BTreeMap, BTreeSet};

use crate::formats::Imported;
use crate::formats::model::{Model, ModelAttr, ModelNode};
use crate::graph::{NodeId, Op};

/// Where opaque nodes with a result of the same name differ, and weights of types that are not read.
pub fn differences(first: &Imported, second: &Imported) -> Vec<String> {
    let (firsts, seconds) = (opaque_nodes(first), opaque_nodes(second));
    let mut found = Vec::new();
    for (result, a) in &firsts {
        let Some(b) = seconds.get(result) else { continue };
        if operator(a) != operator(b) {
            found.push(format!("opaque node {result:?} is {} and {}", operator(a), operator(b)));
        } else {
            let differ = other_attributes(a, b).into_iter();
            found.extend(differ.map(|name| format!("opaque node {result:?} ({}) has another {name:?}", operator(a))));
        }
    }
    let functions = |imported: &Imported| imported.model.extra.functions.iter().cloned().collect::<BTreeSet<_>>();
    if !firsts.is_empty() && functions(first) != functions(second) {
        found.push("the models have other functions, which opaque nodes may call".to_owned());
    }
    for (name, weight) in &first.model.foreign_weights {
        if second.model.foreign_weights.get(name).is_some_and(|other| other != weight) {
            found.push(format!("weight {name:?}, of a type that is not read, is another"));
        }
    }
    found
}

/// Opaque nodes as the file says them, by the first of their results.
fn opaque_nodes(imported: &Imported) -> BTreeMap<&str, &ModelNode> {
    let node = |id: NodeId| match &imported.graph.node(id).op {
        Op::Opaque(opaque) => imported.model.nodes.get(opaque.origin),
        _ => None,
    };
    let nodes = imported.graph.node_ids().filter_map(node);
    nodes.filter_map(|node| Some((node.outputs.iter().find(|name| !name.is_empty())?.as_str(), node))).collect()
}

/// `If`, `com.example.Foo`, `com.example.Foo:overload`.
fn operator(node: &ModelNode) -> String {
    let mut name = node.op.clone();
    if !node.domain.is_empty() {
        name = format!("{}.{name}", node.domain);
    }
    if !node.overload.is_empty() {
        name = format!("{name}:{}", node.overload);
    }
    name
}

/// Names of the attributes that one has otherwise than the other, or alone.
fn other_attributes<'a>(a: &'a ModelNode, b: &'a ModelNode) -> BTreeSet<&'a str> {
    let names = a.attrs.keys().chain(b.attrs.keys()).map(String::as_str);
    names.filter(|name| !is_same(a.attrs.get(*name), b.attrs.get(*name))).collect()
}

/// Equal to the bit.
fn is_same(a: Option<&ModelAttr>, b: Option<&ModelAttr>) -> bool {
    match (a, b) {
        (Some(ModelAttr::Float(a)), Some(ModelAttr::Float(b))) => a.to_bits() == b.to_bits(),
        (Some(ModelAttr::Floats(a)), Some(ModelAttr::Floats(b))) => {
            a.iter().map(|f| f.to_bits()).eq(b.iter().map(|f| f.to_bits()))
        }
        (Some(ModelAttr::Graph(a)), Some(ModelAttr::Graph(b))) => is_same_graph(a, b),
        (a, b) => a == b,
    }
}

/// The same nodes in the same order with the same names; what a file says beside does not matter.
fn is_same_graph(a: &Model, b: &Model) -> bool {
    let ends =
        |model: &Model| [&model.inputs, &model.outputs].map(|v| v.iter().map(|v| v.name.clone()).collect::<Vec<_>>());
    let is_same_node = |(a, b): (&ModelNode, &ModelNode)| {
        operator(a) == operator(b)
            && (&a.inputs, &a.outputs) == (&b.inputs, &b.outputs)
            && other_attributes(a, b).is_empty()
    };
    ends(a) == ends(b)
        && a.weights.len() == b.weights.len()
        && a.weights.iter().all(|(name, w)| b.weights.get(name).is_some_and(|other| other.tensor == w.tensor))
        && a.foreign_weights == b.foreign_weights
        && a.nodes.len() == b.nodes.len()
        && a.nodes.iter().zip(&b.nodes).all(is_same_node)
}
