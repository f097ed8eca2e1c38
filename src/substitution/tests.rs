//! What is refused when a library is read, and that what is written reads the same.

use proptest::prelude::*;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Ids, Library, STARTER, Status, TrialError, TrialSettings, UNPROVED, try_rule};

/// Merging of sibling convolutions with a bias that may be missing: every feature of the format in one rule.
fn sample() -> Value {
    json!({
        "format": "graphopt-substitutions", "version": 1,
        "substitutions": [{
            "name": "sum-of-convolutions",
            "inputs": [{"name": "x", "rank": 4}, {"name": "w1", "rank": 4, "const": true},
                       {"name": "w2", "rank": 4, "const": true}, {"name": "b?", "rank": 1, "const": true}],
            "source": {"nodes": [
                {"op": "Conv", "inputs": ["x", "w1", "b?"], "outputs": ["y1"],
                 "attrs": {"strides": "?s", "pads": "?p", "dilations": "?d", "group": "?g"}},
                {"op": "Conv", "inputs": ["x", "w2"], "outputs": ["y2"],
                 "attrs": {"strides": "?s", "pads": "?q", "dilations": "?d", "group": "?g"}},
                {"op": "Add", "inputs": ["y1", "y2"], "outputs": ["y"]}], "outputs": ["y"]},
            "target": {"nodes": [
                {"op": "Enlarge", "inputs": ["w2"], "outputs": ["e"], "attrs": {"kernel_shape": ["?k", "dim(w1, 3)"]}},
                {"op": "Add", "inputs": ["w1", "e"], "outputs": ["w"]},
                {"op": "Conv", "inputs": ["x", "w", "b?"], "outputs": ["z"],
                 "attrs": {"strides": "?s", "pads": "?p", "dilations": "?d", "group": "?g"}}], "outputs": ["z"]},
            "let": {"?k": "dim(w1, 2)"},
            "conditions": [
                "dim(w1, 0) == dim(w2, 0)", "dim(w2, 2) <= ?k", "dim(w2, 3) <= dim(w1, 3)",
                "?p[0] == ?q[0] + div(?k - dim(w2, 2), 2) * ?d[0]", "?p[2] == ?q[2] + ?p[0] - ?q[0]",
                "?p[1] == ?q[1] + div(dim(w1, 3) - dim(w2, 3), 2) * ?d[1]", "?p[3] == ?q[3] + ?p[1] - ?q[1]"],
            "verification": {"status": "tested"}
        }]
    })
}

fn group() -> Value {
    json!({
        "format": "graphopt-substitutions", "version": 1,
        "substitutions": [{
            "name": "merge-products",
            "inputs": [{"name": "x", "rank": "any"}, {"name": "ws*", "rank": 2, "const": true}],
            "source": {"nodes": [{"op": "MatMul", "inputs": ["x", "ws[i]"], "outputs": ["ys[i]"], "for": "i in 0..n"}],
                       "outputs": ["ys*"]},
            "target": {"nodes": [
                {"op": "Concat", "inputs": ["ws*"], "outputs": ["w"], "attrs": {"axis": 1}},
                {"op": "MatMul", "inputs": ["x", "w"], "outputs": ["y"]},
                {"op": "Split", "inputs": ["y"], "outputs": ["zs*"], "attrs": {"axis": "rank(x) - 1", "split": "dim(ws*, 1)"}}],
                "outputs": ["zs*"]},
            "verification": {"status": "tested"}
        }]
    })
}

fn read(value: &Value) -> Result<Library, String> {
    Library::parse("test.json", value.to_string().as_bytes(), Ids::Computed).map_err(|e| e.to_string())
}

/// The message after a change at a JSON pointer (`null` removes).
fn refusal(mut value: Value, pointer: &str, new: Value) -> String {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (value.pointer_mut(parent).unwrap(), new) {
        (Value::Object(map), Value::Null) => drop(map.shift_remove(key)),
        (Value::Object(map), new) => drop(map.insert(key.to_owned(), new)),
        (Value::Array(items), Value::Null) => drop(items.remove(key.parse().unwrap())),
        (Value::Array(items), new) => items[key.parse::<usize>().unwrap()] = new,
        (other, _) => panic!("{parent} of the test is {other}"),
    }
    match read(&value) {
        Ok(_) => format!("accepted: {value}"),
        Err(message) => message,
    }
}

#[test]
fn what_is_written_reads_the_same() {
    for value in [sample(), group()] {
        let library = read(&value).unwrap();
        let text = library.to_text();
        assert_eq!(Library::parse("again.json", text.as_bytes(), Ids::Checked).unwrap(), library, "{text}");
    }
}

