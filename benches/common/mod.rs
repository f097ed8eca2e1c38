//! What the benchmarks share: zoo models as clean graphs, and the shipped rules.

use std::sync::Arc;

use graphopt::formats::import::{ImportOptions, import};
use graphopt::graph::Graph;
use graphopt::rewrite::{RuleSet, clean_up};
use graphopt::substitution::Library;
use graphopt::zoo;

/// A zoo model at its default sizes, cleaned up.
pub fn model(name: &str) -> Graph {
    let model = zoo::build(name, &[]).expect("a built-in architecture");
    let mut graph = import(model, &ImportOptions::default()).expect("built-in architectures import").graph;
    clean_up(&mut graph);
    graph.commit();
    graph
}

/// The shipped library, compiled.
pub fn rules() -> Arc<RuleSet> {
    let library = Library::starter().expect("the shipped library");
    let rules = library.substitutions.into_iter().map(|s| s.rule);
    Arc::new(RuleSet::compile(rules).expect("the shipped rules compile"))
}
