//! What was learned for one objective serves another.

use std::sync::Arc;

use tch::Device;

use super::{close, config, fingerprint, graph, learner, rules, run_config};
use crate::cost::{DeviceProfile, Roofline};
use crate::rl::dream::config::{FitConfig, Refit, VisionConfig, VisionLoss};
use crate::rl::dream::data::Trajectory;
use crate::rl::dream::tests::numbers;
use crate::rl::dream::waking::learner::Learner;
use crate::rl::dream::waking::run::{DreamRun, DreamRunConfig};
use crate::rl::dream::waking::settings::LearnConfig;
use crate::rl::dream::waking::transfer::Source;
use crate::rl::env::{Action, Env, EnvSettings, Quantity, Task};
use crate::rl::trainer::Subject;

/// Learns for time in a folder, to the end.
fn learn_in(folder: &std::path::Path, config: LearnConfig, names: &[&str], model: &Roofline) -> Vec<Trajectory> {
    let mut learner = learner(config, names, model);
    let settings = DreamRunConfig { models: names.iter().map(|n| (*n).to_owned()).collect(), ..run_config(config) };
    let mut run = DreamRun::open(folder, &settings, &mut learner).unwrap();
    while !learner.is_done() {
        let unit = learner.advance();
        run.record(&mut learner, &unit).unwrap();
    }
    run.save(&mut learner).unwrap();
    learner.data().trajectories.clone()
}

#[test]
fn episodes_are_judged_anew_as_if_they_had_been_played_for_the_other_objective() {
    let model = Roofline::new(DeviceProfile::cpu());
    let names = ["nasrnn_4", "inception_pair"];
    let dir = tempfile::tempdir().unwrap();
    let played = learn_in(dir.path(), LearnConfig { rounds: 1, ..config(2) }, &names, &model);
    let source = Source::open(dir.path(), Device::Cpu).unwrap();
    let tasks: Vec<_> = names.map(|name| Arc::new(Task::new(&graph(name, &[]), rules(), &model))).into();
    assert!(source.episodes(&tasks, Quantity::Time).unwrap().concat() == played, "time again is as it was");
    let close = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-4;
    let mut less = 0;
    for t in source.episodes(&tasks, Quantity::Launches).unwrap().concat() {
        // By hand: the graphs of the episode, their launches, and the least so far.
        let mut env = Env::new(tasks[t.root].clone(), EnvSettings { horizon: 8, ..EnvSettings::default() });
        let launches = |env: &Env<'_>| crate::cost::graph_cost(&model, env.graph()).launches;
        let start = launches(&env);
        let mut least = start;
        assert_eq!((t.costs[0], t.costs.len()), (0.0, t.len() + 1));
        for (at, action) in t.actions.iter().enumerate() {
            env.step(action.map_or(Action::Stop, |site| Action::Apply(site as usize)));
            let (now, before) = (launches(&env), least);
            least = least.min(now);
            assert!(close(t.rewards[at], 10.0 * (before / least).ln()), "{at}: {t:?}");
            assert!(close(t.costs[at + 1], 10.0 * (start / now).ln()), "{at}: {t:?}");
        }
        less += usize::from(least < start);
    }
    assert!(less > 5, "{less}");
    let swapped: Vec<_> = tasks.iter().rev().cloned().collect();
    let refused = source.episodes(&swapped, Quantity::Launches).unwrap_err().to_string();
    assert!(refused.contains("graph 0, nasrnn_4, is another one"), "{refused}");
}

