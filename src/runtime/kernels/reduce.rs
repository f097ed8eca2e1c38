//! Operators along axes: reductions, softmax, arg-reductions, sorting.

use tch::{Kind, Tensor};

use super::{Call, Outputs, RunError, host_ints, is_float};
use crate::graph::OpKind;

type Output = Result<Tensor, RunError>;

/// ReduceX over `axes` (attribute, or input 1); no axes means all of them, unless `noop_with_empty_axes`.
pub(super) fn reduce(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let rank = x.dim();
    let keep = call.op.int("keepdims").unwrap_or(1) != 0;
    let given = call.ints_or_input("axes", 1)?;
    if given.is_empty() && call.flag("noop_with_empty_axes") {
        return Ok(x.shallow_clone());
    }
    let axes: Vec<i64> = if given.is_empty() {
        (0..rank as i64).collect()
    } else {
        given.iter().map(|&a| call.wrap(a, rank)).collect::<Result<_, _>>()?
    };
    let kind = x.kind();
    let sum = |t: &Tensor| t.f_sum_dim_intlist(&axes[..], keep, kind);
    let in_f64 = |f: &dyn Fn(&Tensor) -> Output| -> Output {
        if is_float(kind) { f(x) } else { Ok(f(&x.f_to_kind(Kind::Double)?)?.f_to_kind(kind)?) }
    };
    Ok(match call.kind {
        OpKind::ReduceSum => sum(x)?,
        OpKind::ReduceMean if is_float(kind) => x.f_mean_dim(&axes[..], keep, kind)?,
        OpKind::ReduceMean => {
            let count: i64 = axes.iter().map(|&a| x.size()[a as usize]).product();
            sum(x)?.f_div_scalar_mode(count, "trunc")?
        }
        OpKind::ReduceMax | OpKind::ReduceMin if x.numel() == 0 => extreme_of_nothing(call, x, &axes, keep)?,
        OpKind::ReduceMax => x.f_amax(&axes[..], keep)?,
        OpKind::ReduceMin => x.f_amin(&axes[..], keep)?,
        OpKind::ReduceProd => product(x, &axes, keep)?,
        OpKind::ReduceL1 => sum(&x.f_abs()?)?,
        OpKind::ReduceL2 => in_f64(&|t| Ok(t.f_square()?.f_sum_dim_intlist(&axes[..], keep, t.kind())?.f_sqrt()?))?,
        OpKind::ReduceLogSum => in_f64(&|t| Ok(t.f_sum_dim_intlist(&axes[..], keep, t.kind())?.f_log()?))?,
        OpKind::ReduceLogSumExp => in_f64(&|t| Ok(t.f_logsumexp(&axes[..], keep)?))?,
        OpKind::ReduceSumSquare => sum(&x.f_square()?)?,
        other => return Err(RunError::NotAnOperator(other.name().to_owned())),
    })
}

/// The neutral element of max or min, for a reduction over no element (the least or greatest value of the type).
fn extreme_of_nothing(call: &Call<'_>, x: &Tensor, axes: &[i64], keep: bool) -> Output {
    let mut shape = Vec::new();
    for (i, &d) in x.size().iter().enumerate() {
        match (axes.contains(&(i as i64)), keep) {
            (true, true) => shape.push(1),
            (true, false) => {}
            (false, _) => shape.push(d),
        }
    }
    let max = call.kind == OpKind::ReduceMax;
    let options = (x.kind(), x.device());
    let (low, high) = match x.kind() {
        Kind::Bool => (0, 1),
        Kind::Uint8 => (0, i64::from(u8::MAX)),
        Kind::Int8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
        Kind::Int16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Kind::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Kind::Int64 => (i64::MIN, i64::MAX),
        _ => {
            let value = if max { f64::NEG_INFINITY } else { f64::INFINITY };
            return Ok(Tensor::f_full(&shape[..], value, options)?);
        }
    };
    Ok(Tensor::f_full(&shape[..], if max { low } else { high }, options)?)
}

fn product(x: &Tensor, axes: &[i64], keep: bool) -> Output {
    let mut order = axes.to_vec();
    order.sort_unstable_by(|a, b| b.cmp(a));
    let mut result = x.shallow_clone();
    for axis in order {
        result = result.f_prod_dim_int(axis, keep, x.kind())?;
    }
    Ok(result)
}

