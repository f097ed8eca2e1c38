//! Searching for a cheaper equivalent graph.

mod backtracking;
mod budget;
mod choose;
mod greedy;
mod look_ahead;
mod normalise;
mod pipeline;
mod portfolio;
mod state;
mod tree;
mod walk;

pub use backtracking::Backtracking;
pub use budget::{Budget, Counts, Progress, Report, Step, StopReason, Stopwatch};
pub use choose::{Chosen, Contender, Measurement, Measuring, choose};
pub use greedy::Greedy;
pub use pipeline::{Event, OptimiseError, Outcome, Settings, Summary, optimise};
pub use portfolio::Portfolio;
pub use state::{Saved, State};
pub use walk::RandomWalk;

use std::sync::Arc;

use crate::cost::CostModel;
use crate::graph::Graph;
use crate::rewrite::RuleSet;

/// A way to search.
pub trait Search {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Searches from `graph` (which is clean) and returns the best graph visited, with the report. `progress` is called
    /// now and then; when it returns false the search stops and keeps its best.
    fn run(
        &self,
        graph: &Graph,
        rules: &Arc<RuleSet>,
        model: &dyn CostModel,
        budget: &Budget,
        progress: &mut dyn FnMut(&Progress) -> bool,
    ) -> (Graph, Report);
}
