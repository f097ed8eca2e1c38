//! Where V's encoder comes from: trained to reconstruct graphs, or an agent's.

use tch::{Device, Tensor};

use super::agent::Dreamer;
use super::settings::LearnConfig;
use crate::rl::agent::{Agent, AgentConfig};
use crate::rl::dream::config::VisionLoss;
use crate::rl::net::autoencoder::Reconstruction;
use crate::rl::ppo::PpoConfig;
use crate::rl::trainer::{RewardConfig, Subject, TrainConfig, TrainError, Trainer};

/// Graphs that are reconstructed together.
const TOGETHER: usize = 8;

/// Whether V's encoder is trained before anything is played.
pub fn pretrains(config: &LearnConfig) -> bool {
    config.vision.loss == VisionLoss::Reconstruct && config.pretrain_updates > 0
}

/// A dreamer whose encoder was trained to reconstruct these graphs along random rewrites.
///
/// # Errors
/// There is no graph.
pub fn pretrained(
    config: &LearnConfig,
    subjects: &[Subject<'_>],
    mut dreamer: Dreamer,
    tell: &mut dyn FnMut(usize, &Reconstruction),
) -> Result<Dreamer, TrainError> {
    let train = TrainConfig {
        seed: config.seed,
        agent: AgentConfig {
            encoder: config.dreamer.encoder,
            horizon: config.dreamer.horizon,
            reward_scale: config.dreamer.reward_scale,
            ..AgentConfig::default()
        },
        ppo: PpoConfig { num_envs: TOGETHER, ..PpoConfig::default() },
        reward: RewardConfig::default(),
        pretrain_updates: config.pretrain_updates,
        freeze_encoder: true,
    };
    let device = dreamer.view.device();
    let mut trainer = Trainer::new(train, subjects.iter().map(copy_of).collect(), device)?;
    trainer.pretrain(tell);
    dreamer.view.adopt(&encoder_of(trainer.agent()));
    Ok(dreamer)
}

fn copy_of<'a>(subject: &Subject<'a>) -> Subject<'a> {
    Subject { name: subject.name.clone(), task: subject.task.clone(), known_us: subject.known_us }
}

/// The parameters of an agent's encoder, by the names that V has for them.
pub fn encoder_of(agent: &Agent) -> Vec<(String, Tensor)> {
    let all = agent.parameters.all().into_iter().filter(|(name, _)| name.starts_with("encoder."));
    all.map(|(name, t)| (name, t.detach().to_device(Device::Cpu))).collect()
}
