//! `graphopt compare`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::args::{DeviceArgs, DimArgs};
use super::{Answer, args, terminal, units};
use crate::formats::Imported;
use crate::formats::model::{Foreign, ModelAttr, ModelNode, ValueInfo};
use crate::graph::{Graph, NodeId, Op, ValueRef};
use crate::runtime::{self, CompareOptions, Equivalence, Errors};

/// Compares two models: same inputs and outputs, then the same results on random inputs.
///
/// The results of A in f64 are the reference. In its own types, B may be off by 1e-5 of an
/// output's magnitude or by four times A's own rounding error. The difference in f64 is
/// reported too: up to the rounding of weights that were computed ahead of time, it tells a
/// rewrite from a change. Exit code 1 if the models differ.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  graphopt compare model.onnx faster.onnx"
)]
pub struct Compare {
    /// The reference: a .onnx or .json file, or the name of a built-in model.
    #[arg(value_name = "A")]
    first: PathBuf,
    /// The model to compare with it.
    #[arg(value_name = "B")]
    second: PathBuf,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// How many random inputs to try.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    inputs: u32,
    /// Seed of the random inputs.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Prints one JSON document on stdout instead of the text.
    #[arg(long)]
    json: bool,
}

impl Compare {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let open = |path: &Path| -> anyhow::Result<Imported> {
            let imported = args::open(path, &DimArgs::default())?;
            args::check_memory(path, &imported.graph)?;
            Ok(imported)
        };
        let (first, second) = (open(&self.first)?, open(&self.second)?);
        let of_opaque = opaque_differences(&first, &second);
        let (first, second) = (first.graph, second.graph);
        let sizes = self.dims.sizes()?;
        for name in sizes.keys() {
            if !has_dim(&first, name) && !has_dim(&second, name) {
                bail!("--dim {name}: no input of either model has a dimension of this name");
            }
        }
        let device = self.device.resolve()?;
        let options = CompareOptions {
            device,
            sizes,
            trials: self.inputs as usize,
            seed: self.seed,
            two_files: true,
            ..CompareOptions::default()
        };
        let mut found = runtime::compare(&first, &second, &options)
            .with_context(|| format!("cannot compare {} and {}", self.first.display(), self.second.display()))?;
        found.passed &= of_opaque.is_empty();
        found.differences.extend(of_opaque);
        if self.json {
            terminal::print_json(&self.document(&found))?;
        } else {
            terminal::print(&text(&found))?;
        }
        Ok(if found.passed { Answer::Done } else { Answer::No })
    }

    fn document(&self, found: &Equivalence) -> Value {
        let mut document = check_document(found);
        document["first"] = self.first.display().to_string().into();
        document["second"] = self.second.display().to_string().into();
        document["seed"] = self.seed.into();
        document
    }
}

fn has_dim(graph: &Graph, name: &str) -> bool {
    let types = graph.inputs().iter().filter_map(|&id| graph.facts(ValueRef::first(id)).ty.as_ref());
    types.flat_map(|ty| ty.shape.iter()).any(|dim| dim.as_symbol() == Some(name))
}

/// Where opaque nodes that stand for one another are not the same. Nobody runs them: that they compute the same is known only if
/// they are the same operator with the same attributes. Their operands are compared as values.
fn opaque_differences(first: &Imported, second: &Imported) -> Vec<String> {
    let (firsts, seconds) = (opaque_nodes(first), opaque_nodes(second));
    let pairs = firsts.iter().filter_map(|(result, a)| Some((result, *a, *seconds.get(result)?)));
    let mut found = Vec::new();
    for (result, a, b) in pairs {
        let operator = |node: &ModelNode| [node.domain.clone(), node.op.clone(), node.overload.clone()];
        if operator(a) != operator(b) {
            found.push(format!("opaque node {result:?} is {} and {}", label(a), label(b)));
            continue;
        }
        let names: BTreeSet<&String> = a.attrs.keys().chain(b.attrs.keys()).collect();
        let differ = names.into_iter().filter(|name| !is_same(a.attrs.get(*name), b.attrs.get(*name)));
        found.extend(differ.map(|name| format!("opaque node {result:?} ({}) has another {name:?}", label(a))));
        let functions = |imported: &Imported| imported.model.extra.functions.iter().cloned().collect::<BTreeSet<_>>();
        if !a.domain.is_empty() && functions(first) != functions(second) {
            found.push(format!("opaque node {result:?} ({}) may be a function, and these differ", label(a)));
        }
    }
    let seconds = &second.model.foreign_weights;
    let is_another = |(name, weight): &(&String, &Foreign)| seconds.get(*name).is_some_and(|other| other != *weight);
    let differ = first.model.foreign_weights.iter().filter(is_another);
    found.extend(differ.map(|(name, _)| format!("weight {name:?}, of a type that is not read, is another")));
    found
}

