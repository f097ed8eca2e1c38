//! Element-wise operators: values worked out by hand, inference over named sizes.

use super::{a, check, eval, infers, refuses, s, v};
use crate::graph::Attr;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

#[test]
fn binary_values() {
    let rows: &[(&str, &[f64], &[f64], &[f64])] = &[
        ("Add", &[1.0, -2.0], &[0.5, 2.0], &[1.5, 0.0]),
        ("Sub", &[1.0, -2.0], &[0.5, 2.0], &[0.5, -4.0]),
        ("Mul", &[3.0, -2.0], &[0.5, 2.0], &[1.5, -4.0]),
        ("Div", &[3.0, -2.0], &[2.0, 4.0], &[1.5, -0.5]),
        ("Pow", &[3.0, 4.0], &[2.0, 0.5], &[9.0, 2.0]),
        ("Mod", &[-7.0, 7.0], &[3.0, -3.0], &[2.0, -2.0]),
        ("Min", &[1.0, NAN], &[2.0, 1.0], &[1.0, NAN]),
        ("Max", &[1.0, 1.0], &[2.0, NAN], &[2.0, NAN]),
        ("PRelu", &[2.0, -2.0], &[0.5, 0.5], &[2.0, -1.0]),
        ("And", &[1.0, 1.0], &[1.0, 0.0], &[1.0, 0.0]),
        ("Or", &[1.0, 0.0], &[1.0, 0.0], &[1.0, 0.0]),
        ("Xor", &[1.0, 1.0], &[1.0, 0.0], &[0.0, 1.0]),
        ("Equal", &[1.0, 1.0], &[1.0, 0.0], &[1.0, 0.0]),
        ("Less", &[1.0, 1.0], &[1.0, 2.0], &[0.0, 1.0]),
        ("LessOrEqual", &[1.0, 3.0], &[1.0, 2.0], &[1.0, 0.0]),
        ("Greater", &[1.0, 3.0], &[1.0, 2.0], &[0.0, 1.0]),
        ("GreaterOrEqual", &[1.0, 1.0], &[1.0, 2.0], &[1.0, 0.0]),
    ];
    for (name, x, y, expected) in rows {
        check(name, &[], &[v(x), v(y)], &[v(expected)]);
    }
    check("Mod", &[("fmod", Attr::Int(1))], &[v(&[-7.0, 7.5]), s(3.0)], &[v(&[-1.0, 1.5])]);
}

#[test]
fn several_operands_and_broadcasting() {
    let (column, row) = (a(&[2, 1], &[1.0, 2.0]), a(&[3], &[10.0, 20.0, 30.0]));
    let sum = a(&[2, 3], &[11.0, 21.0, 31.0, 12.0, 22.0, 32.0]);
    check("Add", &[], &[column.clone(), row.clone()], std::slice::from_ref(&sum));
    check("Sum", &[], &[column.clone(), row.clone(), s(0.0)], &[sum]);
    check("Mean", &[], &[v(&[1.0, 2.0]), v(&[3.0, 4.0]), s(5.0)], &[v(&[3.0, 11.0 / 3.0])]);
    check("Max", &[], &[v(&[1.0, 2.0])], &[v(&[1.0, 2.0])]);
    check("Min", &[], &[v(&[1.0, 5.0]), s(3.0), s(2.0)], &[v(&[1.0, 2.0])]);
    let condition = a(&[2, 1], &[1.0, 0.0]);
    check("Where", &[], &[condition, row, s(-1.0)], &[a(&[2, 3], &[10.0, 20.0, 30.0, -1.0, -1.0, -1.0])]);
    assert!(eval("Add", &[], &[v(&[1.0, 2.0]), v(&[1.0, 2.0, 3.0])]).is_err());
    assert!(eval("PRelu", &[], &[s(1.0), v(&[1.0, 2.0])]).is_err(), "the slope may not widen the result");
    check("Add", &[], &[a(&[0, 2], &[]), v(&[1.0, 2.0])], &[a(&[0, 2], &[])]);
}

