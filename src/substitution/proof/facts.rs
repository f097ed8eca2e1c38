//! What is known of sizes: equations solved for names, inequalities, and which shapes broadcast to which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::group;
use super::shape::Shape;
use super::term::SymVal;
use crate::graph::Dim;
use crate::rewrite::Comparison;

/// Facts that a well-typed source and a rule's conditions imply.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// Names that are expressions of other names.
    solved: BTreeMap<String, Dim>,
    /// Names of shapes, with others that are the same shape.
    shapes: BTreeMap<Arc<str>, Arc<str>>,
    /// What names of variables are at least.
    least: BTreeMap<String, i64>,
    /// Expressions that are 0 or more, with their names.
    nonnegative: Vec<(Dim, BTreeSet<String>)>,
    /// Expressions that are not 0.
    nonzero: Vec<Dim>,
    /// (a, b): shape a broadcasts to shape b without changing it.
    broadcasts: Vec<(Shape, Shape)>,
    /// (a, b): b is 1 or a.
    covers: Vec<(Dim, Dim)>,
    /// (a, b): a divided by b leaves no remainder.
    exact: Vec<(Dim, Dim)>,
    /// Comparisons with values of which nothing else is known.
    literal: Vec<(Comparison, SymVal, SymVal)>,
}

impl Facts {
    /// The expression with all that is solved put in.
    pub fn normal(&self, dim: &Dim) -> Dim {
        if self.solved.is_empty() || dim.known().is_some() { dim.clone() } else { dim.substitute(&self.solved) }
    }

    /// Takes in that two sizes are equal. Nothing is learned from what cannot be solved for a name.
    pub fn equal(&mut self, a: &Dim, b: &Dim) {
        let difference = self.normal(&a.sub(b));
        let mut solutions = difference.solutions();
        // Names of ranks and derived sizes go first, so that what is left speaks of inputs.
        let derived = |name: &str| match name {
            // Sizes of member i go before everything, so that a sum over all members sees what they share.
            _ if group::is_of_member(name) => 0,
            // An element of a list that is not known, at a place that is an expression.
            _ if name.starts_with('?') && name.contains("rank(") => 1,
            _ if name.starts_with("rank(") => 2,
            // Sums stay, since they are known to be positive.
            _ if group::is_positive(name) => 4,
            _ => 3,
        };
        solutions.sort_by_key(|(name, value)| (derived(name), value.known().is_none(), name.clone()));
        let Some((name, value)) = solutions.into_iter().next() else { return };
        let only = BTreeMap::from([(name.clone(), value.clone())]);
        for other in self.solved.values_mut() {
            *other = other.substitute(&only);
        }
        self.solved.insert(name, value);
    }

    /// Takes in that two shapes of unknown rank are the same.
    pub fn same_shape(&mut self, a: &Arc<str>, b: &Arc<str>) {
        let (a, b) = (self.shape_name(a), self.shape_name(b));
        if a != b {
            let (kept, other) = if a < b { (a, b) } else { (b, a) };
            self.shapes.values_mut().filter(|name| **name == other).for_each(|name| *name = kept.clone());
            self.shapes.insert(other, kept);
        }
    }

    /// Takes in that a shape that goes by one name is called otherwise.
    pub fn call_shape(&mut self, name: &str, called: &str) {
        let called = self.shape_name(&called.into());
        if *called != *name {
            self.shapes.insert(name.into(), called);
        }
    }

    /// The name that stands for all shapes that are the same.
    pub fn shape_name(&self, name: &Arc<str>) -> Arc<str> {
        self.shapes.get(name).unwrap_or(name).clone()
    }

    /// Puts what is solved into everything else that is known.
    pub fn settle(&mut self) {
        let solved = std::mem::take(&mut self.solved);
        let normal = |dim: &mut Dim| *dim = dim.substitute(&solved);
        self.nonnegative.iter_mut().map(|(dim, _)| dim).chain(&mut self.nonzero).for_each(normal);
        self.nonnegative.iter_mut().for_each(|(dim, names)| *names = dim.symbols());
        let pairs = self.covers.iter_mut().chain(&mut self.exact);
        pairs.for_each(|(a, b)| [a, b].into_iter().for_each(normal));
        self.solved = solved;
        let mut literal = std::mem::take(&mut self.literal);
        literal.iter_mut().for_each(|(_, a, b)| (*a, *b) = (a.normal(self), b.normal(self)));
        self.literal = literal;
    }

    /// Takes in that what is so of member i, whatever i, is so of the first.
    pub fn specialise(&mut self) {
        let first = |dim: &Dim| {
            let names = dim.symbols().into_iter().filter(|name| name.contains("[i]"));
            dim.substitute(&names.map(|name| (name.clone(), Dim::symbol(&name.replace("[i]", "[0]")))).collect())
        };
        let solved = self.solved.iter().filter(|(name, _)| name.contains("[i]"));
        let pairs: Vec<(Dim, Dim)> = solved.map(|(name, value)| (first(&Dim::symbol(name)), first(value))).collect();
        pairs.iter().for_each(|(a, b)| self.equal(a, b));
    }

    /// Takes in that a size is 0 or more.
    pub fn at_least_zero(&mut self, dim: &Dim) {
        let dim = self.normal(dim);
        if dim.known().is_none() && !self.nonnegative.iter().any(|(other, _)| *other == dim) {
            let names = dim.symbols();
            if let Some(name) = names.first()
                && let Some(offset) = dim.sub(&Dim::symbol(name)).known()
            {
                self.least.insert(name.clone(), -offset);
            }
            self.nonnegative.push((dim, names));
        }
    }

