//! The operator instances that graphs are made of.

use std::fmt;

use super::tensor::MAX_RANK;

/// An operator with its attributes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Operator {
    /// Product of matrices, also one for each place of leading axes; the second operand may have none.
    MatMul,
    /// Sum of two tensors of one shape.
    Add,
    /// Product of two tensors of one shape.
    Mul,
    /// Convolution that keeps the size (divides it by the stride), grouped as the shapes say; with a rectifier if stated.
    Conv {
        /// Sizes of the kernel.
        kernel: [u8; 2],
        /// Step of the kernel along both axes.
        stride: u8,
        /// Distance of the elements of the kernel along both axes.
        dilation: u8,
        /// Whether a rectifier follows.
        relu: bool,
    },
    /// Average over 3x3 windows of stride 1 that keeps the size; the padding counts.
    AveragePool,
    /// Maximum over 3x3 windows of stride 1 that keeps the size.
    MaxPool,
    /// Average over whole images.
    GlobalAverage,
    /// Average along the last axis, which stays as an axis of one element.
    Mean,
    /// The depthwise kernel that averages over 3x3 windows.
    PoolKernel,
    /// The 3x3 kernel that changes nothing.
    IdentityKernel,
    /// The matrix that changes nothing.
    IdentityMatrix,
    /// Ones, in the shape of the images.
    Ones,
    /// A kernel padded to 3x3.
    Enlarge,
    /// Product with a scalar.
    Scale,
    /// Quotient by a scalar.
    Unscale,
    /// Sum or product of a tensor and a smaller one.
    Spread {
        /// What the smaller one has a number for.
        over: Over,
        /// Whether they are multiplied.
        product: bool,
    },
    /// Exponentials along the last axis over their sum.
    Softmax,
    /// Normalisation along the last axis, times a number for each place.
    Normalise,
    /// An elementwise function of which no law is used.
    Function(Function),
    /// max(x, 0).
    Relu,
    /// Two tensors one behind the other.
    Concat {
        /// Rank of the tensors.
        rank: u8,
        /// Axis along which they are joined.
        axis: u8,
    },
    /// The two parts on both sides of the last joint.
    Split {
        /// Axis that is cut.
        axis: u8,
    },
    /// The first half along an axis.
    Slice {
        /// Rank of the tensor.
        rank: u8,
        /// Axis that is cut.
        axis: u8,
    },
    /// A zero before the elements of the last axis of a tensor of this rank.
    Pad {
        /// Rank of the tensor.
        rank: u8,
    },
    /// A matrix with its axes exchanged.
    Transpose {
        /// Whether only the strides change, so that the result is stored by columns. Functionally no difference.
        view: bool,
    },
    /// A tensor of more than two axes with its axes in another order.
    Permute {
        /// Rank of the tensor.
        rank: u8,
        /// For each axis of the result, that of the operand; what is beyond the rank does not count.
        axes: [u8; MAX_RANK],
    },
    /// The last axis of a tensor of rank 3, or of a vector, as two: a number of heads and the size of each.
    Heads {
        /// Rank of the tensor.
        rank: u8,
    },
}

/// What the smaller operand of a [`Operator::Spread`] has a number for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Over {
    /// Each channel of images.
    Channels,
    /// Each place along the last axis.
    Last,
    /// Each place along the last two axes.
    Heads,
}

/// Elementwise functions without laws.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Function {
    Sigmoid,
    Tanh,
    Gelu,
}

/// Which pairs of operands are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operands {
    /// None: a constant.
    None,
    /// One tensor.
    One,
    /// Any two tensors in this order, also one twice if stated.
    Ordered {
        /// Whether both may be the same tensor.
        same: bool,
    },
    /// Two different tensors whose order makes no difference.
    Unordered,
}

/// What a preset allows beyond the operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements of a result, at most.
    pub elements: usize,
    /// An inner size over which matrices are not multiplied.
    pub no_inner: Option<u8>,
    /// Axes of operands of such products, at most.
    pub matrix_rank: u8,
    /// Whether weights are constants: what is made of them alone costs nothing, and kernels are never images.
    pub weights_known: bool,
}

impl Operator {
    /// A convolution of stride 1.
    pub const fn conv(kernel: [u8; 2], relu: bool) -> Operator {
        Operator::Conv { kernel, stride: 1, dilation: 1, relu }
    }

