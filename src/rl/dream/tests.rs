//! The whole of it on the toy chain, and what several tests share.

use tch::{Device, Tensor};

use super::cem::{self, Cem};
use super::chance::Chance;
use super::config::{FitConfig, ModelConfig, PracticeConfig, Sees};
use super::controller::ControllerShape;
use super::data::Trajectory;
use super::dream::STOP;
use super::ensemble::Ensemble;
use super::fit::{Fit, rule_table};
use super::frame::{Deed, SLOT_FEATURES};
use super::imitate::lesson;
use super::model::WorldModel;
use super::model::loss::Born;
use super::plan::{Plan, Proposals};
use super::ppo;
use super::practice::Practice;
use super::quality;
use super::regress;
use super::replay::replayed;
use super::rollouts::Rollouts;
use super::sequences::Sequences;
use super::slots::SLOTS;
use super::student::Student;
use super::through::ascend;
use super::toy::{HORIZON, LENGTH, RULES, play, play_by, random_episode};
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
    let config = FitConfig { learning_rate: 4e-3, batch: 8, shift: 0.0, blur: 0.0, ..FitConfig::default() };
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
    let config = PracticeConfig {
        population: 24,
        dreams: 4,
        generations: 40,
        sigma: 0.5,
        temperature: 0.3,
        warm_start: false,
        ..PracticeConfig::default()
    };
    let start = random_episode(&mut Random::new(9)).frames.remove(0);
    let shape = ControllerShape::linear(RANK, model.config.hidden);
    let practice = Practice::new(&model, &table, vec![&start], config, (shape, HORIZON));
    let (mut cma, mut random) = (practice.begin(), Random::new(1));
    let before = play(&model, &table, &cma.mean, shape);
    for _ in 0..config.generations {
        practice.generation(&mut cma, &mut random);
    }
    let after = play(&model, &table, &cma.mean, shape);
    assert!(after.0 == 10.0 && after.1 == LENGTH, "before {before:?}, after {after:?}");

    // By PPO: whole dreams from the start, then short ones that go on from real states.
    let models = Ensemble::from(&model);
    for depth in [HORIZON, 3] {
        let mut student = Student::new(shape, &shape.first(false), Device::Cpu, 5);
        for _ in 0..40 {
            let mut dream = match depth {
                HORIZON => models.dream(&table, &[&start; 64]),
                _ => replayed(&models, &table, &unseen, 192, &mut random).unwrap(),
            };
            let draws = dream.len();
            let mut chance = Chance { temperature: 0.3, random: &mut random, draws };
            let update = ppo::update(&mut student, &mut dream, depth, &ppo::config(), &mut chance);
            assert!(update.steps > 0 && update.value_loss.is_finite());
        }
        let taught = play(&model, &table, &student.controller(), shape);
        assert!(taught.0 == 10.0 && taught.1 == LENGTH, "PPO, {depth} deep: {taught:?}");
    }

    // By what was played, gone through again, and by the gradient through M.
    let mut own = Random::new(2);
    let mut student = Student::new(shape, &shape.first(false), Device::Cpu, 7);
    for _ in 0..40 {
        let played = Rollouts::of_episodes(&student, (&model, &table), &unseen, &ppo::config());
        regress::learn(&mut student, &played, &ppo::config(), &mut own);
    }
    let taught = play(&model, &table, &student.controller(), shape);
    // It imitates what random walkers did when that turned out well: it arrives, but not always straight on.
    assert!(taught.0 == 10.0, "replay: {taught:?}");
    let mut student = Student::new(shape, &shape.first(false), Device::Cpu, 8);
    let mut earned = Vec::new();
    for _ in 0..120 {
        let dream = models.dream(&table, &[&start; 64]);
        let mut chance = Chance { temperature: 0.3, random: &mut own, draws: 64 };
        let ascent = ascend(&mut student, dream, HORIZON, &mut chance);
        assert!(ascent.steps > 0 && ascent.norm.is_finite());
        earned.push(ascent.mean);
    }
    let taught = play(&model, &table, &student.controller(), shape);
    assert!(taught.0 == 10.0 && taught.1 == LENGTH, "gradient: {taught:?}, {earned:?}");

    // By an expert that looks ahead; and by looking ahead alone.
    for seed in 6..9 {
        let mut student = Student::new(shape, &shape.first(false), Device::Cpu, seed);
        let plan = Plan { depth: 6, paths: 1, temperature: 0.0, proposals: Proposals::Controller };
        let mut agreement = Vec::new();
        for _ in 0..60 {
            let dream = replayed(&models, &table, &unseen, 32, &mut random).unwrap();
            agreement.push(lesson(&mut student, &dream, &plan, &mut random).agreement);
        }
        let taught = play(&model, &table, &student.controller(), shape);
        assert!(taught.0 == 10.0 && taught.1 == LENGTH, "imitation, seed {seed}: {taught:?}, {agreement:?}");
    }
    let cem = play_by(&model, &table, |dream| cem::choice(dream, &Cem::default(), &mut random));
    assert!(cem.0 == 10.0 && cem.1 == LENGTH, "{cem:?}");
}

