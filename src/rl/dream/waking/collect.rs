//! Real episodes to learn from.

use std::sync::Arc;

use super::pilot::{Mind, Pilot};
use super::play::{Eye, Pick, Playing, Scene, Terms, play};
use crate::rl::dream::chance::Chance;
use crate::rl::dream::data::{Player, Trajectory};
use crate::rl::dream::slots::SLOTS;
use crate::rl::dream::student::SHARPNESS;
use crate::rl::env::Task;
use crate::rl::random::Random;
use tch::{Kind, Tensor, no_grad};

/// Where and how episodes are played.
#[derive(Clone, Copy)]
pub struct Ground<'t, 'a> {
    /// The task.
    pub task: &'t Arc<Task<'a>>,
    /// Its number.
    pub root: usize,
    /// On what terms.
    pub terms: Terms,
}

/// Episodes side by side.
const TOGETHER: usize = 16;
/// One in so many random actions is to stop.
const STOPS: usize = 50;
/// One in so many is any candidate, also one that has no slot.
const ANY: usize = 8;
/// One in so many actions of a player that knows what it wants is random.
const STRAYS: usize = 8;

impl Ground<'_, '_> {
    /// An episode at its start.
    pub(super) fn begin<'a>(ground: &Ground<'_, 'a>, player: Player) -> Playing<'a> {
        Playing::new(ground.task, ground.root, player, ground.terms)
    }
}

fn at_random(scene: &Scene, random: &mut Random) -> Pick {
    if random.below(STOPS) == 0 {
        return Pick::Stop;
    }
    if random.below(ANY) == 0 && !scene.digest.distinct.is_empty() {
        return Pick::Distinct(random.below(scene.digest.distinct.len()) as u32);
    }
    scene.any_slot(random).map_or(Pick::Stop, Pick::Slot)
}

/// What gains most at once; at random where nothing gains.
fn greedily(scene: &Scene, random: &mut Random) -> Pick {
    let change = |d: u32| scene.digest.distinct[d as usize].features[0];
    let best = (0..scene.digest.distinct.len() as u32).min_by(|a, b| change(*a).total_cmp(&change(*b)));
    match best {
        Some(best) if change(best) < 0.0 => Pick::Distinct(best),
        _ => at_random(scene, random),
    }
}

/// How many episodes are played together, again and again.
fn parts(episodes: usize) -> impl Iterator<Item = usize> {
    (0..episodes).step_by(TOGETHER).map(move |played| TOGETHER.min(episodes - played))
}

/// Plays episodes by chance, greedily, or by leaving the paths of `earlier` episodes somewhere.
pub fn collect<'a>(
    eye: &mut Eye,
    ground: &Ground<'_, 'a>,
    player: Player,
    earlier: &[Vec<Option<u32>>],
    episodes: usize,
    random: &mut Random,
) -> Vec<Trajectory> {
    eye.forget(ground.task);
    let mut all = Vec::with_capacity(episodes);
    for count in parts(episodes) {
        let paths: Vec<&[Option<u32>]> = (0..count)
            .map(|_| match (player, earlier.len()) {
                (Player::Backtracking, 1..) => {
                    let path = &earlier[random.below(earlier.len())];
                    &path[..random.below(path.len().max(1))]
                }
                _ => &[],
            })
            .collect();
        let playing = (0..count).map(|_| Ground::begin(ground, player)).collect();
        all.extend(play(eye, playing, &mut |at, scene, step| {
            if let Some(Some(site)) = paths[at].get(step) {
                return scene.again(*site).expect("a path of the same task");
            }
            let strays = random.below(STRAYS) == 0;
            let pick = match player {
                Player::Greedy if !strays => greedily(scene, random),
                _ => at_random(scene, random),
            };
            scene.act(pick, random)
        }));
    }
    all
}

/// What a controller may choose among.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    /// The slots.
    Slots,
    /// All candidates.
    Candidates,
}

