//! Settings of the world model and its controller, as `train-world-model` takes them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::args::{self, Preset};
use crate::rl::agent::Agent;
use crate::rl::dream::config::{
    Beginners, EnsembleConfig, FitConfig, ModelConfig, Planning, PracticeConfig, Refit, RolloutShape, Sees, Teacher,
    VisionConfig, VisionLoss,
};
use crate::rl::dream::waking::agent::DreamerConfig;
use crate::rl::dream::waking::settings::LearnConfig;
use crate::rl::dream::waking::transfer::Source;
use crate::rl::env::Quantity;
use crate::rl::net::encoder::EncoderConfig;

/// What is learned, and how.
#[derive(Args, Debug)]
pub struct DreamSettings {
    /// A set of settings: debug ends within seconds and learns little, cpu is for a few cores, h200 for a large GPU.
    #[arg(long, value_enum, default_value_t = Preset::Cpu)]
    preset: Preset,
    /// Takes the encoder of this agent, as `train-agent` writes it (default: one that is trained to reconstruct graphs).
    #[arg(long, value_name = "FILE")]
    pub encoder_from: Option<PathBuf>,
    /// What is to become less: estimated time, the peak of the activations' memory, or kernels launched.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::Time)]
    objective: ObjectiveArg,
    /// Begins with the world model of another run, which may have had another objective: its episodes are judged anew, and the
    /// model is fitted to that (docs/dream.md). The models are those of that run.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = [
            "encoder_from", "encoder", "encoder_loss", "pretrain_updates", "horizon", "components", "hidden", "plain_deltas", "blind", "books", "ensemble"
        ]
    )]
    pub model_from: Option<PathBuf>,
    /// With --model-from, what is fitted anew: the heads that say what is rewarded, or everything.
    #[arg(long, value_enum, default_value_t = RefitArg::Heads, requires = "model_from")]
    refit: RefitArg,
    /// Times round the loop (with --model-from: 1, which plays nothing to learn from).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Episodes of each player on each model in a round.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    episodes: Option<u32>,
    /// Actions of an episode at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    horizon: Option<u32>,
    /// Whether the encoder stays as it is behind its pre-training, or is trained on in every round, on the episodes so far.
    #[arg(long, value_enum, default_value_t = Training::Frozen)]
    encoder: Training,
    /// By what the encoder is trained: reconstruct tells operators and edges, on random rewrites; task tells what steps earn, how
    /// the cost changes and what is seen next, on the episodes that were played.
    #[arg(long, value_enum, default_value_t = Telling::Reconstruct)]
    encoder_loss: Telling,
    /// Updates that the encoder is pre-trained by; later rounds make a quarter as many, where it is trained on.
    #[arg(long, value_name = "N")]
    pretrain_updates: Option<usize>,
    /// Times that each round goes through the episodes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: Option<u32>,
    /// Gaussians of the mixture that predicts the next state; 0 for a deterministic prediction.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(0..=64))]
    components: Option<u32>,
    /// Width of the LSTM.
    #[arg(long, value_name = "N")]
    hidden: Option<usize>,
    /// Predicts changes in the units of the states instead of their own.
    #[arg(long)]
    plain_deltas: bool,
    /// Does not tell the model which candidates share nodes with what an action removes.
    #[arg(long)]
    blind: bool,
    /// Computes costs and rewards in dreams from what actions state, instead of learning them (with --objective time).
    #[arg(long)]
    books: bool,
    /// Goes on with the first round's episodes in later rounds.
    #[arg(long)]
    no_aggregation: bool,
    /// World models: the first dreams, the others (other beginnings, other draws of the episodes) tell where it is not to be
    /// trusted.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=32))]
    ensemble: Option<u32>,
    /// Takes W times what the models differ by from a dream's reward.
    #[arg(long, value_name = "W", value_parser = args::weight, requires = "ensemble")]
    disagreement_penalty: Option<f64>,
    /// Later rounds also play episodes that go where the models differ.
    #[arg(long, requires = "ensemble")]
    explore_disagreement: bool,
    /// By what the controller is trained in the dream: evolution (cma), PPO, imitating an expert that looks ahead in the dream, or the
    /// gradient through the model.
    #[arg(long, value_enum, default_value_t = By::Cma)]
    controller: By,
    /// What the controller reads of a state: what the encoder makes of it, and what the world model remembers.
    #[arg(long, value_enum, default_value_t = Reads::StateAndMemory)]
    controller_sees: Reads,
    /// Width of a hidden layer of the controller; 0 for none, so that it is linear. It has fewer than 1,000 parameters: on
    /// the state alone the most is 12, with memory 4.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    controller_hidden: u32,
    /// With --controller ppo or gradient: rollouts of D actions that go on from real states, R of them for each of the preset's dreams
    /// (default: whole episodes from the start).
    #[arg(long, value_name = "RxD", value_parser = shape)]
    rollout_shape: Option<RolloutShape>,
    /// With --controller ppo: what plans are made in: the dream, the environment itself (a perfect model), a replay of what was played
    /// (as a control), or none (then no model is fitted).
    #[arg(long, value_enum, default_value_t = In::Dream)]
    planning: In,
    /// With --controller ppo: the controller plays by its probabilities, and learns from that, too.
    #[arg(long)]
    learn_from_real: bool,
    /// Who plays in the first round: experts are greedy search and episodes that leave its paths.
    #[arg(long, value_enum, default_value_t = First::All)]
    beginners: First,
    /// Generations of controllers in a round; with other values of --controller, updates or lessons.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    generations: Option<u32>,
    /// Temperature of the dream: 0 takes what is likeliest.
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
    /// The first controller knows nothing, instead of taking what gains most at once.
    #[arg(long)]
    cold_start: bool,
}

