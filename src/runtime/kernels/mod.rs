//! The understood operators as libtorch calls, one file per family.
//!
//! Each kernel takes its operator in normal form and gives ONNX's result exactly; where libtorch has one call for it,
//! that call is used (latency of whole graphs in libtorch is what the optimiser measures), and what libtorch does
//! differently is put together from several. Kernels never change an input, and their outputs may be views of inputs.

mod arithmetic;
mod constants;
mod convolution;
mod index;
mod linear;
mod movement;
mod normalise;
mod pad;
mod pool;
mod recurrent;
mod reduce;
mod resize;
#[cfg(test)]
mod tests;
mod unary;

pub(super) use convolution::{Window, pad_spatial};
use tch::{Device, Kind, TchError, Tensor};

use super::available::TooLarge;
use super::refusal;
use crate::graph::{DType, Op, OpKind};

/// Where and how precisely to compute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// Device of results that do not depend on an input's data (shapes stay on the CPU).
    pub device: Device,
    /// Compute every floating-point value as f64: a cast to a narrower float keeps f64.
    pub wide: bool,
}

impl Place {
    /// The CPU, each type as it is.
    pub const CPU: Place = Place { device: Device::Cpu, wide: false };

    /// libtorch's element type for a value of this type; `None` for types that are not computed with here (unsigned
    /// integers above 8 bits, 4-bit and 8-bit floats, strings).
    pub fn kind(self, dtype: DType) -> Option<Kind> {
        match dtype {
            DType::F64 => Some(Kind::Double),
            DType::F32 | DType::F16 | DType::BF16 if self.wide => Some(Kind::Double),
            DType::F32 => Some(Kind::Float),
            DType::F16 => Some(Kind::Half),
            DType::BF16 => Some(Kind::BFloat16),
            DType::I64 => Some(Kind::Int64),
            DType::I32 => Some(Kind::Int),
            DType::I16 => Some(Kind::Int16),
            DType::I8 => Some(Kind::Int8),
            DType::U8 => Some(Kind::Uint8),
            DType::Bool => Some(Kind::Bool),
            DType::U16
            | DType::U32
            | DType::U64
            | DType::String
            | DType::F8E4M3
            | DType::F8E5M2
            | DType::U4
            | DType::I4 => None,
        }
    }
}

/// Why an operator did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// libtorch refused; its first line.
    #[error("libtorch: {0}")]
    Torch(String),
    /// There is not enough memory for it.
    #[error(transparent)]
    Memory(#[from] TooLarge),
    /// A required input is missing.
    #[error("{kind} needs input {slot}")]
    MissingInput {
        /// Operator.
        kind: OpKind,
        /// Position of the input.
        slot: usize,
    },
    /// A required attribute is missing or of another type.
    #[error("{kind} needs attribute {name}")]
    MissingAttribute {
        /// Operator.
        kind: OpKind,
        /// Attribute.
        name: &'static str,
    },
    /// A valid combination that is not computed here.
    #[error("{kind} is not computed with {what}")]
    Unsupported {
        /// Operator.
        kind: OpKind,
        /// What is not supported.
        what: String,
    },
    /// Inputs or attributes that do not fit the operator.
    #[error("{kind}: {what}")]
    Invalid {
        /// Operator.
        kind: OpKind,
        /// What does not fit, with its numbers.
        what: String,
    },
    /// The node is no operator that can be computed (an input, or opaque).
    #[error("{0} is not computed here")]
    NotAnOperator(String),
}

impl From<TchError> for RunError {
    fn from(error: TchError) -> RunError {
        let text = match error {
            TchError::Torch(text) => text,
            other => other.to_string(),
        };
        // libtorch appends pages of C++ backtrace.
        RunError::Torch(text.lines().next().unwrap_or_default().trim().to_owned())
    }
}

/// What a kernel returns: its outputs in order.
type Outputs = Result<Vec<Tensor>, RunError>;

/// Everything that a kernel is given.
#[derive(Clone, Copy)]
struct Call<'a> {
    op: &'a Op,
    kind: OpKind,
    inputs: &'a [Option<&'a Tensor>],
    num_outputs: usize,
    place: Place,
}

