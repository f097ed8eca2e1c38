//! `graphopt profile`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::args::{DeviceArgs, DimArgs};
use super::{Answer, args, terminal, units};
use crate::cost::{self, Measured};
use crate::graph::{Graph, NodeId, ValueRef};
use crate::runtime::{self, OperatorTime, Options, Program, Timing, TimingOptions};

/// Measures the time of each operator of a model on a device.
///
/// Times are medians over repeated runs, with the distance between the quartiles as spread. The
/// device is waited for after each operator, so that their sum is above the time of the whole.
/// Dimensions without a size get a small one (see --dim). Each operator is also timed alone, for
/// the cache of costs that `optimise --cost measured` goes by.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  graphopt profile model.onnx --device cpu --top 10"
)]
pub struct Profile {
    /// A .onnx or .json file, or the name of a built-in model.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// How long to repeat the measurement, in seconds.
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = args::positive)]
    time: f64,
    /// How many of the slowest nodes to list; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Seed of the random inputs.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Prints one JSON document on stdout instead of the tables.
    #[arg(long)]
    json: bool,
}

/// What was measured.
struct Findings {
    device: String,
    sizes: BTreeMap<String, i64>,
    whole: Timing,
    operators: Vec<OperatorTime>,
    not_run: Vec<String>,
}

impl Profile {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let graph = args::open(&self.model, &self.dims)?.graph;
        args::check_memory(&self.model, &graph)?;
        let device = self.device.resolve()?;
        let bar = terminal::spinner();
        bar.set_message("measuring");
        let measured = self.measure(&graph, device).with_context(|| self.model.display().to_string())?;
        bar.set_message("measuring operators one by one for the cost cache");
        let costs = Measured::new(device, cost::cache_folder().as_deref())?;
        cost::graph_cost(&costs, &graph);
        bar.finish_and_clear();
        keep(&costs);
        if self.json {
            terminal::print_json(&self.document(&graph, &measured))?;
        } else {
            terminal::print(&self.tables(&graph, &measured))?;
        }
        Ok(Answer::Done)
    }

    fn measure(&self, graph: &Graph, device: tch::Device) -> anyhow::Result<Findings> {
        let program = Program::compile(graph, &Options::native(device))?;
        let (sizes, inputs) = fitting_inputs(graph, &program, self.seed)?;
        let options = TimingOptions { seconds: self.time / 2.0, seed: self.seed, ..TimingOptions::default() };
        let whole = runtime::time_program(&program, &inputs, &options)?;
        let operators = runtime::profile(&program, &inputs, &options)?;
        let not_run = program.not_run().iter().map(|n| format!("{}: {}", n.what, n.why)).collect();
        Ok(Findings { device: runtime::device_name(device), sizes, whole, operators, not_run })
    }

    fn tables(&self, graph: &Graph, measured: &Findings) -> String {
        let sum: f64 = measured.operators.iter().map(|o| o.timing.median_us).sum();
        let whole = &measured.whole;
        let mut text = format!("device       {}\n", measured.device);
        if !measured.sizes.is_empty() {
            let sizes: Vec<String> = measured.sizes.iter().map(|(name, size)| format!("{name}={size}")).collect();
            text.push_str(&format!("sizes        {}\n", sizes.join(" ")));
        }
        text.push_str(&format!(
            "whole        {} +- {} over {} runs\n",
            units::time(whole.median_us),
            units::time(whole.spread_us / 2.0),
            whole.samples_us.len()
        ));
        text.push_str(&format!("operators    {} in sum\n\n", units::time(sum)));
        let share = |us: f64| format!("{:.1} %", 100.0 * us / sum.max(f64::MIN_POSITIVE));
        let by_kind = by_operator(&measured.operators);
        let rows =
            by_kind.iter().map(|(op, count, us)| vec![op.clone(), count.to_string(), units::time(*us), share(*us)]);
        text.push_str(&terminal::table(&["operator", ">count", ">time", ">share"], rows));
        if self.top > 0 {
            let mut slowest: Vec<&OperatorTime> = measured.operators.iter().collect();
            slowest.sort_by(|a, b| b.timing.median_us.total_cmp(&a.timing.median_us));
            let row = |o: &&OperatorTime| {
                let t = &o.timing;
                let (time, spread) = (units::time(t.median_us), units::time(t.spread_us));
                vec![
                    name_of(graph, o.node),
                    o.kind.to_string(),
                    types_of(graph, o.node),
                    time,
                    spread,
                    share(t.median_us),
                ]
            };
            let header = ["node", "operator", "results", ">time", ">spread", ">share"];
            text.push_str(&format!("\n{}", terminal::table(&header, slowest.iter().take(self.top).map(row))));
        }
        if !measured.not_run.is_empty() {
            text.push_str(&format!("\nnot run: {}\n", units::some_of(&measured.not_run, 5)));
        }
        text
    }

    fn document(&self, graph: &Graph, measured: &Findings) -> Value {
        let node = |o: &OperatorTime| {
            json!({
                "node": name_of(graph, o.node),
                "op": o.kind.name(),
                "results": types_of(graph, o.node),
                "median_us": o.timing.median_us,
                "spread_us": o.timing.spread_us,
            })
        };
        let nodes: Vec<Value> = measured.operators.iter().map(node).collect();
        json!({
            "model": self.model.display().to_string(),
            "device": measured.device,
            "sizes": measured.sizes,
            "median_us": measured.whole.median_us,
            "spread_us": measured.whole.spread_us,
            "runs": measured.whole.samples_us.len(),
            "nodes": nodes,
            "not_run": measured.not_run,
            "seed": self.seed,
        })
    }
}

/// Keeps what was measured for `optimise --cost measured`.
fn keep(costs: &Measured) {
    let new = costs.measured();
    match costs.save() {
        Ok(()) => terminal::note(&format!("cost cache: {new} operators added")),
        Err(error) => terminal::warning(&format!("the measured costs could not be kept: {error}")),
    }
}

/// Random inputs that the program runs on, with the sizes of the dimensions that have a name only.
fn fitting_inputs(
    graph: &Graph,
    program: &Program,
    seed: u64,
) -> anyhow::Result<(BTreeMap<String, i64>, Vec<tch::Tensor>)> {
    let mut first_error = None;
    for sizes in runtime::size_sets(graph, &BTreeMap::new()) {
        let inputs = runtime::draw_inputs(graph, &sizes, seed)?;
        match program.run(&inputs) {
            Ok(_) => return Ok((sizes, inputs)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.map_or_else(|| anyhow::anyhow!("no sizes to try"), anyhow::Error::from))
}

/// Number and sum of the medians by operator, slowest first.
fn by_operator(times: &[OperatorTime]) -> Vec<(String, usize, f64)> {
    let mut sums: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for time in times {
        let sum = sums.entry(time.kind.name()).or_default();
        *sum = (sum.0 + 1, sum.1 + time.timing.median_us);
    }
    let mut rows: Vec<_> = sums.into_iter().map(|(op, (count, us))| (op.to_owned(), count, us)).collect();
    rows.sort_by(|a, b| b.2.total_cmp(&a.2));
    rows
}

fn name_of(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let first = node.outputs.first().map_or("", |o| &o.name);
    if node.name.is_empty() { first.to_owned() } else { node.name.to_string() }
}

fn types_of(graph: &Graph, id: NodeId) -> String {
    let value = |slot| graph.facts(ValueRef { node: id, slot }).ty.as_ref().map_or("?".to_owned(), ToString::to_string);
    (0..graph.node(id).outputs.len() as u32).map(value).collect::<Vec<_>>().join(", ")
}
