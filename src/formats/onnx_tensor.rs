//! ONNX's encoded tensors: raw, typed, external and sparse data.

use bytes::Bytes;
use zerocopy::{Immutable, IntoBytes};

use super::error::Problem;
use super::files::Folder;
use super::model::Storage;
use super::proto::{AttributeProto, EXTERNAL, GraphProto, NodeProto, SparseTensorProto, TensorProto};
use crate::graph::{DType, Data, Tensor, element_count};

/// A sparse initialiser is spelt out up to this many bytes (256 MiB); beyond it passes through unread, since its
/// dimensions claim whatever they like.
const MAX_DENSE_BYTES: u64 = 1 << 28;

/// What an encoded tensor is.
#[derive(Debug)]
pub(super) enum Decoded {
    /// A tensor, and where the file keeps it.
    Tensor(Tensor, Storage),
    /// One of an element type that graphopt does not name, with its data in the message.
    Foreign(Box<TensorProto>),
}

/// Reads a tensor's type, shape and data. Typed fields are turned into bytes, so that each is let go before the next is
/// read; raw and external data share the map of their file.
///
/// # Errors
/// If dimensions, type and data do not fit each other, or the external file cannot be read.
pub(super) fn decode(mut proto: TensorProto, folder: &mut Folder) -> Result<Decoded, Problem> {
    let number = proto.data_type.unwrap_or(0);
    let shape = dims(&proto.dims)?;
    let dtype = DType::from_onnx(number);
    if dtype.is_none() && !(1..=255).contains(&number) {
        return Err(Problem::new(format_args!("data_type {number} is no element type")));
    }
    let external = proto.data_location == Some(EXTERNAL);
    let Some(dtype) = dtype.filter(|_| proto.segment.is_none()) else {
        internalise(&mut proto, folder)?;
        return Ok(Decoded::Foreign(Box::new(proto)));
    };
    let too_large = || Problem::new(format_args!("a tensor of type {dtype} and shape {shape:?} is too large"));
    let count = element_count(&shape).ok_or_else(too_large)?;
    if external {
        if dtype == DType::String {
            return Err(Problem::new("strings cannot be external data"));
        }
        let expected = dtype.byte_len(count).ok_or_else(too_large)?;
        let external = external_bytes(&proto, Some(expected), folder)?;
        let tensor = Tensor::new(dtype, &shape, Data::Bytes(external.bytes)).map_err(Problem::new)?;
        let External { file, checksum, .. } = external;
        return Ok(Decoded::Tensor(tensor, Storage::External { file, checksum }));
    }
    let data = if dtype == DType::String {
        if proto.raw_data.as_ref().is_some_and(|raw| !raw.is_empty()) {
            return Err(Problem::new("strings cannot be raw data"));
        }
        Data::Strings(std::mem::take(&mut proto.string_data).into())
    } else {
        match proto.raw_data.take() {
            Some(raw) if !raw.is_empty() => Data::Bytes(raw),
            _ => {
                let bytes = typed_bytes(dtype, &mut proto);
                if bytes.is_empty() && count > 0 {
                    return Err(Problem::new(format_args!("a tensor of type {dtype} and shape {shape:?} has no data")));
                }
                Data::Bytes(bytes)
            }
        }
    };
    let tensor = Tensor::new(dtype, &shape, data).map_err(Problem::new)?;
    Ok(Decoded::Tensor(tensor, Storage::Inline))
}

/// Moves external data into the message, for tensors that are kept encoded.
///
/// # Errors
/// If the file cannot be read, or all such data of a model are more than a message should hold.
pub(super) fn internalise(proto: &mut TensorProto, folder: &mut Folder) -> Result<(), Problem> {
    if proto.data_location != Some(EXTERNAL) {
        return Ok(());
    }
    let bytes = external_bytes(proto, None, folder)?.bytes;
    // Any number of tensors may name the same large file.
    if !folder.may_keep(bytes.len() as u64) {
        return Err(Problem::new("more than 1 GiB in all of external data of types that only pass through"));
    }
    proto.raw_data = Some(bytes);
    proto.data_location = None;
    proto.external_data.clear();
    Ok(())
}

