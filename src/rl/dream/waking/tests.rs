//! The loop on a small graph: the same seed, going on after a stop, shards, and no graph in a dream.

mod books;
mod transfer;

use std::sync::Arc;

use tch::{Device, Tensor};

use super::agent::{Dreamer, DreamerConfig};
use super::exact::Exact;
use super::learner::{Learner, Phase};
use super::lookahead::Way;
use super::play::Eye;
use super::run::{DreamRun, DreamRunConfig, best_path, last_path, shard};
use super::search::DreamSearch;
use super::settings::LearnConfig;
use super::shards::{self, ShardError};
use super::worth::Kept;
use crate::cost::{DeviceProfile, Roofline};
use crate::rl::dream::chance::Chance;
use crate::rl::dream::config::{
    EnsembleConfig, FitConfig, ModelConfig, Planning, PracticeConfig, RolloutShape, Sees, Teacher, VisionConfig,
    VisionLoss,
};
use crate::rl::dream::data::{Player, Trajectory};
use crate::rl::dream::dream::STOP;
use crate::rl::dream::fit::rule_table;
use crate::rl::dream::frame::{Deed, GLOBALS_AT, WHOLE};
use crate::rl::dream::model::WorldModel;
use crate::rl::dream::practice::Practice;
use crate::rl::dream::quality::effective_rank;
use crate::rl::dream::tests::numbers;
use crate::rl::dream::world::World;
use crate::rl::env::Task;
use crate::rl::env::tests::{model as graph, rules};
use crate::rl::net::encoder::EncoderConfig;
use crate::rl::random::Random;
use crate::rl::run::DrawConfig;
use crate::rl::trainer::Subject;
use crate::rl::valley::{Shape, shaped};
use crate::search::{Budget, Problem, Search};

fn config(seed: u64) -> LearnConfig {
    let encoder = EncoderConfig { width: 16, rounds: 2, ..EncoderConfig::default() };
    let default = DreamerConfig::default().model;
    let books = Some(DreamerConfig::default().reward_scale);
    let model = ModelConfig { hidden: 24, components: 2, slot_width: 24, births: 4, books, ..default };
    LearnConfig {
        seed,
        dreamer: DreamerConfig { encoder, model, rank: 1, horizon: 8, ..DreamerConfig::default() },
        pretrain_updates: 0,
        rounds: 2,
        episodes: 6,
        fit: FitConfig { epochs: 3, batch: 4, ..FitConfig::default() },
        practice: PracticeConfig { population: 6, dreams: 2, generations: 3, ..PracticeConfig::default() },
        ..LearnConfig::default()
    }
}

fn learner<'a>(config: LearnConfig, names: &[&str], model: &'a Roofline) -> Learner<'a> {
    crate::runtime::set_threads(1);
    let rules = rules();
    let subject = |name: &&str| {
        let task = Arc::new(Task::new(&graph(name, &[]), rules.clone(), model));
        Subject { name: (*name).to_owned(), known_us: task.start_us(), task }
    };
    let subjects = names.iter().map(subject).collect();
    Learner::new(config, subjects, Dreamer::new(config.dreamer, Device::Cpu, config.seed).unwrap())
}

fn run_config(learn: LearnConfig) -> DreamRunConfig {
    DreamRunConfig {
        format: "graphopt-run".to_owned(),
        version: 1,
        program: "test".to_owned(),
        library: "0".to_owned(),
        device: "cpu".to_owned(),
        models: vec!["nasrnn_4".to_owned()],
        draw: DrawConfig::default(),
        encoder_from: None,
        latency: None,
        model_from: None,
        learn,
    }
}

fn fingerprint(learner: &mut Learner<'_>) -> Vec<f32> {
    learner.tensors().iter().flat_map(|(_, t)| numbers(t)).collect()
}

#[test]
fn a_loop_that_was_stopped_goes_on_as_if_it_had_not() {
    // Stopped while it plays, while it fits, while it dreams, and in the second round.
    stopped_at(config(3), &[2, 7, 11, 15]);
}

