//! What element types change: integers, narrow floats, the f64 mode.

use tch::{Kind, Tensor};

use crate::graph::{Attr, OpKind};
use crate::ops;
use crate::runtime::kernels::{Place, RunError, run};

fn ints(values: &[i64]) -> Tensor {
    Tensor::from_slice(values)
}

fn apply(kind: OpKind, attrs: Vec<(&str, Attr)>, inputs: &[&Tensor], place: Place) -> Result<Tensor, RunError> {
    let op = ops::build(kind, attrs).unwrap();
    let inputs: Vec<Option<&Tensor>> = inputs.iter().copied().map(Some).collect();
    run(&op, &inputs, 1, place).map(|mut outputs| outputs.remove(0))
}

fn integers(kind: OpKind, attrs: Vec<(&str, Attr)>, inputs: &[&Tensor]) -> Vec<i64> {
    let y = apply(kind, attrs, inputs, Place::CPU).unwrap();
    assert_eq!(y.kind(), Kind::Int64);
    Vec::<i64>::try_from(&y).unwrap()
}

#[test]
fn integer_division_and_powers_stay_integers() {
    let (a, b) = (ints(&[7, -7, 7, -7]), ints(&[2, 2, -2, -2]));
    assert_eq!(integers(OpKind::Div, vec![], &[&a, &b]), [3, -3, -3, 3]);
    assert_eq!(integers(OpKind::Mod, vec![], &[&a, &b]), [1, 1, -1, -1]);
    assert_eq!(integers(OpKind::Mod, vec![("fmod", Attr::Int(1))], &[&a, &b]), [1, -1, 1, -1]);
    assert_eq!(integers(OpKind::Pow, vec![], &[&ints(&[3, -2]), &ints(&[2, 3])]), [9, -8]);
    assert_eq!(integers(OpKind::Pow, vec![], &[&ints(&[9, 4]), &Tensor::from_slice(&[0.5f32, 2.0])]), [3, 16]);
    let mean =
        integers(OpKind::ReduceMean, vec![("axes", Attr::ints(&[0])), ("keepdims", Attr::Int(1))], &[&ints(&[-3, -4])]);
    assert_eq!(mean, [-3], "rounded towards zero");
    let sum = apply(OpKind::ReduceSum, vec![], &[&ints(&[3, 4]).to_kind(Kind::Int)], Place::CPU).unwrap();
    assert_eq!(sum.kind(), Kind::Int, "libtorch alone would give i64");
}

#[test]
fn ranges_of_integers_and_floats() {
    let scalar = |v: i64| Tensor::from(v);
    let range = |a, b, c| integers(OpKind::Range, vec![], &[&scalar(a), &scalar(b), &scalar(c)]);
    assert_eq!(range(2, 9, 3), [2, 5, 8]);
    assert_eq!(range(5, 0, -2), [5, 3, 1]);
    assert_eq!(range(0, 5, -1), [0i64; 0]);
    let x = |v: f32| Tensor::from(v);
    let y = apply(OpKind::Range, vec![], &[&x(1.0), &x(2.0), &x(0.3)], Place::CPU).unwrap();
    assert_eq!(Vec::<f32>::try_from(&y).unwrap(), [1.0, 1.3, 1.6, 1.9000001]);
    assert!(apply(OpKind::Range, vec![], &[&scalar(1), &scalar(2), &scalar(0)], Place::CPU).is_err());
}

#[test]
fn in_f64_mode_a_cast_to_a_narrow_float_keeps_f64() {
    let x = Tensor::from_slice(&[1.0f64 + 1e-12]);
    for to in [1, 10, 16, 11] {
        let wide = Place { wide: true, ..Place::CPU };
        let y = apply(OpKind::Cast, vec![("to", Attr::Int(to))], &[&x], wide).unwrap();
        assert_eq!((y.kind(), y.double_value(&[0])), (Kind::Double, 1.0 + 1e-12));
    }
    let y = apply(OpKind::Cast, vec![("to", Attr::Int(10))], &[&x], Place::CPU).unwrap();
    assert_eq!(y.kind(), Kind::Half);
}

#[test]
fn a_reduction_of_nothing_is_the_neutral_element() {
    let empty = Tensor::zeros([2, 0], (Kind::Float, tch::Device::Cpu));
    let axes = || vec![("axes", Attr::ints(&[1])), ("keepdims", Attr::Int(0))];
    for (kind, value) in
        [(OpKind::ReduceMax, f32::NEG_INFINITY), (OpKind::ReduceMin, f32::INFINITY), (OpKind::ReduceSum, 0.0)]
    {
        let y = apply(kind, axes(), &[&empty], Place::CPU).unwrap();
        assert_eq!(Vec::<f32>::try_from(&y).unwrap(), [value; 2], "{kind}");
    }
}

#[test]
fn errors_are_one_line() {
    let (a, b) = (Tensor::from_slice(&[1f32, 2.0]), Tensor::from_slice(&[1f32, 2.0, 3.0]));
    let error = apply(OpKind::Add, vec![], &[&a, &b], Place::CPU).unwrap_err().to_string();
    assert!(error.contains("size of tensor a (2)") && !error.contains('\n'), "{error}");
    let op = ops::build::<&str>(OpKind::Add, vec![]).unwrap();
    assert!(matches!(run(&op, &[Some(&a)], 1, Place::CPU), Err(RunError::MissingInput { slot: 1, .. })));
    let cast = apply(OpKind::Cast, vec![("to", Attr::Int(13))], &[&a], Place::CPU);
    assert!(matches!(cast, Err(RunError::Unsupported { .. })), "u64 is not computed with");
}
