//! Constant tensors: their type and shape, and a payload that is shared, mapped or generated on demand.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::DType;

/// How the elements of a generated weight are drawn. Element `i` depends on the seed and `i` only, so that the same
/// bits come out on every platform and in any order.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Normal with mean 0 and standard deviation `std`.
    Normal {
        /// Seed of the tensor.
        seed: u64,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform on `[low, high)`.
    Uniform {
        /// Seed of the tensor.
        seed: u64,
        /// Lower bound, inclusive.
        low: f64,
        /// Upper bound, exclusive.
        high: f64,
    },
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// All equal to the value.
    Constant(f64),
}

impl Init {
    /// Element `index` of a tensor drawn by this rule: splitmix64 on (seed, index), Box-Muller through `libm`.
    pub fn element(&self, index: u64) -> f64 {
        match *self {
            Init::Normal { seed, std } => {
                // Two draws per element keep elements independent of one another and of evaluation order.
                let u1 = (unit(seed, index.wrapping_mul(2)) + f64::EPSILON / 4.0).min(1.0);
                let u2 = unit(seed, index.wrapping_mul(2).wrapping_add(1));
                let radius = libm::sqrt(-2.0 * libm::log(u1));
                std * radius * libm::cos(2.0 * std::f64::consts::PI * u2)
            }
            Init::Uniform { seed, low, high } => low + (high - low) * unit(seed, index),
            Init::Zeros => 0.0,
            Init::Ones => 1.0,
            Init::Constant(value) => value,
        }
    }
}

