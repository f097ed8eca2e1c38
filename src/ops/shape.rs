//! Shapes, and constants made of them.

use crate::graph::{Attr, DType, Dim, Facts, MAX_ELEMENTS, Op, OpKind, TensorType};

use super::arith;
use super::call::{Call, EvalCall, WorkCall, carried_count};
use super::schema::rows::{absent, int, ints, number};
use super::{Array, AttrType, Element, EvalError, Func, OpError, Schema, Work, array};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Shape, (1, 1)).attrs(&[int("start", 0), int("end", i64::MAX)]),
    Schema::of(OpKind::Size, (1, 1)),
    Schema::of(OpKind::ConstantOfShape, (0, 1))
        .attrs(&[number("value", 0.0), int("dtype", 1), ints("shape")])
        .not_foldable(),
    Schema::of(OpKind::Range, (3, 3)).not_foldable(),
    Schema::of(OpKind::Constant, (0, 0)).attrs(&[
        absent("value_float", AttrType::Float),
        absent("value_int", AttrType::Int),
        absent("value_floats", AttrType::Floats),
        absent("value_ints", AttrType::Ints),
    ]),
];

/// Types of the outputs, and their elements where they carry any. A length that is not known makes the result unknown.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let with = |ty: TensorType, elements: Option<Vec<Dim>>| {
        Ok(vec![Facts { ty: Some(ty), elements: elements.map(Into::into) }])
    };
    match call.kind {
        OpKind::Shape => {
            let x = call.ty(0)?;
            let (start, end) = bounds(call.int("start")?, call.int("end")?, x.rank());
            let dims = x.shape[start..end].to_vec();
            with(TensorType::known(DType::I64, &[dims.len() as i64]), Some(dims))
        }
        OpKind::Size => {
            // Products saturate: the greatest number stands for anything above it.
            let count = Some(call.ty(0)?.count()).filter(|count| count.known() != Some(i64::MAX));
            with(TensorType::known(DType::I64, &[]), count.map(|count| vec![count]))
        }
        OpKind::ConstantOfShape => constant_of_shape(call),
        OpKind::Range => range(call),
        OpKind::Constant => {
            let (dtype, shape, integers) = match constant(call.op).ok_or_else(|| call.fail(CONSTANT))? {
                Attr::Float(_) => (DType::F32, vec![], None),
                Attr::Floats(values) => (DType::F32, vec![values.len() as i64], None),
                Attr::Int(value) => (DType::I64, vec![], Some(vec![*value])),
                Attr::Ints(values) => (DType::I64, vec![values.len() as i64], Some(values.to_vec())),
                Attr::Str(_) | Attr::Strs(_) => return Err(call.fail(CONSTANT)),
            };
            let carried = integers.filter(|values| values.len() as u64 <= MAX_ELEMENTS);
            with(TensorType::known(dtype, &shape), carried.map(|values| values.into_iter().map(Dim::Known).collect()))
        }
        _ => Err(call.misrouted()),
    }
}

const CONSTANT: &str = "exactly one of value_float, value_floats, value_int and value_ints must be given";

