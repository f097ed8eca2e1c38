//! Tables of cases: linear maps, pooling, moving elements, recurrences, constructors.

use super::Fill::{Bools, Exact, Ints, Normal, Positive};
use super::cases::{f, gaps, i, l, row, s};
use super::{Operand, check_all};
use crate::graph::{Attr, OpKind as K};

#[test]
fn convolutions() {
    let mut cases = Vec::new();
    let x: Operand = (Normal, &[2, 4, 7, 8]);
    let bias: Operand = (Normal, &[6]);
    let pads: [&[i64]; 5] = [&[0, 0, 0, 0], &[1, 1, 1, 1], &[1, 2, 1, 2], &[0, 1, 2, 0], &[3, 0, 1, 4]];
    for p in pads {
        for (strides, dilations) in [([1, 1], [1, 1]), ([2, 1], [1, 1]), ([2, 3], [2, 1]), ([1, 1], [1, 2])] {
            for (group, w) in [(1, &[6i64, 4, 3, 2][..]), (2, &[6, 2, 3, 2])] {
                let attrs =
                    [("pads", l(p)), ("strides", l(&strides)), ("dilations", l(&dilations)), ("group", i(group))];
                cases.push(row(K::Conv, &attrs, &[x, (Normal, w), bias]));
                cases.push(row(K::Conv, &attrs, &[x, (Normal, w)]));
            }
        }
    }
    // The depthwise path in f64.
    for (p, stride) in [(&[1i64, 1, 1, 1][..], 1), (&[0, 1, 1, 0], 2), (&[0, 0, 0, 0], 2)] {
        let attrs = [("pads", l(p)), ("strides", l(&[stride, stride])), ("group", i(8))];
        cases.push(row(K::Conv, &attrs, &[(Normal, &[2, 8, 6, 7]), (Normal, &[8, 1, 3, 3]), (Normal, &[8])]));
        cases.push(row(K::Conv, &attrs, &[(Normal, &[2, 8, 6, 7]), (Normal, &[8, 1, 3, 3])]));
        cases.push(row(K::Conv, &attrs, &[(Normal, &[2, 8, 6, 7]), (Normal, &[16, 1, 3, 3])]));
    }
    for p in [&[0i64, 0][..], &[2, 1], &[1, 1]] {
        cases.push(row(K::Conv, &[("pads", l(p))], &[(Normal, &[2, 3, 9]), (Normal, &[5, 3, 3]), (Normal, &[5])]));
    }
    cases.push(row(K::Conv, &[("pads", l(&[1; 6]))], &[(Normal, &[1, 2, 4, 5, 3]), (Normal, &[3, 2, 2, 3, 2])]));
    for auto in ["SAME_UPPER", "SAME_LOWER"] {
        for stride in [1, 2, 3] {
            let attrs = [("auto_pad", s(auto)), ("strides", l(&[stride, stride]))];
            cases.push(row(K::Conv, &attrs, &[(Normal, &[1, 2, 7, 8]), (Normal, &[3, 2, 4, 3])]));
        }
    }
    check_all(cases);
}

#[test]
fn transposed_convolutions() {
    let mut cases = Vec::new();
    let pads: [&[i64]; 4] = [&[0, 0, 0, 0], &[1, 1, 1, 1], &[0, 1, 2, 0], &[1, 0, 0, 2]];
    for p in pads {
        for (stride, dilation, extra) in [(1, 1, 0), (2, 1, 0), (2, 1, 1), (3, 2, 2)] {
            for (group, w) in [(1, &[4i64, 3, 3, 2][..]), (2, &[4, 2, 3, 2])] {
                let attrs = [
                    ("pads", l(p)),
                    ("strides", l(&[stride, stride])),
                    ("dilations", l(&[dilation, dilation])),
                    ("output_padding", l(&[extra, extra])),
                    ("group", i(group)),
                ];
                let bias: Operand = if group == 1 { (Normal, &[3]) } else { (Normal, &[4]) };
                cases.push(row(K::ConvTranspose, &attrs, &[(Normal, &[2, 4, 5, 4]), (Normal, w), bias]));
                cases.push(row(K::ConvTranspose, &attrs, &[(Normal, &[2, 4, 5, 4]), (Normal, w)]));
            }
        }
    }
    cases.push(row(K::ConvTranspose, &[("strides", l(&[2]))], &[(Normal, &[2, 4, 5]), (Normal, &[4, 3, 3])]));
    check_all(cases);
}

