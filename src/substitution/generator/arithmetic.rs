//! The numbers that graphs are evaluated on.
//!
//! [`Field`] is what rules are found with. [`Wrapping`] is the arithmetic of TASO's public generator and serves to count
//! graphs in its way: which tensors coincide decides which graphs it counts.

use crate::graph::splitmix64;

/// Ring operations, and the operations that are no ring operations, on elements stored as u64.
pub trait Arithmetic {
    /// The element of these 64 random bits.
    fn element(bits: u64) -> u64;
    /// The sum.
    fn add(a: u64, b: u64) -> u64;
    /// The difference.
    fn sub(a: u64, b: u64) -> u64;
    /// The product.
    fn mul(a: u64, b: u64) -> u64;
    /// The sum of products.
    fn dot(pairs: impl Iterator<Item = (u64, u64)>) -> u64;
    /// max(x, 0), or what stands for it.
    fn relu(x: u64) -> u64;
    /// The largest element of a window, or what stands for it.
    fn max(window: impl Iterator<Item = u64>) -> u64;
    /// What a sum over `count` elements is multiplied by to make it an average.
    fn share(count: u64) -> u64;
    /// The element that a function without known laws, told apart by its number, takes on `x`.
    fn function(number: u64, x: u64) -> u64;
}

/// Integers modulo the prime 2^61 - 1, with an order that has nothing to do with the ring.
///
/// Two polynomials that differ agree on random elements with a chance of at most their degree over 2^61. The maximum is
/// that of a pseudo-random total order in which 0 comes first; the rectifier goes up to the next of some elements that
/// stand evenly in this order, 0 among them. So what is known of them holds (maxima of maxima; Relu(Relu(x)); Relu(max(x,
/// y)) = max(Relu(x), Relu(y)); Relu(0) = 0), hardly an element is its own rectifier, and nothing ties order to sums or
/// products: Relu(x y) is not Relu(x) Relu(y).
pub struct Field;

/// The prime of [`Field`].
pub const PRIME: u64 = (1 << 61) - 1;

/// An odd number and its inverse modulo 2^64.
const MIXER: u64 = 0xd6e8_feb8_6659_fd93;
const UNMIXER: u64 = inverse(MIXER);

const fn inverse(odd: u64) -> u64 {
    // Each step of Newton's method doubles the number of correct bits, of which there are three at first.
    let (mut x, mut i) = (odd, 0);
    while i < 5 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
        i += 1;
    }
    x
}

/// Distance of the elements that are their own rectifier, in the order.
const RUNG: u64 = 1 << 20;

/// Products that are summed before a reduction: each is below 2^122.
const LAZY: usize = 32;

impl Field {
    fn reduce(x: u128) -> u64 {
        let folded = (x & u128::from(PRIME)) as u64 as u128 + (x >> 61);
        let folded = (folded & u128::from(PRIME)) as u64 + (folded >> 61) as u64;
        if folded >= PRIME { folded - PRIME } else { folded }
    }

    /// The place of an element in the order: a bijection of 61-bit words.
    fn place(x: u64) -> u64 {
        let x = x.wrapping_mul(MIXER) & PRIME;
        (x ^ x >> 31).wrapping_mul(MIXER) & PRIME
    }

    /// The element at a place.
    fn at(place: u64) -> u64 {
        let x = place.wrapping_mul(UNMIXER) & PRIME;
        (x ^ x >> 31).wrapping_mul(UNMIXER) & PRIME
    }

    /// A power.
    pub fn power(mut base: u64, mut exponent: u64) -> u64 {
        let mut result = 1;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = Field::mul(result, base);
            }
            base = Field::mul(base, base);
            exponent >>= 1;
        }
        result
    }
}

impl Arithmetic for Field {
    fn element(bits: u64) -> u64 {
        bits % PRIME
    }

    fn add(a: u64, b: u64) -> u64 {
        let sum = a + b;
        if sum >= PRIME { sum - PRIME } else { sum }
    }

    fn sub(a: u64, b: u64) -> u64 {
        Field::add(a, PRIME - b)
    }

    fn mul(a: u64, b: u64) -> u64 {
        Field::reduce(u128::from(a) * u128::from(b))
    }