/// What a pilot does in a state.
pub fn pilot_pick(pilot: &Pilot<'_>, scene: &Scene, sight: Sight) -> Pick {
    let best = |scores: &[f32]| {
        let by = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a));
        (0..scores.len()).max_by(by).expect("stopping has a score")
    };
    match sight {
        Sight::Slots => {
            let scores = pilot.scores(&scene.frame.whole, &scene.frame.rules, &scene.frame.features);
            let best = best(&scores);
            if best + 1 == scores.len() { Pick::Stop } else { Pick::Slot(best) }
        }
        Sight::Candidates => {
            let count = scene.digest.distinct.len() as u32;
            let rules: Vec<i32> = (0..count).map(|d| scene.rule_of(d) as i32).collect();
            let best = best(&pilot.scores(&scene.look.whole, &rules, &scene.look.candidates));
            if best + 1 == rules.len() + 1 { Pick::Stop } else { Pick::Distinct(best as u32) }
        }
    }
}

/// What a pilot draws in a state by the probabilities of its policy.
fn policy_pick(pilot: &Pilot<'_>, scene: &Scene, random: &mut Random) -> Pick {
    let scores = pilot.scores(&scene.frame.whole, &scene.frame.rules, &scene.frame.features);
    let drawn: Vec<f32> = scores.iter().map(|s| s * SHARPNESS as f32 + random.gumbel() as f32).collect();
    let best = (0..drawn.len()).max_by(|a, b| drawn[*a].total_cmp(&drawn[*b])).expect("stopping has a score");
    if best + 1 == drawn.len() { Pick::Stop } else { Pick::Slot(best) }
}

/// What models differ about most, with some noise: the more they differ, the likelier.
fn curious_pick(pilot: &Pilot<'_>, scene: &Scene, random: &mut Random) -> Pick {
    let taken: Vec<i64> = (0..SLOTS as i64).filter(|&slot| scene.seats[slot as usize].is_some()).collect();
    if taken.is_empty() {
        return Pick::Stop;
    }
    let doubt = no_grad(|| {
        let rows = Tensor::zeros([taken.len() as i64], (Kind::Int64, pilot.mind().model.device()));
        let mut dream = pilot.dream(&scene.frame).select(&rows);
        let mut still = Random::new(0);
        let mut chance = Chance { temperature: 0.0, random: &mut still, draws: 1 };
        let _ = dream.step(&Tensor::from_slice(&taken).to_device(rows.device()), &mut chance);
        crate::rl::agent::to_vec(&dream.doubt)
    });
    let mean = doubt.iter().sum::<f32>() / doubt.len() as f32;
    let deviation = (doubt.iter().map(|d| (d - mean).powi(2)).sum::<f32>() / doubt.len() as f32).sqrt().max(1e-6);
    let wanted: Vec<f32> = doubt.iter().map(|d| (d - mean) / deviation + random.gumbel() as f32).collect();
    let best = (0..taken.len()).max_by(|a, b| wanted[*a].total_cmp(&wanted[*b]).then(b.cmp(a)));
    best.map_or(Pick::Stop, |at| Pick::Slot(taken[at] as usize))
}

/// Plays episodes by a controller, for [`Player::Policy`] by its probabilities, or, for [`Player::Curious`], where the mind's models
/// differ; `strays` of the actions are random (as a share).
pub fn collect_by<'a>(
    eye: &mut Eye,
    ground: &Ground<'_, 'a>,
    (player, mind): (Player, Mind<'_>),
    (sight, strays): (Sight, f64),
    episodes: usize,
    random: &mut Random,
) -> Vec<Trajectory> {
    eye.forget(ground.task);
    let mut all = Vec::with_capacity(episodes);
    for count in parts(episodes) {
        let mut pilots: Vec<Pilot<'_>> = (0..count).map(|_| Pilot::new(mind)).collect();
        let playing = (0..count).map(|_| Ground::begin(ground, player)).collect();
        all.extend(play(eye, playing, &mut |at, scene, _| {
            let stray = strays > 0.0 && random.unit() < strays;
            let pick = match player {
                _ if stray => at_random(scene, random),
                Player::Curious => curious_pick(&pilots[at], scene, random),
                Player::Policy => policy_pick(&pilots[at], scene, random),
                _ => pilot_pick(&pilots[at], scene, sight),
            };
            let (action, deed) = scene.act(pick, random);
            pilots[at].advance(&scene.frame.whole, &deed);
            (action, deed)
        }));
    }
    all
}
