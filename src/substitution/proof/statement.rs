//! What there is to prove of a rule: its sides as terms over inputs with symbolic dimensions, under what a well-typed
//! source and the rule's conditions imply.

use std::collections::{BTreeMap, BTreeSet};

use super::eval::{Scope, pairs};
use super::facts::Facts;
use super::pattern::Binding;
use super::shape::Shape;
use super::term::{Head, SymVal, TermId, World};
use crate::graph::{Dim, OpKind};
use crate::ops::{self, AttrSpec, AttrType};
use crate::rewrite::{Arithmetic, Arity, AttrPattern, Comparison, Condition, Expr, Operand, Rule, RuleGraph, RuleNode};

/// Passes over the source; each may solve sizes that the next one builds on.
const PASSES: usize = 5;

/// How many axes of shapes of unknown rank are looked at where two shapes are one.
const AXES: usize = 6;

/// A rule with some of its optional inputs left out.
pub(crate) struct Statement {
    pub world: World,
    /// Inputs and results of source nodes, and the rule's variables.
    pub binding: Binding,
    /// Source and target, output by output.
    pub outputs: Vec<(TermId, TermId)>,
}

/// A rule of which nothing can be stated, and why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unstated(pub String);

impl Statement {
    /// States a rule of fixed arity without the optional inputs named.
    ///
    /// # Errors
    /// The rule speaks of lists, or a value of its target cannot be told from its source.
    pub fn of(rule: &Rule, absent: &BTreeSet<&str>) -> Result<Statement, Unstated> {
        if is_grouped(rule) {
            return Err(Unstated("the rule speaks of lists".into()));
        }
        let mut facts = Facts::default();
        let mut builder = None;
        for _ in 0..PASSES {
            let mut world = World::new(facts.clone());
            let mut binding = Binding::default();
            add_inputs(rule, absent, &mut world, &mut binding);
            let results = build(rule, &rule.source, Side::Source, &mut world, &mut binding)?;
            binding.terms.extend(results);
            let learned = learn(rule, &world, &binding);
            let settled = learned == facts;
            facts = learned;
            builder = Some((world, binding));
            if settled {
                break;
            }
        }
        let (mut world, mut binding) = builder.ok_or_else(|| Unstated("no pass was made".into()))?;
        let results = build(rule, &rule.target, Side::Target, &mut world, &mut binding)?;
        let find = |operand: &Operand| {
            let name = operand.name().unwrap_or_default();
            let term = results.get(name).or_else(|| binding.terms.get(name)).copied();
            term.ok_or_else(|| Unstated(format!("nothing binds output {name:?}")))
        };
        let outputs = rule.source.outputs.iter().zip(&rule.target.outputs);
        let outputs: Vec<(TermId, TermId)> =
            outputs.map(|(s, t)| Ok((find(s)?, find(t)?))).collect::<Result<_, _>>()?;
        for (source, target) in &outputs {
            grant(&mut world, *source);
            grant(&mut world, *target);
        }
        Ok(Statement { world, binding, outputs })
    }
}

/// Whether a rule speaks of lists.
pub(crate) fn is_grouped(rule: &Rule) -> bool {
    let nodes = rule.source.nodes.iter().chain(&rule.target.nodes);
    rule.inputs.iter().any(|i| i.arity == Arity::List)
        || nodes.into_iter().any(|n| n.repeated || n.outputs.iter().any(|o| matches!(o, Operand::All(_))))
}

/// The optional inputs of a rule.
pub(crate) fn optional_inputs(rule: &Rule) -> Vec<&str> {
    rule.inputs.iter().filter(|i| i.arity == Arity::Optional).map(|i| i.name.as_str()).collect()
}

