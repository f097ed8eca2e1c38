//! Measured time of whole graphs, and what is learned from it.
//!
//! What a graph computes is known exactly; how long it takes is estimated operator by operator, and the estimate is off where
//! the runtime fuses, lays out or launches otherwise than it assumes. Here that is learned from few measurements of whole
//! graphs ([`turns`]): a graph is encoded ([`encoding`]), an ensemble predicts its measured time ([`ensemble`]), searches
//! follow costs that its members correct, and what they find is measured where they disagree ([`active`]). What was
//! learned is kept in files ([`law`]).

pub mod active;
pub mod encoding;
pub mod ensemble;
pub mod law;
pub mod pool;
pub mod search;
pub mod turns;
mod whole;

pub use whole::Latency;
