//! Dimensions: a size, or an integer polynomial over named sizes with floor division, minimum and maximum as atoms.
//!
//! Equality is structural on a normal form, so equal expressions compare equal wherever ring laws decide it. What the
//! normal form cannot decide compares unequal, which is always the safe answer: a rewrite is not offered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A dimension of a tensor, or an element of a shape tensor.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dim {
    /// A number.
    Known(i64),
    /// An expression that is not a number.
    Symbolic(Arc<Expr>),
}

/// A polynomial with integer coefficients: sorted monomials, none with coefficient zero.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Expr {
    terms: Vec<(Vec<Atom>, i64)>,
}

/// What polynomials are made of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Atom {
    /// A named size, taken to be at least 1.
    Symbol(Arc<str>),
    /// Quotient rounded towards minus infinity.
    FloorDiv(Dim, Dim),
    Min(Dim, Dim),
    Max(Dim, Dim),
}

/// More terms than this are replaced by one name, so that no file makes expressions explode.
const MAX_TERMS: usize = 32;
/// Longer printed expressions are replaced by one name.
const MAX_TEXT: usize = 512;

type Terms = BTreeMap<Vec<Atom>, i64>;

impl Dim {
    /// A named size.
    pub fn symbol(name: &str) -> Dim {
        Dim::from_atom(Atom::Symbol(name.into()))
    }

    fn from_atom(atom: Atom) -> Dim {
        Dim::Symbolic(Arc::new(Expr { terms: vec![(vec![atom], 1)] }))
    }

    /// The number, if it is one.
    pub fn known(&self) -> Option<i64> {
        match self {
            Dim::Known(n) => Some(*n),
            Dim::Symbolic(_) => None,
        }
    }

    /// The name, if this is a bare named size.
    pub fn as_symbol(&self) -> Option<&str> {
        match self {
            Dim::Symbolic(_) => match self.single_atom()? {
                Atom::Symbol(name) => Some(name),
                Atom::FloorDiv(..) | Atom::Min(..) | Atom::Max(..) => None,
            },
            Dim::Known(_) => None,
        }
    }

    fn terms(&self) -> Terms {
        match self {
            Dim::Known(0) => Terms::new(),
            Dim::Known(n) => Terms::from([(Vec::new(), *n)]),
            Dim::Symbolic(e) => e.terms.iter().cloned().collect(),
        }
    }

    fn from_terms(mut terms: Terms) -> Dim {
        terms.retain(|_, c| *c != 0);
        match terms.len() {
            0 => Dim::Known(0),
            1 if terms.contains_key::<[Atom]>(&[]) => Dim::Known(terms[&[] as &[Atom]]),
            n => {
                let dim = Dim::Symbolic(Arc::new(Expr { terms: terms.into_iter().collect() }));
                if n > MAX_TERMS { dim.abbreviate() } else { dim }
            }
        }
    }

    /// A name that stands for this very expression (equal expressions get equal names).
    fn abbreviate(&self) -> Dim {
        let digest = blake3::hash(self.to_string().as_bytes()).to_hex();
        Dim::symbol(&format!("?{}", &digest.as_str()[..16]))
    }

    fn bounded(self) -> Dim {
        if matches!(&self, Dim::Symbolic(_)) && self.to_string().len() > MAX_TEXT { self.abbreviate() } else { self }
    }

    /// Sum.
    pub fn add(&self, other: &Dim) -> Dim {
        if let (Dim::Known(a), Dim::Known(b)) = (self, other) {
            return Dim::Known(a.saturating_add(*b));
        }
        let mut terms = self.terms();
        for (atoms, c) in other.terms() {
            let slot = terms.entry(atoms).or_insert(0);
            *slot = slot.saturating_add(c);
        }
        Dim::from_terms(terms)
    }

    /// Difference.
    pub fn sub(&self, other: &Dim) -> Dim {
        self.add(&other.mul(&Dim::Known(-1)))
    }

