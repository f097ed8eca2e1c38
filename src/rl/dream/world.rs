//! What rollouts go through: a dream, or whatever else takes the actions of many episodes side by side and can be read like one.

use tch::Tensor;

use super::chance::Chance;
use super::dream::Dream;

/// `B` episodes side by side, as a controller reads them.
pub trait World {
    /// `[B, Z]`: what a controller reads of the states.
    fn state(&self) -> Tensor;
    /// `[B, S, SLOT]`: what may be done.
    fn slots(&self) -> Tensor;
    /// `[B, S]` bool: which slots there are.
    fn present(&self) -> Tensor;
    /// `[B]` of 0 and 1: whether it goes on.
    fn going(&self) -> Tensor;
    /// Takes an action in each, `[B]` int64, a slot or [`super::dream::STOP`]; gives the rewards `[B]`, 0 where it is over.
    fn step(&mut self, action: &Tensor, chance: &mut Chance<'_>) -> Tensor;
}

impl World for Dream<'_> {
    fn state(&self) -> Tensor {
        Dream::state(self)
    }

    fn slots(&self) -> Tensor {
        Dream::slots(self)
    }

    fn present(&self) -> Tensor {
        Dream::present(self)
    }

    fn going(&self) -> Tensor {
        self.going.shallow_clone()
    }

    fn step(&mut self, action: &Tensor, chance: &mut Chance<'_>) -> Tensor {
        Dream::step(self, action, chance)
    }
}
