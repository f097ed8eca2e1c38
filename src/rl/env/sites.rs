//! The candidates of a graph with what an environment keeps of each, and which of them are legal.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use crate::graph::{Changes, Graph, NodeId};
use crate::rewrite::{Candidate, PatchValue, RuleSet};
use crate::search::State;

use super::books::Books;
use super::order::Order;
use super::rows::Rows;
use crate::rl::features;
use crate::rl::observation::CANDIDATE_FEATURES;

/// A candidate, and what is kept of it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub candidate: Arc<Candidate>,
    /// The nodes that it matches, each once.
    pub touched: SmallVec<[NodeId; 6]>,
    /// Equal for candidates that do the same at different places.
    pub group: u32,
    /// Its features, as far as they do not depend on the rest of the graph.
    pub features: [f32; CANDIDATE_FEATURES],
    /// Operators added less removed.
    pub added: i32,
    /// Predicted growth of the weights that inference reads, in bytes.
    pub growth: i64,
    /// The constants that the growth depends on, and of which another user may come or go.
    constants: SmallVec<[NodeId; 4]>,
}

impl Site {
    fn new(rules: &RuleSet, graph: &Graph, books: &Books, scale: Scale, candidate: &Arc<Candidate>) -> Site {
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
        let mut site = Site {
            candidate: candidate.clone(),
            touched,
            group: 0,
            features: features::candidate(candidate.score / scale.start_us, added, members.max(1)),
            added,
            growth: 0,
            constants,
        };
        if candidate.score.abs() < features::MIN_CHANGE_US {
            site.features[..3].fill(0.0);
        }
        site.renew_growth(graph, books, scale);
        site
    }

    fn renew_growth(&mut self, graph: &Graph, books: &Books, scale: Scale) {
        self.growth = self.predicted_growth(graph, books);
        self.features[3] = features::weight_growth(self.growth as f64 / scale.weight_bytes.max(1) as f64);
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
            let after = if stays || is_used() { books.bytes_of(id) } else { 0 };
            growth += after as i64 - books.weight_of(id) as i64;
        }
        growth
    }

    /// Equal for candidates that do the same at different places, and hardly ever for others.
    fn key(&self, rows: &Rows) -> u64 {
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

/// What the features of candidates are related to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scale {
    /// Time at the start, in microseconds.
    pub start_us: f64,
    /// Bytes of the weights that inference reads at the start.
    pub weight_bytes: u64,
}

/// A legal candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legal {
    pub anchor: NodeId,
    index: u32,
}

/// All candidates, by the node that they are anchored at.
#[derive(Clone, Default)]
pub(super) struct Sites {
    scale: Scale,
    by_anchor: Vec<Vec<Site>>,
    /// Constants that gained or lost a user since the growth of weights was told, and a flag at the index of each.
    stale: Vec<NodeId>,
    is_stale: Vec<bool>,
    /// Numbers of the groups, by key.
    groups: FxHashMap<u64, u32>,
    /// Memory used again and again: legal candidates by anchor, and where those of each rule begin.
    found: Vec<(u32, Legal)>,
    starts: Vec<u32>,
}

/// More groups than this are forgotten with the episode.
const MAX_GROUPS: usize = 1 << 16;

impl Sites {
    /// None yet.
    pub fn new(scale: Scale) -> Sites {
        Sites { scale, ..Sites::default() }
    }

    /// Takes note of an edit.
    pub fn note(&mut self, changes: &Changes) {
        self.stale.extend(changes.users.iter().map(|(id, _)| *id));
    }

    /// Makes those at a node anew.
    pub fn renew(&mut self, state: &State<'_>, books: &Books, rows: &Rows, id: NodeId) {
        let graph = state.graph();
        if self.by_anchor.len() <= id.index() {
            self.by_anchor.resize_with(graph.id_bound().max(id.index() + 1), Vec::new);
        }
        let Sites { scale, by_anchor, groups, .. } = self;
        let old = std::mem::take(&mut by_anchor[id.index()]);
        let new = state.candidates_at(id).map(|candidate| {
            let kept = old.iter().find(|s| Arc::ptr_eq(&s.candidate, candidate));
            kept.cloned().unwrap_or_else(|| {
                let mut site = Site::new(state.rules(), graph, books, *scale, candidate);
                site.group = group(groups, site.key(rows));
                site
            })
        });
        by_anchor[id.index()] = new.collect();
    }

