//! Mixtures of Gaussians with diagonal deviation (Bishop 1994), with a temperature (Ha and Schmidhuber 2018); one Gaussian and
//! a single prediction as their simplest cases.

use tch::{Kind, Tensor};

/// Deviations are at least `exp` of this, or a likelihood could grow without bound.
pub const LEAST_LOG_SIGMA: f64 = -3.0;
/// And at most `exp` of this: a change is of the order of 1.
const MOST_LOG_SIGMA: f64 = 3.0;

/// A distribution over vectors of width `U`, for each of any number of states.
#[derive(Debug)]
pub struct Mixture {
    /// `[.., K]`: log-weights, normalised.
    pub log_pi: Tensor,
    /// `[.., K, U]`.
    pub mu: Tensor,
    /// `[.., K, U]`; `None` for a prediction without spread (then K is 1).
    pub log_sigma: Option<Tensor>,
}

/// Numbers that a network must give for a mixture of `components` (0: a single prediction).
pub fn width(components: usize, of: usize) -> usize {
    if components == 0 { of } else { components * (1 + 2 * of) }
}

impl Mixture {
    /// Of the numbers `[.., width]` that a network gave.
    pub fn new(raw: &Tensor, components: usize, of: usize) -> Mixture {
        let mut lead = raw.size();
        assert_eq!(lead.pop(), Some(width(components, of) as i64), "the width of a mixture's numbers");
        let (k, u) = (components.max(1) as i64, of as i64);
        let vectors = [lead.as_slice(), &[k, u]].concat();
        if components == 0 {
            let log_pi = Tensor::zeros([lead.as_slice(), &[1]].concat(), (Kind::Float, raw.device()));
            return Mixture { log_pi, mu: raw.reshape(vectors), log_sigma: None };
        }
        let log_sigma = raw.narrow(-1, k + k * u, k * u).reshape(&vectors).clamp(LEAST_LOG_SIGMA, MOST_LOG_SIGMA);
        Mixture {
            log_pi: raw.narrow(-1, 0, k).log_softmax(-1, Kind::Float),
            mu: raw.narrow(-1, k, k * u).reshape(&vectors),
            log_sigma: Some(log_sigma),
        }
    }

    /// `[..]`: negative log-likelihood of vectors `[.., U]`; without spread, half the squared distance.
    pub fn loss(&self, x: &Tensor) -> Tensor {
        let sum = |x: Tensor| x.sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
        let away = x.unsqueeze(-2) - &self.mu;
        let Some(log_sigma) = &self.log_sigma else { return sum(away.square()).squeeze_dim(-1) / 2.0 };
        let constant = (2.0 * std::f64::consts::PI).ln() / 2.0 * self.mu.size()[self.mu.dim() - 1] as f64;
        let log_density = -sum((away / log_sigma.exp()).square()) / 2.0 - sum(log_sigma.shallow_clone()) - constant;
        -(&self.log_pi + log_density).logsumexp([-1i64].as_slice(), false)
    }

    /// `[.., U]`: the middle of the likeliest component.
    pub fn mode(&self) -> Tensor {
        self.of_component(&self.mu, &self.log_pi.argmax(-1, false))
    }

    /// `[.., U]`: the mean.
    pub fn mean(&self) -> Tensor {
        (self.log_pi.exp().unsqueeze(-1) * &self.mu).sum_dim_intlist([-2i64].as_slice(), false, Kind::Float)
    }

    /// `[.., U]`: a draw at a temperature: log-weights are divided by it, deviations multiplied by its square root. `uniform`
    /// is `[..]` in [0, 1), `normal` `[.., U]`. At temperature 0 it is the mode.
    pub fn sample(&self, temperature: f64, uniform: &Tensor, normal: &Tensor) -> Tensor {
        if temperature == 0.0 {
            return self.mode();
        }
        let shares = (&self.log_pi / temperature).softmax(-1, Kind::Float).cumsum(-1, Kind::Float);
        let last = self.log_pi.size()[self.log_pi.dim() - 1] - 1;
        // The number of shares at or below the draw; rounding may leave the last below 1.
        let component =
            uniform.unsqueeze(-1).ge_tensor(&shares).sum_dim_intlist([-1i64].as_slice(), false, Kind::Int64);
        let component = component.clamp_max(last as f64).to_kind(Kind::Int64);
        let mu = self.of_component(&self.mu, &component);
        match &self.log_sigma {
            None => mu,
            Some(log_sigma) => mu + self.of_component(log_sigma, &component).exp() * normal * temperature.sqrt(),
        }
    }

