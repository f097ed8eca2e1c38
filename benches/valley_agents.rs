//! Agents on valleys: PPO trained on one valley for each seed, beside greedy, backtracking and random rewriting with as many
//! graphs as the training made, greedy and the portfolio also by steps that reach all equivalent places. One row a run.
//!
//! `cargo bench --bench valley_agents [-- SEEDS [STEPS]] > benches/results/MACHINE/valley_agents.csv`

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use graphopt::cost::{DeviceProfile, Roofline, graph_cost};
use graphopt::rl::agent::AgentConfig;
use graphopt::rl::decode::{Decoding, PolicySearch};
use graphopt::rl::env::Task;
use graphopt::rl::ppo::PpoConfig;
use graphopt::rl::random_search::RandomSearch;
use graphopt::rl::trainer::{RewardConfig, Subject, TrainConfig, Trainer};
use graphopt::rl::valley::{Valley, valley};
use graphopt::search::{Backtracking, Budget, Greedy, Portfolio, Problem, Reach, Search};
use tch::Device;

/// Depths, and how many blocks a graph of each has.
const SHAPES: [(usize, usize); 3] = [(1, 3), (2, 2), (4, 1)];

fn main() {
    graphopt::runtime::keep_freed_memory();
    graphopt::runtime::set_threads(1);
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let seeds = numbers.first().copied().unwrap_or(5);
    let steps = numbers.get(1).copied().unwrap_or(60_000);
    println!("depth,blocks,method,seed,start_us,best_us,optimum_us,share_of_gain,graphs,seconds");
    for (depth, blocks) in SHAPES {
        // The graph is the same for all seeds of training.
        let valley = valley(depth, blocks, 0);
        let model = Roofline::new(DeviceProfile::cpu());
        let [start, optimum] = [&valley.graph, &valley.optimum].map(|graph| graph_cost(&model, graph).time_us);
        let row = |method: &str, seed: u64, best: f64, graphs: usize, seconds: f64| {
            let share = (start - best) / (start - optimum);
            println!(
                "{depth},{blocks},{method},{seed},{start:.3},{best:.3},{optimum:.3},{share:.4},{graphs},{seconds:.1}"
            );
        };
        searches(&valley, &model, steps as usize, &row);
        for seed in 0..seeds {
            train(&valley, &model, steps, seed, &row);
        }
    }
}

type Row<'a> = &'a dyn Fn(&str, u64, f64, usize, f64);

fn searches(valley: &Valley, model: &Roofline, pops: usize, row: Row<'_>) {
    let rules = common::rules();
    let backtracking = |alpha| Backtracking { alpha, ..Backtracking::default() };
    let methods: Vec<(&str, Box<dyn Search>)> = vec![
        ("greedy", Box::new(Greedy)),
        ("backtracking 1.05", Box::new(backtracking(1.05))),
        ("backtracking 1.2", Box::new(backtracking(1.2))),
        ("backtracking 3", Box::new(backtracking(3.0))),
        ("portfolio", Box::new(Portfolio::default())),
        ("random", Box::new(RandomSearch { horizon: valley.horizon(), seed: 0 })),
    ];
    let budget = Budget { pops, ..Budget::default() };
    let wide = Budget { reach: Reach::All, ..budget.clone() };
    let run = |name: &str, search: &dyn Search, budget: &Budget| {
        let problem = Problem { graph: &valley.graph, rules: &rules, model, budget };
        let report = search.run(&problem, &mut |_| true).1;
        row(name, 0, report.best_us, report.counts.pops, report.seconds);
    };
    methods.iter().for_each(|(name, search)| run(name, search.as_ref(), &budget));
    run("greedy reaching all", &Greedy, &wide);
    run("portfolio reaching all", &Portfolio::default(), &wide);
}

fn train(valley: &Valley, model: &Roofline, steps: u64, seed: u64, row: Row<'_>) {
    let rules = common::rules();
    let task = Arc::new(Task::new(&valley.graph, rules.clone(), model));
    let known_us = graph_cost(model, &valley.optimum).time_us;
    let subject = Subject { name: "valley".to_owned(), task, known_us };
    let config = TrainConfig {
        seed,
        agent: AgentConfig { horizon: valley.horizon(), ..AgentConfig::default() },
        ppo: PpoConfig { total_timesteps: steps, ..PpoConfig::default() },
        reward: RewardConfig::default(),
        pretrain_updates: 0,
        freeze_encoder: false,
    };
    let mut trainer = Trainer::new(config, vec![subject], Device::Cpu).expect("there is a graph");
    let start = Instant::now();
    while !trainer.is_done() {
        trainer.update().expect("finite losses");
    }
    let best_us = trainer.records().next().map_or(f64::NAN, |(_, record)| record.best_us);
    let (graphs, seconds) = (trainer.steps() as usize, start.elapsed().as_secs_f64());
    row("ppo best in training", seed, best_us, graphs, seconds);
    let budget = Budget::default();
    let problem = Problem { graph: &valley.graph, rules: &rules, model, budget: &budget };
    let agent = Rc::new(RefCell::new(trainer.into_agent()));
    for (name, decoding) in [("ppo likeliest episode", Decoding::Greedy), ("ppo draws", Decoding::Samples)] {
        let search = PolicySearch::shared(agent.clone(), decoding, seed);
        let report = search.run(&problem, &mut |_| true).1;
        row(name, seed, report.best_us, graphs + report.counts.pops, seconds + report.seconds);
    }
}
