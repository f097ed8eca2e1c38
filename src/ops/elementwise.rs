//! Element-wise operators of two or more operands, with broadcasting.

use crate::graph::{DType, Dim, Facts, MAX_ELEMENTS, OpKind, TensorType};

use super::arith;
use super::broadcast::{broadcast, broadcast_known, broadcast_positions};
use super::call::{Call, EvalCall, WorkCall, carries_elements};
use super::schema::{MANY, rows::int};
use super::work::TRANSCENDENTAL;
use super::{Array, Element, EvalError, Func, OpError, Schema, Work, array};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Add, (2, 2)).commutative(),
    Schema::of(OpKind::Sub, (2, 2)),
    Schema::of(OpKind::Mul, (2, 2)).commutative(),
    Schema::of(OpKind::Div, (2, 2)),
    Schema::of(OpKind::Pow, (2, 2)),
    Schema::of(OpKind::Mod, (2, 2)).attrs(&[int("fmod", 0)]),
    Schema::of(OpKind::Min, (1, MANY)).commutative(),
    Schema::of(OpKind::Max, (1, MANY)).commutative(),
    Schema::of(OpKind::Mean, (1, MANY)).commutative(),
    Schema::of(OpKind::Sum, (1, MANY)).commutative(),
    Schema::of(OpKind::PRelu, (2, 2)),
    Schema::of(OpKind::And, (2, 2)).commutative(),
    Schema::of(OpKind::Or, (2, 2)).commutative(),
    Schema::of(OpKind::Xor, (2, 2)).commutative(),
    Schema::of(OpKind::Equal, (2, 2)).commutative(),
    Schema::of(OpKind::Less, (2, 2)),
    Schema::of(OpKind::LessOrEqual, (2, 2)),
    Schema::of(OpKind::Greater, (2, 2)),
    Schema::of(OpKind::GreaterOrEqual, (2, 2)),
    Schema::of(OpKind::Where, (3, 3)),
];

fn is_number(dtype: DType) -> bool {
    dtype.is_float() || dtype.is_int()
}

/// Types of the outputs, and their elements where they carry any.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let dtype = result_dtype(call)?;
    let mut shape = call.ty(0)?.shape.to_vec();
    for index in 1..call.inputs.len() {
        let other = &call.ty(index)?.shape;
        shape = broadcast(&shape, other).ok_or_else(|| call.fail("the shapes do not broadcast"))?;
    }
    if call.kind == OpKind::PRelu {
        // The slope broadcasts in one direction only.
        let x = call.ty(0)?;
        if shape.len() != x.rank() || shape.iter().zip(x.shape.iter()).any(|(d, x)| x.known() == Some(1) && d != x) {
            return Err(call.fail("the slope does not broadcast to the first input"));
        }
        shape = x.shape.to_vec();
    }
    let ty = TensorType::new(dtype, shape);
    let elements = infer_elements(call, &ty);
    Ok(vec![Facts { ty: Some(ty), elements: elements.map(Into::into) }])
}

fn result_dtype(call: &Call<'_>) -> Result<DType, OpError> {
    use OpKind::*;
    let same = |from: usize| {
        let first = call.ty(from)?.dtype;
        for index in from + 1..call.inputs.len() {
            if call.ty(index)?.dtype != first {
                return Err(call.fail("the element types differ"));
            }
        }
        Ok(first)
    };
    let all = |what: &str, allowed: fn(DType) -> bool| {
        (0..call.inputs.len()).try_for_each(|index| call.want(index, what, allowed))
    };
    match call.kind {
        Where => {
            call.want(0, "bool", |dtype| dtype == DType::Bool)?;
            same(1)
        }
        And | Or | Xor => {
            all("bool", |dtype| dtype == DType::Bool)?;
            Ok(DType::Bool)
        }
        Equal => same(0).map(|_| DType::Bool),
        Less | LessOrEqual | Greater | GreaterOrEqual => {
            all("a number", is_number)?;
            same(0).map(|_| DType::Bool)
        }
        // The exponent may have another type.
        Pow => {
            all("a number", is_number)?;
            Ok(call.ty(0)?.dtype)
        }
        _ => {
            all("a number", is_number)?;
            same(0)
        }
    }
}

