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
}

/// One network for all slots.
#[derive(Debug)]
pub struct SlotNet {
    own: Linear,
    state: Linear,
    out: Linear,
}

impl SlotNet {
    /// A network of random parameters.
    pub fn new(place: &Place<'_>, config: &ModelConfig) -> SlotNet {
        SlotNet {
            // One more: whether it is the one that was chosen.
            own: Linear::new(&place.sub("own"), SLOT + 1, config.slot_width, HIDDEN_GAIN),
            state: Linear::without_bias(&place.sub("state"), config.hidden, config.slot_width, HIDDEN_GAIN),
            out: Linear::new(&place.sub("out"), config.slot_width, 1 + SLOT_FEATURES, LOGIT_GAIN),
        }
    }

    /// From the trunk `[.., H]`, slots `[.., S, SLOT]` and which was chosen, `[.., S]` of 0 and 1.
    pub fn forward(&self, trunk: &Tensor, slots: &Tensor, chosen: &Tensor) -> Fates {
        let input = Tensor::cat(&[slots, &chosen.unsqueeze(-1)], -1);
        let hidden = (self.own.forward(&input) + self.state.forward(trunk).unsqueeze(-2)).relu();
        let out = self.out.forward(&hidden);
        Fates { stays: out.select(-1, 0), change: out.narrow(-1, 1, SLOT_FEATURES as i64) }
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
}

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
            out: Linear::new(&place.sub("out"), config.slot_width, 1 + RULE + SLOT_FEATURES, 0.1),
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
        }
    }
}

/// Multiplications of both networks in one step.
pub fn products(hidden: usize, width: usize, births: usize, rules: usize) -> usize {
    let slots = SLOTS * width * (SLOT + 1 + 1 + SLOT_FEATURES) + hidden * width;
    slots + hidden * width + births * (width * (1 + RULE + SLOT_FEATURES) + RULE * rules)
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
