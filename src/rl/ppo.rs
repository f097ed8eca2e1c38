//! Proximal policy optimisation (Schulman et al. 2017), one file, its details numbered.
//!
//! Names follow CleanRL. What each detail is from:
//! 1. Generalised advantage estimation (Schulman et al. 2016); the last state of a fragment is bootstrapped, a terminated
//!    one is not.
//! 2. Returns are advantages plus values.
//! 3. Minibatches: the environments are shuffled anew in every epoch, and a minibatch is the whole fragments of some of them
//!    (as in recurrent PPO; Huang et al. 2022, LSTM detail 4). States of one episode share most of their neighbourhoods,
//!    which the encoder then computes once.
//! 4. Advantages are normalised within a minibatch; one of size 1 is left as it is (detail 7).
//! 5. The clipped ratio of the probability of the whole action, rule and place together (one logarithm, one ratio).
//! 6. The value's loss is clipped likewise (detail 9).
//! 7. An entropy bonus, of rule and place apart, each as a share of the largest possible.
//! 8. All gradients together are clipped by norm (detail 11).
//! 9. The learning rate falls linearly to zero (detail 4); Adam's epsilon is 1e-5 (detail 3).
//! 10. An update ends early when the policy moved further than `target_kl`, by the estimator of Schulman 2020:
//!     mean of (ratio - 1) - log ratio.
//! 11. Orthogonal initialisation, logits near zero (detail 2).
//! 12. Masks: only legal actions have a logit at all, when acting and when updating (Huang and Ontañón 2022).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Settings of PPO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PpoConfig {
    /// Environments stepped together.
    pub num_envs: usize,
    /// Steps of each environment between updates.
    pub num_steps: usize,
    /// Steps of all environments together until training ends.
    pub total_timesteps: u64,
    /// Initial learning rate of Adam.
    pub learning_rate: f64,
    /// Whether it falls linearly to zero.
    pub anneal_lr: bool,
    /// Discount.
    pub gamma: f64,
    /// Decay of the advantage estimator.
    pub gae_lambda: f64,
    /// Passes over each batch.
    pub update_epochs: usize,
    /// Parts of each batch: at most as many as there are environments.
    pub num_minibatches: usize,
    /// How far the ratio may leave 1.
    pub clip_coef: f64,
    /// Whether the value's loss is clipped too.
    pub clip_vloss: bool,
    /// Weight of the entropy bonus.
    pub ent_coef: f64,
    /// Weight of the value's loss.
    pub vf_coef: f64,
    /// Longest gradient.
    pub max_grad_norm: f64,
    /// The update ends when the policy moved this far; `None`: never.
    pub target_kl: Option<f64>,
}

impl Default for PpoConfig {
    fn default() -> PpoConfig {
        PpoConfig {
            num_envs: 16,
            num_steps: 128,
            total_timesteps: 60_000,
            learning_rate: 7e-4,
            anneal_lr: true,
            gamma: 1.0,
            gae_lambda: 0.95,
            update_epochs: 4,
            num_minibatches: 4,
            clip_coef: 0.2,
            clip_vloss: true,
            ent_coef: 0.01,
            vf_coef: 0.5,
            max_grad_norm: 0.5,
            target_kl: Some(0.03),
        }
    }
}

/// Adam's epsilon (detail 9).
pub const ADAM_EPS: f64 = 1e-5;

/// Advantages and returns of one environment's fragment (details 1 and 2). `ends[t]` tells whether the episode ended with
/// step `t`: by termination, after which nothing is expected, or by truncation, after which `after[t]` is.
///
/// All slices are of the fragment's length `T`; `last_value` is the value of the state after it.
pub fn gae(
    rewards: &[f32],
    values: &[f32],
    ends: &[End],
    last_value: f32,
    gamma: f32,
    lambda: f32,
) -> (Vec<f32>, Vec<f32>) {
    let mut advantages = vec![0.0; rewards.len()];
    let (mut next_value, mut next_advantage) = (last_value, 0.0);
    for t in (0..rewards.len()).rev() {
        let (value_after, advantage_after) = match ends[t] {
            End::No => (next_value, next_advantage),
            End::Terminated => (0.0, 0.0),
            End::Truncated { value } => (value, 0.0),
        };
        let delta = rewards[t] + gamma * value_after - values[t];
        advantages[t] = delta + gamma * lambda * advantage_after;
        (next_value, next_advantage) = (values[t], advantages[t]);
    }
    let returns = advantages.iter().zip(values).map(|(a, v)| a + v).collect();
    (advantages, returns)
}

