//! Classes of neighbourhoods: colour refinement with the colours kept in a table that all graphs share.
//!
//! At radius 0 the class of a node is its operator and its features, that of an edge its features. At radius k the class of
//! an edge is its class at k - 1 with those of its two ends; the class of a node is its class at k - 1 with the sorted
//! classes, at radius k, of the edges that enter it and of those that leave it. This is what k rounds of message passing
//! can tell apart at most (Weisfeiler and Leman 1968; Xu et al. 2019), so equal classes have equal embeddings.
//!
//! Classes are numbered from 0 at each radius in the order in which they are first met: the same graphs in the same order
//! give the same numbers.

mod interner;
mod labels;

pub(super) use labels::Labels;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::graph::OpKind;

use self::interner::{Interner, mix};
use crate::rl::observation::{ClassId, EDGE_FEATURES, NODE_FEATURES, PlainEdge};

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

impl NodeBase {
    /// Equal for equal bases, and hardly ever for others.
    pub(super) fn digest(&self) -> u64 {
        hash_features(u64::from(self.operator), &self.features)
    }
}

impl PartialEq for NodeBase {
    fn eq(&self, other: &NodeBase) -> bool {
        self.operator == other.operator && same_bits(&self.features, &other.features)
    }
}

impl Eq for NodeBase {}

fn same_bits<const N: usize>(a: &[f32; N], b: &[f32; N]) -> bool {
    a.map(f32::to_bits) == b.map(f32::to_bits)
}

