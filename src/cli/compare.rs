//! `graphopt compare`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::args::{DeviceArgs, DimArgs};
use super::{Answer, args, opaque, terminal, units};
use crate::formats::Imported;
use crate::graph::{Graph, ValueRef};
use crate::runtime::{self, CompareOptions, Equivalence, Errors};

/// Compares two models: same inputs and outputs, then the same results on random inputs.
///
/// The results of A in f64 are the reference. In its own types, B may be off by 1e-5 of an
/// output's magnitude or by four times A's own rounding error. The difference in f64 is
/// reported too: up to the rounding of weights that were computed ahead of time, it tells a
/// rewrite from a change. Nodes of operators that are not known cannot be run: they must be the
/// same, attributes and all. Exit code 1 if the models differ.
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
        let of_opaque = opaque::differences(&first, &second);
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
