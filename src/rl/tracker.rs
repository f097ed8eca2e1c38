//! What every search over episodes keeps: its budget, what it counted, and the best graph that it met.

use std::sync::Arc;

use super::env::{Env, Task};
use crate::cost;
use crate::graph::Graph;
use crate::rewrite::{Candidate, CleanUp};
use crate::search::{Counts, Problem, Progress, Report, State, StopReason, Stopwatch, Watcher};

/// Gains below this are noise of the arithmetic, in microseconds.
pub(super) const MIN_GAIN_US: f64 = 1e-6;

/// A search over episodes, as far as all of them are alike.
pub(super) struct Tracker<'p, 'r> {
    pub problem: Problem<'p>,
    pub counts: Counts,
    /// Rewrites from the start to the best graph.
    pub rewrites: Vec<Arc<Candidate>>,
    /// Its estimated time in microseconds.
    pub best_us: f64,
    start_us: f64,
    watcher: Watcher<'r>,
    watch: Stopwatch,
}

impl<'p, 'r> Tracker<'p, 'r> {
    /// A search that begins.
    pub fn new(problem: &Problem<'p>, watcher: Watcher<'r>) -> Tracker<'p, 'r> {
        let start_us = cost::graph_cost(problem.model, problem.graph).time_us;
        Tracker {
            problem: *problem,
            counts: Counts { explored: 1, ..Counts::default() },
            rewrites: Vec::new(),
            best_us: start_us,
            start_us,
            watcher,
            watch: Stopwatch::start(problem.budget.time),
        }
    }

    /// The task of making the graph behind these rewrites cheaper.
    pub fn task(&self, origin: &[Arc<Candidate>]) -> Arc<Task<'p>> {
        let Problem { graph, rules, model, .. } = self.problem;
        let mut state = State::new(graph.clone(), rules.clone(), model);
        for candidate in origin {
            state.apply(candidate);
        }
        Arc::new(Task::new(&state.into_graph(), rules.clone(), model))
    }

    /// Why the search must stop now, if it must. Tells of how far it is.
    pub fn why_stop(&mut self) -> Option<StopReason> {
        let Tracker { start_us, best_us, .. } = *self;
        let pops = self.counts.pops;
        if pops >= self.problem.budget.pops {
            return Some(StopReason::Budget);
        }
        if self.watch.is_over() {
            return Some(StopReason::Time);
        }
        (!(self.watcher)(&Progress { pops, start_us, best_us })).then_some(StopReason::Interrupted)
    }

    /// Counts an application in an episode that began after the rewrites of `origin`, and keeps its graph if it is the best.
    pub fn count(&mut self, origin: &[Arc<Candidate>], env: &Env<'_>) {
        self.counts.pops += 1;
        self.counts.explored += 1;
        let best_us = env.info().best_us;
        if best_us < self.best_us - MIN_GAIN_US {
            self.rewrites = origin.iter().chain(env.best_candidates()).cloned().collect();
            self.best_us = best_us;
        }
    }

    /// Whether the best graph is cheaper than this.
    pub fn gained(&self, before_us: f64) -> bool {
        self.best_us < before_us - MIN_GAIN_US
    }

    /// The graph, and the report; cut to as many rewrites as the budget allows.
    pub fn report(self, method: &'static str, stop_reason: StopReason) -> (Graph, Report) {
        let Problem { graph, rules, model, budget } = self.problem;
        let most = budget.max_rewrites.unwrap_or(usize::MAX);
        let mut state = State::new(graph.clone(), rules.clone(), model);
        let (mut applied, mut clean_up) = (Vec::new(), CleanUp::default());
        for candidate in self.rewrites.iter().take(most) {
            applied.push(state.describe(candidate));
            clean_up = clean_up.plus(state.apply(candidate).clean_up);
        }
        let report = Report {
            method,
            found_by: if applied.is_empty() { "original" } else { method },
            seconds: self.watch.seconds(),
            counts: self.counts,
            stop_reason: if self.rewrites.len() > most { StopReason::StopAfter } else { stop_reason },
            applied,
            best_us: state.total_us(),
            clean_up,
            legs: Vec::new(),
        };
        (state.into_graph(), report)
    }
}
