use super::super::model::{Foreign, Model, ModelAttr, ModelNode};
use super::super::testing::{halves, ints, list, model, node, show, text, untyped, value};
use super::{ImportError, ImportOptions, ImportWarning, Imported, import};
use crate::graph::{DType, Op, Tensor};

use ModelAttr::{Float, Int};

fn read(model: &Model) -> Imported {
    let imported = import(model.clone(), &ImportOptions::default()).unwrap();
    assert_eq!(imported.graph.validate(), Ok(()));
    imported
}

fn refused(model: &Model) -> String {
    import(model.clone(), &ImportOptions::default()).unwrap_err().to_string()
}

/// The node that gives `y` in a model with input `x`, f32 of this shape, and these weights: operator, number of operands.
fn form(opset: i64, shape: &str, weights: &[(&str, Tensor)], node: ModelNode) -> String {
    let outputs: Vec<String> = node.outputs.iter().filter(|name| !name.is_empty()).cloned().collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).take(1).collect();
    let imported = read(&model(opset, vec![value("x", DType::F32, shape)], weights, vec![node], &outputs));
    let made = imported.graph.node(imported.graph.outputs()[0].value.node);
    format!("{} /{}", show(&made.op, &["auto_pad", "keepdims", "noop_with_empty_axes"]), made.inputs.len())
}

fn f32s(values: &[f32]) -> Tensor {
    Tensor::from_f32s(&[values.len() as u64], values).unwrap()
}

fn scalar(value: f32) -> Tensor {
    Tensor::from_f32s(&[], &[value]).unwrap()
}

/// Operator set, shape of `x`, weights, node; and its normal form.
type Row<'a> = (i64, &'a str, Vec<(&'a str, Tensor)>, ModelNode, &'a str);

