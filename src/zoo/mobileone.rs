//! MobileOne-S0 in its training form (Vasu et al. 2023): depthwise 3x3 and pointwise blocks, each the sum of four
//! convolution branches, a 1x1 "scale" branch (beside larger kernels) and, where the shape stays, a batch-norm skip.
//! Modules named as in the authors' implementation.

use super::builder::{Builder, Value};
use super::image::Conv;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-5;

/// Channels and number of depthwise-pointwise pairs of stages 1 to 4: widths 64, 128, 256, 512 times 0.75, 1, 1, 2.
const STAGES: [(u64, u64); 4] = [(48, 2), (128, 8), (256, 10), (1024, 1)];

/// Over-parameterisation of every block but the first.
const BRANCHES: u64 = 4;

pub(super) fn mobileone_s0(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let input = b.input("input", DType::F32, &[sizes.get("batch"), 3, image, image]);
    let first = Shape { channels: 48, kernel: 3, stride: 2, group: 1 };
    let mut x = block(&mut b, "stage0", &input, first, 1);
    for (stage, (channels, pairs)) in STAGES.into_iter().enumerate() {
        for pair in 0..pairs {
            let stride = if pair == 0 { 2 } else { 1 };
            let depthwise = Shape { channels: x.dim(1), kernel: 3, stride, group: x.dim(1) };
            x = block(&mut b, &format!("stage{}.{}", stage + 1, 2 * pair), &x, depthwise, BRANCHES);
            let pointwise = Shape { channels, kernel: 1, stride: 1, group: 1 };
            x = block(&mut b, &format!("stage{}.{}", stage + 1, 2 * pair + 1), &x, pointwise, BRANCHES);
        }
    }
    let pooled = b.global_average_pool("gap", &x);
    let flat = b.flatten("", &pooled);
    let output = b.linear("linear", &flat, sizes.get("classes"));
    b.finish(&[("output", &output)])
}

#[derive(Clone, Copy)]
struct Shape {
    channels: u64,
    kernel: u64,
    stride: u64,
    group: u64,
}

fn block(b: &mut Builder, scope: &str, x: &Value, shape: Shape, branches: u64) -> Value {
    let Shape { channels, kernel, stride, group } = shape;
    let mut sum = Vec::new();
    if stride == 1 && x.dim(1) == channels {
        sum.push(b.shortcut_batch_norm(&format!("{scope}.rbr_skip"), x, EPSILON));
    }
    if kernel > 1 {
        let scale = Conv::new(channels, 1).stride(stride).group(group);
        sum.push(conv_bn(b, &format!("{scope}.rbr_scale"), x, scale));
    }
    for branch in 0..branches {
        let conv = Conv::new(channels, kernel).stride(stride).same().group(group);
        sum.push(conv_bn(b, &format!("{scope}.rbr_conv.{branch}"), x, conv));
    }
    let sum = b.sum(scope, &sum);
    b.relu(&format!("{scope}.activation"), &sum)
}

fn conv_bn(b: &mut Builder, scope: &str, x: &Value, conv: Conv) -> Value {
    let x = b.conv(&format!("{scope}.conv"), x, conv);
    b.batch_norm(&format!("{scope}.bn"), &x, EPSILON)
}