impl<'a> Call<'a> {
    /// An input that must be there.
    fn input(&self, slot: usize) -> Result<&'a Tensor, RunError> {
        self.optional(slot).ok_or(RunError::MissingInput { kind: self.kind, slot })
    }

    /// An input that may be left out.
    fn optional(&self, slot: usize) -> Option<&'a Tensor> {
        self.inputs.get(slot).copied().flatten()
    }

    /// Inputs given, counting omitted ones before the last given one.
    fn arity(&self) -> usize {
        self.inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }

    fn int(&self, name: &'static str) -> Result<i64, RunError> {
        self.op.int(name).ok_or(RunError::MissingAttribute { kind: self.kind, name })
    }

    /// An attribute that is a flag; absent is false.
    fn flag(&self, name: &str) -> bool {
        self.op.int(name).unwrap_or(0) != 0
    }

    fn float(&self, name: &'static str) -> Result<f64, RunError> {
        self.op.float(name).map(f64::from).ok_or(RunError::MissingAttribute { kind: self.kind, name })
    }

    fn text(&self, name: &str) -> &'a str {
        self.op.text(name).unwrap_or_default()
    }

    /// A list attribute; absent is empty.
    fn ints(&self, name: &str) -> &'a [i64] {
        self.op.ints(name).unwrap_or_default()
    }

    /// The `axis` attribute as an index below `rank`.
    fn axis(&self, rank: usize) -> Result<i64, RunError> {
        self.wrap(self.int("axis")?, rank)
    }

    /// A possibly negative axis as an index; `rank` itself is let through, since Flatten allows it.
    fn wrap(&self, axis: i64, rank: usize) -> Result<i64, RunError> {
        let rank = rank as i64;
        let wrapped = if axis < 0 { axis + rank } else { axis };
        if (0..=rank).contains(&wrapped) {
            Ok(wrapped)
        } else {
            Err(self.invalid(format!("axis {axis} does not exist in a tensor of {rank} dimensions")))
        }
    }

    /// A list that is an attribute, or else the input at `slot`.
    fn ints_or_input(&self, name: &str, slot: usize) -> Result<Vec<i64>, RunError> {
        match self.optional(slot) {
            Some(input) => host_ints(input),
            None => Ok(self.ints(name).to_vec()),
        }
    }

    /// The element type that an attribute (an ONNX number, or a name) says.
    fn dtype(&self, name: &'static str) -> Result<Kind, RunError> {
        let dtype = match (self.op.int(name), self.op.text(name)) {
            (Some(number), _) => i32::try_from(number).ok().and_then(DType::from_onnx),
            (None, Some(text)) => text.parse().ok(),
            (None, None) => return Err(RunError::MissingAttribute { kind: self.kind, name }),
        };
        dtype
            .and_then(|dtype| self.place.kind(dtype))
            .ok_or_else(|| self.unsupported(format!("{name} {:?}", self.op.int(name))))
    }

    fn unsupported(&self, what: impl Into<String>) -> RunError {
        RunError::Unsupported { kind: self.kind, what: what.into() }
    }

    fn invalid(&self, what: impl Into<String>) -> RunError {
        RunError::Invalid { kind: self.kind, what: what.into() }
    }
}

/// Runs one operator: `inputs` as in the graph (`None` is an omitted input), at least `num_outputs` outputs asked for.
/// Returns exactly `num_outputs` tensors.
///
/// # Errors
/// [`RunError`] if the operator does not fit its inputs or is not computed here.
pub fn run(op: &Op, inputs: &[Option<&Tensor>], num_outputs: usize, place: Place) -> Outputs {
    let kind = op.kind().ok_or_else(|| RunError::NotAnOperator(op.label()))?;
    let _guard = tch::no_grad_guard();
    let call = Call { op, kind, inputs, num_outputs, place };
    let mut outputs = match refusal::catch(|| dispatch(&call)) {
        Err(RunError::Torch(message)) if message.contains("not implemented for") && inputs.iter().any(is_half) => {
            return through_f32(&call);
        }
        other => other?,
    };
    if outputs.len() < num_outputs {
        return Err(call.unsupported(format!("{num_outputs} outputs")));
    }
    outputs.truncate(num_outputs);
    Ok(outputs)
}

fn is_half(input: &Option<&Tensor>) -> bool {
    input.is_some_and(|t| matches!(t.kind(), Kind::Half | Kind::BFloat16))
}

/// Computes in f32 what libtorch does not have in 16 bits, and rounds once.
fn through_f32(call: &Call<'_>) -> Outputs {
    let narrow = call.inputs.iter().find(|input| is_half(input)).and_then(|input| input.map(Tensor::kind));
    let wide: Vec<Option<Tensor>> = call
        .inputs
        .iter()
        .map(|input| match input {
            Some(t) if is_half(input) => t.f_to_kind(Kind::Float).map(Some),
            Some(t) => Ok(Some(t.shallow_clone())),
            None => Ok(None),
        })
        .collect::<Result<_, _>>()?;
    let refs: Vec<Option<&Tensor>> = wide.iter().map(Option::as_ref).collect();
    let outputs = refusal::catch(|| dispatch(&Call { inputs: &refs, ..*call }))?;
    let back = |t: Tensor| match (t.kind(), narrow) {
        (Kind::Float, Some(kind)) => Ok(t.f_to_kind(kind)?),
        _ => Ok(t),
    };
    outputs.into_iter().take(call.num_outputs).map(back).collect()
}

