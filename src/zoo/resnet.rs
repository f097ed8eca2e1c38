//! ResNet (He et al. 2015) and ResNeXt (Xie et al. 2017), modules named as in torchvision; the stride of a bottleneck
//! is on its 3x3 convolution.

use super::builder::{Builder, Value};
use super::image::{Conv, Pool};
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-5;

/// What the residual blocks are made of.
#[derive(Clone, Copy)]
enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 in groups, 1x1 to four times the width.
    Bottleneck { groups: u64, width_per_group: u64 },
}

const RESNEXT_32X4D: Block = Block::Bottleneck { groups: 32, width_per_group: 4 };

pub(super) fn resnet18(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    resnet(name, sizes, Block::Basic, [2, 2, 2, 2])
}

pub(super) fn resnet50(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    resnet(name, sizes, Block::Bottleneck { groups: 1, width_per_group: 64 }, [3, 4, 6, 3])
}

pub(super) fn resnext50_32x4d(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    resnet(name, sizes, RESNEXT_32X4D, [3, 4, 6, 3])
}

/// The first stage alone, on an image of 64 channels.
pub(super) fn resnext_stage(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let mut x = b.input("input", DType::F32, &[sizes.get("batch"), 64, image, image]);
    for block in 0..sizes.get("blocks") {
        x = residual(&mut b, &format!("layer1.{block}"), &x, RESNEXT_32X4D, 64, 1);
    }
    b.finish(&[("output", &x)])
}

fn resnet(name: &str, sizes: &Sizes, kind: Block, depths: [u64; 4]) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let input = b.input("input", DType::F32, &[sizes.get("batch"), 3, image, image]);
    let x = b.conv("conv1", &input, Conv::new(64, 7).stride(2).same());
    let x = b.batch_norm("bn1", &x, EPSILON);
    let x = b.relu("relu", &x);
    let mut x = b.max_pool("maxpool", &x, Pool::new(3, 2, 1));
    for (stage, depth) in depths.into_iter().enumerate() {
        for block in 0..depth {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            x = residual(&mut b, &format!("layer{}.{block}", stage + 1), &x, kind, 64 << stage, stride);
        }
    }
    let output = b.pool_and_classify("fc", &x, sizes.get("classes"));
    b.finish(&[("output", &output)])
}

fn residual(b: &mut Builder, scope: &str, x: &Value, kind: Block, planes: u64, stride: u64) -> Value {
    let (convs, out) = match kind {
        Block::Basic => (vec![Conv::new(planes, 3).stride(stride).same(), Conv::new(planes, 3).same()], planes),
        Block::Bottleneck { groups, width_per_group } => {
            let width = planes * width_per_group / 64 * groups;
            let middle = Conv::new(width, 3).stride(stride).same().group(groups);
            (vec![Conv::new(width, 1), middle, Conv::new(4 * planes, 1)], 4 * planes)
        }
    };
    let last = convs.len();
    let mut y = x.clone();
    for (i, conv) in convs.into_iter().enumerate() {
        y = b.conv(&format!("{scope}.conv{}", i + 1), &y, conv);
        y = b.batch_norm(&format!("{scope}.bn{}", i + 1), &y, EPSILON);
        if i + 1 < last {
            y = b.relu(&format!("{scope}.relu"), &y);
        }
    }
    let shortcut = if stride != 1 || x.dim(1) != out {
        let projected = b.conv(&format!("{scope}.downsample.0"), x, Conv::new(out, 1).stride(stride));
        b.batch_norm(&format!("{scope}.downsample.1"), &projected, EPSILON)
    } else {
        x.clone()
    };
    let sum = b.add(scope, &y, &shortcut);
    b.relu(&format!("{scope}.relu"), &sum)
}
