//! The state of a training between two updates: what a checkpoint holds and a training goes on from.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Record, Trainer};
use crate::rl::random::Random;

/// What an environment is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playing {
    /// The subject of its episode.
    pub(super) subject: usize,
    /// That of the next.
    pub(super) next: usize,
    /// The actions of the episode so far.
    pub(super) actions: Vec<usize>,
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

impl Trainer<'_> {
    /// Copies of all tensors that an update changes: parameters, and Adam's state behind them.
    pub(super) fn snapshot(&self) -> Vec<(String, Tensor)> {
        let copy = |(name, tensor): (String, Tensor)| (name, tensor.detach().copy());
        self.tensors().into_iter().map(copy).collect()
    }

    /// All tensors that an update changes, by the names that checkpoints give them.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let parameters = self.agent.parameters.all().into_iter().map(|(name, t)| (format!("agent.{name}"), t));
        parameters.chain(self.adam.state().into_iter().map(|(name, t)| (format!("adam.{name}"), t))).collect()
    }

    pub(super) fn restore(&mut self, values: &[(String, Tensor)], adam_steps: u64) {
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
