//! Training an agent by PPO: steps in many environments, an update, and again; with a state that can be saved between two
//! updates and taken up exactly.

mod config;
mod learn;
mod pretrain;
mod state;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::Device;

use self::tally::{Clock, Episodes};
use super::agent::{Agent, Decision};
use super::env::{Action, Task};
use super::latency::Latency;
use super::metrics::Metrics;
use super::net::adam::Adam;
use super::net::batch::Batch;
use super::net::digest::Digest;
use super::observation::RuleObservation;
use super::ppo::End;
use super::random::Random;
use super::rule_features::observe_rule;
use super::vector::{Episode, VectorEnv};

pub use config::{RewardConfig, TrainConfig};
pub use state::{Playing, TrainState};

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
    /// The agent to begin with has another network.
    #[error("the agent to begin with has a network of another kind or size")]
    OtherNetwork,
    /// The losses are no numbers time and again.
    #[error("the losses were no finite numbers in {0} updates in a row; a smaller learning rate may help")]
    Diverged(usize),
}

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

/// One step of one environment.
struct Transition {
    digest: Digest,
    decision: Decision,
    reward: f32,
    end: End,
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

    /// Begins with the parameters of an agent that was trained before.
    ///
    /// # Errors
    /// Its network is another one.
    pub fn start_from(&mut self, agent: &Agent) -> Result<(), TrainError> {
        if agent.config.encoder != self.config.agent.encoder {
            return Err(TrainError::OtherNetwork);
        }
        let values = agent.parameters.all();
        let value = |name: &str| values.iter().find(|(n, _)| n == name).map(|(_, value)| value.shallow_clone());
        self.agent.parameters.copy_from(value);
        self.agent.refresh();
        Ok(())
    }

    /// Measures graphs in this way, for [`Objective::Measured`](super::env::Objective::Measured).
    pub fn measure_with(&mut self, latency: &Arc<Latency>) {
        for at in 0..self.envs.len() {
            let latency = latency.clone();
            self.envs.env_mut(at).measure_with(Box::new(move |graph| latency.of(graph)));
        }
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
            let decisions = self.agent.decide(&refs, &self.rules, self.envs.table(), &mut random);
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
