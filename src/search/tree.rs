//! The graphs that a search visits: a tree of rewrites over one state, with what every method shares (limits, clock,
//! counts, the best so far).
//!
//! A place in the tree is its parent and the rewrite that leads to it. One state walks over the tree by undo and redo, so
//! that no graph is stored; a place that nothing points to any more is freed.

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use smallvec::{SmallVec, smallvec};

use crate::cost;
use crate::graph::Graph;
use crate::rewrite::{Candidate, CleanUp};

use super::reach::{self, Reach};
use super::{Budget, Counts, Problem, Progress, Report, Saved, State, Step, StopReason, Stopwatch, Watcher};

/// Gains below this many microseconds are noise of the arithmetic.
pub(super) const MIN_GAIN_US: f64 = 1e-6;
/// The weights that inference reads may grow to this many times those of the model.
pub(super) const MAX_WEIGHT_GROWTH: u64 = 2;
/// Graphs with more operators than this many times the initial one are dropped; constants, which are folded, do not count.
const MAX_NODE_GROWTH: usize = 2;

/// A place in the tree; `None` is the root.
pub(super) type At = Option<Rc<Place>>;

/// A graph that was made from another.
pub(super) struct Place {
    parent: At,
    depth: usize,
    /// The rewrite, then those that do the same elsewhere.
    rewrites: SmallVec<[Arc<Candidate>; 1]>,
}

impl Drop for Place {
    /// Frees a long line of ancestors without recursion.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(place) = parent.and_then(Rc::into_inner) {
            let mut place = place;
            parent = place.parent.take();
        }
    }
}

/// The number of steps that lead to a place.
fn depth(at: &At) -> usize {
    at.as_ref().map_or(0, |place| place.depth)
}

/// Operators of a graph that has no dead nodes, constants not counted.
fn operators(graph: &Graph) -> usize {
    graph.node_ids().filter(|id| !graph.node(*id).constant).count()
}

/// The tree, and where the search stands in it.
pub(super) struct Tree<'a> {
    state: State<'a>,
    /// From the root to where the state is; the saved parts undo the way back.
    path: Vec<(Rc<Place>, SmallVec<[Saved; 1]>)>,
    budget: &'a Budget,
    /// How far a step reaches now.
    pub reach: Reach,
    watcher: Watcher<'a>,
    watch: Stopwatch,
    start_us: f64,
    weight_limit: u64,
    node_limit: usize,
    best: At,
    best_us: f64,
    /// The part of a method that is at work, and the one that found the best.
    part: &'static str,
    found_by: &'static str,
    pub counts: Counts,
    seen: Seen,
}

/// What became of a rewrite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entered {
    /// The state stands at the new graph.
    New,
    /// The graph was met before; the state is where it was.
    Duplicate,
    /// The graph is refused (a cycle, too many nodes, too large weights); the state is where it was.
    Refused,
}

impl<'a> Tree<'a> {
    /// The tree of a clean graph, at its root.
    pub fn new(problem: &Problem<'a>, watcher: Watcher<'a>, part: &'static str) -> Tree<'a> {
        let Problem { graph, rules, model, budget } = *problem;
        let watch = Stopwatch::start(budget.time);
        let weight_limit = cost::weight_bytes(graph).saturating_mul(MAX_WEIGHT_GROWTH);
        let node_limit = operators(graph) * MAX_NODE_GROWTH;
        let state = State::new(graph.clone(), rules.clone(), model);
        let start_us = state.total_us();
        let counts = Counts { explored: 1, ..Counts::default() };
        Tree {
            state,
            path: Vec::new(),
            budget,
            reach: budget.reach,
            watcher,
            watch,
            start_us,
            weight_limit,
            node_limit,
            best: None,
            best_us: start_us,
            part,
            found_by: "original",
            counts,
            seen: Seen::default(),
        }
    }

    /// Whether no one of this purpose met the graph where the state stands; it is met now.
    pub fn is_new(&mut self, purpose: u32) -> bool {
        self.seen.insert(self.state.graph().state_hash().wrapping_add(u128::from(purpose)))
    }

    /// Begins another part of the method.
    pub fn begin(&mut self, part: &'static str) {
        self.part = part;
    }

    /// Why the search must stop now, if it must. Tells of how far it is.
    pub fn stop(&mut self) -> Option<StopReason> {
        if self.counts.pops >= self.budget.pops {
            return Some(StopReason::Budget);
        }
        if self.watch.is_over() {
            return Some(StopReason::Time);
        }
        let progress = Progress { pops: self.counts.pops, start_us: self.start_us, best_us: self.best_us };
        (!(self.watcher)(&progress)).then_some(StopReason::Interrupted)
    }

    /// Whether further rewrites would be cut off at the end (`--stop-after`).
    pub fn is_deep_enough(&self) -> bool {
        self.budget.max_rewrites.is_some_and(|most| self.path.len() >= most)
    }

    /// The share of the budget that is used up: of pops or of time, whichever is more.
    pub fn used(&self) -> f64 {
        let pops = self.counts.pops as f64 / self.budget.pops.max(1) as f64;
        self.budget.time.map_or(pops, |limit| pops.max(self.watch.seconds() / limit.as_secs_f64()))
    }

    /// The state where the search stands.
    pub fn state(&self) -> &State<'a> {
        &self.state
    }

