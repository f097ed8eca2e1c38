//! Writing graph files: [`Model`] to JSON, one record per line.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use rustc_hash::FxHashSet;

use super::base64;
use super::error::FormatError;
use super::files;
use super::json_attr;
use super::json_data;
use super::json_read::{FORMAT, VERSION};
use super::json_tree::Json;
use super::model::{DeclaredDim, Foreign, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight};
use super::safetensors;
use crate::graph::Tensor;

/// Writes the graph to `path`, and tensors that are not small to a safetensors file beside it that is named after its
/// content.
///
/// # Errors
/// If the system refuses to write.
pub(super) fn save(model: &Model, path: &Path) -> Result<(), FormatError> {
    let mut writer = Writer::default();
    let mut text = writer.document(model);
    if !writer.stored.is_empty() {
        // The first pass told which tensors go to the file; now its name is known.
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let stored = std::mem::take(&mut writer.stored);
        let name = format!("{stem}.{}.safetensors", digest(&stored));
        safetensors::write_tensors(&path.with_file_name(&name), &stored, &BTreeMap::new())?;
        writer = Writer { file: name, ..Writer::default() };
        text = writer.document(model);
    }
    files::write_atomically(path, |out| out.write_all(text.as_bytes())).map_err(|e| FormatError::io(path, e))
}

