//! Searches on zoo models, roofline costs: seconds, pops, graphs explored, memory.
//!
//! `cargo bench --bench search [-- METHOD POPS SECONDS MODEL…]`; without arguments backtracking with a budget of 1000.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::time::Duration;

use graphopt::cost::{DeviceProfile, Roofline, graph_cost};
use graphopt::search::{Backtracking, Budget, Greedy, Portfolio, Problem, Search};

/// The models that the search is timed on.
const MODELS: [&str; 6] = ["bert_base", "inception_v3", "resnet18", "resnet50", "squeezenet1_1", "nasnet_a"];

/// Peak resident memory of this process in MB, where the system tells.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok()).map_or(f64::NAN, |kb| kb / 1024.0)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let method: Box<dyn Search> = match arguments.first().map_or("backtracking", String::as_str) {
        "greedy" => Box::new(Greedy),
        "portfolio" => Box::new(Portfolio::default()),
        "backtracking" => Box::new(Backtracking::default()),
        other => panic!("no method {other:?}"),
    };
    let number = |at: usize| arguments.get(at).map(|a| a.parse::<f64>().expect("a number"));
    let time = number(2).filter(|s| *s > 0.0).map(Duration::from_secs_f64);
    let budget = Budget { pops: number(1).map_or(1000, |n| n as usize), time, ..Budget::default() };
    let names: Vec<&str> = arguments.iter().skip(3).map(String::as_str).collect();
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    println!(
        "model,nodes,method,seconds,pops,explored,expanded,duplicates,start_us,best_us,found_by,stop_reason,peak_memory_mb"
    );
    for name in if names.is_empty() { &MODELS[..] } else { &names[..] } {
        let graph = common::model(name);
        let (_, report) =
            method.run(&Problem { graph: &graph, rules: &rules, model: &model, budget: &budget }, &mut |_| true);
        let counts = report.counts;
        println!(
            "{name},{},{},{:.3},{},{},{},{},{:.1},{:.1},{},{:?},{:.0}",
            graph.len(),
            report.method,
            report.seconds,
            counts.pops,
            counts.explored,
            counts.expanded,
            counts.duplicates,
            graph_cost(&model, &graph).time_us,
            report.best_us,
            report.found_by,
            report.stop_reason,
            peak_memory()
        );
    }
}
