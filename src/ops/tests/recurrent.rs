//! Recurrent layers, against the equations of the ONNX specification written out for one hidden unit.

use super::{Array, a, assert_close, eval, evaluate, infers, op, refuses, v};
use crate::graph::Attr;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn hidden(n: i64) -> (&'static str, Attr) {
    ("hidden_size", Attr::Int(n))
}

fn text(name: &'static str, value: &str) -> (&'static str, Attr) {
    (name, Attr::str(value))
}

/// Weights of one unit with one feature; gates i o f c.
const W: [f64; 4] = [0.5, -0.25, 1.0, 0.75];
const R: [f64; 4] = [0.1, 0.2, -0.3, 0.4];
const B: [f64; 8] = [0.1, 0.2, 0.3, 0.4, -0.1, 0.0, 0.1, 0.2];

/// One step of an LSTM with these weights and peepholes `p` (i o f).
fn lstm_step(x: f64, h: f64, c: f64, p: [f64; 3]) -> (f64, f64) {
    let gate = |g: usize| W[g] * x + R[g] * h + B[g] + B[4 + g];
    let (i, f) = (sigmoid(gate(0) + p[0] * c), sigmoid(gate(2) + p[2] * c));
    let c = f * c + i * gate(3).tanh();
    (sigmoid(gate(1) + p[1] * c) * c.tanh(), c)
}

fn lstm_inputs(x: &[f64]) -> Vec<Array<f64>> {
    vec![a(&[x.len(), 1, 1], x), a(&[1, 4, 1], &W), a(&[1, 4, 1], &R), a(&[1, 8], &B)]
}

#[test]
fn lstm_values() {
    let (x, none) = ([1.0, -2.0], [0.0; 3]);
    let (h1, c1) = lstm_step(x[0], 0.0, 0.0, none);
    let (h2, c2) = lstm_step(x[1], h1, c1, none);
    let found = eval("LSTM", &[hidden(1)], &lstm_inputs(&x)).unwrap();
    let expected = [a(&[2, 1, 1, 1], &[h1, h2]), a(&[1, 1, 1], &[h2]), a(&[1, 1, 1], &[c2])];
    assert_close("LSTM", &found, &expected);

    // Backwards: the last step comes first.
    let (h2, c2) = lstm_step(x[1], 0.0, 0.0, none);
    let (h1, c1) = lstm_step(x[0], h2, c2, none);
    let found = eval("LSTM", &[hidden(1), text("direction", "reverse")], &lstm_inputs(&x)).unwrap();
    let expected = [a(&[2, 1, 1, 1], &[h1, h2]), a(&[1, 1, 1], &[h1]), a(&[1, 1, 1], &[c1])];
    assert_close("LSTM reverse", &found, &expected);
}

#[test]
fn lstm_with_states_peepholes_and_lengths() {
    let p = [0.3, -0.2, 0.6];
    let mut inputs = lstm_inputs(&[1.0, -2.0]);
    inputs.extend([v(&[1.0]), a(&[1, 1, 1], &[0.5]), a(&[1, 1, 1], &[-0.5]), a(&[1, 3], &p)]);
    let (h, c) = lstm_step(1.0, 0.5, -0.5, p);
    let found = eval("LSTM", &[hidden(1)], &inputs).unwrap();
    let expected = [a(&[2, 1, 1, 1], &[h, 0.0]), a(&[1, 1, 1], &[h]), a(&[1, 1, 1], &[c])];
    assert_close("LSTM", &found, &expected);
    // Biases left out, later inputs there.
    let given: Vec<Option<&Array<f64>>> =
        inputs.iter().enumerate().map(|(i, input)| (i != 3).then_some(input)).collect();
    let gate = |g: usize| W[g] + R[g] * 0.5;
    let (i, f) = (sigmoid(gate(0) - 0.15), sigmoid(gate(2) - 0.3));
    let c = -0.5 * f + i * gate(3).tanh();
    let h = sigmoid(gate(1) - 0.2 * c) * c.tanh();
    let found = evaluate(&op("LSTM", &[hidden(1)]), &given).unwrap();
    assert_close("LSTM", &found[1..], &[a(&[1, 1, 1], &[h]), a(&[1, 1, 1], &[c])]);
}

