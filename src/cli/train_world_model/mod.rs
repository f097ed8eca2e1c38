//! `graphopt train-world-model`.

mod settings;
mod show;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use self::settings::DreamSettings;
use super::args::{DeviceArgs, DimArgs, RuleArgs};
use super::draw::{self, DrawArgs};
use super::latency::LatencyArgs;
use super::{Answer, args, interrupt, terminal};
use crate::cost::{CostModel, DeviceProfile, Roofline};
use crate::rl::agent::Agent;
use crate::rl::dream::waking::agent::Dreamer;
use crate::rl::dream::waking::learner::{Learner, Phase};
use crate::rl::dream::waking::pretrain::{encoder_of, pretrained, pretrains};
use crate::rl::dream::waking::run::{DreamRun, DreamRunConfig};
use crate::rl::dream::waking::settings::LearnConfig;
use crate::rl::dream::waking::transfer::Source;
use crate::rl::env::{Quantity, Task};
use crate::rl::greedy::greedy;
use crate::rl::run::{DrawConfig, FORMAT, check_folder};
use crate::rl::trainer::Subject;
use crate::runtime;
use crate::search::{Budget, Portfolio, Problem, Search};
use crate::zoo;

/// Learns a model of rewriting, trains a controller in its dream, and plays it for real.
///
/// Round after round: episodes are played on the given models, a world model is fitted to them, a
/// controller is trained in what it imagines (no graph is touched there), and the controller plays, from
/// which the next round learns. Everything goes to the folder --out: the settings (config.json), the
/// numbers of every unit of work (metrics.jsonl, and the same for TensorBoard), the episodes (data/), a
/// checkpoint, and agent.safetensors, which `optimise --search dream --agent` takes: what was worth most
/// at the end of a round, or before any dream. Run again with the same settings it goes on from its
/// checkpoint; Ctrl-C saves one.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  graphopt train-world-model inception_pair --out runs/dream --preset cpu
  graphopt train-world-model --draw 40 --hold-out recurrent --episodes 8 --out runs/general"
)]
pub struct TrainWorldModel {
    /// Models to learn on: .onnx or .json files, names of built-in models, or valley_DEPTH_BLOCKS (default: all built-in
    /// models, unless graphs are drawn).
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    draw: DrawArgs,
    /// Folder of the run.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    settings: DreamSettings,
    /// Takes the settings of another run from its config.json instead of flags, and its models unless some are named.
    #[arg(long, value_name = "FILE", conflicts_with = "DreamSettings")]
    config: Option<PathBuf>,
    #[command(flatten)]
    latency: LatencyArgs,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Seed of everything random (default: 0, or that of --config).
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Prints one JSON document on stdout instead of the table.
    #[arg(long)]
    json: bool,
}

/// Rewrites of greedy by another quantity than time, at most.
const MOST_GREEDY: usize = 200;
/// How often a checkpoint is written.
const SAVE_EVERY_SECONDS: u64 = 60;

