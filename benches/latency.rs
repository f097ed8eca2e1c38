//! Learned latency: the final measured speed-up against the number of measurements, for the ensemble that measures where its
//! members disagree, the same with random choice, the cheapest graphs by the estimate measured in order, and PPO that is
//! trained on measured time.
//!
//! Each run measures at most MEASUREMENTS graphs, PPO at most PPO_MEASUREMENTS and for at most PPO_SECONDS; what it would have
//! taken after fewer is read off its record. All graphs that any run of a model ends with are then timed once more by turns
//! with the original, the same way for all. Rows go to stdout: `run` is a measurement, `final` what a run has after so many.
//!
//! A measurement of the first three takes a third of a second by turns with the original, one of PPO 5 to 15 runs.
//!
//! `cargo bench --bench latency -- MEASUREMENTS SEEDS POPS MODEL… > rows.csv`, then `python3 benches/latency.py rows.csv`. The
//! other settings are variables: `PPO_MEASUREMENTS=2000` (0: no PPO), `PPO_SECONDS=300`, and `METHODS=ensemble,random,estimate`.

#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use graphopt::cost::{self, DeviceProfile, Roofline};
use graphopt::graph::Graph;
use graphopt::rl::agent::AgentConfig;
use graphopt::rl::env::{Objective, Task};
use graphopt::rl::latency::Latency;
use graphopt::rl::latency::active::{Choosing, Plan, learn};
use graphopt::rl::latency::turns::{Reading, Turns};
use graphopt::rl::ppo::PpoConfig;
use graphopt::rl::trainer::{RewardConfig, Subject, TrainConfig, Trainer};
use graphopt::search::{Budget, Portfolio, Problem, Search};
use tch::Device;

/// Methods that choose what is measured.
const METHODS: [(&str, Choosing); 3] =
    [("ensemble", Choosing::Disagreement), ("random", Choosing::Random), ("estimate", Choosing::Estimate)];
/// Graphs timed by turns in one run at the end.
const TOGETHER: usize = 6;
/// Seconds for each of them.
const FINAL_SECONDS: f64 = 1.0;

/// Actions between two measurements of PPO, and the longest episode: those of `train-agent` for a few cores, with
/// fewer environments, so that an update comes after some dozen measurements.
const EVERY: usize = 8;
const HORIZON: usize = 64;
const ENVS: usize = 4;

