//! Tests of operators as rows of text.
//!
//! An application is `Op name=value …`, with lists in brackets; a type `f32[2, n]`, with its partial value behind `=`
//! (`i64[2] = [n, -1]`), `?` where it is not known and `-` for an input left out; an array `2x3: 1 2 3 4 5 6`.

mod agreement;
mod constructing;
mod linear_maps;
mod movements;
mod pools;
mod resizing;
mod robustness;

use super::*;
use crate::graph::{Attr, DType, Dim, Facts, Op, OpKind, TensorType};

/// Reads `Op name=value name=[1, 2]`.
fn op(text: &str) -> Op {
    let (name, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let kind = OpKind::from_name(name).unwrap_or_else(|| panic!("no operator {name}"));
    let mut attrs = Vec::new();
    while let Some((name, value)) = rest.trim().split_once('=') {
        let (value, after) = match value.strip_prefix('[') {
            Some(list) => list.split_once(']').expect("a closing bracket"),
            None => value.split_once(' ').unwrap_or((value, "")),
        };
        rest = after;
        let list = || value.split(',').map(str::trim).filter(|s| !s.is_empty());
        let spec = schema(kind).attr(name).unwrap_or_else(|| panic!("{kind} has no attribute {name}"));
        attrs.push(match spec.default.ty() {
            AttrType::Int => (name, Attr::Int(value.parse().unwrap())),
            AttrType::Float | AttrType::Number => (name, Attr::Float(value.parse().unwrap())),
            AttrType::Str => (name, Attr::str(value)),
            AttrType::Ints => (name, Attr::Ints(list().map(|v| v.parse().unwrap()).collect())),
            AttrType::Floats => (name, Attr::Floats(list().map(|v| v.parse().unwrap()).collect())),
            AttrType::Strs => (name, Attr::Strs(list().map(Into::into).collect())),
        });
    }
    build(kind, attrs).unwrap()
}

fn dims(text: &str) -> Vec<Dim> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let dim = |s: &str| s.parse().map_or_else(|_| Dim::symbol(s), Dim::Known);
    inner.split(',').map(str::trim).filter(|s| !s.is_empty()).map(dim).collect()
}

/// Reads `f32[2, n]`, `i64[2] = [n, -1]`, `?`; `None` for `-`.
fn facts(text: &str) -> Option<Facts> {
    let (ty, elements) = match text.split_once('=') {
        Some((ty, elements)) => (ty.trim(), Some(dims(elements).into())),
        None => (text.trim(), None),
    };
    match ty {
        "-" => None,
        "?" => Some(Facts::default()),
        _ => {
            let (dtype, shape) = ty.split_at(ty.find('[').expect("a shape"));
            let dtype: DType = dtype.parse().unwrap();
            Some(Facts { ty: Some(TensorType::new(dtype, dims(shape))), elements })
        }
    }
}

fn infer_text(application: &str, inputs: &[&str], outputs: usize) -> Result<Vec<String>, String> {
    let inputs: Vec<Option<Facts>> = inputs.iter().map(|text| facts(text)).collect();
    let inputs: Vec<Option<&Facts>> = inputs.iter().map(Option::as_ref).collect();
    let show = |facts: &Facts| match (&facts.ty, &facts.elements) {
        (None, _) => "?".to_owned(),
        (Some(ty), None) => ty.to_string(),
        (Some(ty), Some(elements)) => format!("{ty} = {elements:?}"),
    };
    let inferred = infer(&op(application), &inputs, outputs).map_err(|e| e.to_string())?;
    assert_eq!(inferred.len(), outputs, "{application}");
    Ok(inferred.iter().map(show).collect())
}

/// What inference says of an application's outputs, or (behind `!`) words of its error.
#[track_caller]
fn infers(application: &str, inputs: &[&str], expected: &[&str]) {
    match (infer_text(application, inputs, expected.len()), expected) {
        (Ok(found), _) => assert_eq!(found, expected, "{application} {inputs:?}"),
        (Err(error), [words]) if words.starts_with('!') => {
            assert!(error.contains(&words[1..]), "{application} {inputs:?}: {error}");
        }
        (Err(error), _) => panic!("{application} {inputs:?}: {error}"),
    }
}

/// Reads `2x3: 1 2 3 4 5 6`; `None` for `-`.
fn array(text: &str) -> Option<Array<f64>> {
    let (shape, data) = text.split_once(':')?;
    let shape: Vec<usize> = shape.split('x').filter(|s| !s.is_empty()).map(|n| n.trim().parse().unwrap()).collect();
    let data = data.split_whitespace().map(|v| v.parse().unwrap()).collect();
    Some(Array::new(&shape, data).unwrap_or_else(|e| panic!("{text}: {e}")))
}

fn evaluate_text(application: &str, inputs: &[&str]) -> Result<Vec<Array<f64>>, String> {
    let inputs: Vec<Option<Array<f64>>> = inputs.iter().map(|text| array(text)).collect();
    let inputs: Vec<Option<&Array<f64>>> = inputs.iter().map(Option::as_ref).collect();
    evaluate(&op(application), &inputs).map_err(|e| e.to_string())
}

/// What evaluation gives for an application's outputs.
#[track_caller]
fn gives(application: &str, inputs: &[&str], expected: &[&str]) {
    let found = evaluate_text(application, inputs).unwrap_or_else(|e| panic!("{application}: {e}"));
    assert_eq!(found.len(), expected.len(), "{application}");
    for (found, text) in found.iter().zip(expected) {
        let expected = array(text).expect("an array");
        assert_eq!(found.shape, expected.shape, "{application}");
        for (a, b) in found.data.iter().zip(&expected.data) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{application}: {found:?} is not {text}");
        }
    }
}

/// Words of the error that evaluation gives.
#[track_caller]
fn refuses(application: &str, inputs: &[&str], words: &str) {
    let error = evaluate_text(application, inputs).expect_err("an error");
    assert!(error.contains(words), "{application}: {error}");
}