#[test]
fn a_wrong_rule_is_refused_with_its_place() {
    let s = "/substitutions/0";
    for (pointer, new, message) in [
        ("/version", json!(2), "test.json: version: version 2 is unknown; this program reads 1"),
        ("/format", json!("onnx"), "test.json: format: expected \"graphopt-substitutions\", found \"onnx\""),
        ("/extra", json!(1), "test.json: unknown field \"extra\""),
        (
            "/substitutions/0/source/nodes/0/op",
            json!("Convolve"),
            "source.nodes[0].op: the optimiser does not know the operator \"Convolve\"",
        ),
        ("/substitutions/0/source/nodes/0/extra", json!(1), "source.nodes[0]: unknown field \"extra\""),
        (
            "/substitutions/0/source/nodes/0/attrs/groups",
            json!(1),
            "source.nodes[0].attrs.groups: Conv has no attribute \"groups\"",
        ),
        (
            "/substitutions/0/source/nodes/0/attrs/group",
            json!([1]),
            "source.nodes[0].attrs.group: expected an integer, found a list of 1",
        ),
        (
            "/substitutions/0/source/nodes/0/attrs/auto_pad",
            json!(1),
            "source.nodes[0].attrs.auto_pad: expected a text, found a number",
        ),
        (
            "/substitutions/0/source/nodes/0/inputs",
            json!(["x"]),
            "source.nodes[0].inputs: Conv has no such number of operands",
        ),
        (
            "/substitutions/0/source/nodes/0/inputs/1",
            json!("w9"),
            "source.nodes[0].inputs[1]: nothing before this binds \"w9\"",
        ),
        ("/substitutions/0/source/nodes/0/outputs/0", json!("y2"), "source.nodes[1].outputs[0]: \"y2\" is bound twice"),
        (
            "/substitutions/0/source/nodes/1/inputs/0",
            json!("b?"),
            "source.nodes[1].inputs[0]: operand 0 of Conv is no optional bias",
        ),
        ("/substitutions/0/source/outputs/0", json!("y1"), "source.nodes[2]: no output depends on this node"),
        ("/substitutions/0/source/outputs", json!([]), "source.nodes[2]: no output depends on this node"),
        ("/substitutions/0/source/outputs/0", json!("x"), "source.nodes[2]: no output depends on this node"),
        ("/substitutions/0/target/nodes/0/inputs/0", json!("y1"), "\"y1\" is a result of the source"),
        ("/substitutions/0/target/nodes/0/inputs/0", json!("x"), "target.nodes[0]: Enlarge is for constants"),
        (
            "/substitutions/0/target/nodes/0/inputs/0",
            json!("b?"),
            "Enlarge of a bias that may be missing has no meaning",
        ),
        ("/substitutions/0/target/nodes/0/attrs/kernel_shape", json!("*"), "\"*\" stands in sources only"),
        (
            "/substitutions/0/target/nodes/0/attrs",
            json!({}),
            "target.nodes[0]: attribute \"kernel_shape\" of Enlarge has no default",
        ),
        ("/substitutions/0/target/nodes/2/attrs/pads", json!("?u"), "target.nodes[2].attrs.pads: nothing binds ?u"),
        ("/substitutions/0/target/nodes/2/outputs/0", json!("y"), "target.nodes[2].outputs[0]: \"y\" is bound twice"),
        ("/substitutions/0/target/outputs", json!(["z", "z"]), "target.outputs: 2 outputs, and 1 of the source"),
        ("/substitutions/0/inputs/0/rank", json!("four"), "inputs[0].rank: expected a rank from 0 to 16, or \"any\""),
        (
            "/substitutions/0/inputs/0/dtype",
            json!("f32"),
            "inputs[0].dtype: expected \"float\", \"int\" or \"any\", found \"f32\"",
        ),
        ("/substitutions/0/let/?k", json!("dim(w1, 2"), "let.?k: expected \")\" at column 10 of \"dim(w1, 2\""),
        ("/substitutions/0/let/?k", json!("dim(e, 2)"), "let.?k: the source binds no value \"e\""),
        ("/substitutions/0/let/?s", json!(1), "let.?s: ?s is bound twice, or no name"),
        ("/substitutions/0/let/k", json!(1), "let.k: a computed attribute is named ?a"),
        ("/substitutions/0/let/?m", json!("n"), "n has no meaning in a rule without lists"),
        ("/substitutions/0/conditions/0", json!("os.remove()"), "conditions[0]: unknown word"),
        ("/substitutions/0/conditions/0", json!("const(v)"), "conditions[0]: the source binds no value \"v\""),
        (
            "/substitutions/0/verification/status",
            json!("believed"),
            "verification.status: expected \"proved\" or \"tested\", found \"believed\"",
        ),
        (
            "/substitutions/0/verification/status",
            json!("proved"),
            "verification.proof: a rule that is proved has a proof",
        ),
        ("/substitutions/0/verification", Value::Null, "field \"verification\" is missing"),
        ("/substitutions/0/name", json!(""), "name: a rule has a name"),
    ] {
        let found = refusal(sample(), pointer, new);
        assert!(found.contains(message), "{pointer}: {found}\nexpected {message}");
        if pointer.starts_with(s) && !pointer.ends_with("/name") {
            assert!(found.starts_with("test.json: rule \"sum-of-convolutions\": "), "{found}");
        }
    }
    let mut unused = sample();
    unused["substitutions"][0]["inputs"].as_array_mut().unwrap().push(json!({"name": "u"}));
    assert!(read(&unused).unwrap_err().contains("the source does not use \"u\""));
}

