//! Matrix products.

use tch::{Kind, Tensor};

use super::{Call, RunError, is_float};

type Output = Result<Tensor, RunError>;

/// Integer matrices are multiplied in f64 on devices where libtorch has no integer product (exact below 2^53).
fn product(a: &Tensor, b: &Tensor) -> Output {
    if !is_float(a.kind()) && a.device().is_cuda() {
        return Ok(a.f_to_kind(Kind::Double)?.f_matmul(&b.f_to_kind(Kind::Double)?)?.f_to_kind(a.kind())?);
    }
    Ok(a.f_matmul(b)?)
}

/// Matrix product as numpy's, with batches broadcast.
pub(super) fn matmul(call: &Call<'_>) -> Output {
    product(call.input(0)?, call.input(1)?)
}

/// `alpha * A' * B' + beta * C`.
pub(super) fn gemm(call: &Call<'_>) -> Output {
    let turned = |slot: usize, name: &str| -> Output {
        let t = call.input(slot)?;
        if call.flag(name) { Ok(t.f_transpose(0, 1)?) } else { Ok(t.shallow_clone()) }
    };
    let (a, b) = (turned(0, "transA")?, turned(1, "transB")?);
    let (alpha, beta) = (call.float("alpha")?, call.float("beta")?);
    let scale = |t: Tensor, by: f64| -> Output {
        match by {
            1.0 => Ok(t),
            by if is_float(t.kind()) => Ok(t.f_mul_scalar(by)?),
            by => Ok(t.f_mul_scalar(by)?.f_to_kind(t.kind())?),
        }
    };
    match call.optional(2) {
        Some(c) if alpha == 1.0 && beta == 1.0 && is_float(a.kind()) => Ok(c.f_addmm(&a, &b)?),
        Some(c) => Ok(scale(product(&a, &b)?, alpha)?.f_add(&scale(c.shallow_clone(), beta)?)?),
        None => scale(product(&a, &b)?, alpha),
    }
}

/// Einstein summation; libtorch reads the same equations.
pub(super) fn einsum(call: &Call<'_>) -> Output {
    let operands: Vec<&Tensor> = (0..call.arity()).map(|slot| call.input(slot)).collect::<Result<_, _>>()?;
    Ok(Tensor::f_einsum(call.text("equation"), &operands, None::<&[i64]>)?)
}
