//! Writing ONNX files: messages in the order of field numbers, weights streamed one at a time, large ones into a file
//! beside the model.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Seek, Write};
use std::path::Path;

use prost::Message;

use super::error::{FormatError, Problem};
use super::files;
use super::model::{Foreign, Model, Storage, Weight};
use super::onnx_write::{self, AllInline, Initializer, Layout, Place, entries, for_each_weight, named, text};
use super::proto;
use crate::graph::DType;

/// The largest message that protobuf implementations read: 2 GiB - 1.
const MAX_MESSAGE: u64 = i32::MAX as u64;
/// Weights of at least this many bytes leave the file when the model would be larger than a message may be.
const MIN_EXTERNAL: u64 = 1024;
/// External tensors begin at multiples of this, as ONNX recommends for memory maps: the size of a page.
const ALIGNMENT: u64 = 4096;

/// The fields of a `ModelProto` before and behind its graph, and the parts of the graph, so that they can be written
/// one after the other.
struct Parts<'a> {
    before: proto::ModelProto,
    nodes: Vec<proto::NodeProto>,
    name: proto::GraphProto,
    initializers: Vec<Initializer<'a>>,
    foreign: Vec<&'a [u8]>,
    tail: proto::GraphProto,
    after: proto::ModelProto,
}

/// Field numbers with wire type 2: the key bytes of a length-delimited field below 16.
const fn key(number: u8) -> u8 {
    number << 3 | 2
}
const NODE: u8 = key(1);
const INITIALIZER: u8 = key(5);
const GRAPH: u8 = key(7);
const RAW_DATA: u8 = key(9);

impl<'a> Parts<'a> {
    fn new(model: &'a Model, layout: &mut dyn Layout) -> Result<Parts<'a>, Problem> {
        let extra = &model.extra;
        let import = |(domain, version): (&String, &i64)| proto::OperatorSetIdProto {
            domain: Some(domain.clone()),
            version: Some(*version),
        };
        // Sub-graphs first: the order in which the layout hands out its places.
        let nodes = onnx_write::nodes(model, layout)?;
        let dense = model.weights.iter().filter(|(_, w)| !matches!(w.storage, Storage::Sparse(_)));
        Ok(Parts {
            before: proto::ModelProto {
                ir_version: Some(extra.ir_version.unwrap_or_else(|| ir_version(model))),
                producer_name: text(&extra.producer_name),
                producer_version: text(&extra.producer_version),
                domain: text(&extra.domain),
                model_version: extra.model_version,
                doc_string: text(&extra.doc),
                ..proto::ModelProto::default()
            },
            nodes,
            name: proto::GraphProto { name: Some(model.name.clone()), ..proto::GraphProto::default() },
            initializers: dense.map(|(name, w)| onnx_write::initializer(name, w, layout)).collect(),
            foreign: model
                .foreign_weights
                .values()
                .filter_map(|f| match f {
                    Foreign::Dense(bytes) => Some(&bytes[..]),
                    Foreign::Sparse(_) => None,
                })
                .collect(),
            tail: onnx_write::graph_tail(model)?,
            after: proto::ModelProto {
                opset_import: model.opset_import.iter().map(import).collect(),
                metadata_props: entries(&extra.metadata),
                training_info: named(&extra.protos, "training_info")?,
                functions: extra
                    .functions
                    .iter()
                    .map(|bytes| onnx_write::decode(bytes, "functions"))
                    .collect::<Result<_, _>>()?,
                configuration: named(&extra.protos, "configuration")?,
                ..proto::ModelProto::default()
            },
        })
    }

    fn graph_len(&self) -> u64 {
        let nodes: u64 = self.nodes.iter().map(|n| field_len(n.encoded_len() as u64)).sum();
        let weights: u64 = self.initializers.iter().map(|i| field_len(initializer_len(i))).sum();
        let foreign: u64 = self.foreign.iter().map(|f| field_len(f.len() as u64)).sum();
        nodes + self.name.encoded_len() as u64 + weights + foreign + self.tail.encoded_len() as u64
    }

    fn len(&self) -> u64 {
        self.before.encoded_len() as u64 + field_len(self.graph_len()) + self.after.encoded_len() as u64
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.before.encode_to_vec())?;
        write_key(out, GRAPH, self.graph_len())?;
        for node in &self.nodes {
            let bytes = node.encode_to_vec();
            write_key(out, NODE, bytes.len() as u64)?;
            out.write_all(&bytes)?;
        }
        out.write_all(&self.name.encode_to_vec())?;
        for initializer in &self.initializers {
            write_key(out, INITIALIZER, initializer_len(initializer))?;
            out.write_all(&initializer.before.encode_to_vec())?;
            if let Some(tensor) = initializer.data {
                write_key(out, RAW_DATA, tensor.byte_len())?;
                tensor.in_parts(|part| out.write_all(part))?;
            }
            out.write_all(&initializer.after.encode_to_vec())?;
        }
        for bytes in &self.foreign {
            write_key(out, INITIALIZER, bytes.len() as u64)?;
            out.write_all(bytes)?;
        }
        out.write_all(&self.tail.encode_to_vec())?;
        out.write_all(&self.after.encode_to_vec())
    }
}

