//! Chance in a dream: the temperature, and what is drawn.

use tch::{Device, Kind, Tensor};

use crate::rl::random::Random;

/// Chance in a dream: the temperature, and what is drawn. Each draw is made for `draws` dreams and used for as many times
/// that as there are, so that controllers that are compared meet the same chance.
#[derive(Debug)]
pub struct Chance<'r> {
    /// 0 takes what is likeliest, and draws nothing.
    pub temperature: f64,
    /// Where draws come from.
    pub random: &'r mut Random,
    /// Draws that differ; a divisor of the number of dreams.
    pub draws: i64,
}

/// What is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Law {
    /// [`Random::unit`].
    Uniform,
    /// [`Random::normal`].
    Normal,
    /// [`Random::gumbel`].
    Gumbel,
}

impl Chance<'_> {
    /// `[B, size]`: uniform in [0, 1).
    pub fn uniform(&mut self, size: &[i64], batch: i64, device: Device) -> Tensor {
        self.fill(Law::Uniform, size, batch, device)
    }

    /// `[B, size]`: normal, of mean 0 and deviation 1.
    pub fn normal(&mut self, size: &[i64], batch: i64, device: Device) -> Tensor {
        self.fill(Law::Normal, size, batch, device)
    }

    /// `[B, size]`: of the standard Gumbel distribution.
    pub fn gumbel(&mut self, size: &[i64], batch: i64, device: Device) -> Tensor {
        self.fill(Law::Gumbel, size, batch, device)
    }

    fn fill(&mut self, law: Law, size: &[i64], batch: i64, device: Device) -> Tensor {
        let count = self.draws * size.iter().product::<i64>();
        // A GPU would wait for numbers that are drawn here and carried over.
        let drawn = if device == Device::Cpu {
            drawn_one_by_one(law, self.random, count)
        } else {
            drawn_at_once(law, self.random, count, device)
        };
        let all = [&[self.draws], size].concat();
        let repeats = [vec![batch / self.draws], vec![1; size.len()]].concat();
        drawn.reshape(all).repeat(repeats)
    }
}

fn drawn_one_by_one(law: Law, random: &mut Random, count: i64) -> Tensor {
    let mut draw = || match law {
        Law::Uniform => random.unit(),
        Law::Normal => random.normal(),
        Law::Gumbel => random.gumbel(),
    };
    let values: Vec<f32> = (0..count).map(|_| draw() as f32).collect();
    Tensor::from_slice(&values)
}

/// The same numbers, all at once on a device: each follows from the seed and its place in the stream.
fn drawn_at_once(law: Law, random: &mut Random, count: i64, device: Device) -> Tensor {
    let values = match law {
        Law::Uniform => units(random, count, device),
        Law::Normal => {
            // Box and Muller, as in `Random::normal`: of every two the first is for the radius.
            let pairs = units(random, 2 * count, device).reshape([count, 2]);
            let rest: Tensor = 1.0 - pairs.select(1, 0);
            let radius = (rest.log() * -2.0).sqrt();
            radius * (pairs.select(1, 1) * (2.0 * std::f64::consts::PI)).cos()
        }
        Law::Gumbel => {
            // Above 0 within and without, as in `Random::gumbel`.
            let rest: Tensor = 1.0 - units(random, count, device);
            -(-rest.log()).clamp_min(f64::MIN_POSITIVE).log()
        }
    };
    values.to_kind(Kind::Float)
}

/// `[count]` of doubles: what [`Random::unit`] would draw.
fn units(random: &mut Random, count: i64, device: Device) -> Tensor {
    let (seed, from) = random.skip(count as u64);
    // splitmix64, in integers that wrap.
    let mixed = |z: Tensor, shift: u32, by: u64| z.bitwise_xor_tensor(&shifted(&z, shift)) * by as i64;
    let index = Tensor::arange(count, (Kind::Int64, device)) + (from as i64).wrapping_add(1);
    let z = index * 0x9e37_79b9_7f4a_7c15_u64 as i64 + seed as i64;
    let z = mixed(mixed(z, 30, 0xbf58_476d_1ce4_e5b9), 27, 0x94d0_49bb_1331_11eb);
    let z = z.bitwise_xor_tensor(&shifted(&z, 31));
    shifted(&z, 11).to_kind(Kind::Double) / (1u64 << 53) as f64
}

/// Shifted to the right as if integers had no sign.
fn shifted(z: &Tensor, by: u32) -> Tensor {
    z.bitwise_right_shift_tensor_scalar(i64::from(by)).bitwise_and((u64::MAX >> by) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_drawn_at_once_are_those_that_are_drawn_one_by_one() {
        for (law, seed) in [(Law::Uniform, 3), (Law::Normal, 4), (Law::Normal, u64::MAX), (Law::Gumbel, 5)] {
            let (mut a, mut b) = (Random::new(seed), Random::new(seed));
            for count in [1, 1000] {
                let (one_by_one, at_once) =
                    (drawn_one_by_one(law, &mut a, count), drawn_at_once(law, &mut b, count, Device::Cpu));
                let off = (one_by_one - at_once).abs().max().double_value(&[]);
                assert!(off < 1e-6, "{law:?}, seed {seed}: {off}");
                assert_eq!(a, b, "the stream goes on from the same place");
            }
        }
    }
}
