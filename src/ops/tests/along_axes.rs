//! Softmax and its kin, reductions, arguments of extrema, `TopK`.

use super::{a, check, eval, infers, refuses, s, v};
use crate::graph::Attr;

fn axis(axis: i64) -> (&'static str, Attr) {
    ("axis", Attr::Int(axis))
}

fn axes(axes: &[i64]) -> (&'static str, Attr) {
    ("axes", Attr::ints(axes))
}

const DROP: (&str, Attr) = ("keepdims", Attr::Int(0));

#[test]
fn softmax_values() {
    let ln = f64::ln;
    let x = a(&[2, 2], &[0.0, ln(3.0), 1000.0, 1000.0]);
    check("Softmax", &[], &[x.clone()], &[a(&[2, 2], &[0.25, 0.75, 0.5, 0.5])]);
    check("LogSoftmax", &[], &[x.clone()], &[a(&[2, 2], &[ln(0.25), ln(0.75), ln(0.5), ln(0.5)])]);
    check("Hardmax", &[], &[x], &[a(&[2, 2], &[0.0, 1.0, 1.0, 0.0])]);
    let logs = a(&[2, 2], &[0.0, 0.0, ln(3.0), 0.0]);
    check("Softmax", &[axis(0)], &[logs.clone()], &[a(&[2, 2], &[0.25, 0.5, 0.75, 0.5])]);
    // Coerced to one row.
    let sixth = 1.0 / 6.0;
    let coerced = [axis(0), ("coerced", Attr::Int(1))];
    check("Softmax", &coerced, &[logs], &[a(&[2, 2], &[sixth, sixth, 0.5, sixth])]);
    assert!(eval("Softmax", &[axis(1)], &[v(&[1.0])]).is_err());
}

