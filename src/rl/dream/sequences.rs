//! Episodes side by side as tensors, with a mask over what is behind their ends.

use tch::{Device, Kind, Tensor};

use super::books::Books;
use super::data::Trajectory;
use super::frame::{ACTION, Deed, EMPTY, Frame, GLOBALS_AT, RULE, SLOT, SLOT_FEATURES, WHOLE};
use super::slots::SLOTS;
use crate::rl::random::Random;

/// `N` episodes of at most `T` actions. What lies behind an episode's end is 0 (empty, for rules).
#[derive(Debug)]
pub struct Sequences {
    /// `[N, T + 1, U]`.
    pub whole: Tensor,
    /// `[N, T + 1, S]` int64: rules of the slots, -1 where empty.
    pub rules: Tensor,
    /// `[N, T + 1, S, SLOT_FEATURES]`.
    pub features: Tensor,
    /// `[N, T + 1, S]` bool: the holder sat here one step ago.
    pub kept: Tensor,
    /// `[N, T + 1, S, S]`: what the action of one takes from another.
    pub takes: Tensor,
    /// `[N, T + 1]`: what has been saved.
    pub books: Books,
    /// `[N, T + 1, U]`, in deviations: what is added to states where M reads them; see [`Sequences::blur`].
    pub blur: Option<Tensor>,
    /// `[N, T, S]`: what the action takes from each: of a slot's, as its state has it, which is all that a dream knows; of
    /// one without a slot, exactly.
    pub action_takes: Tensor,
    /// `[N, T]` int64: rule of the action, -1 to stop.
    pub action_rule: Tensor,
    /// `[N, T, SLOT_FEATURES]`.
    pub action_features: Tensor,
    /// `[N, T]` int64: the slot that was chosen, -1 for none.
    pub chosen: Tensor,
    /// `[N, T]`.
    pub reward: Tensor,
    /// `[N, T + 1]`: `log(initial / cost)`, scaled.
    pub cost: Tensor,
    /// `[N, T + 1]`: rewards from each state on.
    pub returns: Tensor,
    /// `[N, T]`: 1 where the episode goes on behind the action.
    pub goes_on: Tensor,
    /// `[N, T]`: 1 where there is an action.
    pub mask: Tensor,
}

/// Frames side by side.
#[derive(Debug)]
pub struct States {
    /// `[.., U]`.
    pub whole: Tensor,
    /// `[.., S]` int64: rules of the slots, -1 where empty.
    pub rules: Tensor,
    /// `[.., S, SLOT_FEATURES]`.
    pub features: Tensor,
    /// `[.., S, S]`: what the action of one takes from another.
    pub takes: Tensor,
    /// `[..]`: what has been saved.
    pub books: Books,
}

impl States {
    /// The same, at these rows.
    pub fn select(&self, rows: &Tensor) -> States {
        let pick = |x: &Tensor| x.index_select(0, rows);
        States {
            whole: pick(&self.whole),
            rules: pick(&self.rules),
            features: pick(&self.features),
            takes: pick(&self.takes),
            books: self.books.map(pick),
        }
    }
}

/// Frames side by side, one a row.
pub fn stack(frames: &[&Frame], device: Device) -> States {
    let table = |values: Vec<f32>, size: &[i64]| Tensor::from_slice(&values).reshape(size).to_device(device);
    let (f, s) = (frames.len() as i64, SLOTS as i64);
    let rules: Vec<i64> = frames.iter().flat_map(|frame| frame.rules.map(i64::from)).collect();
    let all = |of: fn(&Frame) -> &Vec<f32>| frames.iter().flat_map(|frame| of(frame).iter().copied()).collect();
    States {
        whole: table(all(|frame| &frame.whole), &[f, WHOLE as i64]),
        rules: Tensor::from_slice(&rules).reshape([f, s]).to_device(device),
        features: table(all(|frame| &frame.features), &[f, s, SLOT_FEATURES as i64]),
        takes: table(all(|frame| &frame.takes), &[f, s, s]),
        books: Books {
            saved: table(frames.iter().map(|frame| frame.saved[0]).collect(), &[f]),
            best: table(frames.iter().map(|frame| frame.saved[1]).collect(), &[f]),
        },
    }
}

