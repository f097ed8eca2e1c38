//! Python and its pip, which fetch the pinned wheels.

use crate::tools::{Fault, Result, answers, cannot_start};
use std::path::Path;
use std::process::{Command, Stdio};

/// A Python interpreter by the name that finds it on the PATH.
#[derive(Debug, Clone)]
pub struct Python {
    pub program: String,
}

impl Python {
    /// The `python3` (or `python`) on the PATH, if it is a Python 3.
    pub fn find() -> Result<Self> {
        Self::find_among(&["python3", "python"], 8).ok_or_else(|| {
            Fault::user("no Python 3.8 or newer on the PATH; libtorch comes as a Python wheel: install it (`apt install python3 python3-pip`) or set LIBTORCH to a libtorch 2.11")
        })
    }

    /// A Python that the tests' pinned packages exist for.
    pub fn find_for_tests() -> Result<Self> {
        Self::find_among(
            &["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"],
            10,
        )
        .ok_or_else(|| Fault::user("the tests compare with ONNX Runtime and need a Python 3.10 or newer on the PATH"))
    }

    fn find_among(names: &[&str], least_minor: u32) -> Option<Self> {
        let check = format!("import sys; sys.exit(sys.version_info < (3, {least_minor}))");
        names
            .iter()
            .find(|name| answers(Command::new(name).args(["-c", &check])))
            .map(|name| Self { program: (*name).to_owned() })
    }

    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// What a piece of Python prints, or `None` if it fails.
    pub fn ask(&self, code: &str, args: &[&str]) -> Option<String> {
        let output =
            self.command().args(["-c", code]).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// pip with the given arguments. Its progress bar goes to stderr; its temporary files go to `scratch`, because
    /// `/tmp` may be too small for a wheel of half a gigabyte.
    pub fn pip(&self, args: &[&str], scratch: &Path, failure: &str) -> Result<()> {
        self.require_pip()?;
        let mut command = self.command();
        command
            .args(["-m", "pip"])
            .args(args)
            .env("TMPDIR", scratch)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .stdin(Stdio::null())
            .stdout(Stdio::from(std::io::stderr()));
        let status = command.status().map_err(|e| cannot_start(&command, &e))?;
        if status.success() { Ok(()) } else { Err(Fault::user(failure)) }
    }

    pub fn require_pip(&self) -> Result<()> {
        if answers(self.command().args(["-m", "pip", "--version"])) {
            return Ok(());
        }
        Err(Fault::user(format!(
            "`{0}` has no pip, which fetches libtorch; install it (`apt install python3-pip` or `{0} -m ensurepip`)",
            self.program
        )))
    }

    /// Refuses early when the disk of `dir` has fewer free bytes than the next step needs.
    pub fn require_disk(&self, dir: &Path, needed: u64) -> Result<()> {
        let free =
            self.ask("import shutil, sys; print(shutil.disk_usage(sys.argv[1]).free)", &[&dir.to_string_lossy()]);
        match free.and_then(|bytes| bytes.parse::<u64>().ok()) {
            Some(free) if free < needed => Err(Fault::user(format!(
                "too little disk space in {}: libtorch needs {:.1} GB while it is unpacked and {:.1} GB are free",
                dir.display(),
                needed as f64 / 1e9,
                free as f64 / 1e9
            ))),
            // Where Python cannot tell, the fetch itself will.
            Some(_) | None => Ok(()),
        }
    }
}