/// Moves all external data below these nodes into their messages.
pub(super) fn internalise_nodes(nodes: &mut [NodeProto], folder: &mut Folder) -> Result<(), Problem> {
    for attribute in nodes.iter_mut().flat_map(|n| &mut n.attribute) {
        internalise_attribute(attribute, folder)?;
    }
    Ok(())
}

/// Moves all external data below this attribute into its messages.
pub(super) fn internalise_attribute(attribute: &mut AttributeProto, folder: &mut Folder) -> Result<(), Problem> {
    let sparse = attribute.sparse_tensor.iter_mut().map(|s| &mut **s).chain(&mut attribute.sparse_tensors);
    let parts = sparse.flat_map(|s| s.values.iter_mut().chain(&mut s.indices));
    let own = attribute.t.iter_mut().map(|t| &mut **t).chain(&mut attribute.tensors);
    for tensor in own.chain(parts) {
        internalise(tensor, folder)?;
    }
    for graph in attribute.g.iter_mut().map(|g| &mut **g).chain(&mut attribute.graphs) {
        internalise_graph(graph, folder)?;
    }
    Ok(())
}

/// Moves all external data of a graph into its messages.
pub(super) fn internalise_graph(graph: &mut GraphProto, folder: &mut Folder) -> Result<(), Problem> {
    let sparse = graph.sparse_initializer.iter_mut().flat_map(|s| s.values.iter_mut().chain(&mut s.indices));
    for tensor in graph.initializer.iter_mut().chain(sparse) {
        internalise(tensor, folder)?;
    }
    internalise_nodes(&mut graph.node, folder)
}

/// Dimensions as unsigned numbers.
fn dims(dims: &[i64]) -> Result<Vec<u64>, Problem> {
    let size = |&d: &i64| u64::try_from(d).map_err(|_| Problem::new(format_args!("dims has the negative size {d}")));
    dims.iter().map(size).collect()
}

/// The typed field that holds elements of this type, as little-endian bytes.
fn typed_bytes(dtype: DType, proto: &mut TensorProto) -> Bytes {
    match dtype {
        DType::F32 => adopt(std::mem::take(&mut proto.float_data), f32::to_le_bytes),
        DType::F64 => adopt(std::mem::take(&mut proto.double_data), f64::to_le_bytes),
        DType::I64 => adopt(std::mem::take(&mut proto.int64_data), i64::to_le_bytes),
        DType::U64 => adopt(std::mem::take(&mut proto.uint64_data), u64::to_le_bytes),
        DType::I32 => adopt(std::mem::take(&mut proto.int32_data), i32::to_le_bytes),
        DType::U32 => pack(&proto.uint64_data, |v| (v as u32).to_le_bytes()),
        DType::I16 | DType::U16 | DType::F16 | DType::BF16 => pack(&proto.int32_data, |v| (v as u16).to_le_bytes()),
        // 4-bit types: each entry is a byte with two elements.
        DType::I8 | DType::U8 | DType::Bool | DType::F8E4M3 | DType::F8E5M2 | DType::I4 | DType::U4 => {
            pack(&proto.int32_data, |v| [v as u8])
        }
        DType::String => Bytes::new(),
    }
}

fn pack<T: Copy, const N: usize>(values: &[T], bytes_of: impl Fn(T) -> [u8; N]) -> Bytes {
    let mut out = Vec::with_capacity(values.len() * N);
    values.iter().for_each(|&v| out.extend_from_slice(&bytes_of(v)));
    out.into()
}

