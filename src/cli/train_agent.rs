//! `graphopt train-agent`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::args::{DeviceArgs, DimArgs, RuleArgs};
use super::{Answer, args, interrupt, terminal, units};
use crate::cost::{DeviceProfile, Roofline};
use crate::rl::agent::AgentConfig;
use crate::rl::env::Objective;
use crate::rl::env::Task;
use crate::rl::net::encoder::{EncoderConfig, Gather, Global};
use crate::rl::ppo::PpoConfig;
use crate::rl::run::{FORMAT, Run, RunConfig};
use crate::rl::trainer::{RewardConfig, Subject, TrainConfig, Trainer};
use crate::runtime;
use crate::search::{Budget, Portfolio, Problem, Search};
use crate::zoo;

/// Trains an agent that rewrites graphs, by reinforcement learning (PPO).
///
/// The agent learns on the given models, by the estimated cost of a CPU. Everything goes to the
/// folder --out: the settings (config.json), the numbers of every update (metrics.jsonl, and the same
/// for TensorBoard), learning curves (curves.svg), a checkpoint, and agent.safetensors, which
/// `optimise --search ppo --agent` takes. Run again with the same settings it goes on from its checkpoint;
/// Ctrl-C saves one.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  graphopt train-agent inception_pair --out runs/pair --preset cpu"
)]
pub struct TrainAgent {
    /// Models to train on: .onnx or .json files, or names of built-in models (default: all built-in ones).
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Folder of the run.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A set of settings: debug ends within seconds and learns little, cpu is for a few cores, h200 for a large GPU.
    #[arg(long, value_enum, default_value_t = Preset::Cpu)]
    preset: Preset,
    /// Steps of all environments together until training ends.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    total_timesteps: Option<u64>,
    /// Actions of an episode at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    horizon: Option<u32>,
    /// Environments that are stepped together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    num_envs: Option<u32>,
    /// Width of the embeddings.
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Rounds of the graph network: how far a node sees.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// When the network's global vector is updated.
    #[arg(long, value_enum, default_value_t = GlobalArg::Late)]
    global: GlobalArg,
    /// How a node gathers its edges.
    #[arg(long, value_enum, default_value_t = GatherArg::Mean)]
    gather: GatherArg,
    /// Whether the encoder learns with the policy, or stays as pre-training left it.
    #[arg(long, value_enum, default_value_t = EncoderArg::Trained)]
    encoder: EncoderArg,
    /// Updates of a graph auto-encoder on random rewrites before training (default: none, or 500 for an encoder that is
    /// frozen after them).
    #[arg(long, value_name = "N")]
    pretrain_updates: Option<usize>,
    /// What is rewarded.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::LogBest)]
    objective: ObjectiveArg,
    /// Weights of time, peak of memory and launches, for `--objective weighted`.
    #[arg(long, value_name = "W", num_args = 3, default_values_t = [1.0, 0.0, 0.0], allow_negative_numbers = true)]
    weights: Vec<f64>,
    /// Weight of the shaping potential log(initial / current cost); it changes no optimal policy.
    #[arg(long, value_name = "W", default_value_t = 0.0)]
    shaping: f64,
    /// What each rewrite costs: part of the objective.
    #[arg(long, value_name = "C", default_value_t = 0.0)]
    step_cost: f64,
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

/// See [`Global`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum GlobalArg {
    /// Once, behind the rounds: equal neighbourhoods are computed once.
    Late,
    /// In every round: the full block of Battaglia et al., several times slower.
    Full,
}

/// See [`Gather`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum GatherArg {
    /// Their mean.
    Mean,
    /// A learned weighted mean.
    Attention,
}

/// What becomes of the encoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum EncoderArg {
    /// It learns with the policy.
    Trained,
    /// It stays as the auto-encoder left it: quick, and less able.
    FrozenAfterPretraining,
}

/// See [`Objective`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ObjectiveArg {
    /// log(best before / best after): an episode's rewards sum to log(start / best).
    LogBest,
    /// (before - after) / start.
    Difference,
    /// log(start / best), at the end.
    Terminal,
    /// Differences of time, memory and launches as shares of the start, weighted.
    Weighted,
}

