//! Round trips and hostile input through the public doors: `load`, `parse`, `save`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use proptest::prelude::*;
use prost::Message;

use super::model::{
    DeclaredDim, DeclaredType, Extra, Foreign, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight,
};
use super::proto::{self, AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto};
use super::{Folder, Format, load, parse, save};
use crate::graph::{DType, Data, Init, Tensor};

/// A model made by the onnx package with every field of every message set, by `tests/data/every_field.py`.
const EVERY_FIELD: &[u8] = include_bytes!("../../tests/data/every_field.onnx");

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

fn without_source(loaded: super::Loaded) -> Model {
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
        super::write_onnx(model, &mut out).unwrap();
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

#[test]
fn everything_survives_onnx_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let rich = rich();
    check_same(&round_trip(&rich, &dir.path().join("a.onnx")), &rich);
    check_same(&round_trip(&rich, &dir.path().join("a.json")), &rich);
}

#[test]
fn json_text_is_stable_and_one_record_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.json");
    save(&read_json(TINY).unwrap(), &path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        r#"{"format": "graphopt-graph", "version": 1, "name": "tiny", "opset": 17,
"inputs": [
  {"name": "x", "dtype": "f32", "shape": [1, 3, 8, 8]}
],
"weights": [
  {"name": "w", "dtype": "f32", "shape": [4, 3, 3, 3], "data": {"init": "normal", "seed": 7, "std": 0.1}}
],
"nodes": [
  {"name": "conv1", "op": "Conv", "inputs": ["x", "w"], "outputs": ["c"], "attrs": {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "group": 1}},
  {"name": "relu1", "op": "Relu", "inputs": ["c"], "outputs": ["y"]}
],
"outputs": [
  "y"
]}
"#
    );
    assert_eq!(read_json(&text), read_json(TINY));
}

#[test]
fn unchanged_models_are_written_byte_for_byte_with_their_data() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.json", "a.onnx"] {
        let path = dir.path().join(name);
        save(&external(), &path).unwrap();
        let loaded = load(&path).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let files = &loaded.model.source.as_ref().unwrap().files;
        assert_eq!(files.len(), 1, "{name}");
        let other = tempfile::tempdir().unwrap();
        let copy = other.path().join(name);
        save(&loaded.model, &copy).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), fs::read(&path).unwrap());
        let data = files.keys().next().unwrap();
        assert_eq!(fs::read(other.path().join(data)).unwrap(), fs::read(dir.path().join(data)).unwrap());
        assert_eq!(without_source(load(&copy).unwrap()), without_source(loaded));
    }
}

#[test]
fn a_file_of_the_same_name_is_never_overwritten_with_other_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.onnx");
    save(&external(), &path).unwrap();
    let loaded = load(&path).unwrap();
    let data = loaded.model.source.as_ref().unwrap().files.keys().next().unwrap().clone();
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join(&data), b"somebody's").unwrap();
    let copy = other.path().join("b.onnx");
    save(&loaded.model, &copy).unwrap();
    assert_eq!(fs::read(other.path().join(&data)).unwrap(), b"somebody's");
    assert_eq!(load(&copy).unwrap().model.weights["w"].tensor, loaded.model.weights["w"].tensor);
}

/// A model whose weight is kept outside of its file.
fn external() -> Model {
    let values: Vec<f32> = (0..600).map(|i| i as f32).collect();
    let storage = Storage::External { file: "w.bin".into() };
    let tensor = Tensor::from_f32s(&[600], &values).unwrap();
    Model {
        weights: IndexMap::from([("w".into(), Weight { storage, ..weight(tensor) })]),
        opset_import: IndexMap::from([(String::new(), 17)]),
        extra: Extra { ir_version: Some(8), ..Extra::default() },
        ..Model::default()
    }
}

