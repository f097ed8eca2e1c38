//! Classes of neighbourhoods: colour refinement with the colours kept in a table that all graphs share.
//!
//! At radius 0 the class of a node is its operator and its features, that of an edge its features. At radius k the class of
//! an edge is its class at k - 1 with those of its two ends; the class of a node is its class at k - 1 with the sorted
//! classes, at radius k, of the edges that enter it and of those that leave it. This is what k rounds of message passing
//! can tell apart at most (Weisfeiler and Leman 1968; Xu et al. 2019), so equal classes have equal embeddings.
//!
//! Classes are numbered from 0 at each radius in the order in which they are first met: the same graphs in the same order
//! give the same numbers.

use std::hash::{Hash, Hasher};

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use crate::graph::OpKind;

use super::observation::{ClassId, EDGE_FEATURES, NODE_FEATURES, PlainEdge};

/// Rows of the table of operators: input, weight, opaque, then every operator that is understood.
pub const OPERATORS: usize = 3 + OpKind::ALL.len();

/// A node by itself.
#[derive(Clone, Copy, Debug)]
pub struct NodeBase {
    /// Row of the table of operators, below [`OPERATORS`].
    pub operator: u32,
    /// Its features; compared by bits.
    pub features: [f32; NODE_FEATURES],
}

impl PartialEq for NodeBase {
    fn eq(&self, other: &NodeBase) -> bool {
        let bits = |row: &NodeBase| row.features.map(f32::to_bits);
        self.operator == other.operator && bits(self) == bits(other)
    }
}

impl Eq for NodeBase {}

impl Hash for NodeBase {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.operator);
        hash_bits(&self.features, state);
    }
}

/// Two numbers a word: half the work of a hasher that takes a word at a time.
fn hash_bits<H: Hasher>(features: &[f32], state: &mut H) {
    for pair in features.chunks(2) {
        let second = pair.get(1).map_or(0, |f| f.to_bits());
        state.write_u64(u64::from(pair[0].to_bits()) << 32 | u64::from(second));
    }
}

/// An edge by itself.
#[derive(Clone, Copy, Debug)]
struct EdgeBase([f32; EDGE_FEATURES]);

impl PartialEq for EdgeBase {
    fn eq(&self, other: &EdgeBase) -> bool {
        self.0.map(f32::to_bits) == other.0.map(f32::to_bits)
    }
}

impl Eq for EdgeBase {}

impl Hash for EdgeBase {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_bits(&self.0, state);
    }
}

/// What a class of edges at radius k stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EdgeClass {
    /// The edge's class at radius k - 1.
    pub before: ClassId,
    /// The class of its producer at radius k - 1.
    pub from: ClassId,
    /// The class of its consumer at radius k - 1.
    pub to: ClassId,
}

/// What a class of nodes at radius k stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeClass<'a> {
    /// The node's class at radius k - 1.
    pub before: ClassId,
    /// Classes at radius k of the edges that enter it, ascending, as often as they occur.
    pub incoming: &'a [ClassId],
    /// The same of the edges that leave it.
    pub outgoing: &'a [ClassId],
}

/// The classes of one radius above 0. A node's key is its class before, the number of edges that enter, their classes,
/// and the classes of those that leave.
#[derive(Clone, Debug, Default)]
struct Level {
    nodes: IndexSet<Box<[ClassId]>, FxBuildHasher>,
    edges: IndexSet<EdgeClass, FxBuildHasher>,
}

/// The table of classes. See the module.
#[derive(Clone, Debug)]
pub struct Neighbourhoods {
    node_bases: IndexSet<NodeBase, FxBuildHasher>,
    edge_bases: IndexSet<EdgeBase, FxBuildHasher>,
    levels: Vec<Level>,
    generation: u64,
    /// Words of all keys of nodes.
    key_words: usize,
}

