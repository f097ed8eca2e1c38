//! Reading graph files: JSON to [`Model`]. Unknown fields are errors; messages name node and field.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use prost::Message;

use super::error::{Problem, node_place};
use super::files::Folder;
use super::json_attr;
use super::json_data::{self, Sources};
use super::json_tree::{Fields, Json, expected};
use super::model::{
    DeclaredDim, DeclaredType, Extra, Foreign, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight,
};
use super::onnx_read;
use super::onnx_scan::{self, Kind};
use super::proto;
use crate::graph::DType;

/// The `format` of graph files.
pub(super) const FORMAT: &str = "graphopt-graph";
/// The `version` that this program reads and writes.
pub(super) const VERSION: i128 = 1;

/// Reads the bytes of a graph file; tensors in other files come from `folder`.
///
/// # Errors
/// If the bytes are no graph file of a version that we know, or a field is unknown, missing or at fault.
pub(super) fn read(bytes: &[u8], folder: &mut Folder) -> Result<Model, Problem> {
    let mut fields = Json::parse(bytes)?.into_fields()?;
    let format = fields.need("format", Json::into_text)?;
    if format != FORMAT {
        return Err(Problem::new(format_args!("format is {format:?}, not {FORMAT:?}")));
    }
    let version = fields.need("version", |j| j.to_int())?;
    if version != VERSION {
        return Err(Problem::new(format_args!("version {version} is unknown; this program reads version {VERSION}")));
    }
    let mut opset_import = IndexMap::new();
    if let Some(opset) = fields.maybe("opset", |j| j.to_sized::<i64>())? {
        opset_import.insert(String::new(), opset);
    }
    if let Some(Json::Object(others)) = fields.maybe("opset_import", object)? {
        for (domain, json) in others {
            let version = json.to_sized::<i64>().map_err(|p| p.within(format_args!("opset_import: {domain:?}")))?;
            if opset_import.insert(domain, version).is_some() {
                return Err(Problem::new("ONNX's own operator set is given twice").within("opset_import"));
            }
        }
    }
    let extra = Extra {
        ir_version: fields.maybe("ir_version", |j| j.to_sized())?,
        producer_name: fields.text("producer_name")?,
        producer_version: fields.text("producer_version")?,
        domain: fields.text("domain")?,
        model_version: fields.maybe("model_version", |j| j.to_sized())?,
        doc: fields.text("doc")?,
        metadata: fields.maybe("metadata", pairs)?.unwrap_or_default(),
        functions: fields.list("functions", |i, json| {
            message::<proto::FunctionProto>(json, Kind::Function).map_err(|p| p.within(format_args!("functions[{i}]")))
        })?,
        ..Extra::default()
    };
    let graph = read_graph(&mut fields, &mut Sources::new(folder))?;
    fields.finish()?;
    let (graph_extra, mut model) = (graph.extra.clone(), graph);
    model.opset_import = opset_import;
    model.extra = Extra {
        graph_doc: graph_extra.graph_doc,
        graph_metadata: graph_extra.graph_metadata,
        protos: graph_extra.protos,
        ..extra
    };
    Ok(model)
}

fn object(json: Json) -> Result<Json, Problem> {
    match json {
        Json::Object(_) => Ok(json),
        other => Err(expected("an object", &other)),
    }
}

/// The fields that the model's graph and sub-graphs have in common.
fn read_graph(fields: &mut Fields, sources: &mut Sources) -> Result<Model, Problem> {
    let mut model = Model { name: fields.text("name")?, ..Model::default() };
    model.inputs = fields.list("inputs", |i, j| value(j, "inputs", i))?;
    for (name, weight) in fields.list("weights", |i, j| weight(j, i, sources))? {
        insert(&mut model, name, weight)?;
    }
    for (name, foreign) in
        fields.list("foreign_weights", |i, j| foreign(j).map_err(|p| p.within(format_args!("foreign_weights[{i}]"))))?
    {
        if model.weights.contains_key(&name) || model.foreign_weights.insert(name.clone(), foreign).is_some() {
            return Err(Problem::new("the name is taken by another weight").within(format_args!("weight {name:?}")));
        }
    }
    model.nodes = fields.list("nodes", |i, j| {
        let place = match &j {
            Json::Object(fields) => {
                let text = |name: &str| match fields.iter().find(|(key, _)| key == name) {
                    Some((_, Json::Text(text))) => text.as_str(),
                    _ => "",
                };
                node_place(text("name"), text("op"), i)
            }
            _ => format!("nodes[{i}]"),
        };
        node(j, sources).map_err(|p| p.within(place))
    })?;
    model.outputs = fields.list("outputs", |i, j| value(j, "outputs", i))?;
    model.value_info = fields.list("value_info", |i, j| value(j, "value_info", i))?;
    model.extra.graph_doc = fields.text("graph_doc")?;
    model.extra.graph_metadata = fields.maybe("graph_metadata", pairs)?.unwrap_or_default();
    model.extra.protos = fields.maybe("protos", protos)?.unwrap_or_default();
    Ok(model)
}

