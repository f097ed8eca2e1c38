//! Separable CMA-ES (Ros and Hansen 2008): evolution of a normal distribution with a diagonal covariance. Maximises.

use serde::{Deserialize, Serialize};

use crate::rl::random::Random;

/// The distribution, and what it remembers of its way. Written out in full, so that a search goes on exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SepCma {
    /// Where the distribution is.
    pub mean: Vec<f64>,
    /// Its overall deviation.
    pub sigma: f64,
    /// Variances by coordinate.
    variance: Vec<f64>,
    /// Way of the mean, in units of the deviation: long if steps agree.
    sigma_path: Vec<f64>,
    /// The same for the variances.
    variance_path: Vec<f64>,
    generation: u64,
    population: usize,
}

/// The constants of Hansen's tutorial (2016), table 1, with the learning rates of the diagonal form.
struct Constants {
    weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    /// Expected length of a standard normal vector.
    chi: f64,
}

impl Constants {
    fn new(n: usize, population: usize) -> Constants {
        let n = n as f64;
        let mu = population / 2;
        let raw: Vec<f64> = (1..=mu).map(|i| ((population as f64 + 1.0) / 2.0).ln() - (i as f64).ln()).collect();
        let total: f64 = raw.iter().sum();
        let weights: Vec<f64> = raw.iter().map(|w| w / total).collect();
        let mu_eff = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        let d_sigma = 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
        let c_c = (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n);
        // Fewer numbers to learn than in a full matrix: faster, by (n + 2) / 3.
        let faster = (n + 2.0) / 3.0;
        let c_1 = (faster * 2.0 / ((n + 1.3).powi(2) + mu_eff)).min(1.0);
        let full = 2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0).powi(2) + mu_eff);
        let c_mu = (faster * full).clamp(0.0, 1.0 - c_1);
        let chi = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
        Constants { weights, mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi }
    }
}

impl SepCma {
    /// Begins around `mean`. The population is at least 4.
    pub fn new(mean: Vec<f64>, sigma: f64, population: usize) -> SepCma {
        let n = mean.len();
        SepCma {
            mean,
            sigma,
            variance: vec![1.0; n],
            sigma_path: vec![0.0; n],
            variance_path: vec![0.0; n],
            generation: 0,
            population: population.max(4),
        }
    }

    /// Generations so far.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The candidates of a generation.
    pub fn ask(&self, random: &mut Random) -> Vec<Vec<f64>> {
        let one = |random: &mut Random| {
            let step = |(m, v): (&f64, &f64)| m + self.sigma * v.sqrt() * random.normal();
            self.mean.iter().zip(&self.variance).map(step).collect()
        };
        (0..self.population).map(|_| one(random)).collect()
    }

    /// Moves by how good the candidates were: higher is better. Those without a number count as worst.
    #[allow(clippy::needless_range_loop, reason = "one coordinate of several lists at a time")]
    pub fn tell(&mut self, candidates: &[Vec<f64>], scores: &[f64]) {
        let n = self.mean.len();
        let k = Constants::new(n, self.population);
        let worth = |at: usize| if scores[at].is_nan() { f64::NEG_INFINITY } else { scores[at] };
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|a, b| worth(*b).total_cmp(&worth(*a)).then(a.cmp(b)));
        let best: Vec<&Vec<f64>> = order.iter().take(k.weights.len()).map(|&at| &candidates[at]).collect();
        self.generation += 1;
        // Steps in units of the deviation sigma, by coordinate.
        let step = |candidate: &[f64], i: usize| (candidate[i] - self.mean[i]) / self.sigma;
        let mean_step: Vec<f64> =
            (0..n).map(|i| k.weights.iter().zip(&best).map(|(w, c)| w * step(c, i)).sum()).collect();
        let spread: Vec<f64> =
            (0..n).map(|i| k.weights.iter().zip(&best).map(|(w, c)| w * step(c, i).powi(2)).sum()).collect();
        let gain = (k.c_sigma * (2.0 - k.c_sigma) * k.mu_eff).sqrt();
        for i in 0..n {
            self.sigma_path[i] = (1.0 - k.c_sigma) * self.sigma_path[i] + gain * mean_step[i] / self.variance[i].sqrt();
        }
        let length = self.sigma_path.iter().map(|p| p * p).sum::<f64>().sqrt();
        let expected = (1.0 - (1.0 - k.c_sigma).powi(2 * self.generation as i32)).sqrt() * k.chi;
        // A path that is very long says that sigma is too small: the variances wait meanwhile.
        let waits = length >= (1.4 + 2.0 / (n as f64 + 1.0)) * expected;
        let gain = if waits { 0.0 } else { (k.c_c * (2.0 - k.c_c) * k.mu_eff).sqrt() };
        let forget = 1.0 - k.c_1 - k.c_mu + if waits { k.c_1 * k.c_c * (2.0 - k.c_c) } else { 0.0 };
        for i in 0..n {
            self.variance_path[i] = (1.0 - k.c_c) * self.variance_path[i] + gain * mean_step[i];
            self.variance[i] = forget * self.variance[i] + k.c_1 * self.variance_path[i].powi(2) + k.c_mu * spread[i];
            self.mean[i] += self.sigma * mean_step[i];
        }
        self.sigma *= (k.c_sigma / k.d_sigma * (length / k.chi - 1.0)).min(1.0).exp();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_generation_by_hand() {
        // Population 4, one number: weights log(2.5 / 1) and log(2.5 / 2), normalised: 0.804166, 0.195834.
        let mut cma = SepCma::new(vec![0.0], 2.0, 4);
        cma.tell(&[vec![4.0], vec![-2.0], vec![0.0], vec![2.0]], &[1.0, f64::NAN, 0.0, 3.0]);
        // The best is 2, a step of 1, then 4, a step of 2: the mean step is 0.804166 + 2 * 0.195834 = 1.195834.
        assert!((cma.mean[0] - 2.391_668).abs() < 1e-5, "{cma:?}");
        // mu_eff = 1 / (0.646683 + 0.038351) = 1.459782; c_sigma = 3.459782 / 7.459782 = 0.463791;
        // the path is sqrt(0.463791 * 1.536209 * 1.459782) * 1.195834 = 1.019842 * 1.195834 = 1.219562.
        assert!((cma.sigma_path[0] - 1.219_562).abs() < 1e-4, "{cma:?}");
        // d_sigma = 1 + 0.463791 (the square root of 0.23 is below 1); chi = 1 - 1/4 + 1/21 = 0.797619:
        // sigma = 2 exp(0.463791 / 1.463791 * (1.219562 / 0.797619 - 1)) = 2 exp(0.316842 * 0.529003) = 2.364967.
        assert!((cma.sigma - 2.364_967).abs() < 1e-4, "{cma:?}");
    }

    #[test]
    fn a_sphere_and_an_ellipsoid_are_solved() {
        for (n, stretch) in [(10, 1.0f64), (20, 1e4)] {
            let scale = |i: usize| stretch.powf(i as f64 / (n - 1) as f64);
            let score = |x: &Vec<f64>| -x.iter().enumerate().map(|(i, v)| scale(i) * (v - 1.0).powi(2)).sum::<f64>();
            let mut cma = SepCma::new(vec![0.0; n], 0.5, 12);
            let mut random = Random::new(3);
            for _ in 0..600 {
                let candidates = cma.ask(&mut random);
                let scores: Vec<f64> = candidates.iter().map(score).collect();
                cma.tell(&candidates, &scores);
            }
            assert!(score(&cma.mean) > -1e-10, "{n}: {}", score(&cma.mean));
        }
    }
}
