//! `graphopt inspect`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::args::{DimArgs, RuleArgs};
use super::{Answer, args, outputs, page, terminal, units};
use crate::cost::{self, Cost, CostModel, DeviceProfile, Roofline};
use crate::formats::{self, Imported};
use crate::graph::{Graph, NodeId, Op, ValueRef};
use crate::rewrite::{RuleSet, clean_up};
use crate::runtime;
use crate::search::State;

/// Shows what is in a model: operators, shapes, cost by operator, and where rules match.
///
/// Costs are those of the roofline model for a CPU; dimensions without a size count as 1 (see
/// --dim). Nothing is run.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  graphopt inspect model.onnx
  graphopt inspect model.onnx --dim batch=8 --html model.html"
)]
pub struct Inspect {
    /// A .onnx or .json file, or the name of a built-in model.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    rules: RuleArgs,
    /// Writes the graph in the DOT language of Graphviz (`-`: to stdout, instead of the tables).
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Writes a page that shows all nodes with their shapes and costs.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Prints one JSON document on stdout instead of the tables.
    #[arg(long)]
    json: bool,
}

/// What was found in a model.
pub struct Findings {
    /// Name of the model: that of the file.
    pub model: String,
    /// Name that the model gives itself.
    pub name: String,
    /// Operator sets by domain.
    pub opsets: Vec<(String, i64)>,
    /// Inputs and outputs with their types.
    pub inputs: Vec<(String, String)>,
    /// Outputs with their types.
    pub outputs: Vec<(String, String)>,
    /// Operators applied; those on constants not counted.
    pub nodes: usize,
    /// Elements of all floating-point weights.
    pub parameters: u64,
    /// Bytes of the weights that inference reads.
    pub weight_bytes: u64,
    /// Names of dimensions without a size.
    pub free_dims: Vec<String>,
    /// The cost of all.
    pub cost: Cost,
    /// The source of the cost.
    pub cost_model: String,
    /// By operator: number and cost, dearest first.
    pub operators: Vec<(String, usize, Cost)>,
    /// By rule: number of matches and the largest predicted gain in microseconds, most first.
    pub matches: Vec<(String, usize, f64)>,
    /// Opaque nodes: node and reason.
    pub opaque: Vec<(String, String)>,
    /// Every node that is run, in order.
    pub rows: Vec<NodeRow>,
}

/// A node in the page of all nodes.
pub struct NodeRow {
    /// Name, or the name of its first result.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Types of its results.
    pub types: String,
    /// Its cost.
    pub cost: Cost,
}

impl Inspect {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let files: Vec<&Path> = [&self.dot, &self.html].into_iter().flatten().map(PathBuf::as_path).collect();
        let files: Vec<&Path> = files.into_iter().filter(|path| *path != Path::new("-")).collect();
        for (i, file) in files.iter().enumerate() {
            let others: Vec<&Path> = files[..i].iter().copied().chain([self.model.as_path()]).collect();
            outputs::check(file, &others)?;
        }
        let rules = Arc::new(self.rules.compile()?);
        let imported = args::open(&self.model, &self.dims)?;
        let model = Roofline::new(DeviceProfile::cpu());
        let findings = find(&self.model, &imported, &rules, &model);
        if let Some(file) = &self.html {
            write_text(file, &page::html(&findings))?;
        }
        let to_stdout = self.dot.as_deref() == Some(Path::new("-"));
        if let Some(file) = &self.dot {
            let text = formats::dot(&imported.graph);
            if to_stdout { terminal::print(&text)? } else { write_text(file, &text)? }
        }
        if self.json {
            terminal::print_json(&document(&findings))?;
        } else if !to_stdout {
            terminal::print(&tables(&findings))?;
        }
        Ok(Answer::Done)
    }
}

fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    formats::write_atomically(path, |file| file.write_all(text.as_bytes()))
        .with_context(|| format!("{}: cannot write", path.display()))?;
    terminal::note(&format!("wrote {}", path.display()));
    Ok(())
}

