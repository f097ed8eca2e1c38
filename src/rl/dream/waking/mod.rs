//! Awake: what the dream learns from, and where it is put to use. Here, and nowhere else in the dream, real graphs are
//! rewritten.

pub mod agent;
pub mod collect;
pub mod exact;
pub mod learner;
pub mod lookahead;
pub mod members;
pub mod pilot;
pub mod play;
pub mod pretrain;
mod quality_metrics;
pub mod run;
pub mod search;
mod seeing;
pub mod settings;
pub mod shards;
pub mod taking;
mod teach;
#[cfg(test)]
mod tests;
pub mod transfer;
pub mod worth;
