//! What is done in a real state by looking ahead in the dream.

use super::collect::{Sight, pilot_pick};
use super::pilot::Pilot;
use super::play::{Pick, Scene};
use crate::rl::dream::cem::{self, Cem};
use crate::rl::dream::dream::STOP;
use crate::rl::dream::plan::{Plan, Proposals, gumbel_choice, worth};
use crate::rl::dream::slots::SLOTS;
use crate::rl::random::Random;

/// How an action is chosen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Way {
    /// By the controller alone.
    Controller,
    /// By model-predictive control: every first action, then paths of these proposals, dreamt; the first action of what is worth
    /// most.
    Mpc(Proposals),
    /// The same with whole paths by the cross-entropy method.
    Cem,
    /// By root search in the dream: few simulations, spent by sequential halving.
    GumbelDream,
    /// The same in the real environment.
    Gumbel,
}

impl Way {
    /// All of them, as tables have them.
    pub const ALL: [Way; 6] = [
        Way::Controller,
        Way::Mpc(Proposals::Controller),
        Way::Mpc(Proposals::Random),
        Way::Cem,
        Way::Gumbel,
        Way::GumbelDream,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Way::Controller => "dream",
            Way::Mpc(Proposals::Controller) => "mpc",
            Way::Mpc(Proposals::Random) => "mpc-random",
            Way::Cem => "mpc-cem",
            Way::GumbelDream => "gumbel-dream",
            Way::Gumbel => "gumbel",
        }
    }
}

/// Actions of an imagined path.
pub const DEPTH: usize = 8;
/// Paths of random actions for each first one.
const RANDOM_PATHS: usize = 16;
/// Actions that root search considers, and simulations that it may spend.
pub const CONSIDERED: usize = 8;
/// See [`CONSIDERED`].
pub const SIMULATIONS: usize = 24;

/// The slots that something sits on, and to stop.
fn possible(scene: &Scene) -> Vec<i64> {
    (0..SLOTS as i64).filter(|&slot| scene.seats[slot as usize].is_some()).chain([STOP]).collect()
}

/// An action of a dream as a pick.
pub fn as_pick(action: i64) -> Pick {
    if action == STOP { Pick::Stop } else { Pick::Slot(action as usize) }
}

/// Possible actions with the controller's logits: its scores, in units of their deviation.
pub fn prior(pilot: &Pilot<'_>, scene: &Scene) -> (Vec<i64>, Vec<f32>) {
    let possible = possible(scene);
    let scores = pilot.scores(&scene.frame.whole, &scene.frame.rules, &scene.frame.features);
    let own: Vec<f32> = possible.iter().map(|&action| scores[action as usize]).collect();
    let mean = own.iter().sum::<f32>() / own.len() as f32;
    let deviation = (own.iter().map(|s| (s - mean).powi(2)).sum::<f32>() / own.len() as f32).sqrt().max(1e-6);
    let logits = own.iter().map(|s| (s - mean) / deviation).collect();
    (possible, logits)
}

/// What is done in a state; [`Way::Gumbel`] needs the environment and is not decided here: it takes the controller's choice.
pub fn decide(way: Way, pilot: &Pilot<'_>, scene: &Scene, left: usize, random: &mut Random) -> Pick {
    let depth = DEPTH.min(left);
    match way {
        Way::Controller | Way::Gumbel => pilot_pick(pilot, scene, Sight::Slots),
        Way::Mpc(proposals) => {
            let first = possible(scene);
            let paths = if proposals == Proposals::Random { RANDOM_PATHS } else { 1 };
            let plan = Plan { depth, paths, temperature: 0.0, proposals };
            let dream = pilot.dream(&scene.frame);
            let worth = worth(&dream, &first, &plan, pilot.mind().controllers, random);
            let by = |a: &usize, b: &usize| worth[*a].total_cmp(&worth[*b]).then(b.cmp(a));
            as_pick((0..first.len()).max_by(by).map_or(STOP, |at| first[at]))
        }
        Way::Cem => as_pick(cem::choice(&pilot.dream(&scene.frame), &Cem { depth, ..Cem::default() }, random)),
        Way::GumbelDream => {
            let (possible, logits) = prior(pilot, scene);
            let plan = Plan { depth, paths: 1, temperature: 1.0, proposals: Proposals::Controller };
            let dream = pilot.dream(&scene.frame);
            let mut draws = Random::new(random.bits());
            let choice = gumbel_choice(&logits, CONSIDERED, SIMULATIONS, random, &mut |actions| {
                let first: Vec<i64> = actions.iter().map(|at| possible[*at]).collect();
                worth(&dream, &first, &plan, pilot.mind().controllers, &mut draws)
            });
            as_pick(choice.map_or(STOP, |at| possible[at]))
        }
    }
}