#[test]
fn a_hidden_layer_on_the_state_alone_learns_by_every_teacher() {
    let (model, table, unseen) = fitted(3, 60, 0);
    let unseen: Vec<&Trajectory> = unseen.iter().collect();
    let linear = ControllerShape::linear(RANK, model.config.hidden);
    let shape = ControllerShape { sees: Sees::State, hidden: 6, ..linear };
    // It begins as one that stops at once.
    let mut begin = shape.first(false);
    *begin.last_mut().unwrap() = 0.5;
    assert_eq!(play(&model, &table, &begin, shape).0, 0.0);
    let start = random_episode(&mut Random::new(9)).frames.remove(0);
    let config =
        PracticeConfig { population: 24, dreams: 4, sigma: 0.5, temperature: 0.3, ..PracticeConfig::default() };
    let practice = Practice::new(&model, &table, vec![&start], config, (shape, HORIZON));
    let (mut cma, mut random) = (practice.begin_at(begin.clone()), Random::new(1));
    for _ in 0..40 {
        practice.generation(&mut cma, &mut random);
    }
    let taught = play(&model, &table, &cma.mean, shape);
    assert!(taught.0 == 10.0, "evolution: {taught:?}");

    let models = Ensemble::from(&model);
    let (mut student, mut random) = (Student::new(shape, &begin, Device::Cpu, 5), Random::new(2));
    for _ in 0..40 {
        let mut dream = replayed(&models, &table, &unseen, 192, &mut random).unwrap();
        let draws = dream.len();
        let mut chance = Chance { temperature: 0.3, random: &mut random, draws };
        ppo::update(&mut student, &mut dream, 3, &ppo::config(), &mut chance);
    }
    let taught = play(&model, &table, &student.controller(), shape);
    assert!(taught.0 == 10.0, "PPO: {taught:?}");

    let (mut student, mut random) = (Student::new(shape, &begin, Device::Cpu, 6), Random::new(3));
    let plan = Plan { depth: 6, paths: 1, temperature: 0.0, proposals: Proposals::Controller };
    for _ in 0..60 {
        let dream = replayed(&models, &table, &unseen, 32, &mut random).unwrap();
        lesson(&mut student, &dream, &plan, &mut random);
    }
    let taught = play(&model, &table, &student.controller(), shape);
    assert!(taught.0 == 10.0, "imitation: {taught:?}");
}