#[test]
fn groups_are_mentioned_as_what_they_are() {
    for (pointer, new, message) in [
        ("/substitutions/0/source/nodes/0/for", Value::Null, "xs[i] stands in repeated nodes"),
        ("/substitutions/0/source/nodes/0/for", json!("each i"), "a repeated node has \"i in 0..n\" here"),
        ("/substitutions/0/source/nodes/0/inputs/1", json!("ws*"), "a repeated node takes and produces xs[i], not xs*"),
        ("/substitutions/0/source/nodes/0/inputs/1", json!("ws[0]"), "xs[0] stands in expressions only"),
        ("/substitutions/0/source/nodes/0/outputs/0", json!("ys"), "a repeated node produces ys[i]"),
        ("/substitutions/0/source/outputs/0", json!("ys[i]"), "an output is y, or ys* for a list"),
        ("/substitutions/0/target/outputs/0", json!("y"), "target.nodes[2]: no output depends on this node"),
        ("/substitutions/0/target/nodes/2/attrs/split", json!("dim(ws[i], 1)"), "\"ws[i]\" has no meaning here"),
        ("/substitutions/0/target/nodes/2/attrs/split", json!("dim(ws, 1)"), "write xs*, xs[i] or xs[0] for lists"),
        (
            "/substitutions/0/inputs/0/const",
            json!(true),
            "the members of the group share no input that is not constant",
        ),
    ] {
        let found = refusal(group(), pointer, new);
        assert!(found.contains(message), "{pointer}: {found}\nexpected {message}");
    }
    // A shared constant of rank 2 links a group.
    let mut shared = group();
    shared["substitutions"][0]["inputs"] = json!([{"name": "ws*", "rank": 2}, {"name": "x", "rank": 2, "const": true}]);
    read(&shared).unwrap();
}

#[test]
fn sources_are_connected_through_more_than_a_constant() {
    let rule = |constant: bool| {
        json!({"format": "graphopt-substitutions", "version": 1, "substitutions": [{
            "name": "scaled-pair",
            "inputs": [{"name": "x", "rank": "any"}, {"name": "y", "rank": "any"},
                       {"name": "c", "rank": 0, "const": constant}],
            "source": {"nodes": [{"op": "Mul", "inputs": ["x", "c"], "outputs": ["a"]},
                                 {"op": "Mul", "inputs": ["y", "c"], "outputs": ["b"]}], "outputs": ["a", "b"]},
            "target": {"nodes": [{"op": "Mul", "inputs": ["c", "x"], "outputs": ["d"]},
                                 {"op": "Mul", "inputs": ["c", "y"], "outputs": ["e"]}], "outputs": ["d", "e"]},
            "verification": {"status": "tested"}}]})
    };
    read(&rule(false)).unwrap();
    assert!(read(&rule(true)).unwrap_err().contains("source.nodes[1]: not connected"));
}

