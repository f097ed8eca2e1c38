//! From a pair of graphs on the tensors of a preset to a rule on tensors of all shapes.
//!
//! What is particular to the preset is left open as far as the rule stays true: attributes become variables where both
//! sides have the operator, sizes of parts are computed from the sizes of inputs, and what the target needs beyond
//! what a well-typed source says becomes a condition. The most general form is proposed first; a test of each on
//! random instances decides.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{NONE, Packed, Step};
use super::linear::{Atom, Equations, Linear, News};
use super::operator::{Function, Operator};
use super::preset::Preset;
use super::prune::Pair;
use super::symbolic::{Symbolic, Unknowns, symbolic};
use super::verify::outputs;
use crate::graph::{Attr, OpKind};
use crate::rewrite::{
    Arithmetic, Arity, AttrPattern, Comparison, Condition, DTypeClass, Expr, Operand, Rule, RuleGraph, RuleInput,
    RuleNode,
};

/// How much is left open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Generality {
    /// Ranks and axes too.
    AnyRank,
    /// Attributes, the number of groups among them.
    Groups,
    /// Attributes; convolutions have one group unless the preset has more.
    Attributes,
    /// As before, and operands of sums and products have one shape, and joined parts face each other.
    SameShapes,
    /// Nothing but sizes that no kernel has.
    Literal,
}

/// All, most general first.
pub const GENERALITIES: [Generality; 5] =
    [Generality::AnyRank, Generality::Groups, Generality::Attributes, Generality::SameShapes, Generality::Literal];

/// Why a pair is no rule in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, thiserror::Error)]
pub enum Inexpressible {
    /// The source has a constructor on constants, which stands in targets only.
    #[error("the source makes a constant")]
    ConstantSource,
    /// The target has a tensor of ones that no product takes.
    #[error("the target has a constant that the rule language does not make")]
    Ones,
    /// The target uses an input that the source does not.
    #[error("the target uses an input that the source does not")]
    Inputs,
    /// The sizes of the target do not follow from those of the source.
    #[error("sizes of the target do not follow from the source")]
    Sizes,
}

/// One direction of a pair: steps, and numbers of the outputs in order.
pub struct Direction {
    /// What is looked for.
    pub source: Vec<Step>,
    /// What replaces it.
    pub target: Vec<Step>,
    source_outputs: Vec<u8>,
    target_outputs: Vec<u8>,
}

impl Direction {
    /// From the greater graph of a pair to the lesser, or back. `counts` are the numbers of results of the steps of both.
    pub fn of(pair: &Pair, counts: [&[usize]; 2], inputs: usize, back: bool) -> Direction {
        let (source, target) = (pair.source.steps(), pair.target.steps());
        let from = outputs(&source, counts[0], inputs);
        let to = outputs(&target, counts[1], inputs);
        let to: Vec<u8> = pair.outputs.iter().map(|&i| to[i]).collect();
        if back {
            Direction { source: target, target: source, source_outputs: to, target_outputs: from }
        } else {
            Direction { source, target, source_outputs: from, target_outputs: to }
        }
    }

    /// A graph that is nothing but inputs.
    pub fn identity(graph: Packed, counts: &[usize], inputs: usize, results: &[u8]) -> Direction {
        let source = graph.steps();
        let source_outputs = outputs(&source, counts, inputs);
        Direction { source, target: Vec::new(), source_outputs, target_outputs: results.to_vec() }
    }
}

/// A direction as a rule.
///
/// # Errors
/// The rule language does not say it.
pub fn rule(preset: &Preset, direction: &Direction, generality: Generality) -> Result<Option<Rule>, Inexpressible> {
    Writer::new(preset, direction, generality)?.write()
}

struct Writer<'a> {
    preset: &'a Preset,
    operators: Vec<Operator>,
    direction: &'a Direction,
    generality: Generality,
    /// The axis that all joints and cuts have, if there is one.
    axis: Option<u8>,
    source: Symbolic,
    target: Symbolic,
    equations: Equations,
    conditions: Vec<Condition>,
}

