//! `graphopt optimise`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use super::agents::{self, OnOneThread};
use super::args::{DeviceArgs, DimArgs, ReachArg, RuleArgs};
use super::latency::{self, LatencyArgs};
use super::{Answer, args, interrupt, outputs, report, terminal, units};
use crate::cost::{self, CostModel, DeviceProfile, Measured, Roofline};
use crate::formats::{self, Imported, model::Format};
use crate::rewrite::RuleSet;
use crate::rl::decode::{BEAM_WIDTH, Decoding, PPO_PORTFOLIO, PolicySearch};
use crate::rl::dream::plan::Proposals;
use crate::rl::dream::waking::lookahead::Way;
use crate::rl::dream::waking::search::DreamSearch;
use crate::rl::latency::active::Learned;
use crate::rl::latency::law::Source;
use crate::rl::latency::search::LearnedLatency;
use crate::runtime;
use crate::search::{
    Backtracking, Budget, Event, Greedy, OptimiseError, Outcome, Portfolio, Progress, Relay, Search, Settings,
    StopReason,
};

/// Searches for a cheaper graph that computes the same function, checks it, and writes it.
///
/// Rewrites come from a library of substitutions (see `explain`). Of the graphs found, those
/// that promise most are timed against the original, and the fastest is taken. The result is
/// compared with the original on random inputs before it is written in the format of OUT's
/// ending. Ctrl-C stops the search and keeps the best graph found so far.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  graphopt optimise model.onnx -o faster.onnx
  graphopt optimise squeezenet1_1 --search greedy --dry-run --json"
)]
pub struct Optimise {
    /// A .onnx or .json file, or the name of a built-in model.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The file to write [default: MODEL's name with `.optimised` before its ending, in the current folder].
    #[arg(short, long, value_name = "OUT", conflicts_with = "dry_run")]
    output: Option<PathBuf>,
    /// How to search.
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Method::Portfolio)]
    search: Method,
    /// The agent of a search that has one, as `train-agent` (default: the built-in one) or `train-world-model` writes it
    /// (agent.safetensors).
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Where the costs that the search goes by come from.
    #[arg(long, value_enum, value_name = "SOURCE", default_value_t = CostSource::Roofline)]
    cost: CostSource,
    /// How much dearer than the best a graph may be and still be followed (not greedy), as a factor.
    #[arg(long, value_name = "A", default_value_t = 1.05, value_parser = at_least_one)]
    alpha: f64,
    /// How many rewritten graphs to take from the queue and to try in look-ahead, or rewrites to apply (greedy), at most.
    #[arg(long, value_name = "N", default_value_t = Budget::default().pops)]
    budget: usize,
    /// How far one rewrite reaches (in searches by a world model: one place).
    #[arg(long, value_enum, default_value_t = ReachArg::One)]
    reach: ReachArg,
    /// How long to search at most, in seconds.
    #[arg(long, value_name = "S", value_parser = args::positive)]
    time: Option<f64>,
    /// Learns from N measurements of whole graphs how long operators take here, and lets the search go by that; they are
    /// chosen where the learned costs are least sure (docs/latency.md).
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000),
        conflicts_with_all = ["no_measure", "stop_after", "file"]
    )]
    learn_latency: Option<u32>,
    /// Writes what was learned to this file, for --latency.
    #[arg(long, value_name = "FILE", requires = "learn_latency")]
    latency_out: Option<PathBuf>,
    #[command(flatten)]
    latency: LatencyArgs,
    /// Takes the search's result as it is, without timing it against the original.
    #[arg(long)]
    no_measure: bool,
    /// Stops after N rewrites, for finding the one that is at fault.
    #[arg(long, value_name = "N")]
    stop_after: Option<usize>,
    /// Writes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Seed of the random inputs that the check and the timing use, and of searches and measurements that draw.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Prints one JSON document on stdout instead of the tables.
    #[arg(long)]
    json: bool,
}

