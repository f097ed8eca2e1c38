//! Trainings as a whole, on small graphs.

use std::sync::Arc;

use tch::{Device, Tensor};

use super::{RewardConfig, Subject, TrainConfig, TrainError, Trainer};
use crate::cost::{DeviceProfile, Roofline};
use crate::formats::import::{ImportOptions, import};
use crate::graph::Graph;
use crate::rewrite::RuleSet;
use crate::rl::agent::AgentConfig;
use crate::rl::agent::to_vec;
use crate::rl::env::Task;
use crate::rl::net::encoder::EncoderConfig;
use crate::rl::ppo::PpoConfig;
use crate::rl::run::{DrawConfig, FORMAT, Run, RunConfig, RunError};
use crate::substitution::Library;
use crate::zoo;

fn graph(name: &str) -> Graph {
    let model = zoo::build(name, &[]).unwrap();
    import(model, &ImportOptions::default()).unwrap().graph
}

fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::compile(Library::starter().unwrap().rules().cloned()).unwrap())
}

/// With several threads libtorch's wait for one another, in every test that runs at the time.
fn one_thread() {
    crate::runtime::set_threads(1);
}

fn subjects<'a>(names: &[&str], rules: &Arc<RuleSet>, model: &'a Roofline) -> Vec<Subject<'a>> {
    one_thread();
    let subject = |name: &&str| {
        let task = Arc::new(Task::new(&graph(name), rules.clone(), model));
        Subject { name: (*name).to_owned(), known_us: task.start_us(), task }
    };
    names.iter().map(subject).collect()
}

fn config(seed: u64, steps: u64) -> TrainConfig {
    let ppo = PpoConfig {
        num_envs: 4,
        num_steps: 8,
        total_timesteps: steps,
        update_epochs: 2,
        num_minibatches: 2,
        ..PpoConfig::default()
    };
    let encoder = EncoderConfig { width: 8, rounds: 1, ..EncoderConfig::default() };
    let agent = AgentConfig { encoder, horizon: 6, ..AgentConfig::default() };
    TrainConfig { seed, agent, ppo, reward: RewardConfig::default(), pretrain_updates: 0, freeze_encoder: false }
}

/// The numbers of a tensor.
fn numbers(tensor: &Tensor) -> Vec<f32> {
    to_vec(&tensor.flatten(0, -1))
}

/// Every number of the parameters and of Adam's state.
fn fingerprint(trainer: &Trainer<'_>) -> Vec<f32> {
    trainer.tensors().iter().flat_map(|(_, tensor)| numbers(tensor)).collect()
}

fn run_config(train: TrainConfig) -> RunConfig {
    RunConfig {
        format: FORMAT.to_owned(),
        version: 1,
        program: "test".to_owned(),
        library: "0".to_owned(),
        device: "cpu".to_owned(),
        models: vec!["nasrnn_4".to_owned()],
        draw: DrawConfig::default(),
        init: None,
        latency: None,
        train,
    }
}

#[test]
fn a_seed_fixes_the_curve_and_another_gives_another() {
    let (rules, model) = (rules(), Roofline::new(DeviceProfile::cpu()));
    let curve = |seed| {
        let mut trainer =
            Trainer::new(config(seed, 1000), subjects(&["nasrnn_4"], &rules, &model), Device::Cpu).unwrap();
        let losses: Vec<f64> = (0..3).map(|_| trainer.update().unwrap().metrics["losses/policy_loss"]).collect();
        (losses, fingerprint(&trainer))
    };
    assert_eq!(curve(1), curve(1));
    assert_ne!(curve(1).0, curve(2).0);
}

