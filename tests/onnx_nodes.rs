//! ONNX's own node tests: every model is read, optimised and written, and what is written is judged in ONNX Runtime against
//! the outputs that ONNX expects.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::Wander;
use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::formats::{self, ImportOptions, Imported};
use graphopt::graph::{Graph, Op, ValueRef};
use graphopt::rewrite::{RuleSet, clean_up};
use graphopt::runtime;
use graphopt::search::{Budget, Greedy, Problem, Search};

/// Cases with a known fault, and the reason. Empty is the aim.
const KNOWN_FAULTS: &[(&str, &str)] = &[];

/// The share of the cases that must have no opaque node.
const UNDERSTOOD: f64 = 0.55;
/// Rewrites applied at random to each case: also those that gain nothing, which greedy search never tries.
const WANDER: u64 = 8;
/// Cases that must have been judged, so that a broken judge does not pass everything.
const JUDGED: u64 = 900;

#[test]
fn node_tests_of_onnx_give_the_expected_outputs() {
    let Some(python) = common::python("node_tests_of_onnx_give_the_expected_outputs") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    common::run_script(&python, "node_tests.py", &["dump"], folder.path());
    let rules = common::rules();
    let (mut understood, mut faults) = (0, Vec::new());
    let cases = models(folder.path());
    for path in &cases {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        match catch_unwind(AssertUnwindSafe(|| treat(path, &rules))) {
            Ok(Ok(opaque)) => understood += usize::from(opaque == 0),
            Ok(Err(fault)) => faults.push(format!("{name}: {fault}")),
            Err(_) => faults.push(format!("{name}: a panic (see above)")),
        }
    }
    let share = understood as f64 / cases.len() as f64;
    let judged = common::run_script(&python, "node_tests.py", &["judge"], folder.path());
    let judged: serde_json::Value = serde_json::from_str(&judged).expect("JSON");
    let percent = 100.0 * share;
    common::say(&format!("node tests: {understood} of {} ({percent:.1} %) without opaque nodes", cases.len()));
    common::say(&format!("node tests: {}", judged["counts"]));
    let wrong = judged["faults"].as_object().expect("an object").iter();
    faults.extend(wrong.map(|(name, fault)| format!("{name}: {}", fault.as_str().expect("a text"))));
    let known = |fault: &String| KNOWN_FAULTS.iter().any(|(name, _)| fault.starts_with(name));
    let (known, new): (Vec<String>, Vec<String>) = faults.into_iter().partition(known);
    assert!(new.is_empty(), "{} faults:\n{}", new.len(), new.join("\n"));
    for (name, reason) in KNOWN_FAULTS {
        let still = known.iter().any(|fault| fault.starts_with(name));
        assert!(still, "{name} is mended ({reason}): take it off the list");
    }
    assert!(share >= UNDERSTOOD, "only {share:.3} of the cases have no opaque node");
    assert_eq!(judged["cases"].as_u64(), Some(cases.len() as u64));
    assert!(judged["counts"]["cases judged by onnx_runtime"].as_u64() >= Some(JUDGED), "{}", judged["counts"]);
}

fn models(folder: &Path) -> Vec<PathBuf> {
    let files = folder.read_dir().expect("a folder").map(|file| file.expect("a file").path());
    let mut models: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    models.sort();
    models
}

/// Writes a model optimised, as NAME.optimised.onnx; after rewrites at random, as NAME.random.onnx; and from the normal form
/// alone, as NAME.normal.onnx. Returns its number of opaque nodes.
fn treat(path: &Path, rules: &Arc<RuleSet>) -> Result<usize, String> {
    let loaded = formats::load(path).map_err(|e| format!("load: {e}"))?;
    let imported = formats::import(loaded.model, &ImportOptions::default()).map_err(|e| format!("import: {e}"))?;
    let mut clean = imported.graph.clone();
    clean_up(&mut clean);
    clean.commit();
    let costs = Roofline::new(DeviceProfile::cpu());
    let problem = Problem { graph: &clean, rules, model: &costs, budget: &Budget::default() };
    let (best, _) = Greedy.run(&problem, &mut |_| true);
    write(&best, &imported, &path.with_extension("optimised.onnx"))?;
    let (wandered, _) = Wander { steps: WANDER }.run(&problem, &mut |_| true);
    write(&wandered, &imported, &path.with_extension("random.onnx"))?;
    write(&without_origins(&imported.graph), &imported, &path.with_extension("normal.onnx"))?;
    Ok(imported.opaque_count())
}

fn write(graph: &Graph, imported: &Imported, path: &Path) -> Result<(), String> {
    let treatment = path.file_name().expect("a name").to_string_lossy();
    graph.validate().map_err(|e| format!("{treatment}: {e}"))?;
    let folded = runtime::fold(graph);
    let written = formats::export(graph, imported, &|value| folded.tensors.get(&value).cloned());
    formats::save(&written.map_err(|e| format!("{treatment}: export: {e}"))?, path).map_err(|e| e.to_string())?;
    let again = formats::load(path).map_err(|e| format!("load again: {e}"))?;
    let again = formats::import(again.model, &ImportOptions::default());
    again.map(|_| ()).map_err(|e| format!("{treatment}: import again: {e}"))
}

/// The same graph with every node that is understood as if a rule had made it: nothing of the model's nodes is copied.
fn without_origins(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for id in graph.topological() {
        let node = graph.node(id);
        if node.origin.is_none() || matches!(node.op, Op::Opaque(_) | Op::Input) {
            continue;
        }
        let mut anew = node.clone();
        anew.origin = None;
        let slots = anew.outputs.len() as u32;
        let new = graph.add_node(anew);
        for slot in 0..slots {
            graph.replace_uses(ValueRef { node: id, slot }, ValueRef { node: new, slot });
        }
        graph.remove_node(id);
    }
    graph
}
