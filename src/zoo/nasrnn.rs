//! The recurrent cell found by neural architecture search (Zoph and Le 2017), unrolled. As in the published cell, eight
//! gates each have a product with the input and one with the state; here every product is a node of its own, which is
//! what the optimiser is to merge.

use super::builder::{Builder, Value};
use super::moments::Moments;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const GATES: usize = 8;

pub(super) fn nasrnn(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [steps, batch, hidden] = ["steps", "batch", "hidden"].map(|s| sizes.get(s));
    let input = b.input("input", DType::F32, &[steps, batch, hidden]);
    let mut h = b.input("h0", DType::F32, &[batch, hidden]);
    let mut c = b.input("c0", DType::F32, &[batch, hidden]);
    let std = (hidden as f64).powf(-0.5);
    let mut weights = |kind: &str| -> Vec<Value> {
        (0..GATES).map(|gate| b.normal(&format!("cell.weight_{kind}{gate}"), &[hidden, hidden], std)).collect()
    };
    let (from_input, from_state) = (weights("i"), weights("h"));
    let mut states = Vec::new();
    for step in 0..steps {
        let x = b.select("", &input, 0, step as i64);
        (h, c) = cell(&mut b, &x, &h, &c, &from_input, &from_state);
        states.push(b.unsqueeze("", &h, 0));
    }
    let output = b.concat("", &states, 0);
    b.finish(&[("output", &output), ("h_n", &h), ("c_n", &c)])
}

/// One step: the new state and the new cell.
fn cell(
    b: &mut Builder,
    x: &Value,
    h: &Value,
    c: &Value,
    from_input: &[Value],
    from_state: &[Value],
) -> (Value, Value) {
    let at = "cell";
    let mut gate = |i: usize| -> (Value, Value) {
        let u = b.matmul(at, x, &from_input[i], Moments::UNIT);
        let v = b.matmul(at, h, &from_state[i], Moments::UNIT);
        (u, v)
    };
    let products: Vec<(Value, Value)> = (0..GATES).map(&mut gate).collect();

    // First layer: eight combinations of input and state; the fourth multiplies, the others add.
    let mut first = Vec::new();
    for (i, (u, v)) in products.iter().enumerate() {
        let joined = if i == 3 { b.mul(at, u, v) } else { b.add(at, u, v) };
        first.push(match i {
            1 | 3 => b.relu(at, &joined),
            4 | 6 => b.tanh(at, &joined),
            _ => b.sigmoid(at, &joined),
        });
    }

    // Second layer: pairs of those.
    let pair = b.mul(at, &first[0], &first[1]);
    let left = b.tanh(at, &pair);
    let pair = b.add(at, &first[2], &first[3]);
    let left_gate = b.tanh(at, &pair);
    let pair = b.mul(at, &first[4], &first[5]);
    let right = b.tanh(at, &pair);
    let pair = b.add(at, &first[6], &first[7]);
    let right_gate = b.sigmoid(at, &pair);

    // The old cell enters on the left; its product with the gate is the new cell.
    let injected = b.add(at, &left, c);
    let injected = b.tanh(at, &injected);
    let new_cell = b.mul(at, &injected, &left_gate);

    // Third layer and the new state.
    let pair = b.add(at, &right, &right_gate);
    let right = b.tanh(at, &pair);
    let product = b.mul(at, &new_cell, &right);
    let new_state = b.tanh(at, &product);
    (new_state, new_cell)
}