/// Whether and how an episode ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum End {
    /// It goes on.
    No,
    /// It is over: nothing follows.
    Terminated,
    /// It was cut: more would follow, worth this.
    Truncated {
        /// Value of the state that it was cut at.
        value: f32,
    },
}

/// What a minibatch says of the old policy, each `[B]`.
#[derive(Debug)]
pub struct Old {
    /// Log-probability of the action taken.
    pub logprob: Tensor,
    /// Value of the state.
    pub value: Tensor,
    /// Advantage of the action.
    pub advantage: Tensor,
    /// Return from the state.
    pub target: Tensor,
}

/// What the new policy says, each `[B]`.
#[derive(Debug)]
pub struct New {
    /// Log-probability of the action taken.
    pub logprob: Tensor,
    /// Value of the state.
    pub value: Tensor,
    /// Entropy, normalised.
    pub entropy: Tensor,
}

/// The parts of the loss, each a scalar with its gradient, and what is watched.
#[derive(Debug)]
pub struct Losses {
    /// What is minimised.
    pub total: Tensor,
    /// `losses/policy_loss`.
    pub policy: Tensor,
    /// `losses/value_loss`.
    pub value: Tensor,
    /// `losses/entropy`.
    pub entropy: Tensor,
    /// `losses/approx_kl`.
    pub approx_kl: f64,
    /// `losses/clipfrac`: share of actions whose ratio was clipped.
    pub clipfrac: f64,
}

/// The loss of a minibatch (details 4 to 7).
pub fn losses(old: &Old, new: &New, config: &PpoConfig) -> Losses {
    let advantage = normalised(&old.advantage);
    let log_ratio = &new.logprob - &old.logprob;
    let ratio = log_ratio.exp();
    let clipped = ratio.clamp(1.0 - config.clip_coef, 1.0 + config.clip_coef);
    let policy = -(&advantage * &ratio).minimum(&(&advantage * clipped)).mean(Kind::Float);
    let unclipped = (&new.value - &old.target).square();
    let squared = if config.clip_vloss {
        let near = &old.value + (&new.value - &old.value).clamp(-config.clip_coef, config.clip_coef);
        unclipped.maximum(&(near - &old.target).square())
    } else {
        unclipped
    };
    let value = squared.mean(Kind::Float) * 0.5;
    let entropy = new.entropy.mean(Kind::Float);
    let total = &policy + &value * config.vf_coef - &entropy * config.ent_coef;
    let (log_ratio, ratio) = (log_ratio.detach(), ratio.detach());
    let approx_kl = (&ratio - 1.0 - log_ratio).mean(Kind::Double).double_value(&[]);
    let outside = (ratio - 1.0).abs().gt(config.clip_coef);
    let clipfrac = outside.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    Losses { total, policy, value, entropy, approx_kl, clipfrac }
}

/// Mean 0, deviation 1; a single advantage stays as it is (detail 4).
fn normalised(advantage: &Tensor) -> Tensor {
    if advantage.numel() < 2 {
        return advantage.shallow_clone();
    }
    (advantage - advantage.mean(Kind::Float)) / (advantage.std(false) + 1e-8)
}

/// The learning rate when this share of the training is done (detail 9).
pub fn learning_rate(config: &PpoConfig, done: f64) -> f64 {
    if config.anneal_lr { config.learning_rate * (1.0 - done).max(0.0) } else { config.learning_rate }
}

