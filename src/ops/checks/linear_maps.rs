//! Conv, ConvTranspose, MatMul, Gemm, Einsum.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

#[test]
fn convolutions_have_the_right_type() {
    let x = "f32[1, 4, 8, 8]";
    for (application, inputs, expected) in [
        ("Conv", &[x, "f32[6, 4, 3, 3]"] as &[&str], "f32[1, 6, 6, 6]"),
        ("Conv strides=[2, 2] pads=[1, 1, 1, 1]", &[x, "f32[6, 4, 3, 3]", "f32[6]"], "f32[1, 6, 4, 4]"),
        ("Conv group=4 dilations=[2, 1]", &[x, "f32[4, 1, 3, 3]"], "f32[1, 4, 4, 6]"),
        (
            "Conv auto_pad=SAME_UPPER strides=[2, 3]",
            &["f32[n, 4, h, 8]", "f32[6, 4, 3, 3]"],
            "f32[n, 6, -floor((-h)/(2)), 3]",
        ),
        ("Conv auto_pad=VALID", &[x, "f32[6, 4, 8, 8]"], "f32[1, 6, 1, 1]"),
        ("Conv pads=[1, 1]", &["f32[n, c, t]", "f32[6, 4, 3]"], "f32[n, 6, t]"),
        ("Conv pads=[0, 1, 0, 0, 1, 0]", &["f32[1, 2, 4, 4, 4]", "f32[3, 2, 1, 3, 1]"], "f32[1, 3, 4, 4, 4]"),
        ("Conv strides=[2]", &["f32[n, 4, t]", "f32[6, 4, 2]"], "f32[n, 6, floor((t)/(2))]"),
        ("Conv", &[x, "?"], "?"),
        ("Conv", &[x, "f32[6, 3, 3, 3]"], "!kernel is for 3 channels"),
        ("Conv group=4", &[x, "f32[6, 1, 3, 3]"], "!4 groups do not divide 6 channels"),
        ("Conv group=0", &[x, "f32[6, 1, 3, 3]"], "!group = 0"),
        ("Conv", &[x, "f32[6, 4, 9, 3]"], "!does not fit an axis of 8"),
        ("Conv", &[x, "f32[6, 4, 3, 3]", "f32[5]"], "!bias should have the shape [6]"),
        ("Conv", &[x, "f16[6, 4, 3, 3]"], "!input 1 must be f32"),
        ("Conv", &["i64[1, 4, 8]", "i64[6, 4, 3]"], "!floating-point"),
        ("Conv strides=[0, 1]", &[x, "f32[6, 4, 3, 3]"], "!strides"),
        ("Conv pads=[1, 1]", &[x, "f32[6, 4, 3, 3]"], "!should have 4 entries"),
        ("Conv auto_pad=ODD", &[x, "f32[6, 4, 3, 3]"], "!auto_pad"),
        ("ConvTranspose strides=[2, 2]", &[x, "f32[4, 5, 3, 3]"], "f32[1, 5, 17, 17]"),
        (
            "ConvTranspose strides=[2, 2] pads=[1, 1, 1, 1] output_padding=[1, 1] group=2",
            &["f32[1, 4, h, 8]", "f32[4, 5, 3, 3]"],
            "f32[1, 10, 2*h, 16]",
        ),
        ("ConvTranspose auto_pad=SAME_LOWER strides=[3, 2]", &[x, "f32[4, 5, 3, 3]"], "f32[1, 5, 24, 16]"),
        ("ConvTranspose pads=[9, 9, 9, 9]", &[x, "f32[4, 5, 3, 3]"], "!shape"),
    ] {
        infers(application, inputs, &[expected]);
    }
}

