//! Shapes of terms on symbolic sizes, granted that the term has a value: what operators demand of their operands is not
//! checked here, but taken from there. Dimensions are at least 1.

use std::sync::Arc;

use super::facts::Facts;
use crate::graph::Dim;

/// A shape.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Of known rank.
    Ranked(Vec<Dim>),
    /// Of unknown rank.
    Open(Box<Open>),
}

/// A shape of unknown rank: that of `base`, with its last dimensions replaced by `tail`. Dimensions before the first one
/// are 1, as broadcasting reads them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) struct Open {
    pub base: Base,
    pub rank: Dim,
    pub tail: Vec<Dim>,
}

/// What a shape of unknown rank is like.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) enum Base {
    /// The shape of the value of this name.
    Named(Arc<str>),
    /// What these shapes broadcast to together, in order.
    Joined(Vec<Shape>),
}

impl Shape {
    /// The rank, as an expression.
    pub fn rank(&self) -> Dim {
        match self {
            Shape::Ranked(dims) => Dim::Known(dims.len() as i64),
            Shape::Open(open) => open.rank.clone(),
        }
    }

    /// The rank, if it is known.
    pub fn known_rank(&self) -> Option<usize> {
        match self {
            Shape::Ranked(dims) => Some(dims.len()),
            Shape::Open(_) => None,
        }
    }

    /// The dimensions, if the rank is known.
    pub fn dims(&self) -> Option<&[Dim]> {
        match self {
            Shape::Ranked(dims) => Some(dims),
            Shape::Open(_) => None,
        }
    }

    /// The k-th dimension from the end, k from 1; 1 before the first.
    pub fn counted_from_end(&self, k: usize, facts: &Facts) -> Dim {
        match self {
            Shape::Ranked(dims) => dims.len().checked_sub(k).map_or(Dim::Known(1), |at| dims[at].clone()),
            Shape::Open(open) => match open.tail.len().checked_sub(k) {
                Some(at) => open.tail[at].clone(),
                None => match &open.base {
                    Base::Named(name) => facts.normal(&Dim::symbol(&format!("dim({name}, -{k})"))),
                    Base::Joined(parts) => {
                        let dims = parts.iter().map(|part| part.counted_from_end(k, facts));
                        dims.reduce(|a, b| join_dim(&a, &b, facts)).unwrap_or(Dim::Known(1))
                    }
                },
            },
        }
    }

    /// The name of a shape of unknown rank that is called so.
    pub fn open_name(&self) -> Option<&Arc<str>> {
        match self {
            Shape::Open(open) if open.tail.is_empty() => match &open.base {
                Base::Named(name) => Some(name),
                Base::Joined(_) => None,
            },
            Shape::Ranked(_) | Shape::Open(_) => None,
        }
    }

    /// A dimension counted from the start, if it can be told.
    pub fn counted_from_start(&self, axis: usize, facts: &Facts) -> Option<Dim> {
        match self {
            Shape::Ranked(dims) => dims.get(axis).cloned(),
            Shape::Open(open) => match (&open.base, open.tail.is_empty()) {
                (Base::Named(name), true) => Some(facts.normal(&Dim::symbol(&format!("dim({name}, {axis})")))),
                _ => None,
            },
        }
    }

    /// Whether every dimension is certainly 1.
    fn is_ones(&self) -> bool {
        self.dims().is_some_and(|dims| dims.iter().all(|d| *d == Dim::Known(1)))
    }
}

/// The shape of the value called `name`.
pub(crate) fn named(name: &str, rank: Option<usize>, facts: &Facts) -> Shape {
    let name = &facts.shape_name(&name.into());
    let symbol = facts.normal(&Dim::symbol(&format!("rank({name})")));
    let rank = rank.or_else(|| usize::try_from(symbol.known()?).ok());
    match rank {
        Some(rank) => {
            let dim = |axis: usize| facts.normal(&Dim::symbol(&format!("dim({name}, {axis})")));
            Shape::Ranked((0..rank).map(dim).collect())
        }
        None => Shape::Open(Box::new(Open { base: Base::Named(name.clone()), rank: symbol, tail: Vec::new() })),
    }
}

/// A shape of which nothing is known.
pub(crate) fn unknown(name: &str) -> Shape {
    named(name, None, &Facts::default())
}

/// What two dimensions broadcast to, granted that they do: equal, or one of them is 1.
fn join_dim(a: &Dim, b: &Dim, facts: &Facts) -> Dim {
    match (a.known(), b.known()) {
        (Some(1), _) => b.clone(),
        (_, Some(1)) => a.clone(),
        _ if covers(b, a, facts) => b.clone(),
        _ if covers(a, b, facts) => a.clone(),
        (Some(n), _) | (_, Some(n)) => Dim::Known(n),
        (None, None) => a.maximum(b),
    }
}

