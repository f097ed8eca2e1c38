//! graphopt: a tensor-graph optimiser with verified substitutions, classical search and reinforcement learning.
//!
//! The folders of `src/` are layers, each using only those above it in this list.
#![warn(missing_docs)]

pub mod graph;

pub mod ops;

pub mod formats;

pub mod rewrite;

pub mod substitution;

pub mod runtime;

pub mod cost;

pub mod search;

pub mod zoo;

pub mod rl;

pub mod cli;
