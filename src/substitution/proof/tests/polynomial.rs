//! Polynomials with coefficients modulo 2^61 - 1, over entries of tensors and functions of which nothing is known.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use crate::ops::{Element, EvalError, Func};

const PRIME: u64 = (1 << 61) - 1;

/// What monomials are made of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Atom {
    Entry(u32),
    Reciprocal(Polynomial),
    /// One over another atom, so that it cancels with it.
    Inverse(u32),
    Unary(Func, Polynomial),
    Binary(Func, Polynomial, Polynomial),
    Select(Polynomial, Polynomial, Polynomial),
}

thread_local! {
    static ATOMS: RefCell<(HashMap<Atom, u32>, Vec<Atom>)> = RefCell::default();
}

fn number(atom: Atom) -> u32 {
    ATOMS.with_borrow_mut(|(numbers, atoms)| {
        *numbers.entry(atom.clone()).or_insert_with(|| {
            atoms.push(atom);
            atoms.len() as u32 - 1
        })
    })
}

fn atom(number: u32) -> Atom {
    ATOMS.with_borrow(|(_, atoms)| atoms[number as usize].clone())
}

/// Sorted monomials, each a sorted list of atoms, with coefficients that are not 0.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Polynomial(BTreeMap<Vec<u32>, u64>);

fn times(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}

fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    result
}

impl Polynomial {
    /// A fresh entry of a tensor.
    pub fn entry(index: u32) -> Polynomial {
        Polynomial::of(Atom::Entry(index))
    }

    fn of(atom: Atom) -> Polynomial {
        Polynomial(BTreeMap::from([(vec![number(atom)], 1)]))
    }

    fn scaled(coefficient: u64) -> Polynomial {
        Polynomial(if coefficient == 0 { BTreeMap::new() } else { BTreeMap::from([(Vec::new(), coefficient)]) })
    }

    fn reciprocal(&self) -> Polynomial {
        let mut terms = self.0.iter();
        let (Some((atoms, coefficient)), None) = (terms.next(), terms.next()) else {
            return Polynomial::of(Atom::Reciprocal(self.clone()));
        };
        let mut result = Polynomial::scaled(power(*coefficient, PRIME - 2));
        for &number in atoms {
            result = result.mul(&match atom(number) {
                Atom::Inverse(of) => Polynomial(BTreeMap::from([(vec![of], 1)])),
                _ => Polynomial::of(Atom::Inverse(number)),
            });
        }
        result
    }
}

/// The product of two monomials; an atom and its inverse cancel.
fn join(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut all = a.to_vec();
    for &number in b {
        let opposite = match atom(number) {
            Atom::Inverse(of) => all.iter().position(|n| *n == of),
            _ => all.iter().position(|n| atom(*n) == Atom::Inverse(number)),
        };
        match opposite {
            Some(at) => drop(all.remove(at)),
            None => all.push(number),
        }
    }
    all.sort_unstable();
    all
}

impl Element for Polynomial {
    fn constant(value: f64) -> Polynomial {
        // The exact value of the float: mantissa times a power of two, which has period 61 modulo 2^61 - 1.
        assert!(value.is_finite(), "a constant that is no number");
        let bits = value.abs().to_bits();
        let exponent = (bits >> 52) as i64;
        let mantissa = if exponent == 0 { bits << 1 } else { (bits & ((1 << 52) - 1)) | (1 << 52) };
        let magnitude = times(mantissa % PRIME, power(2, (exponent - 1075).rem_euclid(61) as u64));
        Polynomial::scaled(if value < 0.0 && magnitude != 0 { PRIME - magnitude } else { magnitude })
    }

    fn add(&self, other: &Polynomial) -> Polynomial {
        let mut terms = self.0.clone();
        for (atoms, c) in &other.0 {
            let sum = (terms.get(atoms).copied().unwrap_or(0) + c) % PRIME;
            match sum {
                0 => drop(terms.remove(atoms)),
                _ => drop(terms.insert(atoms.clone(), sum)),
            }
        }
        Polynomial(terms)
    }

    fn sub(&self, other: &Polynomial) -> Polynomial {
        self.add(&other.mul(&Polynomial::scaled(PRIME - 1)))
    }

    fn mul(&self, other: &Polynomial) -> Polynomial {
        let mut result = Polynomial::scaled(0);
        for (a, c) in &self.0 {
            for (b, d) in &other.0 {
                result = result.add(&Polynomial(BTreeMap::from([(join(a, b), times(*c, *d))])));
            }
        }
        result
    }

    fn div(&self, other: &Polynomial) -> Result<Polynomial, EvalError> {
        Ok(self.mul(&other.reciprocal()))
    }

    fn apply1(func: Func, x: &Polynomial) -> Result<Polynomial, EvalError> {
        Ok(Polynomial::of(Atom::Unary(func, x.clone())))
    }

    fn apply2(func: Func, x: &Polynomial, y: &Polynomial) -> Result<Polynomial, EvalError> {
        Ok(Polynomial::of(Atom::Binary(func, x.clone(), y.clone())))
    }

    fn select(condition: &Polynomial, yes: &Polynomial, no: &Polynomial) -> Result<Polynomial, EvalError> {
        Ok(Polynomial::of(Atom::Select(condition.clone(), yes.clone(), no.clone())))
    }

    fn order(&self, _: &Polynomial) -> Result<Ordering, EvalError> {
        Err(EvalError::Undefined { what: "an order of polynomials".into() })
    }

    fn to_integer(&self) -> Result<i64, EvalError> {
        // Indices are constants.
        match self.0.iter().next() {
            None => Ok(0),
            Some((atoms, &value)) if self.0.len() == 1 && atoms.is_empty() && value < 1 << 32 => Ok(value as i64),
            Some(_) => Err(EvalError::Undefined { what: "an integer".into() }),
        }
    }

    fn pivot(_: &[Polynomial]) -> Polynomial {
        Polynomial::scaled(0)
    }
}

#[test]
fn polynomials_compute_as_numbers_do() {
    let (x, y) = (Polynomial::entry(0), Polynomial::entry(1));
    let sum = x.add(&y);
    assert_eq!(sum.mul(&sum), x.mul(&x).add(&x.mul(&y)).add(&y.mul(&x)).add(&y.mul(&y)));
    assert_eq!(sum.sub(&y), x);
    assert_eq!(x.mul(&y).div(&y).unwrap(), x);
    assert_ne!(x.mul(&y).div(&x).unwrap(), x);
    for value in [0.5, -3.0, 0.1, 1e-5, 0.0] {
        let twice = Polynomial::constant(value).add(&Polynomial::constant(value));
        assert_eq!(twice, Polynomial::constant(2.0 * value));
    }
    assert_eq!(Polynomial::constant(0.75).mul(&Polynomial::constant(4.0)), Polynomial::constant(3.0));
}