#[test]
fn both_directions_and_batch_first_agree_with_one_at_a_time() {
    // Two steps, batch of 2, one feature: sequences (1, -2) and (3, 4).
    let (w, r, b) = (a(&[1, 4, 1], &W), a(&[1, 4, 1], &R), a(&[1, 8], &B));
    let twice = |m: &Array<f64>| {
        let mut shape = m.shape.clone();
        shape[0] = 2;
        a(&shape, &[m.data.clone(), m.data.clone()].concat())
    };
    let both = [hidden(1), text("direction", "bidirectional"), ("layout", Attr::Int(1))];
    let x = a(&[2, 2, 1], &[1.0, -2.0, 3.0, 4.0]);
    let found = eval("LSTM", &both, &[x, twice(&w), twice(&r), twice(&b)]).unwrap();
    assert_eq!((found[0].shape.as_slice(), found[1].shape.as_slice()), (&[2, 2, 2, 1][..], &[2, 2, 1][..]));
    for (sequence, x) in [[1.0, -2.0], [3.0, 4.0]].iter().enumerate() {
        for (way, direction) in ["forward", "reverse"].iter().enumerate() {
            let alone = eval("LSTM", &[hidden(1), text("direction", direction)], &lstm_inputs(x)).unwrap();
            for step in 0..2 {
                assert_eq!(found[0].data[(sequence * 2 + step) * 2 + way], alone[0].data[step]);
            }
            assert_eq!(found[1].data[sequence * 2 + way], alone[1].data[0]);
            assert_eq!(found[2].data[sequence * 2 + way], alone[2].data[0]);
        }
    }
}

#[test]
fn gru_values() {
    // Gates z r h, one unit, one feature, a bias on input and one on the state.
    let (w, r) = ([0.5, -0.25, 1.0], [0.1, 0.2, -0.3]);
    let b = [0.1, 0.2, 0.3, 0.4, -0.1, 0.7];
    let (x, h0) = (2.0, 0.5);
    let gate = |g: usize| sigmoid(w[g] * x + r[g] * h0 + b[g] + b[3 + g]);
    let (z, reset) = (gate(0), gate(1));
    let inputs =
        [a(&[1, 1, 1], &[x]), a(&[1, 3, 1], &w), a(&[1, 3, 1], &r), a(&[1, 6], &b), v(&[1.0]), a(&[1, 1, 1], &[h0])];
    for (linear, inner) in [(0, reset * h0 * r[2] + b[5]), (1, reset * (h0 * r[2] + b[5]))] {
        let candidate = (w[2] * x + b[2] + inner).tanh();
        let h = (1.0 - z) * candidate + z * h0;
        let found = eval("GRU", &[hidden(1), ("linear_before_reset", Attr::Int(linear))], &inputs).unwrap();
        assert_close("GRU", &found, &[a(&[1, 1, 1, 1], &[h]), a(&[1, 1, 1], &[h])]);
    }
}

#[test]
fn several_units_mix_through_the_recurrence() {
    // Two units; only R carries unit 1's state into unit 0's candidate.
    let mut r = [0.0; 12];
    r[4 * 2 + 1] = 2.0; // Row of gate h, unit 0; column of unit 1.
    let inputs = [a(&[1, 1, 1], &[0.0]), a(&[1, 6, 1], &[0.0; 6]), a(&[1, 6, 2], &r)];
    let given = [Some(&inputs[0]), Some(&inputs[1]), Some(&inputs[2]), None, None];
    let h0 = a(&[1, 1, 2], &[0.0, 0.5]);
    let mut given = given.to_vec();
    given.push(Some(&h0));
    let found = evaluate(&op("GRU", &[hidden(2)]), &given).unwrap();
    // All gates are one half; the candidate of unit 0 is tanh(2 * 0.5 * 0.5).
    assert_close("GRU", &found[1..], &[a(&[1, 1, 2], &[0.5 * 0.5f64.tanh(), 0.25])]);
}

#[test]
fn types() {
    let lstm = ["f32[t, b, 5]", "f32[1, 16, 5]", "f32[1, 16, 4]"];
    infers("LSTM", &[hidden(4)], &lstm, "f32[t, 1, b, 4]; f32[1, b, 4]; f32[1, b, 4]");
    infers("LSTM", &[hidden(4)], &lstm, "f32[t, 1, b, 4]");
    infers("LSTM", &[hidden(4), ("layout", Attr::Int(1))], &lstm, "f32[t, b, 1, 4]; f32[t, 1, 4]");
    let gru = ["f64[t, b, 5]", "f64[2, 12, 5]", "f64[2, 12, 4]", "-", "i32[b]"];
    infers("GRU", &[hidden(4), text("direction", "bidirectional")], &gru, "f64[t, 2, b, 4]; f64[2, b, 4]");
    refuses("GRU", &[hidden(4)], &gru, "input 1 must have shape [1, 12, 5]");
    refuses("LSTM", &[hidden(3)], &lstm, "input 1");
    refuses("LSTM", &[hidden(0)], &lstm, "hidden_size");
    refuses("LSTM", &[hidden(4), text("direction", "up")], &lstm, "direction");
    refuses("LSTM", &[hidden(4), ("clip", Attr::Float(1.0))], &lstm, "clip");
    let relu = ("activations", Attr::Strs(["Sigmoid".into(), "Relu".into(), "Tanh".into()].into()));
    refuses("LSTM", &[hidden(4), relu], &lstm, "activations");
    let tanh = ("activations", Attr::Strs(["Sigmoid".into(), "Tanh".into(), "Tanh".into()].into()));
    infers("LSTM", &[hidden(4), tanh], &lstm, "f32[t, 1, b, 4]");
}
