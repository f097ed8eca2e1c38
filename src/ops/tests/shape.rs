//! Shapes, and constants made of them.

use super::{a, check, eval, infers, refuses, s, v};
use crate::graph::Attr;

fn int(name: &'static str, value: i64) -> (&'static str, Attr) {
    (name, Attr::Int(value))
}

#[test]
fn values() {
    let x = a(&[2, 3, 1], &[0.0; 6]);
    check("Shape", &[], &[x.clone()], &[v(&[2.0, 3.0, 1.0])]);
    check("Shape", &[int("start", -2), int("end", -1)], &[x.clone()], &[v(&[3.0])]);
    check("Shape", &[int("start", 2), int("end", 1)], &[x.clone()], &[v(&[])]);
    check("Size", &[], &[x], &[s(6.0)]);
    let value = ("value", Attr::Float(2.5));
    check("ConstantOfShape", &[value], &[v(&[1.0, 2.0])], &[a(&[1, 2], &[2.5, 2.5])]);
    check("ConstantOfShape", &[int("value", 3), ("shape", Attr::ints(&[2]))], &[], &[v(&[3.0, 3.0])]);
    check("Range", &[], &[s(1.0), s(6.0), s(2.0)], &[v(&[1.0, 3.0, 5.0])]);
    check("Range", &[], &[s(3.0), s(0.0), s(-1.5)], &[v(&[3.0, 1.5])]);
    check("Range", &[], &[s(3.0), s(0.0), s(1.0)], &[v(&[])]);
    check("Constant", &[("value_float", Attr::Float(0.5))], &[], &[s(0.5)]);
    check("Constant", &[("value_ints", Attr::ints(&[1, -2]))], &[], &[v(&[1.0, -2.0])]);
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_allocated() {
    assert!(eval("ConstantOfShape", &[], &[v(&[1e9, 1e9, 1e9])]).is_err());
    assert!(eval("ConstantOfShape", &[], &[v(&[-1.0])]).is_err());
    assert!(eval("Range", &[], &[s(0.0), s(1e18), s(1.0)]).is_err());
    infers("ConstantOfShape", &[int("dtype", 7)], &["i64[1] = 1000000000000"], "i64[1000000000000]");
    infers("Range", &[], &["i64[] = 0", "i64[] = 1000000000000", "i64[] = 1"], "i64[1000000000000]");
}

#[test]
fn types_and_elements() {
    infers("Shape", &[], &["f32[n, 3]"], "i64[2] = n, 3");
    infers("Shape", &[int("start", 1)], &["f32[n, 3]"], "i64[1] = 3");
    infers("Shape", &[int("end", -1)], &["string[n, 3]"], "i64[1] = n");
    infers("Shape", &[], &["f32[]"], "i64[0] = ");
    infers("Size", &[], &["f32[n, 3]"], "i64[] = 3*n");
    infers("Size", &[], &["f32[4611686018427387904, 4]"], "i64[]");
    infers("ConstantOfShape", &[], &["i64[2] = n, 4"], "f32[n, 4]");
    infers("ConstantOfShape", &[int("dtype", 7)], &["i64[1] = 2"], "i64[2] = 0, 0");
    infers("ConstantOfShape", &[int("dtype", 9), int("value", 1)], &["i64[1] = 1"], "bool[1] = 1");
    infers("ConstantOfShape", &[int("value", 7), int("dtype", 6), ("shape", Attr::ints(&[]))], &[], "i32[] = 7");
    infers("ConstantOfShape", &[], &["i64[2]"], "?");
    refuses("ConstantOfShape", &[], &["i64[1] = -2"], "negative");
    refuses("ConstantOfShape", &[int("dtype", 77)], &["i64[1] = 2"], "77");
    refuses("ConstantOfShape", &[], &["f32[1]"], "i64");
    infers("Range", &[], &["i64[] = 1", "i64[] = 6", "i64[] = 2"], "i64[3] = 1, 3, 5");
    infers("Range", &[], &["i64[] = 5", "i64[] = 0", "i64[] = -2"], "i64[3] = 5, 3, 1");
    infers("Range", &[], &["i64[] = 5", "i64[] = 0", "i64[] = 1"], "i64[0] = ");
    infers("Range", &[], &["i64[] = 0", "i64[] = n", "i64[] = 1"], "i64[n]");
    infers("Range", &[], &["i64[] = n", "i64[] = 2", "i64[] = 1"], "i64[max(0, 2 - n)]");
    infers("Range", &[], &["f32[]", "f32[]", "f32[]"], "?");
    refuses("Range", &[], &["i64[] = 0", "i64[] = 4", "i64[] = 0"], "step of 0");
    refuses("Range", &[], &["i64[] = 0", "i32[] = 4", "i64[] = 1"], "differ");
    refuses("Range", &[], &["i64[2]", "i64[]", "i64[]"], "scalar");
    infers("Constant", &[int("value_int", 4)], &[], "i64[] = 4");
    infers("Constant", &[("value_floats", Attr::Floats([1.0, 2.0].into()))], &[], "f32[2]");
    infers("Constant", &[("value_ints", Attr::ints(&[1, 2]))], &[], "i64[2] = 1, 2");
    refuses("Constant", &[], &[], "exactly one");
    refuses("Constant", &[int("value_int", 4), ("value_float", Attr::Float(1.0))], &[], "exactly one");
}
