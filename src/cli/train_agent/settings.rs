//! Settings of a training, as flags.

use clap::{Args, ValueEnum};

use crate::cli::args::{self, Preset, ReachArg};
use crate::rl::agent::AgentConfig;
use crate::rl::env::Objective;
use crate::rl::net::encoder::{EncoderConfig, Gather, Global};
use crate::rl::ppo::PpoConfig;
use crate::rl::trainer::{RewardConfig, TrainConfig};

/// The flags.
#[derive(Args, Debug)]
pub struct SettingsArgs {
    /// A set of settings: debug ends within seconds and learns little, cpu is for a few cores, h200 for a large GPU.
    #[arg(long, value_enum, default_value_t = Preset::Cpu)]
    preset: Preset,
    /// Steps of all environments together until training ends.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    total_timesteps: Option<u64>,
    /// Actions of an episode at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    horizon: Option<u32>,
    /// How far one action reaches (an agent reaches as far as it did in training, at least).
    #[arg(long, value_enum, default_value_t = ReachArg::One)]
    reach: ReachArg,
    /// Environments that are stepped together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    num_envs: Option<u32>,
    /// Width of the embeddings.
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Rounds of the graph network: how far a node sees.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// When the network's global vector is updated.
    #[arg(long, value_enum, default_value_t = GlobalArg::Late)]
    global: GlobalArg,
    /// How a node gathers its edges.
    #[arg(long, value_enum, default_value_t = GatherArg::Mean)]
    gather: GatherArg,
    /// Whether the encoder learns with the policy, or stays as pre-training left it.
    #[arg(long, value_enum, default_value_t = EncoderArg::Trained)]
    encoder: EncoderArg,
    /// Updates of a graph auto-encoder on random rewrites before training (default: none, or 500 for an encoder that is
    /// frozen after them).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pretrain_updates: Option<u32>,
    /// What is rewarded.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::LogBest)]
    objective: ObjectiveArg,
    /// Actions from one measurement to the next, for `--objective measured`.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    measure_every: u32,
    /// Weights of time, peak of memory and launches, for `--objective weighted`.
    #[arg(long, value_name = "W", num_args = 3, default_values_t = [1.0, 0.0, 0.0], value_parser = args::weight, allow_negative_numbers = true)]
    weights: Vec<f64>,
    /// Weight of the shaping potential log(initial / current cost); it changes no optimal policy.
    #[arg(long, value_name = "W", default_value_t = 0.0, value_parser = args::weight)]
    shaping: f64,
    /// What each rewrite costs: part of the objective.
    #[arg(long, value_name = "C", default_value_t = 0.0, value_parser = args::weight)]
    step_cost: f64,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// See [`Global`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum GlobalArg {
    /// Once, behind the rounds: equal neighbourhoods are computed once.
    Late,
    /// In every round: the full block of Battaglia et al., several times slower.
    Full,
}

/// See [`Gather`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum GatherArg {
    /// Their mean.
    Mean,
    /// A learned weighted mean.
    Attention,
}

/// What becomes of the encoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum EncoderArg {
    /// It learns with the policy.
    Trained,
    /// It stays as the auto-encoder left it: quick, and less able.
    FrozenAfterPretraining,
}

/// See [`Objective`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ObjectiveArg {
    /// log(best before / best after): an episode's rewards sum to log(start / best).
    LogBest,
    /// (before - after) / start.
    Difference,
    /// log(start / best), at the end.
    Terminal,
    /// Differences of time, memory and launches as shares of the start, weighted.
    Weighted,
    /// log(best before / best after) of the time of whole graphs, measured on the device every few actions and at the end.
    Measured,
}

/// Updates of the auto-encoder before its encoder is frozen.
const PRETRAIN_UPDATES: usize = 500;

impl SettingsArgs {
    /// That the flags go together.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.weights.iter().all(|weight| *weight == 0.0) {
            anyhow::bail!("--weights: all are 0, which leaves nothing to learn");
        }
        Ok(())
    }

    /// The settings; `network` is that of the agent that training begins with.
    pub fn config(&self, network: Option<EncoderConfig>) -> TrainConfig {
        let (mut ppo, mut encoder, horizon) = match self.preset {
            Preset::Debug => (
                PpoConfig { num_envs: 4, num_steps: 32, total_timesteps: 1024, ..PpoConfig::default() },
                EncoderConfig { width: 16, rounds: 2, ..EncoderConfig::default() },
                16,
            ),
            Preset::Cpu => (PpoConfig::default(), EncoderConfig::default(), 64),
            Preset::H200 => (
                PpoConfig {
                    num_envs: 512,
                    num_steps: 64,
                    total_timesteps: 20_000_000,
                    num_minibatches: 16,
                    ..PpoConfig::default()
                },
                EncoderConfig { width: 128, ..EncoderConfig::default() },
                128,
            ),
        };
        if let Some(steps) = self.total_timesteps {
            ppo.total_timesteps = steps;
        }
        if let Some(count) = self.num_envs {
            ppo.num_envs = count as usize;
        }
        encoder.width = self.width.unwrap_or(encoder.width);
        encoder.rounds = self.rounds.unwrap_or(encoder.rounds);
        encoder.global = match self.global {
            GlobalArg::Late => Global::Late,
            GlobalArg::Full => Global::Full,
        };
        encoder.gather = match self.gather {
            GatherArg::Mean => Gather::Mean,
            GatherArg::Attention => Gather::Attention,
        };
        let horizon = self.horizon.map_or(horizon, |h| h as usize);
        let encoder = network.unwrap_or(encoder);
        let agent = AgentConfig { encoder, horizon, reach: self.reach.into(), ..AgentConfig::default() };
        let reward = RewardConfig {
            objective: match self.objective {
                ObjectiveArg::LogBest => Objective::LogBest,
                ObjectiveArg::Difference => Objective::Difference,
                ObjectiveArg::Terminal => Objective::Terminal,
                ObjectiveArg::Weighted => {
                    let [time, memory, launches] = self.weights[..] else { unreachable!("three values are asked for") };
                    Objective::Weighted { time, memory, launches }
                }
                ObjectiveArg::Measured => Objective::Measured { every: self.measure_every as usize },
            },
            shaping: self.shaping,
            step_cost: self.step_cost,
        };
        let freeze_encoder = self.encoder == EncoderArg::FrozenAfterPretraining;
        let otherwise = if freeze_encoder { PRETRAIN_UPDATES } else { 0 };
        let pretrain_updates = self.pretrain_updates.map_or(otherwise, |n| n as usize);
        TrainConfig { seed: self.seed, agent, ppo, reward, pretrain_updates, freeze_encoder }
    }
}
