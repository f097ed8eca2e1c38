//! Expected mean and variance of activations, followed through a network while it is built, so that every random weight
//! can be given the scale at which its output has variance about one: activations stay finite and alive at any depth,
//! as in a trained network, whatever the architecture (branches, sums, recurrences).
//!
//! The rules treat elements as independent and normal; they are estimates, exact for a linear layer with weights drawn
//! independently of their input (He et al. 2015 is the case of one rectified input).

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Expected mean and variance of the elements of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) var: f64,
}

impl Moments {
    /// Standard normal, the assumption about network inputs and the result of a normalisation.
    pub(super) const UNIT: Moments = Moments { mean: 0.0, var: 1.0 };

    pub(super) const fn new(mean: f64, var: f64) -> Moments {
        Moments { mean, var }
    }

    /// Expected square.
    pub(super) fn power(self) -> f64 {
        self.mean * self.mean + self.var
    }

    /// Standard deviation.
    pub(super) fn std(self) -> f64 {
        self.var.sqrt()
    }

    fn from_power(mean: f64, power: f64) -> Moments {
        Moments { mean, var: (power - mean * mean).max(1e-6) }
    }

    /// Sum of two independent values.
    pub(super) fn plus(self, other: Moments) -> Moments {
        Moments { mean: self.mean + other.mean, var: self.var + other.var }
    }

    /// Product of two independent values.
    pub(super) fn times(self, other: Moments) -> Moments {
        Moments::from_power(self.mean * other.mean, self.power() * other.power())
    }

    /// Multiplied by a number.
    pub(super) fn scaled(self, factor: f64) -> Moments {
        Moments { mean: self.mean * factor, var: self.var * factor * factor }
    }

    /// max(x, 0) of a normal x: the moments of the rectified normal distribution.
    pub(super) fn relu(self) -> Moments {
        let s = self.std().max(1e-9);
        let z = self.mean / s;
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        let below = 0.5 * (1.0 + libm::erf(z * FRAC_1_SQRT_2));
        let mean = self.mean * below + s * density;
        Moments::from_power(mean, self.power() * below + self.mean * s * density)
    }

    /// tanh, by a rational approximation of its saturation.
    pub(super) fn tanh(self) -> Moments {
        Moments { mean: self.mean / (1.0 + self.power()).sqrt(), var: self.var / (1.0 + self.power()) }
    }

    /// Logistic function: (1 + tanh(x / 2)) / 2.
    pub(super) fn sigmoid(self) -> Moments {
        let t = self.scaled(0.5).tanh();
        Moments { mean: 0.5 + 0.5 * t.mean, var: 0.25 * t.var }
    }

    /// Mean over a window: neighbours are correlated, so that a part of the variance stays.
    pub(super) fn averaged(self) -> Moments {
        Moments { mean: self.mean, var: 0.3 * self.var }
    }

    /// Maximum over a window of correlated neighbours.
    pub(super) fn maximum(self) -> Moments {
        Moments { mean: self.mean + 0.8 * self.std(), var: 0.6 * self.var }
    }

    /// Softmax-weighted mean over a sequence: some tens of independent elements share the weight.
    pub(super) fn attended(self) -> Moments {
        Moments { mean: self.mean, var: 0.05 * self.var }
    }

    /// Mixture with weights (of a concatenation).
    pub(super) fn mixed(parts: &[(f64, Moments)]) -> Moments {
        let total: f64 = parts.iter().map(|p| p.0).sum();
        let mean = parts.iter().map(|p| p.0 * p.1.mean).sum::<f64>() / total;
        let power = parts.iter().map(|p| p.0 * p.1.power()).sum::<f64>() / total;
        Moments::from_power(mean, power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectified_normal_has_the_known_moments() {
        let m = Moments::UNIT.relu();
        assert!((m.mean - (1.0 / (2.0 * PI)).sqrt()).abs() < 1e-12);
        assert!((m.power() - 0.5).abs() < 1e-12);
        let far = Moments::new(10.0, 1.0).relu();
        assert!((far.mean - 10.0).abs() < 1e-6 && (far.var - 1.0).abs() < 1e-6, "{far:?}");
    }

    #[test]
    fn mixtures_and_products_keep_the_expected_square() {
        let (a, b) = (Moments::new(1.0, 2.0), Moments::new(-1.0, 4.0));
        let m = Moments::mixed(&[(1.0, a), (3.0, b)]);
        assert!((m.mean + 0.5).abs() < 1e-12 && (m.power() - 4.5).abs() < 1e-12);
        assert!((a.times(b).power() - 15.0).abs() < 1e-12);
    }
}
