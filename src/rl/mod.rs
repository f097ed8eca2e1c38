//! Learning to rewrite: the environment, what an agent sees of it, graph networks, and the agents that are trained on it.

pub mod observation;
