//! What C learns from by gradients: actions in states, with advantages. They come from rollouts through a world, or from episodes
//! that were played.

use tch::{Device, Tensor, no_grad};

use super::chance::Chance;
use super::data::Trajectory;
use super::dream::STOP;
use super::model::WorldModel;
use super::sequences::Sequences;
use super::student::Student;
use super::world::World;
use crate::rl::ppo::{End, PpoConfig, gae};

/// Steps of episodes, flat: `K` of them.
#[derive(Debug)]
pub struct Rollouts {
    /// `[K, Z]`.
    pub state: Tensor,
    /// `[K, S, SLOT]`.
    pub slots: Tensor,
    /// `[K, S]` bool.
    pub present: Tensor,
    /// `[K]` int64: a slot, or [`STOP`].
    pub action: Tensor,
    /// `[K]`: by the student as it was.
    pub logprob: Tensor,
    /// `[K]`: likewise.
    pub value: Tensor,
    /// `[K]`.
    pub advantage: Tensor,
    /// `[K]`: what the critic is to say.
    pub target: Tensor,
    /// Which of them are steps that something can be learned from; the others stand behind an end, or had no slot.
    pub there: Vec<bool>,
    /// Mean return.
    pub mean: f64,
}

fn list(x: &Tensor) -> Vec<f32> {
    Vec::<f32>::try_from(x.to_device(Device::Cpu)).expect("floats")
}

impl Rollouts {
    /// Rolls the student's policy out through a world, at most `depth` actions. What goes on behind them is worth what the
    /// critic says.
    pub fn through(
        student: &Student,
        world: &mut dyn World,
        depth: usize,
        config: &PpoConfig,
        chance: &mut Chance<'_>,
    ) -> Rollouts {
        no_grad(|| {
            let (mut states, mut slots, mut present, mut actions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let (mut logprobs, mut values) = (Vec::new(), Vec::new());
            // Of each step, of each episode.
            let (mut going, mut rewards): (Vec<Vec<f32>>, Vec<Vec<f32>>) = (Vec::new(), Vec::new());
            for _ in 0..depth.max(1) {
                let now = list(&world.going());
                if now.iter().all(|g| *g == 0.0) {
                    break;
                }
                let (state, slot, there) = (world.state(), world.slots(), world.present());
                let log = student.log_probabilities(&state, &slot, &there);
                let noise = chance.gumbel(&[log.size()[1]], log.size()[0], log.device());
                let action = (&log + noise).argmax(-1, false);
                logprobs.push(log.gather(1, &action.unsqueeze(1), false).squeeze_dim(1));
                values.push(student.value(&state));
                rewards.push(list(&world.step(&action, chance)));
                going.push(now);
                states.push(state);
                slots.push(slot);
                present.push(there);
                actions.push(action);
            }
            let still = list(&world.going());
            let last = list(&(student.value(&world.state()) * world.going()));
            let (b, steps) = (still.len(), going.len());
            let by_step: Vec<Vec<f32>> = values.iter().map(list).collect();
            let (mut advantage, mut target) = (vec![0.0; steps * b], vec![0.0; steps * b]);
            for row in 0..b {
                let own = going.iter().take_while(|g| g[row] > 0.0).count();
                let of = |all: &[Vec<f32>]| -> Vec<f32> { all[..own].iter().map(|x| x[row]).collect() };
                let over = own < steps || still[row] == 0.0;
                for (step, (a, r)) in returns(&of(&rewards), &of(&by_step), over, last[row], config).enumerate() {
                    (advantage[step * b + row], target[step * b + row]) = (a, r);
                }
            }
            let flat = |all: &[Vec<f32>]| -> Vec<f32> { all.iter().flatten().copied().collect() };
            let all = |parts: &[Tensor]| Tensor::stack(parts, 0).flatten(0, 1);
            let device = student.device();
            Rollouts {
                state: all(&states),
                slots: all(&slots),
                present: all(&present),
                action: all(&actions),
                logprob: all(&logprobs),
                value: all(&values),
                there: flat(&going).into_iter().map(|g| g > 0.0).collect(),
                advantage: Tensor::from_slice(&advantage).to_device(device),
                target: Tensor::from_slice(&target).to_device(device),
                mean: f64::from(flat(&rewards).iter().sum::<f32>()) / b as f64,
            }
        })
    }

    /// Episodes that were played to their ends. `table` is `[R, RULE]`.
    pub fn of_episodes(
        student: &Student,
        (model, table): (&WorldModel, &Tensor),
        episodes: &[&Trajectory],
        config: &PpoConfig,
    ) -> Rollouts {
        no_grad(|| {
            let data = Sequences::new(episodes, model.device());
            let t = data.length();
            let before_actions = |x: &Tensor| x.narrow(1, 0, t).flatten(0, 1);
            let z = model.standardise(&data.whole).narrow(1, 0, t);
            let carry = model.unroll(&z, &data.actions(table)).0;
            let state = Tensor::cat(&[z, carry.h], 2).flatten(0, 1);
            let (slots, present) = (before_actions(&data.slots(table)), before_actions(&data.present()));
            let stops = data.action_rule.lt(0);
            let action = data.chosen.where_scalarother(&stops.logical_not(), STOP).flatten(0, 1);
            let log = student.log_probabilities(&state, &slots, &present);
            let value = student.value(&state);
            let values = list(&value);
            let (mut advantage, mut target) = (vec![0.0; values.len()], vec![0.0; values.len()]);
            for (row, episode) in episodes.iter().enumerate() {
                let begin = row * t as usize;
                let own = &values[begin..begin + episode.len()];
                for (step, (a, r)) in returns(&episode.rewards, own, true, 0.0, config).enumerate() {
                    (advantage[begin + step], target[begin + step]) = (a, r);
                }
            }
            let there = data.mask.gt(0.0).logical_and(&action.ge(0).reshape_as(&data.mask));
            let total: f32 = episodes.iter().map(|e| e.total()).sum();
            Rollouts {
                logprob: log.gather(1, &action.clamp_min(0).unsqueeze(1), false).squeeze_dim(1),
                there: list(&there.to_kind(tch::Kind::Float).flatten(0, 1)).into_iter().map(|x| x > 0.0).collect(),
                advantage: Tensor::from_slice(&advantage).to_device(model.device()),
                target: Tensor::from_slice(&target).to_device(model.device()),
                mean: f64::from(total) / episodes.len().max(1) as f64,
                state,
                slots,
                present,
                action,
                value,
            }
        })
    }

    /// The steps that something can be learned from.
    pub fn rows(&self) -> Vec<i64> {
        (0i64..).zip(&self.there).filter(|(_, there)| **there).map(|(row, _)| row).collect()
    }
}

/// Advantages and targets of an episode.
fn returns(
    rewards: &[f32],
    values: &[f32],
    over: bool,
    last: f32,
    config: &PpoConfig,
) -> impl Iterator<Item = (f32, f32)> + use<> {
    let mut ends = vec![End::No; rewards.len()];
    if let (true, Some(end)) = (over, ends.last_mut()) {
        *end = End::Terminated;
    }
    let (a, r) = gae(rewards, values, &ends, last, config.gamma as f32, config.gae_lambda as f32);
    a.into_iter().zip(r)
}
