//! Turning a [`Model`] into ONNX's messages.

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message;

use super::error::{Problem, node_place};
use super::model::{DeclaredDim, DeclaredType, Foreign, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight};
use super::onnx_tensor;
use super::proto::{self, StringStringEntryProto, attribute_type as kind};

/// Where the data of a weight go.
pub(super) enum Place {
    /// Into the message.
    Inline,
    /// Into the data file: offset and length in bytes.
    External {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// Whether the file's checksum is stated.
        checksum: bool,
    },
}

/// Decides where the data of each weight go; weights are asked for in the order of [`for_each_weight`].
pub(super) trait Layout {
    /// The place of this weight.
    fn place(&mut self, weight: &Weight) -> Place;
    /// The name of the data file.
    fn location(&self) -> &str;
    /// The SHA-1 digest of the data file in hex.
    fn digest(&self) -> &str;
}

/// Every weight in the message.
pub(super) struct AllInline;

impl Layout for AllInline {
    fn place(&mut self, _: &Weight) -> Place {
        Place::Inline
    }
    fn location(&self) -> &str {
        ""
    }
    fn digest(&self) -> &str {
        ""
    }
}

/// Calls `visit` with every weight of the model and its sub-graphs that is written as a tensor (not sparse): first
/// those of the sub-graphs in node order, then the graph's own.
pub(super) fn for_each_weight(model: &Model, visit: &mut dyn FnMut(&Weight)) {
    for attr in model.nodes.iter().flat_map(|n| n.attrs.values()) {
        if let ModelAttr::Graph(graph) = attr {
            for_each_weight(graph, visit);
        }
    }
    model.weights.values().filter(|w| !matches!(w.storage, Storage::Sparse(_))).for_each(visit);
}

/// An initialiser around its data: the fields before `raw_data`, the data, the fields behind them.
pub(super) struct Initializer<'a> {
    pub before: proto::TensorProto,
    pub data: Option<&'a crate::graph::Tensor>,
    pub after: proto::TensorProto,
}

impl Initializer<'_> {
    /// A message with the data in it.
    fn whole(self) -> proto::TensorProto {
        proto::TensorProto { raw_data: self.data.and_then(|t| t.bytes()), ..merge(self.before, self.after) }
    }
}

fn merge(before: proto::TensorProto, after: proto::TensorProto) -> proto::TensorProto {
    proto::TensorProto {
        doc_string: after.doc_string,
        external_data: after.external_data,
        data_location: after.data_location,
        metadata_props: after.metadata_props,
        ..before
    }
}

/// The initialiser of a weight.
pub(super) fn initializer<'a>(name: &str, weight: &'a Weight, layout: &mut dyn Layout) -> Initializer<'a> {
    let before = onnx_tensor::head(name, &weight.tensor);
    let mut after = proto::TensorProto {
        doc_string: text(&weight.doc),
        metadata_props: entries(&weight.metadata),
        ..proto::TensorProto::default()
    };
    let strings = weight.tensor.dtype() == crate::graph::DType::String;
    match layout.place(weight) {
        Place::Inline => Initializer { before, data: (!strings).then_some(&weight.tensor), after },
        Place::External { offset, length, checksum } => {
            let pair = |k: &str, v: String| (k.to_owned(), v);
            let mut pairs = vec![
                pair("location", layout.location().to_owned()),
                pair("offset", offset.to_string()),
                pair("length", length.to_string()),
            ];
            if checksum {
                pairs.push(pair("checksum", layout.digest().to_owned()));
            }
            after.external_data = entries(&pairs);
            after.data_location = Some(proto::EXTERNAL);
            Initializer { before, data: None, after }
        }
    }
}

