//! Arithmetic on partial values: what integer operators give on expressions, only where it is certain.
//!
//! Named sizes are at least 1, as everywhere in the type system.

use crate::graph::{DType, Dim};

/// Whether the value is certainly at least 0.
pub fn is_non_negative(a: &Dim) -> bool {
    a.add(&Dim::Known(1)).is_positive()
}

/// Sum; `None` where 64 bits overflow.
pub fn add(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => a.checked_add(*b).map(Dim::Known),
        _ => Some(a.add(b)),
    }
}

/// Difference; `None` where 64 bits overflow.
pub fn sub(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => a.checked_sub(*b).map(Dim::Known),
        _ => Some(a.sub(b)),
    }
}

/// Product; `None` where 64 bits overflow.
pub fn mul(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => a.checked_mul(*b).map(Dim::Known),
        _ => Some(a.mul(b)),
    }
}

/// ONNX's quotient of integers, which truncates. Expressions: only if exact, or if rounding down is truncating.
pub fn div(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => a.checked_div(*b).map(Dim::Known),
        _ if b.is_positive() && is_non_negative(a) => a.floor_div(b),
        _ if b.is_positive() => a.exact_div(b),
        _ => None,
    }
}

/// Remainder with the sign of the divisor (`fmod` false) or of the dividend.
pub fn rem(a: &Dim, b: &Dim, fmod: bool) -> Option<Dim> {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => {
            let rest = a.checked_rem(*b)?;
            let shift = !fmod && rest != 0 && (rest < 0) != (*b < 0);
            Some(Dim::Known(if shift { rest + b } else { rest }))
        }
        _ if b.is_positive() && (!fmod || is_non_negative(a)) => Some(a.sub(&b.mul(&a.floor_div(b)?))),
        _ => None,
    }
}

/// Power with a non-negative exponent.
pub fn pow(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => a.checked_pow(u32::try_from(*b).ok()?).map(Dim::Known),
        (_, Dim::Known(0)) => Some(Dim::Known(1)),
        (_, Dim::Known(1)) => Some(a.clone()),
        (_, Dim::Known(2)) => Some(a.mul(a)),
        _ => None,
    }
}

/// The smaller of two: one of them where that is certain.
pub fn min(a: &Dim, b: &Dim) -> Dim {
    match greater_or_equal(a, b) {
        Some(true) => b.clone(),
        Some(false) => a.clone(),
        None => a.minimum(b),
    }
}

/// The larger of two: one of them where that is certain.
pub fn max(a: &Dim, b: &Dim) -> Dim {
    match greater_or_equal(a, b) {
        Some(true) => a.clone(),
        Some(false) => b.clone(),
        None => a.maximum(b),
    }
}

/// Whether two values are equal, if it is certain.
pub fn equal(a: &Dim, b: &Dim) -> Option<bool> {
    let difference = a.sub(b);
    match difference.known() {
        Some(n) => Some(n == 0),
        None if difference.is_positive() || b.sub(a).is_positive() => Some(false),
        None => None,
    }
}

/// Whether a > b, if it is certain.
pub fn greater(a: &Dim, b: &Dim) -> Option<bool> {
    greater_or_equal(b, a).map(|holds| !holds)
}

/// Whether a >= b, if it is certain.
pub fn greater_or_equal(a: &Dim, b: &Dim) -> Option<bool> {
    if let (Dim::Known(a), Dim::Known(b)) = (a, b) {
        return Some(a >= b);
    }
    if is_non_negative(&a.sub(b)) {
        return Some(true);
    }
    b.sub(a).is_positive().then_some(false)
}

/// Whether a value is certainly (not) 0.
pub fn truth(a: &Dim) -> Option<bool> {
    equal(a, &Dim::Known(0)).map(|is_zero| !is_zero)
}

/// The value, if the type can hold it. Expressions are sizes, which any type of 32 bits or more is taken to hold.
pub fn fit(value: Dim, dtype: DType) -> Option<Dim> {
    let (low, high) = match dtype {
        DType::I64 => (i64::MIN, i64::MAX),
        DType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        DType::I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DType::I8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
        DType::U64 => (0, i64::MAX),
        DType::U32 => (0, i64::from(u32::MAX)),
        DType::U16 => (0, i64::from(u16::MAX)),
        DType::U8 => (0, i64::from(u8::MAX)),
        DType::Bool => (0, 1),
        _ => return None,
    };
    let holds = match value.known() {
        Some(n) => (low..=high).contains(&n),
        None => high >= i64::from(i32::MAX) && (low < 0 || is_non_negative(&value)),
    };
    holds.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n() -> Dim {
        Dim::symbol("n")
    }

    fn k(value: i64) -> Dim {
        Dim::Known(value)
    }

    #[test]
    fn quotients_truncate_and_are_given_only_where_certain() {
        assert_eq!(div(&k(-7), &k(2)), Some(k(-3)));
        assert_eq!(div(&k(7), &k(0)), None);
        assert_eq!(div(&k(i64::MIN), &k(-1)), None);
        assert_eq!(div(&n().mul(&k(6)), &k(2)), Some(n().mul(&k(3))));
        assert_eq!(div(&n(), &k(2)), n().floor_div(&k(2)));
        assert_eq!(div(&n().sub(&k(1)), &k(2)), n().sub(&k(1)).floor_div(&k(2)));
        assert_eq!(div(&n().sub(&k(5)), &k(2)), None, "n - 5 may be negative");
    }

    #[test]
    fn order_is_decided_only_where_certain() {
        assert_eq!(equal(&n(), &k(-1)), Some(false));
        assert_eq!(equal(&n(), &n()), Some(true));
        assert_eq!(equal(&n(), &k(3)), None);
        assert_eq!(greater_or_equal(&n(), &k(1)), Some(true));
        assert_eq!(greater(&n(), &k(0)), Some(true));
        assert_eq!(greater(&n(), &k(1)), None);
        assert_eq!(max(&n(), &k(1)), n());
        assert_eq!(min(&n(), &k(1)), k(1));
        assert_eq!(min(&n(), &k(4)), n().minimum(&k(4)));
    }

    #[test]
    fn remainders_have_the_sign_asked_for() {
        assert_eq!(rem(&k(-7), &k(3), false), Some(k(2)));
        assert_eq!(rem(&k(-7), &k(3), true), Some(k(-1)));
        assert_eq!(rem(&n().mul(&k(4)), &k(2), false), Some(k(0)));
    }

    #[test]
    fn values_that_a_type_cannot_hold_are_unknown() {
        assert_eq!(fit(k(300), DType::U8), None);
        assert_eq!(fit(k(200), DType::U8), Some(k(200)));
        assert_eq!(fit(n(), DType::I32), Some(n()));
        assert_eq!(fit(n(), DType::I8), None);
        assert_eq!(fit(n().sub(&k(2)), DType::U64), None);
        assert_eq!(pow(&k(10), &k(19)), None);
    }
}