#[test]
fn ids_do_not_depend_on_names_or_order() {
    let base = read(&sample()).unwrap().substitutions[0].id.clone();
    assert_eq!(base.len(), 16);
    let text = sample().to_string();
    let renamed = text
        .replace("\"w1\"", "\"kernel\"")
        .replace("(w1", "(kernel")
        .replace("?k", "?size")
        .replace("sum-of", "adding");
    assert_eq!(read(&serde_json::from_str(&renamed).unwrap()).unwrap().substitutions[0].id, base);
    let mut reordered = sample();
    reordered["substitutions"][0]["inputs"].as_array_mut().unwrap().reverse();
    reordered["substitutions"][0]["source"]["nodes"].as_array_mut().unwrap().swap(0, 1);
    reordered["substitutions"][0]["conditions"].as_array_mut().unwrap().reverse();
    assert_eq!(read(&reordered).unwrap().substitutions[0].id, base);
    let mut inlined = sample();
    inlined["substitutions"][0]["target"]["nodes"][0]["attrs"]["kernel_shape"] = json!("[dim(w1, 2), dim(w1, 3)]");
    assert_eq!(read(&inlined).unwrap().substitutions[0].id, base);
    let mut other = sample();
    other["substitutions"][0]["inputs"][1]["const"] = json!(false);
    other["substitutions"][0]["conditions"][0] = json!("const(w1)");
    assert_ne!(read(&other).unwrap().substitutions[0].id, base);
}

#[test]
fn a_library_has_each_rule_and_name_once() {
    let mut twice = sample();
    let mut copy = twice["substitutions"][0].clone();
    twice["substitutions"].as_array_mut().unwrap().push(copy.clone());
    assert!(read(&twice).unwrap_err().contains("name: another rule has this name"));
    copy["name"] = json!("alias");
    twice["substitutions"][1] = copy;
    assert!(read(&twice).unwrap_err().contains("this is rule \"sum-of-convolutions\" under another name"));
    let library = read(&sample()).unwrap();
    assert!(Library::join(vec![library.clone(), library]).is_err());
    let mut wrong = sample();
    wrong["substitutions"][0]["id"] = json!("0123456789abcdef");
    let message = Library::parse("t.json", wrong.to_string().as_bytes(), Ids::Checked).unwrap_err().to_string();
    assert!(message.contains("id: \"0123456789abcdef\" is not the id of this rule"), "{message}");
}

/// The files as they are on disk: editing a rule needs no compilation.
fn starter_files() -> Vec<(std::path::PathBuf, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("substitutions");
    let files = STARTER.iter().chain([&UNPROVED]);
    files.map(|(file, _)| (folder.join(file), std::fs::read_to_string(folder.join(file)).unwrap())).collect()
}

/// The rules of the files; with `GRAPHOPT_RULE=part` only those whose name has that part.
pub(super) fn starter_rules() -> Vec<crate::rewrite::Rule> {
    let only = std::env::var("GRAPHOPT_RULE").ok();
    let mut rules = Vec::new();
    for (path, text) in starter_files() {
        let library = Library::parse(&path.display().to_string(), text.as_bytes(), Ids::Computed).unwrap();
        rules.extend(library.substitutions.into_iter().map(|s| s.rule));
    }
    rules.retain(|rule| only.as_ref().is_none_or(|only| rule.name.contains(only)));
    rules
}

