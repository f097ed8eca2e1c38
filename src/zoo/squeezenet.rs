//! SqueezeNet 1.1 (Iandola et al. 2016; version 1.1 of the authors' repository), modules named as in torchvision.

use super::builder::{Builder, Value};
use super::image::{Conv, Pool};
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

/// Index among `features`, squeeze channels, expand channels (of each of the two branches).
const FIRES: [(u64, u64, u64); 8] =
    [(3, 16, 64), (4, 16, 64), (6, 32, 128), (7, 32, 128), (9, 48, 192), (10, 48, 192), (11, 64, 256), (12, 64, 256)];

pub(super) fn squeezenet1_1(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let input = b.input("input", DType::F32, &[sizes.get("batch"), 3, image, image]);
    let pool = Pool::new(3, 2, 0).ceil();
    let x = b.conv("features.0", &input, Conv::new(64, 3).stride(2).bias());
    let x = b.relu("features.1", &x);
    let mut x = b.max_pool("features.2", &x, pool);
    for (index, squeeze, expand) in FIRES {
        x = fire(&mut b, &format!("features.{index}"), &x, squeeze, expand);
        if index == 4 || index == 7 {
            x = b.max_pool(&format!("features.{}", index + 1), &x, pool);
        }
    }
    let x = b.conv("classifier.1", &x, Conv::new(sizes.get("classes"), 1).bias());
    let x = b.relu("classifier.2", &x);
    let x = b.global_average_pool("classifier.3", &x);
    let output = b.flatten("", &x);
    b.finish(&[("output", &output)])
}

fn fire(b: &mut Builder, scope: &str, x: &Value, squeeze: u64, expand: u64) -> Value {
    let x = b.conv(&format!("{scope}.squeeze"), x, Conv::new(squeeze, 1).bias());
    let x = b.relu(&format!("{scope}.squeeze_activation"), &x);
    let small = b.conv(&format!("{scope}.expand1x1"), &x, Conv::new(expand, 1).bias());
    let small = b.relu(&format!("{scope}.expand1x1_activation"), &small);
    let large = b.conv(&format!("{scope}.expand3x3"), &x, Conv::new(expand, 3).same().bias());
    let large = b.relu(&format!("{scope}.expand3x3_activation"), &large);
    b.concat(scope, &[small, large], 1)
}
