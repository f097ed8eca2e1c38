//! Training an agent by PPO: steps in many environments, an update, and again; with a state that can be saved between two
//! updates and taken up exactly.

use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::agent::{Agent, AgentConfig, Choice, Decision, ENCODER, Manner, log_probability, to_vec};
use super::env::{Action, Env, EnvSettings, Task};
use super::env_objective::Objective;
use super::metrics::Metrics;
use super::neighbourhood::Neighbourhoods;
use super::net::adam::Adam;
use super::net::autoencoder::{AutoEncoder, Reconstruction};
use super::net::batch::Batch;
use super::net::digest::Digest;
use super::net::encoder::Global;
use super::net::parameters::Parameters;
use super::observation::RuleObservation;
use super::ppo::{self, End, Losses, New, Old, PpoConfig, gae};
use super::random::Random;
use super::rule_features::observe_rule;
use super::vector::{Episode, VectorEnv};

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

/// A graph to train on.
pub struct Subject<'a> {
    /// Name in reports.
    pub name: String,
    /// The task.
    pub task: Arc<Task<'a>>,
    /// Least estimated time that is known, in microseconds.
    pub known_us: f64,
}

/// Why a training cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// There is nothing to train on.
    #[error("there is no graph to train on")]
    Nothing,
    /// The losses are no numbers time and again.
    #[error("the losses were no finite numbers in {0} updates in a row; a smaller learning rate may help")]
    Diverged(usize),
}

/// Makes the random numbers of pre-training others than those of training.
const PRETRAINING: u64 = 0x7072_6574_7261_696e;

/// Classes are forgotten when their table takes more than this.
const MAX_TABLE_BYTES: usize = 1 << 28;

/// Updates in a row that may fail before training gives up.
const MAX_FAILURES: usize = 5;

/// What one update did.
#[derive(Debug)]
pub struct Update {
    /// The numbers, by key.
    pub metrics: Metrics,
    /// Whether it was taken back because a loss was no finite number.
    pub taken_back: bool,
}

/// The best graph of a subject that was met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Estimated time in microseconds.
    pub best_us: f64,
    /// The actions to it.
    pub actions: Vec<usize>,
    /// How far episodes end above the best known, as a running mean of `log(reached / known)`; 1 before the first.
    pub regret: f64,
    /// Episodes that ended.
    pub episodes: u64,
}

/// How much an episode counts in the running mean of the regret.
const REGRET_RATE: f64 = 0.1;
/// Subjects without regret are drawn this much still.
const LEAST_REGRET: f64 = 0.01;

/// A training.
pub struct Trainer<'a> {
    config: TrainConfig,
    subjects: Vec<Subject<'a>>,
    agent: Agent,
    adam: Adam,
    random: Random,
    envs: VectorEnv<'a>,
    playing: Vec<Playing>,
    records: Vec<Record>,
    rules: Vec<RuleObservation>,
    steps: u64,
    updates: u64,
    failures: usize,
}

/// What an environment is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playing {
    /// The subject of its episode.
    subject: usize,
    /// That of the next.
    next: usize,
    /// The actions of the episode so far.
    actions: Vec<usize>,
}

/// The state of a training between two updates, without the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Names of the subjects: others cannot be gone on with.
    pub subjects: Vec<String>,
    /// Steps so far.
    pub steps: u64,
    /// Updates so far.
    pub updates: u64,
    /// Steps of Adam.
    pub adam_steps: u64,
    /// The random numbers.
    pub random: Random,
    /// For each environment.
    pub playing: Vec<Playing>,
    /// For each subject.
    pub records: Vec<Record>,
}

/// One step of one environment.
struct Transition {
    digest: Digest,
    decision: Decision,
    reward: f32,
    end: End,
}

/// What the episodes that ended in a rollout came to.
#[derive(Default)]
struct Episodes {
    returns: Vec<f64>,
    lengths: Vec<f64>,
    regrets: Vec<f64>,
}