#[test]
fn unary_values() {
    let rows: &[(&str, &[f64], &[f64])] = &[
        ("Neg", &[1.0, -2.0], &[-1.0, 2.0]),
        ("Abs", &[1.0, -2.0], &[1.0, 2.0]),
        ("Sqrt", &[4.0, 0.25], &[2.0, 0.5]),
        ("Exp", &[0.0, 1.0], &[1.0, std::f64::consts::E]),
        ("Log", &[1.0, std::f64::consts::E], &[0.0, 1.0]),
        ("Reciprocal", &[4.0, -0.5], &[0.25, -2.0]),
        ("Floor", &[1.5, -1.5], &[1.0, -2.0]),
        ("Ceil", &[1.5, -1.5], &[2.0, -1.0]),
        ("Round", &[0.5, 1.5, -2.5, 2.6], &[0.0, 2.0, -2.0, 3.0]),
        ("Sign", &[-3.0, 0.0, 2.0], &[-1.0, 0.0, 1.0]),
        ("Not", &[0.0, 1.0], &[1.0, 0.0]),
        ("IsNaN", &[NAN, 1.0], &[1.0, 0.0]),
        ("IsInf", &[INF, -INF, 1.0, NAN], &[1.0, 1.0, 0.0, 0.0]),
        ("Erf", &[0.0, 1.0], &[0.0, 0.842_700_792_949_714_9]),
        ("Sin", &[0.0, std::f64::consts::FRAC_PI_2], &[0.0, 1.0]),
        ("Cos", &[0.0, std::f64::consts::PI], &[1.0, -1.0]),
        ("Tan", &[0.0, std::f64::consts::FRAC_PI_4], &[0.0, 1.0]),
        ("Asin", &[1.0], &[std::f64::consts::FRAC_PI_2]),
        ("Acos", &[1.0, 0.0], &[0.0, std::f64::consts::FRAC_PI_2]),
        ("Atan", &[1.0], &[std::f64::consts::FRAC_PI_4]),
        ("Sinh", &[0.0, 1.0], &[0.0, 1.175_201_193_643_801_4]),
        ("Cosh", &[0.0, 1.0], &[1.0, 1.543_080_634_815_243_7]),
        ("Tanh", &[0.0, 1.0], &[0.0, 0.761_594_155_955_764_9]),
        ("Asinh", &[1.175_201_193_643_801_4], &[1.0]),
        ("Acosh", &[1.543_080_634_815_243_7], &[1.0]),
        ("Atanh", &[0.761_594_155_955_764_9], &[1.0]),
    ];
    for (name, x, expected) in rows {
        check(name, &[], &[v(x)], &[v(expected)]);
    }
    let negative_only = [("detect_positive", Attr::Int(0))];
    check("IsInf", &negative_only, &[v(&[INF, -INF])], &[v(&[0.0, 1.0])]);
}

