//! Input that is at fault in every way that we could think of, given to the program under a limit of memory and of time:
//! exit code 2, one line that names file, node and field, and not a file written or changed.
//!
//! A new row is named after what is wrong with the input; one that a fuzz target found, after what went wrong.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use graphopt::formats::proto::{
    AttributeProto, DimensionProto, EXTERNAL, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use prost::Message;
use rayon::prelude::*;

/// Memory that the program may take in all, libtorch's own among it (KiB of address space).
const MEMORY: u64 = 4 << 20;
/// Time that it may take.
const TIME: Duration = Duration::from_secs(60);

/// An input, how it is given to the program, and what the message has to say.
struct Row {
    name: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    args: &'static [&'static str],
    says: Vec<&'static str>,
}

const TINY: &str = r#"{"format": "graphopt-graph", "version": 1, "name": "tiny", "opset": 17,
"inputs": [{"name": "x", "dtype": "f32", "shape": [1, 3, 8, 8]}],
"weights": [{"name": "w", "dtype": "f32", "shape": [4, 3, 3, 3], "data": {"init": "normal", "seed": 7, "std": 0.1}}],
"nodes": [{"name": "c", "op": "Conv", "inputs": ["x", "w"], "outputs": ["a"], "attrs": {"pads": [1, 1, 1, 1]}},
          {"name": "r", "op": "Relu", "inputs": ["a"], "outputs": ["y"]}],
"outputs": ["y"]}"#;

/// A JSON graph with one text in place of another.
fn json(name: &'static str, from: &str, to: &str, says: &[&'static str]) -> Row {
    assert!(TINY.contains(from), "{name}: {from}");
    row(name, "m.json", TINY.replacen(from, to, 1).into_bytes(), says)
}

/// A file that is optimised.
fn row(name: &'static str, file: &'static str, bytes: impl Into<Vec<u8>>, says: &[&'static str]) -> Row {
    let args: &[&str] = if file.ends_with("onnx") { &["optimise", "m.onnx"] } else { &["optimise", "m.json"] };
    let mut says = says.to_vec();
    says.push(file);
    Row { name, files: vec![(file, bytes.into())], args, says }
}

/// A JSON graph of one node on `x` (f32[1, 3, 8, 8]) and the constants `i` (integers) and `w` (f32[4, 3, 3, 3]).
fn one_node(name: &'static str, node: &str, integers: &str, says: &[&'static str]) -> Row {
    let text = format!(
        r#"{{"format": "graphopt-graph", "version": 1, "name": "t", "opset": 17, "outputs": ["y"],
        "inputs": [{{"name": "x", "dtype": "f32", "shape": [1, 3, 8, 8]}}],
        "weights": [{{"name": "w", "dtype": "f32", "shape": [4, 3, 3, 3], "data": {{"init": "ones"}}}},
                    {{"name": "i", "dtype": "i64", "shape": [{}], "data": {{"inline": [{integers}]}}}}],
        "nodes": [{{"name": "bad", "outputs": ["y"], {node}}}]}}"#,
        integers.split(',').filter(|t| !t.trim().is_empty()).count(),
    );
    let mut says = says.to_vec();
    says.push("node \"bad\"");
    row(name, "m.json", text, &says)
}

/// A weight of a JSON graph with these fields.
fn weight(name: &'static str, fields: &str, says: &[&'static str]) -> Row {
    let text = format!(
        r#"{{"format": "graphopt-graph", "version": 1, "name": "t", "opset": 17, "outputs": ["w"],
        "weights": [{{"name": "w", {fields}}}], "nodes": []}}"#
    );
    let mut says = says.to_vec();
    says.push("weight \"w\"");
    row(name, "m.json", text, &says)
}

fn entries(pairs: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
    let entry = |&(k, v): &(&str, &str)| StringStringEntryProto { key: Some(k.into()), value: Some(v.into()) };
    pairs.iter().map(entry).collect()
}

fn model(graph: GraphProto) -> Vec<u8> {
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    ModelProto { ir_version: Some(8), graph: Some(graph), opset_import: vec![opset], ..Default::default() }
        .encode_to_vec()
}

/// An ONNX model around one initialiser `w`.
fn initializer(name: &'static str, tensor: TensorProto, says: &[&'static str]) -> Row {
    let tensor = TensorProto { name: Some("w".into()), ..tensor };
    let mut says = says.to_vec();
    says.push("initializer \"w\"");
    row(name, "m.onnx", model(GraphProto { initializer: vec![tensor], ..Default::default() }), &says)
}

/// An ONNX model whose initialiser is in the file `d.bin` (16 bytes), or where `pairs` says.
fn external(name: &'static str, pairs: &[(&str, &str)], says: &[&'static str]) -> Row {
    let tensor = TensorProto {
        dims: vec![4],
        data_type: Some(1),
        data_location: Some(EXTERNAL),
        external_data: entries(pairs),
        ..Default::default()
    };
    let mut row = initializer(name, tensor, says);
    row.files.push(("d.bin", vec![0; 16]));
    row
}

/// A JSON graph whose weight is the tensor `t`, f32[2], of a safetensors file.
fn tensors(name: &'static str, header: &[u8], data: &[u8], says: &[&'static str]) -> Row {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    tensor_file(name, file, says)
}

