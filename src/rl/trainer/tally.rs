//! What is counted while a training goes on: seconds by part, episodes, losses.

use tch::Tensor;

use crate::rl::metrics::Metrics;
use crate::rl::ppo::Losses;

/// Seconds by part.
#[derive(Default)]
pub(super) struct Clock {
    pub environment: f64,
    pub acting: f64,
    pub learning: f64,
}

impl Clock {
    pub fn describe(&self, steps: f64, metrics: &mut Metrics) {
        let total = self.environment + self.acting + self.learning;
        metrics.insert("charts/SPS", steps / total);
        metrics.insert("time/environment_share", self.environment / total);
        metrics.insert("time/acting_share", self.acting / total);
        metrics.insert("time/learning_share", self.learning / total);
        metrics.insert("time/act_steps_per_second", steps / self.acting);
        metrics.insert("time/environment_steps_per_second", steps / self.environment);
    }
}

/// What the episodes that ended in a rollout came to.
#[derive(Default)]
pub(super) struct Episodes {
    pub returns: Vec<f64>,
    pub lengths: Vec<f64>,
    pub regrets: Vec<f64>,
}

impl Episodes {
    pub fn describe(&self, metrics: &mut Metrics) {
        let mean = |xs: &[f64]| xs.iter().sum::<f64>() / xs.len() as f64;
        metrics.insert("charts/episodes", self.returns.len() as f64);
        if !self.returns.is_empty() {
            metrics.insert("charts/episodic_return", mean(&self.returns));
            metrics.insert("charts/episodic_length", mean(&self.lengths));
            metrics.insert("charts/regret", mean(&self.regrets));
        }
    }
}

/// Means over the minibatches of an update.
#[derive(Default)]
pub(super) struct Tally {
    sums: [f64; 6],
    count: f64,
    last_kl: f64,
    pub stopped_early: bool,
}

impl Tally {
    pub fn add(&mut self, losses: &Losses, grad_norm: f64) {
        let number = |t: &Tensor| t.double_value(&[]);
        let values = [
            number(&losses.policy),
            number(&losses.value),
            number(&losses.entropy),
            losses.approx_kl,
            losses.clipfrac,
            grad_norm,
        ];
        self.sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        self.count += 1.0;
        self.last_kl = losses.approx_kl;
    }

    pub fn metrics(&self) -> Metrics {
        const KEYS: [&str; 6] = [
            "losses/policy_loss",
            "losses/value_loss",
            "losses/entropy",
            "losses/mean_kl",
            "losses/clipfrac",
            "losses/grad_norm",
        ];
        let mut metrics: Metrics = KEYS.into_iter().zip(self.sums.map(|sum| sum / self.count)).collect();
        metrics.insert("losses/approx_kl", self.last_kl);
        metrics.insert("losses/stopped_early", f64::from(u8::from(self.stopped_early)));
        metrics
    }
}
