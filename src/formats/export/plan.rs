//! What is written, and in which order: the nodes that outputs, opaque nodes and surviving nodes of the model need.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::formats::import::Imported;
use crate::formats::model::ModelNode;
use crate::graph::{Graph, NodeId, Op, Tensor, ValueRef};

use super::ExportError;

/// Something that is written as a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Item {
    /// A node of the graph.
    Node(NodeId),
    /// A Constant node of the model that the graph has no more, because it became an attribute.
    Constant(usize),
}

/// An operand of the model's node that became an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extra<'a> {
    /// Left out.
    Absent,
    /// It is still a value of the graph.
    Value(ValueRef),
    /// A weight or a Constant of the model that the graph has no more.
    Original(&'a str),
}

/// How a node of the model is written again: with its own attributes and the operands that became attributes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template<'a> {
    pub origin: usize,
    pub extras: Vec<Extra<'a>>,
}

/// What is written.
pub(super) struct Plan<'a> {
    /// Nodes in order, operands first.
    pub order: Vec<Item>,
    /// Nodes that are written, weights and inputs among them.
    pub live: HashSet<NodeId>,
    /// Nodes that are written as the model has them.
    pub templates: HashMap<NodeId, Template<'a>>,
    /// Constants that are written as weights.
    pub folded: IndexMap<ValueRef, Tensor>,
}

struct Planner<'a> {
    graph: &'a Graph,
    imported: &'a Imported,
    fold: &'a dyn Fn(ValueRef) -> Option<Tensor>,
    by_origin: HashMap<u32, NodeId>,
    /// Values of the graph as it was imported, and as it is, by name.
    before: HashMap<&'a str, ValueRef>,
    now: HashMap<&'a str, ValueRef>,
    /// Names that outputs and sub-graphs rely on.
    relied: HashSet<&'a str>,
    asked: HashMap<ValueRef, bool>,
    plan: Plan<'a>,
}

fn values_by_name(graph: &Graph) -> HashMap<&str, ValueRef> {
    let mut values = HashMap::new();
    for id in graph.node_ids() {
        for (slot, output) in graph.node(id).outputs.iter().enumerate() {
            if !output.name.is_empty() {
                values.insert(&*output.name, ValueRef { node: id, slot: slot as u32 });
            }
        }
    }
    values
}

impl<'a> Plan<'a> {
    pub fn new(
        graph: &'a Graph,
        imported: &'a Imported,
        fold: &'a dyn Fn(ValueRef) -> Option<Tensor>,
    ) -> Result<Plan<'a>, ExportError> {
        let original = &imported.graph;
        let origin = |id: NodeId| original.node(id).origin.map(|origin| (origin, id));
        let mut relied: HashSet<&str> = graph.outputs().iter().map(|o| &*o.name).collect();
        let mut roots: Vec<(u32, NodeId)> = Vec::new();
        for id in graph.node_ids() {
            let node = graph.node(id);
            match &node.op {
                Op::Opaque(op) => {
                    relied.extend(op.captures.iter().map(String::as_str));
                    roots.push((node.origin.unwrap_or(u32::MAX), id));
                }
                Op::Apply(..) if !node.constant => roots.extend(node.origin.map(|origin| (origin, id))),
                Op::Apply(..) | Op::Input | Op::Weight(_) => {}
            }
        }
        roots.sort_unstable();
        let mut planner = Planner {
            graph,
            imported,
            fold,
            by_origin: original.node_ids().filter_map(origin).collect(),
            before: values_by_name(original),
            now: values_by_name(graph),
            relied,
            asked: HashMap::new(),
            plan: Plan { order: Vec::new(), live: HashSet::new(), templates: HashMap::new(), folded: IndexMap::new() },
        };
        let mut stack: Vec<NodeId> = Vec::new();
        for (_, id) in roots {
            if planner.plan.live.insert(id) {
                stack.push(id);
            }
        }
        for output in graph.outputs() {
            planner.demand(output.value, &mut stack);
        }
        while let Some(id) = stack.pop() {
            planner.visit(id, &mut stack)?;
        }
        planner.order();
        Ok(planner.plan)
    }
}

impl<'a> Planner<'a> {
    /// A value is needed: as a weight, or by writing its node.
    fn demand(&mut self, value: ValueRef, stack: &mut Vec<NodeId>) {
        if !self.is_folded(value) && self.plan.live.insert(value.node) {
            stack.push(value.node);
        }
    }

    fn is_folded(&mut self, value: ValueRef) -> bool {
        if let Some(&known) = self.asked.get(&value) {
            return known;
        }
        let node = self.graph.node(value.node);
        let tensor = if node.constant && matches!(node.op, Op::Apply(..)) { (self.fold)(value) } else { None };
        let folded = tensor.is_some();
        self.plan.folded.extend(tensor.map(|tensor| (value, tensor)));
        self.asked.insert(value, folded);
        folded
    }

    fn visit(&mut self, id: NodeId, stack: &mut Vec<NodeId>) -> Result<(), ExportError> {
        let graph = self.graph;
        let node = graph.node(id);
        if matches!(node.op, Op::Apply(..) | Op::Opaque(_))
            && let Some(template) = self.template(id)
        {
            for extra in &template.extras {
                if let Extra::Value(value) = extra {
                    self.demand(*value, stack);
                }
            }
            self.plan.templates.insert(id, template);
        }
        if let Op::Opaque(op) = &node.op
            && op.origin < self.imported.model.nodes.len()
            && !self.plan.templates.contains_key(&id)
        {
            return Err(ExportError::Foreign { node: node.name.to_string() });
        }
        for value in node.inputs.iter().flatten() {
            self.demand(*value, stack);
        }
        Ok(())
    }

