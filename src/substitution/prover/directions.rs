//! The axioms as rewrites of an e-graph, each in the directions in which a match tells enough.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use egg::Id;
use rustc_hash::{FxHashSet, FxHasher};

use super::egraph::{Found, Graph, bound, concrete, kinds, matches_in};
use crate::graph::OpKind;
use crate::substitution::proof::check::conditions_hold;
use crate::substitution::proof::pattern::{AttrValue, Binding, Pattern, PatternOp};
use crate::substitution::proof::term::{Head, SymVal};
use crate::substitution::proof::{Axiom, axioms};

/// More candidates for an attribute that a match does not tell are not tried.
const MAX_HINTS: usize = 8;

/// Axioms that say what an operator abbreviates. Both sides of a rule are written out, and nothing is abbreviated again.
const WRITTEN_OUT: [&str; 8] = [
    "sub-is-add",
    "neg-is-mul",
    "div-is-mul",
    "sum-of-two",
    "mean-of-two",
    "batch-normalisation",
    "reshaping-as-reshape",
    "gemm-with-bias",
];

/// An axiom in one direction.
pub(super) struct Direction {
    pub axiom: &'static Axiom,
    pub backwards: bool,
    /// Attributes that only the other side speaks of, and where values for them may be seen: (variable, operator,
    /// attribute).
    hints: Vec<(String, OpKind, &'static str)>,
}

/// An instance of a direction.
pub(super) struct Instance {
    classes: BTreeMap<String, Id>,
    binding: Binding,
}

/// Instances that were applied, by their hashes: to apply one again changes nothing.
pub(super) type Met = FxHashSet<u64>;

/// All directions that can be used, in order of the table.
pub(super) fn directions() -> &'static [Direction] {
    static ALL: OnceLock<Vec<Direction>> = OnceLock::new();
    ALL.get_or_init(|| {
        let both = |axiom: &'static Axiom| [false, true].map(|backwards| Direction::of(axiom, backwards));
        axioms().iter().flat_map(both).flatten().collect()
    })
}

