//! Normalisations.

use super::{a, assert_close, check, eval, infers, refuses, v};
use crate::graph::Attr;

fn exact() -> (&'static str, Attr) {
    ("epsilon", Attr::Float(0.0))
}

#[test]
fn batch_normalisation_values() {
    let x = a(&[2, 2, 1], &[1.0, 2.0, 3.0, 4.0]);
    let inputs = [x, v(&[2.0, 1.0]), v(&[0.0, 10.0]), v(&[1.0, 2.0]), v(&[4.0, 0.25])];
    check("BatchNormalization", &[exact()], &inputs, &[a(&[2, 2, 1], &[0.0, 10.0, 2.0, 14.0])]);
    let mut short = inputs.clone();
    short[1] = v(&[1.0]);
    assert!(eval("BatchNormalization", &[], &short).is_err());
}

#[test]
fn layer_and_rms_normalisation_values() {
    let x = a(&[2, 2], &[1.0, 3.0, 10.0, 10.0]);
    let eps = [("epsilon", Attr::Float(3.0)), ("axis", Attr::Int(1))];
    // Variance 1 and 0; with epsilon 3 the roots are 2 and sqrt(3).
    check("LayerNormalization", &eps, &[x.clone(), v(&[2.0, 4.0])], &[a(&[2, 2], &[-1.0, 2.0, 0.0, 0.0])]);
    let shifted = [x, v(&[2.0, 4.0]), v(&[1.0, 1.0])];
    check("LayerNormalization", &eps, &shifted, &[a(&[2, 2], &[0.0, 3.0, 1.0, 1.0])]);
    let all = [exact(), ("axis", Attr::Int(0))];
    check("LayerNormalization", &all, &[a(&[1, 2], &[1.0, 3.0]), v(&[1.0])], &[a(&[1, 2], &[-1.0, 1.0])]);
    let x = a(&[1, 2], &[1.0, 7.0]);
    check("RMSNormalization", &[exact()], &[x.clone(), v(&[5.0, 10.0])], &[a(&[1, 2], &[1.0, 14.0])]);
    assert!(eval("RMSNormalization", &[], &[x, v(&[1.0, 1.0, 1.0])]).is_err());
}

#[test]
fn instance_and_group_normalisation_values() {
    let x = a(&[1, 2, 2], &[1.0, 3.0, 10.0, 30.0]);
    let (scale, shift) = (v(&[1.0, 2.0]), v(&[0.0, 5.0]));
    let expected = a(&[1, 2, 2], &[-1.0, 1.0, 3.0, 7.0]);
    check("InstanceNormalization", &[exact()], &[x.clone(), scale.clone(), shift.clone()], &[expected.clone()]);
    let groups = |n: i64| [exact(), ("num_groups", Attr::Int(n))];
    let found = eval("GroupNormalization", &groups(2), &[x.clone(), scale.clone(), shift.clone()]).unwrap();
    assert_close("GroupNormalization", &found, &[expected]);
    // One group: mean 11, variance 1010 / 4 - 121.
    let root = 131.5f64.sqrt();
    let expected = a(&[1, 2, 2], &[-10.0 / root, -8.0 / root, 5.0 - 2.0 / root, 5.0 + 38.0 / root]);
    check("GroupNormalization", &groups(1), &[x.clone(), scale.clone(), shift.clone()], &[expected]);
    assert!(eval("GroupNormalization", &groups(3), &[x, scale, shift]).is_err());
}

#[test]
fn lrn_values() {
    let attrs = |size: i64| {
        let floats = [("alpha", 3.0), ("beta", 1.0), ("bias", 1.0)];
        let mut attrs: Vec<_> = floats.map(|(name, value)| (name, Attr::Float(value))).to_vec();
        attrs.push(("size", Attr::Int(size)));
        attrs
    };
    let x = a(&[1, 3, 1], &[1.0, 2.0, 3.0]);
    // alpha / size is 1; windows {1, 2}, {1, 2, 3}, {2, 3}.
    check("LRN", &attrs(3), &[x.clone()], &[a(&[1, 3, 1], &[1.0 / 6.0, 2.0 / 15.0, 3.0 / 14.0])]);
    // An even window reaches further up: {1, 2}, {2, 3}, {3}; alpha / size is 1.5.
    check("LRN", &attrs(2), &[x], &[a(&[1, 3, 1], &[1.0 / 8.5, 2.0 / 20.5, 3.0 / 14.5])]);
}

#[test]
fn types() {
    let c = "f32[c]";
    infers("BatchNormalization", &[], &["f16[n, c, h, w]", c, c, c, c], "f16[n, c, h, w]");
    refuses("BatchNormalization", &[], &["f32[n, 3, h]", "f32[4]", c, c, c], "4 elements for 3 channels");
    refuses("BatchNormalization", &[], &["f32[n]", c, c, c, c], "two axes");
    infers("LayerNormalization", &[], &["f32[n, m, 8]", "f32[8]", "f32[8]"], "f32[n, m, 8]");
    refuses("LayerNormalization", &[], &["f32[n, 8]", "f32[4]"], "does not broadcast");
    refuses("LayerNormalization", &[], &["f32[8]", "f32[1, 8]"], "does not broadcast");
    refuses("LayerNormalization", &[("axis", Attr::Int(3))], &["f32[n, 8]", "f32[8]"], "axis 3");
    infers("RMSNormalization", &[], &["bf16[n, 8]", "bf16[8]"], "bf16[n, 8]");
    infers("InstanceNormalization", &[], &["f32[n, c, w]", c, c], "f32[n, c, w]");
    let groups = |n: i64| [("num_groups", Attr::Int(n))];
    infers("GroupNormalization", &groups(2), &["f32[n, 4, w]", "f32[4]", "f32[4]"], "f32[n, 4, w]");
    refuses("GroupNormalization", &groups(3), &["f32[n, 4, w]", "f32[4]", "f32[4]"], "num_groups");
    refuses("GroupNormalization", &groups(0), &["f32[n, c, w]", c, c], "num_groups");
    infers("LRN", &[("size", Attr::Int(5))], &["f32[n, c, h, w]"], "f32[n, c, h, w]");
    refuses("LRN", &[("size", Attr::Int(0))], &["f32[n, c, h, w]"], "size");
}