/// With `GRAPHOPT_BLESS=1` this rewrites the files of the starter library in their proper layout, with ids computed.
#[test]
fn the_starter_library_is_laid_out_as_it_would_be_written() {
    let mut wrong = Vec::new();
    for (path, text) in starter_files() {
        let file = path.display().to_string();
        match Library::parse(&file, text.as_bytes(), Ids::Computed) {
            Err(error) => wrong.push(error.to_string()),
            Ok(library) if std::env::var_os("GRAPHOPT_BLESS").is_some() => {
                std::fs::write(&path, library.to_text()).unwrap();
            }
            Ok(library) if library.to_text() != text => {
                wrong.push(format!("{file}: run this test with GRAPHOPT_BLESS=1"));
            }
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_of_the_starter_library_holds_on_random_instances() {
    let rules = starter_rules();
    let failed: Vec<String> = rules
        .par_iter()
        .filter_map(|rule| match try_rule(rule, &TrialSettings::default()) {
            Ok(trials) if trials.instances >= 20 => None,
            Ok(trials) => Some(format!("{}: {} instances only", rule.name, trials.instances)),
            Err(error) => Some(format!("{}: {error}", rule.name)),
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} rules fail:\n{}", failed.len(), rules.len(), failed.join("\n"));
}

/// The trial itself can fail: rules that are wrong in one place are told from right ones.
#[test]
fn wrong_rules_are_found_out() {
    let target = "/substitutions/0/target";
    for (base, pointer, new) in [
        (sample(), "/nodes/2/inputs/1", json!("w1")),
        (sample(), "/nodes/2/inputs", json!(["x", "w"])),
        (sample(), "/nodes/1/op", json!("Sub")),
        (group(), "/nodes/0/attrs/axis", json!(0)),
        (group(), "/nodes/2/attrs/split", json!("?u")),
    ] {
        let mut value = base;
        if new == json!("?u") {
            // Sizes in reverse order.
            value["substitutions"][0]["let"] = json!({"?u": "dim(ws*, 0)"});
        }
        let pointer = format!("{target}{pointer}");
        *value.pointer_mut(&pointer).unwrap() = new;
        if pointer.ends_with("inputs") {
            value["substitutions"][0]["source"]["nodes"][0]["inputs"][2] = json!("b?");
        }
        let library = match read(&value) {
            Ok(library) => library,
            // Also good: refused when read.
            Err(_) => continue,
        };
        let found = try_rule(&library.substitutions[0].rule, &TrialSettings::default());
        assert!(matches!(found, Err(TrialError::Differ { .. } | TrialError::Target { .. })), "{pointer}: {found:?}");
    }
    for value in [sample(), group()] {
        try_rule(&read(&value).unwrap().substitutions[0].rule, &TrialSettings::default()).unwrap();
    }
}

#[test]
fn the_starter_library_can_be_read() {
    let library = Library::starter().unwrap();
    assert!(library.substitutions.len() >= 440, "{} rules", library.substitutions.len());
    assert!(library.substitutions.iter().all(|s| s.verification.status == Status::Proved));
    assert!(library.find("no such rule").is_none());
}

/// What has no proof is apart, with the reason.
#[test]
fn rules_without_a_proof_are_in_a_file_of_their_own() {
    let (built_in, unproved) = (Library::built_in().unwrap(), Library::unproved().unwrap());
    assert!(built_in.substitutions.iter().all(|s| s.verification.status == Status::Proved));
    for substitution in &unproved.substitutions {
        let name = &substitution.rule.name;
        assert_eq!(substitution.verification.status, Status::Tested, "{name}");
        assert!(substitution.verification.reason.is_some(), "{name} has no reason");
        assert!(built_in.find(name).is_none(), "{name} is there twice");
    }
    assert_eq!(unproved.clone().proved_only(), (Library::default(), unproved.substitutions.len()));
}

/// A rule of another library takes the place of that with its name, and of that with its id.
#[test]
fn rules_that_are_adopted_replace_others() {
    let mut library = Library::built_in().unwrap();
    let count = library.substitutions.len();
    let (first, second) = (library.substitutions[3].clone(), library.substitutions[5].clone());
    let mut other = first.clone();
    other.rule.name = second.rule.name.clone();
    library.adopt(Library { generator: None, substitutions: vec![other.clone()] });
    assert_eq!(library.substitutions.len(), count - 1);
    assert_eq!(library.substitutions[3], other);
    assert!(library.find(&first.rule.name).is_none());
    assert!(library.substitutions.iter().all(|s| s.id != second.id));
    library.adopt(Library { generator: None, substitutions: vec![second.clone()] });
    assert_eq!(library.substitutions[3], second);
}

fn json_value() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        Just("x"),
        Just("xs*"),
        Just("xs[i]"),
        Just("?a"),
        Just("*"),
        Just("i in 0..n"),
        Just("Conv"),
        Just("Add"),
        Just(""),
        Just("dim(x, 0) == 1"),
        Just("tested"),
        Just("any"),
        Just("float")
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let keys = prop_oneof![
            Just("name"),
            Just("op"),
            Just("inputs"),
            Just("outputs"),
            Just("nodes"),
            Just("attrs"),
            Just("axis"),
            Just("rank"),
            Just("source"),
            Just("status")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..4)
                .prop_map(|fields| { Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()) }),
        ]
    })
}

/// Paths of everything within a value, as JSON pointers.
fn pointers(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| pointers(v, format!("{at}/{k}"), out)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| pointers(v, format!("{at}/{i}"), out)),
        _ => {}
    }
    out.push(at);
}

proptest! {
    #[test]
    fn no_json_panics(value in json_value()) {
        let _ = read(&value);
    }

    #[test]
    fn no_damaged_rule_panics(which in 0..2, at in any::<prop::sample::Index>(), new in json_value()) {
        let mut value = if which == 0 { sample() } else { group() };
        let mut places = Vec::new();
        pointers(&value, String::new(), &mut places);
        let place: &String = at.get(&places);
        *value.pointer_mut(place).unwrap() = new;
        let _ = read(&value);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(Library::parse("bytes", &bytes, Ids::Checked).is_err());
    }
}
