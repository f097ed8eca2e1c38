//! Integers modulo the prime as elements of the reference semantics.

use std::cmp::Ordering;

use crate::graph::splitmix64;
use crate::ops::{Element, EvalError, Func};
use crate::substitution::generator::{Arithmetic, Field, PRIME};

/// An integer modulo [`PRIME`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Residue(u64);

/// Integers of at most this size, on either side of 0, are read back as such.
const MAX_INTEGER: u64 = 1 << 31;

impl Residue {
    /// The element of these 64 random bits.
    pub fn new(bits: u64) -> Residue {
        Residue(Field::element(bits))
    }

    /// The value of a function without laws.
    fn named(func: Func, x: Residue, y: u64) -> Residue {
        Residue(Field::function(splitmix64(func as u64, y), x.0))
    }

    fn truth(holds: bool) -> Residue {
        Residue(u64::from(holds))
    }

    /// Its place in the random order.
    fn place(self) -> u64 {
        splitmix64(0x0bde, self.0)
    }
}

fn undefined(what: impl Into<String>) -> EvalError {
    EvalError::Undefined { what: what.into() }
}

impl Element for Residue {
    /// Exact: a finite f64 is an integer times a power of two, and two has an inverse. What is not finite is some element.
    fn constant(value: f64) -> Residue {
        if !value.is_finite() {
            return Residue::new(splitmix64(0x1f, value.to_bits()));
        }
        let (bits, magnitude) = (value.to_bits(), value.abs());
        let stored = (bits >> 52 & 0x7ff) as i64;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = if stored == 0 { (fraction, -1074) } else { (fraction | 1 << 52, stored - 1075) };
        let power = Field::power(2, exponent.unsigned_abs());
        let power = if exponent < 0 { Field::share(power) } else { power };
        let size = Field::mul(mantissa % PRIME, power);
        Residue(if value < 0.0 && magnitude > 0.0 { Field::sub(0, size) } else { size })
    }

    fn add(&self, other: &Residue) -> Residue {
        Residue(Field::add(self.0, other.0))
    }

    fn sub(&self, other: &Residue) -> Residue {
        Residue(Field::sub(self.0, other.0))
    }

    fn mul(&self, other: &Residue) -> Residue {
        Residue(Field::mul(self.0, other.0))
    }

    fn div(&self, other: &Residue) -> Result<Residue, EvalError> {
        if other.0 == 0 {
            return Err(undefined("a quotient by zero"));
        }
        Ok(Residue(Field::mul(self.0, Field::share(other.0))))
    }

    fn apply1(func: Func, x: &Residue) -> Result<Residue, EvalError> {
        Ok(match func {
            Func::Not => Residue::truth(x.0 == 0),
            Func::Truth => Residue::truth(x.0 != 0),
            Func::IsNaN | Func::IsNegInf | Func::IsPosInf => Residue::truth(false),
            _ => Residue::named(func, *x, 0),
        })
    }

    fn apply2(func: Func, x: &Residue, y: &Residue) -> Result<Residue, EvalError> {
        let less = x.place() < y.place();
        Ok(match func {
            Func::Equal => Residue::truth(x == y),
            Func::Less => Residue::truth(less),
            Func::LessOrEqual => Residue::truth(less || x == y),
            Func::Greater => Residue::truth(!less && x != y),
            Func::GreaterOrEqual => Residue::truth(!less),
            Func::Max if y.0 == 0 => Residue(Field::relu(x.0)),
            Func::Max if x.0 == 0 => Residue(Field::relu(y.0)),
            Func::Max => Residue(Field::max([x.0, y.0].into_iter())),
            // The least is the greatest of the order turned round.
            Func::Min if Field::max([x.0, y.0].into_iter()) == x.0 => *y,
            Func::Min => *x,
            Func::Pow if y.0 <= 64 => Residue(Field::power(x.0, y.0)),
            _ => Residue::named(func, *x, y.0.wrapping_add(1)),
        })
    }

    fn select(condition: &Residue, yes: &Residue, no: &Residue) -> Result<Residue, EvalError> {
        Ok(if condition.0 != 0 { *yes } else { *no })
    }

    fn order(&self, other: &Residue) -> Result<Ordering, EvalError> {
        Ok(self.place().cmp(&other.place()))
    }

    fn to_integer(&self) -> Result<i64, EvalError> {
        match self.0 {
            n if n <= MAX_INTEGER => Ok(n as i64),
            n if PRIME - n <= MAX_INTEGER => Ok(-((PRIME - n) as i64)),
            n => Err(undefined(format!("the integer near element {n}"))),
        }
    }

    fn pivot(_: &[Residue]) -> Residue {
        Residue(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_exact() {
        let c = Residue::constant;
        assert_eq!(c(0.5).add(&c(0.5)), c(1.0));
        assert_eq!(c(-3.0).mul(&c(0.25)), c(-0.75));
        assert_eq!(c(1e-3).mul(&c(2f64.powi(60))).mul(&c(2f64.powi(-60))), c(1e-3));
        assert_eq!(c(-0.0), c(0.0));
        assert_eq!(c(f64::MIN_POSITIVE / 4.0).add(&c(f64::MIN_POSITIVE / 4.0)), c(f64::MIN_POSITIVE / 2.0));
        assert_eq!((c(7.0).to_integer().unwrap(), c(-7.0).to_integer().unwrap()), (7, -7));
        assert!(c(0.5).to_integer().is_err());
        assert!(c(1.0).div(&c(0.0)).is_err());
        assert_eq!(c(1.0).div(&c(3.0)).unwrap().mul(&c(3.0)), c(1.0));
    }
}
