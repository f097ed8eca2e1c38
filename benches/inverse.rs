//! Hostile rewriting: zoo models after 30 random rewrites that do not gain, most of them rules read backwards, then the
//! default search. What it reaches is compared with the original's cost and with what it reaches from the original.
//!
//! `cargo bench --bench inverse [-- SEEDS MODEL…]`; without arguments 5 seeds on a few models.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::sync::Arc;

use graphopt::cost::{DeviceProfile, Roofline, graph_cost};
use graphopt::graph::Graph;
use graphopt::rewrite::{Rule, RuleSet};
use graphopt::search::{Budget, Portfolio, RandomWalk, Report, Search};
use graphopt::substitution::{Library, inverse};

const MODELS: [&str; 6] = ["squeezenet1_1", "resnet18", "inception_v3", "bert_base", "nasrnn", "lora_mlp"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let seeds = arguments.first().map_or(5, |a| a.parse::<u64>().expect("a number of seeds"));
    let names: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    if let Ok(path) = std::env::var("BLESS") {
        let text = std::fs::read(&path).unwrap();
        let library = Library::parse(&path, &text, graphopt::substitution::Ids::Computed).unwrap();
        for s in &library.substitutions {
            if names.contains(&s.rule.name.as_str()) {
                println!("{} {:?}", s.rule.name, graphopt::substitution::try_rule(&s.rule, &Default::default()));
            }
        }
        std::fs::write(&path, library.to_text()).unwrap();
        return;
    }
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    let library = Library::starter().expect("the shipped library").substitutions;
    let backwards: Vec<Rule> = library.iter().filter_map(|s| inverse(&s.rule)).collect();
    let forwards: Vec<Rule> = library.into_iter().map(|s| s.rule).collect();
    let hostile = Arc::new(RuleSet::compile(backwards.iter().chain(&forwards).cloned()).expect("the rules compile"));
    let pops = std::env::var("POPS").map_or(1000, |p| p.parse().expect("a number"));
    let budget = Budget { pops, ..Budget::default() };
    let search =
        |graph: &Graph| -> Report { Portfolio::default().run(graph, &rules, &model, &budget, &mut |_| true).1 };
    println!(
        "model,seed,rewrites,backwards,original_us,perturbed_us,reached_us,reached_from_original_us,over_original,over_reached,seconds,found_by"
    );
    if std::env::var_os("EACH").is_some() {
        for name in &names {
            let graph = common::model(name);
            let from_original = search(&graph).best_us;
            let mut state = graphopt::search::State::new(graph.clone(), hostile.clone(), &model);
            let mut done = std::collections::BTreeMap::new();
            let candidates: Vec<_> =
                state.candidates().filter(|c| c.patch.is_acyclic(state.graph())).cloned().collect();
            for c in candidates {
                let step = state.describe(&c);
                if !(step.rule.starts_with("inverse-of-") && c.score > -1e-6 || c.score.abs() < 1e-6) {
                    continue;
                }
                let count = done.entry(step.rule.clone()).or_insert(0);
                *count += 1;
                if *count > 1 {
                    continue;
                }
                let saved = state.apply(&c);
                let mut after = state.graph().clone();
                after.commit();
                let report = search(&after);
                if report.best_us > from_original * 1.0002 {
                    println!(
                        "{name} {:.4} {:.4} {} {:?} perturbed {:.1} reached {:.1} original {from_original:.1}",
                        report.best_us / from_original,
                        report.best_us / graph_cost(&model, &graph).time_us,
                        step.rule,
                        step.nodes,
                        state.total_us(),
                        report.best_us
                    );
                }
                if std::env::var_os("STEPS").is_some() && report.best_us > from_original * 1.0002 {
                    report.applied.iter().for_each(|s| println!("    {} {:?}", s.rule, s.nodes));
                }
                state.undo(saved);
            }
            println!("{name}: {} rules", done.len());
        }
        return;
    }
    if let Ok(seed) = std::env::var("PREFIX") {
        for name in &names {
            let graph = common::model(name);
            let mut last = search(&graph).best_us;
            for k in 1..=30 {
                let walk =
                    RandomWalk { hostile: &backwards, neutral: &forwards, rewrites: k, seed: seed.parse().unwrap() };
                let (perturbed, applied) = walk.run(&graph, &model).expect("the rules compile");
                let now = search(&perturbed).best_us;
                let step = applied.last().unwrap();
                println!(
                    "{} {k} {:.1} -> {now:.1} {} {:?} at {:.1}",
                    if now > last + 0.1 { "WORSE" } else { "" },
                    last,
                    step.rule,
                    step.nodes,
                    graph_cost(&model, &perturbed).time_us
                );
                last = now;
            }
        }
        return;
    }
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
            if std::env::var_os("STEPS").is_some() {
                applied.iter().for_each(|s| println!("    {} {:?}", s.rule, s.nodes));
            }
        }
    }
}
