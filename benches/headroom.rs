//! Head-room: what each search reaches on every built-in model by estimated cost, so that one sees where there is anything
//! left to learn. Greedy; backtracking with 100, 1,000 and 10,000 pops at three values of alpha; the default search with
//! its own budget and ten times that; greedy and the default search by steps that reach all equivalent places. Printed as
//! Markdown.
//!
//! `cargo bench --bench headroom [-- MODEL…] > docs/results/headroom.md`

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use graphopt::cost::{DeviceProfile, Roofline, graph_cost};
use graphopt::search::{Backtracking, Budget, Greedy, Portfolio, Problem, Reach, Search};
use graphopt::zoo;

const POPS: [usize; 3] = [100, 1_000, 10_000];
const ALPHAS: [f64; 3] = [1.0, 1.05, 1.2];

const HEAD: &str = "# Head-room

What each search reaches on the built-in models by the estimated cost of a CPU (`cargo bench --bench headroom`), as a percentage
above the best known: 0 is the best that any of them found. `start` is the model as it is, after clean-up. Backtracking is given
by its alpha and the number of graphs that it may take from its queue; `default` is the portfolio of the command line, `x10` the
same with ten times its budget, `all` a search whose steps reach all equivalent places (`--reach all`). Where every column but
`start` is 0, there is nothing left that a learned policy could win by this estimate and these rules.
";

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    let mut methods: Vec<(String, Box<dyn Search>, Budget)> =
        vec![("greedy".into(), Box::new(Greedy), Budget::default())];
    for alpha in ALPHAS {
        for pops in POPS {
            let search = Backtracking { alpha, ..Backtracking::default() };
            let name =
                format!("{alpha} {}", if pops < 1_000 { pops.to_string() } else { format!("{}k", pops / 1_000) });
            methods.push((name, Box::new(search), Budget { pops, ..Budget::default() }));
        }
    }
    let pops = Budget::default().pops;
    for (name, pops) in [("default", pops), ("x10", 10 * pops)] {
        methods.push((name.into(), Box::new(Portfolio::default()), Budget { pops, ..Budget::default() }));
    }
    let wide = Budget { reach: Reach::All, ..Budget::default() };
    methods.push(("greedy, all".into(), Box::new(Greedy), wide.clone()));
    methods.push(("default, all".into(), Box::new(Portfolio::default()), wide));
    let titles: Vec<&str> = methods.iter().map(|(name, ..)| name.as_str()).collect();
    println!("{HEAD}\n| model | best us | start | {} |", titles.join(" | "));
    println!("| --- | --- | --- |{}", " --- |".repeat(methods.len()));
    let mut all: Vec<&str> = zoo::ENTRIES.iter().map(|entry| entry.name).collect();
    if !names.is_empty() {
        all.retain(|name| names.iter().any(|n| n == name));
    }
    for name in all {
        let graph = common::model(name);
        let start = graph_cost(&model, &graph).time_us;
        let reach = |search: &dyn Search, budget: &Budget| {
            let problem = Problem { graph: &graph, rules: &rules, model: &model, budget };
            search.run(&problem, &mut |_| true).1.best_us
        };
        let reached: Vec<f64> = methods.iter().map(|(_, search, budget)| reach(search.as_ref(), budget)).collect();
        let best = reached.iter().copied().fold(start, f64::min);
        let above = |cost: f64| match 100.0 * (cost / best - 1.0) {
            percent if percent < 0.005 => "0".to_owned(),
            percent => format!("{percent:.2}"),
        };
        let cells: Vec<String> = reached.iter().map(|cost| above(*cost)).collect();
        println!("| {name} | {best:.1} | {} | {} |", above(start), cells.join(" | "));
    }
}
