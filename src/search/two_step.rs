//! Descent by steps of one or two rewrites: before the rewrite of the largest gain is taken, those that cost nothing are
//! tried for the gain that each of them opens. What is far-reaching comes first, so that a small gain (a constant folded
//! into one of two weights) does not close the way to a large one (the merging of the two products) that only a
//! reassociated sum shows.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::rewrite::Candidate;

use super::StopReason;
use super::greedy::Known;
use super::tree::{Entered, MIN_GAIN_US, Tree};

/// What a rewrite that costs nothing opens: the best predicted change after it, in microseconds.
#[derive(Default)]
struct Opened {
    changes: FxHashMap<usize, f64>,
    /// Keeps the addresses from being used again.
    held: Vec<Arc<Candidate>>,
}

impl Opened {
    fn of(&self, candidate: &Arc<Candidate>) -> Option<f64> {
        self.changes.get(&(Arc::as_ptr(candidate) as usize)).copied()
    }

    fn insert(&mut self, candidate: &Arc<Candidate>, change: f64) {
        self.changes.insert(Arc::as_ptr(candidate) as usize, change);
        self.held.push(candidate.clone());
    }
}

/// Goes down from where the tree stands until neither one rewrite nor two gain, or until `share` of the budget is used.
/// `None` when that is so; else why the search must stop.
pub(super) fn descend_by_two(tree: &mut Tree<'_>, share: f64) -> Option<StopReason> {
    let (mut opened, mut refused) = (Opened::default(), Known::default());
    loop {
        let free = |c: &&Arc<Candidate>| c.score.abs() < MIN_GAIN_US && !refused.contains(c);
        let neutral: Vec<Arc<Candidate>> = tree.choices().filter(free).cloned().collect();
        if neutral.iter().any(|c| opened.of(c).is_none()) {
            let base = all(tree);
            for candidate in neutral.iter().filter(|c| opened.of(c).is_none()).cloned().collect::<Vec<_>>() {
                if let Some(reason) = tree.stop() {
                    return Some(reason);
                }
                if tree.used() >= share {
                    return None;
                }
                let change = look(tree, &candidate, &base);
                opened.insert(&candidate, change);
            }
        }
        let better = |a: &&Arc<Candidate>, b: &&Arc<Candidate>| a.score.total_cmp(&b.score);
        let one = tree.state().candidates().filter(|c| !refused.contains(c)).min_by(better).cloned();
        let change = |c: &Arc<Candidate>| opened.of(c).unwrap_or(0.0);
        let two = neutral.into_iter().min_by(|a, b| change(a).total_cmp(&change(b)));
        let (one_us, two_us) = (one.as_ref().map_or(0.0, |c| c.score), two.as_ref().map_or(0.0, change));
        let first = if two_us < one_us - MIN_GAIN_US { two } else { one };
        let (Some(first), true) = (first, one_us.min(two_us) < -MIN_GAIN_US) else { return None };
        let (before_us, base) = (tree.state().total_us(), all(tree));
        let here = tree.here();
        let mut entered = tree.enter(&first, None);
        tree.counts.pops += 1;
        if entered == Entered::New && two_us < one_us - MIN_GAIN_US {
            let second = tree.state().candidates().filter(|c| !base.contains(c)).min_by(better).cloned();
            entered = second.map_or(Entered::Refused, |second| tree.enter(&second, None));
        }
        if entered == Entered::New && tree.state().total_us() < before_us - MIN_GAIN_US {
            refused.clear();
            tree.counts.expanded += 1;
            tree.keep_if_better();
        } else {
            tree.go(&here);
            refused.insert(&first);
        }
    }
}

/// The candidates of the state.
fn all(tree: &Tree<'_>) -> Known {
    let mut known = Known::default();
    tree.state().candidates().for_each(|c| {
        known.insert(c);
    });
    known
}

/// The best predicted change of the rewrites that a rewrite brings; leaves the tree where it was.
fn look(tree: &mut Tree<'_>, candidate: &Arc<Candidate>, base: &Known) -> f64 {
    tree.counts.pops += 1;
    if tree.enter(candidate, None) != Entered::New {
        return 0.0;
    }
    let new = tree.state().candidates().filter(|c| !base.contains(c));
    let change = new.map(|c| c.score).fold(0.0, f64::min);
    tree.leave();
    change
}
