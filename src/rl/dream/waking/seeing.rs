//! V's encoder learns from the episodes so far, and they are looked at again: states are made anew from root graphs and actions.

use std::sync::Arc;

use super::learner::{Learner, Phase, Unit};
use super::play::{Eye, Playing, Terms};
use super::settings::LearnConfig;
use crate::rl::dream::config::VisionLoss;
use crate::rl::dream::data::Trajectory;
use crate::rl::dream::fit::rule_table;
use crate::rl::dream::frame::Deed;
use crate::rl::dream::slots::Seats;
use crate::rl::dream::view::View;
use crate::rl::dream::vision::{Step, Vision, VisionLosses};
use crate::rl::env::{Action, Env, EnvSettings, Task};
use crate::rl::metrics::Metrics;
use crate::rl::net::digest::{Digest, NodeKey};
use crate::rl::observation::Observation;
use crate::rl::random::Random;

/// Updates of a unit of work.
const UPDATES: usize = 8;
/// Episodes that a unit's steps come from.
const EPISODES: usize = 12;
/// Steps of an update.
const STEPS: usize = 32;
/// Graphs of an update that reconstructs.
const GRAPHS: usize = 8;
/// Episodes that are looked at together.
const TOGETHER: usize = 16;
/// Deviations below this count as this much.
const LEAST: f32 = 1e-3;

/// Updates of V's encoder in a round. What is learned by the task cannot be learned before there are episodes: pre-training is
/// in the first round then.
pub(super) fn updates(config: &LearnConfig, round: usize) -> usize {
    match (config.vision.loss, round) {
        (VisionLoss::Task, 0) => config.pretrain_updates.max(config.vision.updates),
        _ => config.vision.updates,
    }
}

impl LearnConfig {
    /// Whether V becomes another one behind the first episodes, so that what shards hold of them is not what it sees.
    pub fn sight_changes(&self) -> bool {
        updates(self, 0) > 0
    }
}

/// The encoder that learns, if any does.
pub(super) fn vision(config: &LearnConfig, view: &View) -> Option<Vision> {
    config.sight_changes().then(|| Vision::new(config.vision.loss, view, config.seed))
}

impl Learner<'_> {
    /// What follows play.
    pub(super) fn after_play(&mut self) -> Phase {
        if updates(&self.config, self.state.round) > 0 { Phase::See { at: 0 } } else { self.after_sight() }
    }

    /// What follows when V is as it is for the rest of the round.
    fn after_sight(&mut self) -> Phase {
        self.measure_scales();
        if self.config.practice.generations > 0 { Phase::Fit { at: 0 } } else { Phase::Evaluate }
    }

    /// Some updates of V's encoder; behind the last of a round everything is looked at again.
    pub(super) fn see(&mut self, at: usize) -> Unit {
        let units = updates(&self.config, self.state.round).div_ceil(UPDATES);
        let mut random = self.random(4, at);
        let mut vision = self.vision.take().expect("V learns in this round");
        let mut sums = VisionLosses::new();
        for losses in self.exercise(&mut vision, &mut random) {
            if sums.is_empty() {
                sums = losses.iter().map(|(key, _)| (*key, 0.0)).collect();
            }
            sums.iter_mut().zip(&losses).for_each(|(sum, (_, loss))| sum.1 += loss / UPDATES as f64);
        }
        self.state.vision_steps = vision.steps();
        self.vision = Some(vision);
        if at + 1 < units {
            self.state.phase = Phase::See { at: at + 1 };
        } else {
            self.look_at_all_again();
            self.state.phase = self.after_sight();
        }
        let metrics: Metrics = sums.into_iter().collect();
        Unit::told(metrics)
    }

    /// The updates of a unit, on states of a few episodes.
    fn exercise(&mut self, vision: &mut Vision, random: &mut Random) -> Vec<VisionLosses> {
        self.eye.forget(&self.subjects[0].task);
        let played: Vec<&Trajectory> = self.data.trajectories.iter().filter(|t| !t.is_empty()).collect();
        if played.is_empty() {
            return Vec::new();
        }
        let drawn: Vec<&Trajectory> = (0..EPISODES).map(|_| played[random.below(played.len())]).collect();
        let horizon = self.config.dreamer.horizon;
        let plain = vision.reads_graphs();
        let mut states: Vec<Vec<Observation>> = Vec::new();
        for trajectory in &drawn {
            let objective = self.config.dreamer.objective.objective();
            let settings = EnvSettings { horizon, plain, objective, ..EnvSettings::default() };
            let env = Env::new(self.subjects[trajectory.root].task.clone(), settings);
            states.push(again(&mut self.eye, env, trajectory));
        }
        let eye = &mut self.eye;
        if plain {
            let mut all: Vec<Observation> = states.into_iter().flatten().collect();
            let update = |_| {
                random.shuffle(&mut all);
                let few = &all[..GRAPHS.min(all.len())];
                vision.reconstruct(&mut eye.view, few, &eye.known, random)
            };
            return (0..UPDATES).map(update).collect();
        }
        let deviation = [
            deviation(drawn.iter().flat_map(|t| t.rewards.iter().copied())),
            deviation(drawn.iter().flat_map(|t| t.costs.windows(2).map(|pair| pair[1] - pair[0]))),
        ];
        let count = |states: Vec<Observation>| states.into_iter().map(|o| Digest::new(o, NodeKey::Class)).collect();
        let digests: Vec<Vec<Digest>> = states.into_iter().map(count).collect();
        let mut steps: Vec<Step<'_>> = Vec::new();
        for (trajectory, digests) in drawn.iter().zip(&digests) {
            for (at, site) in trajectory.actions.iter().enumerate() {
                let Some(site) = site else { continue };
                let (before, after) = (&digests[at], &digests[at + 1]);
                let distinct = before.distinct.iter().position(|d| d.sites.contains(site));
                let distinct = distinct.expect("an action that was played is among the candidates") as u32;
                let rose = trajectory.costs[at + 1] - trajectory.costs[at];
                let earned = [trajectory.rewards[at] / deviation[0], rose / deviation[1]];
                steps.push(Step { before, distinct, after, earned });
            }
        }
        if steps.is_empty() {
            return Vec::new();
        }
        let update = |_| {
            random.shuffle(&mut steps);
            vision.tell(&mut eye.view, &steps[..STEPS.min(steps.len())], &eye.rules, &eye.known)
        };
        (0..UPDATES).map(update).collect()
    }

    /// Makes what V sees of all episodes anew: V is not the one that they were played with.
    pub(super) fn look_at_all_again(&mut self) {
        self.state.looked_at = self.data.trajectories.len();
        self.look_again();
    }

    /// Makes what V sees of the first [`looked_at`](super::learner::LearnState::looked_at) episodes, and of the rules, anew.
    pub(super) fn look_again(&mut self) {
        let terms = self.config.dreamer.terms();
        let count = self.state.looked_at.min(self.data.trajectories.len());
        for part in self.data.trajectories[..count].chunk_by_mut(|a, b| a.root == b.root) {
            let task = self.subjects[part[0].root].task.clone();
            for few in part.chunks_mut(TOGETHER) {
                look_at(&mut self.eye, &task, few, terms);
            }
        }
        self.data.rules = self.eye.rules(&self.subjects[0].task);
        self.rules = rule_table(&self.data.rules, self.model.device());
    }
}