/// A way to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Greedy, then look-ahead around its result, then backtracking: the best of all.
    Portfolio,
    /// Best-first over whole graphs: finds gains that cost something on the way.
    Backtracking,
    /// The rewrite that gains most, again and again: fastest.
    Greedy,
    /// A trained agent: its likeliest episode, then others drawn from its policy.
    Ppo,
    /// The same with half of the budget, then the portfolio from where that ended and from the start.
    PpoPortfolio,
    /// Its likeliest episode alone.
    PpoGreedy,
    /// Its likeliest few paths side by side.
    PpoBeam,
    /// Best-first search guided by the agent's policy and value.
    Guided,
    /// A controller that was trained in the dream of a world model.
    Dream,
    /// Every first action, then the controller's, imagined by the world model; the first of what is worth most.
    Mpc,
    /// The same with random actions behind the first.
    MpcRandom,
    /// The same with whole paths by the cross-entropy method.
    MpcCem,
    /// Root search: few simulations of rewrites that the controller likes, each made for real.
    Gumbel,
    /// The same with simulations that the world model imagines.
    GumbelDream,
}

impl Method {
    fn has_agent(self) -> bool {
        !matches!(self, Method::Portfolio | Method::Greedy | Method::Backtracking)
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// A source of costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CostSource {
    /// An estimate from arithmetic, memory traffic and launches: the same on every machine.
    Roofline,
    /// Each operator timed on the device when it is first met, and kept in a cache for later runs.
    Measured,
}

fn at_least_one(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 1.0);
    number.ok_or_else(|| "expected a number of at least 1".to_owned())
}

