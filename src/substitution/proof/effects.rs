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
    let idempotent = matches!(u.kind, Floor | Ceil | Round | Sign | Clip | Cast);
    (matches!(u.kind, Relu | Abs) && nonnegative) || (idempotent && u == w)
}

/// Whether one operator adds the axes that the other drops.
pub(super) fn undoes(r: &Application, s: &Application) -> bool {
    let opposite =
        matches!((r.kind, s.kind), (OpKind::Squeeze, OpKind::Unsqueeze) | (OpKind::Unsqueeze, OpKind::Squeeze));
    opposite && r.attr("axes").is_some() && r.attr("axes") == s.attr("axes")
}

/// Whether an operator on windows takes single places of a plane, and no padding.
pub(super) fn picks(k: &Application) -> bool {
    let all = |name: &str, entry: i64| k.list(name).is_some_and(|list| list.iter().all(|d| *d == Dim::Known(entry)));
    matches!(k.kind, OpKind::AveragePool | OpKind::MaxPool)
        && k.slots == 1
        && all("kernel_shape", 1)
        && all("pads", 0)
        && k.int("ceil_mode") == Some(0)
}

/// Whether what an operator gives has the elements of its operand in their order.
pub(super) fn is_in_order(k: &Application, x: &Shape, facts: &Facts) -> bool {
    if k.kind != OpKind::Transpose {
        return matches!(k.kind, OpKind::Reshape | OpKind::Flatten | OpKind::Squeeze | OpKind::Unsqueeze);
    }
    let (Some(dims), Some(perm)) = (x.dims(), k.list("perm")) else { return false };
    let perm: Option<Vec<usize>> = perm.iter().map(|p| usize::try_from(p.known()?).ok()).collect();
    let Some(perm) = perm.filter(|perm| perm.len() == dims.len() && perm.iter().all(|p| *p < dims.len())) else {
        return false;
    };
    let one = Dim::Known(1);
    let either_is_one = |a: &Dim, b: &Dim| {
        let least = a.minimum(b);
        least == one || facts.is_literal(Comparison::Equal, &SymVal::Num(least), &SymVal::Num(one.clone()))
    };
    // Axes that change places pass each other only where one of them has one place.
    let pairs = perm.iter().enumerate().flat_map(|(i, p)| perm[i + 1..].iter().map(move |q| (p, q)));
    pairs.filter(|(p, q)| p > q).all(|(p, q)| either_is_one(&dims[*p], &dims[*q]))
}

/// Whether an average of what a constant is added to, or multiplied with, is that of the average alone: it counts no
/// padding, or the constant is a factor.
pub(super) fn is_even(a: &Application, c: &Application) -> bool {
    let zero = |name: &str| a.int(name) == Some(0);
    let unpadded = || a.list("pads").is_some_and(|pads| pads.iter().all(|p| *p == Dim::Known(0)));
    let average = matches!(a.kind, OpKind::AveragePool | OpKind::GlobalAveragePool);
    let keeps =
        || a.kind == OpKind::GlobalAveragePool || zero("count_include_pad") || (zero("ceil_mode") && unpadded());
    average && (c.kind == OpKind::Mul || (c.kind == OpKind::Add && keeps()))
}

/// Whether an operator keeps elements and their order where it keeps the shape.
pub(super) fn is_ordered(k: &Application, facts: &Facts) -> bool {
    use OpKind::*;
    match k.kind {
        Slice => all_are(k, "steps", 1, facts),
        kind => matches!(kind, Reshape | Flatten | Squeeze | Unsqueeze | Expand | Tile),
    }
}

/// Whether all entries of an attribute certainly are this number.
fn all_are(k: &Application, name: &str, entry: i64, facts: &Facts) -> bool {
    let entry = Dim::Known(entry);
    k.attr(name).is_some_and(|value| match value {
        SymVal::List(list) => list.iter().all(|d| *d == entry),
        other => facts.is_literal(Comparison::Equal, other, &SymVal::Num(entry)),
    })
}

/// Whether an operator that has a value certainly gives back its operand.
pub(super) fn does_nothing(k: &Application, x: &Shape, facts: &Facts) -> bool {
    let all = |name: &str, entry: i64| all_are(k, name, entry, facts);
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
