//! Networks on graphs: segment operations, layers, the graph-network encoder, and the heads of an agent.
//!
//! Shapes: `C` rows of a table of node embeddings, `G` graphs, `K` distinct candidates, `P` pairs of a graph and a rule
//! that has candidates in it, `R` rules, `W` the width.

pub mod adam;
pub mod autoencoder;
pub mod batch;
pub mod classes;
pub mod digest;
pub mod encoder;
pub mod layers;
pub mod parameters;
pub mod policy;
pub mod segment;
#[cfg(test)]
pub(in crate::rl) mod testing;
#[cfg(test)]
mod tests;
