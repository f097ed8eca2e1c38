//! The data of tensors in JSON: drawn by a rule, inline, or in a safetensors file beside the graph.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;

use super::base64;
use super::error::Problem;
use super::files::Folder;
use super::json_tree::{Fields, Json, expected};
use super::safetensors::TensorFile;
use crate::graph::{DType, Data, Init, Tensor};

/// Weights that a file asks us to draw take at most this many bytes in all (16 GiB): a file of a few bytes can ask for
/// any size.
const MAX_DRAWN: u64 = 16 << 30;
/// Tensors of at most this many elements are written inline.
const MAX_INLINE: u64 = 64;

/// The files that tensors are read from, and what was drawn so far.
pub(super) struct Sources<'a> {
    folder: &'a mut Folder,
    files: IndexMap<String, Arc<TensorFile>>,
    drawn: u64,
}

impl<'a> Sources<'a> {
    /// Nothing read yet.
    pub(super) fn new(folder: &'a mut Folder) -> Sources<'a> {
        Sources { folder, files: IndexMap::new(), drawn: 0 }
    }

    /// The folder that files are read from.
    pub(super) fn folder(&mut self) -> &mut Folder {
        self.folder
    }

    fn file(&mut self, name: String) -> Result<Arc<TensorFile>, Problem> {
        if let Some(file) = self.files.get(&name) {
            return Ok(file.clone());
        }
        let bytes = self.folder.open(&name)?;
        let file = TensorFile::parse(bytes).map_err(|p| p.within(format_args!("file {name:?}")))?;
        let file = Arc::new(file);
        self.files.insert(name, file.clone());
        Ok(file)
    }
}

/// Reads the field `data` of a tensor of this type and shape.
pub(super) fn read(json: Json, dtype: DType, shape: &[u64], sources: &mut Sources) -> Result<Tensor, Problem> {
    let mut fields = json.into_fields()?;
    let tensor = match fields.maybe("init", Json::into_text)? {
        Some(rule) => {
            let tensor = drawn(&rule, &mut fields, dtype, shape)?;
            sources.drawn = sources.drawn.saturating_add(tensor.byte_len());
            if sources.drawn > MAX_DRAWN {
                return Err(Problem::new("weights drawn by a rule take more than 16 GiB in all").within("\"init\""));
            }
            tensor
        }
        None => match fields.maybe("inline", Json::into_list)? {
            Some(list) => inline(&list, dtype, shape).map_err(|p| p.within("\"inline\""))?,
            None => match fields.maybe("inline_base64", Json::into_list)? {
                Some(list) => {
                    let strings = list.into_iter().map(Json::into_bytes).collect::<Result<_, _>>()?;
                    Tensor::new(dtype, shape, Data::Strings(strings)).map_err(Problem::new)?
                }
                None => stored(&mut fields, dtype, shape, sources)?,
            },
        },
    };
    fields.finish()?;
    Ok(tensor)
}

fn drawn(rule: &str, fields: &mut Fields, dtype: DType, shape: &[u64]) -> Result<Tensor, Problem> {
    let finite = |fields: &mut Fields, name: &'static str| {
        let read = |j: Json| match j.to_float()? {
            v if v.is_finite() => Ok(v),
            v => Err(Problem::new(format_args!("{v} is not finite"))),
        };
        fields.need(name, read)
    };
    let seed = |fields: &mut Fields| fields.need("seed", |j| j.to_sized::<u64>());
    let init = match rule {
        "normal" => Init::Normal { seed: seed(fields)?, std: finite(fields, "std")? },
        "uniform" => Init::Uniform { seed: seed(fields)?, low: finite(fields, "low")?, high: finite(fields, "high")? },
        "zeros" => Init::Zeros,
        "ones" => Init::Ones,
        "constant" => Init::Constant(fields.need("value", |j| j.to_float())?),
        other => {
            let known = "normal, uniform, zeros, ones, constant";
            return Err(Problem::new(format_args!("unknown rule {other:?}; the rules are {known}")).within("\"init\""));
        }
    };
    Tensor::new(dtype, shape, Data::Init(init)).map_err(Problem::new)
}