    /// How the model has this node, if the operator is what it was.
    fn template(&self, id: NodeId) -> Option<Template<'a>> {
        let node = self.graph.node(id);
        let origin = node.origin?;
        let was = self.imported.graph.node(*self.by_origin.get(&origin)?);
        let model_node: &'a ModelNode = self.imported.model.nodes.get(origin as usize)?;
        let same =
            was.op == node.op && was.outputs.len() == node.outputs.len() && was.inputs.len() == node.inputs.len();
        if !same {
            return None;
        }
        if matches!(node.op, Op::Opaque(_)) {
            return Some(Template { origin: origin as usize, extras: Vec::new() });
        }
        // Operands that the model has as attributes must be what they were.
        let own = model_node.inputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        for slot in own..node.inputs.len() {
            let constant = |graph: &'a Graph, value: Option<ValueRef>| match &graph.node(value?.node).op {
                Op::Weight(tensor) => Some(tensor),
                _ => None,
            };
            let now = constant(self.graph, node.inputs[slot])?;
            if Some(now) != constant(&self.imported.graph, was.inputs[slot]) {
                return None;
            }
        }
        let names = model_node.inputs.get(node.inputs.len()..).unwrap_or(&[]);
        let extras = names.iter().map(|name| self.extra(name)).collect::<Option<_>>()?;
        Some(Template { origin: origin as usize, extras })
    }

    fn extra(&self, name: &'a str) -> Option<Extra<'a>> {
        if name.is_empty() {
            return Some(Extra::Absent);
        }
        let before = *self.before.get(name)?;
        let was = self.imported.graph.node(before.node);
        match self.now.get(name) {
            Some(&value) => {
                let node = self.graph.node(value.node);
                let same = node.op == was.op && node.origin == was.origin && value.slot == before.slot;
                same.then_some(Extra::Value(value))
            }
            None if matches!(was.op, Op::Weight(_)) && !self.relied.contains(name) => Some(Extra::Original(name)),
            None => None,
        }
    }

    /// What must be written before an item.
    fn operands(&self, item: Item) -> Vec<Item> {
        let Item::Node(id) = item else { return Vec::new() };
        let mut operands = Vec::new();
        let mut add = |value: ValueRef| {
            if !self.plan.folded.contains_key(&value) {
                operands.push(Item::Node(value.node));
            }
        };
        self.graph.node(id).inputs.iter().flatten().for_each(|v| add(*v));
        if let Some(template) = self.plan.templates.get(&id) {
            for extra in &template.extras {
                match extra {
                    Extra::Value(value) => add(*value),
                    Extra::Original(_) | Extra::Absent => {}
                }
            }
            let constants = template.extras.iter().filter_map(|extra| match extra {
                Extra::Original(name) => self.constant_node(name).map(Item::Constant),
                Extra::Value(_) | Extra::Absent => None,
            });
            operands.extend(constants);
        }
        operands
    }

    /// The Constant node of the model that gives this value.
    fn constant_node(&self, name: &str) -> Option<usize> {
        let before = self.before.get(name)?;
        self.imported.graph.node(before.node).origin.map(|origin| origin as usize)
    }

    fn is_written(&self, item: Item) -> bool {
        let Item::Node(id) = item else { return true };
        let node = self.graph.node(id);
        match &node.op {
            Op::Input => false,
            Op::Weight(_) => node.origin.is_some(),
            Op::Apply(..) => true,
            Op::Opaque(op) => op.origin < self.imported.model.nodes.len(),
        }
    }

    /// Puts the items in the model's order, each after its operands; new nodes stand before their first user.
    fn order(&mut self) {
        let mut roots: Vec<(usize, Item)> = Vec::new();
        for &id in &self.plan.live {
            let origin = self.graph.node(id).origin.map(|origin| origin as usize);
            roots.extend(origin.map(|origin| (origin, Item::Node(id))));
        }
        for template in self.plan.templates.values() {
            for extra in &template.extras {
                if let Extra::Original(name) = extra {
                    roots.extend(self.constant_node(name).map(|origin| (origin, Item::Constant(origin))));
                }
            }
        }
        roots.sort_unstable_by_key(|(origin, _)| *origin);
        let outputs = self.graph.outputs().iter().map(|o| o.value).filter(|v| !self.plan.folded.contains_key(v));
        let roots: Vec<Item> =
            roots.into_iter().map(|(_, item)| item).chain(outputs.map(|v| Item::Node(v.node))).collect();
        let mut seen: HashSet<Item> = HashSet::new();
        let mut order = Vec::new();
        for root in roots {
            if !seen.insert(root) {
                continue;
            }
            let mut stack = vec![(root, self.operands(root), 0usize)];
            while let Some((item, operands, next)) = stack.last_mut() {
                if let Some(&operand) = operands.get(*next) {
                    *next += 1;
                    if seen.insert(operand) {
                        stack.push((operand, self.operands(operand), 0));
                    }
                } else {
                    order.push(*item);
                    stack.pop();
                }
            }
        }
        order.retain(|item| self.is_written(*item));
        self.plan.order = order;
    }
}
