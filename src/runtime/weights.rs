//! Tensors of graphs as tensors of libtorch, and back.

use rustc_hash::FxHashMap;
use tch::{Device, Kind, Tensor};

use super::kernels::{Place, RunError};
use crate::graph::{self, DType, Data};

/// Weights on a device, each uploaded once however many programs use it.
pub struct Weights {
    place: Place,
    loaded: FxHashMap<u128, Tensor>,
}

impl Weights {
    /// An empty store for a device and precision.
    pub fn new(place: Place) -> Weights {
        Weights { place, loaded: FxHashMap::default() }
    }

    /// Where this store's tensors are.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The tensor on the device; `None` if its type is not computed with.
    pub fn load(&mut self, tensor: &graph::Tensor) -> Result<Option<Tensor>, RunError> {
        let key = tensor.digest();
        if let Some(loaded) = self.loaded.get(&key) {
            return Ok(Some(loaded.shallow_clone()));
        }
        let Some(host) = to_torch(tensor, self.place.wide)? else { return Ok(None) };
        let placed = if self.place.device == Device::Cpu { host } else { host.f_to_device(self.place.device)? };
        self.loaded.insert(key, placed.shallow_clone());
        Ok(Some(placed))
    }
}

/// A graph's tensor on the CPU, floats as f64 if `wide`; `None` if its type is not computed with.
pub fn to_torch(tensor: &graph::Tensor, wide: bool) -> Result<Option<Tensor>, RunError> {
    let (Some(kind), Some(bytes)) = (Place::CPU.kind(tensor.dtype()), tensor.bytes()) else { return Ok(None) };
    let shape: Vec<i64> = tensor.shape().iter().map(|&d| d as i64).collect();
    let plain = if kind == Kind::Bool {
        // A file's bytes may hold other values than 0 and 1, which libtorch must never see as booleans.
        let normal: Vec<u8> = bytes.iter().map(|&b| u8::from(b != 0)).collect();
        Tensor::f_from_data_size(&normal, &shape, kind)?
    } else {
        Tensor::f_from_data_size(&bytes, &shape, kind)?
    };
    if wide && tensor.dtype().is_float() { Ok(Some(plain.f_to_kind(Kind::Double)?)) } else { Ok(Some(plain)) }
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
