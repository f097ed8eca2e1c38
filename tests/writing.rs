//! What is written is whole, or what was there before; large files are copied byte for byte in little memory; the user can
//! stop the work.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use graphopt::formats::model::{Format, Model, Storage};
use graphopt::formats::proto::{EXTERNAL, GraphProto, ModelProto, StringStringEntryProto, TensorProto};
use graphopt::formats::{Folder, ImportOptions, export, import, load, parse, save};
use graphopt::graph::splitmix64;
use graphopt::rewrite::clean_up;
use prost::Message;

/// The program in a folder, ready to be started.
fn graphopt(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("graphopt"));
    command.current_dir(folder).args(args).env("NO_COLOR", "1").env("XDG_CACHE_HOME", folder.join("cache"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a child wrote to stderr, and its exit code (`None`: ended by a signal).
fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Peak resident memory of a child in bytes, which includes the mapped pages of files; it has to succeed.
#[cfg(target_os = "linux")]
// Waited for by `wait4`, which tells the memory.
#[allow(unsafe_code, clippy::zombie_processes)]
fn peak_memory(folder: &Path, args: &[&str]) -> u64 {
    let mut command = graphopt(folder, args);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut status = 0;
    // SAFETY: plain old data, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and not waited for elsewhere; both pointers are to locals that live through the call.
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    assert_eq!(waited, child.id() as i32);
    assert_eq!(status, 0, "{args:?}");
    usage.ru_maxrss as u64 * 1024
}

fn entries(pairs: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
    let entry = |&(k, v): &(&str, &str)| StringStringEntryProto { key: Some(k.into()), value: Some(v.into()) };
    pairs.iter().map(entry).collect()
}

/// A model around initialisers.
fn model(initializer: Vec<TensorProto>) -> Vec<u8> {
    let graph = GraphProto { initializer, ..Default::default() };
    ModelProto { ir_version: Some(8), graph: Some(graph), ..Default::default() }.encode_to_vec()
}

/// An initialiser of f32 in another file.
fn external(name: &str, elements: u64, pairs: &[(&str, &str)]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: vec![elements as i64],
        data_type: Some(1),
        data_location: Some(EXTERNAL),
        external_data: entries(pairs),
        ..Default::default()
    }
}

/// Whether two files have the same bytes; they may be larger than memory.
fn same(a: &Path, b: &Path) -> bool {
    let (mut a, mut b) = (File::open(a).unwrap(), File::open(b).unwrap());
    if a.metadata().unwrap().len() != b.metadata().unwrap().len() {
        return false;
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let n = a.read(&mut left).unwrap();
        if n == 0 {
            return true;
        }
        b.read_exact(&mut right[..n]).unwrap();
        if left[..n] != right[..n] {
            return false;
        }
    }
}

/// Bytes that do not repeat.
fn write_noise(out: &mut impl Write, bytes: u64) {
    for i in 0..bytes / 8 {
        out.write_all(&(splitmix64(1, i) & 0x3fff_ffff_3fff_ffff).to_le_bytes()).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_several_hundred_megabytes_is_copied_in_less_than_three_times_its_size() {
    const DATA: u64 = 320 << 20;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // Two initialisers, written by hand so that the test itself takes no memory.
    let part = |name: &str| {
        let head = TensorProto {
            name: Some(name.into()),
            dims: vec![(DATA / 8) as i64],
            data_type: Some(1),
            ..Default::default()
        };
        let mut bytes = head.encode_to_vec();
        bytes.push(9 << 3 | 2);
        prost::encode_length_delimiter(DATA as usize / 2, &mut bytes).unwrap();
        bytes
    };
    let parts = [part("a"), part("b")];
    let mut keys = Vec::new();
    let mut length = 0;
    for part in &parts {
        let whole = part.len() + DATA as usize / 2;
        let mut key = vec![5 << 3 | 2];
        prost::encode_length_delimiter(whole, &mut key).unwrap();
        length += key.len() + whole;
        keys.push(key);
    }
    let mut out = BufWriter::new(File::create(at("big.onnx")).unwrap());
    out.write_all(&[8, 8, 7 << 3 | 2]).unwrap();
    let mut prefix = Vec::new();
    prost::encode_length_delimiter(length, &mut prefix).unwrap();
    out.write_all(&prefix).unwrap();
    for (key, part) in keys.iter().zip(&parts) {
        out.write_all(key).unwrap();
        out.write_all(part).unwrap();
        write_noise(&mut out, DATA / 2);
    }
    out.flush().unwrap();
    drop(out);
    let size = fs::metadata(at("big.onnx")).unwrap().len();
    let peak = peak_memory(dir.path(), &["convert", "big.onnx", "copy.onnx"]);
    assert!(same(&at("big.onnx"), &at("copy.onnx")));
    assert!(peak < 2 * size, "copying {size} bytes took {peak}");
    // Rewritten: to JSON with a safetensors file, and back.
    let to_json = peak_memory(dir.path(), &["convert", "copy.onnx", "m.json"]);
    assert!(to_json < 3 * size, "{to_json}");
    let to_onnx = peak_memory(dir.path(), &["convert", "m.json", "back.onnx"]);
    assert!(to_onnx < 3 * size, "{to_onnx}");
    let (a, b) = (load(&at("big.onnx")).unwrap().model, load(&at("back.onnx")).unwrap().model);
    assert_eq!(a.weights, b.weights);
}

#[cfg(target_os = "linux")]
#[test]
fn external_data_above_two_gigabytes_are_copied_with_their_holes() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    const SIZE: u64 = (5 << 29) + 4096;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("out")).unwrap();
    let data = File::create(at("w.bin")).unwrap();
    data.set_len(SIZE).unwrap();
    for k in 0..100 {
        data.write_all_at(b"not a hole", k * (SIZE / 100)).unwrap();
    }
    drop(data);
    let half = (SIZE / 2).to_string();
    let tensors = vec![
        external("a", SIZE / 8, &[("location", "w.bin"), ("length", &half)]),
        external("b", SIZE / 8, &[("location", "w.bin"), ("offset", &half), ("length", &half)]),
    ];
    fs::write(at("m.onnx"), model(tensors)).unwrap();
    let on_disk = |name: &str| fs::metadata(at(name)).unwrap().blocks() * 512;
    let peak = peak_memory(dir.path(), &["convert", "m.onnx", "out/m.onnx"]);
    assert!(same(&at("m.onnx"), &at("out/m.onnx")) && same(&at("w.bin"), &at("out/w.bin")));
    assert!(on_disk("out/w.bin") < 1 << 24, "the copy has holes too: {}", on_disk("out/w.bin"));
    // The pages of the map are all that was touched.
    assert!(peak < SIZE + (1 << 30), "{peak}");
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_while_it_writes_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let weight = |name: &str| {
        format!(
            r#"{{"name": "{name}", "dtype": "f32", "shape": [60000000], "data": {{"init": "normal", "seed": 7, "std": 1}}}}"#
        )
    };
    let text = format!(
        r#"{{"format": "graphopt-graph", "version": 1, "opset": 17, "nodes": [], "weights": [{}, {}]}}"#,
        weight("a"),
        weight("b")
    );
    fs::write(at("m.json"), text).unwrap();
    fs::write(at("m.onnx"), "the old file").unwrap();
    let mut child = graphopt(dir.path(), &["convert", "m.json", "m.onnx"]).spawn().unwrap();
    let half_written = || {
        let entries = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap());
        entries
            .filter(|e| e.file_name().to_string_lossy().starts_with(".graphopt-"))
            .any(|e| e.metadata().is_ok_and(|m| m.len() > 1 << 20))
    };
    let start = Instant::now();
    while !half_written() {
        assert!(
            start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(),
            "too fast to be killed"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read(at("m.onnx")).unwrap(), b"the old file");
}

/// Asks a child to stop as Ctrl-C does.
#[cfg(unix)]
fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A search that would go on for hours.
const ENDLESS: [&str; 10] = [
    "optimise",
    "squeezenet1_1",
    "--alpha",
    "3",
    "--budget",
    "1000000000",
    "--no-measure",
    "--device",
    "cpu",
    "-oo.json",
];

#[cfg(unix)]
#[test]
fn ctrl_c_writes_the_best_graph_found_so_far_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    // Before the search begins, Ctrl-C ends the program as it does any other: then wait longer.
    for seconds in [2, 5, 15, 40] {
        let child = graphopt(dir.path(), &ENDLESS).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(seconds));
        interrupt(&child);
        let (code, stderr) = finish(child);
        if code.is_none() {
            assert!(!dir.path().join("o.json").exists());
            continue;
        }
        assert_eq!(code, Some(0), "{stderr}");
        for said in ["stopping", "the search was stopped: this is the best graph found until then", "wrote o.json"] {
            assert!(stderr.contains(said), "{stderr}");
        }
        let written = load(&dir.path().join("o.json")).unwrap().model;
        assert!(!written.nodes.is_empty());
        // The second Ctrl-C ends it at once, and nothing is written.
        fs::remove_file(dir.path().join("o.json")).unwrap();
        let child = graphopt(dir.path(), &ENDLESS).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(seconds));
        interrupt(&child);
        std::thread::sleep(Duration::from_millis(20));
        interrupt(&child);
        let (code, stderr) = finish(child);
        assert_eq!(code, Some(130), "{stderr}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        return;
    }
    panic!("the search never began");
}