/// The fields of a graph other than nodes, name and initialisers.
pub(super) fn graph_tail(model: &Model) -> Result<proto::GraphProto, Problem> {
    let mut sparse_initializer = Vec::new();
    for (name, weight) in &model.weights {
        if let Storage::Sparse(bytes) = &weight.storage {
            sparse_initializer.push(decode::<proto::SparseTensorProto>(bytes, name)?);
        }
    }
    for (name, foreign) in &model.foreign_weights {
        if let Foreign::Sparse(bytes) = foreign {
            sparse_initializer.push(decode::<proto::SparseTensorProto>(bytes, name)?);
        }
    }
    let values = |values: &[ValueInfo]| values.iter().map(value).collect::<Result<Vec<_>, _>>();
    let mut input = values(&model.inputs)?;
    if model.extra.ir_version.is_some_and(|v| v < 4) {
        // Before IR version 4 every initialiser has to be an input as well.
        let names: HashSet<&str> = model.inputs.iter().map(|i| i.name.as_str()).collect();
        for (name, weight) in &model.weights {
            if !names.contains(name.as_str()) {
                let shape = weight.tensor.shape().iter().map(|&d| DeclaredDim::Size(d)).collect();
                let ty = DeclaredType { dtype: weight.tensor.dtype(), shape: Some(shape) };
                let info = ValueInfo { name: name.clone(), ty: Some(ty), doc: String::new(), proto: None };
                input.push(plain_value(&info));
            }
        }
    }
    Ok(proto::GraphProto {
        doc_string: text(&model.extra.graph_doc),
        input,
        output: values(&model.outputs)?,
        value_info: values(&model.value_info)?,
        quantization_annotation: named(&model.extra.protos, "quantization_annotation")?,
        sparse_initializer,
        metadata_props: entries(&model.extra.graph_metadata),
        ..proto::GraphProto::default()
    })
}

/// A whole graph, with its data in the message where the layout says so.
fn graph(model: &Model, layout: &mut dyn Layout) -> Result<proto::GraphProto, Problem> {
    let nodes = nodes(model, layout)?;
    let mut initializer: Vec<proto::TensorProto> = Vec::new();
    for (name, weight) in &model.weights {
        if !matches!(weight.storage, Storage::Sparse(_)) {
            initializer.push(self::initializer(name, weight, layout).whole());
        }
    }
    for (name, foreign) in &model.foreign_weights {
        if let Foreign::Dense(bytes) = foreign {
            initializer.push(decode(bytes, name)?);
        }
    }
    Ok(proto::GraphProto { node: nodes, name: text(&model.name), initializer, ..graph_tail(model)? })
}

/// The nodes of a model.
pub(super) fn nodes(model: &Model, layout: &mut dyn Layout) -> Result<Vec<proto::NodeProto>, Problem> {
    let one =
        |(index, n): (usize, &ModelNode)| node(n, layout).map_err(|p| p.within(node_place(&n.name, &n.op, index)));
    model.nodes.iter().enumerate().map(one).collect()
}

fn node(node: &ModelNode, layout: &mut dyn Layout) -> Result<proto::NodeProto, Problem> {
    let mut attribute = Vec::with_capacity(node.attrs.len());
    for (name, value) in &node.attrs {
        let made = self::attribute(name, value, node, layout);
        attribute.push(made.map_err(|p| p.within(format_args!("attribute {name:?}")))?);
    }
    Ok(proto::NodeProto {
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        name: text(&node.name),
        op_type: Some(node.op.clone()),
        attribute,
        doc_string: text(&node.doc),
        domain: text(&node.domain),
        overload: text(&node.overload),
        metadata_props: entries(&node.metadata),
        device_configurations: named(&node.protos, "device_configuration")?,
    })
}

