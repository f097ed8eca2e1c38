//! The two sides of a rule as terms.

use std::collections::BTreeMap;

use super::group::{self, Form, Member};
use super::pattern::Binding;
use super::statement::scope;
use super::term::{Head, SymVal, TermId, World};
use crate::graph::{Dim, OpKind};
use crate::ops::{self, AttrSpec, AttrType};
use crate::rewrite::{AttrPattern, Operand, Rule, RuleGraph, RuleNode};

/// A rule of which nothing can be stated, and why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unstated(pub String);

/// Attributes of a node, with what they are called.
type Attrs = Vec<(&'static str, SymVal)>;

/// Builds the sides of a rule in the form of its binding.
pub(super) struct Sides<'a> {
    pub rule: &'a Rule,
    pub world: &'a mut World,
    pub binding: &'a mut Binding,
    /// Whether results of source nodes name their shapes.
    pub named: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Source,
    Target,
}

impl Sides<'_> {
    /// The terms of the source's nodes, by the names of their results.
    pub fn source(&mut self) -> Result<BTreeMap<String, TermId>, Unstated> {
        self.build(&self.rule.source, Side::Source)
    }

    /// The terms of the target's nodes, by the names of their results.
    pub fn target(&mut self) -> Result<BTreeMap<String, TermId>, Unstated> {
        self.build(&self.rule.target, Side::Target)
    }

    fn build(&mut self, graph: &RuleGraph, side: Side) -> Result<BTreeMap<String, TermId>, Unstated> {
        let mut results = BTreeMap::new();
        for node in &graph.nodes {
            let joins = node.inputs.iter().any(|o| matches!(o, Operand::All(_)));
            let splits = node.outputs.iter().any(|o| matches!(o, Operand::All(_)));
            if node.repeated {
                for &member in self.binding.form.members() {
                    self.apply(node, side, member, &mut results)?;
                }
            } else if joins {
                self.join(node, side, &mut results)?;
            } else if splits {
                self.split(node, side, &mut results)?;
            } else {
                self.apply(node, side, Member::Last, &mut results)?;
            }
        }
        Ok(results)
    }

    /// A node that stands once, or one member of a repeated one.
    fn apply(
        &mut self,
        node: &RuleNode,
        side: Side,
        member: Member,
        results: &mut BTreeMap<String, TermId>,
    ) -> Result<(), Unstated> {
        let head: fn(_) -> Head = if node.repeated && member == Member::Any { Head::Each } else { Head::Apply };
        let mut args = Vec::with_capacity(node.inputs.len());
        for operand in &node.inputs {
            args.push(match operand {
                Operand::Absent => self.world.absent(),
                operand => self.find(operand, member, results)?,
            });
        }
        if side == Side::Target
            && let Some(term) = self.without_absent(head, node.op, &args)
        {
            bind(results, node, 0, member, term, self.binding.form);
            return Ok(());
        }
        let attrs = self.attributes(node, &args, member)?;
        for slot in 0..node.outputs.len() {
            let key = group::key(&node.outputs[slot], member, self.binding.form);
            let name = key.as_deref().filter(|_| side == Side::Source && self.named);
            let slots = (slot, node.outputs.len());
            let term = self.world.apply_as(head, node.op, attrs.clone(), slots, args.clone(), name);
            bind(results, node, slot, member, term, self.binding.form);
        }
        Ok(())
    }

    /// An operator on all members of a list: of one, that one; of n + 1, what the first n are joined to and the last.
    fn join(&mut self, node: &RuleNode, side: Side, results: &mut BTreeMap<String, TermId>) -> Result<(), Unstated> {
        let [Operand::All(list)] = node.inputs.as_slice() else { return Err(unclear(node)) };
        if !matches!(node.op, OpKind::Concat | OpKind::BlockDiagonal) {
            return Err(unclear(node));
        }
        let each = Operand::Each(list.clone());
        let form = self.binding.form;
        let first = |sides: &Self| sides.find(&each, Member::Any, results);
        let last = |sides: &Self| sides.find(&each, Member::Last, results);
        let shown = if form == Form::First { first(self)? } else { last(self)? };
        let attrs = self.attributes(node, &[shown], Member::Last)?;
        let term = match form {
            Form::Plain => return Err(unclear(node)),
            Form::One => {
                let only = last(self)?;
                self.only(node, side, &attrs, only)?
            }
            Form::First => {
                let first = first(self)?;
                self.world.apply_as(Head::All, node.op, attrs, (0, 1), vec![first], None)
            }
            Form::Next => {
                let (first, last) = (first(self)?, last(self)?);
                let all = self.world.apply_as(Head::All, node.op, attrs.clone(), (0, 1), vec![first], None);
                let name = node.outputs[0].name().filter(|_| side == Side::Source && self.named);
                self.world.apply(node.op, attrs, (0, 1), vec![all, last], name)
            }
        };
        bind(results, node, 0, Member::Last, term, form);
        Ok(())
    }

    /// A Split into all members of a list: into one, the whole; into n + 1, the first of two into n, and the second.
    fn split(&mut self, node: &RuleNode, side: Side, results: &mut BTreeMap<String, TermId>) -> Result<(), Unstated> {
        let ([whole @ Operand::One(_)], [Operand::All(list)]) = (node.inputs.as_slice(), node.outputs.as_slice())
        else {
            return Err(unclear(node));
        };
        let whole = self.find(whole, Member::Last, results)?;
        let form = self.binding.form;
        let is_sizes = |(name, _): &&(String, AttrPattern)| name == "split";
        let others = RuleNode { attrs: node.attrs.iter().filter(|a| !is_sizes(a)).cloned().collect(), ..node.clone() };
        let mut attrs = self.attributes(&others, &[whole], Member::Last)?;
        if node.op != OpKind::Split || form == Form::Plain {
            return Err(unclear(node));
        }
        if form == Form::One {
            let term = self.only(node, side, &attrs, whole)?;
            results.insert(list.clone(), term);
            return Ok(());
        }
        let (_, sizes) = node.attrs.iter().find(is_sizes).ok_or_else(|| unclear(node))?;
        let any = self.size(sizes, list, Member::Any).ok_or_else(|| unclear(node))?;
        let parts = |attrs: &Attrs| attrs.iter().cloned().chain([("split", SymVal::Num(any.clone()))]).collect();
        let mut first = whole;
        if form == Form::Next {
            let last = self.size(sizes, list, Member::Last).ok_or_else(|| unclear(node))?;
            let facts = &self.world.facts;
            let sum = facts.normal(&group::sum(&facts.normal(&any)));
            let two = SymVal::List(vec![sum, last]);
            let with = |attrs: &Attrs| attrs.iter().cloned().chain([("split", two.clone())]).collect();
            first = self.world.apply(node.op, with(&attrs), (0, 2), vec![whole], None);
            let last = self.world.apply(node.op, with(&attrs), (1, 2), vec![whole], None);
            results.insert(list.clone(), last);
        }
        attrs = parts(&attrs);
        let term = self.world.apply_as(Head::Parts, node.op, attrs, (0, 1), vec![first], None);
        results.insert(group::member(list), term);
        Ok(())
    }

    /// Joining one value, or splitting into one, changes nothing where the axis is one of the value's.
    fn only(&mut self, node: &RuleNode, side: Side, attrs: &Attrs, value: TermId) -> Result<TermId, Unstated> {
        let rank = self.world.shape(value).rank();
        let facts = &mut self.world.facts;
        if node.op == OpKind::BlockDiagonal {
            return if rank == Dim::Known(2) { Ok(value) } else { Err(unclear(node)) };
        }
        let axis = attrs.iter().find(|(name, _)| *name == "axis").and_then(|(_, value)| value.num());
        let axis = axis.cloned().unwrap_or(Dim::Known(0));
        for bound in [rank.sub(&axis).sub(&Dim::Known(1)), rank.add(&axis)] {
            match side {
                Side::Source => facts.at_least_zero(&bound),
                Side::Target if facts.is_at_least_zero(&bound) => {}
                Side::Target => return Err(Unstated(format!("nothing says that axis {axis} is one of {}", node.op))),
            }
        }
        Ok(value)
    }

    /// The size of a part for a member.
    fn size(&mut self, pattern: &AttrPattern, list: &str, member: Member) -> Option<Dim> {
        let name = match pattern {
            AttrPattern::Variable(name) if self.rule.lets.iter().all(|(n, _)| n != name) => name.clone(),
            AttrPattern::Any => format!("_{list}_split"),
            AttrPattern::Computed(expr) => return scope(self.rule, self.world, self.binding, member).entry(expr),
            AttrPattern::Variable(_) | AttrPattern::Literal(_) => return None,
        };
        let key = group::key(&Operand::Each(name), member, self.binding.form)?;
        let symbol = SymVal::Num(Dim::symbol(&format!("?{key}")));
        let value = self.binding.vars.entry(key).or_insert(symbol);
        value.num().map(|size| self.world.facts.normal(size))
    }

    fn find(&self, operand: &Operand, member: Member, results: &BTreeMap<String, TermId>) -> Result<TermId, Unstated> {
        let key = group::key(operand, member, self.binding.form).unwrap_or_default();
        let term = results.get(&key).or_else(|| self.binding.terms.get(&key)).copied();
        term.ok_or_else(|| Unstated(format!("nothing binds {key:?}")))
    }

    /// What an operator of the target makes of a missing bias: a zero that stays one through linear operators.
    fn without_absent(
        &mut self,
        head: fn(std::sync::Arc<super::term::Application>) -> Head,
        op: OpKind,
        args: &[TermId],
    ) -> Option<TermId> {
        use OpKind::*;
        let absent = self.world.absent();
        let missing: Vec<bool> = args.iter().map(|a| *a == absent).collect();
        if !missing.contains(&true) {
            return None;
        }
        match (op, missing.as_slice()) {
            (Add, [false, true]) | (Sub, [false, true]) => Some(args[0]),
            (Add, [true, false]) => Some(args[1]),
            (Sub, [true, false]) => Some(self.world.apply_as(head, Neg, Vec::new(), (0, 1), vec![args[1]], None)),
            (Add | Sub, _) => Some(absent),
            (Mul | Div | Neg | Reshape | Transpose | MatMul | ReduceSum, _) => Some(absent),
            _ => None,
        }
    }

    fn attributes(&mut self, node: &RuleNode, args: &[TermId], member: Member) -> Result<Attrs, Unstated> {
        let mut attrs = Vec::with_capacity(node.attrs.len());
        for (name, pattern) in &node.attrs {
            let spec = ops::schema(node.op).attr(name).ok_or_else(|| Unstated(format!("no attribute {name}")))?;
            let value = self.attribute(node, spec, pattern, args, member);
            attrs.push((spec.name, value.ok_or_else(|| Unstated(format!("{name} of {} has no value", node.op)))?));
        }
        Ok(attrs)
    }

    fn attribute(
        &mut self,
        node: &RuleNode,
        spec: &AttrSpec,
        pattern: &AttrPattern,
        args: &[TermId],
        member: Member,
    ) -> Option<SymVal> {
        let scope = scope(self.rule, self.world, self.binding, member);
        let name = match pattern {
            AttrPattern::Literal(value) => return Some(SymVal::of(value)),
            AttrPattern::Computed(expr) => return scope.eval(expr),
            AttrPattern::Variable(name) => {
                if let Some(value) = scope.variable(name) {
                    return Some(value);
                }
                name.clone()
            }
            AttrPattern::Any => {
                let output = node.outputs.first().and_then(|o| group::result_key(o, member)).unwrap_or_default();
                format!("_{output}_{}", spec.name)
            }
        };
        let value = fresh(&name, node, spec, args, self.world);
        self.binding.vars.insert(name, value.clone());
        Some(value)
    }
}

fn unclear(node: &RuleNode) -> Unstated {
    Unstated(format!("lists in {} are not understood", node.op))
}

fn bind(
    results: &mut BTreeMap<String, TermId>,
    node: &RuleNode,
    slot: usize,
    member: Member,
    term: TermId,
    form: Form,
) {
    if let Some(key) = group::key(&node.outputs[slot], member, form) {
        results.insert(key, term);
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
