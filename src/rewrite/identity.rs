//! Applications that return an operand unchanged, told from attributes and types alone.

use crate::graph::{Facts, Op, OpKind};

/// The operand that the node's only result equals, if there is one.
pub(super) fn passes_through(op: &Op, inputs: &[Option<&Facts>], outputs: &[Facts]) -> Option<usize> {
    let Op::Apply(kind, _) = op else { return None };
    let [output] = outputs else { return None };
    let input = (*inputs.first()?)?;
    let (from, to) = (input.ty.as_ref()?, output.ty.as_ref()?);
    if from != to {
        return None;
    }
    let same = match kind {
        OpKind::Identity | OpKind::Dropout => true,
        // Row-major order is kept by these, so equal types are equal values.
        OpKind::Reshape | OpKind::Flatten | OpKind::Squeeze | OpKind::Unsqueeze | OpKind::Expand => true,
        OpKind::Cast => true,
        OpKind::Transpose => op.ints("perm")?.iter().enumerate().all(|(i, p)| i as i64 == *p),
        OpKind::Slice => inputs.len() == 1 && op.ints("steps")?.iter().all(|s| *s == 1),
        OpKind::Pad => inputs.len() == 1 && op.ints("pads")?.iter().all(|p| *p == 0),
        OpKind::Tile => inputs.len() == 1 && op.ints("repeats")?.iter().all(|r| *r == 1),
        OpKind::Concat | OpKind::Sum | OpKind::Mean | OpKind::Max | OpKind::Min => inputs.len() == 1,
        OpKind::Split => true,
        OpKind::Clip => inputs.len() == 1 && op.float("min")? == f32::NEG_INFINITY && op.float("max")? == f32::INFINITY,
        _ => false,
    };
    same.then_some(0)
}
