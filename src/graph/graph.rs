//! The graph: nodes in petgraph's stable graph, with edits that a journal can undo exactly.
//!
//! Operands are kept in the node (the truth) and mirrored as edges (for the way from a value to its consumers). petgraph
//! gives ids back after an undo but reorders edges, so consumers are sorted by (node, slot) wherever they are listed.

use std::sync::Arc;

use petgraph::Direction;
use petgraph::stable_graph::StableDiGraph;
use petgraph::visit::{EdgeRef, IntoEdgeReferences};
use smallvec::SmallVec;

use super::{Facts, Node, NodeId, Op, OpKind, Tensor, ValueRef};

/// Which output of the producer feeds which input of the consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slots {
    from: u32,
    to: u32,
}

/// An output of the graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GraphOutput {
    /// Name that callers know it by; no rewrite changes it.
    pub name: Arc<str>,
    /// The value.
    pub value: ValueRef,
}

/// A use of a value by a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Use {
    /// The consumer.
    pub node: NodeId,
    /// Which of its inputs.
    pub slot: u32,
}

/// A change, as what undoes it.
#[derive(Clone, Debug)]
enum Change {
    Added(NodeId),
    Removed(NodeId, Box<Node>),
    Rewired { user: Use, old: Option<ValueRef> },
    Output { position: usize, old: ValueRef },
    Named { value: ValueRef, old: Arc<str> },
}

/// Nodes that changes reached. Some may not exist any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Nodes added, removed, or given another operand; ascending.
    pub content: Vec<NodeId>,
    /// Nodes whose results gained or lost a use, with the user's operator (`None`: it is an output of the graph, or an
    /// operator that is not understood); ascending.
    pub users: Vec<(NodeId, Option<OpKind>)>,
}

/// A computation graph. Clones share names, types, attributes and weights.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    name: Arc<str>,
    nodes: StableDiGraph<Node, Slots>,
    inputs: Arc<Vec<NodeId>>,
    outputs: Vec<GraphOutput>,
    journal: Vec<Change>,
    recording: bool,
}

/// A point in a graph's journal to go back to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mark(usize);

impl Graph {
    /// An empty graph.
    pub fn new(name: &str) -> Graph {
        Graph { name: name.into(), ..Graph::default() }
    }

    /// Name of the graph.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Graph inputs in order, used or not.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// Graph outputs in order.
    pub fn outputs(&self) -> &[GraphOutput] {
        &self.outputs
    }

