//! The loop of learning in dreams: play for real, fit M, train C in the dream, look at what it is worth, and again with what C
//! has played (the generic loop of model-based reinforcement learning: interact, then plan).
//!
//! Work is cut into units, each of which depends on the seed and the state before it alone, so that a run that was stopped
//! between two goes on exactly.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::agent::{self, Dreamer, find};
use super::collect::{Ground, Sight, collect, collect_by};
use super::members::Member;
use super::pilot::Mind;
use super::play::Eye;
use super::quality_metrics::describe;
use super::seeing::vision;
use super::settings::LearnConfig;
use super::shards::{Root, hash_of};
use super::teach::beginning;
use super::worth::Kept;
use crate::graph::splitmix64;
use crate::rl::dream::cma::SepCma;
use crate::rl::dream::config::{Beginners, Refit};
use crate::rl::dream::controller::Controllers;
use crate::rl::dream::data::{Data, Player, Trajectory};
use crate::rl::dream::fit::{Fit, rule_table};
use crate::rl::dream::frame::Frame;
use crate::rl::dream::model::WorldModel;
use crate::rl::dream::quality::{self, effective_rank};
use crate::rl::dream::sequences::Sequences;
use crate::rl::dream::student::Student;
use crate::rl::dream::vision::Vision;
use crate::rl::env::Task;
use crate::rl::metrics::Metrics;
use crate::rl::random::Random;
use crate::rl::trainer::Subject;

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Play: part number `at`, a player on a graph.
    Collect {
        /// Which.
        at: usize,
    },
    /// Train V's encoder: part number `at`.
    See {
        /// Which.
        at: usize,
    },
    /// Fit M: epoch `at`.
    Fit {
        /// Which.
        at: usize,
    },
    /// Train C: generation `at`.
    Practise {
        /// Which.
        at: usize,
    },
    /// Play by C on all graphs.
    Evaluate,
    /// Nothing.
    Done,
}

/// The state between two units, without the tensors and the episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnState {
    /// Times round the loop so far.
    pub round: usize,
    /// What is done next.
    pub phase: Phase,
    /// Units so far.
    pub units: u64,
    /// Real steps so far, of episodes that are learned from.
    pub real_steps: u64,
    /// Real steps so far of episodes that say what a controller is worth.
    #[serde(default)]
    pub judging_steps: u64,
    /// Dreamt steps so far.
    pub dream_steps: u64,
    /// Steps of Adam.
    pub adam_steps: u64,
    /// C's parameters.
    pub controller: Vec<f64>,
    /// Where its training by CMA-ES is.
    pub cma: SepCma,
    /// Steps of Adam in its training by gradients.
    pub student_steps: u64,
    /// The same of V's encoder.
    #[serde(default)]
    pub vision_steps: u64,
    /// So many episodes were looked at again by V as it was behind its last training.
    #[serde(default)]
    pub looked_at: usize,
    /// The same of the other Ms.
    pub member_steps: Vec<u64>,
    /// Least that was met of each graph of what is to become less: estimated time in microseconds, or what the objective
    /// says.
    pub best_us: Vec<f64>,
    /// Shards written.
    pub shards: usize,
    /// What searches are to use, as far as controllers were played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// What a unit did.
#[derive(Debug)]
pub struct Unit {
    /// The numbers, by key.
    pub metrics: Metrics,
    /// Episodes that were played: to be written as a shard.
    pub episodes: Option<Vec<Trajectory>>,
    /// Whether what is kept for searches has changed: the controller, or the M beside it.
    pub keeps: bool,
}

impl Unit {
    /// A unit that played nothing to learn from, and judged no controller.
    pub(super) fn told(metrics: Metrics) -> Unit {
        Unit { metrics, episodes: None, keeps: false }
    }
}

/// Every so many episodes one is held out, to judge M by.
pub const HELD_OUT: usize = 8;
/// Share of the controller's actions that are random when it plays to learn.
const STRAYS: f64 = 0.15;

/// The loop.
pub struct Learner<'a> {
    pub(super) config: LearnConfig,
    pub(super) subjects: Vec<Subject<'a>>,
    pub(super) eye: Eye,
    pub(super) model: WorldModel,
    fit: Fit,
    /// V's encoder where it learns.
    pub(super) vision: Option<Vision>,
    /// The other Ms of an ensemble.
    pub(super) others: Vec<Member>,
    /// C where it learns by gradients.
    pub(super) student: Student,
    pub(super) rules: Tensor,
    pub(super) data: Data,
    pub(super) state: LearnState,
}

fn member_prefix(at: usize) -> String {
    format!("member{}.", at + 1)
}

