//! graphopt: a tensor-graph optimiser.
