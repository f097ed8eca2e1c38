//! Writing what is planned, under the names that were given.

use std::collections::{BTreeMap, HashMap, HashSet};

use indexmap::IndexMap;

use crate::formats::import::{Imported, inputs_are_constants};
use crate::formats::model::{DeclaredDim, DeclaredType, Model, ModelNode, Storage, ValueInfo, Weight};
use crate::formats::opset;
use crate::graph::{Graph, NodeId, Op, Tensor, TensorType, ValueRef};

use super::ExportError;
use super::denormal::{Context, Plain, Written, denormalise};
use super::names::Names;
use super::plan::{Extra, Item, Plan, Template};

/// New weights up to this many bytes stay in the model's own file even if others are beside it.
const SMALL: u64 = 1024;

struct Writer<'a> {
    graph: &'a Graph,
    imported: &'a Imported,
    plan: &'a Plan<'a>,
    names: Names,
    opset: i64,
    nodes: Vec<ModelNode>,
    node_names: HashSet<String>,
    weights: IndexMap<String, Tensor>,
    /// New constants by content: each is written once.
    constants: HashMap<Tensor, String>,
    /// Names that need an Identity, already written.
    written_aliases: HashSet<String>,
}

pub(super) fn write(graph: &Graph, imported: &Imported, plan: &Plan<'_>, names: Names) -> Result<Model, ExportError> {
    let mut writer = Writer {
        graph,
        imported,
        plan,
        names,
        opset: imported.opset(),
        nodes: Vec::new(),
        node_names: imported.model.nodes.iter().map(|node| node.name.clone()).collect(),
        weights: IndexMap::new(),
        constants: HashMap::new(),
        written_aliases: HashSet::new(),
    };
    writer.add_weights();
    for &item in &plan.order {
        match item {
            Item::Constant(origin) => writer.nodes.push(imported.model.nodes[origin].clone()),
            Item::Node(id) => writer.add_node(id)?,
        }
    }
    for name in writer.names.aliases.keys().cloned().collect::<Vec<_>>() {
        writer.add_alias(&name);
    }
    Ok(writer.finish())
}

