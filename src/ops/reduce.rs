//! Reductions over axes.

use crate::graph::{DType, Dim, Facts, MAX_ELEMENTS, OpKind, TensorType};

use super::arith;
use super::broadcast::broadcast_positions;
use super::call::{Call, EvalCall, WorkCall, carried_count, resolve_axis};
use super::schema::rows::{int, ints};
use super::work::TRANSCENDENTAL;
use super::{Array, AttrSpec, Element, EvalError, Func, OpError, Schema, Work, array};

const REDUCTION: &[AttrSpec] = &[ints("axes"), int("keepdims", 1), int("noop_with_empty_axes", 0)];

const fn reduction(kind: OpKind) -> Schema {
    Schema::of(kind, (1, 2)).attrs(REDUCTION)
}

pub(super) const SCHEMAS: &[Schema] = &[
    reduction(OpKind::ReduceSum),
    reduction(OpKind::ReduceMean),
    reduction(OpKind::ReduceMax),
    reduction(OpKind::ReduceMin),
    reduction(OpKind::ReduceProd),
    reduction(OpKind::ReduceL1),
    reduction(OpKind::ReduceL2),
    reduction(OpKind::ReduceLogSum),
    reduction(OpKind::ReduceLogSumExp),
    reduction(OpKind::ReduceSumSquare),
    Schema::of(OpKind::ArgMax, (1, 1)).attrs(&[int("axis", 0), int("keepdims", 1), int("select_last_index", 0)]),
    Schema::of(OpKind::ArgMin, (1, 1)).attrs(&[int("axis", 0), int("keepdims", 1), int("select_last_index", 0)]),
];

/// Which axes are reduced, for a rank; `None` where an axis is out of range.
fn reduced(axes: &[i64], noop_with_empty_axes: bool, rank: usize) -> Option<Vec<bool>> {
    let mut out = vec![axes.is_empty() && !noop_with_empty_axes; rank];
    for &axis in axes {
        out[resolve_axis(axis, rank)?] = true;
    }
    Some(out)
}

/// Types of the outputs, and their elements where they carry any. Axes that are not known make the result unknown.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let x = call.ty(0)?;
    let keep = call.int("keepdims")? != 0;
    let is_arg = matches!(call.kind, OpKind::ArgMax | OpKind::ArgMin);
    let bool_too = matches!(call.kind, OpKind::ReduceMax | OpKind::ReduceMin);
    call.want(0, "a number", |dtype| dtype.is_float() || dtype.is_int() || (bool_too && dtype == DType::Bool))?;
    call.want(1, "an integer", |dtype| dtype.is_int())?;
    let reduce = if is_arg {
        let mut reduce = vec![false; x.rank()];
        reduce[call.axis("axis", x.rank())?] = true;
        reduce
    } else {
        let axes = match call.optional(1) {
            None => Some(call.ints("axes")?.to_vec()),
            // No axis at all is known to be none whatever its elements.
            Some(axes) if carried_count(axes) == Some(0) => Some(Vec::new()),
            Some(_) => call.known_elements(1),
        };
        let Some(axes) = axes else { return call.unknown() };
        let noop = call.int("noop_with_empty_axes")? != 0;
        let wrong = || call.fail(format!("attribute \"axes\" {axes:?} is out of range for rank {}", x.rank()));
        reduced(&axes, noop, x.rank()).ok_or_else(wrong)?
    };
    let shape = output_shape(&x.shape, &reduce, keep, Dim::Known(1));
    let ty = TensorType::new(if is_arg { DType::I64 } else { x.dtype }, shape);
    let elements = if is_arg { None } else { infer_elements(call, x, &reduce) };
    Ok(vec![Facts { ty: Some(ty), elements: elements.map(Into::into) }])
}

fn output_shape<D: Clone>(shape: &[D], reduce: &[bool], keep: bool, one: D) -> Vec<D> {
    let dims = shape.iter().zip(reduce);
    dims.filter(|&(_, &gone)| keep || !gone).map(|(d, &gone)| if gone { one.clone() } else { d.clone() }).collect()
}

fn infer_elements(call: &Call<'_>, x: &TensorType, reduce: &[bool]) -> Option<Vec<Dim>> {
    let elements = call.elements(0)?;
    if carried_count(x) != Some(elements.len()) {
        return None;
    }
    let shape: Vec<usize> = x.shape.iter().map(|d| usize::try_from(d.known()?).ok()).collect::<Option<_>>()?;
    let groups = output_shape(&shape, reduce, true, 1);
    // An empty input may have groups without number.
    array::checked_count(&groups).ok().filter(|&n| n as u64 <= MAX_ELEMENTS)?;
    let mut out: Vec<Option<Dim>> = vec![None; groups.iter().product()];
    for (value, group) in elements.iter().zip(broadcast_positions(&groups, &shape)) {
        let next = match (&out[group], call.kind) {
            (None, _) => value.clone(),
            (Some(acc), OpKind::ReduceSum) => arith::add(acc, value)?,
            (Some(acc), OpKind::ReduceProd) => arith::mul(acc, value)?,
            (Some(acc), OpKind::ReduceMax) => arith::max(acc, value),
            (Some(acc), OpKind::ReduceMin) => arith::min(acc, value),
            _ => return None,
        };
        out[group] = Some(next);
    }
    // The sum of nothing is 0 and the product 1.
    let neutral = match call.kind {
        OpKind::ReduceSum => Some(Dim::Known(0)),
        OpKind::ReduceProd => Some(Dim::Known(1)),
        OpKind::ReduceMax | OpKind::ReduceMin => None,
        _ => return None,
    };
    out.into_iter().map(|value| arith::fit(value.or_else(|| neutral.clone())?, x.dtype)).collect()
}

