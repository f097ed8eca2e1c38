//! Round trips and hostile input through the public doors: `load`, `parse`, `save`.

mod hostile;
mod round_trip;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use prost::Message;

use super::model::{
    DeclaredDim, DeclaredType, Extra, Foreign, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight,
};
use super::proto::{self, AttributeProto, GraphProto, ModelProto, TensorProto};
use super::{Folder, Format, Loaded, load, parse, save, write_onnx};
use crate::graph::{DType, Data, Tensor};

/// A model made by the onnx package with every field of every message set, by `tests/data/every_field.py`.
const EVERY_FIELD: &[u8] = include_bytes!("../../../tests/data/every_field.onnx");

const TINY: &str = r#"{
  "format": "graphopt-graph", "version": 1, "name": "tiny", "opset": 17,
  "inputs":  [{"name": "x", "dtype": "f32", "shape": [1, 3, 8, 8]}],
  "weights": [{"name": "w", "dtype": "f32", "shape": [4, 3, 3, 3], "data": {"init": "normal", "seed": 7, "std": 0.1}}],
  "nodes":   [{"name": "conv1", "op": "Conv", "inputs": ["x", "w"], "outputs": ["c"],
               "attrs": {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "group": 1}},
              {"name": "relu1", "op": "Relu", "inputs": ["c"], "outputs": ["y"]}],
  "outputs": ["y"]
}"#;

fn read_json(text: &str) -> Result<Model, String> {
    let loaded = parse(Format::Json, Bytes::copy_from_slice(text.as_bytes()), Folder::none());
    loaded.map(without_source).map_err(|p| p.to_string())
}

fn without_source(loaded: Loaded) -> Model {
    Model { source: None, ..loaded.model }
}

fn weight(tensor: Tensor) -> Weight {
    Weight { tensor, doc: String::new(), storage: Storage::Inline, metadata: Vec::new() }
}

