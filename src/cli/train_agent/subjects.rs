//! What an agent is trained on: models, valleys, and graphs drawn at random.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::cli::args::{self, DimArgs};
use crate::cli::draw::{self, DrawArgs};
use crate::cli::terminal;
use crate::cost::CostModel;
use crate::rewrite::RuleSet;
use crate::rl::env::Task;
use crate::rl::run::DrawConfig;
use crate::rl::trainer::Subject;
use crate::search::{Budget, Portfolio, Problem, Search};
use crate::zoo;

/// The flags.
#[derive(Args, Debug)]
pub struct SubjectArgs {
    /// Models to train on: .onnx or .json files, names of built-in models, or valley_DEPTH_BLOCKS, a graph whose gain lies
    /// behind rewrites that cost (default: all built-in models, unless graphs are drawn).
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    draw: DrawArgs,
    #[command(flatten)]
    dims: DimArgs,
}

impl SubjectArgs {
    /// What was asked for, and how the graphs that were drawn came about.
    pub fn prepare<'a>(
        &self,
        rules: &Arc<RuleSet>,
        model: &'a dyn CostModel,
    ) -> anyhow::Result<(Vec<Subject<'a>>, DrawConfig)> {
        let draw = self.draw.config();
        let models = self.models(&draw);
        let bar = terminal::bar((models.len() + draw.count) as u64);
        let mut subjects = Vec::new();
        for path in &models {
            bar.set_message(format!("preparing {}", path.display()));
            let graph = args::graph(path, &self.dims)?;
            let task = Arc::new(Task::new(&graph, rules.clone(), model));
            let budget = Budget::default();
            let problem = Problem { graph: task.graph(), rules, model, budget: &budget };
            let known_us = Portfolio::default().run(&problem, &mut |_| true).1.best_us;
            subjects.push(Subject { name: path.display().to_string(), task, known_us });
            bar.inc(1);
        }
        bar.set_message("drawing graphs");
        subjects.extend(draw::subjects(&draw, rules, model, &|| bar.inc(1))?);
        bar.finish_and_clear();
        Ok((subjects, draw))
    }

    fn models(&self, draw: &DrawConfig) -> Vec<PathBuf> {
        if self.models.is_empty() && draw.count == 0 {
            zoo::ENTRIES.iter().map(|entry| PathBuf::from(entry.name)).collect()
        } else {
            self.models.clone()
        }
    }
}