fn hash_features(seed: u64, features: &[f32]) -> u64 {
    let pair = |p: &[f32]| u64::from(p[0].to_bits()) << 32 | p.get(1).map_or(0, |f| u64::from(f.to_bits()));
    features.chunks(2).fold(mix(seed, 1), |hash, p| mix(hash, pair(p)))
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

impl EdgeClass {
    fn hash(self) -> u64 {
        mix(mix(2, u64::from(self.before)), u64::from(self.from) << 32 | u64::from(self.to))
    }
}

/// The classes of one radius above 0.
#[derive(Clone, Debug, Default)]
struct Level {
    nodes: Interner,
    /// Where the key of each class of nodes ends. A key is the class before, the number of edges that enter, their
    /// classes, and the classes of those that leave.
    ends: Vec<u32>,
    keys: Vec<ClassId>,
    edges: Interner,
    edge_keys: Vec<EdgeClass>,
}

impl Level {
    fn key(&self, class: ClassId) -> &[ClassId] {
        let at = class as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.keys[start as usize..self.ends[at] as usize]
    }

    fn find(&self, hash: u64, key: &[ClassId]) -> Option<ClassId> {
        self.nodes.find(hash, |class| self.key(class) == key)
    }

    fn find_edge(&self, hash: u64, class: EdgeClass) -> Option<ClassId> {
        self.edges.find(hash, |known| self.edge_keys[known as usize] == class)
    }
}

fn hash_key(key: &[ClassId]) -> u64 {
    let pair = |p: &[ClassId]| u64::from(p[0]) << 32 | p.get(1).map_or(0, |c| u64::from(*c) + 1);
    key.chunks(2).fold(mix(3, key.len() as u64), |hash, p| mix(hash, pair(p)))
}

/// The table of classes. See the module.
#[derive(Clone, Debug, Default)]
pub struct Neighbourhoods {
    nodes: Interner,
    node_bases: Vec<NodeBase>,
    edges: Interner,
    edge_bases: Vec<[f32; EDGE_FEATURES]>,
    levels: Vec<Level>,
    generation: u64,
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
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        Neighbourhoods { levels: vec![Level::default(); rounds], generation, ..Neighbourhoods::default() }
    }

    /// The largest radius.
    pub fn rounds(&self) -> usize {
        self.levels.len()
    }

    /// No other table, and not this one before it was emptied, has the same: classes of another generation mean nothing.
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

    /// Bytes of what the table holds.
    pub fn bytes(&self) -> usize {
        let level = |l: &Level| {
            l.nodes.bytes() + l.edges.bytes() + 4 * (l.ends.len() + l.keys.len()) + size_of_val(&l.edge_keys[..])
        };
        let bases = size_of_val(&self.node_bases[..]) + size_of_val(&self.edge_bases[..]);
        self.nodes.bytes() + self.edges.bytes() + bases + self.levels.iter().map(level).sum::<usize>()
    }

    /// Empties the table and begins another generation: whoever holds classes asks for them anew.
    pub fn clear(&mut self) {
        *self = Neighbourhoods::new(self.rounds());
    }

    /// Number of classes of nodes at a radius.
    pub fn node_count(&self, level: usize) -> usize {
        if level == 0 { self.node_bases.len() } else { self.levels[level - 1].ends.len() }
    }

    /// Number of classes of edges at a radius.
    pub fn edge_count(&self, level: usize) -> usize {
        if level == 0 { self.edge_bases.len() } else { self.levels[level - 1].edge_keys.len() }
    }

    /// What a class of nodes at radius 0 stands for.
    pub fn base(&self, class: ClassId) -> &NodeBase {
        &self.node_bases[class as usize]
    }

    /// What a class of edges at radius 0 stands for.
    pub fn edge_base(&self, class: ClassId) -> &[f32; EDGE_FEATURES] {
        &self.edge_bases[class as usize]
    }

    /// What a class of edges at a radius from 1 stands for.
    pub fn edge(&self, level: usize, class: ClassId) -> EdgeClass {
        self.levels[level - 1].edge_keys[class as usize]
    }

    /// What a class of nodes at a radius from 1 stands for.
    pub fn node(&self, level: usize, class: ClassId) -> NodeClass<'_> {
        let key = self.levels[level - 1].key(class);
        let (incoming, outgoing) = key[2..].split_at(key[1] as usize);
        NodeClass { before: key[0], incoming, outgoing }
    }

    /// The class of a node by itself.
    pub fn intern_base(&mut self, base: &NodeBase) -> ClassId {
        self.find_base(base).unwrap_or_else(|| {
            self.node_bases.push(*base);
            self.nodes.insert(base.digest())
        })
    }

    fn find_base(&self, base: &NodeBase) -> Option<ClassId> {
        self.nodes.find(base.digest(), |class| self.node_bases[class as usize] == *base)
    }

    /// The class of an edge by itself.
    pub fn intern_edge_base(&mut self, features: &[f32; EDGE_FEATURES]) -> ClassId {
        self.find_edge_base(features).unwrap_or_else(|| {
            self.edge_bases.push(*features);
            self.edges.insert(hash_features(0, features))
        })
    }

    fn find_edge_base(&self, features: &[f32; EDGE_FEATURES]) -> Option<ClassId> {
        self.edges.find(hash_features(0, features), |class| same_bits(&self.edge_bases[class as usize], features))
    }

    /// The class of an edge at a radius from 1.
    pub fn intern_edge(&mut self, level: usize, class: EdgeClass) -> ClassId {
        let (level, hash) = (&mut self.levels[level - 1], class.hash());
        level.find_edge(hash, class).unwrap_or_else(|| {
            level.edge_keys.push(class);
            level.edges.insert(hash)
        })
    }

    /// The class of a node at a radius from 1. Its lists are ascending.
    pub fn intern_node(&mut self, level: usize, class: NodeClass<'_>) -> ClassId {
        debug_assert!(class.incoming.is_sorted() && class.outgoing.is_sorted(), "the lists of a class are ascending");
        let mut key = Vec::new();
        node_key(class, &mut key);
        self.intern_key(level, &key)
    }

    fn intern_key(&mut self, level: usize, key: &[ClassId]) -> ClassId {
        let (level, hash) = (&mut self.levels[level - 1], hash_key(key));
        level.find(hash, key).unwrap_or_else(|| {
            level.keys.extend_from_slice(key);
            level.ends.push(level.keys.len() as u32);
            level.nodes.insert(hash)
        })
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
        self.find_base(base)
    }

    fn edge_base(&mut self, features: &[f32; EDGE_FEATURES]) -> Option<ClassId> {
        self.find_edge_base(features)
    }

    fn edge(&mut self, level: usize, class: EdgeClass) -> Option<ClassId> {
        self.levels[level - 1].find_edge(class.hash(), class)
    }

    fn node(&mut self, level: usize, key: &[ClassId]) -> Option<ClassId> {
        self.levels[level - 1].find(hash_key(key), key)
    }
}
