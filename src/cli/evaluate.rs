//! `graphopt evaluate`.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::args::{DeviceArgs, DimArgs, ReachArg, RuleArgs};
use super::latency::LatencyArgs;
use super::{Answer, agents, args, interrupt, terminal, units};
use crate::cost::{CostModel, DeviceProfile, Roofline};
use crate::rewrite::clean_up;
use crate::rl::agent::AgentConfig;
use crate::rl::decode::{BEAM_WIDTH, Decoding, PPO_PORTFOLIO, PolicySearch};
use crate::rl::dream::waking::lookahead::Way;
use crate::rl::dream::waking::search::DreamSearch;
use crate::rl::random_search::RandomSearch;
use crate::search::{Backtracking, Budget, Greedy, Portfolio, Problem, Relay, Search};
use crate::zoo;

/// Compares the search methods on models, each with the same budget.
///
/// Greedy, backtracking, the default portfolio and random rewriting; with --agent also the agent's
/// likeliest episode, draws from its policy, the same followed by the portfolio, a beam, and best-first
/// search guided by it; with what `train-world-model` wrote, the searches by its world model and
/// controller. The score of a result is the share of the largest known gain that it reaches:
/// (start - result) / (start - best of all). Methods that draw random numbers run with several seeds;
/// their mean is given, with the standard deviation. A rewritten graph counts once against the budget,
/// in every method.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  graphopt evaluate inception_pair nasrnn_4 --budget 2000 --agent built-in"
)]
pub struct Evaluate {
    /// Models: .onnx or .json files, names of built-in models, or valley_DEPTH_BLOCKS (default: all built-in models).
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// An agent, as `train-agent` or `train-world-model` writes it (agent.safetensors), or `built-in`.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Runs these methods alone, by their names in the table.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    methods: Vec<String>,
    /// Rewritten graphs for each method.
    #[arg(long, value_name = "N", default_value_t = Budget::default().pops)]
    budget: usize,
    /// Seconds for each method, beside the budget.
    #[arg(long, value_name = "S", value_parser = args::positive)]
    time: Option<f64>,
    /// How much dearer than the best a graph may be and still be followed in backtracking, as a factor.
    #[arg(long, value_name = "A", default_value_t = 1.05)]
    alpha: f64,
    /// How far one rewrite reaches, in every method but those by a world model.
    #[arg(long, value_enum, default_value_t = ReachArg::One)]
    reach: ReachArg,
    /// Runs of each method that draws random numbers.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    latency: LatencyArgs,
    #[command(flatten)]
    dims: DimArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Prints one JSON document with every run on stdout instead of the table.
    #[arg(long)]
    json: bool,
}

/// One run of one method on one model.
struct Row {
    model: String,
    method: &'static str,
    seed: Option<u64>,
    start_us: f64,
    best_us: f64,
    pops: usize,
    seconds: f64,
}

/// A method, with its seed if it draws.
struct Method {
    search: Box<dyn Search>,
    seed: Option<u64>,
}

