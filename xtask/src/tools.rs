//! What every task uses: where the repository is, faults, and calling cargo and the C++ compiler.

use crate::libtorch::Libtorch;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// One clear sentence for the person at the terminal, and the exit code that goes with it.
#[derive(Debug)]
pub struct Fault {
    pub message: String,
    pub code: u8,
}

pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// Something is missing or wrong on the caller's side.
    pub fn user(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// A program that was called has failed and has said why on stderr.
    pub fn program(what: &str, status: ExitStatus) -> Self {
        // A program that a signal ended has no code; 1 is then as good as any.
        let code = status.code().and_then(|c| u8::try_from(c).ok()).filter(|c| *c != 0).unwrap_or(1);
        Self { message: format!("{what} failed ({status})"), code }
    }

    /// A file operation failed.
    pub fn file(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::user(format!("cannot {action} {}: {error}", path.display()))
    }
}

/// The checked-out repository.
pub struct Repo {
    pub root: PathBuf,
}

impl Repo {
    /// Cargo says at run time where this package is; the path known when it was compiled may have moved since.
    pub fn find() -> Self {
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = package.parent().map_or_else(|| package.clone(), Path::to_path_buf);
        Self { root }
    }

    /// Where `cargo xtask setup` keeps libtorch. `.cargo/config.toml` names `torch` in it for plain cargo commands.
    pub fn libtorch_home(&self) -> PathBuf {
        self.root.join(".libtorch")
    }

    /// A `cargo` command in the repository that builds against this libtorch.
    pub fn cargo(&self, libtorch: &Libtorch) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).env("LIBTORCH", &libtorch.dir);
        command
    }
}

/// Builds `graphopt` and returns where it is. Cargo's progress goes to stderr.
pub fn build(repo: &Repo, libtorch: &Libtorch) -> Result<PathBuf> {
    require_compiler()?;
    run(repo.cargo(libtorch).args(["build", "--release", "--bin", "graphopt"]), "building graphopt")?;
    // Ours is TARGET/debug/xtask, wherever the user's cargo configuration puts TARGET.
    let own = env::current_exe().map_err(|e| Fault::user(format!("cannot find the running program: {e}")))?;
    let target = own.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    Ok(target.join("release").join("graphopt"))
}

/// Runs a program to its end with its stdout on our stderr: our stdout is for the data of `graphopt` alone.
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command.stdout(Stdio::from(std::io::stderr())).status().map_err(|e| cannot_start(command, &e))?;
    if status.success() { Ok(()) } else { Err(Fault::program(what, status)) }
}

/// Replaces this process by the program: its exit code and its signals are then the program's own.
pub fn become_program(program: &Path, args: &[String]) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    let error = command.args(args).exec();
    Err(cannot_start(&command, &error))
}

/// libtorch's bindings are C++: torch-sys compiles them with `$CXX` or `c++`.
pub fn require_compiler() -> Result<()> {
    let compiler = env::var_os("CXX").filter(|c| !c.is_empty()).unwrap_or_else(|| "c++".into());
    // CXX may hold flags or a wrapper ("ccache g++"): then the compiler itself will complain if need be.
    if compiler.to_string_lossy().contains(' ') || answers(Command::new(&compiler).arg("--version")) {
        return Ok(());
    }
    Err(Fault::user(format!(
        "no C++ compiler: `{}` does not run; install one (`apt install g++`, `dnf install gcc-c++` or, on macOS, `xcode-select --install`)",
        compiler.to_string_lossy()
    )))
}

/// Whether a command runs and succeeds; what it prints is dropped.
pub fn answers(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

pub fn cannot_start(command: &Command, error: &std::io::Error) -> Fault {
    Fault::user(format!("cannot start `{}`: {error}", command.get_program().to_string_lossy()))
}
