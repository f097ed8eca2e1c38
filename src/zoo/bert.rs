//! BERT (Devlin et al. 2018) with its pooler, modules named as in the usual PyTorch implementation. The bias of the key
//! projection is there as in the original, though a softmax over keys cannot see it.

use super::builder::{Builder, Value};
use super::moments::Moments;
use super::{BATCH, Size, Sizes, ZooError, count, size, width};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-12;

/// Rows of the table of positions.
const POSITIONS: u64 = 512;

/// Added to the scores of masked positions, as in the original.
const MASKED: f32 = -10_000.0;

/// The sizes that BERT takes.
pub(super) const fn sizes(layers: u64, hidden: u64, heads: u64, sequence: u64, vocabulary: u64) -> [Size; 6] {
    [
        BATCH,
        count("layers", layers),
        width("hidden", hidden),
        count("heads", heads),
        size("sequence", sequence, 1, POSITIONS),
        width("vocabulary", vocabulary),
    ]
}

pub(super) fn bert(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [batch, sequence, hidden, heads] = ["batch", "sequence", "hidden", "heads"].map(|s| sizes.get(s));
    let [ids, mask, segments] =
        ["input_ids", "attention_mask", "token_type_ids"].map(|input| b.input(input, DType::I64, &[batch, sequence]));

    // 1 where a token is, 0 where it is masked: becomes 0 and a large negative number, [batch, 1, 1, sequence].
    let mask = b.unsqueeze("", &mask, 1);
    let mask = b.unsqueeze("", &mask, 2);
    let mask = b.cast("", &mask, DType::F32);
    let one = b.scalar("", 1.0);
    let hidden_positions = b.binary("", "Sub", &one, &mask);
    let mask = b.scale("", &hidden_positions, MASKED);
    let mask = Value { moments: Moments::new(0.0, 0.0), ..mask };

    let mut x = embeddings(&mut b, "embeddings", &ids, &segments, sizes.get("vocabulary"), hidden);
    for layer in 0..sizes.get("layers") {
        x = encoder_layer(&mut b, &format!("encoder.layer.{layer}"), &x, &mask, heads);
    }
    let first = b.select("pooler", &x, 1, 0);
    let pooled = b.linear("pooler.dense", &first, hidden);
    let pooled = b.tanh("pooler.activation", &pooled);
    b.finish(&[("last_hidden_state", &x), ("pooler_output", &pooled)])
}

fn embeddings(b: &mut Builder, scope: &str, ids: &Value, segments: &Value, vocabulary: u64, width: u64) -> Value {
    let sequence = ids.dim(1);
    let words = b.embedding(&format!("{scope}.word_embeddings"), ids, vocabulary, width);
    let kinds = b.embedding(&format!("{scope}.token_type_embeddings"), segments, 2, width);
    let positions: Vec<i64> = (0..sequence as i64).collect();
    let positions = b.ints(scope, &[1, sequence], &positions);
    let places = b.embedding(&format!("{scope}.position_embeddings"), &positions, POSITIONS, width);
    let sum = b.add(scope, &words, &kinds);
    let sum = b.add(scope, &sum, &places);
    b.layer_norm(&format!("{scope}.LayerNorm"), &sum, EPSILON)
}

fn encoder_layer(b: &mut Builder, scope: &str, x: &Value, mask: &Value, heads: u64) -> Value {
    let hidden = x.last();
    let attended = self_attention(b, &format!("{scope}.attention.self"), x, mask, heads);
    let output = format!("{scope}.attention.output");
    let attended = b.linear(&format!("{output}.dense"), &attended, hidden);
    let sum = b.add(&output, &attended, x);
    let x = b.layer_norm(&format!("{output}.LayerNorm"), &sum, EPSILON);

    let wide = b.linear(&format!("{scope}.intermediate.dense"), &x, 4 * hidden);
    let wide = b.gelu(&format!("{scope}.intermediate.intermediate_act_fn"), &wide);
    let output = format!("{scope}.output");
    let narrow = b.linear(&format!("{output}.dense"), &wide, hidden);
    let sum = b.add(&output, &narrow, &x);
    b.layer_norm(&format!("{output}.LayerNorm"), &sum, EPSILON)
}

fn self_attention(b: &mut Builder, scope: &str, x: &Value, mask: &Value, heads: u64) -> Value {
    let [batch, sequence, hidden] = [x.dim(0), x.dim(1), x.dim(2)];
    let head = b.quotient(scope, hidden, heads);
    let [q, k, v] = ["query", "key", "value"].map(|name| b.linear(&format!("{scope}.{name}"), x, hidden));
    let [q, k, v] = [(q, [0, 2, 1, 3]), (k, [0, 2, 3, 1]), (v, [0, 2, 1, 3])].map(|(projected, perm)| {
        let split = b.reshape(scope, &projected, &[batch, sequence, heads, head]);
        b.transpose(scope, &split, &perm)
    });
    let scores = b.matmul(scope, &q, &k, Moments::new(0.0, head as f64));
    let scores = b.divide(scope, &scores, (head as f32).sqrt());
    let scores = b.add(scope, &scores, mask);
    let weights = b.softmax(scope, &scores);
    let context = b.matmul(scope, &weights, &v, v.moments.attended());
    let context = b.transpose(scope, &context, &[0, 2, 1, 3]);
    b.reshape(scope, &context, &[batch, sequence, hidden])
}
