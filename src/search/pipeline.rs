//! The main job: from an imported model to a checked, cheaper one.
//!
//! clean-up, search, choice among a handful of candidates by measuring, folding, check against the original, export.

use std::collections::BTreeMap;
use std::sync::Arc;

use tch::Device;

use crate::cost::{self, Cost, CostModel};
use crate::formats::export::{ExportError, export};
use crate::formats::import::Imported;
use crate::formats::model::Model;
use crate::graph::{Graph, Op};
use crate::rewrite::{CleanUp, RuleSet, clean_up};
use crate::runtime::{self, CompareError, CompareOptions, Equivalence, Weights};

use super::choose::{Chosen, Contender, Measuring, choose};
use super::{Budget, Greedy, Problem, Progress, Report, Search, Step, Stopwatch};

/// What is asked of [`optimise`].
pub struct Settings<'a> {
    /// The search.
    pub search: &'a dyn Search,
    /// Its bounds.
    pub budget: Budget,
    /// Estimates costs.
    pub model: &'a dyn CostModel,
    /// Where candidates are timed, and the result is checked.
    pub device: Device,
    /// Whether candidates are timed whole, and a loss beyond noise is vetoed.
    pub measure: bool,
    /// Seed of the inputs of the check and of the timing.
    pub seed: u64,
    /// Random inputs that the check tries.
    pub check_inputs: usize,
}

/// What happens while [`optimise`] works.
#[derive(Clone, Debug)]
pub enum Event {
    /// A part of the work begins.
    Stage(&'static str),
    /// The search goes on.
    Searching(Progress),
}

/// A graph in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Operators applied, constants not counted.
    pub nodes: usize,
    /// What it costs.
    pub cost: Cost,
    /// Bytes of the weights that inference reads.
    pub weight_bytes: u64,
}

