//! Cost-based backtracking search, as in MetaFlow (Jia et al. 2019) and TASO: a queue of graphs by cost, of which the
//! cheapest is expanded; a rewritten graph is kept if it costs less than alpha times the best so far.
//!
//! A graph in the queue is its parent and the rewrite that leads to it, with the cost that the match predicts: only what
//! is taken from the queue is ever made. One state walks over the tree of graphs by undo and redo, so that no graph is
//! stored. Graphs met before, by whatever order of rewrites, are known by their state hash (the transposition table).

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::cost::{self, CostModel};
use crate::graph::Graph;
use crate::rewrite::{Candidate, CleanUp, RuleSet};

use super::greedy::{MAX_WEIGHT_GROWTH, MIN_GAIN_US};
use super::{Budget, Progress, Report, Saved, Search, State, Step, StopReason, Stopwatch};

/// Backtracking search.
#[derive(Clone, Copy, Debug)]
pub struct Backtracking {
    /// Graphs dearer than this many times the best are dropped; at least 1.
    pub alpha: f64,
    /// Graphs with more nodes than this many times the initial one are dropped.
    pub max_node_growth: f64,
    /// Most entries that the queue holds; the dearest go first.
    pub max_queue: usize,
}

impl Default for Backtracking {
    fn default() -> Backtracking {
        Backtracking { alpha: 1.05, max_node_growth: 2.0, max_queue: 1_000_000 }
    }
}

/// A graph that waits to be made.
struct Waiting {
    predicted_us: f64,
    /// Order of arrival: among equals the first.
    serial: usize,
    parent: usize,
    candidate: Arc<Candidate>,
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
        other.predicted_us.total_cmp(&self.predicted_us).then(other.serial.cmp(&self.serial))
    }
}

/// A graph that was made.
struct Visited {
    parent: usize,
    depth: usize,
    candidate: Option<Arc<Candidate>>,
    step: Option<Step>,
}

/// Walks one state over the tree of visited graphs.
struct Walker<'a> {
    state: State<'a>,
    visited: Vec<Visited>,
    /// From the root to where the state is; the saved parts undo the way back.
    path: Vec<(usize, Saved)>,
}

impl Walker<'_> {
    fn here(&self) -> usize {
        self.path.last().map_or(0, |(at, _)| *at)
    }

    fn up(&mut self) {
        let (_, saved) = self.path.pop().expect("below the root");
        self.state.undo(saved);
    }

    fn go(&mut self, to: usize) {
        let mut down = Vec::new();
        let mut target = to;
        while self.visited[target].depth > self.visited[self.here()].depth {
            down.push(target);
            target = self.visited[target].parent;
        }
        while self.visited[self.here()].depth > self.visited[target].depth {
            self.up();
        }
        while self.here() != target {
            down.push(target);
            target = self.visited[target].parent;
            self.up();
        }
        for at in down.into_iter().rev() {
            let candidate = self.visited[at].candidate.clone().expect("only the root has none");
            let saved = self.state.apply(&candidate);
            self.path.push((at, saved));
        }
    }
}

impl Search for Backtracking {
    fn name(&self) -> &'static str {
        "backtracking"
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
        let node_limit = (graph.len() as f64 * self.max_node_growth) as usize;
        let state = State::new(graph.clone(), rules.clone(), model);
        let start_us = state.total_us();
        let root = Visited { parent: 0, depth: 0, candidate: None, step: None };
        let mut walker = Walker { state, visited: vec![root], path: Vec::new() };
        let mut seen: FxHashSet<u128> = FxHashSet::from_iter([walker.state.graph().state_hash()]);
        let mut queue: BinaryHeap<Waiting> = BinaryHeap::new();
        let (mut best, mut best_us) = (0, start_us);
        let (mut pops, mut serial) = (0, 0);
        self.expand(&walker, 0, best_us, budget, &mut queue, &mut serial);
        let stop_reason = loop {
            if pops >= budget.pops {
                break StopReason::Budget;
            }
            if watch.is_over() {
                break StopReason::Time;
            }
            if !progress(&Progress { pops, start_us, best_us }) {
                break StopReason::Interrupted;
            }
            let Some(next) = queue.pop() else { break StopReason::Exhausted };
            if next.predicted_us > self.alpha * best_us {
                break StopReason::Exhausted;
            }
            walker.go(next.parent);
            if !next.candidate.patch.is_acyclic(walker.state.graph()) {
                continue;
            }
            let step = walker.state.describe(&next.candidate);
            let saved = walker.state.apply(&next.candidate);
            let id = walker.visited.len();
            let too_large = walker.state.graph().len() > node_limit
                || cost::weight_bytes(walker.state.graph()) > weight_limit
                || walker.state.total_us() > self.alpha * best_us;
            if too_large || !seen.insert(walker.state.graph().state_hash()) {
                walker.state.undo(saved);
                continue;
            }
            pops += 1;
            walker.visited.push(Visited {
                parent: next.parent,
                depth: walker.visited[next.parent].depth + 1,
                candidate: Some(next.candidate),
                step: Some(step),
            });
            walker.path.push((id, saved));
            if walker.state.total_us() < best_us - MIN_GAIN_US {
                (best, best_us) = (id, walker.state.total_us());
            }
            self.expand(&walker, id, best_us, budget, &mut queue, &mut serial);
        };
        walker.go(best);
        let clean_up = walker.path.iter().fold(CleanUp::default(), |sum, (_, saved)| sum.plus(saved.clean_up));
        let applied = walker.path.iter().filter_map(|(at, _)| walker.visited[*at].step.clone()).collect();
        let report = Report {
            method: self.name(),
            seconds: watch.seconds(),
            pops,
            graphs_explored: seen.len(),
            stop_reason,
            applied,
            best_us,
            clean_up,
        };
        (walker.state.into_graph(), report)
    }
}

impl Backtracking {
    /// Puts every rewrite of the current graph that may be worth it into the queue.
    fn expand(
        &self,
        walker: &Walker<'_>,
        at: usize,
        best_us: f64,
        budget: &Budget,
        queue: &mut BinaryHeap<Waiting>,
        serial: &mut usize,
    ) {
        if budget.max_rewrites.is_some_and(|most| walker.visited[at].depth >= most) {
            return;
        }
        let here_us = walker.state.total_us();
        for candidate in walker.state.candidates() {
            let predicted_us = here_us + candidate.score;
            if predicted_us <= self.alpha * best_us {
                queue.push(Waiting { predicted_us, serial: *serial, parent: at, candidate: candidate.clone() });
                *serial += 1;
            }
        }
        if queue.len() > self.max_queue {
            let mut kept = std::mem::take(queue).into_sorted_vec();
            kept.drain(..self.max_queue / 2);
            *queue = kept.into();
        }
    }
}
