//! The generator: graphs enumerated, rules found and proved, with the time of each part and the largest memory.
//!
//! `cargo bench --bench generate -- PRESET DEPTH [no-proofs]`; without arguments the preset of TASO at depth 3.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use graphopt::substitution::ProverLimits;
use graphopt::substitution::generator::{Preset, Settings, Watch, find, write};

/// The largest memory that the process had, in megabytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}

fn main() {
    // Cargo adds a flag of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let preset = if words.iter().any(|w| w == "default") { Preset::standard() } else { Preset::taso() };
    let max_ops = words.iter().find_map(|w| w.parse().ok()).unwrap_or(3);
    let prover = (!words.iter().any(|w| w == "no-proofs")).then(ProverLimits::default);
    let (useful, names) = (false, BTreeMap::new());
    let settings = Settings { preset, max_ops, seed: 0, passes: 1, derived: true, prover, useful, names };
    let (watch, none) = (Watch::default(), BTreeMap::new());
    let started = Instant::now();
    let found = find(&settings, &none, &|_| true, &|_, _, _| {}, &watch, &|_, _, _| {}).expect("not stopped");
    let enumerated = started.elapsed();
    println!(
        "{} graphs of at most {max_ops} operators, {} pairs of equal fingerprints: {:.2} s on {} threads",
        found.graphs.iter().sum::<u64>(),
        found.pairs.len(),
        enumerated.as_secs_f64(),
        rayon::current_num_threads(),
    );
    let generated = write(&settings, &found, &watch, &|_, _, _| {}).expect("not stopped");
    let proving: Duration = generated.proving.iter().map(|(took, _)| *took).sum();
    println!(
        "{} rules proved, {} not; all in {:.2} s, {:.2} s of one thread for {} attempts at proofs",
        generated.counts.proved,
        generated.counts.unproved,
        started.elapsed().as_secs_f64(),
        proving.as_secs_f64(),
        generated.proving.len(),
    );
    if let Some(memory) = peak_memory() {
        println!("{memory} MB at most");
    }
}