impl<'a> Trainer<'a> {
    /// A training that begins.
    ///
    /// # Errors
    /// There is nothing to train on.
    pub fn new(config: TrainConfig, subjects: Vec<Subject<'a>>, device: Device) -> Result<Trainer<'a>, TrainError> {
        if subjects.is_empty() {
            return Err(TrainError::Nothing);
        }
        let mut agent = Agent::new(config.agent, device, config.seed);
        if config.freeze_encoder {
            agent.freeze_encoder();
        }
        let adam = Adam::new(agent.learning());
        let fresh = |s: &Subject<'_>| Record { best_us: s.task.start_us(), actions: vec![], regret: 1.0, episodes: 0 };
        let records: Vec<Record> = subjects.iter().map(fresh).collect();
        let mut random = Random::new(config.seed);
        let mut draw = || draw_subject(&records, &mut random);
        let begin = |_| Playing { subject: draw(), next: draw(), actions: Vec::new() };
        let playing: Vec<Playing> = (0..config.ppo.num_envs).map(begin).collect();
        let tasks = playing.iter().map(|p| subjects[p.subject].task.clone()).collect();
        // Classes of a rollout are those of one table: it is emptied between rollouts alone.
        let envs =
            VectorEnv::new(tasks, config.env_settings(), config.agent.encoder.rounds).with_table_bytes(usize::MAX);
        let (steps, updates, failures, rules) = (0, 0, 0, Vec::new());
        let mut trainer =
            Trainer { config, subjects, agent, adam, random, envs, playing, records, rules, steps, updates, failures };
        (0..trainer.playing.len()).for_each(|at| trainer.announce(at));
        Ok(trainer)
    }

    /// Tells an environment what its next episode is about.
    fn announce(&mut self, at: usize) {
        let Playing { subject, next, .. } = self.playing[at];
        if subject != next {
            self.envs.set_task(at, self.subjects[next].task.clone());
        }
    }

    /// The settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Gives the agent away.
    pub fn into_agent(self) -> Agent {
        self.agent
    }

    /// Steps of all environments so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether all steps are taken.
    pub fn is_done(&self) -> bool {
        self.steps >= self.config.ppo.total_timesteps
    }

    /// The subjects with the best that was met of each.
    pub fn records(&self) -> impl Iterator<Item = (&Subject<'a>, &Record)> {
        self.subjects.iter().zip(&self.records)
    }

    /// Trains the encoder to reconstruct graphs along random rewrites, if the settings say so; then freezes it, if they say
    /// so. To be called once, before the first update. `tell` is given each update's number and what came of it.
    pub fn pretrain(&mut self, tell: &mut dyn FnMut(usize, &Reconstruction)) {
        let device = self.agent.device();
        let decoders = Parameters::new(device, self.config.seed);
        let decoder = AutoEncoder::new(&decoders.root().sub("decoder"), self.config.agent.encoder.width);
        let encoder = self.agent.parameters.all().into_iter().filter(|(name, _)| name.starts_with(ENCODER));
        let mut adam = Adam::new(encoder.chain(decoders.all()).collect());
        let settings = EnvSettings { plain: true, ..self.config.env_settings() };
        let mut known = Neighbourhoods::new(self.config.agent.encoder.rounds);
        let mut random = Random::new(self.config.seed ^ PRETRAINING);
        let mut envs: Vec<Env<'a>> = Vec::new();
        for update in 0..self.config.pretrain_updates {
            if update % self.config.agent.horizon == 0 {
                let draw = |_| self.subjects[random.below(self.subjects.len())].task.clone();
                let tasks: Vec<Arc<Task<'a>>> = (0..self.config.ppo.num_envs).map(draw).collect();
                envs = tasks.into_iter().map(|task| Env::new(task, settings.clone())).collect();
            }
            known.clear();
            let observations: Vec<_> = envs.iter_mut().map(|env| env.observe(&mut known)).collect();
            adam.zero_grad();
            let result = decoder.reconstruct(self.agent.encoder(), &known, &observations, &mut random);
            result.loss.backward();
            adam.clip_grad_norm(self.config.ppo.max_grad_norm);
            adam.step(self.config.ppo.learning_rate, ppo::ADAM_EPS);
            tell(update, &result);
            for env in &mut envs {
                let legal = env.candidates();
                if legal > 0 && !env.is_over() {
                    env.step(Action::Apply(random.below(legal)));
                }
            }
        }
        self.agent.refresh();
    }

    /// A rollout and an update.
    ///
    /// # Errors
    /// The losses were no numbers several times in a row. (Once is taken back.)
    pub fn update(&mut self) -> Result<Update, TrainError> {
        let mut clock = Clock::default();
        self.begin_classes();
        let mut episodes = Episodes::default();
        let (fragments, last_values) = self.rollout(&mut episodes, &mut clock);
        let before = (self.snapshot(), self.adam.steps());
        let mut metrics = self.learn(&fragments, &last_values, &mut clock);
        let finite = |key: &str| metrics.get(key).is_some_and(|value| value.is_finite());
        let taken_back = !(finite("losses/policy_loss") && finite("losses/value_loss") && finite("losses/grad_norm"));
        if taken_back {
            self.failures += 1;
            if self.failures >= MAX_FAILURES {
                return Err(TrainError::Diverged(self.failures));
            }
            self.restore(&before.0, before.1);
        } else {
            self.failures = 0;
        }
        self.agent.refresh();
        self.updates += 1;
        episodes.describe(&mut metrics);
        clock.describe((self.playing.len() * self.config.ppo.num_steps) as f64, &mut metrics);
        metrics.insert("charts/classes", self.envs.table().len() as f64);
        Ok(Update { metrics, taken_back })
    }

    /// Empties the table of classes: with other parameters every embedding is computed anew, and what no graph of this
    /// rollout has need not be. Embeddings of an encoder that stays as it is are kept, as long as there is room.
    fn begin_classes(&mut self) {
        let known = self.envs.table_mut();
        if self.config.freeze_encoder && !self.rules.is_empty() && known.bytes() < MAX_TABLE_BYTES {
            return;
        }
        known.clear();
        let rules = self.subjects[0].task.rules().clone();
        self.rules = (0..rules.len() as u32).map(|i| observe_rule(rules.rule(i), known)).collect();
    }

    fn observe(&mut self) -> Vec<Digest> {
        let by = Batch::key(self.config.agent.encoder.global);
        self.envs.observe().into_par_iter().map(|observation| Digest::new(observation, by)).collect()
    }

    /// Steps all environments; what happened, environment by environment, and the values of the states that follow.
    fn rollout(&mut self, episodes: &mut Episodes, clock: &mut Clock) -> (Vec<Vec<Transition>>, Vec<f32>) {
        let mut fragments: Vec<Vec<Transition>> = self.playing.iter().map(|_| Vec::new()).collect();
        let mut values = Vec::new();
        for step in 0..=self.config.ppo.num_steps {
            let start = Instant::now();
            let digests = self.observe();
            clock.environment += start.elapsed().as_secs_f64();
            let start = Instant::now();
            let refs: Vec<&Digest> = digests.iter().collect();
            let mut random = self.random;
            let decisions = self.agent.decide(&refs, &self.rules, self.envs.table(), &mut Manner::Sample(&mut random));
            clock.acting += start.elapsed().as_secs_f64();
            if step == self.config.ppo.num_steps {
                // Only the values are wanted: the draws are not counted.
                values = decisions.iter().map(|d| d.value).collect();
                break;
            }
            self.random = random;
            let start = Instant::now();
            let actions: Vec<Action> = decisions.iter().map(|d| d.choice.action()).collect();
            let stepped = self.envs.step(&actions);
            let scale = self.config.agent.reward_scale;
            for (at, ((digest, decision), step)) in digests.into_iter().zip(decisions).zip(stepped.steps).enumerate() {
                let end = if step.terminated { End::Terminated } else { End::No };
                if let Action::Apply(site) = actions[at] {
                    self.playing[at].actions.push(site);
                }
                fragments[at].push(Transition { digest, decision, reward: (step.reward * scale) as f32, end });
            }
            for episode in stepped.episodes {
                self.finish_episode(episode, episodes);
            }
            self.steps += self.playing.len() as u64;
            clock.environment += start.elapsed().as_secs_f64();
        }
        (fragments, values)
    }

    /// Notes what came of an episode. The environment has begun another one.
    fn finish_episode(&mut self, episode: Episode<'a>, episodes: &mut Episodes) {
        let playing = &self.playing[episode.env];
        let record = &mut self.records[playing.subject];
        let known = self.subjects[playing.subject].known_us.min(record.best_us);
        let regret = (episode.best_us / known).ln().max(0.0);
        if episode.best_us < record.best_us - 1e-6 {
            record.best_us = episode.best_us;
            record.actions = episode.best_actions;
        }
        record.regret += (regret - record.regret) * REGRET_RATE.max(1.0 / (record.episodes + 1) as f64);
        record.episodes += 1;
        episodes.returns.push(episode.episodic_return);
        episodes.lengths.push(episode.episodic_length as f64);
        episodes.regrets.push(regret);
        let next = draw_subject(&self.records, &mut self.random);
        self.playing[episode.env] = Playing { subject: playing.next, next, actions: Vec::new() };
        self.announce(episode.env);
    }

    /// The update of PPO on a rollout.
    fn learn(&mut self, fragments: &[Vec<Transition>], last_values: &[f32], clock: &mut Clock) -> Metrics {
        let start = Instant::now();
        let config = self.config.ppo.clone();
        let mut flat: Vec<Sample<'_>> = Vec::new();
        for (fragment, last_value) in fragments.iter().zip(last_values) {
            let rewards: Vec<f32> = fragment.iter().map(|t| t.reward).collect();
            let values: Vec<f32> = fragment.iter().map(|t| t.decision.value).collect();
            let ends: Vec<End> = fragment.iter().map(|t| t.end).collect();
            let (gamma, lambda) = (config.gamma as f32, config.gae_lambda as f32);
            let (advantages, returns) = gae(&rewards, &values, &ends, *last_value, gamma, lambda);
            let samples = fragment.iter().zip(advantages).zip(returns);
            flat.extend(samples.map(|((transition, advantage), target)| Sample { transition, advantage, target }));
        }
        // The first update has the whole rate, the last some of it.
        let done = (self.steps - flat.len() as u64) as f64 / config.total_timesteps.max(1) as f64;
        let learning_rate = ppo::learning_rate(&config, done);
        let mut tally = Tally::default();
        let mut order: Vec<&[Sample<'_>]> = flat.chunks(config.num_steps.max(1)).collect();
        let size = order.len().div_ceil(config.num_minibatches.max(1)).max(1);
        'epochs: for _ in 0..config.update_epochs {
            self.random.shuffle(&mut order);
            for part in order.chunks(size) {
                let samples: Vec<&Sample<'_>> = part.iter().copied().flatten().collect();
                let losses = self.minibatch(&samples);
                self.adam.zero_grad();
                losses.total.backward();
                let norm = self.adam.clip_grad_norm(config.max_grad_norm);
                tally.add(&losses, norm);
                if !norm.is_finite() {
                    break 'epochs;
                }
                if config.target_kl.is_some_and(|most| losses.approx_kl > most) {
                    tally.stopped_early = true;
                    break 'epochs;
                }
                self.adam.step(learning_rate, ppo::ADAM_EPS);
            }
        }
        let values: Vec<f32> = flat.iter().map(|s| s.transition.decision.value).collect();
        let targets: Vec<f32> = flat.iter().map(|s| s.target).collect();
        let mut metrics = tally.metrics();
        metrics.insert("losses/explained_variance", ppo::explained_variance(&values, &targets));
        metrics.insert("charts/learning_rate", learning_rate);
        clock.learning += start.elapsed().as_secs_f64();
        metrics
    }

    fn minibatch(&mut self, samples: &[&Sample<'_>]) -> Losses {
        let device = self.agent.device();
        let digests: Vec<&Digest> = samples.iter().map(|s| &s.transition.digest).collect();
        let choices: Vec<Choice> = samples.iter().map(|s| s.transition.decision.choice).collect();
        let column = |of: &dyn Fn(&Sample<'_>) -> f32| {
            let values: Vec<f32> = samples.iter().map(|s| of(s)).collect();
            Tensor::from_slice(&values).to_device(device)
        };
        let (batch, judgement) = self.agent.judge(&digests, &self.rules, self.envs.table());
        let old = Old {
            logprob: column(&|s| s.transition.decision.logprob),
            value: column(&|s| s.transition.decision.value),
            advantage: column(&|s| s.advantage),
            target: column(&|s| s.target),
        };
        let new = New {
            logprob: log_probability(&batch, &judgement, &digests, &choices),
            value: judgement.value,
            entropy: judgement.rule_entropy + judgement.place_entropy,
        };
        ppo::losses(&old, &new, &self.config.ppo)
    }

    /// Copies of all tensors that an update changes: parameters, and Adam's state behind them.
    fn snapshot(&self) -> Vec<(String, Tensor)> {
        let copy = |(name, tensor): (String, Tensor)| (name, tensor.detach().copy());
        self.tensors().into_iter().map(copy).collect()
    }

    /// All tensors that an update changes, by the names that checkpoints give them.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let parameters = self.agent.parameters.all().into_iter().map(|(name, t)| (format!("agent.{name}"), t));
        parameters.chain(self.adam.state().into_iter().map(|(name, t)| (format!("adam.{name}"), t))).collect()
    }

    fn restore(&mut self, values: &[(String, Tensor)], adam_steps: u64) {
        let value = |name: String| values.iter().find(|(n, _)| *n == name).map(|(_, t)| t.shallow_clone());
        self.agent.parameters.copy_from(|name| value(format!("agent.{name}")));
        self.adam.restore(adam_steps, |name| value(format!("adam.{name}")));
        self.agent.refresh();
    }

    /// The state between two updates.
    pub fn state(&self) -> TrainState {
        TrainState {
            subjects: self.subjects.iter().map(|s| s.name.clone()).collect(),
            steps: self.steps,
            updates: self.updates,
            adam_steps: self.adam.steps(),
            random: self.random,
            playing: self.playing.clone(),
            records: self.records.clone(),
        }
    }

    /// Takes up a state: the tensors are those of [`Trainer::tensors`]. The episodes under way are replayed.
    ///
    /// # Errors
    /// What does not fit this training.
    pub fn take_up(&mut self, state: TrainState, values: &[(String, Tensor)]) -> Result<(), String> {
        if state.subjects != self.state().subjects || state.records.len() != self.subjects.len() {
            return Err(format!("it trains on other graphs: {}", state.subjects.join(", ")));
        }
        if state.playing.len() != self.playing.len() {
            return Err(format!("it has {} environments, not {}", state.playing.len(), self.playing.len()));
        }
        for (at, playing) in state.playing.iter().enumerate() {
            let task = |subject: usize| self.subjects.get(subject).map(|s| s.task.clone());
            let (Some(task), Some(_)) = (task(playing.subject), task(playing.next)) else {
                return Err(format!("there is no graph {} or {}", playing.subject, playing.next));
            };
            if !self.envs.replay(at, task, &playing.actions) {
                return Err("the actions of an episode do not fit its graph and the rules".to_owned());
            }
        }
        self.playing = state.playing;
        (0..self.playing.len()).for_each(|at| self.announce(at));
        self.restore(values, state.adam_steps);
        self.steps = state.steps;
        self.updates = state.updates;
        self.random = state.random;
        self.records = state.records;
        Ok(())
    }
}

impl TrainConfig {
    fn env_settings(&self) -> EnvSettings {
        EnvSettings {
            horizon: self.agent.horizon,
            objective: self.reward.objective.clone(),
            shaping: self.reward.shaping,
            step_cost: self.reward.step_cost,
            gamma: self.ppo.gamma,
            plain: self.agent.encoder.global == Global::Full,
            ..EnvSettings::default()
        }
    }
}

/// A subject, those with more regret more often.
fn draw_subject(records: &[Record], random: &mut Random) -> usize {
    let weights: Vec<f64> = records.iter().map(|r| r.regret.max(LEAST_REGRET)).collect();
    let mut left = random.unit() * weights.iter().sum::<f64>();
    let drawn = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    drawn.unwrap_or(weights.len() - 1)
}

/// A transition with what is learned from it.
struct Sample<'a> {
    transition: &'a Transition,
    advantage: f32,
    target: f32,
}

