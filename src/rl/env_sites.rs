//! The candidates of a graph with what an environment keeps of each, and which of them are legal.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashSet, FxHasher};
use smallvec::SmallVec;

use crate::graph::{Changes, Graph, NodeId};
use crate::rewrite::{Candidate, PatchValue, RuleSet};
use crate::search::State;

use super::env::Rows;
use super::env_books::{Books, bytes};

/// A candidate, and what is kept of it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub candidate: Arc<Candidate>,
    /// The nodes that it matches, each once.
    pub touched: SmallVec<[NodeId; 6]>,
    /// Operators added less removed.
    pub added: i32,
    /// Members of its groups.
    pub members: u32,
    /// Predicted growth of the weights that inference reads, in bytes.
    pub growth: i64,
    /// The constants that the growth depends on, and of which another user may come or go.
    constants: SmallVec<[NodeId; 4]>,
}

impl Site {
    fn new(rules: &RuleSet, graph: &Graph, books: &Books, candidate: &Arc<Candidate>) -> Site {
        let Candidate { found, patch, .. } = &**candidate;
        let mut touched: SmallVec<[NodeId; 6]> = SmallVec::new();
        for id in found.nodes() {
            if !touched.contains(&id) {
                touched.push(id);
            }
        }
        let source = &rules.rule(found.rule).source.nodes;
        let repeated = source.iter().filter(|n| n.repeated).count();
        let members = match repeated {
            0 => 1,
            _ => (found.nodes().count() + repeated).saturating_sub(source.len()) / repeated,
        };
        let mut constants: SmallVec<[NodeId; 4]> = SmallVec::new();
        let mut note = |id: NodeId| {
            if graph.node(id).constant && !constants.contains(&id) {
                constants.push(id);
            }
        };
        patch.dead.iter().flat_map(|id| graph.node(*id).inputs.iter().flatten()).for_each(|v| note(v.node));
        for v in patch.nodes.iter().filter(|n| !n.constant).flat_map(|n| n.inputs.iter().flatten()) {
            if let PatchValue::Old(v) = v {
                note(v.node);
            }
        }
        let added = patch.nodes.iter().filter(|n| !n.constant).count() as i32 - patch.dead.len() as i32;
        let mut site =
            Site { candidate: candidate.clone(), touched, added, members: members.max(1) as u32, growth: 0, constants };
        site.growth = site.predicted_growth(graph, books);
        site
    }

    /// New constants that operators read, less old ones that none reads any more.
    fn predicted_growth(&self, graph: &Graph, books: &Books) -> i64 {
        let patch = &self.candidate.patch;
        let mut growth = patch.weight_bytes();
        for &id in &self.constants {
            let stays = graph.feeds_output(id)
                || graph.uses(id).any(|(_, user)| !graph.node(user).constant && !patch.dead.contains(&user));
            let is_used = || {
                let operands = patch.nodes.iter().filter(|n| !n.constant).flat_map(|n| n.inputs.iter().flatten());
                operands.into_iter().any(|v| matches!(v, PatchValue::Old(v) if v.node == id))
            };
            let after = if stays || is_used() { bytes(graph, id) } else { 0 };
            growth += after as i64 - books.weight_of(id) as i64;
        }
        growth
    }

    /// Equal for candidates that do the same at different places.
    pub fn key(&self, rows: &Rows) -> u64 {
        let Candidate { found, patch, score } = &*self.candidate;
        let mut hasher = FxHasher::default();
        found.rule.hash(&mut hasher);
        // In steps of a millionth of a microsecond: sums may be taken in another order.
        ((score * 1e6).round() as i64).hash(&mut hasher);
        (patch.nodes.len() as u32, patch.dead.len() as u32).hash(&mut hasher);
        self.touched.iter().for_each(|id| rows.digest(*id).hash(&mut hasher));
        hasher.finish()
    }
}

/// A legal candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legal {
    pub anchor: NodeId,
    index: u32,
    /// Equal for candidates that do the same at different places.
    pub key: u64,
}