    /// Where the search stands.
    pub fn here(&self) -> At {
        self.path.last().map(|(place, _)| place.clone())
    }

    /// The best place so far, and its cost in microseconds.
    pub fn best(&self) -> (At, f64) {
        (self.best.clone(), self.best_us)
    }

    /// Goes to a place.
    pub fn go(&mut self, to: &At) {
        let mut down = Vec::new();
        let mut target = to.clone();
        while let Some(place) = target.clone() {
            if self.path.get(place.depth - 1).is_some_and(|(at, _)| Rc::ptr_eq(at, &place)) {
                break;
            }
            target = place.parent.clone();
            down.push(place);
        }
        while self.path.len() > depth(&target) {
            self.leave();
        }
        for place in down.into_iter().rev() {
            let saved = place.rewrites.iter().map(|rewrite| self.state.apply(rewrite)).collect();
            self.path.push((place, saved));
        }
    }

    /// Goes back to the parent.
    pub fn leave(&mut self) {
        let (_, saved) = self.path.pop().expect("below the root");
        self.undo(saved);
    }

    fn undo(&mut self, saved: SmallVec<[Saved; 1]>) {
        saved.into_iter().rev().for_each(|saved| self.state.undo(saved));
    }

    /// Applies a candidate of the state, unless the result is refused or was met before by someone of the same `purpose`
    /// (`None`: graphs may be met again). With [`Reach::All`] the same is then done elsewhere, where it is not refused.
    pub fn enter(&mut self, candidate: &Arc<Candidate>, purpose: Option<u32>) -> Entered {
        let (kind, others) = match self.reach {
            Reach::One => (0, Vec::new()),
            Reach::All => reach::elsewhere(&self.state, candidate),
        };
        let Some(first) = self.rewrite(candidate) else { return Entered::Refused };
        let mut saved: SmallVec<[Saved; 1]> = smallvec![first];
        let mut rewrites: SmallVec<[Arc<Candidate>; 1]> = smallvec![candidate.clone()];
        for other in others {
            let Some(left) = reach::still(&self.state, &other, kind) else { continue };
            if let Some(next) = self.rewrite(&left) {
                saved.push(next);
                rewrites.push(left);
            }
        }
        if let Some(purpose) = purpose
            && !self.is_new(purpose)
        {
            self.undo(saved);
            self.counts.duplicates += 1;
            return Entered::Duplicate;
        }
        self.counts.explored += 1;
        let place = Place { parent: self.here(), depth: self.path.len() + 1, rewrites };
        self.path.push((Rc::new(place), saved));
        Entered::New
    }

    /// Applies a candidate, unless that makes a cycle or goes beyond the limits.
    fn rewrite(&mut self, candidate: &Candidate) -> Option<Saved> {
        if !candidate.patch.is_acyclic(self.state.graph()) {
            return None;
        }
        let saved = self.state.apply(candidate);
        let too_large = operators(self.state.graph()) > self.node_limit
            || cost::weight_bytes(self.state.graph()) > self.weight_limit;
        if too_large {
            self.state.undo(saved);
            return None;
        }
        Some(saved)
    }

