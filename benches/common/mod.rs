//! What the benchmarks share: zoo models as clean graphs, and the shipped rules.

#[allow(dead_code, reason = "not every benchmark is of the world model")]
pub mod dream;

use std::path::Path;
use std::sync::Arc;

use graphopt::formats::import::{ImportOptions, import};
use graphopt::graph::Graph;
use graphopt::rewrite::{RuleSet, clean_up};
use graphopt::substitution::Library;
use graphopt::zoo;

/// A zoo model at its default sizes, cleaned up.
#[allow(dead_code, reason = "not every benchmark is on the zoo")]
pub fn model(name: &str) -> Graph {
    let model = zoo::build(name, &[]).expect("a built-in architecture");
    let mut graph = import(model, &ImportOptions::default()).expect("built-in architectures import").graph;
    clean_up(&mut graph);
    graph.commit();
    graph
}

/// The shipped library, compiled, with the new rules of the files that the variable `RULES` names (separated by `:`); with
/// `HAND_WRITTEN=1` without the rules found by machine.
pub fn rules() -> Arc<RuleSet> {
    let hand_written = std::env::var_os("HAND_WRITTEN").is_some();
    let library = if hand_written { Library::starter() } else { Library::built_in() };
    let mut library = library.expect("the shipped library");
    for file in std::env::var("RULES").iter().flat_map(|files| files.split(':')) {
        for substitution in Library::load(Path::new(file)).expect("a library").substitutions {
            if library.substitutions.iter().all(|s| s.id != substitution.id) {
                library.substitutions.push(substitution);
            }
        }
    }
    Arc::new(RuleSet::compile(library.rules().cloned()).expect("the shipped rules compile"))
}
