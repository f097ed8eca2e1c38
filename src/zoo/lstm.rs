//! A long short-term memory unrolled over time (Hochreiter and Schmidhuber 1997, with forget gates): for each of the
//! gates input, forget, cell and output, one product with the input and one with the state, each with its bias, as
//! PyTorch's cell computes them.

use super::builder::{Builder, Value};
use super::moments::Moments;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

/// Weights and biases of one gate, from the input and from the state.
struct Gate {
    weight_i: Value,
    bias_i: Value,
    weight_h: Value,
    bias_h: Value,
}

pub(super) fn lstm(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [steps, batch, width, hidden] = ["steps", "batch", "input", "hidden"].map(|s| sizes.get(s));
    let input = b.input("input", DType::F32, &[steps, batch, width]);
    let mut h = b.input("h0", DType::F32, &[batch, hidden]);
    let mut c = b.input("c0", DType::F32, &[batch, hidden]);
    let gates = ["i", "f", "g", "o"].map(|gate| Gate {
        weight_i: b.normal(&format!("cell.weight_i{gate}"), &[width, hidden], (width as f64).powf(-0.5)),
        bias_i: b.uniform(&format!("cell.bias_i{gate}"), &[hidden], -0.2, 0.2),
        weight_h: b.normal(&format!("cell.weight_h{gate}"), &[hidden, hidden], (hidden as f64).powf(-0.5)),
        bias_h: b.uniform(&format!("cell.bias_h{gate}"), &[hidden], -0.2, 0.2),
    });
    let mut states = Vec::new();
    for step in 0..steps {
        let x = b.select("", &input, 0, step as i64);
        (h, c) = cell(&mut b, &x, &h, &c, &gates);
        states.push(b.unsqueeze("", &h, 0));
    }
    let output = b.concat("", &states, 0);
    b.finish(&[("output", &output), ("h_n", &h), ("c_n", &c)])
}

/// One step: the new state and the new cell.
fn cell(b: &mut Builder, x: &Value, h: &Value, c: &Value, gates: &[Gate; 4]) -> (Value, Value) {
    let at = "cell";
    let [i, f, g, o] = gates.each_ref().map(|gate| {
        let from_input = b.matmul(at, x, &gate.weight_i, Moments::UNIT);
        let from_input = b.add(at, &gate.bias_i, &from_input);
        let from_state = b.matmul(at, h, &gate.weight_h, Moments::UNIT);
        let from_state = b.add(at, &gate.bias_h, &from_state);
        b.add(at, &from_input, &from_state)
    });
    let [i, f, o] = [i, f, o].map(|gate| b.sigmoid(at, &gate));
    let g = b.tanh(at, &g);
    let kept = b.mul(at, &f, c);
    let written = b.mul(at, &i, &g);
    let c = b.add(at, &kept, &written);
    let shown = b.tanh(at, &c);
    (b.mul(at, &o, &shown), c)
}
