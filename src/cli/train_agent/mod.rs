//! `graphopt train-agent`.

mod settings;
mod subjects;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use self::settings::SettingsArgs;
use self::subjects::SubjectArgs;
use super::args::{DeviceArgs, RuleArgs};
use super::latency::LatencyArgs;
use super::{Answer, args, interrupt, terminal, units};
use crate::cost::{CostModel, DeviceProfile, Roofline};
use crate::rl::agent::Agent;
use crate::rl::env::Objective;
use crate::rl::latency::Latency;
use crate::rl::run::{FORMAT, Run, RunConfig, check_folder};
use crate::rl::trainer::{Record, Subject, Trainer};
use crate::runtime;

/// Trains an agent that rewrites graphs, by reinforcement learning (PPO).
///
/// The agent learns on the given models and on graphs drawn from the built-in ones, by the estimated
/// cost of a CPU or by time measured on the device. Everything goes to the folder --out: the settings
/// (config.json), the numbers of every update (metrics.jsonl, and the same for TensorBoard), learning
/// curves (curves.svg), a checkpoint, and agent.safetensors, which `optimise --search ppo --agent`
/// takes. Run again with the same settings it goes on from its checkpoint; Ctrl-C saves one.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  graphopt train-agent inception_pair --out runs/pair --preset cpu
  graphopt train-agent --draw 200 --hold-out recurrent --out runs/general
  graphopt train-agent bert_base --init runs/general/agent.safetensors --total-timesteps 20000 --out runs/bert"
)]
pub struct TrainAgent {
    #[command(flatten)]
    subjects: SubjectArgs,
    /// Folder of the run.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Begins with this agent (agent.safetensors), and its network.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    latency: LatencyArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Prints one JSON document on stdout instead of the table.
    #[arg(long)]
    json: bool,
}

impl TrainAgent {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        self.settings.check()?;
        check_folder(&self.out)?;
        let device = self.device.resolve_for_small_tensors()?;
        let init = self.init.as_deref().map(|path| Agent::load(path, device)).transpose()?;
        let config = self.settings.config(init.as_ref().map(|(agent, _)| agent.config.encoder));
        config.agent.check().map_err(anyhow::Error::msg)?;
        let rules = Arc::new(self.rules.compile()?);
        let estimate = Roofline::new(DeviceProfile::cpu());
        let lesson = self.latency.load(&estimate)?;
        let corrected = lesson.as_ref().map(|lesson| lesson.correct(&estimate));
        let model: &dyn CostModel = corrected.as_ref().map_or(&estimate, |corrected| corrected);
        let (subjects, draw) = self.subjects.prepare(&rules, model)?;
        if let Some(lesson) = &lesson {
            lesson.check_all(&subjects, &estimate)?;
        }
        let run_config = RunConfig {
            format: FORMAT.to_owned(),
            version: 1,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            library: rules.digest(),
            device: runtime::device_name(device),
            models: subjects.iter().map(|s| s.name.clone()).collect(),
            draw,
            init: self.init.as_deref().map(args::digest).transpose()?,
            latency: lesson.as_ref().map(|lesson| lesson.digest.clone()),
            train: config.clone(),
        };
        let latency = match config.reward.objective {
            Objective::Measured { .. } => Some(measured(&subjects, device)?),
            _ => None,
        };
        let mut trainer = Trainer::new(config, subjects, device)?;
        if let Some((agent, _)) = &init {
            trainer.start_from(agent)?;
        }
        if let Some(latency) = &latency {
            trainer.measure_with(latency);
        }
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
        self.show(&trainer, latency.as_deref())?;
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

    fn show(&self, trainer: &Trainer<'_>, latency: Option<&Latency>) -> anyhow::Result<()> {
        let records: Vec<_> = trainer.records().collect();
        if self.json {
            let row = |(subject, record): &(&Subject<'_>, &Record)| {
                json!({
                    "model": subject.name, "start_us": subject.task.start_us(), "search_us": subject.known_us,
                    "best_us": record.best_us, "regret": record.regret, "episodes": record.episodes,
                })
            };
            let rows: Vec<_> = records.iter().map(row).collect();
            return terminal::print_json(&json!({
                "out": self.out, "steps": trainer.steps(), "parameters": trainer.agent().parameters.count(), "models": rows,
                "measurements": latency.map(Latency::measurements),
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
}

/// What measures the subjects, all of which run.
fn measured(subjects: &[Subject<'_>], device: tch::Device) -> anyhow::Result<Arc<Latency>> {
    let latency = Latency::new(device);
    for subject in subjects {
        args::check_memory(Path::new(&subject.name), subject.task.graph())?;
        if !latency.of(subject.task.graph()).is_finite() {
            bail!("{}: it does not run as a whole, so its time cannot be measured", subject.name);
        }
    }
    Ok(Arc::new(latency))
}

/// How often a checkpoint is written.
const SAVE_EVERY_SECONDS: u64 = 60;