fn find(path: &Path, imported: &Imported, rules: &Arc<RuleSet>, model: &dyn CostModel) -> Findings {
    let graph = &imported.graph;
    let mut cost = cost::graph_cost(model, graph);
    cost.peak_memory = runtime::peak_memory(graph, &BTreeMap::new()).bytes as f64;
    let ends = |values: Vec<(String, ValueRef)>| -> Vec<(String, String)> {
        values.into_iter().map(|(name, value)| (name, type_text(graph, value))).collect()
    };
    let inputs = graph.inputs().iter().map(|&id| ValueRef::first(id)).map(|v| (graph.value_name(v).to_string(), v));
    let outputs = graph.outputs().iter().map(|o| (o.name.to_string(), o.value));
    let float_weights = imported.model.weights.values().filter(|w| w.tensor.dtype().is_float());
    Findings {
        model: path.display().to_string(),
        name: imported.model.name.clone(),
        opsets: imported.model.opset_import.iter().map(|(domain, version)| (domain.clone(), *version)).collect(),
        inputs: ends(inputs.collect()),
        outputs: ends(outputs.collect()),
        nodes: graph.operator_count(),
        parameters: float_weights.map(|w| w.tensor.len()).sum(),
        weight_bytes: cost::weight_bytes(graph),
        free_dims: free_dims(graph),
        cost,
        cost_model: model.name(),
        operators: by_operator(graph, model),
        matches: matches(graph, rules, model),
        opaque: args::opaque(imported).into_iter().map(|(node, why)| (node.to_owned(), why.to_owned())).collect(),
        rows: node_rows(graph, model),
    }
}

fn type_text(graph: &Graph, value: ValueRef) -> String {
    graph.facts(value).ty.as_ref().map_or("unknown".to_owned(), ToString::to_string)
}