#[test]
fn a_training_that_was_stopped_goes_on_as_if_it_had_not() {
    let (rules, model) = (rules(), Roofline::new(DeviceProfile::cpu()));
    let names = ["nasrnn_4", "attention_heads"];
    let new = || Trainer::new(config(3, 1000), subjects(&names, &rules, &model), Device::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = run_config(config(3, 1000));
    let mut straight = new();
    for _ in 0..4 {
        straight.update().unwrap();
    }
    let mut first = new();
    let (mut run, goes_on) = Run::open(dir.path(), &settings, &mut first).unwrap();
    assert!(!goes_on);
    for _ in 0..2 {
        let update = first.update().unwrap();
        run.record(first.steps(), &update.metrics).unwrap();
    }
    run.save(&first, &settings).unwrap();
    first.update().unwrap();
    let mut second = new();
    let (_, goes_on) = Run::open(dir.path(), &settings, &mut second).unwrap();
    assert!(goes_on && second.steps() == 64);
    for _ in 0..2 {
        second.update().unwrap();
    }
    assert_eq!(second.state(), straight.state());
    assert_eq!(fingerprint(&second), fingerprint(&straight));

    let other = run_config(config(4, 1000));
    let refused = Run::open(dir.path(), &other, &mut new()).unwrap_err();
    assert!(matches!(&refused, RunError::Other { field, .. } if field == "train.seed: there 3, here 4"), "{refused}");
    let path = dir.path().join("checkpoint/training.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(Run::open(dir.path(), &settings, &mut new()), Err(RunError::Checkpoint(_))));
}

#[test]
fn an_encoder_that_is_frozen_after_pre_training_stays_as_it_is() {
    let (rules, model) = (rules(), Roofline::new(DeviceProfile::cpu()));
    let mut settings = config(7, 1000);
    (settings.pretrain_updates, settings.freeze_encoder) = (12, true);
    let mut trainer = Trainer::new(settings, subjects(&["nasrnn_4"], &rules, &model), Device::Cpu).unwrap();
    let part = |trainer: &Trainer<'_>, encoder: bool| -> Vec<f32> {
        let all = trainer.agent().parameters.all();
        all.iter().filter(|(n, _)| n.starts_with("encoder") == encoder).flat_map(|(_, t)| numbers(t)).collect()
    };
    let begin = part(&trainer, true);
    let mut losses = Vec::new();
    trainer.pretrain(&mut |_, result| losses.push(result.loss.double_value(&[])));
    assert!(losses.len() == 12 && losses[11] < losses[0], "{losses:?}");
    let (encoder, heads) = (part(&trainer, true), part(&trainer, false));
    assert_ne!(begin, encoder);
    for _ in 0..2 {
        trainer.update().unwrap();
    }
    assert_eq!(part(&trainer, true), encoder);
    assert_ne!(part(&trainer, false), heads);
}

#[test]
fn an_update_whose_losses_are_no_numbers_is_taken_back() {
    let (rules, model) = (rules(), Roofline::new(DeviceProfile::cpu()));
    let mut settings = config(5, 10_000);
    // A weight of the value's loss that no number can hold makes every gradient infinite.
    settings.ppo.vf_coef = f64::INFINITY;
    let mut trainer = Trainer::new(settings, subjects(&["nasrnn_4"], &rules, &model), Device::Cpu).unwrap();
    let before = fingerprint(&trainer);
    for _ in 0..4 {
        assert!(trainer.update().unwrap().taken_back);
        assert_eq!(fingerprint(&trainer), before);
    }
    assert!(matches!(trainer.update(), Err(TrainError::Diverged(5))));
}

#[test]
fn what_gains_at_once_is_learned() {
    // From a random policy's return to much more, on a graph where every good rewrite gains at once.
    let (rules, model) = (rules(), Roofline::new(DeviceProfile::cpu()));
    let mut settings = config(0, 4096);
    settings.agent.horizon = 12;
    settings.ppo = PpoConfig { num_envs: 8, num_steps: 32, num_minibatches: 4, learning_rate: 2e-3, ..settings.ppo };
    let mut trainer = Trainer::new(settings, subjects(&["nasrnn_4"], &rules, &model), Device::Cpu).unwrap();
    let mut returns = Vec::new();
    while !trainer.is_done() {
        returns.push(trainer.update().unwrap().metrics["charts/episodic_return"]);
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&returns[..2]), mean(&returns[returns.len() - 3..]));
    assert!(last > 1.5 * first && last > first + 0.02, "from {first} to {last}: {returns:?}");
    let no_gradient: Vec<String> =
        trainer.agent().parameters.all().into_iter().filter(|(_, p)| !p.grad().defined()).map(|(n, _)| n).collect();
    assert!(no_gradient.is_empty(), "{no_gradient:?}");
}
