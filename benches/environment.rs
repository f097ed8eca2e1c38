//! Environment steps a second: a random policy on one core, every state observed with all its candidates, no cache of
//! states. How many distinct states that were is counted in a second pass with the same actions.
//!
//! `cargo bench --bench environment [-- MODEL ...]` prints rows of `benches/results/.../environment.csv`.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::graph::splitmix64;
use graphopt::rl::env::{Action, Env, EnvSettings, Task};
use graphopt::rl::neighbourhood::Neighbourhoods;

/// Steps before the clock starts, and those that are timed.
const WARM_UP: u64 = 2_000;
const STEPS: u64 = 20_000;
/// Actions of an episode.
const HORIZON: usize = 64;
/// Rounds of the graph network that the classes are for.
const ROUNDS: usize = 3;

/// Takes random steps, and observes after each. Returns the mean number of candidates.
fn walk(env: &mut Env<'_>, table: &mut Neighbourhoods, from: u64, to: u64, mut seen: impl FnMut(&Env<'_>)) -> f64 {
    let mut candidates = 0;
    for step in from..to {
        let observation = black_box(env.observe(table));
        seen(env);
        let count = observation.candidates.len();
        candidates += count;
        let action = match count as u64 {
            0 => Action::Stop,
            n => Action::Apply((splitmix64(7, step) % n) as usize),
        };
        if env.step(action).terminated {
            env.reset();
        }
    }
    candidates as f64 / (to - from) as f64
}

/// Seconds that this thread has had a processor; the time of day where the system does not tell. On a machine that does
/// other work this is what counts.
fn processor_seconds(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |n| 1e-9 * n)
}

fn main() {
    graphopt::runtime::keep_freed_memory();
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!(
        "model,nodes,candidates,steps_per_second,steps_per_processor_second,us_per_step,distinct_states,steps,classes,class_bytes"
    );
    for name in ["bert_base", "resnet50", "inception_v3", "nasnet_a"] {
        if !asked.is_empty() && !asked.iter().any(|a| a == name) {
            continue;
        }
        let task = Arc::new(Task::new(&common::model(name), rules.clone(), &model));
        let settings = EnvSettings { horizon: HORIZON, ..EnvSettings::default() };
        let mut table = Neighbourhoods::new(ROUNDS);
        let mut env = Env::new(task.clone(), settings.clone());
        walk(&mut env, &mut table, 0, WARM_UP, |_| ());
        let start = Instant::now();
        let processor = processor_seconds(start);
        let candidates = walk(&mut env, &mut table, WARM_UP, WARM_UP + STEPS, |_| ());
        let processor = processor_seconds(start) - processor;
        let seconds = start.elapsed().as_secs_f64();
        let mut states = HashSet::new();
        let mut again = Env::new(task.clone(), settings);
        walk(&mut again, &mut table, 0, WARM_UP, |_| ());
        walk(&mut again, &mut table, WARM_UP, WARM_UP + STEPS, |env| {
            states.insert(env.graph().state_hash());
        });
        println!(
            "{name},{},{candidates:.0},{:.0},{:.0},{:.1},{},{STEPS},{},{}",
            task.graph().len(),
            STEPS as f64 / seconds,
            STEPS as f64 / processor,
            1e6 * processor / STEPS as f64,
            states.len(),
            table.len(),
            table.bytes(),
        );
    }
}
