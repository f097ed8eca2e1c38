//! Substitutions found by machine.
//!
//! All graphs of at most N operators are enumerated on small tensors ([`preset`]) and evaluated over a field
//! ([`arithmetic`]); graphs of equal fingerprints are paired ([`table`]), checked on all elements and fresh data, and
//! pruned ([`prune`]); what is left is written as rules on all shapes ([`generalise`]), tested on random instances, and
//! proved.
//!
//! No tensor is stored beyond the path of the walk: values are computed once for each beginning of a graph, and the last
//! operator, where nearly all graphs differ, on a few elements only.

mod apply;
pub mod arithmetic;
mod assemble;
mod candidate;
mod canonical;
mod count;
mod domain;
pub mod generalise;
mod generate;
mod graph;
mod linear;
mod naming;
mod nodes;
pub mod operator;
pub mod preset;
pub mod prune;
pub mod recipe;
mod show;
mod state;
mod symbolic;
pub mod table;
pub mod tensor;
mod useful;
mod verify;
mod walk;

pub use arithmetic::{Arithmetic, Field, PRIME, Wrapping};
pub use count::{Count, Counter};
pub use generate::{Counts, Found, Generated, Progress, Settings, Stage, find, write};
pub use preset::Preset;
pub use state::{State, StateError};
pub use table::{BYTES_PER_SOURCE, Matches, Space, Watch, count_sources};

#[cfg(test)]
mod tests;
