//! The classes of the nodes and edges of one graph, kept current as it is edited.

use smallvec::SmallVec;

use crate::graph::{Changes, Graph, NodeId, Use};

use super::{Classes, EdgeClass, NodeBase, NodeClass, node_key};
use crate::rl::features;
use crate::rl::observation::{ClassId, PlainEdge};

/// The class of what is not there.
const NONE: ClassId = ClassId::MAX;

/// The classes of one graph.
#[derive(Clone, Debug)]
pub(in crate::rl) struct Labels {
    /// Classes that a node or an edge has: one more than there are rounds.
    stride: usize,
    /// The generation of the table that the classes are of.
    pub generation: u64,
    /// Class of node `id` at radius `k` at `id * stride + k`.
    nodes: Vec<ClassId>,
    /// For each consumer, the class of the edge into `slot` at radius `k` at `slot * stride + k`.
    edges: Vec<SmallVec<[ClassId; 12]>>,
    work: Work,
    marks: Marks,
    consumers: Marks,
}

/// What is left to do, radius by radius. A pass that meets a class which it may not add leaves this as it is for the next.
#[derive(Clone, Debug, Default)]
struct Work {
    /// The radius to go on with; meaningless where nothing is edited.
    level: usize,
    /// Nodes with other content than before: their own features and the edges into them are made anew.
    content: Vec<NodeId>,
    /// Those, and nodes that gained or lost a use.
    edited: Vec<NodeId>,
    /// Nodes whose class at the radius before `level` changed.
    changed: Vec<NodeId>,
}

/// A set of nodes that is emptied at once.
#[derive(Clone, Debug, Default)]
struct Marks {
    stamps: Vec<u32>,
    now: u32,
}

impl Marks {
    fn begin(&mut self, bound: usize) {
        if self.stamps.len() < bound {
            self.stamps.resize(bound, 0);
        }
        self.now = self.now.wrapping_add(1);
        if self.now == 0 {
            self.stamps.fill(0);
            self.now = 1;
        }
    }

    /// Adds a node; whether it is new.
    fn insert(&mut self, id: NodeId) -> bool {
        std::mem::replace(&mut self.stamps[id.index()], self.now) != self.now
    }

    fn contains(&self, id: NodeId) -> bool {
        self.stamps[id.index()] == self.now
    }
}

impl Labels {
    /// No class is known yet; everything is to be looked at.
    pub fn new(graph: &Graph, rounds: usize, generation: u64) -> Labels {
        let all: Vec<NodeId> = graph.node_ids().collect();
        Labels {
            stride: rounds + 1,
            generation,
            nodes: Vec::new(),
            edges: Vec::new(),
            work: Work { level: 0, content: all.clone(), edited: all, changed: Vec::new() },
            marks: Marks::default(),
            consumers: Marks::default(),
        }
    }

    /// Takes note of an edit.
    pub fn edit(&mut self, graph: &Graph, changes: &Changes) {
        if self.work.level > 0 {
            // A pass that was not finished leaves no trace of what it changed.
            *self = Labels::new(graph, self.rounds(), self.generation);
            return;
        }
        self.work.content.extend_from_slice(&changes.content);
        self.work.edited.extend_from_slice(&changes.content);
        self.work.edited.extend(changes.users.iter().map(|(id, _)| *id));
    }

    /// Number of radii.
    pub fn rounds(&self) -> usize {
        self.stride - 1
    }

    /// Class of a node at a radius.
    pub fn node(&self, id: NodeId, level: usize) -> ClassId {
        self.nodes[id.index() * self.stride + level]
    }

    /// The edges into a node with their classes at radius 0, by slot; `position` tells where a node is in the list.
    pub fn plain_edges(&self, graph: &Graph, id: NodeId, position: &[u32]) -> impl Iterator<Item = PlainEdge> {
        let classes = &self.edges[id.index()];
        let operands = graph.node(id).inputs.iter().enumerate();
        operands.filter_map(move |(slot, v)| {
            let from = position[v.as_ref()?.node.index()];
            Some(PlainEdge { from, to: position[id.index()], class: classes[slot * self.stride] })
        })
    }

    /// Brings all classes up to date. `row` gives a node's own features. Returns false where a class is not known and
    /// may not be added: the next call goes on from there.
    pub fn update(&mut self, graph: &Graph, row: &dyn Fn(NodeId) -> NodeBase, mut classes: impl Classes) -> bool {
        if self.work.edited.is_empty() {
            return true;
        }
        self.grow(graph);
        while self.work.level < self.stride {
            let changed = match self.work.level {
                0 => self.level_0(graph, row, &mut classes),
                level => self.level(graph, level, &mut classes),
            };
            let Some(changed) = changed else { return false };
            self.work.changed = changed;
            self.work.level += 1;
        }
        self.work = Work::default();
        true
    }

