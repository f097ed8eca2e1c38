//! Random rewrites that do not gain: graphs that compute the same and that a search should bring back.

use std::sync::Arc;

use crate::cost::{self, CostModel};
use crate::graph::{Graph, splitmix64};
use crate::rewrite::{Candidate, Rule, RuleError, RuleSet};

use super::tree::MIN_GAIN_US;
use super::{State, Step};

/// A random walk.
pub struct RandomWalk<'a> {
    /// Rules of which any match may be applied that does not gain: usually rules read backwards.
    pub hostile: &'a [Rule],
    /// Rules of which matches that neither gain nor lose may be applied.
    pub neutral: &'a [Rule],
    /// Rewrites to apply.
    pub rewrites: usize,
    /// The same seed gives the same walk.
    pub seed: u64,
}

impl RandomWalk<'_> {
    /// Walks from `graph` (which is clean): first a rule is drawn among those that match, then one of its places. Returns the
    /// graph and what was applied, which is less than asked for where too little matches. A rewrite is not taken if it makes
    /// the weights grow beyond twice those of the start.
    ///
    /// # Errors
    /// A rule does not compile.
    pub fn run(&self, graph: &Graph, model: &dyn CostModel) -> Result<(Graph, Vec<Step>), (String, RuleError)> {
        let rules = Arc::new(RuleSet::compile(self.hostile.iter().chain(self.neutral).cloned())?);
        let weight_limit = cost::weight_bytes(graph).saturating_mul(2);
        let mut state = State::new(graph.clone(), rules, model);
        let mut applied = Vec::new();
        let mut draws = 0;
        while applied.len() < self.rewrites && draws < 4 * self.rewrites as u64 {
            draws += 1;
            let draw = splitmix64(self.seed, draws);
            let usable = |c: &&Arc<Candidate>| {
                let hostile = (c.found.rule as usize) < self.hostile.len();
                c.score > -MIN_GAIN_US && (hostile || c.score < MIN_GAIN_US) && c.patch.is_acyclic(state.graph())
            };
            let mut candidates: Vec<Arc<Candidate>> = state.candidates().filter(usable).cloned().collect();
            candidates.sort_by_key(|c| c.found.rule);
            let groups: Vec<&[Arc<Candidate>]> = candidates.chunk_by(|a, b| a.found.rule == b.found.rule).collect();
            if groups.is_empty() {
                break;
            }
            let group = groups[(draw % groups.len() as u64) as usize];
            let chosen = &group[((draw >> 32) % group.len() as u64) as usize];
            let (step, before) = (state.describe(chosen), state.total_us());
            let saved = state.apply(chosen);
            // The clean-up may see more than the prediction did.
            if state.total_us() < before - MIN_GAIN_US || cost::weight_bytes(state.graph()) > weight_limit {
                state.undo(saved);
            } else {
                applied.push(step);
            }
        }
        Ok((state.into_graph(), applied))
    }
}
