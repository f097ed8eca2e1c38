//! Writing to the terminal: data to stdout, notes, warnings, errors and progress to stderr.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Data: one text on stdout.
///
/// # Errors
/// If stdout is closed or full.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write!(out, "{text}{end}").and_then(|()| out.flush()).context("cannot write to stdout")
}

/// Data: one JSON document on stdout.
///
/// # Errors
/// If stdout is closed or full.
pub fn print_json(document: &serde_json::Value) -> anyhow::Result<()> {
    print(&format!("{document:#}"))
}

/// Something worth knowing, on stderr.
pub fn note(text: &str) {
    // A closed stderr must not stop the work.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Something to beware of, on stderr.
pub fn warning(text: &str) {
    note(&format!("{} {text}", paint("warning:", "33")));
}

/// Why there is no result, on stderr.
pub fn error(text: &str) {
    note(&format!("{} {text}", paint("error:", "1;31")));
}

/// Colours only where a person sees them: on a terminal, unless `NO_COLOR` says no.
fn paint(text: &str, code: &str) -> String {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let plain = set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if plain || !io::stderr().is_terminal() { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
}

/// A progress line with a message, on a terminal only.
pub fn spinner() -> ProgressBar {
    bar_with(None, "{spinner} {msg}")
}

/// A progress bar over `length` steps, on a terminal only.
pub fn bar(length: u64) -> ProgressBar {
    bar_with(Some(length), "{bar:24} {pos}/{len} {msg}")
}

fn bar_with(length: Option<u64>, template: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(template).expect("the templates here are correct");
    let bar = ProgressBar::with_draw_target(length, target).with_style(style);
    if length.is_none() && !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    bar
}

/// A table with a header. Columns whose header begins with `>` are aligned to the right.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table.set_header(header.iter().map(|h| h.trim_start_matches('>')).collect::<Vec<_>>());
    table.add_rows(rows);
    for (at, _) in header.iter().enumerate().filter(|(_, h)| h.starts_with('>')) {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().collect();
    // Every cell has a space on both sides.
    lines.iter().map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line).trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_plain_text_aligned_by_column() {
        let rows = [vec!["Conv".to_owned(), "12".to_owned()], vec!["Relu".to_owned(), "3".to_owned()]];
        assert_eq!(table(&["operator", ">count"], rows), "operator  count\nConv         12\nRelu          3\n");
    }
}
