//! Reading ONNX: bytes to messages to [`Model`].

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use indexmap::map::Entry;
use prost::Message;

use super::error::{Problem, node_place};
use super::files::Folder;
use super::model::{
    DeclaredDim, DeclaredType, Extra, Foreign, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight,
};
use super::onnx_scan;
use super::onnx_tensor::{self, Decoded};
use super::onnx_write;
use super::proto::{self, attribute_type as kind};
use crate::graph::DType;

/// Files up to this size are encoded again to see whether anything would change; above it, lengths are compared, which
/// takes no memory.
const MAX_REENCODED: usize = 64 << 20;

/// Reads the bytes of an ONNX file; tensors in other files come from `folder`. Warnings are appended.
///
/// # Errors
/// If the bytes are no ONNX model, or name tensors that do not fit their type or cannot be read.
pub(super) fn read(bytes: &Bytes, folder: &mut Folder, warnings: &mut Vec<String>) -> Result<Model, Problem> {
    onnx_scan::check_size(onnx_scan::Kind::Model, bytes)?;
    let mut file = proto::ModelProto::decode(bytes.clone())
        .map_err(|e| Problem::new(format_args!("not an ONNX model, or cut short: {}", told(&e))))?;
    check_nothing_lost(&file, bytes, warnings);
    if let Some(version) = file.ir_version.filter(|&v| v > proto::IR_VERSION) {
        warnings.push(format!(
            "IR version {version} is newer than {}, the newest that graphopt knows; fields that it added are lost if \
             the model is rewritten",
            proto::IR_VERSION
        ));
    }
    let graph = file.graph.ok_or_else(|| Problem::new("not an ONNX model: it has no graph"))?;
    let mut opset_import = IndexMap::new();
    for import in file.opset_import {
        let domain = own_domain(import.domain.unwrap_or_default());
        let version = import.version.unwrap_or(0);
        match opset_import.entry(domain) {
            Entry::Vacant(slot) => {
                slot.insert(version);
            }
            Entry::Occupied(slot) if *slot.get() == version => {}
            Entry::Occupied(slot) => {
                return Err(Problem::new(format_args!(
                    "domain {:?} is imported at version {} and at version {version}",
                    slot.key(),
                    slot.get()
                ))
                .within("opset_import"));
            }
        }
    }
    let mut model = read_graph(graph, folder)?;
    model.opset_import = opset_import;
    for function in &mut file.functions {
        let place = format!("function {:?}", function.name.as_deref().unwrap_or_default());
        onnx_tensor::internalise_nodes(&mut function.node, folder).map_err(|p| p.within(place))?;
    }
    for graph in file.training_info.iter_mut().flat_map(|t| t.initialization.iter_mut().chain(&mut t.algorithm)) {
        onnx_tensor::internalise_graph(graph, folder).map_err(|p| p.within("training_info"))?;
    }
    let mut protos = Vec::new();
    protos.extend(file.training_info.iter().map(|m| ("training_info".to_owned(), m.encode_to_vec().into())));
    protos.extend(file.configuration.iter().map(|m| ("configuration".to_owned(), m.encode_to_vec().into())));
    protos.append(&mut model.extra.protos);
    model.extra = Extra {
        ir_version: file.ir_version,
        producer_name: file.producer_name.unwrap_or_default(),
        producer_version: file.producer_version.unwrap_or_default(),
        domain: file.domain.unwrap_or_default(),
        model_version: file.model_version,
        doc: file.doc_string.unwrap_or_default(),
        metadata: pairs(file.metadata_props),
        functions: file.functions.iter().map(|f| f.encode_to_vec().into()).collect(),
        protos,
        ..model.extra
    };
    Ok(model)
}

/// What the decoder says, without the middle of a long path of messages.
fn told(error: &prost::DecodeError) -> String {
    const LONGEST: usize = 240;
    let text = error.to_string();
    if text.len() <= LONGEST {
        return text;
    }
    let end = text.char_indices().rev().nth(LONGEST).map_or(0, |(at, _)| at);
    format!("… {}", &text[end..])
}

/// Warns when writing the messages again would not give the file back.
fn check_nothing_lost(file: &proto::ModelProto, bytes: &Bytes, warnings: &mut Vec<String>) {
    let length = file.encoded_len();
    let same = length == bytes.len() && (length > MAX_REENCODED || file.encode_to_vec() == *bytes);
    if !same {
        let what = match bytes.len().checked_sub(length) {
            None | Some(0) => "in another order or packing".to_owned(),
            Some(more) => format!("with {more} bytes that are unknown to graphopt or redundant"),
        };
        warnings.push(format!(
            "the file is encoded {what}: it is kept byte for byte unless it is rewritten, and then fields that are \
             unknown to graphopt are lost"
        ));
    }
}

/// `"ai.onnx"` is another spelling of ONNX's own domain, `""`.
fn own_domain(domain: String) -> String {
    if domain == "ai.onnx" { String::new() } else { domain }
}