/// Whether a dimension is certainly 1 or the other one.
fn covers(large: &Dim, small: &Dim, facts: &Facts) -> bool {
    large == small || *small == Dim::Known(1) || facts.known_covers(large, small)
}

/// What two shapes broadcast to.
pub(crate) fn join(a: &Shape, b: &Shape, facts: &Facts) -> Shape {
    if broadcasts(a, b, facts) {
        return b.clone();
    }
    if broadcasts(b, a, facts) {
        return a.clone();
    }
    if let (Shape::Ranked(x), Shape::Ranked(y)) = (a, b) {
        let rank = x.len().max(y.len());
        return Shape::Ranked(
            (1..=rank)
                .rev()
                .map(|k| join_dim(&a.counted_from_end(k, facts), &b.counted_from_end(k, facts), facts))
                .collect(),
        );
    }
    let mut parts = Vec::new();
    for shape in [a, b] {
        match shape {
            Shape::Open(open) if open.tail.is_empty() => match &open.base {
                Base::Joined(inner) => parts.extend(inner.iter().cloned()),
                Base::Named(_) => parts.push(shape.clone()),
            },
            _ => parts.push(shape.clone()),
        }
    }
    parts.sort();
    parts.dedup();
    let rank = parts.iter().map(Shape::rank).reduce(|a, b| a.maximum(&b)).unwrap_or(Dim::Known(0));
    Shape::Open(Box::new(Open { base: Base::Joined(parts), rank, tail: Vec::new() }))
}

/// Whether a shape certainly broadcasts to another without changing it.
pub(crate) fn broadcasts(from: &Shape, to: &Shape, facts: &Facts) -> bool {
    if plainly(from, to, facts) {
        return true;
    }
    if let Shape::Open(open) = from
        && let Base::Joined(parts) = &open.base
        && open.tail.is_empty()
    {
        // Parts of a joined shape are not joined themselves.
        return parts.iter().all(|part| part != from && broadcasts(part, to, facts));
    }
    facts.known_broadcasts().any(|(a, b)| plainly(from, a, facts) && plainly(b, to, facts))
}

/// As [`broadcasts`], without looking at what was taken in.
fn plainly(from: &Shape, to: &Shape, facts: &Facts) -> bool {
    if from == to {
        return true;
    }
    if let Shape::Open(open) = to
        && let Base::Joined(parts) = &open.base
        && open.tail.is_empty()
        && parts.iter().any(|part| part == from)
    {
        return true;
    }
    let Shape::Ranked(dims) = from else { return false };
    let fits = facts.is_at_least_zero(&to.rank().sub(&Dim::Known(dims.len() as i64)));
    fits && (from.is_ones()
        || (1..=dims.len()).all(|k| covers(&to.counted_from_end(k, facts), &from.counted_from_end(k, facts), facts)))
}

/// Whether two shapes are certainly the same.
pub(crate) fn same(a: &Shape, b: &Shape, facts: &Facts) -> bool {
    a == b || (broadcasts(a, b, facts) && broadcasts(b, a, facts))
}

/// A shape with its last dimensions replaced; the rank is at least their number.
pub(super) fn with_tail(shape: &Shape, tail: Vec<Dim>) -> Shape {
    match shape {
        Shape::Ranked(dims) => {
            let keep = dims.len().saturating_sub(tail.len());
            Shape::Ranked(dims[..keep].iter().cloned().chain(tail).collect())
        }
        Shape::Open(open) => {
            let keep = open.tail.len().saturating_sub(tail.len());
            let tail = open.tail[..keep].iter().cloned().chain(tail).collect();
            Shape::Open(Box::new(Open { tail, ..(**open).clone() }))
        }
    }
}

/// The axis of a joint, counted from the end (from 1): an axis may be said as `rank - k`.
pub(crate) fn axis_from_end(axis: &Dim, rank: &Dim) -> Option<usize> {
    let k = rank.sub(axis).known()?;
    usize::try_from(k).ok().filter(|_| k >= 1 && rank.known().is_none_or(|rank| k <= rank))
}

/// The size along an axis.
pub(crate) fn extent(x: &Shape, axis: &Dim, facts: &Facts) -> Option<Dim> {
    axis_from_end(axis, &x.rank()).map(|k| x.counted_from_end(k, facts))
}

/// A shape with another size along an axis.
pub(crate) fn with_size(x: &Shape, axis: &Dim, size: Dim, facts: &Facts) -> Option<Shape> {
    let k = axis_from_end(axis, &x.rank())?;
    let tail = (1..k).rev().map(|i| x.counted_from_end(i, facts));
    Some(with_tail(x, std::iter::once(size).chain(tail).collect()))
}
