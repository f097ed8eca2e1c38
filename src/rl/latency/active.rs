//! Measures where it matters: searches under corrected costs propose graphs, the members of the ensemble disagree about which
//! is fastest, those are measured, and the ensemble learns.
//!
//! Each round:
//! 1. The ensemble is fitted to all measurements so far. Before the first, its centre is the estimate itself.
//! 2. The pool grows: the search under the centre's costs, the cheapest graphs that a best-first search under them visits
//!    ([`cheapest`]), and greedy under the costs of some members. After the first round searches have a quarter of the budget.
//! 3. A few graphs are picked, each the fastest of the pool by one voice: the centre first, then members drawn at random
//!    (Thompson sampling). Where members agree they name what is best so far, or what is next to it; where they do not, that
//!    is what a measurement tells most about.
//! 4. They are measured by turns with the original.

use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::cost::{self, CostModel};
use crate::graph::{Graph, splitmix64};
use crate::rl::random::Random;
use crate::search::{Budget, Counts, Greedy, Problem, Progress, Search, StopReason, Stopwatch, Watcher};

use super::encoding::{Encoding, Names, Scale, add_names};
use super::ensemble::{Ensemble, MEMBERS, Prediction, Sample};
use super::law::{Law, Source};
use super::pool::{Found, cheapest};
use super::turns::{Clock, Reading};

/// By what graphs are picked to be measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choosing {
    /// By what members of the ensemble believe, each in turn.
    Disagreement,
    /// At random from the same pool: what choosing is worth.
    Random,
    /// The cheapest by the estimate alone, in order: what learning is worth.
    Estimate,
}

/// How to go about it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    /// Measurements to spend.
    pub measurements: usize,
    /// By what graphs are picked.
    pub choosing: Choosing,
    /// Seed of the ensemble and of what is drawn.
    pub seed: u64,
}

/// A graph that was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What proposed it: `search`, `near`, or `greedy`.
    pub from: &'static str,
    /// The graph.
    pub found: Found,
    /// Its numbers.
    pub encoding: Encoding,
    /// Its estimated time over that of the original.
    pub estimate: f64,
    /// What the ensemble said before it was measured.
    pub prediction: Prediction,
    /// What it measured; `None` if it does not run.
    pub reading: Option<Reading>,
    /// The run that it was measured in.
    pub run: usize,
}