/// Opaque nodes as the file says them, by the first of their results.
fn opaque_nodes(imported: &Imported) -> BTreeMap<&str, &ModelNode> {
    let node = |id: NodeId| match &imported.graph.node(id).op {
        Op::Opaque(opaque) => imported.model.nodes.get(opaque.origin),
        _ => None,
    };
    let nodes = imported.graph.node_ids().filter_map(node);
    nodes.filter_map(|node| Some((node.outputs.iter().find(|name| !name.is_empty())?.as_str(), node))).collect()
}

fn label(node: &ModelNode) -> String {
    if node.domain.is_empty() { node.op.clone() } else { format!("{}.{}", node.domain, node.op) }
}

/// Equal to the bit.
fn is_same(a: Option<&ModelAttr>, b: Option<&ModelAttr>) -> bool {
    let bits = |floats: &[f32]| floats.iter().map(|f| f.to_bits()).collect::<Vec<u32>>();
    match (a, b) {
        (Some(ModelAttr::Float(a)), Some(ModelAttr::Float(b))) => a.to_bits() == b.to_bits(),
        (Some(ModelAttr::Floats(a)), Some(ModelAttr::Floats(b))) => bits(a) == bits(b),
        (Some(ModelAttr::Graph(a)), Some(ModelAttr::Graph(b))) => {
            let node = |n: &ModelNode| (n.domain.clone(), n.op.clone(), n.inputs.clone(), n.outputs.clone());
            let names = |values: &[ValueInfo]| values.iter().map(|v| v.name.clone()).collect::<Vec<_>>();
            names(&a.inputs) == names(&b.inputs)
                && names(&a.outputs) == names(&b.outputs)
                && a.weights.len() == b.weights.len()
                && a.weights.iter().all(|(name, w)| b.weights.get(name).is_some_and(|other| other.tensor == w.tensor))
                && a.foreign_weights == b.foreign_weights
                && a.nodes.len() == b.nodes.len()
                && a.nodes.iter().zip(&b.nodes).all(|(a, b)| {
                    let names: BTreeSet<&String> = a.attrs.keys().chain(b.attrs.keys()).collect();
                    node(a) == node(b) && names.into_iter().all(|name| is_same(a.attrs.get(name), b.attrs.get(name)))
                })
        }
        (a, b) => a == b,
    }
}

/// The comparison as fields of a JSON document.
pub fn check_document(found: &Equivalence) -> Value {
    let errors = |e: &Errors| {
        json!({
            "max_abs_error": units::json_number(e.max_abs_error),
            "max_rel_error": units::json_number(e.max_rel_error),
        })
    };
    json!({
        "passed": found.passed,
        "max_abs_error": units::json_number(found.reference.max_abs_error),
        "max_rel_error": units::json_number(found.reference.max_rel_error),
        "native": found.native.as_ref().map(errors),
        "inputs_tried": found.inputs_tried,
        "sizes": found.sizes,
        "compared": found.compared,
        "differences": found.differences,
        "unchecked": found.unchecked,
        "not_run": found.not_run,
    })
}

/// The comparison in lines.
pub fn text(found: &Equivalence) -> String {
    let mut lines = vec![if found.passed {
        let inputs = if found.inputs_tried == 1 { "input" } else { "inputs" };
        format!("equivalent on {} random {inputs} ({} values compared)", found.inputs_tried, found.compared)
    } else {
        "not equivalent".to_owned()
    }];
    lines.extend(found.differences.iter().map(|difference| format!("  {difference}")));
    if found.inputs_tried > 0 {
        lines.push(format!("largest error in f64: {}", errors_text(&found.reference)));
        if let Some(native) = &found.native {
            lines.push(format!("largest error in the models' own types: {}", errors_text(native)));
        }
    }
    for (title, items) in [("not compared", &found.unchecked), ("not run", &found.not_run)] {
        if !items.is_empty() {
            lines.push(format!("{title}: {}", units::some_of(items, 5)));
        }
    }
    lines.join("\n")
}

fn errors_text(errors: &Errors) -> String {
    format!("{:.1e} absolute, {:.1e} relative to magnitude", errors.max_abs_error, errors.max_rel_error)
}
