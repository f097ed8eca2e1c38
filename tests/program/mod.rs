//! Runs the program as its users do.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// What a run gave.
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
}

/// Runs the program in a folder.
pub fn graphopt(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::cargo_bin("graphopt").expect("the program is built");
    command.env("NO_COLOR", "1").env("XDG_CACHE_HOME", folder.join("cache")).env_remove("RUST_BACKTRACE");
    let output = command.current_dir(folder).args(args).output().expect("the program starts");
    Ran {
        code: output.status.code().expect("no signal"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Ran {
    /// It ended well.
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    /// The document that it printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    /// The user's input is at fault: exit code 2 and one line that says `text`; nothing on stdout.
    #[track_caller]
    pub fn refused(self, text: &str) {
        assert_eq!(self.code, 2, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: ") && lines[0].contains(text), "{}", self.stderr);
    }
}

/// Writes a small built-in model into the folder.
pub fn write_small_model(folder: &Path) -> &'static str {
    let sizes = ["--set", "layers=2", "--set", "hidden=16", "--set", "rank=4", "--set", "batch=2"];
    let args = [["models", "lora_mlp", "--write", "."].as_slice(), &sizes].concat();
    assert_eq!(graphopt(folder, &args).ok().stdout, "./lora_mlp.json\n");
    "lora_mlp.json"
}