/// Makes the random numbers of units differ by what they are for.
const PURPOSES: [u64; 5] = [0x636f_6c6c, 0x6669_7421, 0x6472_6561, 0x7265_616c, 0x7365_6521];

impl<'a> Learner<'a> {
    /// A loop that begins, with a dreamer that knows nothing but its encoder.
    pub fn new(config: LearnConfig, subjects: Vec<Subject<'a>>, dreamer: Dreamer) -> Learner<'a> {
        let Dreamer { view, model, .. } = dreamer;
        let mut eye = Eye::new(view);
        let rules = eye.rules(&subjects[0].task);
        let (student, controller, cma) = beginning(&config, model.device());
        let member = |number| Member::new(config.dreamer.model, model.device(), config.seed, number);
        let others: Vec<Member> = (1..config.ensemble.members.max(1)).map(member).collect();
        let state = LearnState {
            round: 0,
            phase: Phase::Collect { at: 0 },
            units: 0,
            real_steps: 0,
            judging_steps: 0,
            dream_steps: 0,
            adam_steps: 0,
            controller,
            cma,
            student_steps: 0,
            vision_steps: 0,
            looked_at: 0,
            member_steps: vec![0; others.len()],
            best_us: subjects.iter().map(|s| s.task.start(config.dreamer.objective)).collect(),
            shards: 0,
            kept: None,
        };
        if config.refit == Some(Refit::Heads) {
            model.freeze_dynamics();
        }
        let fit = Fit::new(&model);
        let vision = vision(&config, &eye.view);
        let table = rule_table(&rules, model.device());
        let data = Data { rules, trajectories: Vec::new() };
        Learner { config, subjects, eye, model, fit, vision, others, student, rules: table, data, state }
    }

    /// The settings.
    pub fn config(&self) -> &LearnConfig {
        &self.config
    }

    /// Where it is.
    pub fn state(&self) -> &LearnState {
        &self.state
    }

    /// The graphs.
    pub fn subjects(&self) -> &[Subject<'a>] {
        &self.subjects
    }

    /// How much a graph takes at the start of what is to become less.
    pub fn start(&self, root: usize) -> f64 {
        self.subjects[root].task.start(self.config.dreamer.objective)
    }

    /// Begins with episodes that were played elsewhere, by shard, instead of playing in the first round. If V is not the one
    /// that they were played with (`by_another`), what it sees is made anew.
    pub fn inherit(&mut self, shards: &[Vec<Trajectory>], by_another: bool) {
        for played in shards.iter().flatten() {
            self.note(played.root, std::slice::from_ref(played));
        }
        self.data.trajectories = shards.concat();
        self.state.shards = shards.len();
        self.state.phase = Phase::Fit { at: 0 };
        if by_another {
            self.look_at_all_again();
        }
    }

    /// The graphs, as shards name them.
    pub fn roots(&self) -> Vec<Root> {
        let root = |s: &Subject<'_>| Root { name: s.name.clone(), hash: hash_of(&s.task) };
        self.subjects.iter().map(root).collect()
    }

    /// What was played.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// M.
    pub fn model(&self) -> &WorldModel {
        &self.model
    }

    /// `[R, RULE]`.
    pub fn rules(&self) -> &Tensor {
        &self.rules
    }

    /// V, M and C as they are.
    pub fn dreamer(&mut self) -> Dreamer {
        let mut copy = Dreamer::new(self.config.dreamer, self.model.device(), 0).expect("these settings are in use");
        agent::take_up(&mut copy.view, &mut copy.model, &self.tensors_of_networks());
        copy.controller.clone_from(&self.state.controller);
        copy.set_ensemble(self.config.ensemble);
        for (other, member) in copy.others.iter().zip(&self.others) {
            let own = member.model.parameters.all();
            other.parameters.copy_from(|name| find(&own, name));
        }
        copy
    }

    fn tensors_of_networks(&mut self) -> Vec<(String, Tensor)> {
        agent::tensors(&self.eye.view, &mut self.model)
    }

    /// All tensors that a unit changes, by the names that checkpoints give them.
    pub fn tensors(&mut self) -> Vec<(String, Tensor)> {
        let behind = |prefix: &str, own: Vec<(String, Tensor)>| -> Vec<(String, Tensor)> {
            own.into_iter().map(|(name, t)| (format!("{prefix}{name}"), t)).collect()
        };
        let mut all = self.tensors_of_networks();
        all.extend(behind("adam.", self.fit.adam().state()));
        all.extend(behind("student.", self.student.tensors()));
        all.extend(self.vision.iter().flat_map(|vision| behind("vision.", vision.tensors())));
        for (at, member) in self.others.iter_mut().enumerate() {
            all.extend(behind(&member_prefix(at), member.tensors()));
        }
        all
    }

    /// Takes up a state, the tensors of [`Learner::tensors`], and the episodes that were played until then.
    ///
    /// # Errors
    /// What does not fit.
    pub fn take_up(
        &mut self,
        state: LearnState,
        values: &[(String, Tensor)],
        episodes: Vec<Trajectory>,
    ) -> Result<(), String> {
        let fits = state.best_us.len() == self.subjects.len()
            && state.controller.len() == self.state.controller.len()
            && state.member_steps.len() == self.others.len();
        if !fits {
            return Err("it is of other graphs, or of another controller".to_owned());
        }
        agent::take_up(&mut self.eye.view, &mut self.model, values);
        let value = |name: String| values.iter().find(|(n, _)| *n == name).map(|(_, t)| t.shallow_clone());
        self.fit.adam().restore(state.adam_steps, |name| value(format!("adam.{name}")));
        self.student.restore(state.student_steps, |name| value(format!("student.{name}")));
        if let Some(vision) = &mut self.vision {
            vision.restore(state.vision_steps, |name| value(format!("vision.{name}")));
        }
        for (at, member) in self.others.iter_mut().enumerate() {
            member.restore(state.member_steps[at], |name| value(format!("{}{name}", member_prefix(at))));
            member.share_scales(&self.model);
        }
        self.data.rules = self.eye.rules(&self.subjects[0].task);
        self.rules = rule_table(&self.data.rules, self.model.device());
        self.data.trajectories = episodes;
        self.state = state;
        // Shards hold what V saw when episodes were played. While it learns, nothing reads that.
        if self.state.looked_at > 0 && !matches!(self.state.phase, Phase::See { .. }) {
            self.look_again();
        }
        Ok(())
    }

    /// Whether all is done.
    pub fn is_done(&self) -> bool {
        self.state.phase == Phase::Done
    }

    /// Does the next unit.
    pub fn advance(&mut self) -> Unit {
        let unit = match self.state.phase {
            Phase::Collect { at } => self.collect(at),
            Phase::See { at } => self.see(at),
            Phase::Fit { at } => self.fit_epoch(at),
            Phase::Practise { at } => self.practise(at),
            Phase::Evaluate => self.evaluate(),
            Phase::Done => Unit::told(Metrics::new()),
        };
        self.state.units += 1;
        let mut unit = unit;
        unit.metrics.insert("charts/round", self.state.round as f64);
        unit.metrics.insert("charts/real_steps", self.state.real_steps as f64);
        unit.metrics.insert("charts/judging_steps", self.state.judging_steps as f64);
        unit.metrics.insert("charts/dream_steps", self.state.dream_steps as f64);
        unit
    }

    pub(super) fn random(&self, purpose: usize, at: usize) -> Random {
        let unit = splitmix64(PURPOSES[purpose], ((self.state.round as u64) << 32) | at as u64);
        Random::new(self.config.seed ^ unit)
    }

    /// Who plays in this round.
    fn players(&self) -> &'static [Player] {
        match (self.state.round, self.config.aggregate) {
            (0, _) if self.config.practice.generations == 0 => &[Player::Random],
            (0, _) if self.config.beginners == Beginners::Experts => &[Player::Greedy, Player::Backtracking],
            (0, _) => &[Player::Random, Player::Greedy, Player::Backtracking],
            _ if self.config.practice.from_real => &[Player::Policy],
            (_, true) if self.config.ensemble.explores && !self.others.is_empty() => {
                &[Player::Controller, Player::Curious]
            }
            (_, true) => &[Player::Controller],
            (_, false) => &[],
        }
    }