#[test]
fn an_ensemble_and_ppo_go_on_as_if_they_had_not_stopped() {
    let ensemble = EnsembleConfig { members: 2, penalty: 0.5, explores: true };
    let rollouts = Some(RolloutShape { rollouts: 4, depth: 3 });
    let practice = PracticeConfig { teacher: Teacher::Ppo, rollouts, ..config(3).practice };
    // While it dreams, and while it is curious.
    stopped_at(LearnConfig { ensemble, practice, ..config(3) }, &[11, 16]);
}

#[test]
fn lessons_go_on_as_if_they_had_not_stopped() {
    let practice = PracticeConfig { teacher: Teacher::Expert, ..config(3).practice };
    // Of a controller that sees the state alone, through a hidden layer.
    let dreamer = DreamerConfig { controller_sees: Sees::State, controller_hidden: 3, ..config(3).dreamer };
    stopped_at(LearnConfig { practice, dreamer, rounds: 1, ..config(3) }, &[10]);
}

#[test]
fn encoders_that_are_trained_go_on_as_if_they_had_not_stopped() {
    let vision = VisionConfig { loss: VisionLoss::Task, updates: 16 };
    // Units: 6 parts played, 4 of V, 3 epochs, 3 generations, an evaluation; then 2, 2, 3, ... Stopped while V learns, and while the
    // next round plays, when older episodes are as V saw them again and newer ones as they were played.
    stopped_at(LearnConfig { vision, pretrain_updates: 32, ..config(3) }, &[8, 18]);
    // By reconstructing: stopped while V learns.
    let vision = VisionConfig { loss: VisionLoss::Reconstruct, updates: 16 };
    stopped_at(LearnConfig { vision, rounds: 1, ..config(3) }, &[7]);
}

#[test]
fn learning_from_real_episodes_goes_on_as_if_it_had_not_stopped() {
    for planning in [Planning::Exact, Planning::Replay] {
        let rollouts = Some(RolloutShape { rollouts: 2, depth: 2 });
        let ppo = PracticeConfig { teacher: Teacher::Ppo, planning, from_real: true, rollouts, ..config(3).practice };
        // In the second round: before C's own episodes, and while it plans.
        stopped_at(LearnConfig { practice: PracticeConfig { generations: 2, ..ppo }, ..config(3) }, &[12, 17]);
    }
    let gradient = PracticeConfig { teacher: Teacher::Gradient, ..config(3).practice };
    stopped_at(LearnConfig { practice: gradient, rounds: 1, ..config(3) }, &[10]);
}

#[test]
fn without_planning_no_model_is_fitted() {
    let model = Roofline::new(DeviceProfile::cpu());
    let practice = PracticeConfig { teacher: Teacher::Ppo, from_real: true, generations: 0, ..config(3).practice };
    let mut learner = learner(LearnConfig { practice, ..config(3) }, &["nasrnn_4"], &model);
    let (before, begun_with) = (numbers_of(learner.model()), learner.state().controller.clone());
    while !learner.is_done() {
        learner.advance();
    }
    assert!(before == numbers_of(learner.model()) && learner.state().dream_steps == 0);
    assert_ne!(learner.state().controller, begun_with);
    let players: Vec<Player> = learner.data().trajectories.iter().map(|t| t.player).collect();
    assert_eq!(players, [[Player::Random; 6], [Player::Policy; 6]].concat());
}

#[test]
fn the_environment_as_a_world_earns_what_episodes_earn() {
    let model = Roofline::new(DeviceProfile::cpu());
    let mut learner = learner(config(4), &["nasrnn_4"], &model);
    for _ in 0..4 {
        learner.advance();
    }
    let task = learner.subjects[0].task.clone();
    let grounds = [learner.ground(&task, 0)];
    let played: Vec<&Trajectory> = learner.data.trajectories.iter().collect();
    let mut random = Random::new(1);
    let (mind, eye) = ((&learner.model, &learner.rules), &mut learner.eye);
    let mut world = Exact::replayed(eye, mind, &grounds, (&played, 5), &mut random).unwrap();
    let stop = Tensor::full([5], STOP, (tch::Kind::Int64, Device::Cpu));
    let (state, present) = (world.state(), world.present());
    assert_eq!(state.size(), [5, WHOLE as i64 + 24]);
    assert!(
        numbers(&present.any_dim(1, false)).iter().all(|any| *any == 1.0),
        "something can be done before an action"
    );
    let mut chance = Chance { temperature: 1.0, random: &mut random, draws: 1 };
    assert_eq!(numbers(&world.step(&stop, &mut chance)), [0.0; 5], "to stop earns nothing");
    assert_eq!(numbers(&world.going()), [0.0; 5]);

    // Beginning like episodes that were played: the same first rewards.
    let first = |t: &&&Trajectory| matches!(t.deeds[0], Deed::Apply { slot: Some(_), .. });
    let like: Vec<&&Trajectory> = played.iter().filter(first).collect();
    let slots: Vec<i64> = like.iter().map(|t| slot_of(&t.deeds[0])).collect();
    let mut world = Exact::begin(&mut learner.eye, mind, &grounds, like.len());
    let got = numbers(&world.step(&Tensor::from_slice(&slots), &mut chance));
    assert!(like.len() > 4 && got.iter().any(|reward| *reward > 0.0));
    assert!(got.iter().zip(&like).all(|(got, t)| (got - t.rewards[0]).abs() < 1e-4), "{got:?}");
}

