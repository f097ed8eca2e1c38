//! A controller in a real episode: what it reads is real, what it remembers is M's carry.

use tch::{Tensor, no_grad};

use crate::rl::dream::controller::Controllers;
use crate::rl::dream::dream::Dream;
use crate::rl::dream::frame::{Deed, EMPTY, Frame, SLOT_FEATURES};
use crate::rl::dream::model::{Carry, WorldModel};
use crate::rl::dream::sequences::{embed, embed_action, stack};

/// M and one controller.
#[derive(Clone, Copy, Debug)]
pub struct Mind<'m> {
    /// M.
    pub model: &'m WorldModel,
    /// `[R, RULE]`.
    pub table: &'m Tensor,
    /// The controller: the first of these.
    pub controllers: &'m Controllers,
    /// Models that look on, to tell where they differ from M.
    pub others: &'m [&'m WorldModel],
    /// What is taken from a dream's reward for each unit that they differ by.
    pub penalty: f64,
}

/// A mind in an episode.
#[derive(Debug)]
pub struct Pilot<'m> {
    mind: Mind<'m>,
    carry: Carry,
    others: Vec<Carry>,
}

impl<'m> Pilot<'m> {
    /// At the start of an episode.
    pub fn new(mind: Mind<'m>) -> Pilot<'m> {
        Pilot { carry: mind.model.start(1), others: mind.others.iter().map(|m| m.start(1)).collect(), mind }
    }

    /// The same, to go on from here in another way.
    pub fn fork(&self) -> Pilot<'m> {
        Pilot { mind: self.mind, carry: self.carry.share(), others: self.others.iter().map(Carry::share).collect() }
    }

    /// One dream that begins where the episode is.
    pub fn dream(&self, frame: &Frame) -> Dream<'m> {
        let states = stack(&[frame], self.mind.model.device());
        let shadows = self.mind.others.iter().zip(&self.others).map(|(model, carry)| (*model, carry.share()));
        let dream = Dream::from_states(self.mind.model, self.mind.table, self.carry.share(), states);
        dream.with_shadows(shadows.collect(), self.mind.penalty)
    }

    /// Its mind.
    pub fn mind(&self) -> Mind<'m> {
        self.mind
    }

    fn z(&self, whole: &[f32]) -> Tensor {
        let whole = Tensor::from_slice(whole).unsqueeze(0).to_device(self.mind.model.device());
        self.mind.model.standardise(&whole)
    }

    /// Scores of candidates by rule (or [`EMPTY`]) and features, and of stopping behind them.
    pub fn scores(&self, whole: &[f32], rules: &[i32], features: &[f32]) -> Vec<f32> {
        no_grad(|| {
            let device = self.mind.model.device();
            let state = Tensor::cat(&[&self.z(whole), &self.carry.h], 1).unsqueeze(0);
            let count = rules.len() as i64;
            let rules = Tensor::from_slice(rules).to_kind(tch::Kind::Int64).reshape([1, 1, count]).to_device(device);
            let size = [1, 1, count, SLOT_FEATURES as i64];
            let features = Tensor::from_slice(features).reshape(size).to_device(device);
            let slots = embed(&rules, &features, self.mind.table);
            let scores = self.mind.controllers.scores(&state, &slots, &rules.ge(0));
            crate::rl::agent::to_vec(&scores.flatten(0, -1))
        })
    }

    /// Takes note of what was done in a state.
    pub fn advance(&mut self, whole: &[f32], deed: &Deed) {
        let none = vec![0.0; SLOT_FEATURES];
        let (rule, features) = match deed {
            Deed::Stop => (EMPTY, &none),
            Deed::Apply { rule, features, .. } => (*rule, features),
        };
        no_grad(|| {
            let device = self.mind.model.device();
            let rule = Tensor::from_slice(&[i64::from(rule)]).to_device(device);
            let features = Tensor::from_slice(features).unsqueeze(0).to_device(device);
            let action = embed_action(&rule, &features, self.mind.table);
            let z = self.z(whole);
            self.carry = self.mind.model.step(&self.carry, &z, &action).0;
            for (model, carry) in self.mind.others.iter().zip(&mut self.others) {
                *carry = model.step(carry, &z, &action).0;
            }
        });
    }
}