#[test]
fn a_penalty_is_taken_where_models_differ_and_only_there() {
    let table = rule_table(&RULES, Device::Cpu);
    let [one, equal, other] = [1, 1, 2].map(|seed| WorldModel::new(small(2), Device::Cpu, seed));
    let start = random_episode(&mut Random::new(9)).frames.remove(0);
    let step = |others: Vec<&WorldModel>, penalty| {
        let models = Ensemble { first: &one, others, penalty };
        let mut dream = models.dream(&table, &[&start, &start]);
        let (mut random, mut earned) = (Random::new(0), Vec::new());
        for _ in 0..2 {
            let mut chance = Chance { temperature: 0.0, random: &mut random, draws: 1 };
            earned.push(numbers(&dream.step(&Tensor::from_slice(&[0i64, STOP]), &mut chance)));
            earned.push(numbers(&dream.doubt));
        }
        earned
    };
    let (alone, same) = (step(vec![], 3.0), step(vec![&equal], 3.0));
    assert_eq!(alone, same);
    assert!(same[1] == [0.0, 0.0] && same[3] == [0.0, 0.0], "{same:?}");
    let differ = step(vec![&other], 3.0);
    for row in 0..2 {
        assert!(differ[1][row] > 0.0);
        assert!((differ[0][row] - (alone[0][row] - 3.0 * differ[1][row])).abs() < 1e-5, "{alone:?} {differ:?}");
    }
    assert_eq!((differ[3][1], differ[2][1]), (0.0, 0.0), "a dream that is over has no doubts");
}

/// With all parameters 0 every prediction is known.
#[test]
fn the_losses_of_a_model_that_says_nothing_by_hand() {
    let mut episode = random_episode(&mut Random::new(3));
    // What the seats take from each other, as if it were so.
    for (at, frame) in episode.frames.iter_mut().enumerate() {
        frame.takes[1] = at as f32 / 20.0;
    }
    let moves = episode.deeds.iter().filter(|d| matches!(d, Deed::Apply { .. })).count();
    let model = WorldModel::new(small(0), Device::Cpu, 0);
    model.parameters.copy_from(|name| {
        let own = model.parameters.all();
        own.into_iter().find(|(n, _)| n == name).map(|(_, t)| t.zeros_like())
    });
    let table = rule_table(&RULES, Device::Cpu);
    let losses = model.losses(&Sequences::new(&[&episode], Device::Cpu), &table);
    let (mut state, mut cost, mut born, mut stay) = (0.0, 0.0, Vec::new(), 0);
    let (mut born_features, mut born_takes) = (0.0, Vec::new());
    let softplus = |x: f32| (1.0 + x.exp()).ln();
    for at in 0..moves {
        let (before, after) = (&episode.frames[at], &episode.frames[at + 1]);
        let square = |(a, b): (&f32, &f32)| (a - b).powi(2);
        state += before.whole.iter().zip(&after.whole).map(square).sum::<f32>() / 2.0 / 64.0;
        cost += (episode.costs[at + 1] - episode.costs[at]).powi(2) / 2.0;
        for slot in 0..2 {
            stay += usize::from(before.rules[slot] >= 0);
            if after.rules[slot] >= 0 && !after.kept[slot] {
                born.push(slot);
                born_features += 0.5 / SLOT_FEATURES as f32;
            }
        }
        let there = |slot: usize| after.rules[slot] >= 0;
        let new = |slot: usize| there(slot) && !after.kept[slot];
        for (one, other) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            if (new(one) || new(other)) && there(one) && there(other) {
                // The logit is -2 for all.
                let truth = after.takes[one * SLOTS + other];
                born_takes.push(truth * softplus(2.0) + (1.0 - truth) * softplus(-2.0));
            }
        }
    }
    assert!(moves > 3 && stay > 0 && !born.is_empty() && born_takes.iter().any(|l| *l > 0.13), "{born_takes:?}");
    let ln = |x: f64| x.ln();
    let mean = |sum: f32, count: usize| f64::from(sum) / count as f64;
    let expected = [
        ("losses/state", mean(state, moves)),
        ("losses/reward", ln(41.0)),
        ("losses/continue", ln(2.0)),
        ("losses/cost", mean(cost, moves)),
        ("losses/value", ln(41.0)),
        ("losses/slots_stay", ln(2.0)),
        ("losses/slots_change", 0.0),
        ("losses/slots_come", ln(2.0)),
        ("losses/born_rule", ln(2.0)),
        ("losses/born_features", mean(born_features, born.len())),
        ("losses/born_takes", mean(born_takes.iter().sum(), born_takes.len())),
    ];
    for ((name, loss), (key, by_hand)) in losses.all().into_iter().zip(expected) {
        assert_eq!(name, key);
        assert!((loss.double_value(&[]) - by_hand).abs() < 1e-5, "{name}: {loss:?}, by hand {by_hand}");
    }
    let sum: f64 = expected.iter().map(|(_, loss)| loss).sum();
    assert!((losses.total().double_value(&[]) - (sum + 4.0 * ln(2.0))).abs() < 1e-4, "ends count five times");
}