fn slot_of(deed: &Deed) -> i64 {
    match deed {
        Deed::Apply { slot: Some(slot), .. } => *slot as i64,
        Deed::Apply { slot: None, .. } | Deed::Stop => STOP,
    }
}

fn stopped_at(config: LearnConfig, stops: &[usize]) {
    let model = Roofline::new(DeviceProfile::cpu());
    let names = ["nasrnn_4", "attention_heads"];
    let new = || learner(config, &names, &model);
    let mut straight = new();
    let begun_with = straight.state().controller.clone();
    while !straight.is_done() {
        straight.advance();
    }
    assert_ne!(straight.state().controller, begun_with);
    let players = if config.rounds == 1 { 3 } else { 4 + usize::from(config.ensemble.explores) };
    assert_eq!(straight.state().shards, players * names.len());
    for &stop in stops {
        let dir = tempfile::tempdir().unwrap();
        let settings = run_config(config);
        let mut first = new();
        let mut run = DreamRun::open(dir.path(), &settings, &mut first).unwrap();
        for _ in 0..stop {
            let unit = first.advance();
            run.record(&mut first, &unit).unwrap();
        }
        run.save(&mut first).unwrap();
        let unit = first.advance();
        run.record(&mut first, &unit).unwrap();
        let mut second = new();
        DreamRun::open(dir.path(), &settings, &mut second).unwrap();
        assert_eq!(second.state().units, stop as u64);
        while !second.is_done() {
            second.advance();
        }
        assert_eq!(second.state(), straight.state(), "stopped after {stop} units");
        assert!(fingerprint(&mut second) == fingerprint(&mut straight), "stopped after {stop} units");
        let other = run_config(LearnConfig { seed: 4, ..config });
        let refused = DreamRun::open(dir.path(), &other, &mut new()).unwrap_err().to_string();
        assert!(refused.contains("learn.seed: there 3, here 4"), "{refused}");
    }
}

#[test]
fn shards_hold_what_was_played_and_actions_alone_make_it_again() {
    let model = Roofline::new(DeviceProfile::cpu());
    let mut learner = learner(config(1), &["nasrnn_4"], &model);
    let dir = tempfile::tempdir().unwrap();
    let settings = run_config(config(1));
    let mut run = DreamRun::open(dir.path(), &settings, &mut learner).unwrap();
    for _ in 0..3 {
        let unit = learner.advance();
        run.record(&mut learner, &unit).unwrap();
    }
    let mut all = Vec::new();
    let dreamer = learner.dreamer();
    let mut eye = Eye::new(dreamer.view);
    let tasks: Vec<_> = learner.subjects().iter().map(|s| s.task.clone()).collect();
    for number in 0..3 {
        let path = shard(dir.path(), number);
        let (_, cached) = shards::read(&path).unwrap();
        let again = shards::remake(&path, &mut eye, &tasks).unwrap();
        for (a, b) in cached.iter().zip(&again) {
            close(a, b);
        }
        all.extend(cached);
    }
    assert_eq!(all, learner.data().trajectories);
    let path = shard(dir.path(), 0);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"actions\":[", "\"actions\":[99999,", 1)).unwrap();
    assert!(shards::read(&path).is_err(), "the cache has fewer states");
    assert!(matches!(shards::remake(&path, &mut eye, &tasks), Err(ShardError::Header { .. })));
    std::fs::write(&path, text.replacen("\"horizon\"", "\"hrizon\"", 1)).unwrap();
    assert!(shards::read(&path).unwrap_err().to_string().contains("hrizon"));
}

