//! What single operators do, as their attributes tell.

use super::facts::Facts;
use super::shape::Shape;
use super::term::{Application, SymVal};
use crate::graph::{Dim, OpKind};
use crate::rewrite::Comparison;

/// Whether the first operator maps every value of the second to itself.
pub(super) fn absorbs(u: &Application, w: &Application) -> bool {
    use OpKind::*;
    let nonnegative = matches!(w.kind, Relu | Sigmoid | Exp | Softplus | Abs | Sqrt);
    let idempotent = matches!(u.kind, Floor | Ceil | Round | Sign | Clip);
    (matches!(u.kind, Relu | Abs) && nonnegative) || (idempotent && u == w)
}

/// Whether one operator adds the axes that the other drops.
pub(super) fn undoes(r: &Application, s: &Application) -> bool {
    let opposite =
        matches!((r.kind, s.kind), (OpKind::Squeeze, OpKind::Unsqueeze) | (OpKind::Unsqueeze, OpKind::Squeeze));
    opposite && r.attr("axes").is_some() && r.attr("axes") == s.attr("axes")
}

/// Whether an average of what a constant is added to, or multiplied with, is that of the average alone: it counts no
/// padding, or the constant is a factor.
pub(super) fn is_even(a: &Application, c: &Application) -> bool {
    let zero = |name: &str| a.int(name) == Some(0);
    let unpadded = || a.list("pads").is_some_and(|pads| pads.iter().all(|p| *p == Dim::Known(0)));
    c.kind == OpKind::Mul
        || a.kind == OpKind::GlobalAveragePool
        || zero("count_include_pad")
        || (zero("ceil_mode") && unpadded())
}

/// Whether an operator keeps elements and their order where it keeps the shape.
pub(super) fn is_ordered(kind: OpKind) -> bool {
    use OpKind::*;
    matches!(kind, Reshape | Flatten | Squeeze | Unsqueeze | Expand | Tile)
}

/// Whether an operator that has a value certainly gives back its operand.
pub(super) fn does_nothing(k: &Application, x: &Shape, facts: &Facts) -> bool {
    let all = |name: &str, entry: i64| {
        let entry = Dim::Known(entry);
        k.attr(name).is_some_and(|value| match value {
            SymVal::List(list) => list.iter().all(|d| *d == entry),
            other => facts.is_literal(Comparison::Equal, other, &SymVal::Num(entry)),
        })
    };
    match k.kind {
        OpKind::Transpose => k.list("perm").is_some_and(|perm| {
            x.known_rank() == Some(perm.len()) && perm.iter().enumerate().all(|(i, p)| *p == Dim::Known(i as i64))
        }),
        OpKind::Pad => all("pads", 0),
        OpKind::Tile => all("repeats", 1),
        OpKind::AveragePool | OpKind::MaxPool => all("kernel_shape", 1) && all("strides", 1) && all("pads", 0),
        _ => false,
    }
}
