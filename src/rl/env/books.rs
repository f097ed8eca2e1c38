//! Totals over a graph that limits speak of, kept current as it is edited.

use crate::graph::{Changes, Graph, NodeId};

use super::sites::Site;

/// The weights that inference reads may grow to this many times those of the root, as in every search.
const MAX_WEIGHT_GROWTH: u64 = 2;
/// Operators may become this many times those of the root; constants do not count.
const MAX_NODE_GROWTH: usize = 2;

/// What a node adds to the totals.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Share {
    operator: bool,
    /// Bytes of a constant, and whether inference reads it.
    bytes: u64,
    is_read: bool,
}

impl Share {
    fn weight_bytes(&self) -> u64 {
        if self.is_read { self.bytes } else { 0 }
    }
}

/// The totals.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Books {
    /// Nodes that are no constants.
    pub operators: usize,
    /// Bytes of the weights that inference reads: see [`crate::cost::weight_bytes`].
    pub weight_bytes: u64,
    shares: Vec<Share>,
}

impl Books {
    /// Those of a graph.
    pub fn new(graph: &Graph) -> Books {
        let mut books = Books { operators: 0, weight_bytes: 0, shares: Vec::new() };
        let all: Vec<NodeId> = graph.node_ids().collect();
        books.renew(graph, all.into_iter());
        books
    }

    /// Takes note of an edit.
    pub fn update(&mut self, graph: &Graph, changes: &Changes) {
        self.renew(graph, changes.content.iter().copied().chain(changes.users.iter().map(|(id, _)| *id)));
    }

    fn renew(&mut self, graph: &Graph, ids: impl Iterator<Item = NodeId>) {
        for id in ids {
            if self.shares.len() <= id.index() {
                // An edit may speak of nodes beyond the bound, which it added and removed.
                self.shares.resize(graph.id_bound().max(id.index() + 1), Share::default());
            }
            let new = share(graph, id);
            let old = std::mem::replace(&mut self.shares[id.index()], new);
            self.operators = self.operators + usize::from(new.operator) - usize::from(old.operator);
            self.weight_bytes = self.weight_bytes + new.weight_bytes() - old.weight_bytes();
        }
    }

    /// Bytes that inference reads of a constant.
    pub fn weight_of(&self, id: NodeId) -> u64 {
        self.shares[id.index()].weight_bytes()
    }

    /// Bytes of a constant.
    pub fn bytes_of(&self, id: NodeId) -> u64 {
        self.shares[id.index()].bytes
    }

    /// Operators that a graph of this root may have.
    pub fn most_operators(&self) -> usize {
        self.operators * MAX_NODE_GROWTH
    }

    /// Bytes of weights that a graph of this root may have.
    pub fn most_weight_bytes(&self) -> u64 {
        self.weight_bytes.saturating_mul(MAX_WEIGHT_GROWTH)
    }

    /// Whether a rewrite keeps within what the root allows, by what is predicted of it.
    pub fn allow(&self, root: &Books, site: &Site) -> bool {
        self.operators as i64 + i64::from(site.added) <= root.most_operators() as i64
            && self.weight_bytes as i64 + site.growth <= root.most_weight_bytes() as i64
    }
}

fn share(graph: &Graph, id: NodeId) -> Share {
    let Some(node) = graph.get(id) else { return Share::default() };
    if !node.constant {
        return Share { operator: true, ..Share::default() };
    }
    let is_read = graph.feeds_output(id) || graph.uses(id).any(|(_, user)| !graph.node(user).constant);
    Share { operator: false, bytes: bytes(graph, id), is_read }
}

/// Bytes of a node's results.
fn bytes(graph: &Graph, id: NodeId) -> u64 {
    let of = |ty: &crate::graph::TensorType| {
        let count = ty.count().known().unwrap_or(0).max(0) as u64;
        ty.dtype.byte_len(count).unwrap_or(0)
    };
    graph.node(id).outputs.iter().filter_map(|o| o.facts.ty.as_ref()).map(of).sum()
}
