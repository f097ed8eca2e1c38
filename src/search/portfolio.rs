//! The default search: greedy from the original, place by place and in all equivalent places at once, and from its normal
//! form, a descent by two steps from the normal form, look-ahead from the best, then best-first from all of these with what
//! is left of the budget. The rewrites of greedy are not counted against it.

use crate::graph::Graph;
use crate::rewrite::RuleSet;

use super::backtracking::{Backtracking, best_first};
use super::greedy::descend;
use super::look_ahead::LookAhead;
use super::normalise::normalise;
use super::tree::{MIN_GAIN_US, Tree};
use super::two_step::descend_by_two;
use super::{Problem, Reach, Report, Search, StopReason, Watcher};

/// Several searches one after another over one tree.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portfolio {
    /// How far uphill to go, and how much to remember.
    pub backtracking: Backtracking,
}

impl Search for Portfolio {
    fn name(&self) -> &'static str {
        "portfolio"
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let mut tree = Tree::new(problem, watcher, "greedy");
        let stop_reason = self.search(&mut tree, problem.rules);
        tree.finish(self.name(), stop_reason)
    }
}

/// The share of the budget at which the descent by two steps ends.
const TWO_STEP_SHARE: f64 = 0.2;

/// Look-ahead, pass by pass: depth, whether it goes uphill, and the share of the budget at which it ends. Steps that cost
/// nothing come first: they are what hides a gain most often, and there are fewer of them.
const PASSES: [(u32, bool, f64); 5] =
    [(1, true, 0.4), (2, false, 0.5), (3, false, 0.6), (2, true, 0.65), (3, true, 0.7)];

impl Portfolio {
    fn search(&self, tree: &mut Tree<'_>, rules: &RuleSet) -> StopReason {
        let reason = descend(tree, &|_| true, false);
        if reason != StopReason::Exhausted {
            return reason;
        }
        let greedy = tree.here();
        // What is done in all places at once leaves none of them with less to merge than the others.
        tree.begin("wide greedy");
        tree.go(&None);
        let reach = std::mem::replace(&mut tree.reach, Reach::All);
        let reason = descend(tree, &|_| true, false);
        tree.reach = reach;
        if reason != StopReason::Exhausted {
            return reason;
        }
        let wide = tree.here();
        tree.begin("normalising");
        tree.go(&None);
        let mut reason = normalise(tree, rules, f64::INFINITY);
        if reason == StopReason::Exhausted {
            reason = descend(tree, &|_| true, false);
        }
        if reason != StopReason::Exhausted {
            return reason;
        }
        let normalised = tree.here();
        tree.begin("two-step");
        tree.go(&None);
        let reason = normalise(tree, rules, MIN_GAIN_US);
        if reason != StopReason::Exhausted {
            return reason;
        }
        if let Some(reason) = descend_by_two(tree, TWO_STEP_SHARE) {
            return reason;
        }
        let by_two = tree.here();
        tree.begin("look-ahead");
        for (depth, uphill, share) in PASSES {
            let alpha = if uphill { self.backtracking.alpha } else { 1.0 };
            if let Some(reason) = LookAhead::new(alpha, depth, share).run(tree) {
                return reason;
            }
        }
        tree.begin("backtracking");
        let (best, _) = tree.best();
        best_first(tree, &self.backtracking, &[None, best, greedy, wide, normalised, by_two])
    }
}