/// Writes the key of a class of nodes.
pub(super) fn node_key(class: NodeClass<'_>, key: &mut Vec<ClassId>) {
    key.clear();
    key.push(class.before);
    key.push(class.incoming.len() as ClassId);
    key.extend_from_slice(class.incoming);
    key.extend_from_slice(class.outgoing);
}

impl Neighbourhoods {
    /// An empty table of the classes at radius 0 to `rounds`.
    pub fn new(rounds: usize) -> Neighbourhoods {
        Neighbourhoods {
            node_bases: IndexSet::default(),
            edge_bases: IndexSet::default(),
            levels: vec![Level::default(); rounds],
            generation: 0,
            key_words: 0,
        }
    }

    /// The largest radius.
    pub fn rounds(&self) -> usize {
        self.levels.len()
    }

    /// How often the table was emptied: classes of another generation mean nothing.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Number of classes, of nodes and edges at all radii.
    pub fn len(&self) -> usize {
        (0..=self.rounds()).map(|level| self.node_count(level) + self.edge_count(level)).sum()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes the table takes.
    pub fn bytes(&self) -> usize {
        // An entry of an index set has its hash beside it and 4 bytes of index, in tables that are two thirds full.
        let entry = |size: usize| (size + 8) * 3 / 2 + 8;
        let bases = self.node_bases.len() * entry(size_of::<NodeBase>());
        let edge_bases = self.edge_bases.len() * entry(size_of::<EdgeBase>());
        let level = |l: &Level| l.nodes.len() * entry(16) + l.edges.len() * entry(size_of::<EdgeClass>());
        bases + edge_bases + self.levels.iter().map(level).sum::<usize>() + self.key_words * size_of::<ClassId>()
    }

    /// Empties the table and begins another generation: whoever holds classes asks for them anew.
    pub fn clear(&mut self) {
        *self = Neighbourhoods { generation: self.generation + 1, ..Neighbourhoods::new(self.rounds()) };
    }

    /// Number of classes of nodes at a radius.
    pub fn node_count(&self, level: usize) -> usize {
        if level == 0 { self.node_bases.len() } else { self.levels[level - 1].nodes.len() }
    }

    /// Number of classes of edges at a radius.
    pub fn edge_count(&self, level: usize) -> usize {
        if level == 0 { self.edge_bases.len() } else { self.levels[level - 1].edges.len() }
    }

    /// What a class of nodes at radius 0 stands for.
    pub fn base(&self, class: ClassId) -> &NodeBase {
        &self.node_bases[class as usize]
    }

    /// What a class of edges at radius 0 stands for.
    pub fn edge_base(&self, class: ClassId) -> &[f32; EDGE_FEATURES] {
        &self.edge_bases[class as usize].0
    }

    /// What a class of edges at a radius from 1 stands for.
    pub fn edge(&self, level: usize, class: ClassId) -> EdgeClass {
        self.levels[level - 1].edges[class as usize]
    }

    /// What a class of nodes at a radius from 1 stands for.
    pub fn node(&self, level: usize, class: ClassId) -> NodeClass<'_> {
        let key = &self.levels[level - 1].nodes[class as usize];
        let (incoming, outgoing) = key[2..].split_at(key[1] as usize);
        NodeClass { before: key[0], incoming, outgoing }
    }

    /// The class of a node by itself.
    pub fn intern_base(&mut self, base: &NodeBase) -> ClassId {
        self.node_bases.insert_full(*base).0 as ClassId
    }

    /// The class of an edge by itself.
    pub fn intern_edge_base(&mut self, features: &[f32; EDGE_FEATURES]) -> ClassId {
        self.edge_bases.insert_full(EdgeBase(*features)).0 as ClassId
    }

    /// The class of an edge at a radius from 1.
    pub fn intern_edge(&mut self, level: usize, class: EdgeClass) -> ClassId {
        self.levels[level - 1].edges.insert_full(class).0 as ClassId
    }