    /// Number of nodes, inputs and weights included.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.node_count() == 0
    }

    /// Every id is below this.
    pub fn id_bound(&self) -> usize {
        use petgraph::visit::NodeIndexable;
        self.nodes.node_bound()
    }

    /// Ids of all nodes, ascending.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.node_indices()
    }

    /// Whether a node of this id exists.
    pub fn contains(&self, id: NodeId) -> bool {
        self.nodes.contains_node(id)
    }

    /// The node; panics if there is none.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The node, if it exists.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.node_weight(id)
    }

    /// What is known of a value.
    pub fn facts(&self, value: ValueRef) -> &Facts {
        &self.nodes[value.node].outputs[value.slot as usize].facts
    }

    /// Name of a value.
    pub fn value_name(&self, value: ValueRef) -> &Arc<str> {
        &self.nodes[value.node].outputs[value.slot as usize].name
    }

    /// Whether a value depends on weights alone (and may be folded).
    pub fn is_constant(&self, value: ValueRef) -> bool {
        self.nodes[value.node].constant
    }

    /// Uses of any output of a node, sorted by (node, slot).
    pub fn users(&self, id: NodeId) -> SmallVec<[Use; 4]> {
        let mut users: SmallVec<[Use; 4]> = self
            .nodes
            .edges_directed(id, Direction::Outgoing)
            .map(|e| Use { node: e.target(), slot: e.weight().to })
            .collect();
        users.sort_unstable();
        users
    }

    /// Uses of a value by nodes, sorted by (node, slot). Graph outputs are not among them.
    pub fn consumers(&self, value: ValueRef) -> SmallVec<[Use; 4]> {
        self.consumers_where(value, |_| true)
    }

    /// A weight of this content, if there is one. Looks at all nodes.
    pub fn weight_of(&self, tensor: &Tensor) -> Option<NodeId> {
        let equal = |op: &Op| matches!(op, Op::Weight(t) if t.digest() == tensor.digest());
        self.node_ids().find(|id| equal(&self.node(*id).op))
    }

    /// Uses of a value by nodes that apply this operator, sorted by (node, slot).
    pub fn consumers_of(&self, value: ValueRef, kind: OpKind) -> SmallVec<[Use; 4]> {
        self.consumers_where(value, |node| node.op.kind() == Some(kind))
    }

    fn consumers_where(&self, value: ValueRef, wanted: impl Fn(&Node) -> bool) -> SmallVec<[Use; 4]> {
        let edges = self.nodes.edges_directed(value.node, Direction::Outgoing);
        let edges = edges.filter(|e| e.weight().from == value.slot && wanted(&self.nodes[e.target()]));
        let mut users: SmallVec<[Use; 4]> = edges.map(|e| Use { node: e.target(), slot: e.weight().to }).collect();
        users.sort_unstable();
        users
    }

    /// Every use of a node's results by nodes, as the value and the consumer. The order means nothing.
    pub fn uses(&self, id: NodeId) -> impl Iterator<Item = (ValueRef, NodeId)> + '_ {
        let edges = self.nodes.edges_directed(id, Direction::Outgoing);
        edges.map(move |e| (ValueRef { node: id, slot: e.weight().from }, e.target()))
    }

    /// Number of uses of any output of a node by nodes.
    pub fn use_count(&self, id: NodeId) -> usize {
        self.nodes.edges_directed(id, Direction::Outgoing).count()
    }

    /// Whether the value is an output of the graph.
    pub fn is_output(&self, value: ValueRef) -> bool {
        self.outputs.iter().any(|o| o.value == value)
    }

    /// Whether any output of the node is an output of the graph.
    pub fn feeds_output(&self, id: NodeId) -> bool {
        self.outputs.iter().any(|o| o.value.node == id)
    }

    /// Adds a node whose operands exist. Input nodes are added with [`Graph::add_input`].
    pub fn add_node(&mut self, node: Node) -> NodeId {
        let operands = node.inputs.clone();
        let id = self.nodes.add_node(node);
        for (slot, operand) in operands.iter().enumerate() {
            if let Some(v) = operand {
                self.nodes.add_edge(v.node, id, Slots { from: v.slot, to: slot as u32 });
            }
        }
        self.record(Change::Added(id));
        id
    }

    /// Adds a graph input after the existing ones.
    pub fn add_input(&mut self, name: &str, facts: Facts) -> NodeId {
        let id = self.add_node(Node::input(name, facts));
        Arc::make_mut(&mut self.inputs).push(id);
        id
    }

    /// Adds a graph output after the existing ones.
    pub fn add_output(&mut self, name: &str, value: ValueRef) {
        self.outputs.push(GraphOutput { name: name.into(), value });
    }

    /// Removes a node that nothing uses.
    pub fn remove_node(&mut self, id: NodeId) {
        debug_assert!(self.use_count(id) == 0 && !self.feeds_output(id), "a node in use cannot be removed");
        let node = self.nodes.remove_node(id).expect("the caller removes a node that exists");
        self.record(Change::Removed(id, Box::new(node)));
    }

    /// Makes one input of a node take another value.
    pub fn set_input(&mut self, user: Use, value: Option<ValueRef>) {
        let old = self.rewire(user, value);
        self.record(Change::Rewired { user, old });
    }

    fn rewire(&mut self, user: Use, value: Option<ValueRef>) -> Option<ValueRef> {
        let old = self.nodes[user.node].inputs[user.slot as usize];
        if let Some(v) = old {
            let edge = self
                .nodes
                .edges_connecting(v.node, user.node)
                .find(|e| e.weight().to == user.slot)
                .map(|e| e.id())
                .expect("every operand has its edge");
            self.nodes.remove_edge(edge);
        }
        if let Some(v) = value {
            self.nodes.add_edge(v.node, user.node, Slots { from: v.slot, to: user.slot });
        }
        self.nodes[user.node].inputs[user.slot as usize] = value;
        old
    }

    /// Makes every use of `old`, by nodes and by graph outputs, take `new`.
    pub fn replace_uses(&mut self, old: ValueRef, new: ValueRef) {
        let users = self.consumers(old);
        self.replace_these_uses(&users, old, new);
    }

    /// Makes the given uses of `old`, and those by graph outputs, take `new`.
    pub fn replace_these_uses(&mut self, users: &[Use], old: ValueRef, new: ValueRef) {
        for user in users {
            self.set_input(*user, Some(new));
        }
        for position in 0..self.outputs.len() {
            if self.outputs[position].value == old {
                self.record(Change::Output { position, old });
                self.outputs[position].value = new;
            }
        }
    }

    /// Gives a value another name.
    pub fn rename_value(&mut self, value: ValueRef, name: Arc<str>) {
        let slot = &mut self.nodes[value.node].outputs[value.slot as usize].name;
        let old = std::mem::replace(slot, name);
        self.record(Change::Named { value, old });
    }

    /// Notes which node of the model a node was imported from. Not undone: provenance is no part of the state.
    pub fn set_origin(&mut self, id: NodeId, origin: u32) {
        self.nodes[id].origin = Some(origin);
    }

    fn record(&mut self, change: Change) {
        if self.recording {
            self.journal.push(change);
        }
    }

    /// Starts recording changes, if it has not begun, and returns the point to go back to.
    pub fn mark(&mut self) -> Mark {
        self.recording = true;
        Mark(self.journal.len())
    }

    /// Undoes every change since `mark`: the graph is again exactly what it was, ids included.
    pub fn undo_to(&mut self, mark: Mark) {
        while self.journal.len() > mark.0 {
            match self.journal.pop().expect("longer than the mark") {
                Change::Added(id) => {
                    self.nodes.remove_node(id);
                }
                Change::Removed(id, node) => {
                    let operands = node.inputs.clone();
                    let back = self.nodes.add_node(*node);
                    assert_eq!(back, id, "petgraph hands ids out again last in, first out");
                    for (slot, operand) in operands.iter().enumerate() {
                        if let Some(v) = operand {
                            self.nodes.add_edge(v.node, id, Slots { from: v.slot, to: slot as u32 });
                        }
                    }
                }
                Change::Rewired { user, old } => {
                    self.rewire(user, old);
                }
                Change::Output { position, old } => self.outputs[position].value = old,
                Change::Named { value, old } => self.nodes[value.node].outputs[value.slot as usize].name = old,
            }
        }
    }

    /// What changed since `mark`.
    pub fn changes_since(&self, mark: Mark) -> Changes {
        let mut changes = Changes::default();
        let journal = &self.journal[mark.0..];
        let operands = |changes: &mut Changes, node: &Node| {
            let kind = node.op.kind();
            changes.users.extend(node.inputs.iter().flatten().map(|v| (v.node, kind)));
        };
        for (at, change) in journal.iter().enumerate() {
            match change {
                Change::Added(id) => {
                    changes.content.push(*id);
                    if let Some(node) = self.get(*id) {
                        operands(&mut changes, node);
                    }
                }
                Change::Removed(id, node) => {
                    changes.content.push(*id);
                    operands(&mut changes, node);
                }
                Change::Rewired { user, old } => {
                    let removed = journal[at..].iter().find_map(|later| match later {
                        Change::Removed(id, node) if *id == user.node => Some(&**node),
                        _ => None,
                    });
                    changes.content.push(user.node);
                    if let Some(node) = removed.or_else(|| self.get(user.node)) {
                        let values = old.iter().chain(&node.inputs[user.slot as usize]);
                        changes.users.extend(values.map(|v| (v.node, node.op.kind())));
                    }
                }
                Change::Output { position, old } => {
                    changes.users.push((old.node, None));
                    changes.users.push((self.outputs[*position].value.node, None));
                }
                Change::Named { .. } => {}
            }
        }
        changes.content.sort_unstable();
        changes.content.dedup();
        changes.users.sort_unstable();
        changes.users.dedup();
        changes
    }

    /// Forgets the journal: what was done stays, and marks taken before are void.
    pub fn commit(&mut self) {
        self.journal.clear();
        self.recording = false;
    }

    /// Ids of the nodes that an output needs, operands before users, in an order that depends on the graph alone.
    pub fn topological(&self) -> Vec<NodeId> {
        let mut order = Vec::with_capacity(self.len());
        let mut seen = vec![false; self.id_bound()];
        let mut stack: Vec<(NodeId, usize)> = Vec::new();
        for output in &self.outputs {
            if std::mem::replace(&mut seen[output.value.node.index()], true) {
                continue;
            }
            stack.push((output.value.node, 0));
            while let Some((id, next)) = stack.last_mut() {
                let inputs = &self.nodes[*id].inputs;
                if *next < inputs.len() {
                    let operand = inputs[*next];
                    *next += 1;
                    if let Some(v) = operand
                        && !std::mem::replace(&mut seen[v.node.index()], true)
                    {
                        stack.push((v.node, 0));
                    }
                } else {
                    order.push(*id);
                    stack.pop();
                }
            }
        }
        order
    }

    /// Whether some path leads from one of `from` to one of `to`, itself included.
    pub fn reaches(&self, from: &[NodeId], to: &[NodeId]) -> bool {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut stack: Vec<NodeId> = from.to_vec();
        while let Some(id) = stack.pop() {
            if to.contains(&id) {
                return true;
            }
            if seen.insert(id) {
                stack.extend(self.nodes.neighbors_directed(id, Direction::Outgoing));
            }
        }
        false
    }

    /// Number of applied operators that an output needs (inputs and constants not counted).
    pub fn operator_count(&self) -> usize {
        let counts = |id: &&NodeId| {
            let node = &self.nodes[**id];
            !node.constant && !matches!(node.op, Op::Input)
        };
        self.topological().iter().filter(counts).count()
    }

    /// Edges as (producer, output slot, consumer, input slot), sorted: for the validator.
    pub(super) fn sorted_edges(&self) -> Vec<(NodeId, u32, NodeId, u32)> {
        let mut edges: Vec<_> =
            self.nodes.edge_references().map(|e| (e.source(), e.weight().from, e.target(), e.weight().to)).collect();
        edges.sort_unstable();
        edges
    }
}
