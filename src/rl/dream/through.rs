//! C is trained by the gradient of what a dream earns, back through M and through time: the dynamics are differentiable, so that no
//! rewards need to be sampled to know which way is up. Kept as an experiment; what it reaches is in `docs/results/dream.md`.
//!
//! An action is drawn and taken whole, but has the gradient of its probabilities (straight-through, Bengio, Léonard and Courville
//! 2013): M reads the numbers of a slot, so that another mixture of slots is another action. Which slots there are next is a
//! threshold and has none; what their features are has.

use tch::{Kind, Tensor};

use super::chance::Chance;
use super::dream::{Dream, STOP};
use super::slots::SLOTS;
use super::student::Student;

/// What a step up came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ascent {
    /// Mean of what was dreamt to be earned, with what M expects behind the last action.
    pub mean: f64,
    /// Length of the gradient before it was clipped.
    pub norm: f64,
    /// Steps dreamt.
    pub steps: u64,
}

/// Rate of Adam.
const LEARNING_RATE: f64 = 3e-3;
/// Longest gradient.
const MAX_GRAD_NORM: f64 = 0.5;

/// `[]`: mean of what is earned in `depth` actions of the student and behind them, with its gradient, and the steps dreamt.
pub fn earned(student: &Student, dream: &mut Dream<'_>, depth: usize, chance: &mut Chance<'_>) -> (Tensor, u64) {
    let mut total = dream.going.zeros_like();
    let mut steps = 0;
    for _ in 0..depth {
        let going = dream.going.sum(Kind::Float).double_value(&[]) as u64;
        if going == 0 {
            break;
        }
        steps += going;
        let slots = dream.slots();
        let log = student.log_probabilities(&dream.state(), &slots, &dream.present());
        let noise = chance.gumbel(&[log.size()[1]], log.size()[0], log.device());
        let chosen = (log.detach() + noise).argmax(-1, false);
        let seats = Tensor::arange(SLOTS as i64 + 1, (Kind::Int64, log.device()));
        let hard = chosen.unsqueeze(1).eq_tensor(&seats).to_kind(Kind::Float);
        let soft = log.exp();
        let taken = hard + &soft - soft.detach();
        let of_slots = taken.narrow(1, 0, SLOTS as i64).unsqueeze(1);
        let action = Tensor::cat(&[of_slots.bmm(&slots).squeeze_dim(1), taken.narrow(1, STOP, 1)], 1);
        let takes = of_slots.bmm(&dream.takes).squeeze_dim(1);
        let slot = chosen.where_scalarother(&chosen.lt(STOP), -1);
        total += dream.step_by(&action, (&slot, &takes), chance);
    }
    total += dream.value();
    (total.mean(Kind::Float), steps)
}

/// One step up.
pub fn ascend(student: &mut Student, mut dream: Dream<'_>, depth: usize, chance: &mut Chance<'_>) -> Ascent {
    let (mean, steps) = earned(student, &mut dream, depth, chance);
    let norm = student.ascend(&mean, LEARNING_RATE, MAX_GRAD_NORM);
    Ascent { mean: mean.detach().to_kind(Kind::Double).double_value(&[]), norm, steps }
}
