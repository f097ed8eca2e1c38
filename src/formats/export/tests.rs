use std::sync::Arc;

use super::super::import::{ImportOptions, Imported, import};
use super::super::model::{Foreign, Model, ModelAttr, ModelNode};
use super::super::testing::{halves, ints, list, model, node, show, text, value};
use super::denormal::{Context, Written, denormalise};
use super::{ExportError, export, rewrite};
use crate::graph::{Attr, DType, Graph, Node, NodeId, Op, OpKind, Tensor, Use, ValueRef};
use crate::ops;

use ModelAttr::{Float, Int};

fn read(model: &Model) -> Imported {
    import(model.clone(), &ImportOptions::default()).unwrap()
}

fn nothing_folded(_: ValueRef) -> Option<Tensor> {
    None
}

fn x(shape: &str) -> Vec<super::super::model::ValueInfo> {
    vec![value("x", DType::F32, shape)]
}

/// A model with everything that a rewrite must leave alone.
fn rich() -> Model {
    let inner = model(13, vec![], &[("one", halves(&[2]))], vec![node("Add", "r one", "i", &[])], &["i"]);
    let branch = ModelAttr::Graph(Arc::new(inner));
    let mut documented = node("Relu", "x", "r", &[]);
    documented.doc = "first".to_owned();
    documented.metadata = vec![("key".to_owned(), "value".to_owned())];
    let nodes = vec![
        documented,
        node("Constant", "", "axes", &[("value_ints", ints(&[0]))]),
        node("Unsqueeze", "r axes", "u", &[]),
        node("Reshape", "u two", "s", &[("allowzero", Int(0))]),
        node("If", "c", "y", &[("then_branch", branch.clone()), ("else_branch", branch)]),
        node("Dropout", "s", "z dropped", &[]),
        node("Neg", "x", "dead", &[]),
        node("Mystery", "r foreign", "w", &[]),
    ];
    let weights = [("two", list(&[2])), ("unused", halves(&[3]))];
    let inputs = vec![value("x", DType::F32, "2"), value("c", DType::Bool, "")];
    let mut model = model(13, inputs, &weights, nodes, &["z", "y", "r", "w"]);
    model.value_info = vec![value("u", DType::F32, "1 2"), value("s", DType::F32, "2")];
    model.foreign_weights.insert("foreign".to_owned(), Foreign::Dense(bytes::Bytes::from_static(b"?")));
    model.extra.producer_name = "someone".to_owned();
    model.extra.metadata = vec![("a".to_owned(), "b".to_owned())];
    model
}

/// Puts an operator on the first input in place of the node that gives this value.
fn replace(graph: &mut Graph, name: &str, kind: OpKind, attrs: Vec<(&str, Attr)>) -> NodeId {
    let old = by_name(graph, name);
    let input = graph.node(old).inputs[0];
    let op = ops::build(kind, attrs).unwrap();
    let made = ops::make_node(graph, "", op, [input].into_iter().collect(), &["".into()]).unwrap();
    let new = graph.add_node(made);
    graph.replace_uses(ValueRef::first(old), ValueRef::first(new));
    graph.remove_node(old);
    new
}

fn by_name(graph: &Graph, name: &str) -> NodeId {
    graph.node_ids().find(|&id| graph.node(id).outputs.iter().any(|o| &*o.name == name)).unwrap()
}

fn names(model: &Model) -> Vec<String> {
    model.nodes.iter().map(|n| format!("{} {} -> {}", n.op, n.inputs.join(" "), n.outputs.join(" "))).collect()
}

#[test]
fn what_is_not_rewritten_is_written_as_it_was() {
    let model = rich();
    let imported = read(&model);
    assert_eq!(rewrite(&imported.graph, &imported, &nothing_folded).unwrap(), model);
    assert_eq!(export(&imported.graph, &imported, &nothing_folded).unwrap(), model);
}

