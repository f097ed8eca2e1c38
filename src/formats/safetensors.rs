//! safetensors files, read by memory map and written whole.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::json;

use super::error::{FormatError, Problem};
use super::files;
use crate::graph::{DType, Data, Tensor};

/// Bytes of the length in front of the header.
const PREFIX: usize = 8;

/// A safetensors file: its header is read and checked, its tensors are views of the map.
#[derive(Debug)]
pub struct TensorFile {
    data: Bytes,
    metadata: Metadata,
}

impl TensorFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, or its header is broken or does not fit its length.
    pub fn open(path: &Path) -> Result<TensorFile, FormatError> {
        let bytes = files::map_file(path).map_err(|e| FormatError::io(path, e))?;
        TensorFile::parse(bytes).map_err(|p| FormatError::invalid(path, p))
    }

    /// Reads the header of a file's bytes.
    ///
    /// # Errors
    /// If the header is broken or does not fit the length.
    pub fn parse(bytes: Bytes) -> Result<TensorFile, Problem> {
        let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes)
            .map_err(|e| Problem::new(format_args!("not a safetensors file, or cut short: {e}")))?;
        Ok(TensorFile { data: bytes.slice(PREFIX + header..), metadata })
    }

    /// Names of the tensors in the order of their data.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// The file's own key-value pairs.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// If there is none, or graphopt has no name for its element type.
    pub fn tensor(&self, name: &str) -> Result<Tensor, Problem> {
        self.tensor_as(name, None)
    }

    /// The tensor of this name; `packed` is its true type if safetensors has none for it (4-bit types are kept as bytes,
    /// with the true shape given).
    pub(super) fn tensor_as(&self, name: &str, packed: Option<(DType, &[u64])>) -> Result<Tensor, Problem> {
        let place = |p: Problem| p.within(format_args!("tensor {name:?}"));
        let info = self.metadata.info(name).ok_or_else(|| place(Problem::new("there is no tensor of this name")))?;
        let bytes = self.data.slice(info.data_offsets.0..info.data_offsets.1);
        let shape: Vec<u64> = info.shape.iter().map(|&d| d as u64).collect();
        if let (Some((dtype @ (DType::I4 | DType::U4), shape)), Dtype::U8) = (packed, info.dtype) {
            return Tensor::new(dtype, shape, Data::Bytes(bytes)).map_err(Problem::new).map_err(place);
        }
        let dtype = from_safetensors(info.dtype)
            .ok_or_else(|| place(Problem::new(format_args!("elements of type {} are not supported", info.dtype))))?;
        Tensor::new(dtype, &shape, Data::Bytes(bytes)).map_err(Problem::new).map_err(place)
    }
}

fn from_safetensors(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::F8_E5M2 => DType::F8E5M2,
        Dtype::F8_E4M3 => DType::F8E4M3,
        Dtype::I16 => DType::I16,
        Dtype::U16 => DType::U16,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::I64 => DType::I64,
        Dtype::U64 => DType::U64,
        _ => return None,
    })
}

/// The name in the header; 4-bit types are bytes there, strings have none.
fn name_of(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::Bool => "BOOL",
        DType::U8 | DType::I4 | DType::U4 => "U8",
        DType::I8 => "I8",
        DType::F8E5M2 => "F8_E5M2",
        DType::F8E4M3 => "F8_E4M3",
        DType::I16 => "I16",
        DType::U16 => "U16",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I32 => "I32",
        DType::U32 => "U32",
        DType::F32 => "F32",
        DType::F64 => "F64",
        DType::I64 => "I64",
        DType::U64 => "U64",
        DType::String => return None,
    })
}

/// Writes tensors to a safetensors file, whole or not at all. Generated tensors are drawn one at a time. The same
/// tensors and metadata give the same bytes. 4-bit types are written as vectors of bytes.
///
/// # Errors
/// If a tensor holds strings, or the system refuses to write.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, &Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), FormatError> {
    if let Some((name, _)) = tensors.iter().find(|(_, t)| t.dtype() == DType::String) {
        let problem = Problem::new("safetensors files hold no strings").within(format_args!("tensor {name:?}"));
        return Err(FormatError::invalid(path, problem));
    }
    files::write_atomically(path, |out| write(out, tensors, metadata)).map_err(|e| FormatError::io(path, e))
}

