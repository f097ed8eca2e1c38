//! A graph as Graphviz's DOT: operators coloured by family, types on the edges, weights small.

use std::fmt::Write;

use crate::graph::{Attr, Graph, NodeId, Op, OpKind, ValueRef};

/// The graph in the DOT language. Equal graphs give equal text.
pub fn dot(graph: &Graph) -> String {
    let mut out = String::new();
    let title = quoted(graph.name());
    out.push_str("digraph {\n");
    let _ = writeln!(out, "  label={title}; labelloc=t; fontname=\"Helvetica\";");
    out.push_str("  node [fontname=\"Helvetica\", fontsize=11, style=\"filled\", shape=box];\n");
    out.push_str("  edge [fontname=\"Helvetica\", fontsize=9, color=\"#666666\", fontcolor=\"#444444\"];\n");
    for id in graph.node_ids() {
        let _ = writeln!(out, "  n{} [{}];", id.index(), node_style(graph, id));
    }
    for (i, output) in graph.outputs().iter().enumerate() {
        let name = quoted(&output.name);
        let _ = writeln!(out, "  o{i} [label={name}, shape=ellipse, fillcolor=\"#d5f0d5\"];");
    }
    for id in graph.node_ids() {
        for value in graph.node(id).inputs.iter().flatten() {
            let _ = writeln!(out, "  n{} -> n{} [{}];", value.node.index(), id.index(), edge_style(graph, *value));
        }
    }
    for (i, output) in graph.outputs().iter().enumerate() {
        let from = output.value.node.index();
        let _ = writeln!(out, "  n{from} -> o{i} [{}];", edge_style(graph, output.value));
    }
    out.push_str("}\n");
    out
}

fn node_style(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    match &node.op {
        Op::Input => {
            let label = quoted(&node.outputs[0].name);
            format!("label={label}, shape=ellipse, fillcolor=\"#d5e8f7\"")
        }
        Op::Weight(tensor) => {
            let label = quoted(&format!("{}\n{tensor:?}", node.outputs[0].name));
            format!("label={label}, shape=note, fontsize=8, height=0.2, margin=\"0.04,0.02\", fillcolor=\"#f4f4f4\"")
        }
        Op::Apply(kind, _) => {
            let mut label = kind.name().to_owned();
            if !node.name.is_empty() {
                label += &format!("\n{}", node.name);
            }
            label += &attributes(&node.op);
            let border = if node.constant { ", color=\"#aaaaaa\", fontcolor=\"#777777\"" } else { "" };
            format!("label={}, fillcolor={}{border}", quoted(&label), quoted(colour(*kind)))
        }
        Op::Opaque(_) => {
            let label = quoted(&format!("{}\n{}", node.op.label(), node.name));
            format!("label={label}, style=\"filled,dashed\", fillcolor=\"#ffffff\"")
        }
    }
}

/// The attributes that tell instances apart at a glance: short ones, without defaults of windows.
fn attributes(op: &Op) -> String {
    let Op::Apply(_, attrs) = op else { return String::new() };
    let mut out = String::new();
    for (name, value) in attrs.iter() {
        let text = match value {
            Attr::Int(v) => v.to_string(),
            Attr::Float(v) => v.to_string(),
            Attr::Str(v) if &**v != "NOTSET" => v.to_string(),
            Attr::Ints(v) if (1..=8).contains(&v.len()) => format!("{v:?}"),
            Attr::Floats(v) if (1..=4).contains(&v.len()) => format!("{v:?}"),
            Attr::Str(_) | Attr::Ints(_) | Attr::Floats(_) | Attr::Strs(_) => continue,
        };
        let plain = matches!(
            (name, value),
            ("strides" | "dilations", Attr::Ints(v)) if v.iter().all(|&n| n == 1)
        ) || matches!((name, value), ("pads", Attr::Ints(v)) if v.iter().all(|&n| n == 0))
            || matches!((name, value), ("group", Attr::Int(1)));
        if !plain {
            let _ = write!(out, "\n{name}={text}");
        }
    }
    out
}

fn edge_style(graph: &Graph, value: ValueRef) -> String {
    let ty = graph.facts(value).ty.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
    let small = matches!(graph.node(value.node).op, Op::Weight(_));
    // The weight itself says its type.
    if small { "arrowsize=0.5, color=\"#bbbbbb\"".to_owned() } else { format!("label={}", quoted(&ty)) }
}

/// A colour for each family of operators.
fn colour(kind: OpKind) -> &'static str {
    use OpKind::*;
    match kind {
        Conv | ConvTranspose | MatMul | Gemm | Einsum | LSTM | GRU => "#f7c6a3",
        MaxPool | AveragePool | GlobalAveragePool | GlobalMaxPool | Resize => "#f9e3a4",
        BatchNormalization
        | LayerNormalization
        | InstanceNormalization
        | GroupNormalization
        | RMSNormalization
        | LRN
        | LpNormalization => "#d9c7ec",
        Relu | LeakyRelu | Sigmoid | Gelu | HardSigmoid | HardSwish | Elu | Selu | Celu | ThresholdedRelu
        | Softplus | Softsign | Mish | Tanh | Erf | Clip | PRelu | Softmax | LogSoftmax | Hardmax => "#f5b8c0",
        Concat | Split | Slice | Gather | GatherElements | GatherND | Transpose | Reshape | Flatten | Squeeze
        | Unsqueeze | Expand | Tile | Pad | DepthToSpace | SpaceToDepth | Identity | Dropout => "#bfe3e0",
        _ => "#e6e6e6",
    }
}

/// A text between quotation marks; line breaks become DOT's.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::import::{ImportOptions, import};
    use crate::formats::model::ModelAttr;
    use crate::formats::testing::{halves, model, node, value};
    use crate::graph::DType;

    #[test]
    fn every_node_and_edge_is_drawn_and_names_cannot_break_out() {
        let mut conv = node("Conv", "x w", "c", &[("group", ModelAttr::Int(1))]);
        conv.name = "a\"b\\".to_owned();
        let nodes = vec![conv, node("Mystery", "c", "y", &[])];
        let weights = [("w", halves(&[4, 3, 3, 3]))];
        let model = model(13, vec![value("x", DType::F32, "n 3 8 8")], &weights, nodes, &["y"]);
        let text = dot(&import(model, &ImportOptions::default()).unwrap().graph);
        assert!(text.starts_with("digraph {\n") && text.ends_with("}\n"));
        assert!(text.contains(r#"label="Conv\na\"b\\""#), "{text}");
        assert!(text.contains(r#"n0 -> n2 [label="f32[n, 3, 8, 8]"]"#), "{text}");
        assert!(text.contains("n1 -> n2 [arrowsize=0.5") && text.contains("n3 -> o0"), "{text}");
        assert_eq!(text.matches(" -> ").count(), 4);
        assert!(text.contains("style=\"filled,dashed\""));
    }
}
