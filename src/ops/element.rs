//! What the elements of an evaluated array may be: reals as f64; integers modulo a prime and polynomials in the generator.

use std::cmp::Ordering;

use super::EvalError;

/// A named function on elements. Everything that is not a ring operation goes through one of these, so that element types without it
/// can treat it as a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum Func {
    // One argument.
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Cos,
    Cosh,
    Erf,
    Exp,
    Floor,
    IsNaN,
    IsNegInf,
    IsPosInf,
    Log,
    /// ln(1 + e^x).
    Softplus,
    /// 1 where the argument is 0, else 0.
    Not,
    /// To the nearest integer, halves to even.
    Round,
    Sigmoid,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Tan,
    Tanh,
    /// Towards zero.
    Trunc,
    /// 0 where the argument is 0, else 1.
    Truth,
    // Two arguments.
    /// alpha (e^(x / alpha) - 1) where x is negative, else x; arguments x and alpha.
    Celu,
    /// alpha (e^x - 1) where x is negative, else x; arguments x and alpha.
    Elu,
    Equal,
    /// Remainder with the sign of the dividend.
    Fmod,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// slope x where x is negative, else x; arguments x and slope.
    LeakyRelu,
    Max,
    Min,
    /// Remainder with the sign of the divisor.
    Mod,
    Pow,
    /// x where x is above alpha, else 0; arguments x and alpha.
    ThresholdedRelu,
}

/// Elements that the reference semantics compute with.
pub trait Element: Clone + PartialEq + std::fmt::Debug {
    /// The element that stands for a number.
    fn constant(value: f64) -> Self;

    /// Sum.
    fn add(&self, other: &Self) -> Self;

    /// Difference.
    fn sub(&self, other: &Self) -> Self;

    /// Product.
    fn mul(&self, other: &Self) -> Self;

    /// Quotient over the reals.
    fn div(&self, other: &Self) -> Result<Self, EvalError>;

    /// A named function of one argument.
    fn apply1(func: Func, x: &Self) -> Result<Self, EvalError>;

    /// A named function of two arguments.
    fn apply2(func: Func, x: &Self, y: &Self) -> Result<Self, EvalError>;

    /// `yes` where the condition is not 0, else `no`.
    fn select(condition: &Self, yes: &Self, no: &Self) -> Result<Self, EvalError>;

    /// The order, where there is one (NaN is above all numbers).
    fn order(&self, other: &Self) -> Result<Ordering, EvalError>;

    /// The integer that this is.
    fn to_integer(&self) -> Result<i64, EvalError>;

    /// What to subtract from arguments of exponentials whose quotient is wanted, for the sake of range: any value is right.
    fn pivot(values: &[Self]) -> Self;
}

impl Element for f64 {
    fn constant(value: f64) -> f64 {
        value
    }

    fn add(&self, other: &f64) -> f64 {
        self + other
    }

    fn sub(&self, other: &f64) -> f64 {
        self - other
    }

    fn mul(&self, other: &f64) -> f64 {
        self * other
    }

    fn div(&self, other: &f64) -> Result<f64, EvalError> {
        Ok(self / other)
    }

    fn apply1(func: Func, x: &f64) -> Result<f64, EvalError> {
        let x = *x;
        Ok(match func {
            Func::Abs => x.abs(),
            Func::Acos => libm::acos(x),
            Func::Acosh => libm::acosh(x),
            Func::Asin => libm::asin(x),
            Func::Asinh => libm::asinh(x),
            Func::Atan => libm::atan(x),
            Func::Atanh => libm::atanh(x),
            Func::Ceil => x.ceil(),
            Func::Cos => libm::cos(x),
            Func::Cosh => libm::cosh(x),
            Func::Erf => libm::erf(x),
            Func::Exp => libm::exp(x),
            Func::Floor => x.floor(),
            Func::IsNaN => truth(x.is_nan()),
            Func::IsNegInf => truth(x == f64::NEG_INFINITY),
            Func::IsPosInf => truth(x == f64::INFINITY),
            Func::Log => libm::log(x),
            // The larger part is taken out of the exponential, which would overflow.
            Func::Softplus => x.max(0.0) + libm::log1p(libm::exp(-x.abs())),
            Func::Not => truth(x == 0.0),
            Func::Round => x.round_ties_even(),
            Func::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Func::Sign if x == 0.0 || x.is_nan() => x,
            Func::Sign => x.signum(),
            Func::Sin => libm::sin(x),
            Func::Sinh => libm::sinh(x),
            Func::Sqrt => x.sqrt(),
            Func::Tan => libm::tan(x),
            Func::Tanh => libm::tanh(x),
            Func::Trunc => x.trunc(),
            Func::Truth => truth(x != 0.0),
            _ => return Err(EvalError::Undefined { what: format!("{func:?} of one argument") }),
        })
    }

    fn apply2(func: Func, x: &f64, y: &f64) -> Result<f64, EvalError> {
        let (x, y) = (*x, *y);
        Ok(match func {
            Func::Celu if x < 0.0 => y * libm::expm1(x / y),
            Func::Elu if x < 0.0 => y * libm::expm1(x),
            Func::Celu | Func::Elu => x,
            Func::Equal => truth(x == y),
            Func::Fmod => x % y,
            Func::Greater => truth(x > y),
            Func::GreaterOrEqual => truth(x >= y),
            Func::Less => truth(x < y),
            Func::LessOrEqual => truth(x <= y),
            Func::LeakyRelu if x < 0.0 => x * y,
            Func::LeakyRelu => x,
            // NaN goes through, as in ONNX Runtime and libtorch.
            Func::Max | Func::Min if x.is_nan() || y.is_nan() => f64::NAN,
            Func::Max => x.max(y),
            Func::Min => x.min(y),
            Func::Mod => {
                let rest = x % y;
                if rest != 0.0 && (rest < 0.0) != (y < 0.0) { rest + y } else { rest }
            }
            Func::Pow => libm::pow(x, y),
            Func::ThresholdedRelu if x > y => x,
            Func::ThresholdedRelu => 0.0,
            _ => return Err(EvalError::Undefined { what: format!("{func:?} of two arguments") }),
        })
    }

    fn select(condition: &f64, yes: &f64, no: &f64) -> Result<f64, EvalError> {
        Ok(if *condition != 0.0 { *yes } else { *no })
    }

    fn order(&self, other: &f64) -> Result<Ordering, EvalError> {
        Ok(self.partial_cmp(other).unwrap_or_else(|| self.is_nan().cmp(&other.is_nan())))
    }

    fn to_integer(&self) -> Result<i64, EvalError> {
        // Above 2^53 neighbouring integers share an f64, except for the bounds that stand for "to the end".
        if self.fract() == 0.0 {
            Ok(*self as i64)
        } else {
            Err(EvalError::Undefined { what: format!("the integer {self}") })
        }
    }

    fn pivot(values: &[f64]) -> f64 {
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest.is_finite() { largest } else { 0.0 }
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