/// The kernel of each operator.
fn dispatch(call: &Call<'_>) -> Outputs {
    use OpKind as K;
    let one = match call.kind {
        K::Add | K::Sub | K::Mul | K::Div | K::Pow | K::Mod | K::Min | K::Max | K::Mean | K::Sum | K::PRelu => {
            arithmetic::numeric(call)?
        }
        K::And | K::Or | K::Xor | K::Equal | K::Less | K::LessOrEqual | K::Greater | K::GreaterOrEqual | K::Where => {
            arithmetic::logical(call)?
        }
        K::Neg
        | K::Abs
        | K::Sqrt
        | K::Exp
        | K::Log
        | K::Reciprocal
        | K::Floor
        | K::Ceil
        | K::Round
        | K::Sign
        | K::Not
        | K::IsNaN
        | K::IsInf
        | K::Erf
        | K::Sin
        | K::Cos
        | K::Tan
        | K::Asin
        | K::Acos
        | K::Atan
        | K::Sinh
        | K::Cosh
        | K::Tanh
        | K::Asinh
        | K::Acosh
        | K::Atanh => unary::function(call)?,
        K::Relu
        | K::LeakyRelu
        | K::Sigmoid
        | K::Gelu
        | K::HardSigmoid
        | K::HardSwish
        | K::Elu
        | K::Selu
        | K::Celu
        | K::ThresholdedRelu
        | K::Softplus
        | K::Softsign
        | K::Mish => unary::activation(call)?,
        K::Clip => unary::clip(call)?,
        K::Cast => unary::cast(call)?,
        K::Softmax | K::LogSoftmax | K::Hardmax => reduce::softmax(call)?,
        K::LpNormalization => reduce::lp_normalization(call)?,
        K::CumSum => reduce::cumulative_sum(call)?,
        K::ReduceSum
        | K::ReduceMean
        | K::ReduceMax
        | K::ReduceMin
        | K::ReduceProd
        | K::ReduceL1
        | K::ReduceL2
        | K::ReduceLogSum
        | K::ReduceLogSumExp
        | K::ReduceSumSquare => reduce::reduce(call)?,
        K::ArgMax | K::ArgMin => reduce::arg(call)?,
        K::TopK => return reduce::top_k(call),
        K::BatchNormalization => normalise::batch(call)?,
        K::LayerNormalization => normalise::layer(call)?,
        K::InstanceNormalization => normalise::instance(call)?,
        K::GroupNormalization => normalise::group(call)?,
        K::RMSNormalization => normalise::root_mean_square(call)?,
        K::LRN => normalise::local_response(call)?,
        K::Conv => convolution::convolution(call)?,
        K::ConvTranspose => convolution::transposed(call)?,
        K::MatMul => linear::matmul(call)?,
        K::Gemm => linear::gemm(call)?,
        K::Einsum => linear::einsum(call)?,
        K::MaxPool => return pool::max(call),
        K::AveragePool => pool::average(call)?,
        K::GlobalAveragePool | K::GlobalMaxPool => pool::global(call)?,
        K::Concat => movement::concat(call)?,
        K::Split => return movement::split(call),
        K::Slice => movement::slice(call)?,
        K::Transpose => movement::transpose(call)?,
        K::Reshape => movement::reshape(call)?,
        K::Flatten => movement::flatten(call)?,
        K::Squeeze => movement::squeeze(call)?,
        K::Unsqueeze => movement::unsqueeze(call)?,
        K::Expand => movement::expand(call)?,
        K::Tile => movement::tile(call)?,
        K::DepthToSpace => movement::depth_to_space(call)?,
        K::SpaceToDepth => movement::space_to_depth(call)?,
        K::Trilu => movement::triangle(call)?,
        K::Identity | K::Dropout => call.input(0)?.shallow_clone(),
        K::Gather => index::gather(call)?,
        K::GatherElements => index::gather_elements(call)?,
        K::GatherND => index::gather_nd(call)?,
        K::Pad => pad::pad(call)?,
        K::Resize => resize::resize(call)?,
        K::Shape => constants::shape(call)?,
        K::Size => constants::size(call)?,
        K::ConstantOfShape => constants::constant_of_shape(call)?,
        K::Range => constants::range(call)?,
        K::Constant => constants::constant(call)?,
        K::LSTM => return recurrent::lstm(call),
        K::GRU => return recurrent::gru(call),
        K::Enlarge => constants::enlarge(call)?,
        K::IdentityKernel => constants::identity_kernel(call)?,
        K::IdentityMatrix => constants::identity_matrix(call)?,
        K::PoolKernel => constants::pool_kernel(call)?,
        K::BlockDiagonal => constants::block_diagonal(call)?,
        K::Ungroup => constants::ungroup(call)?,
    };
    Ok(vec![one])
}

/// The elements of an integer or boolean tensor, on the host.
pub(super) fn host_ints(tensor: &Tensor) -> Result<Vec<i64>, RunError> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?.f_reshape([-1])?;
    Ok(Vec::<i64>::try_from(&flat)?)
}

/// The elements of a tensor as f64, on the host.
pub(super) fn host_floats(tensor: &Tensor) -> Result<Vec<f64>, RunError> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_reshape([-1])?;
    Ok(Vec::<f64>::try_from(&flat)?)
}

/// Whether libtorch computes with this element type as a floating-point number.
pub(super) fn is_float(kind: Kind) -> bool {
    matches!(kind, Kind::Double | Kind::Float | Kind::Half | Kind::BFloat16)
}

/// A one-dimensional index tensor on a device.
fn index_tensor(values: &[i64], device: Device) -> Result<Tensor, RunError> {
    let host = Tensor::f_from_slice(values)?;
    Ok(if device == Device::Cpu { host } else { host.f_to_device(device)? })
}