#[test]
fn a_controller_trains_from_shards_with_no_graph_at_hand() {
    let dir = tempfile::tempdir().unwrap();
    {
        let model = Roofline::new(DeviceProfile::cpu());
        let mut learner = learner(config(2), &["nasrnn_4"], &model);
        let settings = run_config(config(2));
        let mut run = DreamRun::open(dir.path(), &settings, &mut learner).unwrap();
        for _ in 0..7 {
            let unit = learner.advance();
            run.record(&mut learner, &unit).unwrap();
        }
        run.save(&mut learner).unwrap();
        // The table of rules is the only thing that a dream takes from the library.
        std::fs::write(
            dir.path().join("rules"),
            learner.data().rules.iter().flat_map(|r| r.to_le_bytes()).collect::<Vec<u8>>(),
        )
        .unwrap();
    }
    let (dreamer, _) = Dreamer::load(&dir.path().join("agent.safetensors"), Device::Cpu).unwrap();
    let bytes = std::fs::read(dir.path().join("rules")).unwrap();
    let rules: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let (_, episodes) = shards::read(&shard(dir.path(), 0)).unwrap();
    let table = rule_table(&rules, Device::Cpu);
    let practice = Practice::new(
        &dreamer.model,
        &table,
        vec![&episodes[0].frames[0]],
        config(2).practice,
        (dreamer.config.controller(), 8),
    );
    let (mut cma, mut random) = (practice.begin(), Random::new(0));
    let before = cma.clone();
    let generation = practice.generation(&mut cma, &mut random);
    assert!(generation.mean.is_finite() && generation.steps > 0 && cma != before);
}

#[test]
fn what_was_worth_most_is_kept_for_searches() {
    let model = Roofline::new(DeviceProfile::cpu());
    let mut learner = learner(LearnConfig { rounds: 3, ..config(2) }, &["nasrnn_4"], &model);
    let dir = tempfile::tempdir().unwrap();
    let mut run = DreamRun::open(dir.path(), &run_config(config(2)), &mut learner).unwrap();
    let in_file = |path: &std::path::Path| {
        let dreamer = Dreamer::load(path, Device::Cpu).unwrap().0;
        (dreamer.controller, numbers_of(&dreamer.model))
    };
    let narrow = |parameters: &[f64]| -> Vec<f64> { parameters.iter().map(|p| f64::from(*p as f32)).collect() };

    // Before the first dream it takes what earns most at once.
    let greedy = learner.state().controller.clone();
    while !matches!(learner.state().phase, Phase::Practise { .. }) {
        let unit = learner.advance();
        run.record(&mut learner, &unit).unwrap();
        assert_eq!(unit.keeps, matches!(learner.state().phase, Phase::Practise { .. }));
    }
    let kept = learner.state().kept.clone().unwrap();
    assert!(kept.round == 0 && kept.worth[0].slots > 0.0 && kept.worth[0].steps > 0, "{kept:?}");
    assert_eq!(learner.state().judging_steps, kept.worth[0].steps);

    // A round that made it worse: what takes least is not kept, but the run goes on with it. Greed reads nothing of what M
    // remembers, and is worth as much beside the M of that round.
    let mut end_round = |controller: &[f64], learner: &mut Learner<'_>| {
        learner.state.controller = controller.to_vec();
        learner.state.phase = Phase::Fit { at: 0 };
        learner.advance();
        learner.state.phase = Phase::Evaluate;
        let unit = learner.advance();
        run.record(learner, &unit).unwrap();
        run.save(learner).unwrap();
        (unit, learner.state().kept.clone().unwrap())
    };
    let opposite: Vec<f64> = greedy.iter().map(|p| -p).collect();
    let (unit, renewed) = end_round(&opposite, &mut learner);
    assert!(unit.keeps && unit.metrics["return/true_slots"] < kept.worth[0].slots / 10.0);
    let real = |kept: &Kept| (kept.round, kept.controller.clone(), kept.worth[0].slots);
    assert_eq!(real(&renewed), real(&kept));
    assert_ne!(renewed.worth[0].dreamt, kept.worth[0].dreamt, "by another M");
    assert_eq!(in_file(&best_path(dir.path())), (narrow(&greedy), numbers_of(learner.model())));
    assert_eq!(in_file(&last_path(dir.path())), (narrow(&opposite), numbers_of(learner.model())));

    // Of equals the last is kept.
    let (unit, again) = end_round(&greedy, &mut learner);
    assert_eq!((unit.keeps, again.round, again.worth[0].slots), (true, 2, kept.worth[0].slots));

    // What is worth less beside a later M stays with its own.
    let before = in_file(&best_path(dir.path()));
    learner.state.kept.as_mut().unwrap().worth[0].slots *= 2.0;
    let better = learner.state.kept.clone().unwrap();
    let (unit, still) = end_round(&opposite, &mut learner);
    assert!(!unit.keeps && still == better);
    assert!(in_file(&best_path(dir.path())) == before && before.1 != numbers_of(learner.model()));
}