/// Numbers that are stored as they are: their memory becomes the tensor's, without a copy.
fn adopt<T, const N: usize>(values: Vec<T>, bytes_of: impl Fn(T) -> [u8; N]) -> Bytes
where
    T: Copy + Send + Sync + Immutable + IntoBytes + 'static,
{
    struct Owned<T>(Vec<T>);
    impl<T: Immutable + IntoBytes> AsRef<[u8]> for Owned<T> {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    if cfg!(target_endian = "little") { Bytes::from_owner(Owned(values)) } else { pack(&values, bytes_of) }
}

/// What `external_data` says.
struct External {
    bytes: Bytes,
    file: String,
    /// Whether it has a checksum, which is verified then.
    checksum: bool,
}

/// The bytes that `external_data` points at. Its optional `checksum` is the SHA-1 digest of the whole file.
fn external_bytes(proto: &TensorProto, expected: Option<u64>, folder: &mut Folder) -> Result<External, Problem> {
    let field = |key: &str| {
        proto.external_data.iter().find(|e| e.key.as_deref() == Some(key)).map(|e| e.value.as_deref().unwrap_or(""))
    };
    let number = |key: &str| match field(key) {
        None => Ok(None),
        Some(text) => text
            .trim()
            .parse::<u64>()
            .map(Some)
            .map_err(|_| Problem::new(format_args!("{key} is {text:?}, not a number")).within("external_data")),
    };
    let location = field("location").ok_or_else(|| Problem::new("external_data names no location"))?;
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let bytes = folder.open(location).map_err(|p| p.within("external_data"))?;
    let checksum = field("checksum").map(str::trim).filter(|text| !text.is_empty());
    if let Some(stated) = checksum {
        check_sha1(stated, location, folder).map_err(|p| p.within("external_data"))?;
    }
    let available = bytes.len() as u64;
    let length = length.or(expected).unwrap_or(available.saturating_sub(offset));
    match offset.checked_add(length) {
        Some(end) if end <= available => Ok(External {
            bytes: bytes.slice(offset as usize..end as usize),
            file: location.to_owned(),
            checksum: checksum.is_some(),
        }),
        _ => Err(Problem::new(format_args!(
            "{length} bytes from offset {offset} are beyond the end of {location:?}, which has {available} bytes"
        ))
        .within("external_data")),
    }
}

/// That the file has this SHA-1 digest.
fn check_sha1(stated: &str, file: &str, folder: &mut Folder) -> Result<(), Problem> {
    if stated.len() != 40 || !stated.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Problem::new(format_args!("checksum is {stated:?}, not the 40 hex digits of SHA-1")));
    }
    let found = folder.sha1(file)?;
    if !found.eq_ignore_ascii_case(stated) {
        return Err(Problem::new(format_args!(
            "the file {file:?} is not the one that the model was saved with: its SHA-1 checksum is {found}, and the \
             model says {stated}"
        )));
    }
    Ok(())
}

/// The dense form of a sparse tensor; `None` when it is too large to spell out or of a type that graphopt does not name.
///
/// # Errors
/// If indices, values and dimensions do not fit each other.
pub(super) fn densify(sparse: &SparseTensorProto, folder: &mut Folder) -> Result<Option<Tensor>, Problem> {
    let values = sparse.values.clone().ok_or_else(|| Problem::new("a sparse tensor without values"))?;
    let indices = sparse.indices.clone().unwrap_or_default();
    let shape = dims(&sparse.dims)?;
    let Decoded::Tensor(values, _) = decode(values, folder).map_err(|p| p.within("values"))? else { return Ok(None) };
    let dtype = values.dtype();
    let count = element_count(&shape).ok_or_else(|| Problem::new(format_args!("dims {shape:?} are too large")))?;
    let byte_len = dtype.byte_len(count).unwrap_or(u64::MAX);
    let (Some(bytes), 8..) = (values.bytes(), dtype.bits()) else { return Ok(None) };
    if byte_len > MAX_DENSE_BYTES || !folder.may_keep(byte_len) {
        return Ok(None);
    }
    let positions = match indices.data_type {
        None if values.is_empty() => Vec::new(),
        _ => match decode(indices, folder).map_err(|p| p.within("indices"))? {
            Decoded::Tensor(t, _) if t.dtype() == DType::I64 => linear(&t, &shape, values.len())?,
            _ => return Err(Problem::new("indices are not of type i64")),
        },
    };
    let width = (dtype.bits() / 8) as usize;
    let mut dense = vec![0u8; byte_len as usize];
    for (chunk, position) in bytes.chunks_exact(width).zip(positions) {
        let at = usize::try_from(position).ok().filter(|_| position < count);
        let at = at.ok_or_else(|| Problem::new(format_args!("index {position} is outside of {shape:?}")))?;
        dense[at * width..(at + 1) * width].copy_from_slice(chunk);
    }
    Tensor::new(dtype, &shape, Data::Bytes(dense.into())).map(Some).map_err(Problem::new)
}