#[test]
fn matrix_products() {
    let mut cases = Vec::new();
    let shapes: [(&[i64], &[i64]); 9] = [
        (&[3, 4], &[4, 5]),
        (&[2, 3, 4], &[4, 5]),
        (&[2, 3, 4], &[2, 4, 5]),
        (&[2, 1, 3, 4], &[3, 4, 5]),
        (&[4], &[4, 5]),
        (&[3, 4], &[4]),
        (&[4], &[4]),
        (&[2, 3, 4], &[4]),
        (&[0, 4], &[4, 5]),
    ];
    for (a, b) in shapes {
        cases.push(row(K::MatMul, &[], &[(Normal, a), (Normal, b)]));
        cases.push(row(K::MatMul, &[], &[(Ints(-3, 4), a), (Ints(-3, 4), b)]));
    }
    for (ta, tb) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let a: &[i64] = if ta == 1 { &[4, 3] } else { &[3, 4] };
        let b: &[i64] = if tb == 1 { &[5, 4] } else { &[4, 5] };
        for (alpha, beta) in [(1.0, 1.0), (0.5, 2.0)] {
            let attrs = [("transA", i(ta)), ("transB", i(tb)), ("alpha", f(alpha)), ("beta", f(beta))];
            cases.push(row(K::Gemm, &attrs, &[(Normal, a), (Normal, b)]));
            for c in [&[5i64][..], &[1, 5], &[3, 1], &[3, 5], &[]] {
                cases.push(row(K::Gemm, &attrs, &[(Normal, a), (Normal, b), (Normal, c)]));
            }
        }
    }
    let einsum = |equation: &str, operands: &[Operand]| row(K::Einsum, &[("equation", s(equation))], operands);
    cases.push(einsum("ij,jk->ik", &[(Normal, &[3, 4]), (Normal, &[4, 5])]));
    cases.push(einsum("bhid,bhjd->bhij", &[(Normal, &[2, 2, 3, 4]), (Normal, &[2, 2, 5, 4])]));
    cases.push(einsum("ij,jk", &[(Normal, &[3, 4]), (Normal, &[4, 5])]));
    cases.push(einsum("ij->ji", &[(Normal, &[3, 4])]));
    cases.push(einsum("ij->", &[(Normal, &[3, 4])]));
    cases.push(einsum("ii->i", &[(Normal, &[4, 4])]));
    cases.push(einsum("i,j->ij", &[(Normal, &[3]), (Normal, &[4])]));
    cases.push(einsum("...ij,...jk->...ik", &[(Normal, &[2, 3, 4]), (Normal, &[2, 4, 5])]));
    cases.push(einsum("ab, bc, cd -> ad", &[(Normal, &[2, 3]), (Normal, &[3, 4]), (Normal, &[4, 2])]));
    check_all(cases);
}