#[test]
fn a_rewrite_changes_what_it_touches_only() {
    let original = rich();
    let imported = read(&original);
    let mut graph = imported.graph.clone();
    replace(&mut graph, "u", OpKind::Reshape, vec![("shape", Attr::ints(&[1, 2]))]);
    let written = export(&graph, &imported, &nothing_folded).unwrap();
    let mut expected = original.clone();
    // The Constant lost its only user; the new node takes the place of the old one.
    expected.nodes.remove(1);
    expected.nodes[1] = ModelNode { name: "Reshape".to_owned(), ..node("Reshape", "r Reshape_shape", "Reshape", &[]) };
    expected.nodes[2].inputs[0] = "Reshape".to_owned();
    expected.value_info.remove(0);
    let weight = super::super::model::Weight { tensor: list(&[1, 2]), ..expected.weights["two"].clone() };
    expected.weights.insert("Reshape_shape".to_owned(), weight);
    assert_eq!(names(&written), names(&expected));
    assert_eq!(written, expected);
    let again = read(&written);
    assert_eq!(again.graph.validate(), Ok(()));
}

#[test]
fn outputs_and_captured_values_keep_their_names() {
    // `r` is an output and a sub-graph names it: the new value takes its name.
    let imported = read(&rich());
    let mut graph = imported.graph.clone();
    replace(&mut graph, "r", OpKind::Abs, vec![]);
    let written = export(&graph, &imported, &nothing_folded).unwrap();
    assert!(names(&written).contains(&"Abs x -> r".to_owned()), "{:?}", names(&written));
    // If the value is an input, an Identity gives it the name, before the node whose sub-graph needs it.
    let mut graph = imported.graph.clone();
    let r = by_name(&graph, "r");
    let input = graph.node(r).inputs[0].unwrap();
    graph.replace_uses(ValueRef::first(r), input);
    graph.remove_node(r);
    let written = export(&graph, &imported, &nothing_folded).unwrap();
    let position = |op: &str| names(&written).iter().position(|n| n.starts_with(op)).unwrap();
    assert_eq!(names(&written)[position("Identity")], "Identity x -> r");
    assert!(position("Identity") < position("If"));
    read(&written);
}