fn numbers_of(model: &WorldModel) -> Vec<f32> {
    model.parameters.all().iter().flat_map(|(_, t)| numbers(t)).collect()
}

/// Effective rank and variance of what V sees of all states, and the rank of the rules.
fn ranks(learner: &Learner<'_>) -> (f64, f64, f64) {
    let frames = learner.data().trajectories.iter().flat_map(|t| &t.frames);
    let wholes: Vec<f32> = frames.flat_map(|f| f.whole.iter().copied()).collect();
    let (rank, variance) = effective_rank(&Tensor::from_slice(&wholes).reshape([-1, WHOLE as i64]));
    (rank, variance, effective_rank(learner.rules()).0)
}

#[test]
fn what_v_sees_does_not_collapse() {
    let model = Roofline::new(DeviceProfile::cpu());
    // As it is; and trained by what it is to predict itself, which is where it could collapse.
    for vision in [VisionConfig::default(), VisionConfig { loss: VisionLoss::Task, updates: 160 }] {
        let mut learner = learner(LearnConfig { vision, ..config(5) }, &["nasrnn_4"], &model);
        while !matches!(learner.state().phase, Phase::Fit { .. }) {
            learner.advance();
        }
        let (rank, variance, rules) = ranks(&learner);
        assert!(rank > 4.0 && variance > 1e-3, "{vision:?}: rank {rank}, variance {variance}");
        assert!(rules > 4.0, "{vision:?}: rules: {rules}");
    }
}

#[test]
fn episodes_that_are_looked_at_again_are_the_same_but_for_what_v_sees() {
    let model = Roofline::new(DeviceProfile::cpu());
    let mut learner = learner(config(1), &["nasrnn_4", "attention_heads"], &model);
    while !matches!(learner.state().phase, Phase::Fit { .. }) {
        learner.advance();
    }
    let before = learner.data().trajectories.clone();
    learner.look_again();
    assert_eq!(before, learner.data().trajectories, "nothing was looked at that need not be");
    learner.state.looked_at = before.len();
    learner.look_again();
    for (a, b) in before.iter().zip(&learner.data().trajectories) {
        close(a, b);
    }
    // By another V: other numbers, of the same seats.
    let zeros: Vec<(String, Tensor)> =
        learner.eye.view.encoder_parameters().into_iter().map(|(name, t)| (name, t.zeros_like())).collect();
    learner.eye.view.follow(&zeros, 0.5);
    learner.look_again();
    for (a, b) in before.iter().zip(&learner.data().trajectories) {
        assert_eq!((&a.actions, &a.costs, &a.rewards), (&b.actions, &b.costs, &b.rewards));
        for (x, y) in a.frames.iter().zip(&b.frames) {
            assert_eq!((x.rules, x.kept, &x.takes), (y.rules, y.kept, &y.takes));
            assert!(x.whole[..GLOBALS_AT] != y.whole[..GLOBALS_AT] && x.whole[GLOBALS_AT..] == y.whole[GLOBALS_AT..]);
        }
    }
}

