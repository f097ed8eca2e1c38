//! Faults are named; nothing panics.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::formats::proto::{NodeProto, StringStringEntryProto};
use crate::formats::safetensors::TensorFile;

#[test]
fn everything_survives_onnx_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let rich = rich();
    check_same(&round_trip(&rich, &dir.path().join("a.onnx")), &rich);
    check_same(&round_trip(&rich, &dir.path().join("a.json")), &rich);
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

fn survives(format: Format, bytes: Vec<u8>) {
    if let Ok(loaded) = parse(format, bytes.into(), Folder::none()) {
        // A generated weight may be large by right; drawing it is not what is tested here.
        if loaded.model.weights.values().map(|w| w.tensor.byte_len()).sum::<u64>() > 1 << 24 {
            return;
        }
        // Whatever was read can be written and read again, from the model alone.
        let mut out = Vec::new();
        let model = Model { source: None, ..loaded.model };
        write_onnx(&model, &mut out).unwrap();
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
        if let Ok(file) = TensorFile::parse(bytes.into()) {
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
