//! What each search reaches on graphs whose gain lies behind steps that cost, at the same number of cost evaluations. Printed
//! as Markdown.
//!
//! `cargo bench --bench valleys [-- METHOD…] > docs/results/valleys.md`

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

#[allow(dead_code, reason = "other benchmarks use the rest")]
mod common;

use std::sync::Arc;

use graphopt::cost::{DeviceProfile, Roofline, graph_cost};
use graphopt::graph::Graph;
use graphopt::rl::env::{Action, Env, EnvSettings, Task};
use graphopt::rl::random::Random;
use graphopt::rl::random_search::RandomSearch;
use graphopt::rl::valley::{Valley, valley};
use graphopt::search::{Backtracking, Budget, Greedy, Portfolio, Problem, Search};

const SEEDS: u64 = 5;
const POPS: [(usize, &str); 3] = [(1_000, "1k"), (10_000, "10k"), (60_000, "60k")];
/// Depth and blocks.
const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 3), (2, 1), (2, 2), (4, 1), (4, 2)];

const HEAD: &str = "# Valleys

Graphs whose gain lies behind steps that each cost a tenth of the whole or more, or half as much for two blocks of depth 4 (`src/rl/valley.rs`; `cargo bench --bench valleys`):
the share of the gain that each method reaches, `(start - reached) / (start - optimum)`, mean over 5 graphs, and in brackets on
how many of them it finds the optimum. Budgets are rewritten graphs: each is one evaluation of a cost. `1.05 10k` is backtracking
with that alpha; `inf` drops nothing. `default` is the portfolio of the command line; `random` takes rewrites at random in
episodes of the horizon that an agent has, twice the shortest solution; `rule first` draws among the rules that apply, then
among the places of that rule, as a policy does that has learned nothing. `up` is the cheapest step up as a share of the cost
at the start, `gain` what the optimum saves.
";

/// Episodes of random rewrites, rule first: the least time that was met.
fn rule_first(problem: &Problem<'_>, horizon: usize, seed: u64) -> f64 {
    let task = Arc::new(Task::new(problem.graph, problem.rules.clone(), problem.model));
    let mut best_us = task.start_us();
    let mut env = Env::new(task, EnvSettings { horizon, ..EnvSettings::default() });
    let mut random = Random::new(seed);
    for _ in 0..problem.budget.pops {
        let rules: Vec<u32> = (0..env.candidates()).map(|at| env.candidate(at).found.rule).collect();
        let mut distinct = rules.clone();
        distinct.dedup();
        let rule = distinct[random.below(distinct.len())];
        let places: Vec<usize> = (0..rules.len()).filter(|at| rules[*at] == rule).collect();
        let step = env.step(Action::Apply(places[random.below(places.len())]));
        best_us = best_us.min(step.info.best_us);
        if step.terminated {
            env.reset();
        }
    }
    best_us
}

/// A way to search, or `None` for random rewrites, rule first; and its budget.
type Method = (String, Option<Box<dyn Search>>, usize);

fn methods(valley: &Valley, seed: u64, asked: &[String]) -> Vec<Method> {
    let mut all: Vec<Method> = vec![("greedy".into(), Some(Box::new(Greedy)), 60_000)];
    for (alpha, name) in [(1.05, "1.05"), (1.2, "1.2"), (1e9, "inf")] {
        for (pops, short) in POPS {
            let search = Backtracking { alpha, ..Backtracking::default() };
            all.push((format!("{name} {short}"), Some(Box::new(search)), pops));
        }
    }
    for (pops, short) in POPS {
        all.push((format!("default {short}"), Some(Box::new(Portfolio::default())), pops));
    }
    for (pops, short) in POPS {
        let search = RandomSearch { horizon: valley.horizon(), seed };
        all.push((format!("random {short}"), Some(Box::new(search)), pops));
    }
    all.extend(POPS.iter().map(|(pops, short)| (format!("rule first {short}"), None, *pops)));
    all.retain(|(name, ..)| asked.is_empty() || asked.iter().any(|a| name.starts_with(a)));
    all
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    let time = |graph: &Graph| graph_cost(&model, graph).time_us;
    let titles: Vec<String> = methods(&valley(1, 1, 0), 0, &asked).into_iter().map(|(name, ..)| name).collect();
    println!("{HEAD}\n| depth | blocks | nodes | up | gain | {} |", titles.join(" | "));
    println!("| --- | --- | --- | --- | --- |{}", " --- |".repeat(titles.len()));
    for (depth, blocks) in SHAPES {
        let mut reached = vec![(0.0, 0); titles.len()];
        let (mut up, mut gain, mut nodes) = (f64::INFINITY, 0.0, 0);
        for seed in 0..SEEDS {
            let valley = valley(depth, blocks, seed);
            let (start_us, best_us) = (time(&valley.graph), time(&valley.optimum));
            gain += (1.0 - best_us / start_us) / SEEDS as f64;
            nodes = nodes.max(valley.graph.len());
            let state = graphopt::search::State::new(valley.graph.clone(), rules.clone(), &model);
            let steps = state.candidates().map(|c| c.score / start_us).filter(|s| *s > 0.01);
            up = steps.fold(up, f64::min);
            for (at, (_, method, pops)) in methods(&valley, seed, &asked).into_iter().enumerate() {
                let budget = Budget { pops, ..Budget::default() };
                let problem = Problem { graph: &valley.graph, rules: &rules, model: &model, budget: &budget };
                let found_us = match method {
                    Some(search) => search.run(&problem, &mut |_| true).1.best_us,
                    None => rule_first(&problem, valley.horizon(), seed),
                };
                reached[at].0 += (start_us - found_us) / (start_us - best_us) / SEEDS as f64;
                reached[at].1 += usize::from(found_us < best_us * (1.0 + 1e-9));
            }
        }
        let cell = |(share, found): &(f64, usize)| format!("{:.0} % ({found})", 100.0 * share.max(0.0));
        let cells: Vec<String> = reached.iter().map(cell).collect();
        println!(
            "| {depth} | {blocks} | {nodes} | {:.1} % | {:.1} % | {} |",
            100.0 * up,
            100.0 * gain,
            cells.join(" | ")
        );
    }
}
