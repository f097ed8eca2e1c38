//! Inception-v3 (Szegedy et al. 2015) in evaluation form, without the auxiliary classifier; modules named as in
//! torchvision.

use super::builder::{Builder, Value};
use super::image::{Conv, Pool};
use super::{Sizes, ZooError};
use crate::formats::model::Model;
use crate::graph::DType;

const EPSILON: f32 = 1e-3;

pub(super) fn inception_v3(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let input = b.input("input", DType::F32, &[sizes.get("batch"), 3, image, image]);
    let x = basic(&mut b, "Conv2d_1a_3x3", &input, Conv::new(32, 3).stride(2));
    let x = basic(&mut b, "Conv2d_2a_3x3", &x, Conv::new(32, 3));
    let x = basic(&mut b, "Conv2d_2b_3x3", &x, Conv::new(64, 3).same());
    let x = b.max_pool("maxpool1", &x, Pool::new(3, 2, 0));
    let x = basic(&mut b, "Conv2d_3b_1x1", &x, Conv::new(80, 1));
    let x = basic(&mut b, "Conv2d_4a_3x3", &x, Conv::new(192, 3));
    let mut x = b.max_pool("maxpool2", &x, Pool::new(3, 2, 0));
    for (scope, pool_features) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = module_a(&mut b, scope, &x, pool_features);
    }
    x = module_b(&mut b, "Mixed_6a", &x);
    for (scope, middle) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = module_c(&mut b, scope, &x, middle);
    }
    x = module_d(&mut b, "Mixed_7a", &x);
    for scope in ["Mixed_7b", "Mixed_7c"] {
        x = module_e(&mut b, scope, &x);
    }
    let output = b.pool_and_classify("fc", &x, sizes.get("classes"));
    b.finish(&[("output", &output)])
}

/// The first two modules alone, on an image of 192 channels.
pub(super) fn inception_pair(name: &str, sizes: &Sizes) -> Result<Model, ZooError> {
    let mut b = Builder::new(name);
    let image = sizes.get("image");
    let input = b.input("input", DType::F32, &[sizes.get("batch"), 192, image, image]);
    let x = module_a(&mut b, "Mixed_5b", &input, 32);
    let output = module_a(&mut b, "Mixed_5c", &x, 64);
    b.finish(&[("output", &output)])
}

fn basic(b: &mut Builder, scope: &str, x: &Value, conv: Conv) -> Value {
    let x = b.conv(&format!("{scope}.conv"), x, conv);
    let x = b.batch_norm(&format!("{scope}.bn"), &x, EPSILON);
    b.relu(scope, &x)
}

/// Several of [`basic`] in a row, each named after the branch and its suffix.
fn chain(b: &mut Builder, scope: &str, x: &Value, layers: &[(&str, Conv)]) -> Value {
    let mut x = x.clone();
    for (name, conv) in layers {
        x = basic(b, &format!("{scope}.{name}"), &x, *conv);
    }
    x
}

fn pooled(b: &mut Builder, scope: &str, x: &Value, features: u64) -> Value {
    let x = b.average_pool(scope, x, Pool::new(3, 1, 1));
    basic(b, &format!("{scope}.branch_pool"), &x, Conv::new(features, 1))
}

const fn row(out: u64, width: u64) -> Conv {
    Conv::rect(out, [1, width]).same()
}

const fn column(out: u64, height: u64) -> Conv {
    Conv::rect(out, [height, 1]).same()
}

/// 35 x 35: 1x1, 5x5, double 3x3 and pooled branches.
fn module_a(b: &mut Builder, scope: &str, x: &Value, pool_features: u64) -> Value {
    let one = chain(b, scope, x, &[("branch1x1", Conv::new(64, 1))]);
    let five = [("branch5x5_1", Conv::new(48, 1)), ("branch5x5_2", Conv::new(64, 5).same())];
    let five = chain(b, scope, x, &five);
    let three = [
        ("branch3x3dbl_1", Conv::new(64, 1)),
        ("branch3x3dbl_2", Conv::new(96, 3).same()),
        ("branch3x3dbl_3", Conv::new(96, 3).same()),
    ];
    let three = chain(b, scope, x, &three);
    let pool = pooled(b, scope, x, pool_features);
    b.concat(scope, &[one, five, three, pool], 1)
}

