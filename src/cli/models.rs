//! `graphopt models`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use clap::ValueEnum;
use serde_json::json;

use super::{Answer, args, terminal, units};
use crate::cost::{self, Cost, DeviceProfile, Roofline};
use crate::formats::{self, ImportOptions, model::Model};
use crate::zoo::{self, Entry};

/// Lists the built-in architectures, and writes them at any size.
///
/// They are true architectures as trained frameworks export them, with weights drawn from a
/// rule, so that their files are small. Without --write, a table of the models with their
/// sizes, parameters and FLOPs (a multiply-add counts as 2) is printed.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  graphopt models
  graphopt models bert_base --set layers=2 --set sequence=64 --write ."
)]
pub struct Models {
    /// Which models; all if none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Replaces a size of the named models; repeat it for several.
    #[arg(long = "set", value_name = "SIZE=N", value_parser = args::named_size, requires = "names")]
    sizes: Vec<(String, u64)>,
    /// Writes each model to NAME.json (or .onnx) in this folder.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// The format of the files.
    #[arg(long, value_enum, default_value_t = FileFormat::Json, requires = "write")]
    format: FileFormat,
    /// Prints one JSON document on stdout instead of the table.
    #[arg(long)]
    json: bool,
}

/// A format that models are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    /// graphopt-graph JSON; weights stay rules.
    Json,
    /// ONNX; weights are written out.
    Onnx,
}

/// A model with what the table says of it.
struct Row {
    entry: &'static Entry,
    sizes: Vec<(&'static str, u64)>,
    model: Model,
    nodes: usize,
    parameters: u64,
    cost: Cost,
    file: Option<PathBuf>,
}

impl Models {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let entries: Vec<&Entry> = match self.names.as_slice() {
            [] => zoo::ENTRIES.iter().collect(),
            names => names.iter().map(|name| args::built_in(name)).collect::<Result<_, _>>()?,
        };
        let overrides: Vec<(&str, u64)> = self.sizes.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        for (at, (name, _)) in overrides.iter().enumerate() {
            if overrides[..at].iter().any(|(other, _)| other == name) {
                bail!("--set {name} is given twice");
            }
        }
        let bar = terminal::bar(entries.len() as u64);
        let mut rows = Vec::new();
        for entry in entries {
            bar.set_message(entry.name);
            let mut row = build(entry, &overrides)?;
            if let Some(folder) = &self.write {
                row.file = Some(self.write_to(folder, &row)?);
            }
            rows.push(row);
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.show(&rows)
    }

    fn write_to(&self, folder: &PathBuf, row: &Row) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot make this folder", folder.display()))?;
        let ending = match self.format {
            FileFormat::Json => "json",
            FileFormat::Onnx => "onnx",
        };
        let path = folder.join(format!("{}.{ending}", row.entry.name));
        formats::save(&row.model, &path)?;
        Ok(path)
    }

    fn show(&self, rows: &[Row]) -> anyhow::Result<Answer> {
        if self.json {
            let models: Vec<_> = rows.iter().map(describe).collect();
            terminal::print_json(&json!({ "models": models }))?;
        } else if self.write.is_some() {
            for file in rows.iter().filter_map(|row| row.file.as_ref()) {
                terminal::print(&file.display().to_string())?;
            }
        } else {
            let line = |row: &Row| {
                let sizes: Vec<String> = row.sizes.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let numbers =
                    [row.nodes.to_string(), units::count(row.parameters as f64), units::count(row.cost.flops)];
                let [nodes, parameters, flops] = numbers;
                vec![row.entry.name.to_owned(), nodes, parameters, flops, sizes.join(" ")]
            };
            let header = ["model", ">nodes", ">parameters", ">FLOPs", "sizes"];
            terminal::print(&terminal::table(&header, rows.iter().map(line)))?;
        }
        Ok(Answer::Done)
    }
}

fn build(entry: &'static Entry, overrides: &[(&str, u64)]) -> anyhow::Result<Row> {
    let sizes = entry.sizes(overrides)?;
    let model = entry.build(&sizes)?;
    let imported = formats::import(model.clone(), &ImportOptions::default()).with_context(|| entry.name.to_owned())?;
    let cost = cost::graph_cost(&Roofline::new(DeviceProfile::cpu()), &imported.graph);
    Ok(Row {
        entry,
        sizes: sizes.iter().collect(),
        nodes: imported.graph.operator_count(),
        parameters: zoo::parameters(&model),
        model,
        cost,
        file: None,
    })
}

fn describe(row: &Row) -> serde_json::Value {
    let sizes: serde_json::Map<String, serde_json::Value> =
        row.sizes.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    json!({
        "name": row.entry.name,
        "description": row.entry.description,
        "sizes": sizes,
        "nodes": row.nodes,
        "parameters": row.parameters,
        "flops": row.cost.flops,
        "file": row.file,
    })
}
