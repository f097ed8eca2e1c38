//! Episodes that M imagines, many at a time. There is no graph in them, nor any environment: states, rewards, ends and what may
//! be done are all predicted.

use tch::{Kind, Tensor};

use super::books::{Books, STATED, likelier_than_not};
use super::chance::Chance;
use super::ensemble::disagreement;
use super::frame::{Frame, SLOT_FEATURES, WHOLE};
use super::model::mixture::Mixture;
use super::model::slots::{at_seats, seats_of_births};
use super::model::{Carry, WorldModel, twohot};
use super::sequences::{States, embed, embed_action, one_hot, stack};
use super::slots::SLOTS;

/// States stay within so many deviations of those that were seen, or a long dream may run away.
const MOST_DEVIATIONS: f64 = 6.0;
/// Features of slots stay within this: those of real ones lie in about [-4, 4].
const MOST_FEATURE: f64 = 4.0;

/// `B` dreams that go on side by side.
#[derive(Debug)]
pub struct Dream<'m> {
    model: &'m WorldModel,
    /// `[R, RULE]`.
    table: Tensor,
    /// What was.
    pub carry: Carry,
    /// `[B, U]`: the states, standardised.
    pub z: Tensor,
    /// `[B, S]` int64: rules of the slots, -1 where empty.
    pub rules: Tensor,
    /// `[B, S, SLOT_FEATURES]`.
    pub features: Tensor,
    /// `[B, S, SLOT]`: both, as networks read them.
    slots: Tensor,
    /// `[B, S, S]`: what the action of one takes from another.
    pub takes: Tensor,
    /// `[B]`: what has been saved.
    pub books: Books,
    /// `[B]` of 0 and 1: whether it goes on.
    pub going: Tensor,
    /// Models that dream along, with what they carry.
    shadows: Vec<(&'m WorldModel, Carry)>,
    /// What is taken from a reward for each unit of doubt.
    penalty: f64,
    /// `[B]`: how much the models differed over the last step.
    pub doubt: Tensor,
}

/// The number of the action that stops.
pub const STOP: i64 = SLOTS as i64;

