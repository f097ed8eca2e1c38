//! ViT-B/16 (Dosovitskiy et al. 2020), modules named as in torchvision, attention as PyTorch's multi-head attention is
//! exported: one projection for query, key and value, sequence first, both factors scaled by the fourth root.

use super::builder::{Builder, Value};
use super::image::Conv;
use super::moments::Moments;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-6;

/// Side of a patch in pixels.
const PATCH: u64 = 16;

pub(super) fn vit_b_16(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [batch, image, hidden, heads] = ["batch", "image", "hidden", "heads"].map(|s| sizes.get(s));
    let side = b.quotient("conv_proj", image, PATCH);
    let input = b.input("input", DType::F32, &[batch, 3, image, image]);
    let patches = b.conv("conv_proj", &input, Conv::new(hidden, PATCH).stride(PATCH).bias());
    let patches = b.reshape("", &patches, &[batch, hidden, side * side]);
    let patches = b.transpose("", &patches, &[0, 2, 1]);
    let class = b.normal("class_token", &[1, 1, hidden], 1.0);
    // One class token for each image.
    let class = if batch == 1 {
        class
    } else {
        let shape = b.ints("", &[3], &[batch as i64, 1, hidden as i64]);
        b.node("", "Expand", &[&class, &shape], &[], &[batch, 1, hidden], class.moments)
    };
    let tokens = b.concat("", &[class, patches], 1);
    let positions = b.normal("encoder.pos_embedding", &[1, side * side + 1, hidden], 0.5);
    let mut x = b.add("encoder", &tokens, &positions);
    for layer in 0..sizes.get("layers") {
        x = encoder_block(&mut b, &format!("encoder.layers.encoder_layer_{layer}"), &x, heads);
    }
    let x = b.layer_norm("encoder.ln", &x, EPSILON);
    let x = b.select("", &x, 1, 0);
    let output = b.linear("heads.head", &x, sizes.get("classes"));
    b.finish(&[("output", &output)])
}

fn encoder_block(b: &mut Builder, scope: &str, x: &Value, heads: u64) -> Value {
    let hidden = x.last();
    let normal = b.layer_norm(&format!("{scope}.ln_1"), x, EPSILON);
    let attended = attention(b, &format!("{scope}.self_attention"), &normal, heads);
    let x = b.add(scope, &attended, x);
    let normal = b.layer_norm(&format!("{scope}.ln_2"), &x, EPSILON);
    let wide = b.linear(&format!("{scope}.mlp.0"), &normal, 4 * hidden);
    let wide = b.gelu(&format!("{scope}.mlp.1"), &wide);
    let narrow = b.linear(&format!("{scope}.mlp.3"), &wide, hidden);
    b.add(scope, &x, &narrow)
}

fn attention(b: &mut Builder, scope: &str, x: &Value, heads: u64) -> Value {
    let [batch, sequence, hidden] = [x.dim(0), x.dim(1), x.dim(2)];
    let head = b.quotient(scope, hidden, heads);
    let x = b.transpose(scope, x, &[1, 0, 2]);
    let projected = b.linear(&format!("{scope}.in_proj"), &x, 3 * hidden);
    let apart = b.reshape(scope, &projected, &[sequence, batch, 3, hidden]);
    let apart = b.unsqueeze(scope, &apart, 0);
    let apart = b.transpose(scope, &apart, &[3, 1, 2, 0, 4]);
    let apart = b.squeeze(scope, &apart, 3);
    let [q, k, v] = [0, 1, 2].map(|index| {
        let one = b.select(scope, &apart, 0, index);
        let flat = b.reshape(scope, &one, &[sequence, batch * heads, head]);
        let flat = b.transpose(scope, &flat, &[1, 0, 2]);
        b.reshape(scope, &flat, &[batch, heads, sequence, head])
    });
    let k = b.transpose(scope, &k, &[0, 1, 3, 2]);
    let root = (head as f32).powf(-0.25);
    let q = b.scale(scope, &q, root);
    let k = b.scale(scope, &k, root);
    let scores = b.matmul(scope, &q, &k, Moments::UNIT);
    let weights = b.softmax(scope, &scores);
    let context = b.matmul(scope, &weights, &v, v.moments.attended());
    let context = b.transpose(scope, &context, &[2, 0, 1, 3]);
    let context = b.reshape(scope, &context, &[sequence * batch, hidden]);
    let out = b.linear(&format!("{scope}.out_proj"), &context, hidden);
    let out = b.reshape(scope, &out, &[sequence, batch, hidden]);
    b.transpose(scope, &out, &[1, 0, 2])
}
