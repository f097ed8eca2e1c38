//! A batch of observations as tensors.

use std::collections::BTreeMap;

use tch::{Device, Tensor};

use super::classes::{ClassBatch, ListsBuilder};
use super::digest::{Digest, NodeKey};
use super::encoder::{Base, Encoder, Global, Union, Wiring};
use super::segment::Bags;
use crate::rl::neighbourhood::Neighbourhoods;
use crate::rl::observation::{
    CANDIDATE_FEATURES, EDGE_FEATURES, GLOBAL_FEATURES, NODE_FEATURES, Plain, RuleObservation,
};

/// What a policy reads of `G` graphs.
#[derive(Debug)]
pub struct Batch {
    /// Number of graphs.
    pub graphs: i64,
    /// Each graph's nodes, by their share.
    pub nodes: Bags,
    /// Each graph's nodes, by their cost.
    pub costs: Bags,
    /// `[G, GLOBAL_FEATURES]`.
    pub globals: Tensor,
    /// Nodes of each rule's source, and of its target.
    pub rule_sides: [Bags; 2],
    /// Nodes that each distinct candidate touches.
    pub touched: Bags,
    /// `[K, CANDIDATE_FEATURES]`.
    pub features: Tensor,
    /// `[K]`, int64: the pair of graph and rule that each distinct candidate belongs to.
    pub pair_of_candidate: Tensor,
    /// `[K]`, f32: log of the number of sites that each stands for.
    pub log_sites: Tensor,
    /// `[P]`, int64: graph of each pair.
    pub graph_of_pair: Tensor,
    /// `[P]`, int64: rule of each pair, as a row of the batch's rules.
    pub rule_of_pair: Tensor,
    /// `[P]`, f32: log of the number of sites of each pair.
    pub pair_log_sites: Tensor,
    /// Where each graph's pairs begin, and one more.
    pub pair_starts: Vec<usize>,
    /// Where each pair's distinct candidates begin, and one more.
    pub candidate_starts: Vec<usize>,
}

/// The rows of nodes that a batch speaks of.
pub enum Rows {
    /// Classes by their own number (a table of all).
    ByNumber,
    /// Classes computed for the batch.
    Classes(ClassBatch),
    /// A union of whole graphs.
    Whole(Union),
}

impl Rows {
    /// Node embeddings `[C, W]` and the graphs' own vectors, if the network makes them.
    pub fn encode(&self, encoder: &Encoder) -> Option<(Tensor, Option<Tensor>)> {
        match self {
            Rows::ByNumber => None,
            Rows::Classes(classes) => Some((classes.encode(encoder), None)),
            Rows::Whole(union) => {
                let (nodes, globals) = encoder.full(union);
                Some((nodes, Some(globals)))
            }
        }
    }
}

impl Batch {
    /// Builds a batch of observations; `by_number` for a table of all classes.
    pub fn new(
        digests: &[&Digest],
        rules: &[RuleObservation],
        known: &Neighbourhoods,
        global: Global,
        by_number: bool,
        device: Device,
    ) -> (Batch, Rows) {
        // Rules that occur, in order of number, with their row.
        let mut rule_rows: BTreeMap<u32, i64> = BTreeMap::new();
        digests.iter().flat_map(|d| &d.groups).for_each(|group| {
            rule_rows.insert(group.rule, 0);
        });
        rule_rows.values_mut().zip(0..).for_each(|(row, at)| *row = at);
        let occurring: Vec<&RuleObservation> = rule_rows.keys().map(|&rule| &rules[rule as usize]).collect();
        let sides = || occurring.iter().flat_map(|rule| [&rule.source, &rule.target]);

        let (rows, starts) = match (global, by_number) {
            (Global::Late, true) => (Rows::ByNumber, Vec::new()),
            (Global::Late, false) => {
                let of_graphs = digests.iter().flat_map(|d| d.nodes.iter().map(|node| node.key));
                let tops = of_graphs.chain(sides().flat_map(|side| side.nodes.iter().copied()));
                (Rows::Classes(ClassBatch::new(known, tops, device)), Vec::new())
            }
            (Global::Full, _) => {
                let blank = [0.0; GLOBAL_FEATURES];
                let of_graphs = digests.iter().map(|d| (d.plain.as_ref().expect("asked for"), &d.globals));
                let parts: Vec<(&Plain, &[f32; GLOBAL_FEATURES])> =
                    of_graphs.chain(sides().map(|side| (&side.plain, &blank))).collect();
                let (union, starts) = union_of(&parts, known, device);
                (Rows::Whole(union), starts)
            }
        };
        let row = |graph: usize, key: u32| match &rows {
            Rows::ByNumber => i64::from(key),
            Rows::Classes(classes) => classes.row(key),
            Rows::Whole(_) => starts[graph] + i64::from(key),
        };

        let (mut nodes, mut costs, mut touched) =
            (BagsBuilder::default(), BagsBuilder::default(), BagsBuilder::default());
        let mut features: Vec<f32> = Vec::new();
        let (mut pair_of_candidate, mut log_sites) = (Vec::new(), Vec::new());
        let (mut graph_of_pair, mut rule_of_pair, mut pair_log_sites) = (Vec::new(), Vec::new(), Vec::new());
        let (mut pair_starts, mut candidate_starts) = (Vec::new(), Vec::new());
        for (graph, digest) in digests.iter().enumerate() {
            nodes.push(digest.nodes.iter().map(|node| (row(graph, node.key), node.share)));
            costs.push(digest.nodes.iter().map(|node| (row(graph, node.key), node.cost)));
            pair_starts.push(graph_of_pair.len());
            for group in &digest.groups {
                candidate_starts.push(log_sites.len());
                for distinct in &digest.distinct[group.start as usize..group.end as usize] {
                    let share = 1.0 / distinct.touched.len().max(1) as f32;
                    touched.push(distinct.touched.iter().map(|&key| (row(graph, key), share)));
                    features.extend(distinct.features);
                    pair_of_candidate.push(graph_of_pair.len() as i64);
                    log_sites.push((distinct.sites.len() as f32).ln());
                }
                graph_of_pair.push(graph as i64);
                rule_of_pair.push(rule_rows[&group.rule]);
                pair_log_sites.push((group.sites as f32).ln());
            }
        }
        pair_starts.push(graph_of_pair.len());
        candidate_starts.push(log_sites.len());
        let rule_sides = [0, 1].map(|which| {
            let mut bags = BagsBuilder::default();
            for (at, rule) in occurring.iter().enumerate() {
                let side = [&rule.source, &rule.target][which];
                let share = 1.0 / side.nodes.len().max(1) as f32;
                let graph = digests.len() + 2 * at + which;
                match &rows {
                    Rows::Whole(_) => bags.push((0..side.nodes.len() as u32).map(|key| (row(graph, key), share))),
                    Rows::ByNumber | Rows::Classes(_) => {
                        bags.push(side.nodes.iter().map(|&class| (row(graph, class), share)));
                    }
                }
            }
            bags.build(device)
        });
        let globals: Vec<f32> = digests.iter().flat_map(|d| d.globals).collect();
        let table =
            |values: &[f32], width: usize| Tensor::from_slice(values).reshape([-1, width as i64]).to_device(device);
        let batch = Batch {
            graphs: digests.len() as i64,
            nodes: nodes.build(device),
            costs: costs.build(device),
            globals: table(&globals, GLOBAL_FEATURES),
            rule_sides,
            touched: touched.build(device),
            features: table(&features, CANDIDATE_FEATURES),
            pair_of_candidate: Tensor::from_slice(&pair_of_candidate).to_device(device),
            log_sites: Tensor::from_slice(&log_sites).to_device(device),
            graph_of_pair: Tensor::from_slice(&graph_of_pair).to_device(device),
            rule_of_pair: Tensor::from_slice(&rule_of_pair).to_device(device),
            pair_log_sites: Tensor::from_slice(&pair_log_sites).to_device(device),
            pair_starts,
            candidate_starts,
        };
        (batch, rows)
    }