impl Optimise {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        if self.agent.is_some() && !self.search.has_agent() {
            bail!("--agent goes with a search that has an agent; this is --search {}", self.search.name());
        }
        let output = self.output_path()?;
        if let Some(path) = &self.latency_out {
            let others: Vec<&Path> = output.as_deref().into_iter().chain([self.model.as_path()]).collect();
            latency::check_output(path, &others)?;
        }
        let rules = Arc::new(self.rules.compile()?);
        let imported = args::open(&self.model, &self.dims)?;
        if let Some(output) = &output {
            self.check_data(&imported, output)?;
        }
        args::check_memory(&self.model, &imported.graph)?;
        tell_opaque(&imported);
        let device = self.device.resolve()?;
        let costs = Costs::of(self.cost, device)?;
        let lesson = self.latency.load(costs.model())?;
        if let Some(lesson) = &lesson {
            lesson.tell_of_device(device);
            lesson.check(&self.model.display().to_string(), costs.model(), &imported.graph)?;
        }
        let corrected = lesson.as_ref().map(|lesson| lesson.correct(costs.model()));
        let model: &dyn CostModel = corrected.as_ref().map_or(costs.model(), |corrected| corrected);
        let backtracking = Backtracking { alpha: self.alpha, ..Backtracking::default() };
        let search: Box<dyn Search> = match self.search {
            Method::Portfolio => Box::new(Portfolio { backtracking }),
            Method::Greedy => Box::new(Greedy),
            Method::Backtracking => Box::new(backtracking),
            Method::Ppo => Box::new(self.agent(Decoding::Samples, &rules, device)?),
            Method::PpoPortfolio => {
                let first = self.agent(Decoding::Samples, &rules, device)?;
                Box::new(Relay { name: PPO_PORTFOLIO, first, second: Portfolio { backtracking } })
            }
            Method::PpoGreedy => Box::new(self.agent(Decoding::Greedy, &rules, device)?),
            Method::PpoBeam => Box::new(self.agent(Decoding::Beam { width: BEAM_WIDTH }, &rules, device)?),
            Method::Guided => Box::new(self.agent(Decoding::Guided, &rules, device)?),
            Method::Dream => self.with_dreamer(Way::Controller, &rules, device)?,
            Method::Mpc => self.with_dreamer(Way::Mpc(Proposals::Controller), &rules, device)?,
            Method::MpcRandom => self.with_dreamer(Way::Mpc(Proposals::Random), &rules, device)?,
            Method::MpcCem => self.with_dreamer(Way::Cem, &rules, device)?,
            Method::Gumbel => self.with_dreamer(Way::Gumbel, &rules, device)?,
            Method::GumbelDream => self.with_dreamer(Way::GumbelDream, &rules, device)?,
        };
        // Measuring and checking have all threads again afterwards.
        let on_one_thread = self.search.has_agent() && self.device.threads.is_none();
        let search = if on_one_thread { Box::new(OnOneThread(search)) } else { search };
        let learner =
            self.learn_latency.map(|count| LearnedLatency::new(search.as_ref(), count as usize, device, self.seed));
        let settings = Settings {
            search: learner.as_ref().map_or(search.as_ref(), |learner| learner),
            budget: Budget {
                pops: self.budget,
                time: self.time.map(Duration::try_from_secs_f64).transpose().context("--time is too long")?,
                max_rewrites: self.stop_after,
                reach: self.reach.into(),
            },
            model,
            device,
            measure: !self.no_measure,
            seed: self.seed,
            check_inputs: 3,
        };
        interrupt::install();
        let bar = terminal::spinner();
        let outcome =
            crate::search::optimise(&imported, &rules, &settings, &mut |event| follow(&bar, event, learner.as_ref()));
        bar.finish_and_clear();
        costs.keep();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error @ OptimiseError::Differs(_)) => {
                terminal::error(&format!("{}: {error}; --stop-after finds the rewrite", self.model.display()));
                return Ok(Answer::No);
            }
            Err(error) => return Err(error).with_context(|| self.model.display().to_string()),
        };
        if outcome.search.stop_reason == StopReason::Interrupted {
            terminal::note("the search was stopped: this is the best graph found until then");
        }
        if let Some(path) = &output {
            formats::save(&outcome.model, path)?;
        }
        let learned = learner.as_ref().and_then(LearnedLatency::learned).and_then(|learned| match learned {
            Ok(learned) => Some(learned),
            Err(why) => {
                terminal::warning(&format!("nothing was learned, since the model cannot be measured: {why}"));
                None
            }
        });
        if let Some(path) = &self.latency_out {
            let (model, costs) = (self.model.display().to_string(), model.name());
            let (device, threads) = (runtime::device_name(device), runtime::threads());
            latency::write(path, learned.as_ref(), Source { model, device, threads, costs })?;
        }
        self.show(&outcome, model.name(), output.as_deref(), learned.as_ref())?;
        Ok(Answer::Done)
    }

    /// A search by the agent of `--agent`, or the built-in one.
    fn agent(&self, decoding: Decoding, rules: &RuleSet, device: tch::Device) -> anyhow::Result<PolicySearch> {
        let agent = agents::load(self.agent.as_deref(), &rules.digest(), device)?;
        Ok(PolicySearch::new(agent, decoding, self.seed))
    }

    /// A search by the world model and the controller of `--agent`.
    fn with_dreamer(&self, way: Way, rules: &RuleSet, device: tch::Device) -> anyhow::Result<Box<dyn Search>> {
        let dreamer = agents::dreamer(self.agent.as_deref(), &rules.digest(), device)?;
        Ok(Box::new(DreamSearch::new(dreamer, way, self.seed)))
    }

    /// That the output is none of the files that hold the input's tensors.
    fn check_data(&self, imported: &Imported, output: &Path) -> anyhow::Result<()> {
        let Ok(output) = output.canonicalize() else { return Ok(()) };
        let folder = self.model.parent().unwrap_or(Path::new(""));
        let mut files = imported.model.source.iter().flat_map(|source| source.files.keys());
        if files.any(|name| folder.join(name).canonicalize().is_ok_and(|file| file == output)) {
            bail!("{}: tensors of the input are in this file, which is never written over", output.display());
        }
        Ok(())
    }

    fn show(
        &self,
        outcome: &Outcome,
        cost_model: String,
        output: Option<&Path>,
        learned: Option<&Learned>,
    ) -> anyhow::Result<()> {
        let context = report::Context { model: &self.model, output, cost_model, seed: self.seed, learned };
        if self.json {
            terminal::print_json(&report::document(outcome, &context))?;
        } else {
            terminal::print(&report::text(outcome, &context))?;
        }
        if let Some(path) = output {
            terminal::note(&format!("wrote {}", path.display()));
        }
        Ok(())
    }

    /// Where the result goes; `None` if nothing is to be written. What cannot be written is told before the work begins.
    fn output_path(&self) -> anyhow::Result<Option<PathBuf>> {
        if self.dry_run {
            return Ok(None);
        }
        let path = match &self.output {
            Some(path) => path.clone(),
            None => default_output(&self.model)?,
        };
        if Format::of(&path).is_none() {
            bail!("{}: a model's file ends in .onnx or .json", path.display());
        }
        outputs::check(&path, &[&self.model])?;
        Ok(Some(path))
    }
}