    /// Makes room, and drops what is gone or named twice.
    fn grow(&mut self, graph: &Graph) {
        let bound = graph.id_bound();
        if self.edges.len() < bound {
            self.nodes.resize(bound * self.stride, NONE);
            self.edges.resize_with(bound, SmallVec::new);
        }
        let Labels { work, marks, .. } = self;
        for list in [&mut work.content, &mut work.edited] {
            marks.begin(bound);
            list.retain(|id| graph.contains(*id) && marks.insert(*id));
        }
    }

    /// Features of the nodes and edges themselves. Returns the nodes whose class changed; `None`: a class is not known.
    fn level_0(
        &mut self,
        graph: &Graph,
        row: &dyn Fn(NodeId) -> NodeBase,
        classes: &mut impl Classes,
    ) -> Option<Vec<NodeId>> {
        for &id in &self.work.content {
            let inputs = &graph.node(id).inputs;
            let edges = &mut self.edges[id.index()];
            edges.clear();
            edges.resize(inputs.len() * self.stride, NONE);
            for slot in 0..inputs.len() {
                if let Some(features) = features::edge(graph, Use { node: id, slot: slot as u32 }) {
                    edges[slot * self.stride] = classes.edge_base(&features)?;
                }
            }
        }
        let new: Option<Vec<ClassId>> = self.work.edited.iter().map(|id| classes.base(&row(*id))).collect();
        Some(self.keep(0, new?, None))
    }

    /// Classes at a radius from 1, where those at the radius before changed or edges did.
    fn level(&mut self, graph: &Graph, level: usize, classes: &mut impl Classes) -> Option<Vec<NodeId>> {
        self.marks.begin(graph.id_bound());
        let mut due: Vec<NodeId> = Vec::with_capacity(4 * self.work.edited.len());
        for &id in &self.work.edited {
            self.marks.insert(id);
            due.push(id);
        }
        // Consumers whose incoming edges are all made anew: no edge is looked up twice.
        self.consumers.begin(graph.id_bound());
        let content = self.work.content.len();
        for at in 0..content + self.work.changed.len() {
            let id = if at < content { self.work.content[at] } else { self.work.changed[at - content] };
            if self.consumers.insert(id) {
                self.incoming(graph, id, level, classes, &mut due)?;
            }
        }
        for at in 0..self.work.changed.len() {
            let id = self.work.changed[at];
            for user in graph.users(id) {
                if !self.consumers.contains(user.node) {
                    self.edge(id, user, level, classes)?;
                    if self.marks.insert(user.node) {
                        due.push(user.node);
                    }
                }
            }
        }
        let (mut key, mut incoming, mut outgoing) = (Vec::new(), Vec::new(), Vec::new());
        let mut new = Vec::with_capacity(due.len());
        for &id in &due {
            incoming.clear();
            let own = self.edges[id.index()].chunks(self.stride).map(|edge| edge[level]);
            incoming.extend(own.filter(|class| *class != NONE));
            incoming.sort_unstable();
            outgoing.clear();
            let class = |user: Use| self.edges[user.node.index()][user.slot as usize * self.stride + level];
            outgoing.extend(graph.users(id).into_iter().map(class));
            outgoing.sort_unstable();
            let class = NodeClass { before: self.node(id, level - 1), incoming: &incoming, outgoing: &outgoing };
            node_key(class, &mut key);
            new.push(classes.node(level, &key)?);
        }
        Some(self.keep(level, new, Some(due)))
    }

    /// The edges into a node, whose producers are due.
    fn incoming(
        &mut self,
        graph: &Graph,
        id: NodeId,
        level: usize,
        classes: &mut impl Classes,
        due: &mut Vec<NodeId>,
    ) -> Option<()> {
        if self.marks.insert(id) {
            due.push(id);
        }
        for (slot, operand) in graph.node(id).inputs.iter().enumerate() {
            let Some(v) = operand else { continue };
            self.edge(v.node, Use { node: id, slot: slot as u32 }, level, classes)?;
            if self.marks.insert(v.node) {
                due.push(v.node);
            }
        }
        Some(())
    }

    fn edge(&mut self, from: NodeId, user: Use, level: usize, classes: &mut impl Classes) -> Option<()> {
        let at = user.slot as usize * self.stride + level;
        let before = self.edges[user.node.index()][at - 1];
        let class = EdgeClass { before, from: self.node(from, level - 1), to: self.node(user.node, level - 1) };
        self.edges[user.node.index()][at] = classes.edge(level, class)?;
        Some(())
    }

    /// Keeps new classes (of the edited nodes, if no others are named); those that differ from what was.
    fn keep(&mut self, level: usize, new: Vec<ClassId>, ids: Option<Vec<NodeId>>) -> Vec<NodeId> {
        let ids = ids.as_deref().unwrap_or(&self.work.edited);
        let mut changed = Vec::with_capacity(ids.len());
        for (&id, class) in ids.iter().zip(new) {
            let old = &mut self.nodes[id.index() * self.stride + level];
            if std::mem::replace(old, class) != class {
                changed.push(id);
            }
        }
        changed
    }
}
