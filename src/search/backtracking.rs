//! Cost-based backtracking search, as in MetaFlow (Jia et al. 2019) and TASO: a queue of graphs by cost, of which the
//! cheapest is expanded; a rewritten graph is kept if it costs less than alpha times the best so far.
//!
//! A graph in the queue is its parent and the rewrite that leads to it, with the cost that the match predicts: only what
//! is taken from the queue is ever made. One that proves dearer than predicted goes back at its true cost, so that graphs
//! are expanded in the order of their true costs. Graphs met before, by whatever order of rewrites, are known by their
//! state hash.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::graph::Graph;
use crate::rewrite::Candidate;

use super::tree::{At, Entered, MIN_GAIN_US, Tree};
use super::{Problem, Report, Search, StopReason, Watcher};

/// Backtracking search.
#[derive(Clone, Copy, Debug)]
pub struct Backtracking {
    /// Graphs dearer than this many times the best are dropped; at least 1.
    pub alpha: f64,
    /// Most entries that the queue holds; the dearest go first.
    pub max_queue: usize,
}

impl Default for Backtracking {
    fn default() -> Backtracking {
        Backtracking { alpha: 1.05, max_queue: 100_000 }
    }
}

impl Search for Backtracking {
    fn name(&self) -> &'static str {
        "backtracking"
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let mut tree = Tree::new(problem, watcher, self.name());
        let stop_reason = best_first(&mut tree, self, &[None]);
        tree.finish(self.name(), stop_reason)
    }
}

/// Whose graphs these are in the table of graphs met before.
const PURPOSE: u32 = 0;

/// Best-first search from the given places, until the queue is spent or the tree says stop.
pub(super) fn best_first(tree: &mut Tree<'_>, settings: &Backtracking, from: &[At]) -> StopReason {
    let mut queue = Queue { heap: BinaryHeap::new(), serial: 0, settings };
    for at in from {
        tree.go(at);
        if tree.is_new(PURPOSE) {
            queue.expand(tree);
        }
    }
    loop {
        if let Some(reason) = tree.stop() {
            return reason;
        }
        let bound = settings.alpha * tree.best().1;
        let Some(next) = queue.heap.pop().filter(|next| next.time_us <= bound) else {
            return StopReason::Exhausted;
        };
        match next.what {
            Due::Expand(at) => {
                tree.go(&at);
                queue.expand(tree);
            }
            Due::Make(parent, candidate) => {
                tree.counts.pops += 1;
                tree.go(&parent);
                if tree.enter(&candidate, Some(PURPOSE)) != Entered::New {
                    continue;
                }
                tree.keep_if_better();
                let time_us = tree.state().total_us();
                if time_us > settings.alpha * tree.best().1 {
                    continue;
                }
                match queue.heap.peek() {
                    Some(other) if other.time_us < time_us - MIN_GAIN_US => {
                        queue.push(time_us, Due::Expand(tree.here()))
                    }
                    _ => queue.expand(tree),
                }
            }
        }
    }
}

/// Graphs that wait, by cost.
struct Queue<'a> {
    heap: BinaryHeap<Waiting>,
    serial: usize,
    settings: &'a Backtracking,
}

/// A graph that waits.
struct Waiting {
    /// Its cost, predicted or true.
    time_us: f64,
    /// Order of arrival: among equals the first.
    serial: usize,
    what: Due,
}

/// What is to be done with a graph.
enum Due {
    /// It is the parent, rewritten: make it.
    Make(At, Arc<Candidate>),
    /// It was made: queue its rewrites.
    Expand(At),
}

impl Queue<'_> {
    fn push(&mut self, time_us: f64, what: Due) {
        self.heap.push(Waiting { time_us, serial: self.serial, what });
        self.serial += 1;
    }

    /// Queues every rewrite of the current graph that may be worth it.
    fn expand(&mut self, tree: &mut Tree<'_>) {
        tree.counts.expanded += 1;
        let here_us = tree.state().total_us();
        let bound = self.settings.alpha * tree.best().1;
        for candidate in tree.choices() {
            let predicted_us = here_us + candidate.score;
            if predicted_us <= bound {
                self.push(predicted_us, Due::Make(tree.here(), candidate.clone()));
            }
        }
        if self.heap.len() > self.settings.max_queue {
            let mut kept = std::mem::take(&mut self.heap).into_sorted_vec();
            // The dearest come first.
            kept.drain(..kept.len() - self.settings.max_queue / 2);
            self.heap = kept.into();
        }
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        // A binary heap gives the greatest: the cheapest must be that.
        other.time_us.total_cmp(&self.time_us).then(other.serial.cmp(&self.serial))
    }
}
