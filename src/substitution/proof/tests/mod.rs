//! Tests of axioms and of the checker.

mod axioms;
mod polynomial;
