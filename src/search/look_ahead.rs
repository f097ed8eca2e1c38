//! Look-ahead: from a graph where no single rewrite gains, a rewrite that does not gain is tried, and what gains after it.
//!
//! Rewrites in different parts of a graph do not help each other, so after the first rewrite of a chain only those
//! candidates are followed that were not there before it. This is what keeps a deep chain cheap in a large graph, where a
//! best-first search over whole graphs mixes the choices of all parts with each other.

use std::sync::Arc;

use crate::rewrite::Candidate;

use super::StopReason;
use super::greedy::{Known, descend};
use super::tree::{Entered, MIN_GAIN_US, Tree};

/// Chains of rewrites from the best graph.
pub(super) struct LookAhead {
    /// A graph on the way may cost this many times the best (1: no more than the best).
    pub alpha: f64,
    /// Most rewrites of a chain that need not gain.
    pub depth: u32,
    /// The share of the budget at which it ends.
    pub share: f64,
    /// First rewrites from which nothing better was reached.
    tried: Known,
}

/// How far the graphs of a search at this depth are told from those of other depths in the table of graphs met before.
const PURPOSE: u32 = 1;

impl LookAhead {
    /// Chains of `depth` rewrites that need not gain.
    pub fn new(alpha: f64, depth: u32, share: f64) -> LookAhead {
        LookAhead { alpha, depth, share, tried: Known::default() }
    }

    /// Follows chains from the best graph until none leads to a better one. `None` when that is so, or when the share of
    /// the budget is used up; else why the search must stop.
    pub fn run(&mut self, tree: &mut Tree<'_>) -> Option<StopReason> {
        loop {
            let (best, best_us) = tree.best();
            tree.go(&best);
            let mut base = Known::default();
            tree.state().candidates().for_each(|c| {
                base.insert(c);
            });
            let bound = self.alpha * best_us + MIN_GAIN_US;
            let mut firsts: Vec<Arc<Candidate>> =
                tree.choices().filter(|c| best_us + c.score <= bound && !self.tried.contains(c)).cloned().collect();
            firsts.sort_by(|a, b| a.score.total_cmp(&b.score));
            let mut better = false;
            for first in firsts {
                if let Some(reason) = tree.stop() {
                    return Some(reason);
                }
                if tree.used() >= self.share {
                    return None;
                }
                self.tried.insert(&first);
                better = self.follow(tree, &first, self.depth, &base, bound);
                if better {
                    break;
                }
            }
            if !better {
                return None;
            }
        }
    }

    /// Applies a rewrite and looks whether what follows it gains. Leaves the state where it was, unless the graph is better.
    fn follow(&self, tree: &mut Tree<'_>, candidate: &Arc<Candidate>, depth: u32, base: &Known, bound: f64) -> bool {
        tree.counts.pops += 1;
        if tree.enter(candidate, Some(PURPOSE + depth)) != Entered::New {
            return false;
        }
        let here = tree.here();
        descend(tree, &|c| !base.contains(c), true);
        if tree.gained() {
            descend(tree, &|_| true, false);
            return true;
        }
        tree.go(&here);
        let here_us = tree.state().total_us();
        if depth > 1 {
            let new = tree.choices().filter(|c| here_us + c.score <= bound && !base.contains(c));
            let mut next: Vec<Arc<Candidate>> = new.cloned().collect();
            next.sort_by(|a, b| a.score.total_cmp(&b.score));
            for candidate in next {
                if tree.stop().is_some() || tree.used() >= self.share {
                    break;
                }
                if self.follow(tree, &candidate, depth - 1, base, bound) {
                    return true;
                }
            }
        }
        tree.leave();
        false
    }
}
