//! `graphopt train-world-model`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::args::{DeviceArgs, DimArgs, RuleArgs};
use super::latency::LatencyArgs;
use super::{Answer, args, interrupt, terminal, units};
use crate::cost::{CostModel, DeviceProfile, Roofline};
use crate::rl::agent::Agent;
use crate::rl::dream::config::{
    Beginners, EnsembleConfig, FitConfig, ModelConfig, Planning, PracticeConfig, Refit, RolloutShape, Teacher,
};
use crate::rl::dream::waking::agent::{Dreamer, DreamerConfig};
use crate::rl::dream::waking::learner::{LearnConfig, Learner, Phase};
use crate::rl::dream::waking::pretrain::{encoder_of, pretrained};
use crate::rl::dream::waking::run::{DreamRun, DreamRunConfig};
use crate::rl::dream::waking::transfer::Source;
use crate::rl::dream::waking::worth::Worth;
use crate::rl::env::{Quantity, Task};
use crate::rl::greedy::greedy;
use crate::rl::net::encoder::EncoderConfig;
use crate::rl::run::FORMAT;
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
/// checkpoint, and agent.safetensors, which `optimise --search dream --agent` takes. Run again with the
/// same settings it goes on from its checkpoint; Ctrl-C saves one.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  graphopt train-world-model inception_pair --out runs/dream --preset cpu"
)]
pub struct TrainWorldModel {
    /// Models to learn on: .onnx or .json files, names of built-in models, or valley_DEPTH_BLOCKS (default: all built-in
    /// models).
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Folder of the run.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A set of settings: debug ends within seconds and learns little, cpu is for a few cores, h200 for a large GPU.
    #[arg(long, value_enum, default_value_t = Preset::Cpu)]
    preset: Preset,
    /// Takes the encoder of this agent, as `train-agent` writes it (default: one that is trained to reconstruct graphs).
    #[arg(long, value_name = "FILE")]
    encoder_from: Option<PathBuf>,
    /// What is to become less: estimated time, the peak of the activations' memory, or kernels launched.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::Time)]
    objective: ObjectiveArg,
    /// Begins with the world model of another run, which may have had another objective: its episodes are judged anew, and the
    /// model is fitted to that (docs/dream.md). The models are those of that run.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = [
            "encoder_from", "pretrain_updates", "horizon", "components", "hidden", "plain_deltas", "blind", "ensemble"
        ]
    )]
    model_from: Option<PathBuf>,
    /// With --model-from, what is fitted anew: the heads that say what is rewarded, or everything.
    #[arg(long, value_enum, default_value_t = RefitArg::Heads, requires = "model_from")]
    refit: RefitArg,
    /// Times round the loop (with --model-from: 1, which plays nothing to learn from).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Episodes of each player on each model in a round.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    episodes: Option<u32>,
    /// Actions of an episode at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    horizon: Option<u32>,
    /// Updates of the graph auto-encoder before the first round.
    #[arg(long, value_name = "N")]
    pretrain_updates: Option<usize>,
    /// Times that each round goes through the episodes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: Option<u32>,
    /// Gaussians of the mixture that predicts the next state; 0 for a deterministic prediction.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(0..=64))]
    components: Option<u32>,
    /// Width of the LSTM.
    #[arg(long, value_name = "N")]
    hidden: Option<usize>,
    /// Predicts changes in the units of the states instead of their own.
    #[arg(long)]
    plain_deltas: bool,
    /// Does not tell the model which candidates share nodes with what an action removes.
    #[arg(long)]
    blind: bool,
    /// Goes on with the first round's episodes in later rounds.
    #[arg(long)]
    no_aggregation: bool,
    /// World models: the first dreams, the others (other beginnings, other draws of the episodes) tell where it is not to be
    /// trusted.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=32))]
    ensemble: Option<u32>,
    /// Takes W times what the models differ by from a dream's reward.
    #[arg(long, value_name = "W", value_parser = weight, requires = "ensemble")]
    disagreement_penalty: Option<f64>,
    /// Later rounds also play episodes that go where the models differ.
    #[arg(long, requires = "ensemble")]
    explore_disagreement: bool,
    /// By what the controller is trained in the dream: evolution, PPO, or by imitating an expert that looks ahead in the dream.
    #[arg(long, value_enum, default_value_t = By::Cma)]
    controller: By,
    /// With --controller ppo: rollouts of D actions that go on from real states, R of them for each of the preset's dreams
    /// (default: whole episodes from the start).
    #[arg(long, value_name = "RxD", value_parser = shape)]
    rollout_shape: Option<RolloutShape>,
    /// With --controller ppo: what plans are made in: the dream, the environment itself (a perfect model), a replay of what was played
    /// (as a control), or none (then no model is fitted).
    #[arg(long, value_enum, default_value_t = In::Dream)]
    planning: In,
    /// With --controller ppo: the controller plays by its probabilities, and learns from that, too.
    #[arg(long)]
    learn_from_real: bool,
    /// Who plays in the first round: experts are greedy search and episodes that leave its paths.
    #[arg(long, value_enum, default_value_t = First::All)]
    beginners: First,
    /// Generations of controllers in a round; with other values of --controller, updates or lessons.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    generations: Option<u32>,
    /// Temperature of the dream: 0 takes what is likeliest.
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
    /// The first controller knows nothing, instead of taking what gains most at once.
    #[arg(long)]
    cold_start: bool,
    #[command(flatten)]
    latency: LatencyArgs,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Prints one JSON document on stdout instead of the table.
    #[arg(long)]
    json: bool,
}