    /// The class of a node at a radius from 1. Its lists are ascending.
    pub fn intern_node(&mut self, level: usize, class: NodeClass<'_>) -> ClassId {
        debug_assert!(class.incoming.is_sorted() && class.outgoing.is_sorted(), "the lists of a class are ascending");
        let mut key = Vec::new();
        node_key(class, &mut key);
        self.intern_key(level, &key)
    }

    fn intern_key(&mut self, level: usize, key: &[ClassId]) -> ClassId {
        let nodes = &mut self.levels[level - 1].nodes;
        if let Some(known) = nodes.get_index_of(key) {
            return known as ClassId;
        }
        self.key_words += key.len();
        nodes.insert_full(key.into()).0 as ClassId
    }
}

/// The classes of a graph given as lists, from scratch: for each radius those of all nodes. (Graphs that are edited keep
/// theirs: see `Labels`.)
pub fn refine(nodes: &[ClassId], edges: &[PlainEdge], table: &mut Neighbourhoods) -> Vec<Vec<ClassId>> {
    let mut levels = vec![nodes.to_vec()];
    let mut edge_classes: Vec<ClassId> = edges.iter().map(|e| e.class).collect();
    for level in 1..=table.rounds() {
        let before = &levels[level - 1];
        let mut incoming = vec![Vec::new(); nodes.len()];
        let mut outgoing = incoming.clone();
        for (edge, class) in edges.iter().zip(&mut edge_classes) {
            let ends = EdgeClass { before: *class, from: before[edge.from as usize], to: before[edge.to as usize] };
            *class = table.intern_edge(level, ends);
            outgoing[edge.from as usize].push(*class);
            incoming[edge.to as usize].push(*class);
        }
        let class = |at: usize| {
            incoming[at].sort_unstable();
            outgoing[at].sort_unstable();
            let class = NodeClass { before: before[at], incoming: &incoming[at], outgoing: &outgoing[at] };
            table.intern_node(level, class)
        };
        let next = (0..nodes.len()).map(class).collect();
        levels.push(next);
    }
    levels
}

/// Gives classes their numbers. `None`: the class is not known, and may not be added.
pub(super) trait Classes {
    fn base(&mut self, base: &NodeBase) -> Option<ClassId>;
    fn edge_base(&mut self, features: &[f32; EDGE_FEATURES]) -> Option<ClassId>;
    fn edge(&mut self, level: usize, class: EdgeClass) -> Option<ClassId>;
    /// The class of a node, by its key.
    fn node(&mut self, level: usize, key: &[ClassId]) -> Option<ClassId>;
}

/// Adds what is not known.
impl Classes for &mut Neighbourhoods {
    fn base(&mut self, base: &NodeBase) -> Option<ClassId> {
        Some(self.intern_base(base))
    }

    fn edge_base(&mut self, features: &[f32; EDGE_FEATURES]) -> Option<ClassId> {
        Some(self.intern_edge_base(features))
    }

    fn edge(&mut self, level: usize, class: EdgeClass) -> Option<ClassId> {
        Some(self.intern_edge(level, class))
    }

    fn node(&mut self, level: usize, key: &[ClassId]) -> Option<ClassId> {
        Some(self.intern_key(level, key))
    }
}

/// Only looks: many threads may do so at a time.
impl Classes for &Neighbourhoods {
    fn base(&mut self, base: &NodeBase) -> Option<ClassId> {
        self.node_bases.get_index_of(base).map(|i| i as ClassId)
    }

    fn edge_base(&mut self, features: &[f32; EDGE_FEATURES]) -> Option<ClassId> {
        self.edge_bases.get_index_of(&EdgeBase(*features)).map(|i| i as ClassId)
    }

    fn edge(&mut self, level: usize, class: EdgeClass) -> Option<ClassId> {
        self.levels[level - 1].edges.get_index_of(&class).map(|i| i as ClassId)
    }

    fn node(&mut self, level: usize, key: &[ClassId]) -> Option<ClassId> {
        self.levels[level - 1].nodes.get_index_of(key).map(|i| i as ClassId)
    }
}