/// Reads a graph: the model's or a node's. Only the fields of a graph are filled in.
pub(super) fn read_graph(graph: proto::GraphProto, folder: &mut Folder) -> Result<Model, Problem> {
    let mut model = Model { name: graph.name.unwrap_or_default(), ..Model::default() };
    for tensor in graph.initializer {
        let name = tensor.name.clone().unwrap_or_default();
        let place = format!("initializer {name:?}");
        read_weight(&mut model, name, tensor, folder).map_err(|p| p.within(place))?;
    }
    for sparse in graph.sparse_initializer {
        let name = sparse.values.as_ref().and_then(|v| v.name.clone()).unwrap_or_default();
        let place = format!("sparse_initializer {name:?}");
        read_sparse(&mut model, name, &sparse, folder).map_err(|p| p.within(place))?;
    }
    for (index, node) in graph.node.into_iter().enumerate() {
        let name = node.name.as_deref().unwrap_or_default();
        let place = node_place(name, node.op_type.as_deref().unwrap_or_default(), index);
        model.nodes.push(read_node(node, folder).map_err(|p| p.within(place))?);
    }
    model.inputs = graph.input.into_iter().map(read_value).collect();
    model.outputs = graph.output.into_iter().map(read_value).collect();
    model.value_info = graph.value_info.into_iter().map(read_value).collect();
    model.extra.graph_doc = graph.doc_string.unwrap_or_default();
    model.extra.graph_metadata = pairs(graph.metadata_props);
    model.extra.protos = graph
        .quantization_annotation
        .iter()
        .map(|m| ("quantization_annotation".to_owned(), m.encode_to_vec().into()))
        .collect();
    Ok(model)
}

fn read_weight(
    model: &mut Model,
    name: String,
    mut proto: proto::TensorProto,
    folder: &mut Folder,
) -> Result<(), Problem> {
    check_new(model, &name)?;
    let doc = proto.doc_string.take().unwrap_or_default();
    let metadata = pairs(std::mem::take(&mut proto.metadata_props));
    match onnx_tensor::decode(proto, folder)? {
        Decoded::Tensor(tensor, storage) => {
            model.weights.insert(name, Weight { tensor, doc, storage, metadata });
        }
        Decoded::Foreign(mut proto) => {
            proto.doc_string = (!doc.is_empty()).then_some(doc);
            proto.metadata_props = onnx_write::entries(&metadata);
            model.foreign_weights.insert(name, Foreign::Dense(proto.encode_to_vec().into()));
        }
    }
    Ok(())
}

/// Adds a sparse initialiser, spelt out if it is small enough.
pub(super) fn read_sparse(
    model: &mut Model,
    name: String,
    sparse: &proto::SparseTensorProto,
    folder: &mut Folder,
) -> Result<(), Problem> {
    check_new(model, &name)?;
    let mut whole = sparse.clone();
    for tensor in whole.values.iter_mut().chain(&mut whole.indices) {
        onnx_tensor::internalise(tensor, folder)?;
    }
    let encoded: Bytes = whole.encode_to_vec().into();
    match onnx_tensor::densify(&whole, folder)? {
        Some(tensor) => {
            let storage = Storage::Sparse(encoded);
            model.weights.insert(name, Weight { tensor, doc: String::new(), storage, metadata: Vec::new() });
        }
        None => {
            model.foreign_weights.insert(name, Foreign::Sparse(encoded));
        }
    }
    Ok(())
}

fn check_new(model: &Model, name: &str) -> Result<(), Problem> {
    match name {
        "" => Err(Problem::new("it has no name")),
        _ if model.weights.contains_key(name) || model.foreign_weights.contains_key(name) => {
            Err(Problem::new("the name is taken by another initializer"))
        }
        _ => Ok(()),
    }
}

/// Reads a value's name and type; the message is kept if there is more to it.
pub(super) fn read_value(value: proto::ValueInfoProto) -> ValueInfo {
    let mut out = ValueInfo {
        name: value.name.clone().unwrap_or_default(),
        ty: value.r#type.as_ref().and_then(read_type),
        doc: value.doc_string.clone().unwrap_or_default(),
        proto: None,
    };
    if onnx_write::plain_value(&out) != value {
        out.proto = Some(value.encode_to_vec().into());
    }
    out
}

fn read_type(ty: &proto::TypeProto) -> Option<DeclaredType> {
    let tensor = ty.tensor_type.as_ref()?;
    let dtype = DType::from_onnx(tensor.elem_type?)?;
    let dim = |d: &proto::DimensionProto| match (&d.dim_value, d.dim_param.as_deref()) {
        (Some(n), _) => u64::try_from(*n).map_or(DeclaredDim::Unknown, DeclaredDim::Size),
        (None, Some(name)) if !name.is_empty() => DeclaredDim::Name(name.to_owned()),
        (None, _) => DeclaredDim::Unknown,
    };
    Some(DeclaredType { dtype, shape: tensor.shape.as_ref().map(|s| s.dim.iter().map(dim).collect()) })
}

