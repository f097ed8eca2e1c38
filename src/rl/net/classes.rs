//! From classes of neighbourhoods to the encoder's input, and the embeddings of classes kept from step to step.

use tch::{Device, Kind, Tensor, no_grad};

use super::encoder::{Base, Encoder, Lists, Tables, Wiring};
use crate::rl::neighbourhood::Neighbourhoods;
use crate::rl::observation::{ClassId, EDGE_FEATURES, NODE_FEATURES};

/// No row yet.
const NONE: u32 = u32::MAX;

/// Which row of a table a class has.
trait Rows {
    fn row(&self, class: ClassId) -> i64;
}

/// Classes in the order in which they were first needed.
#[derive(Debug)]
pub struct Needed {
    classes: Vec<ClassId>,
    rows: Vec<u32>,
}

impl Needed {
    fn new(count: usize) -> Needed {
        Needed { classes: Vec::new(), rows: vec![NONE; count] }
    }

    fn add(&mut self, class: ClassId) {
        if self.rows[class as usize] == NONE {
            self.rows[class as usize] = self.classes.len() as u32;
            self.classes.push(class);
        }
    }
}

impl Rows for Needed {
    fn row(&self, class: ClassId) -> i64 {
        i64::from(self.rows[class as usize])
    }
}

/// Every class has the row of its own number.
struct All;

impl Rows for All {
    fn row(&self, class: ClassId) -> i64 {
        i64::from(class)
    }
}

/// What computes the embeddings of some classes, each once.
#[derive(Debug)]
pub struct ClassBatch {
    base: Base,
    rounds: Vec<Wiring>,
    tops: Needed,
}

impl ClassBatch {
    /// For these classes of the largest radius, and all that they are made of.
    pub fn new(known: &Neighbourhoods, tops: impl IntoIterator<Item = ClassId>, device: Device) -> ClassBatch {
        let rounds = known.rounds();
        let mut nodes: Vec<Needed> = (0..=rounds).map(|k| Needed::new(known.node_count(k))).collect();
        let mut edges: Vec<Needed> = (0..=rounds).map(|k| Needed::new(known.edge_count(k))).collect();
        tops.into_iter().for_each(|class| nodes[rounds].add(class));
        for k in (1..=rounds).rev() {
            let (nodes_before, nodes) = nodes.split_at_mut(k);
            let (edges_before, edges) = edges.split_at_mut(k);
            for &class in &nodes[0].classes {
                let node = known.node(k, class);
                nodes_before[k - 1].add(node.before);
                node.incoming.iter().chain(node.outgoing).for_each(|edge| edges[0].add(*edge));
            }
            for &class in &edges[0].classes {
                let edge = known.edge(k, class);
                edges_before[k - 1].add(edge.before);
                nodes_before[k - 1].add(edge.from);
                nodes_before[k - 1].add(edge.to);
            }
        }
        let base = base_of(known, &nodes[0].classes, &edges[0].classes, device);
        let wire = |k: usize| {
            let own = (&nodes[k].classes[..], &edges[k].classes[..]);
            wiring(known, k, own, (&nodes[k - 1], &edges[k - 1]), &edges[k], device)
        };
        let rounds = (1..=rounds).map(wire).collect();
        ClassBatch { base, rounds, tops: nodes.pop().expect("radius 0 at least") }
    }

    /// The row of a class of the largest radius.
    pub fn row(&self, class: ClassId) -> i64 {
        self.tops.row(class)
    }

    /// The classes of the largest radius, by row.
    pub fn tops(&self) -> &[ClassId] {
        &self.tops.classes
    }

    /// `[C, W]`: embeddings by row.
    pub fn encode(&self, encoder: &Encoder) -> Tensor {
        let base = encoder.base(&self.base);
        let apply = |tables: Tables, (k, wiring): (usize, &Wiring)| encoder.round(k, &tables, wiring);
        self.rounds.iter().enumerate().fold(base, apply).nodes
    }
}

fn base_of(known: &Neighbourhoods, nodes: &[ClassId], edges: &[ClassId], device: Device) -> Base {
    let operators: Vec<i64> = nodes.iter().map(|&class| i64::from(known.base(class).operator)).collect();
    let node_rows: Vec<f32> = nodes.iter().flat_map(|&class| known.base(class).features).collect();
    let edge_rows: Vec<f32> = edges.iter().flat_map(|&class| *known.edge_base(class)).collect();
    Base {
        operators: Tensor::from_slice(&operators).to_device(device),
        nodes: Tensor::from_slice(&node_rows).reshape([-1, NODE_FEATURES as i64]).to_device(device),
        edges: Tensor::from_slice(&edge_rows).reshape([-1, EDGE_FEATURES as i64]).to_device(device),
    }
}

