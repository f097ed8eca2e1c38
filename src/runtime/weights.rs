//! Tensors of graphs as tensors of libtorch, and back.

use rustc_hash::FxHashMap;
use tch::{Device, Kind, Tensor};

use super::available::check_available;
use super::kernels::{Place, RunError};
use crate::graph::{self, DType, Data};

/// Weights as libtorch holds them, each drawn or read once however many programs use it, on whatever device and in
/// whatever precision.
#[derive(Default)]
pub struct Weights {
    /// On the CPU, in their own type.
    plain: FxHashMap<u128, Tensor>,
    /// Elsewhere, or in f64.
    placed: FxHashMap<(u128, Place), Tensor>,
}

impl Weights {
    /// The tensor where a program computes with it; `None` if its type is not computed with.
    ///
    /// # Errors
    /// libtorch's, above all a lack of memory.
    pub fn load(&mut self, tensor: &graph::Tensor, place: Place) -> Result<Option<Tensor>, RunError> {
        let key = tensor.digest();
        let as_it_is = place.device == Device::Cpu && !(place.wide && tensor.dtype().is_float());
        if let (false, Some(placed)) = (as_it_is, self.placed.get(&(key, place))) {
            return Ok(Some(placed.shallow_clone()));
        }
        let plain = match self.plain.get(&key) {
            Some(plain) => plain.shallow_clone(),
            None => {
                let Some(made) = to_torch(tensor)? else { return Ok(None) };
                self.plain.insert(key, made.shallow_clone());
                made
            }
        };
        if as_it_is {
            return Ok(Some(plain));
        }
        let kind = place.kind(tensor.dtype()).unwrap_or_else(|| plain.kind());
        let placed = plain.f_to_kind(kind)?.f_to_device(place.device)?;
        self.placed.insert((key, place), placed.shallow_clone());
        Ok(Some(placed))
    }

    /// Forgets what is not on the CPU in its own type (programs that hold it keep it).
    pub fn forget_placed(&mut self) {
        self.placed.clear();
    }
}

/// A graph's tensor on the CPU in its own type; `None` if that type is not computed with.
///
/// # Errors
/// libtorch's, above all a lack of memory.
pub fn to_torch(tensor: &graph::Tensor) -> Result<Option<Tensor>, RunError> {
    let Some(kind) = Place::CPU.kind(tensor.dtype()) else { return Ok(None) };
    check_available(&format!("a weight of type {tensor:?}"), tensor.byte_len())?;
    let Some(bytes) = tensor.bytes() else { return Ok(None) };
    let shape: Vec<i64> = tensor.shape().iter().map(|&d| d as i64).collect();
    let plain = if kind == Kind::Bool {
        // A file's bytes may hold other values than 0 and 1, which libtorch must never see as booleans.
        let normal: Vec<u8> = bytes.iter().map(|&b| u8::from(b != 0)).collect();
        Tensor::f_from_data_size(&normal, &shape, kind)?
    } else {
        Tensor::f_from_data_size(&bytes, &shape, kind)?
    };
    Ok(Some(plain))
}

/// A computed tensor as a graph's tensor of this type: floats are rounded once, to nearest even.
///
/// # Errors
/// [`RunError::NotAnOperator`] if the type cannot be made from computed values (4-bit and 8-bit floats, strings).
pub fn from_torch(tensor: &Tensor, dtype: DType) -> Result<graph::Tensor, RunError> {
    let bytes: Vec<u8> = if dtype.is_float() {
        let values = super::kernels::host_floats(tensor)?;
        match dtype {
            DType::F64 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            DType::F32 => values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect(),
            DType::F16 => values.iter().flat_map(|&v| half::f16::from_f64(v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|&v| half::bf16::from_f64(v).to_le_bytes()).collect(),
        }
    } else if dtype.is_int() || dtype == DType::Bool {
        let values = super::kernels::host_ints(tensor)?;
        let width = (dtype.bits() / 8) as usize;
        values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(width)).collect()
    } else {
        return Err(RunError::NotAnOperator(format!("a tensor of type {dtype}")));
    };
    let shape: Vec<u64> = tensor.size().iter().map(|&d| d as u64).collect();
    graph::Tensor::new(dtype, &shape, Data::Bytes(bytes.into())).map_err(|e| RunError::Torch(e.to_string()))
}