/// How much of the returns' variance the values explain: 1 is all, 0 none (`losses/explained_variance`).
pub fn explained_variance(values: &[f32], returns: &[f32]) -> f64 {
    let variance = |xs: &mut dyn Iterator<Item = f64>| {
        let xs: Vec<f64> = xs.collect();
        let mean = xs.iter().sum::<f64>() / xs.len().max(1) as f64;
        xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / xs.len().max(1) as f64
    };
    let total = variance(&mut returns.iter().map(|r| f64::from(*r)));
    let left = variance(&mut returns.iter().zip(values).map(|(r, v)| f64::from(r - v)));
    if total > 0.0 { 1.0 - left / total } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_by_hand() {
        // gamma 0.5, lambda 0.5. Step 2 ends the fragment with value 4 behind it:
        //   delta2 = 1 + 0.5*4 - 1 = 2;              A2 = 2
        // Step 1 terminates: delta1 = 2 - 3 = -1;    A1 = -1
        // Step 0: delta0 = 0 + 0.5*3 - 1 = 0.5;      A0 = 0.5 + 0.25*(-1) = 0.25
        let ends = [End::No, End::Terminated, End::No];
        let (advantages, returns) = gae(&[0.0, 2.0, 1.0], &[1.0, 3.0, 1.0], &ends, 4.0, 0.5, 0.5);
        assert_eq!(advantages, [0.25, -1.0, 2.0]);
        assert_eq!(returns, [1.25, 2.0, 3.0]);
        // Cut instead at step 1, where 2 more was expected: delta1 = 2 + 0.5*2 - 3 = 0.
        let ends = [End::No, End::Truncated { value: 2.0 }, End::No];
        assert_eq!(gae(&[0.0, 2.0, 1.0], &[1.0, 3.0, 1.0], &ends, 4.0, 0.5, 0.5).0, [0.5, 0.0, 2.0]);
    }

    #[test]
    fn loss_by_hand() {
        let tensor = |xs: &[f32]| Tensor::from_slice(xs);
        // Advantages -1 and 1 are normal already. Ratios 2 and 2: the clip is 1.2.
        //   policy: min(-2, -1.2) = -2; min(2, 1.2) = 1.2; loss = -(-0.8)/2 = 0.4
        //   value: new 1, old 0, target 2: unclipped (1-2)^2 = 1; clipped 0.2: (0.2-2)^2 = 3.24; the larger counts.
        //          new 0, old 0, target 0: 0. loss = 0.5 * 1.62 = 0.81
        let old = Old {
            logprob: tensor(&[0.25f32.ln(), 0.25f32.ln()]),
            value: tensor(&[0.0, 0.0]),
            advantage: tensor(&[-1.0, 1.0]),
            target: tensor(&[2.0, 0.0]),
        };
        let new = New {
            logprob: tensor(&[0.5f32.ln(), 0.5f32.ln()]),
            value: tensor(&[1.0, 0.0]),
            entropy: tensor(&[0.5, 0.7]),
        };
        let config = PpoConfig { ent_coef: 0.1, ..PpoConfig::default() };
        let got = losses(&old, &new, &config);
        let near = |t: &Tensor, x: f64| assert!((t.double_value(&[]) - x).abs() < 1e-5, "{t:?} {x}");
        near(&got.policy, 0.4);
        near(&got.value, 0.81);
        near(&got.entropy, 0.6);
        near(&got.total, 0.4 + 0.5 * 0.81 - 0.06);
        assert!((got.approx_kl - (1.0 - 2f64.ln())).abs() < 1e-6 && got.clipfrac == 1.0);
        let loose = losses(&old, &new, &PpoConfig { clip_vloss: false, ..config });
        near(&loose.value, 0.25);
    }

    #[test]
    fn one_advantage_alone_is_left_as_it_is() {
        assert_eq!(normalised(&Tensor::from_slice(&[3.0f32])).double_value(&[0]), 3.0);
        let two = normalised(&Tensor::from_slice(&[3.0f32, 3.0]));
        assert_eq!(two.double_value(&[0]), 0.0, "equal advantages are all average");
    }

    #[test]
    fn variance_explained() {
        assert_eq!(explained_variance(&[1.0, 2.0], &[1.0, 2.0]), 1.0);
        assert_eq!(explained_variance(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
        assert!(explained_variance(&[0.0], &[1.0]).is_nan());
    }
}
