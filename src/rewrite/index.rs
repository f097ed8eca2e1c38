//! All matches in a graph, kept current as the graph is edited.
//!
//! For each node there is the list of candidates anchored at it, and what the search for them looked at (see
//! `matcher::Trace`). An edit makes exactly those lists stale that looked at what it changed; they are searched anew, and
//! the old ones are kept in a journal, so that an undo restores them. Each candidate carries its checked patch and a
//! score that the caller's scorer gave it (the search's predicted cost change). Whether a candidate would make a cycle
//! is global, and tested when it is asked for.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::graph::{Changes, Graph, Mark, NodeId};

use super::bindings::Match;
use super::cleanup::{CleanUp, clean_up_from};
use super::matcher::{self, Scratch, Trace};
use super::patch::Patch;
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

/// What there is at one node.
#[derive(Debug, Default)]
struct Entry {
    candidates: Vec<Arc<Candidate>>,
    content: SmallVec<[NodeId; 16]>,
    users: SmallVec<[NodeId; 8]>,
}

type Shared = Option<Arc<Entry>>;

/// All matches of a rule set in a graph.
#[derive(Clone)]
pub struct Index {
    rules: Arc<RuleSet>,
    entries: Vec<Shared>,
    /// For each node, the anchors whose search looked at its operator and operands.
    content_readers: Vec<SmallVec<[NodeId; 8]>>,
    /// For each node, the anchors whose search looked at its users.
    user_readers: Vec<SmallVec<[NodeId; 8]>>,
    journal: Vec<(NodeId, Shared)>,
}

/// A point to go back to, of a graph and its index together.
#[derive(Clone, Copy, Debug)]
pub struct IndexMark {
    graph: Mark,
    index: usize,
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
            content_readers: Vec::new(),
            user_readers: Vec::new(),
            journal: Vec::new(),
        };
        index.grow(graph);
        let mut scratch = Scratch::default();
        for id in graph.node_ids() {
            let entry = index.search(graph, id, scorer, &mut scratch);
            index.put(id, entry);
        }
        index
    }

    /// The rules whose matches these are.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// All candidates, by node and rule. Those of several results may still make a cycle: see [`Patch::is_acyclic`].
    pub fn candidates(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        self.entries.iter().flatten().flat_map(|e| e.candidates.iter())
    }

    /// Applies a patch, cleans up, and brings the index up to date.
    pub fn apply(&mut self, graph: &mut Graph, patch: &Patch, scorer: &dyn Scorer) -> Applied {
        let before = IndexMark { graph: graph.mark(), index: self.journal.len() };
        let worklist = patch.apply(graph);
        let clean_up = clean_up_from(graph, worklist);
        let changes = graph.changes_since(before.graph);
        self.update(graph, &changes, scorer);
        Applied { before, clean_up, changes }
    }

    /// Undoes everything since the mark: graph and index are again exactly what they were.
    pub fn undo_to(&mut self, graph: &mut Graph, mark: IndexMark) {
        graph.undo_to(mark.graph);
        while self.journal.len() > mark.index {
            let (id, entry) = self.journal.pop().expect("longer than the mark");
            self.put(id, entry);
        }
    }

    /// Forgets what an undo would need, and the graph's journal with it.
    pub fn commit(&mut self, graph: &mut Graph) {
        graph.commit();
        self.journal.clear();
    }

    fn grow(&mut self, graph: &Graph) {
        let bound = graph.id_bound();
        if self.entries.len() < bound {
            self.entries.resize_with(bound, || None);
            self.content_readers.resize_with(bound, SmallVec::new);
            self.user_readers.resize_with(bound, SmallVec::new);
        }
    }

    /// Searches anew whatever the changes may have touched.
    fn update(&mut self, graph: &Graph, changes: &Changes, scorer: &dyn Scorer) {
        self.grow(graph);
        let mut stale: SmallVec<[NodeId; 64]> = SmallVec::new();
        for id in &changes.content {
            stale.push(*id);
            stale.extend_from_slice(&self.content_readers[id.index()]);
        }
        for id in &changes.users {
            stale.extend_from_slice(&self.user_readers[id.index()]);
        }
        stale.sort_unstable();
        stale.dedup();
        let mut scratch = Scratch::default();
        for id in stale {
            let entry = if graph.contains(id) { self.search(graph, id, scorer, &mut scratch) } else { None };
            let old = self.put(id, entry);
            self.journal.push((id, old));
        }
    }

    /// Replaces what there is at a node, and who reads what.
    fn put(&mut self, id: NodeId, entry: Shared) -> Shared {
        let old = std::mem::replace(&mut self.entries[id.index()], entry);
        if let Some(old) = &old {
            old.content.iter().for_each(|n| forget(&mut self.content_readers[n.index()], id));
            old.users.iter().for_each(|n| forget(&mut self.user_readers[n.index()], id));
        }
        if let Some(new) = &self.entries[id.index()] {
            new.content.iter().for_each(|n| self.content_readers[n.index()].push(id));
            new.users.iter().for_each(|n| self.user_readers[n.index()].push(id));
        }
        old
    }

    fn search(&self, graph: &Graph, id: NodeId, scorer: &dyn Scorer, scratch: &mut Scratch) -> Shared {
        let node = graph.node(id);
        if node.constant || !self.rules.has_anchor(node.op.kind()?) {
            return None;
        }
        let mut trace = Trace::default();
        trace.content(id);
        node.inputs.iter().flatten().for_each(|v| trace.content(v.node));
        let mut candidates: Vec<Arc<Candidate>> = Vec::new();
        for rule in self.rules.may_match(graph, node) {
            let pattern = self.rules.pattern(rule);
            for found in matcher::find(graph, pattern, rule, id, &mut trace, scratch) {
                let Some(patch) = Patch::build(graph, pattern, &found, &mut trace) else { continue };
                // A commutative operator matches in both orders; often both do the same.
                if candidates.iter().any(|c| c.found.rule == rule && c.patch == patch) {
                    continue;
                }
                if let Some(score) = scorer.score(graph, &patch) {
                    candidates.push(Arc::new(Candidate { found, patch, score }));
                }
            }
        }
        Some(Arc::new(Entry { candidates, content: trace.content, users: trace.users }))
    }
}

fn forget(readers: &mut SmallVec<[NodeId; 8]>, id: NodeId) {
    if let Some(at) = readers.iter().position(|r| *r == id) {
        readers.swap_remove(at);
    }
}

#[cfg(test)]
impl Index {
    /// Everything that a search from scratch would have to find again, in canonical order.
    pub(super) fn snapshot(&self) -> Vec<(usize, Vec<Arc<Candidate>>)> {
        let filled = self.entries.iter().enumerate().filter_map(|(i, e)| e.as_ref().map(|e| (i, e.candidates.clone())));
        filled.collect()
    }
}
