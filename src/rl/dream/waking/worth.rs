//! What a controller is worth: played for real, and dreamt.

use serde::{Deserialize, Serialize};

use super::collect::{Sight, collect_by};
use super::learner::{Learner, Phase, Unit};
use super::pilot::Mind;
use crate::rl::dream::data::Player;
use crate::rl::dream::frame::Frame;
use crate::rl::dream::practice::Practice;
use crate::rl::metrics::Metrics;
use crate::rl::random::Random;

/// What a controller is worth on a graph, in three ways: returns, scaled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worth {
    /// Played for real, choosing among all candidates.
    pub candidates: f64,
    /// Played for real, choosing among the slots.
    pub slots: f64,
    /// Dreamt.
    pub dreamt: f64,
    /// Real actions that it took to find out.
    pub steps: u64,
}

/// The controller that searches are to use, with V and M as they were: the one that was worth most when it was played. More
/// dreams are not always better ones, and a controller reads what M remembers, so that an earlier one is of no use beside a later M.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Rounds behind it; 0: it had not dreamt.
    pub round: usize,
    /// What it is worth on each graph.
    pub worth: Vec<Worth>,
}

/// Returns this close are equal: the same rewrites in another order differ by rounding, and a later M is worth more than that.
const EQUAL: f64 = 1e-4;

fn mean(worth: &[Worth], of: &dyn Fn(&Worth) -> f64) -> f64 {
    worth.iter().map(of).sum::<f64>() / worth.len() as f64
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
            let steps = (slots[0].len() + candidates[0].len()) as u64;
            let [slots, candidates] = [slots, candidates].map(|played| f64::from(played[0].total()));
            all.push(Worth { candidates, slots, dreamt, steps });
        }
        all
    }

    /// Plays by the controller as it is, and says whether it is to be kept: none before it was worth more by the mean of the graphs,
    /// choosing among the slots as searches do. Of equals the last is kept, since its M has seen most.
    pub(super) fn judge(&mut self, metrics: &mut Metrics) -> bool {
        let worth = self.worth();
        self.state.judging_steps += worth.iter().map(|w| w.steps).sum::<u64>();
        let scale = self.config.dreamer.reward_scale;
        let slots = mean(&worth, &|w| w.slots);
        metrics.extend([
            ("return/true_candidates", mean(&worth, &|w| w.candidates) / scale),
            ("return/true_slots", slots / scale),
            ("return/predicted_slots", mean(&worth, &|w| w.dreamt) / scale),
        ]);
        let keeps = self.state.kept.as_ref().is_none_or(|kept| slots + EQUAL >= mean(&kept.worth, &|w| w.slots));
        if keeps {
            self.state.kept = Some(Kept { round: self.state.round, worth });
        }
        keeps
    }

    pub(super) fn evaluate(&mut self) -> Unit {
        let mut metrics = Metrics::new();
        self.state.round += 1;
        let keeps = self.judge(&mut metrics);
        self.state.phase = if self.state.round < self.config.rounds { Phase::Collect { at: 0 } } else { Phase::Done };
        Unit { metrics, episodes: None, keeps }
    }
}