impl Writer<'_> {
    /// Weights of the graph that are not the model's own, and folded constants.
    fn add_weights(&mut self) {
        let mut live: Vec<NodeId> = self.plan.live.iter().copied().collect();
        live.sort_unstable();
        for id in live {
            let node = self.graph.node(id);
            if let (Op::Weight(tensor), None) = (&node.op, node.origin) {
                let name = self.names.values[&ValueRef::first(id)].clone();
                let own = self.imported.model.weights.get(&name).is_some_and(|w| w.tensor == *tensor);
                if !own {
                    self.weights.insert(name, tensor.clone());
                }
            }
        }
        for (value, tensor) in &self.plan.folded {
            self.weights.insert(self.names.values[value].clone(), tensor.clone());
        }
    }

    fn name(&self, value: Option<ValueRef>) -> String {
        value.and_then(|v| self.names.values.get(&v)).cloned().unwrap_or_default()
    }

    fn add_node(&mut self, id: NodeId) -> Result<(), ExportError> {
        let node = self.graph.node(id);
        if let Op::Opaque(op) = &node.op {
            for name in &op.captures {
                if self.names.aliases.contains_key(name) {
                    self.add_alias(name);
                }
            }
        }
        let original = node.origin.and_then(|origin| self.imported.model.nodes.get(origin as usize));
        let mut written = match (&node.op, self.plan.templates.get(&id), original) {
            (Op::Weight(_), _, Some(original)) => original.clone(),
            (Op::Opaque(op), Some(_), Some(original)) => {
                let inputs = node.inputs[..op.own_inputs].iter().map(|v| self.name(*v)).collect();
                ModelNode { inputs, ..original.clone() }
            }
            (Op::Apply(..), Some(template), Some(original)) => {
                ModelNode { inputs: self.template_inputs(id, template, original), ..original.clone() }
            }
            _ => self.new_node(id, original)?,
        };
        written.outputs.resize(written.outputs.len().max(node.outputs.len()), String::new());
        for slot in 0..node.outputs.len() {
            written.outputs[slot] = self.name(Some(ValueRef { node: id, slot: slot as u32 }));
        }
        if original.is_none_or(|o| o.outputs.len() < written.outputs.len()) {
            let wanted = written.outputs.iter().rposition(|name| !name.is_empty()).map_or(1, |last| last + 1);
            written.outputs.truncate(wanted);
        }
        self.nodes.push(written);
        Ok(())
    }

    fn template_inputs(&self, id: NodeId, template: &Template<'_>, original: &ModelNode) -> Vec<String> {
        let node = self.graph.node(id);
        let mut inputs = original.inputs.clone();
        for (slot, name) in inputs.iter_mut().enumerate().take(node.inputs.len()) {
            // Trailing operands that the file leaves out explicitly stay so.
            *name = self.name(node.inputs[slot]);
        }
        for (name, extra) in inputs.iter_mut().skip(node.inputs.len()).zip(&template.extras) {
            *name = match extra {
                Extra::Absent => String::new(),
                Extra::Value(value) => self.name(Some(*value)),
                Extra::Original(original) => (*original).to_owned(),
            };
        }
        inputs
    }

    /// A node that the model does not have so: from the normal form, for the model's operator set.
    fn new_node(&mut self, id: NodeId, original: Option<&ModelNode>) -> Result<ModelNode, ExportError> {
        let node = self.graph.node(id);
        let Op::Apply(kind, attrs) = &node.op else {
            return Err(ExportError::Foreign { node: node.name.to_string() });
        };
        let types: Vec<Option<TensorType>> = node.inputs.iter().map(|v| self.graph.facts((*v)?).ty.clone()).collect();
        let constants: Vec<Option<Tensor>> = node.inputs.iter().map(|v| self.constant_of((*v)?)).collect();
        let context = Context { opset: self.opset, types: &types, constants: &constants, outputs: node.outputs.len() };
        let Plain { op, attrs, inputs } = denormalise(*kind, attrs, &context)?;
        let stem = self.name(Some(ValueRef::first(id)));
        let mut operands = Vec::with_capacity(inputs.len());
        for input in inputs {
            operands.push(match input {
                Written::Own(slot) => self.name(node.inputs[slot]),
                Written::Absent => String::new(),
                Written::New(what, tensor) => self.constant(&format!("{stem}_{what}"), tensor),
            });
        }
        let kept = original.map(|o| ModelNode { attrs: IndexMap::new(), ..o.clone() }).unwrap_or_default();
        let name = if original.is_some() {
            kept.name.clone()
        } else {
            let stem = if node.name.is_empty() { &*stem } else { &*node.name };
            let name = crate::formats::fresh_name(stem, |name| self.node_names.contains(name));
            self.node_names.insert(name.clone());
            name
        };
        let outputs = vec![String::new(); node.outputs.len()];
        let op = op.to_owned();
        Ok(ModelNode { name, op, domain: String::new(), inputs: operands, outputs, attrs, ..kept })
    }

    fn constant_of(&self, value: ValueRef) -> Option<Tensor> {
        match &self.graph.node(value.node).op {
            Op::Weight(tensor) => Some(tensor.clone()),
            _ => self.plan.folded.get(&value).cloned(),
        }
    }

    fn constant(&mut self, stem: &str, tensor: Tensor) -> String {
        if let Some(name) = self.constants.get(&tensor) {
            return name.clone();
        }
        let name = self.names.fresh(stem);
        self.weights.insert(name.clone(), tensor.clone());
        self.constants.insert(tensor, name.clone());
        name
    }

    fn add_alias(&mut self, name: &str) {
        if !self.written_aliases.insert(name.to_owned()) {
            return;
        }
        let value = self.names.aliases[name];
        let node_name = crate::formats::fresh_name(name, |name| self.node_names.contains(name));
        self.node_names.insert(node_name.clone());
        self.nodes.push(ModelNode {
            name: node_name,
            op: "Identity".to_owned(),
            inputs: vec![self.name(Some(value))],
            outputs: vec![name.to_owned()],
            ..ModelNode::default()
        });
    }

    fn finish(self) -> Model {
        let original = &*self.imported.model;
        let used_before = names_used(original, &original.nodes);
        let used = names_used(original, &self.nodes);
        let listed: HashSet<&str> = original.inputs.iter().map(|input| input.name.as_str()).collect();
        let constants = inputs_are_constants(original);
        // A weight that was a graph output may be given by an Identity of an equal one now.
        let made: HashSet<&str> = self.nodes.iter().flat_map(|n| &n.outputs).map(String::as_str).collect();
        let kept = |name: &str| {
            let overridable = listed.contains(name) && !constants;
            (overridable || used.contains(name) || !used_before.contains(name)) && !made.contains(name)
        };
        let mut weights: IndexMap<String, Weight> =
            original.weights.iter().filter(|(name, _)| kept(name)).map(|(n, w)| (n.clone(), w.clone())).collect();
        let dims = &self.imported.dims;
        let mut inputs: Vec<ValueInfo> = original
            .inputs
            .iter()
            .filter(|input| !constants || !original.weights.contains_key(&input.name) || kept(&input.name))
            .map(|input| bound(input, dims))
            .collect();
        let external = original.weights.values().find_map(|weight| match &weight.storage {
            Storage::External { .. } => Some(weight.storage.clone()),
            Storage::Inline | Storage::Sparse(_) => None,
        });
        for (name, tensor) in self.weights {
            if constants {
                inputs.retain(|input| input.name != name);
                inputs.push(declared(&name, &tensor));
            }
            let storage = match &external {
                Some(storage) if tensor.byte_len() > SMALL => storage.clone(),
                _ => Storage::Inline,
            };
            weights.insert(name, Weight { tensor, doc: String::new(), storage, metadata: Vec::new() });
        }
        let mut defined: HashSet<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        defined.extend(weights.keys().map(String::as_str));
        defined.extend(original.foreign_weights.keys().map(String::as_str));
        defined.extend(self.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str));
        // A declaration of a value that never was stays as well.
        let mut existed: HashSet<&str> = original.nodes.iter().flat_map(|n| &n.outputs).map(String::as_str).collect();
        existed.extend(original.weights.keys().map(String::as_str));
        let value_info = original
            .value_info
            .iter()
            .filter(|info| defined.contains(info.name.as_str()) || !existed.contains(info.name.as_str()))
            .map(|info| bound(info, dims))
            .collect();
        let mut opset_import = original.opset_import.clone();
        let own = |domain: &str| matches!(domain, "" | "ai.onnx");
        if self.nodes.iter().any(|node| own(&node.domain)) && !opset_import.keys().any(|domain| own(domain)) {
            opset_import.insert(String::new(), opset::NEWEST);
        }
        Model {
            opset_import,
            outputs: original.outputs.iter().map(|output| bound(output, dims)).collect(),
            inputs,
            value_info,
            weights,
            nodes: self.nodes,
            source: None,
            ..original.clone()
        }
    }
}

