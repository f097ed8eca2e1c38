//! graphopt: a tensor-graph optimiser with verified substitutions, classical search and reinforcement learning.
//!
//! The folders of `src/` are layers, each using only those above it in this list.
#![warn(missing_docs)]

pub mod graph;

pub mod formats;

pub mod rewrite;

pub mod runtime;
