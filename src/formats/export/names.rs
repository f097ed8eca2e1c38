//! Names of values. Callers know graph outputs and sub-graphs know outer values by name: these keep their names; other
//! values keep theirs where no other value needs it; new ones collide with nothing.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::formats::import::{Imported, inner_names};
use crate::graph::{Graph, Op, OpKind, ValueRef};

use super::ExportError;
use super::plan::{Extra, Item, Plan};

pub(super) struct Names {
    /// Names of the values that are written; absent: an output that is not wanted.
    pub values: HashMap<ValueRef, String>,
    /// Names that need an Identity of the value.
    pub aliases: IndexMap<String, ValueRef>,
    /// Names that values have, or that nothing may take.
    taken: HashSet<String>,
}

impl Names {
    pub fn new(graph: &Graph, imported: &Imported, plan: &Plan<'_>) -> Result<Names, ExportError> {
        let model = &imported.model;
        let mut names = Names { values: HashMap::new(), aliases: IndexMap::new(), taken: HashSet::new() };
        let mut used: HashSet<String> = HashSet::new();
        // Inputs and the model's own weights keep their names in any case.
        for &id in graph.inputs() {
            names.give(ValueRef::first(id), graph.node(id).outputs[0].name.to_string(), &mut used);
        }
        let mut live: Vec<_> = plan.live.iter().copied().collect();
        live.sort_unstable();
        for &id in &live {
            let node = graph.node(id);
            let own = match &node.op {
                Op::Weight(tensor) => {
                    let name: &str = &node.outputs[0].name;
                    node.origin.is_none() && model.weights.get(name).is_some_and(|w| w.tensor == *tensor)
                }
                Op::Opaque(op) => op.origin >= model.nodes.len(),
                Op::Input | Op::Apply(..) => false,
            };
            if own {
                names.give(ValueRef::first(id), node.outputs[0].name.to_string(), &mut used);
            }
        }
        for template in plan.templates.values() {
            for extra in &template.extras {
                if let Extra::Original(name) = extra {
                    used.insert((*name).to_owned());
                }
            }
        }
        names.rely(graph, plan, &mut used)?;
        let mut inner = HashSet::new();
        model.nodes.iter().for_each(|node| inner_names(node, &mut inner));
        names.taken.extend(inner.iter().cloned());
        names.taken.extend(model.inputs.iter().map(|v| v.name.clone()));
        names.taken.extend(model.weights.keys().chain(model.foreign_weights.keys()).cloned());
        names.taken.extend(model.nodes.iter().flat_map(|node| node.outputs.iter().cloned()));
        names.taken.extend(used.iter().cloned());
        names.rest(graph, plan, &mut used, &inner);
        Ok(names)
    }

    fn give(&mut self, value: ValueRef, name: String, used: &mut HashSet<String>) {
        used.insert(name.clone());
        self.values.insert(value, name);
    }

    /// Names that callers and sub-graphs rely on: the value's own name first, then by renaming, else by an Identity.
    fn rely(&mut self, graph: &Graph, plan: &Plan<'_>, used: &mut HashSet<String>) -> Result<(), ExportError> {
        let mut wanted: IndexMap<String, ValueRef> = IndexMap::new();
        let mut want = |name: &str, value: ValueRef| match wanted.insert(name.to_owned(), value) {
            Some(other) if other != value => Err(ExportError::Name { name: name.to_owned() }),
            _ => Ok(()),
        };
        for output in graph.outputs() {
            want(&output.name, output.value)?;
        }
        for item in &plan.order {
            let Item::Node(id) = item else { continue };
            let node = graph.node(*id);
            let Op::Opaque(op) = &node.op else { continue };
            for (name, value) in op.captures.iter().zip(&node.inputs[op.own_inputs..]) {
                if let Some(value) = value {
                    want(name, *value)?;
                }
            }
        }
        for (name, &value) in &wanted {
            if &**graph.value_name(value) == name.as_str() && !self.values.contains_key(&value) {
                self.give(value, name.clone(), used);
            }
        }
        for (name, value) in wanted {
            match self.values.get(&value) {
                Some(own) if *own == name => {}
                _ if used.contains(&name) => return Err(ExportError::Name { name }),
                Some(_) => {
                    used.insert(name.clone());
                    self.aliases.insert(name, value);
                }
                None => self.give(value, name, used),
            }
        }
        Ok(())
    }

    /// Names of all other values that are written.
    fn rest(&mut self, graph: &Graph, plan: &Plan<'_>, used: &mut HashSet<String>, inner: &HashSet<String>) {
        let mut values: Vec<(ValueRef, bool)> = Vec::new();
        let mut live: Vec<_> = plan.live.iter().copied().collect();
        live.sort_unstable();
        for id in live {
            let node = graph.node(id);
            for slot in 0..node.outputs.len() as u32 {
                let value = ValueRef { node: id, slot };
                let always = slot == 0 || node.op.kind() == Some(OpKind::Split);
                values.push((value, always || graph.is_output(value) || !graph.consumers(value).is_empty()));
            }
        }
        values.extend(plan.folded.keys().map(|&value| (value, true)));
        // Values that have a name come first, so that no made-up name takes it.
        let mut nameless = Vec::new();
        for (value, wanted) in values {
            if self.values.contains_key(&value) {
                continue;
            }
            let node = graph.node(value.node);
            let own: &str = graph.value_name(value);
            if !own.is_empty() && !used.contains(own) && (node.origin.is_some() || !inner.contains(own)) {
                self.give(value, own.to_owned(), used);
                self.taken.insert(own.to_owned());
            } else if wanted && !(own.is_empty() && keeps_unnamed(graph, plan, value)) {
                nameless.push(value);
            }
        }
        for value in nameless {
            let node = graph.node(value.node);
            let own: &str = graph.value_name(value);
            let stem =
                [own, &node.name].into_iter().find(|s| !s.is_empty()).map_or_else(|| node.op.label(), str::to_owned);
            let name = self.fresh(&stem);
            self.values.insert(value, name);
        }
    }

    /// A name that nothing has.
    pub fn fresh(&mut self, stem: &str) -> String {
        let name = crate::formats::fresh_name(stem, |name| self.taken.contains(name));
        self.taken.insert(name.clone());
        name
    }
}

/// Whether the model itself leaves this output unnamed, and nothing uses it.
fn keeps_unnamed(graph: &Graph, plan: &Plan<'_>, value: ValueRef) -> bool {
    plan.templates.contains_key(&value.node) && !graph.is_output(value) && graph.consumers(value).is_empty()
}
