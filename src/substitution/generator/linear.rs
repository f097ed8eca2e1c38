//! Sizes of axes as linear expressions, and equations between them.

use std::collections::BTreeMap;

/// What a size may be made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Atom {
    /// A size that nothing is known of yet, by number: eliminated first.
    Unknown(u16),
    /// The size of an axis of an input: (input, axis).
    Dim(u8, u8),
}

/// A sum of multiples of atoms and a constant.
#[derive(Clone, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub struct Linear {
    /// Factors that are not 0.
    pub terms: BTreeMap<Atom, i64>,
    /// What is added.
    pub constant: i64,
}

impl Linear {
    /// A number.
    pub fn number(constant: i64) -> Linear {
        Linear { terms: BTreeMap::new(), constant }
    }

    /// An atom.
    pub fn atom(atom: Atom) -> Linear {
        Linear { terms: BTreeMap::from([(atom, 1)]), constant: 0 }
    }

    /// `self + factor * other`.
    pub fn plus(&self, factor: i64, other: &Linear) -> Linear {
        let mut sum = self.clone();
        sum.constant += factor * other.constant;
        for (&atom, &count) in &other.terms {
            let entry = sum.terms.entry(atom).or_insert(0);
            *entry += factor * count;
            if *entry == 0 {
                sum.terms.remove(&atom);
            }
        }
        sum
    }

    /// The difference of two sizes, which an equation says is 0.
    pub fn minus(&self, other: &Linear) -> Linear {
        self.plus(-1, other)
    }

    /// Whether it is 0 whatever the sizes.
    pub fn is_zero(&self) -> bool {
        self.constant == 0 && self.terms.is_empty()
    }
}

/// Solved equations: atoms in terms of others.
#[derive(Clone, Debug, Default)]
pub struct Equations {
    solved: Vec<(Atom, Linear)>,
}

/// What an equation says beyond those before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing.
    Implied,
    /// This is 0, which was not known.
    New(Linear),
    /// A contradiction, or what is not solved here.
    Unsolved,
}

impl Equations {
    /// The expression in atoms that are not solved for.
    pub fn reduce(&self, linear: &Linear) -> Linear {
        let mut result = linear.clone();
        for (atom, value) in &self.solved {
            if let Some(factor) = result.terms.remove(atom) {
                result = result.plus(factor, value);
            }
        }
        result
    }

    /// Adds that `linear` is 0.
    pub fn add(&mut self, linear: &Linear) -> News {
        let reduced = self.reduce(linear);
        if reduced.is_zero() {
            return News::Implied;
        }
        let pivot = reduced.terms.iter().find(|(_, factor)| factor.abs() == 1).map(|(&atom, &factor)| (atom, factor));
        let Some((atom, factor)) = pivot else { return News::Unsolved };
        let mut value = reduced.clone();
        value.terms.remove(&atom);
        let value = Linear::default().plus(-factor, &value);
        for (_, other) in &mut self.solved {
            if let Some(factor) = other.terms.remove(&atom) {
                *other = other.plus(factor, &value);
            }
        }
        self.solved.push((atom, value));
        News::New(reduced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved_and_implications_seen() {
        let dim = |i| Linear::atom(Atom::Dim(i, 0));
        let mut equations = Equations::default();
        assert!(matches!(equations.add(&dim(0).minus(&dim(1))), News::New(_)));
        assert!(matches!(equations.add(&dim(1).minus(&dim(2))), News::New(_)));
        assert_eq!(equations.add(&dim(0).minus(&dim(2))), News::Implied);
        let unknown = Linear::atom(Atom::Unknown(0));
        assert!(matches!(equations.add(&unknown.minus(&dim(0).plus(1, &dim(3)))), News::New(_)));
        let reduced = equations.reduce(&unknown);
        assert!(reduced.minus(&equations.reduce(&dim(0).plus(1, &dim(3)))).is_zero());
        assert_eq!(equations.add(&Linear::number(1)), News::Unsolved);
    }
}