    /// One candidate of each kind of the state's where a step reaches all that are alike, and all of them where it does not.
    pub fn choices(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        reach::one_of_each(&self.state, self.reach)
    }

    /// Makes where the state stands the best if it is cheaper than the best so far; tells whether it is.
    pub fn keep_if_better(&mut self) -> bool {
        let better = self.state.total_us() < self.best_us - MIN_GAIN_US;
        if better {
            self.best_us = self.state.total_us();
            self.best = self.here();
            self.found_by = self.part;
        }
        better
    }

    /// Whether where the state stands is the best so far.
    pub fn gained(&mut self) -> bool {
        let at_best = |tree: &Self| match (&tree.best, tree.path.last()) {
            (Some(best), Some((here, _))) => Rc::ptr_eq(best, here),
            (None, None) => true,
            _ => false,
        };
        self.keep_if_better() || at_best(self)
    }

    /// The best graph, and the report.
    pub fn finish(mut self, method: &'static str, stop_reason: StopReason) -> (Graph, Report) {
        let mut line = Vec::new();
        let mut at = self.best.clone();
        while let Some(place) = at {
            at = place.parent.clone();
            line.push(place);
        }
        // From the root anew, so that each step is told in terms of the graph that it is applied to.
        self.go(&None);
        let mut clean_up = CleanUp::default();
        let mut applied: Vec<Step> = Vec::new();
        let most = self.budget.max_rewrites.unwrap_or(usize::MAX);
        let rewrites: Vec<&Arc<Candidate>> = line.iter().rev().flat_map(|place| &place.rewrites).collect();
        let stop_reason = if rewrites.len() > most { StopReason::StopAfter } else { stop_reason };
        for rewrite in rewrites.into_iter().take(most) {
            applied.push(self.state.describe(rewrite));
            clean_up = clean_up.plus(self.state.apply(rewrite).clean_up);
        }
        let report = Report {
            method,
            found_by: self.found_by,
            seconds: self.watch.seconds(),
            counts: self.counts,
            stop_reason,
            applied,
            best_us: self.state.total_us(),
            clean_up,
            legs: Vec::new(),
        };
        (self.state.into_graph(), report)
    }
}

/// Graphs met before, by state hash: the transposition table. It forgets the older half when it is full, after which a
/// graph may be made twice; nothing else depends on it.
#[derive(Default)]
struct Seen {
    young: FxHashSet<u128>,
    old: FxHashSet<u128>,
}

/// Entries of each half of the table: 32 bytes an entry when a table has just doubled.
const MAX_SEEN: usize = 1 << 21;

impl Seen {
    /// Adds a hash; whether it is new.
    fn insert(&mut self, hash: u128) -> bool {
        if self.old.contains(&hash) || !self.young.insert(hash) {
            return false;
        }
        if self.young.len() >= MAX_SEEN {
            self.old = std::mem::take(&mut self.young);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_forgets_the_older_half_and_stays_bounded() {
        let mut seen = Seen::default();
        for hash in 0..2 * MAX_SEEN as u128 {
            assert!(seen.insert(hash));
        }
        assert!(!seen.insert(2 * MAX_SEEN as u128 - 1), "what is young is known");
        assert!(seen.insert(0), "what is old is forgotten");
        assert!(seen.young.len() + seen.old.len() <= 2 * MAX_SEEN);
    }

    #[test]
    fn a_long_line_of_places_is_freed_without_recursion() {
        use crate::rewrite::{Match, Patch};
        let patch = Patch { nodes: Vec::new(), replacements: Default::default(), dead: Default::default() };
        let candidate = Arc::new(Candidate { found: Match::default(), patch, score: 0.0 });
        let mut at: At = None;
        for depth in 1..=1_000_000 {
            at = Some(Rc::new(Place { parent: at, depth, rewrites: smallvec![candidate.clone()] }));
        }
        drop(at);
        assert_eq!(Arc::strong_count(&candidate), 1);
    }
}