/// Updates of the auto-encoder before its encoder is frozen.
const PRETRAIN_UPDATES: usize = 500;

impl TrainAgent {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let config = self.config();
        config.agent.check().map_err(anyhow::Error::msg)?;
        let rules = Arc::new(self.rules.compile()?);
        let device = self.device.resolve()?;
        if self.device.threads.is_none() {
            // The tensors are small: a second thread of libtorch mostly waits. Environments use all cores anyway.
            runtime::set_threads(1);
        }
        let model = Roofline::new(DeviceProfile::cpu());
        let models = self.models();
        let bar = terminal::bar(models.len() as u64);
        let mut subjects = Vec::new();
        for path in &models {
            bar.set_message(format!("preparing {}", path.display()));
            let graph = args::open(path, &self.dims)?.graph;
            let task = Arc::new(Task::new(&graph, rules.clone(), &model));
            let budget = Budget::default();
            let problem = Problem { graph: task.graph(), rules: &rules, model: &model, budget: &budget };
            let known_us = Portfolio::default().run(&problem, &mut |_| true).1.best_us;
            subjects.push(Subject { name: path.display().to_string(), task, known_us });
            bar.inc(1);
        }
        bar.finish_and_clear();
        let run_config = RunConfig {
            format: FORMAT.to_owned(),
            version: 1,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            library: rules.digest(),
            device: runtime::device_name(device),
            models: subjects.iter().map(|s| s.name.clone()).collect(),
            train: config.clone(),
        };
        let mut trainer = Trainer::new(config, subjects, device)?;
        let (mut run, goes_on) = Run::open(&self.out, &run_config, &mut trainer)?;
        if goes_on {
            terminal::note(&format!(
                "going on with the training in {} at step {}",
                self.out.display(),
                trainer.steps()
            ));
        }
        if !goes_on {
            self.pretrain(&mut trainer);
        }
        interrupt::install_saying("stopping: the training is saved after this update (Ctrl-C again ends at once)");
        self.train(&mut trainer, &mut run, &run_config)?;
        self.show(&trainer)?;
        Ok(Answer::Done)
    }

    fn pretrain(&self, trainer: &mut Trainer<'_>) {
        let bar = terminal::bar(trainer.config().pretrain_updates as u64);
        trainer.pretrain(&mut |update, result| {
            bar.set_position(update as u64 + 1);
            bar.set_message(format!(
                "pre-training: operators {:.0} %, edges {:.0} %",
                100.0 * result.operators_right,
                100.0 * result.edges_right
            ));
        });
        bar.finish_and_clear();
    }

    fn train(&self, trainer: &mut Trainer<'_>, run: &mut Run, config: &RunConfig) -> anyhow::Result<()> {
        let bar = terminal::bar(trainer.config().ppo.total_timesteps);
        let mut saved = std::time::Instant::now();
        while !trainer.is_done() && !interrupt::asked() {
            let update = trainer.update()?;
            if update.taken_back {
                terminal::warning("a loss was no finite number: the update was taken back, and training goes on");
            }
            run.record(trainer.steps(), &update.metrics)?;
            bar.set_position(trainer.steps());
            let number = |key: &str| update.metrics.get(key).map_or("-".to_owned(), |value| format!("{value:.3}"));
            bar.set_message(format!(
                "return {} regret {} KL {} steps/s {}",
                number("charts/episodic_return"),
                number("charts/regret"),
                number("losses/approx_kl"),
                number("charts/SPS").split('.').next().unwrap_or_default(),
            ));
            if saved.elapsed().as_secs() >= SAVE_EVERY_SECONDS {
                run.save(trainer, config)?;
                saved = std::time::Instant::now();
            }
        }
        bar.finish_and_clear();
        run.save(trainer, config)?;
        if interrupt::asked() {
            terminal::note(&format!("stopped at step {}; the same command goes on from there", trainer.steps()));
        }
        Ok(())
    }

    fn show(&self, trainer: &Trainer<'_>) -> anyhow::Result<()> {
        let records: Vec<_> = trainer.records().collect();
        if self.json {
            let row = |(subject, record): &(&Subject<'_>, &crate::rl::trainer::Record)| {
                json!({
                    "model": subject.name, "start_us": subject.task.start_us(), "search_us": subject.known_us,
                    "best_us": record.best_us, "regret": record.regret, "episodes": record.episodes,
                })
            };
            let rows: Vec<_> = records.iter().map(row).collect();
            return terminal::print_json(&json!({
                "out": self.out, "steps": trainer.steps(), "parameters": trainer.agent().parameters.count(), "models": rows,
            }));
        }
        let rows = records.iter().map(|(subject, record)| {
            vec![
                subject.name.clone(),
                units::time(subject.task.start_us()),
                units::time(subject.known_us),
                units::time(record.best_us),
                format!("{:.2} %", 100.0 * record.regret),
                record.episodes.to_string(),
            ]
        });
        let header = ["model", ">start", ">search", ">best in training", ">mean above best known", ">episodes"];
        terminal::print(&terminal::table(&header, rows))?;
        terminal::note(&format!("wrote {}", self.out.join("agent.safetensors").display()));
        Ok(())
    }

    fn models(&self) -> Vec<PathBuf> {
        if self.models.is_empty() {
            zoo::ENTRIES.iter().map(|entry| PathBuf::from(entry.name)).collect()
        } else {
            self.models.clone()
        }
    }

    fn config(&self) -> TrainConfig {
        let (mut ppo, mut encoder, horizon) = match self.preset {
            Preset::Debug => (
                PpoConfig { num_envs: 4, num_steps: 32, total_timesteps: 1024, ..PpoConfig::default() },
                EncoderConfig { width: 16, rounds: 2, ..EncoderConfig::default() },
                16,
            ),
            Preset::Cpu => (PpoConfig::default(), EncoderConfig::default(), 64),
            Preset::H200 => (
                PpoConfig {
                    num_envs: 512,
                    num_steps: 64,
                    total_timesteps: 20_000_000,
                    num_minibatches: 16,
                    ..PpoConfig::default()
                },
                EncoderConfig { width: 128, ..EncoderConfig::default() },
                128,
            ),
        };
        if let Some(steps) = self.total_timesteps {
            ppo.total_timesteps = steps;
        }
        if let Some(count) = self.num_envs {
            ppo.num_envs = count as usize;
        }
        encoder.width = self.width.unwrap_or(encoder.width);
        encoder.rounds = self.rounds.unwrap_or(encoder.rounds);
        encoder.global = match self.global {
            GlobalArg::Late => Global::Late,
            GlobalArg::Full => Global::Full,
        };
        encoder.gather = match self.gather {
            GatherArg::Mean => Gather::Mean,
            GatherArg::Attention => Gather::Attention,
        };
        let horizon = self.horizon.map_or(horizon, |h| h as usize);
        let agent = AgentConfig { encoder, horizon, ..AgentConfig::default() };
        let reward = RewardConfig {
            objective: match self.objective {
                ObjectiveArg::LogBest => Objective::LogBest,
                ObjectiveArg::Difference => Objective::Difference,
                ObjectiveArg::Terminal => Objective::Terminal,
                ObjectiveArg::Weighted => {
                    let [time, memory, launches] = self.weights[..] else { unreachable!("three values are asked for") };
                    Objective::Weighted { time, memory, launches }
                }
            },
            shaping: self.shaping,
            step_cost: self.step_cost,
        };
        let freeze_encoder = self.encoder == EncoderArg::FrozenAfterPretraining;
        let pretrain_updates = self.pretrain_updates.unwrap_or(if freeze_encoder { PRETRAIN_UPDATES } else { 0 });
        TrainConfig { seed: self.seed, agent, ppo, reward, pretrain_updates, freeze_encoder }
    }
}

/// How often a checkpoint is written.
const SAVE_EVERY_SECONDS: u64 = 60;
