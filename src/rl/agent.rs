//! An agent: encoder and heads with their parameters, and how it chooses.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor, no_grad};

use super::env::Action;
use super::neighbourhood::Neighbourhoods;
use super::net::batch::{Batch, Rows};
use super::net::classes::ClassCache;
use super::net::digest::Digest;
use super::net::encoder::{Encoder, EncoderConfig, Global, HEADS};
use super::net::parameters::Parameters;
use super::net::policy::{Heads, Judgement};
use super::observation::RuleObservation;
use super::random::Random;
use crate::search::Reach;

/// What an agent is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The graph network.
    pub encoder: EncoderConfig,
    /// Actions of an episode at most.
    pub horizon: usize,
    /// Values are expected gains, `log(cost now / best cost to come)`, times this: rewards are multiplied by it, so that
    /// returns are of the order of 1 (a gain of 10 % is a return of 0.1).
    pub reward_scale: f64,
    /// How far one action reaches, at least: a search may be asked for more.
    #[serde(default)]
    pub reach: Reach,
}

impl Default for AgentConfig {
    fn default() -> AgentConfig {
        AgentConfig { encoder: EncoderConfig::default(), horizon: 64, reward_scale: 10.0, reach: Reach::One }
    }
}

/// How the names of the encoder's parameters begin.
pub(super) const ENCODER: &str = "encoder";

/// Widths and rounds beyond these are refused: they come from files.
const MOST: (usize, usize) = (1024, 16);
/// Actions of an episode at most.
const MOST_HORIZON: usize = 10_000;
/// What rewards may be multiplied by.
const REWARD_SCALES: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

impl AgentConfig {
    /// That an agent can be made of it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let EncoderConfig { width, rounds, .. } = self.encoder;
        if width == 0 || width % HEADS != 0 || width > MOST.0 {
            return Err(format!("width is {width}, and must be a multiple of {HEADS} from {HEADS} to {}", MOST.0));
        }
        if rounds == 0 || rounds > MOST.1 {
            return Err(format!("rounds is {rounds}, and must be from 1 to {}", MOST.1));
        }
        if !(1..=MOST_HORIZON).contains(&self.horizon) {
            return Err(format!("horizon is {}, and must be from 1 to {MOST_HORIZON}", self.horizon));
        }
        if !REWARD_SCALES.contains(&self.reward_scale) {
            let (least, most) = (REWARD_SCALES.start(), REWARD_SCALES.end());
            return Err(format!("reward_scale is {}, and must be from {least} to {most}", self.reward_scale));
        }
        Ok(())
    }
}

/// An action, as a place in a digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// End the episode.
    Stop,
    /// Apply a candidate.
    Site {
        /// Which of [`Digest::groups`].
        group: u32,
        /// Which of [`Digest::distinct`].
        distinct: u32,
        /// Which candidate of the observation.
        site: u32,
    },
}

impl Choice {
    /// What the environment is told.
    pub fn action(self) -> Action {
        match self {
            Choice::Stop => Action::Stop,
            Choice::Site { site, .. } => Action::Apply(site as usize),
        }
    }
}

/// What an agent does in one state, and what it thinks.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// What it does.
    pub choice: Choice,
    /// Log-probability of exactly that.
    pub logprob: f32,
    /// What it expects to gain from here.
    pub value: f32,
}

/// An agent.
#[derive(Debug)]
pub struct Agent {
    /// What it is made of.
    pub config: AgentConfig,
    /// Its parameters.
    pub parameters: Parameters,
    encoder: Encoder,
    heads: Heads,
    cache: ClassCache,
    frozen: bool,
}

impl Agent {
    /// An agent that knows nothing.
    pub fn new(config: AgentConfig, device: Device, seed: u64) -> Agent {
        let parameters = Parameters::new(device, seed);
        let encoder = Encoder::new(&parameters.root().sub(ENCODER), config.encoder);
        let heads = Heads::new(&parameters.root().sub("heads"), config.encoder.width);
        Agent { config, parameters, encoder, heads, cache: ClassCache::default(), frozen: false }
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.parameters.device()
    }

    /// The parameters changed: embeddings that are kept hold no more, unless the encoder stays as it is.
    pub fn refresh(&mut self) {
        if !self.frozen {
            self.cache.clear();
        }
    }

    /// From now on the encoder stays as it is: no gradient reaches it, and embeddings are kept for good.
    pub fn freeze_encoder(&mut self) {
        self.frozen = true;
    }

    /// The parameters that learn.
    pub fn learning(&self) -> Vec<(String, Tensor)> {
        let learns = |(name, _): &(String, Tensor)| !(self.frozen && name.starts_with(ENCODER));
        self.parameters.all().into_iter().filter(learns).collect()
    }