/// A model with something of everything that [`Model`] can say.
fn rich() -> Model {
    let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    let ty = |dtype, shape| Some(DeclaredType { dtype, shape });
    let plain = |name: &str| ValueInfo { name: name.into(), ty: None, doc: String::new(), proto: None };
    let inner = Model {
        name: "then".into(),
        weights: IndexMap::from([("k".into(), weight(Tensor::from_i64s(&[1], &[i64::MAX]).unwrap()))]),
        nodes: vec![ModelNode {
            op: "Identity".into(),
            inputs: vec!["k".into()],
            outputs: vec!["o".into()],
            ..ModelNode::default()
        }],
        outputs: vec![plain("o")],
        ..Model::default()
    };
    let attrs = [
        ("alpha", ModelAttr::Float(0.1)),
        ("beta", ModelAttr::Int(1)),
        ("gamma", ModelAttr::Float(f32::NEG_INFINITY)),
        ("axis", ModelAttr::Int(i64::MIN)),
        ("mode", ModelAttr::Str(Bytes::from_static(b"constant"))),
        ("odd", ModelAttr::Str(Bytes::from_static(&[0xff, 0]))),
        ("scales", ModelAttr::Floats(vec![1.0, -0.0, f32::MIN_POSITIVE])),
        ("other", ModelAttr::Floats(vec![])),
        ("pads", ModelAttr::Ints(vec![])),
        ("ends", ModelAttr::Ints(vec![-1, i64::MAX])),
        ("activations", ModelAttr::Strs(vec![Bytes::from_static(b"Tanh")])),
        ("none", ModelAttr::Strs(vec![])),
        ("odds", ModelAttr::Strs(vec![Bytes::from_static(&[0xfe])])),
        ("tensor", ModelAttr::Tensor(Tensor::from_f32s(&[2], &[0.5, f32::INFINITY]).unwrap())),
        ("ref", {
            let reference = AttributeProto {
                name: Some("ref".into()),
                ref_attr_name: Some("outer".into()),
                r#type: Some(1),
                ..Default::default()
            };
            ModelAttr::Proto(reference.encode_to_vec().into())
        }),
        // Sub-graphs come last, as they do in JSON, where they are a field of their own.
        ("body", ModelAttr::Graph(Arc::new(inner))),
    ];
    let attrs: IndexMap<String, ModelAttr> = attrs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    let node = |op: &str, domain: &str| ModelNode {
        name: format!("{op} of {domain}"),
        op: op.into(),
        domain: domain.into(),
        inputs: vec!["x".into(), String::new(), "w".into()],
        outputs: vec![format!("{domain}.{op}")],
        attrs: attrs.clone(),
        doc: "a \"node\"\n".into(),
        overload: "o".into(),
        metadata: vec![pair("k", "v"), pair("k", "w")],
        protos: vec![("doc:alpha".into(), Bytes::from_static(b"why"))],
    };
    let large: Vec<f32> = (0..1000).map(|i| i as f32 / 7.0).collect();
    let complex =
        TensorProto { name: Some("c".into()), data_type: Some(14), float_data: vec![1.0, 2.0], ..Default::default() };
    let function = proto::FunctionProto { name: Some("f".into()), ..Default::default() };
    let annotation = proto::TensorAnnotation { tensor_name: Some("w".into()), ..Default::default() };
    Model {
        name: "rich".into(),
        opset_import: IndexMap::from([(String::new(), 17), ("com.example".into(), 2)]),
        inputs: vec![
            ValueInfo {
                name: "x".into(),
                ty: ty(
                    DType::F16,
                    Some(vec![DeclaredDim::Name("batch".into()), DeclaredDim::Unknown, DeclaredDim::Size(3)]),
                ),
                doc: "input".into(),
                proto: None,
            },
            ValueInfo { ty: ty(DType::Bool, None), ..plain("mask") },
        ],
        outputs: vec![plain("y"), ValueInfo { ty: ty(DType::String, Some(vec![])), ..plain("z") }],
        value_info: vec![ValueInfo { ty: ty(DType::U8, Some(vec![DeclaredDim::Size(0)])), ..plain("v") }],
        weights: IndexMap::from([
            (
                "w".into(),
                Weight {
                    doc: "d".into(),
                    metadata: vec![pair("a", "b")],
                    ..weight(Tensor::from_f32s(&[10, 100], &large).unwrap())
                },
            ),
            ("small".into(), weight(Tensor::from_f64s(&[3], &[0.1, f64::NAN, -0.0]).unwrap())),
            ("scalar".into(), weight(Tensor::from_i64s(&[], &[1 << 60]).unwrap())),
            ("i4".into(), weight(Tensor::new(DType::I4, &[201], Data::Bytes(vec![7; 101].into())).unwrap())),
            ("f8".into(), weight(Tensor::new(DType::F8E4M3, &[2], Data::Bytes(vec![7; 2].into())).unwrap())),
            (
                "text".into(),
                weight(
                    Tensor::new(
                        DType::String,
                        &[2],
                        Data::Strings([Bytes::from_static(b"a"), Bytes::from_static(&[0xff])].into()),
                    )
                    .unwrap(),
                ),
            ),
        ]),
        nodes: vec![node("Conv", ""), node("Foo", ""), node("Conv", "com.example")],
        extra: Extra {
            ir_version: Some(9),
            producer_name: "p".into(),
            producer_version: "1".into(),
            domain: "org".into(),
            model_version: Some(-1),
            doc: "model".into(),
            graph_doc: "graph".into(),
            metadata: vec![pair("author", "me")],
            graph_metadata: vec![pair("g", "h")],
            functions: vec![function.encode_to_vec().into()],
            protos: vec![("quantization_annotation".into(), annotation.encode_to_vec().into())],
        },
        foreign_weights: IndexMap::from([("c".into(), Foreign::Dense(complex.encode_to_vec().into()))]),
        source: None,
    }
}

/// Equality that looks at the bits of floats: through the ONNX bytes, which hold everything.
#[track_caller]
fn check_same(a: &Model, b: &Model) {
    let bytes = |model: &Model| {
        let mut out = Vec::new();
        write_onnx(model, &mut out).unwrap();
        ModelProto::decode(&out[..]).unwrap()
    };
    let (left, right) = (format!("{:#?}", bytes(a)), format!("{:#?}", bytes(b)));
    for (k, (left_line, right_line)) in left.lines().zip(right.lines()).enumerate() {
        let before: Vec<&str> = left.lines().skip(k.saturating_sub(8)).take(8).collect();
        assert_eq!(left_line, right_line, "after\n{}", before.join("\n"));
    }
    assert_eq!(left.len(), right.len());
    assert_eq!(a.weights, b.weights);
    assert_eq!(a.extra, b.extra);
    assert_eq!(a.opset_import, b.opset_import);
}

fn round_trip(model: &Model, path: &Path) -> Model {
    save(model, path).unwrap();
    without_source(load(path).unwrap())
}

/// A model whose weight is kept outside of its file.
fn external() -> Model {
    let values: Vec<f32> = (0..600).map(|i| i as f32).collect();
    let storage = Storage::External { file: "w.bin".into(), checksum: false };
    let tensor = Tensor::from_f32s(&[600], &values).unwrap();
    Model {
        weights: IndexMap::from([("w".into(), Weight { storage, ..weight(tensor) })]),
        opset_import: IndexMap::from([(String::new(), 17)]),
        extra: Extra { ir_version: Some(8), ..Extra::default() },
        ..Model::default()
    }
}

/// A model file around one initialiser.
fn onnx_with(tensor: TensorProto) -> Vec<u8> {
    let graph = GraphProto { initializer: vec![tensor], ..Default::default() };
    ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec()
}
