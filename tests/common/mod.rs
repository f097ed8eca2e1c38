//! What the tests against ONNX Runtime share: the Python that has it, and the shipped rules.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use graphopt::rewrite::RuleSet;
use graphopt::substitution::Library;

/// The Python with `onnx`, `onnxruntime` and `numpy`, which `cargo xtask test` sets up and names in GRAPHOPT_TEST_PYTHON.
/// Without it the test says that it is skipped; in CI that is a failure.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn python(test: &str) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("GRAPHOPT_TEST_PYTHON") {
        return Some(python.into());
    }
    assert!(std::env::var_os("CI").is_none(), "{test} needs GRAPHOPT_TEST_PYTHON: run `cargo xtask test`");
    eprintln!("SKIPPED: {test}: GRAPHOPT_TEST_PYTHON names no Python; `cargo xtask test` sets it up");
    None
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
    let library = Library::starter().expect("the shipped library");
    let rules = library.substitutions.into_iter().map(|s| s.rule);
    Arc::new(RuleSet::compile(rules).expect("the shipped rules compile"))
}
