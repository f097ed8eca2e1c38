//! What M is fitted by.

use tch::{Kind, Reduction, Tensor};

use super::super::frame::{EMPTY, SLOT_FEATURES};
use super::super::sequences::Sequences;
use super::{WorldModel, twohot};

/// Means over the steps of a batch, each a scalar.
#[derive(Debug)]
pub struct Losses {
    /// Of the next state: negative log-likelihood of its change, by number of the state.
    pub state: Tensor,
    /// Of the reward.
    pub reward: Tensor,
    /// Of whether the episode goes on.
    pub goes_on: Tensor,
    /// Of the next cost: half a squared error.
    pub cost: Tensor,
    /// Of the return from each state.
    pub value: Tensor,
    /// Of which slots stay.
    pub stays: Tensor,
    /// Of how those that stay change: half a squared error.
    pub slot_change: Tensor,
    /// Of how many come.
    pub comes: Tensor,
    /// Of the rules of those that come.
    pub born_rule: Tensor,
    /// Of their features: half a squared error.
    pub born_features: Tensor,
    /// Of what they take from the others, and the others from them.
    pub born_takes: Tensor,
}

impl Losses {
    /// All by name.
    pub fn all(&self) -> [(&'static str, &Tensor); 11] {
        [
            ("losses/state", &self.state),
            ("losses/reward", &self.reward),
            ("losses/continue", &self.goes_on),
            ("losses/cost", &self.cost),
            ("losses/value", &self.value),
            ("losses/slots_stay", &self.stays),
            ("losses/slots_change", &self.slot_change),
            ("losses/slots_come", &self.comes),
            ("losses/born_rule", &self.born_rule),
            ("losses/born_features", &self.born_features),
            ("losses/born_takes", &self.born_takes),
        ]
    }

    /// What is minimised: their sum, with more weight on what is seldom and small, the ends of episodes.
    pub fn total(&self) -> Tensor {
        const ENDS: f64 = 5.0;
        let sum = Tensor::stack(&self.all().map(|(_, loss)| loss.shallow_clone()), 0).sum(Kind::Float);
        sum + &self.goes_on * (ENDS - 1.0)
    }
}

/// The mean of `[..]` where `[..]` is 1; 0 if it is nowhere.
pub fn masked_mean(values: &Tensor, mask: &Tensor) -> Tensor {
    let mask = mask.to_kind(Kind::Float);
    (values * &mask).sum(Kind::Float) / mask.sum(Kind::Float).clamp_min(1.0)
}

fn binary(logits: &Tensor, truth: &Tensor) -> Tensor {
    logits.binary_cross_entropy_with_logits(
        &truth.to_kind(Kind::Float),
        None::<&Tensor>,
        None::<&Tensor>,
        Reduction::None,
    )
}

/// Half the mean of the squares of the last dimension.
fn half_square(difference: &Tensor) -> Tensor {
    difference.square().mean_dim([-1i64].as_slice(), false, Kind::Float) / 2.0
}

/// What was born in each step, in the order of seats.
pub struct Born {
    /// `[N, T]` int64: how many.
    pub count: Tensor,
    /// `[N, T, K]` int64: their seats; any where there are fewer.
    pub seats: Tensor,
    /// `[N, T, S]` int64: which of them sits there; -1 where none does, or one beyond the `K`-th.
    pub which: Tensor,
}

impl Born {
    /// Of the states behind each action.
    pub fn of(data: &Sequences, most: i64) -> Born {
        let t = data.length();
        let new = data.present().logical_and(&data.kept.logical_not()).narrow(1, 1, t).to_kind(Kind::Int64);
        let count = new.sum_dim_intlist([-1i64].as_slice(), false, Kind::Int64);
        // Those that are born first, in order of seats.
        let seats = new.argsort_stable(true, -1, true).narrow(-1, 0, most);
        let rank = new.cumsum(-1, Kind::Int64) - 1;
        let which = rank.where_scalarother(&new.gt(0).logical_and(&rank.lt(most)), -1);
        Born { count, seats, which }
    }
}

impl WorldModel {
    /// The losses on whole episodes; `table` is `[R, RULE]`.
    pub fn losses(&self, data: &Sequences, table: &Tensor) -> Losses {
        let t = data.length();
        let z = self.standardise(&data.whole);
        let (before, after) = (z.narrow(1, 0, t), z.narrow(1, 1, t));
        let actions = data.actions(table);
        let read = data.blur.as_ref().map_or(before.shallow_clone(), |blur| &before + blur.narrow(1, 0, t));
        let (carry, trunk) = self.unroll(&read, &actions);
        let moves = data.moves();

        let [mean, deviation] = &self.scales.delta;
        let change = ((after - &before) * &self.scales.whole[1] - mean) / deviation;
        let state = self.change(&trunk).loss(&change) / change.size()[2] as f64;
        let cost_change = data.cost.narrow(1, 1, t) - data.cost.narrow(1, 0, t);
        let books = data.books.map(|x| x.narrow(1, 0, t));
        let said_change = self.cost(&trunk, &actions, &books);
        let reward = twohot::loss(&self.reward(&trunk, &books, &said_change), &data.reward);
        let cost = (said_change - cost_change).square() / 2.0;
        let value = twohot::loss(&self.value(&carry.h, &read), &data.returns.narrow(1, 0, t));

        let slots = data.slots(table).narrow(1, 0, t);
        let fates = self.slots().forward(&trunk, &slots, &data.chosen_slots(), &data.action_takes);
        let present = data.present().narrow(1, 0, t).logical_and(&moves.unsqueeze(-1));
        let kept = data.kept.narrow(1, 1, t).logical_and(&present);
        let slot_change = (data.features.narrow(1, 1, t) - data.features.narrow(1, 0, t)) / &self.scales.slot_delta;

        let births = self.births().forward(&trunk);
        let k = self.births().count();
        let born = Born::of(data, k);
        let order = Tensor::arange(k, (Kind::Int64, trunk.device()));
        let is_born = born.count.unsqueeze(-1).gt_tensor(&order).logical_and(&moves.unsqueeze(-1));
        let born_rule = data.rules.narrow(1, 1, t).gather(-1, &born.seats, false);
        // Few are born, and there are many rules: only theirs are told.
        let rows = is_born.flatten(0, -1).nonzero().squeeze_dim(1);
        let rule_logits = births.rule.flatten(0, -2).index_select(0, &rows).matmul(&table.tr());
        let born_rule = born_rule.flatten(0, -1).index_select(0, &rows).clamp_min(i64::from(EMPTY) + 1).unsqueeze(-1);
        let rule_loss = -rule_logits.log_softmax(-1, Kind::Float).gather(-1, &born_rule, false).squeeze_dim(-1);
        let mut size = born.seats.size();
        size.push(SLOT_FEATURES as i64);
        let rows = born.seats.unsqueeze(-1).expand(size, false);
        let [slot_mean, slot_deviation] = &self.scales.slot;
        let born_features = (data.features.narrow(1, 1, t).gather(-2, &rows, false) - slot_mean) / slot_deviation;

        let is_new = born.which.ge(0);
        // One that is born beyond the last that may be told of is neither.
        let known = data.kept.narrow(1, 1, t).logical_and(&data.present().narrow(1, 1, t)).logical_or(&is_new);
        let pair = |x: &Tensor| (x.unsqueeze(-1), x.unsqueeze(-2));
        let ((one_new, other_new), (one, other)) = (pair(&is_new), pair(&known));
        let pairs = one_new.logical_or(&other_new).logical_and(&one).logical_and(&other);
        let pairs = pairs.logical_and(&moves.unsqueeze(-1).unsqueeze(-1));
        let takes_logits = fates.sides.logits(&births.sides, &born.which);

        let every = moves.unsqueeze(-1).expand_as(&births.comes);
        Losses {
            state: masked_mean(&state, &moves),
            reward: masked_mean(&reward, &data.mask),
            goes_on: masked_mean(&binary(&self.goes_on(&trunk), &data.goes_on), &data.mask),
            cost: masked_mean(&cost, &moves),
            value: masked_mean(&value, &data.mask),
            stays: masked_mean(&binary(&fates.stays, &data.kept.narrow(1, 1, t)), &present),
            slot_change: masked_mean(&half_square(&(fates.change - slot_change)), &kept),
            comes: masked_mean(&binary(&births.comes, &born.count.unsqueeze(-1).gt_tensor(&order)), &every),
            born_rule: masked_mean(&rule_loss, &rule_loss.ones_like()),
            born_features: masked_mean(&half_square(&(births.features - born_features)), &is_born),
            born_takes: masked_mean(&binary(&takes_logits, &data.takes.narrow(1, 1, t)), &pairs),
        }
    }
}
