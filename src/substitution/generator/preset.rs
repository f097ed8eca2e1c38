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
                Operator::conv([3, 3], false),
                Operator::conv([3, 3], true),
                Operator::conv([1, 3], false),
                Operator::conv([1, 3], true),
                Operator::conv([1, 1], false),
                Operator::conv([1, 1], true),
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
            limits: Limits { elements: 512, no_inner: Some(2), matrix_rank: 2, weights_known: false },
        }
    }

    /// What real models need beyond TASO's: numbers for each channel (biases, normalisation as an affine map), strided,
    /// dilated, grouped and depthwise convolution, products of batches of matrices and with few columns, Softmax and
    /// normalisation along an axis, averages, activations, and the movements of attention.
    pub fn standard() -> Preset {
        use super::operator::{Function, Over};
        use Operator::*;
        let spread = |over, product| Spread { over, product };
        let permute = |rank, axes| Permute { rank, axes };
        Preset {
            name: "default",
            inputs: vec![
                image("x1", &[2, 4]),
                image("x2", &[2, 4]),
                kernel("w1", &[4, 4]),
                kernel("w2", &[4, 4]),
                kernel("l1", &[4, 2]),
                kernel("v1", &[4]),
                kernel("v2", &[4]),
                kernel("h1", &[2, 2]),
                image("q1", &[2, 3, 4]),
                image("q2", &[2, 3, 4]),
                image("m1", &[2, 4, 4]),
                image("m2", &[2, 4, 4]),
                image("a1", &[1, 3, 2, 2]),
                image("a2", &[1, 3, 2, 2]),
                image("i1", &[1, 4, 4, 4]),
                image("i2", &[1, 4, 4, 4]),
                kernel("k1", &[4, 4, 3, 3]),
                kernel("k2", &[4, 4, 3, 3]),
                kernel("p1", &[4, 4, 1, 1]),
                kernel("p2", &[4, 4, 1, 1]),
                kernel("g1", &[4, 2, 3, 3]),
                kernel("g2", &[4, 2, 3, 3]),
                kernel("d1", &[4, 1, 3, 3]),
                kernel("d2", &[4, 1, 3, 3]),
                kernel("b1", &[1, 4, 1, 1]),
                kernel("b2", &[1, 4, 1, 1]),
                kernel("s", &[]),
                kernel("z", &[]),
            ],
            operators: vec![
                MatMul,
                Add,
                Mul,
                Operator::conv([3, 3], false),
                Conv { kernel: [3, 3], stride: 2, dilation: 1, relu: false },
                Conv { kernel: [3, 3], stride: 1, dilation: 2, relu: false },
                Operator::conv([1, 1], false),
                AveragePool,
                MaxPool,
                GlobalAverage,
                Mean,
                spread(Over::Channels, false),
                spread(Over::Channels, true),
                spread(Over::Last, false),
                spread(Over::Last, true),
                spread(Over::Heads, false),
                spread(Over::Heads, true),
                Scale,
                Unscale,
                Relu,
                Function(Function::Sigmoid),
                Function(Function::Gelu),
                Softmax,
                Normalise,
                Enlarge,
                Concat { rank: 2, axis: 1 },
                Concat { rank: 2, axis: 0 },
                Concat { rank: 3, axis: 2 },
                Concat { rank: 3, axis: 1 },
                Concat { rank: 4, axis: 1 },
                Concat { rank: 4, axis: 0 },
                Split { axis: 2 },
                Split { axis: 1 },
                Split { axis: 0 },
                Slice { rank: 2, axis: 1 },
                Slice { rank: 3, axis: 2 },
                Slice { rank: 4, axis: 1 },
                Pad { rank: 3 },
                Transpose { view: false },
                permute(3, [0, 2, 1, 0]),
                permute(4, [0, 2, 1, 3]),
                permute(4, [0, 1, 3, 2]),
                Heads { rank: 3 },
                Heads { rank: 1 },
            ],
            limits: Limits { elements: 512, no_inner: None, matrix_rank: 4, weights_known: true },
        }
    }

    /// The operators as functions: instances that differ in memory layout alone are one.
    pub fn functions(&self) -> Vec<Operator> {
        let is_view = |op: &Operator| *op == Operator::Transpose { view: true };
        self.operators.iter().copied().filter(|op| !is_view(op)).collect()
    }
}
