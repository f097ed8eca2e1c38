//! From the explanation of an equality to the steps of a proof.

use std::collections::BTreeMap;

use egg::FlatTerm;

use super::egraph::{ENode, Terms};
use crate::substitution::proof::check::axiom;
use crate::substitution::proof::class::Class;
use crate::substitution::proof::pattern::{Binding, matches};
use crate::substitution::proof::term::{Head, TermId};
use crate::substitution::proof::{HYPOTHESIS, Step};

/// The steps of a flat explanation.
pub(super) fn steps(terms: &mut Terms, flat: &[FlatTerm<ENode>]) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut before: Option<TermId> = None;
    for flat in flat {
        let after = term(terms, flat);
        if let Some(before) = before
            && before != after
        {
            let (position, name, forward) = mark(flat).ok_or("a step of the explanation names no axiom")?;
            steps.push(step(terms, before, after, position, &name, forward)?);
        }
        before = Some(after);
    }
    Ok(steps)
}

fn term(terms: &mut Terms, flat: &FlatTerm<ENode>) -> TermId {
    let args = flat.children.iter().map(|child| term(terms, child)).collect();
    let head = terms.heads[flat.node.head as usize].clone();
    terms.world.apply_head(&head, args, None)
}

/// Where a flat term was rewritten, by what, and whether forward.
fn mark(flat: &FlatTerm<ENode>) -> Option<(Vec<usize>, String, bool)> {
    if let Some(rule) = &flat.forward_rule {
        return Some((Vec::new(), rule.to_string(), true));
    }
    if let Some(rule) = &flat.backward_rule {
        return Some((Vec::new(), rule.to_string(), false));
    }
    flat.children.iter().enumerate().find_map(|(i, child)| {
        let (mut position, rule, forward) = mark(child)?;
        position.insert(0, i);
        Some((position, rule, forward))
    })
}

fn step(
    terms: &mut Terms,
    before: TermId,
    after: TermId,
    position: Vec<usize>,
    rule: &str,
    forward: bool,
) -> Result<Step, String> {
    let (turned, name) = match rule.split_at_checked(1) {
        Some((">", name)) => (false, name),
        Some(("<", name)) => (true, name),
        _ => return Err(format!("{rule} is no axiom")),
    };
    let backwards = turned == forward;
    if name == HYPOTHESIS {
        return Ok(Step { axiom: name.to_owned(), backwards, position, with: BTreeMap::new() });
    }
    let axiom = axiom(name).ok_or_else(|| format!("{name} is no axiom"))?;
    let (from, to) = if backwards { (&axiom.right, &axiom.left) } else { (&axiom.left, &axiom.right) };
    let world = &terms.world;
    let (Some(old), Some(new)) = (world.at(before, &position), world.at(after, &position)) else {
        return Err("a step of the explanation is out of place".into());
    };
    let mut told = Binding::default();
    let mut all = Binding::default();
    if !matches(world, from, old, &mut told)
        || !matches(world, from, old, &mut all)
        || !matches(world, to, new, &mut all)
    {
        return Err(format!("{name}: the explanation does not fit the axiom"));
    }
    let mut with = BTreeMap::new();
    for (variable, value) in all.vars.iter().filter(|(name, _)| !told.vars.contains_key(*name)) {
        with.insert(format!("?{variable}"), value.to_string());
    }
    let labels = labels(to);
    let name_of = name.to_owned();
    for (variable, value) in all.terms.iter().filter(|(name, _)| !told.terms.contains_key(*name)) {
        // What belongs to an operator is written with it.
        if !variable.starts_with('$') && !labels.contains(&variable.as_str()) {
            with.insert(variable.clone(), world.text(*value));
        }
    }
    let open: Vec<(String, Head)> = all
        .heads
        .iter()
        .filter(|(name, _)| !told.heads.contains_key(*name))
        .map(|(n, h)| (n.clone(), h.clone()))
        .collect();
    for (variable, head) in open {
        let any = terms.world.absent();
        let name = format!("${variable}");
        let operands = vec![any; Class::of(&variable).map_or(1, Class::operands)];
        let own = all.terms.get(&name).copied();
        let term = terms.world.apply_head(&head, operands.into_iter().chain(own).collect(), None);
        with.insert(name, terms.world.text(term));
    }
    Ok(Step { axiom: name_of, backwards, position, with })
}

fn labels(pattern: &crate::substitution::proof::pattern::Pattern) -> Vec<&str> {
    use crate::substitution::proof::pattern::Pattern;
    match pattern {
        Pattern::Var(_) => Vec::new(),
        Pattern::Apply(apply) => apply.label.as_deref().into_iter().chain(apply.args.iter().flat_map(labels)).collect(),
    }
}
