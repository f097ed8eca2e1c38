//! C is trained by PPO on (z, h): from rollouts of any shape, many short ones that go on from real states or whole episodes
//! (Holland, Talvitie and Bowling 2018 compare shapes: 100x1, 33x3, 10x10), or from what it has played. The losses are those of
//! `rl::ppo`.

use tch::{Kind, Tensor};

use super::chance::Chance;
use super::rollouts::Rollouts;
use super::student::{Student, entropy};
use super::world::World;
use crate::rl::ppo::{Losses, New, Old, PpoConfig, losses};
use crate::rl::random::Random;

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
    /// Steps rolled out.
    pub steps: u64,
}

/// The settings: small batches of cheap steps, few parameters.
pub fn config() -> PpoConfig {
    PpoConfig { learning_rate: 3e-3, ..PpoConfig::default() }
}

/// One update from rollouts of at most `depth` actions that begin where `world` is.
pub fn update(
    student: &mut Student,
    world: &mut dyn World,
    depth: usize,
    config: &PpoConfig,
    chance: &mut Chance<'_>,
) -> Update {
    let rollouts = Rollouts::through(student, world, depth, config, chance);
    learn(student, &rollouts, config, chance.random)
}

/// One update from what the student did as it is.
pub fn learn(student: &mut Student, rollouts: &Rollouts, config: &PpoConfig, random: &mut Random) -> Update {
    by_minibatches(student, rollouts, config, random, &|old, new| {
        let losses = losses(old, new, config);
        let far = config.target_kl.is_some_and(|most| losses.approx_kl > most);
        (!far).then_some(losses)
    })
}

/// Steps of Adam, a minibatch each, until `loss` has enough.
pub(super) fn by_minibatches(
    student: &mut Student,
    rollouts: &Rollouts,
    config: &PpoConfig,
    random: &mut Random,
    loss: &dyn Fn(&Old, &New) -> Option<Losses>,
) -> Update {
    let mut real = rollouts.rows();
    let mut result = Update { mean: rollouts.mean, steps: real.len() as u64, ..Update::default() };
    let mut count = 0.0;
    'epochs: for _ in 0..config.update_epochs {
        random.shuffle(&mut real);
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
            let Some(losses) = loss(&old, &new) else { break 'epochs };
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