#[test]
fn parameters_that_moved_between_operator_sets_have_one_normal_form() {
    let x = "2 1 6";
    let axes = [("axes", ints(&[-2]))];
    let one = || vec![("a", list(&[-2]))];
    let rows: Vec<Row> = vec![
        (11, x, vec![], node("Squeeze", "x", "y", &axes), "Squeeze axes=[1] /1"),
        (13, x, one(), node("Squeeze", "x a", "y", &[]), "Squeeze axes=[1] /1"),
        (13, x, vec![], node("Squeeze", "x", "y", &[]), "Squeeze axes=[1] /1"),
        (11, x, vec![], node("Unsqueeze", "x", "y", &axes), "Unsqueeze axes=[2] /1"),
        (13, x, one(), node("Unsqueeze", "x a", "y", &[]), "Unsqueeze axes=[2] /1"),
        (12, x, vec![], node("ReduceSum", "x", "y", &axes), "ReduceSum axes=[1] /1"),
        (13, x, one(), node("ReduceSum", "x a", "y", &[]), "ReduceSum axes=[1] /1"),
        (17, x, vec![], node("ReduceMean", "x", "y", &[]), "ReduceMean axes=[0, 1, 2] /1"),
        (18, x, one(), node("ReduceMean", "x a", "y", &[]), "ReduceMean axes=[1] /1"),
        (18, x, vec![], node("ReduceMean", "x", "y", &[("noop_with_empty_axes", Int(1))]), "Identity /1"),
        (12, x, vec![], node("Split", "x", "y z", &[("axis", Int(-1))]), "Split axis=2 split=[3, 3] /1"),
        (
            13,
            x,
            vec![("s", list(&[2, 4]))],
            node("Split", "x s", "y z", &[("axis", Int(2))]),
            "Split axis=2 split=[2, 4] /1",
        ),
        (
            18,
            x,
            vec![],
            node("Split", "x", "y z w v", &[("axis", Int(2)), ("num_outputs", Int(4))]),
            "Split axis=2 split=[2, 2, 2, 0] /1",
        ),
        (
            9,
            x,
            vec![],
            node("Slice", "x", "y", &[("starts", ints(&[1])), ("ends", ints(&[9])), ("axes", ints(&[-1]))]),
            "Slice axes=[2] ends=[9] starts=[1] steps=[1] /1",
        ),
        (
            10,
            x,
            vec![("s", list(&[1])), ("e", list(&[9])), ("a", list(&[-1]))],
            node("Slice", "x s e a", "y", &[]),
            "Slice axes=[2] ends=[9] starts=[1] steps=[1] /1",
        ),
        (
            10,
            x,
            vec![("pads", list(&[0, 0, 1, 0, 0, 2]))],
            node("Pad", "x", "y", &[("pads", ints(&[0, 0, 1, 0, 0, 2])), ("value", Float(3.0))]),
            "Pad mode=constant pads=[0, 0, 1, 0, 0, 2] value=3 /1",
        ),
        (
            18,
            x,
            vec![("p", list(&[1, 2])), ("v", scalar(3.0)), ("a", list(&[-1]))],
            node("Pad", "x p v a", "y", &[]),
            "Pad mode=constant pads=[0, 0, 1, 0, 0, 2] value=3 /1",
        ),
        (10, x, vec![], node("Clip", "x", "y", &[("max", Float(6.0)), ("min", Float(0.0))]), "Clip max=6 min=0 /1"),
        (13, x, vec![("m", scalar(6.0))], node("Clip", "x - m", "y", &[]), "Clip max=6 min=-inf /1"),
        (11, x, vec![], node("Dropout", "x", "y m", &[("ratio", Float(0.25))]), "Dropout ratio=0.25 /1"),
        (13, x, vec![("r", scalar(0.25))], node("Dropout", "x r", "y", &[]), "Dropout ratio=0.25 /1"),
        (9, x, vec![], node("TopK", "x", "y i", &[("k", Int(2))]), "TopK axis=2 largest=1 sorted=1 /2"),
        (11, x, vec![("k", list(&[2]))], node("TopK", "x k", "y i", &[]), "TopK axis=2 largest=1 sorted=1 /2"),
        (12, "2 3 1", vec![], node("Softmax", "x", "y", &[]), "Softmax axis=1 coerced=0 /1"),
        (12, "2 3 4", vec![], node("Softmax", "x", "y", &[]), "Softmax axis=1 coerced=1 /1"),
        (12, "2 3 4", vec![], node("Softmax", "x", "y", &[("axis", Int(-1))]), "Softmax axis=2 coerced=0 /1"),
        (13, "2 3 4", vec![], node("Softmax", "x", "y", &[]), "Softmax axis=2 coerced=0 /1"),
        (13, x, vec![("s", list(&[0, -1]))], node("Reshape", "x s", "y", &[]), "Reshape allowzero=0 shape=[2, 6] /1"),
        (
            13,
            "n 3",
            vec![("s", list(&[0, -1]))],
            node("Reshape", "x s", "y", &[]),
            "Reshape allowzero=0 shape=[0, -1] /1",
        ),
        (13, x, vec![("s", list(&[2, 4, 6]))], node("Expand", "x s", "y", &[]), "Expand shape=[2, 4, 6] /1"),
        (13, x, vec![("r", list(&[1, 2, 1]))], node("Tile", "x r", "y", &[]), "Tile repeats=[1, 2, 1] /1"),
        (
            13,
            x,
            vec![("a", Tensor::from_i64s(&[], &[-1]).unwrap())],
            node("CumSum", "x a", "y", &[]),
            "CumSum axis=2 exclusive=0 reverse=0 /1",
        ),
        (13, x, vec![], node("Transpose", "x", "y", &[]), "Transpose perm=[2, 1, 0] /1"),
        (13, x, vec![], node("Flatten", "x", "y", &[("axis", Int(-1))]), "Flatten axis=2 /1"),
        (15, x, vec![("i", list(&[0]))], node("CastLike", "x i", "y", &[]), "Cast saturate=1 to=7 /1"),
        (6, x, vec![], node("Concat", "x x", "y", &[("axis", Int(1))]), "Concat axis=1 /2"),
        (13, x, vec![], node("Concat", "x x", "y", &[("axis", Int(-1))]), "Concat axis=2 /2"),
        (13, x, vec![], node("Shape", "x", "y", &[]), "Shape end=9223372036854775807 start=0 /1"),
    ];
    for (opset, shape, weights, node, expected) in rows {
        let label = format!("{node:?} in opset {opset}");
        assert_eq!(form(opset, shape, &weights, node), expected, "{label}");
    }
}

