//! A chain to walk along, for tests: an environment that a world model can be checked against by hand.
//!
//! Positions 0 to [`LENGTH`]; the walker begins at 0. Going right (slot 0) is possible until the end, going left (slot 1)
//! except at the start. Arriving at the end earns 10 and ends the episode; so does the horizon, earning nothing.

use tch::{Device, Tensor, no_grad};

use super::controller::{ControllerShape, Controllers};
use super::data::{Player, Trajectory};
use super::dream::Dream;
use super::frame::{Deed, Frame, GLOBALS_AT, RULE, SLOT_FEATURES};
use super::model::WorldModel;
use super::sequences::{embed_action, stack};
use super::slots::SLOTS;
use crate::rl::random::Random;

/// Steps to the end.
pub const LENGTH: usize = 4;
/// Actions of an episode at most.
pub const HORIZON: usize = 12;
/// Embeddings of the two rules.
pub const RULES: [f32; 2 * RULE] = {
    let mut rules = [0.0; 2 * RULE];
    (rules[0], rules[RULE + 1]) = (2.0, 2.0);
    rules
};

fn features(rule: usize) -> Vec<f32> {
    let mut features = vec![0.0; SLOT_FEATURES];
    features[8 + rule] = 1.0;
    features
}

fn frame(at: usize, left: usize, before: Option<&Frame>) -> Frame {
    let mut frame = Frame::blank();
    frame.whole[at] = 1.0;
    frame.whole[GLOBALS_AT] = left as f32 / HORIZON as f32;
    for (rule, possible) in [(0, at < LENGTH), (1, at > 0)] {
        if possible {
            frame.rules[rule] = rule as i32;
            frame.features[rule * SLOT_FEATURES..(rule + 1) * SLOT_FEATURES].copy_from_slice(&features(rule));
            frame.kept[rule] = before.is_some_and(|b| b.rules[rule] >= 0);
        }
    }
    frame
}

/// An episode of a policy that is given the frame and gives a slot.
fn episode(mut policy: impl FnMut(&Frame) -> usize) -> Trajectory {
    let mut t = Trajectory {
        root: 0,
        player: Player::Random,
        actions: Vec::new(),
        frames: vec![frame(0, HORIZON, None)],
        deeds: Vec::new(),
        rewards: Vec::new(),
        costs: vec![0.0],
    };
    let mut at = 0;
    while at < LENGTH && t.len() < HORIZON {
        let now = t.frames.last().unwrap();
        let slot = policy(now);
        if slot == SLOTS {
            t.actions.push(None);
            t.deeds.push(Deed::Stop);
            t.frames.push(now.clone());
            t.rewards.push(0.0);
            t.costs.push(0.0);
            break;
        }
        assert!(now.rules[slot] >= 0, "only what is possible");
        at = if slot == 0 { at + 1 } else { at - 1 };
        let next = frame(at, HORIZON - t.len() - 1, Some(now));
        t.frames.push(next);
        t.actions.push(Some(slot as u32));
        let takes = vec![0.0; SLOTS];
        t.deeds.push(Deed::Apply { slot: Some(slot), rule: slot as i32, features: features(slot), takes });
        t.rewards.push(if at == LENGTH { 10.0 } else { 0.0 });
        t.costs.push(if at == LENGTH { 10.0 } else { 0.0 });
    }
    t
}

/// Walks at random; seldom it stops.
pub fn random_episode(random: &mut Random) -> Trajectory {
    episode(|frame| {
        if random.below(40) == 0 {
            return SLOTS;
        }
        let possible: Vec<usize> = (0..2).filter(|&slot| frame.rules[slot] >= 0).collect();
        possible[random.below(possible.len())]
    })
}

/// What a controller earns on the chain itself, and in how many steps.
pub fn play(model: &WorldModel, table: &Tensor, parameters: &[f64], shape: ControllerShape) -> (f32, usize) {
    let controllers = Controllers::new(shape, &[parameters.to_vec()], Device::Cpu);
    play_by(model, table, |dream| {
        let (state, slots, present) = (dream.state(), dream.slots(), dream.present());
        controllers.choose(&state.unsqueeze(0), &slots.unsqueeze(0), &present.unsqueeze(0)).int64_value(&[0, 0])
    })
}

/// The same of whatever chooses a slot, given a dream of one row that begins where the walker is.
pub fn play_by(model: &WorldModel, table: &Tensor, mut policy: impl FnMut(&Dream<'_>) -> i64) -> (f32, usize) {
    let mut carry = model.start(1);
    let played = episode(|frame| {
        no_grad(|| {
            let dream = Dream::from_states(model, table, carry.share(), stack(&[frame], Device::Cpu));
            let slot = policy(&dream);
            let Dream { z, rules, features, .. } = dream;
            let at = slot.min(SLOTS as i64 - 1);
            let rule = if slot == SLOTS as i64 { Tensor::from_slice(&[-1i64]) } else { rules.select(1, at) };
            let action = embed_action(&rule, &features.select(1, at), table);
            carry = model.step(&carry, &z, &action).0;
            slot as usize
        })
    });
    (played.total(), played.len())
}
