//! Adam (Kingma and Ba 2015), with its state in the open so that training resumes exactly.

use tch::{Tensor, no_grad};

use super::parameters::Parameters;

/// What Adam remembers of each parameter.
#[derive(Debug)]
pub struct Adam {
    parameters: Vec<(String, Tensor)>,
    /// Mean of the gradient, and of its square, by parameter.
    moments: Vec<[Tensor; 2]>,
    steps: u64,
}

/// Decay of the two moments.
const BETAS: [f64; 2] = [0.9, 0.999];

impl Adam {
    /// For these parameters, which share storage with their network.
    pub fn new(parameters: Vec<(String, Tensor)>) -> Adam {
        let moments = parameters.iter().map(|(_, p)| [0, 1].map(|_| p.zeros_like().detach())).collect();
        Adam { parameters, moments, steps: 0 }
    }

    /// Forgets the gradients.
    pub fn zero_grad(&mut self) {
        for (_, parameter) in &mut self.parameters {
            parameter.zero_grad();
        }
    }

    /// Euclidean norm of all gradients together; scales them down to `max_norm` if they are longer. A parameter without
    /// a gradient counts as zero.
    pub fn clip_grad_norm(&self, max_norm: f64) -> f64 {
        no_grad(|| {
            let gradients: Vec<Tensor> =
                self.parameters.iter().map(|(_, p)| p.grad()).filter(Tensor::defined).collect();
            let squares: Vec<Tensor> = gradients.iter().map(|g| g.square().sum(tch::Kind::Double)).collect();
            if squares.is_empty() {
                return 0.0;
            }
            let norm = Tensor::stack(&squares, 0).sum(tch::Kind::Double).sqrt().double_value(&[]);
            if norm.is_finite() && norm > max_norm {
                for gradient in gradients {
                    let _ = gradient.shallow_clone().g_mul_scalar_(max_norm / (norm + 1e-6));
                }
            }
            norm
        })
    }

    /// One step along the gradients.
    pub fn step(&mut self, learning_rate: f64, eps: f64) {
        self.steps += 1;
        let correction = BETAS.map(|beta| 1.0 - beta.powi(self.steps as i32));
        no_grad(|| {
            for ((_, parameter), [mean, square]) in self.parameters.iter_mut().zip(&mut self.moments) {
                let gradient = parameter.grad();
                if !gradient.defined() {
                    continue;
                }
                let _ = mean.g_mul_scalar_(BETAS[0]).g_add_(&(&gradient * (1.0 - BETAS[0])));
                let _ = square.g_mul_scalar_(BETAS[1]).g_add_(&(gradient.square() * (1.0 - BETAS[1])));
                let root = (&*square / correction[1]).sqrt() + eps;
                let _ = parameter.g_sub_(&(&*mean / root * (learning_rate / correction[0])));
            }
        });
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The state by name: `NAME.mean` and `NAME.square`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let parts = ["mean", "square"];
        let named = |((name, _), moments): (&(String, Tensor), &[Tensor; 2])| {
            [0, 1].map(|i| (format!("{name}.{}", parts[i]), moments[i].shallow_clone()))
        };
        self.parameters.iter().zip(&self.moments).flat_map(named).collect()
    }

    /// Everything that learning changes, by name: parameters, and the state behind `adam.`.
    pub fn with(&self, parameters: &Parameters) -> Vec<(String, Tensor)> {
        let state = self.state().into_iter().map(|(name, t)| (format!("adam.{name}"), t));
        parameters.all().into_iter().chain(state).collect()
    }

    /// Takes up what [`Adam::with`] gave.
    pub fn restore_with(&mut self, parameters: &Parameters, steps: u64, value: impl Fn(&str) -> Option<Tensor>) {
        parameters.copy_from(&value);
        self.restore(steps, |name| value(&format!("adam.{name}")));
    }

    /// Takes up a state that [`Adam::state`] gave.
    pub fn restore(&mut self, steps: u64, value: impl Fn(&str) -> Option<Tensor>) {
        self.steps = steps;
        no_grad(|| {
            for (name, mut tensor) in self.state() {
                if let Some(value) = value(&name) {
                    tensor.copy_(&value);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn two_steps_by_hand() {
        let parameter = Tensor::from_slice(&[1.0f32]).set_requires_grad(true);
        let mut adam = Adam::new(vec![("p".to_owned(), parameter.shallow_clone())]);
        // The gradient of p^2 is 2p. The first step of Adam is the learning rate, whatever the gradient. Before the second
        // the gradients were 2 and 1.8: mean (0.9 * 0.2 + 0.18) / 0.19 = 1.8947, square (0.999 * 0.004 + 0.00324) / 0.001999
        // = 3.6198, the step 0.1 * 1.8947 / 1.9026.
        for expected in [0.9, 0.800_412] {
            adam.zero_grad();
            parameter.square().sum(Kind::Float).backward();
            adam.step(0.1, 1e-8);
            assert!((parameter.double_value(&[0]) - expected).abs() < 1e-5, "{parameter:?}");
        }
        let mut other = Adam::new(vec![("p".to_owned(), Tensor::zeros([1], (Kind::Float, Device::Cpu)))]);
        let state = adam.state();
        other.restore(adam.steps(), |name| state.iter().find(|(n, _)| n == name).map(|(_, t)| t.shallow_clone()));
        assert_eq!(other.steps(), 2);
        assert!(other.state()[1].1.equal(&adam.state()[1].1));
    }

    #[test]
    fn long_gradients_are_cut_to_the_norm() {
        let parameter = Tensor::from_slice(&[3.0f32, 4.0]).set_requires_grad(true);
        let adam = Adam::new(vec![("p".to_owned(), parameter.shallow_clone())]);
        (parameter.square().sum(Kind::Float) / 2.0).backward();
        assert!((adam.clip_grad_norm(1.0) - 5.0).abs() < 1e-6);
        assert!((adam.clip_grad_norm(1.0) - 1.0).abs() < 1e-5);
    }
}
