//! The computation graph as data. No operator's meaning is known here.

mod dim;
mod dtype;
mod op;
mod tensor;
mod types;

pub use dim::Dim;
pub use dtype::{DType, UnknownDType};
pub use op::{Attr, Attrs, Op, OpKind, OpaqueOp};
pub use tensor::{Data, Init, Tensor, TensorError, element_count, splitmix64};
pub use types::TensorType;