    /// Product.
    pub fn mul(&self, other: &Dim) -> Dim {
        if let (Dim::Known(a), Dim::Known(b)) = (self, other) {
            return Dim::Known(a.saturating_mul(*b));
        }
        let mut terms = Terms::new();
        let right = other.terms();
        for (a, c) in self.terms() {
            for (b, d) in &right {
                let mut atoms: Vec<Atom> = a.iter().chain(b).cloned().collect();
                atoms.sort();
                let slot = terms.entry(atoms).or_insert(0);
                *slot = slot.saturating_add(c.saturating_mul(*d));
            }
        }
        Dim::from_terms(terms).bounded()
    }

    /// Quotient rounded towards minus infinity; `None` if the divisor is the number 0.
    pub fn floor_div(&self, divisor: &Dim) -> Option<Dim> {
        match (self, divisor) {
            (_, Dim::Known(0)) => None,
            (_, Dim::Known(1)) => Some(self.clone()),
            (Dim::Known(a), Dim::Known(b)) => {
                let q = a.wrapping_div(*b);
                let inexact = a.wrapping_rem(*b) != 0;
                Some(Dim::Known(q - i64::from(inexact && ((*a < 0) != (*b < 0)))))
            }
            (Dim::Symbolic(_), Dim::Known(b)) => {
                // Terms whose coefficient the divisor divides leave the floor.
                let (out, rest): (Terms, Terms) = self.terms().into_iter().partition(|(_, c)| c.wrapping_rem(*b) == 0);
                let out = Dim::from_terms(out.into_iter().map(|(a, c)| (a, c.wrapping_div(*b))).collect());
                let rest = Dim::from_terms(rest);
                let rest = match rest {
                    Dim::Known(_) => rest.floor_div(divisor)?,
                    Dim::Symbolic(_) => Dim::from_atom(Atom::FloorDiv(rest, divisor.clone())),
                };
                Some(out.add(&rest).bounded())
            }
            _ => Some(
                self.exact_div(divisor)
                    .unwrap_or_else(|| Dim::from_atom(Atom::FloorDiv(self.clone(), divisor.clone())))
                    .bounded(),
            ),
        }
    }

    /// Quotient rounded towards plus infinity; `None` if the divisor is the number 0.
    pub fn ceil_div(&self, divisor: &Dim) -> Option<Dim> {
        Some(self.mul(&Dim::Known(-1)).floor_div(divisor)?.mul(&Dim::Known(-1)))
    }

    /// The quotient, if the divisor is one monomial that divides every term (its value is taken to be non-zero).
    pub fn exact_div(&self, divisor: &Dim) -> Option<Dim> {
        let (atoms, coefficient) = match divisor {
            Dim::Known(0) => return None,
            Dim::Known(n) => (Vec::new(), *n),
            Dim::Symbolic(e) if e.terms.len() == 1 => e.terms[0].clone(),
            Dim::Symbolic(_) if self == divisor => return Some(Dim::Known(1)),
            Dim::Symbolic(_) => return None,
        };
        let mut out = Terms::new();
        for (mut term, c) in self.terms() {
            for atom in &atoms {
                let at = term.iter().position(|a| a == atom)?;
                term.remove(at);
            }
            if c.wrapping_rem(coefficient) != 0 {
                return None;
            }
            out.insert(term, c.wrapping_div(coefficient));
        }
        Some(Dim::from_terms(out))
    }

    /// The smaller of two.
    pub fn minimum(&self, other: &Dim) -> Dim {
        self.extreme(other, i64::min, Atom::Min, |atom| match atom {
            Atom::Min(a, b) => Some((a, b)),
            _ => None,
        })
    }

    /// The larger of two.
    pub fn maximum(&self, other: &Dim) -> Dim {
        self.extreme(other, i64::max, Atom::Max, |atom| match atom {
            Atom::Max(a, b) => Some((a, b)),
            _ => None,
        })
    }