/// A number from the environment.
fn variable(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Powers of two from 4.
fn counts(most: usize) -> impl Iterator<Item = usize> {
    (2..).map(|k| 1 << k).take_while(move |n| *n <= most)
}

fn main() {
    graphopt::runtime::keep_freed_memory();
    graphopt::runtime::set_threads(1);
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |at: usize, default: usize| args.get(at).map_or(default, |text| text.parse().expect("a number"));
    let (measurements, seeds, pops) = (number(0, 32), number(1, 3), number(2, 1000));
    println!("kind,model,method,seed,n,from,estimate,predicted,disagreement,ratio,error");
    for name in args.iter().skip(3) {
        model(name, measurements, seeds as u64, pops);
    }
}

fn model(name: &str, measurements: usize, seeds: u64, pops: usize) {
    let (graph, rules) = (common::model(name), common::rules());
    let costs = Roofline::new(DeviceProfile::cpu());
    let budget = Budget { pops, ..Budget::default() };
    let problem = Problem { graph: &graph, rules: &rules, model: &costs, budget: &budget };
    let (unmeasured, _) = Portfolio::default().run(&problem, &mut |_| true);
    // What each run has after so many measurements, by its place in `graphs`.
    let mut graphs: BTreeMap<u128, Graph> = BTreeMap::from([(unmeasured.state_hash(), unmeasured.clone())]);
    let mut ends = vec![("search", 0, 0, Some(unmeasured.state_hash()))];
    let wanted = std::env::var("METHODS").unwrap_or_else(|_| METHODS.map(|(method, _)| method).join(","));
    for (method, choosing) in METHODS.into_iter().filter(|(method, _)| wanted.split(',').any(|w| w == *method)) {
        for seed in 0..seeds {
            let mut turns = Turns::new(&graph, Device::Cpu, seed).expect("built-in models run");
            // A graph that is measured again in the same run would be the same measurement.
            let mut clock = |graphs: &[&Graph]| turns.measure(graphs);
            let plan = Plan { measurements, choosing, seed };
            let learned = learn(&Portfolio::default(), &problem, &plan, &mut clock, &mut |_| true);
            for (at, m) in learned.measured.iter().enumerate() {
                let Reading { ratio, error } = m.reading.unwrap_or(Reading { ratio: f64::NAN, error: f64::NAN });
                let said = m.prediction;
                println!(
                    "run,{name},{method},{seed},{},{},{:.5},{:.5},{:.5},{ratio:.5},{error:.5}",
                    at + 1,
                    m.from,
                    m.estimate,
                    said.ratio,
                    said.disagreement
                );
            }
            for count in counts(measurements) {
                let best = learned.fastest(count).first().map(|(_, m)| m.found.graph.clone());
                let hash = best.as_ref().map(Graph::state_hash);
                graphs.extend(best.map(|graph| (graph.state_hash(), graph)));
                ends.push((method, seed, count, hash));
            }
            eprintln!("{name} {method} {seed}");
        }
    }
    let most = variable("PPO_MEASUREMENTS", 2000);
    for seed in (0..seeds).filter(|_| most > 0) {
        let kept = ppo(&problem, seed, most, variable("PPO_SECONDS", 300));
        let start_us = kept.first().map_or(f64::NAN, |(time_us, _)| *time_us);
        // The first is the original.
        let found = kept.get(1..).unwrap_or_default();
        for (at, (time_us, graph)) in found.iter().enumerate() {
            let estimate = cost::graph_cost(&costs, graph).time_us / cost::graph_cost(&costs, problem.graph).time_us;
            println!("run,{name},ppo-measured,{seed},{},ppo,{estimate:.5},,,{:.5},", at + 1, time_us / start_us);
        }
        for count in counts(most - 1).chain([most]).filter(|count| *count <= found.len()) {
            let best = found[..count].iter().min_by(|a, b| a.0.total_cmp(&b.0)).filter(|best| best.0 < start_us);
            let hash = best.map(|(_, graph)| graph.state_hash());
            graphs.extend(best.map(|(_, graph)| (graph.state_hash(), graph.clone())));
            ends.push(("ppo-measured", seed, count, hash));
        }
        eprintln!("{name} ppo-measured {seed}: {} measurements", found.len());
    }
    let mut readings: BTreeMap<u128, Reading> = BTreeMap::new();
    let mut turns = Turns::new(&graph, Device::Cpu, seeds).expect("built-in models run");
    let all: Vec<(&u128, &Graph)> = graphs.iter().collect();
    for some in all.chunks(TOGETHER) {
        let timed = turns.measure_for(&some.iter().map(|(_, graph)| *graph).collect::<Vec<_>>(), FINAL_SECONDS);
        readings.extend(some.iter().zip(timed).filter_map(|((hash, _), reading)| Some((**hash, reading?))));
    }
    for (method, seed, count, hash) in ends {
        // What found nothing faster keeps the original.
        let original = Reading { ratio: 1.0, error: 0.0 };
        let Reading { ratio, error } = hash.map_or(original, |hash| readings[&hash]);
        println!("final,{name},{method},{seed},{count},,,,,{ratio:.5},{error:.5}");
    }
}

/// What PPO measures, the original first, while it is trained on measured time.
fn ppo(problem: &Problem<'_>, seed: u64, most: usize, seconds: usize) -> Vec<(f64, Graph)> {
    let watch = Instant::now();
    let latency = Arc::new(Latency::new(Device::Cpu));
    latency.keep();
    latency.of(problem.graph);
    let task = Arc::new(Task::new(problem.graph, problem.rules.clone(), problem.model));
    let subject = Subject { name: "graph".to_owned(), known_us: task.start_us(), task };
    // An environment measures every eight actions: as many steps as are needed at most for this many measurements, so that the
    // learning rate falls over the whole run.
    let total_timesteps = (most * EVERY) as u64;
    let config = TrainConfig {
        seed,
        agent: AgentConfig { horizon: HORIZON, ..AgentConfig::default() },
        ppo: PpoConfig { num_envs: ENVS, num_steps: 32, total_timesteps, num_minibatches: 2, ..PpoConfig::default() },
        reward: RewardConfig { objective: Objective::Measured { every: EVERY }, ..RewardConfig::default() },
        pretrain_updates: 0,
        freeze_encoder: false,
    };
    let mut trainer = Trainer::new(config, vec![subject], Device::Cpu).expect("there is a subject");
    trainer.measure_with(&latency);
    // A policy that has settled meets few graphs that it has not measured.
    while latency.measurements() <= most && !trainer.is_done() && watch.elapsed().as_secs() < seconds as u64 {
        trainer.update().expect("losses are numbers");
    }
    let mut kept = latency.kept();
    kept.truncate(most + 1);
    kept
}
