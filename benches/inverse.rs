//! Hostile rewriting: zoo models after 30 random rewrites that do not gain, most of them rules read backwards, then the
//! default search. What it reaches is compared with the original's cost and with what it reaches from the original.
//!
//! `cargo bench --bench inverse [-- SEEDS MODEL…]`; without arguments 5 seeds on a few models.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use graphopt::cost::{DeviceProfile, Roofline, graph_cost};
use graphopt::graph::Graph;
use graphopt::rewrite::Rule;
use graphopt::search::{Budget, Portfolio, Problem, RandomWalk, Report, Search};
use graphopt::substitution::{Library, inverse};

const MODELS: [&str; 6] = ["squeezenet1_1", "resnet18", "inception_v3", "bert_base", "nasrnn", "lora_mlp"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let seeds = arguments.first().map_or(5, |a| a.parse::<u64>().expect("a number of seeds"));
    let names: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    let library = Library::built_in().expect("the shipped library").substitutions;
    let backwards: Vec<Rule> = library.iter().filter_map(|s| inverse(&s.rule)).collect();
    let forwards: Vec<Rule> = library.into_iter().map(|s| s.rule).collect();
    let search = |graph: &Graph| -> Report {
        let problem = Problem { graph, rules: &rules, model: &model, budget: &Budget::default() };
        Portfolio::default().run(&problem, &mut |_| true).1
    };
    println!(
        "model,seed,rewrites,backwards,original_us,perturbed_us,reached_us,reached_from_original_us,over_original,over_reached,seconds,found_by"
    );
    for name in if names.is_empty() { &MODELS[..] } else { &names[..] } {
        let graph = common::model(name);
        let original = graph_cost(&model, &graph).time_us;
        let from_original = search(&graph).best_us;
        for seed in 0..seeds {
            let walk = RandomWalk { hostile: &backwards, neutral: &forwards, rewrites: 30, seed };
            let (perturbed, applied) = walk.run(&graph, &model).expect("the rules compile");
            let report = search(&perturbed);
            let reversed = applied.iter().filter(|s| s.rule.starts_with("inverse-of-")).count();
            println!(
                "{name},{seed},{},{reversed},{original:.1},{:.1},{:.1},{from_original:.1},{:.4},{:.4},{:.2},{}",
                applied.len(),
                graph_cost(&model, &perturbed).time_us,
                report.best_us,
                report.best_us / original,
                report.best_us / from_original,
                report.seconds,
                report.found_by
            );
        }
    }
}
