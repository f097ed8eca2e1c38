//! The whole of it on the toy chain, and what several tests share.

use tch::{Device, Tensor};

use super::config::{FitConfig, ModelConfig, PracticeConfig};
use super::data::Trajectory;
use super::dream::STOP;
use super::fit::{Fit, rule_table};
use super::model::WorldModel;
use super::model::loss::Born;
use super::practice::Practice;
use super::quality;
use super::sequences::Sequences;
use super::toy::{HORIZON, LENGTH, RULES, play, random_episode};
use crate::rl::random::Random;

/// Rank of the controllers.
const RANK: usize = 2;

/// The numbers of a tensor.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(tch::Kind::Float).flatten(0, -1)).unwrap()
}

fn small(components: usize) -> ModelConfig {
    ModelConfig { hidden: 32, components, slot_width: 32, births: 2, ..ModelConfig::default() }
}

fn fitted(components: usize, epochs: usize, seed: u64) -> (WorldModel, Tensor, Vec<Trajectory>) {
    tch::set_num_threads(1);
    let mut random = Random::new(seed);
    let episodes: Vec<Trajectory> = (0..160).map(|_| random_episode(&mut random)).collect();
    let table = rule_table(&RULES, Device::Cpu);
    let mut model = WorldModel::new(small(components), Device::Cpu, seed);
    let refs: Vec<&Trajectory> = episodes.iter().collect();
    model.scales.measure(&Sequences::new(&refs, Device::Cpu), true);
    let mut fit = Fit::new(&model);
    // The chain's positions are the state itself: shifted, they would be others.
    let config = FitConfig { learning_rate: 4e-3, batch: 8, shift: 0.0, ..FitConfig::default() };
    for epoch in 0..epochs {
        fit.epoch(&model, &refs, &table, &config, epoch as f64 / epochs as f64, epoch as u64);
    }
    let unseen = (0..20).map(|_| random_episode(&mut random)).collect();
    (model, table, unseen)
}

#[test]
fn a_controller_trained_in_the_dream_of_a_chain_is_optimal_on_the_chain() {
    let (model, table, unseen) = fitted(3, 60, 0);
    let unseen: Vec<&Trajectory> = unseen.iter().collect();
    let quality = quality::measure(&model, &table, &unseen);
    for k in [1, 2] {
        let q = quality[&k];
        assert!(q.state_skill > 0.5 && q.reward_skill > 0.5 && q.slot_f1 > 0.7, "{k} ahead: {q:?}");
        assert!(q.continue_accuracy > 0.9, "{k} ahead: {q:?}");
    }
    let config =
        PracticeConfig { population: 24, dreams: 4, generations: 40, sigma: 0.5, temperature: 0.3, warm_start: false };
    let start = random_episode(&mut Random::new(9)).frames.remove(0);
    let practice = Practice::new(&model, &table, vec![&start], config, (RANK, HORIZON));
    let (mut cma, mut random) = (practice.begin(), Random::new(1));
    let before = play(&model, &table, &cma.mean, RANK);
    for _ in 0..config.generations {
        practice.generation(&mut cma, &mut random);
    }
    let after = play(&model, &table, &cma.mean, RANK);
    assert!(after.0 == 10.0 && after.1 == LENGTH, "before {before:?}, after {after:?}");
}

#[test]
fn the_same_seed_gives_the_same_model_and_the_same_dream() {
    let run = |seed| {
        let (model, table, _) = fitted(2, 2, seed);
        let config = PracticeConfig { population: 6, dreams: 3, ..PracticeConfig::default() };
        let start = random_episode(&mut Random::new(9)).frames.remove(0);
        let practice = Practice::new(&model, &table, vec![&start], config, (RANK, HORIZON));
        let (mut cma, mut random) = (practice.begin(), Random::new(1));
        let returns: Vec<f64> = (0..3).map(|_| practice.generation(&mut cma, &mut random).mean).collect();
        let all: Vec<f32> = model.parameters.all().iter().flat_map(|(_, t)| numbers(t)).collect();
        (all, returns, cma)
    };
    let (a, b, c) = (run(1), run(1), run(2));
    assert!(a.0 == b.0 && a.1 == b.1 && a.2 == b.2);
    assert!(a.0 != c.0 && a.1 != c.1);
}

#[test]
fn masked_steps_do_not_count() {
    let mut random = Random::new(4);
    let (long, mut short) = (random_episode(&mut random), random_episode(&mut random));
    short.actions.truncate(2);
    short.deeds.truncate(2);
    short.rewards.truncate(2);
    short.frames.truncate(3);
    short.costs.truncate(3);
    let model = WorldModel::new(small(2), Device::Cpu, 0);
    let table = rule_table(&RULES, Device::Cpu);
    let loss = |episodes: &[&Trajectory]| {
        let losses = model.losses(&Sequences::new(episodes, Device::Cpu), &table);
        losses.all().map(|(_, loss)| loss.double_value(&[]))
    };
    let (alone, other, both) = (loss(&[&short]), loss(&[&long]), loss(&[&short, &long]));
    let (m, n) = (short.len() as f64, long.len() as f64);
    // Of the reward: a mean over all actions of both.
    assert!((both[1] - (m * alone[1] + n * other[1]) / (m + n)).abs() < 1e-5, "{both:?}");
}

#[test]
fn what_stays_and_what_comes_is_read_off_the_seats() {
    let episode = random_episode(&mut Random::new(2));
    let data = Sequences::new(&[&episode], Device::Cpu);
    let born = Born::of(&data, 2);
    // At the first step from the left end the way back opens: one slot comes, on seat 1.
    let first_move = episode.actions.iter().position(|a| *a == Some(0)).unwrap() as i64;
    assert_eq!(born.count.int64_value(&[0, first_move]), 1);
    assert_eq!(born.seats.int64_value(&[0, first_move, 0]), 1);
    assert_eq!(STOP, super::slots::SLOTS as i64);
}

#[test]
fn a_representation_that_collapsed_is_told() {
    let mut random = Random::new(0);
    let rows: Vec<f32> = (0..64 * 8).map(|_| random.normal() as f32).collect();
    let rows = Tensor::from_slice(&rows).reshape([64, 8]);
    let (rank, variance) = quality::effective_rank(&rows);
    assert!(rank > 7.0 && (variance - 1.0).abs() < 0.2, "{rank} {variance}");
    let line = rows.narrow(1, 0, 1).matmul(&rows.narrow(0, 0, 1));
    assert!(quality::effective_rank(&line).0 < 1.01);
}