    fn collect(&mut self, at: usize) -> Unit {
        let players = self.players();
        let parts = players.len() * self.subjects.len();
        let mut metrics = Metrics::new();
        let mut episodes = None;
        if at < parts {
            let (root, player) = (at % self.subjects.len(), players[at / self.subjects.len()]);
            let mut random = self.random(0, at);
            let task = self.subjects[root].task.clone();
            let ground = self.ground(&task, root);
            let count = self.config.episodes;
            let played = if matches!(player, Player::Controller | Player::Curious | Player::Policy) {
                let controllers = self.controllers(&self.state.controller);
                // Only who is curious asks them.
                let of = if player == Player::Curious { self.others.as_slice() } else { &[] };
                let others: Vec<&WorldModel> = of.iter().map(|member| &member.model).collect();
                let mind = Mind {
                    model: &self.model,
                    table: &self.rules,
                    controllers: &controllers,
                    others: &others,
                    penalty: 0.0,
                };
                collect_by(&mut self.eye, &ground, (player, mind), (Sight::Slots, STRAYS), count, &mut random)
            } else {
                let is_earlier = |t: &&Trajectory| t.root == root && t.player == Player::Greedy;
                let earlier: Vec<Vec<Option<u32>>> =
                    self.data.trajectories.iter().filter(is_earlier).map(|t| t.actions.clone()).collect();
                collect(&mut self.eye, &ground, player, &earlier, count, &mut random)
            };
            self.note(root, &played);
            self.state.real_steps += played.iter().map(|t| t.len() as u64).sum::<u64>();
            let mean = |of: &dyn Fn(&Trajectory) -> f64| played.iter().map(of).sum::<f64>() / played.len() as f64;
            metrics
                .insert("charts/episodic_return", mean(&|t| f64::from(t.total())) / self.config.dreamer.reward_scale);
            metrics.insert("charts/episodic_length", mean(&|t| t.len() as f64));
            self.data.trajectories.extend(played.iter().cloned());
            self.state.shards += 1;
            episodes = Some(played);
        }
        self.state.phase = if at + 1 < parts {
            Phase::Collect { at: at + 1 }
        } else {
            self.learn_from_real(&mut metrics);
            self.after_play()
        };
        Unit { metrics, episodes, keeps: false }
    }

