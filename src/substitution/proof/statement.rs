//! What there is to prove of a rule: its sides as terms over inputs with symbolic dimensions, under what a well-typed
//! source and the rule's conditions imply.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::eval::Scope;
use super::facts::Facts;
use super::group::{self, Form, Member, is_grouped};
use super::learn::{learn, learn_target};
use super::pattern::Binding;
use super::sides::{Sides, Unstated};
use super::term::{TermId, World};
use crate::rewrite::{Arity, Condition, Operand, Rule};

/// Passes over the source; each may solve sizes that the next one builds on.
const PASSES: usize = 6;

/// A rule with some of its optional inputs left out, in one form.
pub(crate) struct Statement {
    pub world: World,
    /// Inputs and results of source nodes, and the rule's variables.
    pub binding: Binding,
    /// What is to be shown.
    pub goals: Vec<Goal>,
    /// What is granted of the first n members: sources and the targets that they are equal to.
    pub hypothesis: Vec<(TermId, TermId)>,
}

/// An output of the source and of the target.
pub(crate) struct Goal {
    /// Which output.
    pub output: usize,
    pub case: Case,
    pub source: TermId,
    pub target: TermId,
}

/// Which members of its lists a part of a proof is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// The rule has no lists.
    Plain,
    /// Lists have one member.
    One,
    /// Lists have n + 1 members; of an output that is a list, the first n.
    Next,
    /// Lists have n + 1 members; of an output that is a list, the last.
    Last,
}

impl Case {
    /// All cases.
    pub const ALL: [Case; 4] = [Case::Plain, Case::One, Case::Next, Case::Last];
}

/// As the head of a part of a proof says it.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Case::Plain => "",
            Case::One => " for 1",
            Case::Next => " for n + 1",
            Case::Last => " for the last of n + 1",
        })
    }
}

/// What is to be shown of a rule without the optional inputs named.
///
/// # Errors
/// A value of its target cannot be told from its source.
pub(crate) fn statements(rule: &Rule, absent: &BTreeSet<&str>) -> Result<Vec<Statement>, Unstated> {
    let forms: &[Form] = if is_grouped(rule) { &[Form::One, Form::Next] } else { &[Form::Plain] };
    forms.iter().map(|form| Statement::of(rule, absent, *form)).collect()
}

impl Statement {
    fn of(rule: &Rule, absent: &BTreeSet<&str>, form: Form) -> Result<Statement, Unstated> {
        let mut facts = Facts::default();
        let mut pass = 0;
        let (mut world, mut binding) = loop {
            pass += 1;
            let (world, binding) = source(rule, absent, form, &facts)?;
            let learned = learn(rule, &world, &binding, pass > 1);
            let settled = pass > 1 && learned == facts;
            facts = learned;
            if settled || pass == PASSES {
                break (world, binding);
            }
        };
        let mut results = Sides { rule, world: &mut world, binding: &mut binding, named: true }.target()?;
        // A target that is put in has a value, so what its operators demand is so.
        if form == Form::Plain
            && let Some(facts) = learn_target(&world, &results)
        {
            (world, binding) = source(rule, absent, form, &facts)?;
            results = Sides { rule, world: &mut world, binding: &mut binding, named: true }.target()?;
        }
        let mut goals = Vec::new();
        for (output, (source, target)) in rule.source.outputs.iter().zip(&rule.target.outputs).enumerate() {
            let list = matches!(source, Operand::All(_));
            let cases: &[(Case, Member)] = match (form, list) {
                (Form::Plain, _) => &[(Case::Plain, Member::Last)],
                (Form::One, _) => &[(Case::One, Member::Last)],
                (_, true) => &[(Case::Next, Member::Any), (Case::Last, Member::Last)],
                (_, false) => &[(Case::Next, Member::Last)],
            };
            for &(case, member) in cases {
                let source = output_term(source, member, &BTreeMap::new(), &binding)?;
                let target = output_term(target, member, &results, &binding)?;
                goals.push(Goal { output, case, source, target });
            }
        }
        for goal in &goals {
            grant(&mut world, goal.source);
            // A rule over lists is shown to have a value for n + 1 wherever its source has, since that of n is used.
            if form == Form::Plain {
                grant(&mut world, goal.target);
            }
        }
        let mut statement = Statement { world, binding, goals, hypothesis: Vec::new() };
        if form == Form::Next {
            statement.hypothesis = statement.assume(rule).unwrap_or_default();
        }
        Ok(statement)
    }