/// `[.., SLOT]`: rules `[.., ]` (-1 is nothing, and 0) and features `[.., SLOT_FEATURES]`, which are 0 where nothing is, as
/// networks read them.
pub fn embed(rules: &Tensor, features: &Tensor, table: &Tensor) -> Tensor {
    let size = [rules.size().as_slice(), &[RULE as i64]].concat();
    // The last row is that of nothing.
    let count = table.size()[0];
    let table = table.constant_pad_nd([0, 0, 0, 1]);
    let rows = table.index_select(0, &rules.remainder(count + 1).flatten(0, -1)).reshape(size);
    Tensor::cat(&[&rows, features], -1)
}

/// `[.., A]`: actions by rule (-1 is to stop) and features.
pub fn embed_action(rules: &Tensor, features: &Tensor, table: &Tensor) -> Tensor {
    let stop = rules.lt(0).unsqueeze(-1).to_kind(Kind::Float);
    let features = features * (1.0f64 - &stop);
    let action = Tensor::cat(&[embed(rules, &features, table), stop], -1);
    debug_assert_eq!(action.size().last(), Some(&(ACTION as i64)));
    action
}

impl Sequences {
    /// Puts episodes side by side.
    pub fn new(episodes: &[&Trajectory], device: Device) -> Sequences {
        let n = episodes.len() as i64;
        let t = episodes.iter().map(|e| e.len()).max().unwrap_or(0).max(1) as i64;
        let blank = Frame::blank();
        let frames: Vec<&Frame> =
            episodes.iter().flat_map(|e| (0..=t as usize).map(|at| e.frames.get(at).unwrap_or(&blank))).collect();
        let states = stack(&frames, device);
        let kept: Vec<bool> = frames.iter().flat_map(|frame| frame.kept).collect();
        let (no_features, no_takes) = (vec![0.0; SLOT_FEATURES], vec![0.0; SLOTS]);
        let deed = |e: &Trajectory, at: usize| match e.deeds.get(at) {
            Some(Deed::Apply { slot: Some(s), rule, features, .. }) => {
                (*s as i64, *rule, features.clone(), e.frames[at].takes[s * SLOTS..(s + 1) * SLOTS].to_vec())
            }
            Some(Deed::Apply { slot: None, rule, features, takes }) => (-1, *rule, features.clone(), takes.clone()),
            Some(Deed::Stop) | None => (-1, EMPTY, no_features.clone(), no_takes.clone()),
        };
        let (mut chosen, mut action_rule) = (Vec::new(), Vec::new());
        let (mut action_features, mut action_takes) = (Vec::new(), Vec::new());
        let (mut reward, mut goes_on, mut mask) = (Vec::new(), Vec::new(), Vec::new());
        let (mut cost, mut returns) = (Vec::new(), Vec::new());
        for e in episodes {
            for at in 0..t as usize {
                let (slot, rule, features, takes) = deed(e, at);
                chosen.push(slot);
                action_rule.push(i64::from(rule));
                action_features.extend(features);
                action_takes.extend(takes);
                reward.push(e.rewards.get(at).copied().unwrap_or(0.0));
                goes_on.push(if at + 1 < e.len() { 1.0f32 } else { 0.0 });
                mask.push(if at < e.len() { 1.0f32 } else { 0.0 });
            }
            for at in 0..=t as usize {
                cost.push(e.costs.get(at).copied().unwrap_or(0.0));
                returns.push(e.rewards.iter().skip(at).sum::<f32>());
            }
        }
        let table = |values: &[f32], size: &[i64]| Tensor::from_slice(values).reshape(size).to_device(device);
        let ids = |values: &[i64]| Tensor::from_slice(values).reshape([n, t]).to_device(device);
        let (s, f) = (SLOTS as i64, SLOT_FEATURES as i64);
        Sequences {
            whole: states.whole.reshape([n, t + 1, WHOLE as i64]),
            rules: states.rules.reshape([n, t + 1, s]),
            features: states.features.reshape([n, t + 1, s, f]),
            takes: states.takes.reshape([n, t + 1, s, s]),
            books: states.books.map(|x| x.reshape([n, t + 1])),
            blur: None,
            action_takes: table(&action_takes, &[n, t, s]),
            kept: Tensor::from_slice(&kept).reshape([n, t + 1, s]).to_device(device),
            action_rule: ids(&action_rule),
            action_features: table(&action_features, &[n, t, f]),
            chosen: ids(&chosen),
            reward: table(&reward, &[n, t]),
            cost: table(&cost, &[n, t + 1]),
            returns: table(&returns, &[n, t + 1]),
            goes_on: table(&goes_on, &[n, t]),
            mask: table(&mask, &[n, t]),
        }
    }

