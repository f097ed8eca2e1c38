use std::sync::Arc;

use super::*;
use crate::graph::{self, Attr, DType, Data, Dim, Facts, Init, OpKind, OpaqueOp, TensorType};
use crate::ops::{self, make_node};

/// A small graph under construction.
struct Build(Graph);

impl Build {
    fn new() -> Build {
        Build(Graph::new("g"))
    }

    fn input(&mut self, name: &str, dtype: DType, shape: &[Dim]) -> ValueRef {
        let facts = Facts { ty: Some(TensorType::new(dtype, shape.to_vec())), elements: None };
        ValueRef::first(self.0.add_input(name, facts))
    }

    fn weight(&mut self, name: &str, dtype: DType, shape: &[u64], init: Init) -> ValueRef {
        let tensor = graph::Tensor::new(dtype, shape, Data::Init(init)).unwrap();
        ValueRef::first(self.0.add_node(graph::Node::weight(name, tensor)))
    }

    fn op(&mut self, kind: OpKind, attrs: Vec<(&str, Attr)>, inputs: &[ValueRef]) -> ValueRef {
        let op = ops::build(kind, attrs).unwrap();
        let name = format!("v{}", self.0.id_bound());
        let names: Vec<Arc<str>> = vec![name.as_str().into()];
        let node = make_node(&self.0, &name, op, inputs.iter().copied().map(Some).collect(), &names).unwrap();
        ValueRef::first(self.0.add_node(node))
    }

    fn opaque(&mut self, origin: usize, inputs: &[ValueRef], ty: Option<TensorType>) -> ValueRef {
        let op = OpaqueOp {
            domain: "com.example".to_owned(),
            op_type: "Odd".to_owned(),
            origin,
            own_inputs: inputs.len(),
            captures: Vec::new(),
        };
        let output = graph::Output { name: format!("o{origin}").as_str().into(), facts: Facts { ty, elements: None } };
        let inputs = inputs.iter().copied().map(Some);
        ValueRef::first(self.0.add_node(graph::Node::new("odd", Op::Opaque(Arc::new(op)), inputs, [output], false)))
    }

    fn output(mut self, value: ValueRef) -> Graph {
        self.0.add_output("y", value);
        self.0.validate().unwrap();
        self.0
    }
}

fn known(sizes: &[i64]) -> Vec<Dim> {
    sizes.iter().map(|&n| Dim::Known(n)).collect()
}

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
    g.output(y)
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
    g.output(y)
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
}

#[test]
fn another_interface_is_a_difference() {
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &known(&[1, 3, 8, 9]));
    let y = g.op(OpKind::Relu, vec![], &[x]);
    let other = compare(&parallel(), &g.output(y), &CompareOptions::default()).unwrap();
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
        g.output(y)
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
    g.output(y)
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
        g.output(y)
    };
    let result = compare(&square(true), &square(false), &CompareOptions::default()).unwrap();
    assert!(result.passed && result.sizes.len() == 3, "{result:?}");
}
