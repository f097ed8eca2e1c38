//! Greedy search: the rewrite of the largest predicted gain, again and again, until none gains. The rule-based baseline
//! (what TensorFlow's Grappler does with its hand-written passes).

use std::sync::Arc;

use crate::cost::{self, CostModel};
use crate::graph::Graph;
use crate::rewrite::{Candidate, CleanUp, RuleSet};

use super::{Budget, Progress, Report, Search, State, StopReason, Stopwatch};

/// Gains below this many microseconds are noise of the arithmetic.
pub(super) const MIN_GAIN_US: f64 = 1e-6;
/// The weights that inference reads may grow to this many times those of the model.
pub(super) const MAX_WEIGHT_GROWTH: u64 = 2;

/// Greedy search.
#[derive(Clone, Copy, Debug, Default)]
pub struct Greedy;

impl Search for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn run(
        &self,
        graph: &Graph,
        rules: &Arc<RuleSet>,
        model: &dyn CostModel,
        budget: &Budget,
        progress: &mut dyn FnMut(&Progress) -> bool,
    ) -> (Graph, Report) {
        let watch = Stopwatch::start(budget.time);
        let weight_limit = cost::weight_bytes(graph).saturating_mul(MAX_WEIGHT_GROWTH);
        let mut state = State::new(graph.clone(), rules.clone(), model);
        let start_us = state.total_us();
        let mut applied = Vec::new();
        let mut clean_up = CleanUp::default();
        let mut refused: Vec<Arc<Candidate>> = Vec::new();
        let stop_reason = loop {
            if budget.max_rewrites.is_some_and(|most| applied.len() >= most) {
                break StopReason::StopAfter;
            }
            if watch.is_over() {
                break StopReason::Time;
            }
            if !progress(&Progress { pops: applied.len(), start_us, best_us: state.total_us() }) {
                break StopReason::Interrupted;
            }
            let gains = |c: &&Arc<Candidate>| c.score < -MIN_GAIN_US && !refused.iter().any(|r| Arc::ptr_eq(r, c));
            let best = state.candidates().filter(gains).filter(|c| c.patch.is_acyclic(state.graph()));
            let Some(best) = best.min_by(|a, b| a.score.total_cmp(&b.score)).cloned() else {
                break StopReason::Exhausted;
            };
            let step = state.describe(&best);
            let before = state.total_us();
            let saved = state.apply(&best);
            // The prediction may be off (a clean-up saw more or less); a step that does not gain is taken back.
            if state.total_us() > before - MIN_GAIN_US || cost::weight_bytes(state.graph()) > weight_limit {
                state.undo(saved);
                refused.push(best);
            } else {
                clean_up = clean_up.plus(saved.clean_up);
                applied.push(step);
                refused.clear();
            }
        };
        let report = Report {
            method: self.name(),
            seconds: watch.seconds(),
            pops: applied.len(),
            graphs_explored: applied.len() + 1,
            stop_reason,
            applied,
            best_us: state.total_us(),
            clean_up,
        };
        (state.into_graph(), report)
    }
}
