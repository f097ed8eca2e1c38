//! Pools.

use super::*;

#[test]
fn pools_have_the_right_type() {
    for (application, inputs, expected) in [
        ("MaxPool kernel_shape=[2, 2] strides=[2, 2]", &["f32[n, 3, h, 7]"] as &[&str], "f32[n, 3, floor((h)/(2)), 3]"),
        ("MaxPool kernel_shape=[2] strides=[2] ceil_mode=1", &["f32[1, 1, 7]"], "f32[1, 1, 4]"),
        // The last window would start in the padding.
        ("MaxPool kernel_shape=[2] strides=[3] pads=[0, 1] ceil_mode=1", &["f32[1, 1, 6]"], "f32[1, 1, 2]"),
        ("AveragePool kernel_shape=[3] pads=[1, 1]", &["f32[1, c, t]"], "f32[1, c, t]"),
        ("AveragePool kernel_shape=[3] auto_pad=SAME_LOWER strides=[2]", &["f32[1, 1, 7]"], "f32[1, 1, 4]"),
        ("MaxPool kernel_shape=[2] dilations=[3]", &["f32[1, 1, 7]"], "f32[1, 1, 4]"),
        ("GlobalAveragePool", &["f32[n, c, h, w]"], "f32[n, c, 1, 1]"),
        ("GlobalMaxPool", &["f32[n, c, 4]"], "f32[n, c, 1]"),
        ("MaxPool kernel_shape=[3]", &["f32[1, 1, 2]"], "!does not fit"),
        ("MaxPool kernel_shape=[2] pads=[2, 0]", &["f32[1, 1, 9]"], "!padding of 2 for a window of 2"),
        ("MaxPool kernel_shape=[2]", &["f32[1, 1, 9, 9]"], "!2 entries"),
        ("MaxPool kernel_shape=[0]", &["f32[1, 1, 9]"], "!kernel of size 0"),
        ("AveragePool kernel_shape=[2]", &["i64[1, 1, 9]"], "!floating-point"),
        ("GlobalAveragePool", &["f32[2, 3]"], "!no spatial axis"),
    ] {
        infers(application, inputs, &[expected]);
    }
    infers("MaxPool kernel_shape=[2]", &["f32[1, 1, 4]"], &["f32[1, 1, 3]", "i64[1, 1, 3]"]);
}

#[test]
fn pools_by_hand() {
    let x = "1x1x3x3: 1 2 3 4 5 6 7 8 9";
    gives("MaxPool kernel_shape=[2, 2]", &[x], &["1x1x2x2: 5 6 8 9", "1x1x2x2: 4 5 7 8"]);
    gives("MaxPool kernel_shape=[2]", &["1x2x2: 3 1 1 5"], &["1x2x1: 3 5", "1x2x1: 0 3"]);
    gives("MaxPool kernel_shape=[2] dilations=[2]", &["1x1x4: 1 9 2 3"], &["1x1x2: 2 9", "1x1x2: 2 1"]);
    gives(
        "MaxPool kernel_shape=[3, 3] strides=[2, 2] pads=[1, 1, 1, 1]",
        &[x],
        &["1x1x2x2: 5 6 8 9", "1x1x2x2: 4 5 7 8"],
    );
    gives("MaxPool kernel_shape=[2] strides=[2] ceil_mode=1", &["1x1x3: 1 2 3"], &["1x1x2: 2 3", "1x1x2: 1 2"]);
    gives("AveragePool kernel_shape=[2, 2]", &[x], &["1x1x2x2: 3 4 6 7"]);
    let y = "1x1x3: 3 6 9";
    gives("AveragePool kernel_shape=[3] pads=[1, 1]", &[y], &["1x1x3: 4.5 6 7.5"]);
    gives("AveragePool kernel_shape=[3] pads=[1, 1] count_include_pad=1", &[y], &["1x1x3: 3 6 5"]);
    // The window beyond the padding counts only what is in the input or its padding.
    gives("AveragePool kernel_shape=[2] strides=[2] ceil_mode=1 count_include_pad=1", &[y], &["1x1x2: 4.5 9"]);
    gives("AveragePool kernel_shape=[2] dilations=[2]", &["1x1x4: 1 2 3 6"], &["1x1x2: 2 4"]);
    gives("AveragePool kernel_shape=[2] auto_pad=SAME_UPPER", &[y], &["1x1x3: 4.5 7.5 9"]);
    gives("GlobalAveragePool", &["1x2x2: 1 2 3 5"], &["1x2x1: 1.5 4"]);
    gives("GlobalMaxPool", &["1x2x2x1: 1 2 5 3"], &["1x2x1x1: 2 5"]);
    gives("MaxPool kernel_shape=[1]", &["0x1x2:"], &["0x1x2:", "0x1x2:"]);
}
