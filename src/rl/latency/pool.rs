//! Good graphs to choose measurements from.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::cost;
use crate::graph::Graph;
use crate::rewrite::{Candidate, CleanUp};
use crate::search::{Problem, State, Step};

/// A graph that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The graph.
    pub graph: Graph,
    /// Rewrites that lead to it.
    pub applied: Vec<Step>,
    /// What clean-up did on the way.
    pub clean_up: CleanUp,
}

impl Found {
    /// The start.
    pub fn start(graph: &Graph) -> Found {
        Found { graph: graph.clone(), applied: Vec::new(), clean_up: CleanUp::default() }
    }
}

/// Graphs dearer than this many times the cheapest are not followed.
const ALPHA: f64 = 1.05;
/// Graphs with more operators than this many times the first are dropped, and likewise bytes of weights.
const GROWTH: usize = 2;

/// A way to a graph, with what it costs by prediction.
struct Way {
    time_us: f64,
    /// Order of arrival: among equals the first.
    serial: usize,
    /// Parent's rewrites, and one more.
    path: Box<[Arc<Candidate>]>,
}

impl PartialEq for Way {
    fn eq(&self, other: &Way) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Way {}

impl PartialOrd for Way {
    fn partial_cmp(&self, other: &Way) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Way {
    fn cmp(&self, other: &Way) -> std::cmp::Ordering {
        self.time_us.total_cmp(&other.time_us).then(self.serial.cmp(&other.serial))
    }
}

/// The `count` cheapest of the graphs that a best-first search from the problem's graph visits, cheapest first; the start is
/// not among them. Of graphs whose `digest` is the same (those that only differ in which of several equal places was
/// rewritten) the first stands for all. It takes as many graphs from its queue as the budget says, and ends when `go_on` says
/// no.
pub fn cheapest(
    problem: &Problem<'_>,
    count: usize,
    digest: &dyn Fn(&Graph) -> u64,
    go_on: &mut dyn FnMut() -> bool,
) -> Vec<Found> {
    let mut state = State::new(problem.graph.clone(), problem.rules.clone(), problem.model);
    let limits = (problem.graph.operator_count() * GROWTH, cost::weight_bytes(problem.graph) * GROWTH as u64);
    let mut seen = FxHashSet::from_iter([digest(problem.graph)]);
    let mut best_us = state.total_us();
    let mut queue = Queue::default();
    queue.expand(&state, &[], ALPHA * best_us);
    // By cost: times are positive, so that their bits are in their order.
    let mut kept: BTreeMap<(u64, usize), Found> = BTreeMap::new();
    for _ in 0..problem.budget.pops {
        let Some(way) = queue.next(ALPHA * best_us).filter(|_| go_on()) else { break };
        let mut saved = Vec::new();
        let mut steps = Vec::new();
        for candidate in way.path.iter() {
            if !candidate.patch.is_acyclic(state.graph()) {
                break;
            }
            steps.push(state.describe(candidate));
            saved.push(state.apply(candidate));
        }
        let graph = state.graph();
        let fits = graph.operator_count() <= limits.0 && cost::weight_bytes(graph) <= limits.1;
        if steps.len() == way.path.len() && fits && seen.insert(digest(graph)) {
            best_us = best_us.min(state.total_us());
            let clean_up = saved.iter().fold(CleanUp::default(), |sum, s| sum.plus(s.clean_up));
            kept.insert(
                (state.total_us().max(0.0).to_bits(), way.serial),
                Found { graph: graph.clone(), applied: steps, clean_up },
            );
            if kept.len() > count {
                kept.pop_last();
            }
            queue.expand(&state, &way.path, ALPHA * best_us);
        }
        for saved in saved.into_iter().rev() {
            state.undo(saved);
        }
    }
    let committed = |mut found: Found| {
        found.graph.commit();
        found
    };
    kept.into_values().map(committed).collect()
}

/// Ways that wait, the cheapest first.
#[derive(Default)]
struct Queue {
    heap: BinaryHeap<Reverse<Way>>,
    serial: usize,
}

impl Queue {
    /// Adds every rewrite of the state, to which `path` led, that is predicted to cost no more than the bound.
    fn expand(&mut self, state: &State<'_>, path: &[Arc<Candidate>], bound: f64) {
        for candidate in state.candidates().filter(|c| state.total_us() + c.score <= bound) {
            let path = path.iter().chain([candidate]).cloned().collect();
            self.serial += 1;
            self.heap.push(Reverse(Way { time_us: state.total_us() + candidate.score, serial: self.serial, path }));
        }
    }

    fn next(&mut self, bound: f64) -> Option<Way> {
        self.heap.pop().map(|way| way.0).filter(|way| way.time_us <= bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{DeviceProfile, Roofline, graph_cost};
    use crate::rl::env::tests::{model, rules};
    use crate::rl::latency::encoding::{Encoding, Scale};
    use crate::search::{Backtracking, Budget, Search};

    #[test]
    fn the_cheapest_come_first_each_once_and_the_very_first_is_what_search_finds() {
        let (rules, costs) = (rules(), Roofline::new(DeviceProfile::cpu()));
        let graph = model("inception_pair", &[]);
        let budget = Budget { pops: 400, ..Budget::default() };
        let problem = Problem { graph: &graph, rules: &rules, model: &costs, budget: &budget };
        let scale = Scale::of(&costs, &graph);
        let digest = |graph: &Graph| Encoding::of(&costs, graph, scale).digest();
        let found = cheapest(&problem, 20, &digest, &mut || true);
        assert_eq!(found.len(), 20);
        let times: Vec<f64> = found.iter().map(|f| graph_cost(&costs, &f.graph).time_us).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1] + 1e-6), "{times:?}");
        let distinct: FxHashSet<u64> = found.iter().map(|f| digest(&f.graph)).collect();
        assert_eq!(distinct.len(), 20);
        let (_, report) = Backtracking::default().run(&problem, &mut |_| true);
        assert!(times[0] <= report.best_us + 1e-6, "{} {}", times[0], report.best_us);
        for found in &found {
            found.graph.validate().unwrap();
            assert!(!found.applied.is_empty());
        }
        let mut left = 3;
        let few = cheapest(&problem, 20, &digest, &mut || {
            left -= 1;
            left >= 0
        });
        assert!(few.len() <= 3);
    }
}
