//! A solver from elsewhere confirms proofs. It comes from the tests' Python.

#[allow(dead_code, reason = "of what tests share, this one needs the Python alone")]
mod common;

use std::path::Path;

use assert_cmd::Command;
use graphopt::substitution::STARTER;
use serde_json::Value;

/// Z3 finds that each proof of a file follows from the instances of axioms that it uses.
#[test]
fn z3_confirms_proofs() {
    let Some(python) = common::python("z3_confirms_proofs") else { return };
    // Where packages put their programs: beside the interpreter, or below the packages if they were installed into a folder.
    let ask = ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"];
    let packages = std::process::Command::new(&python).args(ask).output().expect("the tests' Python starts").stdout;
    let packages = String::from_utf8(packages).expect("a path in UTF-8");
    let beside = python.parent().expect("an interpreter is in a folder").to_owned();
    let known = std::env::var_os("PATH").unwrap_or_default();
    let folders = [beside, Path::new(packages.trim()).join("bin")].into_iter().chain(std::env::split_paths(&known));
    let path = std::env::join_paths(folders);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, _) in STARTER {
        let output = Command::cargo_bin("graphopt")
            .expect("the program is built")
            .args(["verify-substitutions", "--cross-check", "z3", "--instances", "1", "--json"])
            .arg(root.join("substitutions").join(file))
            .env("PATH", path.as_ref().expect("folders without a colon"))
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
        let counts = &document["cross_check"];
        assert!(counts["problems"].as_u64().is_some_and(|n| n >= 40), "{file}: {counts}");
        assert_eq!(counts["problems"], counts["confirmed"], "{file}");
    }
}
