//! Named settings: which inputs there are, and which operator instances.

use super::operator::{Limits, Operator};

/// An input that graphs may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name in rules.
    pub name: &'static str,
    /// Its sizes; none for a scalar.
    pub dims: &'static [u8],
    /// Whether it is a kernel, so that it is never convolved itself.
    pub weight: bool,
}

/// What graphs are made of. Inputs of one shape stand side by side; exchanging them renames a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// The operator instances as they are counted.
    pub operators: Vec<Operator>,
    /// Bounds on what operators apply to.
    pub limits: Limits,
}

const fn image(name: &'static str, dims: &'static [u8]) -> Input {
    Input { name, dims, weight: false }
}

const fn kernel(name: &'static str, dims: &'static [u8]) -> Input {
    Input { name, dims, weight: true }
}

impl Preset {
    /// The configuration of TASO's public generator: 20 inputs, 26 operator instances.
    pub fn taso() -> Preset {
        use Operator::*;
        let conv = |h, w, relu| Conv { kernel: [h, w], stride: 1, relu };
        Preset {
            name: "taso",
            inputs: vec![
                image("x1", &[2, 4]),
                image("x2", &[2, 4]),
                image("x3", &[2, 4]),
                kernel("w1", &[4, 4]),
                kernel("w2", &[4, 4]),
                kernel("w3", &[4, 4]),
                image("i1", &[2, 4, 5, 5]),
                image("i2", &[2, 4, 5, 5]),
                image("i3", &[2, 4, 5, 5]),
                kernel("k1", &[4, 4, 3, 3]),
                kernel("k2", &[4, 4, 3, 3]),
                kernel("k3", &[4, 4, 3, 3]),
                kernel("r1", &[4, 4, 1, 3]),
                kernel("r2", &[4, 4, 1, 3]),
                kernel("r3", &[4, 4, 1, 3]),
                kernel("c1", &[4, 4, 3, 1]),
                kernel("c2", &[4, 4, 3, 1]),
                kernel("c3", &[4, 4, 3, 1]),
                kernel("d1", &[4, 1, 3, 3]),
                image("s", &[]),
            ],
            operators: vec![
                MatMul,
                Add,
                Mul,
                conv(3, 3, false),
                conv(3, 3, true),
                conv(1, 3, false),
                conv(1, 3, true),
                conv(1, 1, false),
                conv(1, 1, true),
                AveragePool,
                MaxPool,
                PoolKernel,
                IdentityKernel,
                IdentityMatrix,
                Ones,
                Enlarge,
                Scale,
                Relu,
                Concat { rank: 2, axis: 1 },
                Concat { rank: 2, axis: 0 },
                Concat { rank: 4, axis: 1 },
                Concat { rank: 4, axis: 0 },
                Split { axis: 1 },
                Split { axis: 0 },
                Transpose { view: true },
                Transpose { view: false },
            ],
            limits: Limits { elements: 512, no_inner: Some(2) },
        }
    }

    /// What real models need beyond TASO's: numbers for each channel (biases, normalisation as an affine map), strided and
    /// depthwise convolution, batched products of matrices, Softmax and other activations.
    pub fn standard() -> Preset {
        use super::operator::Function;
        use Operator::*;
        Preset {
            name: "default",
            inputs: vec![
                image("x1", &[2, 4]),
                image("x2", &[2, 4]),
                kernel("w1", &[4, 4]),
                kernel("w2", &[4, 4]),
                image("q1", &[2, 3, 4]),
                image("q2", &[2, 3, 4]),
                image("m1", &[2, 4, 4]),
                image("m2", &[2, 4, 4]),
                image("i1", &[1, 4, 4, 4]),
                image("i2", &[1, 4, 4, 4]),
                kernel("k1", &[4, 4, 3, 3]),
                kernel("k2", &[4, 4, 3, 3]),
                kernel("p1", &[4, 4, 1, 1]),
                kernel("p2", &[4, 4, 1, 1]),
                kernel("d1", &[4, 1, 3, 3]),
                kernel("b1", &[1, 4, 1, 1]),
                kernel("b2", &[1, 4, 1, 1]),
                image("s", &[]),
            ],
            operators: vec![
                MatMul,
                Add,
                Mul,
                Sub,
                Conv { kernel: [3, 3], stride: 1, relu: false },
                Conv { kernel: [3, 3], stride: 2, relu: false },
                Conv { kernel: [1, 1], stride: 1, relu: false },
                AveragePool,
                MaxPool,
                ChannelAdd,
                ChannelMul,
                Scale,
                Relu,
                Function(Function::Sigmoid),
                Function(Function::Tanh),
                Function(Function::Gelu),
                Softmax,
                Enlarge,
                Concat { rank: 2, axis: 1 },
                Concat { rank: 2, axis: 0 },
                Concat { rank: 3, axis: 2 },
                Concat { rank: 4, axis: 1 },
                Concat { rank: 4, axis: 0 },
                Split { axis: 2 },
                Split { axis: 1 },
                Split { axis: 0 },
                Transpose { view: false },
                TransposeLast,
            ],
            limits: Limits { elements: 512, no_inner: None },
        }
    }

    /// The operators as functions: instances that differ in memory layout alone are one.
    pub fn functions(&self) -> Vec<Operator> {
        let is_view = |op: &Operator| *op == Operator::Transpose { view: true };
        self.operators.iter().copied().filter(|op| !is_view(op)).collect()
    }
}