/// Writes the bytes of a file: the widest types first, so that each tensor is aligned to its elements.
fn write(out: &mut impl Write, tensors: &[(String, &Tensor)], metadata: &BTreeMap<String, String>) -> io::Result<()> {
    let mut sorted: Vec<&(String, &Tensor)> = tensors.iter().collect();
    sorted.sort_by(|(a, s), (b, t)| t.dtype().bits().cmp(&s.dtype().bits()).then_with(|| a.cmp(b)));
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut end = 0u64;
    for (name, tensor) in &sorted {
        let length = tensor.byte_len();
        let shape = if tensor.dtype().bits() == 4 { vec![length] } else { tensor.shape().to_vec() };
        let dtype = name_of(tensor.dtype()).unwrap_or_default();
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [end, end + length]});
        header.insert(name.clone(), entry);
        end += length;
    }
    let mut text = serde_json::to_string(&header).map_err(io::Error::other)?.into_bytes();
    text.resize(text.len().next_multiple_of(PREFIX), b' ');
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(&text)?;
    for (_, tensor) in &sorted {
        tensor.in_parts(|part| out.write_all(part))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_round_trips() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        let all = [
            DType::Bool,
            DType::U8,
            DType::I8,
            DType::F8E5M2,
            DType::F8E4M3,
            DType::I16,
            DType::U16,
            DType::F16,
            DType::BF16,
            DType::I32,
            DType::U32,
            DType::F32,
            DType::F64,
            DType::I64,
            DType::U64,
        ];
        let make = |d: &DType| {
            let bytes: Vec<u8> = (0..d.byte_len(6).unwrap() as u8).map(|b| b % 2).collect();
            (d.name().to_owned(), Tensor::new(*d, &[2, 3], Data::Bytes(bytes.into())).unwrap())
        };
        let tensors: Vec<(String, Tensor)> = all.iter().map(make).collect();
        let views: Vec<(String, &Tensor)> = tensors.iter().map(|(n, t)| (n.clone(), t)).collect();
        let metadata = BTreeMap::from([("k".to_owned(), "v".to_owned()), ("a".to_owned(), "b".to_owned())]);
        write_tensors(&path, &views, &metadata).unwrap();
        let file = TensorFile::open(&path).unwrap();
        assert_eq!(file.metadata(), metadata);
        assert_eq!(file.names().len(), tensors.len());
        for (name, tensor) in &tensors {
            assert_eq!(file.tensor(name).as_ref(), Ok(tensor));
        }
        assert!(file.tensor("absent").unwrap_err().to_string().contains("absent"));
    }

    #[test]
    fn four_bit_types_are_kept_as_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        let tensor = Tensor::new(DType::I4, &[3], Data::Bytes(Bytes::from_static(&[0x21, 3]))).unwrap();
        write_tensors(&path, &[("t".to_owned(), &tensor)], &BTreeMap::new()).unwrap();
        let file = TensorFile::open(&path).unwrap();
        assert_eq!(file.tensor_as("t", Some((DType::I4, &[3]))), Ok(tensor));
        assert!(file.tensor_as("t", Some((DType::I4, &[9]))).is_err());
    }

    #[test]
    fn cut_files_are_refused() {
        let mut bytes = Vec::new();
        let tensor = Tensor::from_f32s(&[3], &[1.0, 2.0, 3.0]).unwrap();
        write(&mut bytes, &[("t".to_owned(), &tensor)], &BTreeMap::new()).unwrap();
        assert!(TensorFile::parse(Bytes::from(bytes.clone())).is_ok());
        for n in 0..bytes.len() {
            assert!(TensorFile::parse(Bytes::copy_from_slice(&bytes[..n])).is_err(), "{n}");
        }
    }
}
