//! Settings of a training.

use serde::{Deserialize, Serialize};

use crate::rl::agent::AgentConfig;
use crate::rl::env::{EnvSettings, Objective};
use crate::rl::net::encoder::Global;
use crate::rl::ppo::PpoConfig;

/// Settings of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Everything random is drawn from it.
    pub seed: u64,
    /// The agent.
    pub agent: AgentConfig,
    /// The algorithm.
    pub ppo: PpoConfig,
    /// What is rewarded.
    pub reward: RewardConfig,
    /// Updates of the graph auto-encoder before the first of PPO.
    pub pretrain_updates: usize,
    /// Whether the encoder stays as it is after that.
    pub freeze_encoder: bool,
}

/// What is rewarded; see [`Objective`].
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardConfig {
    /// The objective.
    pub objective: Objective,
    /// Weight of the potential `log(initial / current cost)`.
    pub shaping: f64,
    /// Subtracted for each rewrite: part of the objective.
    pub step_cost: f64,
}

impl TrainConfig {
    /// Settings of its environments.
    pub(super) fn env_settings(&self) -> EnvSettings {
        EnvSettings {
            horizon: self.agent.horizon,
            objective: self.reward.objective.clone(),
            shaping: self.reward.shaping,
            step_cost: self.reward.step_cost,
            gamma: self.ppo.gamma,
            reach: self.agent.reach,
            plain: self.agent.encoder.global == Global::Full,
        }
    }
}
