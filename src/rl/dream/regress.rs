//! C learns from episodes that anybody played, with no world to roll out through: advantage-weighted regression (Peng et al.
//! 2019). It is what planning is compared with: as many steps, but replayed (the control of Holland, Talvitie and Bowling 2018).

use tch::{Kind, Tensor};

use super::ppo::{Update, by_minibatches};
use super::rollouts::Rollouts;
use super::student::Student;
use crate::rl::ppo::{Losses, New, Old, PpoConfig};
use crate::rl::random::Random;

/// No step weighs more.
const MOST_WEIGHT: f64 = 20.0;

/// `[K]`: how much it counts to have done what has these advantages `[K]`: their exponential, in units of their deviation.
pub fn weights(advantage: &Tensor) -> Tensor {
    let centred = advantage - advantage.mean(Kind::Float);
    let deviation = centred.square().mean(Kind::Float).sqrt().clamp_min(1e-6);
    (centred / deviation).exp().clamp_max(MOST_WEIGHT)
}

/// The losses of a minibatch; those of the policy are weighed, not clipped.
pub fn losses(old: &Old, new: &New, config: &PpoConfig) -> Losses {
    let policy = -(&new.logprob * weights(&old.advantage)).mean(Kind::Float);
    let value = (&new.value - &old.target).square().mean(Kind::Float) * 0.5;
    let entropy = new.entropy.mean(Kind::Float);
    let total = &policy + &value * config.vf_coef - &entropy * config.ent_coef;
    Losses { total, policy, value, entropy, approx_kl: 0.0, clipfrac: 0.0 }
}

/// One update from steps that were played.
pub fn learn(student: &mut Student, played: &Rollouts, config: &PpoConfig, random: &mut Random) -> Update {
    by_minibatches(student, played, config, random, &|old, new| Some(losses(old, new, config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::tests::numbers;

    #[test]
    fn weights_and_losses_by_hand() {
        let e = 1f32.exp();
        let of = |values: &[f32]| Tensor::from_slice(values);
        // Mean 1, deviation 1: weights e^-1 and e.
        assert!(numbers(&weights(&of(&[0.0, 2.0]))).iter().zip([1.0 / e, e]).all(|(a, b)| (a - b).abs() < 1e-5));
        let far = numbers(&weights(&of(&[[0.0f32; 99].as_slice(), &[1.0]].concat())));
        assert!((far[99] - 20.0).abs() < 1e-6, "ten deviations above the mean");

        let config = PpoConfig { vf_coef: 0.5, ent_coef: 0.1, ..PpoConfig::default() };
        let old = Old {
            logprob: of(&[0.0, 0.0]),
            value: of(&[0.0, 0.0]),
            advantage: of(&[0.0, 2.0]),
            target: of(&[2.0, 1.0]),
        };
        let new = New { logprob: of(&[-1.0, -2.0]), value: of(&[0.0, 1.0]), entropy: of(&[0.5, 0.7]) };
        let losses = losses(&old, &new, &config);
        let number = |x: &Tensor| x.double_value(&[]) as f32;
        // (1 / e + 2 e) / 2; half of the mean of 4 and 0; and a tenth of 0.6.
        let policy = (1.0 / e + 2.0 * e) / 2.0;
        assert!((number(&losses.policy) - policy).abs() < 1e-5 && (number(&losses.value) - 1.0).abs() < 1e-6);
        assert!((number(&losses.total) - (policy + 0.5 - 0.06)).abs() < 1e-5);
    }
}
