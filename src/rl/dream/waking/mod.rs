//! Awake: what the dream learns from, and where it is put to use. Here, and nowhere else in the dream, real graphs are
//! rewritten.

pub mod agent;
pub mod collect;
pub mod learner;
pub mod lookahead;
pub mod pilot;
pub mod play;
pub mod pretrain;
pub mod run;
pub mod search;
pub mod shards;
pub mod taking;
#[cfg(test)]
mod tests;
