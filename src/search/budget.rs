//! How long a search may take, why it stopped, and what it reports.

use std::time::{Duration, Instant};

use super::Reach;

/// Bounds of a search, and of each of its steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Rewritten graphs taken from the queue (backtracking) or rewrites applied (greedy): see [`Counts::pops`].
    pub pops: usize,
    /// Wall-clock time.
    pub time: Option<Duration>,
    /// Rewrites from the start, for bisecting a fault (`--stop-after`).
    pub max_rewrites: Option<usize>,
    /// How far one step reaches.
    pub reach: Reach,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { pops: 2000, time: None, max_rewrites: None, reach: Reach::One }
    }
}

/// Why a search stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Nothing is left that could improve.
    Exhausted,
    /// The budget of pops is spent.
    Budget,
    /// The time is over.
    Time,
    /// `--stop-after` was reached.
    StopAfter,
    /// The user stopped it.
    Interrupted,
}

/// A rewrite that was applied.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Step {
    /// The rule.
    pub rule: String,
    /// Names of the nodes that it replaced.
    pub nodes: Vec<String>,
}

/// What a search did.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Name of the method.
    pub method: &'static str,
    /// The part of the method that found the best graph; `original` if nothing is cheaper than the start.
    pub found_by: &'static str,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// What it did, counted.
    pub counts: Counts,
    /// Why it stopped.
    pub stop_reason: StopReason,
    /// Rewrites that lead from the start to the best graph.
    pub applied: Vec<Step>,
    /// Estimated cost of the best graph visited, in microseconds.
    pub best_us: f64,
    /// Nodes that clean-up removed, merged and passed through on the way to the best graph.
    pub clean_up: crate::rewrite::CleanUp,
    /// The searches that it is made of, in order; empty if it is one.
    pub legs: Vec<Leg>,
}

/// One of several searches that are run one after another.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Leg {
    /// Name of the method.
    pub method: &'static str,
    /// Estimated cost of the best graph that it visited, in microseconds.
    pub best_us: f64,
    /// As [`Counts::pops`].
    pub pops: usize,
}

/// What a search did, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Rewritten graphs taken from the queue, each once, whatever became of it: expanded, met before, refused, or not worth
    /// expanding. (TASO makes graphs before it queues them, so that its queue has distinct graphs only: its pops are what
    /// is `expanded` here.) A greedy search counts the rewrites that it applied.
    pub pops: usize,
    /// Distinct graphs made, the start included.
    pub explored: usize,
    /// Graphs all of whose rewrites were considered.
    pub expanded: usize,
    /// Graphs made and dropped because they were met before.
    pub duplicates: usize,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub(super) fn plus(self, other: Counts) -> Counts {
        Counts {
            pops: self.pops + other.pops,
            explored: self.explored + other.explored,
            expanded: self.expanded + other.expanded,
            duplicates: self.duplicates + other.duplicates,
        }
    }
}

/// How far a search is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// As [`Counts::pops`].
    pub pops: usize,
    /// Estimated cost at the start, in microseconds.
    pub start_us: f64,
    /// Estimated cost of the best graph so far, in microseconds.
    pub best_us: f64,
}

/// Time since a start, against a bound.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    start: Instant,
    limit: Option<Duration>,
}

impl Stopwatch {
    /// Starts now.
    pub fn start(limit: Option<Duration>) -> Stopwatch {
        Stopwatch { start: Instant::now(), limit }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.start.elapsed() >= limit)
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
