use super::*;
use crate::graph::{Attr, DType, Init, Tensor as Weight};
use crate::runtime::testing::{Build, known};
use crate::runtime::{fold, peak_memory};

fn floats(run: &Run, output: usize) -> Vec<f32> {
    Vec::<f32>::try_from(&run.outputs[output].as_ref().unwrap().reshape([-1])).unwrap()
}

/// `x * (a + b)` with a constant sum, and its square.
fn scaled() -> Graph {
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &known(&[3]));
    let (a, b) =
        (g.weight("a", DType::F32, &[3], Init::Constant(0.1)), g.weight("b", DType::F32, &[], Init::Constant(0.2)));
    let sum = g.op(OpKind::Add, vec![], &[a, b]);
    let y = g.op(OpKind::Mul, vec![], &[x, sum]);
    let z = g.op(OpKind::Mul, vec![], &[y, y]);
    g.outputs(&[("z", z), ("y", y)])
}

#[test]
fn constants_are_folded_in_f64_and_rounded_once() {
    let graph = scaled();
    let sum = f64::from(0.1f32) + f64::from(0.2f32);
    let native = Program::compile(&graph, &Options::native(Device::Cpu)).unwrap();
    assert_eq!(native.len(), 2, "the sum is no step");
    let x = Tensor::from_slice(&[1f32, 2.0, 4.0]);
    let y = floats(&native.run(&[x.shallow_clone()]).unwrap(), 1);
    assert_eq!(y, [sum as f32, 2.0 * sum as f32, 4.0 * sum as f32]);
    let wide = Program::compile(&graph, &Options::wide(Device::Cpu)).unwrap();
    let run = wide.run(&[x]).unwrap();
    let y = run.outputs[1].as_ref().unwrap();
    assert_eq!((y.kind(), y.double_value(&[0])), (Kind::Double, sum));
    let folded = fold(&graph);
    let expected = Weight::from_f32s(&[3], &[sum as f32; 3]).unwrap();
    assert_eq!(folded.tensors.values().collect::<Vec<_>>(), [&expected]);
    assert!(folded.failed.is_empty());
}

#[test]
fn values_go_after_their_last_use_and_outputs_stay() {
    let program = Program::compile(&scaled(), &Options::native(Device::Cpu)).unwrap();
    // Value 0 is the input, 1 is y (an output), 2 is z (an output).
    let released: Vec<Vec<usize>> = program.steps.iter().map(|s| s.release.to_vec()).collect();
    assert_eq!(released, [vec![0], vec![]]);
}

#[test]
fn what_depends_on_an_opaque_node_is_left_out_and_all_else_runs() {
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &known(&[2]));
    let odd = g.opaque(0, &[x], None);
    let below = g.op(OpKind::Relu, vec![], &[odd]);
    let beside = g.op(OpKind::Neg, vec![], &[x]);
    let graph = g.outputs(&[("below", below), ("beside", beside)]);
    let program = Program::compile(&graph, &Options::native(Device::Cpu)).unwrap();
    let run = program.run(&[Tensor::from_slice(&[1f32, -2.0])]).unwrap();
    assert!(run.outputs[0].is_none());
    assert_eq!(floats(&run, 1), [-1.0, 2.0]);
    let why: Vec<&str> = program.not_run().iter().map(|n| n.why.as_str()).collect();
    assert_eq!(why, ["its operator is not known", "it depends on a node that is not run"]);
}

#[test]
fn types_that_are_not_computed_with_are_reported() {
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &known(&[2]));
    let large = g.op(OpKind::Cast, vec![("to", Attr::Int(13))], &[x]);
    let back = g.op(OpKind::Cast, vec![("to", Attr::Int(1))], &[large]);
    let graph = g.outputs(&[("y", back)]);
    let program = Program::compile(&graph, &Options::native(Device::Cpu)).unwrap();
    assert!(program.run(&[Tensor::from_slice(&[1f32, 2.0])]).unwrap().outputs[0].is_none());
    assert_eq!(program.not_run()[0].why, "its type is not computed with");
}

#[test]
fn a_failure_names_the_node_in_one_line() {
    let program = Program::compile(&scaled(), &Options::native(Device::Cpu)).unwrap();
    let error = program.run(&[Tensor::from_slice(&[1f32, 2.0])]).err().unwrap().to_string();
    assert!(error.starts_with("Mul") && error.contains("size of tensor a (2)") && !error.contains('\n'), "{error}");
    let error = program.run(&[]).err().unwrap().to_string();
    assert_eq!(error, "0 inputs given, and the graph takes 1");
}

#[test]
fn shapes_are_computed_while_running() {
    // y = reshape(x, [shape(x)[1], -1]), for any size of x.
    let mut g = Build::new();
    let x = g.input("x", DType::F32, &[crate::graph::Dim::symbol("n"), crate::graph::Dim::symbol("m")]);
    let shape = g.op(OpKind::Shape, vec![], &[x]);
    let one = g.constant(Weight::from_i64s(&[1], &[1]).unwrap());
    let second = g.op(OpKind::Gather, vec![("axis", Attr::Int(0))], &[shape, one]);
    let rest = g.constant(Weight::from_i64s(&[1], &[-1]).unwrap());
    let target = g.op(OpKind::Concat, vec![("axis", Attr::Int(0))], &[second, rest]);
    let y = g.op(OpKind::Reshape, vec![], &[x, target]);
    let graph = g.outputs(&[("y", y)]);
    let program = Program::compile(&graph, &Options::native(Device::Cpu)).unwrap();
    for (n, m) in [(2, 3), (5, 1)] {
        let run = program.run(&[Tensor::zeros([n, m], (Kind::Float, Device::Cpu))]).unwrap();
        assert_eq!(run.outputs[0].as_ref().unwrap().size(), [m, n]);
    }
    assert!(peak_memory(&graph, &[("n".to_owned(), 2), ("m".to_owned(), 3)].into()).bytes >= 24);
}

#[test]
fn each_step_is_timed_once() {
    let program = Program::compile(&scaled(), &Options::native(Device::Cpu)).unwrap();
    let mut seen = Vec::new();
    program.run_timed(&[Tensor::from_slice(&[1f32, 2.0, 3.0])], &mut |_, kind, _| seen.push(kind)).unwrap();
    assert_eq!(seen, [OpKind::Mul, OpKind::Mul]);
}