/// ArgMax and ArgMin: the first extreme element, or the last with `select_last_index`.
pub(super) fn arg(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let axis = call.axis(x.dim())?;
    let keep = call.op.int("keepdims").unwrap_or(1) != 0;
    let last = call.flag("select_last_index");
    let seen = if last { x.f_flip([axis])? } else { x.shallow_clone() };
    let at = if call.kind == OpKind::ArgMax { seen.f_argmax(axis, keep)? } else { seen.f_argmin(axis, keep)? };
    if last {
        let n = x.size()[axis as usize];
        return Ok(at.f_neg()?.f_add_scalar(n - 1)?);
    }
    Ok(at)
}

/// TopK: of equal elements the one with the lower index comes first, which asks for a stable sort.
pub(super) fn top_k(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let axis = call.axis(x.dim())?;
    let k = host_ints(call.input(1)?)?;
    let &[k] = &k[..] else { return Err(call.invalid("k is not one number")) };
    let n = x.size()[axis as usize];
    if !(0..=n).contains(&k) {
        return Err(call.invalid(format!("k is {k} on an axis of {n} elements")));
    }
    let largest = call.op.int("largest").unwrap_or(1) != 0;
    let (values, indices) = x.f_sort_stable(true, axis, largest)?;
    Ok(vec![values.f_narrow(axis, 0, k)?, indices.f_narrow(axis, 0, k)?])
}

/// Softmax, LogSoftmax, Hardmax along `axis`; `coerced`: over all of the dimensions from `axis` on together.
pub(super) fn softmax(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    if call.flag("coerced") {
        let shape = x.size();
        let axis = call.axis(x.dim())? as usize;
        let (rows, columns) = (shape[..axis].iter().product::<i64>(), shape[axis..].iter().product::<i64>());
        return Ok(along(call, &x.f_reshape([rows, columns])?, 1)?.f_reshape(&shape[..])?);
    }
    along(call, x, call.axis(x.dim().max(1))?)
}

fn along(call: &Call<'_>, x: &Tensor, axis: i64) -> Output {
    Ok(match call.kind {
        OpKind::Softmax => x.f_softmax(axis, None)?,
        OpKind::LogSoftmax => x.f_log_softmax(axis, None)?,
        OpKind::Hardmax => x.f_zeros_like()?.f_scatter_value(axis, &x.f_argmax(axis, true)?, 1.0)?,
        other => return Err(RunError::NotAnOperator(other.name().to_owned())),
    })
}

/// `x / ‖x‖_p` along `axis`, p being 1 or 2; a zero norm gives zeros.
pub(super) fn lp_normalization(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let axis = call.axis(x.dim())?;
    let norm = match call.int("p")? {
        1 => x.f_abs()?.f_sum_dim_intlist(&[axis][..], true, x.kind())?,
        2 => x.f_square()?.f_sum_dim_intlist(&[axis][..], true, x.kind())?.f_sqrt()?,
        p => return Err(call.unsupported(format!("p = {p}"))),
    };
    Ok(x.f_div(&norm)?.f_masked_fill(&norm.f_eq(0.0)?, 0.0)?)
}

/// Running sum along `axis` (attribute, or input 1), exclusive of the element itself and from the end if asked.
pub(super) fn cumulative_sum(call: &Call<'_>) -> Output {
    let x = call.input(0)?;
    let axis = match call.optional(1) {
        Some(axis) => match &host_ints(axis)?[..] {
            &[axis] => call.wrap(axis, x.dim())?,
            _ => return Err(call.invalid("axis is not one number")),
        },
        None => call.axis(x.dim())?,
    };
    let (exclusive, reverse) = (call.flag("exclusive"), call.flag("reverse"));
    let n = x.size()[axis as usize];
    let turned = if reverse { x.f_flip([axis])? } else { x.shallow_clone() };
    let sums = if exclusive && n > 0 {
        let first = turned.f_narrow(axis, 0, 1)?.f_zeros_like()?;
        let rest = turned.f_narrow(axis, 0, n - 1)?.f_cumsum(axis, x.kind())?;
        Tensor::f_cat(&[first, rest], axis)?
    } else {
        turned.f_cumsum(axis, x.kind())?
    };
    if reverse { Ok(sums.f_flip([axis])?) } else { Ok(sums) }
}