impl TrainWorldModel {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        self.settings.check()?;
        check_folder(&self.out)?;
        let device = self.device.resolve_for_small_tensors()?;
        let like = self.config.as_deref().map(DreamRunConfig::read).transpose()?;
        let encoder_from = match &like {
            Some(like) => like.encoder_from.as_ref().map(PathBuf::from),
            None => self.settings.encoder_from.clone(),
        };
        let agent = match &encoder_from {
            Some(path) => Some(Agent::load(path, device)?.0),
            None => None,
        };
        let mut source = self.settings.model_from.as_ref().map(|folder| Source::open(folder, device)).transpose()?;
        let config = match &like {
            Some(like) if agent.as_ref().is_some_and(|agent| agent.config.encoder != like.learn.dreamer.encoder) => {
                anyhow::bail!(
                    "{}: not the encoder that the settings speak of",
                    encoder_from.unwrap_or_default().display()
                )
            }
            Some(like) => LearnConfig { seed: self.seed.unwrap_or(like.learn.seed), ..like.learn },
            None => self.settings.config(agent.as_ref(), source.as_ref(), self.seed.unwrap_or(0)),
        };
        let mut dreamer = match &mut source {
            Some(source) => source.dreamer(config.dreamer, config.seed),
            None => Dreamer::new(config.dreamer, device, config.seed),
        }
        .map_err(anyhow::Error::msg)?;
        let rules = Arc::new(self.rules.compile()?);
        if like.as_ref().is_some_and(|like| like.library != rules.digest()) {
            terminal::warning("the settings of --config are of a run with other rules");
        }
        let estimate = Roofline::new(DeviceProfile::cpu());
        let lesson = self.latency.load(&estimate)?;
        if like.as_ref().is_some_and(|like| like.latency.as_ref() != lesson.as_ref().map(|lesson| &lesson.digest)) {
            terminal::warning("the settings of --config are of a run with other learned latency (--latency)");
        }
        let corrected = lesson.as_ref().map(|lesson| lesson.correct(&estimate));
        let model: &dyn CostModel = corrected.as_ref().map_or(&estimate, |corrected| corrected);
        let others = like.as_ref().or_else(|| source.as_ref().map(|source| &source.config));
        let draw = match others.filter(|_| self.models.is_empty() && self.draw.config().is_nothing()) {
            Some(others) => others.draw.clone(),
            None => self.draw.config(),
        };
        let subjects = self.subjects(&rules, model, config.dreamer.objective, (others, &draw))?;
        if let Some(lesson) = &lesson {
            lesson.check_all(&subjects, &estimate)?;
        }
        let run_config = DreamRunConfig {
            format: FORMAT.to_owned(),
            version: 1,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            library: rules.digest(),
            device: runtime::device_name(device),
            models: subjects.iter().map(|s| s.name.clone()).collect(),
            draw,
            encoder_from: encoder_from.as_ref().map(|path| path.display().to_string()),
            latency: lesson.as_ref().map(|lesson| lesson.digest.clone()),
            model_from: self.settings.model_from.as_deref().map(|dir| args::digest(&Source::file(dir))).transpose()?,
            learn: config,
        };
        if let Some(source) = &source {
            check_source(source, &run_config)?;
        }
        let goes_on = DreamRun::is_there(&self.out);
        match &agent {
            Some(agent) => dreamer.view.adopt(&encoder_of(agent)),
            None if pretrains(&config) && source.is_none() && !goes_on => {
                let bar = terminal::bar(config.pretrain_updates as u64);
                dreamer = pretrained(&config, &subjects, dreamer, &mut |update, result| {
                    bar.set_position(update as u64 + 1);
                    bar.set_message(format!("pre-training: operators {:.0} %", 100.0 * result.operators_right));
                })?;
                bar.finish_and_clear();
            }
            None => {}
        }
        let mut learner = Learner::new(config, subjects, dreamer);
        let mut run = DreamRun::open(&self.out, &run_config, &mut learner)?;
        if goes_on {
            terminal::note(&format!(
                "going on with the run in {} behind {} units of work",
                self.out.display(),
                learner.state().units
            ));
        }
        if let Some(source) = source.filter(|_| !goes_on) {
            let tasks: Vec<Arc<Task<'_>>> = learner.subjects().iter().map(|s| s.task.clone()).collect();
            let shards = source.episodes(&tasks, config.dreamer.objective)?;
            run.keep(&shards)?;
            learner.inherit(&shards, source.config.learn.sight_changes());
            run.save(&mut learner)?;
        }
        interrupt::install_saying("stopping: the run is saved after this unit of work (Ctrl-C again ends at once)");
        learn(&mut learner, &mut run)?;
        show::show(&learner, &self.out, self.json)?;
        Ok(Answer::Done)
    }

    fn subjects<'a>(
        &self,
        rules: &Arc<crate::rewrite::RuleSet>,
        model: &'a dyn CostModel,
        objective: Quantity,
        (others, draw): (Option<&DreamRunConfig>, &DrawConfig),
    ) -> anyhow::Result<Vec<Subject<'a>>> {
        let models: Vec<PathBuf> = match (self.models.is_empty(), others) {
            (false, _) => self.models.clone(),
            (true, Some(others)) if others.draw == *draw => others.named().iter().map(PathBuf::from).collect(),
            (true, _) if !draw.is_nothing() => Vec::new(),
            (true, _) => zoo::ENTRIES.iter().map(|entry| PathBuf::from(entry.name)).collect(),
        };
        let bar = terminal::bar((models.len() + draw.count) as u64);
        let mut subjects = Vec::new();
        for path in &models {
            bar.set_message(format!("preparing {}", path.display()));
            let graph = args::graph(path, &self.dims)?;
            let task = Arc::new(Task::new(&graph, rules.clone(), model));
            if task.start_us() <= 0.0 {
                anyhow::bail!("{}: there is nothing to make cheaper: its estimated time is 0", path.display());
            }
            let known_us = match objective {
                Quantity::Time => {
                    let budget = Budget::default();
                    let problem = Problem { graph: task.graph(), rules, model, budget: &budget };
                    Portfolio::default().run(&problem, &mut |_| true).1.best_us
                }
                quantity => greedy(&task, quantity, MOST_GREEDY).best,
            };
            subjects.push(Subject { name: path.display().to_string(), task, known_us });
            bar.inc(1);
        }
        bar.set_message("drawing graphs");
        for drawn in draw::subjects(draw, rules, model, &|| bar.inc(1))? {
            let known_us = match objective {
                Quantity::Time => drawn.known_us,
                quantity => greedy(&drawn.task, quantity, MOST_GREEDY).best,
            };
            subjects.push(Subject { known_us, ..drawn });
        }
        bar.finish_and_clear();
        Ok(subjects)
    }
}