#[derive(Default)]
struct Names {
    terms: BTreeSet<String>,
    heads: BTreeSet<String>,
    vars: BTreeSet<String>,
    places: Vec<(String, OpKind, &'static str)>,
}

fn collect(pattern: &Pattern, names: &mut Names) {
    match pattern {
        Pattern::Var(name) => drop(names.terms.insert(name.clone())),
        Pattern::Apply(apply) => {
            names.terms.extend(apply.label.clone());
            match &apply.op {
                PatternOp::Class(_, name) => drop(names.heads.insert(name.clone())),
                PatternOp::Kind(kind) => {
                    for (attr, value) in &apply.attrs {
                        if let AttrValue::Variable(name) = value {
                            names.vars.insert(name.clone());
                            names.places.push((name.clone(), *kind, attr));
                        }
                    }
                }
            }
            apply.args.iter().for_each(|arg| collect(arg, names));
        }
    }
}

fn variables(pattern: &Pattern) -> BTreeSet<&str> {
    match pattern {
        Pattern::Var(name) => BTreeSet::from([name.as_str()]),
        Pattern::Apply(apply) => apply.args.iter().flat_map(variables).collect(),
    }
}

impl Direction {
    /// The direction, unless a match leaves open which terms or operators the other side has.
    fn of(axiom: &'static Axiom, backwards: bool) -> Option<Direction> {
        let (from, to) = if backwards { (&axiom.right, &axiom.left) } else { (&axiom.left, &axiom.right) };
        // What commutes does so in both directions at once.
        if backwards && axiom.name == "commutes" {
            return None;
        }
        // A bare variable matches everything: such a side is only ever arrived at.
        if backwards && WRITTEN_OUT.contains(&axiom.name) {
            return None;
        }
        if matches!(from, Pattern::Var(_)) || !variables(to).is_subset(&variables(from)) {
            return None;
        }
        let (mut have, mut need) = (Names::default(), Names::default());
        collect(from, &mut have);
        collect(to, &mut need);
        if !need.heads.is_subset(&have.heads) {
            return None;
        }
        let mut hints: Vec<(String, OpKind, &'static str)> = Vec::new();
        for (name, kind, attr) in need.places {
            if !have.vars.contains(&name) && hints.iter().all(|(n, ..)| *n != name) {
                hints.push((name, kind, attr));
            }
        }
        Some(Direction { axiom, backwards, hints })
    }

    fn sides(&self) -> (&'static Pattern, &'static Pattern) {
        if self.backwards { (&self.axiom.right, &self.axiom.left) } else { (&self.axiom.left, &self.axiom.right) }
    }

    /// Instances in the e-graph that were not met before.
    pub fn instances(&self, graph: &Graph, limit: usize, met: &Met) -> Vec<(u64, Instance)> {
        let (from, _) = self.sides();
        let Pattern::Apply(root) = from else { return Vec::new() };
        let mut classes: Vec<Id> = graph.classes().map(|class| class.id).collect();
        classes.sort_unstable();
        let suits = |kind: OpKind| match &root.op {
            PatternOp::Kind(wanted) => *wanted == kind,
            PatternOp::Class(class, _) => class.has(kind),
        };
        let mut instances = Vec::new();
        for class in classes {
            if !kinds(graph, class).any(suits) {
                continue;
            }
            for found in matches_in(graph, from, class, Found::default()) {
                let Some(binding) = bound(graph, &found) else { continue };
                for binding in self.with_hints(graph, binding) {
                    let key = self.key(graph, &found.classes, &binding);
                    if met.contains(&key) {
                        continue;
                    }
                    instances.push((key, Instance { classes: found.classes.clone(), binding }));
                    if instances.len() >= limit {
                        return instances;
                    }
                }
            }
        }
        instances
    }

    /// A hash of an instance.
    fn key(&self, graph: &Graph, classes: &BTreeMap<String, Id>, binding: &Binding) -> u64 {
        let mut hasher = FxHasher::default();
        (self.axiom.name, self.backwards).hash(&mut hasher);
        classes.values().for_each(|class| graph.find(*class).hash(&mut hasher));
        binding.vars.values().for_each(|value| value.hash(&mut hasher));
        binding.heads.values().for_each(|head| head.hash(&mut hasher));
        hasher.finish()
    }

    /// The binding, completed with values seen elsewhere for attributes that it does not tell.
    fn with_hints(&self, graph: &Graph, binding: Binding) -> Vec<Binding> {
        let mut all = vec![binding];
        for (name, kind, attr) in &self.hints {
            let mut values: Vec<&SymVal> = Vec::new();
            for head in &graph.analysis.heads {
                if let Head::Apply(a) = head
                    && a.kind == *kind
                    && let Some(value) = a.attr(attr)
                    && !values.contains(&value)
                    && values.len() < MAX_HINTS
                {
                    values.push(value);
                }
            }
            let with = |binding: &Binding, value: &SymVal| {
                let mut binding = binding.clone();
                binding.vars.insert(name.clone(), value.clone());
                binding
            };
            all = all.iter().flat_map(|binding| values.iter().map(|value| with(binding, value))).collect();
        }
        all
    }

    /// Joins both sides of an instance, if its conditions hold.
    pub fn apply(&self, graph: &mut Graph, instance: Instance) {
        let (from, to) = self.sides();
        let Instance { classes, mut binding } = instance;
        let Some((left, subst)) = concrete(graph, from, &classes, &mut binding) else { return };
        let Some((right, other)) = concrete(graph, to, &classes, &mut binding) else { return };
        if conditions_hold(&graph.analysis.world, self.axiom, &binding).is_err() {
            return;
        }
        // Both sides number their variables by themselves.
        let right = renumber(&left, right, &other, &subst);
        let arrow = if self.backwards { '<' } else { '>' };
        graph.union_instantiations(&left, &right.0, &right.1, format!("{arrow}{}", self.axiom.name));
    }
}

type Side = (egg::PatternAst<super::egraph::ENode>, egg::Subst);

/// The right side with variables after those of the left, and one substitution for both.
fn renumber(
    left: &egg::PatternAst<super::egraph::ENode>,
    right: egg::PatternAst<super::egraph::ENode>,
    right_subst: &egg::Subst,
    left_subst: &egg::Subst,
) -> Side {
    let number = |node: &egg::ENodeOrVar<super::egraph::ENode>| match node {
        egg::ENodeOrVar::Var(var) => var.as_u32(),
        egg::ENodeOrVar::ENode(_) => None,
    };
    let count = |side: &egg::PatternAst<super::egraph::ENode>| {
        side.as_ref().iter().filter_map(number).max().map_or(0, |last| last + 1)
    };
    let offset = count(left);
    let mut subst = left_subst.clone();
    for i in 0..count(&right) {
        if let Some(id) = right_subst.get(egg::Var::from_u32(i)) {
            subst.insert(egg::Var::from_u32(offset + i), *id);
        }
    }
    let nodes = right.into_iter().map(|node| match node {
        egg::ENodeOrVar::Var(var) => {
            egg::ENodeOrVar::Var(egg::Var::from_u32(offset + var.as_u32().unwrap_or_default()))
        }
        node @ egg::ENodeOrVar::ENode(_) => node,
    });
    (nodes.collect::<Vec<_>>().into(), subst)
}
