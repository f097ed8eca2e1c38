//! C is trained in dreams: generations of controllers, each judged by what M says it earns.

use tch::{Tensor, no_grad};

use super::chance::Chance;
use super::cma::SepCma;
use super::config::PracticeConfig;
use super::controller::{ControllerShape, Controllers};
use super::ensemble::Ensemble;
use super::frame::Frame;
use crate::rl::random::Random;

/// What a generation came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generation {
    /// Mean return in the dream, over controllers and dreams.
    pub mean: f64,
    /// That of the best controller.
    pub best: f64,
    /// That of the distribution's mean before this generation; it is one of the controllers.
    pub middle: f64,
    /// Deviation of the distribution.
    pub sigma: f64,
    /// Steps dreamt.
    pub steps: u64,
}

/// Training in dreams.
#[derive(Debug)]
pub struct Practice<'m> {
    models: Ensemble<'m>,
    table: Tensor,
    starts: Vec<&'m Frame>,
    shape: ControllerShape,
    config: PracticeConfig,
    horizon: usize,
}

impl<'m> Practice<'m> {
    /// Of controllers of this shape, in dreams of at most `horizon` actions that begin in these states, one after another.
    pub fn new(
        models: impl Into<Ensemble<'m>>,
        table: &Tensor,
        starts: Vec<&'m Frame>,
        config: PracticeConfig,
        (shape, horizon): (ControllerShape, usize),
    ) -> Practice<'m> {
        let models = models.into();
        Practice { models, table: table.shallow_clone(), starts, shape, config, horizon }
    }

    /// The distribution that a training begins with.
    pub fn begin(&self) -> SepCma {
        self.begin_at(self.shape.first(self.config.warm_start))
    }

    /// The same around a controller.
    pub fn begin_at(&self, middle: Vec<f64>) -> SepCma {
        SepCma::new(middle, self.config.sigma, self.config.population)
    }

    /// One generation; everything is drawn from `random`.
    pub fn generation(&self, cma: &mut SepCma, random: &mut Random) -> Generation {
        let mut candidates = cma.ask(random);
        // The middle itself takes part: it is what is used in the end.
        candidates[0].clone_from(&cma.mean);
        let (scores, steps) = self.returns(&candidates, self.config.temperature, self.config.dreams, random);
        cma.tell(&candidates, &scores);
        Generation {
            mean: scores.iter().sum::<f64>() / scores.len() as f64,
            best: scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            middle: scores[0],
            sigma: cma.sigma,
            steps,
        }
    }

    /// Mean return of each controller over as many dreams from each start, and the number of steps dreamt.
    pub fn returns(
        &self,
        parameters: &[Vec<f64>],
        temperature: f64,
        dreams: usize,
        random: &mut Random,
    ) -> (Vec<f64>, u64) {
        no_grad(|| {
            let controllers = Controllers::new(self.shape, parameters, self.models.first.device());
            // Without chance all dreams of a start are the same.
            let dreams = if temperature == 0.0 { 1 } else { dreams.max(1) };
            let (p, n) = (parameters.len(), self.starts.len() * dreams);
            let starts: Vec<&Frame> = (0..p * n).map(|at| self.starts[at % self.starts.len()]).collect();
            let mut dream = self.models.dream(&self.table, &starts);
            let mut chance = Chance { temperature, random, draws: n as i64 };
            let by = |x: &Tensor| {
                let size = x.size();
                x.reshape([&[p as i64, n as i64], &size[1..]].concat())
            };
            let mut total = dream.going.zeros_like();
            let mut steps = 0;
            for _ in 0..self.horizon {
                let going = dream.going.sum(tch::Kind::Float).double_value(&[]) as u64;
                if going == 0 {
                    break;
                }
                steps += going;
                let action = controllers.choose(&by(&dream.state()), &by(&dream.slots()), &by(&dream.present()));
                total += dream.step(&action.flatten(0, 1), &mut chance);
            }
            let means = by(&total).mean_dim([1i64].as_slice(), false, tch::Kind::Float);
            let means = Vec::<f32>::try_from(means.to_device(tch::Device::Cpu)).expect("one number a controller");
            (means.into_iter().map(f64::from).collect(), steps)
        })
    }
}