fn add_inputs(rule: &Rule, absent: &BTreeSet<&str>, world: &mut World, binding: &mut Binding) {
    for input in &rule.inputs {
        let term =
            if absent.contains(input.name.as_str()) { world.absent() } else { world.input(&input.name, input.rank) };
        binding.terms.insert(input.name.clone(), term);
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

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Source,
    Target,
}

/// Adds the terms of one side; the results of its nodes by name. Names of source nodes name their shapes.
fn build(
    rule: &Rule,
    graph: &RuleGraph,
    side: Side,
    world: &mut World,
    binding: &mut Binding,
) -> Result<BTreeMap<String, TermId>, Unstated> {
    let mut results: BTreeMap<String, TermId> = BTreeMap::new();
    for node in &graph.nodes {
        let mut args = Vec::with_capacity(node.inputs.len());
        for operand in &node.inputs {
            let term = match operand.name() {
                None => world.absent(),
                Some(name) => *results
                    .get(name)
                    .or_else(|| binding.terms.get(name))
                    .ok_or_else(|| Unstated(format!("nothing binds {name:?}")))?,
            };
            args.push(term);
        }
        if side == Side::Target
            && let Some(term) = without_absent(node.op, &args, world)
        {
            bind(&mut results, node, 0, term);
            continue;
        }
        let mut attrs = Vec::with_capacity(node.attrs.len());
        for (name, pattern) in &node.attrs {
            let spec = ops::schema(node.op).attr(name).ok_or_else(|| Unstated(format!("no attribute {name}")))?;
            let value = attribute(rule, node, spec, pattern, &args, world, binding);
            attrs.push((spec.name, value.ok_or_else(|| Unstated(format!("{name} of {} has no value", node.op)))?));
        }
        for slot in 0..node.outputs.len() {
            let name = node.outputs[slot].name().filter(|_| side == Side::Source);
            let term = world.apply(node.op, attrs.clone(), (slot, node.outputs.len()), args.clone(), name);
            bind(&mut results, node, slot, term);
        }
    }
    Ok(results)
}

fn bind(results: &mut BTreeMap<String, TermId>, node: &RuleNode, slot: usize, term: TermId) {
    if let Some(name) = node.outputs[slot].name() {
        results.insert(name.to_owned(), term);
    }
}

/// What an operator of the target makes of a missing bias: a zero that stays one through linear operators.
fn without_absent(op: OpKind, args: &[TermId], world: &mut World) -> Option<TermId> {
    use OpKind::*;
    let absent = world.absent();
    let missing: Vec<bool> = args.iter().map(|a| *a == absent).collect();
    if !missing.contains(&true) {
        return None;
    }
    match (op, missing.as_slice()) {
        (Add, [false, true]) | (Sub, [false, true]) => Some(args[0]),
        (Add, [true, false]) => Some(args[1]),
        (Sub, [true, false]) => Some(world.apply(Neg, Vec::new(), (0, 1), vec![args[1]], None)),
        (Add | Sub, _) => Some(absent),
        (Mul | Div | Neg | Reshape | Transpose | MatMul | ReduceSum, _) => Some(absent),
        _ => None,
    }
}

fn attribute(
    rule: &Rule,
    node: &RuleNode,
    spec: &AttrSpec,
    pattern: &AttrPattern,
    args: &[TermId],
    world: &World,
    binding: &mut Binding,
) -> Option<SymVal> {
    match pattern {
        AttrPattern::Literal(value) => Some(SymVal::of(value)),
        AttrPattern::Computed(expr) => scope(rule, world, binding).eval(expr),
        AttrPattern::Variable(name) => {
            if let Some(value) = scope(rule, world, binding).variable(name) {
                return Some(value);
            }
            let value = fresh(name, node, spec, args, world);
            binding.vars.insert(name.clone(), value.clone());
            Some(value)
        }
        AttrPattern::Any => {
            let output = node.outputs.first().and_then(Operand::name).unwrap_or_default();
            let name = format!("_{output}_{}", spec.name);
            let value = fresh(&name, node, spec, args, world);
            binding.vars.insert(name, value.clone());
            Some(value)
        }
    }
}

/// A value of which no more is known than its type, and how long it is where the operator says so.
fn fresh(name: &str, node: &RuleNode, spec: &AttrSpec, args: &[TermId], world: &World) -> SymVal {
    let text = format!("?{name}");
    match spec.default.ty() {
        AttrType::Int => SymVal::Num(Dim::symbol(&text)),
        AttrType::Ints => {
            let rank = args.first().and_then(|x| world.shape(*x).known_rank());
            match list_length(node, spec.name, rank) {
                Some(count) => SymVal::List((0..count).map(|i| Dim::symbol(&format!("{text}[{i}]"))).collect()),
                None => SymVal::Opaque(text),
            }
        }
        AttrType::Float | AttrType::Str | AttrType::Floats | AttrType::Strs | AttrType::Number => SymVal::Opaque(text),
    }
    .normal(&world.facts)
}

/// How long a list is in the normal form of an operator.
fn list_length(node: &RuleNode, attr: &str, rank: Option<usize>) -> Option<usize> {
    use OpKind::*;
    match (node.op, attr) {
        (Conv | ConvTranspose | MaxPool | AveragePool, "strides" | "dilations" | "kernel_shape" | "output_padding") => {
            rank?.checked_sub(2)
        }
        (Conv | ConvTranspose | MaxPool | AveragePool, "pads") => Some(2 * rank?.checked_sub(2)?),
        (Transpose, "perm") => rank,
        (Pad, "pads") => Some(2 * rank?),
        (Split, "split") => Some(node.outputs.len()),
        _ => None,
    }
}

fn scope<'a>(rule: &'a Rule, world: &'a World, binding: &'a Binding) -> Scope<'a> {
    Scope { world, terms: &binding.terms, vars: &binding.vars, lets: &rule.lets, exact: true }
}

