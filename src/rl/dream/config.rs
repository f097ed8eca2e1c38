//! Settings of the world model and of what is done in it.

use serde::{Deserialize, Serialize};

/// What M is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of the LSTM.
    pub hidden: usize,
    /// Gaussians of the mixture; 0 for a deterministic model, which predicts one change.
    pub components: usize,
    /// Width of the network that all slots share.
    pub slot_width: usize,
    /// Slots that may come in one step, at most.
    pub births: usize,
    /// Whether changes of the whole are predicted in units of their own deviation, or in those of the states.
    pub normalise_deltas: bool,
    /// Whether it is told what the action takes from each slot: which candidates share nodes with what it removes.
    pub sees_takes: bool,
    /// Whether it keeps books of what has been saved, so that what follows from them is not learned (see [`super::books`]): the
    /// scale of rewards. Without, everything is learned. It must be so where something else than time is to become less, and is so
    /// by default: books predict what real actions do far better, and pay for what a controller only dreams of, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub books: Option<f64>,
}

impl Default for ModelConfig {
    fn default() -> ModelConfig {
        ModelConfig {
            hidden: 128,
            components: 5,
            slot_width: 64,
            births: 8,
            normalise_deltas: true,
            sees_takes: true,
            books: None,
        }
    }
}

impl ModelConfig {
    /// That a model can be made of it: it may come from a file.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: usize, least: usize, most: usize| {
            let fits = (least..=most).contains(&value);
            if fits { Ok(()) } else { Err(format!("{name} is {value}, and must be from {least} to {most}")) }
        };
        within("hidden", self.hidden, 1, 2048)?;
        within("components", self.components, 0, 64)?;
        within("slot_width", self.slot_width, 1, 1024)?;
        within("births", self.births, 1, super::slots::SLOTS)
    }
}

/// How M is fitted.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitConfig {
    /// Times that each round goes through the data.
    pub epochs: usize,
    /// Episodes of a minibatch.
    pub batch: usize,
    /// Learning rate at the start of a round; it falls to a tenth.
    pub learning_rate: f64,
    /// Longest gradient.
    pub max_grad_norm: f64,
    /// What is pooled of the whole is shifted by so many deviations in every other episode, the same all along: M is to learn
    /// what changes, not which graph it is.
    pub shift: f64,
    /// What M reads of a state is blurred by so many deviations in about half of the episodes, anew in every state, and what it is told
    /// of its change is not: a dream's states are a little off, and M is not to go further astray from there.
    #[serde(default)]
    pub blur: f64,
}

impl Default for FitConfig {
    fn default() -> FitConfig {
        FitConfig { epochs: 40, batch: 16, learning_rate: 5e-3, max_grad_norm: 1.0, shift: 1.0, blur: 0.3 }
    }
}

/// Several Ms.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleConfig {
    /// How many.
    pub members: usize,
    /// What is taken from a dream's reward for each unit that they differ by.
    pub penalty: f64,
    /// Whether later rounds also play where they differ.
    pub explores: bool,
}

/// Most Ms of an ensemble.
const MOST_MEMBERS: usize = 32;

impl EnsembleConfig {
    /// That there can be such a one.
    ///
    /// # Errors
    /// The setting, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MOST_MEMBERS).contains(&self.members) {
            return Err(format!("members is {}, and must be from 1 to {MOST_MEMBERS}", self.members));
        }
        if !(0.0..=1e6).contains(&self.penalty) {
            return Err(format!("penalty is {}, and must be from 0 to 1000000", self.penalty));
        }
        Ok(())
    }
}

impl Default for EnsembleConfig {
    fn default() -> EnsembleConfig {
        EnsembleConfig { members: 1, penalty: 0.0, explores: false }
    }
}

/// What of an M that was fitted to another objective is fitted anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refit {
    /// The heads that say what is rewarded; the rest stays as it is.
    Heads,
    /// Everything; those heads begin anew.
    All,
}

/// What V's encoder is trained by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VisionLoss {
    /// Telling operators and edges.
    #[default]
    Reconstruct,
    /// Telling what an action earns, how the cost changes, and what is seen next.
    Task,
}

/// How V's encoder is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// By what.
    pub loss: VisionLoss,
    /// Updates in every round, before M is fitted; 0 keeps it as it is after pre-training.
    pub updates: usize,
}

/// What C reads of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sees {
    /// What V sees.
    State,
    /// That, and what M remembers: the output of its LSTM.
    #[default]
    StateAndMemory,
}

/// By what C is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Teacher {
    /// Separable CMA-ES.
    Cma,
    /// PPO on (z, h).
    Ppo,
    /// An expert that looks ahead in the dream, whose choices it imitates.
    Expert,
    /// The gradient of what dreams earn, back through M.
    Gradient,
}

/// In what C plans, where it is trained by PPO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planning {
    /// In M's dream.
    Dream,
    /// In the environment itself: a perfect model.
    Exact,
    /// Nowhere: steps that were played are gone through again, as many as rollouts would make.
    Replay,
}

/// Who plays first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beginners {
    /// Chance, greed, and who leaves greedy paths.
    All,
    /// Without chance: who knows what pays.
    Experts,
}

/// Rollouts of PPO that go on from real states.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutShape {
    /// How many; an update makes [`PracticeConfig::dreams`] times as many.
    pub rollouts: usize,
    /// Actions of each.
    pub depth: usize,
}

/// How C is trained.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PracticeConfig {
    /// By what.
    pub teacher: Teacher,
    /// In what, by PPO.
    pub planning: Planning,
    /// Whether PPO also learns from the episodes that C plays for real, round by round.
    pub from_real: bool,
    /// Of PPO and of the gradient; `None` for whole episodes from the start.
    pub rollouts: Option<RolloutShape>,
    /// Controllers of a generation.
    pub population: usize,
    /// Dreams of each controller in a generation.
    pub dreams: usize,
    /// Generations of a round; updates or lessons of other teachers. With 0 nothing is planned, and M is not fitted.
    pub generations: usize,
    /// Deviation of the first generation.
    pub sigma: f64,
    /// Temperature of the dream; 0 takes what is likeliest.
    pub temperature: f64,
    /// Whether it begins as the controller that takes what earns most at once; else knowing nothing.
    pub warm_start: bool,
}

impl Default for PracticeConfig {
    fn default() -> PracticeConfig {
        PracticeConfig {
            teacher: Teacher::Cma,
            planning: Planning::Dream,
            from_real: false,
            rollouts: None,
            population: 32,
            dreams: 8,
            generations: 60,
            sigma: 0.3,
            temperature: 1.0,
            warm_start: true,
        }
    }
}