fn insert(model: &mut Model, name: String, weight: Weight) -> Result<(), Problem> {
    if model.weights.contains_key(&name) {
        return Err(Problem::new("the name is taken by another weight").within(format_args!("weight {name:?}")));
    }
    model.weights.insert(name, weight);
    Ok(())
}

/// An input, output or inner value: a name, or an object with its type.
fn value(json: Json, list: &str, index: usize) -> Result<ValueInfo, Problem> {
    let mut out = ValueInfo { name: String::new(), ty: None, doc: String::new(), proto: None };
    if let Json::Text(name) = json {
        out.name = name;
        return Ok(out);
    }
    let mut fields = json.into_fields().map_err(|p| p.within(format_args!("{list}[{index}]")))?;
    let place = match fields.peek_text("name") {
        Some(name) => format!("{list} {name:?}"),
        None => format!("{list}[{index}]"),
    };
    let mut read = || {
        out.name = fields.need("name", Json::into_text)?;
        let dtype = fields.maybe("dtype", dtype)?;
        let shape = fields.maybe("shape", |j| j.into_list()?.into_iter().map(dim).collect::<Result<_, _>>())?;
        out.ty = match (dtype, shape) {
            (Some(dtype), shape) => Some(DeclaredType { dtype, shape }),
            (None, None) => None,
            (None, Some(_)) => return Err(Problem::new("a shape needs a dtype")),
        };
        out.doc = fields.text("doc")?;
        out.proto = fields.maybe("proto", |j| message::<proto::ValueInfoProto>(j, Kind::Value))?;
        Ok(())
    };
    read().and_then(|()| fields.finish()).map_err(|p| p.within(place))?;
    Ok(out)
}

fn dtype(json: Json) -> Result<DType, Problem> {
    json.into_text()?.parse().map_err(Problem::new)
}

fn dim(json: Json) -> Result<DeclaredDim, Problem> {
    match json {
        Json::Null => Ok(DeclaredDim::Unknown),
        Json::Text(name) if !name.is_empty() => Ok(DeclaredDim::Name(name)),
        Json::Int(n) => i64::try_from(n)
            .ok()
            .and_then(|n| u64::try_from(n).ok())
            .map(DeclaredDim::Size)
            .ok_or_else(|| Problem::new(format_args!("{n} is no size"))),
        other => Err(expected("a size, a name or null", &other)),
    }
}

/// The dimensions of a weight.
pub(super) fn shape(json: Json) -> Result<Vec<u64>, Problem> {
    json.into_list()?
        .into_iter()
        .map(|d| match dim(d)? {
            DeclaredDim::Size(n) => Ok(n),
            DeclaredDim::Name(_) | DeclaredDim::Unknown => Err(Problem::new("the shape of a weight is all numbers")),
        })
        .collect()
}

fn weight(json: Json, index: usize, sources: &mut Sources) -> Result<(String, Weight), Problem> {
    let mut fields = json.into_fields().map_err(|p| p.within(format_args!("weights[{index}]")))?;
    let place = match fields.peek_text("name") {
        Some(name) => format!("weight {name:?}"),
        None => format!("weights[{index}]"),
    };
    let mut read = || {
        let name = fields.need("name", Json::into_text)?;
        if name.is_empty() {
            return Err(Problem::new("the name is empty"));
        }
        let (tensor, storage) =
            match fields.maybe("sparse", |j| message::<proto::SparseTensorProto>(j, Kind::Sparse))? {
                Some(bytes) => {
                    // Checked when the field was read.
                    let sparse = proto::SparseTensorProto::decode(bytes.clone()).unwrap_or_default();
                    let mut part = Model::default();
                    onnx_read::read_sparse(&mut part, name.clone(), &sparse, sources.folder())?;
                    let weight = part.weights.swap_remove(&name);
                    (weight.ok_or_else(|| Problem::new("too large to spell out"))?.tensor, Storage::Sparse(bytes))
                }
                None => {
                    let dtype = fields.need("dtype", dtype)?;
                    let shape = fields.need("shape", shape)?;
                    let tensor = fields.need("data", |j| json_data::read(j, dtype, &shape, sources))?;
                    let storage = match fields.maybe("external", Json::into_text)? {
                        Some(file) => {
                            let checksum = fields.maybe("checksum", Json::into_bool)?.unwrap_or(false);
                            Storage::External { file, checksum }
                        }
                        None => Storage::Inline,
                    };
                    (tensor, storage)
                }
            };
        let doc = fields.text("doc")?;
        let metadata = fields.maybe("metadata", pairs)?.unwrap_or_default();
        Ok((name, Weight { tensor, doc, storage, metadata }))
    };
    let weight = read();
    weight.and_then(|w| fields.finish().map(|()| w)).map_err(|p| p.within(place))
}

