use std::collections::HashSet;
use std::path::Path;

use super::*;
use crate::formats;
use crate::formats::import::{ImportOptions, import};
use crate::formats::model::DeclaredDim;
use crate::graph::Graph;

/// Parameters as published: torchvision's counts where it has the model, else those of the authors' implementation.
const PARAMETERS: &[(&str, u64)] = &[
    ("squeezenet1_1", 1_235_496),
    ("resnet18", 11_689_512),
    ("resnet50", 25_557_032),
    ("resnext50_32x4d", 25_028_904),
    ("inception_v3", 23_834_568),
    ("mobilenet_v2", 3_504_872),
    ("vgg19", 143_667_240),
    ("nasnet_a", 5_289_978),
    ("repvgg_a0", 9_108_968),
    ("mobileone_s0", 5_293_272),
    ("bert_base", 109_482_240),
    ("vit_b_16", 86_567_656),
    ("gpt2", 124_439_808),
];

/// Multiply-adds of convolutions and products in units of 1e9, as torchvision publishes them, and NASNet's authors.
const MULTIPLY_ADDS: &[(&str, f64)] = &[
    ("squeezenet1_1", 0.349),
    ("resnet18", 1.814),
    ("resnet50", 4.089),
    ("resnext50_32x4d", 4.230),
    ("inception_v3", 5.713),
    ("mobilenet_v2", 0.301),
    ("vgg19", 19.632),
    ("vit_b_16", 17.564),
    ("nasnet_a", 0.564),
];

/// Sizes at which every entry is small; together they touch every size that any entry has.
const SMALL: &[(&str, u64)] = &[
    ("batch", 2),
    ("image", 80),
    ("classes", 10),
    ("layers", 2),
    ("hidden", 24),
    ("heads", 3),
    ("sequence", 7),
    ("vocabulary", 50),
    ("steps", 3),
    ("input", 5),
    ("head", 1),
    ("text", 6),
    ("rows", 3),
    ("text_vocabulary", 40),
    ("image_vocabulary", 30),
    ("audio_layers", 2),
    ("label_layers", 2),
    ("feed_forward", 20),
    ("frames", 9),
    ("labels", 4),
    ("features", 8),
    ("joint", 12),
    ("rank", 2),
    ("blocks", 2),
];

/// The small sizes that the entry takes.
pub(super) fn small(entry: &Entry) -> Vec<(&'static str, u64)> {
    SMALL.iter().copied().filter(|(name, _)| entry.sizes.iter().any(|s| s.name == *name)).collect()
}

#[test]
fn parameters_are_as_published() {
    for (name, expected) in PARAMETERS {
        assert_eq!(parameters(&build(name, &[]).unwrap()), *expected, "{name}");
    }
}

