//! Element types of tensors, with ONNX's numbers and the names that graph files use.

use std::fmt;
use std::str::FromStr;

/// The element type of a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum DType {
    F32,
    U8,
    I8,
    U16,
    I16,
    I32,
    I64,
    String,
    Bool,
    F16,
    F64,
    U32,
    U64,
    BF16,
    F8E4M3,
    F8E5M2,
    U4,
    I4,
}

/// (type, name in graph files, ONNX `TensorProto.DataType` number, bits per element; 0 for strings).
const TABLE: [(DType, &str, i32, u32); 18] = [
    (DType::F32, "f32", 1, 32),
    (DType::U8, "u8", 2, 8),
    (DType::I8, "i8", 3, 8),
    (DType::U16, "u16", 4, 16),
    (DType::I16, "i16", 5, 16),
    (DType::I32, "i32", 6, 32),
    (DType::I64, "i64", 7, 64),
    (DType::String, "string", 8, 0),
    (DType::Bool, "bool", 9, 8),
    (DType::F16, "f16", 10, 16),
    (DType::F64, "f64", 11, 64),
    (DType::U32, "u32", 12, 32),
    (DType::U64, "u64", 13, 64),
    (DType::BF16, "bf16", 16, 16),
    (DType::F8E4M3, "f8e4m3", 17, 8),
    (DType::F8E5M2, "f8e5m2", 19, 8),
    (DType::U4, "u4", 21, 4),
    (DType::I4, "i4", 22, 4),
];

impl DType {
    fn row(self) -> &'static (DType, &'static str, i32, u32) {
        TABLE.iter().find(|row| row.0 == self).expect("every element type has a row")
    }

    /// The name in graph files: `"f32"`, `"i64"`, …
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The number in ONNX's `TensorProto.DataType`.
    pub fn onnx(self) -> i32 {
        self.row().2
    }

    /// The type with this number in ONNX's `TensorProto.DataType`; `None` for types that graphopt does not name.
    pub fn from_onnx(number: i32) -> Option<DType> {
        TABLE.iter().find(|row| row.2 == number).map(|row| row.0)
    }

    /// Bits per element; 0 for strings, whose size varies.
    pub fn bits(self) -> u32 {
        self.row().3
    }

    /// Bytes that `count` densely packed elements take (4-bit types are packed in pairs); `None` on overflow and for strings.
    pub fn byte_len(self, count: u64) -> Option<u64> {
        match self.bits() {
            0 => None,
            4 => Some(count.div_ceil(2)),
            bits => count.checked_mul(u64::from(bits / 8)),
        }
    }

    /// Floating-point types that the optimiser computes with.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
    }

    /// Integer types of 8 to 64 bits, signed and unsigned.
    pub fn is_int(self) -> bool {
        matches!(
            self,
            DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U64 | DType::U32 | DType::U16 | DType::U8
        )
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no element type.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error(
    "unknown dtype {0:?}; expected one of f64 f32 f16 bf16 f8e4m3 f8e5m2 i64 i32 i16 i8 u64 u32 u16 u8 i4 u4 bool string"
)]
pub struct UnknownDType(pub String);

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0).ok_or_else(|| UnknownDType(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_onnx_numbers_round_trip() {
        for (dtype, name, number, _) in TABLE {
            assert_eq!(name.parse::<DType>().as_ref(), Ok(&dtype));
            assert_eq!(DType::from_onnx(number), Some(dtype));
        }
        assert_eq!(DType::I4.byte_len(3), Some(2));
        assert_eq!(DType::F64.byte_len(u64::MAX), None);
    }
}
