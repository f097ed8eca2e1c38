//! What an agent sees of a graph under rewriting, as plain numbers.
//!
//! Nodes are given by the *class* of their neighbourhood: two nodes whose neighbourhoods of radius `r` look the same (in
//! one graph or in different ones) have the same class, and hence the same embedding after `r` rounds of a graph network
//! without global updates. `Neighbourhoods` knows what a class stands for.

/// Version of everything in this file and of how it is filled in: an agent is bound to it.
pub const FEATURE_VERSION: u32 = 1;

/// Numbers that describe a node, beside its operator.
pub const NODE_FEATURES: usize = 24;
/// Numbers that describe an edge: the value that flows along it, and the slots that it joins.
pub const EDGE_FEATURES: usize = 16;
/// Numbers that describe a candidate, beside its rule and the nodes that it touches.
pub const CANDIDATE_FEATURES: usize = 8;
/// Numbers that describe the whole: progress, cost now, best so far.
pub const GLOBAL_FEATURES: usize = 8;

/// A class of nodes or edges, at some radius: dense, from 0.
pub type ClassId = u32;

/// A graph as an agent sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Class of each live node at the largest radius, in the order of ids.
    pub nodes: Vec<ClassId>,
    /// Estimated time of each of `nodes` as a share of the *initial* total, so that an edit far away changes nothing.
    pub cost_share: Vec<f32>,
    /// The graph itself, for networks with global updates; `None` where it was not asked for.
    pub plain: Option<Plain>,
    /// The whole: see [`GLOBAL_FEATURES`].
    pub globals: [f32; GLOBAL_FEATURES],
    /// What may be done, beside stopping.
    pub candidates: Candidates,
}

/// Nodes and edges with their classes at radius 0: their own features alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plain {
    /// Class at radius 0 of each of [`Observation::nodes`].
    pub nodes: Vec<ClassId>,
    /// Edges, by consumer and slot.
    pub edges: Vec<PlainEdge>,
}

/// An edge between two nodes of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainEdge {
    /// Position of the producer in [`Plain::nodes`].
    pub from: u32,
    /// Position of the consumer.
    pub to: u32,
    /// Class at radius 0.
    pub class: ClassId,
}

/// The legal rewrites of a graph: an action is a position in these lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// Number of each one's rule in the rule set, ascending: those of one rule lie together.
    pub rules: Vec<u32>,
    /// What is known of each: see [`CANDIDATE_FEATURES`].
    pub features: Vec<[f32; CANDIDATE_FEATURES]>,
    /// One more than there are candidates: candidate `i` touches `touched[starts[i]..starts[i + 1]]`.
    pub starts: Vec<u32>,
    /// Positions in [`Observation::nodes`].
    pub touched: Vec<u32>,
}

impl Candidates {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is nothing to do but to stop.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The nodes that a candidate touches.
    pub fn touched_by(&self, candidate: usize) -> &[u32] {
        &self.touched[self.starts[candidate] as usize..self.starts[candidate + 1] as usize]
    }
}

/// A rule as a network sees it: its two sides, in the same classes as graphs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleObservation {
    /// The nodes of its source, and the graph they form.
    pub source: Side,
    /// Those of its target.
    pub target: Side,
}

/// One side of a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// Class of each node at the largest radius.
    pub nodes: Vec<ClassId>,
    /// The same with edges.
    pub plain: Plain,
}
