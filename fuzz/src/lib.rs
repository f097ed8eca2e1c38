//! What the fuzz targets do with arbitrary bytes, one function for each reader. `tests/fuzz_bodies.rs` runs the same
//! functions on mutated examples, so that they are kept working where no fuzzer is installed.
//!
//! A function returns when its reader refuses the bytes or everything held; it panics when something did not hold.

mod graphs;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use graphopt::cost;
use graphopt::formats::model::Model;
use graphopt::formats::safetensors::TensorFile;
use graphopt::formats::{Folder, Format, Loaded, load, parse, save, write_json, write_onnx};
use graphopt::rewrite::RuleSet;
use graphopt::substitution::{
    Ids, Library, condition_text, expr_text, operand_text, parse_condition, parse_expr, parse_operand,
};

pub use graphs::graph;

/// A target: its name, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("onnx", onnx),
    ("json", json),
    ("safetensors", safetensors),
    ("external", external),
    ("library", library),
    ("expression", expression),
    ("costs", costs),
    ("graph", graph),
];

/// A generated weight may be large by right; drawing more than this (bytes) is not what is tested here.
const MAX_DRAWN: u64 = 1 << 24;

/// A `.onnx` file.
pub fn onnx(data: &[u8]) {
    if let Ok(loaded) = parse(Format::Onnx, Bytes::copy_from_slice(data), Folder::none()) {
        round_trips(loaded);
    }
}

/// A `.json` file.
pub fn json(data: &[u8]) {
    if let Ok(loaded) = parse(Format::Json, Bytes::copy_from_slice(data), Folder::none()) {
        round_trips(loaded);
    }
}

/// A model that was read can be written in both formats and read again as the same, and be imported or refused.
fn round_trips(loaded: Loaded) {
    let model = Model { source: None, ..loaded.model };
    let drawn = weights(&model);
    if drawn > MAX_DRAWN {
        return;
    }
    let encoded = onnx_bytes(&model);
    let again = parse(Format::Onnx, encoded.clone().into(), Folder::none()).expect("what was written can be read");
    let again = Model { source: None, ..again.model };
    assert!(onnx_bytes(&again) == encoded, "the second ONNX file is the first");
    let mut text = Vec::new();
    if write_json(&again, &mut text).is_ok() {
        let back = parse(Format::Json, text.into(), Folder::none()).expect("the JSON that was written can be read");
        let back = Model { source: None, ..back.model };
        assert!(onnx_bytes(&back) == encoded, "ONNX to JSON to ONNX loses nothing");
    }
    graphs::import_and_export(model);
}

/// Bytes of all weights, those of sub-graphs and attributes among them.
fn weights(model: &Model) -> u64 {
    use graphopt::formats::model::ModelAttr;
    let own: u64 = model.weights.values().map(|w| w.tensor.byte_len()).fold(0, u64::saturating_add);
    let attrs = model.nodes.iter().flat_map(|n| n.attrs.values()).map(|attr| match attr {
        ModelAttr::Graph(graph) => weights(graph),
        ModelAttr::Tensor(tensor) => tensor.byte_len(),
        _ => 0,
    });
    attrs.fold(own, u64::saturating_add)
}

fn onnx_bytes(model: &Model) -> Vec<u8> {
    let mut out = Vec::new();
    write_onnx(model, &mut out).expect("what was read can be written");
    out
}

/// A safetensors file.
pub fn safetensors(data: &[u8]) {
    let Ok(file) = TensorFile::parse(Bytes::copy_from_slice(data)) else { return };
    for name in file.names() {
        if let Ok(tensor) = file.tensor(&name) {
            assert!(tensor.byte_len() <= data.len() as u64);
        }
    }
}

/// A substitution library: read, compiled, written, and read again as the same.
pub fn library(data: &[u8]) {
    let Ok(library) = Library::parse("fuzz", data, Ids::Computed) else { return };
    let rules = library.substitutions.iter().map(|s| s.rule.clone());
    let _ = RuleSet::compile(rules);
    let again =
        Library::parse("again", library.to_text().as_bytes(), Ids::Checked).expect("what was written can be read");
    assert_eq!(again, library);
}

