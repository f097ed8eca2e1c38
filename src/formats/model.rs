//! A model as its file says it: the readable ONNX model that the JSON and the ONNX readers produce and the writers take.
//! Nothing is normalised here. [`crate::formats::import`] turns it into a [`crate::graph::Graph`], and
//! [`crate::formats::export`] turns the optimised graph back, guided by the model it came from.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;

use crate::graph::{DType, Tensor};

/// A model as its file says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Name of the graph.
    pub name: String,
    /// Operator sets by domain; `""` is ONNX's own.
    pub opset_import: IndexMap<String, i64>,
    /// Graph inputs in order. One whose name is also a weight has a default that the caller may override.
    pub inputs: Vec<ValueInfo>,
    /// Graph outputs in order, with their types if the file states them.
    pub outputs: Vec<ValueInfo>,
    /// Types of inner values that the file states.
    pub value_info: Vec<ValueInfo>,
    /// Initialisers in order.
    pub weights: IndexMap<String, Weight>,
    /// Nodes in the file's order.
    pub nodes: Vec<ModelNode>,
    /// Everything else that an ONNX file carries and that must survive: versions, producer, documentation, metadata,
    /// functions, quantisation annotations, fields of the file that only pass through.
    pub extra: Extra,
    /// Initialisers of element types that graphopt does not name (complex numbers, 2-bit integers, …) or too large to
    /// spell out (sparse), by name: encoded `TensorProto`s or `SparseTensorProto`s. Nothing is known of their values.
    pub foreign_weights: IndexMap<String, Foreign>,
    /// The file's own bytes: written again as they are when nothing was rewritten. Whoever changes a field sets this to
    /// `None`.
    pub source: Option<Source>,
}

/// The file that a model was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// How the bytes are to be read.
    pub format: Format,
    /// The bytes of the file, usually a memory map.
    pub bytes: Bytes,
    /// The files beside it that hold its tensors, whole, by relative name.
    pub files: IndexMap<String, Bytes>,
}

/// The format of a model's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.onnx`: protocol buffers.
    Onnx,
    /// `.json`: `graphopt-graph`.
    Json,
}

/// An initialiser that only passes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// An encoded `TensorProto`.
    Dense(Bytes),
    /// An encoded `SparseTensorProto`.
    Sparse(Bytes),
}

/// A named, typed value.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueInfo {
    /// Name of the value.
    pub name: String,
    /// Its type; `None` when the file states none that graphopt understands as a tensor (sequences, maps, optional).
    pub ty: Option<DeclaredType>,
    /// Documentation.
    pub doc: String,
    /// The encoded `ValueInfoProto` that this came from, if any: written again as it is while the type is unchanged.
    pub proto: Option<Bytes>,
}

/// A tensor type as a file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions; `None` when not even the rank is declared.
    pub shape: Option<Vec<DeclaredDim>>,
}

/// A dimension as a file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredDim {
    /// A size.
    Size(u64),
    /// A symbolic size; equal names are equal sizes.
    Name(String),
    /// Unknown.
    Unknown,
}

/// An initialiser.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// The tensor.
    pub tensor: Tensor,
    /// Documentation.
    pub doc: String,
    /// Where the file keeps it, so that it is written back the same way.
    pub storage: Storage,
    /// Metadata (`metadata_props`).
    pub metadata: Vec<(String, String)>,
}

/// Where a file keeps a weight.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Storage {
    /// In the file itself, or drawn by a rule.
    #[default]
    Inline,
    /// ONNX external data beside the file: the relative file name.
    External {
        /// File name relative to the model's folder, never absolute and never with `..`.
        file: String,
        /// Whether the model states the SHA-1 checksum of that file.
        checksum: bool,
    },
    /// A sparse initialiser; written back as its encoded proto.
    Sparse(Bytes),
}

/// A node as its file says it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ModelNode {
    /// Name; may be empty.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Domain; `""` is ONNX's own.
    pub domain: String,
    /// Names of the inputs; the empty string is an omitted optional input.
    pub inputs: Vec<String>,
    /// Names of the outputs; the empty string is an output that is not wanted.
    pub outputs: Vec<String>,
    /// Attributes in the file's order.
    pub attrs: IndexMap<String, ModelAttr>,
    /// Documentation.
    pub doc: String,
    /// Overload of a function (`overload`).
    pub overload: String,
    /// Metadata (`metadata_props`).
    pub metadata: Vec<(String, String)>,
    /// What else the file says of the node, by name: `device_configuration` (an encoded `NodeDeviceConfigurationProto`),
    /// `doc:ATTRIBUTE` (documentation of an attribute), `tensor:ATTRIBUTE` (an encoded `TensorProto` with the name and
    /// documentation of an attribute's tensor, without its data).
    pub protos: Vec<(String, Bytes)>,
}

/// An attribute as its file says it. Floats keep their f32 bits.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelAttr {
    /// `FLOAT`.
    Float(f32),
    /// `INT`.
    Int(i64),
    /// `STRING`, bytes that are usually UTF-8.
    Str(Bytes),
    /// `TENSOR`.
    Tensor(Tensor),
    /// `FLOATS`.
    Floats(Vec<f32>),
    /// `INTS`.
    Ints(Vec<i64>),
    /// `STRINGS`.
    Strs(Vec<Bytes>),
    /// `GRAPH`: a sub-graph (If, Loop, Scan); the node is opaque as a whole.
    Graph(Arc<Model>),
    /// Anything else, as the encoded `AttributeProto` (tensors, graphs, sparse tensors, type protos, references to
    /// attributes of a function, tensors of element types that graphopt does not name).
    Proto(Bytes),
}

/// What an ONNX file carries beside the graph.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Extra {
    /// `ir_version`.
    pub ir_version: Option<i64>,
    /// `producer_name`.
    pub producer_name: String,
    /// `producer_version`.
    pub producer_version: String,
    /// `domain` of the model.
    pub domain: String,
    /// `model_version`.
    pub model_version: Option<i64>,
    /// `doc_string` of the model.
    pub doc: String,
    /// `doc_string` of the graph.
    pub graph_doc: String,
    /// `metadata_props` of the model.
    pub metadata: Vec<(String, String)>,
    /// `metadata_props` of the graph.
    pub graph_metadata: Vec<(String, String)>,
    /// Functions, as encoded `FunctionProto`s.
    pub functions: Vec<Bytes>,
    /// Other fields by name, as encoded messages (`training_info`, `quantization_annotation`, `configuration`, …).
    pub protos: Vec<(String, Bytes)>,
}