/// Row-major positions from indices of shape `[nnz]` (positions) or `[nnz, rank]` (coordinates).
fn linear(indices: &Tensor, shape: &[u64], nnz: u64) -> Result<Vec<u64>, Problem> {
    let misfit = || Problem::new(format_args!("indices of shape {:?} do not fit {nnz} values", indices.shape()));
    let numbers = indices.to_i64s(u64::MAX).ok_or_else(misfit)?;
    let outside = |n: i64| Problem::new(format_args!("index {n} is outside of {shape:?}"));
    match indices.shape() {
        [n] if *n == nnz => numbers.into_iter().map(|n| u64::try_from(n).map_err(|_| outside(n))).collect(),
        [n, rank] if *n == nnz && *rank == shape.len() as u64 && *rank > 0 => {
            let position = |row: &[i64]| {
                row.iter().zip(shape).try_fold(0u64, |sum, (&i, &size)| match u64::try_from(i) {
                    // No overflow: the sum stays below the element count.
                    Ok(i) if i < size => Ok(sum * size + i),
                    _ => Err(outside(i)),
                })
            };
            numbers.chunks_exact(shape.len()).map(position).collect()
        }
        _ => Err(misfit()),
    }
}

/// The encoded tensor without its data: name, type and shape, and strings, which have no raw form.
pub(super) fn head(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto {
        dims: tensor.shape().iter().map(|&d| d as i64).collect(),
        data_type: Some(tensor.dtype().onnx()),
        string_data: match tensor.data() {
            Data::Strings(strings) => strings.to_vec(),
            Data::Bytes(_) | Data::Init(_) => Vec::new(),
        },
        name: (!name.is_empty()).then(|| name.to_owned()),
        ..TensorProto::default()
    }
}

/// The encoded tensor with its data in it.
pub(super) fn encode(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto { raw_data: tensor.bytes(), ..head(name, tensor) }
}

#[cfg(test)]
mod tests {
    use super::super::proto::StringStringEntryProto;
    use super::*;

    fn read(proto: TensorProto) -> Result<Tensor, String> {
        match decode(proto, &mut Folder::none()) {
            Ok(Decoded::Tensor(t, _)) => Ok(t),
            Ok(Decoded::Foreign(_)) => Err("foreign".into()),
            Err(p) => Err(p.to_string()),
        }
    }

    #[test]
    fn typed_fields_hold_every_type() {
        let f16 = half::f16::from_f32(1.5);
        let proto = TensorProto {
            dims: vec![1],
            data_type: Some(10),
            int32_data: vec![f16.to_bits().into()],
            ..Default::default()
        };
        assert_eq!(read(proto).unwrap().to_f64s(1), Some(vec![1.5]));
        let proto = TensorProto { dims: vec![2], data_type: Some(3), int32_data: vec![-1, 5], ..Default::default() };
        assert_eq!(read(proto).unwrap().to_i64s(2), Some(vec![-1, 5]));
        let proto =
            TensorProto { dims: vec![], data_type: Some(12), uint64_data: vec![u32::MAX.into()], ..Default::default() };
        assert_eq!(read(proto).unwrap().to_i64s(2), Some(vec![u32::MAX.into()]));
        let proto =
            TensorProto { dims: vec![3], data_type: Some(22), int32_data: vec![0x21, 0x03], ..Default::default() };
        assert_eq!(&read(proto).unwrap().bytes().unwrap()[..], [0x21, 0x03]);
    }

