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

/// The controller that searches are to use: the one that was worth most when it was played. More dreams are not always better ones.
/// What M has seen since is of use to searches that plan; but a controller reads what M remembers, so that an earlier one is put beside
/// a later M only if it is worth as much there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Rounds behind it; 0: it had not dreamt.
    pub round: usize,
    /// Its parameters.
    pub controller: Vec<f64>,
    /// What it is worth on each graph, beside the M that is kept with it.
    pub worth: Vec<Worth>,
}

impl Kept {
    /// Whether it is worth as much as another, or more.
    fn is_as_good_as(&self, other: &Kept) -> bool {
        let of = |kept: &Kept| mean(&kept.worth, &|w| w.slots);
        of(self) + EQUAL >= of(other)
    }
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

    /// Plays by the controller as it is and keeps it, if none before was worth more: by the mean of the graphs, choosing among the
    /// slots as searches do. Otherwise plays the one that is kept beside M as it is now, and keeps that M with it if nothing is
    /// lost. Returns whether anything of what is kept has changed.
    pub(super) fn judge(&mut self, metrics: &mut Metrics) -> bool {
        let worth = self.judged(&self.state.controller.clone());
        let scale = self.config.dreamer.reward_scale;
        metrics.extend([
            ("return/true_candidates", mean(&worth, &|w| w.candidates) / scale),
            ("return/true_slots", mean(&worth, &|w| w.slots) / scale),
            ("return/predicted_slots", mean(&worth, &|w| w.dreamt) / scale),
        ]);
        let latest = Kept { round: self.state.round, controller: self.state.controller.clone(), worth };
        let Some(kept) = self.state.kept.clone().filter(|kept| !latest.is_as_good_as(kept)) else {
            self.state.kept = Some(latest);
            return true;
        };
        let renewed = Kept { worth: self.judged(&kept.controller), ..kept.clone() };
        let is_as_good = renewed.is_as_good_as(&kept);
        if is_as_good {
            self.state.kept = Some(renewed);
        }
        is_as_good
    }

    fn judged(&mut self, parameters: &[f64]) -> Vec<Worth> {
        let worth = self.worth_of(parameters);
        self.state.judging_steps += worth.iter().map(|w| w.steps).sum::<u64>();
        worth
    }

    pub(super) fn evaluate(&mut self) -> Unit {
        let mut metrics = Metrics::new();
        self.state.round += 1;
        let keeps = self.judge(&mut metrics);
        self.state.phase = if self.state.round < self.config.rounds { Phase::Collect { at: 0 } } else { Phase::Done };
        Unit { metrics, episodes: None, keeps }
    }
}
