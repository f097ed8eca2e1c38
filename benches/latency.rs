//! Learned latency: the final measured speed-up against the number of measurements, for the ensemble that measures where its
//! members disagree, the same with random choice, and the cheapest graphs by the estimate measured in order.
//!
//! Each run measures at most MEASUREMENTS graphs; what it would have taken after fewer is read off its record. All graphs
//! that any run of a model ends with are then timed once more by turns with the original, the same way for all. Rows go to
//! stdout: `run` is a measurement, `final` what a run has after so many.
//!
//! `cargo bench --bench latency -- MEASUREMENTS SEEDS POPS MODEL… > rows.csv`, then `python3 benches/latency.py rows.csv`.

#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::collections::BTreeMap;

use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::graph::Graph;
use graphopt::rl::latency::active::{Choosing, Plan, learn};
use graphopt::rl::latency::turns::{Reading, Turns};
use graphopt::search::{Budget, Portfolio, Problem, Search};
use tch::Device;

const METHODS: [(&str, Choosing); 3] =
    [("ensemble", Choosing::Disagreement), ("random", Choosing::Random), ("estimate", Choosing::Estimate)];
/// Graphs timed by turns in one run at the end.
const TOGETHER: usize = 6;
/// Seconds for each of them.
const FINAL_SECONDS: f64 = 1.0;

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
    let counts: Vec<usize> = (2..).map(|k| 1 << k).take_while(|n| *n <= measurements).collect();
    // What each run has after so many measurements, by its place in `graphs`.
    let mut graphs: BTreeMap<u128, Graph> = BTreeMap::from([(unmeasured.state_hash(), unmeasured.clone())]);
    let mut ends = vec![("search", 0, 0, Some(unmeasured.state_hash()))];
    for (method, choosing) in METHODS {
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
            for &count in &counts {
                let best = learned.fastest(count).first().map(|(_, m)| m.found.graph.clone());
                let hash = best.as_ref().map(Graph::state_hash);
                graphs.extend(best.map(|graph| (graph.state_hash(), graph)));
                ends.push((method, seed, count, hash));
            }
            eprintln!("{name} {method} {seed}");
        }
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
