//! Layers on vectors and sequences: linear layers, normalisation, element-wise operators, data movement.

use super::builder::{Builder, Value, float, int, ints};
use super::moments::Moments;
use crate::graph::DType;

/// Shape of two broadcast operands.
fn broadcast(a: &[u64], b: &[u64]) -> Vec<u64> {
    let rank = a.len().max(b.len());
    let at = |s: &[u64], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank).map(|i| if at(a, i) == 1 { at(b, i) } else { at(a, i) }).collect()
}

impl Builder {
    /// A linear layer with bias and output of variance about one. A matrix goes through Gemm with a weight
    /// `[out, in]`; anything of higher rank through MatMul with a weight `[in, out]` and an Add, as exporters write it.
    pub(super) fn linear(&mut self, scope: &str, x: &Value, out: u64) -> Value {
        if x.rank() == 2 {
            let std = (x.last() as f64 * x.moments.power()).powf(-0.5);
            let weight = self.normal(&format!("{scope}.weight"), &[out, x.last()], std);
            let bias = self.bias(scope, out);
            let attrs = [("alpha", float(1.0)), ("beta", float(1.0)), ("transB", int(1))];
            return self.node(scope, "Gemm", &[x, &weight, &bias], &attrs, &[x.dim(0), out], Moments::UNIT);
        }
        let product = self.linear_no_bias(scope, x, out);
        let bias = self.bias(scope, out);
        self.add(scope, &bias, &product)
    }

    /// A linear layer without bias: MatMul with a weight `[in, out]`.
    pub(super) fn linear_no_bias(&mut self, scope: &str, x: &Value, out: u64) -> Value {
        self.linear_scaled(scope, x, out, 1.0)
    }

    /// A linear layer without bias and with output of standard deviation about `std`.
    pub(super) fn linear_scaled(&mut self, scope: &str, x: &Value, out: u64, std: f64) -> Value {
        let weight_std = std * (x.last() as f64 * x.moments.power()).powf(-0.5);
        let weight = self.normal(&format!("{scope}.weight"), &[x.last(), out], weight_std);
        self.matmul(scope, x, &weight, Moments::new(0.0, std * std))
    }

    /// A bias vector.
    pub(super) fn bias(&mut self, scope: &str, size: u64) -> Value {
        self.uniform(&format!("{scope}.bias"), &[size], -0.2, 0.2)
    }

    /// Matrix product over the last two axes, broadcast over the others.
    pub(super) fn matmul(&mut self, scope: &str, a: &Value, b: &Value, moments: Moments) -> Value {
        let (ra, rb) = (a.rank(), b.rank());
        let mut shape = broadcast(&a.shape[..ra - 2], &b.shape[..rb - 2]);
        shape.extend([a.dim(ra - 2), b.dim(rb - 1)]);
        self.node(scope, "MatMul", &[a, b], &[], &shape, moments)
    }

    /// Layer normalisation over the last axis.
    pub(super) fn layer_norm(&mut self, scope: &str, x: &Value, epsilon: f32) -> Value {
        let gamma = self.uniform(&format!("{scope}.weight"), &[x.last()], 0.9, 1.1);
        let beta = self.bias(scope, x.last());
        let attrs = [("axis", int(-1)), ("epsilon", float(epsilon))];
        self.node(scope, "LayerNormalization", &[x, &gamma, &beta], &attrs, &x.shape, Moments::UNIT)
    }

    /// An embedding table `[rows, width]` looked up at `ids`.
    pub(super) fn embedding(&mut self, scope: &str, ids: &Value, rows: u64, width: u64) -> Value {
        let table = self.normal(&format!("{scope}.weight"), &[rows, width], 1.0);
        self.gather(scope, &table, ids, 0)
    }

    /// Elements of `x` along `axis` at `indices`.
    pub(super) fn gather(&mut self, scope: &str, x: &Value, indices: &Value, axis: usize) -> Value {
        let mut shape = x.shape[..axis].to_vec();
        shape.extend(&indices.shape);
        shape.extend(&x.shape[axis + 1..]);
        self.node(scope, "Gather", &[x, indices], &[("axis", int(axis as i64))], &shape, x.moments)
    }

    /// The slice of `x` at one index of `axis`, which disappears.
    pub(super) fn select(&mut self, scope: &str, x: &Value, axis: usize, index: i64) -> Value {
        let index = self.ints(scope, &[], &[index]);
        self.gather(scope, x, &index, axis)
    }