#[test]
fn pools() {
    let mut cases = Vec::new();
    let pads: [&[i64]; 5] = [&[0, 0, 0, 0], &[1, 1, 1, 1], &[0, 0, 1, 1], &[1, 0, 0, 1], &[2, 2, 2, 2]];
    for p in pads {
        for stride in [1, 2, 3] {
            for ceil in [0, 1] {
                for kernel in [[3, 3], [2, 3]] {
                    if p.iter().any(|&p| p >= kernel[0]) {
                        continue;
                    }
                    let attrs = [
                        ("kernel_shape", l(&kernel)),
                        ("pads", l(p)),
                        ("strides", l(&[stride, stride])),
                        ("ceil_mode", i(ceil)),
                    ];
                    let x: Operand = (Normal, &[2, 3, 7, 8]);
                    cases.push(row(K::MaxPool, &attrs, &[x]));
                    for include in [0, 1] {
                        let mut attrs = attrs.to_vec();
                        attrs.push(("count_include_pad", i(include)));
                        cases.push(row(K::AveragePool, &attrs, &[x]));
                    }
                }
            }
        }
    }
    for ceil in [0, 1] {
        for p in [&[0i64, 0, 0, 0][..], &[1, 1, 1, 1], &[0, 1, 1, 0]] {
            let attrs =
                [("kernel_shape", l(&[2, 3])), ("pads", l(p)), ("dilations", l(&[2, 2])), ("ceil_mode", i(ceil))];
            cases.push(row(K::MaxPool, &attrs, &[(Normal, &[1, 2, 7, 8])]));
            cases.push(row(K::AveragePool, &attrs, &[(Normal, &[1, 2, 7, 8])]));
        }
    }
    let one = [("kernel_shape", l(&[3])), ("strides", l(&[2])), ("pads", l(&[1, 0]))];
    cases.push(row(K::MaxPool, &one, &[(Normal, &[2, 3, 8])]));
    cases.push(row(K::AveragePool, &one, &[(Normal, &[2, 3, 8])]));
    let three = [("kernel_shape", l(&[2, 2, 2])), ("strides", l(&[2, 1, 2]))];
    cases.push(row(K::MaxPool, &three, &[(Normal, &[1, 2, 4, 3, 4])]));
    cases.push(row(K::AveragePool, &three, &[(Normal, &[1, 2, 4, 3, 4])]));
    for auto in ["SAME_UPPER", "SAME_LOWER"] {
        let attrs = [("kernel_shape", l(&[2, 3])), ("strides", l(&[2, 2])), ("auto_pad", s(auto))];
        cases.push(row(K::MaxPool, &attrs, &[(Normal, &[1, 2, 7, 7])]));
        cases.push(row(K::AveragePool, &attrs, &[(Normal, &[1, 2, 7, 7])]));
    }
    for kind in [K::GlobalAveragePool, K::GlobalMaxPool] {
        for shape in [&[2i64, 3, 4][..], &[2, 3, 4, 5]] {
            cases.push(row(kind, &[], &[(Normal, shape)]));
        }
    }
    check_all(cases);
}

