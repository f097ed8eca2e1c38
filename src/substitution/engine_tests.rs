//! The starter library through the real matcher and patches: each rule is found where its source stands, and what it
//! makes computes the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::instance::{Instance, Value, known_shape};
use super::random::Random;
use super::tests::starter_rules;
use crate::graph::{DType, Graph, Node, NodeId, Op, Tensor, ValueRef};
use crate::ops::{self, Array};
use crate::rewrite::{Arity, Index, Operand, Patch, Rule, RuleSet, Scorer};

/// Instances that each rule is tried on.
const INSTANCES: usize = 8;

struct Neutral;

impl Scorer for Neutral {
    fn score(&self, _: &Graph, _: &Patch) -> Option<f64> {
        Some(0.0)
    }
}

/// An instance as a graph, with the values of its inputs.
fn graph_of(rule: &Rule, instance: &Instance) -> (Graph, BTreeMap<NodeId, Array<f64>>) {
    let mut graph = Graph::new("instance");
    let mut given = BTreeMap::new();
    let mut refs: BTreeMap<&str, Vec<Option<ValueRef>>> = BTreeMap::new();
    for input in &rule.inputs {
        for (i, value) in instance.values[&input.name].iter().enumerate() {
            let value = value.as_ref().map(|value| {
                let name = format!("{}{i}", input.name);
                let id = if input.constant {
                    graph.add_node(Node::weight(&name, tensor(value)))
                } else {
                    let id = graph.add_input(&name, value.facts.clone());
                    given.insert(id, value.array.clone());
                    id
                };
                ValueRef::first(id)
            });
            refs.entry(&input.name).or_default().push(value);
        }
    }
    for (node, applied) in rule.source.nodes.iter().zip(&instance.applied) {
        for (member, op) in applied.iter().enumerate() {
            let mut inputs = smallvec::SmallVec::new();
            for operand in &node.inputs {
                match operand {
                    Operand::Absent => inputs.push(None),
                    Operand::All(name) => inputs.extend(refs[name.as_str()].iter().copied()),
                    Operand::Each(name) => inputs.push(refs[name.as_str()][member]),
                    Operand::One(name) | Operand::First(name) => inputs.push(refs[name.as_str()][0]),
                }
            }
            while inputs.last().is_some_and(Option::is_none) {
                inputs.pop();
            }
            let listed = node.outputs.iter().any(|o| matches!(o, Operand::All(_)));
            let count = if listed { instance.members } else { node.outputs.len() };
            let names: Vec<Arc<str>> =
                (0..count).map(|slot| format!("{:?}{member}.{slot}", node.outputs[0]).into()).collect();
            let made = ops::make_node(&graph, "", op.clone(), inputs, &names).unwrap();
            let id = graph.add_node(made);
            for slot in 0..count {
                let name = node.outputs[if listed { 0 } else { slot }].name().unwrap();
                refs.entry(name).or_default().push(Some(ValueRef { node: id, slot: slot as u32 }));
            }
        }
    }
    for output in &rule.source.outputs {
        for value in refs[output.name().unwrap()].iter().flatten() {
            let name = format!("out{}", graph.outputs().len());
            graph.add_output(&name, *value);
        }
    }
    graph.validate().unwrap();
    (graph, given)
}

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<u64> = value.array.shape.iter().map(|&d| d as u64).collect();
    match value.facts.ty.as_ref().unwrap().dtype {
        DType::I64 => {
            let data: Vec<i64> = value.array.data.iter().map(|&v| v as i64).collect();
            Tensor::from_i64s(&shape, &data).unwrap()
        }
        _ => {
            let data: Vec<f32> = value.array.data.iter().map(|&v| v as f32).collect();
            Tensor::from_f32s(&shape, &data).unwrap()
        }
    }
}

