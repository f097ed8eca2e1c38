//! Resize.

use super::*;

#[test]
fn sizes_follow_scales() {
    for (application, inputs, expected) in [
        ("Resize scales=[1, 1, 2, 2]", &["f32[n, c, h, 5]"] as &[&str], "f32[n, c, 2*h, 10]"),
        ("Resize scales=[0.5] axes=[1]", &["f32[n, h]"], "f32[n, floor((h)/(2))]"),
        ("Resize scales=[0.6] axes=[0]", &["f32[7]"], "f32[4]"),
        ("Resize scales=[0.6] axes=[0]", &["f32[h]"], "?"),
        ("Resize sizes=[7, 8] axes=[2, 3]", &["f32[n, c, h, w]"], "f32[n, c, 7, 8]"),
        ("Resize sizes=[7, 8] axes=[3, 2]", &["f32[n, c, h, w]"], "f32[n, c, 8, 7]"),
        ("Resize", &["f32[2, h]", "-", "-", "i64[2] = [2, s]"], "f32[2, s]"),
        ("Resize", &["f32[2, h]", "-", "f32[2]"], "?"),
        ("Resize", &["f32[2, h]", "-", "-", "i64[2]"], "?"),
        ("Resize scales=[2]", &["f32[2, h]"], "!1 scales or sizes for 2 axes"),
        ("Resize scales=[-1]", &["f32[2]"], "!scale of -1"),
        ("Resize scales=[2] mode=cubic", &["f32[2]"], "!cubic"),
        ("Resize scales=[2] coordinate_transformation_mode=tf_crop_and_resize", &["f32[2]"], "!tf_crop_and_resize"),
        ("Resize scales=[2] antialias=1", &["f32[2]"], "!antialias"),
    ] {
        infers(application, inputs, &[expected]);
    }
}

#[test]
fn neighbours_by_hand() {
    let x = "4: 1 2 3 4";
    gives("Resize scales=[2]", &[x], &["8: 1 1 2 2 3 3 4 4"]);
    gives("Resize scales=[0.5]", &[x], &["2: 1 3"]);
    gives("Resize scales=[0.5] nearest_mode=round_prefer_ceil", &[x], &["2: 2 4"]);
    gives("Resize sizes=[2] nearest_mode=floor", &[x], &["2: 1 3"]);
    gives("Resize sizes=[2] nearest_mode=ceil", &[x], &["2: 2 4"]);
    let asymmetric = "coordinate_transformation_mode=asymmetric nearest_mode=floor";
    gives(&format!("Resize sizes=[6] {asymmetric}"), &[x], &["6: 1 1 2 3 3 4"]);
    gives(&format!("Resize scales=[1, 2] {asymmetric}"), &["2x1: 1 2"], &["2x2: 1 1 2 2"]);
    gives("Resize sizes=[7] coordinate_transformation_mode=align_corners", &[x], &["7: 1 1 2 2 3 3 4"]);
    // 1.5 * 0.6 rounds to the tie in f32.
    gives(&format!("Resize scales=[0.6] {asymmetric}"), &["5: 1 2 3 4 5"], &["3: 1 2 4"]);
    gives("Resize", &[x, "-", "-", "1: 2"], &["2: 1 3"]);
    refuses("Resize", &[x, "-", "1: 2"], "scales that are no attribute");
}

#[test]
fn interpolations_by_hand() {
    let x = "2: 0 4";
    gives("Resize mode=linear scales=[2]", &[x], &["4: 0 1 3 4"]);
    gives("Resize mode=linear sizes=[3] coordinate_transformation_mode=align_corners", &[x], &["3: 0 2 4"]);
    gives("Resize mode=linear scales=[2] coordinate_transformation_mode=asymmetric", &[x], &["4: 0 2 4 4"]);
    gives("Resize mode=linear sizes=[1] coordinate_transformation_mode=pytorch_half_pixel", &[x], &["1: 0"]);
    gives("Resize mode=linear sizes=[1]", &[x], &["1: 2"]);
    gives("Resize mode=linear sizes=[1] coordinate_transformation_mode=align_corners", &[x], &["1: 0"]);
    gives("Resize mode=linear scales=[2, 2]", &["2x2: 0 4 8 12"], &["4x4: 0 1 3 4 2 3 5 6 6 7 9 10 8 9 11 12"]);
    // 3 * 0.8 = 2.4 is cut to 2; the symmetric mode keeps the centre (the mean of both is the input's centre).
    let symmetric = "Resize mode=linear scales=[0.8] coordinate_transformation_mode=half_pixel_symmetric";
    gives(symmetric, &["3: 0 10 20"], &["2: 3.75 16.25"]);
}