#[test]
fn every_field_of_every_message_is_known() {
    let file = ModelProto::decode(EVERY_FIELD).unwrap();
    assert_eq!(file.encode_to_vec(), EVERY_FIELD);
    let loaded = parse(Format::Onnx, Bytes::from_static(EVERY_FIELD), Folder::none()).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn what_the_onnx_package_writes_is_written_again_from_the_model() {
    let loaded = parse(Format::Onnx, Bytes::from_static(EVERY_FIELD), Folder::none()).unwrap();
    let model = without_source(loaded);
    let dir = tempfile::tempdir().unwrap();
    check_same(&round_trip(&model, &dir.path().join("a.json")), &model);
    check_same(&round_trip(&model, &dir.path().join("a.onnx")), &model);
}

#[test]
fn unknown_fields_are_reported_and_kept_while_nothing_is_rewritten() {
    let mut bytes = EVERY_FIELD.to_vec();
    // Field 99, a varint.
    bytes.extend([0x98, 0x06, 0x01]);
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a.onnx"), dir.path().join("b.onnx"));
    fs::write(&path, &bytes).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("3 bytes that are unknown"), "{:?}", loaded.warnings);
    save(&loaded.model, &copy).unwrap();
    assert_eq!(fs::read(copy).unwrap(), bytes);
}

#[test]
fn generated_weights_are_drawn_when_onnx_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let model = read_json(TINY).unwrap();
    let back = round_trip(&model, &dir.path().join("t.onnx"));
    let drawn = &back.weights["w"].tensor;
    assert!(matches!(drawn.data(), Data::Bytes(_)));
    assert_eq!(drawn.bytes(), model.weights["w"].tensor.bytes());
    assert_eq!(back.extra.ir_version, Some(8));
}