/// The elements of the result, if every one is certain.
fn infer_elements(call: &Call<'_>, ty: &TensorType) -> Option<Vec<Dim>> {
    if !carries_elements(ty.dtype) || (0..call.inputs.len()).any(|index| call.elements(index).is_none()) {
        return None;
    }
    let shape = usize_shape(ty)?;
    let operand = |index: usize| -> Option<Vec<&Dim>> {
        let elements = call.elements(index)?;
        let from = usize_shape(call.optional(index)?)?;
        if elements.len() != from.iter().product::<usize>() || from.len() > shape.len() {
            return None;
        }
        Some(broadcast_positions(&from, &shape).into_iter().map(|at| &elements[at]).collect())
    };
    let operands: Vec<Vec<&Dim>> = (0..call.inputs.len()).map(operand).collect::<Option<_>>()?;
    let fmod = call.op.int("fmod") == Some(1);
    (0..operands[0].len())
        .map(|at| {
            let values: Vec<&Dim> = operands.iter().map(|operand| operand[at]).collect();
            arith::fit(element(call.kind, &values, fmod)?, ty.dtype)
        })
        .collect()
}

/// The shape as sizes, if it holds few enough elements to carry them.
fn usize_shape(ty: &TensorType) -> Option<Vec<usize>> {
    let shape: Vec<usize> = ty.shape.iter().map(|d| usize::try_from(d.known()?).ok()).collect::<Option<_>>()?;
    array::checked_count(&shape).ok().filter(|&n| n as u64 <= MAX_ELEMENTS)?;
    Some(shape)
}

fn element(kind: OpKind, values: &[&Dim], fmod: bool) -> Option<Dim> {
    use OpKind::*;
    let truth = |holds: Option<bool>| holds.map(|h| Dim::Known(i64::from(h)));
    if let [a] = values {
        return matches!(kind, Min | Max | Sum).then(|| (*a).clone());
    }
    if let [condition, yes, no] = values
        && kind == Where
    {
        return match arith::truth(condition) {
            Some(true) => Some((*yes).clone()),
            Some(false) => Some((*no).clone()),
            None => (yes == no).then(|| (*yes).clone()),
        };
    }
    let (first, rest) = values.split_first()?;
    let (a, b) = (*first, *rest.first()?);
    let fold = |f: fn(&Dim, &Dim) -> Option<Dim>| rest.iter().try_fold(a.clone(), |acc, value| f(&acc, value));
    let (p, q) = (arith::truth(a), arith::truth(b));
    match kind {
        Add | Sum => fold(arith::add),
        Min => fold(|a, b| Some(arith::min(a, b))),
        Max => fold(|a, b| Some(arith::max(a, b))),
        Sub => arith::sub(a, b),
        Mul => arith::mul(a, b),
        Div => arith::div(a, b),
        Mod => arith::rem(a, b, fmod),
        Pow => arith::pow(a, b),
        Equal => truth(arith::equal(a, b)),
        Greater => truth(arith::greater(a, b)),
        Less => truth(arith::greater(b, a)),
        GreaterOrEqual => truth(arith::greater_or_equal(a, b)),
        LessOrEqual => truth(arith::greater_or_equal(b, a)),
        And if p == Some(false) || q == Some(false) => Some(Dim::Known(0)),
        Or if p == Some(true) || q == Some(true) => Some(Dim::Known(1)),
        And => truth(p.zip(q).map(|(p, q)| p && q)),
        Or => truth(p.zip(q).map(|(p, q)| p || q)),
        Xor => truth(p.zip(q).map(|(p, q)| p != q)),
        _ => None,
    }
}