fn tensor_file(name: &'static str, file: Vec<u8>, says: &[&'static str]) -> Row {
    let mut row =
        weight(name, r#""dtype": "f32", "shape": [2], "data": {"file": "t.safetensors", "tensor": "t"}"#, says);
    row.files.push(("t.safetensors", file));
    row
}

/// A substitution library.
fn library(name: &'static str, text: impl Into<Vec<u8>>, says: &[&'static str]) -> Row {
    let mut says = says.to_vec();
    says.push("r.json");
    Row { name, files: vec![("r.json", text.into())], args: &["verify-substitutions", "r.json"], says }
}

/// A library of one rule, Relu(Relu(x)) to Relu(x), with one text in place of another.
fn rule(name: &'static str, from: &str, to: &str, says: &[&'static str]) -> Row {
    const RULE: &str = r#"{"format": "graphopt-substitutions", "version": 1, "substitutions": [
        {"id": "0123456789abcdef", "name": "relu-twice", "inputs": [{"name": "x", "rank": "any"}],
         "source": {"nodes": [{"op": "Relu", "inputs": ["x"], "outputs": ["a"]},
                              {"op": "Relu", "inputs": ["a"], "outputs": ["y"]}], "outputs": ["y"]},
         "target": {"nodes": [{"op": "Relu", "inputs": ["x"], "outputs": ["z"]}], "outputs": ["z"]},
         "conditions": ["1 < 2"], "verification": {"status": "tested"}}]}"#;
    assert!(RULE.contains(from), "{name}: {from}");
    library(name, RULE.replacen(from, to, 1), says)
}

/// A graph nested so many times in a Loop's body.
fn nested(depth: usize) -> GraphProto {
    (0..depth).fold(GraphProto::default(), |graph, _| {
        let body = AttributeProto {
            name: Some("body".into()),
            g: Some(Box::new(graph)),
            r#type: Some(5),
            ..Default::default()
        };
        let node = NodeProto { op_type: Some("Loop".into()), attribute: vec![body], ..Default::default() };
        GraphProto { node: vec![node], ..Default::default() }
    })
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    NodeProto {
        name: Some("bad".into()),
        op_type: Some(op.into()),
        input: list(inputs),
        output: list(outputs),
        ..Default::default()
    }
}

/// An input of type f32 with this dimension.
fn input(dim: DimensionProto) -> ValueInfoProto {
    let tensor = TensorTypeProto { elem_type: Some(1), shape: Some(TensorShapeProto { dim: vec![dim] }) };
    ValueInfoProto {
        name: Some("x".into()),
        r#type: Some(TypeProto { tensor_type: Some(tensor), ..Default::default() }),
        ..Default::default()
    }
}

