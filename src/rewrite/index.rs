//! All matches in a graph, kept current as the graph is edited.
//!
//! For each node there is the list of candidates anchored at it, rule by rule, and what each search and each patch looked
//! at (see [`super::reads`]). An edit makes exactly those searches stale that looked at what it changed: they are made
//! anew, and the entries that they were in are kept in a journal, so that an undo puts them back. A match that is found
//! again keeps its patch unless what the patch rests on changed. Each candidate carries its checked patch and a score
//! that the caller's scorer gave it (the search's predicted cost change). Whether a candidate would make a cycle is
//! global, and tested when it is asked for.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::graph::{Changes, Graph, Mark, NodeId};

use super::bindings::Match;
use super::cleanup::{CleanUp, clean_up_from};
use super::entry::{Entry, Outcome};
use super::matcher::{self, Buffers};
use super::patch::{Names, Patch};
use super::reads::{Marks, Read, Readers, ReadersMark, Trace};
use super::rules::RuleSet;

/// A match with the edit that it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Where the rule matches.
    pub found: Match,
    /// What applying it does.
    pub patch: Patch,
    /// What the scorer said of it.
    pub score: f64,
}

/// Gives an edit its score; `None` drops the candidate.
pub trait Scorer {
    /// The score of a patch on a graph: it may depend on the nodes that the patch adds, uses and makes dead only.
    fn score(&self, graph: &Graph, patch: &Patch) -> Option<f64>;
}

type Shared = Option<Arc<Entry>>;

/// All matches of a rule set in a graph.
#[derive(Clone)]
pub struct Index {
    rules: Arc<RuleSet>,
    entries: Vec<Shared>,
    readers: Readers,
    /// What the latest edit changed; blank between edits.
    marks: Marks,
    journal: Vec<(NodeId, Shared)>,
}

/// A point to go back to, of a graph and its index together.
#[derive(Clone, Copy, Debug)]
pub struct IndexMark {
    graph: Mark,
    index: usize,
    readers: ReadersMark,
}

/// What an application did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Where to go back to.
    pub before: IndexMark,
    /// What the clean-up did.
    pub clean_up: CleanUp,
    /// What changed.
    pub changes: Changes,
}

impl Index {
    /// Searches the whole graph.
    pub fn new(graph: &Graph, rules: Arc<RuleSet>, scorer: &dyn Scorer) -> Index {
        let mut index = Index {
            rules,
            entries: Vec::new(),
            readers: Readers::default(),
            marks: Marks::default(),
            journal: Vec::new(),
        };
        index.grow(graph);
        index.entries = {
            let mut searcher = Searcher::new(graph, &index.rules, &index.marks, scorer);
            (0..graph.id_bound()).map(|i| searcher.everything(NodeId::new(i)).map(Arc::new)).collect()
        };
        index.rebuild_readers();
        index
    }

    /// The rules whose matches these are.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// All candidates, by node and rule. Those of several results may still make a cycle: see [`Patch::is_acyclic`].
    pub fn candidates(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        self.entries.iter().flatten().flat_map(|e| e.candidates())
    }

    /// The candidates anchored at a node, by rule.
    pub fn candidates_at(&self, id: NodeId) -> impl Iterator<Item = &Arc<Candidate>> {
        self.entries.get(id.index()).into_iter().flatten().flat_map(|e| e.candidates())
    }

    /// Nodes whose candidates may have changed since the mark; some more than once, some that do not exist any more.
    pub fn renewed_since(&self, mark: IndexMark) -> impl Iterator<Item = NodeId> {
        self.journal[mark.index..].iter().map(|(id, _)| *id)
    }

    /// Applies a patch, cleans up, and brings the index up to date.
    pub fn apply(&mut self, graph: &mut Graph, patch: &Patch, scorer: &dyn Scorer) -> Applied {
        let before = IndexMark { graph: graph.mark(), index: self.journal.len(), readers: self.readers.mark() };
        let worklist = patch.apply(graph);
        let clean_up = clean_up_from(graph, worklist);
        let changes = graph.changes_since(before.graph);
        self.update(graph, &changes, scorer);
        Applied { before, clean_up, changes }
    }

