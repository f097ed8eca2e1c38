//! Operators that move elements and compute nothing.
//!
//! What moves is the same for numbers and for the partial values of shape tensors, so each operator states where every
//! output element comes from once, as an [`AxisMap`], and inference and evaluation both apply it.

mod gather;
mod join;
mod pad;
mod rearrange;
mod repeat;
mod reshape;
mod slice;

use super::axis_map::AxisMap;
use super::call::{Call, EvalCall, WorkCall};
use super::schema::{
    MANY,
    rows::{float, int, ints, required, text},
};
use super::support::{Evaluated, Inferred, attributes, carry, copy, output_shapes};
use super::{Array, AttrType, Element, Schema, Work, dims};
use crate::graph::{Dim, MAX_ELEMENTS, Op, OpKind};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Concat, (1, MANY)).attrs(&[required("axis", AttrType::Int)]),
    Schema::of(OpKind::Split, (1, 2)).outputs(1, MANY).attrs(&[int("axis", 0), ints("split")]),
    Schema::of(OpKind::Slice, (1, 5)).attrs(&[ints("starts"), ints("ends"), ints("axes"), ints("steps")]),
    Schema::of(OpKind::Gather, (2, 2)).attrs(&[int("axis", 0)]),
    Schema::of(OpKind::GatherElements, (2, 2)).attrs(&[int("axis", 0)]),
    Schema::of(OpKind::GatherND, (2, 2)).attrs(&[int("batch_dims", 0)]),
    Schema::of(OpKind::Transpose, (1, 1)).attrs(&[ints("perm")]),
    Schema::of(OpKind::Reshape, (1, 2)).attrs(&[ints("shape"), int("allowzero", 0)]),
    Schema::of(OpKind::Flatten, (1, 1)).attrs(&[int("axis", 1)]),
    Schema::of(OpKind::Squeeze, (1, 2)).attrs(&[ints("axes")]),
    Schema::of(OpKind::Unsqueeze, (1, 2)).attrs(&[ints("axes")]),
    Schema::of(OpKind::Expand, (1, 2)).attrs(&[ints("shape")]).not_foldable(),
    Schema::of(OpKind::Tile, (1, 2)).attrs(&[ints("repeats")]).not_foldable(),
    Schema::of(OpKind::Pad, (1, 4)).attrs(&[text("mode", "constant"), ints("pads"), float("value", 0.0)]),
    Schema::of(OpKind::DepthToSpace, (1, 1)).attrs(&[required("blocksize", AttrType::Int), text("mode", "DCR")]),
    Schema::of(OpKind::SpaceToDepth, (1, 1)).attrs(&[required("blocksize", AttrType::Int)]),
    Schema::of(OpKind::Trilu, (1, 2)).attrs(&[int("upper", 1)]),
    Schema::of(OpKind::Identity, (1, 1)),
    Schema::of(OpKind::Dropout, (1, 1)).attrs(&[float("ratio", 0.5)]),
];

/// An input beside the one whose elements move: a shape, indices, a fill value.
struct Other {
    shape: Vec<usize>,
    values: Option<Vec<i64>>,
}

/// A movement whose shapes are known and checked.
struct Movement<'a> {
    op: &'a Op,
    /// Shape of input 0.
    from: &'a [usize],
    /// Shape of the output.
    to: &'a [usize],
    /// Inputs from slot 1 on.
    others: Vec<Option<Other>>,
}

impl Movement<'_> {
    fn other(&self, slot: usize) -> Option<&Other> {
        self.others.get(slot.checked_sub(1)?)?.as_ref()
    }

    /// A list that is an attribute or an input; `None` if it is an input whose elements are not known.
    fn list(&self, name: &str, slot: usize) -> Option<Vec<i64>> {
        match self.other(slot) {
            Some(other) => other.values.clone(),
            None => Some(self.op.ints(name).unwrap_or_default().to_vec()),
        }
    }

    /// An axis attribute of the input's rank.
    fn axis(&self) -> Option<usize> {
        super::call::resolve_axis(self.op.int("axis")?, self.from.len())
    }
}

/// Types and partial values of the outputs.
pub(super) fn infer(call: &Call<'_>) -> Inferred {
    match call.kind {
        OpKind::Concat => return join::infer_concat(call),
        OpKind::Split => return join::infer_split(call),
        OpKind::Identity | OpKind::Dropout => {
            call.ty(0)?;
            return Ok(call.inputs.iter().flatten().take(1).map(|&facts| facts.clone()).collect());
        }
        _ => {}
    }
    let outputs = types(call)?;
    if call.elements(0).is_none() {
        return Ok(outputs);
    }
    carry(call, outputs, |_, from, to, elements| {
        let other = |slot: usize| {
            let shape = dims::sizes(&call.optional(slot)?.shape)?;
            let count = dims::count_within(&shape, MAX_ELEMENTS as usize)?;
            Some(Other { shape, values: call.known_elements(slot).filter(|values| values.len() == count) })
        };
        let others: Vec<Option<Other>> = (1..call.inputs.len()).map(other).collect();
        if others.iter().enumerate().any(|(i, other)| other.is_none() && call.has(i + 1)) {
            return None;
        }
        let map = axis_map(call.kind, &Movement { op: call.op, from, to, others })?;
        Some(map.apply(elements, &fill_dim(call)?))
    })
}

