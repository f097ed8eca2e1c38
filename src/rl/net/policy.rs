//! The heads of an agent: which rule, which of its places, or to stop; and the value.
//!
//! The rule is scored first, from its own embedding (the same network run over its source and target), the state, the mean
//! and the maximum of its candidates and their number; STOP is scored beside the rules. Then the place is chosen among that
//! rule's candidates. Candidates that the network cannot tell apart are computed once and share their probability.

use tch::{Kind, Tensor};

use super::batch::Batch;
use super::layers::{HIDDEN_GAIN, LOGIT_GAIN, Linear, Mlp, VALUE_GAIN, normalise_rows};
use super::parameters::Place;
use super::segment;
use crate::rl::observation::{CANDIDATE_FEATURES, GLOBAL_FEATURES};

/// Logit of STOP at first, where that of every rule is about 0: an agent that knows nothing goes on for long, and so meets
/// what lies behind several rewrites that gain nothing.
const FIRST_STOP_LOGIT: f64 = -2.0;

/// Policy and value.
#[derive(Debug)]
pub struct Heads {
    state: State,
    rule: [Linear; 2],
    candidate: CandidateNet,
    pair: PairNet,
    place: PlaceNet,
    stop: Mlp,
    value: ValueNet,
}

#[derive(Debug)]
struct State {
    mean: Linear,
    cost: Linear,
    whole: Linear,
    global: Linear,
    out: Linear,
}

#[derive(Debug)]
struct CandidateNet {
    touched: Linear,
    features: Linear,
    rule: Linear,
    out: Linear,
}

#[derive(Debug)]
struct PairNet {
    rule: Linear,
    state: Linear,
    mean: Linear,
    max: Linear,
    count: Linear,
    out: Linear,
}

#[derive(Debug)]
struct PlaceNet {
    candidate: Linear,
    state: Linear,
    out: Linear,
}

#[derive(Debug)]
struct ValueNet {
    node: Mlp,
    whole: Mlp,
}

/// What the heads say of a batch.
#[derive(Debug)]
pub struct Judgement {
    /// `[P]`: log-probability of each rule in its graph.
    pub rule: Tensor,
    /// `[G]`: log-probability of STOP.
    pub stop: Tensor,
    /// `[K]`: log-probability of each distinct candidate, all its sites together, given its rule.
    pub place: Tensor,
    /// `[G]`: expected return from here.
    pub value: Tensor,
    /// `[G]`: entropy of the choice of the rule, as a share of the largest possible; 0 where STOP alone is legal.
    pub rule_entropy: Tensor,
    /// `[G]`: expected entropy of the choice of the place, as a share likewise.
    pub place_entropy: Tensor,
}

impl Heads {
    /// Heads of random parameters.
    pub fn new(place: &Place<'_>, width: usize) -> Heads {
        let part = |name: &str, inputs: usize| Linear::new(&place.sub(name), inputs, width, HIDDEN_GAIN / 2.0);
        let logit = |name: &str| Linear::new(&place.sub(name), width, 1, LOGIT_GAIN);
        Heads {
            state: State {
                mean: part("state.mean", width),
                cost: part("state.cost", width),
                whole: part("state.whole", width),
                global: part("state.global", GLOBAL_FEATURES),
                out: part("state.out", width),
            },
            rule: [part("rule.source", width), part("rule.target", width)],
            candidate: CandidateNet {
                touched: part("candidate.touched", width),
                features: part("candidate.features", CANDIDATE_FEATURES),
                rule: part("candidate.rule", width),
                out: part("candidate.out", width),
            },
            pair: PairNet {
                rule: part("pair.rule", width),
                state: part("pair.state", width),
                mean: part("pair.mean", width),
                max: part("pair.max", width),
                count: part("pair.count", 1),
                out: logit("pair.out"),
            },
            place: PlaceNet {
                candidate: part("place.candidate", width),
                state: part("place.state", width),
                out: logit("place.out"),
            },
            stop: Mlp::around(&place.sub("stop"), width, width, 1, LOGIT_GAIN, FIRST_STOP_LOGIT),
            value: ValueNet {
                node: Mlp::new(&place.sub("value.node"), width, width, 1, VALUE_GAIN / 4.0),
                whole: Mlp::new(&place.sub("value.whole"), width, width, 2, VALUE_GAIN / 4.0),
            },
        }
    }

