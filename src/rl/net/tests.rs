//! The networks as a whole, on random observations.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::batch::Batch;
use super::digest::Digest;
use super::encoder::{EncoderConfig, Gather, Global};
use super::testing;
use crate::rl::agent::{Agent, AgentConfig, Chances, Choice, log_probability, to_vec};
use crate::rl::neighbourhood::Neighbourhoods;
use crate::rl::observation::{Observation, RuleObservation};
use crate::rl::random::Random;

struct Fixture {
    known: Neighbourhoods,
    observations: Vec<Observation>,
    rules: Vec<RuleObservation>,
}

fn fixture(seed: u64) -> Fixture {
    let mut known = Neighbourhoods::new(2);
    let mut random = Random::new(seed);
    let sizes = [(6, 5), (1, 0), (12, 9), (6, 1)];
    let observations = sizes.map(|(nodes, sites)| testing::observation(&mut known, &mut random, nodes, sites)).to_vec();
    let rules = testing::rules(&mut known, &mut random);
    Fixture { known, observations, rules }
}

fn agent(global: Global, gather: Gather) -> Agent {
    let encoder = EncoderConfig { width: 16, rounds: 2, global, gather };
    Agent::new(AgentConfig { encoder, ..AgentConfig::default() }, Device::Cpu, 3)
}

fn digests(fixture: &Fixture, global: Global) -> Vec<Digest> {
    fixture.observations.iter().map(|o| Digest::new(o.clone(), Batch::key(global))).collect()
}

fn assert_close(a: &Tensor, b: &Tensor) {
    assert!(a.size() == b.size() && a.allclose(b, 1e-5, 1e-5, false), "{:?}\n{:?}", to_vec(a), to_vec(b));
}

const KINDS: [(Global, Gather); 4] = [
    (Global::Late, Gather::Mean),
    (Global::Late, Gather::Attention),
    (Global::Full, Gather::Mean),
    (Global::Full, Gather::Attention),
];

#[test]
fn classes_give_every_node_the_embedding_that_its_whole_graph_gives() {
    let fixture = fixture(1);
    for gather in [Gather::Mean, Gather::Attention] {
        let mut agent = agent(Global::Late, gather);
        let listed = digests(&fixture, Global::Full);
        let counted = digests(&fixture, Global::Late);
        let whole = agent.encode_plainly(&listed.iter().collect::<Vec<_>>(), &fixture.rules, &fixture.known);
        let counted: Vec<&Digest> = counted.iter().collect();
        let (_, judged) = agent.judge(&counted, &fixture.rules, &fixture.known);
        let (_, quick) = agent.judge_quickly(&counted, &fixture.rules, &fixture.known);
        // Distinct candidates are listed otherwise: what is one for each graph is compared.
        for of in [&judged, &quick] {
            assert_close(&of.value, &whole.value);
            assert_close(&of.stop, &whole.stop);
            assert_close(&of.rule, &whole.rule);
            assert_close(&of.place_entropy, &whole.place_entropy);
        }
        let differ = counted[2].nodes.len();
        assert!(differ < 12, "some of the twelve nodes are of one class, or the test is idle: {differ}");
    }
}

#[test]
fn what_is_kept_from_step_to_step_is_what_is_computed_anew() {
    let mut fixture = fixture(2);
    let mut agent = agent(Global::Late, Gather::Mean);
    let mut random = Random::new(9);
    for _ in 0..3 {
        let more = testing::observation(&mut fixture.known, &mut random, 9, 4);
        fixture.observations.push(more);
        let digests = digests(&fixture, Global::Late);
        let digests: Vec<&Digest> = digests.iter().collect();
        let (_, anew) = agent.judge(&digests, &fixture.rules, &fixture.known);
        let (_, kept) = agent.judge_quickly(&digests, &fixture.rules, &fixture.known);
        assert_close(&anew.value, &kept.value);
        assert_close(&anew.place, &kept.place);
    }
}