#[rustfmt::skip]
fn json_rows() -> Vec<Row> {
    let flood_of_messages = {
        // Each `Cg==` of the text below is an empty message.
        let bytes = [0x3a, 0].repeat(9_000_000);
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            text.push_str(match chunk {
                [0x3a, 0, 0x3a] => "OgA6",
                [0, 0x3a, 0] => "ADoA",
                _ => "",
            });
        }
        TINY.replacen("],\n\"outputs\": [\"y\"]}", &format!("],\n\"outputs\": [\"y\"], \"functions\": [\"{text}\"]}}"), 1)
    };
    vec![
        row("an empty file", "m.json", "", &["not valid JSON", "line 1"]),
        row("blanks only", "m.json", " \n\n ", &["not valid JSON"]),
        row("a list", "m.json", "[]", &["expected an object, found a list"]),
        row("a number", "m.json", "17", &["expected an object"]),
        row("cut in a text", "m.json", &TINY.as_bytes()[..90], &["not valid JSON", "EOF"]),
        row("cut in a number", "m.json", &TINY.as_bytes()[..TINY.find("0.1}").unwrap() + 2], &["not valid JSON"]),
        row("cut behind a comma", "m.json", &TINY.as_bytes()[..TINY.find("\"outputs\": [\"y\"]}").unwrap()], &["EOF"]),
        row("two documents", "m.json", format!("{TINY}{TINY}"), &["trailing characters"]),
        row("not UTF-8", "m.json", [&TINY.as_bytes()[..70], b"\xff\xfe", &TINY.as_bytes()[70..]].concat(), &["not valid"]),
        row("an ONNX file by the name of a JSON file", "m.json", model(GraphProto::default()), &["not valid JSON"]),
        row("deep nesting", "m.json", "{\"nodes\": ".to_owned() + &"[".repeat(1 << 20), &["recursion limit"]),
        row("a flood of values", "m.json", format!("[{}0]", "0,".repeat(1 << 25)), &["more than 33554432 values"]),
        row("a flood of messages in base64", "m.json", flood_of_messages, &["functions[0]", "more than 8000000 messages"]),
        json("another format", "graphopt-graph", "graphopt-substitutions", &["format is \"graphopt-substitutions\""]),
        json("a newer version", "\"version\": 1", "\"version\": 2", &["version 2 is unknown", "reads version 1"]),
        json("a version as a text", "\"version\": 1", "\"version\": \"one\"", &["\"version\": expected an integer"]),
        json("a version beyond all integers", "\"version\": 1", "\"version\": 1e99", &["\"version\": expected an integer"]),
        json("a field given twice", "\"opset\": 17", "\"opset\": 17, \"opset\": 17", &["field \"opset\" is given twice"]),
        json("an unknown field of the file", "\"opset\"", "\"opsets\"", &["unknown field \"opsets\""]),
        json("an unknown field of a node", "\"op\": \"Relu\"", "\"op\": \"Relu\", \"opp\": 1", &["node \"r\" (Relu): unknown field \"opp\""]),
        json("an unknown field of an input", "\"dtype\": \"f32\", \"shape\": [1,", "\"dtyp\": \"f32\", \"dtype\": \"f32\", \"shape\": [1,", &["inputs \"x\": unknown field \"dtyp\""]),
        json("an unknown field of the data", "\"std\": 0.1", "\"std\": 0.1, \"mean\": 1", &["weight \"w\": \"data\": unknown field \"mean\""]),
        json("an operator set that is not known", "\"opset\": 17", "\"opset\": 9999", &["operator set 9999 is not supported"]),
        json("a negative operator set", "\"opset\": 17", "\"opset\": -3", &["operator set -3"]),
        json("no operator set", "\"opset\": 17,", "", &["version of ONNX's operator set is missing"]),
        json("an unknown element type", "\"f32\"", "\"float32\"", &["inputs \"x\": \"dtype\": unknown dtype \"float32\""]),
        json("a negative dimension", "[1, 3, 8, 8]", "[1, -3, 8, 8]", &["inputs \"x\": \"shape\": -3 is no size"]),
        json("a dimension that is no number", "[1, 3, 8, 8]", "[1, \"\", 8, 8]", &["inputs \"x\": \"shape\": expected a size"]),
        json("a fraction of a dimension", "[1, 3, 8, 8]", "[1, 3.5, 8, 8]", &["inputs \"x\": \"shape\": expected a size"]),
        json("a dimension of NaN", "[1, 3, 8, 8]", "[1, NaN, 8, 8]", &["not valid JSON"]),
        json("a dimension beyond 64 bits", "[1, 3, 8, 8]", "[1, 9223372036854775808, 8, 8]", &["inputs \"x\": \"shape\": 9223372036854775808 is no size"]),
        json("an input that no memory holds", "[1, 3, 8, 8]", "[4294967296, 3, 8, 8]", &["value \"a\"", "available"]),
        json("an input whose elements cannot be counted", "[1, 3, 8, 8]", "[9223372036854775807, 3, 8, 8]", &["\"c\"", "has too many elements"]),
        json("a shape that is no list", "[1, 3, 8, 8]", "8", &["inputs \"x\": \"shape\": expected a list, found an integer"]),
        json("a node that is a list", "{\"name\": \"r\", \"op\": \"Relu\", \"inputs\": [\"a\"], \"outputs\": [\"y\"]}", "[1]", &["nodes[1]: expected an object, found a list"]),
        json("a node without an operator", "\"op\": \"Relu\", ", "", &["node \"r\" ()", "field \"op\" is missing"]),
        json("an operand that is a number", "[\"x\", \"w\"]", "[\"x\", 3]", &["node \"c\" (Conv): inputs: expected a string"]),
        json("a value that nothing defines", "[\"x\", \"w\"]", "[\"x\", \"v\"]", &["node \"c\" (Conv): input 1: there is no value \"v\""]),
        json("an output that nothing defines", "],\n\"outputs\": [\"y\"]", "],\n\"outputs\": [\"z\"]", &["output 0: there is no value \"z\""]),
        json("an output twice", "],\n\"outputs\": [\"y\"]", "],\n\"outputs\": [\"y\", \"y\"]", &["output 1", "\"y\"", "already taken"]),
        json("a cycle of one node", "[\"x\", \"w\"]", "[\"a\", \"w\"]", &["node \"c\" (Conv): it depends on its own output \"a\""]),
        json("a cycle of two nodes", "[\"x\", \"w\"]", "[\"y\", \"w\"]", &["depends on its own output"]),
        json("a value defined twice", "\"outputs\": [\"y\"]}]", "\"outputs\": [\"a\"]}]", &["node \"r\" (Relu)", "name \"a\" is already taken by node \"c\" (Conv)"]),
        json("an input twice", "\"inputs\": [{", "\"inputs\": [{\"name\": \"x\"}, {", &["input 1", "\"x\" is already taken by an input"]),
        json("an input without a name", "\"name\": \"x\"", "\"name\": \"\"", &["input 0: the name is empty"]),
        json("a weight twice", "\"weights\": [{", "\"weights\": [{\"name\": \"w\", \"dtype\": \"f32\", \"shape\": [], \"data\": {\"init\": \"ones\"}}, {", &["weight \"w\": the name is taken by another weight"]),
        json("an attribute of another type", "[1, 1, 1, 1]", "[1, [1], 1, 1]", &["node \"c\" (Conv): attribute \"pads\": expected an integer, found a list"]),
        json("an attribute that is null", "[1, 1, 1, 1]", "null", &["node \"c\" (Conv): attribute \"pads\": expected"]),
        json("an attribute beyond 64 bits", "[1, 1, 1, 1]", "[1, 1, 1, 9223372036854775808]", &["attribute \"pads\": 9223372036854775808 does not fit"]),
        json("a weight of a shape that the operator refuses", "[4, 3, 3, 3]", "[4, 5, 3, 3]", &["node \"c\" (Conv)", "5 channels"]),
        json("a message that is not base64", "\"outputs\": [\"y\"]}]", "\"outputs\": [\"y\"], \"protos\": {\"doc:a\": \"%\"}}]", &["node \"r\" (Relu)", "not base64"]),
        json("a message of an unknown name", "\"outputs\": [\"y\"]}]", "\"outputs\": [\"y\"], \"protos\": {\"x\": \"\"}}]", &["node \"r\" (Relu)", "\"x\": unknown"]),
        weight("more data than a machine has", r#""dtype": "f32", "shape": [1099511627776], "data": {"init": "zeros"}"#, &["\"init\"", "more than 16 GiB"]),
        weight("a shape that overflows", r#""dtype": "f32", "shape": [4294967296, 4294967296, 4], "data": {"init": "ones"}"#, &["too large"]),
        weight("fewer elements than the shape", r#""dtype": "f32", "shape": [3], "data": {"inline": [1, 2]}"#, &["\"inline\": 2 elements do not fill"]),
        weight("an element out of range", r#""dtype": "u8", "shape": [2], "data": {"inline": [1, 256]}"#, &["element 1: 256 does not fit u8"]),
        weight("an element that is an object", r#""dtype": "f32", "shape": [1], "data": {"inline": [{}]}"#, &["element 0: expected a number, found an object"]),
        weight("a rule that does not exist", r#""dtype": "f32", "shape": [1], "data": {"init": "xavier"}"#, &["unknown rule \"xavier\"", "normal, uniform"]),
        weight("a deviation that is not a number", r#""dtype": "f32", "shape": [1], "data": {"init": "normal", "seed": 1, "std": "nan"}"#, &["\"std\"", "not finite"]),
        weight("a negative seed", r#""dtype": "f32", "shape": [1], "data": {"init": "normal", "seed": -1, "std": 1}"#, &["\"seed\": -1 does not fit"]),
        weight("no data", r#""dtype": "f32", "shape": [1], "data": {}"#, &["\"init\", \"inline\" and \"file\""]),
        weight("a file above the folder", r#""dtype": "f32", "shape": [1], "data": {"file": "../t.safetensors", "tensor": "t"}"#, &["\"../t.safetensors\"", "must not leave"]),
        weight("a file in the root", r#""dtype": "f32", "shape": [1], "data": {"file": "/etc/passwd", "tensor": "t"}"#, &["must be relative"]),
        weight("a file that is missing", r#""dtype": "f32", "shape": [1], "data": {"file": "t.safetensors", "tensor": "t"}"#, &["cannot read the file \"t.safetensors\""]),
        weight("a file that is the folder", r#""dtype": "f32", "shape": [1], "data": {"file": ".", "tensor": "t"}"#, &["cannot read the file \".\"", "not a regular file"]),
        tensor_file("a safetensors file that is empty", vec![], &["\"t.safetensors\"", "not a safetensors file"]),
        tensor_file("a safetensors header beyond the file", u64::MAX.to_le_bytes().to_vec(), &["not a safetensors file"]),
        tensors("a safetensors header that is no JSON", b"{", &[], &["not a safetensors file"]),
        tensors("a safetensors header that is not UTF-8", b"\xff\xff", &[], &["not a safetensors file"]),
        tensors("safetensors data that are cut", br#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 7], &["not a safetensors file"]),
        tensors("safetensors offsets that do not fit the shape", br#"{"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, &[0; 8], &["not a safetensors file"]),
        tensors("a safetensors tensor of another name", br#"{"u":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8], &["tensor \"t\"", "no tensor of this name"]),
        tensors("a safetensors tensor of another type", br#"{"t":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, &[0; 8], &["\"t\"", "is i64 [1], not f32 [2]"]),
    ]
}

/// Attributes and operands at which arithmetic overflows or memory ends.
#[rustfmt::skip]
fn absurd_rows() -> Vec<Row> {
    const MAX: &str = "9223372036854775807";
    let conv = |attrs: &str| format!(r#""op": "Conv", "inputs": ["x", "w"], "attrs": {{{attrs}}}"#);
    let on = |op: &str| format!(r#""op": "{op}", "inputs": ["x", "i"]"#);
    vec![
        one_node("strides of zero", &conv("\"strides\": [0, 1]"), "1", &["strides", "positive"]),
        one_node("negative pads", &conv("\"pads\": [-9, -9, -9, -9]"), "1", &["pads"]),
        one_node("pads without end", &conv(&format!("\"pads\": [{MAX}, {MAX}, {MAX}, {MAX}]")), "1", &["Conv"]),
        one_node("dilations without end", &conv(&format!("\"dilations\": [{MAX}, 1]")), "1", &["does not fit"]),
        one_node("no group", &conv("\"group\": 0"), "1", &["group = 0"]),
        one_node("too many strides", &conv("\"strides\": [1, 1, 1]"), "1", &["\"strides\"", "length"]),
        one_node("a kernel that contradicts its weight", &conv("\"kernel_shape\": [5, 5]"), "1", &["\"kernel_shape\"", "contradicts"]),
        one_node("one operand too few", r#""op": "Conv", "inputs": ["x"]"#, "1", &["1 inputs; Conv takes 2 to 3"]),
        one_node("a permutation with an axis twice", r#""op": "Transpose", "inputs": ["x"], "attrs": {"perm": [0, 0, 1, 2]}"#, "1", &["perm [0, 0, 1, 2]"]),
        one_node("an axis out of range", r#""op": "Softmax", "inputs": ["x"], "attrs": {"axis": 99}"#, "1", &["axis 99"]),
        one_node("a slice with a step of zero", r#""op": "Slice", "inputs": ["x", "i", "i", "i", "i"]"#, "0", &["a step is 0"]),
        one_node("a reshape to another number of elements", &on("Reshape"), "7", &["do not fill [7]"]),
        one_node("a reshape with two free sizes", &on("Reshape"), "-1, -1", &["-1"]),
        one_node("a reshape to an overflow", &on("Reshape"), &format!("{MAX}, {MAX}"), &["Reshape"]),
        one_node("tiles without end", &on("Tile"), &format!("{MAX}, {MAX}, {MAX}, {MAX}"), &["too many elements"]),
        one_node("a negative tile", &on("Tile"), "-1, 1, 1, 1", &["repeats"]),
        one_node("an axis squeezed twice", &on("Squeeze"), "0, 0", &["axis 0 is named twice"]),
        one_node("an index out of range", r#""op": "Gather", "inputs": ["x", "i"], "attrs": {"axis": 1}"#, "99", &["index 99 is out of range"]),
        one_node("a negative shape", r#""op": "ConstantOfShape", "inputs": ["i"]"#, "-5", &["negative size"]),
        one_node("k beyond the axis", &on("TopK"), MAX, &["k is"]),
        one_node("a block of zero", r#""op": "DepthToSpace", "inputs": ["x"], "attrs": {"blocksize": 0}"#, "1", &["blocksize = 0"]),
        one_node("a window that does not fit", r#""op": "MaxPool", "inputs": ["x"], "attrs": {"kernel_shape": [9, 9]}"#, "1", &["does not fit"]),
        one_node("operands that do not broadcast", r#""op": "Add", "inputs": ["x", "w"]"#, "1", &["do not broadcast"]),
        one_node("operands of two types", r#""op": "Add", "inputs": ["x", "i"]"#, "1", &["element types differ"]),
        one_node("an equation without operands", r#""op": "Einsum", "inputs": ["x", "x"], "attrs": {"equation": "ab"}"#, "1", &["equation"]),
        one_node("matrices that do not fit", r#""op": "MatMul", "inputs": ["x", "w"]"#, "1", &["inner dimensions"]),
        // Valid, and larger than any machine: refused before anything is allocated.
        one_node_unnamed("tiles that no memory holds", &on("Tile"), "100000, 1000, 1, 1", &["value \"y\"", "available"]),
        one_node_unnamed("an expansion that no memory holds", &on("Expand"), "1000000, 100000, 1, 3, 8, 8", &["value \"y\"", "available"]),
        one_node_unnamed("a constant that no memory holds", r#""op": "ConstantOfShape", "inputs": ["i"]"#, "1000000, 1000000", &["value \"y\"", "available"]),
    ]
}

/// As [`one_node`], where the message names the value and not the node.
fn one_node_unnamed(name: &'static str, node: &str, integers: &str, says: &[&'static str]) -> Row {
    let mut row = one_node(name, node, integers, says);
    row.says.retain(|said| *said != "node \"bad\"");
    row
}

#[rustfmt::skip]
fn onnx_rows() -> Vec<Row> {
    let float = |dims: Vec<i64>| TensorProto { dims, data_type: Some(1), ..Default::default() };
    let attribute = |a: AttributeProto| {
        let bad = NodeProto { attribute: vec![a], ..node("Constant", &[], &["y"]) };
        model(GraphProto { node: vec![bad], ..Default::default() })
    };
    let graph = |node: NodeProto| model(GraphProto { node: vec![node], ..Default::default() });
    let good = include_bytes!("data/every_field.onnx");
    let name = |n: &str| Some(n.to_owned());
    vec![
        row("an empty ONNX file", "m.onnx", "", &["no graph"]),
        row("a text by the name of an ONNX file", "m.onnx", "hello, world", &["not an ONNX model"]),
        row("a JSON file by the name of an ONNX file", "m.onnx", TINY, &["not an ONNX model"]),
        row("an ONNX file cut in the first field", "m.onnx", &good[..1], &["not an ONNX model, or cut short"]),
        row("an ONNX file cut in the graph", "m.onnx", &good[..good.len() / 2], &["not an ONNX model, or cut short"]),
        row("an ONNX file cut at the end", "m.onnx", &good[..good.len() - 1], &["not an ONNX model, or cut short"]),
        row("graphs nested without end", "m.onnx", model(nested(300)), &["recursion limit"]),
        row("a flood of empty nodes", "m.onnx", flood(0x0a, 9_000_000), &["more than 8000000 messages"]),
        row("a flood of empty names", "m.onnx", graph_with_names(33_000_000), &["more than 32000000 names"]),
        row("a name that is not UTF-8", "m.onnx", b"\x3a\x04\x12\x02\xff\xfe".to_vec(), &["not an ONNX model", "UTF-8"]),
        initializer("a negative size", float(vec![-1]), &["dims has the negative size -1"]),
        initializer("sizes that overflow", float(vec![i64::MAX; 3]), &["too large"]),
        initializer("an element type that does not exist", TensorProto { data_type: Some(-7), ..float(vec![1]) }, &["data_type -7 is no element type"]),
        initializer("data shorter than the shape", TensorProto { raw_data: Some(vec![0; 4].into()), ..float(vec![2]) }, &["needs 8 bytes of data, and has 4"]),
        initializer("data longer than the shape", TensorProto { raw_data: Some(vec![0; 12].into()), ..float(vec![2]) }, &["needs 8 bytes of data, and has 12"]),
        initializer("a terabyte without data", float(vec![1 << 40]), &["has no data"]),
        external("a location above the folder", &[("location", "../d.bin")], &["external_data", "\"../d.bin\"", "must not leave"]),
        external("a location through the folder above", &[("location", "a/../../d.bin")], &["external_data", "must not leave"]),
        external("a location in the root", &[("location", "/etc/passwd")], &["external_data", "must be relative"]),
        external("a location with a zero byte", &[("location", "d\0.bin")], &["external_data", "refused"]),
        external("a location that is missing", &[("location", "e.bin")], &["external_data", "cannot read the file \"e.bin\""]),
        external("no location", &[("offset", "0")], &["no location"]),
        external("an offset beyond the file", &[("location", "d.bin"), ("offset", "17")], &["beyond the end of \"d.bin\", which has 16 bytes"]),
        external("an offset that overflows", &[("location", "d.bin"), ("offset", "18446744073709551615"), ("length", "16")], &["beyond the end"]),
        external("a negative offset", &[("location", "d.bin"), ("offset", "-1")], &["offset is \"-1\", not a number"]),
        external("a length that is no number", &[("location", "d.bin"), ("length", "all")], &["length is \"all\", not a number"]),
        external("a length below the shape's", &[("location", "d.bin"), ("length", "8")], &["needs 16 bytes of data, and has 8"]),
        external("a checksum of another file", &[("location", "d.bin"), ("checksum", "0123456789012345678901234567890123456789")], &["\"d.bin\"", "SHA-1 checksum is e129f27c5103bc5cc44bcdf0a15e160d445066ff"]),
        external("a checksum that is none", &[("location", "d.bin"), ("checksum", "crc32:1")], &["checksum is \"crc32:1\"", "40 hex digits"]),
        row("a tensor attribute at fault", "m.onnx", attribute(AttributeProto { name: name("value"), r#type: Some(4), t: Some(Box::new(float(vec![-2]))), ..Default::default() }), &["node \"bad\" (Constant): attribute \"value\": dims has the negative size -2"]),
        row("an attribute twice", "m.onnx", model(GraphProto { node: vec![NodeProto { attribute: vec![AttributeProto { name: name("a"), ..Default::default() }; 2], ..node("Relu", &["x"], &["y"]) }], ..Default::default() }), &["node \"bad\" (Relu): attribute \"a\": it is given twice"]),
        row("an initialiser twice", "m.onnx", model(GraphProto { initializer: vec![TensorProto { name: name("w"), ..float(vec![0]) }; 2], ..Default::default() }), &["initializer \"w\": the name is taken"]),
        row("an initialiser without a name", "m.onnx", model(GraphProto { initializer: vec![float(vec![0])], ..Default::default() }), &["initializer \"\": it has no name"]),
        row("a value from nowhere", "m.onnx", graph(node("Relu", &["x"], &["y"])), &["node \"bad\" (Relu): input 0: there is no value \"x\""]),
        row("a node that takes its own output", "m.onnx", graph(node("Relu", &["y"], &["y"])), &["node \"bad\" (Relu): it depends on its own output \"y\""]),
        row("a dimension of nine quintillion", "m.onnx", model(GraphProto { input: vec![input(DimensionProto { dim_value: Some(i64::MAX), ..Default::default() })], node: vec![NodeProto { attribute: vec![AttributeProto { name: name("axis"), i: Some(0), r#type: Some(2), ..Default::default() }], ..node("Concat", &["x", "x"], &["y"]) }], ..Default::default() }), &["value \"x\"", "available"]),
        row("two versions of one operator set", "m.onnx", ModelProto { graph: Some(GraphProto::default()), opset_import: [17, 18].map(|v| OperatorSetIdProto { domain: None, version: Some(v) }).to_vec(), ..Default::default() }.encode_to_vec(), &["opset_import", "at version 17 and at version 18"]),
        sparse("an index outside of a sparse tensor", vec![4], vec![9], &["index 9 is outside of [4]"]),
        sparse("a negative index of a sparse tensor", vec![4], vec![-1], &["index -1 is outside of [4]"]),
        sparse("a sparse tensor of negative size", vec![-4], vec![0], &["negative size -4"]),
        sparse("more indices than values", vec![4], vec![0, 1], &["indices of shape [2] do not fit 1 values"]),
    ]
}

/// A graph of so many empty fields with this key.
fn flood(key: u8, count: usize) -> Vec<u8> {
    let content = [key, 0].repeat(count);
    let mut out = vec![0x3a];
    prost::encode_length_delimiter(content.len(), &mut out).unwrap();
    out.extend(content);
    out
}

/// A model of one node with so many operands without a name.
fn graph_with_names(count: usize) -> Vec<u8> {
    let mut node = vec![0x0a];
    prost::encode_length_delimiter(2 * count, &mut node).unwrap();
    node.extend([0x0a, 0].repeat(count));
    let mut out = vec![0x3a];
    prost::encode_length_delimiter(node.len(), &mut out).unwrap();
    out.extend(node);
    out
}

fn sparse(name: &'static str, dims: Vec<i64>, indices: Vec<i64>, says: &[&'static str]) -> Row {
    let values = TensorProto {
        name: Some("s".into()),
        dims: vec![1],
        data_type: Some(1),
        float_data: vec![1.0],
        ..Default::default()
    };
    let indices =
        TensorProto { dims: vec![indices.len() as i64], data_type: Some(7), int64_data: indices, ..Default::default() };
    let tensor = SparseTensorProto { values: Some(values), indices: Some(indices), dims };
    let mut says = says.to_vec();
    says.push("sparse_initializer \"s\"");
    row(name, "m.onnx", model(GraphProto { sparse_initializer: vec![tensor], ..Default::default() }), &says)
}

#[rustfmt::skip]
fn library_rows() -> Vec<Row> {
    vec![
        library("an empty library", "", &["not valid JSON"]),
        library("a library that is cut", "{\"format\": \"graphopt-sub", &["not valid JSON", "EOF"]),
        library("a graph as a library", TINY, &["format: expected \"graphopt-substitutions\""]),
        library("a library that is not UTF-8", b"\xff\xff".to_vec(), &["not valid JSON"]),
        library("a library nested without end", "[".repeat(1 << 20), &["recursion limit"]),
        library("a library of many values", format!("[{}0]", "0,".repeat(1 << 25)), &["more than 33554432 values"]),
        rule("a library of a newer version", "\"version\": 1", "\"version\": 2", &["version 2 is unknown"]),
        rule("an unknown field of a library", "\"version\": 1", "\"version\": 1, \"author\": \"\"", &["unknown field \"author\""]),
        rule("a key twice", "\"name\": \"relu-twice\"", "\"name\": \"a\", \"name\": \"b\"", &["key \"name\" is given twice"]),
        rule("an unknown operator", "\"op\": \"Relu\"", "\"op\": \"ReLU\"", &["rule \"relu-twice\"", "source.nodes[0]", "ReLU"]),
        rule("an id that is not the rule's", "0123456789abcdef", "fedcba9876543210", &["rule \"relu-twice\": id: \"fedcba9876543210\" is not the id"]),
        rule("a value that no node gives", "[\"x\"], \"outputs\": [\"z\"]", "[\"q\"], \"outputs\": [\"z\"]", &["rule \"relu-twice\"", "target", "q"]),
        rule("a rule with a cycle", "[\"x\"], \"outputs\": [\"a\"]", "[\"y\"], \"outputs\": [\"a\"]", &["rule \"relu-twice\"", "source"]),
        rule("a condition that is code", "1 < 2", "system(1)", &["rule \"relu-twice\"", "conditions[0]", "system(1)"]),
        rule("a condition nested without end", "1 < 2", &("(".repeat(4000) + "1"), &["rule \"relu-twice\"", "conditions[0]", "deeply"]),
        rule("a number beyond 64 bits", "1 < 2", "1 < 99999999999999999999", &["conditions[0]", "beyond 64 bits"]),
        rule("a status that does not exist", "\"tested\"", "\"believed\"", &["verification.status", "\"believed\""]),
        rule("a proof that is missing", "\"tested\"", "\"proved\"", &["rule \"relu-twice\""]),
        rule("inputs that are a text", "[{\"name\": \"x\", \"rank\": \"any\"}]", "\"x\"", &["inputs: expected a list, found a text"]),
        rule("a negative rank", "\"rank\": \"any\"", "\"rank\": -1", &["rule \"relu-twice\"", "inputs[0].rank"]),
    ]
}

#[test]
fn input_at_fault_is_refused_with_one_message() {
    let rows: Vec<Row> = [json_rows(), absurd_rows(), onnx_rows(), library_rows()].into_iter().flatten().collect();
    let faults: Vec<String> = rows.par_iter().filter_map(|row| check(row).err()).collect();
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

/// Runs the program on a row; what is wrong with what it did.
fn check(row: &Row) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in &row.files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let before = listing(dir.path());
    let (code, stdout, stderr) = run(dir.path(), row.args).map_err(|e| format!("{}: {e}", row.name))?;
    let short: String = stderr.chars().take(600).collect();
    let fault = |what: &str| Err(format!("{}: {what}\n    {short}", row.name));
    if code != Some(2) {
        return fault(&format!("exit code {code:?}"));
    }
    if !stdout.is_empty() || stderr.lines().count() != 1 || !stderr.starts_with("error: ") || stderr.len() > 1000 {
        return fault("not one short message on stderr");
    }
    if let Some(missing) = row.says.iter().find(|said| !stderr.contains(**said)) {
        return fault(&format!("does not say {missing:?}"));
    }
    if listing(dir.path()) != before {
        return fault("files were written");
    }
    Ok(())
}

/// Names and sizes of the files in a folder.
fn listing(folder: &Path) -> Vec<(String, u64)> {
    let entry = |e: std::io::Result<fs::DirEntry>| {
        let e = e.unwrap();
        (e.file_name().to_string_lossy().into_owned(), e.metadata().unwrap().len())
    };
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(entry).collect();
    all.sort();
    all
}

/// Exit code, stdout and stderr of a run under the limits.
fn run(folder: &Path, args: &[&str]) -> Result<(Option<i32>, String, String), String> {
    let program = assert_cmd::cargo::cargo_bin("graphopt");
    let (out, err) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let mut command = if cfg!(unix) {
        // The shell sets the limit and becomes the program.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")]).arg(program);
        shell
    } else {
        Command::new(program)
    };
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command.stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
    command.env("NO_COLOR", "1").env_remove("RUST_BACKTRACE").env("XDG_CACHE_HOME", folder.join("cache"));
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > TIME {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("it took more than {TIME:?}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = |file: &tempfile::NamedTempFile| String::from_utf8_lossy(&fs::read(file.path()).unwrap()).into_owned();
    Ok((status.code(), text(&out), text(&err)))
}

/// Files that are there, and cannot be read or written.
#[cfg(unix)]
#[test]
fn files_that_cannot_be_read_or_written_are_refused() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("m.json"), TINY).unwrap();
    fs::write(at("taken.json"), "somebody's").unwrap();
    fs::create_dir(at("folder.onnx")).unwrap();
    symlink("loop.onnx", at("loop.onnx")).unwrap();
    symlink("/dev/zero", at("zero.json")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe.json")).status().unwrap().success());
    let before = listing(dir.path());
    let rows: &[(&[&str], &[&str])] = &[
        (&["inspect", "absent.onnx"], &["absent.onnx"]),
        (&["inspect", "folder.onnx"], &["folder.onnx", "not a regular file"]),
        (&["inspect", "loop.onnx"], &["loop.onnx", "symbolic link"]),
        (&["inspect", "zero.json"], &["zero.json", "not a regular file"]),
        (&["inspect", "pipe.json"], &["pipe.json", "not a regular file"]),
        (&["inspect", "."], &["this is a folder"]),
        (&["inspect", ""], &["a value is required"]),
        (&["verify-substitutions", "pipe.json"], &["pipe.json", "not a regular file"]),
        (&["verify-substitutions", "zero.json"], &["zero.json", "not a regular file"]),
        (&["optimise", "m.json", "--rules", "pipe.json"], &["pipe.json", "not a regular file"]),
        (&["optimise", "m.json", "-o", "m.json"], &["m.json", "never written over"]),
        (&["optimise", "m.json", "-o", "./../x/m.json"], &["no folder"]),
        (&["optimise", "m.json", "-o", "out.txt"], &["out.txt", ".onnx or .json"]),
        (&["optimise", "m.json", "-o", "folder.onnx"], &["folder.onnx", "this is a folder"]),
        (
            &["optimise", "m.json", "-o", "/proc/m.json"],
            &["/proc/m.json", "no file can be written in the folder /proc"],
        ),
        (&["convert", "m.json", "folder.onnx"], &["folder.onnx"]),
        (&["convert", "m.json", "absent/m.onnx"], &["absent/m.onnx"]),
        (&["optimise", "lora_nlp"], &["\"lora_nlp\"", "did you mean lora_mlp?"]),
        (&["models", "resnet17"], &["\"resnet17\"", "did you mean resnet18?"]),
        (&["optimise", "m.json", "--dim", "batch=3"], &["m.json", "--dim batch", "all their dimensions have sizes"]),
        (&["optimise", "m.json", "--dim", "batch=0"], &["--dim batch=0", "at least 1"]),
        (&["optimise", "m.json", "--skip-rule", "fold-batchnorm"], &["no rule \"fold-batchnorm\"", "explain"]),
    ];
    let faults: Vec<String> = rows
        .par_iter()
        .filter_map(|(args, says)| {
            let (code, stdout, stderr) = run(dir.path(), args).unwrap();
            let said = says.iter().all(|said| stderr.contains(said));
            // What the parser of arguments says has a hint below.
            let short = stderr.lines().count() == 1 || stderr.contains("try '--help'");
            let fine = code == Some(2) && stdout.is_empty() && short && said;
            (!fine).then(|| format!("{args:?}: {code:?} {stdout}{stderr}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(listing(dir.path()), before);
    assert_eq!(fs::read(at("taken.json")).unwrap(), b"somebody's");
}