fn wiring(
    known: &Neighbourhoods,
    k: usize,
    (nodes, edges): (&[ClassId], &[ClassId]),
    (nodes_before, edges_before): (&dyn Rows, &dyn Rows),
    edge_rows: &dyn Rows,
    device: Device,
) -> Wiring {
    let tensor = |rows: Vec<i64>| Tensor::from_slice(&rows).to_device(device);
    let of_edges = |row: &dyn Fn(ClassId) -> i64| tensor(edges.iter().map(|&class| row(class)).collect());
    let mut incoming = ListsBuilder::default();
    let mut outgoing = ListsBuilder::default();
    for &class in nodes {
        let node = known.node(k, class);
        incoming.push(node.incoming.iter().map(|&edge| edge_rows.row(edge)));
        outgoing.push(node.outgoing.iter().map(|&edge| edge_rows.row(edge)));
    }
    Wiring {
        edge_before: Some(of_edges(&|class| edges_before.row(known.edge(k, class).before))),
        edge_from: of_edges(&|class| nodes_before.row(known.edge(k, class).from)),
        edge_to: of_edges(&|class| nodes_before.row(known.edge(k, class).to)),
        node_before: Some(tensor(nodes.iter().map(|&class| nodes_before.row(known.node(k, class).before)).collect())),
        incoming: incoming.build(device),
        outgoing: outgoing.build(device),
    }
}

/// Ragged lists in the making.
#[derive(Default)]
pub(super) struct ListsBuilder {
    rows: Vec<i64>,
    offsets: Vec<i64>,
    owners: Vec<i64>,
}

impl ListsBuilder {
    /// Adds a list.
    pub fn push(&mut self, rows: impl Iterator<Item = i64>) {
        let owner = self.offsets.len() as i64;
        self.offsets.push(self.rows.len() as i64);
        self.rows.extend(rows);
        self.owners.resize(self.rows.len(), owner);
    }

    /// All of them.
    pub fn build(self, device: Device) -> Lists {
        let tensor = |rows: Vec<i64>| Tensor::from_slice(&rows).to_device(device);
        Lists { rows: tensor(self.rows), offsets: tensor(self.offsets), owners: tensor(self.owners) }
    }
}

/// Embeddings of all classes that were met, for acting: each class is computed once as long as the parameters stay.
#[derive(Debug, Default)]
pub struct ClassCache {
    /// Tables by radius, with room to grow.
    tables: Vec<Tables>,
    /// Rows in use, by radius: nodes and edges.
    counts: Vec<(usize, usize)>,
    generation: Option<u64>,
}

impl ClassCache {
    /// Forgets everything: the parameters changed.
    pub fn clear(&mut self) {
        self.generation = None;
    }

    /// `[room, W]`: embeddings of the classes of the largest radius by number. Computes what is new.
    pub fn encode(&mut self, encoder: &Encoder, known: &Neighbourhoods, device: Device) -> &Tensor {
        if self.generation != Some(known.generation()) {
            self.tables.clear();
            self.counts.clear();
            self.generation = Some(known.generation());
        }
        no_grad(|| {
            for k in 0..=known.rounds() {
                self.extend(k, encoder, known, device);
            }
        });
        &self.tables[known.rounds()].nodes
    }

    fn extend(&mut self, k: usize, encoder: &Encoder, known: &Neighbourhoods, device: Device) {
        let (have_nodes, have_edges) = self.counts.get(k).copied().unwrap_or_default();
        let (node_count, edge_count) = (known.node_count(k), known.edge_count(k));
        let nodes: Vec<ClassId> = (have_nodes as ClassId..node_count as ClassId).collect();
        let edges: Vec<ClassId> = (have_edges as ClassId..edge_count as ClassId).collect();
        if self.tables.len() == k {
            let table = || Tensor::zeros([0, encoder.config.width as i64], (Kind::Float, device));
            self.tables.push(Tables { nodes: table(), edges: table() });
            self.counts.push((0, 0));
        }
        if nodes.is_empty() && edges.is_empty() {
            return;
        }
        let (before, own) = self.tables.split_at_mut(k);
        let tables = &mut own[0];
        if k == 0 {
            let new = encoder.base(&base_of(known, &nodes, &edges, device));
            append(&mut tables.edges, have_edges, &new.edges);
            append(&mut tables.nodes, have_nodes, &new.nodes);
        } else {
            // New nodes gather old edges too: by their rows in the table that just grew.
            let wiring = wiring(known, k, (&nodes, &edges), (&All, &All), &All, device);
            let new_edges = encoder.round_edges(k - 1, &before[k - 1], &wiring);
            append(&mut tables.edges, have_edges, &new_edges);
            let new_nodes = encoder.round_nodes(k - 1, &before[k - 1].nodes, &tables.edges, &wiring);
            append(&mut tables.nodes, have_nodes, &new_nodes);
        }
        self.counts[k] = (node_count, edge_count);
    }
}

/// Writes rows behind the first `used` of a table, which grows by doubling.
pub(super) fn append(table: &mut Tensor, used: usize, rows: &Tensor) {
    let (needed, width) = (used as i64 + rows.size()[0], table.size()[1]);
    if needed > table.size()[0] {
        let larger = Tensor::zeros([needed.max(2 * table.size()[0]), width], (Kind::Float, table.device()));
        larger.narrow(0, 0, used as i64).copy_(&table.narrow(0, 0, used as i64));
        *table = larger;
    }
    table.narrow(0, used as i64, rows.size()[0]).copy_(rows);
}