#[test]
fn convolutions_by_hand() {
    let x = "1x1x3x3: 1 2 3 4 5 6 7 8 9";
    gives("Conv", &[x, "1x1x2x2: 1 0 0 1", "1: 10"], &["1x1x2x2: 16 18 22 24"]);
    gives("Conv pads=[1, 0, 0, 0]", &[x, "1x1x2x3: 1 1 1 0 0 1"], &["1x1x3x1: 3 12 24"]);
    gives("Conv strides=[2]", &["1x1x5: 1 2 3 4 5", "1x1x2: 1 10"], &["1x1x2: 21 43"]);
    gives("Conv group=2", &["1x2x2: 1 2 3 4", "2x1x1: 2 3"], &["1x2x2: 2 4 9 12"]);
    // SAME padding of 1 in all: at the end for UPPER, at the begin for LOWER.
    gives("Conv auto_pad=SAME_UPPER", &["1x1x3: 1 2 3", "1x1x2: 1 10"], &["1x1x3: 21 32 3"]);
    gives("Conv auto_pad=SAME_LOWER", &["1x1x3: 1 2 3", "1x1x2: 1 10"], &["1x1x3: 10 21 32"]);
    gives("ConvTranspose strides=[2]", &["1x1x2: 1 2", "1x1x3: 1 10 100"], &["1x1x5: 1 10 102 20 200"]);
    gives("ConvTranspose strides=[2] pads=[1, 0]", &["1x1x2: 1 2", "1x1x3: 1 10 100"], &["1x1x4: 10 102 20 200"]);
    gives("ConvTranspose group=2", &["1x2x1: 2 3", "2x2x1: 1 10 100 1000", "4: 0 0 0 1"], &["1x4x1: 2 20 300 3001"]);
    gives("ConvTranspose auto_pad=SAME_UPPER strides=[2]", &["1x1x2: 1 2", "1x1x3: 1 10 100"], &["1x1x4: 1 10 102 20"]);
}

/// The formula of a convolution over three axes, written anew.
struct Naive {
    strides: [i64; 3],
    dilations: [i64; 3],
    begins: [i64; 3],
    group: usize,
}

impl Naive {
    /// Output element (n, o, y): the sum over channels of o's group and kernel elements.
    fn conv(&self, x: &Array<f64>, w: &Array<f64>, n: usize, o: usize, y: [usize; 3]) -> f64 {
        let (out_channels, depth) = (w.shape[0], w.shape[1]);
        let group = o / (out_channels / self.group);
        let mut sum = 0.0;
        for c in 0..depth {
            for i in 0..w.shape[2] * w.shape[3] * w.shape[4] {
                let k = [i / (w.shape[3] * w.shape[4]), i / w.shape[4] % w.shape[3], i % w.shape[4]];
                let mut at = (n * x.shape[1] + group * depth + c) as i64;
                let mut inside = true;
                for a in 0..3 {
                    let p = y[a] as i64 * self.strides[a] + k[a] as i64 * self.dilations[a] - self.begins[a];
                    inside &= p >= 0 && p < x.shape[2 + a] as i64;
                    at = at * x.shape[2 + a] as i64 + p;
                }
                if inside {
                    sum += x.data[at as usize] * w.data[((o * depth + c) * w.shape[2] * w.shape[3] * w.shape[4]) + i];
                }
            }
        }
        sum
    }
}

fn random(rng: &mut StdRng, shape: &[usize]) -> Array<f64> {
    let count = shape.iter().product();
    let data = (0..count).map(|_| f64::from(rng.random_range(-5..=5))).collect();
    Array::new(shape, data).unwrap()
}