/// See [`Quantity`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ObjectiveArg {
    /// Estimated time.
    Time,
    /// The peak of the activations' memory.
    Memory,
    /// Kernels launched.
    Launches,
}

impl ObjectiveArg {
    /// What it is.
    fn quantity(self) -> Quantity {
        match self {
            ObjectiveArg::Time => Quantity::Time,
            ObjectiveArg::Memory => Quantity::Memory,
            ObjectiveArg::Launches => Quantity::Launches,
        }
    }
}

/// See [`Refit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum RefitArg {
    /// The heads of reward, value and cost.
    Heads,
    /// Everything, those heads from nothing.
    All,
}

/// By what a controller is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum By {
    /// Separable CMA-ES.
    Cma,
    /// Proximal policy optimisation.
    Ppo,
    /// Imitation of model-predictive control.
    Imitation,
    /// Back-propagation through the model.
    Gradient,
}

/// In what a controller plans.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum In {
    /// The world model's dream.
    Dream,
    /// The environment itself.
    Exact,
    /// What was played.
    Replay,
    /// Nothing.
    None,
}

/// Who plays first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum First {
    /// Chance, greed, and who leaves greedy paths.
    All,
    /// Without chance.
    Experts,
}

/// Whether an encoder is trained on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Training {
    /// It stays as it is.
    Frozen,
    /// It is.
    Trained,
}

/// By what an encoder is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Telling {
    /// Operators and edges.
    Reconstruct,
    /// What matters to the task.
    Task,
}

/// What a controller reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Reads {
    /// What the encoder makes of the graph.
    State,
    /// That, and the output of the world model's LSTM.
    StateAndMemory,
}

fn shape(text: &str) -> Result<RolloutShape, String> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|n| (1..=10_000).contains(n));
    let parts = text.split_once('x').and_then(|(r, d)| Some((number(r)?, number(d)?)));
    let (rollouts, depth) = parts.ok_or_else(|| "expected rollouts and actions, as in 10x10".to_owned())?;
    Ok(RolloutShape { rollouts, depth })
}

fn temperature(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (0.0..=100.0).contains(n));
    number.ok_or_else(|| "expected a number from 0 to 100".to_owned())
}

impl DreamSettings {
    /// That the flags go together.
    ///
    /// # Errors
    /// Those that do not.
    pub fn check(&self) -> anyhow::Result<()> {
        let by_ppo = self.controller == By::Ppo;
        let by_gradients = by_ppo || self.controller == By::Gradient;
        for (flag, given, fits, controllers) in [
            ("--rollout-shape", self.rollout_shape.is_some(), by_gradients, "ppo or gradient"),
            ("--planning", self.planning != In::Dream, by_ppo, "ppo"),
            ("--learn-from-real", self.learn_from_real, by_ppo, "ppo"),
        ] {
            if given && !fits {
                anyhow::bail!("{flag} goes with --controller {controllers}");
            }
        }
        if self.controller == By::Gradient && self.disagreement_penalty.is_some() {
            anyhow::bail!(
                "--disagreement-penalty: the gradient goes through one world model; it goes with other values of --controller"
            );
        }
        if self.planning == In::None && !self.learn_from_real {
            anyhow::bail!("--planning none leaves nothing to learn from but --learn-from-real");
        }
        if self.books && !self.objective.quantity().is_time() {
            anyhow::bail!("--books: actions state what they do to time alone; it goes with --objective time");
        }
        let never = self.encoder == Training::Frozen && self.pretrain_updates.unwrap_or(0) == 0;
        if self.encoder_loss == Telling::Task && self.encoder_from.is_some() && never {
            anyhow::bail!(
                "--encoder-loss task trains nothing here: --encoder trained or --pretrain-updates goes with it"
            );
        }
        Ok(())
    }

