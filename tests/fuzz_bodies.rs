//! What the fuzz targets check, on valid files of every kind mutated at random: bytes changed, dropped, inserted, cut, and
//! the trees of JSON and of protocol buffers changed as trees, so that the result still parses. The same seed each time.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use graphopt::formats::{Folder, Format, parse, write_json};
use graphopt::graph::splitmix64;
use rayon::prelude::*;
use serde_json::{Map, Value};

#[path = "../fuzz/src/lib.rs"]
mod bodies;

/// Mutations of each example; `GRAPHOPT_FUZZ_ITERATIONS` asks for more.
fn iterations() -> u64 {
    std::env::var("GRAPHOPT_FUZZ_ITERATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

/// Random choices.
struct Choices {
    seed: u64,
    drawn: u64,
}

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.drawn += 1;
        (splitmix64(self.seed, self.drawn) % n.max(1) as u64) as usize
    }
}

/// Numbers at which readers stumble.
const NUMBERS: [i64; 9] = [0, 1, -1, 2, i64::MAX, i64::MIN, 1 << 40, 255, i32::MAX as i64];

fn mutate_bytes(bytes: &mut Vec<u8>, choices: &mut Choices) {
    for _ in 0..=choices.below(4) {
        let at = choices.below(bytes.len() + 1);
        let byte = choices.below(256) as u8;
        match choices.below(6) {
            0 => bytes.insert(at, byte),
            1 => bytes.truncate(at),
            2 => {
                let end = (at + choices.below(20)).min(bytes.len());
                drop(bytes.drain(at..end));
            }
            3 => {
                let end = (at + choices.below(20)).min(bytes.len());
                let copied = bytes[at..end].to_vec();
                let to = choices.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copied));
            }
            kind => {
                if let Some(there) = bytes.get_mut(at) {
                    *there = if kind == 4 { byte } else { *there ^ (1 << (byte % 8)) };
                }
            }
        }
    }
}

/// Changes one value somewhere in the tree.
fn mutate_json(root: &mut Value, choices: &mut Choices) {
    let count = size(root);
    let other = nth(root, choices.below(count)).clone();
    let target = nth_mut(root, &mut choices.below(count));
    match (choices.below(8), target) {
        (0, Value::Array(list)) if !list.is_empty() => drop(list.remove(choices.below(list.len()))),
        (1, Value::Array(list)) if !list.is_empty() => {
            let copied = list[choices.below(list.len())].clone();
            list.push(copied);
        }
        (0, Value::Object(map)) if !map.is_empty() => {
            let key = map.keys().nth(choices.below(map.len())).cloned().unwrap_or_default();
            map.shift_remove(&key);
        }
        (1, Value::Object(map)) => drop(map.insert("extra".into(), other)),
        (2 | 3, target) => *target = NUMBERS[choices.below(NUMBERS.len())].into(),
        (4, target) => {
            const VALUES: [&str; 9] =
                ["null", "true", "[]", "{}", "\"\"", "1e308", "-0.5", "\"nan\"", "18446744073709551615"];
            *target = serde_json::from_str(VALUES[choices.below(VALUES.len())]).expect("these are JSON");
        }
        (5, target) => *target = Value::Array(vec![target.take()]),
        (_, target) => *target = other,
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn size(value: &Value) -> usize {
    1 + children(value).into_iter().map(size).sum::<usize>()
}

fn nth(value: &Value, mut n: usize) -> &Value {
    if n == 0 {
        return value;
    }
    n -= 1;
    for child in children(value) {
        let there = size(child);
        if n < there {
            return nth(child, n);
        }
        n -= there;
    }
    value
}

fn nth_mut<'a>(value: &'a mut Value, n: &mut usize) -> &'a mut Value {
    if *n == 0 {
        return value;
    }
    let at = |sizes: Vec<usize>, n: &mut usize| {
        *n -= 1;
        sizes.into_iter().position(|there| {
            let here = *n < there;
            if !here {
                *n -= there;
            }
            here
        })
    };
    let found = at(children(value).into_iter().map(size).collect(), n).unwrap_or(0);
    match value {
        Value::Array(list) => nth_mut(&mut list[found], n),
        Value::Object(map) => nth_mut(map.values_mut().nth(found).expect("the size was counted"), n),
        _ => unreachable!("a value without children has the size 1"),
    }
}

