//! Substitutions found by machine.
//!
//! All graphs of at most N operators are enumerated on small tensors ([`preset`]) and evaluated over a field
//! ([`arithmetic`]); graphs of equal fingerprints are paired ([`table`]), checked on all elements and fresh data, and
//! pruned ([`prune`]); what is left is written as rules on all shapes ([`generalise`]), tested on random instances, and
//! proved.
//!
//! No tensor is stored beyond the path of the walk: values are computed once for each beginning of a graph, and the last
//! operator, where nearly all graphs differ, on a few elements only.

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
pub mod operator;
pub mod preset;
pub mod prune;
mod show;
mod state;
mod symbolic;
pub mod table;
mod verify;
mod walk;

pub use arithmetic::{Arithmetic, Field, PRIME, Wrapping};
pub use count::{Count, Counter};
pub use generate::{Counts, Found, Generated, Progress, Settings, Stage, find, rank, write};
pub use preset::Preset;
pub use state::{State, StateError};
pub use table::{BYTES_PER_SOURCE, Matches, Space, Watch, count_sources};

#[cfg(test)]
mod tests;
