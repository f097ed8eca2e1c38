//! Gathers.

use tch::{Device, Kind, Tensor};

use super::{Call, RunError};

type Output = Result<Tensor, RunError>;

/// Up to this many indices are looked at on the host: cheaper than the slower kernel that takes negative ones.
const LOOK_AT: usize = 4096;

/// Slices of `x` along `axis` at indices that may count from the end; the indices' shape replaces the axis.
pub(super) fn gather(call: &Call<'_>) -> Output {
    let (x, index) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(x.dim())?;
    let index = index.f_to_kind(Kind::Int64)?;
    if index.device() == Device::Cpu && index.numel() <= LOOK_AT && index.numel() > 0 {
        if index.dim() == 0 {
            return Ok(x.f_select(axis, index.f_int64_value(&[])?)?);
        }
        if x.device() == Device::Cpu && index.f_min()?.f_int64_value(&[])? >= 0 {
            let rows = x.f_index_select(axis, &index.f_reshape([-1])?)?;
            if index.dim() == 1 {
                return Ok(rows);
            }
            let mut shape = x.size();
            shape.splice(axis as usize..=axis as usize, index.size());
            return Ok(rows.f_reshape(&shape[..])?);
        }
    }
    let index = index.f_to_device(x.device())?;
    let mut indices: Vec<Option<&Tensor>> = vec![None; axis as usize];
    indices.push(Some(&index));
    Ok(x.f_index(&indices)?)
}

/// `y[i, j, …] = x[i, index[i, j, …], …]`, the index replacing coordinate `axis`.
pub(super) fn gather_elements(call: &Call<'_>) -> Output {
    let (x, index) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(x.dim())?;
    let n = x.size().get(axis as usize).copied().unwrap_or(1);
    let index = index.f_to_kind(Kind::Int64)?.f_to_device(x.device())?;
    let from_the_end = index.f_lt(0)?;
    let index = index.f_add_scalar(n)?.f_where_self(&from_the_end, &index)?;
    Ok(x.f_gather(axis, &index, false)?)
}

/// The last dimension of the indices holds coordinates in `x` after `batch_dims` common dimensions.
pub(super) fn gather_nd(call: &Call<'_>) -> Output {
    let (x, index) = (call.input(0)?, call.input(1)?);
    let batch = usize::try_from(call.op.int("batch_dims").unwrap_or(0)).map_err(|_| call.invalid("batch_dims < 0"))?;
    let index = index.f_to_kind(Kind::Int64)?.f_to_device(x.device())?;
    let shape = index.size();
    let (Some(&depth), true) = (shape.last(), batch < shape.len()) else {
        return Err(call.invalid(format!("indices of shape {shape:?} with {batch} batch dimensions")));
    };
    let mut coordinates: Vec<Tensor> = Vec::new();
    for dim in 0..batch {
        // The batch coordinate itself, broadcast over the other index dimensions.
        let mut broadcast = vec![1; shape.len() - 1];
        broadcast[dim] = shape[dim];
        coordinates.push(Tensor::f_arange(shape[dim], (Kind::Int64, x.device()))?.f_reshape(&broadcast[..])?);
    }
    for k in 0..depth {
        coordinates.push(index.f_select(-1, k)?);
    }
    let indices: Vec<Option<&Tensor>> = coordinates.iter().map(Some).collect();
    Ok(x.f_index(&indices)?)
}