/// Work of one application: operations for each element of the input.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    use OpKind::*;
    call.per_input(match call.kind {
        ReduceL1 | ReduceL2 | ReduceSumSquare => 2.0,
        ReduceLogSumExp => TRANSCENDENTAL + 2.0,
        _ => 1.0,
    })
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    let x = call.input(0)?;
    let keep = call.int("keepdims")? != 0;
    if matches!(call.kind, OpKind::ArgMax | OpKind::ArgMin) {
        return Ok(vec![arg(call, x, keep)?]);
    }
    let axes = match call.optional(1) {
        Some(axes) => axes.to_i64s()?,
        None => call.ints("axes")?.to_vec(),
    };
    let noop = call.int("noop_with_empty_axes")? != 0;
    let reduce = reduced(&axes, noop, x.rank()).ok_or_else(|| call.fail(format!("axes {axes:?} are out of range")))?;
    let groups = output_shape(&x.shape, &reduce, true, 1);
    let position = broadcast_positions(&groups, &x.shape);
    let size: usize = x.shape.iter().zip(&reduce).filter(|&(_, &gone)| gone).map(|(&d, _)| d).product();
    let data = reduce_groups(call, x, &position, array::checked_count(&groups)?, size)?;
    Ok(vec![Array { shape: output_shape(&x.shape, &reduce, keep, 1), data }])
}

/// Reduces the elements of each group; `position` says to which of `count` groups an element belongs, `size` how many are in
/// each.
fn reduce_groups<E: Element>(
    call: &EvalCall<'_, E>,
    x: &Array<E>,
    position: &[usize],
    count: usize,
    size: usize,
) -> Result<Vec<E>, EvalError> {
    use OpKind::*;
    let fold = |start: f64, f: &dyn Fn(&E, &E) -> Result<E, EvalError>| {
        let mut out = vec![E::constant(start); count];
        for (value, &group) in x.data.iter().zip(position) {
            out[group] = f(&out[group], value)?;
        }
        Ok(out)
    };
    let apply = |func: Func, values: Vec<E>| values.iter().map(|v| E::apply1(func, v)).collect::<Result<Vec<E>, _>>();
    let sum = || fold(0.0, &|acc, v| Ok(acc.add(v)));
    let squares = || fold(0.0, &|acc, v| Ok(acc.add(&v.mul(v))));
    match call.kind {
        ReduceSum => sum(),
        ReduceMean => {
            let size = E::constant(size as f64);
            sum()?.iter().map(|total| total.div(&size)).collect()
        }
        ReduceProd => fold(1.0, &|acc, v| Ok(acc.mul(v))),
        ReduceL1 => fold(0.0, &|acc, v| Ok(acc.add(&E::apply1(Func::Abs, v)?))),
        ReduceSumSquare => squares(),
        ReduceL2 => apply(Func::Sqrt, squares()?),
        ReduceLogSum => apply(Func::Log, sum()?),
        ReduceMax | ReduceMin if size == 0 => {
            let neutral = if call.kind == ReduceMax { f64::NEG_INFINITY } else { f64::INFINITY };
            Ok(vec![E::constant(neutral); count])
        }
        ReduceMax | ReduceMin => {
            let func = if call.kind == ReduceMax { Func::Max } else { Func::Min };
            let mut out: Vec<Option<E>> = vec![None; count];
            for (value, &group) in x.data.iter().zip(position) {
                out[group] = Some(match &out[group] {
                    Some(acc) => E::apply2(func, acc, value)?,
                    None => value.clone(),
                });
            }
            out.into_iter().map(|value| value.ok_or_else(|| call.fail("a group is empty"))).collect()
        }
        ReduceLogSumExp => {
            let mut groups: Vec<Vec<E>> = vec![Vec::new(); count];
            for (value, &group) in x.data.iter().zip(position) {
                groups[group].push(value.clone());
            }
            groups.iter().map(|group| log_sum_exp(group)).collect()
        }
        _ => Err(call.misrouted()),
    }
}

fn log_sum_exp<E: Element>(values: &[E]) -> Result<E, EvalError> {
    let pivot = E::pivot(values);
    let mut total = E::constant(0.0);
    for value in values {
        total = total.add(&E::apply1(Func::Exp, &value.sub(&pivot))?);
    }
    Ok(E::apply1(Func::Log, &total)?.add(&pivot))
}

fn arg<E: Element>(call: &EvalCall<'_, E>, x: &Array<E>, keep: bool) -> Result<Array<E>, EvalError> {
    let axis = call.axis("axis", x.rank())?;
    let last = call.int("select_last_index")? != 0;
    let (outer, along, inner) = array::around(&x.shape, axis);
    if along == 0 {
        return Err(call.fail("the axis has no element"));
    }
    let mut data = Vec::with_capacity(outer * inner);
    for row in 0..outer * inner {
        let start = (row / inner) * along * inner + row % inner;
        let at = |k: usize| &x.data[start + k * inner];
        let mut best = 0;
        for k in 1..along {
            let order = at(k).order(at(best))?;
            let better = if call.kind == OpKind::ArgMax { order.is_gt() } else { order.is_lt() };
            if better || (last && order.is_eq()) {
                best = k;
            }
        }
        data.push(E::constant(best as f64));
    }
    let mut reduce = vec![false; x.rank()];
    reduce[axis] = true;
    Ok(Array { shape: output_shape(&x.shape, &reduce, keep, 1), data })
}
