//! What each operator means: schema, inference of types and of partial values, work, evaluation.
//!
//! Operators are in the normal form that `Op::Apply` holds: axes are not negative, lists have their full length, and
//! constant operands that ONNX turned from attributes into inputs are attributes. One file per family holds everything
//! about it; the table in `table.rs` routes to them.

mod activation;
mod arith;
mod array;
mod axis_map;
mod broadcast;
mod call;
mod constructor;
mod conv;
mod dims;
mod einsum;
mod element;
mod elementwise;
mod error;
mod linear;
mod movement;
mod node;
mod normalisation;
mod pool;
mod recurrent;
mod reduce;
mod resize;
mod schema;
mod shape;
mod softmax;
mod support;
mod table;
mod topk;
mod unary;
mod window;
mod work;

pub use array::{Array, MAX_EVALUATED};
pub use element::{Element, Func};
pub use error::{EvalError, OpError};
pub use node::{folds, make_node};
pub use schema::{AttrDefault, AttrSpec, AttrType, Schema, build, schema};
pub use table::{evaluate, infer, work};
pub use work::Work;

#[cfg(test)]
mod checks;
#[cfg(test)]
mod tests;
