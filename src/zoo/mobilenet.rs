//! MobileNet-v2 (Sandler et al. 2018), modules named as in torchvision.

use super::builder::{Builder, Value};
use super::image::Conv;
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-5;

/// Expansion, output channels, repeats, stride of the first.
const STAGES: [(u64, u64, u64, u64); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

pub(super) fn mobilenet_v2(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let input = b.input("input", DType::F32, &[sizes.get("batch"), 3, image, image]);
    let mut x = conv_bn_relu6(&mut b, "features.0", &input, Conv::new(32, 3).stride(2).same());
    let mut index = 1;
    for (expansion, out, repeats, first_stride) in STAGES {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            x = inverted_residual(&mut b, &format!("features.{index}"), &x, expansion, out, stride);
            index += 1;
        }
    }
    x = conv_bn_relu6(&mut b, &format!("features.{index}"), &x, Conv::new(1280, 1));
    let output = b.pool_and_classify("classifier.1", &x, sizes.get("classes"));
    b.finish(&[("output", &output)])
}

fn inverted_residual(b: &mut Builder, scope: &str, x: &Value, expansion: u64, out: u64, stride: u64) -> Value {
    let hidden = expansion * x.dim(1);
    let mut layer = 0;
    let mut y = x.clone();
    if expansion != 1 {
        y = conv_bn_relu6(b, &format!("{scope}.conv.0"), &y, Conv::new(hidden, 1));
        layer += 1;
    }
    let depthwise = Conv::new(hidden, 3).stride(stride).same().group(hidden);
    y = conv_bn_relu6(b, &format!("{scope}.conv.{layer}"), &y, depthwise);
    y = b.conv(&format!("{scope}.conv.{}", layer + 1), &y, Conv::new(out, 1));
    y = b.batch_norm(&format!("{scope}.conv.{}", layer + 2), &y, EPSILON);
    if stride == 1 && x.dim(1) == out { b.add(scope, x, &y) } else { y }
}

fn conv_bn_relu6(b: &mut Builder, scope: &str, x: &Value, conv: Conv) -> Value {
    let x = b.conv(&format!("{scope}.0"), x, conv);
    let x = b.batch_norm(&format!("{scope}.1"), &x, EPSILON);
    b.relu6(&format!("{scope}.2"), &x)
}
