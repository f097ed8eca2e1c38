//! Transformer-Transducer (Zhang et al. 2020): an audio encoder whose attention is relative (Dai et al. 2019: content
//! and position terms with their own biases) and limited to some frames before and after, a causal label encoder, and
//! a joint network over all pairs of frame and label. Keys have no bias: a softmax over keys could not see it.

use super::builder::{Builder, Value, string};
use super::moments::Moments;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-5;

/// Frames that audio attention sees before and after its own.
const BEFORE: u64 = 10;
const AFTER: u64 = 2;

pub(super) fn transformer_transducer(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [batch, hidden, heads, inner] = ["batch", "hidden", "heads", "feed_forward"].map(|s| sizes.get(s));
    let [frames, labels, features] = ["frames", "labels", "features"].map(|s| sizes.get(s));
    let [vocabulary, joint] = ["vocabulary", "joint"].map(|s| sizes.get(s));

    let input = b.input("audio", DType::F32, &[batch, frames, features]);
    let mut audio = b.linear("audio_encoder.input", &input, hidden);
    let mask = b.band_mask("audio_encoder", frames, Some(BEFORE), AFTER);
    let positions = relative_positions(&mut b, "audio_encoder.pos", frames, hidden);
    for layer in 0..sizes.get("audio_layers") {
        let scope = format!("audio_encoder.layers.{layer}");
        let kind = Attention { heads, mask: &mask, positions: Some(&positions) };
        audio = encoder_layer(&mut b, &scope, &audio, &kind, inner);
    }
    let audio = b.layer_norm("audio_encoder.norm", &audio, EPSILON);

    let ids = b.input("labels", DType::I64, &[batch, labels]);
    let words = b.embedding("label_encoder.embed", &ids, vocabulary, hidden);
    let places = b.normal("label_encoder.pos", &[labels, hidden], 0.5);
    let mut label = b.add("label_encoder", &words, &places);
    let causal = b.band_mask("label_encoder", labels, None, 0);
    for layer in 0..sizes.get("label_layers") {
        let scope = format!("label_encoder.layers.{layer}");
        let kind = Attention { heads, mask: &causal, positions: None };
        label = encoder_layer(&mut b, &scope, &label, &kind, inner);
    }
    let label = b.layer_norm("label_encoder.norm", &label, EPSILON);

    // Every frame with every label: [batch, frames, 1, joint] + [batch, 1, labels, joint].
    let audio = b.linear("joint.audio", &audio, joint);
    let audio = b.unsqueeze("joint", &audio, 2);
    let label = b.linear_no_bias("joint.label", &label, joint);
    let label = b.unsqueeze("joint", &label, 1);
    let sum = b.add("joint", &audio, &label);
    let active = b.tanh("joint", &sum);
    let logits = b.linear("joint.out", &active, vocabulary);
    let log_probs =
        b.node("joint", "LogSoftmax", &[&logits], &[("axis", super::builder::int(-1))], &logits.shape, logits.moments);
    b.finish(&[("log_probs", &log_probs)])
}

/// Sines and cosines of the distances frames - 1 down to 1 - frames, `[2 frames - 1, hidden]`, computed from constants.
fn relative_positions(b: &mut Builder, scope: &str, frames: u64, hidden: u64) -> Value {
    let half = b.quotient(scope, hidden, 2);
    let distances: Vec<f32> = (0..2 * frames - 1).map(|i| frames as f32 - 1.0 - i as f32).collect();
    let distances = b.floats(scope, &[2 * frames - 1, 1], &distances);
    let exponent = |i: u64| -9.210_340_371_976_184 * i as f64 / half as f64;
    let frequencies: Vec<f32> = (0..half).map(|i| exponent(i).exp() as f32).collect();
    let frequencies = b.floats(scope, &[1, half], &frequencies);
    let angles = b.mul(scope, &distances, &frequencies);
    let wave = Moments::new(0.0, 0.5);
    let sines = b.unary(scope, "Sin", &angles, wave);
    let cosines = b.unary(scope, "Cos", &angles, wave);
    b.concat(scope, &[sines, cosines], 1)
}

/// How a layer attends.
struct Attention<'a> {
    heads: u64,
    /// `[sequence, sequence]`, true where a row may look at a column.
    mask: &'a Value,
    /// Embedded distances `[2 sequence - 1, hidden]` if attention is relative.
    positions: Option<&'a Value>,
}