#[test]
fn shapes_and_slices() {
    let mut cases = Vec::new();
    let x: Operand = (Normal, &[2, 3, 4]);
    for axis in 0..3 {
        cases.push(row(K::Concat, &[("axis", i(axis))], &[x, x]));
        cases.push(row(K::Flatten, &[("axis", i(axis))], &[x]));
    }
    cases.push(row(K::Flatten, &[("axis", i(3))], &[x]));
    cases.push(row(K::Concat, &[("axis", i(1))], &[x, (Normal, &[2, 1, 4]), (Normal, &[2, 0, 4])]));
    cases.push(row(K::Split, &[("axis", i(2)), ("split", l(&[1, 3]))], &[x]));
    cases.push(row(K::Split, &[("axis", i(1)), ("split", l(&[1, 1, 1]))], &[x]));
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        let attrs = [("starts", l(starts)), ("ends", l(ends)), ("axes", l(axes)), ("steps", l(steps))];
        row(K::Slice, &attrs, &[(Normal, &[4, 5, 6])])
    };
    cases.push(slice(&[1], &[3], &[0], &[1]));
    cases.push(slice(&[-2, 0], &[i64::MAX, 4], &[0, 2], &[1, 2]));
    cases.push(slice(&[-1, 5], &[i64::MIN, -7], &[1, 2], &[-1, -2]));
    cases.push(slice(&[3], &[1], &[1], &[1]));
    cases.push(slice(&[100], &[200], &[1], &[1]));
    cases.push(slice(&[-100], &[100], &[2], &[4]));
    cases.push(slice(&[100], &[-100], &[2], &[-4]));
    cases.push(row(K::Slice, &[], &[x, (Exact(&[1]), &[1]), (Exact(&[3]), &[1])]));
    cases.push(row(
        K::Slice,
        &[],
        &[x, (Exact(&[3, 0]), &[2]), (Exact(&[-9, 2]), &[2]), (Exact(&[-1, 1]), &[2]), (Exact(&[-1, 1]), &[2])],
    ));
    for perm in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        cases.push(row(K::Transpose, &[("perm", l(&perm))], &[x]));
    }
    for shape in [&[6i64, 4][..], &[-1], &[0, -1], &[2, 0, 2, 2], &[24]] {
        cases.push(row(K::Reshape, &[("shape", l(shape))], &[x]));
    }
    cases.push(row(K::Reshape, &[], &[x, (Exact(&[4, -1]), &[2])]));
    cases.push(row(K::Reshape, &[], &[(Normal, &[1, 1])]));
    cases.push(row(K::Reshape, &[("shape", l(&[0, 3])), ("allowzero", i(1))], &[(Normal, &[3, 0])]));
    cases.push(row(K::Squeeze, &[("axes", l(&[0, 2]))], &[(Normal, &[1, 3, 1, 1])]));
    cases.push(row(K::Unsqueeze, &[("axes", l(&[0, 2, 4]))], &[(Normal, &[3, 4])]));
    cases.push(row(K::Expand, &[("shape", l(&[2, 1, 4]))], &[(Normal, &[3, 1])]));
    cases.push(row(K::Expand, &[], &[(Normal, &[3, 1]), (Exact(&[1, 4]), &[2])]));
    cases.push(row(K::Tile, &[("repeats", l(&[2, 1, 3]))], &[x]));
    cases.push(row(K::Tile, &[], &[x, (Exact(&[1, 2, 1]), &[3])]));
    for kind in [K::Identity, K::Dropout, K::Shape, K::Size] {
        cases.push(row(kind, &[], &[x]));
    }
    cases.push(row(K::Shape, &[("start", i(-2)), ("end", i(-1))], &[x]));
    for mode in ["DCR", "CRD"] {
        cases.push(row(K::DepthToSpace, &[("blocksize", i(2)), ("mode", s(mode))], &[(Normal, &[2, 8, 3, 2])]));
    }
    cases.push(row(K::SpaceToDepth, &[("blocksize", i(2))], &[(Normal, &[2, 3, 4, 6])]));
    for upper in [0, 1] {
        cases.push(row(K::Trilu, &[("upper", i(upper))], &[(Normal, &[2, 4, 5])]));
        cases.push(row(K::Trilu, &[("upper", i(upper))], &[(Normal, &[4, 5]), (Exact(&[-1]), &[])]));
        cases.push(row(K::Trilu, &[("upper", i(upper))], &[(Normal, &[4, 5]), (Exact(&[2]), &[])]));
    }
    cases.push(row(K::ConstantOfShape, &[("value", f(1.5)), ("dtype", i(1)), ("shape", l(&[2, 3]))], &[]));
    cases.push(row(K::ConstantOfShape, &[("value", i(4)), ("dtype", i(7))], &[(Exact(&[2, 2]), &[2])]));
    cases.push(row(K::Range, &[], &[(Exact(&[2]), &[]), (Exact(&[11]), &[]), (Exact(&[4]), &[])]));
    cases.push(row(K::Constant, &[("value_floats", Attr::Floats([0.5, 2.0].into()))], &[]));
    cases.push(row(K::Constant, &[("value_ints", l(&[3, 4]))], &[]));
    check_all(cases);
}

#[test]
fn padding() {
    let mut cases = Vec::new();
    let x: Operand = (Normal, &[2, 3, 5]);
    for mode in ["constant", "reflect", "edge", "wrap"] {
        for pads in [&[0i64, 1, 2, 0, 1, 1][..], &[0, 0, 4, 0, 0, 3], &[1, 0, 0, 0, 2, 0]] {
            cases.push(row(K::Pad, &[("mode", s(mode)), ("pads", l(pads)), ("value", f(0.5))], &[x]));
        }
    }
    cases.push(row(K::Pad, &[("pads", l(&[0, -1, 1, 0, 0, -2]))], &[x]));
    cases.push(row(K::Pad, &[], &[x, (Exact(&[0, 1, 0, 0, 0, 2]), &[6]), (Normal, &[])]));
    cases.push(gaps(K::Pad, &[], &[Some(x), Some((Exact(&[1, 2]), &[2])), None, Some((Exact(&[-1]), &[1]))]));
    cases.push(row(K::Pad, &[("pads", l(&[1, 1])), ("value", f(3.0))], &[(Ints(-5, 5), &[4])]));
    check_all(cases);
}

