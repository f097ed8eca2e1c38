//! Element-wise operators of one operand, Clip and Cast.

use crate::graph::{DType, Dim, Facts, OpKind, TensorType};

use super::arith;
use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, int, required};
use super::work::TRANSCENDENTAL;
use super::{Array, AttrType, Element, EvalError, Func, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Neg, (1, 1)),
    Schema::of(OpKind::Abs, (1, 1)),
    Schema::of(OpKind::Sqrt, (1, 1)),
    Schema::of(OpKind::Exp, (1, 1)),
    Schema::of(OpKind::Log, (1, 1)),
    Schema::of(OpKind::Reciprocal, (1, 1)),
    Schema::of(OpKind::Floor, (1, 1)),
    Schema::of(OpKind::Ceil, (1, 1)),
    Schema::of(OpKind::Round, (1, 1)),
    Schema::of(OpKind::Sign, (1, 1)),
    Schema::of(OpKind::Not, (1, 1)),
    Schema::of(OpKind::IsNaN, (1, 1)),
    Schema::of(OpKind::Erf, (1, 1)),
    Schema::of(OpKind::Sin, (1, 1)),
    Schema::of(OpKind::Cos, (1, 1)),
    Schema::of(OpKind::Tan, (1, 1)),
    Schema::of(OpKind::Asin, (1, 1)),
    Schema::of(OpKind::Acos, (1, 1)),
    Schema::of(OpKind::Atan, (1, 1)),
    Schema::of(OpKind::Sinh, (1, 1)),
    Schema::of(OpKind::Cosh, (1, 1)),
    Schema::of(OpKind::Tanh, (1, 1)),
    Schema::of(OpKind::Asinh, (1, 1)),
    Schema::of(OpKind::Acosh, (1, 1)),
    Schema::of(OpKind::Atanh, (1, 1)),
    Schema::of(OpKind::IsInf, (1, 1)).attrs(&[int("detect_negative", 1), int("detect_positive", 1)]),
    Schema::of(OpKind::Clip, (1, 3)).attrs(&[float("min", f32::NEG_INFINITY), float("max", f32::INFINITY)]),
    Schema::of(OpKind::Cast, (1, 1)).attrs(&[required("to", AttrType::Int), int("saturate", 1)]),
];

/// Types of the outputs, and their elements where they carry any.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    use OpKind::*;
    let x = call.ty(0)?;
    let is_number = |dtype: DType| dtype.is_float() || dtype.is_int();
    let dtype = match call.kind {
        Not => {
            call.want(0, "bool", |dtype| dtype == DType::Bool)?;
            DType::Bool
        }
        IsNaN | IsInf => {
            // 8-bit floats have NaN too, although nothing is computed with them.
            call.want(0, "a float", |dtype| !dtype.is_int() && dtype != DType::Bool && dtype != DType::String)?;
            DType::Bool
        }
        Neg | Abs | Sign => {
            call.want(0, "a number", is_number)?;
            x.dtype
        }
        Clip => {
            call.want(0, "a number", is_number)?;
            for bound in (1..call.inputs.len()).filter_map(|index| call.optional(index)) {
                if bound.dtype != x.dtype || bound.shape.iter().any(|d| d.known().is_some_and(|n| n != 1)) {
                    return Err(call.fail("the bounds must be scalars of the input's type"));
                }
            }
            x.dtype
        }
        Cast => {
            let number = call.int("to")?;
            let to = i32::try_from(number).ok().and_then(DType::from_onnx);
            to.ok_or_else(|| call.fail(format!("attribute \"to\": {number} is no element type")))?
        }
        _ => {
            call.want(0, "a float", DType::is_float)?;
            x.dtype
        }
    };
    let ty = TensorType { dtype, shape: x.shape.clone() };
    let elements = call.elements(0).and_then(|elements| {
        let bounds = (scalar(call, 1), scalar(call, 2));
        elements.iter().map(|value| arith::fit(element(call, value, dtype, &bounds)?, dtype)).collect()
    });
    Ok(vec![Facts { ty: Some(ty), elements }])
}

/// What is known of a bound of Clip: `Some(None)` if there is none, `None` if there is one of unknown value.
fn scalar<'a>(call: &Call<'a>, index: usize) -> Option<Option<&'a Dim>> {
    if !call.has(index) {
        return Some(None);
    }
    call.elements(index).and_then(|elements| elements.first()).map(Some)
}

type Bound<'a> = Option<Option<&'a Dim>>;