#[test]
fn clip_and_cast_values() {
    let x = v(&[-2.0, 0.5, 9.0]);
    check("Clip", &[("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))], &[x.clone()], &[v(&[0.0, 0.5, 6.0])]);
    check("Clip", &[], &[x.clone(), s(0.0)], &[v(&[0.0, 0.5, 9.0])]);
    check("Clip", &[], &[x.clone(), s(3.0), s(1.0)], &[v(&[1.0, 1.0, 1.0])]);
    check("Cast", &[("to", Attr::Int(7))], &[v(&[-1.5, 2.7])], &[v(&[-1.0, 2.0])]);
    check("Cast", &[("to", Attr::Int(9))], std::slice::from_ref(&x), &[v(&[1.0, 1.0, 1.0])]);
    check("Cast", &[("to", Attr::Int(10))], std::slice::from_ref(&x), std::slice::from_ref(&x));
}

#[test]
fn activation_values() {
    let e = std::f64::consts::E;
    let alpha = |alpha: f32| ("alpha", Attr::Float(alpha));
    let rows: &[(&str, &[(&str, Attr)], &[f64], &[f64])] = &[
        ("Relu", &[], &[-1.0, 2.0], &[0.0, 2.0]),
        ("LeakyRelu", &[alpha(0.25)], &[-1.0, 2.0], &[-0.25, 2.0]),
        ("Sigmoid", &[], &[0.0, 1.0], &[0.5, e / (1.0 + e)]),
        ("Gelu", &[], &[0.0, 1.0], &[0.0, 0.841_344_746_068_542_9]),
        ("Gelu", &[("approximate", Attr::str("tanh"))], &[1.0], &[0.841_191_990_608_276_6]),
        ("HardSigmoid", &[alpha(0.25)], &[-9.0, 1.0, 9.0], &[0.0, 0.75, 1.0]),
        ("HardSwish", &[], &[-4.0, 3.0, 1.0], &[0.0, 3.0, 2.0 / 3.0]),
        ("Elu", &[alpha(2.0)], &[-1.0, 3.0], &[2.0 * (1.0 / e - 1.0), 3.0]),
        ("Celu", &[alpha(2.0)], &[-2.0, 3.0], &[2.0 * (1.0 / e - 1.0), 3.0]),
        ("Selu", &[alpha(2.0), ("gamma", Attr::Float(3.0))], &[-1.0, 1.0], &[6.0 * (1.0 / e - 1.0), 3.0]),
        ("ThresholdedRelu", &[], &[0.5, 1.0, 2.0], &[0.0, 0.0, 2.0]),
        ("Softplus", &[], &[0.0, 1000.0], &[std::f64::consts::LN_2, 1000.0]),
        ("Softsign", &[], &[-1.0, 3.0], &[-0.5, 0.75]),
        // At ln(e - 1) softplus is 1.
        ("Mish", &[], &[0.0, (e - 1.0).ln()], &[0.0, (e - 1.0).ln() * 1f64.tanh()]),
    ];
    for (name, attrs, x, expected) in rows {
        check(name, attrs, &[v(x)], &[v(expected)]);
    }
}

#[test]
fn broadcast_types() {
    let rows: &[(&str, &[&str], &str)] = &[
        ("Add", &["f32[2, 1]", "f32[3]"], "f32[2, 3]"),
        ("Add", &["f16[n, 4]", "f16[1]"], "f16[n, 4]"),
        ("Mul", &["bf16[n, 4]", "bf16[n, 1]"], "bf16[n, 4]"),
        // A number other than 1 decides; of two names the larger size, for one is 1 or they are equal.
        ("Add", &["f32[n]", "f32[4]"], "f32[4]"),
        ("Add", &["f32[n]", "f32[m]"], "f32[max(m, n)]"),
        ("Add", &["f32[]", "f32[n]"], "f32[n]"),
        ("Pow", &["f32[n]", "i64[]"], "f32[n]"),
        ("Less", &["i32[n]", "i32[]"], "bool[n]"),
        ("Equal", &["string[n]", "string[1]"], "bool[n]"),
        ("And", &["bool[n, 1]", "bool[3]"], "bool[n, 3]"),
        ("Where", &["bool[3]", "f32[n, 1]", "f32[]"], "f32[n, 3]"),
        ("Max", &["f32[2]", "f32[]", "f32[3, 1]"], "f32[3, 2]"),
        ("PRelu", &["f32[n, c, 4]", "f32[c, 1]"], "f32[n, c, 4]"),
    ];
    for (name, inputs, expected) in rows {
        infers(name, &[], inputs, expected);
    }
    refuses("Add", &[], &["f32[2]", "f32[3]"], "do not broadcast");
    refuses("Add", &[], &["f32[2]", "f64[2]"], "element types differ");
    refuses("Add", &[], &["bool[2]", "bool[2]"], "must be a number");
    refuses("And", &[], &["bool[2]", "f32[2]"], "input 1 must be bool");
    refuses("Where", &[], &["f32[2]", "f32[2]", "f32[2]"], "input 0 must be bool");
    refuses("PRelu", &[], &["f32[1]", "f32[2]"], "slope");
    refuses("Sqrt", &[], &["i64[2]"], "must be a float");
    refuses("Sigmoid", &[], &["i64[2]"], "must be a float");
    refuses("Gelu", &[("approximate", Attr::str("cubic"))], &["f32[2]"], "approximate");
    refuses("Clip", &[], &["f32[2]", "f64[]"], "scalars");
    refuses("Cast", &[("to", Attr::Int(99))], &["f32[2]"], "99");
    refuses("Not", &[], &["f32[2]"], "bool");
}

#[test]
fn same_shape_types() {
    for name in ["Neg", "Abs", "Sign", "Sqrt", "Tanh", "Erf", "Relu", "Softplus", "HardSwish", "Clip"] {
        infers(name, &[], &["f16[n, 3]"], "f16[n, 3]");
    }
    infers("IsNaN", &[], &["f32[n]"], "bool[n]");
    infers("Relu", &[], &["i32[n]"], "i32[n]");
    infers("Clip", &[], &["f32[n]", "-", "f32[]"], "f32[n]");
    infers("Cast", &[("to", Attr::Int(16))], &["f32[n]"], "bf16[n]");
}

#[test]
fn elements_of_shape_tensors() {
    let rows: &[(&str, &[&str], &str)] = &[
        ("Add", &["i64[2] = n, 3", "i64[] = 1"], "i64[2] = 1 + n, 4"),
        ("Sub", &["i64[] = n", "i64[] = n"], "i64[] = 0"),
        ("Mul", &["i64[2] = n, 3", "i64[2] = 2, m"], "i64[2] = 2*n, 3*m"),
        ("Div", &["i64[2] = n, -7", "i64[] = 2"], "i64[2] = floor((n)/(2)), -3"),
        ("Div", &["i64[] = 1", "i64[] = 0"], "i64[]"),
        ("Mod", &["i64[] = -7", "i64[] = 3"], "i64[] = 2"),
        ("Pow", &["i64[] = 2", "i64[] = 10"], "i64[] = 1024"),
        ("Min", &["i64[] = n", "i64[] = 1"], "i64[] = 1"),
        ("Max", &["i64[] = n", "i64[] = 4"], "i64[] = max(4, n)"),
        ("Equal", &["i64[2] = n, 1", "i64[] = -1"], "bool[2] = 0, 0"),
        ("Equal", &["i64[] = n", "i64[] = 2"], "bool[]"),
        ("Greater", &["i64[] = n", "i64[] = 0"], "bool[] = 1"),
        ("LessOrEqual", &["i64[] = 1", "i64[] = n"], "bool[] = 1"),
        ("Less", &["i64[] = 1", "i64[] = n"], "bool[]"),
        ("And", &["bool[2] = 1, 0", "bool[2] = 1, 1"], "bool[2] = 1, 0"),
        ("Or", &["bool[2] = 1, 0", "bool[2] = 1, 0"], "bool[2] = 1, 0"),
        ("Xor", &["bool[] = 1", "bool[] = 1"], "bool[] = 0"),
        ("Where", &["bool[2] = 1, 0", "i64[] = 5", "i64[2] = n, m"], "i64[2] = 5, m"),
        ("Not", &["bool[] = 0"], "bool[] = 1"),
        ("Neg", &["i64[] = n"], "i64[] = -n"),
        ("Abs", &["i64[2] = -3, n"], "i64[2] = 3, n"),
        ("Sign", &["i64[3] = -3, n, 0"], "i64[3] = -1, 1, 0"),
        ("Clip", &["i64[2] = 9, n", "i64[] = 1", "-"], "i64[2] = 9, n"),
        // Not known, or more than 64 bits hold.
        ("Add", &["i64[2]", "i64[] = 1"], "i64[2]"),
        ("Add", &["i64[] = 9223372036854775807", "i64[] = 1"], "i64[]"),
        ("Add", &["i8[] = 127", "i8[] = 1"], "i8[]"),
    ];
    for (name, inputs, expected) in rows {
        infers(name, &[], inputs, expected);
    }
    infers("Cast", &[("to", Attr::Int(6))], &["i64[2] = n, 3"], "i32[2] = n, 3");
    infers("Cast", &[("to", Attr::Int(2))], &["i64[] = 300"], "u8[]");
    infers("Cast", &[("to", Attr::Int(9))], &["i64[2] = n, 0"], "bool[2] = 1, 0");
    infers("Cast", &[("to", Attr::Int(1))], &["i64[] = 3"], "f32[]");
}
