//! Slots of the next state: which of those there are stay, how they change, and which come.

use tch::{Kind, Tensor};

use super::super::config::ModelConfig;
use super::super::frame::{RULE, SLOT, SLOT_FEATURES};
use super::super::slots::SLOTS;
use crate::rl::net::layers::{HIDDEN_GAIN, LOGIT_GAIN, Linear};
use crate::rl::net::parameters::Place;

/// What is predicted of the slots that there are.
#[derive(Debug)]
pub struct Fates {
    /// `[.., S]`: logit of whether each stays.
    pub stays: Tensor,
    /// `[.., S, SLOT_FEATURES]`: how its features change, in units of their deviation.
    pub change: Tensor,
    /// What it would have to do with those that come.
    pub sides: Sides,
}

/// Width of [`Sides`].
const SIDE: usize = 8;

/// What slots take from each other, in two vectors of each: their product is a logit.
#[derive(Debug)]
pub struct Sides {
    /// `[.., S, SIDE]`: of what takes.
    pub takes: Tensor,
    /// `[.., S, SIDE]`: of what is taken from.
    pub gives: Tensor,
}

impl Sides {
    /// The last `2 * SIDE` of numbers `[.., W]`.
    fn of(out: &Tensor) -> Sides {
        let (at, side) = (out.size()[out.dim() - 1], SIDE as i64);
        Sides { takes: out.narrow(-1, at - 2 * side, side), gives: out.narrow(-1, at - side, side) }
    }

    /// `[.., S, S]`: logits of what each takes from each, where `births` take the seats `which` (`[.., S]` int64, -1 for those
    /// of these slots).
    pub fn logits(&self, births: &Sides, which: &Tensor) -> Tensor {
        let is_born = which.ge(0).unsqueeze(-1);
        let rows = which.clamp_min(0).unsqueeze(-1);
        let mut size = which.size();
        size.push(SIDE as i64);
        let rows = rows.expand(size, false);
        let seated = |old: &Tensor, new: &Tensor| new.gather(-2, &rows, false).where_self(&is_born, old);
        let (takes, gives) = (seated(&self.takes, &births.takes), seated(&self.gives, &births.gives));
        takes.matmul(&gives.transpose(-1, -2)) + FEW
    }
}

/// Few take anything from each other: what a network that knows nothing says.
const FEW: f64 = -2.0;

/// One network for all slots.
#[derive(Debug)]
pub struct SlotNet {
    own: Linear,
    state: Linear,
    out: Linear,
    sees_takes: bool,
}

impl SlotNet {
    /// A network of random parameters.
    pub fn new(place: &Place<'_>, config: &ModelConfig) -> SlotNet {
        SlotNet {
            // Two more: whether it is the one that was chosen, and what the action takes from it.
            own: Linear::new(&place.sub("own"), SLOT + 2, config.slot_width, HIDDEN_GAIN),
            state: Linear::without_bias(&place.sub("state"), config.hidden, config.slot_width, HIDDEN_GAIN),
            out: Linear::new(&place.sub("out"), config.slot_width, 1 + SLOT_FEATURES + 2 * SIDE, LOGIT_GAIN),
            sees_takes: config.sees_takes,
        }
    }

    /// From the trunk `[.., H]`, slots `[.., S, SLOT]`, which was chosen, `[.., S]` of 0 and 1, and what the action takes from
    /// each, `[.., S]`.
    pub fn forward(&self, trunk: &Tensor, slots: &Tensor, chosen: &Tensor, takes: &Tensor) -> Fates {
        let takes = if self.sees_takes { takes.shallow_clone() } else { takes.zeros_like() };
        let input = Tensor::cat(&[slots, &chosen.unsqueeze(-1), &takes.unsqueeze(-1)], -1);
        let hidden = (self.own.forward(&input) + self.state.forward(trunk).unsqueeze(-2)).relu();
        let out = self.out.forward(&hidden);
        Fates { stays: out.select(-1, 0), change: out.narrow(-1, 1, SLOT_FEATURES as i64), sides: Sides::of(&out) }
    }
}

/// What is predicted of the slots that come, in the order of their seats.
#[derive(Debug)]
pub struct Coming {
    /// `[.., K]`: logit of whether there is a first, a second, …
    pub comes: Tensor,
    /// `[.., K, RULE]`: what its rule is like; its product with a rule's embedding is the rule's logit.
    pub rule: Tensor,
    /// `[.., K, SLOT_FEATURES]`: its features, standardised.
    pub features: Tensor,
    /// What it takes from the others, and they from it.
    pub sides: Sides,
}

/// Numbers that are predicted of one that comes.
const BIRTH: usize = 1 + RULE + SLOT_FEATURES + 2 * SIDE;

/// Queries, one for each slot that may come.
#[derive(Debug)]
pub struct Births {
    count: i64,
    state: Linear,
    queries: Tensor,
    out: Linear,
}

impl Births {
    /// A network of random parameters.
    pub fn new(place: &Place<'_>, config: &ModelConfig) -> Births {
        Births {
            count: config.births as i64,
            state: Linear::new(&place.sub("state"), config.hidden, config.slot_width, HIDDEN_GAIN),
            queries: place.normal("queries", config.births, config.slot_width, 0.5),
            out: Linear::new(&place.sub("out"), config.slot_width, BIRTH, 0.1),
        }
    }

    /// Slots that come in one step, at most.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// From the trunk `[.., H]`.
    pub fn forward(&self, trunk: &Tensor) -> Coming {
        let hidden = (self.state.forward(trunk).unsqueeze(-2) + &self.queries).relu();
        let out = self.out.forward(&hidden);
        Coming {
            comes: out.select(-1, 0),
            rule: out.narrow(-1, 1, RULE as i64),
            features: out.narrow(-1, 1 + RULE as i64, SLOT_FEATURES as i64),
            sides: Sides::of(&out),
        }
    }
}

/// Multiplications of both networks in one step.
pub fn products(hidden: usize, width: usize, births: usize, rules: usize) -> usize {
    let slots = SLOTS * width * (SLOT + 2 + 1 + SLOT_FEATURES + 2 * SIDE) + hidden * width;
    slots + hidden * width + births * (width * BIRTH + RULE * rules) + SLOTS * SLOTS * SIDE
}

/// `[.., S]` int64: which birth (0, 1, …) takes each seat that is free, and -1 where none does. `free` is `[.., S]` of 0 and
/// 1, `born` `[..]`, how many come.
pub fn seats_of_births(free: &Tensor, born: &Tensor) -> Tensor {
    let rank = free.cumsum(-1, Kind::Int64) - 1;
    let takes = free.to_kind(Kind::Bool).logical_and(&rank.lt_tensor(&born.unsqueeze(-1)));
    rank.where_scalarother(&takes, -1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn births_take_the_first_seats_that_are_free() {
        let free = Tensor::from_slice(&[0i64, 1, 0, 1, 1, 1, 0, 1]).reshape([2, 4]);
        let seats = seats_of_births(&free, &Tensor::from_slice(&[1i64, 3]));
        let seats: Vec<i64> = Vec::try_from(seats.flatten(0, -1)).unwrap();
        assert_eq!(seats, [-1, 0, -1, -1, 0, 1, -1, 2]);
    }
}
