//! `cargo xtask test`: format, lints and every test, which is what CI calls.

use crate::libtorch::{self, remove};
use crate::python::Python;
use crate::tools::{self, Fault, Repo, Result, answers};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const REQUIREMENTS: &str = "tests/python/requirements.txt";
const PINS: &str = include_str!("../../tests/python/requirements.txt");

/// Sets up and runs everything; `args` go to `cargo test`.
pub fn run(repo: &Repo, args: &[String]) -> Result<ExitCode> {
    tools::require_compiler()?;
    let libtorch = libtorch::ensure(repo)?;
    let python = python_for_tests(repo)?;
    let cargo = || {
        let mut command = repo.cargo(&libtorch);
        command.env("GRAPHOPT_TEST_PYTHON", &python);
        command
    };
    if has_component(repo, "fmt")? {
        step("format");
        tools::run(cargo().args(["fmt", "--all", "--check"]), "the format check")?;
    }
    if has_component(repo, "clippy")? {
        step("lints");
        tools::run(
            cargo().args(["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]),
            "the lint check",
        )?;
    }
    step("tests");
    let mut test = cargo();
    test.args(["test", "--release", "--workspace"]).args(args);
    // What `cargo test` prints is the data of this command: it stays on stdout.
    let status = test.status().map_err(|e| tools::cannot_start(&test, &e))?;
    if status.success() { Ok(ExitCode::SUCCESS) } else { Err(Fault::program("a test", status)) }
}

fn step(name: &str) {
    eprintln!("--- {name}");
}

/// Whether a part of the Rust toolchain is there. A user may do without, CI (which sets `CI`) may not.
fn has_component(repo: &Repo, name: &str) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if answers(Command::new(cargo).current_dir(&repo.root).args([name, "--version"])) {
        return Ok(true);
    }
    let hint = format!("`cargo {name}` is not installed (`rustup component add {name}`)");
    if std::env::var_os("CI").is_some() {
        return Err(Fault::user(hint));
    }
    eprintln!("skipped: {hint}");
    Ok(false)
}

/// The Python of the private environment `.venv-tests/`, made or repaired if need be.
fn python_for_tests(repo: &Repo) -> Result<PathBuf> {
    let venv = repo.root.join(".venv-tests");
    let (python, stamp) = (venv.join("bin/python"), venv.join("graphopt.stamp"));
    // An upgrade of the system's Python can break the environment's link to it.
    let works = answers(Command::new(&python).args(["-c", "import numpy, onnx, onnxruntime"]));
    if works && fs::read_to_string(&stamp).is_ok_and(|text| text == PINS) {
        return Ok(python);
    }
    let host = Python::find_for_tests()?;
    host.require_pip()?;
    eprintln!("making the tests' Python environment in {}", venv.display());
    remove(&venv)?;
    // Without its own pip: Debian splits that off, and the host's pip can install into any folder.
    tools::run(host.command().args(["-m", "venv", "--without-pip"]).arg(&venv), "making a Python environment")?;
    let site = Python { program: python.to_string_lossy().into_owned() }
        .ask("import sysconfig; print(sysconfig.get_path('purelib'))", &[])
        .ok_or_else(|| Fault::user(format!("{} does not run", python.display())))?;
    let scratch = venv.join("scratch");
    fs::create_dir_all(&scratch).map_err(|e| Fault::file("create", &scratch, &e))?;
    let requirements = repo.root.join(REQUIREMENTS);
    let requirements = requirements.to_string_lossy();
    let mut args = vec!["install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"];
    args.extend(["--target", &site, "-r", &requirements]);
    host.pip(
        &args,
        &scratch,
        "the tests' Python packages could not be installed (pip says why above); run the same command again",
    )?;
    remove(&scratch)?;
    fs::write(&stamp, PINS).map_err(|e| Fault::file("write", &stamp, &e))?;
    Ok(python)
}
