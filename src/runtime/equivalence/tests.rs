use super::*;
use crate::graph::{Attr, DType, Dim, Init, OpKind, TensorType};
use crate::runtime::testing::{Build, known};

fn normal(seed: u64) -> Init {
    Init::Normal { seed, std: 0.3 }
}

/// Two parallel convolutions and their sum.
fn parallel() -> Graph {
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &known(&[1, 3, 9, 9]));
    let (w1, w2) =
        (g.weight("w1", DType::F32, &[4, 3, 3, 3], normal(1)), g.weight("w2", DType::F32, &[4, 3, 1, 1], normal(2)));
    let a = g.op(OpKind::Conv, vec![("pads", Attr::ints(&[1, 1, 1, 1]))], &[x, w1]);
    let b = g.op(OpKind::Conv, vec![], &[x, w2]);
    let y = g.op(OpKind::Add, vec![], &[a, b]);
    g.outputs(&[("y", y)])
}

/// One convolution with the sum of the kernels, computed on constants; the second kernel scaled by `scale`.
fn merged(scale: f64) -> Graph {
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &known(&[1, 3, 9, 9]));
    let (w1, w2) =
        (g.weight("w1", DType::F32, &[4, 3, 3, 3], normal(1)), g.weight("w2", DType::F32, &[4, 3, 1, 1], normal(2)));
    let s = g.weight("s", DType::F32, &[], Init::Constant(scale));
    let w2 = g.op(OpKind::Mul, vec![], &[w2, s]);
    let large = g.op(OpKind::Enlarge, vec![("kernel_shape", Attr::ints(&[3, 3]))], &[w2]);
    let w = g.op(OpKind::Add, vec![], &[w1, large]);
    let y = g.op(OpKind::Conv, vec![("pads", Attr::ints(&[1, 1, 1, 1]))], &[x, w]);
    g.outputs(&[("y", y)])
}

#[test]
fn a_right_rewrite_passes_and_a_wrong_one_does_not() {
    let options = CompareOptions::default();
    let same = compare(&parallel(), &merged(1.0), &options).unwrap();
    assert!(same.passed && same.inputs_tried == 3 && same.compared == 1, "{same:?}");
    assert!(same.reference.max_rel_error < 1e-14 && same.native.unwrap().max_rel_error < 1e-5, "{same:?}");
    let wrong = compare(&parallel(), &merged(1.01), &options).unwrap();
    assert!(!wrong.passed && wrong.reference.max_rel_error > 1e-4, "{wrong:?}");
    // What f32 hides, f64 shows: the weights of both graphs differ by one unit in the last place.
    let close = compare(&parallel(), &merged(1.0 + f64::from(f32::EPSILON)), &options).unwrap();
    assert!(!close.passed && close.native.is_none_or(|n| n.max_rel_error < 1e-5), "{close:?}");
    // That much is allowed to a file, whose weights were rounded.
    let file = CompareOptions { two_files: true, ..options };
    assert!(compare(&parallel(), &merged(1.0 + f64::from(f32::EPSILON)), &file).unwrap().passed);
    assert!(!compare(&parallel(), &merged(1.01), &file).unwrap().passed);
}

#[test]
fn another_interface_is_a_difference() {
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &known(&[1, 3, 8, 9]));
    let y = g.op(OpKind::Relu, vec![], &[x]);
    let other = compare(&parallel(), &g.outputs(&[("y", y)]), &CompareOptions::default()).unwrap();
    assert!(!other.passed && other.differences[0].contains("f32[1, 3, 9, 9]"), "{other:?}");
}

#[test]
fn non_finite_outputs_are_compared_by_their_pattern() {
    let logarithm = |negate: bool| {
        let mut g = Build::new();
        let x = g.input("x", DType::F32, &known(&[50]));
        let x = if negate { g.op(OpKind::Neg, vec![], &[x]) } else { x };
        let zero = g.op(OpKind::Relu, vec![], &[x]);
        let y = g.op(OpKind::Log, vec![], &[zero]);
        g.outputs(&[("y", y)])
    };
    let options = CompareOptions::default();
    assert!(compare(&logarithm(false), &logarithm(false), &options).unwrap().passed);
    let turned = compare(&logarithm(false), &logarithm(true), &options).unwrap();
    assert!(turned.differences[0].contains("not finite in other places"), "{turned:?}");
}

/// Relu, an opaque node, then `x * a * b` or `x * (a * b)`; `factor` scales the second form.
fn around_opaque(folded: bool, factor: f64, ty: Option<TensorType>) -> Graph {
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &known(&[2, 5]));
    let before = g.op(OpKind::Relu, vec![], &[x]);
    let inner = g.opaque(7, &[before], ty);
    let a = g.weight("a", DType::F32, &[5], normal(3));
    let b = g.weight("b", DType::F32, &[5], Init::Constant(factor));
    let y = if folded {
        let ab = g.op(OpKind::Mul, vec![], &[a, b]);
        g.op(OpKind::Mul, vec![], &[inner, ab])
    } else {
        let xa = g.op(OpKind::Mul, vec![], &[inner, a]);
        g.op(OpKind::Mul, vec![], &[xa, b])
    };
    g.outputs(&[("y", y)])
}

#[test]
fn regions_around_opaque_nodes_are_compared() {
    let ty = || Some(TensorType::known(DType::F32, &[2, 5]));
    let options = CompareOptions::default();
    let same = compare(&around_opaque(false, 2.0, ty()), &around_opaque(true, 2.0, ty()), &options).unwrap();
    assert!(same.passed && same.compared == 2 && same.unchecked.is_empty(), "{same:?}");
    assert_eq!(same.not_run.len(), 1, "the opaque node is reported");
    let wrong = compare(&around_opaque(false, 2.0, ty()), &around_opaque(true, 2.1, ty()), &options).unwrap();
    assert!(!wrong.passed, "below the opaque node");
    let unknown = compare(&around_opaque(false, 2.0, None), &around_opaque(true, 2.0, None), &options).unwrap();
    assert_eq!((unknown.passed, unknown.compared), (true, 1), "above it at least: {unknown:?}");
    assert_eq!(unknown.unchecked, [r#"output "y""#]);
}

#[test]
fn named_dimensions_are_tried_at_several_sizes() {
    let square = |by_pow: bool| {
        let mut g = Build::new();
        let x = g.input("x", DType::F32, &[Dim::symbol("batch"), Dim::symbol("length")]);
        let y = if by_pow {
            let two = g.weight("two", DType::F32, &[], Init::Constant(2.0));
            g.op(OpKind::Pow, vec![], &[x, two])
        } else {
            g.op(OpKind::Mul, vec![], &[x, x])
        };
        g.outputs(&[("y", y)])
    };
    let result = compare(&square(true), &square(false), &CompareOptions::default()).unwrap();
    assert!(result.passed && result.sizes.len() == 3, "{result:?}");
}
