//! The order of a model's nodes, and the checks of its names.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use indexmap::IndexSet;

use crate::formats::model::Model;

use super::{ImportError, node_place};

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Definition {
    Input,
    Weight,
    /// The node at this position.
    Node(usize),
}

/// What every name of the model stands for. A weight that is also an input counts as an input.
pub(super) fn definitions(model: &Model) -> Result<HashMap<&str, Definition>, ImportError> {
    let mut defined: HashMap<&str, Definition> = HashMap::new();
    for name in model.weights.keys().chain(model.foreign_weights.keys()) {
        if name.is_empty() {
            return Err(ImportError::Nameless { place: "a weight".to_owned() });
        }
        if defined.insert(name, Definition::Weight).is_some() {
            return Err(doubled(model, format!("weight {name:?}"), name, Definition::Weight));
        }
    }
    for (i, input) in model.inputs.iter().enumerate() {
        if input.name.is_empty() {
            return Err(ImportError::Nameless { place: format!("input {i}") });
        }
        if defined.insert(&input.name, Definition::Input) == Some(Definition::Input) {
            return Err(doubled(model, format!("input {i}"), &input.name, Definition::Input));
        }
    }
    for (i, node) in model.nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|name| !name.is_empty()) {
            if let Some(first) = defined.insert(output, Definition::Node(i)) {
                return Err(doubled(model, node_place(model, i), output, first));
            }
        }
    }
    Ok(defined)
}

fn doubled(model: &Model, place: String, name: &str, first: Definition) -> ImportError {
    let other = match first {
        Definition::Input => "an input".to_owned(),
        Definition::Weight => "a weight".to_owned(),
        Definition::Node(i) => node_place(model, i),
    };
    ImportError::Doubled { place, name: name.to_owned(), other }
}

/// Positions of the nodes, operands before users, otherwise in the file's order.
pub(super) fn order(
    model: &Model,
    defined: &HashMap<&str, Definition>,
    captures: &[IndexSet<String>],
) -> Result<Vec<usize>, ImportError> {
    let mut waiting = vec![0usize; model.nodes.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); model.nodes.len()];
    for (i, node) in model.nodes.iter().enumerate() {
        let inputs = node.inputs.iter().enumerate().map(|(k, name)| (format_args!("input {k}").to_string(), name));
        let outer = captures[i].iter().map(|name| ("sub-graph".to_owned(), name));
        for (field, name) in inputs.chain(outer).filter(|(_, name)| !name.is_empty()) {
            match defined.get(name.as_str()) {
                None => {
                    let place = format!("{}: {field}", node_place(model, i));
                    return Err(ImportError::Undefined { place, name: name.clone() });
                }
                Some(Definition::Node(producer)) => {
                    waiting[i] += 1;
                    users[*producer].push(i);
                }
                Some(Definition::Input | Definition::Weight) => {}
            }
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..waiting.len()).filter(|&i| waiting[i] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        for &user in &users[i] {
            waiting[user] -= 1;
            if waiting[user] == 0 {
                ready.push(Reverse(user));
            }
        }
    }
    if order.len() == waiting.len() { Ok(order) } else { Err(cycle(model, defined, captures, &waiting)) }
}

/// Names a node on a cycle: walks back from a node that waits until one comes twice.
fn cycle(
    model: &Model,
    defined: &HashMap<&str, Definition>,
    captures: &[IndexSet<String>],
    waiting: &[usize],
) -> ImportError {
    let mut at = waiting.iter().position(|&n| n > 0).expect("some node was not ordered");
    let mut seen = vec![false; waiting.len()];
    let mut value = String::new();
    while !std::mem::replace(&mut seen[at], true) {
        let names = model.nodes[at].inputs.iter().chain(&captures[at]);
        let back = names.filter_map(|name| match defined.get(name.as_str()) {
            Some(Definition::Node(producer)) if waiting[*producer] > 0 => Some((*producer, name)),
            _ => None,
        });
        let Some((producer, name)) = back.into_iter().next() else { break };
        (at, value) = (producer, name.clone());
    }
    ImportError::Cycle { node: node_place(model, at), value }
}
