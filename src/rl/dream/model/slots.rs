//! Slots of the next state: which of those there are stay, how they change, and which come.

use tch::{Device, Kind, Tensor};

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
        let seated = |old: &Tensor, new: &Tensor| at_seats(new, which).where_self(&is_born, old);
        let (takes, gives) = (seated(&self.takes, &births.takes), seated(&self.gives, &births.gives));
        let mut logits = takes.matmul(&gives.transpose(-1, -2));
        logits += FEW;
        logits
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
        // In place: this is the largest of all tensors here, and memory for another one is what would cost most.
        let mut hidden = self.own.forward(&input);
        hidden += self.state.forward(trunk).unsqueeze(-2);
        let out = self.out.forward(&hidden.relu_());
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

impl Coming {
    /// `[B, K]` int64: the likeliest rules. `comes` is `[B, K]` int64, 1 for those that come; any rule will do for the others, and
    /// on a CPU theirs are not computed: few come, and to look through all rules takes long. On a GPU it would have to wait to
    /// learn how many that are.
    pub fn rules(&self, comes: &Tensor, table: &Tensor) -> Tensor {
        let likeliest = |rule: &Tensor| rule.matmul(&table.tr()).argmax(-1, false);
        if comes.device() != Device::Cpu {
            return likeliest(&self.rule);
        }
        let rows = comes.flatten(0, 1).nonzero().squeeze_dim(1);
        let own = likeliest(&self.rule.flatten(0, 1).index_select(0, &rows));
        comes.zeros_like().flatten(0, 1).index_copy(0, &rows, &own).reshape_as(comes)
    }
}

/// `[.., S, W]`: of `[.., K, W]` the rows `which`, `[.., S]` int64; where that is -1, those of 0.
pub fn at_seats(of: &Tensor, which: &Tensor) -> Tensor {
    let size = of.size();
    let [.., k, width] = size[..] else { unreachable!("rows of numbers") };
    let lead = which.size();
    // A gather would go through the numbers one by one.
    let first = Tensor::arange_start_step(0, of.numel() as i64 / width, k, (Kind::Int64, of.device()));
    let rows = which.clamp_min(0).flatten(0, -2) + first.unsqueeze(1);
    of.reshape([-1, width]).index_select(0, &rows.flatten(0, 1)).reshape([&lead[..], &[width]].concat())
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
    fn numbers_of_births_lie_at_their_seats() {
        let of = Tensor::arange(12, (Kind::Float, Device::Cpu)).reshape([2, 3, 2]);
        let which = Tensor::from_slice(&[-1i64, 2, 0, 1, -1, 1, 1, 2]).reshape([2, 4]);
        let seated = at_seats(&of, &which);
        assert_eq!(seated.size(), [2, 4, 2]);
        let seated: Vec<f32> = Vec::try_from(seated.flatten(0, -1)).unwrap();
        assert_eq!(seated, [0., 1., 4., 5., 0., 1., 2., 3., 6., 7., 8., 9., 8., 9., 10., 11.]);
    }

    #[test]
    fn rules_are_told_of_those_that_come() {
        let of = |x: &[f32], size: &[i64]| Tensor::from_slice(x).reshape(size);
        let rule = of(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0], &[2, 2, 2]);
        let none = || Tensor::zeros([2, 2, 1], (Kind::Float, Device::Cpu));
        let sides = Sides { takes: none(), gives: none() };
        let coming = Coming { comes: none().squeeze_dim(2), rule, features: none(), sides };
        let table = of(&[-1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, -1.0], &[4, 2]);
        let told = |comes: &[i64]| -> Vec<i64> {
            let rules = coming.rules(&Tensor::from_slice(comes).reshape([2, 2]), &table);
            Vec::try_from(rules.flatten(0, 1)).unwrap()
        };
        assert_eq!(told(&[1, 1, 1, 1]), [2, 1, 0, 3]);
        assert_eq!(told(&[0, 0, 0, 0]).len(), 4);
        let some = told(&[0, 1, 1, 0]);
        assert_eq!((some[1], some[2]), (1, 0));
    }

    #[test]
    fn births_take_the_first_seats_that_are_free() {
        let free = Tensor::from_slice(&[0i64, 1, 0, 1, 1, 1, 0, 1]).reshape([2, 4]);
        let seats = seats_of_births(&free, &Tensor::from_slice(&[1i64, 3]));
        let seats: Vec<i64> = Vec::try_from(seats.flatten(0, -1)).unwrap();
        assert_eq!(seats, [-1, 0, -1, -1, 0, 1, -1, 2]);
    }
}