/// What a well-typed source and the conditions imply, beyond what was known.
fn learn(rule: &Rule, world: &World, binding: &Binding) -> Facts {
    let mut facts = world.facts.clone();
    for node in &rule.source.nodes {
        let term = node.outputs.first().and_then(Operand::name).and_then(|name| binding.terms.get(name));
        if let Some(term) = term {
            demands(world, *term, &mut facts);
        }
    }
    let scope = scope(rule, world, binding);
    for condition in &rule.conditions {
        learn_condition(&scope, condition, &mut facts);
    }
    let world_facts = &world.facts;
    for (v, w) in mutual(&rule.conditions) {
        if let (Some(v), Some(w)) = (scope.shape(v), scope.shape(w)) {
            facts.equal(&v.rank(), &w.rank());
            if let (Some(v), Some(w)) = (v.dims(), w.dims()) {
                v.iter().zip(w).for_each(|(a, b)| facts.equal(a, b));
            } else {
                for k in 1..=AXES {
                    facts.equal(&v.counted_from_end(k, world_facts), &w.counted_from_end(k, world_facts));
                    if let (Some(a), Some(b)) =
                        (v.counted_from_start(k - 1, world_facts), w.counted_from_start(k - 1, world_facts))
                    {
                        facts.equal(&a, &b);
                    }
                }
            }
        }
    }
    let computed = rule.target.nodes.iter().flat_map(|n| &n.attrs).filter_map(|(_, pattern)| match pattern {
        AttrPattern::Computed(expr) => Some(expr),
        AttrPattern::Any | AttrPattern::Literal(_) | AttrPattern::Variable(_) => None,
    });
    rule.lets.iter().map(|(_, expr)| expr).chain(computed).for_each(|expr| learn_quotients(&scope, expr, &mut facts));
    facts
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
            let (Some(a), Some(b)) = (scope.eval(a), scope.eval(b)) else { return };
            let Some(pairs) = pairs(&a, &b) else { return facts.literally(*comparison, &a, &b) };
            let lists = matches!((&a, &b), (SymVal::List(_), SymVal::List(_)));
            for (a, b) in pairs {
                match comparison {
                    Comparison::Equal => facts.equal(&a, &b),
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
fn learn_broadcast(v: &Shape, w: &Shape, facts: &mut Facts) {
    facts.broadcast(v, w);
    facts.at_least_zero(&w.rank().sub(&v.rank()));
    for k in 1..=w.known_rank().unwrap_or(2) {
        let pair = (w.counted_from_end(k, facts), v.counted_from_end(k, facts));
        facts.cover(&pair.0, &pair.1);
    }
}

/// What an application demands of its operands, which a well-typed source grants.
fn demands(world: &World, term: TermId, facts: &mut Facts) {
    let Head::Apply(a) = world.head(term) else { return };
    let (args, result) = (world.args(term), world.shape(term));
    use super::shape::Shape;
    use OpKind::*;
    let shape = |slot: usize| args.get(slot).filter(|t| *world.head(**t) != Head::Absent).map(|t| world.shape(*t));
    let dims = |slot: usize| shape(slot).and_then(Shape::dims);
    let mut equal = |a: Option<&Dim>, b: Option<&Dim>| {
        if let (Some(a), Some(b)) = (a, b) {
            facts.equal(a, b);
        }
    };
    match a.kind {
        Conv => {
            let axis = |slot: usize, axis: usize| shape(slot).and_then(|s| s.counted_from_start(axis, &world.facts));
            if let Some(group) = a.num("group") {
                equal(axis(0, 1).as_ref(), axis(1, 1).map(|w| w.mul(group)).as_ref());
                equal(axis(2, 0).as_ref(), axis(1, 0).as_ref());
                facts.at_least_zero(&group.sub(&Dim::Known(1)));
                if let Some(outputs) = axis(1, 0) {
                    facts.divides_exactly(&outputs, group);
                }
            }
        }
        ConvTranspose => {
            let (x, w, b) = (dims(0), dims(1), dims(2));
            equal(x.and_then(|x| x.get(1)), w.and_then(<[Dim]>::first));
            if let (Some(b), Some(w), Some(group)) = (b, w, a.num("group")) {
                equal(b.first(), w.get(1).map(|w| w.mul(group)).as_ref());
            }
        }
        BatchNormalization => {
            let channels = dims(0).and_then(|x| x.get(1));
            for slot in 1..5 {
                equal(dims(slot).and_then(<[Dim]>::first), channels);
            }
        }
        MatMul => {
            let one = Dim::Known(1);
            for slot in 0..2 {
                if let Some(shape) = shape(slot) {
                    facts.at_least_zero(&shape.rank().sub(&one));
                }
            }
            if let (Some(x), Some(w)) = (shape(0), shape(1)) {
                let rows = match w.known_rank() {
                    Some(1) => Some(w.counted_from_end(1, facts)),
                    Some(_) => Some(w.counted_from_end(2, facts)),
                    None if facts.is_at_least_zero(&w.rank().sub(&Dim::Known(2))) => Some(w.counted_from_end(2, facts)),
                    None => None,
                };
                equal_if(facts, Some(&x.counted_from_end(1, facts)), rows.as_ref());
            }
        }
        Gemm => {
            let inner = |slot: usize, flag: &str, plain: usize| {
                let transposed = usize::try_from(a.int(flag)?).ok()?;
                dims(slot)?.get(if transposed == 0 { plain } else { 1 - plain })
            };
            equal(inner(0, "transA", 1), inner(1, "transB", 0));
            if let Some(b) = shape(2) {
                learn_broadcast(b, result, facts);
            }
        }
        Concat => {
            let Some(first) = dims(0) else { return };
            let Some(k) =
                a.num("axis").and_then(|axis| super::shape::axis_from_end(axis, &Dim::Known(first.len() as i64)))
            else {
                return;
            };
            let at = first.len() - k;
            for slot in 1..args.len() {
                for (i, d) in dims(slot).unwrap_or_default().iter().enumerate() {
                    if i != at {
                        equal(Some(d), first.get(i));
                    }
                }
            }
        }
        Split => {
            let (Some(x), Some(sizes)) = (shape(0), a.list("split")) else { return };
            if let Some(k) = a.num("axis").and_then(|axis| super::shape::axis_from_end(axis, &x.rank())) {
                let sum = sizes.iter().fold(Dim::Known(0), |sum, d| sum.add(d));
                let whole = x.counted_from_end(k, facts);
                facts.equal(&sum, &whole);
            }
        }
        _ => {}
    }
}

fn equal_if(facts: &mut Facts, a: Option<&Dim>, b: Option<&Dim>) {
    if let (Some(a), Some(b)) = (a, b) {
        facts.equal(a, b);
    }
}
