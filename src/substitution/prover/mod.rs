//! The prover: equality saturation over source and target of a rule with symbolic dimensions. What it finds is written
//! down as steps, and the checker decides whether they are a proof.

mod directions;
mod egraph;
mod explain;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use egg::{ENodeOrVar, Id, PatternAst, RecExpr, Subst};

use super::proof::check::{check_proof, choices};
use super::proof::statement::{Statement, statements};
use super::proof::{HYPOTHESIS, Part, Proof};
use super::trial::{TrialError, TrialSettings, try_rule};
use crate::rewrite::Rule;
use directions::{Direction, Met, directions};
use egraph::{ENode, Graph, Terms, add, expression};

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
        ProverLimits { iterations: 40, nodes: 3_000, matches: 400, trials: 4 }
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
    let mut proof = Proof::default();
    for absent in choices(rule).map_err(|e| e.to_string())? {
        for statement in statements(rule, &absent).map_err(|e| e.to_string())? {
            proof.parts.extend(search_goals(&statement, &absent, limits)?);
        }
    }
    Ok(proof)
}

/// The parts of a proof of one statement: all its goals in one e-graph, so that what one needs is there for the others.
fn search_goals(statement: &Statement, absent: &BTreeSet<&str>, limits: &ProverLimits) -> Result<Vec<Part>, String> {
    let mut graph = Graph::new(Terms::new(statement.world.clone()))
        .with_explanations_enabled()
        .without_explanation_length_optimization();
    let ends: Vec<(Id, Id)> =
        statement.goals.iter().map(|goal| (add(&mut graph, goal.source), add(&mut graph, goal.target))).collect();
    for &(source, target) in &statement.hypothesis {
        let (source, target) = (expression(&mut graph, source), expression(&mut graph, target));
        assume(&mut graph, &source, &target);
    }
    graph.rebuild();
    let saturated = saturate(&mut graph, &ends, limits);
    let mut parts = Vec::new();
    for (goal, &(from, to)) in statement.goals.iter().zip(&ends) {
        let fail = |why: &String| {
            let without: Vec<&str> = absent.iter().copied().collect();
            let without = if without.is_empty() { String::new() } else { format!(" without {}", without.join(", ")) };
            format!("output {}{}{without}: {why}", goal.output, goal.case)
        };
        if let Err(why) = &saturated
            && graph.find(from) != graph.find(to)
        {
            return Err(fail(why));
        }
        let (left, right) = (expression(&mut graph, goal.source), expression(&mut graph, goal.target));
        let mut explanation = graph.explain_equivalence(&left, &right);
        let flat = explanation.make_flat_explanation();
        let steps = explain::steps(&mut graph.analysis, flat).map_err(|why| fail(&why))?;
        let absent = absent.iter().map(|name| (*name).to_owned()).collect();
        parts.push(Part { absent, output: goal.output, case: goal.case, steps });
    }
    Ok(parts)
}

/// Takes in that two terms are equal.
fn assume(graph: &mut Graph, source: &RecExpr<ENode>, target: &RecExpr<ENode>) {
    let pattern = |term: &RecExpr<ENode>| -> PatternAst<ENode> {
        term.as_ref().iter().cloned().map(ENodeOrVar::ENode).collect::<Vec<_>>().into()
    };
    graph.union_instantiations(&pattern(source), &pattern(target), &Subst::default(), format!(">{HYPOTHESIS}"));
}

/// New instances of an axiom that are applied at once; one that has more waits for some rounds, and may then have twice
/// as many.
const FEW: usize = 64;

/// Applies axioms until the classes of each pair are one. An axiom with many new instances waits while others go on: those
/// that say the same in many ways would fill the graph otherwise.
fn saturate(graph: &mut Graph, ends: &[(Id, Id)], limits: &ProverLimits) -> Result<(), String> {
    let done = |graph: &Graph| ends.iter().all(|(from, to)| graph.find(*from) == graph.find(*to));
    let mut met = Met::default();
    // Of each direction: how often it had to wait, and the round in which it is looked at again.
    let mut waits = vec![(0usize, 0usize); directions().len()];
    for round in 0..limits.iterations {
        if done(graph) {
            return Ok(());
        }
        let size = graph.total_number_of_nodes();
        if size > limits.nodes {
            return Err(format!("not found within {} nodes ({round} rounds)", limits.nodes));
        }
        let before = (graph.total_number_of_nodes(), graph.number_of_classes());
        let mut found: Vec<(&Direction, directions::Instance)> = Vec::new();
        let mut waiting = false;
        for (direction, (times, until)) in directions().iter().zip(&mut waits) {
            if *until > round {
                waiting = true;
                continue;
            }
            let most = FEW << *times;
            let instances = direction.instances(graph, limits.matches.min(most + 1), &met);
            if instances.len() > most {
                *until = round + 1 + *times;
                *times += 1;
                waiting = true;
                continue;
            }
            for (key, instance) in instances {
                met.insert(key);
                found.push((direction, instance));
            }
        }
        for (direction, instance) in found {
            direction.apply(graph, instance);
            if graph.total_number_of_nodes() > 2 * limits.nodes {
                break;
            }
        }
        graph.rebuild();
        if (graph.total_number_of_nodes(), graph.number_of_classes()) == before && !done(graph) {
            if waiting {
                waits.iter_mut().for_each(|(_, until)| *until = 0);
                continue;
            }
            return Err(format!("nothing more follows from the axioms after {} rounds", round + 1));
        }
    }
    if done(graph) { Ok(()) } else { Err(format!("not found within {} rounds", limits.iterations)) }
}
