//! Built-in models end to end, judged by ONNX Runtime: what is written must compute what the original does.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::Wander;
use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::formats::{self, ImportOptions, Imported};
use graphopt::rewrite::RuleSet;
use graphopt::search::{Backtracking, Budget, Greedy, Search, Settings, optimise};
use graphopt::{runtime, zoo};

/// Sizes that differ from the model's own.
type Sizes = &'static [(&'static str, u64)];

/// Models at sizes that take a moment, with the share of their nodes that greedy search may leave.
const MODELS: &[(&str, Sizes, f64)] = &[
    ("repvgg_a0", &[("image", 64)], 0.5),
    ("mobileone_s0", &[("image", 64)], 0.3),
    ("lora_mlp", &[("layers", 3), ("hidden", 256), ("rank", 16), ("batch", 8)], 0.7),
    ("squeezenet1_1", &[("image", 64)], 1.0),
    ("resnet18", &[("image", 64)], 0.8),
    ("mobilenet_v2", &[("image", 64)], 0.8),
    ("bert_2_layers", &[("hidden", 96), ("sequence", 16)], 0.9),
    ("gpt2", &[("layers", 1), ("hidden", 96), ("sequence", 16), ("vocabulary", 100)], 1.0),
    ("nasrnn_4", &[], 0.9),
    ("lstm", &[("steps", 2), ("input", 32), ("hidden", 32)], 0.9),
    ("attention_heads", &[("hidden", 64), ("heads", 4), ("sequence", 16)], 0.9),
    ("inception_pair", &[("image", 17)], 0.9),
];

/// Graphs that backtracking may expand (greedy search ends by itself): enough to apply rules of many kinds, and quick.
const POPS: usize = 40;
/// Rewrites applied at random.
const WANDER: u64 = 40;

#[test]
fn optimised_models_compute_the_same_in_onnx_runtime() {
    let Some(python) = common::python("optimised_models_compute_the_same_in_onnx_runtime") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules = common::rules();
    let mut too_many = Vec::new();
    for &(name, sizes, at_most) in MODELS {
        let original = folder.path().join(format!("{name}.onnx"));
        let imported = write_original(name, sizes, &original);
        write_inputs(&imported, &original.with_extension("inputs"));
        let before = imported.model.nodes.len();
        let after = write_optimised(&imported, &Greedy, Budget::default(), &rules, &original);
        if after as f64 > before as f64 * at_most {
            too_many.push(format!("{name}: {before} nodes became {after}"));
        }
        let few = Budget { pops: POPS, ..Budget::default() };
        write_optimised(&imported, &Backtracking::default(), few.clone(), &rules, &original);
        write_optimised(&imported, &Wander { steps: WANDER }, few, &rules, &original);
    }
    assert!(too_many.is_empty(), "{too_many:#?}");
    let judged = common::run_script(&python, "models.py", &[], folder.path());
    let same = judged.lines().filter(|line| line.starts_with("same ")).count();
    assert_eq!(same, 3 * MODELS.len(), "{judged}");
}

/// Writes a built-in model and reads it again, as a user's.
fn write_original(name: &str, sizes: Sizes, path: &Path) -> Imported {
    let model = zoo::build(name, sizes).unwrap_or_else(|e| panic!("{name}: {e}"));
    formats::save(&model, path).unwrap_or_else(|e| panic!("{name}: {e}"));
    let loaded = formats::load(path).unwrap_or_else(|e| panic!("{name}: {e}"));
    let imported = formats::import(loaded.model, &ImportOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(imported.opaque_count(), 0, "{name}");
    imported
}

/// Writes what a search makes of the model at `original`, as NAME.METHOD.onnx. Returns its number of nodes.
fn write_optimised(
    imported: &Imported,
    search: &dyn Search,
    budget: Budget,
    rules: &Arc<RuleSet>,
    original: &Path,
) -> usize {
    let path = original.with_extension(format!("{}.onnx", search.name()));
    let settings = Settings {
        search,
        budget,
        model: &Roofline::new(DeviceProfile::cpu()),
        device: tch::Device::Cpu,
        measure: false,
        seed: 0,
        check_inputs: 1,
    };
    let outcome = optimise(imported, rules, &settings, &mut |_| true);
    let outcome = outcome.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(!outcome.applied.is_empty(), "{}: nothing was rewritten", path.display());
    formats::save(&outcome.model, &path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    outcome.model.nodes.len()
}

/// Writes random inputs as `0.npy`, `1.npy`, ….
fn write_inputs(imported: &Imported, folder: &Path) {
    fs::create_dir(folder).expect("a new folder");
    let inputs = runtime::draw_inputs(&imported.graph, &BTreeMap::new(), 7).expect("inputs of known sizes");
    for (number, input) in inputs.iter().enumerate() {
        input.write_npy(folder.join(format!("{number}.npy"))).expect("a written file");
    }
}