impl<'a> Writer<'a> {
    fn new(preset: &'a Preset, direction: &'a Direction, generality: Generality) -> Result<Writer<'a>, Inexpressible> {
        let operators = preset.functions();
        let of = |step: &Step| operators[usize::from(step.op)];
        let is_made = |op: Operator| op.is_constant() || op == Operator::Enlarge;
        if direction.source.iter().any(|s| is_made(of(s))) {
            return Err(Inexpressible::ConstantSource);
        }
        let literal = generality == Generality::Literal;
        let mut unknowns = Unknowns::default();
        let source =
            symbolic(preset, &direction.source, "source", literal, &mut unknowns).ok_or(Inexpressible::Sizes)?;
        let target =
            symbolic(preset, &direction.target, "target", literal, &mut unknowns).ok_or(Inexpressible::Sizes)?;
        let used = |steps: &[Step]| -> BTreeSet<u8> { steps.iter().flat_map(|s| s.args).collect() };
        let inputs = preset.inputs.len() as u8;
        let theirs = used(&direction.source);
        let mine = used(&direction.target).into_iter().chain(direction.target_outputs.iter().copied());
        if mine.into_iter().any(|a| a < inputs && !theirs.contains(&a)) {
            return Err(Inexpressible::Inputs);
        }
        let axes: BTreeSet<u8> = direction
            .source
            .iter()
            .chain(&direction.target)
            .filter_map(|s| match of(s) {
                Operator::Concat { axis, .. } | Operator::Split { axis } => Some(axis),
                _ => None,
            })
            .collect();
        let axis = if axes.len() == 1 { axes.first().copied() } else { None };
        Ok(Writer {
            preset,
            operators,
            direction,
            generality,
            axis,
            source,
            target,
            equations: Equations::default(),
            conditions: Vec::new(),
        })
    }

    /// The rule, or `None` if this generality says nothing for these operators.
    fn write(mut self) -> Result<Option<Rule>, Inexpressible> {
        if !self.applies() {
            return Ok(None);
        }
        let strict = self.generality >= Generality::SameShapes;
        let source_needs = self.source.needs.clone();
        for need in &source_needs {
            if self.generality == Generality::Groups && self.is_literal(&need.zero) {
                continue;
            }
            match self.equations.add(&need.zero) {
                News::Implied => {}
                // What a kernel of the preset has as its size is no consequence of types.
                News::New(zero) if (need.open && strict) || self.is_literal(&need.zero) => self.condition(&zero)?,
                News::New(_) => {}
                News::Unsolved => return Err(Inexpressible::Sizes),
            }
        }
        let groups = self.generality == Generality::Groups;
        let needs = self.target.needs.iter().filter(|n| !groups || !self.is_literal(&n.zero));
        let mut wanted: Vec<Linear> = needs.map(|n| n.zero.clone()).collect();
        for (s, t) in self.direction.source_outputs.iter().zip(&self.direction.target_outputs) {
            let (s, t) = (&self.source.tensors[usize::from(*s)], &self.target.tensors[usize::from(*t)]);
            wanted.extend(s.dims.iter().zip(&t.dims).map(|(a, b)| a.minus(b)));
        }
        // Sizes of constants come first: they are ours to choose.
        wanted.sort_by_key(|zero| !zero.terms.keys().any(|a| matches!(a, Atom::Unknown(_))));
        for zero in &wanted {
            let reduced = self.equations.reduce(zero);
            let open = reduced.terms.keys().any(|a| matches!(a, Atom::Unknown(_)));
            match self.equations.add(zero) {
                News::Implied => {}
                News::New(_) if open => {}
                News::New(zero) if self.generality != Generality::AnyRank => self.condition(&zero)?,
                News::New(_) => {}
                News::Unsolved => return Err(Inexpressible::Sizes),
            }
        }
        let source = self.graph(true)?;
        let target = self.graph(false)?;
        let rule = Rule {
            name: String::new(),
            inputs: self.inputs(),
            source,
            target,
            lets: Vec::new(),
            conditions: std::mem::take(&mut self.conditions),
        };
        Ok(Some(rule))
    }

    fn all(&self) -> impl Iterator<Item = Operator> {
        let steps = self.direction.source.iter().chain(&self.direction.target);
        steps.map(|s| self.operators[usize::from(s.op)])
    }

    /// Whether this generality is apart from the next.
    fn applies(&self) -> bool {
        let any = |test: &dyn Fn(Operator) -> bool| self.all().any(test);
        let windowed = |op| matches!(op, Operator::Conv { .. } | Operator::AveragePool | Operator::MaxPool);
        // An operator with attributes that is in the target alone has those of the preset.
        let source: BTreeSet<Operator> =
            self.direction.source.iter().map(|s| plain(self.operators[usize::from(s.op)])).collect();
        let made = |op: Operator| op.is_constant() && op != Operator::IdentityMatrix || op == Operator::Enlarge;
        let closed = any(&|op| windowed(op) && !source.contains(&plain(op))) || any(&made);
        match self.generality {
            Generality::AnyRank => {
                !any(&windowed)
                    && !any(&|op| op.is_constant() || closes(op))
                    && !(any(&joins) && (self.axis.is_none() || any(&|op| op == Operator::MatMul)))
            }
            Generality::Groups => any(&|op| matches!(op, Operator::Conv { .. })) && !closed,
            Generality::Attributes => !closed,
            Generality::SameShapes => !closed && self.source.needs.iter().any(|n| n.open),
            Generality::Literal => closed || any(&windowed),
        }
    }

    /// Whether an equation says the size of a kernel.
    fn is_literal(&self, zero: &Linear) -> bool {
        zero.constant != 0 && zero.terms.len() == 1
    }

    /// Adds that this is 0, which must be about sizes of inputs alone.
    fn condition(&mut self, zero: &Linear) -> Result<(), Inexpressible> {
        let (mut left, mut right) = (Linear::default(), Linear::default());
        for (&atom, &factor) in &zero.terms {
            let side = if factor > 0 { &mut left } else { &mut right };
            side.terms.insert(atom, factor.abs());
        }
        (if zero.constant > 0 { &mut left } else { &mut right }).constant = zero.constant.abs();
        let condition = Condition::Compare(Comparison::Equal, self.expr(&left)?, self.expr(&right)?);
        if !self.conditions.contains(&condition) {
            self.conditions.push(condition);
        }
        Ok(())
    }

    fn size(&self, linear: &Linear) -> Result<Expr, Inexpressible> {
        // In the words of the graph itself where it speaks of inputs alone.
        let open = linear.terms.keys().any(|a| matches!(a, Atom::Unknown(_)));
        if open { self.expr(&self.equations.reduce(linear)) } else { self.expr(linear) }
    }

    fn expr(&self, linear: &Linear) -> Result<Expr, Inexpressible> {
        let mut sum: Option<Expr> = None;
        let mut add = |op: Arithmetic, term: Expr| {
            sum = Some(match sum.take() {
                None => term,
                Some(sum) => Expr::Binary(op, Box::new(sum), Box::new(term)),
            });
        };
        // Positive terms first.
        for positive in [true, false] {
            for (&atom, &factor) in linear.terms.iter().filter(|(_, f)| (**f > 0) == positive) {
                let Atom::Dim(input, axis) = atom else { return Err(Inexpressible::Sizes) };
                let axis = match (self.generality, self.axis) {
                    (Generality::AnyRank, Some(_)) => Expr::Variable("a".into()),
                    _ => Expr::Int(i64::from(axis)),
                };
                let dim = Expr::Dim(Operand::One(self.input_name(input)), Box::new(axis));
                let count = factor.abs();
                let term = if count == 1 {
                    dim
                } else {
                    Expr::Binary(Arithmetic::Mul, Box::new(Expr::Int(count)), Box::new(dim))
                };
                add(if positive { Arithmetic::Add } else { Arithmetic::Sub }, term);
            }
        }
        if linear.constant != 0 || linear.terms.is_empty() {
            add(Arithmetic::Add, Expr::Int(linear.constant));
        }
        sum.ok_or(Inexpressible::Sizes)
    }

    fn input_name(&self, input: u8) -> String {
        self.preset.inputs[usize::from(input)].name.to_owned()
    }

    fn inputs(&self) -> Vec<RuleInput> {
        let mut seen: Vec<u8> = Vec::new();
        for arg in self.direction.source.iter().flat_map(|s| s.args) {
            if usize::from(arg) < self.preset.inputs.len() && !seen.contains(&arg) {
                seen.push(arg);
            }
        }
        // What a constructor takes must be known.
        let made: BTreeSet<u8> = self
            .direction
            .target
            .iter()
            .filter(|s| self.operators[usize::from(s.op)] == Operator::Enlarge)
            .map(|s| s.args[0])
            .collect();
        let input = |number: u8| {
            let input = &self.preset.inputs[usize::from(number)];
            let any = self.generality == Generality::AnyRank && !input.dims.is_empty();
            RuleInput {
                name: input.name.to_owned(),
                rank: (!any).then_some(input.dims.len()),
                dtype: DTypeClass::Float,
                constant: made.contains(&number),
                arity: Arity::One,
            }
        };
        seen.into_iter().map(input).collect()
    }

    /// One side of the rule.
    fn graph(&self, is_source: bool) -> Result<RuleGraph, Inexpressible> {
        let (steps, symbolic, outputs) = if is_source {
            (&self.direction.source, &self.source, &self.direction.source_outputs)
        } else {
            (&self.direction.target, &self.target, &self.direction.target_outputs)
        };
        let inputs = self.preset.inputs.len();
        let letter = if is_source { "t" } else { "u" };
        let name = |tensor: u8| match usize::from(tensor) {
            input if input < inputs => self.input_name(tensor),
            result => format!("{letter}{}", result - inputs),
        };
        let mut nodes = Vec::new();
        let mut next = inputs as u8;
        for (number, step) in steps.iter().enumerate() {
            let operator = self.operators[usize::from(step.op)];
            let args: Vec<Operand> = step.args.iter().filter(|&&a| a != NONE).map(|&a| Operand::One(name(a))).collect();
            let node = |op: OpKind, inputs: Vec<Operand>, result: String, attrs: Vec<(&str, AttrPattern)>| RuleNode {
                op,
                inputs,
                outputs: vec![Operand::One(result)],
                attrs: attrs.into_iter().map(|(n, p)| (n.to_owned(), p)).collect(),
                repeated: false,
            };
            let result = name(next);
            let shape = |tensor: u8| &symbolic.tensors[usize::from(tensor)];
            let channels = || self.size(&shape(next).dims[0]).map(AttrPattern::Computed);
            let axis = |axis: u8| match (self.generality, self.axis) {
                (Generality::AnyRank, Some(_)) => AttrPattern::Variable("a".into()),
                _ => AttrPattern::Literal(Attr::Int(i64::from(axis))),
            };
            match operator {
                Operator::MatMul => nodes.push(node(OpKind::MatMul, args, result, vec![])),
                Operator::Add | Operator::ChannelAdd => nodes.push(node(OpKind::Add, args, result, vec![])),
                Operator::Sub => nodes.push(node(OpKind::Sub, args, result, vec![])),
                Operator::Function(function) => {
                    let op = match function {
                        Function::Sigmoid => OpKind::Sigmoid,
                        Function::Tanh => OpKind::Tanh,
                        Function::Gelu => OpKind::Gelu,
                    };
                    nodes.push(node(op, args, result, vec![]));
                }
                Operator::Softmax => {
                    let last = Attr::Int(i64::from(shape(next).ty.rank) - 1);
                    nodes.push(node(OpKind::Softmax, args, result, vec![("axis", AttrPattern::Literal(last))]));
                }
                Operator::TransposeLast => {
                    nodes.push(node(OpKind::Transpose, args, result, vec![("perm", ints(&[0, 2, 1]))]));
                }
                Operator::Mul | Operator::Scale | Operator::ChannelMul => {
                    nodes.push(node(OpKind::Mul, args, result, vec![]))
                }
                Operator::Relu => nodes.push(node(OpKind::Relu, args, result, vec![])),
                Operator::Transpose { .. } => {
                    nodes.push(node(OpKind::Transpose, args, result, vec![("perm", ints(&[1, 0]))]));
                }
                Operator::Conv { kernel, stride, relu } => {
                    let (x, w) = (shape(step.args[0]), shape(step.args[1]));
                    let groups = i64::from(x.ty.dims[1] / w.ty.dims[1]);
                    let attrs = self.conv_attrs(kernel, stride, groups, w.ty.dims[1] == 1, &x.dims[1]);
                    if relu {
                        let inner = format!("{result}c");
                        nodes.push(node(OpKind::Conv, args, inner.clone(), attrs?));
                        nodes.push(node(OpKind::Relu, vec![Operand::One(inner)], result, vec![]));
                    } else {
                        nodes.push(node(OpKind::Conv, args, result, attrs?));
                    }
                }
                Operator::AveragePool | Operator::MaxPool => {
                    let op = if operator == Operator::MaxPool { OpKind::MaxPool } else { OpKind::AveragePool };
                    nodes.push(node(op, args, result, self.pool_attrs(op)));
                }
                Operator::Concat { axis: at, .. } => {
                    nodes.push(node(OpKind::Concat, args, result, vec![("axis", axis(at))]));
                }
                Operator::Split { axis: at } => {
                    let [first, second] = &symbolic.parts[&number];
                    let sizes = Expr::List(vec![self.size(first)?, self.size(second)?]);
                    let attrs = vec![("axis", axis(at)), ("split", AttrPattern::Computed(sizes))];
                    let mut split = node(OpKind::Split, args, result, attrs);
                    split.outputs.push(Operand::One(name(next + 1)));
                    nodes.push(split);
                    next += 1;
                }
                Operator::Enlarge => {
                    nodes.push(node(OpKind::Enlarge, args, result, vec![("kernel_shape", ints(&[3, 3]))]));
                }
                Operator::IdentityMatrix => {
                    nodes.push(node(OpKind::IdentityMatrix, args, result, vec![("size", channels()?)]));
                }
                Operator::IdentityKernel => {
                    let attrs = vec![("channels", channels()?), ("kernel_shape", ints(&[3, 3]))];
                    nodes.push(node(OpKind::IdentityKernel, args, result, attrs));
                }
                Operator::PoolKernel => {
                    let attrs = vec![("channels", channels()?), ("kernel_shape", ints(&[3, 3]))];
                    nodes.push(node(OpKind::PoolKernel, args, result, attrs));
                }
                Operator::Ones => {
                    let takes = |s: &Step| self.operators[usize::from(s.op)] == Operator::Mul;
                    let mut users = steps.iter().filter(|s| s.args.contains(&next));
                    if outputs.contains(&next) || !users.all(takes) {
                        return Err(Inexpressible::Ones);
                    }
                    let one = AttrPattern::Literal(Attr::Float(1.0));
                    nodes.push(node(OpKind::Constant, args, result, vec![("value_float", one)]));
                }
            }
            next += 1;
        }
        Ok(RuleGraph { nodes, outputs: outputs.iter().map(|&t| Operand::One(name(t))).collect() })
    }

    fn conv_attrs(
        &self,
        kernel: [u8; 2],
        stride: u8,
        groups: i64,
        depthwise: bool,
        channels: &Linear,
    ) -> Result<Vec<(&'static str, AttrPattern)>, Inexpressible> {
        let mut attrs = Vec::new();
        if self.generality == Generality::Literal {
            let [h, w] = kernel.map(|k| i64::from(k - 1) / 2);
            if (h, w) != (0, 0) {
                attrs.push(("pads", ints(&[h, w, h, w])));
            }
            if stride != 1 {
                attrs.push(("strides", ints(&[i64::from(stride); 2])));
            }
        } else {
            attrs.push(("strides", AttrPattern::Variable(if stride == 1 { "s".into() } else { format!("s{stride}") })));
            attrs.push(("pads", AttrPattern::Variable(format!("p{}{}", kernel[0], kernel[1]))));
            attrs.push(("dilations", AttrPattern::Variable("d".into())));
        }
        match self.generality {
            Generality::Groups => attrs.push(("group", AttrPattern::Variable(format!("g{groups}")))),
            _ if groups == 1 => {}
            _ if depthwise => attrs.push(("group", AttrPattern::Computed(self.size(channels)?))),
            _ => attrs.push(("group", AttrPattern::Literal(Attr::Int(groups)))),
        }
        Ok(attrs)
    }

    fn pool_attrs(&self, op: OpKind) -> Vec<(&'static str, AttrPattern)> {
        let average = op == OpKind::AveragePool;
        let mut attrs = if self.generality == Generality::Literal {
            vec![("kernel_shape", ints(&[3, 3])), ("pads", ints(&[1, 1, 1, 1]))]
        } else {
            let stem = if average { "avg" } else { "max" };
            let variable = |what: &str| AttrPattern::Variable(format!("{stem}_{what}"));
            vec![("kernel_shape", variable("k")), ("strides", variable("s")), ("pads", variable("p"))]
        };
        if average {
            attrs.push(("count_include_pad", AttrPattern::Literal(Attr::Int(1))));
        }
        attrs
    }
}