fn foreign(json: Json) -> Result<(String, Foreign), Problem> {
    let mut fields = json.into_fields()?;
    let name = fields.need("name", Json::into_text)?;
    let dense = fields.maybe("proto", |j| message::<proto::TensorProto>(j, Kind::Tensor))?;
    let sparse = fields.maybe("sparse", |j| message::<proto::SparseTensorProto>(j, Kind::Sparse))?;
    fields.finish()?;
    match (dense, sparse) {
        (Some(bytes), None) => Ok((name, Foreign::Dense(bytes))),
        (None, Some(bytes)) => Ok((name, Foreign::Sparse(bytes))),
        _ => Err(Problem::new("one of the fields \"proto\" and \"sparse\" is needed")),
    }
}

fn node(json: Json, sources: &mut Sources) -> Result<ModelNode, Problem> {
    let mut fields = json.into_fields()?;
    let text = |_, json: Json| json.into_text();
    let mut out = ModelNode {
        name: fields.text("name")?,
        op: fields.need("op", Json::into_text)?,
        domain: fields.text("domain")?,
        inputs: fields.list("inputs", text).map_err(|p| p.within("inputs"))?,
        outputs: fields.list("outputs", text).map_err(|p| p.within("outputs"))?,
        ..ModelNode::default()
    };
    if let Some(Json::Object(attrs)) = fields.maybe("attrs", object)? {
        let known = json_attr::is_known(&out.domain, &out.op);
        for (name, json) in attrs {
            let value = json_attr::read(&name, json, known, sources);
            let value = value.map_err(|p| p.within(format_args!("attribute {name:?}")))?;
            out.attrs.insert(name, value);
        }
    }
    if let Some(Json::Object(graphs)) = fields.maybe("subgraphs", object)? {
        for (name, json) in graphs {
            let graph = sub_graph(json, sources).map_err(|p| p.within(format_args!("sub-graph {name:?}")))?;
            if out.attrs.insert(name.clone(), ModelAttr::Graph(Arc::new(graph))).is_some() {
                return Err(Problem::new(format_args!("{name:?} is both an attribute and a sub-graph")));
            }
        }
    }
    out.doc = fields.text("doc")?;
    out.overload = fields.text("overload")?;
    out.metadata = fields.maybe("metadata", pairs)?.unwrap_or_default();
    out.protos = fields.maybe("protos", protos)?.unwrap_or_default();
    fields.finish()?;
    Ok(out)
}

fn sub_graph(json: Json, sources: &mut Sources) -> Result<Model, Problem> {
    let mut fields = json.into_fields()?;
    let graph = read_graph(&mut fields, sources)?;
    fields.finish()?;
    Ok(graph)
}

/// Keys and values: an object, or a list of pairs where keys repeat.
fn pairs(json: Json) -> Result<Vec<(String, String)>, Problem> {
    let pair = |json: Json| {
        let [key, value] = <[Json; 2]>::try_from(json.into_list()?)
            .map_err(|list| Problem::new(format_args!("expected a pair, found {} elements", list.len())))?;
        Ok((key.into_text()?, value.into_text()?))
    };
    match json {
        Json::Object(fields) => fields.into_iter().map(|(k, v)| Ok((k, v.into_text()?))).collect(),
        Json::List(list) => list.into_iter().map(pair).collect(),
        other => Err(expected("an object or a list of pairs", &other)),
    }
}

/// A list of names with bytes in base64.
fn protos(json: Json) -> Result<Vec<(String, Bytes)>, Problem> {
    let one = |(key, value): (String, String)| {
        let place = format!("{key:?}");
        // The keys are those of `Extra::protos` and `ModelNode::protos`.
        let text = Json::Text(value);
        let bytes = match key.split(':').next().unwrap_or_default() {
            "training_info" => message::<proto::TrainingInfoProto>(text, Kind::Training),
            "quantization_annotation" => message::<proto::TensorAnnotation>(text, Kind::Second),
            "configuration" => message::<proto::DeviceConfigurationProto>(text, Kind::Leaf),
            "device_configuration" => message::<proto::NodeDeviceConfigurationProto>(text, Kind::Device),
            "tensor" => message::<proto::TensorProto>(text, Kind::Tensor),
            "doc" => text.into_bytes(),
            _ => Err(Problem::new("unknown; nothing of this name is kept")),
        };
        Ok((key, bytes.map_err(|p| p.within(place))?))
    };
    pairs(json)?.into_iter().map(one).collect()
}

/// An encoded message in base64, checked to be one of type `M` and this kind, and not to swell when it is decoded.
pub(super) fn message<M: Message + Default>(json: Json, kind: Kind) -> Result<Bytes, Problem> {
    let bytes = json.into_bytes()?;
    onnx_scan::check_size(kind, &bytes)?;
    M::decode(bytes.clone()).map_err(|e| Problem::new(format_args!("not the message that belongs here: {e}")))?;
    Ok(bytes)
}