    /// How nodes are known to an encoder of this kind.
    pub fn key(global: Global) -> NodeKey {
        match global {
            Global::Late => NodeKey::Class,
            Global::Full => NodeKey::Position,
        }
    }
}

/// The disjoint union of whole graphs, and where the nodes of each begin.
fn union_of(parts: &[(&Plain, &[f32; GLOBAL_FEATURES])], known: &Neighbourhoods, device: Device) -> (Union, Vec<i64>) {
    let (mut operators, mut nodes, mut edges) = (Vec::new(), Vec::new(), Vec::new());
    let (mut from, mut to) = (Vec::new(), Vec::new());
    let (mut graph_of_node, mut graph_of_edge) = (Vec::new(), Vec::new());
    let mut starts = Vec::new();
    let (mut incoming, mut outgoing) = (ListsBuilder::default(), ListsBuilder::default());
    for (graph, (plain, _)) in parts.iter().enumerate() {
        let start = operators.len() as i64;
        starts.push(start);
        let mut ins: Vec<Vec<i64>> = vec![Vec::new(); plain.nodes.len()];
        let mut outs = ins.clone();
        for edge in &plain.edges {
            let number = from.len() as i64;
            ins[edge.to as usize].push(number);
            outs[edge.from as usize].push(number);
            from.push(start + i64::from(edge.from));
            to.push(start + i64::from(edge.to));
            edges.extend(*known.edge_base(edge.class));
            graph_of_edge.push(graph as i64);
        }
        for ((class, ins), outs) in plain.nodes.iter().zip(ins).zip(outs) {
            let base = known.base(*class);
            operators.push(i64::from(base.operator));
            nodes.extend(base.features);
            graph_of_node.push(graph as i64);
            incoming.push(ins.into_iter());
            outgoing.push(outs.into_iter());
        }
    }
    let globals: Vec<f32> = parts.iter().flat_map(|(_, globals)| **globals).collect();
    let ids = |rows: &[i64]| Tensor::from_slice(rows).to_device(device);
    let table = |values: &[f32], width: usize| Tensor::from_slice(values).reshape([-1, width as i64]).to_device(device);
    let union = Union {
        base: Base {
            operators: ids(&operators),
            nodes: table(&nodes, NODE_FEATURES),
            edges: table(&edges, EDGE_FEATURES),
        },
        wiring: Wiring {
            edge_before: None,
            edge_from: ids(&from),
            edge_to: ids(&to),
            node_before: None,
            incoming: incoming.build(device),
            outgoing: outgoing.build(device),
        },
        graph_of_node: ids(&graph_of_node),
        graph_of_edge: ids(&graph_of_edge),
        globals: table(&globals, GLOBAL_FEATURES),
    };
    (union, starts)
}

/// Bags in the making.
#[derive(Default)]
struct BagsBuilder {
    rows: Vec<i64>,
    offsets: Vec<i64>,
    weights: Vec<f32>,
}

impl BagsBuilder {
    fn push(&mut self, entries: impl Iterator<Item = (i64, f32)>) {
        self.offsets.push(self.rows.len() as i64);
        for (row, weight) in entries {
            self.rows.push(row);
            self.weights.push(weight);
        }
    }

    fn build(self, device: Device) -> Bags {
        Bags {
            rows: Tensor::from_slice(&self.rows).to_device(device),
            offsets: Tensor::from_slice(&self.offsets).to_device(device),
            weights: Tensor::from_slice(&self.weights).to_device(device),
        }
    }
}
