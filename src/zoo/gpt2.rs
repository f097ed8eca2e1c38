//! GPT-2 (Radford et al. 2019), modules named as in the usual PyTorch implementation: linear layers as Gemm on flattened
//! tokens, causal attention, Gelu approximated through tanh by primitives.

use super::builder::{Builder, Value, float};
use super::moments::Moments;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-5;

/// Rows of the table of positions.
const POSITIONS: u64 = 1024;

pub(super) fn gpt2(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [batch, sequence, hidden, heads] = ["batch", "sequence", "hidden", "heads"].map(|s| sizes.get(s));
    let vocabulary = sizes.get("vocabulary");
    let ids = b.input("input_ids", DType::I64, &[batch, sequence]);
    let table = b.normal("wte.weight", &[vocabulary, hidden], 1.0);
    let words = b.gather("wte", &table, &ids, 0);
    let positions: Vec<i64> = (0..sequence as i64).collect();
    let positions = b.ints("", &[1, sequence], &positions);
    let places = b.embedding("wpe", &positions, POSITIONS, hidden);
    let mut x = b.add("", &words, &places);
    let causal = b.band_mask("", sequence, None, 0);
    for layer in 0..sizes.get("layers") {
        let scope = format!("h.{layer}");
        let normal = b.layer_norm(&format!("{scope}.ln_1"), &x, EPSILON);
        let attended = attention(&mut b, &format!("{scope}.attn"), &normal, &causal, heads);
        x = b.add(&scope, &attended, &x);
        let normal = b.layer_norm(&format!("{scope}.ln_2"), &x, EPSILON);
        let wide = conv1d(&mut b, &format!("{scope}.mlp.c_fc"), &normal, 4 * hidden);
        let wide = gelu_tanh(&mut b, &format!("{scope}.mlp.act"), &wide);
        let narrow = conv1d(&mut b, &format!("{scope}.mlp.c_proj"), &wide, hidden);
        x = b.add(&scope, &x, &narrow);
    }
    let x = b.layer_norm("ln_f", &x, EPSILON);
    if sizes.get("head") == 0 {
        return b.finish(&[("last_hidden_state", &x)]);
    }
    let tied = b.transpose("lm_head", &table, &[1, 0]);
    let logits = b.matmul("lm_head", &x, &tied, Moments::new(0.0, hidden as f64));
    b.finish(&[("logits", &logits)])
}

/// The original's linear layer: a weight `[in, out]` on tokens flattened to a matrix.
fn conv1d(b: &mut Builder, scope: &str, x: &Value, out: u64) -> Value {
    let [batch, sequence, width] = [x.dim(0), x.dim(1), x.dim(2)];
    let flat = b.reshape(scope, x, &[batch * sequence, width]);
    let weight = b.normal(&format!("{scope}.weight"), &[width, out], (width as f64 * x.moments.power()).powf(-0.5));
    let bias = b.bias(scope, out);
    let attrs = [("alpha", float(1.0)), ("beta", float(1.0))];
    let shape = [batch * sequence, out];
    let y = b.node(scope, "Gemm", &[&flat, &weight, &bias], &attrs, &shape, Moments::UNIT);
    b.reshape(scope, &y, &[batch, sequence, out])
}

fn attention(b: &mut Builder, scope: &str, x: &Value, causal: &Value, heads: u64) -> Value {
    let [batch, sequence, hidden] = [x.dim(0), x.dim(1), x.dim(2)];
    let head = b.quotient(scope, hidden, heads);
    let joint = conv1d(b, &format!("{scope}.c_attn"), x, 3 * hidden);
    let parts = b.split(scope, &joint, 2, &[hidden; 3]);
    let mut split_heads = |x: &Value, perm: &[u64]| {
        let x = b.reshape(scope, x, &[batch, sequence, heads, head]);
        b.transpose(scope, &x, perm)
    };
    let q = split_heads(&parts[0], &[0, 2, 1, 3]);
    let k = split_heads(&parts[1], &[0, 2, 3, 1]);
    let v = split_heads(&parts[2], &[0, 2, 1, 3]);
    let scores = b.matmul(scope, &q, &k, Moments::new(0.0, head as f64));
    let scores = b.divide(scope, &scores, (head as f32).sqrt());
    let scores = b.keep_where(scope, causal, &scores);
    let weights = b.softmax(scope, &scores);
    let context = b.matmul(scope, &weights, &v, v.moments.attended());
    let context = b.transpose(scope, &context, &[0, 2, 1, 3]);
    let context = b.reshape(scope, &context, &[batch, sequence, hidden]);
    conv1d(b, &format!("{scope}.c_proj"), &context, hidden)
}

/// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
fn gelu_tanh(b: &mut Builder, scope: &str, x: &Value) -> Value {
    let half = b.scale(scope, x, 0.5);
    let three = b.scalar(scope, 3.0);
    let cube = b.node(scope, "Pow", &[x, &three], &[], &x.shape, Moments::new(0.0, 15.0 * x.moments.var));
    let cube = b.scale(scope, &cube, 0.044715);
    let inner = b.add(scope, x, &cube);
    let inner = b.scale(scope, &inner, (2.0 / std::f32::consts::PI).sqrt());
    let tanh = b.tanh(scope, &inner);
    let one = b.scalar(scope, 1.0);
    let shifted = b.add(scope, &tanh, &one);
    let product = b.mul(scope, &half, &shifted);
    // Close to the rectified normal.
    Value { moments: x.moments.relu(), ..product }
}
