//! What goes wrong: the one message of an error, and the one line of a panic.

use std::backtrace::Backtrace;
use std::io::{self, Write};
use std::panic;

/// Where a fault of ours is to be told.
const REPORT: &str = "please report it with the command and, if you can, the model";

/// Makes a panic one line on stderr. With `RUST_BACKTRACE` set, the backtrace follows.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        // libtorch's messages go on for pages; the first line says it.
        let what = text.and_then(|t| t.lines().next()).unwrap_or("a panic without a message");
        let place = info.location().map_or(String::new(), |at| format!(" ({}:{})", at.file(), at.line()));
        // Nothing is left to be done if stderr is closed.
        let _ = writeln!(io::stderr(), "fault: {what}{place}: this is a fault of graphopt, {REPORT}");
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            let _ = writeln!(io::stderr(), "{}", Backtrace::force_capture());
        }
    }));
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