#[test]
fn windows_get_explicit_pads() {
    let w = [("w", halves(&[4, 3, 3, 3]))];
    let rows: Vec<(&str, ModelNode, &str)> = vec![
        ("1 3 8 8", node("Conv", "x w", "y", &[("kernel_shape", ints(&[3, 3]))]), "strides=[1, 1] /2"),
        (
            "1 3 8 8",
            node("Conv", "x w", "y", &[("auto_pad", text("SAME_UPPER")), ("strides", ints(&[2, 2]))]),
            "pads=[0, 0, 1, 1] strides=[2, 2] /2",
        ),
        (
            "1 3 8 8",
            node("Conv", "x w", "y", &[("auto_pad", text("SAME_LOWER")), ("strides", ints(&[2, 2]))]),
            "pads=[1, 1, 0, 0] strides=[2, 2] /2",
        ),
        (
            "n 3 h w",
            node("Conv", "x w", "y", &[("auto_pad", text("SAME_UPPER"))]),
            "pads=[1, 1, 1, 1] strides=[1, 1] /2",
        ),
        ("1 3 8 8", node("Conv", "x w", "y", &[("auto_pad", text("VALID"))]), "pads=[0, 0, 0, 0] strides=[1, 1] /2"),
        (
            "1 3 7 8",
            node("MaxPool", "x", "y", &[("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))]),
            "pads=[0, 0, 0, 0] storage_order=0 strides=[2, 2] /1",
        ),
        (
            "1 3 8 8",
            node("AveragePool", "x", "y", &[("kernel_shape", ints(&[3, 3])), ("auto_pad", text("SAME_UPPER"))]),
            "pads=[1, 1, 1, 1] strides=[1, 1] /1",
        ),
        (
            "1 4 5 5",
            node("ConvTranspose", "x w", "y", &[("output_shape", ints(&[5, 5]))]),
            "output_padding=[0, 0] pads=[1, 1, 1, 1] strides=[1, 1] /2",
        ),
    ];
    for (shape, node, expected) in rows {
        let label = format!("{node:?}");
        let found = form(13, shape, &w, node);
        assert!(found.ends_with(expected), "{label}: {found}");
        assert!(!found.contains("SAME"), "{label}: {found}");
    }
}

#[test]
fn what_is_not_covered_is_opaque_and_reported() {
    let rng = model(13, vec![], &[], vec![node("RandomNormal", "", "y", &[("shape", ints(&[2]))])], &["y"]);
    let rows: Vec<(i64, ModelNode, &str)> = vec![
        (13, node("NonZero", "x", "y", &[]), "not covered"),
        (13, node("Relu", "x", "y", &[("alpha", Float(1.0))]), "no attribute \"alpha\""),
        (13, node("LeakyRelu", "x", "y", &[("alpha", Int(1))]), "not a float"),
        (17, node("Gelu", "x", "y", &[]), "operator set 17 has no Gelu"),
        (6, node("Add", "x x", "y", &[("broadcast", Int(1))]), "operator set 6 has no Add"),
        (13, ModelNode { domain: "com.example".to_owned(), ..node("Relu", "x", "y", &[]) }, "domain"),
        (13, node("BatchNormalization", "x s s s s", "y m v", &[]), "training"),
        (15, node("BatchNormalization", "x s s s s", "y", &[("training_mode", Int(1))]), "training"),
        (13, node("Dropout", "x - t", "y", &[]), "training"),
        (13, node("Cast", "x", "y", &[("to", Int(8))]), "passed through"),
        (12, node("MaxPool", "x", "y", &[("strides", ints(&[1]))]), "\"kernel_shape\" is missing"),
    ];
    let yes = Tensor::new(DType::Bool, &[], crate::graph::Data::Bytes(bytes::Bytes::from_static(&[1]))).unwrap();
    let weights = [("s", halves(&[3])), ("t", yes)];
    for (opset, node, reason) in rows {
        let label = format!("{node:?}");
        let imported = read(&model(opset, vec![value("x", DType::F32, "2 3 4")], &weights, vec![node], &["y"]));
        assert!(matches!(imported.graph.node(imported.graph.outputs()[0].value.node).op, Op::Opaque(_)), "{label}");
        assert!(imported.warnings[0].to_string().contains(reason), "{label}: {}", imported.warnings[0]);
    }
    assert_eq!(read(&rng).opaque_count(), 1);
}

#[test]
fn faults_of_structure_name_node_and_field() {
    let x = || vec![value("x", DType::F32, "2 3")];
    let rows: Vec<(Model, &str)> = vec![
        (
            model(13, x(), &[], vec![node("Relu", "z", "y", &[])], &["y"]),
            "node \"relu_y\" (Relu): input 0: there is no value \"z\"",
        ),
        (model(13, x(), &[], vec![], &["y"]), "output 0: there is no value \"y\""),
        (model(13, x(), &[], vec![node("Relu", "x", "x", &[])], &["x"]), "the name \"x\" is already taken by an input"),
        (
            model(13, x(), &[], vec![node("Relu", "x", "y", &[]), node("Abs", "x", "y", &[])], &["y"]),
            "node \"abs_y\" (Abs): the name \"y\" is already taken by node \"relu_y\" (Relu)",
        ),
        (
            model(13, x(), &[], vec![node("Add", "x b", "a", &[]), node("Relu", "a", "b", &[])], &["b"]),
            "depends on its own output",
        ),
        (model(13, x(), &[], vec![node("Add", "x", "y", &[])], &["y"]), "1 inputs; Add takes 2"),
        (model(13, x(), &[], vec![node("Add", "x -", "y", &[])], &["y"]), "input 1 is left out"),
        (model(13, x(), &[], vec![node("Relu", "x", "y z", &[])], &["y"]), "2 outputs; Relu gives 1"),
        (model(0, x(), &[], vec![], &["x"]), "operator set 0 is not supported (1 to 28 are)"),
        (model(99, x(), &[], vec![], &["x"]), "operator set 99 is not supported"),
        (model(13, x(), &[("w", list(&[1]))], vec![node("Add", "x w", "y", &[])], &["y"]), "node \"add_y\" (Add)"),
        (
            model(12, x(), &[], vec![node("Split", "x", "y z", &[("axis", Int(1))])], &["y"]),
            "3 elements cannot be split into 2 equal parts",
        ),
        (model(13, x(), &[("x", halves(&[3]))], vec![], &["x"]), "input \"x\": declared as f32[2, 3], and is f32[3]"),
        (model(13, vec![x().remove(0), x().remove(0)], &[], vec![], &["x"]), "taken by an input"),
        (model(13, x(), &[], vec![], &["x", "x"]), "taken by another output"),
    ];
    for (model, expected) in rows {
        let found = refused(&model);
        assert!(found.contains(expected), "{found:?} does not say {expected:?}");
    }
    let mut no_opset = model(13, x(), &[], vec![node("Relu", "x", "y", &[])], &["y"]);
    no_opset.opset_import.clear();
    assert_eq!(import(no_opset, &ImportOptions::default()).unwrap_err(), ImportError::NoOpset);
}

#[test]
fn nodes_may_come_in_any_order() {
    let nodes = vec![node("Relu", "a", "y", &[]), node("Abs", "x", "a", &[])];
    let imported = read(&model(13, vec![value("x", DType::F32, "2")], &[], nodes, &["y"]));
    let last = imported.graph.node(imported.graph.outputs()[0].value.node);
    assert_eq!((last.op.label(), last.origin), ("Relu".to_owned(), Some(0)));
}

#[test]
fn named_dimensions_are_symbols_and_can_be_bound() {
    let nodes = vec![node("Add", "x x", "y", &[])];
    let m = model(13, vec![value("x", DType::F32, "batch ? 3")], &[], nodes, &["y"]);
    let ty =
        |imported: &Imported| imported.graph.facts(imported.graph.outputs()[0].value).ty.clone().unwrap().to_string();
    assert_eq!(ty(&read(&m)), "f32[batch, x[1], 3]");
    let bind = |name: &str, size| ImportOptions { dims: [(name.to_owned(), size)].into() };
    assert_eq!(ty(&import(m.clone(), &bind("batch", 8)).unwrap()), "f32[8, x[1], 3]");
    assert_eq!(ty(&import(m.clone(), &bind("x[1]", 5)).unwrap()), "f32[batch, 5, 3]");
    let unknown = import(m.clone(), &bind("seq", 8)).unwrap_err().to_string();
    assert!(unknown.contains("seq") && unknown.contains("batch, x[1]"), "{unknown}");
    assert!(matches!(import(m, &bind("batch", 0)), Err(ImportError::BadDim { .. })));
}

#[test]
fn a_weight_that_is_an_input_is_no_constant() {
    let nodes = vec![node("Add", "x w", "y", &[])];
    let inputs = vec![value("x", DType::F32, "3"), value("w", DType::F32, "3")];
    let mut m = model(13, inputs, &[("w", halves(&[3]))], nodes, &["y"]);
    let imported = read(&m);
    assert_eq!(imported.graph.inputs().len(), 2);
    // Before IR version 4 every weight had to be listed as an input.
    m.extra.ir_version = Some(3);
    let imported = read(&m);
    assert_eq!(imported.graph.inputs().len(), 1);
}

#[test]
fn outer_values_of_a_sub_graph_are_operands() {
    let inner = model(13, vec![], &[("one", halves(&[2]))], vec![node("Add", "a one", "i", &[])], &["i"]);
    let branch = ModelAttr::Graph(std::sync::Arc::new(inner));
    let nodes = vec![
        node("Relu", "x", "a", &[]),
        node("If", "c", "y", &[("then_branch", branch.clone()), ("else_branch", branch)]),
    ];
    let inputs = vec![value("x", DType::F32, "2"), value("c", DType::Bool, "")];
    let imported = read(&model(13, inputs, &[], nodes, &["y"]));
    let made = imported.graph.node(imported.graph.outputs()[0].value.node);
    let Op::Opaque(op) = &made.op else { panic!("{:?}", made.op) };
    assert_eq!((op.own_inputs, op.captures.as_slice(), made.inputs.len()), (1, &["a".to_owned()][..], 2));
    let outside = model(13, vec![], &[], vec![node("Relu", "nowhere", "i", &[])], &["i"]);
    let branch = ModelAttr::Graph(std::sync::Arc::new(outside));
    let nodes = vec![node("If", "c", "y", &[("then_branch", branch.clone()), ("else_branch", branch)])];
    let found = refused(&model(13, vec![value("c", DType::Bool, "")], &[], nodes, &["y"]));
    assert!(found.contains("sub-graph: there is no value \"nowhere\""), "{found}");
}

#[test]
fn declared_types_serve_below_opaque_nodes_and_contradictions_are_told() {
    let nodes = vec![node("Mystery", "x", "a", &[]), node("Relu", "a", "y", &[])];
    let mut m = model(13, vec![value("x", DType::F32, "2")], &[], nodes, &["y"]);
    m.value_info.push(value("a", DType::F32, "5"));
    m.value_info.push(value("y", DType::F32, "6"));
    let imported = read(&m);
    let ty = imported.graph.facts(imported.graph.outputs()[0].value).ty.clone().unwrap();
    assert_eq!(ty.to_string(), "f32[5]");
    assert!(matches!(&imported.warnings[1], ImportWarning::Shape { value, .. } if value == "y"));
    m.value_info[1] = value("y", DType::I64, "5");
    let found = refused(&m);
    assert!(found.contains("node \"relu_y\" (Relu): output \"y\": declared as i64[5], and is f32[5]"), "{found}");
}

#[test]
fn constants_are_weights_and_foreign_weights_are_opaque() {
    let nodes = vec![
        node("Constant", "", "c", &[("value_floats", ModelAttr::Floats(vec![1.0, 2.0]))]),
        node("Add", "x c", "a", &[]),
        node("Mystery", "a f", "y", &[]),
    ];
    let mut m = model(13, vec![value("x", DType::F32, "2")], &[], nodes, &["y", "a"]);
    m.foreign_weights.insert("f".to_owned(), Foreign::Dense(bytes::Bytes::new()));
    m.inputs.push(untyped("unused"));
    let imported = read(&m);
    let add = imported.graph.node(imported.graph.outputs()[1].value.node);
    let constant = imported.graph.node(add.inputs[1].unwrap().node);
    assert_eq!((constant.origin, &constant.op), (Some(0), &Op::Weight(f32s(&[1.0, 2.0]))));
    let mystery = imported.graph.node(imported.graph.outputs()[0].value.node);
    assert_eq!(mystery.inputs.len(), 2);
}
