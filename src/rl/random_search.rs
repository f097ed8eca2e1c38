//! The baseline of every learned search: episodes of random rewrites.

use super::env::{Action, Env, EnvSettings};
use super::random::Random;
use super::tracker::Tracker;
use crate::graph::Graph;
use crate::search::{Problem, Report, Search, StopReason, Watcher};

/// Episodes in which every legal rewrite is as likely as any other, until the budget is spent; the best graph of all.
pub struct RandomSearch {
    /// Rewrites of an episode.
    pub horizon: usize,
    /// The same seed gives the same search.
    pub seed: u64,
}

impl Search for RandomSearch {
    fn name(&self) -> &'static str {
        "random"
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let mut tracker = Tracker::new(problem, watcher);
        let settings = EnvSettings { horizon: self.horizon, reach: problem.budget.reach, ..EnvSettings::default() };
        let mut env = Env::new(tracker.task(&[]), settings);
        let mut random = Random::new(self.seed);
        let stop_reason = loop {
            if let Some(reason) = tracker.why_stop() {
                break reason;
            }
            let legal = env.candidates();
            if legal == 0 && env.info().steps == 0 {
                break StopReason::Exhausted;
            }
            if legal == 0 || env.is_over() {
                env.reset();
                continue;
            }
            env.step(Action::Apply(random.below(legal)));
            tracker.count(&[], &env);
        };
        tracker.report(self.name(), stop_reason)
    }
}