/// splitmix64 of (seed, index): the index-th output of the generator started at `seed`.
pub fn splitmix64(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform in [0, 1) with 53 bits.
fn unit(seed: u64, index: u64) -> f64 {
    (splitmix64(seed, index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Where the elements of a tensor are.
#[derive(Clone, Debug)]
pub enum Data {
    /// Little-endian, row-major, densely packed; 4-bit types two to a byte, low nibble first; bools a byte each.
    /// Cheap to clone, and may be a view of a memory-mapped file.
    Bytes(Bytes),
    /// Drawn on demand (floating-point, integer and boolean types; integers are rounded towards zero).
    Init(Init),
    /// Elements of a string tensor, as bytes.
    Strings(Arc<[Bytes]>),
}

/// A constant tensor. Clones share the payload.
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Arc<[u64]>,
    data: Data,
    digest: Arc<OnceLock<u128>>,
}

/// What is wrong with a tensor's payload.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum TensorError {
    /// The element count or byte length overflows.
    #[error("a tensor of type {dtype} and shape {shape:?} is too large")]
    TooLarge {
        /// Element type.
        dtype: DType,
        /// Dimensions.
        shape: Vec<u64>,
    },
    /// The payload does not have the length that type and shape ask for.
    #[error("a tensor of type {dtype} and shape {shape:?} needs {expected} bytes of data, and has {found}")]
    WrongLength {
        /// Element type.
        dtype: DType,
        /// Dimensions.
        shape: Vec<u64>,
        /// Bytes (strings: elements) that type and shape ask for.
        expected: u64,
        /// Bytes (strings: elements) found.
        found: u64,
    },
    /// Only floating-point, integer and boolean tensors can be drawn by a rule; strings need a string payload.
    #[error("a tensor of type {dtype} cannot have data of this kind")]
    WrongKind {
        /// Element type.
        dtype: DType,
    },
}

impl Tensor {
    /// A tensor over `data`, after checking that type, shape and payload agree. Allocates nothing of the tensor's size.
    pub fn new(dtype: DType, shape: &[u64], data: Data) -> Result<Tensor, TensorError> {
        let too_large = || TensorError::TooLarge { dtype, shape: shape.to_vec() };
        let count = element_count(shape).ok_or_else(too_large)?;
        let (expected, found) = match &data {
            Data::Bytes(bytes) if dtype != DType::String => {
                (dtype.byte_len(count).ok_or_else(too_large)?, bytes.len() as u64)
            }
            Data::Strings(strings) if dtype == DType::String => (count, strings.len() as u64),
            Data::Init(_) if dtype.is_float() || dtype.is_int() || dtype == DType::Bool => {
                dtype.byte_len(count).ok_or_else(too_large)?;
                (0, 0)
            }
            _ => return Err(TensorError::WrongKind { dtype }),
        };
        if expected != found {
            return Err(TensorError::WrongLength { dtype, shape: shape.to_vec(), expected, found });
        }
        Ok(Tensor { dtype, shape: shape.into(), data, digest: Arc::default() })
    }

    /// A tensor of 64-bit integers.
    pub fn from_i64s(shape: &[u64], values: &[i64]) -> Result<Tensor, TensorError> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor::new(DType::I64, shape, Data::Bytes(bytes.into()))
    }

    /// A tensor of 32-bit floats.
    pub fn from_f32s(shape: &[u64], values: &[f32]) -> Result<Tensor, TensorError> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor::new(DType::F32, shape, Data::Bytes(bytes.into()))
    }

    /// A tensor of 64-bit floats.
    pub fn from_f64s(shape: &[u64], values: &[f64]) -> Result<Tensor, TensorError> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor::new(DType::F64, shape, Data::Bytes(bytes.into()))
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions; empty for a scalar.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Where the elements are.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Number of elements.
    pub fn len(&self) -> u64 {
        element_count(&self.shape).expect("checked when the tensor was made")
    }

    /// Whether the tensor has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the elements take when materialised (strings: their total length).
    pub fn byte_len(&self) -> u64 {
        match &self.data {
            Data::Strings(strings) => strings.iter().map(|s| s.len() as u64).sum(),
            Data::Bytes(bytes) => bytes.len() as u64,
            Data::Init(_) => self.dtype.byte_len(self.len()).expect("checked when the tensor was made"),
        }
    }

    /// The elements as little-endian bytes; drawn now if the tensor is generated. `None` for strings.
    pub fn bytes(&self) -> Option<Bytes> {
        match &self.data {
            Data::Bytes(bytes) => Some(bytes.clone()),
            Data::Init(init) => Some(materialise(self.dtype, 0, self.len(), init).into()),
            Data::Strings(_) => None,
        }
    }

    /// Hands out the elements as little-endian bytes, one part after the other: a tensor that is drawn on demand takes no
    /// more memory than a part of it. Strings have no part.
    ///
    /// # Errors
    /// Those of `visit`, at the first of which it ends.
    pub fn in_parts<E>(&self, mut visit: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match &self.data {
            Data::Bytes(bytes) => visit(bytes),
            Data::Init(init) => {
                // A multiple of 8, so that parts are whole bytes and elements.
                const PART: u64 = 1 << 22;
                let count = self.len();
                (0..count)
                    .step_by(PART as usize)
                    .try_for_each(|first| visit(&materialise(self.dtype, first, PART.min(count - first), init)))
            }
            Data::Strings(_) => Ok(()),
        }
    }

    /// The elements as i64 if the type is an integer type or bool and there are at most `limit` of them.
    pub fn to_i64s(&self, limit: u64) -> Option<Vec<i64>> {
        if self.len() > limit || !(self.dtype.is_int() || self.dtype == DType::Bool) {
            return None;
        }
        let bytes = self.bytes()?;
        let signed = matches!(self.dtype, DType::I8 | DType::I16 | DType::I32 | DType::I64);
        let width = (self.dtype.bits() / 8) as usize;
        let read = |chunk: &[u8]| {
            let fill = if signed && chunk[width - 1] >= 0x80 { 0xff } else { 0 };
            let mut word = [fill; 8];
            word[..width].copy_from_slice(chunk);
            i64::from_le_bytes(word)
        };
        Some(bytes.chunks_exact(width).map(read).collect())
    }

    /// The elements as f64 if the type is a floating-point type and there are at most `limit` of them.
    pub fn to_f64s(&self, limit: u64) -> Option<Vec<f64>> {
        if self.len() > limit || !self.dtype.is_float() {
            return None;
        }
        let bytes = self.bytes()?;
        let width = (self.dtype.bits() / 8) as usize;
        let read = |c: &[u8]| match self.dtype {
            DType::F64 => f64::from_le_bytes(c.try_into().expect("eight bytes")),
            DType::F32 => f32::from_le_bytes(c.try_into().expect("four bytes")).into(),
            DType::F16 => half::f16::from_le_bytes([c[0], c[1]]).into(),
            _ => half::bf16::from_le_bytes([c[0], c[1]]).into(),
        };
        Some(bytes.chunks_exact(width).map(read).collect())
    }

    /// A 128-bit digest of type, shape and content (generated tensors: of their rule, so that nothing is drawn for it).
    /// Computed once and shared by clones.
    pub fn digest(&self) -> u128 {
        *self.digest.get_or_init(|| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(self.dtype.name().as_bytes());
            hasher.update(&(self.shape.len() as u64).to_le_bytes());
            for dim in self.shape.iter() {
                hasher.update(&dim.to_le_bytes());
            }
            match &self.data {
                Data::Bytes(bytes) => {
                    hasher.update(b"bytes");
                    hasher.update(bytes);
                }
                Data::Init(init) => {
                    hasher.update(format!("init{init:?}").as_bytes());
                }
                Data::Strings(strings) => {
                    for s in strings.iter() {
                        hasher.update(&(s.len() as u64).to_le_bytes());
                        hasher.update(s);
                    }
                }
            }
            let digest = *hasher.finalize().as_bytes();
            u128::from_le_bytes(digest[..16].try_into().expect("sixteen bytes"))
        })
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.digest, &other.digest) || self.digest() == other.digest()
    }
}

