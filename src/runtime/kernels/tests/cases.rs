//! Tables of cases by family.

use super::Fill::{Bools, Exact, Half, Ints, Normal, Positive, Ties, Unit};
use super::{Case, Operand, check_all};
use crate::graph::{Attr, OpKind, OpKind as K};

pub(super) fn i(v: i64) -> Attr {
    Attr::Int(v)
}

pub(super) fn f(v: f32) -> Attr {
    Attr::Float(v)
}

pub(super) fn s(v: &str) -> Attr {
    Attr::str(v)
}

pub(super) fn l(v: &[i64]) -> Attr {
    Attr::ints(v)
}

pub(super) fn row(kind: OpKind, attrs: &[(&'static str, Attr)], operands: &[Operand]) -> Case {
    Case { kind, attrs: attrs.to_vec(), operands: operands.iter().copied().map(Some).collect() }
}

pub(super) fn gaps(kind: OpKind, attrs: &[(&'static str, Attr)], operands: &[Option<Operand>]) -> Case {
    Case { kind, attrs: attrs.to_vec(), operands: operands.to_vec() }
}

const X: Operand = (Normal, &[2, 3, 4]);

#[test]
fn element_wise_of_two() {
    let mut cases = Vec::new();
    let shapes: [(&[i64], &[i64]); 6] = [
        (&[2, 3, 4], &[2, 3, 4]),
        (&[2, 3, 4], &[4]),
        (&[3, 1], &[2, 1, 4]),
        (&[], &[2, 3]),
        (&[2, 3], &[]),
        (&[0, 3], &[3]),
    ];
    for (a, b) in shapes {
        for kind in [K::Add, K::Sub, K::Mul, K::Min, K::Max, K::Mean, K::Sum] {
            cases.push(row(kind, &[], &[(Normal, a), (Normal, b)]));
        }
        for kind in [K::Div, K::Pow] {
            cases.push(row(kind, &[], &[(Positive, a), (Positive, b)]));
        }
        for kind in [K::Equal, K::Less, K::LessOrEqual, K::Greater, K::GreaterOrEqual] {
            cases.push(row(kind, &[], &[(Ties, a), (Ties, b)]));
            cases.push(row(kind, &[], &[(Ints(-2, 2), a), (Ints(-2, 2), b)]));
        }
        for kind in [K::And, K::Or, K::Xor] {
            cases.push(row(kind, &[], &[(Bools, a), (Bools, b)]));
        }
        cases.push(row(K::Mod, &[("fmod", i(1))], &[(Normal, a), (Positive, b)]));
        cases.push(row(K::Mod, &[("fmod", i(1))], &[(Ints(-9, 9), a), (Ints(1, 4), b)]));
        cases.push(row(K::Mod, &[], &[(Ints(-9, 9), a), (Ints(1, 4), b)]));
        cases.push(row(K::Mod, &[], &[(Ints(-9, 9), a), (Ints(-4, 0), b)]));
        cases.push(row(K::Where, &[], &[(Bools, a), (Normal, b), (Normal, &[])]));
        cases.push(row(K::Add, &[], &[(Ints(-9, 9), a), (Ints(-9, 9), b)]));
    }
    for kind in [K::Min, K::Max, K::Mean, K::Sum] {
        cases.push(row(kind, &[], &[X]));
        cases.push(row(kind, &[], &[X, (Normal, &[4]), (Normal, &[3, 1]), (Normal, &[])]));
    }
    for slope in [&[3i64, 1][..], &[1], &[4], &[2, 3, 4], &[]] {
        cases.push(row(K::PRelu, &[], &[X, (Normal, slope)]));
    }
    cases.push(row(K::PRelu, &[], &[(Normal, &[2, 3, 4, 5]), (Normal, &[3, 1, 1])]));
    cases.push(row(K::Pow, &[], &[X, (Exact(&[2]), &[])]));
    cases.push(row(K::Pow, &[], &[X, (Exact(&[3]), &[1])]));
    cases.push(row(K::Pow, &[], &[X, (Exact(&[1, 2, 3, 0]), &[4])]));
    cases.push(row(K::Pow, &[], &[(Positive, &[]), (Exact(&[2]), &[1, 1])]));
    check_all(cases);
}

#[test]
fn element_wise_of_one() {
    let mut cases = Vec::new();
    for kind in [K::Neg, K::Abs, K::Exp, K::Floor, K::Ceil, K::Round, K::Sign, K::IsNaN, K::IsInf, K::Erf] {
        cases.push(row(kind, &[], &[X]));
    }
    for kind in [K::Sin, K::Cos, K::Tan, K::Atan, K::Sinh, K::Cosh, K::Tanh, K::Asinh] {
        cases.push(row(kind, &[], &[(Unit, &[3, 5])]));
    }
    for kind in [K::Asin, K::Acos, K::Atanh] {
        cases.push(row(kind, &[], &[(Half, &[3, 5])]));
    }
    for kind in [K::Sqrt, K::Log, K::Reciprocal] {
        cases.push(row(kind, &[], &[(Positive, &[3, 5])]));
    }
    cases.push(row(K::Not, &[], &[(Bools, &[3, 5])]));
    cases.push(row(K::Round, &[], &[(Ties, &[20])]));
    for kind in [K::Relu, K::Sigmoid, K::HardSwish, K::Softplus, K::Softsign, K::Mish] {
        cases.push(row(kind, &[], &[(Normal, &[2, 3, 4, 5])]));
        cases.push(row(kind, &[], &[(Normal, &[0])]));
        cases.push(row(kind, &[], &[(Normal, &[])]));
    }
    for alpha in [0.01f32, 0.2, 1.0, 1.7] {
        for kind in [K::LeakyRelu, K::Elu, K::Celu, K::ThresholdedRelu] {
            cases.push(row(kind, &[("alpha", f(alpha))], &[X]));
        }
    }
    for kind in [K::LeakyRelu, K::Elu, K::Celu, K::ThresholdedRelu, K::Selu, K::HardSigmoid] {
        cases.push(row(kind, &[], &[X]));
    }
    cases.push(row(K::Selu, &[("alpha", f(1.2)), ("gamma", f(0.9))], &[X]));
    cases.push(row(K::HardSigmoid, &[("alpha", f(1.0 / 6.0)), ("beta", f(0.5))], &[X]));
    cases.push(row(K::Gelu, &[], &[X]));
    cases.push(row(K::Gelu, &[("approximate", s("tanh"))], &[X]));
    cases.push(row(K::Clip, &[], &[X]));
    cases.push(row(K::Clip, &[("min", f(0.0)), ("max", f(0.5))], &[X]));
    cases.push(row(K::Clip, &[("min", f(-0.25))], &[X]));
    cases.push(row(K::Clip, &[("max", f(0.25))], &[X]));
    cases.push(row(K::Clip, &[("min", f(1.0)), ("max", f(-1.0))], &[X]));
    cases.push(gaps(K::Clip, &[], &[Some(X), None, Some((Positive, &[]))]));
    cases.push(row(K::Clip, &[], &[X, (Normal, &[]), (Positive, &[])]));
    cases.push(row(K::Clip, &[], &[(Ints(-9, 9), &[12]), (Exact(&[-3]), &[]), (Exact(&[4]), &[])]));
    for to in [1, 11, 7, 6, 9] {
        cases.push(row(K::Cast, &[("to", i(to))], &[(Ints(-5, 5), &[12])]));
        cases.push(row(K::Cast, &[("to", i(to))], &[(Bools, &[12])]));
        cases.push(row(K::Cast, &[("to", i(to))], &[(Ties, &[12])]));
    }
    cases.push(row(K::Cast, &[("to", i(7))], &[(Normal, &[12])]));
    check_all(cases);
}

#[test]
fn along_axes() {
    let mut cases = Vec::new();
    let reductions = [
        K::ReduceSum,
        K::ReduceMean,
        K::ReduceMax,
        K::ReduceMin,
        K::ReduceProd,
        K::ReduceL1,
        K::ReduceL2,
        K::ReduceLogSum,
        K::ReduceLogSumExp,
        K::ReduceSumSquare,
    ];
    for kind in reductions {
        for axes in [&[1][..], &[0, 2], &[0, 1, 2], &[2]] {
            for keep in [0, 1] {
                cases.push(row(kind, &[("axes", l(axes)), ("keepdims", i(keep))], &[(Positive, &[2, 3, 4])]));
            }
        }
        cases.push(row(kind, &[], &[(Positive, &[2, 3, 4]), (Exact(&[-1]), &[1])]));
        cases.push(row(kind, &[("axes", l(&[0]))], &[(Positive, &[1, 3])]));
        cases.push(row(kind, &[], &[(Positive, &[])]));
    }
    for kind in [K::ReduceSum, K::ReduceMax, K::ReduceMin, K::ReduceProd, K::ReduceL1, K::ReduceSumSquare] {
        cases.push(row(kind, &[("axes", l(&[1]))], &[(Ints(-5, 5), &[3, 4])]));
    }
    for kind in [K::ArgMax, K::ArgMin] {
        for last in [0, 1] {
            for axis in 0..3 {
                let attrs = [("axis", i(axis)), ("select_last_index", i(last)), ("keepdims", i(axis % 2))];
                cases.push(row(kind, &attrs, &[(Ties, &[3, 4, 5])]));
                cases.push(row(kind, &attrs, &[(Ints(-3, 3), &[3, 4, 5])]));
            }
        }
    }
    for (axis, largest) in [(0, 1), (1, 0), (2, 1), (2, 0)] {
        let attrs = [("axis", i(axis)), ("largest", i(largest))];
        cases.push(row(K::TopK, &attrs, &[(Ties, &[3, 4, 5]), (Exact(&[2]), &[1])]));
        cases.push(row(K::TopK, &attrs, &[(Normal, &[3, 4, 5]), (Exact(&[3]), &[1])]));
    }
    for kind in [K::Softmax, K::LogSoftmax, K::Hardmax] {
        for axis in 0..3 {
            for coerced in [0, 1] {
                cases.push(row(kind, &[("axis", i(axis)), ("coerced", i(coerced))], &[(Normal, &[2, 3, 4])]));
            }
        }
    }
    for axis in 0..3 {
        for p in [1, 2] {
            cases.push(row(K::LpNormalization, &[("axis", i(axis)), ("p", i(p))], &[X]));
        }
        for (exclusive, reverse) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let attrs = [("axis", i(axis)), ("exclusive", i(exclusive)), ("reverse", i(reverse))];
            cases.push(row(K::CumSum, &attrs, &[X]));
        }
    }
    cases.push(row(K::CumSum, &[], &[X, (Exact(&[1]), &[])]));
    check_all(cases);
}

#[test]
fn normalisations() {
    let mut cases = Vec::new();
    for shape in [&[2i64, 3][..], &[2, 3, 4], &[2, 3, 4, 5]] {
        let c: Operand = (Normal, &[3]);
        cases.push(row(K::BatchNormalization, &[], &[(Normal, shape), c, c, c, (Positive, &[3])]));
        cases.push(row(K::BatchNormalization, &[("epsilon", f(0.1))], &[(Normal, shape), c, c, c, (Positive, &[3])]));
    }
    for shape in [&[2i64, 6, 4][..], &[2, 6, 4, 5]] {
        let c: Operand = (Normal, &[6]);
        cases.push(row(K::InstanceNormalization, &[("epsilon", f(0.01))], &[(Normal, shape), c, c]));
        for groups in [1, 2, 3, 6] {
            cases.push(row(K::GroupNormalization, &[("num_groups", i(groups))], &[(Normal, shape), c, c]));
        }
    }
    let x: Operand = (Normal, &[2, 3, 4]);
    for (axis, scale) in [(2, &[4i64][..]), (1, &[3, 4]), (0, &[2, 3, 4]), (1, &[4]), (0, &[3, 1])] {
        let attrs = [("axis", i(axis)), ("epsilon", f(0.01))];
        cases.push(row(K::LayerNormalization, &attrs, &[x, (Normal, scale), (Normal, scale)]));
        cases.push(row(K::LayerNormalization, &attrs, &[x, (Normal, scale)]));
        cases.push(row(K::RMSNormalization, &attrs, &[x, (Normal, scale)]));
    }
    for size in [1, 2, 3, 5] {
        let attrs = [("size", i(size)), ("alpha", f(0.3)), ("bias", f(1.5)), ("beta", f(0.6))];
        cases.push(row(K::LRN, &attrs, &[(Normal, &[2, 5, 3, 4])]));
    }
    cases.push(row(K::LRN, &[("size", i(3))], &[(Normal, &[2, 5, 3])]));
    check_all(cases);
}
