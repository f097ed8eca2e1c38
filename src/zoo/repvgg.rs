//! RepVGG-A0 in its training form (Ding et al. 2021): every block sums a 3x3, a 1x1 and, where the shape stays, an
//! identity branch, each with its own batch normalisation. Modules named as in the authors' implementation.

use super::builder::{Builder, Value};
use super::image::Conv;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-5;

/// Channels and number of blocks of each stage: widths 64, 128, 256, 512 times 0.75, 0.75, 0.75, 2.5.
const STAGES: [(u64, u64); 5] = [(48, 1), (48, 2), (96, 4), (192, 14), (1280, 1)];

pub(super) fn repvgg_a0(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let mut x = b.input("input", DType::F32, &[sizes.get("batch"), 3, image, image]);
    for (stage, (channels, depth)) in STAGES.into_iter().enumerate() {
        for index in 0..depth {
            let stride = if index == 0 { 2 } else { 1 };
            let scope = if stage == 0 { "stage0".into() } else { format!("stage{stage}.{index}") };
            x = block(&mut b, &scope, &x, channels, stride);
        }
    }
    let output = {
        let pooled = b.global_average_pool("gap", &x);
        let flat = b.flatten("", &pooled);
        b.linear("linear", &flat, sizes.get("classes"))
    };
    b.finish(&[("output", &output)])
}

fn block(b: &mut Builder, scope: &str, x: &Value, channels: u64, stride: u64) -> Value {
    let dense = conv_bn(b, &format!("{scope}.rbr_dense"), x, Conv::new(channels, 3).stride(stride).same());
    let pointwise = conv_bn(b, &format!("{scope}.rbr_1x1"), x, Conv::new(channels, 1).stride(stride));
    let mut branches = vec![dense, pointwise];
    if stride == 1 && x.dim(1) == channels {
        branches.push(b.shortcut_batch_norm(&format!("{scope}.rbr_identity"), x, EPSILON));
    }
    let sum = b.sum(scope, &branches);
    b.relu(&format!("{scope}.nonlinearity"), &sum)
}

fn conv_bn(b: &mut Builder, scope: &str, x: &Value, conv: Conv) -> Value {
    let x = b.conv(&format!("{scope}.conv"), x, conv);
    b.batch_norm(&format!("{scope}.bn"), &x, EPSILON)
}