fn encoder_layer(b: &mut Builder, scope: &str, x: &Value, kind: &Attention, inner: u64) -> Value {
    let hidden = x.last();
    let normal = b.layer_norm(&format!("{scope}.norm1"), x, EPSILON);
    let attended = attention(b, &format!("{scope}.self_attn"), &normal, kind);
    let x = b.add(scope, x, &attended);
    let normal = b.layer_norm(&format!("{scope}.norm2"), &x, EPSILON);
    let wide = b.linear(&format!("{scope}.linear1"), &normal, inner);
    let wide = b.relu(scope, &wide);
    let narrow = b.linear(&format!("{scope}.linear2"), &wide, hidden);
    b.add(scope, &x, &narrow)
}

fn attention(b: &mut Builder, scope: &str, x: &Value, kind: &Attention) -> Value {
    let [batch, sequence, hidden] = [x.dim(0), x.dim(1), x.dim(2)];
    let heads = kind.heads;
    let head = b.quotient(scope, hidden, heads);
    let q = b.linear(&format!("{scope}.linear_q"), x, hidden);
    let k = b.linear_no_bias(&format!("{scope}.linear_k"), x, hidden);
    let v = b.linear(&format!("{scope}.linear_v"), x, hidden);
    let q = b.reshape(scope, &q, &[batch, sequence, heads, head]);
    let [k, v] = [k, v].map(|x| b.reshape(scope, &x, &[batch, sequence, heads, head]));
    let k = b.transpose(scope, &k, &[0, 2, 3, 1]);
    let v = b.transpose(scope, &v, &[0, 2, 1, 3]);
    let product = Moments::new(0.0, head as f64);
    let scores = match kind.positions {
        None => {
            let q = b.transpose(scope, &q, &[0, 2, 1, 3]);
            b.matmul(scope, &q, &k, product)
        }
        Some(positions) => {
            let r = b.linear_no_bias(&format!("{scope}.linear_pos"), positions, hidden);
            let r = b.reshape(scope, &r, &[1, 2 * sequence - 1, heads, head]);
            let r = b.transpose(scope, &r, &[0, 2, 3, 1]);
            let [content, place] = [("pos_bias_u", &k), ("pos_bias_v", &r)].map(|(bias, other)| {
                let bias = b.uniform(&format!("{scope}.{bias}"), &[heads, head], -0.5, 0.5);
                let q = b.add(scope, &q, &bias);
                let q = b.transpose(scope, &q, &[0, 2, 1, 3]);
                b.matmul(scope, &q, other, product)
            });
            let place = align_distances(b, scope, &place);
            b.add(scope, &content, &place)
        }
    };
    let scores = b.divide(scope, &scores, (head as f32).sqrt());
    let scores = b.keep_where(scope, kind.mask, &scores);
    let weights = b.softmax(scope, &scores);
    let context = b.matmul(scope, &weights, &v, v.moments.scaled(0.5));
    let context = b.transpose(scope, &context, &[0, 2, 1, 3]);
    let context = b.reshape(scope, &context, &[batch, sequence, hidden]);
    b.linear(&format!("{scope}.linear_out"), &context, hidden)
}

/// From scores by distance `[B, H, T, 2T - 1]` to scores by position `[B, H, T, T]`: row i is shifted by T - 1 - i,
/// done without a loop by padding a column and reading the same elements under another shape.
fn align_distances(b: &mut Builder, scope: &str, x: &Value) -> Value {
    let [batch, heads, t, distances] = [x.dim(0), x.dim(1), x.dim(2), x.dim(3)];
    let pads = b.ints(scope, &[8], &[0, 0, 0, 1, 0, 0, 0, 0]);
    let zero = b.scalar(scope, 0.0);
    let attrs = [("mode", string("constant"))];
    let padded = b.node(scope, "Pad", &[x, &pads, &zero], &attrs, &[batch, heads, t, distances + 1], x.moments);
    let turned = b.reshape(scope, &padded, &[batch, heads, distances + 1, t]);
    let shifted = b.slice(scope, &turned, 2, 1, distances + 1);
    let back = b.reshape(scope, &shifted, &[batch, heads, t, distances]);
    b.slice(scope, &back, 3, 0, t)
}
