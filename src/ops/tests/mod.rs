//! Tests of the table as a whole, and the notation in which rows of tests are written.

// Rows of tests: that they read as text matters more than a clone.
#![allow(clippy::cloned_ref_to_slice_refs, clippy::type_complexity)]

use super::*;
use crate::graph::{Attr, Dim, Facts, OpKind, TensorType};

mod along_axes;
mod elementwise;
mod normalisation;
mod recurrent;
mod shape;

/// An operator by its ONNX name.
pub(super) fn op(name: &str, attrs: &[(&str, Attr)]) -> crate::graph::Op {
    build(OpKind::from_name(name).unwrap(), attrs.to_vec()).unwrap()
}

/// An array from shape and elements.
pub(super) fn a(shape: &[usize], data: &[f64]) -> Array<f64> {
    Array::new(shape, data.to_vec()).unwrap()
}

/// A list of numbers.
pub(super) fn v(data: &[f64]) -> Array<f64> {
    a(&[data.len()], data)
}

/// A scalar.
pub(super) fn s(value: f64) -> Array<f64> {
    Array::scalar(value)
}

/// Evaluates; every input is there.
pub(super) fn eval(name: &str, attrs: &[(&str, Attr)], inputs: &[Array<f64>]) -> Result<Vec<Array<f64>>, EvalError> {
    evaluate(&op(name, attrs), &inputs.iter().map(Some).collect::<Vec<_>>())
}

/// Checks that an operator gives these outputs, up to rounding.
#[track_caller]
pub(super) fn check(name: &str, attrs: &[(&str, Attr)], inputs: &[Array<f64>], expected: &[Array<f64>]) {
    assert_close(name, &eval(name, attrs, inputs).unwrap(), expected);
}

#[track_caller]
pub(super) fn assert_close(name: &str, found: &[Array<f64>], expected: &[Array<f64>]) {
    assert_eq!(found.len(), expected.len(), "{name}: number of outputs");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.shape, expected.shape, "{name}: shape");
        for (x, y) in found.data.iter().zip(&expected.data) {
            let same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-12 * y.abs().max(1.0);
            assert!(same, "{name}: found {:?}, expected {:?}", found.data, expected.data);
        }
    }
}

/// Facts from text: `f32[2, n]`, with elements `i64[2] = 3, n`, `?` for an unknown type.
fn facts(text: &str) -> Facts {
    if text == "?" {
        return Facts::default();
    }
    let dims = |list: &str| -> Vec<Dim> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| item.parse().map_or_else(|_| Dim::symbol(item), Dim::Known)).collect()
    };
    let (ty, elements) = match text.split_once('=') {
        Some((ty, elements)) => (ty.trim(), Some(dims(elements).into())),
        None => (text, None),
    };
    let (dtype, shape) = ty.trim_end_matches(']').split_once('[').unwrap();
    Facts { ty: Some(TensorType::new(dtype.parse().unwrap(), dims(shape))), elements }
}

/// Facts as text, in the same notation.
fn show(facts: &Facts) -> String {
    let ty = facts.ty.as_ref().map_or("?".to_owned(), |ty| ty.to_string());
    match &facts.elements {
        Some(elements) => format!("{ty} = {}", elements.iter().map(Dim::to_string).collect::<Vec<_>>().join(", ")),
        None => ty,
    }
}

fn infer_text(name: &str, attrs: &[(&str, Attr)], inputs: &[&str], outputs: usize) -> Result<String, OpError> {
    let inputs: Vec<Option<Facts>> = inputs.iter().map(|text| (*text != "-").then(|| facts(text))).collect();
    let inputs: Vec<Option<&Facts>> = inputs.iter().map(Option::as_ref).collect();
    let found = infer(&op(name, attrs), &inputs, outputs)?;
    assert_eq!(found.len(), outputs, "{name}: number of outputs");
    Ok(found.iter().map(show).collect::<Vec<_>>().join("; "))
}

/// Checks what an operator's outputs are inferred to be, outputs separated by `; `.
#[track_caller]
pub(super) fn infers(name: &str, attrs: &[(&str, Attr)], inputs: &[&str], expected: &str) {
    let outputs = expected.split("; ").count();
    assert_eq!(infer_text(name, attrs, inputs, outputs).as_deref(), Ok(expected), "{name}{inputs:?}");
}

/// Checks that an operator refuses these inputs, with a message that has `part` in it.
#[track_caller]
pub(super) fn refuses(name: &str, attrs: &[(&str, Attr)], inputs: &[&str], part: &str) {
    let outputs = schema(OpKind::from_name(name).unwrap()).outputs.0;
    let message = infer_text(name, attrs, inputs, outputs).unwrap_err().to_string();
    assert!(message.contains(part) && message.starts_with(name), "{name}{inputs:?}: {message}");
}

#[test]
fn every_operator_has_one_schema_row() {
    for &kind in OpKind::ALL {
        let rows = table::SCHEMAS.iter().copied().flatten().filter(|row| row.kind == kind).count();
        assert_eq!(rows, 1, "{kind}");
        assert_eq!(schema(kind).kind, kind);
    }
}

