//! Inference, evaluation and symbolic inference agree, for every operator on random operands of known shapes.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// An operand: element type, shape, elements.
struct Operand {
    dtype: DType,
    array: Array<f64>,
}

/// Draws operands and attributes.
struct Draw {
    rng: StdRng,
}

impl Draw {
    fn int(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high)
    }

    fn size(&mut self, low: usize, high: usize) -> usize {
        self.rng.random_range(low..=high)
    }

    fn chance(&mut self) -> bool {
        self.rng.random_range(0..2) == 0
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.rng.random_range(0..values.len())]
    }

    fn shape(&mut self, low: usize, high: usize) -> Vec<usize> {
        (0..self.size(low, high)).map(|_| self.size(1, 5)).collect()
    }

    /// An axis of `rank`, counted from either end.
    fn axis(&mut self, rank: usize) -> i64 {
        self.int(-(rank as i64), rank as i64 - 1)
    }

    fn list(&mut self, len: usize, low: i64, high: i64) -> Vec<i64> {
        (0..len).map(|_| self.int(low, high)).collect()
    }

    /// Some axes of `rank`, none twice.
    fn axes(&mut self, rank: usize) -> Vec<i64> {
        (0..rank as i64).filter(|_| self.rng.random_range(0..2) == 0).collect()
    }

    fn of(&mut self, dtype: DType, shape: &[usize]) -> Operand {
        let count: usize = shape.iter().product();
        let (low, high) = if dtype == DType::Bool { (0, 1) } else { (-4, 4) };
        let data = (0..count).map(|_| self.int(low, high) as f64).collect();
        Operand { dtype, array: Array::new(shape, data).unwrap() }
    }

    fn float(&mut self, shape: &[usize]) -> Operand {
        self.of(DType::F64, shape)
    }

    /// A shape that broadcasts with `shape`.
    fn broadcastable(&mut self, shape: &[usize]) -> Vec<usize> {
        let skip = self.size(0, shape.len());
        shape[skip..].iter().map(|&n| if self.chance() { n } else { 1 }).collect()
    }
}

fn ints(values: &[i64]) -> Operand {
    Operand { dtype: DType::I64, array: Array::from_i64s(values) }
}

fn int(value: i64) -> Operand {
    Operand { dtype: DType::I64, array: Array::scalar(value as f64) }
}

type Case = (String, Vec<Option<Operand>>);

fn some(operands: impl IntoIterator<Item = Operand>) -> Vec<Option<Operand>> {
    operands.into_iter().map(Some).collect()
}

