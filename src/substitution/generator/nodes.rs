//! One side of a rule: each step of a graph as a node of the rule language.

use super::generalise::{Generality, Inexpressible, Writer};
use super::graph::{NONE, Step};
use super::operator::{Function, Operator};
use super::symbolic::Shape;
use crate::graph::{Attr, OpKind};
use crate::rewrite::{Arithmetic, AttrPattern, Comparison, Condition, Expr, Operand, RuleGraph, RuleNode};

/// Attributes of a node.
type Attrs = Vec<(&'static str, AttrPattern)>;

/// The variable that the new shape of [`Operator::Heads`] is bound to.
const HEADS: &str = "heads";

impl Writer<'_> {
    /// One side of the rule.
    pub(super) fn graph(&self, is_source: bool) -> Result<RuleGraph, Inexpressible> {
        let (steps, symbolic, outputs) = if is_source {
            (&self.direction.source, &self.source, &self.direction.source_outputs)
        } else {
            (&self.direction.target, &self.target, &self.direction.target_outputs)
        };
        let inputs = self.inputs_count();
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
            let node = |op: OpKind, inputs: Vec<Operand>, result: String, attrs: Attrs| RuleNode {
                op,
                inputs,
                outputs: vec![Operand::One(result)],
                attrs: attrs.into_iter().map(|(n, p)| (n.to_owned(), p)).collect(),
                repeated: false,
            };
            let result = name(next);
            let shape = |tensor: u8| &symbolic.tensors[usize::from(tensor)];
            let (kind, attrs) = match operator {
                Operator::Split { axis } => {
                    let [first, second] = &symbolic.parts[&number];
                    let sizes = Expr::List(vec![self.size(first)?, self.size(second)?]);
                    (OpKind::Split, vec![("axis", self.axis_attr(axis)), ("split", AttrPattern::Computed(sizes))])
                }
                Operator::Ones => {
                    let takes = |s: &Step| self.operators[usize::from(s.op)] == Operator::Mul;
                    let mut users = steps.iter().filter(|s| s.args.contains(&next));
                    if outputs.contains(&next) || !users.all(takes) {
                        return Err(Inexpressible::Ones);
                    }
                    (OpKind::Constant, vec![("value_float", AttrPattern::Literal(Attr::Float(1.0)))])
                }
                Operator::Conv { .. } => {
                    let (x, w) = (shape(step.args[0]), shape(step.args[1]));
                    (OpKind::Conv, self.conv_attrs(operator, x, w)?)
                }
                _ => self.plain_node(operator, shape(next))?,
            };
            if matches!(operator, Operator::Conv { relu: true, .. }) {
                let inner = format!("{result}c");
                nodes.push(node(kind, args, inner.clone(), attrs));
                nodes.push(node(OpKind::Relu, vec![Operand::One(inner)], result, vec![]));
            } else {
                nodes.push(node(kind, args, result, attrs));
            }
            if matches!(operator, Operator::Split { .. })
                && let Some(split) = nodes.last_mut()
            {
                next += 1;
                split.outputs.push(Operand::One(name(next)));
            }
            next += 1;
        }
        Ok(RuleGraph { nodes, outputs: outputs.iter().map(|&t| Operand::One(name(t))).collect() })
    }

    /// An operator whose attributes follow from itself and the shape of its result.
    fn plain_node(&self, operator: Operator, result: &Shape) -> Result<(OpKind, Attrs), Inexpressible> {
        use Operator::*;
        let last = || AttrPattern::Literal(Attr::Int(i64::from(result.ty.rank) - 1));
        let channels = || self.size(&result.dims[0]).map(AttrPattern::Computed);
        if operator.is_movement() && !matches!(operator, Permute { .. }) && !self.is_in_source(operator) {
            return Err(Inexpressible::Attributes);
        }
        Ok(match operator {
            MatMul => (OpKind::MatMul, vec![]),
            Add | Spread { product: false, .. } => (OpKind::Add, vec![]),
            Mul | Scale | Spread { product: true, .. } => (OpKind::Mul, vec![]),
            Unscale => (OpKind::Div, vec![]),
            Relu => (OpKind::Relu, vec![]),
            Function(self::Function::Sigmoid) => (OpKind::Sigmoid, vec![]),
            Function(self::Function::Tanh) => (OpKind::Tanh, vec![]),
            Function(self::Function::Gelu) => (OpKind::Gelu, vec![]),
            Softmax => (OpKind::Softmax, vec![("axis", last())]),
            Normalise => (OpKind::LayerNormalization, vec![("axis", last()), ("epsilon", variable("e"))]),
            Mean => (OpKind::ReduceMean, vec![("axes", ints(&[i64::from(result.ty.rank) - 1]))]),
            GlobalAverage => (OpKind::GlobalAveragePool, vec![]),
            AveragePool => (OpKind::AveragePool, self.pool_attrs(OpKind::AveragePool)),
            MaxPool => (OpKind::MaxPool, self.pool_attrs(OpKind::MaxPool)),
            Transpose { .. } => (OpKind::Transpose, vec![("perm", ints(&[1, 0]))]),
            Permute { rank, axes } => {
                let axes: Vec<i64> = axes[..usize::from(rank)].iter().map(|&axis| i64::from(axis)).collect();
                let words: Vec<String> = axes.iter().map(ToString::to_string).collect();
                (OpKind::Transpose, vec![("perm", self.open(&format!("perm{}", words.concat()), &axes))])
            }
            Slice { rank, axis } => {
                let named = |what: &str| variable(&format!("{what}{rank}{axis}"));
                let axes = self.open(&format!("axes{rank}{axis}"), &[i64::from(axis)]);
                (
                    OpKind::Slice,
                    vec![("axes", axes), ("starts", named("from")), ("ends", named("to")), ("steps", named("by"))],
                )
            }
            Pad { rank } => (OpKind::Pad, vec![("pads", variable(&format!("margins{rank}")))]),
            Heads { rank: 1 } => {
                let sizes = HEAD_AXES.map(|axis| Expr::Index(HEADS.to_owned(), Box::new(Expr::Int(axis))));
                if !self.is_in_source(Heads { rank: 3 }) {
                    return Err(Inexpressible::Attributes);
                }
                (OpKind::Reshape, vec![("shape", AttrPattern::Computed(Expr::List(sizes.to_vec())))])
            }
            Heads { .. } => (OpKind::Reshape, vec![("shape", variable(HEADS))]),
            Concat { axis, .. } => (OpKind::Concat, vec![("axis", self.axis_attr(axis))]),
            Enlarge => (OpKind::Enlarge, vec![("kernel_shape", ints(&[3, 3]))]),
            IdentityMatrix => (OpKind::IdentityMatrix, vec![("size", channels()?)]),
            IdentityKernel => {
                (OpKind::IdentityKernel, vec![("channels", channels()?), ("kernel_shape", ints(&[3, 3]))])
            }
            PoolKernel => (OpKind::PoolKernel, vec![("channels", channels()?), ("kernel_shape", ints(&[3, 3]))]),
            Split { .. } | Ones | Conv { .. } => return Err(Inexpressible::Attributes),
        })
    }

    /// That a vector is as long as the heads that it is cut into, and that they are the last two axes of four.
    pub(super) fn condition_on_heads(&mut self) {
        let Some(cut) = self.heads_of_source() else { return };
        let equal = |a: Expr, b: Expr| Condition::Compare(Comparison::Equal, a, b);
        let [count, size] = HEAD_AXES.map(|axis| Box::new(Expr::Index(HEADS.to_owned(), Box::new(Expr::Int(axis)))));
        let is_cut = |s: &&Step| self.operators[usize::from(s.op)] == (Operator::Heads { rank: 1 });
        let vectors: Vec<u8> = self.direction.target.iter().filter(is_cut).map(|s| s.args[0]).collect();
        self.conditions.push(equal(Expr::Rank(Operand::One(cut)), Expr::Int(HEAD_AXES[1] + 1)));
        for vector in vectors {
            let length = Expr::Dim(Operand::One(self.input_name(vector)), Box::new(Expr::Int(0)));
            self.conditions.push(equal(length, Expr::Binary(Arithmetic::Mul, count.clone(), size.clone())));
        }
    }

    /// The name of a result of [`Operator::Heads`] in the source.
    fn heads_of_source(&self) -> Option<String> {
        let mut result = 0;
        for step in &self.direction.source {
            match self.operators[usize::from(step.op)] {
                Operator::Heads { rank: 3 } => return Some(format!("t{result}")),
                Operator::Split { .. } => result += 2,
                _ => result += 1,
            }
        }
        None
    }

    fn axis_attr(&self, axis: u8) -> AttrPattern {
        match (self.generality, self.axis) {
            (Generality::AnyRank, Some(_)) => variable("a"),
            _ => AttrPattern::Literal(Attr::Int(i64::from(axis))),
        }
    }

    /// A list that is left open where the rule is about tensors of any rank.
    fn open(&self, name: &str, values: &[i64]) -> AttrPattern {
        if self.generality == Generality::AnyRank { variable(name) } else { ints(values) }
    }

    fn conv_attrs(&self, operator: Operator, x: &Shape, w: &Shape) -> Result<Attrs, Inexpressible> {
        let Operator::Conv { kernel, stride, dilation, .. } = operator else { return Ok(Vec::new()) };
        let groups = i64::from(x.ty.dims[1] / w.ty.dims[1]);
        let mut attrs = Vec::new();
        if self.generality == Generality::Literal {
            let [h, w] = kernel.map(|k| i64::from(k - 1) / 2 * i64::from(dilation));
            if (h, w) != (0, 0) {
                attrs.push(("pads", ints(&[h, w, h, w])));
            }
            if stride != 1 {
                attrs.push(("strides", ints(&[i64::from(stride); 2])));
            }
            if dilation != 1 {
                attrs.push(("dilations", ints(&[i64::from(dilation); 2])));
            }
        } else {
            let numbered = |stem: &str, n: u8| variable(&if n == 1 { stem.to_owned() } else { format!("{stem}{n}") });
            attrs.push(("strides", numbered("s", stride)));
            let reach = if dilation == 1 { String::new() } else { format!("d{dilation}") };
            attrs.push(("pads", variable(&format!("p{}{}{reach}", kernel[0], kernel[1]))));
            attrs.push(("dilations", numbered("d", dilation)));
        }
        match self.generality {
            Generality::Groups => attrs.push(("group", variable(&format!("g{groups}")))),
            _ if groups == 1 => {}
            _ if w.ty.dims[1] == 1 => attrs.push(("group", AttrPattern::Computed(self.size(&x.dims[1])?))),
            _ => attrs.push(("group", AttrPattern::Literal(Attr::Int(groups)))),
        }
        Ok(attrs)
    }

    fn pool_attrs(&self, op: OpKind) -> Attrs {
        let average = op == OpKind::AveragePool;
        let mut attrs = if self.generality == Generality::Literal {
            vec![("kernel_shape", ints(&[3, 3])), ("pads", ints(&[1, 1, 1, 1]))]
        } else {
            let stem = if average { "avg" } else { "max" };
            let named = |what: &str| variable(&format!("{stem}_{what}"));
            vec![("kernel_shape", named("k")), ("strides", named("s")), ("pads", named("p"))]
        };
        if average {
            attrs.push(("count_include_pad", AttrPattern::Literal(Attr::Int(1))));
        }
        attrs
    }
}

/// Where the number of heads and their size stand in a shape of rank 4.
const HEAD_AXES: [i64; 2] = [2, 3];

fn variable(name: &str) -> AttrPattern {
    AttrPattern::Variable(name.to_owned())
}

fn ints(values: &[i64]) -> AttrPattern {
    AttrPattern::Literal(Attr::ints(values))
}