#[test]
fn gathers() {
    let mut cases = Vec::new();
    let x: Operand = (Normal, &[4, 5, 6]);
    for axis in 0..3 {
        for index in [&[3i64][..], &[2, 2], &[], &[0]] {
            cases.push(row(K::Gather, &[("axis", i(axis))], &[x, (Ints(0, 4), index)]));
            cases.push(row(K::Gather, &[("axis", i(axis))], &[x, (Ints(-4, 4), index)]));
        }
        cases.push(row(K::GatherElements, &[("axis", i(axis))], &[x, (Ints(-4, 4), &[4, 5, 6])]));
    }
    cases.push(row(K::GatherElements, &[("axis", i(1))], &[(Normal, &[3, 4]), (Ints(-4, 4), &[3, 2])]));
    cases.push(row(K::GatherND, &[], &[x, (Ints(-4, 4), &[3, 2])]));
    cases.push(row(K::GatherND, &[], &[x, (Ints(0, 4), &[2, 3, 3])]));
    cases.push(row(K::GatherND, &[], &[x, (Ints(0, 4), &[1])]));
    cases.push(row(K::GatherND, &[("batch_dims", i(1))], &[x, (Ints(0, 5), &[4, 2, 1])]));
    cases.push(row(K::GatherND, &[("batch_dims", i(2))], &[x, (Ints(0, 6), &[4, 5, 1])]));
    cases.push(row(K::GatherND, &[("batch_dims", i(1))], &[x, (Ints(0, 5), &[4, 2])]));
    check_all(cases);
}

#[test]
fn resizing() {
    let mut cases = Vec::new();
    let coordinates = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"];
    let x: Operand = (Normal, &[1, 2, 4, 5]);
    let changes: Vec<(&str, Attr)> = vec![
        ("scales", Attr::Floats([1.0, 1.0, 2.0, 2.0].into())),
        ("scales", Attr::Floats([1.0, 1.0, 2.0, 3.0].into())),
        ("scales", Attr::Floats([1.0, 1.0, 1.7, 0.6].into())),
        ("sizes", l(&[1, 2, 7, 3])),
        ("sizes", l(&[1, 2, 8, 10])),
        ("sizes", l(&[1, 2, 1, 5])),
    ];
    for (name, change) in changes {
        for c in coordinates {
            let base = [
                (if name == "scales" { "scales" } else { "sizes" }, change.clone()),
                ("coordinate_transformation_mode", s(c)),
            ];
            for rounding in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] {
                let mut attrs = base.to_vec();
                attrs.extend([("mode", s("nearest")), ("nearest_mode", s(rounding))]);
                cases.push(row(K::Resize, &attrs, &[x]));
            }
            let mut attrs = base.to_vec();
            attrs.push(("mode", s("linear")));
            cases.push(row(K::Resize, &attrs, &[x]));
        }
    }
    let some = [("mode", s("linear")), ("axes", l(&[2])), ("sizes", l(&[9]))];
    cases.push(row(K::Resize, &some, &[x]));
    cases.push(row(
        K::Resize,
        &[("mode", s("linear")), ("scales", Attr::Floats([1.0, 1.0, 2.5].into()))],
        &[(Normal, &[1, 2, 4])],
    ));
    check_all(cases);
}