    /// Undoes everything since the mark: graph and index are again exactly what they were.
    pub fn undo_to(&mut self, graph: &mut Graph, mark: IndexMark) {
        graph.undo_to(mark.graph);
        let known = self.readers.undo_to(mark.readers);
        while self.journal.len() > mark.index {
            let (id, entry) = self.journal.pop().expect("longer than the mark");
            if let (false, Some(entry)) = (known, &entry) {
                self.readers.add(id, entry.reads());
            }
            self.entries[id.index()] = entry;
        }
    }

    /// Forgets what an undo would need, and the graph's journal with it.
    pub fn commit(&mut self, graph: &mut Graph) {
        graph.commit();
        self.journal.clear();
        self.rebuild_readers();
    }

    fn grow(&mut self, graph: &Graph) {
        let bound = graph.id_bound();
        if self.entries.len() < bound {
            self.entries.resize_with(bound, || None);
        }
        self.readers.grow(graph);
    }

    fn rebuild_readers(&mut self) {
        let entries = self.entries.iter().enumerate();
        self.readers.rebuild(entries.filter_map(|(i, e)| e.as_ref().map(|e| (NodeId::new(i), e.reads()))));
    }

    /// Searches anew whatever the changes may have touched.
    fn update(&mut self, graph: &Graph, changes: &Changes, scorer: &dyn Scorer) {
        self.grow(graph);
        self.marks.set(changes, self.entries.len());
        let mut searcher = Searcher::new(graph, &self.rules, &self.marks, scorer);
        for id in self.readers.concerned(changes) {
            let old = &mut self.entries[id.index()];
            let new = if self.marks.is_new(id) {
                searcher.everything(id)
            } else {
                match old.as_deref() {
                    Some(entry) if self.marks.touch(entry.reads()) => Some(searcher.what_is_stale(id, entry)),
                    _ => continue,
                }
            };
            if old.is_some() || new.is_some() {
                self.journal.push((id, std::mem::replace(old, new.map(Arc::new))));
                self.readers.add(id, &searcher.fresh);
            }
        }
        self.marks.clear(changes);
        if self.readers.are_crowded() {
            self.rebuild_readers();
        }
    }
}

/// Searches at nodes of one graph, with buffers that they share.
struct Searcher<'a> {
    graph: &'a Graph,
    rules: &'a RuleSet,
    marks: &'a Marks,
    scorer: &'a dyn Scorer,
    buffers: Buffers,
    names: Names,
    outcome: Outcome,
    /// What the patch in the making rests on.
    patch: Trace,
    /// Everything that the searches at the latest node looked at.
    fresh: Vec<Read>,
}

