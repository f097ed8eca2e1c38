//! What the tests against ONNX Runtime share: the Python that has it, the shipped rules, and random rewriting.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use graphopt::graph::{Graph, splitmix64};
use graphopt::rewrite::{CleanUp, RuleSet};
use graphopt::search::{Counts, Problem, Report, Search, State, StopReason, Watcher};
use graphopt::substitution::Library;

/// The Python with `onnx`, `onnxruntime` and `numpy`; `cargo xtask test` sets it up and names it in GRAPHOPT_TEST_PYTHON.
/// Without it the test says that it is skipped; in CI that is a failure.
pub fn python(test: &str) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("GRAPHOPT_TEST_PYTHON") {
        return Some(python.into());
    }
    assert!(std::env::var_os("CI").is_none(), "{test} needs GRAPHOPT_TEST_PYTHON: run `cargo xtask test`");
    say(&format!("SKIPPED: {test}: GRAPHOPT_TEST_PYTHON names no Python; `cargo xtask test` sets it up"));
    None
}

/// Says something on stderr that is seen although the test passes: what `eprintln!` prints then is swallowed.
pub fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").expect("stderr takes a line");
}

/// Runs a script of `tests/python/` and returns what it prints.
#[track_caller]
pub fn run_script(python: &Path, script: &str, args: &[&str], folder: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let output = Command::new(python).arg(&script).args(args).arg(folder).output().expect("the tests' Python starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {args:?}: {}\n{stdout}\n{stderr}", script.display(), output.status);
    stdout.into_owned()
}

/// The shipped library, compiled.
pub fn rules() -> Arc<RuleSet> {
    let library = Library::built_in().expect("the shipped library");
    let rules = library.substitutions.into_iter().map(|s| s.rule);
    Arc::new(RuleSet::compile(rules).expect("the shipped rules compile"))
}

/// Applies rewrites at random, whatever they gain: also those that no search would keep must be right.
pub struct Wander {
    /// How many.
    pub steps: u64,
}

impl Search for Wander {
    fn name(&self) -> &'static str {
        "random"
    }

    fn run(&self, problem: &Problem<'_>, _: Watcher<'_>) -> (Graph, Report) {
        let mut state = State::new(problem.graph.clone(), problem.rules.clone(), problem.model);
        let (mut applied, mut clean_up) = (Vec::new(), CleanUp::default());
        for step in 0..self.steps {
            let acyclic = state.candidates().filter(|c| c.patch.is_acyclic(state.graph()));
            let candidates: Vec<_> = acyclic.cloned().collect();
            if candidates.is_empty() {
                break;
            }
            let chosen = &candidates[(splitmix64(3, step) % candidates.len() as u64) as usize];
            applied.push(state.describe(chosen));
            clean_up = clean_up.plus(state.apply(chosen).clean_up);
        }
        let report = Report {
            method: self.name(),
            found_by: "random",
            seconds: 0.0,
            counts: Counts { pops: applied.len(), explored: applied.len() + 1, expanded: applied.len(), duplicates: 0 },
            legs: Vec::new(),
            stop_reason: StopReason::Exhausted,
            applied,
            best_us: state.total_us(),
            clean_up,
        };
        (state.into_graph(), report)
    }
}
