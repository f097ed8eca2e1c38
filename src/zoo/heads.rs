//! Transformer blocks whose attention heads each have their own projections, as some implementations and pruned
//! networks have it: many small products of the same input.

use super::builder::{Builder, Value};
use super::moments::Moments;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-5;

pub(super) fn attention_heads(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [batch, sequence, hidden, heads] = ["batch", "sequence", "hidden", "heads"].map(|s| sizes.get(s));
    let mut x = b.input("input", DType::F32, &[batch, sequence, hidden]);
    for layer in 0..sizes.get("layers") {
        let scope = format!("layers.{layer}");
        let normal = b.layer_norm(&format!("{scope}.norm1"), &x, EPSILON);
        let attended = attention(&mut b, &format!("{scope}.attn"), &normal, heads);
        x = b.add(&scope, &x, &attended);
        let normal = b.layer_norm(&format!("{scope}.norm2"), &x, EPSILON);
        let wide = b.linear(&format!("{scope}.mlp.fc1"), &normal, 4 * hidden);
        let wide = b.gelu(&format!("{scope}.mlp.act"), &wide);
        let narrow = b.linear(&format!("{scope}.mlp.fc2"), &wide, hidden);
        x = b.add(&scope, &x, &narrow);
    }
    b.finish(&[("output", &x)])
}

fn attention(b: &mut Builder, scope: &str, x: &Value, heads: u64) -> Value {
    let head = b.quotient(scope, x.last(), heads);
    let mut contexts = Vec::new();
    for index in 0..heads {
        let scope = format!("{scope}.heads.{index}");
        let [q, k, v] = ["q", "k", "v"].map(|name| b.linear_no_bias(&format!("{scope}.{name}"), x, head));
        let k = b.transpose(&scope, &k, &[0, 2, 1]);
        let scores = b.matmul(&scope, &q, &k, Moments::new(0.0, head as f64));
        let scores = b.scale(&scope, &scores, (head as f32).powf(-0.5));
        let weights = b.softmax(&scope, &scores);
        contexts.push(b.matmul(&scope, &weights, &v, v.moments.attended()));
    }
    let context = b.concat(scope, &contexts, 2);
    b.linear(&format!("{scope}.proj"), &context, x.last())
}
