//! Transformer blocks in the manner of DALL-E (Ramesh et al. 2021): text tokens followed by the image's tokens in
//! raster order, causal attention that alternates with attention to the text and the token's own row, query, key and
//! value in one projection without bias, gated feed-forward, each branch scaled channel by channel; logits over image
//! tokens. Products of attention are written as einsum.

use super::builder::{Builder, Value, string};
use super::moments::Moments;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-5;

pub(super) fn dalle(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [batch, hidden, heads, text, rows] = ["batch", "hidden", "heads", "text", "rows"].map(|s| sizes.get(s));
    let [text_vocabulary, image_vocabulary] = ["text_vocabulary", "image_vocabulary"].map(|s| sizes.get(s));
    let pixels = rows * rows;

    let text_ids = b.input("text", DType::I64, &[batch, text]);
    let image_ids = b.input("image", DType::I64, &[batch, pixels]);
    let words = b.embedding("text_emb", &text_ids, text_vocabulary, hidden);
    let places = b.normal("text_pos_emb.weight", &[text, hidden], 0.5);
    let words = b.add("", &words, &places);
    let pixel = b.embedding("image_emb", &image_ids, image_vocabulary, hidden);
    let row = b.normal("image_pos_emb.weights.0", &[1, rows, 1, hidden], 0.5);
    let column = b.normal("image_pos_emb.weights.1", &[1, 1, rows, hidden], 0.5);
    let axial = b.add("image_pos_emb", &row, &column);
    let axial = b.reshape("image_pos_emb", &axial, &[1, pixels, hidden]);
    let pixel = b.add("", &pixel, &axial);
    let mut x = b.concat("", &[words, pixel], 1);

    let causal = b.band_mask("", text + pixels, None, 0);
    let own_row = row_mask(&mut b, &causal, text, rows);
    for layer in 0..sizes.get("layers") {
        let scope = format!("transformer.layers.{layer}");
        let mask = if layer % 2 == 0 { &causal } else { &own_row };
        let normal = b.layer_norm(&format!("{scope}.0.norm"), &x, EPSILON);
        let attended = attention(&mut b, &format!("{scope}.0.fn"), &normal, mask, heads);
        x = scaled_residual(&mut b, &format!("{scope}.0"), &x, &attended);
        let normal = b.layer_norm(&format!("{scope}.1.norm"), &x, EPSILON);
        let fed = feed_forward(&mut b, &format!("{scope}.1.fn.net"), &normal);
        x = scaled_residual(&mut b, &format!("{scope}.1"), &x, &fed);
    }
    let image_part = b.slice("", &x, 1, text, text + pixels);
    let normal = b.layer_norm("to_logits.0", &image_part, EPSILON);
    let logits = b.linear("to_logits.1", &normal, image_vocabulary);
    b.finish(&[("logits", &logits)])
}

/// Positions that are text or in the same row of the image, and not later: `[sequence, sequence]`.
fn row_mask(b: &mut Builder, causal: &Value, text: u64, rows: u64) -> Value {
    let sequence = causal.dim(0);
    // The row of each position; text is row -1.
    let row_of: Vec<i64> = (0..sequence).map(|i| if i < text { -1 } else { ((i - text) / rows) as i64 }).collect();
    let row = b.ints("", &[1, sequence], &row_of);
    let column = b.ints("", &[sequence, 1], &row_of);
    let same = b.binary("", "Equal", &column, &row);
    let zero = b.ints("", &[], &[0]);
    let is_text = b.binary("", "Less", &row, &zero);
    let allowed = b.binary("", "Or", &same, &is_text);
    b.binary("", "And", &allowed, causal)
}

fn attention(b: &mut Builder, scope: &str, x: &Value, mask: &Value, heads: u64) -> Value {
    let [batch, sequence, hidden] = [x.dim(0), x.dim(1), x.dim(2)];
    let head = b.quotient(scope, hidden, heads);
    let joint = b.linear_no_bias(&format!("{scope}.to_qkv"), x, 3 * hidden);
    let parts = b.split(scope, &joint, 2, &[hidden; 3]);
    let mut apart = Vec::new();
    for part in &parts {
        let part = b.reshape(scope, part, &[batch, sequence, heads, head]);
        apart.push(b.transpose(scope, &part, &[0, 2, 1, 3]));
    }
    let [q, k, v] = [&apart[0], &apart[1], &apart[2]];
    let q = b.scale(scope, q, (head as f32).powf(-0.5));
    let shape = [batch, heads, sequence, sequence];
    let scores = einsum(b, scope, "bhid,bhjd->bhij", &q, k, &shape, Moments::UNIT);
    let scores = b.keep_where(scope, mask, &scores);
    let weights = b.softmax(scope, &scores);
    let shape = [batch, heads, sequence, head];
    let context = einsum(b, scope, "bhij,bhjd->bhid", &weights, v, &shape, v.moments.attended());
    let context = b.transpose(scope, &context, &[0, 2, 1, 3]);
    let context = b.reshape(scope, &context, &[batch, sequence, hidden]);
    b.linear(&format!("{scope}.to_out.0"), &context, hidden)
}

fn einsum(b: &mut Builder, scope: &str, eq: &str, x: &Value, y: &Value, shape: &[u64], moments: Moments) -> Value {
    b.node(scope, "Einsum", &[x, y], &[("equation", string(eq))], shape, moments)
}

/// A linear layer to twice the inner width, one half gating the other through Gelu, and a linear layer back.
fn feed_forward(b: &mut Builder, scope: &str, x: &Value) -> Value {
    let hidden = x.last();
    let wide = b.linear(&format!("{scope}.0"), x, 8 * hidden);
    let halves = b.split(&format!("{scope}.1"), &wide, 2, &[4 * hidden; 2]);
    let gate = b.gelu(&format!("{scope}.1"), &halves[1]);
    let gated = b.mul(&format!("{scope}.1"), &halves[0], &gate);
    b.linear(&format!("{scope}.3"), &gated, hidden)
}

/// `x` plus a branch scaled by a trained factor for each channel.
fn scaled_residual(b: &mut Builder, scope: &str, x: &Value, branch: &Value) -> Value {
    let factors = b.uniform(&format!("{scope}.scale"), &[1, 1, x.last()], 0.4, 0.8);
    let branch = b.mul(scope, branch, &factors);
    b.add(scope, &branch, x)
}