/// What Pad and Trilu put where there is no element.
fn fill_dim(call: &Call<'_>) -> Option<Dim> {
    match call.kind {
        OpKind::Pad if call.has(2) => call.elements(2)?.first().cloned(),
        OpKind::Pad => Some(Dim::Known(call.op.float("value").unwrap_or(0.0) as i64)),
        _ => Some(Dim::Known(0)),
    }
}

/// Types of the outputs of the operators with one source.
fn types(call: &Call<'_>) -> Inferred {
    match call.kind {
        OpKind::Slice => slice::infer(call),
        OpKind::Gather => gather::infer(call),
        OpKind::GatherElements => gather::infer_elements(call),
        OpKind::GatherND => gather::infer_nd(call),
        OpKind::Transpose => rearrange::infer_transpose(call),
        OpKind::DepthToSpace | OpKind::SpaceToDepth => rearrange::infer_blocks(call),
        OpKind::Reshape => reshape::infer(call),
        OpKind::Flatten => reshape::infer_flatten(call),
        OpKind::Squeeze => reshape::infer_squeeze(call),
        OpKind::Unsqueeze => reshape::infer_unsqueeze(call),
        OpKind::Expand => repeat::infer_expand(call),
        OpKind::Tile => repeat::infer_tile(call),
        OpKind::Pad => pad::infer(call),
        OpKind::Trilu => pad::infer_trilu(call),
        _ => Err(call.misrouted()),
    }
}

/// Where the elements of the output come from; `None` where that depends on what is not known, or an index is outside.
fn axis_map(kind: OpKind, movement: &Movement<'_>) -> Option<AxisMap> {
    match kind {
        OpKind::Slice => slice::map(movement),
        OpKind::Gather => gather::map(movement),
        OpKind::GatherElements => gather::map_elements(movement),
        OpKind::GatherND => gather::map_nd(movement),
        OpKind::Transpose => rearrange::map_transpose(movement),
        OpKind::DepthToSpace => rearrange::map_depth_to_space(movement),
        OpKind::SpaceToDepth => rearrange::map_space_to_depth(movement),
        OpKind::Expand => repeat::map_expand(movement),
        OpKind::Tile => repeat::map_tile(movement),
        OpKind::Pad => pad::map(movement),
        OpKind::Trilu => pad::map_trilu(movement),
        _ => Some(AxisMap::strided([(movement.to.iter().product(), 1)])),
    }
}

/// Work of one application: reshapes are views, everything else reads what it writes.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    match call.kind {
        OpKind::Reshape
        | OpKind::Flatten
        | OpKind::Squeeze
        | OpKind::Unsqueeze
        | OpKind::Identity
        | OpKind::Dropout => Work::view(),
        _ => copy(call.outputs),
    }
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Evaluated<E> {
    match call.kind {
        OpKind::Concat => return join::evaluate_concat(call),
        OpKind::Split => return join::evaluate_split(call),
        _ => {}
    }
    let mut to = output_shapes(call, 1, |slot| slot > 0 && (slot, call.kind) != (2, OpKind::Pad), infer)?.remove(0);
    let source = call.input(0)?;
    if matches!(call.kind, OpKind::Identity | OpKind::Dropout) {
        return Ok(vec![source.clone()]);
    }
    let others: Vec<Option<Other>> = call.inputs[1..].iter().map(|a| a.map(other)).collect();
    let map = axis_map(call.kind, &Movement { op: call.op, from: &source.shape, to: &to, others });
    let map = map.ok_or_else(|| call.fail("an index is out of range, or no integer"))?;
    let fill = match call.optional(2) {
        Some(value) if call.kind == OpKind::Pad => value.data.first().cloned(),
        _ => None,
    };
    let fill = fill.unwrap_or_else(|| E::constant(f64::from(call.op.float("value").unwrap_or(0.0))));
    let data = map.apply(&source.data, &fill);
    Ok(vec![Array { shape: std::mem::take(&mut to), data }])
}

fn other<E: Element>(array: &Array<E>) -> Other {
    Other { shape: array.shape.clone(), values: array.to_i64s().ok() }
}
