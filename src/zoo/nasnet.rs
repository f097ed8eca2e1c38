//! NASNet-A mobile, 4 @ 1056 (Zoph et al. 2018): four normal cells in each of three stages, two reduction cells between
//! them and two reducing stem cells. Every cell makes five sums of two branches from the outputs of the two cells before
//! it. Symmetric pads, as in PyTorch implementations.

use super::builder::{Builder, Value};
use super::image::{Conv, Pool};
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-3;

/// Channels of the first convolution.
const STEM: u64 = 32;

/// Channels of each branch in the first stage: a twenty-fourth of the 1056 that the classifier sees.
const FILTERS: u64 = 44;

/// Normal cells in each stage.
const CELLS: usize = 4;

pub(super) fn nasnet_a(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let input = b.input("input", DType::F32, &[sizes.get("batch"), 3, image, image]);
    let x = b.conv("conv0.conv", &input, Conv::new(STEM, 3).stride(2));
    let conv0 = b.batch_norm("conv0.bn", &x, EPSILON);

    let scope = "cell_stem_0";
    let right = relu_conv_bn(&mut b, &format!("{scope}.conv_1x1"), &conv0, FILTERS / 4);
    let stem0 = reduction_cell(&mut b, scope, &conv0, &right, FILTERS / 4);
    let scope = "cell_stem_1";
    let left = halve(&mut b, scope, &conv0, FILTERS / 2);
    let right = relu_conv_bn(&mut b, &format!("{scope}.conv_1x1"), &stem0, FILTERS / 2);
    let stem1 = reduction_cell(&mut b, scope, &left, &right, FILTERS / 2);

    let (mut before, mut last) = (stem0, stem1);
    let mut index = 0;
    for stage in 0..3 {
        let filters = FILTERS << stage;
        if stage > 0 {
            let scope = format!("reduction_cell_{}", stage - 1);
            let left = relu_conv_bn(&mut b, &format!("{scope}.conv_prev_1x1"), &before, filters);
            let right = relu_conv_bn(&mut b, &format!("{scope}.conv_1x1"), &last, filters);
            let reduced = reduction_cell(&mut b, &scope, &left, &right, filters);
            (before, last) = (last, reduced);
            index += 2;
        }
        for _ in 0..CELLS {
            let scope = format!("cell_{index}");
            let left = if before.dim(2) == last.dim(2) {
                relu_conv_bn(&mut b, &format!("{scope}.conv_prev_1x1"), &before, filters)
            } else {
                // The cell after a reduction: its older input is twice as large, and half as wide as the branches.
                halve(&mut b, &scope, &before, filters)
            };
            let right = relu_conv_bn(&mut b, &format!("{scope}.conv_1x1"), &last, filters);
            let out = normal_cell(&mut b, &scope, &left, &right);
            (before, last) = (last, out);
            index += 1;
        }
    }
    let x = b.relu("relu", &last);
    let output = b.pool_and_classify("last_linear", &x, sizes.get("classes"));
    b.finish(&[("output", &output)])
}

fn relu_conv_bn(b: &mut Builder, scope: &str, x: &Value, out: u64) -> Value {
    let x = b.relu(&format!("{scope}.relu"), x);
    let x = b.conv(&format!("{scope}.conv"), &x, Conv::new(out, 1));
    b.batch_norm(&format!("{scope}.bn"), &x, EPSILON)
}

/// Halves an image by two strided samplings, one shifted by a pixel, each projected to half the channels.
fn halve(b: &mut Builder, scope: &str, x: &Value, out: u64) -> Value {
    let sample = Pool::new(1, 2, 0).exclude_pads();
    let x = b.relu(&format!("{scope}.relu"), x);
    let even = b.average_pool(&format!("{scope}.path_1.avgpool"), &x, sample);
    let even = b.conv(&format!("{scope}.path_1.conv"), &even, Conv::new(out / 2, 1));
    let shifted = b.shift_by_one(&format!("{scope}.path_2"), &x);
    let odd = b.average_pool(&format!("{scope}.path_2.avgpool"), &shifted, sample);
    let odd = b.conv(&format!("{scope}.path_2.conv"), &odd, Conv::new(out / 2, 1));
    let both = b.concat(scope, &[even, odd], 1);
    b.batch_norm(&format!("{scope}.final_path_bn"), &both, EPSILON)
}

