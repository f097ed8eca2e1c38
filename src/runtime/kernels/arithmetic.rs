//! Element-wise operators of two or more operands, with broadcasting.

use tch::{Device, Kind, Tensor};

use super::{Call, RunError, is_float};
use crate::graph::OpKind;

type Output = Result<Tensor, RunError>;

/// Arithmetic: `a ∘ b`, or a fold over any number of operands.
pub(super) fn numeric(call: &Call<'_>) -> Output {
    let a = call.input(0)?;
    Ok(match call.kind {
        OpKind::Min => fold(call, |x, y| x.f_minimum(y))?,
        OpKind::Max => fold(call, |x, y| x.f_maximum(y))?,
        OpKind::Sum => fold(call, |x, y| x.f_add(y))?,
        OpKind::Mean => {
            let n = call.arity() as f64;
            fold(call, |x, y| x.f_add(y))?.f_div_scalar(n)?
        }
        kind => {
            let b = call.input(1)?;
            match kind {
                OpKind::Add => a.f_add(b)?,
                OpKind::Sub => a.f_sub(b)?,
                OpKind::Mul => a.f_mul(b)?,
                OpKind::Div if is_float(a.kind()) => a.f_div(b)?,
                OpKind::Div => a.f_div_tensor_mode(b, "trunc")?,
                OpKind::Pow => power(a, b)?,
                // C's fmod keeps the dividend's sign, ONNX's integer form the divisor's.
                OpKind::Mod if call.flag("fmod") => a.f_fmod_tensor(b)?,
                OpKind::Mod => a.f_remainder_tensor(b)?,
                OpKind::PRelu => prelu(a, b)?,
                other => return Err(RunError::NotAnOperator(other.name().to_owned())),
            }
        }
    })
}

fn fold(call: &Call<'_>, f: impl Fn(&Tensor, &Tensor) -> Result<Tensor, tch::TchError>) -> Output {
    let mut result = call.input(0)?.shallow_clone();
    for slot in 1..call.arity() {
        result = f(&result, call.input(slot)?)?;
    }
    Ok(result)
}

/// The result has the base's element type.
fn power(base: &Tensor, exponent: &Tensor) -> Output {
    let kind = base.kind();
    if exponent.device() == Device::Cpu && exponent.numel() == 1 && exponent.dim() <= base.dim() && is_float(kind) {
        // libtorch has fast paths for scalar exponents (2, 3, 0.5, -1, …).
        let scalar = exponent.f_to_kind(Kind::Double)?.f_reshape([1])?.f_double_value(&[0])?;
        return Ok(base.f_pow_tensor_scalar(scalar)?);
    }
    if exponent.kind() == kind {
        return Ok(base.f_pow(exponent)?);
    }
    if is_float(kind) {
        return Ok(base.f_pow(&exponent.f_to_kind(kind)?)?);
    }
    if is_float(exponent.kind()) {
        return Ok(base.f_to_kind(Kind::Double)?.f_pow(&exponent.f_to_kind(Kind::Double)?)?.f_to_kind(kind)?);
    }
    Ok(base.f_pow(exponent)?.f_to_kind(kind)?)
}

/// `x < 0 ? slope * x : x`, the slope broadcast to `x`.
fn prelu(x: &Tensor, slope: &Tensor) -> Output {
    let (shape, weights) = (x.size(), slope.size());
    let per_channel = shape.len() >= 2
        && weights.len() + 1 == shape.len()
        && weights[0] == shape[1]
        && weights[1..].iter().all(|&d| d == 1);
    if is_float(x.kind()) && (per_channel || (slope.numel() == 1 && weights.len() <= shape.len())) {
        return Ok(x.f_prelu(&slope.f_reshape([-1])?)?);
    }
    let negative = x.f_lt(0)?;
    Ok(x.f_mul(slope)?.f_where_self(&negative, x)?)
}

/// Comparisons, logic, and the choice between two tensors.
pub(super) fn logical(call: &Call<'_>) -> Output {
    let (a, b) = (call.input(0)?, call.input(1)?);
    Ok(match call.kind {
        OpKind::And => a.f_logical_and(b)?,
        OpKind::Or => a.f_logical_or(b)?,
        OpKind::Xor => a.f_logical_xor(b)?,
        OpKind::Equal => a.f_eq_tensor(b)?,
        OpKind::Less => a.f_lt_tensor(b)?,
        OpKind::LessOrEqual => a.f_le_tensor(b)?,
        OpKind::Greater => a.f_gt_tensor(b)?,
        OpKind::GreaterOrEqual => a.f_ge_tensor(b)?,
        OpKind::Where => b.f_where_self(a, call.input(2)?)?,
        other => return Err(RunError::NotAnOperator(other.name().to_owned())),
    })
}
