//! VGG-19 without batch normalisation (Simonyan and Zisserman 2014), modules named as in torchvision.

use super::builder::Builder;
use super::image::{Conv, Pool};
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

/// Channels and number of convolutions before each pooling.
const STAGES: [(u64, u64); 5] = [(64, 2), (128, 2), (256, 4), (512, 4), (512, 4)];

/// Side of the image that the classifier sees at the published size.
const GRID: u64 = 7;

pub(super) fn vgg19(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let mut x = b.input("input", DType::F32, &[sizes.get("batch"), 3, image, image]);
    let mut index = 0;
    for (channels, depth) in STAGES {
        for _ in 0..depth {
            x = b.conv(&format!("features.{index}"), &x, Conv::new(channels, 3).same().bias());
            x = b.relu(&format!("features.{}", index + 1), &x);
            index += 2;
        }
        x = b.max_pool(&format!("features.{index}"), &x, Pool::new(2, 2, 0));
        index += 1;
    }
    // Adaptive pooling to 7x7 is exported as a window; at the published size the window is 1x1. Images that do not
    // divide into 7x7 windows keep their grid, and the classifier fits itself to it.
    if x.dim(2).is_multiple_of(GRID) {
        let window = x.dim(2) / GRID;
        x = b.average_pool("avgpool", &x, Pool::new(window, window, 0));
    }
    x = b.flatten("", &x);
    for index in [0, 3] {
        x = b.linear(&format!("classifier.{index}"), &x, 4096);
        x = b.relu(&format!("classifier.{}", index + 1), &x);
    }
    let output = b.linear("classifier.6", &x, sizes.get("classes"));
    b.finish(&[("output", &output)])
}
