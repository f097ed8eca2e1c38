//! Layers on images `[N, C, H, W]`: convolution, batch normalisation, pooling.

use super::builder::{Builder, Value, float, int, ints, string};
use super::moments::Moments;

/// A convolution's settings; symmetric pads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conv {
    out: u64,
    kernel: [u64; 2],
    stride: u64,
    pads: [u64; 2],
    group: u64,
    bias: bool,
}

impl Conv {
    /// A square kernel with stride 1, no padding, one group and no bias.
    pub(super) const fn new(out: u64, kernel: u64) -> Conv {
        Conv::rect(out, [kernel, kernel])
    }

    /// A kernel `[height, width]` with stride 1, no padding, one group and no bias.
    pub(super) const fn rect(out: u64, kernel: [u64; 2]) -> Conv {
        Conv { out, kernel, stride: 1, pads: [0, 0], group: 1, bias: false }
    }

    pub(super) const fn stride(self, stride: u64) -> Conv {
        Conv { stride, ..self }
    }

    /// Pads by half the kernel, so that stride 1 keeps the size.
    pub(super) const fn same(self) -> Conv {
        Conv { pads: [self.kernel[0] / 2, self.kernel[1] / 2], ..self }
    }

    pub(super) const fn group(self, group: u64) -> Conv {
        Conv { group, ..self }
    }

    pub(super) const fn bias(self) -> Conv {
        Conv { bias: true, ..self }
    }
}

/// A pooling window; symmetric pads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    kernel: u64,
    stride: u64,
    pad: u64,
    ceil: bool,
    count_pads: bool,
}

impl Pool {
    pub(super) const fn new(kernel: u64, stride: u64, pad: u64) -> Pool {
        Pool { kernel, stride, pad, ceil: false, count_pads: true }
    }

    /// Rounds the output size up.
    pub(super) const fn ceil(self) -> Pool {
        Pool { ceil: true, ..self }
    }

    /// Averages over the elements inside the image only.
    pub(super) const fn exclude_pads(self) -> Pool {
        Pool { count_pads: false, ..self }
    }
}

impl Builder {
    /// Number of positions of a window along an axis.
    fn positions(&mut self, scope: &str, size: u64, window: u64, stride: u64, pad: u64, ceil: bool) -> u64 {
        let padded = size + 2 * pad;
        if window > padded {
            self.fail(scope, format!("a window of {window} does not fit into {padded}: the image is too small"));
            return 1;
        }
        let floor = (padded - window) / stride + 1;
        let exact = (padded - window).is_multiple_of(stride);
        // As frameworks have it, a window that would start in the padding at the end does not count.
        if ceil && !exact && floor * stride < size + pad { floor + 1 } else { floor }
    }

    /// A convolution whose output has variance about one. Weights: `[out, in / group, kh, kw]`, bias `[out]`.
    pub(super) fn conv(&mut self, scope: &str, x: &Value, conv: Conv) -> Value {
        let in_per_group = self.quotient(scope, x.dim(1), conv.group);
        self.quotient(scope, conv.out, conv.group);
        let [kh, kw] = conv.kernel;
        let fan_in = (in_per_group * kh * kw) as f64;
        let std = (fan_in * x.moments.power()).powf(-0.5);
        let weight = self.normal(&format!("{scope}.weight"), &[conv.out, in_per_group, kh, kw], std);
        let h = self.positions(scope, x.dim(2), kh, conv.stride, conv.pads[0], false);
        let w = self.positions(scope, x.dim(3), kw, conv.stride, conv.pads[1], false);
        let bias = conv.bias.then(|| self.uniform(&format!("{scope}.bias"), &[conv.out], -0.2, 0.2));
        let inputs: Vec<&Value> = [x, &weight].into_iter().chain(&bias).collect();
        let [ph, pw] = conv.pads;
        let attrs = [
            ("dilations", ints(&[1, 1])),
            ("group", int(conv.group as i64)),
            ("kernel_shape", ints(&conv.kernel)),
            ("pads", ints(&[ph, pw, ph, pw])),
            ("strides", ints(&[conv.stride, conv.stride])),
        ];
        self.node(scope, "Conv", &inputs, &attrs, &[x.dim(0), conv.out, h, w], Moments::UNIT)
    }

    /// Batch normalisation with running statistics near the expected ones, gamma near 1 and beta near 0.
    pub(super) fn batch_norm(&mut self, scope: &str, x: &Value, epsilon: f32) -> Value {
        self.scaled_batch_norm(scope, x, epsilon, 1.0)
    }

    /// Batch normalisation alone as a shortcut around a sum of branches. Its gamma is near a half: what is skewed
    /// passes such a shortcut again and again, and would grow with depth beyond what the estimates see.
    pub(super) fn shortcut_batch_norm(&mut self, scope: &str, x: &Value, epsilon: f32) -> Value {
        self.scaled_batch_norm(scope, x, epsilon, 0.5)
    }

