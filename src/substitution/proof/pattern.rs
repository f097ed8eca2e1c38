//! Terms with variables, read from text: the two sides of axioms, and the terms that a proof names.
//!
//! `Conv(x, Add(w, v)){strides=?s, pads=?p}` applies operators to values; `Split#0/2(x){…}` is the first of two results;
//! `y:Relu(x)` names a term so that attributes and conditions can speak of it; `$u(x)` stands for any operator of a class.
//! An attribute is `?a`, a literal, an expression of the rule language, or a function of lists: `@compose(?p, ?q)`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::class::{Class, Over};
use super::eval::Scope;
use super::functions::Function;
use super::group::{Form, Member};
use super::term::{Application, Head, SymVal, TermId, World};
use crate::graph::OpKind;
use crate::rewrite::Expr;

/// A term with variables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pattern {
    /// Any term; equal names are equal terms.
    Var(String),
    /// An application.
    Apply(Box<Apply>),
}

/// An application in a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Apply {
    /// What expressions call this term.
    pub label: Option<String>,
    pub op: PatternOp,
    /// Of what the operator is applied to; axioms speak of single values.
    pub over: Over,
    /// In order of name, those not mentioned at their default.
    pub attrs: Vec<(&'static str, AttrValue)>,
    /// Which result, of how many.
    pub slot: (usize, usize),
    pub args: Vec<Pattern>,
}

/// An operator in a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PatternOp {
    Kind(OpKind),
    /// Any operator of a class, attributes included; equal names are equal operators.
    Class(Class, String),
}

/// A value of an attribute in a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttrValue {
    Variable(String),
    Literal(SymVal),
    Computed(Expr),
    /// A function of lists.
    Function(Function, Vec<String>),
}

/// What variables stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Binding {
    pub terms: BTreeMap<String, TermId>,
    pub vars: BTreeMap<String, SymVal>,
    pub heads: BTreeMap<String, Head>,
    /// How lists are written out, in a rule.
    pub form: Form,
}

impl Binding {
    pub fn scope<'a>(&'a self, world: &'a World) -> Scope<'a> {
        // A proof calls the number of the first members n.
        let form = if self.form == Form::Next { Form::First } else { self.form };
        let member = Member::Any;
        Scope { world, terms: &self.terms, vars: &self.vars, lets: &[], exact: false, form, member }
    }
}

/// Matches a pattern against a term, adding to the binding. On failure the binding is left in part.
///
/// Attributes that are computed must be computable from what is bound when they are met, or are checked by whoever
/// instantiates the pattern afterwards.
pub(crate) fn matches(world: &World, pattern: &Pattern, term: TermId, binding: &mut Binding) -> bool {
    let apply = match pattern {
        Pattern::Var(name) => return *binding.terms.entry(name.clone()).or_insert(term) == term,
        Pattern::Apply(apply) => apply,
    };
    let Head::Apply(application) = world.head(term) else { return false };
    let args = world.args(term);
    let own = own_operand(apply, application);
    if args.len() != apply.args.len() + usize::from(own.is_some()) || !match_head(apply, application, binding) {
        return false;
    }
    if let Some(label) = &apply.label {
        binding.terms.insert(label.clone(), term);
    }
    if let (Some(name), Some(&last)) = (own, args.last())
        && *binding.terms.entry(name).or_insert(last) != last
    {
        return false;
    }
    apply.args.iter().zip(args).all(|(p, arg)| matches(world, p, *arg, binding))
}

/// The name of the operand that an operator of a class has for itself.
pub(crate) fn own_operand(apply: &Apply, application: &Application) -> Option<String> {
    match &apply.op {
        PatternOp::Class(_, name) if application.kind == OpKind::Gather => Some(format!("${name}")),
        PatternOp::Class(..) | PatternOp::Kind(_) => None,
    }
}

/// Matches operator and attributes alone.
pub(crate) fn match_head(apply: &Apply, application: &Arc<Application>, binding: &mut Binding) -> bool {
    match &apply.op {
        PatternOp::Class(class, name) => {
            let head = Head::Apply(application.clone());
            class.includes(application) && *binding.heads.entry(name.clone()).or_insert(head.clone()) == head
        }
        PatternOp::Kind(kind) => {
            if *kind != application.kind
                || apply.slot != (application.slot, application.slots)
                || apply.attrs.len() != application.attrs.len()
            {
                return false;
            }
            apply.attrs.iter().zip(&application.attrs).all(|((name, pattern), (given, value))| {
                name == given
                    && match pattern {
                        AttrValue::Literal(literal) => literal == value,
                        AttrValue::Variable(variable) => {
                            *binding.vars.entry(variable.clone()).or_insert(value.clone()) == *value
                        }
                        AttrValue::Computed(_) | AttrValue::Function(..) => true,
                    }
            })
        }
    }
}

/// The term that a pattern is under a binding; labels are bound on the way. `None`: something is not bound, or has no
/// value.
pub(crate) fn instantiate(world: &mut World, pattern: &Pattern, binding: &mut Binding) -> Option<TermId> {
    let apply = match pattern {
        Pattern::Var(name) => return binding.terms.get(name).copied(),
        Pattern::Apply(apply) => apply,
    };
    let mut args = Vec::with_capacity(apply.args.len());
    for arg in &apply.args {
        args.push(instantiate(world, arg, binding)?);
    }
    if !apply.over.suits(world, &args) {
        return None;
    }
    let term = match &apply.op {
        PatternOp::Class(_, name) => {
            let head = binding.heads.get(name)?.clone();
            if let Some(own) = head.application().and_then(|a| own_operand(apply, a)) {
                args.push(*binding.terms.get(&own)?);
            }
            world.apply_head(&head, args, None)
        }
        PatternOp::Kind(kind) => {
            let mut attrs = Vec::with_capacity(apply.attrs.len());
            for (name, value) in &apply.attrs {
                attrs.push((*name, attr_value(world, value, binding)?));
            }
            world.apply_as(apply.over.head(), *kind, attrs, apply.slot, args, None)
        }
    };
    if let Some(label) = &apply.label {
        binding.terms.insert(label.clone(), term);
    }
    Some(term)
}

pub(crate) fn attr_value(world: &World, value: &AttrValue, binding: &Binding) -> Option<SymVal> {
    let scope = binding.scope(world);
    match value {
        AttrValue::Literal(value) => Some(value.clone()),
        AttrValue::Variable(name) => scope.variable(name),
        AttrValue::Computed(expr) => scope.eval(expr),
        AttrValue::Function(function, args) => function.value(world, args, binding),
    }
}