/// Convolutions with random sizes, strides, paddings, dilations and groups; and transposed ones as their adjoints:
/// <conv(x), y> = <x, convT(y)> for all x and y, with the same kernel.
#[test]
fn random_convolutions_follow_the_formula_and_transposed_ones_are_their_adjoints() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut done = 0;
    for _ in 0..300 {
        let mut draw = |low: i64, high: i64| rng.random_range(low..=high);
        let group = draw(1, 3) as usize;
        let (inputs, outputs) = (group * draw(1, 2) as usize, group * draw(1, 2) as usize);
        let sizes = [draw(1, 6), draw(1, 6), draw(1, 4)];
        let kernel = [draw(1, 3), draw(1, 3), draw(1, 2)];
        let (strides, dilations) = ([draw(1, 3), draw(1, 3), draw(1, 2)], [draw(1, 2), draw(1, 3), 1]);
        let pads: [i64; 6] = std::array::from_fn(|_| draw(0, 2));
        let free = |a: usize| sizes[a] + pads[a] + pads[3 + a] - dilations[a] * (kernel[a] - 1) - 1;
        if (0..3).any(|a| free(a) < 0) {
            continue;
        }
        done += 1;
        let shape = |a: usize, b: usize, s: [i64; 3]| [a, b, s[0] as usize, s[1] as usize, s[2] as usize];
        let x = random(&mut rng, &shape(2, inputs, sizes));
        let w = random(&mut rng, &shape(outputs, inputs / group, kernel));
        let attrs = format!("strides={strides:?} dilations={dilations:?} pads={pads:?} group={group}");
        let y = evaluate(&op(&format!("Conv {attrs}")), &[Some(&x), Some(&w)]).unwrap().remove(0);
        let outs: [usize; 3] = std::array::from_fn(|a| (free(a) / strides[a]) as usize + 1);
        assert_eq!(y.shape[2..], outs, "{attrs}");
        let naive = Naive { strides, dilations, begins: [pads[0], pads[1], pads[2]], group };
        for (i, value) in y.data.iter().enumerate() {
            let at = [i / (outs[1] * outs[2]) % outs[0], i / outs[2] % outs[1], i % outs[2]];
            let plane: usize = outs.iter().product();
            let expected = naive.conv(&x, &w, i / plane / outputs, i / plane % outputs, at);
            assert_eq!(*value, expected, "{attrs} element {i}");
        }
        let z = random(&mut rng, &y.shape);
        let extra: [i64; 3] = std::array::from_fn(|a| free(a) % strides[a]);
        let transposed = op(&format!("ConvTranspose {attrs} output_padding={extra:?}"));
        let back = evaluate(&transposed, &[Some(&z), Some(&w)]).unwrap().remove(0);
        assert_eq!(back.shape, x.shape, "{attrs}");
        let dot = |a: &Array<f64>, b: &Array<f64>| a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum::<f64>();
        assert_eq!(dot(&y, &z), dot(&x, &back), "{attrs}");
    }
    assert!(done > 100, "{done}");
}

#[test]
fn products_have_the_right_type() {
    for (application, inputs, expected) in [
        ("MatMul", &["f32[2, 3]", "f32[3, 4]"] as &[&str], "f32[2, 4]"),
        ("MatMul", &["f32[b, 1, s, d]", "f32[h, d, t]"], "f32[b, h, s, t]"),
        ("MatMul", &["f32[3]", "f32[5, 3, 4]"], "f32[5, 4]"),
        ("MatMul", &["f32[5, 2, 3]", "f32[3]"], "f32[5, 2]"),
        ("MatMul", &["i64[3]", "i64[3]"], "i64[]"),
        ("MatMul", &["f32[2, 3]", "?"], "?"),
        ("MatMul", &["f32[2, 3]", "f32[4, 4]"], "!inner dimensions 3 and 4"),
        ("MatMul", &["f32[2, 2, 3]", "f32[3, 3, 4]"], "!do not broadcast"),
        ("MatMul", &["f32[]", "f32[3, 4]"], "!scalar"),
        ("MatMul", &["f32[2, 3]", "f64[3, 4]"], "!input 1 must be f32"),
        ("MatMul", &["bool[2, 3]", "bool[3, 4]"], "!numeric"),
        ("Gemm transA=1 transB=1", &["f32[k, m]", "f32[n, k]", "f32[n]"], "f32[m, n]"),
        ("Gemm", &["f32[2, 3]", "f32[3, 4]", "f32[2, 1]"], "f32[2, 4]"),
        ("Gemm", &["f32[2, 3]", "f32[3, 4]", "f32[2]"], "!addend does not broadcast"),
        ("Gemm", &["f32[2, 3]", "f32[2, 4]"], "!inner dimensions 3 and 2"),
        ("Gemm", &["f32[2, 3, 1]", "f32[3, 4]"], "!matrices"),
        ("Einsum equation=bhsd,bhtd->bhst", &["f32[b, h, s, d]", "f32[b, h, t, d]"], "f32[b, h, s, t]"),
        ("Einsum equation=...ij,...jk", &["f32[5, 1, 2, 3]", "f32[4, 3, 6]"], "f32[5, 4, 2, 6]"),
        ("Einsum equation=ii->i", &["f32[n, 3]"], "f32[3]"),
        ("Einsum equation=ba", &["f32[2, 3]"], "f32[3, 2]"),
        ("Einsum equation=ij->", &["f32[2, 3]"], "f32[]"),
        ("Einsum equation=ij,jk->ik", &["f32[2, 3]", "f32[4, 5]"], "!sizes 3 and 4"),
        ("Einsum equation=ij,jk->ix", &["f32[2, 3]", "f32[3, 5]"], "!names a new one"),
        ("Einsum equation=ijk->i", &["f32[2, 3]"], "!rank 2"),
        ("Einsum equation=ij", &["f32[2, 3]", "f32[2, 3]"], "!1 terms for 2 operands"),
        ("Einsum equation=i.->i", &["f32[2, 3]"], "!holds '.'"),
    ] {
        infers(application, inputs, &[expected]);
    }
}