    fn scaled_batch_norm(&mut self, scope: &str, x: &Value, epsilon: f32, gain: f64) -> Value {
        let channels = [x.dim(1)];
        // The expected square stands for the variance (of a centred input it is the same), so that the normalisation
        // of an input that is not centred amplifies nothing.
        let (mean, var) = (x.moments.mean, x.moments.power());
        let spread = 0.2 * var.sqrt();
        let gamma = self.uniform(&format!("{scope}.weight"), &channels, 0.9 * gain, 1.1 * gain);
        let beta = self.uniform(&format!("{scope}.bias"), &channels, -0.2, 0.2);
        let running_mean = self.uniform(&format!("{scope}.running_mean"), &channels, mean - spread, mean + spread);
        let running_var = self.uniform(&format!("{scope}.running_var"), &channels, 0.5 * var, 1.5 * var);
        let inputs = [x, &gamma, &beta, &running_mean, &running_var];
        let attrs = [("epsilon", float(epsilon)), ("momentum", float(0.9))];
        // E[1 / v] over v uniform on [0.5, 1.5] is ln 3.
        let moments = Moments::new(0.0, gain * gain * 1.1 * x.moments.var / var);
        self.node(scope, "BatchNormalization", &inputs, &attrs, &x.shape, moments)
    }

    /// max(x, 0).
    pub(super) fn relu(&mut self, scope: &str, x: &Value) -> Value {
        self.node(scope, "Relu", &[x], &[], &x.shape, x.moments.relu())
    }

    /// min(max(x, 0), 6) as a Clip with its bounds as inputs.
    pub(super) fn relu6(&mut self, scope: &str, x: &Value) -> Value {
        let (low, high) = (self.scalar(scope, 0.0), self.scalar(scope, 6.0));
        self.node(scope, "Clip", &[x, &low, &high], &[], &x.shape, x.moments.relu())
    }

    /// Maximum over windows.
    pub(super) fn max_pool(&mut self, scope: &str, x: &Value, pool: Pool) -> Value {
        self.pool(scope, "MaxPool", x, pool, x.moments.maximum())
    }

    /// Mean over windows.
    pub(super) fn average_pool(&mut self, scope: &str, x: &Value, pool: Pool) -> Value {
        let moments = if pool.kernel == 1 { x.moments } else { x.moments.averaged() };
        self.pool(scope, "AveragePool", x, pool, moments)
    }

    fn pool(&mut self, scope: &str, op: &str, x: &Value, pool: Pool, moments: Moments) -> Value {
        let Pool { kernel, stride, pad, ceil, count_pads } = pool;
        let h = self.positions(scope, x.dim(2), kernel, stride, pad, ceil);
        let w = self.positions(scope, x.dim(3), kernel, stride, pad, ceil);
        let mut attrs = vec![("ceil_mode", int(ceil.into()))];
        if op == "AveragePool" {
            attrs.push(("count_include_pad", int(count_pads.into())));
        } else {
            attrs.push(("dilations", ints(&[1, 1])));
        }
        attrs.push(("kernel_shape", ints(&[kernel, kernel])));
        attrs.push(("pads", ints(&[pad; 4])));
        attrs.push(("strides", ints(&[stride, stride])));
        self.node(scope, op, &[x], &attrs, &[x.dim(0), x.dim(1), h, w], moments)
    }

    /// Mean over the image: `[N, C, 1, 1]`.
    pub(super) fn global_average_pool(&mut self, scope: &str, x: &Value) -> Value {
        self.node(scope, "GlobalAveragePool", &[x], &[], &[x.dim(0), x.dim(1), 1, 1], x.moments.averaged())
    }

    /// Adds one row and one column of zeros at the end, then drops the first ones: the image shifted by a pixel.
    pub(super) fn shift_by_one(&mut self, scope: &str, x: &Value) -> Value {
        let pads = self.ints(scope, &[8], &[0, 0, 0, 0, 0, 0, 1, 1]);
        let zero = self.scalar(scope, 0.0);
        let [n, c, h, w] = [x.dim(0), x.dim(1), x.dim(2), x.dim(3)];
        let attrs = [("mode", string("constant"))];
        let padded = self.node(scope, "Pad", &[x, &pads, &zero], &attrs, &[n, c, h + 1, w + 1], x.moments);
        let [starts, ends, axes, steps] =
            [[1, 1], [i64::MAX, i64::MAX], [2, 3], [1, 1]].map(|values| self.ints(scope, &[2], &values));
        self.node(scope, "Slice", &[&padded, &starts, &ends, &axes, &steps], &[], &x.shape, x.moments)
    }

    /// Mean over the image, then one linear layer: the classifier of most image networks.
    pub(super) fn pool_and_classify(&mut self, scope: &str, x: &Value, classes: u64) -> Value {
        let pooled = self.global_average_pool("avgpool", x);
        let flat = self.flatten("", &pooled);
        self.linear(scope, &flat, classes)
    }
}
