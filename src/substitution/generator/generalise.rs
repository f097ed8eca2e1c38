//! From a pair of graphs on the tensors of a preset to a rule on tensors of all shapes.
//!
//! What is particular to the preset is left open as far as the rule stays true: attributes become variables where both
//! sides have the operator, sizes of parts are computed from the sizes of inputs, and what the target needs beyond
//! what a well-typed source says becomes a condition. The most general form is proposed first; a test of each on
//! random instances decides.

use std::collections::BTreeSet;

use super::graph::{Packed, Step};
use super::linear::{Atom, Equations, Linear, News};
use super::operator::{Operator, Over};
use super::preset::Preset;
use super::prune::Pair;
use super::symbolic::{Symbolic, Unknowns, symbolic};
use super::verify::outputs;
use crate::rewrite::{Arithmetic, Arity, Comparison, Condition, DTypeClass, Expr, Operand, Rule, RuleInput};

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
    /// The target has an operator whose attributes nothing in the source says.
    #[error("attributes of the target do not follow from the source")]
    Attributes,
}

/// One direction of a pair: steps, and numbers of the outputs in order.
pub struct Direction {
    /// What is looked for.
    pub source: Vec<Step>,
    /// What replaces it.
    pub target: Vec<Step>,
    pub(super) source_outputs: Vec<u8>,
    pub(super) target_outputs: Vec<u8>,
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

/// Writes a direction as a rule in one generality.
pub(super) struct Writer<'a> {
    preset: &'a Preset,
    pub(super) operators: Vec<Operator>,
    pub(super) direction: &'a Direction,
    pub(super) generality: Generality,
    /// The axis that all joints and cuts have, if there is one.
    pub(super) axis: Option<u8>,
    pub(super) source: Symbolic,
    pub(super) target: Symbolic,
    equations: Equations,
    pub(super) conditions: Vec<Condition>,
}

impl<'a> Writer<'a> {
    fn new(preset: &'a Preset, direction: &'a Direction, generality: Generality) -> Result<Writer<'a>, Inexpressible> {
        let operators = preset.functions();
        let of = |step: &Step| operators[usize::from(step.op)];
        if direction.source.iter().any(|s| of(s).is_made()) {
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
        if self.direction.target.iter().any(|s| self.operators[usize::from(s.op)] == (Operator::Heads { rank: 1 })) {
            self.condition_on_heads();
        }
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
        // An operator with attributes that is in the target alone has those of the preset.
        let made = |op: Operator| op.is_made() && op != Operator::IdentityMatrix;
        let closed = any(&|op| op.is_windowed() && !self.is_in_source(op)) || any(&made);
        match self.generality {
            Generality::AnyRank => {
                !any(&Operator::is_windowed)
                    && !any(&|op| op.is_constant() || closes(op))
                    && !(any(&Operator::joins) && (self.axis.is_none() || any(&|op| op == Operator::MatMul)))
            }
            Generality::Groups => any(&|op| matches!(op, Operator::Conv { .. })) && !closed,
            Generality::Attributes => !closed,
            Generality::SameShapes => !closed && self.source.needs.iter().any(|n| n.open),
            Generality::Literal => closed || any(&Operator::is_windowed),
        }
    }

    /// Whether the source has this operator, with a rectifier or without.
    pub(super) fn is_in_source(&self, operator: Operator) -> bool {
        self.direction.source.iter().any(|s| self.operators[usize::from(s.op)].plain() == operator.plain())
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

    /// A size in terms of inputs.
    pub(super) fn size(&self, linear: &Linear) -> Result<Expr, Inexpressible> {
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

    pub(super) fn inputs_count(&self) -> usize {
        self.preset.inputs.len()
    }

    pub(super) fn input_name(&self, input: u8) -> String {
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
}

/// Operators whose attributes speak of ranks.
fn closes(op: Operator) -> bool {
    use Operator::*;
    let spreads = matches!(op, Spread { over: Over::Channels | Over::Heads, .. });
    spreads || matches!(op, Transpose { .. } | Softmax | Normalise | Mean | GlobalAverage | Enlarge | Heads { rank: 1 })
}
