//! What a well-typed source and the conditions of a rule imply of sizes.

use std::collections::BTreeMap;

use super::demands::demands;
use super::eval::{Scope, pairs};
use super::facts::Facts;
use super::group::{self, Member, speaks_of_member};
use super::pattern::Binding;
use super::shape::Shape;
use super::statement::scope;
use super::term::{SymVal, TermId, World};
use crate::graph::Dim;
use crate::rewrite::{Arithmetic, AttrPattern, Comparison, Condition, Expr, Operand, Rule};

/// How many axes of shapes of unknown rank are looked at where two shapes are one.
const AXES: usize = 6;

/// What a well-typed source and the conditions imply, beyond what was known.
pub(super) fn learn(rule: &Rule, world: &World, binding: &Binding, demanded: bool) -> Facts {
    let mut facts = world.facts.clone();
    let form = binding.form;
    // Conditions go before what operators demand: shapes are simpler once it is known what broadcasts to what.
    for node in rule.source.nodes.iter().filter(|_| demanded) {
        let members = if node.repeated { form.members() } else { &[Member::Last] };
        for &member in members {
            let key = node.outputs.first().and_then(|output| group::result_key(output, member));
            if let Some(term) = key.and_then(|key| binding.terms.get(&key)) {
                demands(world, *term, &mut facts);
            }
        }
    }
    for &member in form.members() {
        let scope = scope(rule, world, binding, member);
        for condition in &rule.conditions {
            if member == Member::Last || speaks_of_member(condition) {
                learn_condition(&scope, condition, &mut facts);
            }
        }
        for (v, w) in mutual(&rule.conditions) {
            if let (Some(v), Some(w)) = (scope.shape(v), scope.shape(w)) {
                learn_same(v, w, &world.facts, &mut facts);
            }
        }
        let computed = rule.target.nodes.iter().flat_map(|n| &n.attrs).filter_map(|(_, pattern)| match pattern {
            AttrPattern::Computed(expr) => Some(expr),
            AttrPattern::Any | AttrPattern::Literal(_) | AttrPattern::Variable(_) => None,
        });
        let exprs = rule.lets.iter().map(|(_, expr)| expr).chain(computed);
        exprs.for_each(|expr| learn_quotients(&scope, expr, &mut facts));
    }
    facts.specialise();
    facts.settle();
    facts
}

/// What the operators of a target demand, if it is more than what is known.
pub(super) fn learn_target(world: &World, results: &BTreeMap<String, TermId>) -> Option<Facts> {
    let mut facts = world.facts.clone();
    results.values().for_each(|term| demands(world, *term, &mut facts));
    facts.settle();
    (facts != world.facts).then_some(facts)
}

/// Two shapes are the same.
fn learn_same(v: &Shape, w: &Shape, known: &Facts, facts: &mut Facts) {
    facts.equal(&v.rank(), &w.rank());
    if let (Some(v), Some(w)) = (v.dims(), w.dims()) {
        return v.iter().zip(w).for_each(|(a, b)| facts.equal(a, b));
    }
    if let (Some(v), Some(w)) = (v.open_name(), w.open_name()) {
        facts.same_shape(v, w);
    }
    for k in 1..=AXES {
        facts.equal(&v.counted_from_end(k, known), &w.counted_from_end(k, known));
        if let (Some(a), Some(b)) = (v.counted_from_start(k - 1, known), w.counted_from_start(k - 1, known)) {
            facts.equal(&a, &b);
        }
    }
}

/// Pairs that broadcast both ways: they have one shape.
fn mutual(conditions: &[Condition]) -> Vec<(&Operand, &Operand)> {
    let one_way = |v: &Operand, w: &Operand| {
        conditions.iter().any(|c| matches!(c, Condition::Broadcasts(a, b) if a == v && b == w))
    };
    conditions
        .iter()
        .filter_map(|c| match c {
            Condition::Broadcasts(v, w) if one_way(w, v) => Some((v, w)),
            _ => None,
        })
        .collect()
}

/// Quotients of a rule are exact where it applies.
fn learn_quotients(scope: &Scope<'_>, expr: &Expr, facts: &mut Facts) {
    match expr {
        Expr::Binary(op, a, b) => {
            learn_quotients(scope, a, facts);
            learn_quotients(scope, b, facts);
            let (Some(a), Some(b)) = (scope.int(a), scope.int(b)) else { return };
            match op {
                Arithmetic::Div => facts.divides_exactly(&a, &b),
                Arithmetic::Max => {
                    facts.at_least_zero(&a.maximum(&b).sub(&a));
                    facts.at_least_zero(&a.maximum(&b).sub(&b));
                }
                Arithmetic::Add | Arithmetic::Sub | Arithmetic::Mul | Arithmetic::Min => {}
            }
        }
        Expr::List(items) => items.iter().for_each(|item| learn_quotients(scope, item, facts)),
        Expr::Dim(_, inner) | Expr::Index(_, inner) => learn_quotients(scope, inner, facts),
        Expr::Int(_) | Expr::Variable(_) | Expr::Rank(_) | Expr::Count => {}
    }
}

fn learn_condition(scope: &Scope<'_>, condition: &Condition, facts: &mut Facts) {
    match condition {
        Condition::Compare(comparison, a, b) => {
            learn_quotients(scope, a, facts);
            learn_quotients(scope, b, facts);
            let Some((a, b)) = scope.sides(*comparison, a, b) else { return };
            let Some(pairs) = pairs(&a, &b) else { return facts.literally(*comparison, &a, &b) };
            let lists = matches!((&a, &b), (SymVal::List(_), SymVal::List(_)));
            for (a, b) in pairs {
                match comparison {
                    Comparison::Equal => {
                        if a.sub(&b).solutions().is_empty() {
                            facts.literally(*comparison, &SymVal::Num(a.clone()), &SymVal::Num(b.clone()));
                        }
                        facts.equal(&a, &b);
                    }
                    // Lists differ where some entry does.
                    Comparison::NotEqual if lists => {}
                    Comparison::NotEqual => facts.not_zero(&b.sub(&a)),
                    Comparison::Less => facts.at_least_zero(&b.sub(&a).sub(&Dim::Known(1))),
                    Comparison::LessOrEqual => facts.at_least_zero(&b.sub(&a)),
                }
            }
        }
        Condition::Divides(a, b) => {
            if let (Some(a), Some(b)) = (scope.int(a), scope.int(b)) {
                facts.divides_exactly(&b, &a);
            }
        }
        Condition::Constant(_) => {}
        Condition::Broadcasts(v, w) => {
            if let (Some(v), Some(w)) = (scope.shape(v), scope.shape(w)) {
                learn_broadcast(v, w, facts);
            }
        }
    }
}

/// A shape broadcasts to another without changing it.
pub(super) fn learn_broadcast(v: &Shape, w: &Shape, facts: &mut Facts) {
    facts.broadcast(v, w);
    facts.at_least_zero(&w.rank().sub(&v.rank()));
    for k in 1..=w.known_rank().unwrap_or(2) {
        let pair = (w.counted_from_end(k, facts), v.counted_from_end(k, facts));
        facts.cover(&pair.0, &pair.1);
    }
}
