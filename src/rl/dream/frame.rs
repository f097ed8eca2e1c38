//! What a dream knows of one state: plain numbers of fixed size.

use super::slots::SLOTS;
use crate::rl::observation::{CANDIDATE_FEATURES, GLOBAL_FEATURES};

/// Width of the vector of the whole; its last numbers are the observation's own globals.
pub const WHOLE: usize = 64;
/// Width of what is pooled of the nodes that a candidate touches.
pub const MATCH: usize = 16;
/// Width of a rule's embedding.
pub const RULE: usize = 16;
/// Numbers of a slot beside its rule: the candidate's features (number 5 is the log of how many the slot stands for), then
/// the nodes that it touches.
pub const SLOT_FEATURES: usize = CANDIDATE_FEATURES + MATCH;
/// Numbers of a slot as networks read it: its rule's embedding, then its features.
pub const SLOT: usize = RULE + SLOT_FEATURES;
/// Numbers of an action: those of its slot, and whether it is to stop (then the others are 0).
pub const ACTION: usize = SLOT + 1;
/// Where the globals begin in the vector of the whole.
pub const GLOBALS_AT: usize = WHOLE - GLOBAL_FEATURES;
/// Rule of a slot that is empty.
pub const EMPTY: i32 = -1;

/// A state.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// `[WHOLE]`.
    pub whole: Vec<f32>,
    /// `[SLOTS]`: each slot's rule, or [`EMPTY`].
    pub rules: [i32; SLOTS],
    /// `[SLOTS * SLOT_FEATURES]`; 0 where a slot is empty.
    pub features: Vec<f32>,
    /// Whether the slot's holder, or one that does the same, had it one step ago.
    pub kept: [bool; SLOTS],
    /// `[SLOTS * SLOTS]`: what the first slot's action takes from the second: the share of the candidates that the second
    /// stands for of which a node is removed, the mean over the first eight of those that the first stands for; 0 where
    /// either is empty.
    pub takes: Vec<f32>,
    /// `log(initial / cost)`, scaled as rewards are, and the most of it so far in the episode (see [`super::books`]).
    pub saved: [f32; 2],
}

impl Frame {
    /// A state in which nothing can be done.
    pub fn blank() -> Frame {
        Frame {
            whole: vec![0.0; WHOLE],
            rules: [EMPTY; SLOTS],
            features: vec![0.0; SLOTS * SLOT_FEATURES],
            kept: [false; SLOTS],
            takes: vec![0.0; SLOTS * SLOTS],
            saved: [0.0; 2],
        }
    }
}

/// An action: a rule with features as a slot has them, or to stop.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// End the episode.
    Stop,
    /// Apply a candidate.
    Apply {
        /// Its slot; `None` if it has none.
        slot: Option<usize>,
        /// Its rule.
        rule: i32,
        /// `[SLOT_FEATURES]`.
        features: Vec<f32>,
        /// `[SLOTS]`: what it takes from each slot, as in [`Frame::takes`].
        takes: Vec<f32>,
    },
}