    #[test]
    fn misfits_are_refused() {
        let base = TensorProto { dims: vec![2], data_type: Some(1), ..Default::default() };
        assert!(read(base.clone()).unwrap_err().contains("has no data"));
        assert!(read(TensorProto { dims: vec![-2], ..base.clone() }).unwrap_err().contains("negative"));
        assert!(read(TensorProto { data_type: Some(0), ..base.clone() }).unwrap_err().contains("no element type"));
        assert!(read(TensorProto { dims: vec![i64::MAX; 3], ..base.clone() }).unwrap_err().contains("too large"));
        let short = TensorProto { raw_data: Some(Bytes::from_static(&[0; 4])), ..base.clone() };
        assert!(read(short).unwrap_err().contains("needs 8 bytes"));
        let entry = |k: &str, v: &str| StringStringEntryProto { key: Some(k.into()), value: Some(v.into()) };
        let external = TensorProto {
            data_location: Some(EXTERNAL),
            external_data: vec![entry("location", "../x"), entry("offset", "4")],
            ..base.clone()
        };
        assert!(read(external).unwrap_err().contains("must not leave"));
        assert_eq!(read(TensorProto { data_type: Some(14), ..base }).unwrap_err(), "foreign");
    }

    #[test]
    fn data_of_messages_that_are_kept_come_into_them() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("w"), [1, 2, 3, 4]).unwrap();
        let mut folder = Folder::of(&dir.path().join("m.onnx"));
        let location = StringStringEntryProto { key: Some("location".into()), value: Some("w".into()) };
        let external =
            TensorProto { data_location: Some(EXTERNAL), external_data: vec![location], ..Default::default() };
        let sparse = SparseTensorProto { values: Some(external.clone()), ..Default::default() };
        let inner = AttributeProto { tensors: vec![external.clone()], ..Default::default() };
        let graph = GraphProto {
            node: vec![NodeProto { attribute: vec![inner], ..Default::default() }],
            initializer: vec![external.clone()],
            ..Default::default()
        };
        let mut node = NodeProto {
            attribute: vec![
                AttributeProto { t: Some(Box::new(external)), ..Default::default() },
                AttributeProto { sparse_tensors: vec![sparse], ..Default::default() },
                AttributeProto { g: Some(Box::new(graph)), ..Default::default() },
            ],
            ..Default::default()
        };
        internalise_nodes(std::slice::from_mut(&mut node), &mut folder).unwrap();
        let text = format!("{node:?}");
        assert_eq!(text.matches("raw_data: Some(b\"\\x01\\x02\\x03\\x04\")").count(), 4, "{text}");
        assert_eq!(text.matches("data_location: Some").count(), 0);
    }

    #[test]
    fn sparse_tensors_are_spelt_out() {
        let values = encode("s", &Tensor::from_f32s(&[2], &[5.0, 6.0]).unwrap());
        let indices = encode("", &Tensor::from_i64s(&[2, 2], &[0, 1, 1, 2]).unwrap());
        let sparse = SparseTensorProto { values: Some(values), indices: Some(indices), dims: vec![2, 3] };
        let dense = densify(&sparse, &mut Folder::none()).unwrap().unwrap();
        assert_eq!(dense.to_f64s(6), Some(vec![0.0, 5.0, 0.0, 0.0, 0.0, 6.0]));
        let outside = SparseTensorProto { dims: vec![2, 2], ..sparse.clone() };
        assert!(densify(&outside, &mut Folder::none()).unwrap_err().what.contains("outside"));
        let huge = SparseTensorProto { dims: vec![1 << 30, 1 << 30], ..sparse };
        assert_eq!(densify(&huge, &mut Folder::none()), Ok(None));
    }
}