    /// `[.., U]` of `[.., K, U]` by components `[..]`.
    fn of_component(&self, table: &Tensor, component: &Tensor) -> Tensor {
        let u = table.size()[table.dim() - 1];
        let mut size = component.size();
        size.extend([1, u]);
        table.gather(-2, &component.unsqueeze(-1).unsqueeze(-1).expand(size, false), false).squeeze_dim(-2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::tests::numbers;
    use tch::Device;

    /// Two components in one dimension: weights 1/4 and 3/4, N(0, 1) and N(2, e).
    fn two() -> Mixture {
        Mixture::new(&Tensor::from_slice(&[0.0f32, 3.0f32.ln(), 0.0, 2.0, 0.0, 1.0]).reshape([1, 6]), 2, 1)
    }

    #[test]
    fn the_likelihood_by_hand() {
        // At 1: 0.25 * 0.241971 + 0.75 * exp(-0.5 / e^2) * 0.398942 / e = 0.0604927 + 0.75 * 0.137162 = 0.163364.
        let loss = numbers(&two().loss(&Tensor::from_slice(&[1.0f32]).reshape([1, 1])))[0];
        assert!((loss - 1.811_773).abs() < 1e-4, "{loss}");
        let far = numbers(&two().loss(&Tensor::from_slice(&[1e4f32]).reshape([1, 1])))[0];
        assert!(far.is_finite(), "a sum of densities that are 0 in f32");
        let plain = Mixture::new(&Tensor::from_slice(&[1.0f32, -1.0]).reshape([1, 2]), 0, 2);
        assert_eq!(numbers(&plain.loss(&Tensor::from_slice(&[3.0f32, 0.0]).reshape([1, 2]))), [2.5]);
    }

    #[test]
    fn temperature_sharpens_weights_and_shrinks_noise() {
        let mixture = two();
        let draw = |temperature: f64, uniform: f32, normal: f32| {
            let uniform = Tensor::from_slice(&[uniform]);
            numbers(&mixture.sample(temperature, &uniform, &Tensor::from_slice(&[normal]).reshape([1, 1])))[0]
        };
        assert_eq!(draw(0.0, 0.0, 5.0), 2.0);
        assert_eq!(numbers(&mixture.mode()), [2.0]);
        assert!((numbers(&mixture.mean())[0] - 1.5).abs() < 1e-5);
        // At 1 the first component has a quarter; at 1/2 its weight is 1/16 of 10/16: a tenth.
        assert_eq!(draw(1.0, 0.2, 1.0), 1.0);
        assert!((draw(1.0, 0.3, 1.0) - (2.0 + 1.0f32.exp())).abs() < 1e-5);
        assert!((draw(0.5, 0.2, 1.0) - (2.0 + 1.0f32.exp() * 0.5f32.sqrt())).abs() < 1e-5);
        assert!((draw(0.5, 0.05, 1.0) - 0.5f32.sqrt()).abs() < 1e-5);
        assert!((draw(1.0, 0.999_999_9, 0.0) - 2.0).abs() < 1e-5);
    }

    #[test]
    fn deviations_have_a_floor() {
        let sharp = Mixture::new(&Tensor::from_slice(&[0.0f32, 0.0, -50.0]).reshape([1, 3]), 1, 1);
        let loss = numbers(&sharp.loss(&Tensor::zeros([1, 1], (Kind::Float, Device::Cpu))))[0];
        assert!((f64::from(loss) - (LEAST_LOG_SIGMA + 0.918_939)).abs() < 1e-4, "{loss}");
    }
}
