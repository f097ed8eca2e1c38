//! The prover: equality saturation over source and target of a rule with symbolic dimensions. What it finds is written
//! down as steps, and the checker decides whether they are a proof.

mod directions;
mod egraph;
mod explain;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use egg::Id;

use super::proof::check::{check_proof, parts_of};
use super::proof::statement::{Statement, is_grouped};
use super::proof::{Part, Proof};
use super::trial::{TrialError, TrialSettings, try_rule};
use crate::rewrite::Rule;
use directions::{Direction, directions};
use egraph::{Graph, Terms, add, expression};

/// Bounds of the search for a proof. Time is not among them, so that the outcome does not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProverLimits {
    /// Rounds of applying all axioms everywhere.
    pub iterations: usize,
    /// Nodes of the e-graph after which no round begins.
    pub nodes: usize,
    /// Applications of one axiom in one direction in a round.
    pub matches: usize,
    /// Instances that a rule without a proof is tried on, to refute it; none at 0.
    pub trials: usize,
}

impl Default for ProverLimits {
    fn default() -> ProverLimits {
        ProverLimits { iterations: 12, nodes: 3_000, matches: 400, trials: 4 }
    }
}

/// What came of trying to prove a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is true: a proof that the checker accepts.
    Proved(Proof),
    /// It is false: an instance on which the sides differ.
    Refuted(Witness),
    /// Neither was found. Such a rule is not accepted.
    Unknown(String),
}

/// An instance that refutes a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// Shapes, attributes and the difference, as text.
    pub instance: String,
}

/// Tries to prove a rule; if that fails, tries to refute it on random instances.
pub fn prove(rule: &Rule, limits: &ProverLimits) -> Verdict {
    let why = match search(rule, limits) {
        Ok(proof) => match check_proof(rule, &proof) {
            Ok(()) => return Verdict::Proved(proof),
            Err(error) => format!("the proof found does not check: {error}"),
        },
        Err(why) => why,
    };
    if limits.trials > 0 {
        let settings = TrialSettings { instances: limits.trials, attempts: 20_000, ..TrialSettings::default() };
        if let Err(error @ (TrialError::Differ { .. } | TrialError::Target { .. })) = try_rule(rule, &settings) {
            return Verdict::Refuted(Witness { instance: error.to_string() });
        }
    }
    Verdict::Unknown(why)
}

fn search(rule: &Rule, limits: &ProverLimits) -> Result<Proof, String> {
    if is_grouped(rule) {
        return Err("the rule speaks of lists".into());
    }
    let mut proof = Proof::default();
    for absent in parts_of(rule).map_err(|e| e.to_string())? {
        proof.parts.extend(search_choice(rule, &absent, limits)?);
    }
    Ok(proof)
}

/// The parts of a proof for one choice of optional inputs.
fn search_choice(rule: &Rule, absent: &BTreeSet<&str>, limits: &ProverLimits) -> Result<Vec<Part>, String> {
    let statement = Statement::of(rule, absent).map_err(|e| e.to_string())?;
    let mut parts = Vec::new();
    for (output, &(source, target)) in statement.outputs.iter().enumerate() {
        let mut graph = Graph::new(Terms::new(statement.world.clone()))
            .with_explanations_enabled()
            .without_explanation_length_optimization();
        let (from, to) = (add(&mut graph, source), add(&mut graph, target));
        graph.rebuild();
        let missing = || {
            let without: Vec<&str> = absent.iter().copied().collect();
            let without = if without.is_empty() { String::new() } else { format!(" without {}", without.join(", ")) };
            format!("output {output}{without}")
        };
        saturate(&mut graph, from, to, limits).map_err(|why| format!("{}: {why}", missing()))?;
        let (left, right) = (expression(&mut graph, source), expression(&mut graph, target));
        let mut explanation = graph.explain_equivalence(&left, &right);
        let flat = explanation.make_flat_explanation();
        let steps = explain::steps(&mut graph.analysis, flat).map_err(|why| format!("{}: {why}", missing()))?;
        parts.push(Part { absent: absent.iter().map(|name| (*name).to_owned()).collect(), output, steps });
    }
    Ok(parts)
}

/// Applies axioms until the two classes are one.
fn saturate(graph: &mut Graph, from: Id, to: Id, limits: &ProverLimits) -> Result<(), String> {
    for round in 0..limits.iterations {
        if graph.find(from) == graph.find(to) {
            return Ok(());
        }
        let size = graph.total_number_of_nodes();
        if size > limits.nodes {
            return Err(format!("not found within {} nodes ({round} rounds)", limits.nodes));
        }
        let before = (graph.total_number_of_nodes(), graph.number_of_classes());
        let found: Vec<(&Direction, directions::Instance)> = directions()
            .iter()
            .flat_map(|direction| {
                let instances = direction.instances(graph, limits.matches);
                instances.into_iter().map(move |instance| (direction, instance))
            })
            .collect();
        for (direction, instance) in found {
            direction.apply(graph, instance);
            if graph.total_number_of_nodes() > 2 * limits.nodes {
                break;
            }
        }
        graph.rebuild();
        if (graph.total_number_of_nodes(), graph.number_of_classes()) == before && graph.find(from) != graph.find(to) {
            return Err(format!("nothing more follows from the axioms after {} rounds", round + 1));
        }
    }
    if graph.find(from) == graph.find(to) {
        Ok(())
    } else {
        Err(format!("not found within {} rounds", limits.iterations))
    }
}