impl Evaluate {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        if !(self.alpha.is_finite() && self.alpha >= 1.0) {
            bail!("--alpha {}: a factor is at least 1", self.alpha);
        }
        let rules = Arc::new(self.rules.compile()?);
        let device = self.device.resolve_for_small_tensors()?;
        let budget = Budget {
            pops: self.budget,
            time: self.time.map(Duration::try_from_secs_f64).transpose().context("--time is too long")?,
            max_rewrites: None,
            reach: self.reach.into(),
        };
        let methods = self.methods(&rules.digest(), device)?;
        let models: Vec<PathBuf> = match self.models.is_empty() {
            true => zoo::ENTRIES.iter().map(|entry| PathBuf::from(entry.name)).collect(),
            false => self.models.clone(),
        };
        let estimate = Roofline::new(DeviceProfile::cpu());
        let lesson = self.latency.load(&estimate)?;
        let corrected = lesson.as_ref().map(|lesson| lesson.correct(&estimate));
        let costs: &dyn CostModel = corrected.as_ref().map_or(&estimate, |corrected| corrected);
        interrupt::install_saying("stopping: what was run is shown (Ctrl-C again ends at once)");
        let bar = terminal::bar((models.len() * methods.len()) as u64);
        let mut rows = Vec::new();
        'models: for path in &models {
            let mut graph = args::graph(path, &self.dims)?;
            clean_up(&mut graph);
            graph.commit();
            if let Some(lesson) = &lesson {
                lesson.check(&path.display().to_string(), &estimate, &graph)?;
            }
            for method in &methods {
                bar.set_message(format!("{}: {}", path.display(), method.search.name()));
                rows.push(run(
                    &path.display().to_string(),
                    &Problem { graph: &graph, rules: &rules, model: costs, budget: &budget },
                    method,
                ));
                bar.inc(1);
                if interrupt::asked() {
                    break 'models;
                }
            }
        }
        bar.finish_and_clear();
        if self.json {
            terminal::print_json(&document(&rows, &budget))?;
        } else {
            terminal::print(&table(&rows))?;
        }
        Ok(Answer::Done)
    }

    fn methods(&self, library: &str, device: tch::Device) -> anyhow::Result<Vec<Method>> {
        let fixed = |search: Box<dyn Search>| Method { search, seed: None };
        let backtracking = Backtracking { alpha: self.alpha, ..Backtracking::default() };
        let mut methods =
            vec![fixed(Box::new(Greedy)), fixed(Box::new(backtracking)), fixed(Box::new(Portfolio { backtracking }))];
        let Some(end) = self.seed.checked_add(self.seeds) else {
            bail!("--seed {}: there are no {} seeds from there", self.seed, self.seeds);
        };
        let seeds = self.seed..end;
        let (mut agent, mut dreamer) = (None, None);
        match &self.agent {
            Some(path) if agents::is_dreamer(path) => dreamer = Some(agents::dreamer(Some(path), library, device)?),
            Some(path) => agent = Some(agents::load(Some(path), library, device)?),
            None => {}
        }
        let horizon = match (&agent, &dreamer) {
            (Some(agent), _) => agent.config.horizon,
            (None, Some(dreamer)) => dreamer.config.horizon,
            (None, None) => AgentConfig::default().horizon,
        };
        for seed in seeds.clone() {
            methods.push(Method { search: Box::new(RandomSearch { horizon, seed }), seed: Some(seed) });
        }
        if let Some(agent) = agent {
            let agent = Rc::new(RefCell::new(agent));
            let of = |decoding, seed| Box::new(PolicySearch::shared(agent.clone(), decoding, seed));
            methods.push(fixed(of(Decoding::Greedy, 0)));
            for seed in seeds.clone() {
                methods.push(Method { search: of(Decoding::Samples, seed), seed: Some(seed) });
            }
            for seed in seeds {
                let first = PolicySearch::shared(agent.clone(), Decoding::Samples, seed);
                let relay = Relay { name: PPO_PORTFOLIO, first, second: Portfolio { backtracking } };
                methods.push(Method { search: Box::new(relay), seed: Some(seed) });
            }
            methods.push(fixed(of(Decoding::Beam { width: BEAM_WIDTH }, 0)));
            methods.push(fixed(of(Decoding::Guided, 0)));
        } else if let Some(dreamer) = dreamer {
            let dreamer = Rc::new(RefCell::new(Some(dreamer)));
            for (way, seed) in Way::ALL.into_iter().flat_map(|way| seeds.clone().map(move |seed| (way, seed))) {
                let search = Box::new(DreamSearch::shared(dreamer.clone(), way, seed));
                methods.push(Method { search, seed: Some(seed) });
            }
        }
        let has = |name: &String| methods.iter().any(|method| method.search.name() == name);
        if let Some(unknown) = self.methods.iter().find(|name| !has(name)) {
            let mut names: Vec<&str> = methods.iter().map(|method| method.search.name()).collect();
            names.dedup();
            bail!("--methods {unknown}: there are {}; some need --agent", names.join(", "));
        }
        let is_asked =
            |method: &Method| self.methods.is_empty() || self.methods.iter().any(|n| n == method.search.name());
        methods.retain(is_asked);
        Ok(methods)
    }
}