/// 35 x 35 to 17 x 17.
fn module_b(b: &mut Builder, scope: &str, x: &Value) -> Value {
    let three = chain(b, scope, x, &[("branch3x3", Conv::new(384, 3).stride(2))]);
    let double = [
        ("branch3x3dbl_1", Conv::new(64, 1)),
        ("branch3x3dbl_2", Conv::new(96, 3).same()),
        ("branch3x3dbl_3", Conv::new(96, 3).stride(2)),
    ];
    let double = chain(b, scope, x, &double);
    let pool = b.max_pool(scope, x, Pool::new(3, 2, 0));
    b.concat(scope, &[three, double, pool], 1)
}

/// 17 x 17: 7x7 convolutions as rows and columns.
fn module_c(b: &mut Builder, scope: &str, x: &Value, middle: u64) -> Value {
    let one = chain(b, scope, x, &[("branch1x1", Conv::new(192, 1))]);
    let seven =
        [("branch7x7_1", Conv::new(middle, 1)), ("branch7x7_2", row(middle, 7)), ("branch7x7_3", column(192, 7))];
    let seven = chain(b, scope, x, &seven);
    let double = [
        ("branch7x7dbl_1", Conv::new(middle, 1)),
        ("branch7x7dbl_2", column(middle, 7)),
        ("branch7x7dbl_3", row(middle, 7)),
        ("branch7x7dbl_4", column(middle, 7)),
        ("branch7x7dbl_5", row(192, 7)),
    ];
    let double = chain(b, scope, x, &double);
    let pool = pooled(b, scope, x, 192);
    b.concat(scope, &[one, seven, double, pool], 1)
}

/// 17 x 17 to 8 x 8.
fn module_d(b: &mut Builder, scope: &str, x: &Value) -> Value {
    let three = [("branch3x3_1", Conv::new(192, 1)), ("branch3x3_2", Conv::new(320, 3).stride(2))];
    let three = chain(b, scope, x, &three);
    let seven = [
        ("branch7x7x3_1", Conv::new(192, 1)),
        ("branch7x7x3_2", row(192, 7)),
        ("branch7x7x3_3", column(192, 7)),
        ("branch7x7x3_4", Conv::new(192, 3).stride(2)),
    ];
    let seven = chain(b, scope, x, &seven);
    let pool = b.max_pool(scope, x, Pool::new(3, 2, 0));
    b.concat(scope, &[three, seven, pool], 1)
}

/// 8 x 8: 3x3 convolutions whose last step is a row beside a column.
fn module_e(b: &mut Builder, scope: &str, x: &Value) -> Value {
    let one = chain(b, scope, x, &[("branch1x1", Conv::new(320, 1))]);
    let three = chain(b, scope, x, &[("branch3x3_1", Conv::new(384, 1))]);
    let three = row_beside_column(b, scope, &three, ["branch3x3_2a", "branch3x3_2b"]);
    let double = [("branch3x3dbl_1", Conv::new(448, 1)), ("branch3x3dbl_2", Conv::new(384, 3).same())];
    let double = chain(b, scope, x, &double);
    let double = row_beside_column(b, scope, &double, ["branch3x3dbl_3a", "branch3x3dbl_3b"]);
    let pool = pooled(b, scope, x, 192);
    b.concat(scope, &[one, three, double, pool], 1)
}

fn row_beside_column(b: &mut Builder, scope: &str, x: &Value, names: [&str; 2]) -> Value {
    let left = chain(b, scope, x, &[(names[0], row(384, 3))]);
    let right = chain(b, scope, x, &[(names[1], column(384, 3))]);
    b.concat(scope, &[left, right], 1)
}
