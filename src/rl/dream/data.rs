//! Episodes that were really played, as a world model reads them.

use serde::{Deserialize, Serialize};

use super::frame::{Deed, Frame};

/// Who played an episode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Player {
    /// Any legal rewrite, as likely as any other.
    Random,
    /// Mostly the rewrite that gains most, sometimes any other.
    Greedy,
    /// From a state behind the best, undone by starting again and leaving the path: what a search with backtracking visits.
    Backtracking,
    /// A controller.
    Controller,
    /// A controller that draws by its probabilities.
    Policy,
    /// Whatever several models differ about most.
    Curious,
}

/// An episode: the actions, from which everything else follows, and what V made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Number of its root graph.
    pub root: usize,
    /// Who played.
    pub player: Player,
    /// Positions among the candidates of each state; `None` to stop.
    pub actions: Vec<Option<u32>>,
    /// The states: one more than actions.
    pub frames: Vec<Frame>,
    /// The actions as M reads them.
    pub deeds: Vec<Deed>,
    /// The reward of each action, scaled.
    pub rewards: Vec<f32>,
    /// `log(initial / cost)` of each state, scaled likewise.
    pub costs: Vec<f32>,
}

impl Trajectory {
    /// Number of actions.
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Writes into the states what has been saved, as the costs have it.
    pub fn keep_books(&mut self) {
        let mut best = 0.0f32;
        for (frame, &saved) in self.frames.iter_mut().zip(&self.costs) {
            best = best.max(saved);
            frame.saved = [saved, best];
        }
    }

    /// Sum of the rewards.
    pub fn total(&self) -> f32 {
        self.rewards.iter().sum()
    }
}

/// What a world model is fitted to.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// `[R * RULE]`: the rules' embeddings.
    pub rules: Vec<f32>,
    /// The episodes.
    pub trajectories: Vec<Trajectory>,
}

impl Data {
    /// All actions together.
    pub fn steps(&self) -> usize {
        self.trajectories.iter().map(Trajectory::len).sum()
    }

    /// Parts to fit to and to judge by: every `of`-th episode of each player is held out.
    pub fn split(&self, of: usize) -> (Vec<&Trajectory>, Vec<&Trajectory>) {
        let mut counts = std::collections::BTreeMap::new();
        let mut held = |t: &&Trajectory| {
            let count = counts.entry((t.root, t.player as u8)).or_insert(0usize);
            *count += 1;
            *count % of == 0
        };
        let (mut fit, mut judge) = (Vec::new(), Vec::new());
        for trajectory in &self.trajectories {
            if held(&trajectory) { judge.push(trajectory) } else { fit.push(trajectory) }
        }
        (fit, judge)
    }
}
