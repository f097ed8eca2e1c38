use super::*;
use crate::graph::{Attr, DType, Graph, Init};
use crate::runtime::onednn;
use crate::runtime::testing::{Build, known};

/// The graph's output in f32 as it is compiled, and in f64, where nothing is packed.
fn check(what: &str, graph: &Graph, steps: usize) {
    if !onednn::is_available() {
        return;
    }
    let inputs = crate::runtime::draw_inputs(graph, &Default::default(), 3).unwrap();
    let native = Program::compile(graph, &Options::native(Device::Cpu)).unwrap();
    assert_eq!(native.len(), steps, "{what}: steps");
    let wide = Program::compile(graph, &Options::wide(Device::Cpu)).unwrap();
    assert!(wide.len() >= steps, "{what}: the reference is not packed");
    let (native, wide) = (native.run(&inputs).unwrap(), wide.run(&inputs).unwrap());
    for (narrow, exact) in native.outputs.iter().zip(&wide.outputs) {
        let (narrow, exact) = (narrow.as_ref().unwrap(), exact.as_ref().unwrap());
        assert_eq!(narrow.size(), exact.size(), "{what}");
        let error = (narrow.to_kind(Kind::Double) - exact).abs().max().double_value(&[]);
        assert!(error < 1e-4 * exact.abs().max().double_value(&[]).max(1.0), "{what}: {error}");
    }
}

struct Net {
    g: Build,
    x: ValueRef,
}

impl Net {
    fn new() -> Net {
        let mut g = Build::new();
        let x = g.input("x", DType::F32, &known(&[2, 8, 9, 7]));
        Net { g, x }
    }

    fn weight(&mut self, shape: &[u64]) -> ValueRef {
        let seed = self.g.len() as u64;
        self.g.weight(&format!("w{seed}"), DType::F32, shape, Init::Normal { seed, std: 0.2 })
    }

    /// A convolution to 8 channels with bias.
    fn conv(&mut self, x: ValueRef, kernel: [u64; 2], group: u64, attrs: &[(&'static str, &[i64])]) -> ValueRef {
        let w = self.weight(&[8, 8 / group, kernel[0], kernel[1]]);
        let b = self.weight(&[8]);
        let mut given = vec![("group", Attr::Int(group as i64))];
        given.extend(attrs.iter().map(|(name, values)| (*name, Attr::ints(values))));
        self.g.op(OpKind::Conv, given, &[x, w, b])
    }
}

#[test]
fn each_activation_joins_its_convolution() {
    let rows: [(OpKind, Vec<(&str, Attr)>); 9] = [
        (OpKind::Relu, vec![]),
        (OpKind::Sigmoid, vec![]),
        (OpKind::Tanh, vec![]),
        (OpKind::LeakyRelu, vec![("alpha", Attr::Float(0.3))]),
        (OpKind::HardSwish, vec![]),
        (OpKind::Clip, vec![("min", Attr::Float(0.0)), ("max", Attr::Float(0.5))]),
        (OpKind::Clip, vec![("max", Attr::Float(0.25))]),
        (OpKind::Gelu, vec![]),
        (OpKind::Gelu, vec![("approximate", Attr::Str("tanh".into()))]),
    ];
    for (kind, attrs) in rows {
        let mut net = Net::new();
        let conv = net.conv(net.x, [3, 3], 1, &[("pads", &[1, 1, 1, 1])]);
        let y = net.g.op(kind, attrs.clone(), &[conv]);
        check(&format!("{kind} {attrs:?}"), &net.g.outputs(&[("y", y)]), 1);
    }
}

#[test]
fn every_geometry_gives_the_same() {
    type Row = ([u64; 2], u64, &'static [(&'static str, &'static [i64])]);
    let rows: [Row; 6] = [
        ([1, 1], 1, &[]),
        ([3, 3], 8, &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        ([3, 3], 2, &[("dilations", &[2, 1])]),
        ([3, 2], 4, &[("pads", &[2, 0, 1, 1])]),
        ([1, 7], 1, &[("pads", &[0, 3, 0, 3])]),
        ([5, 5], 1, &[("pads", &[4, 2, 2, 4]), ("strides", &[1, 3])]),
    ];
    for (kernel, group, attrs) in rows {
        let mut net = Net::new();
        let y = net.conv(net.x, kernel, group, attrs);
        check(&format!("{kernel:?} {group} {attrs:?}"), &net.g.outputs(&[("y", y)]), 1);
    }
}

#[test]
fn a_residual_sum_and_its_activation_stay() {
    let mut net = Net::new();
    let a = net.conv(net.x, [3, 3], 1, &[("pads", &[1, 1, 1, 1])]);
    let b = net.conv(net.x, [1, 1], 1, &[]);
    let sum = net.g.op(OpKind::Add, vec![], &[a, b]);
    let relu = net.g.op(OpKind::Relu, vec![], &[sum]);
    let more = net.g.op(OpKind::Add, vec![], &[net.x, relu]);
    check("both sides convolutions", &net.g.outputs(&[("y", more)]), 5);

    let mut net = Net::new();
    let a = net.conv(net.x, [3, 3], 1, &[("pads", &[1, 1, 1, 1])]);
    let sum = net.g.op(OpKind::Add, vec![], &[net.x, a]);
    check("input and convolution", &net.g.outputs(&[("y", sum)]), 2);
}

#[test]
fn what_others_read_stays() {
    let mut net = Net::new();
    let conv = net.conv(net.x, [1, 1], 1, &[]);
    let relu = net.g.op(OpKind::Relu, vec![], &[conv]);
    let both = net.g.op(OpKind::Mul, vec![], &[conv, relu]);
    check("two users", &net.g.outputs(&[("y", both)]), 3);

    let mut net = Net::new();
    let conv = net.conv(net.x, [1, 1], 1, &[]);
    let relu = net.g.op(OpKind::Relu, vec![], &[conv]);
    check("an output", &net.g.outputs(&[("c", conv), ("y", relu)]), 2);

    let mut net = Net::new();
    let conv = net.conv(net.x, [1, 1], 1, &[]);
    let twice = net.g.op(OpKind::Add, vec![], &[conv, conv]);
    check("both operands", &net.g.outputs(&[("y", twice)]), 2);
}

#[test]
fn operands_that_are_views_are_read_as_they_are() {
    let mut net = Net::new();
    let turned = net.g.op(OpKind::Transpose, vec![("perm", Attr::ints(&[0, 1, 3, 2]))], &[net.x]);
    let a = net.conv(turned, [3, 3], 1, &[("pads", &[1, 1, 1, 1])]);
    let y = net.g.op(OpKind::Add, vec![], &[a, turned]);
    check("transposed", &net.g.outputs(&[("y", y)]), 3);
}
