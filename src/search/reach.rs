//! How far one step of a search reaches: one place, or all places where the same may be done.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashSet, FxHasher};
use serde::{Deserialize, Serialize};

use crate::graph::Op;
use crate::rewrite::Candidate;

use super::State;

/// How far one step reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The rewrite is applied where the candidate is.
    #[default]
    One,
    /// It is applied wherever the same may be done: equal rule, equal predicted change, equal operators, attributes and
    /// sizes. One is applied after another, as long as one that was there at the start is left.
    All,
}

impl Reach {
    /// The wider of the two.
    #[must_use]
    pub fn or(self, other: Reach) -> Reach {
        if self == Reach::All { self } else { other }
    }
}

/// The kind of a candidate: equal for those that do the same at different places, and hardly ever for others.
fn alike(state: &State<'_>, candidate: &Candidate) -> u64 {
    let Candidate { found, patch, score } = candidate;
    let graph = state.graph();
    let mut hasher = FxHasher::default();
    found.rule.hash(&mut hasher);
    // In steps of a millionth of a microsecond: sums may be taken in another order.
    ((score * 1e6).round() as i64).hash(&mut hasher);
    (patch.nodes.len() as u32, patch.dead.len() as u32).hash(&mut hasher);
    for id in found.nodes() {
        let node = graph.node(id);
        match &node.op {
            // Weights of one shape are alike, whatever is in them.
            Op::Input | Op::Weight(_) => node.constant.hash(&mut hasher),
            op => op.hash(&mut hasher),
        }
        node.outputs.iter().for_each(|output| output.facts.ty.hash(&mut hasher));
    }
    hasher.finish()
}

/// One candidate of each kind of a state's, in their order.
pub(super) fn one_of_each<'s>(state: &'s State<'_>, reach: Reach) -> impl Iterator<Item = &'s Arc<Candidate>> {
    let mut known = FxHashSet::default();
    state.candidates().filter(move |candidate| reach == Reach::One || known.insert(alike(state, candidate)))
}

/// The kind of a candidate, and the others of that kind.
pub(super) fn elsewhere(state: &State<'_>, candidate: &Arc<Candidate>) -> (u64, Vec<Arc<Candidate>>) {
    let kind = alike(state, candidate);
    let others = state.candidates().filter(|c| c.found.rule == candidate.found.rule && !Arc::ptr_eq(c, candidate));
    (kind, others.filter(|c| alike(state, c) == kind).cloned().collect())
}

/// What has become of a candidate, if it is still there and does the same as `kind`.
pub(super) fn still(state: &State<'_>, candidate: &Candidate, kind: u64) -> Option<Arc<Candidate>> {
    let left = state.candidates().find(|c| c.found == candidate.found)?;
    (alike(state, left) == kind).then(|| left.clone())
}
