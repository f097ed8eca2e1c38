//! Searching for a cheaper equivalent graph.

mod backtracking;
mod budget;
mod choose;
mod greedy;
mod look_ahead;
mod normalise;
mod pipeline;
mod portfolio;
mod reach;
mod relay;
mod state;
mod tree;
mod two_step;
mod walk;

pub use backtracking::Backtracking;
pub use budget::{Budget, Counts, Leg, Progress, Report, Step, StopReason, Stopwatch};
pub use choose::{Chosen, Contender, Measurement, Measuring, choose};
pub use greedy::Greedy;
pub use pipeline::{Event, OptimiseError, Outcome, Settings, Summary, optimise};
pub use portfolio::Portfolio;
pub use reach::Reach;
pub use relay::Relay;
pub use state::{Saved, State};
pub use walk::RandomWalk;

use std::sync::Arc;

use crate::cost::CostModel;
use crate::graph::Graph;
use crate::rewrite::RuleSet;

/// What is searched, and within which bounds.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    /// The start, which is clean.
    pub graph: &'a Graph,
    /// What may be applied.
    pub rules: &'a Arc<RuleSet>,
    /// Estimates costs.
    pub model: &'a dyn CostModel,
    /// Bounds of the search.
    pub budget: &'a Budget,
}

/// Who watches a search: called now and then; when it returns false the search stops and keeps its best.
pub type Watcher<'a> = &'a mut dyn FnMut(&Progress) -> bool;

/// A way to search.
pub trait Search {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Returns the best graph visited, with the report.
    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report);

    /// After a run: other graphs that it thinks worth timing in the choice at the end.
    fn runners_up(&self, _problem: &Problem<'_>) -> Vec<Contender> {
        Vec::new()
    }
}
