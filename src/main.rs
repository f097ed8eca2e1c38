//! The `graphopt` program.
fn main() {}
