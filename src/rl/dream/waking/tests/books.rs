//! Books follow real episodes, and are kept of time alone.

use tch::{Device, Kind, Tensor};

use super::{config, learner};
use crate::cost::{DeviceProfile, Roofline};
use crate::rl::dream::books::{CHANGE, EARNS, SIGN, STATED, TOLD};
use crate::rl::dream::chance::Chance;
use crate::rl::dream::data::Trajectory;
use crate::rl::dream::dream::Dream;
use crate::rl::dream::frame::Deed;
use crate::rl::dream::sequences::Sequences;
use crate::rl::dream::waking::agent::DreamerConfig;
use crate::rl::dream::waking::learner::Phase;
use crate::rl::env::Quantity;
use crate::rl::random::Random;

#[test]
fn books_say_what_real_episodes_show() {
    let model = Roofline::new(DeviceProfile::cpu());
    let mut learner = learner(config(4), &["nasrnn_4", "inception_pair"], &model);
    while !matches!(learner.state().phase, Phase::Fit { .. }) {
        learner.advance();
    }
    let scale = learner.config().dreamer.reward_scale;
    let near = |a: &Tensor, b: &Tensor| assert!(a.allclose(b, 1e-3, 1e-4, false), "{a:?} {b:?}");
    let (mut rewrites, mut earning) = (0, 0);
    for trajectory in &learner.data().trajectories {
        let data = Sequences::new(&[trajectory], Device::Cpu);
        let (at, count) = TOLD;
        near(&data.books.told(scale).to_kind(Kind::Float), &data.whole.narrow(-1, at, count));
        let earns = data.books.earns(&data.features.select(-1, CHANGE), scale);
        near(&earns, &data.features.select(-1, EARNS));
        let t = data.length();
        // What stays states the same: its sign to the last bit, its size within the steps that seats tell apart.
        let kept = data.kept.narrow(1, 1, t).logical_and(&data.present().narrow(1, 0, t)).unsqueeze(-1);
        let stated = data.features.narrow(-1, CHANGE, STATED);
        let moved = (stated.narrow(1, 1, t) - stated.narrow(1, 0, t)) * kept.to_kind(Kind::Float);
        assert_eq!(moved.select(-1, SIGN).abs().max().double_value(&[]), 0.0);
        assert!(moved.select(-1, SIGN + 1).abs().max().double_value(&[]) < 1.0 / 128.0);
        let before = data.books.map(|x| x.narrow(1, 0, t));
        let stated = before.stated(&data.action_features.select(-1, CHANGE), scale);
        near(&stated, &(data.cost.narrow(1, 1, t) - data.cost.narrow(1, 0, t)));
        near(&before.earned(&stated), &data.reward);
        near(&before.after(&stated).best, &data.books.best.narrow(1, 1, t));
        rewrites += trajectory.deeds.iter().filter(|d| matches!(d, Deed::Apply { .. })).count();
        earning += trajectory.rewards.iter().filter(|r| **r > 0.0).count();
    }
    assert!(rewrites > 100 && earning > 20, "{rewrites} rewrites, {earning} of which earn");

    // A model that says nothing of its own dreams right costs and rewards, and states and slots that fit them.
    let dreams_by = learner.model();
    dreams_by.parameters.copy_from(|name| {
        let own = dreams_by.parameters.all().into_iter().find(|(n, _)| n == name);
        own.map(|(_, t)| t.zeros_like())
    });
    let played =
        |t: &&Trajectory| matches!(t.deeds.first(), Some(Deed::Apply { slot: Some(_), .. })) && t.rewards[0] > 0.0;
    let trajectory = learner.data().trajectories.iter().find(played).expect("some episode begins with a gain");
    let Deed::Apply { slot: Some(slot), .. } = trajectory.deeds[0] else { unreachable!("it was found so") };
    let mut dream = Dream::new(dreams_by, learner.rules(), &[&trajectory.frames[0]]);
    let mut random = Random::new(0);
    let mut chance = Chance { temperature: 0.0, random: &mut random, draws: 1 };
    let earned = tch::no_grad(|| dream.step(&Tensor::from_slice(&[slot as i64]), &mut chance)).double_value(&[0]);
    let (real, saved) = (f64::from(trajectory.rewards[0]), dream.books.saved.double_value(&[0]));
    let right = (earned - real).abs() < 0.05 * real && (saved - f64::from(trajectory.costs[1])).abs() < 1e-3;
    assert!(right, "{earned} {saved}");
    let [mean, deviation] = &dreams_by.scales.whole;
    let whole = &dream.z * deviation + mean;
    near(&whole.narrow(1, TOLD.0, TOLD.1), &dream.books.told(scale).to_kind(Kind::Float));
    near(&dream.features.select(2, EARNS), &dream.books.earns(&dream.features.select(2, CHANGE), scale));
}

#[test]
fn only_time_is_kept_in_books() {
    let books = |dreamer: DreamerConfig| dreamer.model.books;
    let time = config(0).dreamer;
    assert_eq!(books(time), Some(time.reward_scale));
    assert_eq!(books(time.rewarded(Quantity::Time, 3.0)), Some(3.0));
    let launches = time.rewarded(Quantity::Launches, 3.0);
    assert_eq!((books(launches), launches.check()), (None, Ok(())));
    for wrong in [DreamerConfig { objective: Quantity::Launches, ..time }, DreamerConfig { reward_scale: 3.0, ..time }]
    {
        assert!(wrong.check().unwrap_err().contains("model.books"));
    }
}