    /// Brings up to date what depends on more than the matched nodes: the growth of weights, where constants gained or
    /// lost a user, and groups, where nodes that were there before have other features. Adds the anchors where it did.
    pub fn renew_rest(
        &mut self,
        state: &State<'_>,
        books: &Books,
        rows: &Rows,
        other: &[NodeId],
        renewed: &mut Vec<NodeId>,
    ) {
        let graph = state.graph();
        let Sites { scale, by_anchor, stale, is_stale, groups, .. } = self;
        stale.retain(|id| graph.get(*id).is_some_and(|node| node.constant));
        if stale.is_empty() && other.is_empty() {
            return;
        }
        is_stale.resize(graph.id_bound().max(is_stale.len()), false);
        stale.iter().for_each(|id| is_stale[id.index()] = true);
        for (anchor, sites) in by_anchor.iter_mut().enumerate() {
            for site in sites {
                if site.constants.iter().any(|id| is_stale[id.index()]) {
                    site.renew_growth(graph, books, *scale);
                    renewed.push(NodeId::new(anchor));
                }
                if !other.is_empty() && site.touched.iter().any(|id| other.contains(id)) {
                    site.group = group(groups, site.key(rows));
                    renewed.push(NodeId::new(anchor));
                }
            }
        }
        stale.drain(..).for_each(|id| is_stale[id.index()] = false);
    }

    /// Takes a node's from another.
    pub fn take(&mut self, other: &Sites, id: NodeId) {
        if let Some(sites) = self.by_anchor.get_mut(id.index()) {
            sites.clear();
            sites.extend_from_slice(other.of(id));
        }
    }

    /// Ends what `take` has begun: all are now those of the other.
    pub fn taken(&mut self, other: &Sites) {
        self.stale.clear();
        if self.groups.len() > MAX_GROUPS.max(2 * other.groups.len()) {
            self.groups.clone_from(&other.groups);
        }
    }

    /// Those anchored at a node.
    pub fn of(&self, id: NodeId) -> &[Site] {
        self.by_anchor.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// A legal candidate.
    pub fn at(&self, legal: Legal) -> &Site {
        &self.by_anchor[legal.anchor.index()][legal.index as usize]
    }

    /// Every group's number is below this.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Lists what is legal, by rule and then by anchor: what keeps the limits of the root and makes no cycle.
    pub fn legal(&mut self, state: &State<'_>, books: &Books, root: &Books, order: &mut Order, list: &mut Vec<Legal>) {
        let graph = state.graph();
        let Sites { by_anchor, found, starts, .. } = self;
        found.clear();
        starts.clear();
        starts.resize(state.rules().len() + 1, 0);
        for (anchor, sites) in by_anchor.iter().enumerate() {
            for (index, site) in sites.iter().enumerate() {
                let Candidate { found: matched, patch, .. } = &*site.candidate;
                let mut is_acyclic = || patch.replacements.len() < 2 || patch.is_acyclic_in(graph, order.ranks(graph));
                if books.allow(root, site) && is_acyclic() {
                    starts[matched.rule as usize + 1] += 1;
                    found.push((matched.rule, Legal { anchor: NodeId::new(anchor), index: index as u32 }));
                }
            }
        }
        for rule in 1..starts.len() {
            starts[rule] += starts[rule - 1];
        }
        list.clear();
        list.resize(found.len(), Legal { anchor: NodeId::new(0), index: 0 });
        for (rule, legal) in found.iter() {
            let slot = &mut starts[*rule as usize];
            list[*slot as usize] = *legal;
            *slot += 1;
        }
    }
}

fn group(groups: &mut FxHashMap<u64, u32>, key: u64) -> u32 {
    let next = groups.len() as u32;
    *groups.entry(key).or_insert(next)
}
