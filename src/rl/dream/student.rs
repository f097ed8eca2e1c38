//! C as a policy with a gradient: the same form, its scores as logits, with a critic beside it. Adam moves it where evolution
//! would draw.

use tch::{Device, Kind, Tensor};

use super::controller::{ControllerShape, Controllers};
use crate::rl::net::adam::Adam;
use crate::rl::net::layers::{LOGIT_GAIN, Mlp};
use crate::rl::net::parameters::Parameters;

/// Logits are scores times this: a controller that takes what earns most at once is to be sure of it.
pub const SHARPNESS: f64 = 3.0;
/// Deviation of the first parameters of the form and of a hidden layer: at 0, what they are multiplied by would have no gradient.
const FIRST_DEVIATION: f64 = 0.05;
/// Width of the critic.
const CRITIC: usize = 64;

/// A controller that learns by gradients, its critic, and Adam.
#[derive(Debug)]
pub struct Student {
    shape: ControllerShape,
    parameters: Parameters,
    actor: Tensor,
    critic: Mlp,
    adam: Adam,
}

impl Student {
    /// Around a controller.
    pub fn new(shape: ControllerShape, around: &[f64], device: Device, seed: u64) -> Student {
        let parameters = Parameters::new(device, seed);
        let root = parameters.root();
        let actor = root.normal("actor", 1, shape.parameters(), FIRST_DEVIATION);
        let critic = Mlp::new(&root.sub("critic"), shape.state(), CRITIC, 1, LOGIT_GAIN);
        let adam = Adam::new(parameters.all());
        let student = Student { shape, actor, critic, adam, parameters };
        let noise = Vec::<f32>::try_from(student.actor.detach().to_device(Device::Cpu).flatten(0, -1)).expect("floats");
        // Only the form: what counts alone begins exactly where it is told to.
        let form = shape.form();
        let begin = around.iter().zip(noise).enumerate();
        let begin: Vec<f32> = begin.map(|(at, (a, n))| *a as f32 + if at < form { n } else { 0.0 }).collect();
        let begin = Tensor::from_slice(&begin).unsqueeze(0);
        student.parameters.copy_from(|name| (name == "actor").then(|| begin.shallow_clone()));
        student
    }

    /// The controller as it is.
    pub fn controller(&self) -> Vec<f64> {
        let flat = self.actor.detach().to_device(Device::Cpu).flatten(0, -1);
        Vec::<f32>::try_from(flat).expect("floats").into_iter().map(f64::from).collect()
    }

    /// What the controller is made of.
    pub fn shape(&self) -> ControllerShape {
        self.shape
    }

    /// As controllers are used, with a gradient.
    pub fn controllers(&self) -> Controllers {
        Controllers::of(self.shape, &self.actor)
    }

    /// `[B, S + 1]`: log-probabilities of slots and of stopping, from states `[B, Z]`, slots `[B, S, SLOT]` and whether they are
    /// there, `[B, S]` bool.
    pub fn log_probabilities(&self, state: &Tensor, slots: &Tensor, present: &Tensor) -> Tensor {
        let one = |x: &Tensor| x.unsqueeze(0);
        let scores = self.controllers().scores(&one(state), &one(slots), &one(present)).squeeze_dim(0);
        (scores * SHARPNESS).log_softmax(-1, Kind::Float)
    }

    /// `[B]`: what is expected from states `[B, Z]` on.
    pub fn value(&self, state: &Tensor) -> Tensor {
        self.critic.forward(&self.shape.reads(state)).squeeze_dim(-1)
    }

    /// One step of Adam against the gradient of a loss; none if the gradient is not finite.
    pub fn step(&mut self, loss: &Tensor, learning_rate: f64, max_grad_norm: f64) {
        self.adam.zero_grad();
        loss.backward();
        if self.adam.clip_grad_norm(max_grad_norm).is_finite() {
            self.adam.step(learning_rate, crate::rl::ppo::ADAM_EPS);
        }
    }

    /// One step of Adam up the controller's gradient of `[]`, and the length of that before it was clipped; nothing else that led
    /// there is given a gradient. None if it is not finite.
    pub fn ascend(&mut self, earned: &Tensor, learning_rate: f64, max_grad_norm: f64) -> f64 {
        let gradient = Tensor::run_backward(&[earned], &[&self.actor], false, false).remove(0).detach();
        let norm = gradient.norm().to_kind(Kind::Double).double_value(&[]);
        self.step(&-(&self.actor * gradient).sum(Kind::Float), learning_rate, max_grad_norm);
        norm
    }

    /// Where it is.
    pub fn device(&self) -> Device {
        self.actor.device()
    }

    /// Steps of Adam so far.
    pub fn steps(&self) -> u64 {
        self.adam.steps()
    }

    /// Everything that learning changes, by name.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        self.adam.with(&self.parameters)
    }

    /// Takes up what [`Student::tensors`] gave.
    pub fn restore(&mut self, steps: u64, value: impl Fn(&str) -> Option<Tensor>) {
        self.adam.restore_with(&self.parameters, steps, value);
    }
}

/// `[B]`: entropy of log-probabilities `[B, S + 1]` as a share of the largest that so many possible actions (`[B, S]` bool, and to
/// stop) allow; 0 where one is possible.
pub fn entropy(log_probabilities: &Tensor, present: &Tensor) -> Tensor {
    let last = [-1i64];
    let entropy = -(log_probabilities.exp() * log_probabilities.clamp_min(-1e4)).sum_dim_intlist(
        last.as_slice(),
        false,
        Kind::Float,
    );
    let possible = present.sum_dim_intlist(last.as_slice(), false, Kind::Float) + 1.0;
    entropy / possible.log().clamp_min(2f64.ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::tests::numbers;

    #[test]
    fn entropy_is_a_share_of_the_largest() {
        let quarter = 0.25f32.ln();
        let log = Tensor::from_slice(&[quarter, quarter, quarter, quarter, -1e9, -1e9, -1e9, 0.0]).reshape([2, 4]);
        let present = Tensor::from_slice(&[true, true, true, false, false, false]).reshape([2, 3]);
        let shares = numbers(&entropy(&log, &present));
        assert!((shares[0] - 1.0).abs() < 1e-6 && shares[1] == 0.0, "{shares:?}");
    }

    #[test]
    fn it_begins_as_the_controller_it_is_given_but_for_the_form() {
        let shape = ControllerShape::linear(2, 8);
        let first = shape.first(true);
        let student = Student::new(shape, &first, Device::Cpu, 3);
        let own = student.controller();
        assert_eq!(own[shape.form()..], first[shape.form()..]);
        assert!(own[..shape.form()].iter().all(|p| *p != 0.0 && p.abs() < 0.5));
    }
}