#[test]
fn two_outputs_of_one_value_are_told_apart() {
    let nodes = vec![node("Relu", "x", "a", &[]), node("Relu", "x", "b", &[])];
    let imported = read(&model(13, x("2"), &[], nodes, &["a", "b"]));
    let mut graph = imported.graph.clone();
    let (a, b) = (by_name(&graph, "a"), by_name(&graph, "b"));
    graph.replace_uses(ValueRef::first(a), ValueRef::first(b));
    graph.remove_node(a);
    let written = export(&graph, &imported, &nothing_folded).unwrap();
    assert_eq!(names(&written), ["Relu x -> b", "Identity b -> a"]);
    assert_eq!(written.outputs.iter().map(|o| &*o.name).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn folded_constants_become_weights_and_their_operands_go() {
    let nodes = vec![node("Transpose", "w", "t", &[]), node("MatMul", "x t", "y", &[])];
    let weights = [("w", halves(&[4, 3])), ("unused", halves(&[1]))];
    let mut original = model(13, x("2 3"), &weights, nodes, &["y"]);
    let imported = read(&original);
    let mut graph = imported.graph.clone();
    replace(&mut graph, "y", OpKind::Relu, vec![]);
    let t = by_name(&graph, "t");
    let y = graph.outputs()[0].value;
    let op = ops::build::<&str>(OpKind::MatMul, vec![]).unwrap();
    let x = graph.node(y.node).inputs[0];
    let inputs = [x, Some(ValueRef::first(t))].into_iter().collect();
    let made = ops::make_node(&graph, "product", op, inputs, &["p".into()]).unwrap();
    let new = graph.add_node(made);
    graph.replace_uses(y, ValueRef::first(new));
    let fold = |value: ValueRef| (value.node == t).then(|| halves(&[3, 4]));
    let written = export(&graph, &imported, &fold).unwrap();
    assert_eq!(names(&written), ["MatMul x t -> y"]);
    assert_eq!(written.nodes[0].name, "product");
    assert_eq!(written.weights.keys().collect::<Vec<_>>(), ["unused", "t"]);
    // Before IR version 4 weights are inputs.
    original.extra.ir_version = Some(3);
    original.inputs.push(value("w", DType::F32, "4 3"));
    let imported = read(&original);
    let written = rewrite(&graph, &imported, &fold).unwrap();
    assert_eq!(written.inputs.iter().map(|i| &*i.name).collect::<Vec<_>>(), ["x", "t"]);
}

#[test]
fn constructors_must_be_folded() {
    let original = model(13, x("2 2"), &[], vec![node("Relu", "x", "y", &[])], &["y"]);
    let imported = read(&original);
    let mut graph = imported.graph.clone();
    let attrs = vec![("size", Attr::Int(2)), ("dtype", Attr::Int(1))];
    let op = ops::build(OpKind::IdentityMatrix, attrs).unwrap();
    let made = ops::make_node(&graph, "", op, [].into_iter().collect(), &["".into()]).unwrap();
    let eye = graph.add_node(made);
    let relu = by_name(&graph, "y");
    let op = ops::build::<&str>(OpKind::MatMul, vec![]).unwrap();
    let inputs = [Some(ValueRef::first(relu)), Some(ValueRef::first(eye))].into_iter().collect();
    let made = ops::make_node(&graph, "", op, inputs, &["".into()]).unwrap();
    let product = graph.add_node(made);
    graph.replace_uses(ValueRef::first(relu), ValueRef::first(product));
    graph.set_input(Use { node: product, slot: 0 }, Some(ValueRef::first(relu)));
    let refused = export(&graph, &imported, &nothing_folded);
    assert_eq!(refused, Err(ExportError::NotFolded { op: "IdentityMatrix".to_owned() }));
    let fold = |value: ValueRef| (value.node == eye).then(|| halves(&[2, 2]));
    let written = export(&graph, &imported, &fold).unwrap();
    assert_eq!(written.nodes.len(), 2);
    // The old value made room for the name of the output.
    assert_eq!(written.nodes[1].outputs, ["y"]);
    read(&written);
}

#[test]
fn an_operator_that_the_operator_set_lacks_is_named() {
    let imported = read(&model(17, x("2"), &[], vec![node("Relu", "x", "y", &[])], &["y"]));
    let mut graph = imported.graph.clone();
    replace(&mut graph, "y", OpKind::Gelu, vec![]);
    let refused = export(&graph, &imported, &nothing_folded).unwrap_err().to_string();
    assert_eq!(refused, "Gelu exists since operator set 20, and the model has 17");
}

#[test]
fn bound_dimensions_are_declared() {
    let original = model(13, x("batch 3"), &[], vec![node("Relu", "x", "y", &[])], &["y"]);
    let options = ImportOptions { dims: [("batch".to_owned(), 8)].into() };
    let imported = import(original, &options).unwrap();
    let written = export(&imported.graph, &imported, &nothing_folded).unwrap();
    assert_eq!(written.inputs, x("8 3"));
}

#[test]
fn new_constants_are_shared_and_collide_with_nothing() {
    let nodes = vec![
        node("Relu", "x", "a", &[]),
        node("Relu", "a", "b", &[]),
        node("Neg", "b", "y", &[]),
        node("Neg", "a", "Squeeze_axes", &[]),
    ];
    let imported = read(&model(13, x("1 2"), &[], nodes, &["y", "Squeeze_axes"]));
    let mut graph = imported.graph.clone();
    let first = replace(&mut graph, "a", OpKind::Squeeze, vec![("axes", Attr::ints(&[0]))]);
    let op = ops::build(OpKind::Unsqueeze, vec![("axes", Attr::ints(&[0]))]).unwrap();
    let b = by_name(&graph, "b");
    let made = ops::make_node(&graph, "", op, [Some(ValueRef::first(first))].into_iter().collect(), &["".into()]);
    let second = graph.add_node(made.unwrap());
    graph.replace_uses(ValueRef::first(b), ValueRef::first(second));
    graph.remove_node(b);
    let written = export(&graph, &imported, &nothing_folded).unwrap();
    assert_eq!(
        names(&written),
        [
            "Squeeze x Squeeze_axes_1 -> Squeeze",
            "Unsqueeze Squeeze Squeeze_axes_1 -> Unsqueeze",
            "Neg Unsqueeze -> y",
            "Neg Squeeze -> Squeeze_axes"
        ]
    );
    assert_eq!(written.weights.len(), 1);
}

/// Operator set, shape of `x`, weights, node; and the first operator set that can say it, or minus the last.
type Row<'a> = (i64, &'a str, Vec<(&'a str, Tensor)>, ModelNode, i64);

/// The normal form of a node in one operator set, written in every other operator set and read again, is the same.
#[test]
fn every_operator_set_says_the_same() {
    let c = |v: f32| Tensor::from_f32s(&[], &[v]).unwrap();
    let v = |n: u64| ("v", halves(&[n]));
    let scales = Tensor::from_f32s(&[4], &[1.0, 1.0, 2.0, 2.0]).unwrap();
    let three = ("kernel_shape", ints(&[3, 3]));
    let same = ("auto_pad", text("SAME_UPPER"));
    let rows: Vec<Row> = vec![
        (13, "2 1 6", vec![("a", list(&[1]))], node("Squeeze", "x a", "y", &[]), 7),
        (11, "2 1 6", vec![], node("Unsqueeze", "x", "y", &[("axes", ints(&[0, 2]))]), 7),
        (18, "2 3 4", vec![("a", list(&[1, 2]))], node("ReduceMax", "x a", "y", &[("keepdims", Int(0))]), 7),
        (13, "2 3 4", vec![("a", list(&[1]))], node("ReduceSum", "x a", "y", &[]), 7),
        (13, "2 6", vec![("s", list(&[2, 4]))], node("Split", "x s", "y z", &[("axis", Int(1))]), 7),
        (
            13,
            "2 6",
            vec![("s", list(&[0])), ("e", list(&[2])), ("a", list(&[1]))],
            node("Slice", "x s e a", "y", &[]),
            7,
        ),
        (
            13,
            "2 6",
            vec![("s", list(&[0])), ("e", list(&[6])), ("a", list(&[1])), ("t", list(&[2]))],
            node("Slice", "x s e a t", "y", &[]),
            10,
        ),
        (13, "2 6", vec![("p", list(&[0, 1, 0, 2])), ("v", c(2.0))], node("Pad", "x p v", "y", &[]), 7),
        (13, "2 6", vec![("p", list(&[0, 1, 0, 2]))], node("Pad", "x p", "y", &[("mode", text("reflect"))]), 7),
        (13, "2 6", vec![("l", c(0.0)), ("u", c(6.0))], node("Clip", "x l u", "y", &[]), 7),
        (13, "2 6", vec![("u", c(6.0))], node("Clip", "x - u", "y", &[]), 7),
        (13, "2 6", vec![("r", c(0.25))], node("Dropout", "x r", "y", &[]), 7),
        (13, "2 6", vec![("s", list(&[3, 4]))], node("Reshape", "x s", "y", &[]), 7),
        (13, "2 6", vec![("s", list(&[3, 2, 6]))], node("Expand", "x s", "y", &[]), 8),
        (13, "2 6", vec![("s", list(&[3, 2]))], node("Tile", "x s", "y", &[]), 7),
        (13, "2 6", vec![("k", list(&[2]))], node("TopK", "x k", "y i", &[]), 7),
        (13, "2 6", vec![("k", list(&[2]))], node("TopK", "x k", "y i", &[("largest", Int(0))]), 11),
        (13, "2 6", vec![("a", Tensor::from_i64s(&[], &[1]).unwrap())], node("CumSum", "x a", "y", &[]), 11),
        (13, "2 6", vec![], node("Softmax", "x", "y", &[]), 7),
        (13, "2 3 6", vec![], node("LogSoftmax", "x", "y", &[("axis", Int(1))]), 13),
        (11, "2 3 6", vec![], node("Softmax", "x", "y", &[("axis", Int(1))]), -12),
        (13, "1 3 8 8", vec![("w", halves(&[4, 3, 3, 3]))], node("Conv", "x w", "y", std::slice::from_ref(&same)), 7),
        (13, "1 4 5 5", vec![("w", halves(&[4, 2, 3, 3]))], node("ConvTranspose", "x w", "y", &[]), 7),
        (13, "1 3 8 8", vec![], node("MaxPool", "x", "y", &[three.clone(), same.clone()]), 7),
        (13, "1 3 8 8", vec![], node("MaxPool", "x", "y", &[three.clone(), ("ceil_mode", Int(1))]), 10),
        (19, "1 3 8 8", vec![], node("AveragePool", "x", "y", &[three.clone(), ("dilations", ints(&[2, 2]))]), 19),
        (13, "1 3 8 8", vec![v(3)], node("BatchNormalization", "x v v v v", "y", &[("epsilon", Float(0.5))]), 7),
        (17, "2 3", vec![v(3)], node("LayerNormalization", "x v v", "y", &[]), 17),
        (21, "2 4 3", vec![v(4)], node("GroupNormalization", "x v v", "y", &[("num_groups", Int(2))]), 21),
        (23, "2 3", vec![v(3)], node("RMSNormalization", "x v", "y", &[]), 23),
        (13, "2 3", vec![("w", halves(&[4, 3])), v(4)], node("Gemm", "x w v", "y", &[("transB", Int(1))]), 7),
        (13, "2 3", vec![("w", halves(&[4, 3]))], node("Gemm", "x w", "y", &[("transB", Int(1))]), 7),
        (13, "2 3", vec![], node("Cast", "x", "y", &[("to", Int(11))]), 7),
        (13, "2 3", vec![], node("Shape", "x", "y", &[]), 7),
        (15, "2 3", vec![], node("Shape", "x", "y", &[("start", Int(1))]), 15),
        (20, "2 3", vec![], node("Gelu", "x", "y", &[("approximate", text("tanh"))]), 20),
        (13, "1 4 2 2", vec![], node("DepthToSpace", "x", "y", &[("blocksize", Int(2))]), 7),
        (13, "1 4 2 2", vec![], node("DepthToSpace", "x", "y", &[("blocksize", Int(2)), ("mode", text("CRD"))]), 11),
        (10, "1 4 2 2", vec![("s", scales.clone())], node("Resize", "x s", "y", &[]), 7),
        (13, "1 4 2 2", vec![("s", scales.clone())], node("Resize", "x - s", "y", &[]), 11),
        (
            13,
            "1 4 2 2",
            vec![("s", list(&[1, 4, 3, 3]))],
            node("Resize", "x - - s", "y", &[("mode", text("linear"))]),
            11,
        ),
        (12, "2 3", vec![], node("ArgMax", "x", "y", &[("select_last_index", Int(1))]), 12),
    ];
    for (from, shape, weights, made, first) in rows {
        let outputs: Vec<&str> = made.outputs.iter().map(String::as_str).collect();
        let imported = read(&model(from, x(shape), &weights, vec![made.clone()], &outputs));
        let id = by_name(&imported.graph, "y");
        for opset in 7..=28 {
            let label = format!("{made:?}, from {from} to {opset}");
            let spoken = respeak(&imported.graph, id, opset);
            // A negative number is the last operator set instead of the first.
            let expected = if first < 0 { opset <= -first } else { opset >= first };
            match spoken {
                Ok(op) => assert!(expected && op == show(&imported.graph.node(id).op, &[]), "{label}: {op}"),
                Err(e) => assert!(!expected, "{label}: {e}"),
            }
        }
    }
}

/// Writes a node for an operator set, reads it there, and tells the operator.
fn respeak(graph: &Graph, id: NodeId, opset: i64) -> Result<String, ExportError> {
    let node: &Node = graph.node(id);
    let Op::Apply(kind, attrs) = &node.op else { panic!("{:?}", node.op) };
    let types: Vec<_> = node.inputs.iter().map(|v| graph.facts(v.unwrap()).ty.clone()).collect();
    let constants: Vec<_> = node
        .inputs
        .iter()
        .map(|v| match &graph.node(v.unwrap().node).op {
            Op::Weight(tensor) => Some(tensor.clone()),
            _ => None,
        })
        .collect();
    let context = Context { opset, types: &types, constants: &constants, outputs: node.outputs.len() };
    let plain = denormalise(*kind, attrs, &context)?;
    let mut weights: Vec<(String, Tensor)> = Vec::new();
    let mut operands = Vec::new();
    for input in plain.inputs {
        let (name, tensor) = match input {
            Written::Absent => (String::new(), None),
            Written::Own(slot) => (graph.value_name(node.inputs[slot].unwrap()).to_string(), constants[slot].clone()),
            Written::New(what, tensor) => (format!("new_{what}"), Some(tensor)),
        };
        weights.extend(tensor.map(|tensor| (name.clone(), tensor)));
        operands.push(name);
    }
    let outputs: Vec<String> = node.outputs.iter().map(|o| o.name.to_string()).collect();
    let written = ModelNode {
        op: plain.op.to_owned(),
        inputs: operands,
        outputs: outputs.clone(),
        attrs: plain.attrs,
        ..ModelNode::default()
    };
    let weights: Vec<(&str, Tensor)> = weights.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let shape: Vec<String> = types[0].as_ref().unwrap().shape.iter().map(ToString::to_string).collect();
    let again = read(&model(opset, x(&shape.join(" ")), &weights, vec![written], &outputs));
    Ok(show(&again.graph.node(by_name(&again.graph, "y")).op, &[]))
}
