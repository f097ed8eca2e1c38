//! A multi-layer perceptron whose linear layers carry unmerged low-rank adapters (Hu et al. 2021):
//! `W x + b + (alpha / r) B A x`, modules named as in common adapter libraries.

use super::builder::{Builder, Value};
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

/// alpha / r: the adapter's share.
const SCALING: f32 = 2.0;

pub(super) fn lora_mlp(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let [batch, layers, hidden, rank] = ["batch", "layers", "hidden", "rank"].map(|s| sizes.get(s));
    let mut x = b.input("input", DType::F32, &[batch, hidden]);
    for layer in 0..layers {
        x = adapted_linear(&mut b, &format!("layers.{layer}"), &x, hidden, rank);
        if layer + 1 < layers {
            x = b.relu(&format!("layers.{layer}.act"), &x);
        }
    }
    b.finish(&[("output", &x)])
}

fn adapted_linear(b: &mut Builder, scope: &str, x: &Value, out: u64, rank: u64) -> Value {
    let base = b.linear(&format!("{scope}.base_layer"), x, out);
    let down = b.linear_no_bias(&format!("{scope}.lora_A.default"), x, rank);
    // Trained adapters are small beside the layer that they adapt.
    let up = b.linear_scaled(&format!("{scope}.lora_B.default"), &down, out, 0.2);
    let scaled = b.scale(scope, &up, SCALING);
    b.add(scope, &base, &scaled)
}
