//! The books of an episode: what a dream knows without learning it.
//!
//! An action states by how much it changes the cost (its first feature), and what is rewarded is how far the best cost falls. So
//! what has been saved so far, the most of it, the globals and the features that are made of the two, and the reward of a step
//! follow by arithmetic, and M learns what is not so: where a rewrite does not do what it states, and everything else. This holds
//! for estimated time alone, since that is what actions state.

use tch::{Kind, Tensor};

use super::frame::GLOBALS_AT;
use crate::rl::features::LOG_RATIO_STEEPNESS;

/// Number of the feature that says by which share of the initial cost an action changes it.
pub const CHANGE: i64 = 0;
/// Number of the feature that has the sign of that change.
pub const SIGN: i64 = 1;
/// How many features say what an action states: the change, its sign and its size. A slot that stays goes on stating the same, since
/// whoever took its seat without would not have its seat (see [`super::slots`]).
pub const STATED: i64 = 3;
/// Number of the feature that says what an action would earn now.
pub const EARNS: i64 = 7;
/// Where the numbers of the whole that follow from the books begin, and how many they are: what has been saved, the most of it,
/// and the difference.
pub const TOLD: (i64, i64) = (GLOBALS_AT as i64 + 1, 3);
/// No action leaves less than this share of the initial cost.
const LEAST_SHARE: f64 = 1e-3;

/// `[.., F]`: predicted features of slots that come, which say nothing of the cost unless that is likelier than not: means over what may
/// come would promise a little of every gain, and a controller would take them all.
pub fn likelier_than_not(features: &Tensor) -> Tensor {
    let sign = features.select(-1, SIGN).round().clamp(-1.0, 1.0);
    let states = sign.ne(0.0).unsqueeze(-1).to_kind(Kind::Float);
    let rest = features.size()[features.dim() - 1] - STATED;
    let parts = [
        features.narrow(-1, CHANGE, 1) * &states,
        sign.unsqueeze(-1),
        features.narrow(-1, SIGN + 1, 1) * states,
        features.narrow(-1, STATED, rest),
    ];
    Tensor::cat(&parts, -1)
}

/// What has been saved.
#[derive(Debug)]
pub struct Books {
    /// `[..]`: `log(initial / cost)`, scaled as rewards are.
    pub saved: Tensor,
    /// `[..]`: the most of it so far in the episode.
    pub best: Tensor,
}

impl Books {
    /// The same at other rows, or in another shape.
    pub fn map(&self, of: impl Fn(&Tensor) -> Tensor) -> Books {
        Books { saved: of(&self.saved), best: of(&self.best) }
    }

    /// Behind a change `[..]` of what has been saved.
    pub fn after(&self, change: &Tensor) -> Books {
        let saved = &self.saved + change;
        Books { best: self.best.maximum(&saved), saved }
    }

    /// `[..]`: what a change of what has been saved earns.
    pub fn earned(&self, change: &Tensor) -> Tensor {
        (&self.saved + change - &self.best).clamp_min(0.0)
    }

    /// `[..]`: the change of what has been saved that follows from a change of the cost, `[..]` as a share of the initial cost.
    /// Rewards are multiplied by `scale`.
    pub fn stated(&self, share: &Tensor, scale: f64) -> Tensor {
        let cost = (&self.saved / -scale).exp();
        let after = (&cost + share).clamp_min(LEAST_SHARE);
        (cost / after).log() * scale
    }

    /// `[.., 3]`: the numbers of the whole at [`TOLD`].
    pub fn told(&self, scale: f64) -> Tensor {
        let behind = &self.saved - &self.best;
        (Tensor::stack(&[&self.saved, &self.best, &behind], -1) * (LOG_RATIO_STEEPNESS / scale)).tanh()
    }

    /// `[.., S]`: the feature at [`EARNS`] of slots that state these changes, `[.., S]`.
    pub fn earns(&self, share: &Tensor, scale: f64) -> Tensor {
        let books = self.map(|x| x.unsqueeze(-1));
        (books.earned(&books.stated(share, scale)) * (LOG_RATIO_STEEPNESS / scale)).tanh()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::tests::numbers;

    #[test]
    fn what_may_come_states_nothing_unless_it_is_likelier_than_not() {
        let predicted = [-0.02f32, -0.3, 0.4, 0.7, -0.2, -0.8, 0.6, 0.7, 0.1, 1.3, 0.5, 0.7];
        let told = numbers(&likelier_than_not(&Tensor::from_slice(&predicted).reshape([3, 4])));
        assert_eq!(told, [0.0, 0.0, 0.0, 0.7, -0.2, -1.0, 0.6, 0.7, 0.1, 1.0, 0.5, 0.7]);
    }

    #[test]
    fn books_by_hand() {
        // Rewards count tenfold; of an initial cost of 1 half is left, and it was 0.4 at best.
        let scale = 10.0;
        let log = |x: f32| 10.0 * x.ln();
        let books = Books { saved: Tensor::from_slice(&[log(2.0)]), best: Tensor::from_slice(&[log(2.5)]) };
        // Three actions: 0.2 less, 0.05 less, 0.5 more.
        let share = Tensor::from_slice(&[-0.2f32, -0.05, 0.5]).reshape([1, 3]);
        let near = |found: Vec<f32>, expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            found
                .iter()
                .zip(expected)
                .for_each(|(f, e)| assert!((f - e).abs() < 1e-4, "{found:?}, by hand {expected:?}"));
        };
        let each = books.map(|x| x.unsqueeze(1));
        let change = each.stated(&share, scale);
        near(numbers(&change), &[log(0.5 / 0.3), log(0.5 / 0.45), log(0.5)]);
        near(numbers(&each.earned(&change)), &[log(0.4 / 0.3), 0.0, 0.0]);
        near(numbers(&books.earns(&share, scale)), &[(4.0 * (0.4f32 / 0.3).ln()).tanh(), 0.0, 0.0]);
        let told = [(4.0 * 2f32.ln()).tanh(), (4.0 * 2.5f32.ln()).tanh(), (4.0 * 0.8f32.ln()).tanh()];
        near(numbers(&books.told(scale)), &told);
        let after = each.after(&change);
        near(numbers(&after.saved), &[log(1.0 / 0.3), log(1.0 / 0.45), 0.0]);
        near(numbers(&after.best), &[log(1.0 / 0.3), log(2.5), log(2.5)]);
        // Whatever is stated, a cost stays above 0.
        near(numbers(&books.stated(&Tensor::from_slice(&[-0.7f32]), scale)), &[log(500.0)]);
    }
}
