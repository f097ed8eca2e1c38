//! What goes wrong: the one message of an error, and the one line of a panic.

use std::backtrace::Backtrace;
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::runtime;

/// Where a fault of ours is to be told.
const REPORT: &str = "please report it with the command and, if you can, the model";
/// A panic's message is cut behind so many characters.
const MAX_SAID: usize = 200;
/// The exit code of a fault of ours, which is also that of a panic in the main thread.
const FAULT: u8 = 101;

/// Set once a panic was told.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Runs the program, which gives its exit code; the code of a fault after a panic in any thread, also one that nobody
/// waited for. (The hook has told it already.)
pub fn guard(program: impl FnOnce() -> u8 + panic::UnwindSafe) -> u8 {
    match panic::catch_unwind(program) {
        Ok(code) if !TOLD.load(Ordering::SeqCst) => code,
        _ => FAULT,
    }
}

/// Makes a panic one line on stderr. With `RUST_BACKTRACE` set, the backtrace follows.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        if text.is_some_and(runtime::becomes_an_error) {
            return;
        }
        TOLD.store(true, Ordering::SeqCst);
        let place = info.location().map(|at| (at.file(), at.line()));
        // Nothing is left to be done if stderr is closed.
        let _ = writeln!(io::stderr(), "{}", panic_line(text, place));
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            let _ = writeln!(io::stderr(), "{}", Backtrace::force_capture());
        }
    }));
}

/// The line that a panic is told in.
fn panic_line(text: Option<&str>, place: Option<(&str, u32)>) -> String {
    // libtorch's messages go on for pages, sometimes quoted; the first line says it.
    let first = text.and_then(|t| t.lines().next()).and_then(|line| line.split("\\n").next());
    let mut what: String = first.unwrap_or("a panic without a message").to_owned();
    if what.chars().count() > MAX_SAID {
        what = what.chars().take(MAX_SAID).chain(['…']).collect();
    }
    let place = place.map_or(String::new(), |(file, line)| format!(" ({file}:{line})"));
    format!("fault: {what}{place}: this is a fault of graphopt, {REPORT}")
}

/// The message of an error and its causes on one line. A cause that the message above already tells is left out.
pub fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// Whether the reader of stdout went away (`graphopt … | head`), which is no error.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_panic_is_one_short_line() {
        let line = panic_line(Some("index out of bounds\nand more"), Some(("src/a.rs", 7)));
        assert_eq!(line, format!("fault: index out of bounds (src/a.rs:7): this is a fault of graphopt, {REPORT}"));
        let line = panic_line(Some(&format!("Err: \"first\\nframe #0\" {}", "x".repeat(999))), None);
        assert_eq!(line, format!("fault: Err: \"first: this is a fault of graphopt, {REPORT}"));
        let line = panic_line(Some(&"é".repeat(999)), None);
        assert!(line.starts_with(&format!("fault: {}…:", "é".repeat(200))), "{line}");
        assert!(panic_line(None, None).contains("without a message"));
    }

    /// What the child processes of the next test do: the program with a panic in it.
    fn panic_in(place: String) -> ! {
        install_hook();
        let code = guard(move || {
            match place.as_str() {
                "main" => panic!("on purpose\nwith details"),
                "worker" => rayon::join(|| (), || rayon::scope(|s| s.spawn(|_| panic!("on purpose")))).1,
                "detached" => std::thread::spawn(|| panic!("on purpose")).join().unwrap_or(()),
                _ => {}
            }
            0
        });
        std::process::exit(code.into());
    }

    #[test]
    fn a_panic_in_any_thread_is_one_line_and_exit_code_101() {
        // The test is its own child: only a process can show its exit code and all of its stderr.
        const PLACE: &str = "GRAPHOPT_TEST_PANIC";
        if let Ok(place) = std::env::var(PLACE) {
            panic_in(place);
        }
        for place in ["main", "worker", "detached", "nowhere"] {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            let own = "cli::fault::tests::a_panic_in_any_thread_is_one_line_and_exit_code_101";
            child.args(["--exact", "--nocapture", own]);
            let output = child.env(PLACE, place).env_remove("RUST_BACKTRACE").output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            if place == "nowhere" {
                assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
                continue;
            }
            assert_eq!(output.status.code(), Some(101), "{place}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{place}: {stderr}");
            assert!(stderr.starts_with("fault: on purpose (") && stderr.contains(REPORT), "{place}: {stderr}");
        }
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("m.json: {source}")]
        struct Outer {
            source: io::Error,
        }
        let source = io::Error::other("no such file");
        let error = anyhow::Error::from(Outer { source }).context("while reading A");
        assert_eq!(message(&error), "while reading A: m.json: no such file");
        let closed: anyhow::Result<()> = Err(io::Error::from(io::ErrorKind::BrokenPipe)).context("stdout");
        assert!(is_closed_pipe(&closed.unwrap_err()));
    }
}
