//! The encoder: a graph network of several rounds.
//!
//! A round is the full block of Battaglia et al. 2018 (Algorithm 1): edges are updated from themselves, their two ends and
//! the global vector; nodes from themselves, their updated edges and the global vector; the global vector from itself, all
//! edges and all nodes. Incoming and outgoing edges are aggregated apart, by mean or by attention (Veličković et al. 2018, with
//! the score taken from the updated edge). Every update is residual and normalised by row.
//!
//! With [`Global::Late`] there is no global vector in the rounds: it is formed once, behind them, where it is needed. A
//! node's embedding then depends on its neighbourhood alone, and is computed once for all nodes of a class.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::layers::{HIDDEN_GAIN, Linear, normalise_rows};
use super::parameters::Place;
use super::segment;
use crate::rl::neighbourhood::OPERATORS;
use crate::rl::observation::{EDGE_FEATURES, GLOBAL_FEATURES, NODE_FEATURES};

/// When the global vector is updated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Global {
    /// Once, behind the rounds.
    Late,
    /// In every round: the full block.
    Full,
}

/// How a node gathers its edges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gather {
    /// Their mean.
    Mean,
    /// A weighted mean, with learned weights, in several heads.
    Attention,
}

/// What an encoder is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Width of every embedding; a multiple of [`HEADS`].
    pub width: usize,
    /// Rounds: how far a node sees.
    pub rounds: usize,
    /// When the global vector is updated.
    pub global: Global,
    /// How a node gathers its edges.
    pub gather: Gather,
}

impl Default for EncoderConfig {
    fn default() -> EncoderConfig {
        EncoderConfig { width: 64, rounds: 3, global: Global::Late, gather: Gather::Mean }
    }
}

/// Heads of attention.
pub const HEADS: usize = 4;

/// Ragged lists of rows of a table of edges, one list for each node.
#[derive(Debug)]
pub struct Lists {
    /// `[N]`, int64.
    pub rows: Tensor,
    /// `[B]`, int64: where each list begins.
    pub offsets: Tensor,
    /// `[N]`, int64: whose list each entry belongs to.
    pub owners: Tensor,
}

/// Nodes and edges on their own.
#[derive(Debug)]
pub struct Base {
    /// `[N]`, int64: operators of the nodes.
    pub operators: Tensor,
    /// `[N, NODE_FEATURES]`.
    pub nodes: Tensor,
    /// `[M, EDGE_FEATURES]`.
    pub edges: Tensor,
}

/// One round's way through a table: from which rows of the tables before each row is made.
#[derive(Debug)]
pub struct Wiring {
    /// `[M]`: the edge itself, its producer, its consumer, as rows of the tables before; `None` where the rows stay.
    pub edge_before: Option<Tensor>,
    /// `[M]`, int64.
    pub edge_from: Tensor,
    /// `[M]`, int64.
    pub edge_to: Tensor,
    /// `[N]`: the node itself, as a row of the table before; `None` where the rows stay.
    pub node_before: Option<Tensor>,
    /// Rows of the new table of edges that come in.
    pub incoming: Lists,
    /// Those that go out.
    pub outgoing: Lists,
}

/// A disjoint union of whole graphs, for the full block.
#[derive(Debug)]
pub struct Union {
    /// Nodes and edges.
    pub base: Base,
    /// The same in every round.
    pub wiring: Wiring,
    /// `[N]`, int64: whose each node is.
    pub graph_of_node: Tensor,
    /// `[M]`, int64.
    pub graph_of_edge: Tensor,
    /// `[U, GLOBAL_FEATURES]`.
    pub globals: Tensor,
}

/// Embeddings of nodes and edges after some round.
#[derive(Debug)]
pub struct Tables {
    /// `[N, W]`.
    pub nodes: Tensor,
    /// `[M, W]`.
    pub edges: Tensor,
}

/// A graph network.
#[derive(Debug)]
pub struct Encoder {
    /// What it is made of.
    pub config: EncoderConfig,
    operators: Tensor,
    node_in: Linear,
    edge_in: Linear,
    global_in: Option<Linear>,
    rounds: Vec<Round>,
}

