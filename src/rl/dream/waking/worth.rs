//! What a controller is worth: played for real, and dreamt.

use super::collect::{Sight, collect_by};
use super::learner::{Learner, Phase, Unit};
use super::pilot::Mind;
use crate::rl::dream::data::Player;
use crate::rl::dream::frame::Frame;
use crate::rl::dream::practice::Practice;
use crate::rl::metrics::Metrics;
use crate::rl::random::Random;

/// What a controller is worth on a graph, in three ways: returns, scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worth {
    /// Played for real, choosing among all candidates.
    pub candidates: f64,
    /// Played for real, choosing among the slots.
    pub slots: f64,
    /// Dreamt.
    pub dreamt: f64,
}

impl Learner<'_> {
    /// What the controller is worth on each graph.
    pub fn worth(&mut self) -> Vec<Worth> {
        self.worth_of(&self.state.controller.clone())
    }

    /// What a controller of these parameters is worth on each graph.
    pub fn worth_of(&mut self, parameters: &[f64]) -> Vec<Worth> {
        let controllers = self.controllers(parameters);
        let starts = self.starts();
        let one = |start: &Frame| {
            let config = self.config.practice;
            let practice = Practice::new(&self.model, &self.rules, vec![start], config, self.dreams());
            practice.returns(&[parameters.to_vec()], 0.0, 1, &mut Random::new(0)).0[0]
        };
        let dreamt: Vec<f64> = starts.into_iter().map(one).collect();
        let mut all = Vec::new();
        for (root, dreamt) in dreamt.into_iter().enumerate() {
            let task = self.subjects[root].task.clone();
            let ground = self.ground(&task, root);
            let (model, table) = (&self.model, &self.rules);
            let mind = Mind { model, table, controllers: &controllers, others: &[], penalty: 0.0 };
            let by = (Player::Controller, mind);
            let [slots, candidates] = [Sight::Slots, Sight::Candidates]
                .map(|sight| collect_by(&mut self.eye, &ground, by, (sight, 0.0), 1, &mut Random::new(0)));
            self.note(root, &slots);
            self.note(root, &candidates);
            let [slots, candidates] = [slots, candidates].map(|played| f64::from(played[0].total()));
            all.push(Worth { candidates, slots, dreamt });
        }
        all
    }

    pub(super) fn evaluate(&mut self) -> Unit {
        let worth = self.worth();
        let scale = self.config.dreamer.reward_scale * worth.len() as f64;
        let mean = |of: &dyn Fn(&Worth) -> f64| worth.iter().map(of).sum::<f64>() / scale;
        let metrics = Metrics::from([
            ("return/true_candidates", mean(&|w| w.candidates)),
            ("return/true_slots", mean(&|w| w.slots)),
            ("return/predicted_slots", mean(&|w| w.dreamt)),
        ]);
        self.state.round += 1;
        self.state.phase = if self.state.round < self.config.rounds { Phase::Collect { at: 0 } } else { Phase::Done };
        Unit { metrics, episodes: None }
    }
}