#[test]
fn build_checks_names_and_types_and_fills_defaults() {
    let gemm = build(OpKind::Gemm, vec![("transB", Attr::Int(1))]).unwrap();
    assert_eq!((gemm.int("transB"), gemm.int("transA"), gemm.float("alpha")), (Some(1), Some(0), Some(1.0)));
    let error = |kind, given: Vec<(&str, Attr)>| build(kind, given).unwrap_err().to_string();
    assert_eq!(error(OpKind::Relu, vec![("alpha", Attr::Int(1))]), r#"Relu has no attribute "alpha""#);
    assert_eq!(error(OpKind::Concat, vec![]), r#"Concat needs attribute "axis" (an integer)"#);
    assert_eq!(
        error(OpKind::Concat, vec![("axis", Attr::Float(1.0))]),
        r#"Concat: attribute "axis" must be an integer, and is a float"#
    );
    let twice = vec![("axis", Attr::Int(1)), ("axis", Attr::Int(1))];
    assert_eq!(error(OpKind::Concat, twice), r#"Concat: attribute "axis" is given twice"#);
}

#[test]
fn operators_said_to_commute_do() {
    let x = a(&[2, 2], &[1.0, 0.0, 1.0, 0.0]);
    let y = v(&[0.0, 1.0]);
    let mut tried = 0;
    for &kind in OpKind::ALL.iter().filter(|&&kind| schema(kind).commutative) {
        let name = kind.name();
        assert_eq!(eval(name, &[], &[x.clone(), y.clone()]), eval(name, &[], &[y.clone(), x.clone()]), "{name}");
        assert!(eval(name, &[], &[x.clone(), y.clone()]).is_ok(), "{name}");
        let dtype = if matches!(name, "And" | "Or" | "Xor") { "bool" } else { "f32" };
        let (left, right) = (format!("{dtype}[n,1]"), format!("{dtype}[m]"));
        let there = infer_text(name, &[], &[&left, &right], 1);
        assert!(there.is_ok() && there == infer_text(name, &[], &[&right, &left], 1), "{name}: {there:?}");
        tried += 1;
    }
    assert_eq!(tried, 10);
    let apart = eval("Sub", &[], &[x.clone(), y.clone()]) != eval("Sub", &[], &[y, x]);
    assert!(apart && !schema(OpKind::Sub).commutative);
}

#[test]
fn unknown_types_and_wrong_arities() {
    infers("Add", &[], &["?", "f32[2]"], "?");
    infers("TopK", &[], &["?", "i64[1]"], "?; ?");
    refuses("Add", &[], &["f32[2]"], "1 inputs; 2 expected");
    refuses("Add", &[], &["f32[2]", "-"], "input 1 is left out");
    refuses("Sum", &[], &["f32[2]", "-"], "input 1 is left out");
    refuses("Relu", &[], &["f32[2]", "f32[2]"], "2 inputs; 1 expected");
    let relu = op("Relu", &[]);
    let x = facts("f32[2]");
    assert_eq!(infer(&relu, &[Some(&x)], 2).unwrap_err().to_string(), "Relu: 2 outputs; 1 expected");
    assert!(infer(&crate::graph::Op::Input, &[], 1).is_err());
    assert!(evaluate::<f64>(&crate::graph::Op::Input, &[]).is_err());
}

#[test]
fn work_counts_operations_bytes_and_launches() {
    let ty = |text: &str| facts(text).ty.unwrap();
    let (x, row) = (ty("f32[4, 8]"), ty("f32[8]"));
    let add = work(&op("Add", &[]), &[Some(&x), Some(&row)], std::slice::from_ref(&x));
    assert_eq!(add, Work { flops: 32.0, bytes: 4.0 * (32.0 + 8.0 + 32.0), launches: 1 });
    let shape = work(&op("Shape", &[]), &[Some(&x)], &[ty("i64[2]")]);
    assert_eq!(shape, Work { flops: 0.0, bytes: 0.0, launches: 0 });
    // A named size counts as 1.
    let half = ty("f16[n, 3]");
    let relu = work(&op("Relu", &[]), &[Some(&half)], std::slice::from_ref(&half));
    assert_eq!(relu, Work { flops: 3.0, bytes: 12.0, launches: 1 });
    // 3 steps, batch 2, 5 features, 4 hidden: W x and R h for 4 gates.
    let (x, w, r) = (ty("f32[3,2,5]"), ty("f32[1,16,5]"), ty("f32[1,16,4]"));
    let lstm = op("LSTM", &[("hidden_size", Attr::Int(4))]);
    let found = work(&lstm, &[Some(&x), Some(&w), Some(&r)], &[ty("f32[3,1,2,4]")]);
    assert_eq!(found.flops, 2.0 * 6.0 * 16.0 * 9.0 + 6.0 * 16.0 * 10.0);
    assert_eq!(found.launches, 7);
}
