//! Backtracking search with a budget of 1000 on zoo models, roofline costs: seconds, pops, graphs explored.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::search::{Backtracking, Budget, Search};

fn main() {
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    println!("model,nodes,seconds,pops,graphs_explored,start_us,best_us,stop_reason");
    for name in ["bert_base", "inception_v3", "resnet18", "resnet50", "squeezenet1_1", "nasnet_a"] {
        let graph = common::model(name);
        let (_, report) = Backtracking::default().run(&graph, &rules, &model, &Budget::default(), &mut |_| true);
        println!(
            "{name},{},{:.3},{},{},{:.1},{:.1},{:?}",
            graph.len(),
            report.seconds,
            report.pops,
            report.graphs_explored,
            graphopt::cost::graph_cost(&model, &graph).time_us,
            report.best_us,
            report.stop_reason
        );
    }
}