#[test]
fn constants_of_float_attributes_may_be_written_as_integers() {
    let text = |attrs: &str, op: &str| {
        format!(
            r#"{{"format": "graphopt-graph", "version": 1, "name": "", "opset": 17,
                 "nodes": [{{"op": "{op}", "inputs": ["x"], "outputs": ["y"], "attrs": {{{attrs}}}}}]}}"#
        )
    };
    let attr =
        |attrs: &str, op: &str| read_json(&text(attrs, op)).map(|m| m.nodes[0].attrs.values().next().unwrap().clone());
    assert_eq!(attr(r#""alpha": 1"#, "Elu"), Ok(ModelAttr::Float(1.0)));
    assert_eq!(attr(r#""axis": 1"#, "Softmax"), Ok(ModelAttr::Int(1)));
    assert_eq!(attr(r#""value": {"float": 1}"#, "Foo"), Ok(ModelAttr::Float(1.0)));
    assert_eq!(attr(r#""value": {"int": "-9223372036854775808"}"#, "Foo"), Ok(ModelAttr::Int(i64::MIN)));
    let error = attr(r#""value": 1"#, "Foo").unwrap_err();
    assert!(error.starts_with("node 0 (Foo): attribute \"value\": ") && error.contains("{\"int\": 1}"), "{error}");
}

#[test]
fn bare_attributes_of_operators_that_we_know_have_the_type_of_the_schema() {
    use crate::graph::OpKind;
    use crate::ops::AttrType;
    let mut floats = 0;
    for &kind in OpKind::ALL.iter().filter(|k| !k.is_constructor()) {
        for spec in crate::ops::schema(kind).attrs {
            let text = format!(
                r#"{{"format": "graphopt-graph", "version": 1, "nodes": [{{"op": "{kind}", "attrs": {{"{}": 1}}}}]}}"#,
                spec.name
            );
            let read = read_json(&text);
            match spec.default.ty() {
                AttrType::Float => {
                    floats += 1;
                    assert_eq!(read.unwrap().nodes[0].attrs[spec.name], ModelAttr::Float(1.0), "{kind} {}", spec.name);
                }
                AttrType::Int => {
                    assert_eq!(read.unwrap().nodes[0].attrs[spec.name], ModelAttr::Int(1), "{kind} {}", spec.name);
                }
                _ => {}
            }
        }
    }
    assert!(floats > 10);
}

#[test]
fn weights_are_views_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.onnx");
    let mut model = external();
    model.weights["w"].storage = Storage::Inline;
    save(&model, &path).unwrap();
    let loaded = load(&path).unwrap().model;
    let (file, weight) =
        (loaded.source.as_ref().unwrap().bytes.as_ptr_range(), loaded.weights["w"].tensor.bytes().unwrap());
    assert!(file.contains(&weight.as_ptr()));
}

/// Each fault of a graph file and what the message has to say of it.
#[test]
fn faults_in_json_name_node_and_field() {
    let cases = [
        (TINY.replace("\"version\": 1", "\"version\": 2"), "version 2 is unknown"),
        (TINY.replace("graphopt-graph", "graphopt-substitutions"), "format is \"graphopt-substitutions\""),
        (TINY.replace("\"opset\"", "\"opsets\""), "unknown field \"opsets\""),
        (
            TINY.replace("\"outputs\": [\"c\"]", "\"output\": [\"c\"]"),
            "node \"conv1\" (Conv): unknown field \"output\"",
        ),
        (TINY.replace("\"op\": \"Conv\", ", ""), "node \"conv1\" (): the field \"op\" is missing"),
        (
            TINY.replace("[\"x\", \"w\"]", "[\"x\", 3]"),
            "node \"conv1\" (Conv): inputs: expected a string, found an integer",
        ),
        (
            TINY.replace("\"f32\", \"shape\": [1", "\"f31\", \"shape\": [1"),
            "inputs \"x\": \"dtype\": unknown dtype \"f31\"",
        ),
        (TINY.replace("[4, 3, 3, 3]", "[4, -3, 3, 3]"), "weight \"w\": \"shape\": -3 is no size"),
        (
            TINY.replace("[4, 3, 3, 3]", "[4, \"n\", 3, 3]"),
            "weight \"w\": \"shape\": the shape of a weight is all numbers",
        ),
        (
            TINY.replace("\"std\": 0.1", "\"std\": \"wide\""),
            "weight \"w\": \"data\": \"std\": expected a number, found \"wide\"",
        ),
        (TINY.replace("\"group\": 1", "\"group\": null"), "node \"conv1\" (Conv): attribute \"group\": expected"),
        (TINY.replace("\"group\": 1", "\"group\": {\"integer\": 1}"), "attribute \"group\": \"integer\": unknown type"),
        (TINY.replace("\"group\": 1", "\"pads\": [1]"), "the field \"pads\" is given twice"),
        (
            TINY.replace("\"group\": 1", "\"group\": 9223372036854775808"),
            "attribute \"group\": 9223372036854775808 does not fit",
        ),
        (
            TINY.replace("\"group\": 1", "\"strange\": [1, [2]]"),
            "attribute \"strange\": expected an integer, found a list",
        ),
        (TINY[..200].to_owned(), "not valid JSON"),
        (String::new(), "not valid JSON"),
        ("[]".to_owned(), "expected an object, found a list"),
        ("{}".to_owned(), "the field \"format\" is missing"),
    ];
    for (text, wanted) in cases {
        let error = read_json(&text).unwrap_err();
        assert!(error.contains(wanted), "{error}\n  should say: {wanted}");
    }
}

/// A model file around one initialiser.
fn onnx_with(tensor: TensorProto) -> Vec<u8> {
    let graph = GraphProto { initializer: vec![tensor], ..Default::default() };
    ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec()
}

#[test]
fn faults_in_onnx_name_file_node_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.onnx");
    fs::write(dir.path().join("w.bin"), [0; 16]).unwrap();
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let text = load(&path).unwrap_err().to_string();
        let prefix = format!("{}: ", path.display());
        text.strip_prefix(&prefix).unwrap_or_else(|| panic!("{text} does not name the file")).to_owned()
    };
    let outside = |location: &str, offset: &str, length: &str| {
        let entry = |k: &str, v: &str| StringStringEntryProto { key: Some(k.into()), value: Some(v.into()) };
        onnx_with(TensorProto {
            name: Some("w".into()),
            dims: vec![4],
            data_type: Some(1),
            data_location: Some(proto::EXTERNAL),
            external_data: vec![entry("location", location), entry("offset", offset), entry("length", length)],
            ..Default::default()
        })
    };
    let initializer = "initializer \"w\": external_data: ";
    assert!(error(&outside("../w.bin", "0", "16")).starts_with(&format!("{initializer}the file name \"../w.bin\"")));
    assert!(error(&outside("/etc/passwd", "0", "16")).contains("must be relative"));
    assert!(error(&outside("none.bin", "0", "16")).contains("cannot read the file \"none.bin\""));
    assert!(error(&outside("w.bin", "1", "16")).contains("16 bytes from offset 1 are beyond the end of \"w.bin\""));
    assert!(error(&outside("w.bin", "18446744073709551615", "16")).contains("beyond the end"));
    assert!(error(&outside("w.bin", "-1", "16")).contains("offset is \"-1\", not a number"));
    assert!(error(&outside("w.bin", "0", "8")).contains("needs 16 bytes of data, and has 8"));
    assert!(error(b"").contains("it has no graph"));
    assert!(error(b"not a model").contains("not an ONNX model"));
    let graph_of = |node: NodeProto| {
        let graph = GraphProto { node: vec![node], ..Default::default() };
        ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec()
    };
    let negative = TensorProto { dims: vec![-1], data_type: Some(1), ..Default::default() };
    let attribute = AttributeProto {
        name: Some("value".into()),
        r#type: Some(4),
        t: Some(Box::new(negative)),
        ..Default::default()
    };
    let node = NodeProto {
        name: Some("k".into()),
        op_type: Some("Constant".into()),
        attribute: vec![attribute],
        ..Default::default()
    };
    assert_eq!(
        error(&graph_of(node.clone())),
        "node \"k\" (Constant): attribute \"value\": dims has the negative size -1"
    );
    let twice = AttributeProto { name: Some("a".into()), i: Some(1), r#type: Some(2), ..Default::default() };
    let node = NodeProto { attribute: vec![twice.clone(), twice], ..node };
    assert!(error(&graph_of(node)).contains("attribute \"a\": it is given twice"));
    assert!(load(&dir.path().join("m.txt")).unwrap_err().to_string().contains(".onnx or .json"));
    assert!(load(&dir.path().join("absent.onnx")).unwrap_err().to_string().contains("absent.onnx"));
}

#[test]
fn deep_nesting_is_refused_without_recursing_into_it() {
    let mut graph = GraphProto::default();
    for _ in 0..200 {
        let attribute = AttributeProto {
            name: Some("body".into()),
            g: Some(Box::new(graph)),
            r#type: Some(5),
            ..Default::default()
        };
        let node = NodeProto { op_type: Some("Loop".into()), attribute: vec![attribute], ..Default::default() };
        graph = GraphProto { node: vec![node], ..Default::default() };
    }
    let bytes = ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec();
    let error = parse(Format::Onnx, bytes.into(), Folder::none()).unwrap_err();
    assert!(error.to_string().contains("recursion limit"), "{error}");
    let open = r#"{"nodes": [{"op": "Loop", "subgraphs": {"body": "#.repeat(10_000);
    assert!(read_json(&open).unwrap_err().contains("recursion limit"));
}

/// A sparse file of more than 2 GiB beside a small model: read by map, copied with its holes, named in a new model.
#[test]
fn external_data_above_two_gib_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let (size, path) = ((1u64 << 31) + 4096, dir.path().join("m.onnx"));
    fs::File::create(dir.path().join("w.bin")).unwrap().set_len(size).unwrap();
    let entry = |k: &str, v: String| StringStringEntryProto { key: Some(k.into()), value: Some(v) };
    let tensor = TensorProto {
        name: Some("w".into()),
        dims: vec![size as i64 / 4],
        data_type: Some(1),
        data_location: Some(proto::EXTERNAL),
        external_data: vec![entry("location", "w.bin".into())],
        ..Default::default()
    };
    fs::write(&path, onnx_with(tensor)).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.model.weights["w"].tensor.byte_len(), size);
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    save(&loaded.model, &copy.join("m.onnx")).unwrap();
    assert_eq!(fs::read(copy.join("m.onnx")).unwrap(), fs::read(&path).unwrap());
    assert_eq!(fs::metadata(copy.join("w.bin")).unwrap().len(), size);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        assert!(fs::metadata(copy.join("w.bin")).unwrap().blocks() * 512 < 1 << 20, "the copy has holes too");
    }
}

#[test]
fn generated_models_above_two_gib_get_external_data() {
    let zeros = |n: u64| weight(Tensor::new(DType::F64, &[n], Data::Init(Init::Zeros)).unwrap());
    let mut weights: IndexMap<String, Weight> = (0..8).map(|i| (format!("w{i}"), zeros(1 << 25))).collect();
    weights.insert("small".into(), zeros(8));
    let model = Model { weights, ..Model::default() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.onnx");
    save(&model, &path).unwrap();
    let loaded = load(&path).unwrap().model;
    assert!(fs::metadata(&path).unwrap().len() < 1000);
    let Storage::External { file } = &loaded.weights["w1"].storage else { panic!("w1 is in the file") };
    assert!(file.starts_with("big.") && file.ends_with(".data"), "{file}");
    assert_eq!(loaded.weights["small"].storage, Storage::Inline);
    assert_eq!(loaded.weights["w7"].tensor.byte_len(), 1 << 28);
}

#[test]
fn old_ir_versions_list_every_initialiser_as_an_input() {
    let mut model = external();
    model.extra.ir_version = Some(3);
    let dir = tempfile::tempdir().unwrap();
    let back = round_trip(&model, &dir.path().join("a.onnx"));
    assert_eq!(back.inputs.len(), 1);
    assert_eq!(back.inputs[0].name, "w");
}

fn survives(format: Format, bytes: Vec<u8>) {
    if let Ok(loaded) = parse(format, bytes.into(), Folder::none()) {
        // A generated weight may be large by right; drawing it is not what is tested here.
        if loaded.model.weights.values().map(|w| w.tensor.byte_len()).sum::<u64>() > 1 << 24 {
            return;
        }
        // Whatever was read can be written and read again, from the model alone.
        let mut out = Vec::new();
        let model = Model { source: None, ..loaded.model };
        super::write_onnx(&model, &mut out).unwrap();
        parse(Format::Onnx, out.into(), Folder::none()).unwrap();
    }
}

fn mutated(base: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6);
    (edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(move |(edits, cut, cuts)| {
        let mut bytes = base.clone();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(Format::Onnx, bytes.clone());
        survives(Format::Json, bytes);
    }

    #[test]
    fn mutated_onnx_never_panics(bytes in mutated(EVERY_FIELD.to_vec())) {
        survives(Format::Onnx, bytes);
    }

    #[test]
    fn mutated_json_never_panics(bytes in mutated(TINY.as_bytes().to_vec())) {
        survives(Format::Json, bytes);
    }

    #[test]
    fn mutated_safetensors_never_panic(bytes in mutated({
        let mut text = br#"{"t":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}        "#.to_vec();
        let mut out = (text.len() as u64).to_le_bytes().to_vec();
        out.append(&mut text);
        out.extend([0; 8]);
        out
    })) {
        if let Ok(file) = super::safetensors::TensorFile::parse(bytes.into()) {
            for name in file.names() {
                let _ = file.tensor(&name);
            }
        }
    }
}

/// Every prefix of a valid file is an error or a model, and never a panic.
#[test]
fn cut_files_never_panic() {
    for n in 0..EVERY_FIELD.len() {
        survives(Format::Onnx, EVERY_FIELD[..n].to_vec());
    }
    for n in 0..TINY.len() {
        assert!(read_json(&TINY[..n]).is_err());
    }
}