    /// Minimum or maximum in normal form: nested ones are flattened, numbers are joined, the rest is sorted, so that any
    /// order of three operands gives the same expression.
    fn extreme(
        &self,
        other: &Dim,
        join: fn(i64, i64) -> i64,
        make: fn(Dim, Dim) -> Atom,
        parts: fn(&Atom) -> Option<(&Dim, &Dim)>,
    ) -> Dim {
        let mut number: Option<i64> = None;
        let mut names: Vec<Dim> = Vec::new();
        let mut waiting = vec![self.clone(), other.clone()];
        while let Some(dim) = waiting.pop() {
            let nested = dim.single_atom().and_then(parts);
            match (&dim, nested) {
                (Dim::Known(n), _) => number = Some(number.map_or(*n, |m| join(m, *n))),
                (_, Some((a, b))) => waiting.extend([a.clone(), b.clone()]),
                (Dim::Symbolic(_), None) => names.push(dim),
            }
        }
        names.sort();
        names.dedup();
        let all = number.map(Dim::Known).into_iter().chain(names);
        let joined = all.reduce(|inner, next| Dim::from_atom(make(inner, next)));
        joined.expect("two operands").bounded()
    }

    /// The atom, if the expression is just one.
    fn single_atom(&self) -> Option<&Atom> {
        match self {
            Dim::Symbolic(e) => match e.terms.as_slice() {
                [(atoms, 1)] if atoms.len() == 1 => atoms.first(),
                _ => None,
            },
            Dim::Known(_) => None,
        }
    }

    /// The expression with some names bound to numbers.
    pub fn bind(&self, sizes: &BTreeMap<String, i64>) -> Dim {
        self.replace(&|name| sizes.get(name).map(|n| Dim::Known(*n)))
    }

    /// The expression with names replaced by expressions, all at once.
    pub fn substitute(&self, values: &BTreeMap<String, Dim>) -> Dim {
        if !self.mentions(&|name| values.contains_key(name)) {
            return self.clone();
        }
        self.replace(&|name| values.get(name).cloned())
    }

    /// Whether a name of a kind occurs in the expression.
    fn mentions(&self, is: &dyn Fn(&str) -> bool) -> bool {
        let Dim::Symbolic(e) = self else { return false };
        e.terms.iter().flat_map(|(atoms, _)| atoms).any(|atom| match atom {
            Atom::Symbol(name) => is(name),
            Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => a.mentions(is) || b.mentions(is),
        })
    }

    /// The expression with every name replaced that has a value.
    fn replace(&self, value: &dyn Fn(&str) -> Option<Dim>) -> Dim {
        let Dim::Symbolic(e) = self else { return self.clone() };
        let mut sum = Dim::Known(0);
        for (atoms, c) in &e.terms {
            let mut product = Dim::Known(*c);
            for atom in atoms {
                let factor = match atom {
                    Atom::Symbol(name) => value(name).unwrap_or_else(|| Dim::from_atom(atom.clone())),
                    Atom::FloorDiv(a, b) => {
                        let (a, b) = (a.replace(value), b.replace(value));
                        a.floor_div(&b).unwrap_or_else(|| Dim::from_atom(Atom::FloorDiv(a, b)))
                    }
                    Atom::Min(a, b) => a.replace(value).minimum(&b.replace(value)),
                    Atom::Max(a, b) => a.replace(value).maximum(&b.replace(value)),
                };
                product = product.mul(&factor);
            }
            sum = sum.add(&product);
        }
        sum
    }

    /// The names that occur in the expression.
    pub fn symbols(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.collect_symbols(&mut found);
        found
    }

    fn collect_symbols(&self, found: &mut BTreeSet<String>) {
        let Dim::Symbolic(e) = self else { return };
        for atom in e.terms.iter().flat_map(|(atoms, _)| atoms) {
            match atom {
                Atom::Symbol(name) => drop(found.insert(name.to_string())),
                Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                    a.collect_symbols(found);
                    b.collect_symbols(found);
                }
            }
        }
    }

    /// Every way to read "this is 0" as "a name is an expression without it": a name that stands alone in a term with
    /// coefficient 1 or -1, and the rest.
    pub fn solutions(&self) -> Vec<(String, Dim)> {
        let Dim::Symbolic(e) = self else { return Vec::new() };
        let mut found = Vec::new();
        for (atoms, c) in &e.terms {
            let ([Atom::Symbol(name)], 1 | -1) = (atoms.as_slice(), *c) else { continue };
            let rest = self.sub(&Dim::from_atom(atoms[0].clone()).mul(&Dim::Known(*c)));
            if !rest.symbols().contains(&**name) {
                found.push((name.to_string(), rest.mul(&Dim::Known(-*c))));
            }
        }
        found
    }

    /// Whether the value is at least 1 whatever the named sizes (each at least 1): true only when that is certain.
    pub fn is_positive(&self) -> bool {
        match self {
            Dim::Known(n) => *n > 0,
            Dim::Symbolic(e) => e.terms.iter().all(|(atoms, c)| {
                *c > 0
                    && atoms.iter().all(|a| match a {
                        Atom::Symbol(_) => true,
                        Atom::Max(a, b) => a.is_positive() || b.is_positive(),
                        Atom::Min(a, b) => a.is_positive() && b.is_positive(),
                        Atom::FloorDiv(..) => false,
                    })
            }),
        }
    }
}

