//! The baseline of every learned search: episodes of random rewrites.

use std::sync::Arc;

use super::env::{Action, Env, EnvSettings, Task};
use super::random::Random;
use crate::graph::Graph;
use crate::rewrite::{Candidate, CleanUp};
use crate::search::{Counts, Problem, Progress, Report, Search, State, StopReason, Stopwatch, Watcher};

/// Episodes in which every legal rewrite is as likely as any other, until the budget is spent; the best graph of all.
pub struct RandomSearch {
    /// Rewrites of an episode.
    pub horizon: usize,
    /// The same seed gives the same search.
    pub seed: u64,
}

impl Search for RandomSearch {
    fn name(&self) -> &'static str {
        "random"
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let watch = Stopwatch::start(problem.budget.time);
        let task = Arc::new(Task::new(problem.graph, problem.rules.clone(), problem.model));
        let mut env = Env::new(task.clone(), EnvSettings { horizon: self.horizon, ..EnvSettings::default() });
        let mut random = Random::new(self.seed);
        let mut found = Found { rewrites: Vec::new(), cost_us: task.start_us() };
        let mut counts = Counts { explored: 1, ..Counts::default() };
        let stop_reason = loop {
            if let Some(reason) = why_stop(problem, &watch, watcher, counts.pops, task.start_us(), found.cost_us) {
                break reason;
            }
            let legal = env.candidates();
            if legal == 0 && env.info().steps == 0 {
                break StopReason::Exhausted;
            }
            if legal == 0 || env.is_over() {
                env.reset();
                continue;
            }
            env.step(Action::Apply(random.below(legal)));
            counts.pops += 1;
            counts.explored += 1;
            found.note(&[], &env);
        };
        found.report(self.name(), problem, &watch, counts, stop_reason)
    }
}

/// Gains below this are noise of the arithmetic.
const MIN_GAIN_US: f64 = 1e-6;

/// Why a search over episodes must stop now, if it must. Tells of how far it is.
pub(super) fn why_stop(
    problem: &Problem<'_>,
    watch: &Stopwatch,
    watcher: Watcher<'_>,
    pops: usize,
    start_us: f64,
    best_us: f64,
) -> Option<StopReason> {
    if pops >= problem.budget.pops {
        return Some(StopReason::Budget);
    }
    if watch.is_over() {
        return Some(StopReason::Time);
    }
    (!watcher(&Progress { pops, start_us, best_us })).then_some(StopReason::Interrupted)
}

/// The best graph that a search over episodes met, as the rewrites that lead to it.
pub(super) struct Found {
    pub rewrites: Vec<Arc<Candidate>>,
    pub cost_us: f64,
}

impl Found {
    /// Keeps the best of an episode, which began after the rewrites of `origin`, if it is better.
    pub fn note(&mut self, origin: &[Arc<Candidate>], env: &Env<'_>) {
        let best_us = env.info().best_us;
        if best_us < self.cost_us - MIN_GAIN_US {
            self.rewrites = origin.iter().chain(env.best_candidates()).cloned().collect();
            self.cost_us = best_us;
        }
    }

    /// The graph, and the report; cut to as many rewrites as the budget allows.
    pub fn report(
        &self,
        method: &'static str,
        problem: &Problem<'_>,
        watch: &Stopwatch,
        counts: Counts,
        stop_reason: StopReason,
    ) -> (Graph, Report) {
        let most = problem.budget.max_rewrites.unwrap_or(usize::MAX);
        let mut state = State::new(problem.graph.clone(), problem.rules.clone(), problem.model);
        let (mut applied, mut clean_up) = (Vec::new(), CleanUp::default());
        for candidate in self.rewrites.iter().take(most) {
            applied.push(state.describe(candidate));
            clean_up = clean_up.plus(state.apply(candidate).clean_up);
        }
        let report = Report {
            method,
            found_by: if applied.is_empty() { "original" } else { method },
            seconds: watch.seconds(),
            counts,
            stop_reason: if self.rewrites.len() > most { StopReason::StopAfter } else { stop_reason },
            applied,
            best_us: state.total_us(),
            clean_up,
        };
        (state.into_graph(), report)
    }
}
