//! The update of PPO on a rollout.

use std::time::Instant;

use tch::Tensor;

use super::tally::{Clock, Tally};
use super::{Trainer, Transition};
use crate::rl::agent::{Choice, log_probability};
use crate::rl::metrics::Metrics;
use crate::rl::net::digest::Digest;
use crate::rl::ppo::{self, End, Losses, New, Old, gae};

/// A transition with what is learned from it.
struct Sample<'a> {
    transition: &'a Transition,
    advantage: f32,
    target: f32,
}

impl Trainer<'_> {
    /// The update of PPO on a rollout.
    pub(super) fn learn(&mut self, fragments: &[Vec<Transition>], last_values: &[f32], clock: &mut Clock) -> Metrics {
        let start = Instant::now();
        let config = self.config.ppo.clone();
        let mut flat: Vec<Sample<'_>> = Vec::new();
        for (fragment, last_value) in fragments.iter().zip(last_values) {
            let rewards: Vec<f32> = fragment.iter().map(|t| t.reward).collect();
            let values: Vec<f32> = fragment.iter().map(|t| t.decision.value).collect();
            let ends: Vec<End> = fragment.iter().map(|t| t.end).collect();
            let (gamma, lambda) = (config.gamma as f32, config.gae_lambda as f32);
            let (advantages, returns) = gae(&rewards, &values, &ends, *last_value, gamma, lambda);
            let samples = fragment.iter().zip(advantages).zip(returns);
            flat.extend(samples.map(|((transition, advantage), target)| Sample { transition, advantage, target }));
        }
        // The first update has the whole rate, the last some of it.
        let done = (self.steps - flat.len() as u64) as f64 / config.total_timesteps.max(1) as f64;
        let learning_rate = ppo::learning_rate(&config, done);
        let mut tally = Tally::default();
        let mut order: Vec<&[Sample<'_>]> = flat.chunks(config.num_steps.max(1)).collect();
        let size = order.len().div_ceil(config.num_minibatches.max(1)).max(1);
        'epochs: for _ in 0..config.update_epochs {
            self.random.shuffle(&mut order);
            for part in order.chunks(size) {
                let samples: Vec<&Sample<'_>> = part.iter().copied().flatten().collect();
                let losses = self.minibatch(&samples);
                self.adam.zero_grad();
                losses.total.backward();
                let norm = self.adam.clip_grad_norm(config.max_grad_norm);
                tally.add(&losses, norm);
                if !norm.is_finite() {
                    break 'epochs;
                }
                if config.target_kl.is_some_and(|most| losses.approx_kl > most) {
                    tally.stopped_early = true;
                    break 'epochs;
                }
                self.adam.step(learning_rate, ppo::ADAM_EPS);
            }
        }
        let values: Vec<f32> = flat.iter().map(|s| s.transition.decision.value).collect();
        let targets: Vec<f32> = flat.iter().map(|s| s.target).collect();
        let mut metrics = tally.metrics();
        metrics.insert("losses/explained_variance", ppo::explained_variance(&values, &targets));
        metrics.insert("charts/learning_rate", learning_rate);
        clock.learning += start.elapsed().as_secs_f64();
        metrics
    }

    fn minibatch(&mut self, samples: &[&Sample<'_>]) -> Losses {
        let device = self.agent.device();
        let digests: Vec<&Digest> = samples.iter().map(|s| &s.transition.digest).collect();
        let choices: Vec<Choice> = samples.iter().map(|s| s.transition.decision.choice).collect();
        let column = |of: &dyn Fn(&Sample<'_>) -> f32| {
            let values: Vec<f32> = samples.iter().map(|s| of(s)).collect();
            Tensor::from_slice(&values).to_device(device)
        };
        let (batch, judgement) = self.agent.judge(&digests, &self.rules, self.envs.table());
        let old = Old {
            logprob: column(&|s| s.transition.decision.logprob),
            value: column(&|s| s.transition.decision.value),
            advantage: column(&|s| s.advantage),
            target: column(&|s| s.target),
        };
        let new = New {
            logprob: log_probability(&batch, &judgement, &digests, &choices),
            value: judgement.value,
            entropy: judgement.rule_entropy + judgement.place_entropy,
        };
        ppo::losses(&old, &new, &self.config.ppo)
    }
}
