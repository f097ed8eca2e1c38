//! The computation graph as data. No operator's meaning is known here.

mod dim;
mod dtype;
#[allow(clippy::module_inception)]
mod graph;
mod hash;
mod node;
mod op;
mod tensor;
mod types;
mod validate;

pub use dim::Dim;
pub use dtype::{DType, UnknownDType};
pub use graph::{Changes, Graph, GraphOutput, Mark, Use};
pub use node::{Inputs, MAX_ELEMENTS, Node, NodeId, Output, ValueRef};
pub use op::{Attr, Attrs, Op, OpKind, OpaqueOp};
pub use tensor::{Data, Init, Tensor, TensorError, element_count, splitmix64};
pub use types::{Facts, TensorType};
pub use validate::InvalidGraph;

#[cfg(test)]
mod tests;