/// The costs that the search goes by.
enum Costs {
    Roofline(Roofline),
    Measured(Measured),
}

impl Costs {
    fn of(source: CostSource, device: tch::Device) -> anyhow::Result<Costs> {
        let profile = if device.is_cuda() { DeviceProfile::cuda() } else { DeviceProfile::cpu() };
        Ok(match source {
            CostSource::Roofline => Costs::Roofline(Roofline::new(profile)),
            CostSource::Measured => Costs::Measured(Measured::new(device, cost::cache_folder().as_deref())?),
        })
    }

    fn model(&self) -> &dyn CostModel {
        match self {
            Costs::Roofline(model) => model,
            Costs::Measured(model) => model,
        }
    }

    /// Keeps what was measured for later runs.
    fn keep(&self) {
        if let Costs::Measured(model) = self
            && let Err(error) = model.save()
        {
            terminal::warning(&format!("the measured costs could not be kept: {error}"));
        }
    }
}

/// `STEM.optimised.EXT` in the current folder.
fn default_output(model: &Path) -> anyhow::Result<PathBuf> {
    let stem = model.file_stem().with_context(|| format!("{}: this names no file", model.display()))?;
    let ending = match Format::of(model) {
        Some(Format::Onnx) => "onnx",
        // A built-in model has no ending.
        Some(Format::Json) | None => "json",
    };
    let mut name = stem.to_owned();
    name.push(format!(".optimised.{ending}"));
    Ok(PathBuf::from(name))
}

fn tell_opaque(imported: &Imported) {
    let opaque = args::opaque(imported);
    if let Some((node, why)) = opaque.first() {
        let others = if opaque.len() > 1 { format!(", and {} others", opaque.len() - 1) } else { String::new() };
        terminal::note(&format!("kept as they are: {node} ({why}){others}; `graphopt inspect` lists them"));
    }
}

/// Shows how far the work is, and tells whether to go on searching.
fn follow(bar: &ProgressBar, event: Event, learner: Option<&LearnedLatency<'_>>) -> bool {
    match (event, learner.map(LearnedLatency::spent)) {
        (Event::Stage(stage), _) => bar.set_message(stage),
        (Event::Searching(progress), None) => bar.set_message(searching(&progress)),
        (Event::Searching(Progress { pops, start_us, best_us }), Some((spent, most))) => {
            let change = units::change(start_us, best_us);
            bar.set_message(format!("searching: {pops} graphs, {spent} of {most} measured, {change}"));
        }
    }
    !interrupt::asked()
}

fn searching(progress: &Progress) -> String {
    let Progress { pops, start_us, best_us } = *progress;
    let change = units::change(start_us, best_us);
    format!("searching: {pops} graphs, {} -> {} {change}", units::time(start_us), units::time(best_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_output_lies_in_the_current_folder_and_is_never_the_input() {
        let of = |text: &str| default_output(Path::new(text)).unwrap();
        assert_eq!(of("a/b/net.v2.onnx"), Path::new("net.v2.optimised.onnx"));
        assert_eq!(of("net.JSON"), Path::new("net.optimised.json"));
        assert_eq!(of("gpt2"), Path::new("gpt2.optimised.json"));
        assert!(default_output(Path::new("..")).is_err());
    }
}