fn read_node(node: proto::NodeProto, folder: &mut Folder) -> Result<ModelNode, Problem> {
    let mut out = ModelNode {
        name: node.name.unwrap_or_default(),
        op: node.op_type.unwrap_or_default(),
        domain: own_domain(node.domain.unwrap_or_default()),
        inputs: node.input,
        outputs: node.output,
        attrs: IndexMap::new(),
        doc: node.doc_string.unwrap_or_default(),
        overload: node.overload.unwrap_or_default(),
        metadata: pairs(node.metadata_props),
        protos: Vec::new(),
    };
    let device =
        |m: &proto::NodeDeviceConfigurationProto| ("device_configuration".to_owned(), m.encode_to_vec().into());
    out.protos.extend(node.device_configurations.iter().map(device));
    for attribute in node.attribute {
        let name = attribute.name.clone().unwrap_or_default();
        let place = format!("attribute {name:?}");
        if out.attrs.contains_key(&name) {
            return Err(Problem::new("it is given twice").within(place));
        }
        let value = read_attr(attribute, &mut out.protos, folder).map_err(|p| p.within(place))?;
        out.attrs.insert(name, value);
    }
    Ok(out)
}

fn read_attr(
    mut attribute: proto::AttributeProto,
    protos: &mut Vec<(String, Bytes)>,
    folder: &mut Folder,
) -> Result<ModelAttr, Problem> {
    let Some(kind) = plain_kind(&attribute) else {
        onnx_tensor::internalise_attribute(&mut attribute, folder)?;
        return Ok(ModelAttr::Proto(attribute.encode_to_vec().into()));
    };
    let name = attribute.name.clone().unwrap_or_default();
    if let Some(doc) = attribute.doc_string.take().filter(|doc| !doc.is_empty()) {
        protos.push((format!("doc:{name}"), doc.into_bytes().into()));
    }
    Ok(match kind {
        kind::FLOAT => ModelAttr::Float(attribute.f.unwrap_or(0.0)),
        kind::INT => ModelAttr::Int(attribute.i.unwrap_or(0)),
        kind::STRING => ModelAttr::Str(attribute.s.unwrap_or_default()),
        kind::FLOATS => ModelAttr::Floats(attribute.floats),
        kind::INTS => ModelAttr::Ints(attribute.ints),
        kind::STRINGS => ModelAttr::Strs(attribute.strings),
        kind::GRAPH => ModelAttr::Graph(Arc::new(read_graph(*attribute.g.unwrap_or_default(), folder)?)),
        _ => {
            let tensor = *attribute.t.take().unwrap_or_default();
            let label = proto::TensorProto {
                name: tensor.name.clone().filter(|n| !n.is_empty()),
                doc_string: tensor.doc_string.clone().filter(|d| !d.is_empty()),
                metadata_props: tensor.metadata_props.clone(),
                ..proto::TensorProto::default()
            };
            match onnx_tensor::decode(tensor, folder)? {
                Decoded::Tensor(tensor, _) => {
                    if label != proto::TensorProto::default() {
                        protos.push((format!("tensor:{name}"), label.encode_to_vec().into()));
                    }
                    ModelAttr::Tensor(tensor)
                }
                Decoded::Foreign(tensor) => {
                    attribute.t = Some(tensor);
                    ModelAttr::Proto(attribute.encode_to_vec().into())
                }
            }
        }
    })
}

/// The kind of an attribute that [`ModelAttr`] can say; `None` for one that stays a message.
fn plain_kind(a: &proto::AttributeProto) -> Option<i32> {
    let other = a.sparse_tensor.is_some()
        || a.tp.is_some()
        || a.ref_attr_name.is_some()
        || !(a.tensors.is_empty() && a.graphs.is_empty() && a.sparse_tensors.is_empty() && a.type_protos.is_empty());
    let fields = [
        (kind::FLOAT, a.f.is_some()),
        (kind::INT, a.i.is_some()),
        (kind::STRING, a.s.is_some()),
        (kind::TENSOR, a.t.is_some()),
        (kind::GRAPH, a.g.is_some()),
        (kind::FLOATS, !a.floats.is_empty()),
        (kind::INTS, !a.ints.is_empty()),
        (kind::STRINGS, !a.strings.is_empty()),
    ];
    let mut present = fields.iter().filter(|(_, present)| *present).map(|(kind, _)| *kind);
    let (first, second) = (present.next(), present.next());
    if other || second.is_some() {
        return None;
    }
    match a.r#type.unwrap_or(kind::UNDEFINED) {
        // Files older than IR version 2 say no type: the field that is there tells.
        kind::UNDEFINED => first,
        stated => fields.iter().find(|(kind, _)| *kind == stated && first.is_none_or(|f| f == stated)).map(|f| f.0),
    }
}

fn pairs(entries: Vec<proto::StringStringEntryProto>) -> Vec<(String, String)> {
    entries.into_iter().map(|e| (e.key.unwrap_or_default(), e.value.unwrap_or_default())).collect()
}