/// Work of one application: one operation for each element of the result and operand beyond the first.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    let operands = call.inputs.len().saturating_sub(1).max(1) as f64;
    call.per_output(match call.kind {
        OpKind::Pow => TRANSCENDENTAL,
        OpKind::Mean => operands + 1.0,
        OpKind::Where => 1.0,
        _ => operands,
    })
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    let first = call.input(0)?;
    if call.kind == OpKind::Where {
        return Ok(vec![select(call)?]);
    }
    let mut out = first.clone();
    for index in 1..call.inputs.len() {
        out = zip(call, &out, call.input(index)?, |a, b| combine(call, a, b))?;
    }
    if call.kind == OpKind::Mean {
        let count = E::constant(call.inputs.len() as f64);
        out = out.map(|sum| sum.div(&count))?;
    }
    if call.kind == OpKind::PRelu && out.shape != first.shape {
        return Err(call.fail("the slope does not broadcast to the first input"));
    }
    Ok(vec![out])
}

fn combine<E: Element>(call: &EvalCall<'_, E>, a: &E, b: &E) -> Result<E, EvalError> {
    use OpKind::*;
    match call.kind {
        Add | Sum | Mean => Ok(a.add(b)),
        Sub => Ok(a.sub(b)),
        Mul => Ok(a.mul(b)),
        Div => a.div(b),
        Pow => E::apply2(Func::Pow, a, b),
        Mod => E::apply2(if call.int("fmod")? == 1 { Func::Fmod } else { Func::Mod }, a, b),
        Min => E::apply2(Func::Min, a, b),
        Max => E::apply2(Func::Max, a, b),
        PRelu => E::apply2(Func::LeakyRelu, a, b),
        // Booleans are 0 and 1, on which these polynomials are the connectives.
        And => Ok(a.mul(b)),
        Or => Ok(a.add(b).sub(&a.mul(b))),
        Xor => Ok(a.add(b).sub(&a.mul(b).mul(&E::constant(2.0)))),
        Equal => E::apply2(Func::Equal, a, b),
        Less => E::apply2(Func::Less, a, b),
        LessOrEqual => E::apply2(Func::LessOrEqual, a, b),
        Greater => E::apply2(Func::Greater, a, b),
        GreaterOrEqual => E::apply2(Func::GreaterOrEqual, a, b),
        _ => Err(call.misrouted()),
    }
}

fn joint_shape<E>(call: &EvalCall<'_, E>, a: &[usize], b: &[usize]) -> Result<Vec<usize>, EvalError> {
    let shape = broadcast_known(a, b).ok_or_else(|| call.fail(format!("{a:?} and {b:?} do not broadcast")))?;
    array::checked_count(&shape)?;
    Ok(shape)
}

fn zip<E: Element>(
    call: &EvalCall<'_, E>,
    a: &Array<E>,
    b: &Array<E>,
    f: impl Fn(&E, &E) -> Result<E, EvalError>,
) -> Result<Array<E>, EvalError> {
    if a.shape == b.shape {
        let data = a.data.iter().zip(&b.data).map(|(x, y)| f(x, y)).collect::<Result<_, _>>()?;
        return Ok(Array { shape: a.shape.clone(), data });
    }
    let shape = joint_shape(call, &a.shape, &b.shape)?;
    let (left, right) = (broadcast_positions(&a.shape, &shape), broadcast_positions(&b.shape, &shape));
    let data = left.into_iter().zip(right).map(|(i, j)| f(&a.data[i], &b.data[j])).collect::<Result<_, _>>()?;
    Ok(Array { shape, data })
}

fn select<E: Element>(call: &EvalCall<'_, E>) -> Result<Array<E>, EvalError> {
    let (condition, yes, no) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let shape = joint_shape(call, &joint_shape(call, &condition.shape, &yes.shape)?, &no.shape)?;
    let (condition, yes, no) = (condition.broadcast_to(&shape)?, yes.broadcast_to(&shape)?, no.broadcast_to(&shape)?);
    let data = (0..condition.len()).map(|i| E::select(&condition.data[i], &yes.data[i], &no.data[i]));
    Ok(Array { data: data.collect::<Result<_, _>>()?, shape })
}
