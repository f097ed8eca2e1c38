//! Learning to rewrite: the environment, what an agent sees of it, graph networks, and the agents that are trained on it.

pub mod agent;
pub mod checkpoint;
pub mod curves;
pub mod decode;
pub mod dream;
pub mod env;
pub mod features;
pub mod greedy;
pub mod latency;
pub mod metrics;
pub mod neighbourhood;
pub mod net;
pub mod observation;
pub mod ppo;
pub mod random;
pub mod random_search;
mod rule_features;
pub mod run;
pub mod task;
mod tracker;
pub mod trainer;
pub mod valley;
pub mod vector;
pub mod window;

pub use rule_features::observe_rule;