/// Writes the graph as one JSON document.
///
/// # Errors
/// If a tensor is too large to be written inline (there is no file beside a stream), or on a failure of the writer.
pub fn write_json(model: &Model, out: &mut impl Write) -> io::Result<()> {
    let mut writer = Writer::default();
    let text = writer.document(model);
    match writer.stored.first() {
        None => out.write_all(text.as_bytes()),
        Some((name, tensor)) => {
            let message = format!("the tensor {name:?}, {tensor:?}, is too large to be written inline");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// 16 hex digits that stand for names and content.
fn digest(tensors: &[(String, &Tensor)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, tensor) in tensors {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&tensor.digest().to_le_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Builds the document and collects the tensors that go to the safetensors file.
#[derive(Default)]
struct Writer<'a> {
    file: String,
    stored: Vec<(String, &'a Tensor)>,
    taken: FxHashSet<String>,
}

impl<'a> Writer<'a> {
    fn document(&mut self, model: &'a Model) -> String {
        let extra = &model.extra;
        let opset = model.opset_import.get("");
        let others: Vec<(String, Json)> = model
            .opset_import
            .iter()
            .filter(|(domain, _)| !domain.is_empty())
            .map(|(domain, version)| (domain.clone(), Json::Int((*version).into())))
            .collect();
        let int = |n: i64| Json::Int(n.into());
        let head = [
            ("format", Some(Json::text(FORMAT))),
            ("version", Some(Json::Int(VERSION))),
            ("name", Some(Json::text(&model.name))),
            ("opset", opset.copied().map(int)),
            ("opset_import", (!others.is_empty()).then_some(Json::Object(others))),
            ("ir_version", extra.ir_version.map(int)),
            ("producer_name", text(&extra.producer_name)),
            ("producer_version", text(&extra.producer_version)),
            ("domain", text(&extra.domain)),
            ("model_version", extra.model_version.map(int)),
            ("doc", text(&extra.doc)),
            ("metadata", pairs(&extra.metadata)),
        ];
        let functions = extra.functions.iter().map(|f| Json::Text(base64::encode(f))).collect();
        let mut sections = self.graph(model);
        sections.push(("functions", list(functions)));
        // Head fields share the first line; each list has its heading, and a record on each line.
        let mut out = Json::object(head).to_string();
        out.pop();
        for (name, value) in sections {
            match value {
                None => {}
                Some(Json::List(records)) if records.is_empty() => out += &format!(",\n\"{name}\": []"),
                Some(Json::List(records)) => {
                    out += &format!(",\n\"{name}\": [\n");
                    let lines: Vec<String> = records.iter().map(|r| format!("  {r}")).collect();
                    out += &lines.join(",\n");
                    out += "\n]";
                }
                Some(other) => out += &format!(",\n\"{name}\": {other}"),
            }
        }
        out + "}\n"
    }

    /// The fields of a graph other than its name.
    fn graph(&mut self, model: &'a Model) -> Vec<(&'static str, Option<Json>)> {
        let values = |values: &[ValueInfo]| Json::List(values.iter().map(value).collect());
        let weights = model.weights.iter().map(|(name, w)| self.weight(name, w)).collect();
        let foreign = model.foreign_weights.iter().map(|(name, f)| foreign(name, f)).collect();
        let nodes = model.nodes.iter().map(|n| self.node(n)).collect();
        vec![
            ("inputs", Some(values(&model.inputs))),
            ("weights", list(weights)),
            ("foreign_weights", list(foreign)),
            ("nodes", Some(Json::List(nodes))),
            ("outputs", Some(values(&model.outputs))),
            ("value_info", (!model.value_info.is_empty()).then(|| values(&model.value_info))),
            ("graph_doc", text(&model.extra.graph_doc)),
            ("graph_metadata", pairs(&model.extra.graph_metadata)),
            ("protos", protos(&model.extra.protos)),
        ]
    }

    fn weight(&mut self, name: &str, weight: &'a Weight) -> Json {
        let doc = text(&weight.doc);
        let metadata = pairs(&weight.metadata);
        if let Storage::Sparse(bytes) = &weight.storage {
            let sparse = Some(Json::Text(base64::encode(bytes)));
            return Json::object([
                ("name", Some(Json::text(name))),
                ("sparse", sparse),
                ("doc", doc),
                ("metadata", metadata),
            ]);
        }
        let (external, checksum) = match &weight.storage {
            Storage::External { file, checksum } => (Some(Json::text(file)), checksum.then_some(Json::Bool(true))),
            Storage::Inline | Storage::Sparse(_) => (None, None),
        };
        Json::object([
            ("name", Some(Json::text(name))),
            ("dtype", Some(Json::text(weight.tensor.dtype().name()))),
            ("shape", Some(shape(&weight.tensor))),
            ("data", Some(self.data(name, &weight.tensor))),
            ("external", external),
            ("checksum", checksum),
            ("doc", doc),
            ("metadata", metadata),
        ])
    }

    /// The data of a tensor: inline, or a reference to the file under a name that no other tensor has.
    fn data(&mut self, name: &str, tensor: &'a Tensor) -> Json {
        if let Some(json) = json_data::write_inline(tensor) {
            return json;
        }
        // `__metadata__` is the one name that safetensors keeps for itself.
        let mut key = if name == "__metadata__" { "weight".to_owned() } else { name.to_owned() };
        let mut count = 1;
        while !self.taken.insert(key.clone()) {
            count += 1;
            key = format!("{name}#{count}");
        }
        self.stored.push((key.clone(), tensor));
        Json::object([("file", Some(Json::text(&self.file))), ("tensor", Some(Json::Text(key)))])
    }

    fn node(&mut self, node: &'a ModelNode) -> Json {
        let names = |names: &[String]| Json::List(names.iter().map(|n| Json::text(n)).collect());
        let known = json_attr::is_known(&node.domain, &node.op);
        let (mut attrs, mut graphs) = (Vec::new(), Vec::new());
        for (name, value) in &node.attrs {
            if let ModelAttr::Graph(graph) = value {
                let named = [("name", Some(Json::text(&graph.name)))].into_iter().chain(self.graph(graph));
                graphs.push((name.clone(), Json::object(named)));
            }
            let label = if node.name.is_empty() { name.clone() } else { format!("{}.{name}", node.name) };
            let mut tensor = |t: &'a Tensor| {
                Json::object([
                    ("dtype", Some(Json::text(t.dtype().name()))),
                    ("shape", Some(shape(t))),
                    ("data", Some(self.data(&label, t))),
                ])
            };
            if let Some(json) = json_attr::write(name, value, known, &mut tensor) {
                attrs.push((name.clone(), json));
            }
        }
        let filled = |fields: Vec<(String, Json)>| (!fields.is_empty()).then_some(Json::Object(fields));
        Json::object([
            ("name", text(&node.name)),
            ("op", Some(Json::text(&node.op))),
            ("domain", text(&node.domain)),
            ("inputs", Some(names(&node.inputs))),
            ("outputs", Some(names(&node.outputs))),
            ("attrs", filled(attrs)),
            ("subgraphs", filled(graphs)),
            ("doc", text(&node.doc)),
            ("overload", text(&node.overload)),
            ("metadata", pairs(&node.metadata)),
            ("protos", protos(&node.protos)),
        ])
    }
}

fn text(text: &str) -> Option<Json> {
    (!text.is_empty()).then(|| Json::text(text))
}

fn list(list: Vec<Json>) -> Option<Json> {
    (!list.is_empty()).then_some(Json::List(list))
}

fn shape(tensor: &Tensor) -> Json {
    Json::List(tensor.shape().iter().map(|&d| Json::Int(d.into())).collect())
}

/// Keys and values: an object, or a list of pairs where keys repeat.
fn pairs(pairs: &[(String, String)]) -> Option<Json> {
    let distinct = pairs.iter().map(|(k, _)| k).collect::<FxHashSet<_>>().len() == pairs.len();
    let field = |(k, v): &(String, String)| (k.clone(), Json::text(v));
    let pair = |(k, v): &(String, String)| Json::List(vec![Json::text(k), Json::text(v)]);
    match pairs {
        [] => None,
        _ if distinct => Some(Json::Object(pairs.iter().map(field).collect())),
        _ => Some(Json::List(pairs.iter().map(pair).collect())),
    }
}

fn protos(protos: &[(String, Bytes)]) -> Option<Json> {
    let coded: Vec<_> = protos.iter().map(|(k, bytes)| (k.clone(), base64::encode(bytes))).collect();
    pairs(&coded)
}

/// A value: its name alone if the file says no more.
fn value(value: &ValueInfo) -> Json {
    if value.ty.is_none() && value.doc.is_empty() && value.proto.is_none() {
        return Json::text(&value.name);
    }
    let dim = |dim: &DeclaredDim| match dim {
        DeclaredDim::Size(n) => Json::Int((*n).into()),
        DeclaredDim::Name(name) => Json::text(name),
        DeclaredDim::Unknown => Json::Null,
    };
    let dims = value.ty.as_ref().and_then(|ty| ty.shape.as_ref());
    Json::object([
        ("name", Some(Json::text(&value.name))),
        ("dtype", value.ty.as_ref().map(|ty| Json::text(ty.dtype.name()))),
        ("shape", dims.map(|dims| Json::List(dims.iter().map(dim).collect()))),
        ("doc", text(&value.doc)),
        ("proto", value.proto.as_ref().map(|bytes| Json::Text(base64::encode(bytes)))),
    ])
}

fn foreign(name: &str, foreign: &Foreign) -> Json {
    let (field, bytes) = match foreign {
        Foreign::Dense(bytes) => ("proto", bytes),
        Foreign::Sparse(bytes) => ("sparse", bytes),
    };
    Json::object([("name", Some(Json::text(name))), (field, Some(Json::Text(base64::encode(bytes))))])
}
