//! The checker: replays a proof on terms. What it trusts is the table of axioms, shape inference, and this folder; it
//! shares no code with the search that finds proofs.
//!
//! A proof has a part for each output of the rule and each choice of optional inputs that are left out. A part turns the
//! source's term into the target's by steps, each an instance of an axiom at a position, of which one side is the term
//! that stands there and all conditions certainly hold.

use std::collections::{BTreeMap, BTreeSet};

use super::axioms::Axiom;
pub(crate) use super::axioms::axiom;
use super::pattern::{AttrValue, Binding, holds, instantiate, matches, parse_pattern, parse_value};
use super::statement::{Statement, is_grouped, optional_inputs};
use super::term::{SymVal, TermId, World};
use super::{Part, Proof, ProofError, Step};
use crate::rewrite::Rule;

/// Most optional inputs of a rule with a proof: each doubles the parts.
const MAX_OPTIONAL: usize = 6;

/// What stands for operands in the operators that a step names.
pub(crate) const ANY: &str = "_";

/// Checks that a proof proves a rule.
///
/// # Errors
/// The first part that is missing, or the first step that does not follow.
pub fn check_proof(rule: &Rule, proof: &Proof) -> Result<(), ProofError> {
    if is_grouped(rule) {
        return Err(ProofError::Unstated("a proof over lists is not understood".into()));
    }
    let expected = parts_of(rule)?;
    if proof.parts.len() != expected.len() * rule.source.outputs.len() {
        return Err(ProofError::Parts {
            expected: expected.len() * rule.source.outputs.len(),
            found: proof.parts.len(),
        });
    }
    let mut parts = proof.parts.iter();
    for absent in expected {
        let mut statement = Statement::of(rule, &absent).map_err(|e| ProofError::Unstated(e.0))?;
        for output in 0..statement.outputs.len() {
            let part = parts.next().filter(|p| p.output == output && p.absent.iter().eq(absent.iter()));
            let part = part.ok_or(ProofError::Missing { output })?;
            check_part(&mut statement, part)?;
        }
    }
    Ok(())
}

/// The choices of optional inputs that are left out.
pub(crate) fn parts_of(rule: &Rule) -> Result<Vec<BTreeSet<&str>>, ProofError> {
    let optional = optional_inputs(rule);
    if optional.len() > MAX_OPTIONAL {
        return Err(ProofError::Unstated(format!("more than {MAX_OPTIONAL} optional inputs")));
    }
    let chosen = |choice: usize| optional.iter().enumerate().filter(move |(i, _)| choice >> i & 1 == 1);
    Ok((0..1usize << optional.len()).map(|choice| chosen(choice).map(|(_, name)| *name).collect()).collect())
}

fn check_part(statement: &mut Statement, part: &Part) -> Result<(), ProofError> {
    let (mut term, target) = statement.outputs[part.output];
    for (number, step) in part.steps.iter().enumerate() {
        term = take_step(&mut statement.world, &statement.binding, term, step).map_err(|why| ProofError::Step {
            output: part.output,
            number,
            step: step.to_string(),
            why,
        })?;
    }
    if term == target {
        return Ok(());
    }
    let (reached, wanted) = (statement.world.text(term), statement.world.text(target));
    Err(ProofError::Elsewhere { output: part.output, reached, wanted })
}

/// The term after a step.
pub(crate) fn take_step(world: &mut World, rule: &Binding, term: TermId, step: &Step) -> Result<TermId, String> {
    let axiom = axiom(&step.axiom).ok_or("there is no such axiom")?;
    let place = world.at(term, &step.position).ok_or("there is no such position")?;
    let mut binding = given(world, rule, &step.with)?;
    let (from, to) = if step.backwards { (&axiom.right, &axiom.left) } else { (&axiom.left, &axiom.right) };
    if !matches(world, from, place, &mut binding) {
        return Err(format!("{} is no instance of the axiom", world.text(place)));
    }
    // Matching binds; whether the instance is the term is decided by making it.
    let made = instantiate(world, from, &mut binding).ok_or("a variable of the axiom is not bound")?;
    if made != place {
        return Err(format!("the axiom speaks of {}, not of {}", world.text(made), world.text(place)));
    }
    let result = instantiate(world, to, &mut binding).ok_or("a variable of the axiom is not bound")?;
    conditions_hold(world, axiom, &binding)?;
    Ok(world.replace(term, &step.position, result))
}

/// Whether one of the axiom's alternatives holds in full.
pub(crate) fn conditions_hold(world: &World, axiom: &Axiom, binding: &Binding) -> Result<(), String> {
    let alternative = |sides: &Vec<super::pattern::Side>| sides.iter().all(|side| holds(world, side, binding));
    if axiom.when.is_empty() || axiom.when.iter().any(alternative) {
        return Ok(());
    }
    Err("a condition of the axiom does not certainly hold".into())
}

/// What a step binds by itself, in the words of the rule.
fn given(world: &mut World, rule: &Binding, with: &BTreeMap<String, String>) -> Result<Binding, String> {
    let mut binding = Binding::default();
    for (name, text) in with {
        if let Some(class) = name.strip_prefix('$') {
            // An operator, written on operands that do not matter.
            let mut inner = rule.clone();
            inner.terms.insert(ANY.to_owned(), world.absent());
            let term = instantiate(world, &parse_pattern(text)?, &mut inner);
            let head = world.head(term.ok_or_else(|| format!("{text} has no value"))?).clone();
            binding.heads.insert(class.to_owned(), head);
            continue;
        }
        match name.strip_prefix('?') {
            Some(variable) => {
                let value = match parse_value(text)? {
                    AttrValue::Literal(value) => Some(value),
                    AttrValue::Variable(name) => rule.vars.get(&name).cloned(),
                    AttrValue::Computed(expr) => rule.scope(world).eval(&expr),
                    AttrValue::Function(..) => None,
                };
                let value: SymVal = value.ok_or_else(|| format!("{text} has no value"))?;
                binding.vars.insert(variable.to_owned(), value.normal(&world.facts));
            }
            None => {
                let mut inner = rule.clone();
                let term = instantiate(world, &parse_pattern(text)?, &mut inner);
                binding.terms.insert(name.clone(), term.ok_or_else(|| format!("{text} has no value"))?);
            }
        }
    }
    Ok(binding)
}
