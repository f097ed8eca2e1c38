//! One search goes on from where another ended: what a policy leaves undone a local search may still do, and where the
//! policy went wrong the search from the start is not lost.

use crate::cost;
use crate::graph::Graph;

use super::tree::MAX_WEIGHT_GROWTH;
use super::{Budget, Counts, Leg, Problem, Progress, Report, Search, StopReason, Stopwatch, Watcher};

/// A search, then a second one from its best graph, then the second one from the start; the best of all.
pub struct Relay<A, B> {
    /// The name on the command line.
    pub name: &'static str,
    /// Runs first, with half of the budget.
    pub first: A,
    /// Runs after it, from where it ended and from the start, with what is left by halves.
    pub second: B,
}

/// What is left of a budget, and what was done.
struct Course<'a, 'w> {
    budget: &'a Budget,
    watch: Stopwatch,
    counts: Counts,
    legs: Vec<Leg>,
    start_us: f64,
    best_us: f64,
    watcher: Watcher<'w>,
}

impl Course<'_, '_> {
    /// Runs a search with this share of what is left.
    fn leg(&mut self, search: &dyn Search, problem: &Problem<'_>, share: f64) -> (Graph, Report) {
        let left = self.budget.pops - self.counts.pops.min(self.budget.pops);
        let time = self.budget.time.map(|limit| limit.saturating_sub(self.watch.elapsed()).mul_f64(share));
        let pops = (left as f64 * share).ceil() as usize;
        let budget = Budget { pops, time, ..self.budget.clone() };
        let (before, start_us, best_us) = (self.counts, self.start_us, self.best_us);
        let watcher = &mut self.watcher;
        let mut tell = |progress: &Progress| {
            watcher(&Progress { pops: before.pops + progress.pops, start_us, best_us: best_us.min(progress.best_us) })
        };
        let (graph, report) = search.run(&Problem { budget: &budget, ..*problem }, &mut tell);
        self.counts = before.plus(report.counts);
        self.best_us = self.best_us.min(report.best_us);
        self.legs.push(Leg { method: report.method, best_us: report.best_us, pops: report.counts.pops });
        (graph, report)
    }
}

impl<A: Search, B: Search> Search for Relay<A, B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let start_us = cost::graph_cost(problem.model, problem.graph).time_us;
        let mut course = Course {
            budget: problem.budget,
            watch: Stopwatch::start(problem.budget.time),
            counts: Counts::default(),
            legs: Vec::new(),
            start_us,
            best_us: start_us,
            watcher,
        };
        let ends = |report: &Report| matches!(report.stop_reason, StopReason::Interrupted | StopReason::StopAfter);
        let (mut best, mut report) = course.leg(&self.first, problem, 0.5);
        if !ends(&report) {
            let left = problem.budget.max_rewrites.map(|most| most - report.applied.len().min(most));
            let budget = Budget { max_rewrites: left, ..problem.budget.clone() };
            let (graph, next) = course.leg(&self.second, &Problem { graph: &best, budget: &budget, ..*problem }, 0.5);
            // The second leg's own limit is relative to where it began.
            let limit = cost::weight_bytes(problem.graph).saturating_mul(MAX_WEIGHT_GROWTH);
            report.stop_reason = next.stop_reason;
            if next.best_us < report.best_us && cost::weight_bytes(&graph) <= limit {
                best = graph;
                report.applied.extend(next.applied);
                report.clean_up = report.clean_up.plus(next.clean_up);
                (report.best_us, report.found_by) = (next.best_us, next.found_by);
            }
        }
        if !ends(&report) {
            let (graph, other) = course.leg(&self.second, problem, 1.0);
            report.stop_reason = other.stop_reason;
            if other.best_us < report.best_us {
                best = graph;
                report = other;
            }
        }
        report.method = self.name;
        report.counts = course.counts;
        report.legs = course.legs;
        report.seconds = course.watch.seconds();
        (best, report)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cost::{DeviceProfile, Roofline};
    use crate::formats::import::{ImportOptions, import};
    use crate::rewrite::{RuleSet, clean_up};
    use crate::search::{Greedy, Portfolio};
    use crate::substitution::Library;
    use crate::zoo;

    /// Stays where it is, and asks for nothing.
    struct Idle;

    impl Search for Idle {
        fn name(&self) -> &'static str {
            "idle"
        }

        fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
            let nothing = Budget { pops: 0, ..problem.budget.clone() };
            Greedy.run(&Problem { budget: &nothing, ..*problem }, watcher)
        }
    }

    #[test]
    fn the_second_goes_on_from_the_first_and_the_best_of_all_is_kept() {
        let rules = Library::built_in().unwrap().substitutions.into_iter().map(|s| s.rule);
        let rules = Arc::new(RuleSet::compile(rules).unwrap());
        let model = Roofline::new(DeviceProfile::cpu());
        let imported = import(zoo::build("inception_pair", &[]).unwrap(), &ImportOptions::default()).unwrap();
        let mut graph = imported.graph;
        clean_up(&mut graph);
        graph.commit();
        let budget = Budget { pops: 400, ..Budget::default() };
        let problem = Problem { graph: &graph, rules: &rules, model: &model, budget: &budget };
        let reached = |search: &dyn Search| search.run(&problem, &mut |_| true).1.best_us;
        let (greedy_us, best_us) = (reached(&Greedy), reached(&Portfolio::default()));
        assert!(best_us < greedy_us);

        let after_greedy = Relay { name: "relay", first: Greedy, second: Portfolio::default() };
        let (found, report) = after_greedy.run(&problem, &mut |_| true);
        assert!((report.legs[0].best_us - greedy_us).abs() < 1e-6, "what the first reached by itself is told");
        assert!((report.best_us - best_us).abs() < 1e-6, "{} {best_us}", report.best_us);
        assert!((cost::graph_cost(&model, &found).time_us - report.best_us).abs() < 1e-6);
        assert!(
            report.counts.pops <= 400 && report.counts.pops == report.legs.iter().map(|leg| leg.pops).sum::<usize>()
        );

        let after_nothing = Relay { name: "relay", first: Idle, second: Greedy };
        assert!((after_nothing.run(&problem, &mut |_| true).1.best_us - greedy_us).abs() < 1e-6);
        let mut calls = 0;
        let (_, report) = after_greedy.run(&problem, &mut |_| {
            calls += 1;
            calls < 3
        });
        assert_eq!((report.stop_reason, report.legs.len()), (StopReason::Interrupted, 1));
    }
}
