//! C is trained, a unit at a time: a generation of controllers, an update of PPO, or a lesson by an expert.

use tch::Device;

use super::exact::Exact;
use super::learner::{Learner, Phase, Unit};
use super::lookahead::DEPTH;
use super::settings::LearnConfig;
use crate::rl::dream::chance::Chance;
use crate::rl::dream::cma::SepCma;
use crate::rl::dream::config::{Planning, PracticeConfig, Teacher};
use crate::rl::dream::controller::ControllerShape;
use crate::rl::dream::data::Trajectory;
use crate::rl::dream::dream::Dream;
use crate::rl::dream::ensemble::Ensemble;
use crate::rl::dream::frame::Frame;
use crate::rl::dream::imitate::lesson;
use crate::rl::dream::model::WorldModel;
use crate::rl::dream::plan::{Plan, Proposals};
use crate::rl::dream::ppo::{self, Update};
use crate::rl::dream::practice::Practice;
use crate::rl::dream::regress;
use crate::rl::dream::replay::replayed;
use crate::rl::dream::rollouts::Rollouts;
use crate::rl::dream::student::Student;
use crate::rl::dream::through::ascend;
use crate::rl::dream::world::World;
use crate::rl::metrics::Metrics;
use crate::rl::random::Random;

/// States of a lesson.
const LESSON: usize = 64;

/// M with those that dream along.
pub(super) fn ensemble<'m>(model: &'m WorldModel, others: &'m [super::members::Member], penalty: f64) -> Ensemble<'m> {
    Ensemble { first: model, others: others.iter().map(|member| &member.model).collect(), penalty }
}

/// C before any training: where it learns by gradients, its parameters, and where evolution begins.
pub(super) fn beginning(config: &LearnConfig, device: Device) -> (Student, Vec<f64>, SepCma) {
    let shape = config.dreamer.controller();
    let first = shape.first(config.practice.warm_start);
    let student = Student::new(shape, &first, device, config.seed);
    let controller = if config.practice.teacher == Teacher::Cma { first.clone() } else { student.controller() };
    (student, controller, SepCma::new(first, config.practice.sigma, config.practice.population))
}

