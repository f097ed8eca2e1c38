//! A topological order of a graph, kept while it is edited: it spares most tests for cycles a walk.

use crate::graph::{Changes, Graph, NodeId};

/// Ranks of nodes: operands below users. Ranks of nodes that are used by nothing may be equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    ranks: Vec<u32>,
    /// Whether the ranks are to be made anew.
    stale: bool,
}

/// From one node to the next: room for nodes that come between.
const GAP: u32 = 1 << 10;
/// The rank of what has none.
const NONE: u32 = u32::MAX;

impl Order {
    /// That of a graph.
    pub fn new(graph: &Graph) -> Order {
        let mut order = Order::default();
        order.renew(graph);
        order
    }

    fn renew(&mut self, graph: &Graph) {
        self.ranks.clear();
        self.ranks.resize(graph.id_bound(), NONE);
        for (at, id) in graph.topological().into_iter().enumerate() {
            self.ranks[id.index()] = (at as u32 + 1) * GAP;
        }
        self.stale = false;
    }

    /// Takes note of an edit: new nodes come right after their operands. Where that does not do, all is made anew later.
    pub fn update(&mut self, graph: &Graph, changes: &Changes) {
        if self.stale {
            return;
        }
        let bound = changes.content.last().map_or(0, |id| id.index() + 1).max(graph.id_bound());
        self.ranks.resize(bound.max(self.ranks.len()), NONE);
        for id in changes.content.iter().filter(|id| !graph.contains(**id)) {
            self.ranks[id.index()] = NONE;
        }
        let live = || changes.content.iter().copied().filter(|id| graph.contains(*id));
        let mut left = true;
        while left {
            left = false;
            for id in live() {
                if self.ranks[id.index()] == NONE
                    && let Some(below) = self.below(graph, id)
                {
                    self.ranks[id.index()] = below + 1;
                    left = true;
                }
            }
        }
        self.stale = !live().all(|id| self.below(graph, id).is_some_and(|below| below < self.ranks[id.index()]));
    }

    /// The highest rank of a node's operands; `None` if one has none.
    fn below(&self, graph: &Graph, id: NodeId) -> Option<u32> {
        let operands = graph.node(id).inputs.iter().flatten();
        operands
            .map(|v| Some(self.ranks[v.node.index()]).filter(|rank| *rank != NONE))
            .try_fold(0, |a, b| Some(a.max(b?)))
    }

    /// The ranks.
    pub fn ranks(&mut self, graph: &Graph) -> &[u32] {
        if self.stale {
            self.renew(graph);
        }
        &self.ranks
    }
}
