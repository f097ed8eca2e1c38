//! Normalisations, in their inference form.

use tch::Tensor;

use super::{Call, RunError};

type Output = Result<Tensor, RunError>;

/// `(x - mean) / sqrt(var + epsilon) * scale + bias` per channel (axis 1), with the given statistics.
pub(super) fn batch(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let epsilon = call.float("epsilon")?;
    let (scale, bias) = (Some(call.input(1)?), Some(call.input(2)?));
    let (mean, var) = (Some(call.input(3)?), Some(call.input(4)?));
    Ok(x.f_batch_norm(scale, bias, mean, var, false, 0.0, epsilon, true)?)
}

/// Over the dimensions from `axis` on; scale and bias broadcast to them.
pub(super) fn layer(call: &Call<'_>) -> Output {
    let (x, scale, bias) = (call.input(0)?, call.input(1)?, call.optional(2));
    let shape = x.size();
    let normalised = &shape[call.axis(x.dim())? as usize..];
    let epsilon = call.float("epsilon")?;
    if scale.size() == normalised && bias.is_none_or(|b| b.size() == normalised) {
        return Ok(x.f_layer_norm(normalised, Some(scale), bias, epsilon, true)?);
    }
    let scaled = x.f_layer_norm(normalised, None::<&Tensor>, None::<&Tensor>, epsilon, true)?.f_mul(scale)?;
    match bias {
        Some(bias) => Ok(scaled.f_add(bias)?),
        None => Ok(scaled),
    }
}

/// Each channel of each instance over its spatial dimensions: a group norm with one channel in a group.
pub(super) fn instance(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let (scale, bias) = (Some(call.input(1)?), Some(call.input(2)?));
    let channels = x.size().get(1).copied().unwrap_or(1);
    Ok(x.f_group_norm(channels, scale, bias, call.float("epsilon")?, true)?)
}

/// Groups of channels of each instance, scale and bias per channel.
pub(super) fn group(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let (scale, bias) = (Some(call.input(1)?), Some(call.input(2)?));
    Ok(x.f_group_norm(call.int("num_groups")?, scale, bias, call.float("epsilon")?, true)?)
}

/// `x / sqrt(mean(x²) + epsilon) * scale` over the dimensions from `axis` on.
pub(super) fn root_mean_square(call: &Call<'_>) -> Output {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let shape = x.size();
    let normalised = &shape[call.axis(x.dim())? as usize..];
    let epsilon = call.float("epsilon")?;
    if scale.size() == normalised {
        return Ok(x.f_rms_norm(normalised, Some(scale), epsilon)?);
    }
    Ok(x.f_rms_norm(normalised, None::<&Tensor>, epsilon)?.f_mul(scale)?)
}

/// `x / (bias + alpha / size * Σ x²)^beta`, the sum over `size` neighbouring channels, the extra one of an even size after.
pub(super) fn local_response(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let size = call.int("size")?;
    let (alpha, beta, bias) = (call.float("alpha")?, call.float("beta")?, call.float("bias")?);
    let shape = x.size();
    if shape.len() < 2 {
        return Err(call.invalid(format!("input of shape {shape:?} has no channels")));
    }
    let (before, after) = ((size - 1) / 2, size - 1 - (size - 1) / 2);
    let rest: i64 = shape[2..].iter().product();
    let squares =
        x.f_square()?.f_reshape([shape[0], 1, shape[1], rest])?.f_pad([0, 0, before, after], "constant", 0.0)?;
    let means = squares.f_avg_pool2d([size, 1], [1, 1], [0, 0], false, true, None)?.f_reshape(&shape[..])?;
    Ok(x.f_div(&means.f_mul_scalar(alpha)?.f_add_scalar(bias)?.f_pow_tensor_scalar(beta)?)?)
}
