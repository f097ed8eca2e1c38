//! Reading and writing graphs and tensors.

pub mod model;