    /// The graph network.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Judges states with gradients: every distinct neighbourhood of the batch is computed once.
    pub fn judge(
        &mut self,
        digests: &[&Digest],
        rules: &[RuleObservation],
        known: &Neighbourhoods,
    ) -> (Batch, Judgement) {
        let by_number = self.frozen && self.config.encoder.global == Global::Late;
        let (batch, nodes, whole) = if self.frozen {
            no_grad(|| self.encode(digests, rules, known, by_number))
        } else {
            self.encode(digests, rules, known, by_number)
        };
        let judgement = self.heads.judge(&batch, &nodes, whole.as_ref());
        (batch, judgement)
    }

    /// A batch with its node embeddings, and the graphs' own vectors if the network makes them.
    fn encode(
        &mut self,
        digests: &[&Digest],
        rules: &[RuleObservation],
        known: &Neighbourhoods,
        by_number: bool,
    ) -> (Batch, Tensor, Option<Tensor>) {
        let device = self.device();
        let (batch, rows) = Batch::new(digests, rules, known, self.config.encoder.global, by_number, device);
        match rows.encode(&self.encoder) {
            Some((nodes, whole)) => (batch, nodes, whole),
            None => (batch, self.cache.encode(&self.encoder, known, device).shallow_clone(), None),
        }
    }

    /// Judges states without gradients: every neighbourhood is computed once, as long as the parameters stay.
    pub fn judge_quickly(
        &mut self,
        digests: &[&Digest],
        rules: &[RuleObservation],
        known: &Neighbourhoods,
    ) -> (Batch, Judgement) {
        no_grad(|| {
            let by_number = self.config.encoder.global == Global::Late;
            let (batch, nodes, whole) = self.encode(digests, rules, known, by_number);
            let judgement = self.heads.judge(&batch, &nodes, whole.as_ref());
            (batch, judgement)
        })
    }

    /// Judges states whose nodes are known by position with a network that has no global updates, each graph computed whole:
    /// what [`Agent::judge`] computes once for each class. For comparison.
    pub fn encode_plainly(&self, digests: &[&Digest], rules: &[RuleObservation], known: &Neighbourhoods) -> Judgement {
        let (batch, rows) = Batch::new(digests, rules, known, Global::Full, false, self.device());
        let Rows::Whole(union) = rows else { unreachable!("global updates need whole graphs") };
        let base = self.encoder.base(&union.base);
        let rounds = 0..self.config.encoder.rounds;
        let nodes = rounds.fold(base, |tables, k| self.encoder.round(k, &tables, &union.wiring)).nodes;
        self.heads.judge(&batch, &nodes, None)
    }

    /// Draws a decision in each of several states.
    pub fn decide(
        &mut self,
        digests: &[&Digest],
        rules: &[RuleObservation],
        known: &Neighbourhoods,
        random: &mut Random,
    ) -> Vec<Decision> {
        let (batch, judgement) = self.judge_quickly(digests, rules, known);
        let chances = Chances::of(&batch, &judgement);
        (0..digests.len()).map(|graph| chances.decide(graph, digests[graph], random)).collect()
    }

    /// The likeliest decision in a state: the likeliest rule of those that are not put aside, or to stop, and its likeliest
    /// place.
    pub fn likeliest(
        &mut self,
        digest: &Digest,
        rules: &[RuleObservation],
        known: &Neighbourhoods,
        aside: &FxHashSet<u32>,
    ) -> Choice {
        let (batch, judgement) = self.judge_quickly(&[digest], rules, known);
        Chances::of(&batch, &judgement).likeliest(digest, aside)
    }
}

/// `[B]`: log-probability of what was chosen in each state of a batch.
pub fn log_probability(batch: &Batch, judgement: &Judgement, digests: &[&Digest], choices: &[Choice]) -> Tensor {
    let device = judgement.rule.device();
    let (pairs, distinct) = (judgement.rule.size()[0], judgement.place.size()[0]);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (graph, choice) in choices.iter().enumerate() {
        match *choice {
            // Behind the last candidate there is a zero: stopping is one choice, not two.
            Choice::Stop => {
                first.push(pairs + graph as i64);
                second.push(distinct);
            }
            Choice::Site { group, distinct, .. } => {
                debug_assert!(digests[graph].groups.len() > group as usize);
                let pair = batch.pair_starts[graph];
                first.push(pair as i64 + i64::from(group));
                second.push(batch.candidate_starts[pair] as i64 + i64::from(distinct));
            }
        }
    }
    let rows = |rows: &[i64]| Tensor::from_slice(rows).to_device(device);
    let places = &judgement.place - &batch.log_sites;
    let zero = Tensor::zeros([1], (tch::Kind::Float, device));
    Tensor::cat(&[&judgement.rule, &judgement.stop], 0).index_select(0, &rows(&first))
        + Tensor::cat(&[places, zero], 0).index_select(0, &rows(&second))
}

