//! C is trained, a unit at a time: a generation of controllers, an update of PPO, or a lesson by an expert.

use tch::Device;

use super::learner::{LearnConfig, Learner, Phase, Unit};
use super::lookahead::DEPTH;
use crate::rl::dream::cma::SepCma;
use crate::rl::dream::config::{PracticeConfig, Teacher};
use crate::rl::dream::data::Trajectory;
use crate::rl::dream::dream::Chance;
use crate::rl::dream::ensemble::Ensemble;
use crate::rl::dream::frame::Frame;
use crate::rl::dream::imitate::lesson;
use crate::rl::dream::model::WorldModel;
use crate::rl::dream::plan::{Plan, Proposals};
use crate::rl::dream::ppo;
use crate::rl::dream::practice::Practice;
use crate::rl::dream::replay::replayed;
use crate::rl::dream::student::Student;
use crate::rl::metrics::Metrics;

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
    /// Rank of controllers, and actions of a dream.
    pub(super) fn dreams(&self) -> (usize, usize) {
        (self.config.dreamer.rank, self.config.dreamer.horizon)
    }

    /// Begins C anew, by these settings, with M and the episodes as they are.
    pub fn begin_again(&mut self, practice: PracticeConfig, penalty: f64) {
        self.config.practice = practice;
        self.config.ensemble.penalty = penalty;
        (self.student, self.state.controller, self.state.cma) = beginning(&self.config, self.model.device());
        self.state.student_steps = 0;
        self.state.phase = Phase::Practise { at: 0 };
    }

    pub(super) fn practise(&mut self, at: usize) -> Unit {
        let (steps, metrics) = match self.config.practice.teacher {
            Teacher::Cma => self.generation(at),
            Teacher::Ppo => self.update(at),
            Teacher::Expert => self.lesson(at),
        };
        self.state.dream_steps += steps;
        let more = at + 1 < self.config.practice.generations;
        self.state.phase = if more { Phase::Practise { at: at + 1 } } else { Phase::Evaluate };
        Unit { metrics, episodes: None }
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

    fn update(&mut self, at: usize) -> (u64, Metrics) {
        let mut random = self.random(2, at);
        let config = self.config.practice;
        let models = ensemble(&self.model, &self.others, self.config.ensemble.penalty);
        let (dream, depth) = match config.rollouts {
            Some(shape) => {
                let all: Vec<&Trajectory> = self.data.trajectories.iter().collect();
                let count = config.dreams * shape.rollouts;
                let dream = replayed(&models, &self.rules, &all, count, &mut random);
                (dream.expect("episodes were played"), shape.depth)
            }
            None => {
                let starts = self.starts();
                let count = config.dreams * config.population;
                let all: Vec<&Frame> = starts.iter().copied().cycle().take(count * starts.len()).collect();
                (models.dream(&self.rules, &all), self.config.dreamer.horizon)
            }
        };
        let draws = dream.len();
        let mut chance = Chance { temperature: config.temperature, random: &mut random, draws };
        let update = ppo::update(&mut self.student, dream, depth, &ppo::config(), &mut chance);
        self.state.controller = self.student.controller();
        self.state.student_steps = self.student.steps();
        let metrics = Metrics::from([
            ("dream/return_mean", update.mean / self.config.dreamer.reward_scale),
            ("practice/policy_loss", update.policy_loss),
            ("practice/value_loss", update.value_loss),
            ("practice/entropy", update.entropy),
            ("practice/approx_kl", update.approx_kl),
        ]);
        (update.steps, metrics)
    }

    fn lesson(&mut self, at: usize) -> (u64, Metrics) {
        let mut random = self.random(2, at);
        let models = ensemble(&self.model, &self.others, self.config.ensemble.penalty);
        let all: Vec<&Trajectory> = self.data.trajectories.iter().collect();
        let dream = replayed(&models, &self.rules, &all, LESSON, &mut random).expect("episodes were played");
        let temperature = 0.0;
        let plan = Plan { depth: DEPTH, paths: 1, temperature, proposals: Proposals::Controller };
        let lesson = lesson(&mut self.student, &dream, &plan, &mut random);
        self.state.controller = self.student.controller();
        self.state.student_steps = self.student.steps();
        let metrics =
            Metrics::from([("practice/imitation_loss", lesson.loss), ("practice/agreement", lesson.agreement)]);
        (lesson.steps, metrics)
    }
}