    /// Judges a batch from node embeddings `[C, W]`, and the graphs' own vectors `[at least G, W]` if the network makes them.
    pub fn judge(&self, batch: &Batch, nodes: &Tensor, whole: Option<&Tensor>) -> Judgement {
        let u = self.state(batch, nodes, whole);
        let (graphs, pairs) = (batch.graphs, batch.graph_of_pair.size()[0]);

        let [source, target] = &batch.rule_sides;
        let rules = normalise_rows(
            &(self.rule[0].forward(&source.sum(nodes)) + self.rule[1].forward(&target.sum(nodes))).relu(),
        );
        let rule_of_candidate = batch.rule_of_pair.index_select(0, &batch.pair_of_candidate);
        let graph_of_candidate = batch.graph_of_pair.index_select(0, &batch.pair_of_candidate);
        let net = &self.candidate;
        let hidden = net.touched.forward(&batch.touched.sum(nodes))
            + net.features.forward(&batch.features)
            + net.rule.forward_rows(&rules, &rule_of_candidate);
        let candidates = net.out.forward(&hidden.relu()).relu();

        // The mean is over sites: a candidate that stands for several counts as often.
        let site_share = (&batch.log_sites - batch.pair_log_sites.index_select(0, &batch.pair_of_candidate)).exp();
        let mean = segment::sum(&(&candidates * site_share.unsqueeze(1)), &batch.pair_of_candidate, pairs);
        let max = segment::max(&candidates, &batch.pair_of_candidate, pairs);
        let net = &self.pair;
        let hidden = net.rule.forward_rows(&rules, &batch.rule_of_pair)
            + net.state.forward_rows(&u, &batch.graph_of_pair)
            + net.mean.forward(&mean)
            + net.max.forward(&max)
            + net.count.forward(&batch.pair_log_sites.unsqueeze(1));
        let rule_logits = net.out.forward(&hidden.relu()).squeeze_dim(1);
        let stop_logits = self.stop.forward(&u).squeeze_dim(1);
        let every_graph = Tensor::arange(graphs, (Kind::Int64, nodes.device()));
        let owners = Tensor::cat(&[&batch.graph_of_pair, &every_graph], 0);
        let choice = segment::log_softmax(&Tensor::cat(&[rule_logits, stop_logits], 0), &owners, graphs);
        let (rule, stop) = (choice.narrow(0, 0, pairs), choice.narrow(0, pairs, graphs));

        let net = &self.place;
        let hidden = net.candidate.forward(&candidates) + net.state.forward_rows(&u, &graph_of_candidate);
        let logits = net.out.forward(&hidden.relu()).squeeze_dim(1) + &batch.log_sites;
        let place = segment::log_softmax(&logits, &batch.pair_of_candidate, pairs);

        let actions = segment::sum(&Tensor::ones_like(&choice), &owners, graphs);
        let rule_entropy = normalised(&-segment::sum(&(choice.exp() * &choice), &owners, graphs), &actions.log());
        let by_pair = -segment::sum(&(place.exp() * (&place - &batch.log_sites)), &batch.pair_of_candidate, pairs);
        let by_pair = normalised(&by_pair, &batch.pair_log_sites);
        let place_entropy = segment::sum(&(rule.exp().detach() * by_pair), &batch.graph_of_pair, graphs);
        let value = self.value(batch, nodes, &u);
        Judgement { rule, stop, place, value, rule_entropy, place_entropy }
    }

    /// `[G, W]`: the state of each graph.
    fn state(&self, batch: &Batch, nodes: &Tensor, whole: Option<&Tensor>) -> Tensor {
        let net = &self.state;
        let mean = batch.nodes.sum(nodes);
        let whole = whole.map_or_else(|| mean.shallow_clone(), |whole| whole.narrow(0, 0, batch.graphs));
        let hidden = net.mean.forward(&mean)
            + net.cost.forward(&batch.costs.sum(nodes))
            + net.whole.forward(&whole)
            + net.global.forward(&batch.globals);
        normalise_rows(&net.out.forward(&hidden.relu()))
    }

    /// `[G]`: what each node may still gain, weighted by its share of the cost, scaled and shifted by the state.
    fn value(&self, batch: &Batch, nodes: &Tensor, u: &Tensor) -> Tensor {
        let gains = batch.costs.sum(&self.value.node.forward(nodes)).squeeze_dim(1);
        let whole = self.value.whole.forward(u);
        gains * whole.select(1, 0).sigmoid() + whole.select(1, 1)
    }
}

/// An entropy as a share of the largest possible; 0 where nothing is left to choose.
fn normalised(entropy: &Tensor, largest: &Tensor) -> Tensor {
    let choice = largest.gt(1e-6);
    (entropy / largest.clamp_min(1e-6)).where_self(&choice, &Tensor::zeros_like(entropy))
}
