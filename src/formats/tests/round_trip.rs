//! What is written is what was read.

use std::fs;

use super::*;
use crate::formats::proto::StringStringEntryProto;
use crate::graph::Init;

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
    let Storage::External { file, .. } = &loaded.weights["w1"].storage else { panic!("w1 is in the file") };
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