#[test]
fn recurrences() {
    let mut cases = Vec::new();
    // (direction, W, R, B, states)
    type Shapes = (&'static str, &'static [i64], &'static [i64], &'static [i64], &'static [i64], &'static [i64]);
    let lstm: [Shapes; 3] = [
        ("forward", &[1, 16, 3], &[1, 16, 4], &[1, 32], &[1, 2, 4], &[1, 12]),
        ("reverse", &[1, 16, 3], &[1, 16, 4], &[1, 32], &[1, 2, 4], &[1, 12]),
        ("bidirectional", &[2, 16, 3], &[2, 16, 4], &[2, 32], &[2, 2, 4], &[2, 12]),
    ];
    let lengths: Operand = (Exact(&[5, 3]), &[2]);
    let x: Operand = (Normal, &[5, 2, 3]);
    for (direction, w, r, b, h, p) in lstm {
        let attrs = [("direction", s(direction)), ("hidden_size", i(4))];
        let n = |shape: &'static [i64]| Some((Normal, shape));
        cases.push(row(K::LSTM, &attrs, &[x, (Normal, w), (Normal, r)]));
        cases.push(row(K::LSTM, &attrs, &[x, (Normal, w), (Normal, r), (Normal, b)]));
        cases.push(gaps(K::LSTM, &attrs, &[Some(x), n(w), n(r), n(b), None, n(h), n(h)]));
        cases.push(gaps(K::LSTM, &attrs, &[Some(x), n(w), n(r), n(b), Some(lengths), n(h), n(h)]));
        cases.push(gaps(K::LSTM, &attrs, &[Some(x), n(w), n(r), None, None, None, None, n(p)]));
        let coupled = [("direction", s(direction)), ("hidden_size", i(4)), ("input_forget", i(1))];
        cases.push(row(K::LSTM, &coupled, &[x, (Normal, w), (Normal, r)]));
    }
    let turned = [("hidden_size", i(4)), ("layout", i(1))];
    let n = |shape: &'static [i64]| Some((Normal, shape));
    cases.push(gaps(
        K::LSTM,
        &turned,
        &[n(&[2, 5, 3]), n(&[1, 16, 3]), n(&[1, 16, 4]), n(&[1, 32]), None, n(&[2, 1, 4]), n(&[2, 1, 4])],
    ));
    let gru: [Shapes; 3] = [
        ("forward", &[1, 12, 3], &[1, 12, 4], &[1, 24], &[1, 2, 4], &[]),
        ("reverse", &[1, 12, 3], &[1, 12, 4], &[1, 24], &[1, 2, 4], &[]),
        ("bidirectional", &[2, 12, 3], &[2, 12, 4], &[2, 24], &[2, 2, 4], &[]),
    ];
    for (direction, w, r, b, h, _) in gru {
        for before in [0, 1] {
            let attrs = [("direction", s(direction)), ("hidden_size", i(4)), ("linear_before_reset", i(before))];
            cases.push(row(K::GRU, &attrs, &[x, (Normal, w), (Normal, r)]));
            cases.push(gaps(K::GRU, &attrs, &[Some(x), n(w), n(r), n(b), None, n(h)]));
            cases.push(gaps(K::GRU, &attrs, &[Some(x), n(w), n(r), n(b), Some(lengths), n(h)]));
        }
    }
    check_all(cases);
}

#[test]
fn constructors_on_constants() {
    let mut cases = Vec::new();
    cases.push(row(K::Enlarge, &[("kernel_shape", l(&[5, 3]))], &[(Normal, &[4, 3, 3, 1])]));
    cases.push(row(K::Enlarge, &[("kernel_shape", l(&[3]))], &[(Normal, &[4, 3, 3])]));
    for group in [1, 2, 6] {
        let attrs = [("channels", i(6)), ("group", i(group)), ("kernel_shape", l(&[3, 1]))];
        cases.push(row(K::IdentityKernel, &attrs, &[]));
    }
    cases.push(row(K::IdentityMatrix, &[("size", i(4))], &[]));
    cases.push(row(K::PoolKernel, &[("channels", i(3)), ("kernel_shape", l(&[3, 2]))], &[]));
    cases.push(row(K::BlockDiagonal, &[], &[(Normal, &[2, 3]), (Normal, &[1, 2]), (Positive, &[3, 1])]));
    for group in [1, 2, 3] {
        cases.push(row(K::Ungroup, &[("group", i(group))], &[(Normal, &[6, 2, 3, 3])]));
    }
    cases.push(row(K::Where, &[], &[(Bools, &[3]), (Normal, &[3]), (Normal, &[3])]));
    check_all(cases);
}