    /// Which operands are tried.
    pub fn operands(self) -> Operands {
        use Operator::*;
        match self {
            PoolKernel | IdentityKernel | IdentityMatrix | Ones => Operands::None,
            AveragePool
            | MaxPool
            | GlobalAverage
            | Mean
            | Enlarge
            | Relu
            | Softmax
            | Function(_)
            | Split { .. }
            | Slice { .. }
            | Pad { .. }
            | Transpose { .. }
            | Permute { .. }
            | Heads { .. } => Operands::One,
            MatMul | Scale | Unscale | Spread { .. } | Normalise | Concat { .. } => Operands::Ordered { same: false },
            Conv { .. } => Operands::Ordered { same: true },
            Add | Mul => Operands::Unordered,
        }
    }

    /// Whether the result is known without operands.
    pub fn is_constant(self) -> bool {
        self.operands() == Operands::None
    }

    /// Whether it is made when a rule is applied: it stands in targets only.
    pub fn is_made(self) -> bool {
        self.is_constant() || self == Operator::Enlarge
    }

    /// Whether it makes kernels of kernels, with [`Limits::weights_known`].
    pub fn takes_kernels(self) -> bool {
        use Operator::*;
        let elementwise = matches!(self, Add | Mul | Scale | Unscale | Spread { over: Over::Channels, .. });
        elementwise || self.joins() || matches!(self, Enlarge | Slice { .. })
    }

    /// Whether it joins or cuts at joints.
    pub fn joins(self) -> bool {
        matches!(self, Operator::Concat { .. } | Operator::Split { .. })
    }

    /// Whether it looks at windows of images.
    pub fn is_windowed(self) -> bool {
        matches!(self, Operator::Conv { .. } | Operator::AveragePool | Operator::MaxPool)
    }

    /// Whether it puts elements elsewhere, as attributes say that need not be known.
    pub fn is_movement(self) -> bool {
        use Operator::*;
        matches!(self, Slice { .. } | Pad { .. } | Permute { .. } | Heads { rank: 3 })
    }

    /// Whether it is a sum, a product or a quotient of single elements.
    pub fn is_arithmetic(self) -> bool {
        use Operator::*;
        matches!(self, Add | Mul | Scale | Unscale | Spread { .. })
    }

    /// How much work it is, roughly.
    pub fn weight(self) -> u64 {
        use Operator::*;
        match self {
            Conv { relu, .. } => 64 + u64::from(relu),
            MatMul => 48,
            AveragePool | MaxPool => 24,
            Softmax | Normalise | Function(_) => 12,
            Concat { .. } | Split { .. } | Slice { .. } | Pad { .. } | GlobalAverage | Mean => 8,
            Mul | Add | Spread { .. } => 6,
            Scale | Unscale => 5,
            Relu | Transpose { .. } | Permute { .. } => 4,
            Heads { .. } => 2,
            Enlarge | PoolKernel | IdentityKernel | IdentityMatrix | Ones => 1,
        }
    }

    /// The operator without the rectifier that may follow.
    pub fn plain(self) -> Operator {
        match self {
            Operator::Conv { kernel, stride, dilation, .. } => Operator::Conv { kernel, stride, dilation, relu: false },
            other => other,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operator::Conv { kernel: [h, w], stride, dilation, relu } => {
                write!(f, "Conv {h}x{w}")?;
                if *stride != 1 {
                    write!(f, " stride {stride}")?;
                }
                if *dilation != 1 {
                    write!(f, " dilation {dilation}")?;
                }
                f.write_str(if *relu { " relu" } else { "" })
            }
            Operator::Function(function) => write!(f, "{function:?}"),
            Operator::AveragePool => f.write_str("AveragePool 3x3"),
            Operator::MaxPool => f.write_str("MaxPool 3x3"),
            Operator::Enlarge => f.write_str("Enlarge 3x3"),
            Operator::Spread { over, product } => write!(f, "{} {over:?}", if *product { "Mul" } else { "Add" }),
            Operator::Concat { rank, axis } => write!(f, "Concat axis {axis} rank {rank}"),
            Operator::Split { axis } => write!(f, "Split axis {axis}"),
            Operator::Slice { rank, axis } => write!(f, "Slice axis {axis} rank {rank}"),
            Operator::Pad { rank } => write!(f, "Pad rank {rank}"),
            Operator::Heads { rank } => write!(f, "Heads rank {rank}"),
            Operator::Permute { rank, axes } => write!(f, "Permute {:?}", &axes[..usize::from(*rank)]),
            Operator::Transpose { view: true } => f.write_str("Transpose (view)"),
            Operator::Transpose { view: false } => f.write_str("Transpose"),
            other => write!(f, "{other:?}"),
        }
    }
}
