//! Fitting M to data.

use tch::Device;

use super::config::FitConfig;
use super::data::Trajectory;
use super::model::WorldModel;
use super::model::loss::Losses;
use super::sequences::Sequences;
use crate::rl::net::adam::Adam;
use crate::rl::random::Random;

/// A fit in the making: Adam's state goes from round to round.
#[derive(Debug)]
pub struct Fit {
    adam: Adam,
}

/// Means over an epoch.
pub type EpochLosses = Vec<(&'static str, f64)>;

const ADAM_EPS: f64 = 1e-8;

impl Fit {
    /// For the parameters of a model that are not frozen.
    pub fn new(model: &WorldModel) -> Fit {
        // What is frozen has no gradient and no place in Adam.
        let fitted = model.parameters.all().into_iter().filter(|(_, parameter)| parameter.requires_grad());
        Fit { adam: Adam::new(fitted.collect()) }
    }

    /// Adam, to save and restore.
    pub fn adam(&mut self) -> &mut Adam {
        &mut self.adam
    }

    /// Once through the episodes, in an order that `seed` fixes. `done` is the share of the fit behind it.
    pub fn epoch(
        &mut self,
        model: &WorldModel,
        episodes: &[&Trajectory],
        rules: &tch::Tensor,
        config: &FitConfig,
        done: f64,
        seed: u64,
    ) -> EpochLosses {
        let mut order: Vec<usize> = (0..episodes.len()).collect();
        let mut random = Random::new(seed);
        random.shuffle(&mut order);
        let learning_rate = config.learning_rate * (1.0 - 0.9 * done);
        let (mut sums, mut count): (EpochLosses, f64) = (Vec::new(), 0.0);
        for part in order.chunks(config.batch.max(1)) {
            let batch: Vec<&Trajectory> = part.iter().map(|&at| episodes[at]).collect();
            let mut data = Sequences::new(&batch, model.device());
            data.shift(&model.scales.whole[1], config.shift, &mut random);
            data.blur(config.blur, &mut random);
            let losses = model.losses(&data, rules);
            self.adam.zero_grad();
            losses.total().backward();
            let norm = self.adam.clip_grad_norm(config.max_grad_norm);
            if norm.is_finite() {
                self.adam.step(learning_rate, ADAM_EPS);
            }
            add(&mut sums, &losses, norm);
            count += 1.0;
        }
        sums.iter_mut().for_each(|(_, sum)| *sum /= count);
        sums
    }
}

fn add(sums: &mut EpochLosses, losses: &Losses, norm: f64) {
    let new = losses.all().map(|(name, loss)| (name, loss.double_value(&[])));
    let new: Vec<(&'static str, f64)> = new.into_iter().chain([("losses/grad_norm", norm)]).collect();
    if sums.is_empty() {
        *sums = new;
    } else {
        sums.iter_mut().zip(new).for_each(|(sum, (_, value))| sum.1 += value);
    }
}

/// `[R, RULE]`: the rules' embeddings as a tensor.
pub fn rule_table(rules: &[f32], device: Device) -> tch::Tensor {
    tch::Tensor::from_slice(rules).reshape([-1, super::frame::RULE as i64]).to_device(device)
}
