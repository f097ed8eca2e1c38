//! Several Ms, fitted to the same episodes from other beginnings: where they differ, none of them knows.

use tch::{Kind, Tensor};

use super::dream::Dream;
use super::frame::Frame;
use super::model::WorldModel;

/// The first of them dreams; the others dream along, to tell where they differ from it.
#[derive(Clone, Debug)]
pub struct Ensemble<'m> {
    /// The one that dreams.
    pub first: &'m WorldModel,
    /// The others.
    pub others: Vec<&'m WorldModel>,
    /// What is taken from a dream's reward for each unit of [`disagreement`].
    pub penalty: f64,
}

impl<'m> From<&'m WorldModel> for Ensemble<'m> {
    /// One alone.
    fn from(first: &'m WorldModel) -> Ensemble<'m> {
        Ensemble { first, others: Vec::new(), penalty: 0.0 }
    }
}

impl<'m> Ensemble<'m> {
    /// Dreams that begin in these states, at the start of an episode. `table` is `[R, RULE]`.
    pub fn dream(&self, table: &Tensor, frames: &[&Frame]) -> Dream<'m> {
        let count = frames.len() as i64;
        let shadows = self.others.iter().map(|model| (*model, model.start(count))).collect();
        Dream::new(self.first, table, frames).with_shadows(shadows, self.penalty)
    }
}

/// `[B]`: how much members differ in what they predict: the deviation of the rewards `[B]`, scaled as rewards are, and the mean
/// over the numbers of the state of the deviation of the next states `[B, U]`, standardised.
pub fn disagreement(rewards: &[Tensor], states: &[Tensor]) -> Tensor {
    let deviation = |all: &[Tensor]| Tensor::stack(all, 0).std_dim([0i64].as_slice(), false, false);
    deviation(rewards) + deviation(states).mean_dim([-1i64].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::tests::numbers;

    #[test]
    fn disagreement_by_hand() {
        let t = |values: &[f32]| Tensor::from_slice(values);
        // Rewards 1 and 3: deviation 1. One of four numbers differs by 4: deviation 2, a mean of 1/2. The second row agrees.
        let states = [t(&[0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0]), t(&[0.0, 4.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0])];
        let states = states.map(|s| s.reshape([2, 4]));
        let said = numbers(&disagreement(&[t(&[1.0, 7.0]), t(&[3.0, 7.0])], &states));
        assert_eq!(said, [1.5, 0.0]);
        let alone = numbers(&disagreement(&[t(&[1.0, 7.0])], &states[..1]));
        assert_eq!(alone, [0.0, 0.0], "one member agrees with itself");
    }
}