/// That two episodes are the same, but for the last bits of what V sees.
fn close(a: &Trajectory, b: &Trajectory) {
    assert_eq!((&a.actions, a.rewards.len(), &a.costs), (&b.actions, b.len(), &b.costs));
    let near = |x: &[f32], y: &[f32]| x.iter().zip(y).all(|(p, q)| (p - q).abs() < 1e-3);
    for (x, y) in a.deeds.iter().zip(&b.deeds) {
        match (x, y) {
            (Deed::Stop, Deed::Stop) => {}
            (
                Deed::Apply { slot, rule, features, takes },
                Deed::Apply { slot: slot_b, rule: rule_b, features: features_b, takes: takes_b },
            ) => {
                assert_eq!((slot, rule, takes), (slot_b, rule_b, takes_b));
                assert!(near(features, features_b));
            }
            _ => panic!("{x:?} and {y:?}"),
        }
    }
    for (x, y) in a.frames.iter().zip(&b.frames) {
        assert_eq!((x.rules, x.kept, &x.takes), (y.rules, y.kept, &y.takes));
        assert!(near(&x.features, &y.features) && near(&x.whole, &y.whole));
    }
}

#[test]
fn a_search_by_a_dreamer_returns_the_best_graph_that_it_visited() {
    let model = Roofline::new(DeviceProfile::cpu());
    let dreamer = DreamerConfig { controller_hidden: 2, ..config(6).dreamer };
    let mut learner = learner(LearnConfig { dreamer, ..config(6) }, &["nasrnn_4"], &model);
    while !learner.is_done() {
        learner.advance();
    }
    for worth in learner.worth() {
        assert!(worth.slots >= 0.0 && worth.candidates >= 0.0 && worth.dreamt.is_finite(), "{worth:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.safetensors");
    learner.dreamer().save(&path, "0", "").unwrap();
    let (graph, rules) = (graph("nasrnn_4", &[]), rules());
    let budget = Budget { pops: 60, ..Budget::default() };
    let problem = Problem { graph: &graph, rules: &rules, model: &model, budget: &budget };
    for way in Way::ALL {
        let search = DreamSearch::new(Dreamer::load(&path, Device::Cpu).unwrap().0, way, 0);
        let (best, report) = search.run(&problem, &mut |_| true);
        let cost = crate::cost::graph_cost(&model, &best).time_us;
        assert!((cost - report.best_us).abs() < 1e-6 && report.counts.pops <= 60, "{way:?}");
        assert!(report.best_us < learner.subjects()[0].task.start_us(), "straying gains something at least: {way:?}");
        assert_eq!(search.run(&problem, &mut |_| true).1.best_us, report.best_us, "it may be asked again: {way:?}");
    }
}

#[test]
fn a_controller_that_dreams_crosses_a_valley() {
    // The gain lies behind a step that costs: what earns most at once stays where it is.
    let model = Roofline::new(DeviceProfile::cpu());
    crate::runtime::set_threads(1);
    let valley = shaped(Shape { depth: 1, blocks: 1, leaves: 4 }, 0);
    let task = Arc::new(Task::new(&valley.graph, rules(), &model));
    let known_us = crate::cost::graph_cost(&model, &valley.optimum).time_us;
    let mut config = config(0);
    config.dreamer.horizon = valley.horizon();
    config.episodes = 64;
    config.fit = FitConfig { epochs: 40, batch: 8, ..FitConfig::default() };
    config.practice = PracticeConfig {
        population: 24,
        dreams: 4,
        generations: 30,
        sigma: 0.5,
        temperature: 0.5,
        warm_start: false,
        ..PracticeConfig::default()
    };
    let optimum = config.dreamer.reward_scale * (task.start_us() / known_us).ln();
    let subject = Subject { name: "valley".to_owned(), known_us, task };
    let dreamer = Dreamer::new(config.dreamer, Device::Cpu, 0).unwrap();
    let mut learner = Learner::new(config, vec![subject], dreamer);
    let gains_at_once = config.dreamer.controller().first(true);
    while !learner.is_done() {
        learner.advance();
    }
    let worth = learner.worth()[0];
    assert!(worth.slots > 0.99 * optimum, "{worth:?}, the optimum is {optimum}");
    assert!(learner.worth_of(&gains_at_once)[0].slots < 0.5 * optimum);
}