/// A set of settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Preset {
    /// Ends within seconds.
    Debug,
    /// For a few cores.
    Cpu,
    /// For a large GPU.
    H200,
}

/// See [`Quantity`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ObjectiveArg {
    /// Estimated time.
    Time,
    /// The peak of the activations' memory.
    Memory,
    /// Kernels launched.
    Launches,
}

impl ObjectiveArg {
    fn quantity(self) -> Quantity {
        match self {
            ObjectiveArg::Time => Quantity::Time,
            ObjectiveArg::Memory => Quantity::Memory,
            ObjectiveArg::Launches => Quantity::Launches,
        }
    }

    /// An amount, in words.
    fn text(self, amount: f64) -> String {
        match self {
            ObjectiveArg::Time => units::time(amount),
            ObjectiveArg::Memory => units::bytes(amount),
            ObjectiveArg::Launches => format!("{amount:.0}"),
        }
    }
}

/// See [`Refit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum RefitArg {
    /// The heads of reward, value and cost.
    Heads,
    /// Everything, those heads from nothing.
    All,
}

/// By what a controller is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum By {
    /// Separable CMA-ES.
    Cma,
    /// Proximal policy optimisation.
    Ppo,
    /// Imitation of model-predictive control.
    Imitation,
    /// Back-propagation through the model.
    Gradient,
}

/// In what a controller plans.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum In {
    /// The world model's dream.
    Dream,
    /// The environment itself.
    Exact,
    /// What was played.
    Replay,
    /// Nothing.
    None,
}

/// Who plays first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum First {
    /// Chance, greed, and who leaves greedy paths.
    All,
    /// Without chance.
    Experts,
}

fn shape(text: &str) -> Result<RolloutShape, String> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|n| (1..=10_000).contains(n));
    let parts = text.split_once('x').and_then(|(r, d)| Some((number(r)?, number(d)?)));
    let (rollouts, depth) = parts.ok_or_else(|| "expected rollouts and actions, as in 10x10".to_owned())?;
    Ok(RolloutShape { rollouts, depth })
}

fn weight(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (0.0..=1e6).contains(n));
    number.ok_or_else(|| "expected a number from 0 to 1000000".to_owned())
}

fn temperature(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (0.0..=100.0).contains(n));
    number.ok_or_else(|| "expected a number from 0 to 100".to_owned())
}