fn initializer_len(initializer: &Initializer) -> u64 {
    let data = initializer.data.map_or(0, |tensor| field_len(tensor.byte_len()));
    initializer.before.encoded_len() as u64 + data + initializer.after.encoded_len() as u64
}

/// Length of a length-delimited field: key, length, content.
fn field_len(content: u64) -> u64 {
    1 + prost::length_delimiter_len(content as usize) as u64 + content
}

fn write_key(out: &mut impl Write, key: u8, length: u64) -> io::Result<()> {
    let mut bytes = vec![key];
    prost::encode_length_delimiter(length as usize, &mut bytes).map_err(io::Error::other)?;
    out.write_all(&bytes)
}

/// The IR version to state for a model that states none: what the onnx package writes for its operator set, but at least 8.
fn ir_version(model: &Model) -> i64 {
    match model.opset_import.get("").copied().unwrap_or(0) {
        ..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        23 => 11,
        24 => 12,
        25..=27 => 13,
        _ => proto::IR_VERSION,
    }
}

/// Writes the model's bytes with all weights in them.
///
/// # Errors
/// If a message that the model keeps is broken, or on a failure of the writer.
pub fn write_inline(model: &Model, out: &mut impl Write) -> io::Result<()> {
    Parts::new(model, &mut AllInline).map_err(io::Error::other)?.write(out)
}

/// Writes the model to `path`, and weights that were external, or all large ones if the model would be larger than a
/// protobuf message may be, to a file beside it that is named after its content.
///
/// # Errors
/// If a message that the model keeps is broken, or the system refuses to write.
pub(super) fn save(model: &Model, path: &Path) -> Result<(), FormatError> {
    let invalid = |problem| FormatError::invalid(path, problem);
    let mut layout = External::new(false);
    for_each_weight(model, &mut |w| layout.plan(w));
    let mut parts = Parts::new(model, &mut layout.places()).map_err(invalid)?;
    if parts.len() > MAX_MESSAGE {
        layout = External::new(true);
        for_each_weight(model, &mut |w| layout.plan(w));
        parts = Parts::new(model, &mut layout.places()).map_err(invalid)?;
        if parts.len() > MAX_MESSAGE {
            let length = parts.len();
            return Err(invalid(Problem::new(format_args!(
                "the model takes {length} bytes even without its weights, more than the 2 GiB of an ONNX file"
            ))));
        }
    }
    if layout.end > 0 {
        (layout.location, layout.digest) = write_data(model, path, &layout).map_err(|e| FormatError::io(path, e))?;
        parts = Parts::new(model, &mut layout.places()).map_err(invalid)?;
    }
    files::write_atomically(path, |out| parts.write(out)).map_err(|e| FormatError::io(path, e))
}

/// A plan of the data file: the place of each weight in the order of [`for_each_weight`].
struct External {
    all: bool,
    places: Vec<Option<Planned>>,
    end: u64,
    location: String,
    digest: String,
}

/// Where a weight goes: offset and length, and whether the file's checksum is stated.
#[derive(Clone, Copy)]
struct Planned {
    offset: u64,
    length: u64,
    checksum: bool,
}

impl External {
    fn new(all: bool) -> External {
        // Digests are 40 hex digits, so that the length of the file is known before the data are written.
        External { all, places: Vec::new(), end: 0, location: String::new(), digest: "0".repeat(40) }
    }