fn attribute(
    name: &str,
    value: &ModelAttr,
    node: &ModelNode,
    layout: &mut dyn Layout,
) -> Result<proto::AttributeProto, Problem> {
    let side = |prefix: &str| {
        node.protos.iter().find(|(key, _)| key.strip_prefix(prefix) == Some(name)).map(|(_, bytes)| bytes)
    };
    let doc = side("doc:").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut out =
        proto::AttributeProto { name: Some(name.to_owned()), doc_string: doc, ..proto::AttributeProto::default() };
    let number = match value {
        ModelAttr::Float(v) => {
            out.f = Some(*v);
            kind::FLOAT
        }
        ModelAttr::Int(v) => {
            out.i = Some(*v);
            kind::INT
        }
        ModelAttr::Str(v) => {
            out.s = Some(v.clone());
            kind::STRING
        }
        ModelAttr::Floats(v) => {
            out.floats.clone_from(v);
            kind::FLOATS
        }
        ModelAttr::Ints(v) => {
            out.ints.clone_from(v);
            kind::INTS
        }
        ModelAttr::Strs(v) => {
            out.strings.clone_from(v);
            kind::STRINGS
        }
        ModelAttr::Tensor(tensor) => {
            let label: proto::TensorProto = match side("tensor:") {
                Some(bytes) => decode(bytes, name)?,
                None => proto::TensorProto::default(),
            };
            let tensor = onnx_tensor::encode(label.name.as_deref().unwrap_or_default(), tensor);
            out.t = Some(Box::new(merge(tensor, label)));
            kind::TENSOR
        }
        ModelAttr::Graph(inner) => {
            out.g = Some(Box::new(graph(inner, layout)?));
            kind::GRAPH
        }
        ModelAttr::Proto(bytes) => {
            let mut whole: proto::AttributeProto = decode(bytes, name)?;
            whole.name = Some(name.to_owned());
            return Ok(whole);
        }
    };
    out.r#type = Some(number);
    Ok(out)
}

/// A value: its own message while that still says the same name and type, else a plain one.
fn value(value: &ValueInfo) -> Result<proto::ValueInfoProto, Problem> {
    if let Some(bytes) = &value.proto {
        let kept: proto::ValueInfoProto = decode(bytes, &value.name)?;
        let read = super::onnx_read::read_value(kept.clone());
        if read.name == value.name && read.ty == value.ty && read.doc == value.doc {
            return Ok(kept);
        }
    }
    Ok(plain_value(value))
}

/// The message that says a value's name, type and documentation, and nothing else.
pub(super) fn plain_value(value: &ValueInfo) -> proto::ValueInfoProto {
    let dim = |dim: &DeclaredDim| {
        let mut out = proto::DimensionProto::default();
        match dim {
            DeclaredDim::Size(n) => out.dim_value = Some(*n as i64),
            DeclaredDim::Name(name) => out.dim_param = Some(name.clone()),
            DeclaredDim::Unknown => {}
        }
        out
    };
    let ty = value.ty.as_ref().map(|ty| proto::TypeProto {
        tensor_type: Some(proto::TensorTypeProto {
            elem_type: Some(ty.dtype.onnx()),
            shape: ty.shape.as_ref().map(|dims| proto::TensorShapeProto { dim: dims.iter().map(dim).collect() }),
        }),
        ..proto::TypeProto::default()
    });
    proto::ValueInfoProto {
        name: Some(value.name.clone()),
        r#type: ty,
        doc_string: text(&value.doc),
        metadata_props: Vec::new(),
    }
}

/// `metadata_props` and the like.
pub(super) fn entries(pairs: &[(String, String)]) -> Vec<StringStringEntryProto> {
    let entry = |(k, v): &(String, String)| StringStringEntryProto { key: Some(k.clone()), value: Some(v.clone()) };
    pairs.iter().map(entry).collect()
}

/// An optional text: absent when empty.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// All messages kept under `key`.
pub(super) fn named<M: Message + Default>(protos: &[(String, Bytes)], key: &str) -> Result<Vec<M>, Problem> {
    protos.iter().filter(|(k, _)| k == key).map(|(k, bytes)| decode(bytes, k)).collect()
}

/// Decodes a message that the model keeps encoded.
pub(super) fn decode<M: Message + Default>(bytes: &Bytes, what: &str) -> Result<M, Problem> {
    M::decode(bytes.clone()).map_err(|e| Problem::new(format_args!("the message kept for {what:?} is broken: {e}")))
}
