//! The features of a graph's nodes, kept current.

use crate::cost;
use crate::graph::{Graph, NodeId};
use crate::search::State;

use crate::rl::features;
use crate::rl::neighbourhood::NodeBase;

/// Features of nodes, by id.
#[derive(Clone, Default)]
pub(super) struct Rows {
    rows: Vec<Option<NodeBase>>,
    /// A hash of each.
    digests: Vec<u64>,
}

impl Rows {
    /// Makes those of some nodes anew. Adds the nodes that were there before with other features.
    pub fn renew(&mut self, state: &State<'_>, start_us: f64, ids: &[NodeId], other: &mut Vec<NodeId>) {
        let graph = state.graph();
        self.grow(graph);
        for id in ids.iter().filter(|id| !graph.contains(**id)) {
            if let Some(row) = self.rows.get_mut(id.index()) {
                *row = None;
            }
        }
        for &id in ids.iter().filter(|id| graph.contains(**id)) {
            let cost = cost::node_cost(state.model(), graph, id);
            let row = features::node(graph, id, &cost, start_us);
            let digest = row.digest();
            if std::mem::replace(&mut self.digests[id.index()], digest) != digest && self.rows[id.index()].is_some() {
                other.push(id);
            }
            self.rows[id.index()] = Some(row);
        }
    }

    fn grow(&mut self, graph: &Graph) {
        if self.rows.len() < graph.id_bound() {
            self.rows.resize(graph.id_bound(), None);
            self.digests.resize(graph.id_bound(), 0);
        }
    }

    /// Takes a node's from another, if that has it.
    pub fn take(&mut self, other: &Rows, id: NodeId) {
        if let Some(row) = other.rows.get(id.index())
            && id.index() < self.rows.len()
        {
            self.rows[id.index()] = *row;
            self.digests[id.index()] = other.digests[id.index()];
        }
    }

    /// A node's features.
    pub fn row(&self, id: NodeId) -> NodeBase {
        self.rows[id.index()].expect("the features of live nodes are current")
    }

    /// A hash of a node's features.
    pub fn digest(&self, id: NodeId) -> u64 {
        self.digests[id.index()]
    }
}