fn element(call: &Call<'_>, x: &Dim, to: DType, (low, high): &(Bound<'_>, Bound<'_>)) -> Option<Dim> {
    let zero = Dim::Known(0);
    match call.kind {
        OpKind::Neg => arith::sub(&zero, x),
        OpKind::Abs => match arith::greater_or_equal(x, &zero)? {
            true => Some(x.clone()),
            false => arith::sub(&zero, x),
        },
        OpKind::Sign => match (arith::greater(x, &zero), arith::equal(x, &zero), arith::greater(&zero, x)) {
            (Some(true), ..) => Some(Dim::Known(1)),
            (_, Some(true), _) => Some(zero),
            (.., Some(true)) => Some(Dim::Known(-1)),
            _ => None,
        },
        OpKind::Not => arith::truth(x).map(|holds| Dim::Known(i64::from(!holds))),
        OpKind::Cast if to == DType::Bool => arith::truth(x).map(|holds| Dim::Known(i64::from(holds))),
        OpKind::Cast if to.is_int() => Some(x.clone()),
        OpKind::Clip if no_float_bounds(call) => {
            let (low, high) = ((*low)?, (*high)?);
            let raised = low.map_or_else(|| x.clone(), |low| arith::max(x, low));
            Some(high.map_or_else(|| raised.clone(), |high| arith::min(&raised, high)))
        }
        _ => None,
    }
}

/// Whether the bounds of Clip are inputs or none at all.
fn no_float_bounds(call: &Call<'_>) -> bool {
    call.op.float("min") == Some(f32::NEG_INFINITY) && call.op.float("max") == Some(f32::INFINITY)
}

/// Work of one application.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    use OpKind::*;
    call.per_output(match call.kind {
        Neg | Abs | Not | IsNaN | IsInf | Sign | Cast | Floor | Ceil | Round | Reciprocal => 1.0,
        Clip => 2.0,
        _ => TRANSCENDENTAL,
    })
}

/// Values of the outputs. A cast to a floating-point type changes nothing, one to an integer type drops the fraction.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    use OpKind::*;
    let x = call.input(0)?;
    let func = match call.kind {
        Neg => {
            let zero = E::constant(0.0);
            return Ok(vec![x.map(|x| Ok(zero.sub(x)))?]);
        }
        Reciprocal => {
            let one = E::constant(1.0);
            return Ok(vec![x.map(|x| one.div(x))?]);
        }
        Clip => return Ok(vec![clip(call, x)?]),
        IsInf => return Ok(vec![is_infinite(call, x)?]),
        Cast => match i32::try_from(call.int("to")?).ok().and_then(DType::from_onnx) {
            Some(DType::Bool) => Func::Truth,
            Some(to) if to.is_int() => Func::Trunc,
            Some(to) if to.is_float() => return Ok(vec![x.clone()]),
            _ => return Err(call.fail("a cast to this element type is not evaluated")),
        },
        Abs => Func::Abs,
        Sqrt => Func::Sqrt,
        Exp => Func::Exp,
        Log => Func::Log,
        Floor => Func::Floor,
        Ceil => Func::Ceil,
        Round => Func::Round,
        Sign => Func::Sign,
        Not => Func::Not,
        IsNaN => Func::IsNaN,
        Erf => Func::Erf,
        Sin => Func::Sin,
        Cos => Func::Cos,
        Tan => Func::Tan,
        Asin => Func::Asin,
        Acos => Func::Acos,
        Atan => Func::Atan,
        Sinh => Func::Sinh,
        Cosh => Func::Cosh,
        Tanh => Func::Tanh,
        Asinh => Func::Asinh,
        Acosh => Func::Acosh,
        Atanh => Func::Atanh,
        _ => return Err(call.misrouted()),
    };
    Ok(vec![x.map(|x| E::apply1(func, x))?])
}

fn clip<E: Element>(call: &EvalCall<'_, E>, x: &Array<E>) -> Result<Array<E>, EvalError> {
    let bound = |index: usize, attr: &'static str| -> Result<Option<E>, EvalError> {
        match call.optional(index) {
            Some(bound) => bound.data.first().cloned().map(Some).ok_or_else(|| call.fail("a bound is empty")),
            None => Ok(Some(call.float(attr)?).filter(|v| v.is_finite()).map(E::constant)),
        }
    };
    let (low, high) = (bound(1, "min")?, bound(2, "max")?);
    x.map(|x| {
        // The upper bound wins where the bounds cross.
        let raised = low.as_ref().map_or_else(|| Ok(x.clone()), |low| E::apply2(Func::Max, x, low))?;
        high.as_ref().map_or_else(|| Ok(raised.clone()), |high| E::apply2(Func::Min, &raised, high))
    })
}

fn is_infinite<E: Element>(call: &EvalCall<'_, E>, x: &Array<E>) -> Result<Array<E>, EvalError> {
    let (below, above) = (call.int("detect_negative")? == 1, call.int("detect_positive")? == 1);
    x.map(|x| {
        let mut out = E::constant(0.0);
        for (wanted, func) in [(below, Func::IsNegInf), (above, Func::IsPosInf)] {
            if wanted {
                out = out.add(&E::apply1(func, x)?);
            }
        }
        Ok(out)
    })
}