/// An expression, a condition or an operand of the rule language.
pub fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(expr) = parse_expr(text) {
        assert_eq!(parse_expr(&expr_text(&expr)), Ok(expr));
    }
    if let Ok(condition) = parse_condition(text) {
        assert_eq!(parse_condition(&condition_text(&condition)), Ok(condition));
    }
    if let Ok(operand) = parse_operand(text) {
        assert_eq!(parse_operand(&operand_text(&operand, &|_| false)), Ok(operand));
    }
}

/// A cache of measured costs.
pub fn costs(data: &[u8]) {
    for time in cost::read_costs(data).into_iter().flatten().map(|(_, time)| time) {
        assert!(time.is_finite() && time >= 0.0);
    }
}

/// Two folders: the model's, with a file, a link out of it and one that stays, and a secret beside it.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let inside = dir.path().join("in");
        std::fs::create_dir_all(inside.join("sub")).expect("a folder");
        std::fs::write(dir.path().join("secret"), SECRET).expect("a file");
        std::fs::write(inside.join("w"), [7; 64]).expect("a file");
        std::fs::write(inside.join("sub/w"), [7; 64]).expect("a file");
        #[cfg(unix)]
        std::os::unix::fs::symlink("../secret", inside.join("l")).expect("a link");
        dir
    });
    made.path()
}

const SECRET: &[u8] = b"what no model may read";

/// The name of a file that a model refers to (up to the first zero byte), and the numbers of its place: nothing outside of
/// the model's folder is read, and a model with external data is written as it was.
pub fn external(data: &[u8]) {
    use graphopt::formats::proto::{EXTERNAL, GraphProto, ModelProto, StringStringEntryProto, TensorProto};
    use prost::Message;
    let mut parts = data.split(|&byte| byte == b'\n').map(|part| String::from_utf8_lossy(part).into_owned());
    let [location, offset, length, checksum] = std::array::from_fn(|_| parts.next());
    let Some(location) = location else { return };
    let inside = folder().join("in");
    if let Ok(bytes) = Folder::of(&inside.join("m.onnx")).open(&location) {
        assert!(bytes != SECRET && bytes.iter().all(|&b| b == 7), "{location:?} left the folder");
    }
    let entry = |key: &str, value: Option<String>| {
        value.filter(|v| !v.is_empty()).map(|v| StringStringEntryProto { key: Some(key.into()), value: Some(v) })
    };
    let fields = [("location", Some(location)), ("offset", offset), ("length", length), ("checksum", checksum)];
    let tensor = TensorProto {
        name: Some("w".into()),
        dims: vec![16],
        data_type: Some(1),
        data_location: Some(EXTERNAL),
        external_data: fields.into_iter().filter_map(|(k, v)| entry(k, v)).collect(),
        ..Default::default()
    };
    let graph = GraphProto { initializer: vec![tensor], ..Default::default() };
    let bytes = ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec();
    // Threads of one process have a file each: nobody may cut a file that another has mapped.
    static FILES: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static FILE: u64 = FILES.fetch_add(1, Ordering::Relaxed);
    }
    let path = inside.join(format!("m{}.onnx", FILE.with(|n| *n)));
    std::fs::write(&path, &bytes).expect("a file can be written");
    if let Ok(loaded) = load(&path) {
        let copy = tempfile::tempdir().expect("a temporary folder");
        save(&loaded.model, &copy.path().join("m.onnx")).expect("what was read can be written");
        let again = load(&copy.path().join("m.onnx")).expect("what was written can be read");
        assert_eq!(again.model.weights["w"].tensor, loaded.model.weights["w"].tensor);
        // As a changed model: written anew.
        let model = Model { source: None, ..loaded.model };
        save(&model, &copy.path().join("n.onnx")).expect("what was read can be written");
        let again = load(&copy.path().join("n.onnx")).expect("what was written can be read");
        assert_eq!(again.model.weights["w"].tensor, model.weights["w"].tensor);
    }
}