/// A field of a message of protocol buffers.
#[derive(Clone)]
enum Field {
    Varint(u64, u64),
    Fixed(u64, Vec<u8>),
    /// Bytes that are no message, or need not be one.
    Bytes(u64, Vec<u8>),
    Message(u64, Vec<Field>),
}

fn decode(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = prost::encoding::decode_varint(&mut bytes).ok()?;
        fields.push(match key & 7 {
            0 => Field::Varint(key, prost::encoding::decode_varint(&mut bytes).ok()?),
            kind @ (1 | 5) => {
                let (fixed, rest) = bytes.split_at_checked(if kind == 1 { 8 } else { 4 })?;
                bytes = rest;
                Field::Fixed(key, fixed.to_vec())
            }
            2 => {
                let length = usize::try_from(prost::encoding::decode_varint(&mut bytes).ok()?).ok()?;
                let (content, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                match decode(content, depth + 1).filter(|_| depth < 20 && !content.is_empty()) {
                    Some(inner) => Field::Message(key, inner),
                    None => Field::Bytes(key, content.to_vec()),
                }
            }
            _ => return None,
        });
    }
    Some(fields)
}

fn encode(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    let varint = |value: u64, out: &mut Vec<u8>| prost::encoding::encode_varint(value, out);
    for field in fields {
        match field {
            Field::Varint(key, value) => {
                varint(*key, &mut out);
                varint(*value, &mut out);
            }
            Field::Fixed(key, bytes) => {
                varint(*key, &mut out);
                out.extend(bytes);
            }
            Field::Bytes(key, bytes) => {
                varint(*key, &mut out);
                varint(bytes.len() as u64, &mut out);
                out.extend(bytes);
            }
            Field::Message(key, inner) => {
                let bytes = encode(inner);
                varint(*key, &mut out);
                varint(bytes.len() as u64, &mut out);
                out.extend(bytes);
            }
        }
    }
    out
}

/// Changes one field somewhere in the tree; the result is well-formed.
fn mutate_fields(fields: &mut Vec<Field>, choices: &mut Choices) {
    if fields.is_empty() {
        return;
    }
    let at = choices.below(fields.len());
    if let Field::Message(_, inner) = &mut fields[at]
        && choices.below(4) > 0
    {
        return mutate_fields(inner, choices);
    }
    let other = choices.below(fields.len());
    match choices.below(6) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(other, fields[at].clone()),
        2 => fields.swap(at, other),
        3 => {
            // The content of one field under the number of another of the same kind.
            let number = choices.below(16) as u64 + 1;
            match &mut fields[at] {
                Field::Varint(key, _) | Field::Fixed(key, _) | Field::Bytes(key, _) | Field::Message(key, _) => {
                    *key = number << 3 | (*key & 7);
                }
            }
        }
        _ => match &mut fields[at] {
            Field::Varint(_, value) => *value = NUMBERS[choices.below(NUMBERS.len())] as u64,
            Field::Fixed(_, bytes) => bytes.fill(choices.below(256) as u8),
            Field::Bytes(_, bytes) => mutate_bytes(bytes, choices),
            Field::Message(_, inner) => inner.clear(),
        },
    }
}

/// Runs a target on mutations of examples; a panic names the seed that repeats it.
fn run(target: &str, examples: &[Vec<u8>], mutate: impl Fn(&[u8], &mut Choices) -> Vec<u8> + Sync) {
    let body = bodies::TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name").1;
    let cases = examples.len() as u64 * iterations();
    (0..cases).into_par_iter().for_each(|seed| {
        let example = &examples[(seed % examples.len() as u64) as usize];
        let bytes = mutate(example, &mut Choices { seed, drawn: 0 });
        let result = std::panic::catch_unwind(|| body(&bytes));
        if let Err(panic) = result {
            let path = std::env::temp_dir().join(format!("graphopt-{target}-{seed}"));
            let _ = fs::write(&path, &bytes);
            let what = panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|s| (*s).into()));
            panic!("{target}: {} on seed {seed}, kept in {}", what.unwrap_or_default(), path.display());
        }
    });
}

fn bytes_of(example: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut bytes = example.to_vec();
    mutate_bytes(&mut bytes, choices);
    bytes
}

fn json_of(example: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(example).expect("examples are valid");
    for _ in 0..=choices.below(3) {
        mutate_json(&mut value, choices);
    }
    value.to_string().into_bytes()
}