/// The values of all outputs in f64.
fn evaluate(graph: &Graph, given: &BTreeMap<NodeId, Array<f64>>) -> Result<Vec<Array<f64>>, String> {
    let mut values: BTreeMap<ValueRef, Array<f64>> = BTreeMap::new();
    for id in graph.topological() {
        let node = graph.node(id);
        let results = match &node.op {
            Op::Input => vec![given[&id].clone()],
            Op::Weight(tensor) => {
                let shape: Vec<usize> = tensor.shape().iter().map(|&d| d as usize).collect();
                let integers = || Some(tensor.to_i64s(1 << 20)?.into_iter().map(|v| v as f64).collect());
                let data = tensor.to_f64s(1 << 20).or_else(integers).ok_or("a weight has no elements")?;
                vec![Array::new(&shape, data).map_err(|e| e.to_string())?]
            }
            op => {
                let inputs: Vec<Option<&Array<f64>>> = node.inputs.iter().map(|v| v.map(|v| &values[&v])).collect();
                ops::evaluate(op, &inputs).map_err(|e| format!("{}: {e}", op.label()))?
            }
        };
        for (slot, (value, output)) in results.into_iter().zip(&node.outputs).enumerate() {
            let stated = known_shape(&output.facts).ok_or("a shape is not known")?;
            if value.shape.iter().map(|&d| d as i64).ne(stated.iter().copied()) {
                return Err(format!("{}: shape {:?} and stated {stated:?}", node.op.label(), value.shape));
            }
            values.insert(ValueRef { node: id, slot: slot as u32 }, value);
        }
    }
    Ok(graph.outputs().iter().map(|o| values[&o.value].clone()).collect())
}

fn differ(a: &[Array<f64>], b: &[Array<f64>]) -> bool {
    a.len() != b.len()
        || a.iter().zip(b).any(|(a, b)| {
            let magnitude = a.data.iter().filter(|v| v.is_finite()).fold(1.0f64, |m, v| m.max(v.abs()));
            let close = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-6 * magnitude;
            a.shape != b.shape || !a.data.iter().zip(&b.data).all(close)
        })
}

/// How many of the instances the rule matches; an error where an edit changes what is computed.
fn matched(rule: &Rule) -> Result<(usize, usize), String> {
    let rules = RuleSet::compile([rule.clone()]).map_err(|(_, e)| format!("does not compile: {e}"))?;
    let rules = Arc::new(rules);
    let optional = rule.inputs.iter().filter(|i| i.arity == Arity::Optional).count();
    let (mut instances, mut found) = (0, 0);
    for attempt in 0..100_000 {
        if instances == INSTANCES {
            break;
        }
        let mut random = Random::new(17, attempt as u64);
        let members = if Instance::is_grouped(rule) { 2 + instances % 3 } else { 1 };
        let Ok(instance) = Instance::propose(rule, members, instances % (1 << optional), &mut random) else { continue };
        instances += 1;
        let (mut graph, given) = graph_of(rule, &instance);
        let before = evaluate(&graph, &given).map_err(|e| format!("{e}; {instance}"))?;
        let mut index = Index::new(&graph, rules.clone(), &Neutral);
        let candidates: Vec<_> = index.candidates().cloned().collect();
        found += usize::from(!candidates.is_empty());
        let hash = graph.state_hash();
        for candidate in candidates {
            if !candidate.patch.is_acyclic(&graph) {
                continue;
            }
            let applied = index.apply(&mut graph, &candidate.patch, &Neutral);
            graph.validate().map_err(|e| format!("{e}; {instance}"))?;
            let after = evaluate(&graph, &given).map_err(|e| format!("{e}; {instance}"))?;
            if differ(&before, &after) {
                return Err(format!("the edit changes what is computed; {instance}"));
            }
            index.undo_to(&mut graph, applied.before);
            if graph.state_hash() != hash {
                return Err(format!("undo leaves another graph; {instance}"));
            }
        }
    }
    Ok((found, instances))
}

#[test]
fn every_rule_is_found_by_the_engine_and_keeps_what_is_computed() {
    let rules = starter_rules();
    let failed: Vec<String> = rules
        .par_iter()
        .filter_map(|rule| match matched(rule) {
            // Some instances are degenerate: the edit would change nothing, or the clean-up does the same.
            Ok((found, instances)) if found > 0 && 2 * found >= instances => None,
            Ok((found, instances)) => Some(format!("{}: matches {found} of {instances} instances", rule.name)),
            Err(error) => Some(format!("{}: {error}", rule.name)),
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} rules fail:\n{}", failed.len(), rules.len(), failed.join("\n"));
}
