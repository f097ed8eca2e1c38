//! The shape of the house: layers use only those above them, files stay short, documents name files that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers of `src/`, each using only those before it.
const LAYERS: [&str; 11] =
    ["graph", "ops", "formats", "rewrite", "substitution", "runtime", "cost", "search", "zoo", "rl", "cli"];

/// More lines than this are not read in one sitting.
const MAX_LINES: usize = 700;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.map(|e| e.expect("a readable folder").path()) {
        if entry.is_dir() {
            found.extend(files_below(&entry, ending));
        } else if entry.extension().is_some_and(|e| e == ending) {
            found.push(entry);
        }
    }
    found.sort();
    found
}

/// Layers that a source text names as `crate::LAYER` outside comments.
fn layers_used(text: &str) -> Vec<(usize, &'static str)> {
    let mut used = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        for layer in LAYERS {
            let mention = format!("crate::{layer}");
            let ends = |at: usize| {
                let next = code[at + mention.len()..].chars().next();
                !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
            };
            if code.match_indices(&mention).any(|(at, _)| ends(at)) {
                used.push((number + 1, layer));
            }
        }
    }
    used
}

#[test]
fn each_layer_uses_only_those_above_it() {
    let mut faults = Vec::new();
    for (level, layer) in LAYERS.iter().enumerate() {
        for file in files_below(&root().join("src").join(layer), "rs") {
            let is_test = file.file_stem().is_some_and(|s| s.to_string_lossy().contains("test"));
            if is_test || file.components().any(|c| c.as_os_str() == "tests") {
                continue;
            }
            let text = fs::read_to_string(&file).expect("a readable file");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
            for (line, used) in layers_used(code) {
                if LAYERS.iter().position(|l| *l == used).is_some_and(|at| at > level) {
                    faults.push(format!("{}:{line}: {layer} uses {used}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_folder_of_src_is_a_layer() {
    for entry in fs::read_dir(root().join("src")).expect("src") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(LAYERS.contains(&name.as_str()), "src/{name} is no layer");
        }
    }
}

#[test]
fn libtorch_stays_in_its_layers() {
    for layer in ["graph", "ops", "formats", "rewrite", "substitution"] {
        for file in files_below(&root().join("src").join(layer), "rs") {
            let text = fs::read_to_string(&file).expect("a readable file");
            let own_word = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let used = text.match_indices("tch::").any(|(at, _)| own_word(at));
            assert!(!used, "{} uses libtorch", file.display());
        }
    }
}

#[test]
fn a_dream_steps_no_graph() {
    let folder = root().join("src/rl/dream");
    let awake = folder.join("waking");
    let mut dreaming = 0;
    for file in files_below(&folder, "rs").into_iter().filter(|file| !file.starts_with(&awake)) {
        dreaming += 1;
        let text = fs::read_to_string(&file).expect("a readable file");
        for line in text.lines().filter(|line| *line != "pub mod waking;") {
            let code = line.split("//").next().unwrap_or("");
            let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            for word in words {
                let awake = ["rewrite", "search", "env", "vector", "window", "task", "trainer", "waking"];
                assert!(!awake.contains(&word), "{}: a dream names {word}: {line}", file.display());
            }
        }
    }
    assert!(dreaming > 10, "the files of the dream were found");
}

#[test]
fn files_are_short_enough_to_read() {
    for folder in ["src", "tests", "benches", "xtask"] {
        for file in files_below(&root().join(folder), "rs") {
            let lines = fs::read_to_string(&file).expect("a readable file").lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn documents_name_files_that_exist() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap_or_else(|e| panic!("{document}: {e}"));
        for quoted in text.split('`').skip(1).step_by(2) {
            let looks_like_path = ["src/", "tests/", "benches/", "models/", "substitutions/", "docs/", "xtask/"]
                .iter()
                .any(|prefix| quoted.starts_with(prefix));
            if looks_like_path && !quoted.contains([' ', '*', '<', '…']) {
                assert!(root().join(quoted).exists(), "{document} names {quoted}, which does not exist");
            }
        }
    }
}