    /// Takes in that a size is not 0.
    pub fn not_zero(&mut self, dim: &Dim) {
        let dim = self.normal(dim);
        if dim.known().is_none() && !self.nonzero.contains(&dim) {
            self.nonzero.push(dim);
        }
    }

    /// Takes in that a shape broadcasts to another.
    pub fn broadcast(&mut self, from: &Shape, to: &Shape) {
        let pair = (from.clone(), to.clone());
        if !self.broadcasts.contains(&pair) {
            self.broadcasts.push(pair);
        }
    }

    /// Takes in that a dimension is 1 or another one.
    pub fn cover(&mut self, large: &Dim, small: &Dim) {
        let pair = (self.normal(large), self.normal(small));
        if pair.0 != pair.1 && pair.1.known() != Some(1) && !self.covers.contains(&pair) {
            self.covers.push(pair);
        }
    }

    /// Whether it was taken in that the second dimension is 1 or the first.
    pub fn known_covers(&self, large: &Dim, small: &Dim) -> bool {
        self.covers.iter().any(|(a, b)| a == large && b == small)
    }

    /// Takes in that a quotient is exact.
    pub fn divides_exactly(&mut self, dividend: &Dim, divisor: &Dim) {
        let pair = (self.normal(dividend), self.normal(divisor));
        if !self.exact.contains(&pair) {
            self.exact.push(pair);
        }
    }

    /// Takes in a comparison as it stands.
    pub fn literally(&mut self, comparison: Comparison, a: &SymVal, b: &SymVal) {
        let fact = (comparison, a.clone(), b.clone());
        if !self.literal.contains(&fact) {
            self.literal.push(fact);
        }
    }

    /// Whether this very comparison was taken in.
    pub fn is_literal(&self, comparison: Comparison, a: &SymVal, b: &SymVal) -> bool {
        self.literal.iter().any(|(c, x, y)| *c == comparison && x == a && y == b)
    }

    /// Whether a quotient is known to be exact.
    pub fn is_exact(&self, dividend: &Dim, divisor: &Dim) -> bool {
        if *divisor == Dim::Known(0) {
            return false;
        }
        dividend.exact_div(divisor).is_some() || self.exact.iter().any(|(a, b)| a == dividend && b == divisor)
    }

    /// Whether a size is certainly 0 or more.
    pub fn is_at_least_zero(&self, dim: &Dim) -> bool {
        if let Dim::Known(n) = dim {
            return *n >= 0;
        }
        let dim = self.normal(dim);
        if self.surely_at_least_zero(&dim) {
            return true;
        }
        if let Dim::Known(_) = dim {
            return false;
        }
        // What is left of a sum says nothing of its names without a fact that speaks of one.
        let names = dim.symbols();
        let speaks = |of: &BTreeSet<String>| of.iter().any(|name| names.contains(name));
        self.nonnegative.iter().any(|(fact, of)| speaks(of) && self.surely_at_least_zero(&dim.sub(fact)))
    }

    /// Whether a polynomial has only positive coefficients once each name is counted from its least value.
    fn surely_at_least_zero(&self, dim: &Dim) -> bool {
        if let Dim::Known(n) = dim {
            return *n >= 0;
        }
        let mut bounds: Vec<(String, i64)> = Vec::new();
        for name in dim.symbols() {
            let Some(least) = least(&name).or_else(|| self.least.get(&name).copied()) else { return false };
            bounds.push((name, least));
        }
        // Sums of products of what is 1 or more are 1 or more, and of what is 0 or more, 0 or more.
        let lowest = bounds.iter().map(|(_, least)| *least).min().unwrap_or(0);
        if (lowest >= 1 && dim.add(&Dim::Known(1)).is_positive()) || (lowest >= 0 && dim.is_positive()) {
            return true;
        }
        let shift = |(name, least): (String, i64)| {
            let value = Dim::symbol(&name).add(&Dim::Known(least));
            (name, value)
        };
        let shifted: BTreeMap<String, Dim> = bounds.into_iter().map(shift).collect();
        // Grows with every name, since coefficients and joins are positive; so the least value is the one at the bounds.
        let shifted = dim.substitute(&shifted);
        let zeros = shifted.symbols().into_iter().map(|name| (name, 0)).collect();
        let grows = shifted.add(&Dim::Known(1)).is_positive();
        grows && shifted.bind(&zeros).known().is_some_and(|n| n >= 0)
    }

    /// Whether a size is certainly not 0.
    pub fn is_not_zero(&self, dim: &Dim) -> bool {
        let dim = self.normal(dim);
        let negated = dim.mul(&Dim::Known(-1));
        let one = Dim::Known(1);
        let same = |fact: &Dim| *fact == dim || *fact == negated;
        self.is_at_least_zero(&dim.sub(&one))
            || self.is_at_least_zero(&negated.sub(&one))
            || self.nonzero.iter().any(same)
    }

    /// The broadcasts that are known.
    pub fn known_broadcasts(&self) -> impl Iterator<Item = &(Shape, Shape)> {
        self.broadcasts.iter()
    }
}

/// The least value that a name stands for: a dimension is 1 or more, a rank and anything of which more is not known is
/// bounded by its kind alone. `None`: unbounded below.
fn least(name: &str) -> Option<i64> {
    match name {
        _ if name.starts_with("dim(") => Some(1),
        _ if name.starts_with("rank(") => Some(0),
        _ if group::is_positive(name) => Some(1),
        _ => None,
    }
}