#[test]
fn norm_and_cumulative_values() {
    let x = a(&[2, 2], &[3.0, 4.0, 0.0, 0.0]);
    check("LpNormalization", &[], &[x.clone()], &[a(&[2, 2], &[0.6, 0.8, 0.0, 0.0])]);
    check("LpNormalization", &[("p", Attr::Int(1)), axis(1)], &[x], &[a(&[2, 2], &[3.0 / 7.0, 4.0 / 7.0, 0.0, 0.0])]);
    let x = a(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let (exclusive, reverse) = (("exclusive", Attr::Int(1)), ("reverse", Attr::Int(1)));
    let x1 = std::slice::from_ref(&x);
    check("CumSum", &[axis(1)], x1, &[a(&[2, 3], &[1.0, 3.0, 6.0, 4.0, 9.0, 15.0])]);
    check("CumSum", &[axis(0)], x1, &[a(&[2, 3], &[1.0, 2.0, 3.0, 5.0, 7.0, 9.0])]);
    check("CumSum", &[axis(1), exclusive.clone()], x1, &[a(&[2, 3], &[0.0, 1.0, 3.0, 0.0, 4.0, 9.0])]);
    check("CumSum", &[axis(1), reverse.clone()], x1, &[a(&[2, 3], &[6.0, 5.0, 3.0, 15.0, 11.0, 6.0])]);
    let both = [exclusive, reverse];
    check("CumSum", &both, &[x, s(-1.0)], &[a(&[2, 3], &[5.0, 3.0, 0.0, 11.0, 6.0, 0.0])]);
}

#[test]
fn reduction_values() {
    let x = a(&[2, 2], &[1.0, -2.0, 3.0, 4.0]);
    let positive = a(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let rows: &[(&str, &[f64; 2], &[f64; 2])] = &[
        ("ReduceSum", &[-1.0, 7.0], &[4.0, 2.0]),
        ("ReduceMean", &[-0.5, 3.5], &[2.0, 1.0]),
        ("ReduceMax", &[1.0, 4.0], &[3.0, 4.0]),
        ("ReduceMin", &[-2.0, 3.0], &[1.0, -2.0]),
        ("ReduceProd", &[-2.0, 12.0], &[3.0, -8.0]),
        ("ReduceL1", &[3.0, 7.0], &[4.0, 6.0]),
        ("ReduceL2", &[5f64.sqrt(), 5.0], &[10f64.sqrt(), 20f64.sqrt()]),
        ("ReduceSumSquare", &[5.0, 25.0], &[10.0, 20.0]),
    ];
    for (name, along_rows, along_columns) in rows {
        check(name, &[axes(&[1]), DROP], std::slice::from_ref(&x), &[v(*along_rows)]);
        check(name, &[axes(&[0])], std::slice::from_ref(&x), &[a(&[1, 2], *along_columns)]);
    }
    let ln = f64::ln;
    check("ReduceLogSum", &[axes(&[1]), DROP], &[positive], &[v(&[ln(3.0), ln(7.0)])]);
    check("ReduceLogSumExp", &[DROP], &[v(&[1000.0, 1000.0])], &[s(1000.0 + ln(2.0))]);
    // All axes where none is given, unless that is said to mean none; axes as an input.
    check("ReduceSum", &[], &[x.clone()], &[a(&[1, 1], &[6.0])]);
    check("ReduceSum", &[("noop_with_empty_axes", Attr::Int(1))], &[x.clone()], &[x.clone()]);
    check("ReduceSum", &[DROP], &[x.clone(), v(&[-1.0])], &[v(&[-1.0, 7.0])]);
    check("ReduceSum", &[axes(&[0]), DROP], &[a(&[0, 2], &[])], &[v(&[0.0, 0.0])]);
    check("ReduceMax", &[axes(&[0]), DROP], &[a(&[0, 1], &[])], &[v(&[f64::NEG_INFINITY])]);
    assert!(eval("ReduceSum", &[axes(&[2])], &[x]).is_err());
}

#[test]
fn extremum_values() {
    let x = a(&[2, 3], &[1.0, 5.0, 5.0, 0.0, -1.0, -1.0]);
    let last = ("select_last_index", Attr::Int(1));
    check("ArgMax", &[axis(1), DROP], &[x.clone()], &[v(&[1.0, 0.0])]);
    check("ArgMax", &[axis(1), DROP, last.clone()], &[x.clone()], &[v(&[2.0, 0.0])]);
    check("ArgMin", &[axis(1), last], &[x.clone()], &[a(&[2, 1], &[0.0, 2.0])]);
    check("ArgMin", &[], &[x.clone()], &[a(&[1, 3], &[1.0, 1.0, 1.0])]);
    let (values, indices) = (a(&[2, 2], &[5.0, 5.0, 0.0, -1.0]), a(&[2, 2], &[1.0, 2.0, 0.0, 1.0]));
    check("TopK", &[], &[x.clone(), v(&[2.0])], &[values, indices]);
    let smallest = [axis(0), ("largest", Attr::Int(0))];
    check("TopK", &smallest, &[x.clone(), v(&[1.0])], &[a(&[1, 3], &[0.0, -1.0, -1.0]), a(&[1, 3], &[1.0; 3])]);
    assert!(eval("TopK", &[], &[x, v(&[4.0])]).is_err());
    assert!(eval("ArgMax", &[], &[a(&[0], &[])]).is_err());
}

#[test]
fn types() {
    for name in ["Softmax", "LogSoftmax", "Hardmax", "LpNormalization"] {
        infers(name, &[], &["f16[n, 3]"], "f16[n, 3]");
        refuses(name, &[axis(2)], &["f32[n, 3]"], "axis 2 is out of range for rank 2");
        refuses(name, &[], &["i64[3]"], "must be a float");
    }
    refuses("LpNormalization", &[("p", Attr::Int(3))], &["f32[3]"], "\"p\"");
    infers("CumSum", &[axis(0)], &["i32[n]"], "i32[n]");
    infers("CumSum", &[], &["f32[n]", "i64[]"], "f32[n]");
    refuses("CumSum", &[], &["f32[n]", "i64[] = 1"], "axis 1");
    infers("ReduceSum", &[axes(&[1])], &["f32[n, 3, m]"], "f32[n, 1, m]");
    infers("ReduceMean", &[axes(&[0, 1]), DROP], &["f32[n, 3, m]"], "f32[m]");
    infers("ReduceMax", &[], &["f32[n, 3]"], "f32[1, 1]");
    infers("ReduceL2", &[DROP], &["f32[n, 3]", "i64[1] = -1"], "f32[n]");
    infers("ReduceL2", &[DROP], &["f32[n, 3]", "i64[1]"], "?");
    infers("ReduceSum", &[DROP, ("noop_with_empty_axes", Attr::Int(1))], &["f32[n]", "i64[0]"], "f32[n]");
    refuses("ReduceSum", &[axes(&[2])], &["f32[n, 3]"], "axes");
    refuses("ReduceSum", &[], &["bool[3]"], "must be a number");
    infers("ArgMax", &[axis(1), DROP], &["f32[n, 3]"], "i64[n]");
    infers("ArgMin", &[], &["f32[n, 3]"], "i64[1, 3]");
    refuses("ArgMin", &[axis(2)], &["f32[n, 3]"], "axis 2");
    infers("TopK", &[], &["f32[n, 30]", "i64[1] = 5"], "f32[n, 5]; i64[n, 5]");
    infers("TopK", &[], &["f32[n, 30]", "i64[1] = k"], "f32[n, k]; i64[n, k]");
    infers("TopK", &[], &["f32[n, 30]", "i64[1]"], "?; ?");
    refuses("TopK", &[], &["f32[n, 3]", "i64[1] = 5"], "k is 5");
}

#[test]
fn elements() {
    infers("ReduceProd", &[DROP], &["i64[3] = 2, n, 3"], "i64[] = 6*n");
    infers("ReduceSum", &[], &["i64[2] = n, n"], "i64[1] = 2*n");
    infers("ReduceMax", &[DROP], &["i64[3] = 2, 7, 3"], "i64[] = 7");
    infers("ReduceMin", &[axes(&[1])], &["i64[2, 2] = 2, 1, n, n"], "i64[2, 1] = 1, n");
    infers("ReduceProd", &[DROP], &["i64[0] ="], "i64[] = 1");
    infers("ReduceMean", &[DROP], &["i64[2] = 1, 2"], "i64[]");
    // Nothing is allocated for the many empty sums of an empty tensor.
    infers("ReduceSum", &[axes(&[0]), DROP], &["i64[0, 1099511627776] ="], "i64[1099511627776]");
}