/// The one value that a `Constant` has.
fn constant(op: &Op) -> Option<&Attr> {
    let Op::Apply(_, attrs) = op else { return None };
    let mut values = attrs.iter().map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Where the part of a shape begins and ends that `Shape` is asked for.
fn bounds(start: i64, end: i64, rank: usize) -> (usize, usize) {
    let clamp = |at: i64| {
        let rank = rank as i64;
        (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize
    };
    let start = clamp(start);
    (start, clamp(end).max(start))
}

fn constant_of_shape(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let number = call.int("dtype")?;
    let dtype = i32::try_from(number).ok().and_then(DType::from_onnx);
    let dtype = dtype.ok_or_else(|| call.fail(format!("attribute \"dtype\": {number} is no element type")))?;
    call.want(0, "i64", |dtype| dtype == DType::I64)?;
    let shape: Vec<Dim> = match (call.has(0), call.elements(0)) {
        (false, _) => call.ints("shape")?.iter().map(|&n| Dim::Known(n)).collect(),
        (true, Some(elements)) => elements.to_vec(),
        (true, None) => return call.unknown(),
    };
    if shape.iter().any(|d| d.known().is_some_and(|n| n < 0)) {
        return Err(call.fail(format!("the shape {shape:?} has a negative size")));
    }
    let ty = TensorType::new(dtype, shape);
    let value = match call.op {
        Op::Apply(_, attrs) => attrs.get("value"),
        _ => None,
    };
    let value = match value {
        Some(Attr::Int(value)) => Some(*value),
        Some(Attr::Float(value)) if value.fract() == 0.0 => Some(*value as i64),
        _ => None,
    };
    let element = value.and_then(|value| {
        let value = if dtype == DType::Bool { i64::from(value != 0) } else { value };
        arith::fit(Dim::Known(value), dtype)
    });
    let elements = carried_count(&ty).zip(element).map(|(count, element)| vec![element; count].into());
    Ok(vec![Facts { ty: Some(ty), elements }])
}

fn range(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let dtype = call.ty(0)?.dtype;
    for index in 0..3 {
        call.want(index, "a number", |dtype| dtype.is_float() || dtype.is_int())?;
        if call.ty(index)?.dtype != dtype {
            return Err(call.fail("the element types differ"));
        }
        if call.ty(index)?.shape.iter().any(|d| d.known().is_some_and(|n| n != 1)) {
            return Err(call.fail(format!("input {index} must be a scalar")));
        }
    }
    let operands = (call.elements(0), call.elements(1), call.elements(2));
    let (Some([start]), Some([limit]), Some([delta])) = operands else { return call.unknown() };
    if delta.known() == Some(0) {
        return Err(call.fail("a step of 0"));
    }
    // Which way an unknown step goes is not known either.
    if delta.known().is_none() && !delta.is_positive() {
        return call.unknown();
    }
    let Some(span) = arith::sub(limit, start) else { return call.unknown() };
    let Some(steps) = span.ceil_div(delta) else { return call.unknown() };
    let count = arith::max(&steps, &Dim::Known(0));
    let ty = TensorType::new(dtype, vec![count]);
    let elements = carried_count(&ty).and_then(|count| {
        let at = |i: usize| arith::add(start, &arith::mul(&Dim::Known(i as i64), delta)?);
        (0..count).map(|i| arith::fit(at(i)?, dtype)).collect::<Option<Vec<Dim>>>()
    });
    Ok(vec![Facts { ty: Some(ty), elements: elements.map(Into::into) }])
}

/// Work of one application: shapes are known on the host and cost nothing on the device.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    match call.kind {
        OpKind::ConstantOfShape | OpKind::Range => call.per_output(0.0),
        _ => Work::view(),
    }
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    let out = match call.kind {
        OpKind::Shape => {
            let shape = &call.input(0)?.shape;
            let (start, end) = bounds(call.int("start")?, call.int("end")?, shape.len());
            let dims: Vec<i64> = shape[start..end].iter().map(|&d| d as i64).collect();
            Array::from_i64s(&dims)
        }
        OpKind::Size => Array::scalar(E::constant(call.input(0)?.len() as f64)),
        OpKind::ConstantOfShape => {
            let shape = match call.optional(0) {
                Some(shape) => shape.to_i64s()?,
                None => call.ints("shape")?.to_vec(),
            };
            let shape: Option<Vec<usize>> = shape.iter().map(|&n| usize::try_from(n).ok()).collect();
            let shape = shape.ok_or_else(|| call.fail("the shape has a negative size"))?;
            let value = call.op.float("value").map(f64::from).or(call.op.int("value").map(|v| v as f64));
            Array::filled(&shape, E::constant(value.ok_or_else(|| call.fail("attribute \"value\" is missing"))?))?
        }
        OpKind::Range => evaluate_range(call)?,
        OpKind::Constant => match constant(call.op).ok_or_else(|| call.fail(CONSTANT))? {
            Attr::Float(value) => Array::scalar(E::constant(f64::from(*value))),
            Attr::Int(value) => Array::scalar(E::constant(*value as f64)),
            Attr::Ints(values) => Array::from_i64s(values),
            Attr::Floats(values) => {
                Array::new(&[values.len()], values.iter().map(|&v| E::constant(f64::from(v))).collect())?
            }
            Attr::Str(_) | Attr::Strs(_) => return Err(call.fail(CONSTANT)),
        },
        _ => return Err(call.misrouted()),
    };
    Ok(vec![out])
}

fn evaluate_range<E: Element>(call: &EvalCall<'_, E>) -> Result<Array<E>, EvalError> {
    let scalar = |index: usize| {
        let input = call.input(index)?;
        input.data.first().ok_or_else(|| call.fail(format!("input {index} is empty")))
    };
    let (start, limit, delta) = (scalar(0)?, scalar(1)?, scalar(2)?);
    let steps = E::apply1(Func::Ceil, &limit.sub(start).div(delta)?)?.to_integer()?;
    let count = usize::try_from(steps.max(0)).map_err(|_| call.fail("too many steps"))?;
    array::checked_count(&[count])?;
    let data = (0..count).map(|i| start.add(&delta.mul(&E::constant(i as f64)))).collect();
    Array::new(&[count], data)
}