    pub(super) fn ground<'t>(&self, task: &'t Arc<Task<'a>>, root: usize) -> Ground<'t, 'a> {
        Ground { task, root, terms: self.config.dreamer.terms() }
    }

    pub(super) fn controllers(&self, parameters: &[f64]) -> Controllers {
        Controllers::new(self.config.dreamer.controller(), &[parameters.to_vec()], self.model.device())
    }

    /// Keeps the best that was met of a graph.
    pub(super) fn note(&mut self, root: usize, played: &[Trajectory]) {
        let scale = self.config.dreamer.reward_scale;
        let best = played.iter().map(|t| t.total()).fold(0.0f32, f32::max);
        let best_us = self.start(root) * (-f64::from(best) / scale).exp();
        self.state.best_us[root] = self.state.best_us[root].min(best_us);
    }

    /// The units of what M reads, by the first round's episodes; what V sees otherwise than before has other ones. Another run's M
    /// knows its own.
    pub(super) fn measure_scales(&mut self) {
        if (self.state.round == 0 && self.config.refit.is_none()) || self.config.vision.updates > 0 {
            let fit_to = self.data.split(HELD_OUT).0;
            let all = Sequences::new(&fit_to, self.model.device());
            self.model.scales.measure(&all, self.config.dreamer.model.normalise_deltas);
            self.others.iter_mut().for_each(|member| member.share_scales(&self.model));
        }
    }

    fn fit_epoch(&mut self, at: usize) -> Unit {
        let epochs = self.config.fit.epochs;
        let seed = self.random(1, at).bits();
        let (mut fit_to, judge_by) = self.data.split(HELD_OUT);
        if !self.config.aggregate {
            fit_to.retain(|t| !matches!(t.player, Player::Controller | Player::Curious | Player::Policy));
        }
        let done = at as f64 / epochs.max(1) as f64;
        let losses = self.fit.epoch(&self.model, &fit_to, &self.rules, &self.config.fit, done, seed);
        self.state.adam_steps = self.fit.adam().steps();
        for (member, steps) in self.others.iter_mut().zip(&mut self.state.member_steps) {
            member.epoch(&fit_to, &self.rules, &self.config.fit, (self.state.round, done), seed);
            *steps = member.steps();
        }
        let mut metrics: Metrics = losses.into_iter().collect();
        if at + 1 >= epochs {
            describe(&quality::measure(&self.model, &self.rules, &judge_by), &mut metrics);
            let wholes: Vec<f32> =
                fit_to.iter().flat_map(|t| &t.frames).flat_map(|f| f.whole.iter().copied()).collect();
            let rows = Tensor::from_slice(&wholes).reshape([-1, super::super::frame::WHOLE as i64]);
            let (rank, variance) = effective_rank(&rows);
            metrics.insert("quality/effective_rank", rank);
            metrics.insert("quality/variance", variance);
        }
        self.state.phase = if at + 1 < epochs { Phase::Fit { at: at + 1 } } else { Phase::Practise { at: 0 } };
        // Dreams can make it worse.
        let is_untrained = self.state.kept.is_none() && at + 1 >= epochs;
        let keeps = is_untrained && self.judge(&mut metrics);
        Unit { metrics, episodes: None, keeps }
    }

    /// The first state of each graph.
    pub fn starts(&self) -> Vec<&Frame> {
        let first = |root: usize| self.data.trajectories.iter().find(|t| t.root == root).map(|t| &t.frames[0]);
        (0..self.subjects.len()).filter_map(first).collect()
    }
}