    fn plan(&mut self, weight: &Weight) {
        let length = weight.tensor.byte_len();
        let wanted = matches!(weight.storage, Storage::External { .. }) || (self.all && length >= MIN_EXTERNAL);
        if !wanted || weight.tensor.dtype() == DType::String || length == 0 {
            self.places.push(None);
            return;
        }
        let offset = self.end.next_multiple_of(ALIGNMENT);
        self.end = offset + length;
        let checksum = matches!(weight.storage, Storage::External { checksum: true, .. });
        self.places.push(Some(Planned { offset, length, checksum }));
    }

    fn places(&self) -> Places<'_> {
        Places { left: self.places.iter().copied().collect(), location: &self.location, digest: &self.digest }
    }
}

/// Hands out the planned places in order.
struct Places<'a> {
    left: VecDeque<Option<Planned>>,
    location: &'a str,
    digest: &'a str,
}

impl Layout for Places<'_> {
    fn place(&mut self, _: &Weight) -> Place {
        match self.left.pop_front().flatten() {
            Some(Planned { offset, length, checksum }) => Place::External { offset, length, checksum },
            None => Place::Inline,
        }
    }

    fn location(&self) -> &str {
        self.location
    }

    fn digest(&self) -> &str {
        self.digest
    }
}

/// Writes the planned data, and returns the name of the file (the model's stem and a digest of the content) and its SHA-1
/// digest, empty if no weight asks for it.
fn write_data(model: &Model, path: &Path, layout: &External) -> io::Result<(String, String)> {
    let mut temporary = files::temporary_beside(path)?;
    let mut hasher = blake3::Hasher::new();
    files::write_and_sync(temporary.as_file_mut(), |out| {
        let mut places = layout.places.iter();
        let mut result = Ok(());
        for_each_weight(model, &mut |weight| {
            let Some(&Some(Planned { offset, length, .. })) = places.next() else { return };
            if result.is_ok() {
                result = write_at(out, weight, offset, length, &mut hasher);
            }
        });
        result
    })?;
    temporary.as_file().set_len(layout.end)?;
    temporary.as_file().sync_all()?;
    let checksum = layout.places.iter().flatten().any(|place| place.checksum);
    let sha1 = if checksum { files::sha1_hex(&files::map(temporary.as_file())?) } else { String::new() };
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let name = format!("{stem}.{}.data", &hasher.finalize().to_hex()[..16]);
    temporary.persist(path.with_file_name(&name)).map_err(|e| e.error)?;
    files::sync_folder(path)?;
    Ok((name, sha1))
}

fn write_at(
    out: &mut (impl Write + Seek),
    weight: &Weight,
    offset: u64,
    length: u64,
    hasher: &mut blake3::Hasher,
) -> io::Result<()> {
    debug_assert_eq!(weight.tensor.byte_len(), length, "the plan was made for this weight");
    out.seek(io::SeekFrom::Start(offset))?;
    hasher.update(&offset.to_le_bytes());
    weight.tensor.in_parts(|part| {
        hasher.update(part);
        files::write_sparse(part, out)
    })
}

/// Writes the bytes that a model was read from to `path`, and the files that they name beside it. False if a file of
/// one of these names and another content is in the way: nothing is written then.
///
/// # Errors
/// If the system refuses to read or write.
pub(super) fn copy_source(source: &super::model::Source, path: &Path) -> Result<bool, FormatError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut missing = Vec::new();
    for (name, bytes) in &source.files {
        let target = folder.join(name);
        match fs::metadata(&target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push((target, bytes)),
            Err(e) => return Err(FormatError::io(&target, e)),
            Ok(_) => {
                let there = files::map_file(&target).map_err(|e| FormatError::io(&target, e))?;
                // The same map at the same place is the same file, however large.
                if there != *bytes {
                    return Ok(false);
                }
            }
        }
    }
    for (target, bytes) in missing {
        files::copy_sparse(bytes, &target).map_err(|e| FormatError::io(&target, e))?;
    }
    files::write_atomically(path, |out| out.write_all(&source.bytes)).map_err(|e| FormatError::io(path, e))?;
    Ok(true)
}