/// Names that nodes, their sub-graphs and the outputs use.
fn names_used(model: &Model, nodes: &[ModelNode]) -> HashSet<String> {
    let mut used: HashSet<String> = model.outputs.iter().map(|output| output.name.clone()).collect();
    for node in nodes {
        used.extend(node.inputs.iter().cloned());
        used.extend(crate::formats::import::captures(node));
    }
    used
}

/// A declaration with the caller's sizes for named dimensions.
fn bound(info: &ValueInfo, dims: &BTreeMap<String, i64>) -> ValueInfo {
    let mut info = info.clone();
    if dims.is_empty() {
        return info;
    }
    if let Some(DeclaredType { shape: Some(shape), .. }) = &mut info.ty {
        for (axis, dim) in shape.iter_mut().enumerate() {
            let size = match &*dim {
                DeclaredDim::Size(_) => None,
                DeclaredDim::Name(name) => dims.get(name),
                DeclaredDim::Unknown => dims.get(&format!("{}[{axis}]", info.name)),
            };
            if let Some(size) = size {
                *dim = DeclaredDim::Size(size.unsigned_abs());
            }
        }
    }
    info
}

/// The declaration of a weight as an input.
fn declared(name: &str, tensor: &Tensor) -> ValueInfo {
    let shape = tensor.shape().iter().map(|&n| DeclaredDim::Size(n)).collect();
    let ty = Some(DeclaredType { dtype: tensor.dtype(), shape: Some(shape) });
    ValueInfo { name: name.to_owned(), ty, doc: String::new(), proto: None }
}