    /// Shifts what is pooled of the whole in every other episode, all its states alike: by a normal number times `by` and the
    /// deviation `[U]`. What the globals say stays.
    pub fn shift(&mut self, deviation: &Tensor, by: f64, random: &mut Random) {
        if by == 0.0 {
            return;
        }
        let n = self.mask.size()[0];
        let numbers: Vec<f32> = (0..n as usize * WHOLE)
            .map(|at| {
                if (at / WHOLE).is_multiple_of(2) && at % WHOLE < GLOBALS_AT {
                    (by * random.normal()) as f32
                } else {
                    0.0
                }
            })
            .collect();
        let shift = Tensor::from_slice(&numbers).reshape([n, 1, WHOLE as i64]).to_device(self.whole.device());
        self.whole = &self.whole + shift * deviation;
    }

    /// Blurs what M reads of states, in half of the episodes (by chance), by normal numbers times `by`.
    pub fn blur(&mut self, by: f64, random: &mut Random) {
        if by == 0.0 {
            return;
        }
        let [n, states, width] = self.whole.size()[..] else { unreachable!("three dimensions") };
        let mut numbers = vec![0.0f32; (n * states * width) as usize];
        for episode in numbers.chunks_mut((states * width) as usize) {
            if random.below(2) == 0 {
                episode.iter_mut().for_each(|x| *x = (by * random.normal()) as f32);
            }
        }
        self.blur = Some(Tensor::from_slice(&numbers).reshape([n, states, width]).to_device(self.whole.device()));
    }

    /// The states before each action, flat: `N * T` of them.
    pub fn before_actions(&self) -> States {
        let t = self.length();
        let flat = |x: &Tensor| x.narrow(1, 0, t).flatten(0, 1);
        States {
            whole: flat(&self.whole),
            rules: flat(&self.rules),
            features: flat(&self.features),
            takes: flat(&self.takes),
            books: self.books.map(flat),
        }
    }

    /// Number of actions at most.
    pub fn length(&self) -> i64 {
        self.mask.size()[1]
    }

    /// `[N, T + 1, S]` bool: where there is a slot.
    pub fn present(&self) -> Tensor {
        self.rules.ge(0)
    }

    /// `[N, T]` bool: where an action changed the graph: it is no stop.
    pub fn moves(&self) -> Tensor {
        self.mask.gt(0.0).logical_and(&self.action_rule.ge(0))
    }

    /// `[N, T, A]`: the actions as M reads them.
    pub fn actions(&self, table: &Tensor) -> Tensor {
        embed_action(&self.action_rule, &self.action_features, table)
    }

    /// `[N, T, S]` of 0 and 1: the slot that was chosen.
    pub fn chosen_slots(&self) -> Tensor {
        one_hot(&self.chosen)
    }

    /// `[N, T + 1, S, SLOT]`: the slots as networks read them.
    pub fn slots(&self, table: &Tensor) -> Tensor {
        let slots = embed(&self.rules, &self.features, table);
        debug_assert_eq!(slots.size().last(), Some(&(SLOT as i64)));
        slots
    }
}

/// `[.., S]` of 0 and 1 by numbers `[..]`; none for -1.
pub fn one_hot(chosen: &Tensor) -> Tensor {
    let seats = Tensor::arange(SLOTS as i64, (Kind::Int64, chosen.device()));
    chosen.unsqueeze(-1).eq_tensor(&seats).to_kind(Kind::Float)
}