impl<'a> Searcher<'a> {
    fn new(graph: &'a Graph, rules: &'a RuleSet, marks: &'a Marks, scorer: &'a dyn Scorer) -> Searcher<'a> {
        Searcher {
            graph,
            rules,
            marks,
            scorer,
            buffers: Buffers::default(),
            names: Names::default(),
            outcome: Outcome::default(),
            patch: Trace::default(),
            fresh: Vec::new(),
        }
    }

    /// Searches for every rule that may match at a node.
    fn everything(&mut self, id: NodeId) -> Option<Entry> {
        self.fresh.clear();
        let node = self.graph.get(id)?;
        if node.constant || !self.rules.has_anchor(node.op.kind()?) {
            return None;
        }
        let mut new = Entry::default();
        for rule in self.rules.may_match(self.graph, node) {
            self.outcome.clear();
            for found in self.find(rule, id) {
                self.candidate(found);
            }
            self.finish(rule, &mut new);
        }
        Some(new)
    }

    /// The entry of a node that kept its operands, with that made anew which looked at what changed.
    fn what_is_stale(&mut self, id: NodeId, old: &Entry) -> Entry {
        self.fresh.clear();
        let mut new = Entry::default();
        for part in old.parts() {
            if !self.marks.touch(part.reads) {
                new.copy(part);
                continue;
            }
            self.outcome.clear();
            if self.marks.touch(part.search_reads()) || part.has_doubles() {
                for found in self.find(part.rule, id) {
                    match part.patches().find(|(kept, ..)| kept.candidate.found == found) {
                        Some((kept, build, deaths)) => self.renew(&kept.candidate, build, deaths),
                        None => self.candidate(found),
                    }
                }
            } else {
                // The matches are what they were.
                self.outcome.drop(part.search_reads());
                for (kept, build, deaths) in part.patches() {
                    self.renew(&kept.candidate, build, deaths);
                }
            }
            self.finish(part.rule, &mut new);
        }
        new
    }

    fn find(&mut self, rule: u32, id: NodeId) -> SmallVec<[Match; 2]> {
        let pattern = self.rules.pattern(rule);
        matcher::find(self.graph, pattern, rule, id, &mut self.outcome.search, &mut self.buffers)
    }

    /// Builds the patch of a match.
    fn candidate(&mut self, found: Match) {
        let pattern = self.rules.pattern(found.rule);
        self.patch.clear();
        let Some(mut patch) = Patch::build(self.graph, pattern, &found, &mut self.names, &mut self.patch) else {
            return self.outcome.drop(self.patch.as_slice());
        };
        if self.is_double(&patch) {
            return self.outcome.drop(self.patch.as_slice());
        }
        let built = self.patch.as_slice().len();
        patch.dead = patch.deaths(self.graph, &mut self.patch);
        match self.scorer.score(self.graph, &patch) {
            Some(score) => {
                let (build, deaths) = self.patch.as_slice().split_at(built);
                self.outcome.keep(Arc::new(Candidate { found, patch, score }), build, deaths);
            }
            None => self.outcome.drop(self.patch.as_slice()),
        }
    }

    /// A candidate whose match is found again: what its patch rests on tells how much of it stays.
    fn renew(&mut self, candidate: &Arc<Candidate>, build: &[Read], deaths: &[Read]) {
        if self.marks.touch(build) {
            return self.candidate(candidate.found.clone());
        }
        if self.is_double(&candidate.patch) {
            self.outcome.drop(build);
            return;
        }
        if !self.marks.touch(deaths) {
            return self.outcome.keep(candidate.clone(), build, deaths);
        }
        self.patch.clear();
        let dead = candidate.patch.deaths(self.graph, &mut self.patch);
        if dead == candidate.patch.dead {
            return self.outcome.keep(candidate.clone(), build, self.patch.as_slice());
        }
        let mut renewed = Candidate::clone(candidate);
        renewed.patch.dead = dead;
        match self.scorer.score(self.graph, &renewed.patch) {
            Some(score) => {
                renewed.score = score;
                self.outcome.keep(Arc::new(renewed), build, self.patch.as_slice());
            }
            None => {
                self.outcome.drop(build);
                self.outcome.drop(self.patch.as_slice());
            }
        }
    }

    /// Whether a patch does what another one of the same rule does: a commutative operator matches in both orders.
    fn is_double(&mut self, patch: &Patch) -> bool {
        let double = self.outcome.found.iter().any(|kept| {
            let other = &kept.candidate.patch;
            other.replacements == patch.replacements && other.nodes == patch.nodes
        });
        self.outcome.doubles |= double;
        double
    }

    fn finish(&mut self, rule: u32, entry: &mut Entry) {
        self.fresh.extend_from_slice(self.outcome.search.as_slice());
        self.fresh.extend_from_slice(&self.outcome.patches);
        entry.push(rule, &mut self.outcome);
    }
}

#[cfg(test)]
impl Index {
    /// What a long walk does now and then.
    pub(super) fn forget_old_readers(&mut self) {
        self.rebuild_readers();
    }

    /// Everything that a search from scratch would have to find again, in canonical order.
    pub(super) fn snapshot(&self) -> Vec<(usize, Vec<Arc<Candidate>>)> {
        let filled = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(i, e)| e.as_ref().map(|e| (i, e.candidates().cloned().collect())));
        filled.collect()
    }
}