/// Rank of the controller: with it and the default width of the LSTM, a controller has 699 parameters.
const RANK: usize = 2;
/// Rewrites of greedy by another quantity than time, at most.
const MOST_GREEDY: usize = 200;
/// How often a checkpoint is written.
const SAVE_EVERY_SECONDS: u64 = 60;

impl TrainWorldModel {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let by_ppo = self.controller == By::Ppo;
        for (flag, given, fits) in [
            ("--rollout-shape", self.rollout_shape.is_some(), by_ppo || self.controller == By::Gradient),
            ("--planning", self.planning != In::Dream, by_ppo),
            ("--learn-from-real", self.learn_from_real, by_ppo),
        ] {
            if given && !fits {
                anyhow::bail!("{flag} goes with --controller ppo");
            }
        }
        if self.planning == In::None && !self.learn_from_real {
            anyhow::bail!("--planning none leaves nothing to learn from but --learn-from-real");
        }
        let device = self.device.resolve_for_small_tensors()?;
        let agent = match &self.encoder_from {
            Some(path) => Some(Agent::load(path, device)?.0),
            None => None,
        };
        let mut source = self.model_from.as_ref().map(|folder| Source::open(folder, device)).transpose()?;
        let config = self.config(agent.as_ref(), source.as_ref());
        let mut dreamer = match &mut source {
            Some(source) => source.dreamer(config.dreamer, config.seed),
            None => Dreamer::new(config.dreamer, device, config.seed),
        }
        .map_err(anyhow::Error::msg)?;
        let rules = Arc::new(self.rules.compile()?);
        let estimate = Roofline::new(DeviceProfile::cpu());
        let lesson = self.latency.load(&estimate)?;
        let corrected = lesson.as_ref().map(|lesson| lesson.correct(&estimate));
        let model: &dyn CostModel = corrected.as_ref().map_or(&estimate, |corrected| corrected);
        let subjects = self.subjects(&rules, model, source.as_ref())?;
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
            encoder_from: self.encoder_from.as_ref().map(|path| path.display().to_string()),
            latency: lesson.as_ref().map(|lesson| lesson.digest.clone()),
            model_from: self.model_from.as_deref().map(|dir| args::digest(&Source::file(dir))).transpose()?,
            learn: config,
        };
        if let Some(source) = &source {
            check_source(source, &run_config)?;
        }
        let goes_on = DreamRun::is_there(&self.out);
        match &agent {
            Some(agent) => dreamer.view.adopt(&encoder_of(agent)),
            None if config.pretrain_updates > 0 && source.is_none() && !goes_on => {
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
            learner.inherit(&shards);
            run.save(&mut learner, &run_config)?;
        }
        interrupt::install_saying("stopping: the run is saved after this unit of work (Ctrl-C again ends at once)");
        self.learn(&mut learner, &mut run, &run_config)?;
        self.show(&mut learner)?;
        Ok(Answer::Done)
    }

    fn subjects<'a>(
        &self,
        rules: &Arc<crate::rewrite::RuleSet>,
        model: &'a dyn CostModel,
        source: Option<&Source>,
    ) -> anyhow::Result<Vec<Subject<'a>>> {
        let models: Vec<PathBuf> = match (self.models.is_empty(), source) {
            (false, _) => self.models.clone(),
            (true, Some(source)) => source.config.models.iter().map(PathBuf::from).collect(),
            (true, None) => zoo::ENTRIES.iter().map(|entry| PathBuf::from(entry.name)).collect(),
        };
        let bar = terminal::bar(models.len() as u64);
        let mut subjects = Vec::new();
        for path in &models {
            bar.set_message(format!("preparing {}", path.display()));
            let graph = args::graph(path, &self.dims)?;
            let task = Arc::new(Task::new(&graph, rules.clone(), model));
            if task.start_us() <= 0.0 {
                anyhow::bail!("{}: there is nothing to make cheaper: its estimated time is 0", path.display());
            }
            let known_us = match self.objective.quantity() {
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
        bar.finish_and_clear();
        Ok(subjects)
    }

    fn learn(&self, learner: &mut Learner<'_>, run: &mut DreamRun, config: &DreamRunConfig) -> anyhow::Result<()> {
        let bar = terminal::spinner();
        let mut saved = std::time::Instant::now();
        while !learner.is_done() && !interrupt::asked() {
            bar.set_message(doing(learner));
            let unit = learner.advance();
            run.record(learner, &unit).context("the run's folder")?;
            if saved.elapsed().as_secs() >= SAVE_EVERY_SECONDS {
                run.save(learner, config)?;
                saved = std::time::Instant::now();
            }
        }
        bar.finish_and_clear();
        run.save(learner, config)?;
        if !learner.is_done() {
            let round = learner.state().round + 1;
            terminal::note(&format!("stopped in round {round}; the same command goes on from there"));
        }
        Ok(())
    }

    fn show(&self, learner: &mut Learner<'_>) -> anyhow::Result<()> {
        // A run that was stopped before it had played has nothing to be judged by.
        let worth = if learner.is_done() { learner.worth() } else { Vec::new() };
        let scale = learner.config().dreamer.reward_scale;
        let state = learner.state();
        let start = |at: usize| learner.start(at);
        let left = |at: usize, gain: f64| start(at) * (-gain / scale).exp();
        let text = |amount: f64| self.objective.text(amount);
        let dash = "-".to_owned();
        if self.json {
            let row = |(at, subject): (usize, &Subject<'_>)| {
                let worth = worth.get(at).map(|w: &Worth| {
                    json!({
                        "true_candidates": w.candidates / scale, "true_slots": w.slots / scale,
                        "predicted_slots": w.dreamt / scale,
                    })
                });
                let (start, known, best) = (start(at), subject.known_us, state.best_us[at]);
                match self.objective {
                    ObjectiveArg::Time => json!({
                        "model": subject.name, "start_us": start, "search_us": known, "best_us": best, "return": worth,
                    }),
                    ObjectiveArg::Memory | ObjectiveArg::Launches => json!({
                        "model": subject.name, "start": start, "greedy": known, "best": best, "return": worth,
                    }),
                }
            };
            let rows: Vec<_> = learner.subjects().iter().enumerate().map(row).collect();
            return terminal::print_json(&json!({
                "out": self.out, "objective": self.objective.quantity(), "units": state.units, "rounds": state.round, "real_steps": state.real_steps,
                "dream_steps": state.dream_steps, "model_parameters": learner.model().parameters.count(),
                "controller_parameters": state.controller.len(), "models": rows,
            }));
        }
        let rows = learner.subjects().iter().enumerate().map(|(at, subject)| {
            let of = |gain: &dyn Fn(&Worth) -> f64| worth.get(at).map_or(dash.clone(), |w| text(left(at, gain(w))));
            vec![
                subject.name.clone(),
                text(start(at)),
                text(subject.known_us),
                text(state.best_us[at]),
                of(&|w| w.slots),
                of(&|w| w.candidates),
                of(&|w| w.dreamt),
            ]
        });
        let known = if self.objective == ObjectiveArg::Time { ">search" } else { ">greedy" };
        let header = ["model", ">start", known, ">best met", ">controller", ">without slots", ">in its dream"];
        terminal::print(&terminal::table(&header, rows))?;
        terminal::note(&format!("wrote {}", self.out.join("agent.safetensors").display()));
        Ok(())
    }

    fn config(&self, agent: Option<&Agent>, source: Option<&Source>) -> LearnConfig {
        let small = EncoderConfig { width: 16, rounds: 2, ..EncoderConfig::default() };
        let (encoder, horizon, mut model, mut fit, mut practice, rounds, episodes, pretrain) = match self.preset {
            Preset::Debug => (
                small,
                12,
                ModelConfig { hidden: 32, components: 2, slot_width: 32, births: 4, ..ModelConfig::default() },
                FitConfig { epochs: 3, batch: 8, ..FitConfig::default() },
                PracticeConfig { population: 8, dreams: 2, generations: 4, ..PracticeConfig::default() },
                2,
                8,
                10,
            ),
            Preset::Cpu => (
                EncoderConfig::default(),
                32,
                ModelConfig::default(),
                FitConfig::default(),
                PracticeConfig::default(),
                4,
                64,
                200,
            ),
            Preset::H200 => (
                EncoderConfig { width: 128, ..EncoderConfig::default() },
                64,
                ModelConfig { slot_width: 256, ..ModelConfig::default() },
                FitConfig { epochs: 60, batch: 128, ..FitConfig::default() },
                PracticeConfig { population: 128, dreams: 32, generations: 300, ..PracticeConfig::default() },
                8,
                512,
                1000,
            ),
        };
        let (encoder, horizon) = agent.map_or((encoder, horizon), |a| (a.config.encoder, a.config.horizon));
        model.components = self.components.map_or(model.components, |k| k as usize);
        model.hidden = self.hidden.unwrap_or(model.hidden);
        model.normalise_deltas = !self.plain_deltas;
        model.sees_takes = !self.blind;
        fit.epochs = self.epochs.map_or(fit.epochs, |n| n as usize);
        practice.generations = self.generations.map_or(practice.generations, |n| n as usize);
        practice.temperature = self.temperature.unwrap_or(practice.temperature);
        practice.warm_start = !self.cold_start;
        practice.teacher = match self.controller {
            By::Cma => Teacher::Cma,
            By::Ppo => Teacher::Ppo,
            By::Imitation => Teacher::Expert,
            By::Gradient => Teacher::Gradient,
        };
        practice.planning = match self.planning {
            In::Dream | In::None => Planning::Dream,
            In::Exact => Planning::Exact,
            In::Replay => Planning::Replay,
        };
        practice.generations = if self.planning == In::None { 0 } else { practice.generations };
        practice.from_real = self.learn_from_real;
        practice.rollouts = self.rollout_shape;
        let ensemble = EnsembleConfig {
            members: self.ensemble.unwrap_or(1) as usize,
            penalty: self.disagreement_penalty.unwrap_or(0.0),
            explores: self.explore_disagreement,
        };
        let dreamer = DreamerConfig {
            encoder,
            model,
            rank: RANK,
            horizon: self.horizon.map_or(horizon, |h| h as usize),
            reward_scale: agent.map_or(10.0, |a| a.config.reward_scale),
            objective: self.objective.quantity(),
        };
        let dreamer = source.map_or(dreamer, |source| source.settings(dreamer.objective));
        let (rounds, pretrain) = if source.is_some() { (1, 0) } else { (rounds, pretrain) };
        LearnConfig {
            seed: self.seed,
            dreamer,
            pretrain_updates: self.pretrain_updates.unwrap_or(if agent.is_some() { 0 } else { pretrain }),
            rounds: self.rounds.map_or(rounds, |n| n as usize),
            episodes: self.episodes.map_or(episodes, |n| n as usize),
            beginners: match self.beginners {
                First::All => Beginners::All,
                First::Experts => Beginners::Experts,
            },
            aggregate: !self.no_aggregation,
            fit,
            practice,
            ensemble,
            refit: source.map(|_| match self.refit {
                RefitArg::Heads => Refit::Heads,
                RefitArg::All => Refit::All,
            }),
        }
    }
}

/// That another run's episodes mean the same here.
fn check_source(source: &Source, run: &DreamRunConfig) -> anyhow::Result<()> {
    let there = &source.config;
    let pairs = [
        ("rules", there.library == run.library),
        ("models", there.models == run.models),
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
        Phase::Fit { at } => format!("fitting the model: epoch {} of {}", at + 1, config.fit.epochs),
        Phase::Practise { at } => format!("dreaming: {} of {}", at + 1, config.practice.generations),
        Phase::Evaluate | Phase::Done => "playing by the controller".to_owned(),
    };
    format!("round {} of {}: {what}", (learner.state().round + 1).min(config.rounds), config.rounds)
}