impl Eq for Tensor {}

impl Hash for Tensor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// Product of the dimensions; `None` on overflow.
pub fn element_count(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d))
}

/// `count` elements from the one at `first` on.
fn materialise(dtype: DType, first: u64, count: u64, init: &Init) -> Vec<u8> {
    use rayon::prelude::*;
    let width = (dtype.bits() / 8) as usize;
    let mut out = vec![0u8; count as usize * width];
    let block_len = 4096;
    out.par_chunks_mut(block_len * width).enumerate().for_each(|(block, bytes)| {
        for (k, slot) in bytes.chunks_exact_mut(width).enumerate() {
            let value = init.element(first + (block * block_len + k) as u64);
            match dtype {
                DType::F64 => slot.copy_from_slice(&value.to_le_bytes()),
                DType::F32 => slot.copy_from_slice(&(value as f32).to_le_bytes()),
                DType::F16 => slot.copy_from_slice(&half::f16::from_f64(value).to_le_bytes()),
                DType::BF16 => slot.copy_from_slice(&half::bf16::from_f64(value).to_le_bytes()),
                DType::Bool => slot[0] = u8::from(value != 0.0),
                _ => slot.copy_from_slice(&(value as i64).to_le_bytes()[..width]),
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_must_fit_type_and_shape() {
        let short = Tensor::new(DType::F32, &[2, 2], Data::Bytes(Bytes::from_static(&[0; 8])));
        assert!(matches!(short, Err(TensorError::WrongLength { expected: 16, found: 8, .. })));
        let huge = Tensor::new(DType::F32, &[u64::MAX, 2], Data::Init(Init::Zeros));
        assert!(matches!(huge, Err(TensorError::TooLarge { .. })));
    }

    #[test]
    fn normal_draws_have_the_stated_moments_and_fixed_bits() {
        let t = Tensor::new(DType::F64, &[100, 100], Data::Init(Init::Normal { seed: 3, std: 2.0 })).unwrap();
        let v = t.to_f64s(10_000).unwrap();
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let var = v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64;
        assert!(mean.abs() < 0.08 && (var - 4.0).abs() < 0.3, "{mean} {var}");
        assert_eq!(splitmix64(0, 0), 0xe220_a839_7b1d_cdaf, "first output of splitmix64 seeded with 0");
    }

    #[test]
    fn integers_are_read_with_their_sign() {
        let t = Tensor::new(DType::I8, &[2], Data::Bytes(Bytes::from_static(&[0xff, 3]))).unwrap();
        assert_eq!(t.to_i64s(2), Some(vec![-1, 3]));
        let t = Tensor::new(DType::U8, &[2], Data::Bytes(Bytes::from_static(&[0xff, 3]))).unwrap();
        assert_eq!(t.to_i64s(2), Some(vec![255, 3]));
        assert_eq!(t.to_i64s(1), None);
    }
}
