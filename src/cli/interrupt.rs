//! Ctrl-C: the first asks the search to stop and keep its best, the second ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

use super::terminal;

static ASKED: AtomicBool = AtomicBool::new(false);

/// What shells expect of a program that SIGINT ended: 128 + 2.
const ENDED_BY_SIGINT: i32 = 130;

/// From now on the first Ctrl-C only sets a flag.
pub fn install() {
    install_saying("stopping: the best graph found so far will be checked and written (Ctrl-C again ends at once)");
}

/// As [`install`], with what to say when it happens.
pub fn install_saying(what: &'static str) {
    let installed = ctrlc::set_handler(move || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(ENDED_BY_SIGINT);
        }
        terminal::note(what);
    });
    if installed.is_err() {
        terminal::warning("Ctrl-C cannot be caught here: it ends the program at once");
    }
}

/// Whether the user asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
