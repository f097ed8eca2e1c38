//! C is trained in dreams by PPO on (z, h): rollouts of any shape, many short ones that go on from real states or whole
//! episodes (Holland, Talvitie and Bowling 2018 compare shapes: 100x1, 33x3, 10x10). The losses are those of `rl::ppo`.

use tch::{Kind, Tensor, no_grad};

use super::dream::{Chance, Dream};
use super::student::{Student, entropy};
use crate::rl::ppo::{End, New, Old, PpoConfig, gae, losses};

/// What an update came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// Mean return of the rollouts.
    pub mean: f64,
    /// Means over its minibatches.
    pub policy_loss: f64,
    /// The critic's.
    pub value_loss: f64,
    /// As a share of the largest.
    pub entropy: f64,
    /// How far the policy moved.
    pub approx_kl: f64,
    /// Steps dreamt.
    pub steps: u64,
}

/// The settings: small batches of cheap steps, few parameters.
pub fn config() -> PpoConfig {
    PpoConfig { learning_rate: 3e-3, ..PpoConfig::default() }
}

/// What was met in rollouts: `[T, B, ..]`.
struct Rollouts {
    state: Tensor,
    slots: Tensor,
    present: Tensor,
    action: Tensor,
    logprob: Tensor,
    value: Tensor,
    /// Flat, by step and then by dream: whether there was a step.
    there: Vec<bool>,
    advantage: Tensor,
    target: Tensor,
    mean: f64,
}

/// Rolls out from where a dream is.
fn roll_out(
    student: &Student,
    mut dream: Dream<'_>,
    depth: usize,
    config: &PpoConfig,
    chance: &mut Chance<'_>,
) -> Rollouts {
    no_grad(|| {
        let (b, device) = (dream.len() as usize, dream.z.device());
        let (mut states, mut slots, mut present, mut actions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut logprobs, mut values) = (Vec::new(), Vec::new());
        // Of each step, of each dream.
        let (mut going, mut rewards): (Vec<Vec<f32>>, Vec<Vec<f32>>) = (Vec::new(), Vec::new());
        let list = |x: &Tensor| Vec::<f32>::try_from(x.to_device(tch::Device::Cpu)).expect("floats");
        for _ in 0..depth.max(1) {
            let now = list(&dream.going);
            if now.iter().all(|g| *g == 0.0) {
                break;
            }
            let (state, slot, there) = (dream.state(), dream.slots(), dream.present());
            let log = student.log_probabilities(&state, &slot, &there);
            let size = log.size();
            let noise: Vec<f32> = (0..size[0] * size[1]).map(|_| chance.random.gumbel() as f32).collect();
            let noise = Tensor::from_slice(&noise).reshape(&size).to_device(device);
            let action = (&log + noise).argmax(-1, false);
            logprobs.push(log.gather(1, &action.unsqueeze(1), false).squeeze_dim(1));
            values.push(student.value(&state));
            rewards.push(list(&dream.step(&action, chance)));
            going.push(now);
            states.push(state);
            slots.push(slot);
            present.push(there);
            actions.push(action);
        }
        let last = list(&student.value_of(&dream));
        let still = list(&dream.going);
        let by_step: Vec<Vec<f32>> = values.iter().map(list).collect();
        let steps = going.len();
        let (mut advantage, mut target) = (vec![0.0; steps * b], vec![0.0; steps * b]);
        for row in 0..b {
            let own = going.iter().take_while(|g| g[row] > 0.0).count();
            let of = |all: &[Vec<f32>]| -> Vec<f32> { all[..own].iter().map(|x| x[row]).collect() };
            let mut ends = vec![End::No; own];
            let over = own < steps || still[row] == 0.0;
            if let (true, Some(end)) = (over, ends.last_mut()) {
                *end = End::Terminated;
            }
            let (gamma, lambda) = (config.gamma as f32, config.gae_lambda as f32);
            let (a, r) = gae(&of(&rewards), &of(&by_step), &ends, last[row], gamma, lambda);
            for (step, (a, r)) in a.into_iter().zip(r).enumerate() {
                (advantage[step * b + row], target[step * b + row]) = (a, r);
            }
        }
        let flat = |all: &[Vec<f32>]| -> Vec<f32> { all.iter().flatten().copied().collect() };
        let all = |parts: &[Tensor]| Tensor::stack(parts, 0).flatten(0, 1);
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

/// One update from rollouts of at most `depth` actions that begin where `dream` is.
pub fn update(
    student: &mut Student,
    dream: Dream<'_>,
    depth: usize,
    config: &PpoConfig,
    chance: &mut Chance<'_>,
) -> Update {
    let rollouts = roll_out(student, dream, depth, config, chance);
    let rows = 0i64..;
    let mut real: Vec<i64> = rows.zip(&rollouts.there).filter(|(_, there)| **there).map(|(row, _)| row).collect();
    let mut result = Update { mean: rollouts.mean, steps: real.len() as u64, ..Update::default() };
    let mut count = 0.0;
    'epochs: for _ in 0..config.update_epochs {
        chance.random.shuffle(&mut real);
        for part in real.chunks(real.len().div_ceil(config.num_minibatches.max(1)).max(1)) {
            let rows = Tensor::from_slice(part).to_device(rollouts.action.device());
            let pick = |x: &Tensor| x.index_select(0, &rows);
            let (state, present) = (pick(&rollouts.state), pick(&rollouts.present));
            let log = student.log_probabilities(&state, &pick(&rollouts.slots), &present);
            let old = Old {
                logprob: pick(&rollouts.logprob),
                value: pick(&rollouts.value),
                advantage: pick(&rollouts.advantage),
                target: pick(&rollouts.target),
            };
            let new = New {
                logprob: log.gather(1, &pick(&rollouts.action).unsqueeze(1), false).squeeze_dim(1),
                value: student.value(&state),
                entropy: entropy(&log, &present),
            };
            let losses = losses(&old, &new, config);
            if config.target_kl.is_some_and(|most| losses.approx_kl > most) {
                break 'epochs;
            }
            student.step(&losses.total, config.learning_rate, config.max_grad_norm);
            let number = |x: &Tensor| x.to_kind(Kind::Double).double_value(&[]);
            result.policy_loss += number(&losses.policy);
            result.value_loss += number(&losses.value);
            result.entropy += number(&losses.entropy);
            result.approx_kl += losses.approx_kl;
            count += 1.0;
        }
    }
    for sum in [&mut result.policy_loss, &mut result.value_loss, &mut result.entropy, &mut result.approx_kl] {
        *sum /= f64::max(count, 1.0);
    }
    result
}
