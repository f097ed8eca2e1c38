//! A rule's two sides in the same features as graphs, so that the same network reads both.

use rustc_hash::FxHashMap;

use crate::graph::Attr;
use crate::rewrite::{Arity, AttrPattern, DTypeClass, Operand, Rule, RuleGraph};

use super::features::{attributes, kind_row, rank, slots};
use super::neighbourhood::{Neighbourhoods, NodeBase, refine};
use super::observation::{EDGE_FEATURES, NODE_FEATURES, Plain, PlainEdge, RuleObservation, Side};

/// What a rule looks like. Sizes, which a rule leaves open, are 0 and flagged as unknown.
pub fn observe_rule(rule: &Rule, table: &mut Neighbourhoods) -> RuleObservation {
    RuleObservation { source: side(rule, &rule.source, table), target: side(rule, &rule.target, table) }
}

/// A value of a side: the node that makes it, which of its results it is, and what is known of it.
#[derive(Clone, Copy)]
struct Value {
    node: u32,
    slot: u32,
    rank: Option<usize>,
    dtype: f32,
    constant: bool,
}

fn dtype(class: DTypeClass) -> f32 {
    match class {
        DTypeClass::Float => 1.0,
        DTypeClass::Int => -0.4,
        DTypeClass::Any => 0.0,
    }
}

/// The inputs that the side uses come first, then its nodes.
fn side(rule: &Rule, graph: &RuleGraph, table: &mut Neighbourhoods) -> Side {
    let mut bases: Vec<NodeBase> = Vec::new();
    let mut values: FxHashMap<&str, Value> = FxHashMap::default();
    let used =
        |name: &str| graph.nodes.iter().flat_map(|n| &n.inputs).chain(&graph.outputs).any(|o| o.name() == Some(name));
    for input in rule.inputs.iter().filter(|i| used(&i.name)) {
        let mut f = [0.0; NODE_FEATURES];
        f[0] = f32::from(input.constant);
        f[2] = input.rank.map_or(0.0, rank);
        f[8] = dtype(input.dtype);
        f[9] = 1.0;
        f[23] = f32::from(input.arity == Arity::List);
        let (node, constant) = (bases.len() as u32, input.constant);
        values.insert(&input.name, Value { node, slot: 0, rank: input.rank, dtype: f[8], constant });
        bases.push(NodeBase { operator: u32::from(input.constant), features: f });
    }
    let mut edges = Vec::new();
    for node in &graph.nodes {
        let mut f = [0.0; NODE_FEATURES];
        let operands = || node.inputs.iter().enumerate().filter_map(|(slot, o)| Some((slot, values.get(o.name()?)?)));
        let constant = operands().all(|(_, v)| v.constant);
        f[0] = f32::from(constant);
        f[9] = 1.0;
        f[23] = f32::from(node.repeated);
        let literal = |(name, pattern): &'_ (String, AttrPattern)| match pattern {
            AttrPattern::Literal(value) => Some((name.clone(), value.clone())),
            AttrPattern::Any | AttrPattern::Variable(_) | AttrPattern::Computed(_) => None,
        };
        let literals: Vec<(String, Attr)> = node.attrs.iter().filter_map(literal).collect();
        attributes(&mut f, literals.iter().map(|(name, value)| (name.as_str(), value)));
        let to = bases.len() as u32;
        for (slot, value) in operands() {
            let mut f = [0.0; EDGE_FEATURES];
            slots(&mut f, value.slot, slot as u32);
            f[5] = value.rank.map_or(0.0, rank);
            f[12] = value.dtype;
            f[13] = f32::from(value.constant);
            f[14] = 1.0;
            edges.push(PlainEdge { from: value.node, to, class: table.intern_edge_base(&f) });
        }
        for (slot, output) in node.outputs.iter().enumerate() {
            if let Some(name) = output.name() {
                values.insert(name, Value { node: to, slot: slot as u32, rank: None, dtype: 0.0, constant });
            }
        }
        bases.push(NodeBase { operator: kind_row(node.op), features: f });
    }
    for name in graph.outputs.iter().filter_map(Operand::name) {
        if let Some(value) = values.get(name) {
            bases[value.node as usize].features[1] = 1.0;
        }
    }
    let nodes: Vec<_> = bases.iter().map(|base| table.intern_base(base)).collect();
    let top = refine(&nodes, &edges, table).pop().unwrap_or_default();
    Side { nodes: top, plain: Plain { nodes, edges } }
}