/// The states of an episode, one more than actions.
fn again(eye: &mut Eye, mut env: Env<'_>, trajectory: &Trajectory) -> Vec<Observation> {
    let mut states = vec![env.observe(&mut eye.known)];
    for action in &trajectory.actions {
        env.step(as_action(*action));
        states.push(env.observe(&mut eye.known));
    }
    states
}

fn as_action(site: Option<u32>) -> Action {
    site.map_or(Action::Stop, |site| Action::Apply(site as usize))
}

/// Looks at episodes of one graph again: seats, and what actions take, are as they were; what V sees of them is new.
fn look_at(eye: &mut Eye, task: &Arc<Task<'_>>, episodes: &mut [Trajectory], terms: Terms) {
    eye.forget(task);
    let begin = |t: &Trajectory| (Playing::new(task, t.root, t.player, terms).env, Seats::default());
    let mut playing: Vec<_> = episodes.iter().map(begin).collect();
    let longest = episodes.iter().map(|t| t.len()).max().unwrap_or(0);
    for at in 0..=longest {
        let mut going: Vec<_> = playing.iter_mut().zip(&mut *episodes).filter(|(_, t)| at <= t.len()).collect();
        let looks = eye.look(&mut going.iter_mut().map(|((env, _), _)| env).collect::<Vec<_>>());
        for (((env, seats), trajectory), (digest, look)) in going.into_iter().zip(looks) {
            let (mut frame, _) = look.frame(&digest, seats);
            let old = &mut trajectory.frames[at];
            debug_assert_eq!((frame.rules, frame.kept), (old.rules, old.kept), "seats do not depend on V");
            (frame.takes, frame.saved) = (std::mem::take(&mut old.takes), old.saved);
            *old = frame;
            let Some(&action) = trajectory.actions.get(at) else { continue };
            if let (Some(site), Deed::Apply { features, .. }) = (action, &mut trajectory.deeds[at]) {
                let distinct = digest.distinct.iter().position(|d| d.sites.contains(&site));
                let distinct = distinct.expect("an action that was played is among the candidates");
                *features = look.candidate(distinct as u32).to_vec();
            }
            env.step(as_action(action));
        }
    }
}

fn deviation(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let count = values.clone().count().max(1) as f32;
    let mean = values.clone().sum::<f32>() / count;
    (values.map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt().max(LEAST)
}
