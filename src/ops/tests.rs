//! Tests of the table as a whole.

use super::*;
use crate::graph::{Attr, OpKind};

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