fn run(model: &str, problem: &Problem<'_>, method: &Method) -> Row {
    let start_us = crate::cost::graph_cost(problem.model, problem.graph).time_us;
    let (_, report) = method.search.run(problem, &mut |_| !interrupt::asked());
    Row {
        model: model.to_owned(),
        method: report.method,
        seed: method.seed,
        start_us,
        best_us: report.best_us,
        pops: report.counts.pops,
        seconds: report.seconds,
    }
}

/// The least cost that any method reached on a model.
fn best_of(rows: &[Row], model: &str) -> f64 {
    let own = rows.iter().filter(|row| row.model == model);
    own.map(|row| row.best_us.min(row.start_us)).fold(f64::INFINITY, f64::min)
}

/// The share of the largest known gain that a run reached; `None` where nothing gains.
fn score(row: &Row, best_us: f64) -> Option<f64> {
    let gain = row.start_us - best_us;
    (gain > 1e-6).then(|| (row.start_us - row.best_us) / gain)
}

fn document(rows: &[Row], budget: &Budget) -> serde_json::Value {
    let row = |row: &Row| {
        json!({
            "model": row.model, "method": row.method, "seed": row.seed, "start_us": row.start_us,
            "best_us": row.best_us, "score": score(row, best_of(rows, &row.model)), "pops": row.pops,
            "seconds": row.seconds,
        })
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    json!({"budget": budget.pops, "time": budget.time.map(|t| t.as_secs_f64()), "runs": rows})
}

fn table(rows: &[Row]) -> String {
    let mut methods: Vec<&str> = Vec::new();
    let mut models: Vec<&str> = Vec::new();
    for row in rows {
        if !methods.contains(&row.method) {
            methods.push(row.method);
        }
        if !models.contains(&row.model.as_str()) {
            models.push(&row.model);
        }
    }
    let line = |model: &&str| {
        let best_us = best_of(rows, model);
        let start_us = rows.iter().find(|row| row.model == *model).map_or(0.0, |row| row.start_us);
        let cell = |method: &&str| {
            let own = rows.iter().filter(|row| row.model == *model && row.method == *method);
            let scores: Vec<f64> = own.filter_map(|row| score(row, best_us)).collect();
            match scores.len() {
                0 => "-".to_owned(),
                1 => format!("{:.3}", scores[0]),
                n => {
                    let mean = scores.iter().sum::<f64>() / n as f64;
                    let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
                    format!("{mean:.3} ± {:.3}", variance.sqrt())
                }
            }
        };
        let mut line = vec![(*model).to_owned(), units::time(start_us), units::time(best_us)];
        line.extend(methods.iter().map(cell));
        line
    };
    let titles: Vec<String> = methods.iter().map(|method| format!(">{method}")).collect();
    let mut header = vec!["model", ">start", ">best"];
    header.extend(titles.iter().map(String::as_str));
    terminal::table(&header, models.iter().map(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_shares_of_the_largest_gain_and_draws_are_averaged() {
        let row = |model: &str, method, seed, best_us| Row {
            model: model.to_owned(),
            method,
            seed,
            start_us: 100.0,
            best_us,
            pops: 1,
            seconds: 0.0,
        };
        let rows = [
            row("a", "greedy", None, 80.0),
            row("a", "random", Some(0), 90.0),
            row("a", "random", Some(1), 100.0),
            row("b", "greedy", None, 100.0),
        ];
        assert_eq!(score(&rows[0], best_of(&rows, "a")), Some(1.0));
        assert_eq!(score(&rows[1], best_of(&rows, "a")), Some(0.5));
        assert_eq!(score(&rows[3], best_of(&rows, "b")), None);
        let text = table(&rows);
        assert!(text.contains("1.000") && text.contains("0.250 ± 0.354") && text.lines().count() == 3, "{text}");
    }
}
