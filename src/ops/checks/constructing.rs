//! Constructors on constants.

use super::*;

#[test]
fn constructors_have_the_right_type() {
    for (application, inputs, expected) in [
        ("Enlarge kernel_shape=[3, 5]", &["f32[o, i, 1, 3]"] as &[&str], "f32[o, i, 3, 5]"),
        ("Enlarge kernel_shape=[2]", &["f32[o, i, 1]"], "!evenly"),
        ("Enlarge kernel_shape=[1]", &["f32[o, i, 3]"], "!evenly"),
        ("IdentityKernel channels=6 group=3 kernel_shape=[3, 3]", &[], "f32[6, 2, 3, 3]"),
        ("IdentityKernel channels=6 group=4 kernel_shape=[3, 3]", &[], "!do not divide"),
        ("IdentityKernel channels=6 kernel_shape=[0]", &[], "!kernel_shape"),
        ("IdentityMatrix size=4 dtype=11", &[], "f64[4, 4]"),
        ("IdentityMatrix size=0", &[], "!size = 0"),
        ("IdentityMatrix size=4 dtype=8", &[], "!dtype = 8"),
        ("PoolKernel channels=3 kernel_shape=[2, 2]", &[], "f32[3, 1, 2, 2]"),
        ("BlockDiagonal", &["f32[a, 2]", "f32[3, b]"], "f32[3 + a, 2 + b]"),
        ("BlockDiagonal", &["f32[2, 2, 3]", "f32[2, 2, 1]"], "!axis 2 differ"),
        ("BlockDiagonal", &["f32[2]"], "!no matrix"),
        ("Ungroup group=2", &["f32[4, 3, 1, 1]"], "f32[4, 6, 1, 1]"),
        ("Ungroup group=3", &["f32[4, 3, 1, 1]"], "!do not divide"),
    ] {
        infers(application, inputs, &[expected]);
    }
}

#[test]
fn constructors_by_hand() {
    gives("Enlarge kernel_shape=[3]", &["2x1x1: 5 6"], &["2x1x3: 0 5 0 0 6 0"]);
    gives("IdentityMatrix size=2", &[], &["2x2: 1 0 0 1"]);
    gives("IdentityKernel channels=2 kernel_shape=[3]", &[], &["2x2x3: 0 1 0 0 0 0 0 0 0 0 1 0"]);
    gives("PoolKernel channels=1 kernel_shape=[2, 2]", &[], &["1x1x2x2: 0.25 0.25 0.25 0.25"]);
    gives("BlockDiagonal", &["1x2: 1 2", "2x1: 3 4"], &["3x3: 1 2 0 0 0 3 0 0 4"]);
    gives("Ungroup group=2", &["4x1: 1 2 3 4"], &["4x2: 1 0 2 0 0 3 0 4"]);
    gives("Ungroup group=2", &["2x2x1: 1 2 3 4"], &["2x4x1: 1 2 0 0 0 0 3 4"]);
}

/// What the constructors are for: a convolution with the constructed kernel is what its name says.
#[test]
fn constructed_kernels_mean_what_they_say() {
    let x = array("1x4x3: 1 2 3 4 5 6 7 8 9 10 11 12").unwrap();
    let run = |application: &str, inputs: &[&Array<f64>]| {
        let inputs: Vec<Option<&Array<f64>>> = inputs.iter().copied().map(Some).collect();
        evaluate(&op(application), &inputs).unwrap().remove(0)
    };
    for group in [1, 2, 4] {
        let identity = run(&format!("IdentityKernel channels=4 group={group} kernel_shape=[3]"), &[]);
        assert_eq!(run(&format!("Conv pads=[1, 1] group={group}"), &[&x, &identity]), x);
    }
    let mean = run("PoolKernel channels=4 kernel_shape=[2]", &[]);
    assert_eq!(run("Conv group=4", &[&x, &mean]), run("AveragePool kernel_shape=[2]", &[&x]));
    let w = array("4x2x1: 1 2 3 4 5 6 7 8").unwrap();
    let grouped = run("Conv group=2", &[&x, &w]);
    assert_eq!(run("Conv", &[&x, &run("Ungroup group=2", &[&w])]), grouped);
    assert_eq!(run("Conv group=2 pads=[1, 1]", &[&x, &run("Enlarge kernel_shape=[3]", &[&w])]), grouped);
}