/// Probabilities on the host.
#[derive(Debug)]
pub struct Chances<'a> {
    batch: &'a Batch,
    rule: Vec<f32>,
    stop: Vec<f32>,
    place: Vec<f32>,
    value: Vec<f32>,
}

/// The numbers of a float tensor of rank 1.
pub fn to_vec(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).contiguous()).expect("a float tensor of rank 1")
}

impl Chances<'_> {
    /// Fetches them.
    pub fn of<'a>(batch: &'a Batch, judgement: &Judgement) -> Chances<'a> {
        Chances {
            batch,
            rule: to_vec(&judgement.rule),
            stop: to_vec(&judgement.stop),
            place: to_vec(&judgement.place),
            value: to_vec(&judgement.value),
        }
    }

    /// What the agent expects to gain in a state.
    pub fn value(&self, graph: usize) -> f32 {
        self.value[graph]
    }

    /// Every choice in a state with its log-probability, STOP first; of candidates that are the same to the network the
    /// first site stands for all, with the probability of one of them.
    pub fn all(&self, graph: usize, digest: &Digest) -> Vec<(Choice, f32)> {
        let mut all = vec![(Choice::Stop, self.stop[graph])];
        for (group, of) in digest.groups.iter().enumerate() {
            for distinct in of.start..of.end {
                all.push(self.site(graph, digest, group, distinct as usize, 0));
            }
        }
        all
    }

    fn site(&self, graph: usize, digest: &Digest, group: usize, distinct: usize, which: usize) -> (Choice, f32) {
        let pair = self.batch.pair_starts[graph];
        let sites = &digest.distinct[distinct].sites;
        let place = self.place[self.batch.candidate_starts[pair] + distinct] - (sites.len() as f32).ln();
        let choice = Choice::Site { group: group as u32, distinct: distinct as u32, site: sites[which] };
        (choice, self.rule[pair + group] + place)
    }

    fn decide(&self, graph: usize, digest: &Digest, random: &mut Random) -> Decision {
        let pairs = self.batch.pair_starts[graph]..self.batch.pair_starts[graph + 1];
        let first = self.batch.candidate_starts[pairs.start];
        let mut rules: Vec<f32> = self.rule[pairs].to_vec();
        rules.push(self.stop[graph]);
        let group = draw(&rules, random);
        let value = self.value[graph];
        let Some(of) = digest.groups.get(group) else {
            return Decision { choice: Choice::Stop, logprob: self.stop[graph], value };
        };
        let places = &self.place[first + of.start as usize..first + of.end as usize];
        let distinct = of.start as usize + draw(places, random);
        let which = random.below(digest.distinct[distinct].sites.len());
        let (choice, logprob) = self.site(graph, digest, group, distinct, which);
        Decision { choice, logprob, value }
    }

    /// The likeliest choice in the one state of the batch.
    fn likeliest(&self, digest: &Digest, aside: &FxHashSet<u32>) -> Choice {
        let open = |group: &usize| !aside.contains(&digest.groups[*group].rule);
        let Some(group) = first_largest((0..digest.groups.len()).filter(open), |group| self.rule[group]) else {
            return Choice::Stop;
        };
        if self.stop[0] > self.rule[group] {
            return Choice::Stop;
        }
        let of = digest.groups[group];
        let distinct = first_largest(of.start as usize..of.end as usize, |at| self.place[at]);
        let distinct = distinct.expect("a rule in the digest has candidates");
        self.site(0, digest, group, distinct, 0).0
    }
}

/// The first of the items with the largest weight.
fn first_largest(items: impl Iterator<Item = usize>, weight: impl Fn(usize) -> f32) -> Option<usize> {
    items.max_by(|a, b| weight(*a).total_cmp(&weight(*b)).then(b.cmp(a)))
}

/// A position, drawn by log-probabilities that sum to one.
fn draw(logs: &[f32], random: &mut Random) -> usize {
    let total: f64 = logs.iter().map(|l| f64::from(*l).exp()).sum();
    let mut left = random.unit() * total;
    for (at, log) in logs.iter().enumerate() {
        left -= f64::from(*log).exp();
        if left < 0.0 {
            return at;
        }
    }
    logs.len() - 1
}