impl From<i64> for Dim {
    fn from(n: i64) -> Dim {
        Dim::Known(n)
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Symbol(name) => f.write_str(name),
            Atom::FloorDiv(a, b) => write!(f, "floor(({a})/({b}))"),
            Atom::Min(a, b) => write!(f, "min({a}, {b})"),
            Atom::Max(a, b) => write!(f, "max({a}, {b})"),
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = match self {
            Dim::Known(n) => return write!(f, "{n}"),
            Dim::Symbolic(e) => e,
        };
        for (i, (atoms, c)) in e.terms.iter().enumerate() {
            let sign = if *c < 0 { "-" } else { "+" };
            match (i, *c < 0) {
                (0, false) => {}
                (0, true) => f.write_str("-")?,
                _ => write!(f, " {sign} ")?,
            }
            let magnitude = c.unsigned_abs();
            if atoms.is_empty() {
                write!(f, "{magnitude}")?;
            } else {
                if magnitude != 1 {
                    write!(f, "{magnitude}*")?;
                }
                for (k, atom) in atoms.iter().enumerate() {
                    let star = if k > 0 { "*" } else { "" };
                    write!(f, "{star}{atom}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(name: &str) -> Dim {
        Dim::symbol(name)
    }

    #[test]
    fn equal_by_ring_laws_is_equal() {
        let n = s("n");
        let (one, two) = (Dim::Known(1), Dim::Known(2));
        assert_eq!(n.add(&one).mul(&n.sub(&one)), n.mul(&n).sub(&one));
        assert_eq!(n.sub(&n), Dim::Known(0));
        assert_eq!(n.mul(&two).add(&one).floor_div(&two), Some(n.clone()));
        assert_eq!(n.mul(&s("m")).floor_div(&s("m")), Some(n.clone()));
        assert_ne!(n.floor_div(&two).unwrap().mul(&two), n);
        assert_eq!(n.add(&Dim::Known(3)).to_string(), "3 + n");
    }

    #[test]
    fn binding_a_name_evaluates() {
        let n = s("n");
        let half_up = n.ceil_div(&Dim::Known(2)).unwrap();
        let sizes = BTreeMap::from([("n".to_owned(), 7)]);
        assert_eq!(half_up.bind(&sizes), Dim::Known(4));
        assert_eq!(n.maximum(&Dim::Known(9)).bind(&sizes), Dim::Known(9));
        assert_eq!(Dim::Known(-7).floor_div(&Dim::Known(2)), Some(Dim::Known(-4)));
        assert_eq!(n.floor_div(&Dim::Known(0)), None);
    }

    #[test]
    fn order_of_operands_does_not_matter_to_a_maximum() {
        let (a, b, c) = (s("a"), s("b"), s("c"));
        assert_eq!(a.maximum(&b).maximum(&c), c.maximum(&b.maximum(&a)));
        assert_eq!(a.maximum(&Dim::Known(3)).maximum(&Dim::Known(5)), Dim::Known(5).maximum(&a));
        assert_eq!(a.minimum(&b).minimum(&a), b.minimum(&a));
        assert_eq!(Dim::Known(2).minimum(&Dim::Known(7)), Dim::Known(2));
    }

    #[test]
    fn expressions_stay_bounded() {
        let mut e = Dim::Known(0);
        for i in 0..200 {
            e = e.add(&s(&format!("d{i}")));
        }
        let mut p = e.clone();
        for _ in 0..10 {
            p = p.mul(&e).floor_div(&s("q")).unwrap();
        }
        assert!(p.to_string().len() <= 2 * MAX_TEXT, "{}", p.to_string().len());
    }
}