/// Goes round the loop until all is done or Ctrl-C.
fn learn(learner: &mut Learner<'_>, run: &mut DreamRun) -> anyhow::Result<()> {
    let bar = terminal::spinner();
    let mut saved = std::time::Instant::now();
    while !learner.is_done() && !interrupt::asked() {
        bar.set_message(doing(learner));
        let unit = learner.advance();
        run.record(learner, &unit).context("the run's folder")?;
        if saved.elapsed().as_secs() >= SAVE_EVERY_SECONDS {
            run.save(learner)?;
            saved = std::time::Instant::now();
        }
    }
    bar.finish_and_clear();
    run.save(learner)?;
    if !learner.is_done() {
        let round = learner.state().round + 1;
        terminal::note(&format!("stopped in round {round}; the same command goes on from there"));
    }
    Ok(())
}

/// That another run's episodes mean the same here.
fn check_source(source: &Source, run: &DreamRunConfig) -> anyhow::Result<()> {
    let there = &source.config;
    let pairs = [
        ("rules", there.library == run.library),
        ("models", there.models == run.models && there.draw == run.draw),
        ("learned latency", there.latency == run.latency),
    ];
    match pairs.iter().find(|(_, same)| !same) {
        Some((what, _)) => anyhow::bail!("--model-from: that run had other {what}"),
        None => Ok(()),
    }
}

/// What the loop is about to do.
fn doing(learner: &Learner<'_>) -> String {
    let config = learner.config();
    let what = match learner.state().phase {
        Phase::Collect { .. } => "playing".to_owned(),
        Phase::See { .. } => "training the encoder".to_owned(),
        Phase::Fit { at } => format!("fitting the model: epoch {} of {}", at + 1, config.fit.epochs),
        Phase::Practise { at } => format!("dreaming: {} of {}", at + 1, config.practice.generations),
        Phase::Evaluate | Phase::Done => "playing by the controller".to_owned(),
    };
    format!("round {} of {}: {what}", (learner.state().round + 1).min(config.rounds), config.rounds)
}