/// All candidates, by the node that they are anchored at.
#[derive(Clone, Default)]
pub(super) struct Sites {
    by_anchor: Vec<Vec<Site>>,
    /// Constants that gained or lost a user since the growth of weights was told.
    stale: FxHashSet<NodeId>,
}

impl Sites {
    /// Takes note of an edit.
    pub fn note(&mut self, changes: &Changes) {
        self.stale.extend(changes.users.iter().map(|(id, _)| *id));
    }

    /// Makes those at a node anew.
    pub fn renew(&mut self, state: &State<'_>, books: &Books, id: NodeId) {
        let graph = state.graph();
        if self.by_anchor.len() < graph.id_bound() {
            self.by_anchor.resize_with(graph.id_bound(), Vec::new);
        }
        let old = std::mem::take(&mut self.by_anchor[id.index()]);
        let new = state.candidates_at(id).map(|candidate| {
            let kept = old.iter().find(|s| Arc::ptr_eq(&s.candidate, candidate));
            kept.cloned().unwrap_or_else(|| Site::new(state.rules(), graph, books, candidate))
        });
        self.by_anchor[id.index()] = new.collect();
    }

    /// Tells the growth of weights anew where constants gained or lost a user; adds the nodes where it did.
    pub fn renew_growth(&mut self, state: &State<'_>, books: &Books, renewed: &mut Vec<NodeId>) {
        self.stale.retain(|id| state.graph().get(*id).is_some_and(|node| node.constant));
        if self.stale.is_empty() {
            return;
        }
        for (anchor, sites) in self.by_anchor.iter_mut().enumerate() {
            for site in sites {
                if site.constants.iter().any(|id| self.stale.contains(id)) {
                    site.growth = site.predicted_growth(state.graph(), books);
                    renewed.push(NodeId::new(anchor));
                }
            }
        }
        self.stale.clear();
    }

    /// Takes a node's from another.
    pub fn take(&mut self, other: &Sites, id: NodeId) {
        if let Some(sites) = self.by_anchor.get_mut(id.index()) {
            sites.clear();
            sites.extend_from_slice(other.of(id));
        }
        self.stale.clear();
    }

    /// Those anchored at a node.
    pub fn of(&self, id: NodeId) -> &[Site] {
        self.by_anchor.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// A legal candidate.
    pub fn at(&self, legal: Legal) -> &Site {
        &self.by_anchor[legal.anchor.index()][legal.index as usize]
    }

    /// Lists what is legal, by rule and then by anchor: what keeps the limits of the root and makes no cycle.
    pub fn legal(&self, state: &State<'_>, books: &Books, root: &Books, rows: &Rows, list: &mut Vec<Legal>) {
        let graph = state.graph();
        let mut position: Vec<u32> = Vec::new();
        let mut found: Vec<(u32, Legal)> = Vec::with_capacity(list.len() + 16);
        let mut starts = vec![0u32; state.rules().len() + 1];
        for (anchor, sites) in self.by_anchor.iter().enumerate() {
            for (index, site) in sites.iter().enumerate() {
                let patch = &site.candidate.patch;
                if patch.replacements.len() > 1 && position.is_empty() {
                    position.resize(graph.id_bound(), u32::MAX);
                    for (at, id) in graph.topological().into_iter().enumerate() {
                        position[id.index()] = at as u32;
                    }
                }
                if books.allow(root, site) && patch.is_acyclic_in(graph, &position) {
                    let rule = site.candidate.found.rule;
                    starts[rule as usize + 1] += 1;
                    let legal = Legal { anchor: NodeId::new(anchor), index: index as u32, key: site.key(rows) };
                    found.push((rule, legal));
                }
            }
        }
        for rule in 1..starts.len() {
            starts[rule] += starts[rule - 1];
        }
        list.clear();
        list.resize(found.len(), Legal { anchor: NodeId::new(0), index: 0, key: 0 });
        for (rule, legal) in found {
            let slot = &mut starts[rule as usize];
            list[*slot as usize] = legal;
            *slot += 1;
        }
    }
}