/// What came of it.
pub struct Outcome {
    /// The optimised model, ready to be written; equal to the original if nothing helped.
    pub model: Model,
    /// Its graph before folding.
    pub graph: Graph,
    /// The original.
    pub before: Summary,
    /// The result.
    pub after: Summary,
    /// Nodes that are not understood.
    pub opaque_nodes: usize,
    /// Rewrites that named dimensions without a size kept from being judged: values whose type has such a dimension.
    pub symbolic_values: usize,
    /// What the first clean-up did.
    pub clean_up: CleanUp,
    /// What the search did.
    pub search: Report,
    /// Rewrites that lead to the result: those of the search, unless another graph was taken.
    pub applied: Vec<Step>,
    /// Which graph was taken, and why.
    pub chosen: Chosen,
    /// The comparison with the original.
    pub check: Equivalence,
    /// Where the time went: (part, seconds).
    pub seconds: Vec<(&'static str, f64)>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum OptimiseError {
    /// The result could not be compared with the original.
    #[error("the result could not be checked: {0}")]
    Check(#[from] CompareError),
    /// The result computes something else: a fault of a rule or of ours, and nothing is written.
    #[error("the optimised graph differs from the original ({0}); nothing was written")]
    Differs(String),
    /// The result cannot be written for the model's operator set.
    #[error("the result cannot be written: {0}")]
    Export(#[from] ExportError),
}

/// Optimises a model. `events` is told of progress and may stop the search by returning false; the best graph found so far
/// is then the result.
///
/// # Errors
/// See [`OptimiseError`].
pub fn optimise(
    imported: &Imported,
    rules: &Arc<RuleSet>,
    settings: &Settings<'_>,
    events: &mut dyn FnMut(Event) -> bool,
) -> Result<Outcome, OptimiseError> {
    let mut seconds = Vec::new();
    let original = &imported.graph;
    let before = summary(settings.model, original);

    events(Event::Stage("searching"));
    let watch = Stopwatch::start(None);
    let mut clean = original.clone();
    let cleaned = clean_up(&mut clean);
    clean.commit();
    let mut searching = |progress: &Progress| events(Event::Searching(*progress));
    let problem = Problem { graph: &clean, rules, model: settings.model, budget: &settings.budget };
    let (best, report) = settings.search.run(&problem, &mut searching);
    seconds.push(("search", watch.seconds()));

    let watch = Stopwatch::start(None);
    let mut contenders = vec![Contender {
        from: "search".into(),
        graph: best,
        estimate_us: report.best_us,
        applied: report.applied.clone(),
    }];
    if settings.measure {
        events(Event::Stage("measuring"));
        contenders.extend(settings.search.runners_up(&problem));
        contenders.extend(rivals(&problem, &report));
    }
    let start = Contender {
        from: "original".into(),
        graph: original.clone(),
        estimate_us: before.cost.time_us,
        applied: Vec::new(),
    };
    let measuring = settings.measure.then_some(Measuring { device: settings.device, seed: settings.seed });
    // Weights that are drawn by rule are drawn once for measuring, checking and folding.
    let mut weights = Weights::default();
    let (Contender { graph, applied, .. }, chosen) = choose(start, contenders, measuring, &mut weights);
    seconds.push(("measuring", watch.seconds()));

    events(Event::Stage("checking"));
    let watch = Stopwatch::start(None);
    let options = CompareOptions {
        device: settings.device,
        seed: settings.seed,
        trials: settings.check_inputs,
        ..CompareOptions::default()
    };
    let check = runtime::compare_with(original, &graph, &options, &mut weights)?;
    seconds.push(("checking", watch.seconds()));
    if !check.passed {
        return Err(OptimiseError::Differs(check.differences.join("; ")));
    }

    events(Event::Stage("folding"));
    let watch = Stopwatch::start(None);
    let folded = runtime::fold_with(&graph, &mut weights);
    let model = export(&graph, imported, &|value| folded.tensors.get(&value).cloned())?;
    seconds.push(("folding", watch.seconds()));

    Ok(Outcome {
        model,
        before,
        after: summary(settings.model, &graph),
        opaque_nodes: original.node_ids().filter(|id| matches!(original.node(*id).op, Op::Opaque(_))).count(),
        symbolic_values: symbolic_values(original),
        clean_up: cleaned,
        search: report,
        applied,
        chosen,
        check,
        graph,
        seconds,
    })
}

/// Other graphs worth timing: greedy's, the search without each rule that it used and that brings splits, and the clean
/// original.
fn rivals(problem: &Problem<'_>, report: &Report) -> Vec<Contender> {
    let mut found = Vec::new();
    let quick = Budget { pops: Budget::default().pops, ..*problem.budget };
    let problem = Problem { budget: &quick, ..*problem };
    let mut go_on = |_: &Progress| true;
    let (graph, greedy) = Greedy.run(&problem, &mut go_on);
    let applied = greedy.applied.clone();
    found.push(Contender { from: "greedy".into(), graph, estimate_us: greedy.best_us, applied });
    let mut used: Vec<&str> = report.applied.iter().chain(&greedy.applied).map(|s| s.rule.as_str()).collect();
    used.sort_unstable();
    used.dedup();
    for rule in used {
        if !problem.rules.adds_work(rule) {
            continue;
        }
        let others = Arc::new(problem.rules.without(rule));
        let (graph, without) = Greedy.run(&Problem { rules: &others, ..problem }, &mut go_on);
        let from = format!("without {rule}");
        found.push(Contender { from, graph, estimate_us: without.best_us, applied: without.applied });
    }
    let estimate_us = cost::graph_cost(problem.model, problem.graph).time_us;
    found.push(Contender { from: "clean-up".into(), graph: problem.graph.clone(), estimate_us, applied: Vec::new() });
    found
}

fn summary(model: &dyn CostModel, graph: &Graph) -> Summary {
    let mut cost = cost::graph_cost(model, graph);
    cost.peak_memory = runtime::peak_memory(graph, &BTreeMap::new()).bytes as f64;
    Summary { nodes: graph.operator_count(), cost, weight_bytes: cost::weight_bytes(graph) }
}

fn symbolic_values(graph: &Graph) -> usize {
    let values = graph.node_ids().flat_map(|id| graph.node(id).outputs.iter());
    values.filter(|o| o.facts.ty.as_ref().is_some_and(|ty| ty.known_shape().is_none())).count()
}
