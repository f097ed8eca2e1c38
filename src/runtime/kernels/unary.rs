//! Element-wise operators of one operand.

use tch::{Kind, Tensor};

use super::{Call, RunError, is_float};
use crate::graph::OpKind;

type Output = Result<Tensor, RunError>;

/// Functions without attributes (and IsInf).
pub(super) fn function(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    Ok(match call.kind {
        OpKind::Neg => x.f_neg()?,
        OpKind::Abs => x.f_abs()?,
        OpKind::Sqrt => x.f_sqrt()?,
        OpKind::Exp => x.f_exp()?,
        OpKind::Log => x.f_log()?,
        OpKind::Reciprocal => x.f_reciprocal()?,
        OpKind::Floor => x.f_floor()?,
        OpKind::Ceil => x.f_ceil()?,
        OpKind::Round => x.f_round()?,
        OpKind::Sign => x.f_sign()?,
        OpKind::Not => x.f_logical_not()?,
        OpKind::IsNaN => x.f_isnan()?,
        OpKind::IsInf => {
            let detect = |name: &str| call.op.int(name).unwrap_or(1) != 0;
            match (detect("detect_negative"), detect("detect_positive")) {
                (true, true) => x.f_isinf()?,
                (true, false) => x.f_isneginf()?,
                (false, true) => x.f_isposinf()?,
                (false, false) => x.f_zeros_like()?.f_to_kind(Kind::Bool)?,
            }
        }
        OpKind::Erf => x.f_erf()?,
        OpKind::Sin => x.f_sin()?,
        OpKind::Cos => x.f_cos()?,
        OpKind::Tan => x.f_tan()?,
        OpKind::Asin => x.f_asin()?,
        OpKind::Acos => x.f_acos()?,
        OpKind::Atan => x.f_atan()?,
        OpKind::Sinh => x.f_sinh()?,
        OpKind::Cosh => x.f_cosh()?,
        OpKind::Tanh => x.f_tanh()?,
        OpKind::Asinh => x.f_asinh()?,
        OpKind::Acosh => x.f_acosh()?,
        OpKind::Atanh => x.f_atanh()?,
        other => return Err(RunError::NotAnOperator(other.name().to_owned())),
    })
}

/// Activations. libtorch's single calls have f64 constants where ONNX's attributes are f32, so they are taken only
/// where the difference is below the element type's own rounding.
pub(super) fn activation(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let narrow = x.kind() != Kind::Double;
    Ok(match call.kind {
        OpKind::Relu => x.f_relu()?,
        OpKind::LeakyRelu => match call.float("alpha")? {
            alpha if narrow && alpha == f64::from(0.01f32) => x.f_leaky_relu()?,
            alpha => x.f_prelu(&Tensor::f_full([1], alpha, (x.kind(), x.device()))?)?,
        },
        OpKind::Sigmoid => x.f_sigmoid()?,
        OpKind::Gelu => x.f_gelu(if call.text("approximate") == "tanh" { "tanh" } else { "none" })?,
        OpKind::HardSigmoid => {
            let (alpha, beta) = (call.float("alpha")?, call.float("beta")?);
            if narrow && alpha == f64::from(1.0f32 / 6.0) && beta == 0.5 {
                x.f_hardsigmoid()?
            } else {
                x.f_mul_scalar(alpha)?.f_add_scalar(beta)?.f_clamp(0.0, 1.0)?
            }
        }
        OpKind::HardSwish => x.f_hardswish()?,
        OpKind::Elu => match call.float("alpha")? {
            1.0 => x.f_elu()?,
            alpha => x.f_relu()?.f_add(&x.f_clamp_max(0.0)?.f_expm1()?.f_mul_scalar(alpha)?)?,
        },
        OpKind::Selu => {
            let (alpha, gamma) = (call.float("alpha")?, call.float("gamma")?);
            if narrow && alpha == f64::from(1.673_263_2_f32) && gamma == f64::from(1.050_701_f32) {
                x.f_selu()?
            } else {
                x.f_relu()?.f_add(&x.f_clamp_max(0.0)?.f_expm1()?.f_mul_scalar(alpha)?)?.f_mul_scalar(gamma)?
            }
        }
        OpKind::Celu => match call.float("alpha")? {
            1.0 => x.f_celu()?,
            alpha => x.f_relu()?.f_add(&x.f_div_scalar(alpha)?.f_expm1()?.f_mul_scalar(alpha)?.f_clamp_max(0.0)?)?,
        },
        OpKind::ThresholdedRelu => x.f_threshold(call.float("alpha")?, 0.0)?,
        // libtorch's softplus is the identity above 20, which is 1e-10 off: too much for a reference in f64.
        OpKind::Softplus if !narrow => x.f_relu()?.f_add(&x.f_abs()?.f_neg()?.f_exp()?.f_log1p()?)?,
        OpKind::Softplus => x.f_softplus()?,
        OpKind::Softsign => x.f_div(&x.f_abs()?.f_add_scalar(1.0)?)?,
        OpKind::Mish => x.f_mish()?,
        other => return Err(RunError::NotAnOperator(other.name().to_owned())),
    })
}

/// `min(max(x, low), high)`: bounds are attributes, or inputs 1 and 2.
pub(super) fn clip(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    if call.arity() > 1 {
        let mut result = x.shallow_clone();
        if let Some(low) = call.optional(1) {
            result = result.f_maximum(low)?;
        }
        if let Some(high) = call.optional(2) {
            result = result.f_minimum(high)?;
        }
        return Ok(result);
    }
    let bound = |name: &str, absent: f32| f64::from(call.op.float(name).unwrap_or(absent));
    let (low, high) = (bound("min", f32::NEG_INFINITY), bound("max", f32::INFINITY));
    // An attribute's bound is a float; files that mean "no bound" write the largest f32, which bounds nothing below f64.
    let unbounded = |value: f64| value.is_infinite() || value.abs() >= f64::from(f32::MAX);
    Ok(match (unbounded(low) && low < 0.0, unbounded(high) && high > 0.0) {
        (true, true) => x.shallow_clone(),
        (false, true) => x.f_clamp_min(low)?,
        (true, false) => x.f_clamp_max(high)?,
        (false, false) => x.f_clamp(low, high)?,
    })
}

/// Cast to the ONNX type number `to`.
pub(super) fn cast(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let to = call.dtype("to")?;
    if to == x.kind() {
        return Ok(x.shallow_clone());
    }
    if matches!(to, Kind::Uint8 | Kind::Int8 | Kind::Int16) && is_float(x.kind()) {
        // Straight from float to a narrow integer is undefined beyond its range; through i64 it wraps.
        return Ok(x.f_to_kind(Kind::Int64)?.f_to_kind(to)?);
    }
    Ok(x.f_to_kind(to)?)
}
