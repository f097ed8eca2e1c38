//! Arithmetic on dimensions that inference needs: certain comparisons, clamping, agreement.
//!
//! Named sizes are taken to be at least 1, as [`Dim::is_positive`] does.

use crate::graph::Dim;

/// Whether `a <= b` whatever the named sizes: true only when that is certain.
pub fn at_most(a: &Dim, b: &Dim) -> bool {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => a <= b,
        _ => b.sub(a).add(&Dim::Known(1)).is_positive(),
    }
}

/// The smaller of two; one of them wherever their order is certain.
pub fn smaller(a: &Dim, b: &Dim) -> Dim {
    match () {
        () if at_most(a, b) => a.clone(),
        () if at_most(b, a) => b.clone(),
        () => a.minimum(b),
    }
}

/// The larger of two; one of them wherever their order is certain.
pub fn larger(a: &Dim, b: &Dim) -> Dim {
    match () {
        () if at_most(a, b) => b.clone(),
        () if at_most(b, a) => a.clone(),
        () => a.maximum(b),
    }
}

/// The dimension that both name, or `None` if they certainly differ. Two unequal expressions may still be equal sizes;
/// then the number wins over the expression and the first over the second.
pub fn agree(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (Dim::Known(_), Dim::Known(_)) => None,
        (Dim::Known(_), Dim::Symbolic(_)) => Some(a.clone()),
        (Dim::Symbolic(_), Dim::Known(_)) => Some(b.clone()),
        (Dim::Symbolic(_), Dim::Symbolic(_)) => match a.sub(b) {
            Dim::Known(_) => None,
            Dim::Symbolic(_) => Some(a.clone()),
        },
    }
}

/// Product of dimensions.
pub fn product(dims: &[Dim]) -> Dim {
    dims.iter().fold(Dim::Known(1), |n, d| n.mul(d))
}

/// The shape in numbers, if all dimensions are numbers that fit.
pub fn sizes(shape: &[Dim]) -> Option<Vec<usize>> {
    shape.iter().map(|d| usize::try_from(d.known()?).ok()).collect()
}

/// Number of elements of a shape, if it and every dimension is at most `limit` (so that tables along an axis are small
/// even where another axis is empty).
pub fn count_within(shape: &[usize], limit: usize) -> Option<usize> {
    let bound = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)))?;
    (bound <= limit).then(|| if shape.contains(&0) { 0 } else { bound })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_orders_are_used_and_uncertain_ones_kept() {
        let (n, m) = (Dim::symbol("n"), Dim::symbol("m"));
        assert_eq!(smaller(&Dim::Known(1), &n), Dim::Known(1));
        assert_eq!(larger(&Dim::Known(0), &n), n);
        assert_eq!(smaller(&n.add(&m), &m), m);
        assert_eq!(smaller(&Dim::Known(2), &n).to_string(), "min(2, n)");
        assert_eq!(agree(&n, &Dim::Known(3)), Some(Dim::Known(3)));
        assert_eq!(agree(&n, &n.add(&Dim::Known(1))), None);
    }

    #[test]
    fn empty_axes_do_not_hide_large_ones() {
        assert_eq!(count_within(&[0, 1 << 40], 1 << 20), None);
        assert_eq!(count_within(&[0, 7], 1 << 20), Some(0));
        assert_eq!(count_within(&[usize::MAX, 2], usize::MAX), None);
    }
}
