//! Any search that follows costs, following costs that are learned from measurements.

use std::cell::{Cell, RefCell};

use tch::Device;

use crate::cost;
use crate::graph::Graph;
use crate::search::{Contender, Problem, Report, Search, Stopwatch, Watcher};

use super::active::{Choosing, Learned, Measured, Plan, learn};
use super::pool::Found;
use super::turns::{Reading, Turns};

/// A search that measures what it finds, and learns. What it learned stays for whoever asks ([`LearnedLatency::learned`]).
pub struct LearnedLatency<'a> {
    search: &'a dyn Search,
    measurements: usize,
    device: Device,
    seed: u64,
    spent: Cell<usize>,
    learned: RefCell<Option<Result<Learned, String>>>,
}

/// Graphs beside the fastest that the choice at the end times once more: what is believed fastest is not always.
const RUNNERS_UP: usize = 3;

impl<'a> LearnedLatency<'a> {
    /// `search`, following costs that this many measurements on the device correct.
    pub fn new(search: &'a dyn Search, measurements: usize, device: Device, seed: u64) -> LearnedLatency<'a> {
        LearnedLatency { search, measurements, device, seed, spent: Cell::new(0), learned: RefCell::default() }
    }

    /// Graphs measured so far, and how many there may be.
    pub fn spent(&self) -> (usize, usize) {
        (self.spent.get(), self.measurements)
    }

    /// Gives away what was learned; an error says why nothing could be measured. `None` before the search.
    pub fn learned(&self) -> Option<Result<Learned, String>> {
        self.learned.borrow_mut().take()
    }
}

impl Search for LearnedLatency<'_> {
    fn name(&self) -> &'static str {
        self.search.name()
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let watch = Stopwatch::start(None);
        let mut turns = match Turns::new(problem.graph, self.device, self.seed) {
            Ok(turns) => turns,
            Err(error) => {
                *self.learned.borrow_mut() = Some(Err(error.to_string()));
                return self.search.run(problem, watcher);
            }
        };
        let plan = Plan { measurements: self.measurements, choosing: Choosing::Disagreement, seed: self.seed };
        let mut clock = |graphs: &[&Graph]| -> Vec<Option<Reading>> {
            self.spent.set(self.spent.get() + graphs.len());
            turns.measure(graphs)
        };
        let learned = learn(self.search, problem, &plan, &mut clock, watcher);
        let fastest = learned.fastest(self.measurements).first().map(|(_, m)| (m.from, m.found.clone()));
        // Stopped before anything was measured: what the search had found by then.
        let unmeasured = || learned.left.first().filter(|_| learned.measured.is_empty()).map(|f| ("search", f.clone()));
        let original = || ("original", Found::start(problem.graph));
        let (found_by, found) = fastest.or_else(unmeasured).unwrap_or_else(original);
        let report = Report {
            method: self.name(),
            found_by,
            seconds: watch.seconds(),
            counts: learned.counts,
            stop_reason: learned.stop_reason,
            applied: found.applied,
            best_us: cost::graph_cost(problem.model, &found.graph).time_us,
            clean_up: found.clean_up,
            legs: Vec::new(),
        };
        *self.learned.borrow_mut() = Some(Ok(learned));
        (found.graph, report)
    }

    fn runners_up(&self, problem: &Problem<'_>) -> Vec<Contender> {
        let learned = self.learned.borrow();
        let Some(Ok(learned)) = learned.as_ref() else { return Vec::new() };
        let contender = |(at, (_, m)): (usize, (f64, &Measured))| Contender {
            from: format!("measured {}", at + 1),
            graph: m.found.graph.clone(),
            estimate_us: cost::graph_cost(problem.model, &m.found.graph).time_us,
            applied: m.found.applied.clone(),
        };
        let fastest = learned.fastest(self.measurements);
        fastest.into_iter().enumerate().skip(1).take(RUNNERS_UP).map(contender).collect()
    }
}