/// Depthwise k x k and pointwise, with batch normalisation, twice; the stride is in the first. Where the number of
/// channels changes (in the stem), the first pointwise convolution changes it.
fn separable(b: &mut Builder, scope: &str, x: &Value, out: u64, kernel: u64, stride: u64) -> Value {
    let mut x = x.clone();
    for (step, stride) in [(1, stride), (2, 1)] {
        x = b.relu(&format!("{scope}.relu_{step}"), &x);
        let depthwise = Conv::new(x.dim(1), kernel).stride(stride).same().group(x.dim(1));
        x = b.conv(&format!("{scope}.separable_{step}.depthwise_conv2d"), &x, depthwise);
        x = b.conv(&format!("{scope}.separable_{step}.pointwise_conv2d"), &x, Conv::new(out, 1));
        x = b.batch_norm(&format!("{scope}.bn_sep_{step}"), &x, EPSILON);
    }
    x
}

fn normal_cell(b: &mut Builder, scope: &str, left: &Value, right: &Value) -> Value {
    let average = Pool::new(3, 1, 1).exclude_pads();
    let n = right.dim(1);
    let branch = |i: u32, side: &str| format!("{scope}.comb_iter_{i}_{side}");
    let a = separable(b, &branch(0, "left"), right, n, 5, 1);
    let c = separable(b, &branch(0, "right"), left, n, 3, 1);
    let sum0 = b.add(scope, &a, &c);
    let a = separable(b, &branch(1, "left"), left, n, 5, 1);
    let c = separable(b, &branch(1, "right"), left, n, 3, 1);
    let sum1 = b.add(scope, &a, &c);
    let a = b.average_pool(&branch(2, "left"), right, average);
    let sum2 = b.add(scope, &a, left);
    let a = b.average_pool(&branch(3, "left"), left, average);
    let c = b.average_pool(&branch(3, "right"), left, average);
    let sum3 = b.add(scope, &a, &c);
    let a = separable(b, &branch(4, "left"), right, n, 3, 1);
    let sum4 = b.add(scope, &a, right);
    b.concat(scope, &[left.clone(), sum0, sum1, sum2, sum3, sum4], 1)
}

fn reduction_cell(b: &mut Builder, scope: &str, left: &Value, right: &Value, n: u64) -> Value {
    let (maximum, average) = (Pool::new(3, 2, 1), Pool::new(3, 2, 1).exclude_pads());
    let branch = |i: u32, side: &str| format!("{scope}.comb_iter_{i}_{side}");
    let a = separable(b, &branch(0, "left"), right, n, 5, 2);
    let c = separable(b, &branch(0, "right"), left, n, 7, 2);
    let sum0 = b.add(scope, &a, &c);
    let a = b.max_pool(&branch(1, "left"), right, maximum);
    let c = separable(b, &branch(1, "right"), left, n, 7, 2);
    let sum1 = b.add(scope, &a, &c);
    let a = b.average_pool(&branch(2, "left"), right, average);
    let c = separable(b, &branch(2, "right"), left, n, 5, 2);
    let sum2 = b.add(scope, &a, &c);
    let a = b.average_pool(&branch(3, "right"), &sum0, Pool::new(3, 1, 1).exclude_pads());
    let sum3 = b.add(scope, &a, &sum1);
    let a = separable(b, &branch(4, "left"), &sum0, n, 3, 1);
    let c = b.max_pool(&branch(4, "right"), right, maximum);
    let sum4 = b.add(scope, &a, &c);
    b.concat(scope, &[sum1, sum2, sum3, sum4], 1)
}