    /// Sum, broadcast.
    pub(super) fn add(&mut self, scope: &str, a: &Value, b: &Value) -> Value {
        let moments = if a.name == b.name { a.moments.scaled(2.0) } else { a.moments.plus(b.moments) };
        self.node(scope, "Add", &[a, b], &[], &broadcast(&a.shape, &b.shape), moments)
    }

    /// Sum of several values, from the left.
    pub(super) fn sum(&mut self, scope: &str, values: &[Value]) -> Value {
        let mut total = values[0].clone();
        for value in &values[1..] {
            total = self.add(scope, &total, value);
        }
        total
    }

    /// Product, broadcast.
    pub(super) fn mul(&mut self, scope: &str, a: &Value, b: &Value) -> Value {
        self.node(scope, "Mul", &[a, b], &[], &broadcast(&a.shape, &b.shape), a.moments.times(b.moments))
    }

    /// Multiplied by a number.
    pub(super) fn scale(&mut self, scope: &str, x: &Value, factor: f32) -> Value {
        let factor = self.scalar(scope, factor);
        self.mul(scope, x, &factor)
    }

    /// Divided by a number.
    pub(super) fn divide(&mut self, scope: &str, x: &Value, divisor: f32) -> Value {
        let by = self.scalar(scope, divisor);
        self.node(scope, "Div", &[x, &by], &[], &x.shape, x.moments.scaled(1.0 / f64::from(divisor)))
    }

    /// An element-wise operator of one input and no attributes.
    pub(super) fn unary(&mut self, scope: &str, op: &str, x: &Value, moments: Moments) -> Value {
        self.node(scope, op, &[x], &[], &x.shape, moments)
    }

    /// Hyperbolic tangent.
    pub(super) fn tanh(&mut self, scope: &str, x: &Value) -> Value {
        self.unary(scope, "Tanh", x, x.moments.tanh())
    }

    /// Logistic function.
    pub(super) fn sigmoid(&mut self, scope: &str, x: &Value) -> Value {
        self.unary(scope, "Sigmoid", x, x.moments.sigmoid())
    }

    /// x Φ(x) by its definition, as opset 17 has no operator for it: `x * (1 + erf(x / sqrt 2)) * 0.5`.
    pub(super) fn gelu(&mut self, scope: &str, x: &Value) -> Value {
        let inner = self.divide(scope, x, std::f32::consts::SQRT_2);
        let erf = self.unary(scope, "Erf", &inner, inner.moments.tanh());
        let one = self.scalar(scope, 1.0);
        let shifted = self.add(scope, &erf, &one);
        let product = self.mul(scope, x, &shifted);
        let half = self.scale(scope, &product, 0.5);
        // Close to the rectified normal.
        Value { moments: x.moments.relu(), ..half }
    }

    /// Softmax over the last axis.
    pub(super) fn softmax(&mut self, scope: &str, x: &Value) -> Value {
        let mean = 1.0 / x.last() as f64;
        self.node(scope, "Softmax", &[x], &[("axis", int(-1))], &x.shape, Moments::new(mean, mean * mean))
    }

    /// A boolean or arithmetic comparison, broadcast.
    pub(super) fn binary(&mut self, scope: &str, op: &str, a: &Value, b: &Value) -> Value {
        self.node(scope, op, &[a, b], &[], &broadcast(&a.shape, &b.shape), Moments::UNIT)
    }

    /// `x` where `mask` holds, else a large negative number that a softmax turns into zero.
    pub(super) fn keep_where(&mut self, scope: &str, mask: &Value, x: &Value) -> Value {
        let never = self.scalar(scope, f32::MIN);
        self.node(scope, "Where", &[mask, x, &never], &[], &broadcast(&mask.shape, &x.shape), x.moments)
    }

    /// Conversion to another element type.
    pub(super) fn cast(&mut self, scope: &str, x: &Value, to: DType) -> Value {
        self.node(scope, "Cast", &[x], &[("to", int(to.onnx().into()))], &x.shape, x.moments)
    }

