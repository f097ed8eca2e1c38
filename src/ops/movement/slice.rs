//! Slice: a range of every axis, with a step that may be negative.

use super::*;
use crate::ops::OpError;
use crate::ops::call::resolve_axis;
use crate::ops::dims::{at_most, larger, smaller};
use crate::ops::support::{list, number_list, one, want_integer};

/// A range on an axis, as the operator states it.
struct Range {
    axis: usize,
    start: Dim,
    end: Dim,
    step: i64,
}

/// The ranges; `None` if axes or steps are not known.
fn ranges(call: &Call<'_>, rank: usize) -> Result<Option<Vec<Range>>, OpError> {
    let (Some(starts), Some(ends)) = (list(call, "starts", 1), list(call, "ends", 2)) else { return Ok(None) };
    let (Some(axes), Some(steps)) = (number_list(call, "axes", 3), number_list(call, "steps", 4)) else {
        return Ok(None);
    };
    let fits = |values: &[i64]| values.is_empty() || values.len() == starts.len();
    if ends.len() != starts.len() || !fits(&axes) || !fits(&steps) || axes.is_empty() && starts.len() > rank {
        return Err(call.fail("starts, ends, axes and steps have different lengths"));
    }
    let mut out: Vec<Range> = Vec::with_capacity(starts.len().min(rank));
    for (i, (start, end)) in starts.into_iter().zip(ends).enumerate() {
        let stated = axes.get(i).copied().unwrap_or(i as i64);
        let axis = resolve_axis(stated, rank).filter(|axis| out.iter().all(|range| range.axis != *axis));
        let axis = axis.ok_or_else(|| call.fail(format!("axis {stated} is named twice or out of range")))?;
        let step = steps.get(i).copied().unwrap_or(1);
        if step == 0 {
            return Err(call.fail("a step is 0"));
        }
        out.push(Range { axis, start, end, step });
    }
    Ok(Some(out))
}

/// First position and number of positions of a range on an axis; `None` if a bound may count from either end.
fn resolve(size: &Dim, range: &Range) -> Option<(Dim, Dim)> {
    let (zero, one, minus_one) = (Dim::Known(0), Dim::Known(1), Dim::Known(-1));
    if *size == zero {
        return Some((zero.clone(), zero));
    }
    let place = |bound: &Dim, low: &Dim, high: &Dim| {
        // Exporters write "to the end" as a number no smaller than these; no axis is that long.
        match bound.known() {
            Some(n) if n >= i32::MAX.into() && size.known().is_none() => return Some(high.clone()),
            Some(n) if n <= i64::from(i32::MIN) + 1 && size.known().is_none() => return Some(low.clone()),
            _ => {}
        }
        let front = match () {
            () if at_most(&zero, bound) => bound.clone(),
            () if at_most(bound, &minus_one) => bound.add(size),
            () => return None,
        };
        Some(larger(low, &smaller(&front, high)))
    };
    let (start, span, step) = match range.step > 0 {
        true => {
            let start = place(&range.start, &zero, size)?;
            let end = place(&range.end, &zero, size)?;
            (start.clone(), end.sub(&start), range.step)
        }
        false => {
            let last = size.sub(&one);
            let start = place(&range.start, &zero, &last)?;
            let end = place(&range.end, &minus_one, &last)?;
            (start.clone(), start.sub(&end), range.step.checked_neg().unwrap_or(i64::MAX))
        }
    };
    Some((start, larger(&zero, &span).ceil_div(&Dim::Known(step))?))
}

/// The input's type with every axis cut to its range.
pub fn infer(call: &Call<'_>) -> Inferred {
    let x = call.ty(0)?;
    (1..5).try_for_each(|slot| want_integer(call, slot))?;
    let Some(ranges) = ranges(call, x.rank())? else { return call.unknown() };
    let mut shape = x.shape.to_vec();
    for range in &ranges {
        let Some((_, count)) = resolve(&x.shape[range.axis], range) else { return call.unknown() };
        shape[range.axis] = count;
    }
    one(call, x.dtype, shape)
}

pub fn map(movement: &Movement<'_>) -> Option<AxisMap> {
    let (starts, axes) = (movement.list("starts", 1)?, movement.list("axes", 3)?);
    let (ends, steps) = (movement.list("ends", 2)?, movement.list("steps", 4)?);
    let strides = crate::ops::array::strides(movement.from);
    let mut map = AxisMap::strided(movement.from.iter().copied().zip(strides.iter().copied()));
    for (i, (&start, &end)) in starts.iter().zip(&ends).enumerate() {
        let axis = resolve_axis(axes.get(i).copied().unwrap_or(i as i64), movement.from.len())?;
        let step = steps.get(i).copied().unwrap_or(1);
        let range = Range { axis, start: Dim::Known(start), end: Dim::Known(end), step };
        let size = Dim::Known(i64::try_from(movement.from[axis]).ok()?);
        let (start, count) = resolve(&size, &range)?;
        let (start, count) = (start.known()?, count.known()?);
        // Within the axis, hence no overflow: resolving bounds start and count by its size.
        map.set_axis(axis, strides[axis], (0..count).map(|k| usize::try_from(start + k * step).ok()));
    }
    Some(map)
}
