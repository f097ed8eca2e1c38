//! Elements of which only a bound on the degree is known: what Schwartz and Zippel's lemma needs.
//!
//! A value is a quotient of polynomials in the elements of the inputs and in the values of functions, each of which counts
//! as a variable of its own. Two applications of a function whose arguments are different polynomials take one value when
//! the arguments happen to agree; `calls` counts applications, and every pair adds the arguments' degree to the bound.

use std::cmp::Ordering;

use super::Value;
use crate::ops::{Element, EvalError, Func};

/// Bounds for a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Degree {
    /// Degree of the numerator.
    above: u64,
    /// Degree of the denominator.
    below: u64,
    /// Largest degree of the argument of a function that it depends on.
    argument: u64,
    /// Applications of functions that it depends on.
    calls: u64,
    /// The number, if it is a constant.
    constant: Option<f64>,
}

impl Degree {
    /// An element of an input.
    pub const VARIABLE: Degree = Degree { above: 1, below: 0, argument: 0, calls: 0, constant: None };

    fn joined(&self, other: &Degree, above: u64, below: u64) -> Degree {
        Degree {
            above,
            below,
            argument: self.argument.max(other.argument),
            calls: self.calls.saturating_add(other.calls),
            constant: None,
        }
    }

    fn both(&self, other: &Degree, number: impl Fn(f64, f64) -> f64) -> Option<f64> {
        Some(number(self.constant?, other.constant?))
    }

    /// A function of one or two arguments.
    fn applied(&self, other: &Degree) -> Degree {
        let degree = self.above.max(self.below).max(other.above).max(other.below);
        let joined = self.joined(other, 1, 0);
        Degree { argument: joined.argument.max(degree), calls: joined.calls.saturating_add(1), ..joined }
    }
}

/// Bound on the degree that decides the chance of the sides agreeing by accident.
pub(super) fn of(source: &[Value<Degree>], target: &[Value<Degree>]) -> u64 {
    let pairs = source.iter().zip(target).flat_map(|(s, t)| s.array.data.iter().zip(&t.array.data));
    let bound = pairs.map(|(s, t)| {
        let difference = s.above.saturating_add(t.below).max(t.above.saturating_add(s.below));
        let calls = s.calls.saturating_add(t.calls);
        let collisions = calls.saturating_mul(calls.saturating_sub(1)) / 2;
        difference.saturating_add(collisions.saturating_mul(2 * s.argument.max(t.argument)))
    });
    bound.max().unwrap_or(0)
}

impl Element for Degree {
    fn constant(value: f64) -> Degree {
        Degree { above: 0, below: 0, argument: 0, calls: 0, constant: Some(value) }
    }

    fn add(&self, other: &Degree) -> Degree {
        let above = (self.above.saturating_add(other.below)).max(other.above.saturating_add(self.below));
        let sum = self.joined(other, above, self.below.saturating_add(other.below));
        Degree { constant: self.both(other, |a, b| a + b), ..sum }
    }

    fn sub(&self, other: &Degree) -> Degree {
        Degree { constant: self.both(other, |a, b| a - b), ..self.add(other) }
    }

    fn mul(&self, other: &Degree) -> Degree {
        let product =
            self.joined(other, self.above.saturating_add(other.above), self.below.saturating_add(other.below));
        Degree { constant: self.both(other, |a, b| a * b), ..product }
    }

    fn div(&self, other: &Degree) -> Result<Degree, EvalError> {
        let quotient =
            self.joined(other, self.above.saturating_add(other.below), self.below.saturating_add(other.above));
        Ok(Degree { constant: self.both(other, |a, b| a / b), ..quotient })
    }

    fn apply1(func: Func, x: &Degree) -> Result<Degree, EvalError> {
        let constant = x.constant.map(|x| f64::apply1(func, &x)).transpose()?;
        Ok(Degree { constant, ..x.applied(&Degree::constant(0.0)) })
    }

    fn apply2(func: Func, x: &Degree, y: &Degree) -> Result<Degree, EvalError> {
        let constant = match (x.constant, y.constant) {
            (Some(x), Some(y)) => Some(f64::apply2(func, &x, &y)?),
            _ => None,
        };
        Ok(Degree { constant, ..x.applied(y) })
    }

    fn select(condition: &Degree, yes: &Degree, no: &Degree) -> Result<Degree, EvalError> {
        let either = yes.joined(no, yes.above.max(no.above), yes.below.max(no.below));
        Ok(either.joined(condition, either.above, either.below))
    }

    fn order(&self, _: &Degree) -> Result<Ordering, EvalError> {
        Ok(Ordering::Equal)
    }

    fn to_integer(&self) -> Result<i64, EvalError> {
        match self.constant {
            Some(value) => value.to_integer(),
            None => Err(EvalError::Undefined { what: "the integer of an unknown".into() }),
        }
    }

    fn pivot(_: &[Degree]) -> Degree {
        Degree::constant(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_of_sums_products_and_quotients() {
        let x = Degree::VARIABLE;
        let square = x.mul(&x);
        assert_eq!((square.above, square.below), (2, 0));
        let quotient = square.div(&x.add(&square)).unwrap();
        assert_eq!((quotient.above, quotient.below), (2, 2));
        let sum = quotient.add(&x);
        assert_eq!((sum.above, sum.below), (3, 2));
        let function = Degree::apply1(Func::Exp, &sum).unwrap();
        assert_eq!((function.above, function.below, function.argument, function.calls), (1, 0, 3, 1));
        assert_eq!(Degree::constant(2.0).mul(&Degree::constant(3.0)).to_integer().unwrap(), 6);
    }
}