fn free_dims(graph: &Graph) -> Vec<String> {
    let types = graph.inputs().iter().filter_map(|&id| graph.node(id).ty());
    let names =
        types.flat_map(|ty| ty.shape.iter().filter_map(|d| d.as_symbol().map(str::to_owned)).collect::<Vec<_>>());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The nodes that are run, in order.
fn running(graph: &Graph) -> impl Iterator<Item = NodeId> {
    let run = |id: &NodeId| !graph.node(*id).constant && matches!(graph.node(*id).op, Op::Apply(..) | Op::Opaque(_));
    graph.topological().into_iter().filter(run)
}

fn by_operator(graph: &Graph, model: &dyn CostModel) -> Vec<(String, usize, Cost)> {
    let mut sums: BTreeMap<String, (usize, Cost)> = BTreeMap::new();
    for id in running(graph) {
        let sum = sums.entry(graph.node(id).op.label()).or_default();
        *sum = (sum.0 + 1, sum.1.plus(cost::node_cost(model, graph, id)));
    }
    let mut rows: Vec<_> = sums.into_iter().map(|(op, (count, cost))| (op, count, cost)).collect();
    rows.sort_by(|a, b| b.2.time_us.total_cmp(&a.2.time_us).then(b.1.cmp(&a.1)));
    rows
}

/// Matches in the graph after clean-up, as a search first sees them.
fn matches(graph: &Graph, rules: &Arc<RuleSet>, model: &dyn CostModel) -> Vec<(String, usize, f64)> {
    let mut clean = graph.clone();
    clean_up(&mut clean);
    let state = State::new(clean, rules.clone(), model);
    let mut sums: BTreeMap<u32, (usize, f64)> = BTreeMap::new();
    for candidate in state.candidates() {
        let sum = sums.entry(candidate.found.rule).or_default();
        *sum = (sum.0 + 1, sum.1.max(-candidate.score));
    }
    let mut rows: Vec<_> =
        sums.into_iter().map(|(rule, (count, gain))| (rules.rule(rule).name.clone(), count, gain)).collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    rows
}

fn node_rows(graph: &Graph, model: &dyn CostModel) -> Vec<NodeRow> {
    let row = |id: NodeId| {
        let node = graph.node(id);
        let first = node.outputs.first().map_or("", |o| &o.name);
        let values = (0..node.outputs.len() as u32).map(|slot| type_text(graph, ValueRef { node: id, slot }));
        NodeRow {
            name: if node.name.is_empty() { first.to_owned() } else { node.name.to_string() },
            op: node.op.label(),
            types: values.collect::<Vec<_>>().join(", "),
            cost: cost::node_cost(model, graph, id),
        }
    };
    running(graph).map(row).collect()
}

/// The lines that stand above the tables: title and text.
pub fn summary(found: &Findings) -> Vec<(&'static str, String)> {
    let opset = |(domain, version): &(String, i64)| match domain.as_str() {
        "" => format!("opset {version}"),
        domain => format!("{domain} {version}"),
    };
    let opsets: Vec<String> = found.opsets.iter().map(opset).collect();
    let ends = |ends: &[(String, String)]| {
        let texts: Vec<String> = ends.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        texts.join(", ")
    };
    let cost = &found.cost;
    let mut lines = vec![
        ("model", format!("{} {:?}, {}", found.model, found.name, opsets.join(", "))),
        ("inputs", ends(&found.inputs)),
        ("outputs", ends(&found.outputs)),
        ("nodes", format!("{}, of which {} opaque", found.nodes, found.opaque.len())),
        ("parameters", units::count(found.parameters as f64)),
        ("weights", units::bytes(found.weight_bytes as f64)),
        ("time", format!("{} ({})", units::time(cost.time_us), found.cost_model)),
        ("FLOPs", units::count(cost.flops)),
        ("traffic", units::bytes(cost.bytes)),
        ("launches", units::count(cost.launches)),
        ("peak memory", units::bytes(cost.peak_memory)),
    ];
    if !found.free_dims.is_empty() {
        lines.push(("no size", format!("{} (counted as 1; see --dim)", found.free_dims.join(", "))));
    }
    lines
}

fn tables(found: &Findings) -> String {
    let mut text = String::new();
    for (title, line) in summary(found) {
        text.push_str(&format!("{title:<12} {line}\n"));
    }
    let share = |cost: &Cost| 100.0 * cost.time_us / found.cost.time_us.max(f64::MIN_POSITIVE);
    let operator = |(op, count, cost): &(String, usize, Cost)| {
        let time = [units::time(cost.time_us), format!("{:.1} %", share(cost))];
        let [time, share] = time;
        vec![op.clone(), count.to_string(), time, share, units::count(cost.flops), units::bytes(cost.bytes)]
    };
    let header = ["operator", ">count", ">time", ">share", ">FLOPs", ">traffic"];
    text.push_str(&format!("\n{}", terminal::table(&header, found.operators.iter().map(operator))));
    if !found.matches.is_empty() {
        let row = |(rule, count, gain): &(String, usize, f64)| {
            vec![rule.clone(), count.to_string(), if *gain > 0.0 { units::time(*gain) } else { "-".to_owned() }]
        };
        let header = ["rule", ">matches", ">best gain"];
        text.push_str(&format!("\n{}", terminal::table(&header, found.matches.iter().map(row))));
    }
    if !found.opaque.is_empty() {
        let rows = found.opaque.iter().map(|(node, why)| vec![node.clone(), why.clone()]);
        text.push_str(&format!("\n{}", terminal::table(&["opaque node", "why"], rows)));
    }
    text
}

fn document(found: &Findings) -> Value {
    let ends = |ends: &[(String, String)]| -> Value {
        ends.iter().map(|(name, ty)| json!({ "name": name, "type": ty })).collect()
    };
    let opsets: serde_json::Map<String, Value> = found.opsets.iter().map(|(d, v)| (d.clone(), (*v).into())).collect();
    let operators: Vec<Value> =
        found.operators.iter().map(|(op, count, cost)| json!({ "op": op, "count": count, "cost": cost })).collect();
    let matches: Vec<Value> = found
        .matches
        .iter()
        .map(|(rule, count, gain)| json!({ "rule": rule, "matches": count, "best_gain_us": gain }))
        .collect();
    let opaque: Vec<Value> = found.opaque.iter().map(|(node, why)| json!({ "node": node, "reason": why })).collect();
    json!({
        "model": found.model,
        "name": found.name,
        "opset_import": opsets,
        "inputs": ends(&found.inputs),
        "outputs": ends(&found.outputs),
        "nodes": found.nodes,
        "opaque_nodes": found.opaque.len(),
        "parameters": found.parameters,
        "weight_bytes": found.weight_bytes,
        "free_dims": found.free_dims,
        "cost": found.cost,
        "cost_model": found.cost_model,
        "operators": operators,
        "matches": matches,
        "opaque": opaque,
    })
}