#[test]
fn probabilities_sum_to_one_and_entropies_are_shares() {
    let fixture = fixture(4);
    for (global, gather) in KINDS {
        let mut agent = agent(global, gather);
        let digests = digests(&fixture, global);
        let refs: Vec<&Digest> = digests.iter().collect();
        let (batch, judgement) = agent.judge_quickly(&refs, &fixture.rules, &fixture.known);
        let chances = Chances::of(&batch, &judgement);
        for (graph, digest) in refs.iter().enumerate() {
            let each = |(choice, log): (Choice, f32)| match choice {
                Choice::Stop => log.exp(),
                Choice::Site { distinct, .. } => log.exp() * digest.distinct[distinct as usize].sites.len() as f32,
            };
            let total: f32 = chances.all(graph, digest).into_iter().map(each).sum();
            assert!((total - 1.0).abs() < 1e-5, "graph {graph}: {total}");
        }
        for entropy in to_vec(&judgement.rule_entropy).into_iter().chain(to_vec(&judgement.place_entropy)) {
            assert!((-1e-5..=1.0 + 1e-5).contains(&entropy), "{entropy}");
        }
        assert_eq!(to_vec(&judgement.stop)[1], 0.0, "where nothing else is legal, stopping is certain");
        assert_eq!(to_vec(&judgement.rule_entropy)[1], 0.0);
        assert_eq!(to_vec(&judgement.place_entropy)[3], 0.0, "one candidate is no choice");
    }
}

#[test]
fn a_decision_has_the_probability_that_the_update_computes() {
    let fixture = fixture(5);
    for (global, gather) in KINDS {
        let mut agent = agent(global, gather);
        let digests = digests(&fixture, global);
        let refs: Vec<&Digest> = digests.iter().collect();
        let mut random = Random::new(0);
        let mut counts: BTreeMap<bool, usize> = BTreeMap::new();
        for _ in 0..8 {
            let decisions = agent.decide(&refs, &fixture.rules, &fixture.known, &mut random);
            let choices: Vec<Choice> = decisions.iter().map(|d| d.choice).collect();
            let (batch, judgement) = agent.judge(&refs, &fixture.rules, &fixture.known);
            let again = log_probability(&batch, &judgement, &refs, &choices);
            let acted: Vec<f32> = decisions.iter().map(|d| d.logprob).collect();
            assert_close(&again, &Tensor::from_slice(&acted));
            choices.iter().for_each(|c| *counts.entry(*c == Choice::Stop).or_default() += 1);
        }
        assert_eq!(counts.len(), 2, "both kinds of choice were met");
    }
}

#[test]
fn the_order_of_graphs_in_a_batch_does_not_matter() {
    let fixture = fixture(6);
    let mut agent = agent(Global::Full, Gather::Mean);
    let digests = digests(&fixture, Global::Full);
    let refs: Vec<&Digest> = digests.iter().collect();
    let turned: Vec<&Digest> = digests.iter().rev().collect();
    let (_, a) = agent.judge(&refs, &fixture.rules, &fixture.known);
    let (_, b) = agent.judge(&turned, &fixture.rules, &fixture.known);
    assert_close(&a.value, &b.value.flip([0]));
    assert_close(&a.stop, &b.stop.flip([0]));
}

#[test]
fn gradients_reach_every_parameter() {
    let fixture = fixture(7);
    for (global, gather) in KINDS {
        let mut agent = agent(global, gather);
        let digests = digests(&fixture, global);
        let refs: Vec<&Digest> = digests.iter().collect();
        let (batch, judgement) = agent.judge(&refs, &fixture.rules, &fixture.known);
        let mut loss = judgement.value.square().sum(Kind::Float);
        for (graph, digest) in refs.iter().enumerate() {
            let chances = Chances::of(&batch, &judgement);
            for (weight, (choice, _)) in (1..).zip(chances.all(graph, digest)) {
                let mut choices = vec![Choice::Stop; refs.len()];
                choices[graph] = choice;
                let logs = log_probability(&batch, &judgement, &refs, &choices);
                loss += logs.get(graph as i64) * f64::from(weight);
            }
        }
        loss.backward();
        for (name, parameter) in agent.parameters.all() {
            let gradient = parameter.grad();
            assert!(gradient.defined(), "{global:?} {gather:?}: {name} has no gradient");
            let size = gradient.abs().sum(Kind::Float).double_value(&[]);
            // A shift of all scores of a softmax changes nothing.
            let shifts_all = name.ends_with("place.out.bias") || name.contains(".score_") && name.ends_with("bias");
            assert!(size > 1e-7 || shifts_all, "{global:?} {gather:?}: the gradient of {name} is zero");
        }
    }
}