    /// The rule for the first n members, and for the first part of what the source splits into n + 1; none if its
    /// conditions do not certainly hold there.
    fn assume(&mut self, rule: &Rule) -> Option<Vec<(TermId, TermId)>> {
        let mut binding = Binding { form: Form::First, vars: self.binding.vars.clone(), ..Binding::default() };
        for input in &rule.inputs {
            match input.arity {
                Arity::List => {
                    for key in [group::member(&input.name), group::first(&input.name)] {
                        binding.terms.insert(key.clone(), *self.binding.terms.get(&key)?);
                    }
                }
                Arity::One | Arity::Optional => {
                    binding.terms.insert(input.name.clone(), *self.binding.terms.get(&input.name)?);
                }
            }
        }
        for node in &rule.source.nodes {
            if let ([Operand::All(list)], [Operand::One(whole)]) = (node.outputs.as_slice(), node.inputs.as_slice())
                && let Some(input) = rule.inputs.iter().find(|i| i.name == *whole)
            {
                // The first n of its parts are the parts of its first part.
                let parts = *self.binding.terms.get(&group::member(list))?;
                let first = *self.world.args(parts).first()?;
                if input.rank.is_some() && self.world.shape(first).known_rank() != input.rank {
                    return None;
                }
                binding.terms.insert(whole.clone(), first);
            }
        }
        let source = Sides { rule, world: &mut self.world, binding: &mut binding, named: false }.source().ok()?;
        binding.terms.extend(source);
        let holds = |condition: &Condition| {
            let scope = Scope { exact: false, ..scope(rule, &self.world, &binding, Member::Any) };
            matches!(condition, Condition::Constant(_)) || scope.holds(condition)
        };
        if !rule.conditions.iter().all(holds) {
            return None;
        }
        let target = Sides { rule, world: &mut self.world, binding: &mut binding, named: false }.target().ok()?;
        let pairs = rule.source.outputs.iter().zip(&rule.target.outputs);
        let pair = |(s, t)| {
            let source = output_term(s, Member::Any, &BTreeMap::new(), &binding).ok()?;
            Some((source, output_term(t, Member::Any, &target, &binding).ok()?))
        };
        let all: Vec<(TermId, TermId)> = pairs.map(pair).collect::<Option<_>>()?;
        // An output has a value where it is used; that the others have one must be granted.
        (all.len() == 1 || all.iter().all(|(source, _)| self.world.is_granted(*source))).then_some(all)
    }
}

/// The terms of inputs and of the source, under what is known.
fn source(rule: &Rule, absent: &BTreeSet<&str>, form: Form, facts: &Facts) -> Result<(World, Binding), Unstated> {
    let mut world = World::new(facts.clone());
    let mut binding = Binding { form, ..Binding::default() };
    add_inputs(rule, absent, &mut world, &mut binding);
    let results = Sides { rule, world: &mut world, binding: &mut binding, named: true }.source()?;
    binding.terms.extend(results);
    Ok((world, binding))
}

/// The term of an output for a member.
fn output_term(
    output: &Operand,
    member: Member,
    results: &BTreeMap<String, TermId>,
    binding: &Binding,
) -> Result<TermId, Unstated> {
    let name = match output {
        Operand::All(name) => group::key(&Operand::Each(name.clone()), member, binding.form),
        other => group::key(other, member, binding.form),
    };
    let name = name.unwrap_or_default();
    let term = results.get(&name).or_else(|| binding.terms.get(&name)).copied();
    term.ok_or_else(|| Unstated(format!("nothing binds output {name:?}")))
}

/// The optional inputs of a rule.
pub(crate) fn optional_inputs(rule: &Rule) -> Vec<&str> {
    rule.inputs.iter().filter(|i| i.arity == Arity::Optional).map(|i| i.name.as_str()).collect()
}

fn add_inputs(rule: &Rule, absent: &BTreeSet<&str>, world: &mut World, binding: &mut Binding) {
    for input in &rule.inputs {
        let (name, rank) = (&input.name, input.rank);
        if input.arity == Arity::List && binding.form == Form::Next {
            binding.terms.insert(group::member(name), world.list(name, rank));
            binding.terms.insert(group::first(name), world.input(&group::first(name), rank));
        }
        let term = if absent.contains(name.as_str()) { world.absent() } else { world.input(name, rank) };
        binding.terms.insert(name.clone(), term);
    }
}

/// A term of the rule has a value wherever the rule is applied, and so have its parts.
fn grant(world: &mut World, term: TermId) {
    if world.is_granted(term) {
        return;
    }
    world.grant(term);
    for arg in world.args(term).to_vec() {
        grant(world, arg);
    }
}

/// What expressions of a rule speak of.
pub(super) fn scope<'a>(rule: &'a Rule, world: &'a World, binding: &'a Binding, member: Member) -> Scope<'a> {
    let form = binding.form;
    Scope { world, terms: &binding.terms, vars: &binding.vars, lets: &rule.lets, exact: true, form, member }
}