fn window(draw: &mut Draw, rank: usize) -> (Vec<i64>, String) {
    let kernel = draw.list(rank, 1, 3);
    let auto = draw.pick(&["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]);
    let pads: Vec<i64> = (0..2 * rank).map(|i| draw.int(0, kernel[i % rank] - 1)).collect();
    let text = format!(
        "auto_pad={auto} strides={:?} dilations={:?} pads={:?}",
        draw.list(rank, 1, 3),
        draw.list(rank, 1, 2),
        if auto == "NOTSET" { pads } else { vec![0; 2 * rank] },
    );
    (kernel, text)
}

fn sized(kernel: &[i64]) -> impl Iterator<Item = usize> {
    kernel.iter().map(|&k| k as usize)
}

/// An application that is valid, or nearly always.
fn case(kind: OpKind, draw: &mut Draw) -> Case {
    use OpKind::*;
    let number = draw.pick(&[DType::F64, DType::I64]);
    let x = draw.shape(1, 4);
    let rank = x.len();
    let axis = draw.axis(rank);
    let at = axis.rem_euclid(rank as i64) as usize;
    let named = |attrs: String| format!("{kind} {attrs}");
    match kind {
        Add | Sub | Mul | Div | Pow | Mod | Equal | Less | LessOrEqual | Greater | GreaterOrEqual => {
            let y = draw.broadcastable(&x);
            (kind.to_string(), some([draw.of(number, &x), draw.of(number, &y)]))
        }
        And | Or | Xor => {
            let y = draw.broadcastable(&x);
            (kind.to_string(), some([draw.of(DType::Bool, &y), draw.of(DType::Bool, &x)]))
        }
        PRelu => {
            let slope = draw.broadcastable(&x);
            (kind.to_string(), some([draw.float(&x), draw.float(&slope)]))
        }
        Min | Max | Mean | Sum => {
            let dtype = if matches!(kind, Min | Max) { number } else { DType::F64 };
            let count = draw.size(1, 3);
            let shapes: Vec<_> = (0..count).map(|_| draw.broadcastable(&x)).collect();
            (kind.to_string(), some(shapes.iter().map(|shape| draw.of(dtype, shape))))
        }
        Where => {
            let (c, y) = (draw.broadcastable(&x), draw.broadcastable(&x));
            (kind.to_string(), some([draw.of(DType::Bool, &c), draw.of(number, &x), draw.of(number, &y)]))
        }
        Not => (kind.to_string(), some([draw.of(DType::Bool, &x)])),
        Neg | Abs | Sign | Identity => (kind.to_string(), some([draw.of(number, &x)])),
        Sqrt | Exp | Log | Reciprocal | Floor | Ceil | Round | IsNaN | IsInf | Erf | Sin | Cos | Tan | Asin | Acos
        | Atan | Sinh | Cosh | Tanh | Asinh | Acosh | Atanh | Relu | LeakyRelu | Sigmoid | Gelu | HardSigmoid
        | HardSwish | Elu | Selu | Celu | ThresholdedRelu | Softplus | Softsign | Mish | Dropout => {
            (kind.to_string(), some([draw.float(&x)]))
        }
        Clip => match draw.chance() {
            true => (named("min=-1 max=2".into()), some([draw.float(&x)])),
            false => (kind.to_string(), some([draw.of(number, &x), draw.of(number, &[]), draw.of(number, &[])])),
        },
        Cast => (named(format!("to={}", draw.pick(&[1, 7, 9, 11]))), some([draw.of(number, &x)])),
        Softmax | LogSoftmax | Hardmax => {
            (named(format!("axis={axis} coerced={}", draw.int(0, 1))), some([draw.float(&x)]))
        }
        LpNormalization => (named(format!("axis={axis} p={}", draw.int(1, 2))), some([draw.float(&x)])),
        CumSum => {
            let attrs = format!("exclusive={} reverse={}", draw.int(0, 1), draw.int(0, 1));
            match draw.chance() {
                true => (named(format!("axis={axis} {attrs}")), some([draw.of(number, &x)])),
                false => (named(attrs), some([draw.of(number, &x), int(axis)])),
            }
        }
        ReduceSum | ReduceMean | ReduceMax | ReduceMin | ReduceProd | ReduceL1 | ReduceL2 | ReduceLogSum
        | ReduceLogSumExp | ReduceSumSquare => {
            let (axes, keep) = (draw.axes(rank), draw.int(0, 1));
            match draw.chance() && !axes.is_empty() {
                true => (named(format!("axes={axes:?} keepdims={keep}")), some([draw.float(&x)])),
                false => {
                    let noop = draw.int(0, 1);
                    (named(format!("keepdims={keep} noop_with_empty_axes={noop}")), some([draw.float(&x), ints(&axes)]))
                }
            }
        }
        ArgMax | ArgMin => (named(format!("axis={axis} keepdims={}", draw.int(0, 1))), some([draw.float(&x)])),
        TopK => {
            let k = draw.int(0, x[at] as i64);
            (named(format!("axis={axis} largest={}", draw.int(0, 1))), some([draw.float(&x), ints(&[k])]))
        }
        BatchNormalization => {
            let x = draw.shape(2, 4);
            let c = [x[1]];
            (kind.to_string(), some([&x[..], &c, &c, &c, &c].map(|shape| draw.float(shape))))
        }
        LayerNormalization | RMSNormalization => {
            let scale = &x[at..];
            let mut operands = some([draw.float(&x), draw.float(scale)]);
            if kind == LayerNormalization && draw.chance() {
                operands.push(Some(draw.float(scale)));
            }
            (named(format!("axis={axis}")), operands)
        }
        InstanceNormalization => {
            let x = draw.shape(3, 4);
            let c = [x[1]];
            (kind.to_string(), some([&x[..], &c, &c].map(|shape| draw.float(shape))))
        }
        GroupNormalization => {
            let (groups, per_group) = (draw.size(1, 3), draw.size(1, 2));
            let c = groups * per_group;
            let x = [draw.size(1, 2), c, draw.size(1, 3), 2];
            (named(format!("num_groups={groups}")), some([&x[..], &[c], &[c]].map(|shape| draw.float(shape))))
        }
        LRN => {
            let x = draw.shape(3, 4);
            (named(format!("size={}", draw.int(1, 4))), some([draw.float(&x)]))
        }
        Conv | ConvTranspose => {
            let spatial = draw.size(1, 3);
            let (kernel, attrs) = window(draw, spatial);
            let (group, depth, width) = (draw.size(1, 2), draw.size(1, 2), draw.size(1, 2));
            let sizes: Vec<usize> = (0..spatial).map(|_| draw.size(3, 6)).collect();
            let x: Vec<usize> = [draw.size(1, 2), group * depth].into_iter().chain(sizes).collect();
            let lead = if kind == Conv { [group * width, depth] } else { [group * depth, width] };
            let w: Vec<usize> = lead.into_iter().chain(sized(&kernel)).collect();
            let mut operands = some([draw.float(&x), draw.float(&w)]);
            if draw.chance() {
                operands.push(Some(draw.float(&[group * width])));
            }
            (named(format!("{attrs} group={group}")), operands)
        }
        MatMul => {
            let (m, k, n) = (draw.size(1, 4), draw.size(1, 4), draw.size(1, 4));
            let other = draw.broadcastable(&x[..rank.min(2)]);
            let (a, b) = match draw.size(0, 3) {
                0 => (vec![k], vec![k, n]),
                1 => ([&x[..rank.min(2)], &[m, k]].concat(), vec![k]),
                _ => ([&x[..rank.min(2)], &[m, k]].concat(), [&other[..], &[k, n]].concat()),
            };
            (kind.to_string(), some([draw.of(number, &a), draw.of(number, &b)]))
        }
        Gemm => {
            let (m, k, n) = (draw.size(1, 4), draw.size(1, 4), draw.size(1, 4));
            let (ta, tb) = (draw.chance(), draw.chance());
            let a = if ta { [k, m] } else { [m, k] };
            let b = if tb { [n, k] } else { [k, n] };
            let c = draw.broadcastable(&[m, n]);
            let attrs = format!("transA={} transB={} alpha=2 beta=0.5", u8::from(ta), u8::from(tb));
            (named(attrs), some([draw.float(&a), draw.float(&b), draw.float(&c)]))
        }
        Einsum => {
            let (i, j, k) = (draw.size(1, 4), draw.size(1, 4), draw.size(1, 4));
            let batch = draw.broadcastable(&[2, 3]);
            let (a, b) = ([&[2, 3][..], &[i, j]].concat(), [&batch[..], &[j, k]].concat());
            match draw.size(0, 2) {
                0 => (named("equation=...ij,...jk->...ik".into()), some([draw.float(&a), draw.float(&b)])),
                1 => (named("equation=iji->ji".into()), some([draw.float(&[i, j, i])])),
                _ => (named("equation=ij,k,jk".into()), some([&[i, j][..], &[k], &[j, k]].map(|s| draw.float(s)))),
            }
        }
        MaxPool | AveragePool => {
            let spatial = draw.size(1, 3);
            let (kernel, attrs) = window(draw, spatial);
            let sizes: Vec<usize> = (0..spatial).map(|_| draw.size(5, 8)).collect();
            let x: Vec<usize> = [draw.size(1, 2), 2].into_iter().chain(sizes).collect();
            (named(format!("{attrs} kernel_shape={kernel:?} ceil_mode={}", draw.int(0, 1))), some([draw.float(&x)]))
        }
        GlobalAveragePool | GlobalMaxPool => {
            let x = draw.shape(3, 5);
            (kind.to_string(), some([draw.float(&x)]))
        }
        Concat => {
            let count = draw.size(1, 3);
            let mut part = x.clone();
            let mut operands = Vec::new();
            for _ in 0..count {
                part[at] = draw.size(0, 3);
                operands.push(Some(draw.of(number, &part)));
            }
            (named(format!("axis={axis}")), operands)
        }
        Split => {
            let first = draw.int(0, x[at] as i64);
            let parts = [first, x[at] as i64 - first];
            match draw.chance() {
                true => (named(format!("axis={axis} split={parts:?}")), some([draw.of(number, &x)])),
                false => (named(format!("axis={axis}")), some([draw.of(number, &x), ints(&parts)])),
            }
        }
        Slice => {
            let axes = draw.axes(rank);
            let (starts, ends) = (draw.list(axes.len(), -6, 6), draw.list(axes.len(), -6, 6));
            let steps: Vec<i64> = axes.iter().map(|_| draw.pick(&[1, 1, 2, -1, -2])).collect();
            match draw.chance() {
                true => {
                    let attrs = format!("starts={starts:?} ends={ends:?} axes={axes:?} steps={steps:?}");
                    (named(attrs), some([draw.of(number, &x)]))
                }
                false => {
                    let lists = [starts, ends, axes, steps].map(|list| ints(&list));
                    (kind.to_string(), some([draw.of(number, &x)].into_iter().chain(lists)))
                }
            }
        }
        Gather | GatherElements => {
            let mut shape = if kind == Gather { draw.shape(0, 2) } else { x.clone() };
            if kind == GatherElements {
                shape[at] = draw.size(1, 3);
            }
            let len = x[at] as i64;
            let count: usize = shape.iter().product();
            let data = draw.list(count, -len, len - 1).into_iter().map(|v| v as f64).collect();
            let indices = Operand { dtype: DType::I64, array: Array::new(&shape, data).unwrap() };
            (named(format!("axis={axis}")), some([draw.of(number, &x), indices]))
        }
        GatherND => {
            let batch = draw.size(0, rank - 1);
            let depth = draw.size(1, rank - batch);
            let rows = draw.size(1, 3);
            let lead = [&x[..batch], &[rows]].concat();
            let mut data = Vec::new();
            for _ in 0..lead.iter().product() {
                data.extend((0..depth).map(|k| draw.int(0, x[batch + k] as i64 - 1) as f64));
            }
            let indices = Array::new(&[&lead[..], &[depth]].concat(), data).unwrap();
            let indices = Operand { dtype: DType::I64, array: indices };
            (named(format!("batch_dims={batch}")), some([draw.of(number, &x), indices]))
        }
        Transpose => {
            let mut perm: Vec<usize> = (0..rank).collect();
            (0..rank).for_each(|i| perm.swap(i, draw.size(i, rank - 1)));
            (named(format!("perm={perm:?}")), some([draw.of(number, &x)]))
        }
        Reshape => {
            let mut target: Vec<i64> = x.iter().rev().map(|&n| n as i64).collect();
            let open = draw.size(0, rank);
            if open < rank {
                target[open] = -1;
            }
            match draw.chance() {
                true => (named(format!("shape={target:?}")), some([draw.of(number, &x)])),
                false => (kind.to_string(), some([draw.of(number, &x), ints(&target)])),
            }
        }
        Flatten => (named(format!("axis={axis}")), some([draw.of(number, &x)])),
        Squeeze => {
            let axes: Vec<i64> = (0..rank as i64).filter(|&i| x[i as usize] == 1).collect();
            match draw.size(0, 2) {
                0 => (kind.to_string(), some([draw.of(number, &x)])),
                1 => (named(format!("axes={axes:?}")), some([draw.of(number, &x)])),
                _ => (kind.to_string(), some([draw.of(number, &x), ints(&axes)])),
            }
        }
        Unsqueeze => {
            let axes = draw.axes(rank + 1);
            let axes: Vec<i64> =
                axes.iter().enumerate().filter(|(i, a)| **a <= (rank + i) as i64).map(|(_, a)| *a).collect();
            match draw.chance() {
                true => (named(format!("axes={axes:?}")), some([draw.of(number, &x)])),
                false => (kind.to_string(), some([draw.of(number, &x), ints(&axes)])),
            }
        }
        Expand => {
            let from = draw.broadcastable(&x);
            let target: Vec<i64> = x.iter().map(|&n| n as i64).collect();
            match draw.chance() {
                true => (named(format!("shape={target:?}")), some([draw.of(number, &from)])),
                false => (kind.to_string(), some([draw.of(number, &from), ints(&target)])),
            }
        }
        Tile => {
            let repeats = draw.list(rank, 0, 3);
            match draw.chance() {
                true => (named(format!("repeats={repeats:?}")), some([draw.of(number, &x)])),
                false => (kind.to_string(), some([draw.of(number, &x), ints(&repeats)])),
            }
        }
        Pad => {
            let mode = draw.pick(&["constant", "reflect", "edge", "wrap"]);
            let pads = draw.list(2 * rank, -1, 3);
            match draw.chance() {
                true => (named(format!("mode={mode} pads={pads:?} value=3")), some([draw.of(number, &x)])),
                false => {
                    (named(format!("mode={mode}")), some([draw.of(number, &x), ints(&pads), draw.of(number, &[])]))
                }
            }
        }
        DepthToSpace => {
            let (block, mode) = (draw.size(1, 3), draw.pick(&["DCR", "CRD"]));
            let x = [1, block * block * draw.size(1, 2), draw.size(1, 3), draw.size(1, 3)];
            (named(format!("blocksize={block} mode={mode}")), some([draw.of(number, &x)]))
        }
        SpaceToDepth => {
            let block = draw.size(1, 3);
            let x = [1, draw.size(1, 2), block * draw.size(1, 3), block * draw.size(1, 3)];
            (named(format!("blocksize={block}")), some([draw.of(number, &x)]))
        }
        Trilu => {
            let x = draw.shape(2, 3);
            let k = draw.int(-3, 3);
            (named(format!("upper={}", draw.int(0, 1))), some([draw.of(number, &x), int(k)]))
        }
        Resize => {
            let mode = draw.pick(&["nearest", "linear"]);
            let transform = draw.pick(&["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"]);
            let attrs = format!("mode={mode} coordinate_transformation_mode={transform}");
            match draw.size(0, 2) {
                0 => (named(format!("{attrs} sizes={:?}", draw.list(rank, 1, 6))), some([draw.float(&x)])),
                1 => {
                    let scales: Vec<f64> = x.iter().map(|_| draw.pick(&[1.0, 2.0, 3.0, 1.0])).collect();
                    (named(format!("{attrs} scales={scales:?}")), some([draw.float(&x)]))
                }
                _ => {
                    let sizes = ints(&draw.list(rank, 1, 6));
                    (named(attrs), vec![Some(draw.float(&x)), None, None, Some(sizes)])
                }
            }
        }
        Shape => (named(format!("start={} end={}", draw.int(-3, 3), draw.int(-3, 5))), some([draw.float(&x)])),
        Size => (kind.to_string(), some([draw.float(&x)])),
        ConstantOfShape => {
            let shape: Vec<i64> = x.iter().map(|&n| n as i64).collect();
            match draw.chance() {
                true => (named(format!("value=3 dtype=7 shape={shape:?}")), Vec::new()),
                false => (named("value=3 dtype=7".into()), some([ints(&shape)])),
            }
        }
        Range => {
            let (start, limit, step) = (draw.int(-5, 5), draw.int(-5, 5), draw.pick(&[1, 2, -1, -3]));
            (kind.to_string(), some([int(start), int(limit), int(step)]))
        }
        Constant => (named("value_ints=[3, 4]".into()), Vec::new()),
        LSTM | GRU => {
            let (steps, batch, inputs, hidden) = (draw.size(1, 3), draw.size(1, 3), draw.size(1, 3), draw.size(1, 3));
            let (direction, ways) = draw.pick(&[("forward", 1), ("reverse", 1), ("bidirectional", 2)]);
            let gates = if kind == LSTM { 4 } else { 3 };
            let shapes =
                [vec![steps, batch, inputs], vec![ways, gates * hidden, inputs], vec![ways, gates * hidden, hidden]];
            (named(format!("hidden_size={hidden} direction={direction}")), some(shapes.map(|shape| draw.float(&shape))))
        }
        Enlarge => {
            let kernel = draw.list(2, 1, 3);
            let w: Vec<usize> = [2, 3].into_iter().chain(sized(&kernel)).collect();
            let grown: Vec<i64> = kernel.iter().map(|k| k + 2 * draw.int(0, 2)).collect();
            (named(format!("kernel_shape={grown:?}")), some([draw.float(&w)]))
        }
        IdentityKernel => {
            let (group, per_group) = (draw.int(1, 3), draw.int(1, 3));
            let kernel = draw.list(2, 1, 3);
            (named(format!("channels={} group={group} kernel_shape={kernel:?}", group * per_group)), Vec::new())
        }
        IdentityMatrix => (named(format!("size={}", draw.int(1, 4))), Vec::new()),
        PoolKernel => (named(format!("channels={} kernel_shape={:?}", draw.int(1, 3), draw.list(2, 1, 3))), Vec::new()),
        BlockDiagonal => {
            let count = draw.size(1, 3);
            let shapes: Vec<_> = (0..count).map(|_| [draw.size(1, 3), draw.size(1, 3), 2]).collect();
            (kind.to_string(), some(shapes.iter().map(|shape| draw.float(shape))))
        }
        Ungroup => {
            let (group, per_group) = (draw.size(1, 3), draw.size(1, 3));
            let w = [group * per_group, draw.size(1, 3), 2];
            (named(format!("group={group}")), some([draw.float(&w)]))
        }
    }
}

/// Facts of an operand. `symbolic` turns every size above 1 into a name for this size.
fn facts_of(operand: &Operand, symbolic: bool) -> Facts {
    let name = |n: i64| if symbolic && n > 1 { Dim::symbol(&format!("s{n}")) } else { Dim::Known(n) };
    let shape: Vec<Dim> = operand.array.shape.iter().map(|&n| name(n as i64)).collect();
    let integral = matches!(operand.dtype, DType::I64 | DType::Bool);
    let elements = integral.then(|| operand.array.data.iter().map(|&v| Dim::Known(v as i64)).collect());
    Facts { ty: Some(TensorType::new(operand.dtype, shape)), elements }
}

fn infer_case(op: &Op, operands: &[Option<Operand>], outputs: usize, symbolic: bool) -> Result<Vec<Facts>, OpError> {
    let facts: Vec<Option<Facts>> =
        operands.iter().map(|operand| operand.as_ref().map(|operand| facts_of(operand, symbolic))).collect();
    infer(op, &facts.iter().map(Option::as_ref).collect::<Vec<_>>(), outputs)
}

/// How inference states an array's shape.
fn shape_of(array: &Array<f64>) -> Vec<Dim> {
    array.shape.iter().map(|&n| Dim::Known(n as i64)).collect()
}

#[test]
fn inference_evaluation_and_symbolic_inference_agree() {
    let mut draw = Draw { rng: StdRng::seed_from_u64(11) };
    let sizes: BTreeMap<String, i64> = (2..200).map(|n| (format!("s{n}"), n)).collect();
    let mut faults = Vec::new();
    for &kind in OpKind::ALL {
        let (mut agreed, mut symbolic) = (0, 0);
        for _ in 0..60 {
            let (text, operands) = case(kind, &mut draw);
            let op = op(&text);
            let arrays: Vec<Option<&Array<f64>>> = operands.iter().map(|o| o.as_ref().map(|o| &o.array)).collect();
            let shown = || {
                let types = operands.iter().map(|o| o.as_ref().map(|o| facts_of(o, false)));
                format!("{text} {:?}", types.collect::<Vec<_>>())
            };
            let values = match evaluate(&op, &arrays) {
                Ok(values) => values,
                // What only evaluation can see (an empty window) is not counted; what inference sees must be seen too.
                Err(_) => continue,
            };
            let outputs = values.len();
            let inferred = match infer_case(&op, &operands, outputs, false) {
                Ok(inferred) => inferred,
                Err(error) => {
                    faults.push(format!("evaluated but refused by inference: {}: {error}", shown()));
                    continue;
                }
            };
            agreed += 1;
            for (facts, value) in inferred.iter().zip(&values) {
                let Some(ty) = &facts.ty else {
                    faults.push(format!("type unknown: {}", shown()));
                    continue;
                };
                if *ty.shape != *shape_of(value) {
                    faults.push(format!("{}: inferred {ty}, evaluated {:?}", shown(), value.shape));
                }
                let Some(elements) = &facts.elements else { continue };
                // Quotients and powers of integers are exact in evaluation and integers in a run.
                let known: Option<Vec<i64>> = elements.iter().map(Dim::known).collect();
                let exact: Vec<i64> = value.data.iter().map(|&v| v as i64).collect();
                if known.as_ref().is_some_and(|known| *known != exact) && !matches!(kind, OpKind::Div | OpKind::Pow) {
                    faults.push(format!("{}: elements {known:?}, evaluated {exact:?}", shown()));
                }
            }
            let named = match infer_case(&op, &operands, outputs, true) {
                Ok(named) => named,
                Err(error) => {
                    // Attributes that state sizes cannot be compared with names; those refusals are of certain misfits.
                    faults.push(format!("refused with names for sizes: {}: {error}", shown()));
                    continue;
                }
            };
            for (facts, value) in named.iter().zip(&values) {
                let Some(ty) = &facts.ty else { continue };
                symbolic += 1;
                let bound: Vec<Dim> = ty.shape.iter().map(|dim| dim.bind(&sizes)).collect();
                if bound != shape_of(value) {
                    faults.push(format!("{}: with names {ty}, evaluated {:?}", shown(), value.shape));
                }
            }
        }
        if agreed < 20 || symbolic < 10 {
            faults.push(format!("{kind}: only {agreed} cases agree, {symbolic} outputs with names"));
        }
    }
    let count = faults.len();
    faults.truncate(40);
    assert!(faults.is_empty(), "{count} faults\n{}", faults.join("\n"));
}