/// The operator without the rectifier that may follow.
fn plain(op: Operator) -> Operator {
    match op {
        Operator::Conv { kernel, stride, .. } => Operator::Conv { kernel, stride, relu: false },
        other => other,
    }
}

/// Operators whose attributes speak of ranks.
fn closes(op: Operator) -> bool {
    use Operator::*;
    matches!(op, Transpose { .. } | TransposeLast | Softmax | ChannelAdd | ChannelMul | Enlarge)
}

fn joins(op: Operator) -> bool {
    matches!(op, Operator::Concat { .. } | Operator::Split { .. })
}

fn ints(values: &[i64]) -> AttrPattern {
    AttrPattern::Literal(Attr::ints(values))
}

/// A name that says what a rule is about: the operators of its source and of its target, with the beginning of its id.
pub fn name(preset: &Preset, rule: &Rule, id: &str) -> String {
    let words = |graph: &RuleGraph| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut order = Vec::new();
        for node in &graph.nodes {
            let word = node.op.name().to_lowercase();
            if !order.contains(&word) {
                order.push(word.clone());
            }
            *counts.entry(word).or_default() += 1;
        }
        let words = order.into_iter().map(|w| if counts[&w] > 1 { format!("{}{w}", counts[&w]) } else { w });
        let words: Vec<String> = words.collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join("-") }
    };
    format!("{}-{}-to-{}-{}", preset.name, words(&rule.source), words(&rule.target), &id[..id.len().min(6)])
}

/// Whether both sides compute the same in the same way, node by node, apart from what is computed twice.
pub fn is_trivial(rule: &Rule) -> bool {
    let (s, t) = (&rule.source, &rule.target);
    s.outputs.iter().zip(&t.outputs).all(|(a, b)| term(s, a) == term(t, b))
}

/// A value of a graph, written out down to inputs.
fn term(graph: &RuleGraph, value: &Operand) -> String {
    let name = value.name().unwrap_or_default();
    for node in &graph.nodes {
        if let Some(slot) = node.outputs.iter().position(|o| o.name() == Some(name)) {
            let inputs: Vec<String> = node.inputs.iter().map(|i| term(graph, i)).collect();
            return format!("{:?}.{slot}{:?}({})", node.op, node.attrs, inputs.join(","));
        }
    }
    name.to_owned()
}