#[test]
fn a_model_that_was_learned_for_time_serves_another_objective() {
    let model = Roofline::new(DeviceProfile::cpu());
    let names = ["nasrnn_4"];
    let dir = tempfile::tempdir().unwrap();
    let played = learn_in(dir.path(), LearnConfig { rounds: 1, ..config(2) }, &names, &model);
    let mut source = Source::open(dir.path(), Device::Cpu).unwrap();
    let settings = source.settings(Quantity::Launches);
    let theirs: Vec<(String, Vec<f32>)> =
        source.dreamer(settings, 9).unwrap().tensors().iter().map(|(name, t)| (name.clone(), numbers(t))).collect();
    for refit in [Refit::Heads, Refit::All] {
        let fit = FitConfig { epochs: 12, ..config(9).fit };
        let config = LearnConfig { dreamer: settings, refit: Some(refit), rounds: 1, fit, ..config(9) };
        let begin = |source: &mut Source| {
            let subjects = learner(config, &names, &model).subjects().iter().map(copy_of).collect();
            Learner::new(config, subjects, source.dreamer(settings, 9).unwrap())
        };
        let mut second = begin(&mut source);
        let tasks: Vec<_> = second.subjects().iter().map(|s| s.task.clone()).collect();
        let shards = source.episodes(&tasks, Quantity::Launches).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run_config = DreamRunConfig { model_from: Some("digest".to_owned()), ..run_config(config) };
        let run = DreamRun::open(folder.path(), &run_config, &mut second).unwrap();
        run.keep(&shards).unwrap();
        second.inherit(&shards, source.config.learn.sight_changes());
        run.save(&mut second).unwrap();
        let mut losses = Vec::new();
        while !second.is_done() {
            losses.extend(second.advance().metrics.get("losses/reward").copied());
        }
        assert!(losses[11] < 0.5 * losses[0], "{refit:?}: {losses:?}");
        assert_eq!((second.state().real_steps, second.data().trajectories.len()), (0, played.len()));
        assert!(second.state().best_us[0] < second.start(0), "{refit:?}");
        // Exactly what is to be fitted has changed.
        let ours = second.dreamer().tensors();
        for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            let of_rewards = ["model.reward.", "model.value.", "model.cost."].iter().any(|head| name.starts_with(head));
            let fitted = of_rewards || (refit == Refit::All && name.starts_with("model."));
            assert!((numbers(ours) != *theirs) == fitted, "{refit:?} {name}");
        }
        // Going on from what was kept at the beginning leads to the same.
        let mut third = begin(&mut source);
        DreamRun::open(folder.path(), &run_config, &mut third).unwrap();
        while !third.is_done() {
            third.advance();
        }
        assert_eq!(third.state(), second.state(), "{refit:?}");
        assert!(fingerprint(&mut third) == fingerprint(&mut second), "{refit:?}");
    }
}

#[test]
fn what_another_run_saw_before_its_encoder_was_trained_is_seen_anew() {
    let model = Roofline::new(DeviceProfile::cpu());
    let dir = tempfile::tempdir().unwrap();
    let vision = VisionConfig { loss: VisionLoss::Reconstruct, updates: 16 };
    let played = learn_in(dir.path(), LearnConfig { vision, rounds: 1, ..config(2) }, &["nasrnn_4"], &model);
    let mut source = Source::open(dir.path(), Device::Cpu).unwrap();
    let settings = source.settings(Quantity::Time);
    let config = LearnConfig { dreamer: settings, refit: Some(Refit::Heads), rounds: 1, ..config(9) };
    let subjects = learner(config, &["nasrnn_4"], &model).subjects().iter().map(copy_of).collect();
    let mut second = Learner::new(config, subjects, source.dreamer(settings, 9).unwrap());
    let shards = source.episodes(&[second.subjects()[0].task.clone()], Quantity::Time).unwrap();
    second.inherit(&shards, source.config.learn.sight_changes());
    for ((ours, theirs), kept) in second.data().trajectories.iter().zip(&played).zip(shards.iter().flatten()) {
        close(ours, theirs);
        assert!(ours.frames[0].whole != kept.frames[0].whole, "what was kept is of the encoder before");
    }
}

fn copy_of<'a>(subject: &Subject<'a>) -> Subject<'a> {
    Subject { name: subject.name.clone(), task: subject.task.clone(), known_us: subject.known_us }
}