pub(super) fn graph_of(model: &Model) -> Graph {
    import(model.clone(), &ImportOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", model.name)).graph
}

#[test]
fn multiply_adds_are_as_published() {
    for (name, expected) in MULTIPLY_ADDS {
        let found = multiply_adds(&graph_of(&build(name, &[]).unwrap())) * 1e-9;
        assert!((found - expected).abs() < 0.0006, "{name}: {found}");
    }
}

/// Every operator is understood, and inferred types agree with those that the builder declared.
#[test]
fn nothing_is_opaque_and_shapes_agree() {
    for entry in ENTRIES {
        for overrides in [vec![], small(entry)] {
            let model = build(entry.name, &overrides).unwrap();
            let imported = import(model.clone(), &ImportOptions::default()).unwrap();
            assert!(imported.warnings.is_empty(), "{}: {:?}", entry.name, imported.warnings);
            for (output, declared) in imported.graph.outputs().iter().zip(&model.outputs) {
                let inferred = imported.graph.facts(output.value).ty.as_ref().unwrap();
                let shape = inferred.known_shape().unwrap();
                let declared = declared.ty.as_ref().unwrap().shape.as_ref().unwrap();
                let same = declared.iter().zip(&shape).all(|(d, &n)| *d == DeclaredDim::Size(n as u64));
                assert!(same && shape.len() == declared.len(), "{} {}: {shape:?}", entry.name, output.name);
            }
        }
    }
}

#[test]
fn names_are_unique_and_every_size_has_a_small_value() {
    let mut names = HashSet::new();
    for entry in ENTRIES {
        assert!(names.insert(entry.name), "{} stands twice", entry.name);
        for size in entry.sizes {
            assert!(size.min <= size.default && size.default <= size.max, "{} {}", entry.name, size.name);
            assert!(SMALL.iter().any(|(name, _)| *name == size.name), "{} {}", entry.name, size.name);
        }
    }
}

/// Every value is defined before it is used, once; everything that is defined is used; inputs, too.
#[test]
fn models_are_well_formed_and_without_dead_ends() {
    for entry in ENTRIES {
        for overrides in [vec![], small(entry)] {
            let model = build(entry.name, &overrides).unwrap_or_else(|e| panic!("{e}"));
            let mut defined: HashSet<&str> = model.inputs.iter().map(|i| i.name.as_str()).collect();
            for name in model.weights.keys() {
                assert!(defined.insert(name), "{} defines {name} twice", entry.name);
            }
            let mut used: HashSet<&str> = model.outputs.iter().map(|o| o.name.as_str()).collect();
            for node in &model.nodes {
                for input in &node.inputs {
                    assert!(defined.contains(input.as_str()), "{}: {} uses {input}", entry.name, node.name);
                    used.insert(input);
                }
                for output in &node.outputs {
                    assert!(defined.insert(output), "{}: {output} stands twice", entry.name);
                }
            }
            let unused: Vec<_> = defined.difference(&used).collect();
            assert!(unused.is_empty(), "{}: {unused:?} is never used", entry.name);
            let missing: Vec<_> = used.difference(&defined).collect();
            assert!(missing.is_empty(), "{}: {missing:?} is never defined", entry.name);
        }
    }
}

#[test]
fn batch_is_the_leading_size_of_outputs() {
    for entry in ENTRIES {
        let model = build(entry.name, &[("batch", 3)]).unwrap();
        for output in &model.outputs {
            let shape = output.ty.as_ref().unwrap().shape.as_ref().unwrap();
            assert!(shape[..2].contains(&DeclaredDim::Size(3)), "{}: {} is {shape:?}", entry.name, output.name);
        }
    }
}

#[test]
fn every_parameter_has_a_seed_of_its_own() {
    for entry in ENTRIES {
        let model = build(entry.name, &[]).unwrap();
        let mut seeds = HashSet::new();
        for (name, weight) in &model.weights {
            let (Data::Init(Init::Normal { seed, .. }) | Data::Init(Init::Uniform { seed, .. })) = weight.tensor.data()
            else {
                continue;
            };
            assert!(seeds.insert(*seed), "{}: {name}", entry.name);
        }
    }
}

#[test]
fn wrong_requests_are_told_what_there_is() {
    let check = |name: &str, overrides: &[(&str, u64)], expected: &str| {
        let message = build(name, overrides).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check("resnet19", &[], "there is no built-in model resnet19; there are squeezenet1_1, resnet18,");
    check("resnet18", &[("depth", 3)], "model resnet18 has no size depth; it has batch, image, classes");
    check("resnet18", &[("image", 5)], "model resnet18: size image is 5, and must be from 32 to 4096");
    check("bert_base", &[("heads", 7)], "encoder.layer.0.attention.self: 7 does not divide 768");
    check("vit_b_16", &[("image", 100)], "model vit_b_16 at conv_proj: 16 does not divide 100");
}

/// The smallest and an odd image go through every image network.
#[test]
fn images_of_any_allowed_size_fit() {
    for entry in ENTRIES {
        let Some(size) = entry.sizes.iter().find(|s| s.name == "image") else { continue };
        for image in [size.min, size.min + 1, 161] {
            match build(entry.name, &[("image", image)]) {
                Ok(_) => {}
                Err(error) => assert!(entry.name.starts_with("vit") && image % 16 != 0, "{error}"),
            }
        }
    }
}

/// `models/` holds every entry at its default sizes, and reading a file gives back what was built.
#[test]
fn files_are_what_the_builders_give() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for entry in ENTRIES {
        let path = folder.join(format!("{}.json", entry.name));
        let mut loaded = formats::load(&path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.warnings, [] as [String; 0]);
        loaded.model.source = None;
        let built = build(entry.name, &[]).unwrap();
        assert!(loaded.model == built, "{} is out of date: run graphopt models --write", path.display());
    }
    let is_json = |file: &std::fs::DirEntry| file.path().extension().is_some_and(|e| e == "json");
    let files = std::fs::read_dir(&folder).unwrap().filter(|file| is_json(file.as_ref().unwrap())).count();
    assert_eq!(files, ENTRIES.len(), "{} has files of no entry", folder.display());
}
