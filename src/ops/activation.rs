//! Activation functions.

use crate::graph::{Facts, OpKind};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, text};
use super::work::TRANSCENDENTAL;
use super::{Array, Element, EvalError, Func, OpError, Schema, Work};

/// ONNX's default, which is this number as f32.
const SELU_ALPHA: f32 = 1.673_263_2;
/// ONNX's default, which is this number as f32.
const SELU_GAMMA: f32 = 1.050_701;

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::Relu, (1, 1)),
    Schema::of(OpKind::LeakyRelu, (1, 1)).attrs(&[float("alpha", 0.01)]),
    Schema::of(OpKind::Sigmoid, (1, 1)),
    Schema::of(OpKind::Gelu, (1, 1)).attrs(&[text("approximate", "none")]),
    Schema::of(OpKind::HardSigmoid, (1, 1)).attrs(&[float("alpha", 0.2), float("beta", 0.5)]),
    Schema::of(OpKind::HardSwish, (1, 1)),
    Schema::of(OpKind::Elu, (1, 1)).attrs(&[float("alpha", 1.0)]),
    Schema::of(OpKind::Selu, (1, 1)).attrs(&[float("alpha", SELU_ALPHA), float("gamma", SELU_GAMMA)]),
    Schema::of(OpKind::Celu, (1, 1)).attrs(&[float("alpha", 1.0)]),
    Schema::of(OpKind::ThresholdedRelu, (1, 1)).attrs(&[float("alpha", 1.0)]),
    Schema::of(OpKind::Softplus, (1, 1)),
    Schema::of(OpKind::Softsign, (1, 1)),
    Schema::of(OpKind::Mish, (1, 1)),
];

/// Types of the outputs: the input's.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    let x = call.ty(0)?;
    // Relu alone is defined on integers as well.
    call.want(0, "a float", |dtype| dtype.is_float() || (call.kind == OpKind::Relu && dtype.is_int()))?;
    if call.kind == OpKind::Gelu && !matches!(call.text("approximate")?, "none" | "tanh") {
        return Err(call.fail("attribute \"approximate\" must be \"none\" or \"tanh\""));
    }
    call.one(x.dtype, x.shape.clone())
}

/// Work of one application.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    use OpKind::*;
    call.per_output(match call.kind {
        Relu | LeakyRelu | ThresholdedRelu => 1.0,
        HardSigmoid | HardSwish | Softsign => 4.0,
        Gelu => TRANSCENDENTAL + 4.0,
        Mish => 2.0 * TRANSCENDENTAL,
        _ => TRANSCENDENTAL,
    })
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    use OpKind::*;
    let x = call.input(0)?;
    let constant = E::constant;
    let attr = |name: &'static str| call.float(name).map(E::constant);
    let out = match call.kind {
        Relu => x.map(|x| E::apply2(Func::Max, x, &constant(0.0))),
        Sigmoid => x.map(|x| E::apply1(Func::Sigmoid, x)),
        Softplus => x.map(|x| E::apply1(Func::Softplus, x)),
        Softsign => x.map(|x| x.div(&constant(1.0).add(&E::apply1(Func::Abs, x)?))),
        Mish => x.map(|x| Ok(x.mul(&E::apply1(Func::Tanh, &E::apply1(Func::Softplus, x)?)?))),
        LeakyRelu | Elu | Celu | ThresholdedRelu => {
            let func = match call.kind {
                LeakyRelu => Func::LeakyRelu,
                Elu => Func::Elu,
                Celu => Func::Celu,
                _ => Func::ThresholdedRelu,
            };
            let alpha = attr("alpha")?;
            x.map(|x| E::apply2(func, x, &alpha))
        }
        Selu => {
            let (alpha, gamma) = (attr("alpha")?, attr("gamma")?);
            x.map(|x| Ok(gamma.mul(&E::apply2(Func::Elu, x, &alpha)?)))
        }
        HardSigmoid => {
            let (alpha, beta) = (attr("alpha")?, attr("beta")?);
            x.map(|x| unit_clip(&alpha.mul(x).add(&beta)))
        }
        HardSwish => {
            let (six, half) = (constant(6.0), constant(0.5));
            x.map(|x| Ok(x.mul(&unit_clip(&x.div(&six)?.add(&half))?)))
        }
        Gelu => {
            let tanh = call.text("approximate")? == "tanh";
            x.map(|x| gelu(x, tanh))
        }
        _ => Err(call.misrouted()),
    };
    Ok(vec![out?])
}

/// The argument brought into [0, 1].
fn unit_clip<E: Element>(x: &E) -> Result<E, EvalError> {
    E::apply2(Func::Min, &E::apply2(Func::Max, x, &E::constant(0.0))?, &E::constant(1.0))
}

/// x times the normal distribution function of x, or its approximation by tanh (Hendrycks and Gimpel, 2016).
fn gelu<E: Element>(x: &E, tanh: bool) -> Result<E, EvalError> {
    let inner = if tanh {
        let cube = x.mul(x).mul(x).mul(&E::constant(0.044715));
        let scale = E::constant((2.0 / std::f64::consts::PI).sqrt());
        E::apply1(Func::Tanh, &x.add(&cube).mul(&scale))?
    } else {
        E::apply1(Func::Erf, &x.mul(&E::constant(std::f64::consts::FRAC_1_SQRT_2)))?
    };
    Ok(x.mul(&E::constant(0.5)).mul(&E::constant(1.0).add(&inner)))
}