    /// The mask `[size, size]` of positions that may look at each other: column up to `after` beyond the row (0 is
    /// causal), and at most `before` behind it if that is given.
    pub(super) fn band_mask(&mut self, scope: &str, size: u64, before: Option<u64>, after: u64) -> Value {
        let ones = self.ones(scope, &[size, size]);
        let k = self.ints(scope, &[], &[after as i64]);
        let mut band = self.node(scope, "Trilu", &[&ones, &k], &[("upper", int(0))], &ones.shape, ones.moments);
        if let Some(before) = before {
            let k = self.ints(scope, &[], &[-(before as i64)]);
            band = self.node(scope, "Trilu", &[&band, &k], &[("upper", int(1))], &ones.shape, ones.moments);
        }
        self.cast(scope, &band, DType::Bool)
    }

    /// The same elements in another shape.
    pub(super) fn reshape(&mut self, scope: &str, x: &Value, shape: &[u64]) -> Value {
        if x.shape.iter().product::<u64>() != shape.iter().product::<u64>() {
            self.fail(scope, format!("{:?} does not reshape to {shape:?}", x.shape));
        }
        let target: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let target = self.ints(scope, &[shape.len() as u64], &target);
        self.node(scope, "Reshape", &[x, &target], &[("allowzero", int(0))], shape, x.moments)
    }

    /// `[N, …]` as a matrix `[N, …]`.
    pub(super) fn flatten(&mut self, scope: &str, x: &Value) -> Value {
        let shape = [x.dim(0), x.shape[1..].iter().product()];
        self.node(scope, "Flatten", &[x], &[("axis", int(1))], &shape, x.moments)
    }

    /// Axes in another order.
    pub(super) fn transpose(&mut self, scope: &str, x: &Value, perm: &[u64]) -> Value {
        let shape: Vec<u64> = perm.iter().map(|&p| x.dim(p as usize)).collect();
        self.node(scope, "Transpose", &[x], &[("perm", ints(perm))], &shape, x.moments)
    }

    /// A new axis of size 1.
    pub(super) fn unsqueeze(&mut self, scope: &str, x: &Value, axis: usize) -> Value {
        let axes = self.ints(scope, &[1], &[axis as i64]);
        let mut shape = x.shape.clone();
        shape.insert(axis, 1);
        self.node(scope, "Unsqueeze", &[x, &axes], &[], &shape, x.moments)
    }

    /// An axis of size 1 removed.
    pub(super) fn squeeze(&mut self, scope: &str, x: &Value, axis: usize) -> Value {
        let axes = self.ints(scope, &[1], &[axis as i64]);
        let mut shape = x.shape.clone();
        shape.remove(axis);
        self.node(scope, "Squeeze", &[x, &axes], &[], &shape, x.moments)
    }

    /// Concatenation.
    pub(super) fn concat(&mut self, scope: &str, parts: &[Value], axis: usize) -> Value {
        let mut shape = parts[0].shape.clone();
        shape[axis] = parts.iter().map(|v| v.dim(axis)).sum();
        let weights: Vec<(f64, Moments)> = parts.iter().map(|v| (v.dim(axis) as f64, v.moments)).collect();
        let inputs: Vec<&Value> = parts.iter().collect();
        self.node(scope, "Concat", &inputs, &[("axis", int(axis as i64))], &shape, Moments::mixed(&weights))
    }

    /// Parts of the given sizes along `axis`.
    pub(super) fn split(&mut self, scope: &str, x: &Value, axis: usize, sizes: &[u64]) -> Vec<Value> {
        if sizes.iter().sum::<u64>() != x.dim(axis) {
            self.fail(scope, format!("{sizes:?} does not split {}", x.dim(axis)));
        }
        let values: Vec<i64> = sizes.iter().map(|&n| n as i64).collect();
        let split = self.ints(scope, &[sizes.len() as u64], &values);
        let shape_of = |&size: &u64| {
            let mut shape = x.shape.clone();
            shape[axis] = size;
            shape
        };
        let shapes: Vec<Vec<u64>> = sizes.iter().map(shape_of).collect();
        self.nodes(scope, "Split", &[x, &split], &[("axis", int(axis as i64))], &shapes, x.moments)
    }

    /// Elements `start..end` along `axis`.
    pub(super) fn slice(&mut self, scope: &str, x: &Value, axis: usize, start: u64, end: u64) -> Value {
        let [starts, ends, axes, steps] =
            [start as i64, end as i64, axis as i64, 1].map(|value| self.ints(scope, &[1], &[value]));
        let mut shape = x.shape.clone();
        shape[axis] = end - start;
        self.node(scope, "Slice", &[x, &starts, &ends, &axes, &steps], &[], &shape, x.moments)
    }
}
