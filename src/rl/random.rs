//! Random numbers with their state in the open, so that training resumes exactly.

use serde::{Deserialize, Serialize};

use crate::graph::splitmix64;

/// A stream of random numbers: splitmix64 of a seed and a count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Random {
        Random { seed: splitmix64(seed, 0), drawn: 0 }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.drawn += 1;
        splitmix64(self.seed, self.drawn)
    }

    /// Leaves out so many draws of 64 bits: the n-th of them, from 0, is `splitmix64(seed, from + n)` of what is returned.
    pub fn skip(&mut self, count: u64) -> (u64, u64) {
        let from = self.drawn + 1;
        self.drawn += count;
        (self.seed, from)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform below `count`, which is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// Normal, of mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        // Above 0: the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.unit()).cos()
    }

    /// Of the standard Gumbel distribution: added to logits, the largest is a draw by their softmax.
    pub fn gumbel(&mut self) -> f64 {
        // Above 0 within and without: both logarithms are finite.
        -(-(1.0 - self.unit()).ln()).max(f64::MIN_POSITIVE).ln()
    }

    /// Puts items in a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_where_its_state_says() {
        let mut random = Random::new(7);
        let first: Vec<usize> = (0..100).map(|_| random.below(10)).collect();
        assert!((0..10).all(|digit| first.contains(&digit)));
        let mut copy = random;
        assert_eq!(random.bits(), copy.bits());
        let mut items: Vec<u32> = (0..20).collect();
        random.shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
