//! The project's own tasks: `cargo graphopt` and `cargo xtask` (both are aliases in `.cargo/config.toml`).
//! It uses the standard library alone, so that it builds in seconds before anything is fetched.

mod install;
mod libtorch;
mod python;
mod tests;
mod tools;

use std::process::ExitCode;
use tools::{Fault, Repo, Result};

const HELP: &str = "\
The project's own tasks.

Usage: cargo graphopt ARGS…     set up if needed, build, and run `graphopt ARGS…`
       cargo xtask TASK

Tasks:
  run ARGS…             what `cargo graphopt ARGS…` does
  setup [--cuda]        get libtorch; with --cuda also the NVIDIA libraries that it needs on a GPU (2 GB more to fetch)
  test [ARGS…]          set up, then check format and lints and run every test (ARGS go to `cargo test`)
  install [--root DIR]  build and put `graphopt` into DIR/bin (default: where cargo installs, ~/.cargo/bin),
                        with its own copy of libtorch in DIR/lib/graphopt
  help                  this text

libtorch 2.11 is looked for in this order:
  1. the folder that the environment variable LIBTORCH names (it holds lib/ and include/)
  2. .libtorch/ in this repository, from an earlier set-up
  3. an installed PyTorch 2.11 of the `python3` on the PATH
  4. otherwise its pinned wheel is fetched with pip into .libtorch/ and its hash checked (530 MB, 1.1 GB unpacked)

An interrupted set-up is repaired by running it again. Deleting .libtorch/ and .venv-tests/ undoes it.

Exit codes: 2 if something is missing or the arguments are wrong, otherwise that of the program that was run.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("error: {}", fault.message);
            ExitCode::from(fault.code)
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let Some((task, rest)) = args.split_first() else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let asks_help = task != "run" && rest.iter().any(|a| a == "--help" || a == "-h");
    if asks_help || ["help", "--help", "-h"].contains(&task.as_str()) {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let repo = Repo::find();
    match task.as_str() {
        "run" => run(&repo, rest),
        "setup" => {
            let cuda = match rest {
                [] => false,
                [flag] if flag == "--cuda" => true,
                _ => return Err(unknown("setup", rest)),
            };
            let libtorch = if cuda { libtorch::ensure_cuda(&repo)? } else { libtorch::ensure(&repo)? };
            eprintln!("libtorch is ready in {}", libtorch.dir.display());
            Ok(ExitCode::SUCCESS)
        }
        "test" => tests::run(&repo, rest),
        "install" => match rest {
            [] => install::run(&repo, None),
            [flag, dir] if flag == "--root" => install::run(&repo, Some(dir.as_ref())),
            _ => Err(unknown("install", rest)),
        },
        _ => Err(Fault::user(format!("there is no task `{task}`; `cargo xtask help` lists them"))),
    }
}

/// Builds the program and becomes it, in the caller's current directory.
fn run(repo: &Repo, args: &[String]) -> Result<ExitCode> {
    let libtorch = libtorch::ensure(repo)?;
    let program = tools::build(repo, &libtorch)?;
    tools::become_program(&program, args)
}

fn unknown(task: &str, rest: &[String]) -> Fault {
    Fault::user(format!("`cargo xtask {task}` does not take `{}`; see `cargo xtask help`", rest.join(" ")))
}