    /// What the preset says.
    fn base(&self) -> LearnConfig {
        let cpu = LearnConfig::default();
        match self.preset {
            Preset::Debug => LearnConfig {
                dreamer: DreamerConfig {
                    encoder: EncoderConfig { width: 16, rounds: 2, ..cpu.dreamer.encoder },
                    model: ModelConfig { hidden: 32, components: 2, slot_width: 32, births: 4, ..cpu.dreamer.model },
                    horizon: 12,
                    ..cpu.dreamer
                },
                fit: FitConfig { epochs: 3, batch: 8, ..cpu.fit },
                practice: PracticeConfig { population: 8, dreams: 2, generations: 4, ..cpu.practice },
                rounds: 2,
                episodes: 8,
                pretrain_updates: 10,
                ..cpu
            },
            Preset::Cpu => cpu,
            Preset::H200 => LearnConfig {
                dreamer: DreamerConfig {
                    encoder: EncoderConfig { width: 128, ..cpu.dreamer.encoder },
                    model: ModelConfig { slot_width: 256, ..cpu.dreamer.model },
                    horizon: 64,
                    ..cpu.dreamer
                },
                fit: FitConfig { epochs: 60, batch: 128, ..cpu.fit },
                practice: PracticeConfig { population: 128, dreams: 32, generations: 300, ..cpu.practice },
                rounds: 8,
                episodes: 512,
                pretrain_updates: 1000,
                ..cpu
            },
        }
    }

    /// The settings of a run; `agent` is whose encoder it takes, `source` another run that it begins with.
    pub fn config(&self, agent: Option<&Agent>, source: Option<&Source>, seed: u64) -> LearnConfig {
        let base = self.base();
        let (mut model, mut fit, mut practice) = (base.dreamer.model, base.fit, base.practice);
        let (encoder, horizon) =
            agent.map_or((base.dreamer.encoder, base.dreamer.horizon), |a| (a.config.encoder, a.config.horizon));
        model.components = self.components.map_or(model.components, |k| k as usize);
        model.hidden = self.hidden.unwrap_or(model.hidden);
        model.normalise_deltas = !self.plain_deltas;
        model.sees_takes = !self.blind;
        model.books = self.books.then_some(base.dreamer.reward_scale);
        fit.epochs = self.epochs.map_or(fit.epochs, |n| n as usize);
        practice.generations = self.generations.map_or(practice.generations, |n| n as usize);
        practice.temperature = self.temperature.unwrap_or(practice.temperature);
        practice.warm_start = !self.cold_start;
        practice.teacher = match self.controller {
            By::Cma => Teacher::Cma,
            By::Ppo => Teacher::Ppo,
            By::Imitation => Teacher::Expert,
            By::Gradient => Teacher::Gradient,
        };
        practice.planning = match self.planning {
            In::Dream | In::None => Planning::Dream,
            In::Exact => Planning::Exact,
            In::Replay => Planning::Replay,
        };
        practice.generations = if self.planning == In::None { 0 } else { practice.generations };
        practice.from_real = self.learn_from_real;
        practice.rollouts = self.rollout_shape;
        let ensemble = EnsembleConfig {
            members: self.ensemble.unwrap_or(1) as usize,
            penalty: self.disagreement_penalty.unwrap_or(0.0),
            explores: self.explore_disagreement,
        };
        let dreamer = DreamerConfig {
            encoder,
            model,
            controller_sees: match self.controller_sees {
                Reads::State => Sees::State,
                Reads::StateAndMemory => Sees::StateAndMemory,
            },
            controller_hidden: self.controller_hidden as usize,
            horizon: self.horizon.map_or(horizon, |h| h as usize),
            ..base.dreamer
        };
        let reward_scale = agent.map_or(base.dreamer.reward_scale, |a| a.config.reward_scale);
        let dreamer = dreamer.rewarded(self.objective.quantity(), reward_scale);
        // Of another run all but its controller.
        let dreamer = source.map_or(dreamer, |source| DreamerConfig {
            controller_sees: dreamer.controller_sees,
            controller_hidden: dreamer.controller_hidden,
            ..source.settings(dreamer.objective)
        });
        let (rounds, pretrain) = if source.is_some() { (1, 0) } else { (base.rounds, base.pretrain_updates) };
        let updates = match self.encoder {
            Training::Frozen => 0,
            Training::Trained => self.pretrain_updates.unwrap_or(pretrain).div_ceil(4),
        };
        let loss = match self.encoder_loss {
            Telling::Reconstruct => VisionLoss::Reconstruct,
            Telling::Task => VisionLoss::Task,
        };
        LearnConfig {
            seed,
            dreamer,
            pretrain_updates: self.pretrain_updates.unwrap_or(if agent.is_some() { 0 } else { pretrain }),
            vision: VisionConfig { loss, updates },
            rounds: self.rounds.map_or(rounds, |n| n as usize),
            episodes: self.episodes.map_or(base.episodes, |n| n as usize),
            beginners: match self.beginners {
                First::All => Beginners::All,
                First::Experts => Beginners::Experts,
            },
            aggregate: !self.no_aggregation,
            fit,
            practice,
            ensemble,
            refit: source.map(|_| match self.refit {
                RefitArg::Heads => Refit::Heads,
                RefitArg::All => Refit::All,
            }),
        }
    }
}