/// A tensor in a safetensors file.
fn stored(fields: &mut Fields, dtype: DType, shape: &[u64], sources: &mut Sources) -> Result<Tensor, Problem> {
    let file = fields.maybe("file", Json::into_text)?;
    let file = file.ok_or_else(|| Problem::new("one of the fields \"init\", \"inline\" and \"file\" is needed"))?;
    let name = fields.need("tensor", Json::into_text)?;
    let place = format!("file {file:?}");
    let tensor = sources.file(file)?.tensor_as(&name, Some((dtype, shape))).map_err(|p| p.within(place))?;
    if tensor.dtype() != dtype || tensor.shape() != shape {
        return Err(Problem::new(format_args!(
            "the tensor {name:?} in the file is {} {:?}, not {dtype} {shape:?}",
            tensor.dtype(),
            tensor.shape()
        )));
    }
    Ok(tensor)
}

fn inline(list: &[Json], dtype: DType, shape: &[u64]) -> Result<Tensor, Problem> {
    let data = if dtype == DType::String {
        let text = |j: &Json| match j {
            Json::Text(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            other => Err(expected("a string", other)),
        };
        Data::Strings(list.iter().map(text).collect::<Result<_, _>>()?)
    } else {
        let count = list.len() as u64;
        if crate::graph::element_count(shape) != Some(count) {
            return Err(Problem::new(format_args!("{count} elements do not fill the shape {shape:?}")));
        }
        let mut bytes = Vec::with_capacity(list.len() * dtype.bits().div_ceil(8) as usize);
        for (i, json) in list.iter().enumerate() {
            element(json, dtype, i, &mut bytes).map_err(|p| p.within(format_args!("element {i}")))?;
        }
        Data::Bytes(bytes.into())
    };
    Tensor::new(dtype, shape, data).map_err(Problem::new)
}

/// Appends one element.
fn element(json: &Json, dtype: DType, index: usize, out: &mut Vec<u8>) -> Result<(), Problem> {
    let nibble = |out: &mut Vec<u8>, value: u8| match out.last_mut() {
        Some(last) if !index.is_multiple_of(2) => *last |= value << 4,
        _ => out.push(value & 0xf),
    };
    let ranged = |low: i128, high: i128| match json.to_int()? {
        n if (low..=high).contains(&n) => Ok(n as u8),
        n => Err(Problem::new(format_args!("{n} does not fit {dtype}"))),
    };
    match dtype {
        DType::F64 => out.extend(json.to_float()?.to_le_bytes()),
        DType::F32 => out.extend((json.to_float()? as f32).to_le_bytes()),
        DType::F16 => out.extend(half::f16::from_f64(json.to_float()?).to_le_bytes()),
        DType::BF16 => out.extend(half::bf16::from_f64(json.to_float()?).to_le_bytes()),
        DType::I64 => out.extend(json.to_sized::<i64>()?.to_le_bytes()),
        DType::I32 => out.extend(json.to_sized::<i32>()?.to_le_bytes()),
        DType::I16 => out.extend(json.to_sized::<i16>()?.to_le_bytes()),
        DType::I8 => out.extend(json.to_sized::<i8>()?.to_le_bytes()),
        DType::U64 => out.extend(json.to_sized::<u64>()?.to_le_bytes()),
        DType::U32 => out.extend(json.to_sized::<u32>()?.to_le_bytes()),
        DType::U16 => out.extend(json.to_sized::<u16>()?.to_le_bytes()),
        DType::U8 => out.push(json.to_sized()?),
        DType::I4 => nibble(out, ranged(-8, 7)? & 0xf),
        DType::U4 => nibble(out, ranged(0, 15)?),
        DType::Bool => out.push(match json {
            Json::Bool(v) => u8::from(*v),
            _ => ranged(0, 1)?,
        }),
        DType::F8E4M3 | DType::F8E5M2 | DType::String => {
            return Err(Problem::new(format_args!("elements of type {dtype} are not written inline; use a file")));
        }
    }
    Ok(())
}

/// The data of a tensor that needs no file; `None` if it is large, or inline numbers would not read back as the same
/// bits.
pub(super) fn write_inline(tensor: &Tensor) -> Option<Json> {
    let named = |name: &'static str, json: Json| Json::object([(name, Some(json))]);
    match tensor.data() {
        Data::Init(init) => Some(write_init(init)),
        Data::Strings(strings) => {
            let plain = strings.iter().map(|s| std::str::from_utf8(s).ok().map(Json::text)).collect::<Option<Vec<_>>>();
            Some(match plain {
                Some(list) => named("inline", Json::List(list)),
                None => {
                    let coded = strings.iter().map(|s| Json::Text(base64::encode(s))).collect();
                    named("inline_base64", Json::List(coded))
                }
            })
        }
        Data::Bytes(bytes) => {
            if tensor.len() > MAX_INLINE {
                return None;
            }
            let list = elements(tensor.dtype(), bytes, tensor.len() as usize)?;
            let back = inline(&list, tensor.dtype(), tensor.shape()).ok()?;
            (back.bytes().as_ref() == Some(bytes)).then(|| named("inline", Json::List(list)))
        }
    }
}

fn write_init(init: &Init) -> Json {
    let seeded = |seed: u64| Some(Json::exact(seed.into()));
    let rule = |name: &str| Some(Json::text(name));
    match *init {
        Init::Normal { seed, std } => {
            Json::object([("init", rule("normal")), ("seed", seeded(seed)), ("std", Some(Json::float(std)))])
        }
        Init::Uniform { seed, low, high } => Json::object([
            ("init", rule("uniform")),
            ("seed", seeded(seed)),
            ("low", Some(Json::float(low))),
            ("high", Some(Json::float(high))),
        ]),
        Init::Zeros => Json::object([("init", rule("zeros"))]),
        Init::Ones => Json::object([("init", rule("ones"))]),
        Init::Constant(v) => Json::object([("init", rule("constant")), ("value", Some(Json::float(v)))]),
    }
}

/// The elements as JSON; `None` for types that have no inline form.
fn elements(dtype: DType, bytes: &[u8], count: usize) -> Option<Vec<Json>> {
    fn map<const N: usize>(bytes: &[u8], one: impl Fn([u8; N]) -> Json) -> Option<Vec<Json>> {
        let (chunks, _) = bytes.as_chunks::<N>();
        Some(chunks.iter().map(|&c| one(c)).collect())
    }
    match dtype {
        DType::F64 => map(bytes, |c| Json::float(f64::from_le_bytes(c))),
        DType::F32 => map(bytes, |c| Json::float32(f32::from_le_bytes(c))),
        DType::F16 => map(bytes, |c| Json::float32(half::f16::from_le_bytes(c).into())),
        DType::BF16 => map(bytes, |c| Json::float32(half::bf16::from_le_bytes(c).into())),
        DType::I64 => map(bytes, |c| Json::exact(i64::from_le_bytes(c).into())),
        DType::I32 => map(bytes, |c| Json::exact(i32::from_le_bytes(c).into())),
        DType::I16 => map(bytes, |c| Json::exact(i16::from_le_bytes(c).into())),
        DType::I8 => map(bytes, |c| Json::exact(i8::from_le_bytes(c).into())),
        DType::U64 => map(bytes, |c| Json::exact(u64::from_le_bytes(c).into())),
        DType::U32 => map(bytes, |c| Json::exact(u32::from_le_bytes(c).into())),
        DType::U16 => map(bytes, |c| Json::exact(u16::from_le_bytes(c).into())),
        DType::U8 => map(bytes, |c| Json::exact(u8::from_le_bytes(c).into())),
        DType::Bool => map(bytes, |[b]| Json::Bool(b != 0)),
        DType::I4 | DType::U4 => {
            let nibble = |i: usize| bytes[i / 2] >> (4 * (i % 2)) & 0xf;
            let signed = |n: u8| if dtype == DType::I4 && n > 7 { i128::from(n) - 16 } else { n.into() };
            Some((0..count).map(|i| Json::Int(signed(nibble(i)))).collect())
        }
        DType::F8E4M3 | DType::F8E5M2 | DType::String => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, dtype: DType, shape: &[u64]) -> Result<Tensor, String> {
        let json = Json::parse(text.as_bytes()).unwrap();
        read(json, dtype, shape, &mut Sources::new(&mut Folder::none())).map_err(|p| p.to_string())
    }

    #[test]
    fn inline_data_reads_back_to_the_same_bits() {
        let cases: [(DType, u64, &[u8]); 12] = [
            (DType::I4, 3, &[0xf1, 0x07]),
            (DType::U4, 2, &[0xf1]),
            (DType::Bool, 2, &[0, 1]),
            (DType::I8, 2, &[0xff, 1]),
            (DType::U64, 1, &[0xff; 8]),
            (DType::I64, 1, &[0, 0, 0, 0, 0, 0, 0, 0x80]),
            (DType::F32, 2, &[0, 0, 0x80, 0x7f, 0, 0, 0xc0, 0x7f]),
            (DType::F32, 1, &[0, 0, 0, 0x80]),
            (DType::F64, 1, &[1, 0, 0, 0, 0, 0, 0, 0]),
            (DType::F16, 2, &[0, 0xfc, 1, 0]),
            (DType::BF16, 1, &[0xab, 0x3d]),
            (DType::F32, 0, &[]),
        ];
        for (dtype, count, bytes) in cases {
            let tensor = Tensor::new(dtype, &[count], Data::Bytes(Bytes::from_static(bytes))).unwrap();
            let text = write_inline(&tensor).unwrap_or_else(|| panic!("{dtype}")).to_string();
            assert_eq!(parse(&text, dtype, &[count]).as_ref(), Ok(&tensor), "{text}");
        }
        // A NaN with a payload is no number that JSON can say.
        let nan = Tensor::from_f32s(&[1], &[f32::from_bits(0x7fc0_0001)]).unwrap();
        assert_eq!(write_inline(&nan), None);
    }

    #[test]
    fn faults_are_named() {
        let error = |text: &str, dtype, shape: &[u64]| parse(text, dtype, shape).unwrap_err();
        assert_eq!(error(r#"{"inline": [1, 300]}"#, DType::U8, &[2]), "\"inline\": element 1: 300 does not fit u8");
        assert!(error(r#"{"inline": [1]}"#, DType::U8, &[1 << 40]).contains("do not fill"));
        assert!(error(r#"{"inline": [1.5]}"#, DType::I64, &[1]).contains("element 0: expected an integer"));
        assert!(error(r#"{"init": "zeros"}"#, DType::F32, &[1 << 40]).contains("16 GiB"));
        assert!(error(r#"{"init": "zeros"}"#, DType::F32, &[1 << 40, 1 << 40]).contains("too large"));
        assert!(error(r#"{"init": "zeros", "seed": 1}"#, DType::F32, &[1]).contains("unknown field \"seed\""));
        assert!(error(r#"{"init": "normal", "seed": 1}"#, DType::F32, &[1]).contains("\"std\" is missing"));
        assert!(error(r#"{"init": "zeros"}"#, DType::String, &[1]).contains("cannot have data"));
        assert!(error(r#"{"file": "../w", "tensor": "t"}"#, DType::F32, &[1]).contains("must not leave"));
    }
}
