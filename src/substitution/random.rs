//! Reproducible random choices.

use crate::graph::splitmix64;

/// Sizes that dimensions are drawn from.
const SIZES: [i64; 8] = [1, 1, 2, 2, 3, 3, 4, 5];

/// A stream of choices that depends on its seed and number only.
pub(super) struct Random {
    seed: u64,
    drawn: u64,
    /// Dimensions that are taken in turn instead.
    turns: Option<Turns>,
}

/// Dimensions of 1 and 2: those of the list first, then 1 each time.
#[derive(Default)]
struct Turns {
    sizes: Vec<i64>,
    at: usize,
}

impl Random {
    pub fn new(seed: u64, stream: u64) -> Random {
        Random { seed: splitmix64(seed, stream), drawn: 0, turns: None }
    }

    /// A stream of the same choices again and again, but for dimensions, which [`Random::turn`] leads through all of 1 and 2.
    #[cfg(test)]
    pub fn in_turn(seed: u64, stream: u64) -> Random {
        Random { turns: Some(Turns::default()), ..Random::new(seed, stream) }
    }

    /// Goes on to the next dimensions; false if there were all.
    #[cfg(test)]
    pub fn turn(&mut self) -> bool {
        let Some(turns) = &mut self.turns else { return false };
        turns.sizes.truncate(turns.at);
        (turns.at, self.drawn) = (0, 0);
        while let Some(size) = turns.sizes.pop() {
            if size == 1 {
                turns.sizes.push(2);
                return true;
            }
        }
        false
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.drawn += 1;
        splitmix64(self.seed, self.drawn)
    }

    /// A number below `n` (0 if `n` is 0).
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.bits() % n as u64) as usize }
    }

    /// A dimension.
    pub fn size(&mut self) -> i64 {
        let Some(turns) = &mut self.turns else { return self.pick(&SIZES) };
        if turns.at == turns.sizes.len() {
            turns.sizes.push(1);
        }
        turns.at += 1;
        turns.sizes[turns.at - 1]
    }

    /// True with this probability in percent.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A random order of 0..n.
    pub fn permutation(&mut self, n: usize) -> Vec<i64> {
        let mut order: Vec<i64> = (0..n as i64).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}