    #[inline]
    fn dot(pairs: impl Iterator<Item = (u64, u64)>) -> u64 {
        let (mut sum, mut pending) = (0u128, 0);
        for (a, b) in pairs {
            sum += u128::from(a) * u128::from(b);
            pending += 1;
            if pending == LAZY {
                sum = u128::from(Field::reduce(sum));
                pending = 0;
            }
        }
        Field::reduce(sum)
    }

    fn relu(x: u64) -> u64 {
        // At the end of the order 2^61 - 1 stands in, which is 0.
        let up = Field::place(x).next_multiple_of(RUNG) & PRIME;
        Field::at(up) % PRIME
    }

    fn max(window: impl Iterator<Item = u64>) -> u64 {
        window.max_by_key(|&x| Field::place(x)).unwrap_or(0)
    }

    fn share(count: u64) -> u64 {
        Field::power(count % PRIME, PRIME - 2)
    }

    fn function(number: u64, x: u64) -> u64 {
        splitmix64(number, x) % PRIME
    }
}

/// 32-bit integers that wrap around, as TASO's public generator computes: the average is the sum, the rectifier is a
/// square polynomial, the maximum begins at 0.
pub struct Wrapping;

impl Arithmetic for Wrapping {
    fn element(bits: u64) -> u64 {
        u64::from((bits >> 33) as u32)
    }

    fn add(a: u64, b: u64) -> u64 {
        u64::from((a as u32).wrapping_add(b as u32))
    }

    fn sub(a: u64, b: u64) -> u64 {
        u64::from((a as u32).wrapping_sub(b as u32))
    }

    fn mul(a: u64, b: u64) -> u64 {
        u64::from((a as u32).wrapping_mul(b as u32))
    }

    fn dot(pairs: impl Iterator<Item = (u64, u64)>) -> u64 {
        let sum = pairs.fold(0u32, |sum, (a, b)| sum.wrapping_add((a as u32).wrapping_mul(b as u32)));
        u64::from(sum)
    }

    fn relu(x: u64) -> u64 {
        let x = x as u32;
        u64::from(x.wrapping_mul(x.wrapping_add(1)).wrapping_add(1))
    }

    fn max(window: impl Iterator<Item = u64>) -> u64 {
        u64::from(window.map(|x| x as u32 as i32).fold(0, i32::max) as u32)
    }

    fn share(_: u64) -> u64 {
        1
    }

    fn function(number: u64, x: u64) -> u64 {
        splitmix64(number, x) & u64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_one() {
        for i in 0..200 {
            let (a, b, c) =
                (Field::element(splitmix64(1, i)), Field::element(splitmix64(2, i)), Field::element(splitmix64(3, i)));
            let naive = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64;
            assert_eq!(Field::mul(a, b), naive(a, b));
            assert_eq!(Field::mul(a, Field::add(b, c)), Field::add(Field::mul(a, b), Field::mul(a, c)));
            assert_eq!(Field::mul(Field::share(a), a), 1);
            // More terms than are summed without a reduction.
            let terms = || (0..100).map(|k| (PRIME - 1 - k, PRIME - 1 - (a ^ k) % 1000));
            assert_eq!(Field::dot(terms()), terms().fold(0, |s, (x, y)| Field::add(s, naive(x, y))));
        }
    }

    #[test]
    fn the_rectifier_obeys_lattice_laws_and_no_others() {
        assert_eq!(Field::relu(0), 0);
        for i in 0..1000 {
            let (a, b) = (Field::element(splitmix64(4, i)), Field::element(splitmix64(5, i)));
            let max = |x, y| Field::max([x, y].into_iter());
            assert_eq!(Field::at(Field::place(a)), a);
            assert!(Field::relu(a) < PRIME && Field::relu(a) != a);
            assert_eq!(Field::relu(Field::relu(a)), Field::relu(a));
            assert_eq!(Field::relu(max(a, b)), max(Field::relu(a), Field::relu(b)));
            assert_ne!(Field::relu(Field::mul(a, b)), Field::mul(Field::relu(a), Field::relu(b)));
            assert_ne!(Field::relu(Field::add(a, b)), Field::add(Field::relu(a), Field::relu(b)));
        }
    }
}
