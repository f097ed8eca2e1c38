//! What operators do along single axes.

use super::eval::element;
use super::facts::Facts;
use super::shape::Shape;
use super::term::Application;
use crate::graph::{DType, Dim, OpKind};

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

/// Whether a movement certainly keeps each row along the last axis as it is, in the order of the rows.
pub(super) fn keeps_rows(m: &Application, x: &Shape, t: &Shape, facts: &Facts) -> bool {
    let one = Dim::Known(1);
    let has_rows = |shape: &Shape| facts.is_at_least_zero(&shape.rank().sub(&one));
    matches!(m.kind, OpKind::Reshape | OpKind::Flatten)
        && has_rows(x)
        && has_rows(t)
        && x.counted_from_end(1, facts) == t.counted_from_end(1, facts)
}

/// What an operator takes along one axis: the places from `from` to before `to`.
pub(super) struct PartOf {
    pub axis: Dim,
    pub from: Dim,
    pub to: Dim,
    /// How long the axis is, where the operator demands it.
    pub whole: Option<Dim>,
}

/// The part that a Split or a Slice takes along one axis.
pub(super) fn part(d: &Application) -> Option<PartOf> {
    if d.kind == OpKind::Split {
        let sizes = d.list("split")?;
        let sum = |sizes: &[Dim]| sizes.iter().fold(Dim::Known(0), |sum, size| sum.add(size));
        let (from, to) = (sum(sizes.get(..d.slot)?), sum(sizes.get(..d.slot + 1)?));
        return Some(PartOf { axis: d.num("axis")?.clone(), from, to, whole: Some(sum(sizes)) });
    }
    let [axis] = d.list("axes")? else { return None };
    let ([from], [to], [Dim::Known(1)]) = (d.list("starts")?, d.list("ends")?, d.list("steps")?) else { return None };
    Some(PartOf { axis: axis.clone(), from: from.clone(), to: to.clone(), whole: None })
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

/// Axes of an operator that is linear in two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Of the first operand, the one that is summed along.
    InnerLeft,
    /// Of the second operand, the one that is summed along.
    InnerRight,
    /// Of the second operand, the one that stays.
    OuterRight,
    /// Of the result, the one that comes from the second operand.
    Outer,
}

/// An axis of an operator of which the first operand has this shape.
pub(super) fn axis(l: &Application, axis: Axis, x: &Shape) -> Option<Dim> {
    let flag = |name: &str| l.num(name).filter(|flag| matches!(flag.known(), Some(0 | 1)));
    let one = Dim::Known(1);
    Some(match (l.kind, axis) {
        (OpKind::MatMul, Axis::InnerLeft | Axis::Outer) => x.rank().sub(&one),
        (OpKind::MatMul, Axis::InnerRight) => Dim::Known(0),
        (OpKind::MatMul, Axis::OuterRight) => one,
        (OpKind::Gemm, Axis::InnerLeft) => one.sub(flag("transA")?),
        (OpKind::Gemm, Axis::InnerRight) => flag("transB")?.clone(),
        (OpKind::Gemm, Axis::OuterRight) => one.sub(flag("transB")?),
        (OpKind::Gemm, Axis::Outer) => one,
        (OpKind::Conv, Axis::OuterRight) if l.int("group") == Some(1) => Dim::Known(0),
        (OpKind::Conv, Axis::InnerLeft | Axis::InnerRight | Axis::Outer) if l.int("group") == Some(1) => one,
        _ => return None,
    })
}

/// Whether every value of an element type is one of another, by their numbers in ONNX.
pub(super) fn holds_all(small: i64, large: i64) -> bool {
    use DType::*;
    let read = |number: i64| i32::try_from(number).ok().and_then(DType::from_onnx);
    let (Some(small), Some(large)) = (read(small), read(large)) else { return false };
    match small {
        Bool => !matches!(large, Bool | String),
        F16 | BF16 => matches!(large, F32 | F64),
        F32 => large == F64,
        I8 => matches!(large, I16 | I32 | I64 | F32 | F64),
        U8 => matches!(large, U16 | U32 | U64 | I16 | I32 | I64 | F32 | F64),
        I16 => matches!(large, I32 | I64 | F32 | F64),
        U16 => matches!(large, U32 | U64 | I32 | I64 | F32 | F64),
        I32 => matches!(large, I64 | F64),
        U32 => matches!(large, U64 | I64 | F64),
        _ => false,
    }
}