impl Encoder {
    /// A network of random parameters.
    pub fn new(place: &Place<'_>, config: EncoderConfig) -> Encoder {
        let width = config.width;
        let full = config.global == Global::Full;
        Encoder {
            config,
            operators: place.normal("operators", OPERATORS, width, 0.5),
            node_in: Linear::new(&place.sub("node_in"), NODE_FEATURES, width, HIDDEN_GAIN),
            edge_in: Linear::new(&place.sub("edge_in"), EDGE_FEATURES, width, HIDDEN_GAIN),
            global_in: full.then(|| Linear::new(&place.sub("global_in"), GLOBAL_FEATURES, width, HIDDEN_GAIN)),
            rounds: (0..config.rounds).map(|k| Round::new(&place.sub(&format!("round{k}")), &config)).collect(),
        }
    }

    /// Where its parameters are.
    pub fn device(&self) -> tch::Device {
        self.operators.device()
    }

    /// Embeddings before the first round.
    pub fn base(&self, base: &Base) -> Tables {
        let nodes = self.operators.index_select(0, &base.operators) + self.node_in.forward(&base.nodes);
        Tables { nodes: normalise_rows(&nodes), edges: normalise_rows(&self.edge_in.forward(&base.edges)) }
    }

    /// Embeddings after a round without a global vector. `round` counts from 0.
    pub fn round(&self, round: usize, before: &Tables, wiring: &Wiring) -> Tables {
        self.rounds[round].apply(before, wiring, None)
    }

    /// The edges alone of such a round.
    pub fn round_edges(&self, round: usize, before: &Tables, wiring: &Wiring) -> Tensor {
        self.rounds[round].edges(before, wiring, None)
    }

    /// Its nodes, with the edges that they gather.
    pub fn round_nodes(&self, round: usize, before: &Tensor, edges: &Tensor, wiring: &Wiring) -> Tensor {
        self.rounds[round].nodes(before, edges, wiring, None)
    }

    /// Node embeddings `[N, W]` and global vectors `[U, W]` of whole graphs, by the full block.
    ///
    /// # Panics
    /// If the network has no global vector in its rounds.
    pub fn full(&self, union: &Union) -> (Tensor, Tensor) {
        let global_in = self.global_in.as_ref().expect("a network with global updates");
        let mut tables = self.base(&union.base);
        let mut globals = normalise_rows(&global_in.forward(&union.globals));
        for round in &self.rounds {
            tables = round.apply(&tables, &union.wiring, Some((&globals, union)));
            globals = round.globals(&globals, &tables, union);
        }
        (tables.nodes, globals)
    }
}

/// The parameters of one round.
#[derive(Debug)]
struct Round {
    edge: EdgeUpdate,
    node: NodeUpdate,
    global: Option<GlobalUpdate>,
}

#[derive(Debug)]
struct EdgeUpdate {
    own: Linear,
    from: Linear,
    to: Linear,
    global: Option<Linear>,
    out: Linear,
}

#[derive(Debug)]
struct NodeUpdate {
    own: Linear,
    incoming: Linear,
    outgoing: Linear,
    /// Scores of incoming and outgoing edges, by head.
    scores: Option<[Linear; 2]>,
    global: Option<Linear>,
    out: Linear,
}

#[derive(Debug)]
struct GlobalUpdate {
    own: Linear,
    edges: Linear,
    nodes: Linear,
    out: Linear,
}

/// Sums of several parts are made of so many layers that each has this gain.
const PART_GAIN: f64 = 0.8;

impl Round {
    fn new(place: &Place<'_>, config: &EncoderConfig) -> Round {
        let width = config.width;
        let part = |place: &Place<'_>, name: &str| Linear::without_bias(&place.sub(name), width, width, PART_GAIN);
        let first = |place: &Place<'_>, name: &str| Linear::new(&place.sub(name), width, width, PART_GAIN);
        let full = config.global == Global::Full;
        let (edge, node, global) = (place.sub("edge"), place.sub("node"), place.sub("global"));
        let score = |name: &str| Linear::new(&node.sub(name), width, HEADS, 1.0);
        Round {
            edge: EdgeUpdate {
                own: first(&edge, "own"),
                from: part(&edge, "from"),
                to: part(&edge, "to"),
                global: full.then(|| part(&edge, "global")),
                out: first(&edge, "out"),
            },
            node: NodeUpdate {
                own: first(&node, "own"),
                incoming: part(&node, "incoming"),
                outgoing: part(&node, "outgoing"),
                scores: (config.gather == Gather::Attention).then(|| [score("score_in"), score("score_out")]),
                global: full.then(|| part(&node, "global")),
                out: first(&node, "out"),
            },
            global: full.then(|| GlobalUpdate {
                own: first(&global, "own"),
                edges: part(&global, "edges"),
                nodes: part(&global, "nodes"),
                out: first(&global, "out"),
            }),
        }
    }