/// Seconds by part.
#[derive(Default)]
struct Clock {
    environment: f64,
    acting: f64,
    learning: f64,
}

impl Clock {
    fn describe(&self, steps: f64, metrics: &mut Metrics) {
        let total = self.environment + self.acting + self.learning;
        metrics.insert("charts/SPS", steps / total);
        metrics.insert("time/environment_share", self.environment / total);
        metrics.insert("time/acting_share", self.acting / total);
        metrics.insert("time/learning_share", self.learning / total);
        metrics.insert("time/act_steps_per_second", steps / self.acting);
        metrics.insert("time/environment_steps_per_second", steps / self.environment);
    }
}

impl Episodes {
    fn describe(&self, metrics: &mut Metrics) {
        let mean = |xs: &[f64]| xs.iter().sum::<f64>() / xs.len() as f64;
        metrics.insert("charts/episodes", self.returns.len() as f64);
        if !self.returns.is_empty() {
            metrics.insert("charts/episodic_return", mean(&self.returns));
            metrics.insert("charts/episodic_length", mean(&self.lengths));
            metrics.insert("charts/regret", mean(&self.regrets));
        }
    }
}

/// Means over the minibatches of an update.
#[derive(Default)]
struct Tally {
    sums: [f64; 6],
    count: f64,
    last_kl: f64,
    stopped_early: bool,
}

impl Tally {
    fn add(&mut self, losses: &Losses, grad_norm: f64) {
        let number = |t: &Tensor| t.double_value(&[]);
        let values = [
            number(&losses.policy),
            number(&losses.value),
            number(&losses.entropy),
            losses.approx_kl,
            losses.clipfrac,
            grad_norm,
        ];
        self.sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        self.count += 1.0;
        self.last_kl = losses.approx_kl;
    }

    fn metrics(&self) -> Metrics {
        const KEYS: [&str; 6] = [
            "losses/policy_loss",
            "losses/value_loss",
            "losses/entropy",
            "losses/mean_kl",
            "losses/clipfrac",
            "losses/grad_norm",
        ];
        let mut metrics: Metrics = KEYS.into_iter().zip(self.sums.map(|sum| sum / self.count)).collect();
        metrics.insert("losses/approx_kl", self.last_kl);
        metrics.insert("losses/stopped_early", f64::from(u8::from(self.stopped_early)));
        metrics
    }
}

/// The numbers of a tensor, for tests and reports.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    to_vec(&tensor.flatten(0, -1))
}
