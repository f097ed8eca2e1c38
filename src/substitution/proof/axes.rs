//! What operators do along single axes.

use super::eval::element;
use super::facts::Facts;
use super::shape::Shape;
use super::term::Application;
use crate::graph::{Dim, OpKind};

/// Whether a movement certainly leaves the last axis of a value alone: it moves what lies along it as a whole.
pub(super) fn is_leading(m: &Application, x: &Shape, facts: &Facts) -> bool {
    let last = x.rank().sub(&Dim::Known(1));
    let before = |axis: &Dim, last: &Dim| {
        facts.is_at_least_zero(axis) && facts.is_at_least_zero(&last.sub(axis).sub(&Dim::Known(1)))
    };
    let all = |axes: Option<&[Dim]>, last: &Dim| {
        axes.is_some_and(|axes| !axes.is_empty() && axes.iter().all(|axis| before(axis, last)))
    };
    match m.kind {
        OpKind::Split | OpKind::Gather => m.num("axis").is_some_and(|axis| before(axis, &last)),
        OpKind::Squeeze | OpKind::Slice => all(m.list("axes"), &last),
        OpKind::Unsqueeze => {
            let axes = m.list("axes").unwrap_or_default();
            facts.is_at_least_zero(&last) && all(Some(axes), &last.add(&Dim::Known(axes.len() as i64)))
        }
        OpKind::Transpose => m
            .attr("perm")
            .and_then(|perm| element(perm, &last))
            .is_some_and(|axis| facts.is_at_least_zero(&last) && facts.normal(&axis) == last),
        _ => false,
    }
}

/// Whether an operator that is linear in two operands certainly treats each place along an axis of the first by itself,
/// and puts the result at that place of the same axis.
pub(super) fn is_batch(l: &Application, x: &Shape, w: &Shape, axis: &Dim, facts: &Facts) -> bool {
    let last = x.rank().sub(&Dim::Known(1));
    let first = *axis == Dim::Known(0);
    match l.kind {
        OpKind::MatMul => {
            let before = facts.is_at_least_zero(&last.sub(axis).sub(&Dim::Known(1)));
            w.known_rank() == Some(2) && facts.is_at_least_zero(axis) && before
        }
        OpKind::Gemm => first && l.int("transA") == Some(0),
        OpKind::Conv => first,
        _ => false,
    }
}
