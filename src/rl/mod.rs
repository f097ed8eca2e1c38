//! Learning to rewrite: the environment, what an agent sees of it, graph networks, and the agents that are trained on it.

pub mod env;
mod env_books;
mod env_objective;
mod env_order;
mod env_rows;
mod env_sites;
pub mod features;
mod interner;
mod labels;
pub mod neighbourhood;
pub mod observation;
mod rule_features;
pub mod task;
pub mod valley;
pub mod vector;
pub mod window;

pub use env_objective::Objective;
pub use rule_features::observe_rule;

pub mod agent;
pub mod checkpoint;
pub mod curves;
pub mod decode;
#[cfg(test)]
mod env_rule_tests;
#[cfg(test)]
mod env_tests;
pub mod metrics;
pub mod net;
pub mod ppo;
pub mod random;
pub mod random_search;
pub mod run;
pub mod trainer;
#[cfg(test)]
mod trainer_tests;