impl Learner<'_> {
    /// Shape of controllers, and actions of a dream.
    pub(super) fn dreams(&self) -> (ControllerShape, usize) {
        (self.config.dreamer.controller(), self.config.dreamer.horizon)
    }

    /// Begins C anew, by these settings, with M and the episodes as they are.
    pub fn begin_again(&mut self, practice: PracticeConfig, penalty: f64) {
        self.config.practice = practice;
        self.config.ensemble.penalty = penalty;
        (self.student, self.state.controller, self.state.cma) = beginning(&self.config, self.model.device());
        self.state.student_steps = 0;
        self.state.kept = None;
        self.state.phase = Phase::Practise { at: 0 };
    }

    pub(super) fn practise(&mut self, at: usize) -> Unit {
        let (steps, metrics) = match self.config.practice.teacher {
            Teacher::Cma => self.generation(at),
            Teacher::Ppo => self.update(at),
            Teacher::Expert => self.lesson(at),
            Teacher::Gradient => self.ascent(at),
        };
        self.state.dream_steps += steps;
        let more = at + 1 < self.config.practice.generations;
        self.state.phase = if more { Phase::Practise { at: at + 1 } } else { Phase::Evaluate };
        Unit::told(metrics)
    }

    fn generation(&mut self, at: usize) -> (u64, Metrics) {
        let mut random = self.random(2, at);
        let config = self.config.practice;
        let models = ensemble(&self.model, &self.others, self.config.ensemble.penalty);
        let practice = Practice::new(models, &self.rules, self.starts(), config, self.dreams());
        let mut cma = if at == 0 { practice.begin_at(self.state.controller.clone()) } else { self.state.cma.clone() };
        let generation = practice.generation(&mut cma, &mut random);
        self.state.controller.clone_from(&cma.mean);
        self.state.cma = cma;
        let scale = self.config.dreamer.reward_scale;
        let metrics = Metrics::from([
            ("dream/return_mean", generation.mean / scale),
            ("dream/return_best", generation.best / scale),
            ("dream/return_middle", generation.middle / scale),
            ("dream/sigma", generation.sigma),
        ]);
        (generation.steps, metrics)
    }

    /// Dreams that rollouts begin with, and how many actions they have.
    fn rollouts<'m>(&self, models: &Ensemble<'m>, random: &mut Random) -> (Dream<'m>, usize) {
        let config = self.config.practice;
        match config.rollouts {
            Some(shape) => {
                let all: Vec<&Trajectory> = self.data.trajectories.iter().collect();
                let count = config.dreams * shape.rollouts;
                let dream = replayed(models, &self.rules, &all, count, random);
                (dream.expect("episodes were played"), shape.depth)
            }
            None => {
                let starts = self.starts();
                let count = config.dreams * config.population;
                let all: Vec<&Frame> = starts.iter().copied().cycle().take(count * starts.len()).collect();
                (models.dream(&self.rules, &all), self.config.dreamer.horizon)
            }
        }
    }

    fn update(&mut self, at: usize) -> (u64, Metrics) {
        let mut random = self.random(2, at);
        let temperature = self.config.practice.temperature;
        let update = match self.config.practice.planning {
            Planning::Dream => {
                let models = ensemble(&self.model, &self.others, self.config.ensemble.penalty);
                let (mut dream, depth) = self.rollouts(&models, &mut random);
                let draws = dream.len();
                let mut chance = Chance { temperature, random: &mut random, draws };
                ppo::update(&mut self.student, &mut dream, depth, &ppo::config(), &mut chance)
            }
            Planning::Exact => self.exact_update(&mut random),
            Planning::Replay => self.replay_update(&mut random),
        };
        (update.steps, self.noted(&update))
    }

    /// Rollouts of the same shape, for real.
    fn exact_update(&mut self, random: &mut Random) -> Update {
        let config = self.config.practice;
        let tasks: Vec<_> = self.subjects.iter().map(|s| s.task.clone()).collect();
        let grounds: Vec<_> = tasks.iter().enumerate().map(|(root, task)| self.ground(task, root)).collect();
        self.eye.forget(&tasks[0]);
        let (eye, mind) = (&mut self.eye, (&self.model, &self.rules));
        let (mut world, depth) = match config.rollouts {
            Some(shape) => {
                let all: Vec<&Trajectory> = self.data.trajectories.iter().collect();
                let count = config.dreams * shape.rollouts;
                let world = Exact::replayed(eye, mind, &grounds, (&all, count), random);
                (world.expect("episodes were played"), shape.depth)
            }
            None => {
                let each = config.dreams * config.population;
                (Exact::begin(eye, mind, &grounds, each), self.config.dreamer.horizon)
            }
        };
        let draws = world.going().size()[0];
        let mut chance = Chance { temperature: config.temperature, random, draws };
        ppo::update(&mut self.student, &mut world, depth, &ppo::config(), &mut chance)
    }

    /// As many steps as rollouts would make, of episodes that were played.
    fn replay_update(&mut self, random: &mut Random) -> Update {
        let config = self.config.practice;
        let steps = match config.rollouts {
            Some(shape) => config.dreams * shape.rollouts * shape.depth,
            None => config.dreams * config.population * self.config.dreamer.horizon,
        };
        let played: Vec<&Trajectory> = self.data.trajectories.iter().filter(|t| !t.is_empty()).collect();
        let (mut drawn, mut count) = (Vec::new(), 0);
        while count < steps && !played.is_empty() {
            let episode = played[random.below(played.len())];
            count += episode.len();
            drawn.push(episode);
        }
        let (settings, mind) = (ppo::config(), (&self.model, &self.rules));
        let rollouts = Rollouts::of_episodes(&self.student, mind, &drawn, &settings);
        regress::learn(&mut self.student, &rollouts, &settings, random)
    }

    /// C becomes the student.
    fn take_over(&mut self) {
        self.state.controller = self.student.controller();
        self.state.student_steps = self.student.steps();
    }

    /// What is told of an update; C becomes the student.
    fn noted(&mut self, update: &Update) -> Metrics {
        self.take_over();
        Metrics::from([
            ("dream/return_mean", update.mean / self.config.dreamer.reward_scale),
            ("practice/policy_loss", update.policy_loss),
            ("practice/value_loss", update.value_loss),
            ("practice/entropy", update.entropy),
            ("practice/approx_kl", update.approx_kl),
        ])
    }

    /// PPO from the episodes that C has just played, where that is asked for.
    pub(super) fn learn_from_real(&mut self, metrics: &mut Metrics) {
        if !self.config.practice.from_real || self.state.round == 0 {
            return;
        }
        let own = self.config.episodes * self.subjects.len();
        let played: Vec<&Trajectory> = self.data.trajectories.iter().rev().take(own).collect();
        let (settings, mind) = (ppo::config(), (&self.model, &self.rules));
        let rollouts = Rollouts::of_episodes(&self.student, mind, &played, &settings);
        let mut random = self.random(3, 0);
        let update = ppo::learn(&mut self.student, &rollouts, &settings, &mut random);
        let noted = self.noted(&update);
        metrics.extend(noted.into_iter().filter(|(key, _)| key.starts_with("practice/")));
    }

    /// A step up the gradient through M.
    fn ascent(&mut self, at: usize) -> (u64, Metrics) {
        let mut random = self.random(2, at);
        let models = Ensemble::from(&self.model);
        let (dream, depth) = self.rollouts(&models, &mut random);
        let draws = dream.len();
        let mut chance = Chance { temperature: self.config.practice.temperature, random: &mut random, draws };
        let ascent = ascend(&mut self.student, dream, depth, &mut chance);
        self.take_over();
        let metrics = Metrics::from([
            ("dream/return_mean", ascent.mean / self.config.dreamer.reward_scale),
            ("practice/gradient", ascent.norm),
        ]);
        (ascent.steps, metrics)
    }

    fn lesson(&mut self, at: usize) -> (u64, Metrics) {
        let mut random = self.random(2, at);
        let models = ensemble(&self.model, &self.others, self.config.ensemble.penalty);
        let all: Vec<&Trajectory> = self.data.trajectories.iter().collect();
        let dream = replayed(&models, &self.rules, &all, LESSON, &mut random).expect("episodes were played");
        let temperature = 0.0;
        let plan = Plan { depth: DEPTH, paths: 1, temperature, proposals: Proposals::Controller };
        let lesson = lesson(&mut self.student, &dream, &plan, &mut random);
        self.take_over();
        let metrics =
            Metrics::from([("practice/imitation_loss", lesson.loss), ("practice/agreement", lesson.agreement)]);
        (lesson.steps, metrics)
    }
}
