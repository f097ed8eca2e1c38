//! Names of rules, and rules that say nothing.

use std::collections::BTreeMap;

use super::preset::Preset;
use crate::rewrite::{Operand, Rule, RuleGraph};

/// A name that says what a rule is about: the operators of its source and of its target, with the beginning of its id.
pub fn name(preset: &Preset, rule: &Rule, id: &str) -> String {
    let words = |graph: &RuleGraph| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut order = Vec::new();
        for node in &graph.nodes {
            let word = node.op.name().to_lowercase();
            if !order.contains(&word) {
                order.push(word.clone());
            }
            *counts.entry(word).or_default() += 1;
        }
        let words = order.into_iter().map(|w| if counts[&w] > 1 { format!("{}{w}", counts[&w]) } else { w });
        let words: Vec<String> = words.collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join("-") }
    };
    format!("{}-{}-to-{}-{}", preset.name, words(&rule.source), words(&rule.target), &id[..id.len().min(6)])
}

/// Whether both sides compute the same in the same way, node by node, apart from what is computed twice.
pub fn is_trivial(rule: &Rule) -> bool {
    let (s, t) = (&rule.source, &rule.target);
    s.outputs.iter().zip(&t.outputs).all(|(a, b)| term(s, a) == term(t, b))
}

/// A value of a graph, written out down to inputs.
fn term(graph: &RuleGraph, value: &Operand) -> String {
    let name = value.name().unwrap_or_default();
    for node in &graph.nodes {
        if let Some(slot) = node.outputs.iter().position(|o| o.name() == Some(name)) {
            let inputs: Vec<String> = node.inputs.iter().map(|i| term(graph, i)).collect();
            return format!("{:?}.{slot}{:?}({})", node.op, node.attrs, inputs.join(","));
        }
    }
    name.to_owned()
}