#[test]
fn the_time_limit_stops_the_search() {
    let dir = tempfile::tempdir().unwrap();
    let args = [&ENDLESS[..9], &["--dry-run", "--time", "0.5", "--json"]].concat();
    let output = graphopt(dir.path(), &args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["search"]["stop_reason"], "time");
    let seconds = report["search"]["seconds"].as_f64().unwrap();
    assert!((0.5..10.0).contains(&seconds), "{seconds}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn tensors_of_the_input_are_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { dir.path().join(name) };
    // The data of a model may have any name, also that of a model.
    fs::write(at("w.onnx"), [0; 16]).unwrap();
    fs::write(at("m.onnx"), model(vec![external("w", 4, &[("location", "w.onnx")])])).unwrap();
    let (code, stderr) = finish(graphopt(dir.path(), &["optimise", "m.onnx", "-o", "./w.onnx"]).spawn().unwrap());
    assert!(code == Some(2) && stderr.contains("tensors of the input are in this file"), "{stderr}");
    assert_eq!(fs::read(at("w.onnx")).unwrap(), [0; 16]);
}

#[test]
fn checksums_of_external_data_are_verified_and_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let data: Vec<u8> = (0..8192u32).map(|i| (i / 32) as u8).collect();
    fs::write(at("w.bin"), &data).unwrap();
    // By Python's hashlib.
    const SHA1: &str = "8497efc30ba0e538c2c372c8026c1082948151e8";
    let stated = |sha1: &str| {
        let pairs = [("location", "w.bin"), ("offset", "4096"), ("length", "4096"), ("checksum", sha1)];
        model(vec![external("a", 1024, &pairs), external("b", 1024, &pairs[..3])])
    };
    fs::write(at("m.onnx"), stated(SHA1)).unwrap();
    let loaded = load(&at("m.onnx")).unwrap().model;
    let checksum =
        |model: &Model, name: &str| matches!(model.weights[name].storage, Storage::External { checksum: true, .. });
    assert!(checksum(&loaded, "a") && !checksum(&loaded, "b"));
    // Written anew, in both formats: the file is another one, and has its own checksum.
    let rewritten = Model { source: None, ..loaded };
    save(&rewritten, &at("new.onnx")).unwrap();
    save(&rewritten, &at("new.json")).unwrap();
    save(&Model { source: None, ..load(&at("new.json")).unwrap().model }, &at("again.onnx")).unwrap();
    for name in ["new.onnx", "again.onnx"] {
        let written = ModelProto::decode(&fs::read(at(name)).unwrap()[..]).unwrap().graph.unwrap().initializer;
        let field = |tensor: &TensorProto, key: &str| {
            tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key)).and_then(|e| e.value.clone())
        };
        let sha1 = field(&written[0], "checksum").expect("the original has one");
        assert_eq!(field(&written[1], "checksum"), None);
        // Each tensor has its own place in the new file.
        assert_ne!(sha1, SHA1);
        let read = load(&at(name)).unwrap().model;
        assert_eq!(read.weights["a"].tensor, rewritten.weights["a"].tensor);
        // One byte of the data changed: the message names file and tensor.
        let file = at(&field(&written[0], "location").unwrap());
        let mut bytes = fs::read(&file).unwrap();
        bytes[17] ^= 1;
        fs::write(&file, bytes).unwrap();
        let error = load(&at(name)).unwrap_err().to_string();
        for said in [name, "initializer \"a\"", "checksum", &sha1] {
            assert!(error.contains(said), "{error}");
        }
    }
}

/// Found by the fuzz target `graph`: the second weight was written beside the Identity that stood for it.
#[test]
fn two_outputs_that_are_equal_weights_are_each_defined_once() {
    let text = r#"{"format": "graphopt-graph", "version": 1, "opset": 17, "nodes": [], "outputs": ["a", "b"],
        "weights": [{"name": "a", "dtype": "f32", "shape": [2], "data": {"inline": [1, 2]}},
                    {"name": "b", "dtype": "f32", "shape": [2], "data": {"inline": [1, 2]}}]}"#;
    let model = parse(Format::Json, text.into(), Folder::none()).unwrap().model;
    let imported = import(model, &ImportOptions::default()).unwrap();
    let mut graph = imported.graph.clone();
    clean_up(&mut graph);
    graph.commit();
    let written = export(&graph, &imported, &|_| None).unwrap();
    let again = import(written, &ImportOptions::default()).unwrap();
    let names: Vec<_> = again.graph.outputs().iter().map(|output| output.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(graph.outputs()[0].value, graph.outputs()[1].value, "the clean-up makes them one");
}
