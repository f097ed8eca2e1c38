//! Greedy search: the rewrite of the largest predicted gain, again and again, until none gains. The rule-based baseline
//! (what TensorFlow's Grappler does with its hand-written passes).

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::graph::Graph;
use crate::rewrite::Candidate;

use super::tree::{Entered, MIN_GAIN_US, Tree};
use super::{Problem, Report, Search, StopReason, Watcher};

/// Greedy search.
#[derive(Clone, Copy, Debug, Default)]
pub struct Greedy;

impl Search for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let mut tree = Tree::new(problem, watcher, self.name());
        let stop_reason = descend(&mut tree, &|_| true, true);
        tree.finish(self.name(), stop_reason)
    }
}

/// Applies the candidate of the largest predicted gain among those that are wanted, again and again. With `charged` each
/// application counts against the budget of pops.
pub(super) fn descend(tree: &mut Tree<'_>, wanted: &dyn Fn(&Arc<Candidate>) -> bool, charged: bool) -> StopReason {
    let mut refused = Known::default();
    loop {
        if tree.is_deep_enough() {
            return StopReason::StopAfter;
        }
        if let Some(reason) = tree.stop() {
            return reason;
        }
        let gains = |c: &&Arc<Candidate>| c.score < -MIN_GAIN_US && wanted(c) && !refused.contains(c);
        let best = tree.state().candidates().filter(gains).min_by(|a, b| a.score.total_cmp(&b.score)).cloned();
        let Some(best) = best else { return StopReason::Exhausted };
        let before = tree.state().total_us();
        let entered = tree.enter(&best, None);
        if entered == Entered::New && tree.state().total_us() < before - MIN_GAIN_US {
            refused.clear();
            tree.counts.pops += usize::from(charged);
            tree.counts.expanded += 1;
            tree.keep_if_better();
            continue;
        }
        // The prediction may be off (a clean-up saw more or less): a step that does not gain is taken back, and tried again
        // after the next that does.
        if entered == Entered::New {
            tree.leave();
        }
        refused.insert(&best);
    }
}

/// Candidates known by where they are in memory: the index keeps a candidate as long as nothing that it looked at changes.
#[derive(Default)]
pub(super) struct Known {
    addresses: FxHashSet<usize>,
    /// Keeps the addresses from being used again.
    held: Vec<Arc<Candidate>>,
}

impl Known {
    /// Adds a candidate; whether it is new.
    pub fn insert(&mut self, candidate: &Arc<Candidate>) -> bool {
        let new = self.addresses.insert(Arc::as_ptr(candidate) as usize);
        if new {
            self.held.push(candidate.clone());
        }
        new
    }

    /// Whether it is there.
    pub fn contains(&self, candidate: &Arc<Candidate>) -> bool {
        self.addresses.contains(&(Arc::as_ptr(candidate) as usize))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.addresses.clear();
        self.held.clear();
    }
}
