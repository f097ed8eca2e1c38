//! The checker: replays a proof on terms. What it trusts is the table of axioms, shape inference, and this folder; it
//! shares no code with the search that finds proofs.
//!
//! A rule over lists is shown for one member and, granted that it holds for n, for n + 1 ([`super::group`]). That n + 1
//! follows rests on the target having a value wherever the source has, so of such a rule only the source is granted.
//!
//! A proof has a part for each output of the rule and each choice of optional inputs that are left out. A part turns the
//! source's term into the target's by steps, each an instance of an axiom at a position, of which one side is the term
//! that stands there and all conditions certainly hold.

use std::collections::{BTreeMap, BTreeSet};

use super::axioms::Axiom;
pub(crate) use super::axioms::axiom;
use super::class::Class;
use super::condition::{Side, holds};
use super::pattern::{AttrValue, Binding, instantiate, matches};
use super::read::{parse_pattern, parse_value};
use super::statement::{Goal, Statement, optional_inputs, statements};
use super::term::{SymVal, TermId, World};
use super::{HYPOTHESIS, Part, Proof, ProofError, Step};
use crate::rewrite::Rule;

/// Most optional inputs of a rule with a proof: each doubles the parts.
const MAX_OPTIONAL: usize = 6;

/// What stands for operands in the operators that a step names.
pub(crate) const ANY: &str = "_";

/// A step that was taken.
pub(super) struct Taken<'a> {
    pub statement: &'a Statement,
    pub goal: &'a Goal,
    pub part: &'a Part,
    pub step: &'a Step,
    /// Its position in the part.
    pub number: usize,
    /// The term that is replaced.
    pub before: TermId,
    /// What it is replaced by.
    pub after: TermId,
    /// The whole term after the step.
    pub whole: TermId,
}

/// Checks that a proof proves a rule.
///
/// # Errors
/// The first part that is missing, or the first step that does not follow.
pub fn check_proof(rule: &Rule, proof: &Proof) -> Result<(), ProofError> {
    replay(rule, proof, &mut |_| {})
}

/// Checks a proof and shows each step as it is taken.
pub(super) fn replay(rule: &Rule, proof: &Proof, visit: &mut dyn FnMut(&Taken<'_>)) -> Result<(), ProofError> {
    let mut parts = proof.parts.iter();
    let mut expected = 0;
    for absent in choices(rule)? {
        for mut statement in statements(rule, &absent).map_err(|e| ProofError::Unstated(e.0))? {
            for goal in std::mem::take(&mut statement.goals) {
                let fits =
                    |p: &&Part| (p.output, p.case) == (goal.output, goal.case) && p.absent.iter().eq(absent.iter());
                let part = parts.next().filter(fits).ok_or(ProofError::Missing { output: goal.output })?;
                check_part(&mut statement, &goal, part, visit)?;
                expected += 1;
            }
        }
    }
    if parts.next().is_some() {
        return Err(ProofError::Parts { expected, found: proof.parts.len() });
    }
    Ok(())
}

/// The choices of optional inputs that are left out.
pub(crate) fn choices(rule: &Rule) -> Result<Vec<BTreeSet<&str>>, ProofError> {
    let optional = optional_inputs(rule);
    if optional.len() > MAX_OPTIONAL {
        return Err(ProofError::Unstated(format!("more than {MAX_OPTIONAL} optional inputs")));
    }
    let chosen = |choice: usize| optional.iter().enumerate().filter(move |(i, _)| choice >> i & 1 == 1);
    Ok((0..1usize << optional.len()).map(|choice| chosen(choice).map(|(_, name)| *name).collect()).collect())
}

fn check_part(
    statement: &mut Statement,
    goal: &Goal,
    part: &Part,
    visit: &mut dyn FnMut(&Taken<'_>),
) -> Result<(), ProofError> {
    let (mut term, target) = (goal.source, goal.target);
    for (number, step) in part.steps.iter().enumerate() {
        let (before, after) = instance(statement, term, step).map_err(|why| ProofError::Step {
            output: part.output,
            number,
            step: step.to_string(),
            why,
        })?;
        term = statement.world.replace(term, &step.position, after);
        visit(&Taken { statement, goal, part, step, number, before, after, whole: term });
    }
    if term == target {
        return Ok(());
    }
    let (reached, wanted) = (statement.world.text(term), statement.world.text(target));
    Err(ProofError::Elsewhere { output: part.output, reached, wanted })
}

/// The term that a step replaces, and what it replaces it by.
fn instance(statement: &mut Statement, term: TermId, step: &Step) -> Result<(TermId, TermId), String> {
    let world = &mut statement.world;
    let place = world.at(term, &step.position).ok_or("there is no such position")?;
    if step.axiom == HYPOTHESIS {
        // Forwards only: that the source has a value for n follows from where it stands, and so the target has one.
        let known = statement.hypothesis.iter().find(|(source, _)| *source == place && !step.backwards);
        let (_, target) = known.ok_or_else(|| format!("nothing is granted of {}", world.text(place)))?;
        return Ok((place, *target));
    }
    let axiom = axiom(&step.axiom).ok_or("there is no such axiom")?;
    if world.is_list(place) {
        return Err("axioms do not speak of lists".into());
    }
    let mut binding = given(world, &statement.binding, &step.with)?;
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
    Ok((place, result))
}

/// Whether one of the axiom's alternatives holds in full.
pub(crate) fn conditions_hold(world: &World, axiom: &Axiom, binding: &Binding) -> Result<(), String> {
    let alternative = |sides: &Vec<Side>| sides.iter().all(|side| holds(world, side, binding));
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
            let term = term.ok_or_else(|| format!("{text} has no value"))?;
            let operands = Class::of(class).ok_or_else(|| format!("{class} is no class"))?.operands();
            if let Some(own) = world.args(term).get(operands) {
                binding.terms.insert(name.clone(), *own);
            }
            binding.heads.insert(class.to_owned(), world.head(term).clone());
            continue;
        }
        match name.strip_prefix('?') {
            Some(variable) => {
                let value = match parse_value(text)? {
                    AttrValue::Literal(value) => Some(value),
                    AttrValue::Variable(name) => {
                        rule.vars.get(&name).cloned().or_else(|| rule.scope(world).variable(&name))
                    }
                    AttrValue::Computed(expr) => rule.scope(world).eval(&expr),
                    AttrValue::Function(..) => None,
                };
                let value: SymVal = value.ok_or_else(|| format!("{text} has no value"))?;
                binding.vars.insert(variable.to_owned(), value.normal(&world.facts));
            }
            None => {
                let mut inner = rule.clone();
                let term = instantiate(world, &parse_pattern(text)?, &mut inner);
                let term = term.filter(|term| !world.is_list(*term));
                binding.terms.insert(name.clone(), term.ok_or_else(|| format!("{text} is no value"))?);
            }
        }
    }
    Ok(binding)
}