impl Measured {
    /// Its measured time over that of the original; infinite if it does not run.
    pub fn ratio(&self) -> f64 {
        self.reading.map_or(f64::INFINITY, |reading| reading.ratio)
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Learned {
    /// What was measured, in order.
    pub measured: Vec<Measured>,
    /// What was found and not measured.
    pub left: Vec<Found>,
    /// What the searches did, together.
    pub counts: Counts,
    /// Why it ended.
    pub stop_reason: StopReason,
    plan: Plan,
    scale: Scale,
    original: Encoding,
    names: Names,
}

impl Learned {
    /// How far predictions were off before the graph was measured, and how far the estimate is: medians, as shares of the
    /// original's time.
    pub fn errors(&self) -> (f64, f64) {
        let ran = || self.measured.iter().filter(|m| m.reading.is_some());
        let median = |mut off: Vec<f64>| {
            off.sort_by(f64::total_cmp);
            off.get(off.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let predicted = ran().map(|m| (m.prediction.ratio - m.ratio()).abs()).collect();
        (median(predicted), median(ran().map(|m| (m.estimate - m.ratio()).abs()).collect()))
    }

    /// Those of the first `count` that are believed to be faster than the original after they were measured, the fastest
    /// first, with the belief. Of many noisy readings the best is mostly luck: a belief weighs a graph's own reading
    /// against those of graphs that are like it. Without learning it is the reading.
    pub fn fastest(&self, count: usize) -> Vec<(f64, &Measured)> {
        let measured = &self.measured[..count.min(self.measured.len())];
        let ensemble = (self.plan.choosing != Choosing::Estimate).then(|| self.fit(measured));
        let belief = |m: &Measured| ensemble.as_ref().map_or(m.ratio(), |e| e.predict(&m.encoding).ratio);
        let ran = measured.iter().filter(|m| m.reading.is_some());
        let mut faster: Vec<(f64, &Measured)> = ran.map(|m| (belief(m), m)).filter(|(ratio, _)| *ratio < 1.0).collect();
        faster.sort_by(|a, b| a.0.total_cmp(&b.0));
        faster
    }

    fn fit(&self, measured: &[Measured]) -> Ensemble {
        Ensemble::fit(self.scale, &self.original, &samples(measured), self.plan.seed)
    }

    /// All that was learned, to be kept; `None` if nothing was. The names are those of a model, of what it was measured on, and
    /// of its costs.
    pub fn law(&self, source: Source) -> Option<Law> {
        let samples = samples(&self.measured);
        let (scale, original, names) = (self.scale, self.original.clone(), self.names.clone());
        (!samples.is_empty()).then_some(Law { source, seed: self.plan.seed, scale, original, samples, names })
    }
}

/// What the ensemble learns from.
fn samples(measured: &[Measured]) -> Vec<Sample> {
    let sample = |m: &Measured| {
        let Reading { ratio, error } = m.reading?;
        Some(Sample { encoding: m.encoding.clone(), ratio, error, run: m.run })
    };
    measured.iter().filter_map(sample).collect()
}

/// Graphs that are measured between two fits.
const BATCH: usize = 4;
/// Graphs near the best that a round adds to the pool.
const NEAR: usize = 24;
/// Members whose costs greedy follows in a round, by turns.
const ASKED: usize = 8;
/// The share of the budget that a search has after the first round.
const LATER: usize = 4;
/// Graphs that the pool holds.
const MOST_IN_POOL: usize = 400;

/// Spends the plan's measurements on graphs that `search` and its like find for the problem.
pub fn learn(
    search: &dyn Search,
    problem: &Problem<'_>,
    plan: &Plan,
    clock: Clock<'_>,
    watcher: Watcher<'_>,
) -> Learned {
    let scale = Scale::of(problem.model, problem.graph);
    let original = Encoding::of(problem.model, problem.graph, scale);
    let mut learner = Learner {
        problem: *problem,
        plan: *plan,
        scale,
        known: FxHashSet::from_iter([original.digest()]),
        original,
        pool: Vec::new(),
        measured: Vec::new(),
        runs: 0,
        asked: 0,
        random: Random::new(splitmix64(plan.seed, 1)),
        counts: Counts::default(),
        watch: Stopwatch::start(problem.budget.time),
        stopped: None,
    };
    let stop_reason = learner.run(search, clock, watcher);
    let left = learner.pool.drain(..).map(|entry| entry.found).collect();
    let Learner { measured, counts, original, .. } = learner;
    let mut names = Names::new();
    let graphs = [problem.graph].into_iter().chain(measured.iter().map(|m| &m.found.graph));
    graphs.for_each(|graph| add_names(problem.model, graph, &mut names));
    Learned { measured, left, counts, stop_reason, plan: *plan, scale, original, names }
}

/// A graph that may be measured.
struct Entry {
    from: &'static str,
    found: Found,
    encoding: Encoding,
}

struct Learner<'a> {
    problem: Problem<'a>,
    plan: Plan,
    scale: Scale,
    original: Encoding,
    /// Digests of what is in the pool, was measured, or is the original.
    known: FxHashSet<u64>,
    pool: Vec<Entry>,
    measured: Vec<Measured>,
    /// Times that something was measured.
    runs: usize,
    /// The member that was asked last.
    asked: usize,
    random: Random,
    counts: Counts,
    watch: Stopwatch,
    stopped: Option<StopReason>,
}

impl Learner<'_> {
    fn run(&mut self, search: &dyn Search, clock: Clock<'_>, watcher: Watcher<'_>) -> StopReason {
        while self.measured.len() < self.plan.measurements {
            let ensemble = self.fit();
            self.propose(search, &ensemble, watcher);
            let count = BATCH.min(self.plan.measurements - self.measured.len());
            if let Some(reason) = self.stopped {
                return reason;
            }
            let picked = self.pick(&ensemble, count);
            if picked.is_empty() {
                return StopReason::Exhausted;
            }
            let graphs: Vec<&Graph> = picked.iter().map(|entry| &entry.found.graph).collect();
            let readings = clock(&graphs);
            self.runs += 1;
            for (Entry { from, found, encoding }, reading) in picked.into_iter().zip(readings) {
                let prediction = ensemble.predict(&encoding);
                let estimate = cost::graph_cost(self.problem.model, &found.graph).time_us / self.scale.time_us;
                let run = self.runs;
                self.measured.push(Measured { from, found, encoding, estimate, prediction, reading, run });
            }
            if !self.goes_on(0, watcher) {
                break;
            }
        }
        self.stopped.unwrap_or(StopReason::Budget)
    }

    fn fit(&self) -> Ensemble {
        let teaches = self.plan.choosing != Choosing::Estimate;
        let samples = samples(if teaches { &self.measured } else { &[] });
        Ensemble::fit(self.scale, &self.original, &samples, self.plan.seed)
    }

    /// Lets searches add to the pool.
    fn propose(&mut self, search: &dyn Search, ensemble: &Ensemble, watcher: Watcher<'_>) {
        let learns = self.plan.choosing != Choosing::Estimate;
        if !learns && !self.measured.is_empty() {
            return;
        }
        let model = self.problem.model;
        let centre = ensemble.correct(model, 0);
        let costs: &dyn CostModel = if learns { &centre } else { model };
        self.search_with("search", search, costs, watcher);
        self.search_near(costs, if learns { NEAR } else { self.plan.measurements }, watcher);
        for _ in (0..ASKED).take_while(|_| learns) {
            if self.stopped.is_some() {
                return;
            }
            self.asked = self.asked % MEMBERS + 1;
            self.search_with("greedy", &Greedy, &ensemble.correct(model, self.asked), watcher);
        }
        if self.pool.len() > MOST_IN_POOL {
            let say = |entry: Entry| (ensemble.predict(&entry.encoding).ratio, entry);
            let mut rated: Vec<(f64, Entry)> = self.pool.drain(..).map(say).collect();
            rated.sort_by(|a, b| a.0.total_cmp(&b.0));
            rated.drain(MOST_IN_POOL..).for_each(|(_, entry)| {
                self.known.remove(&entry.encoding.digest());
            });
            self.pool = rated.into_iter().map(|(_, entry)| entry).collect();
        }
    }

    /// What a search may spend now.
    fn budget(&self) -> Budget {
        let Budget { pops, time, .. } = *self.problem.budget;
        let left = |limit: Duration| limit.saturating_sub(Duration::from_secs_f64(self.watch.seconds()));
        let pops = if self.measured.is_empty() { pops } else { pops.div_ceil(LATER) };
        Budget { pops, time: time.map(left), ..self.problem.budget.clone() }
    }

    /// Adds what a search finds with these costs.
    fn search_with(&mut self, from: &'static str, search: &dyn Search, costs: &dyn CostModel, watcher: Watcher<'_>) {
        let budget = self.budget();
        let problem = Problem { model: costs, budget: &budget, ..self.problem };
        let (graph, report) = search.run(&problem, &mut |progress| self.goes_on(progress.pops, watcher));
        self.count(report.counts);
        self.add(from, Found { graph, applied: report.applied, clean_up: report.clean_up });
    }

    /// Adds the cheapest graphs that a best-first search with these costs visits.
    fn search_near(&mut self, costs: &dyn CostModel, count: usize, watcher: Watcher<'_>) {
        let (model, scale) = (self.problem.model, self.scale);
        let budget = self.budget();
        let problem = Problem { model: costs, budget: &budget, ..self.problem };
        let digest = |graph: &Graph| Encoding::of(model, graph, scale).digest();
        let mut pops = 0;
        let found = cheapest(&problem, count, &digest, &mut || {
            pops += 1;
            self.goes_on(pops, watcher)
        });
        self.count(Counts { pops, explored: found.len(), ..Counts::default() });
        found.into_iter().for_each(|found| self.add("near", found));
    }

    fn add(&mut self, from: &'static str, found: Found) {
        let encoding = Encoding::of(self.problem.model, &found.graph, self.scale);
        if self.known.insert(encoding.digest()) {
            self.pool.push(Entry { from, found, encoding });
        }
    }

    fn count(&mut self, counts: Counts) {
        self.counts.pops += counts.pops;
        self.counts.explored += counts.explored;
        self.counts.expanded += counts.expanded;
        self.counts.duplicates += counts.duplicates;
    }

    /// Takes graphs from the pool to be measured, at most `count`.
    fn pick(&mut self, ensemble: &Ensemble, count: usize) -> Vec<Entry> {
        let said: Vec<Vec<f64>> = match self.plan.choosing {
            Choosing::Disagreement => self.pool.iter().map(|entry| ensemble.all(&entry.encoding)).collect(),
            // In the order in which they were found, which for the estimate is by cost.
            Choosing::Random | Choosing::Estimate => (0..self.pool.len()).map(|at| vec![at as f64]).collect(),
        };
        let mut left: Vec<usize> = (0..self.pool.len()).collect();
        let mut picked = Vec::new();
        for slot in 0..count.min(left.len()) {
            let at = match self.plan.choosing {
                Choosing::Random if slot + self.measured.len() > 0 => self.random.below(left.len()),
                // The first of all is what the search found.
                Choosing::Random | Choosing::Estimate => 0,
                Choosing::Disagreement => {
                    let voice = if slot == 0 { 0 } else { 1 + self.random.below(MEMBERS) };
                    let fastest =
                        (0..left.len()).min_by(|a, b| said[left[*a]][voice].total_cmp(&said[left[*b]][voice]));
                    fastest.expect("there are as many left as slots")
                }
            };
            picked.push(left.remove(at));
        }
        let mut taken: Vec<Option<Entry>> = self.pool.drain(..).map(Some).collect();
        let entries = picked.into_iter().filter_map(|at| taken[at].take()).collect();
        self.pool = taken.into_iter().flatten().collect();
        entries
    }

    /// Tells how far it is; whether to go on.
    fn goes_on(&mut self, pops: usize, watcher: Watcher<'_>) -> bool {
        let start_us = self.scale.time_us;
        let best = self.measured.iter().map(Measured::ratio).fold(1.0, f64::min);
        let progress = Progress { pops: self.counts.pops + pops, start_us, best_us: best * start_us };
        if self.watch.is_over() {
            self.stopped = Some(StopReason::Time);
        } else if !watcher(&progress) {
            self.stopped = Some(StopReason::Interrupted);
        }
        self.stopped.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cost::{Cost, DeviceProfile, Roofline};
    use crate::graph::{Op, OpKind, TensorType};
    use crate::rl::env::tests::{model, rules};
    use crate::search::Portfolio;

    /// A device on which launches cost a tenth of the estimate, what moves data three times as much, and products of
    /// matrices are as estimated: what is merged and split again does not pay.
    struct Law(Roofline);

    impl CostModel for Law {
        fn name(&self) -> String {
            "law".to_owned()
        }

        fn apply(&self, op: &Op, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> Cost {
            let estimate = self.0.apply(op, inputs, outputs);
            let time_us = match op.kind() {
                Some(OpKind::Concat | OpKind::Split | OpKind::Slice | OpKind::Transpose) => 3.0 * estimate.time_us,
                _ => estimate.time_us - 0.9 * 3.0 * estimate.launches,
            };
            Cost { time_us: time_us.max(0.1), ..estimate }
        }
    }

    fn run(graph: &Graph, choosing: Choosing, measurements: usize, seed: u64) -> (Learned, f64) {
        let (costs, rules) = (Roofline::new(DeviceProfile::cpu()), rules());
        let law = Law(costs.clone());
        let budget = Budget { pops: 150, ..Budget::default() };
        let problem = Problem { graph, rules: &rules, model: &costs, budget: &budget };
        let start_us = cost::graph_cost(&law, graph).time_us;
        let mut noise = Random::new(seed);
        let mut clock = |graphs: &[&Graph]| {
            let mut read = |graph: &&Graph| {
                let ratio = cost::graph_cost(&law, graph).time_us / start_us + 0.001 * noise.normal();
                Some(Reading { ratio, error: 0.001 })
            };
            graphs.iter().map(&mut read).collect()
        };
        let plan = Plan { measurements, choosing, seed };
        let learned = learn(&Portfolio::default(), &problem, &plan, &mut clock, &mut |_| true);
        let known = Budget { pops: 2_000, ..Budget::default() };
        let ideal = Problem { graph, rules: &rules, model: &law, budget: &known };
        let (_, report) = Portfolio::default().run(&ideal, &mut |_| true);
        (learned, report.best_us / start_us)
    }

    #[test]
    fn it_finds_the_optimum_of_a_law_that_the_estimate_does_not_know_and_with_fewer_measurements_than_others() {
        let graph = model("nasrnn_4", &[]);
        const MOST: usize = 24;
        // Measurements until one is within a hundredth of the optimum, and how far the fastest is from it.
        let needed = |choosing: Choosing| -> (usize, f64) {
            let needed = |seed: u64| {
                let (learned, optimum) = run(&graph, choosing, MOST, seed);
                assert_eq!(learned.measured.len(), MOST, "{choosing:?}");
                let there = |m: &Measured| m.ratio() < optimum + 0.01;
                let first = learned.measured.iter().position(there).map_or(MOST + 1, |at| at + 1);
                (first, learned.fastest(MOST)[0].1.ratio() - optimum)
            };
            (1..3).map(needed).fold((0, 0.0), |sum, one| (sum.0 + one.0, f64::max(sum.1, one.1)))
        };
        let learned = needed(Choosing::Disagreement);
        let (random, estimate) = (needed(Choosing::Random), needed(Choosing::Estimate));
        assert!(learned.1 < 0.02 && estimate.1 > 0.1, "{learned:?} {estimate:?}");
        assert!(learned.0 < random.0 && learned.0 < estimate.0, "{learned:?} {random:?} {estimate:?}");
    }

    #[test]
    fn the_same_seed_measures_the_same_graphs() {
        let graph = model("inception_pair", &[]);
        let hashes = |seed: u64| -> Vec<u128> {
            let (learned, _) = run(&graph, Choosing::Disagreement, 8, seed);
            learned.measured.iter().map(|m| m.found.graph.state_hash()).collect()
        };
        assert_eq!(hashes(1), hashes(1));
        assert_ne!(hashes(1), hashes(2));
    }

    #[test]
    fn it_stops_when_it_is_told_to_and_passes_over_what_does_not_run() {
        let graph = model("inception_pair", &[]);
        let (costs, rules, budget) = (Roofline::new(DeviceProfile::cpu()), rules(), Budget::default());
        let problem = Problem { graph: &graph, rules: &rules, model: &costs, budget: &budget };
        let plan = Plan { measurements: 100, choosing: Choosing::Disagreement, seed: 0 };
        let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut clock = |graphs: &[&Graph]| {
            calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let read = |at: usize| (at > 0).then_some(Reading { ratio: 0.9 - 0.01 * at as f64, error: 0.01 });
            (0..graphs.len()).map(read).collect()
        };
        let told = calls.clone();
        let mut watcher = |_: &Progress| told.load(std::sync::atomic::Ordering::Relaxed) < 1;
        let learned = learn(&Greedy, &problem, &plan, &mut clock, &mut watcher);
        assert_eq!((learned.stop_reason, learned.measured.len()), (StopReason::Interrupted, BATCH));
        assert_eq!(learned.measured[0].ratio(), f64::INFINITY);
        assert_eq!(learned.fastest(100).len(), BATCH - 1);
        assert!(learned.fastest(100)[0].0 < 0.9);
        let learned = learn(&Greedy, &problem, &plan, &mut clock, &mut |_| false);
        assert!(learned.measured.is_empty(), "what stops a search stops its measurements");
    }
}