#[test]
fn products_by_hand() {
    let (a, b) = ("2x2: 1 2 3 4", "2x2: 5 6 7 8");
    gives("MatMul", &[a, b], &["2x2: 19 22 43 50"]);
    gives("MatMul", &["2: 1 2", b], &["2: 19 22"]);
    gives("MatMul", &[a, "2: 1 10"], &["2: 21 43"]);
    gives("MatMul", &["2: 1 2", "2: 3 4"], &[": 11"]);
    gives("MatMul", &["2x1x1x2: 1 2 3 4", "2x2x1: 1 10 100 1000"], &["2x2x1x1: 21 2100 43 4300"]);
    gives("MatMul", &["0x2:", b], &["0x2:"]);
    gives("MatMul", &["1x0:", "0x2:"], &["1x2: 0 0"]);
    gives("Gemm", &[a, b, "2: 1 2"], &["2x2: 20 24 44 52"]);
    gives("Gemm transA=1 alpha=2 beta=3", &[a, b, ": 1"], &["2x2: 55 63 79 91"]);
    gives("Gemm transB=1", &[a, b], &["2x2: 17 23 39 53"]);
    gives("Gemm transA=1 transB=1", &["2x1: 1 2", "3x2: 1 2 3 4 5 6", "1x1: 1"], &["1x3: 6 12 18"]);
    gives("Einsum equation=ij,jk->ik", &[a, b], &["2x2: 19 22 43 50"]);
    gives("Einsum equation=ii", &[a], &[": 5"]);
    gives("Einsum equation=ii->i", &[a], &["2: 1 4"]);
    gives("Einsum equation=ij->ji", &[a], &["2x2: 1 3 2 4"]);
    gives("Einsum equation=i,j->ij", &["2: 1 2", "3: 1 10 100"], &["2x3: 1 10 100 2 20 200"]);
    gives("Einsum equation=...i,...i->...", &["2x2: 1 2 3 4", "2: 1 10"], &["2: 21 43"]);
    gives("Einsum equation=ij,j,i->", &[a, "2: 1 10", "2: 1 100"], &[": 4321"]);
    gives("Einsum equation=i->", &["0:"], &[": 0"]);
}

#[test]
fn work_counts_products_twice() {
    let known = |shape: &[i64]| TensorType::known(DType::F32, shape);
    let (x, w, y) = (known(&[1, 4, 8, 8]), known(&[6, 2, 3, 3]), known(&[1, 6, 6, 6]));
    let conv = work(&op("Conv group=2"), &[Some(&x), Some(&w)], std::slice::from_ref(&y));
    assert_eq!((conv.flops, conv.launches), (2.0 * 216.0 * 18.0, 1));
    assert_eq!(conv.bytes, 4.0 * (256.0 + 108.0 + 216.0));
    let (a, b, c) = (known(&[2, 3]), known(&[3, 5]), known(&[2, 5]));
    assert_eq!(work(&op("MatMul"), &[Some(&a), Some(&b)], std::slice::from_ref(&c)).flops, 60.0);
    let einsum = op("Einsum equation=ij,jk->ik");
    assert_eq!(work(&einsum, &[Some(&a), Some(&b)], std::slice::from_ref(&c)).flops, 60.0);
    assert_eq!(work(&op("Gemm beta=2"), &[Some(&a), Some(&b), Some(&c)], std::slice::from_ref(&c)).flops, 80.0);
    assert_eq!(work(&op("Reshape shape=[6]"), &[Some(&a)], &[known(&[6])]), Work::default());
}
