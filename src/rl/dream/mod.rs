//! The dream: a model of the environment that is learned (V, M), a controller that is trained in it (C), and planning in it.
//!
//! After Ha and Schmidhuber 2018. V (`view.rs`) makes numbers of fixed size of a graph under rewriting: a vector of the whole, and
//! at most [`slots::SLOTS`] slots with what may be done. M (`model/`) predicts from a state and an action the next state, the
//! reward, and which slots there will be, so that a dream masks itself. C (`controller.rs`) chooses among slots, dreamt or
//! real, and is trained in dreams alone (`dream.rs`, `practice.rs`).
//!
//! A dream steps no graph: nothing here but `waking/` names the environment or the rewriter, which a test of the house asserts.
//!
//! Shapes: `B` states, `N` episodes, `T` actions of an episode at most, `S` slots, `U` the width of the whole, `H` that of the
//! LSTM, `R` rules.

pub mod books;
pub mod cem;
pub mod chance;
pub mod cma;
pub mod config;
pub mod controller;
pub mod data;
#[allow(clippy::module_inception, reason = "the dream itself")]
pub mod dream;
pub mod ensemble;
pub mod fit;
pub mod frame;
pub mod imitate;
pub mod model;
pub mod plan;
pub mod ppo;
pub mod practice;
pub mod quality;
pub mod regress;
pub mod replay;
pub mod rollouts;
pub mod sequences;
pub mod slots;
pub mod student;
#[cfg(test)]
mod tests;
pub mod through;
#[cfg(test)]
mod toy;
pub mod view;
pub mod vision;
pub mod waking;
pub mod world;
