//! The Ms of an ensemble beside the first: other parameters at first, and each its own draw of the episodes.

use tch::{Device, Tensor};

use crate::graph::splitmix64;
use crate::rl::dream::config::{FitConfig, ModelConfig};
use crate::rl::dream::data::Trajectory;
use crate::rl::dream::fit::Fit;
use crate::rl::dream::model::WorldModel;
use crate::rl::random::Random;

/// One of them.
#[derive(Debug)]
pub struct Member {
    /// It.
    pub model: WorldModel,
    fit: Fit,
    seed: u64,
}

impl Member {
    /// Number `number`, from 1.
    pub fn new(config: ModelConfig, device: Device, seed: u64, number: usize) -> Member {
        let seed = splitmix64(seed, number as u64);
        let model = WorldModel::new(config, device, seed);
        Member { fit: Fit::new(&model), model, seed }
    }

    /// Once through its draw of as many episodes, with replacement: the same one in every epoch of a round.
    pub fn epoch(
        &mut self,
        episodes: &[&Trajectory],
        rules: &Tensor,
        config: &FitConfig,
        (round, done): (usize, f64),
        seed: u64,
    ) {
        let mut random = Random::new(splitmix64(self.seed, round as u64));
        let own: Vec<&Trajectory> = episodes.iter().map(|_| episodes[random.below(episodes.len())]).collect();
        self.fit.epoch(&self.model, &own, rules, config, done, seed ^ self.seed);
    }

    /// Reads and predicts on the same scales as another.
    pub fn share_scales(&mut self, with: &WorldModel) {
        self.model.scales = with.scales.share();
    }

    /// Steps of Adam.
    pub fn steps(&mut self) -> u64 {
        self.fit.adam().steps()
    }

    /// Everything that fitting changes, by name.
    pub fn tensors(&mut self) -> Vec<(String, Tensor)> {
        self.fit.adam().with(&self.model.parameters)
    }

    /// Takes up what [`Member::tensors`] gave.
    pub fn restore(&mut self, steps: u64, value: impl Fn(&str) -> Option<Tensor>) {
        self.fit.adam().restore_with(&self.model.parameters, steps, value);
    }
}