impl<'m> Dream<'m> {
    /// Dreams that begin in these states, at the start of an episode. `table` is `[R, RULE]`.
    pub fn new(model: &'m WorldModel, table: &Tensor, frames: &[&Frame]) -> Dream<'m> {
        Dream::from_states(model, table, model.start(frames.len() as i64), stack(frames, model.device()))
    }

    /// Dreams that go on from a carry and states.
    pub fn from_states(model: &'m WorldModel, table: &Tensor, carry: Carry, states: States) -> Dream<'m> {
        let States { whole, rules, features, takes, books } = states;
        let z = model.standardise(&whole);
        let going = Tensor::ones([z.size()[0]], (Kind::Float, z.device()));
        let (doubt, shadows) = (going.zeros_like(), Vec::new());
        let table = table.shallow_clone();
        let slots = embed(&rules, &features, &table);
        Dream { model, table, carry, z, rules, features, slots, takes, books, going, shadows, penalty: 0.0, doubt }
    }

    /// The same with models that dream along, each with what it carries; rewards become less by `penalty` times how much they
    /// differ.
    pub fn with_shadows(self, shadows: Vec<(&'m WorldModel, Carry)>, penalty: f64) -> Dream<'m> {
        Dream { shadows, penalty, ..self }
    }

    /// The same dreams, at these rows (as often as they occur).
    pub fn select(&self, rows: &Tensor) -> Dream<'m> {
        let pick = |x: &Tensor| x.index_select(0, rows);
        Dream {
            model: self.model,
            table: self.table.shallow_clone(),
            carry: self.carry.select(rows),
            z: pick(&self.z),
            rules: pick(&self.rules),
            features: pick(&self.features),
            slots: pick(&self.slots),
            takes: pick(&self.takes),
            books: self.books.map(pick),
            going: pick(&self.going),
            shadows: self.shadows.iter().map(|(model, carry)| (*model, carry.select(rows))).collect(),
            penalty: self.penalty,
            doubt: pick(&self.doubt),
        }
    }

    /// Number of dreams.
    pub fn len(&self) -> i64 {
        self.z.size()[0]
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[B, S, SLOT]`: what may be done, as networks read it.
    pub fn slots(&self) -> Tensor {
        self.slots.shallow_clone()
    }

    /// `[B, S]` bool: what may be done.
    pub fn present(&self) -> Tensor {
        self.rules.ge(0)
    }

    /// `[B, U + H]`: what a controller reads of the states.
    pub fn state(&self) -> Tensor {
        Tensor::cat(&[&self.z, &self.carry.h], 1)
    }

    /// `[B]`: the return that M expects from here.
    pub fn value(&self) -> Tensor {
        twohot::decode(&self.model.value(&self.carry.h, &self.z)) * &self.going
    }

    /// Takes an action in each: `[B]` int64, a slot or [`STOP`]. Gives the rewards `[B]`; where it is over, 0.
    pub fn step(&mut self, action: &Tensor, chance: &mut Chance<'_>) -> Tensor {
        let chosen = action.clamp_max(SLOTS as i64 - 1).unsqueeze(1);
        let stops = action.eq(STOP);
        let rule = self.rules.gather(1, &chosen, false).squeeze_dim(1);
        // To stop, and what cannot be done, is to stop.
        let stops = stops.logical_or(&rule.lt(0));
        let rows = chosen.unsqueeze(2).expand([-1, 1, SLOT_FEATURES as i64], false);
        let features = self.features.gather(1, &rows, false).squeeze_dim(1);
        let rule = rule.where_scalarother(&stops.logical_not(), -1);
        let slot = action.where_scalarother(&stops.logical_not(), -1);
        let takes = self.takes_of(&slot);
        self.step_by(&embed_action(&rule, &features, &self.table), (&slot, &takes), chance)
    }

    /// `[B, S]`: what the actions of slots `[B]` take from each slot; 0 for -1.
    pub fn takes_of(&self, slot: &Tensor) -> Tensor {
        one_hot(slot).unsqueeze(1).bmm(&self.takes).squeeze_dim(1)
    }

    /// The same for actions as M reads them, `[B, A]`, with the slots that they stand for, `[B]` int64 (-1: none), and what they
    /// take from each, `[B, S]`.
    pub fn step_by(&mut self, action: &Tensor, slot: (&Tensor, &Tensor), chance: &mut Chance<'_>) -> Tensor {
        let (carry, trunk) = self.model.step(&self.carry, &self.z, action);
        let cost_change = self.model.cost(&trunk, action, &self.books);
        let reward = twohot::decode(&self.model.reward(&trunk, &self.books, &cost_change));
        let stops = action.select(1, action.size()[1] - 1);
        let goes_on = self.model.goes_on(&trunk).gt(0.0).to_kind(Kind::Float) * (1.0 - stops);

        let (b, device) = (self.len(), self.z.device());
        let change = self.model.change(&trunk);
        let doubt = self.differ(&reward, &change, action);
        let reward = &reward * &self.going - doubt * self.penalty;
        let change = if chance.temperature == 0.0 {
            change.mode()
        } else {
            let uniform = chance.uniform(&[], b, device);
            let normal = chance.normal(&[WHOLE as i64], b, device);
            change.sample(chance.temperature, &uniform, &normal)
        };
        let z = self.model.moved(&self.z, &change).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS);
        self.next_slots(&trunk, slot, chance);
        self.books = self.books.after(&cost_change);
        self.model.write_books(&z, &self.features, &self.books);
        self.slots = embed(&self.rules, &self.features, &self.table);
        self.z = z;
        self.carry = carry;
        self.going = &self.going * goes_on;
        reward
    }

    /// Steps the models that dream along; `[B]`: how much they and the one that dreams, with its reward `[B]` and change, differ.
    fn differ(&mut self, reward: &Tensor, change: &Mixture, action: &Tensor) -> Tensor {
        if self.shadows.is_empty() {
            return self.doubt.shallow_clone();
        }
        let mut rewards = vec![reward.shallow_clone()];
        let mut states = vec![self.model.moved(&self.z, &change.mean())];
        for (model, carry) in &mut self.shadows {
            let (next, trunk) = model.step(carry, &self.z, action);
            let change = model.cost(&trunk, action, &self.books);
            rewards.push(twohot::decode(&model.reward(&trunk, &self.books, &change)));
            states.push(model.moved(&self.z, &model.change(&trunk).mean()));
            *carry = next;
        }
        self.doubt = disagreement(&rewards, &states) * &self.going;
        self.doubt.shallow_clone()
    }

    /// Which slots there will be.
    fn next_slots(&mut self, trunk: &Tensor, (slot, takes): (&Tensor, &Tensor), chance: &mut Chance<'_>) {
        let (b, device) = (self.len(), self.z.device());
        let fates = self.model.slots().forward(trunk, &self.slots, &one_hot(slot), takes);
        let births = self.model.births().forward(trunk);
        let (stays, comes) = if chance.temperature == 0.0 {
            (fates.stays.gt(0.0), births.comes.gt(0.0))
        } else {
            let at = |logits: &Tensor| (logits / chance.temperature).sigmoid();
            let (stays, comes) = (at(&fates.stays), at(&births.comes));
            let uniform = chance.uniform(&[SLOTS as i64], b, device);
            // One draw for all: how many come, by the chance that at least so many do.
            let together = chance.uniform(&[], b, device);
            (stays.gt_tensor(&uniform), comes.gt_tensor(&together.unsqueeze(1)))
        };
        let stays = stays.logical_and(&self.present());
        // One comes if all before it do.
        let comes = comes.to_kind(Kind::Int64).cumprod(1, Kind::Int64);
        let born = comes.sum_dim_intlist([1i64].as_slice(), false, Kind::Int64);
        let seats = seats_of_births(&stays.logical_not().to_kind(Kind::Int64), &born);
        let is_born = seats.ge(0);

        let [mean, deviation] = &self.model.scales.slot;
        let born_rules = births.rules(&comes, &self.table).gather(1, &seats.clamp_min(0), false);
        let mut born_features = births.features * deviation + mean;
        let change = fates.change * &self.model.scales.slot_delta;
        let changed = if self.model.config.books.is_some() {
            born_features = likelier_than_not(&born_features);
            let rest = SLOT_FEATURES as i64 - STATED;
            let relative = self.features.narrow(2, STATED, rest) + change.narrow(2, STATED, rest);
            Tensor::cat(&[self.features.narrow(2, 0, STATED), relative], 2)
        } else {
            &self.features + change
        };
        let born_features = at_seats(&born_features, &seats);
        let there = stays.logical_or(&is_born);
        if self.model.config.sees_takes {
            let said = fates.sides.logits(&births.sides, &seats).sigmoid();
            let new = is_born.unsqueeze(2).logical_or(&is_born.unsqueeze(1));
            let both = there.unsqueeze(2).logical_and(&there.unsqueeze(1));
            self.takes = said.where_self(&new, &self.takes) * both;
        }
        let there = there.unsqueeze(2).to_kind(Kind::Float);
        let features = born_features.where_self(&is_born.unsqueeze(2), &changed);
        self.features = features.clamp(-MOST_FEATURE, MOST_FEATURE) * there;
        let kept = self.rules.where_scalarother(&stays, -1);
        self.rules = born_rules.where_self(&is_born, &kept);
    }
}