fn onnx_examples() -> Vec<Vec<u8>> {
    let every_field = include_bytes!("data/every_field.onnx").to_vec();
    let small = parse(Format::Json, Bytes::from(json_examples().remove(0)), Folder::none()).expect("a valid example");
    let mut onnx = Vec::new();
    graphopt::formats::write_onnx(&small.model, &mut onnx).expect("a valid example");
    vec![every_field, onnx]
}

fn json_examples() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/json");
    let mut files: Vec<_> = fs::read_dir(folder).expect("the seeds").map(|e| e.expect("a file").path()).collect();
    files.sort();
    let mut examples: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).expect("a seed")).collect();
    let every_field = Bytes::from_static(include_bytes!("data/every_field.onnx"));
    let every_field = parse(Format::Onnx, every_field, Folder::none()).expect("a valid example").model;
    let mut text = Vec::new();
    write_json(&every_field, &mut text).expect("a valid example");
    examples.push(text);
    examples
}

#[test]
fn onnx_files() {
    run("onnx", &onnx_examples(), bytes_of);
    run("onnx", &onnx_examples(), |example, choices| {
        let mut fields = decode(example, 0).expect("a valid example");
        for _ in 0..=choices.below(3) {
            mutate_fields(&mut fields, choices);
        }
        encode(&fields)
    });
}

#[test]
fn json_files() {
    run("json", &json_examples(), bytes_of);
    run("json", &json_examples(), json_of);
}

#[test]
fn safetensors_files() {
    let header = br#"{"__metadata__":{"a":"b"},"t":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"u":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}"#;
    let file = [&(header.len() as u64).to_le_bytes(), &header[..], &[0; 11]].concat();
    run("safetensors", &[file], bytes_of);
    run("safetensors", &[header.to_vec()], |header, choices| {
        let header = json_of(header, choices);
        [&(header.len() as u64).to_le_bytes(), &header[..], &[0; 11]].concat()
    });
}

#[test]
fn names_of_external_data() {
    let examples: Vec<Vec<u8>> =
        ["w\n0\n64\n", "sub/w\n0\n", "./w", "l", "../secret", "sub/../../secret\n0", "w\n0\n64\n0123456789abcdef"]
            .map(|text| text.as_bytes().to_vec())
            .to_vec();
    run("external", &examples, bytes_of);
}

#[test]
fn substitution_libraries() {
    // One library of all rules would mostly be the same after a mutation: each rule is one.
    let mut examples = Vec::new();
    for (_, text) in graphopt::substitution::STARTER {
        let whole: Value = serde_json::from_str(text).expect("a valid library");
        for rule in whole["substitutions"].as_array().expect("a list").iter().step_by(3) {
            let mut one: Map<String, Value> = whole.as_object().expect("an object").clone();
            one.insert("substitutions".into(), Value::Array(vec![rule.clone()]));
            examples.push(Value::Object(one).to_string().into_bytes());
        }
    }
    run("library", &examples, json_of);
    run("library", &examples[..4], bytes_of);
}

#[test]
fn texts_of_the_rule_language() {
    let examples = ["?p[0] + div(dim(w1, 2) - dim(w2, 2), 2) * ?d[0] == [1, n]", "divides(?g, dim(xs*, 1))", "xs[i]"];
    run("expression", &examples.map(|text| text.as_bytes().to_vec()), bytes_of);
}

#[test]
fn caches_of_measured_costs() {
    let text = |version: u32| {
        format!(
            r#"{{"format": "graphopt-costs", "version": {version}, "device": "cpu", "threads": 2, "libtorch": "2.11",
            "time_us": {{"Relu f32[3]": 1.5}}}}"#
        )
    };
    // Whatever the version is by now.
    let text = (1..100).map(text).find(|text| graphopt::cost::read_costs(text.as_bytes()).is_some());
    let text = text.expect("a cache of some version is read").into_bytes();
    run("costs", std::slice::from_ref(&text), bytes_of);
    run("costs", std::slice::from_ref(&text), json_of);
}

#[test]
fn graphs_of_any_operators() {
    let drawn: Arc<[Vec<u8>]> = (0..8).map(|i| (0..200).map(|k| splitmix64(i, k) as u8).collect()).collect();
    run("graph", &drawn, |example, choices| {
        let mut bytes = example.to_vec();
        let (from, seed) = (choices.below(40), choices.seed);
        (from..bytes.len()).for_each(|k| bytes[k] = splitmix64(seed, k as u64) as u8);
        bytes
    });
}