#[test]
fn the_same_seed_gives_the_same_model_and_the_same_dream() {
    let run = |seed| {
        let (model, table, _) = fitted(2, 2, seed);
        let config = PracticeConfig { population: 6, dreams: 3, ..PracticeConfig::default() };
        let shape = ControllerShape::linear(RANK, model.config.hidden);
        let start = random_episode(&mut Random::new(9)).frames.remove(0);
        let practice = Practice::new(&model, &table, vec![&start], config, (shape, HORIZON));
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
fn what_cannot_be_told_does_not_count() {
    // Two are born at once, of which a model that knows of one birth tells the first alone.
    let model = WorldModel::new(ModelConfig { births: 1, ..small(0) }, Device::Cpu, 0);
    let table = rule_table(&RULES, Device::Cpu);
    let mut episode = random_episode(&mut Random::new(3));
    let after = &mut episode.frames[1];
    (after.rules[0], after.rules[1]) = (0, 1);
    (after.kept[0], after.kept[1]) = (false, false);
    let mut loss = |of: usize| {
        episode.frames[1].takes[of] += 0.25;
        model.losses(&Sequences::new(&[&episode], Device::Cpu), &table).born_takes.double_value(&[])
    };
    let first = loss(0);
    for beyond in [1, SLOTS, SLOTS + 1] {
        assert_eq!(loss(beyond), first, "{beyond}");
    }
    assert_ne!(loss(0), first);
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
fn what_is_read_is_blurred_and_what_is_told_is_not() {
    let mut random = Random::new(4);
    let episodes: Vec<Trajectory> = (0..40).map(|_| random_episode(&mut random)).collect();
    let mut data = Sequences::new(&episodes.iter().collect::<Vec<_>>(), Device::Cpu);
    let whole = data.whole.copy();
    data.blur(0.5, &mut random);
    assert_eq!(numbers(&data.whole), numbers(&whole));
    let blur = data.blur.as_ref().unwrap();
    let deviation = numbers(&blur.flatten(1, -1).std_dim([1i64].as_slice(), false, false));
    let some = deviation.iter().filter(|d| **d > 0.0).count();
    assert!((10..=30).contains(&some), "{some} of 40");
    assert!(deviation.iter().all(|d| *d == 0.0 || (d - 0.5).abs() < 0.05), "{deviation:?}");
    // A model that reads nothing loses the same by what it is told.
    let model = WorldModel::new(small(0), Device::Cpu, 0);
    let nothing = |name: &str| {
        let own = model.parameters.all().into_iter().find(|(n, _)| n == name);
        own.map(|(_, t)| t.zeros_like())
    };
    model.parameters.copy_from(nothing);
    let table = rule_table(&RULES, Device::Cpu);
    let all = |data: &Sequences| model.losses(data, &table).all().map(|(_, loss)| loss.double_value(&[]));
    let blurred = all(&data);
    data.blur = None;
    assert_eq!(all(&data), blurred);
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