    fn apply(&self, before: &Tables, wiring: &Wiring, global: Option<(&Tensor, &Union)>) -> Tables {
        let edges = self.edges(before, wiring, global);
        let nodes = self.nodes(&before.nodes, &edges, wiring, global);
        Tables { nodes, edges }
    }

    fn edges(&self, before: &Tables, wiring: &Wiring, global: Option<(&Tensor, &Union)>) -> Tensor {
        let update = &self.edge;
        let own = select(&before.edges, wiring.edge_before.as_ref());
        let mut hidden = update.own.forward(&own)
            + update.from.forward_rows(&before.nodes, &wiring.edge_from)
            + update.to.forward_rows(&before.nodes, &wiring.edge_to);
        if let (Some(layer), Some((u, union))) = (&update.global, global) {
            hidden += layer.forward_rows(u, &union.graph_of_edge);
        }
        normalise_rows(&(own + update.out.forward(&hidden.relu())))
    }

    fn nodes(&self, before: &Tensor, edges: &Tensor, wiring: &Wiring, global: Option<(&Tensor, &Union)>) -> Tensor {
        let update = &self.node;
        let own = select(before, wiring.node_before.as_ref());
        let incoming = update.gather(0, edges, &wiring.incoming);
        let outgoing = update.gather(1, edges, &wiring.outgoing);
        let mut hidden =
            update.own.forward(&own) + update.incoming.forward(&incoming) + update.outgoing.forward(&outgoing);
        if let (Some(layer), Some((u, union))) = (&update.global, global) {
            hidden += layer.forward_rows(u, &union.graph_of_node);
        }
        normalise_rows(&(own + update.out.forward(&hidden.relu())))
    }

    fn globals(&self, u: &Tensor, tables: &Tables, union: &Union) -> Tensor {
        let update = self.global.as_ref().expect("a network with global updates");
        let graphs = u.size()[0];
        let mean = |rows: &Tensor, ids: &Tensor| {
            let count = segment::sum(&Tensor::ones([rows.size()[0]], (Kind::Float, rows.device())), ids, graphs);
            segment::sum(rows, ids, graphs) / count.clamp_min(1.0).unsqueeze(1)
        };
        let hidden = update.own.forward(u)
            + update.edges.forward(&mean(&tables.edges, &union.graph_of_edge))
            + update.nodes.forward(&mean(&tables.nodes, &union.graph_of_node));
        normalise_rows(&(u + update.out.forward(&hidden.relu())))
    }
}

fn select(table: &Tensor, rows: Option<&Tensor>) -> Tensor {
    rows.map_or_else(|| table.shallow_clone(), |rows| table.index_select(0, rows))
}

impl NodeUpdate {
    /// `[B, W]`: what the edges in each list come to; zero for an empty list.
    fn gather(&self, side: usize, edges: &Tensor, lists: &Lists) -> Tensor {
        let count = lists.offsets.size()[0];
        let width = edges.size()[1];
        if lists.rows.numel() == 0 {
            return Tensor::zeros([count, width], (Kind::Float, edges.device()));
        }
        let Some(scores) = &self.scores else {
            const MEAN: i64 = 1;
            return Tensor::embedding_bag(
                edges,
                &lists.rows,
                &lists.offsets,
                false,
                MEAN,
                false,
                None::<&Tensor>,
                false,
            )
            .0;
        };
        let heads = HEADS as i64;
        let scores = scores[side].forward_rows(edges, &lists.rows);
        let columns: Vec<Tensor> =
            (0..heads).map(|head| segment::log_softmax(&scores.select(1, head), &lists.owners, count).exp()).collect();
        let weights = Tensor::stack(&columns, 1).unsqueeze(2);
        let values = edges.index_select(0, &lists.rows).reshape([-1, heads, width / heads]) * weights;
        segment::sum(&values.reshape([-1, width]), &lists.owners, count)
    }
}
