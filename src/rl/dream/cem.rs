//! The cross-entropy method (Rubinstein 1999) as a planner: paths are drawn, the best of them make what the next are drawn from.
//! A plan is a list of seats: a seat keeps its holder from step to step, so that "this one, then that one" means the same in every
//! dream.

use tch::{Kind, Tensor, no_grad};

use super::chance::Chance;
use super::dream::{Dream, STOP};
use super::plan::DISCOUNT;
use super::slots::SLOTS;
use crate::rl::random::Random;

/// How broadly is looked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cem {
    /// Actions of a path.
    pub depth: usize,
    /// Paths of a round.
    pub paths: usize,
    /// The best of them, which the next round is drawn like.
    pub elites: usize,
    /// Rounds.
    pub rounds: usize,
    /// How much of what was drawn from before stays.
    pub keep: f64,
}

impl Default for Cem {
    fn default() -> Cem {
        Cem { depth: 8, paths: 64, elites: 8, rounds: 4, keep: 0.3 }
    }
}

/// Actions, and to stop.
const ACTIONS: usize = SLOTS + 1;

/// The first action of the best path that was found in a state, which is the one row of `dream`; [`STOP`] if none is worth
/// anything.
pub fn choice(dream: &Dream<'_>, cem: &Cem, random: &mut Random) -> i64 {
    no_grad(|| {
        let mut shares = vec![vec![1.0 / ACTIONS as f64; ACTIONS]; cem.depth.max(1)];
        let mut best = (0.0f32, STOP);
        for _ in 0..cem.rounds.max(1) {
            let (paths, worth) = draw(dream, &shares, cem.paths.max(1), random);
            let mut order: Vec<usize> = (0..paths.len()).collect();
            order.sort_by(|a, b| worth[*b].total_cmp(&worth[*a]).then(a.cmp(b)));
            if let Some(action) = paths[order[0]][0].filter(|_| worth[order[0]] > best.0) {
                best = (worth[order[0]], action as i64);
            }
            let elites: Vec<&[Option<usize>]> =
                order.iter().take(cem.elites.max(1)).map(|at| paths[*at].as_slice()).collect();
            refit(&mut shares, &elites, cem.keep);
        }
        best.1
    })
}

/// Paths by what each step is drawn from, among what may be done there; `None` behind an end. And what they are worth.
fn draw(
    dream: &Dream<'_>,
    shares: &[Vec<f64>],
    paths: usize,
    random: &mut Random,
) -> (Vec<Vec<Option<usize>>>, Vec<f32>) {
    let device = dream.z.device();
    let mut dream = dream.select(&Tensor::zeros([paths as i64], (Kind::Int64, device)));
    let mut total = dream.going.zeros_like();
    let mut drawn: Vec<Vec<Option<usize>>> = vec![Vec::with_capacity(shares.len()); paths];
    let mut counts = 1.0;
    for step in shares {
        let logits: Vec<f32> =
            (0..paths).flat_map(|_| step.iter()).map(|share| (share.ln() + random.gumbel()) as f32).collect();
        let present = dream.present();
        let possible = Tensor::cat(&[&present, &present.narrow(1, 0, 1).ones_like()], 1);
        let logits = Tensor::from_slice(&logits).reshape([paths as i64, ACTIONS as i64]).to_device(device);
        let action = logits.where_scalarother(&possible, f64::NEG_INFINITY).argmax(-1, false);
        let going = dream.going.shallow_clone();
        let mut chance = Chance { temperature: 0.0, random, draws: 1 };
        // To stop earns nothing, whatever M says of it.
        total += dream.step(&action, &mut chance) * action.ne(STOP).to_kind(Kind::Float) * counts;
        counts *= DISCOUNT;
        let list = |x: &Tensor| Vec::<f32>::try_from(x.to_kind(Kind::Float).to_device(tch::Device::Cpu));
        let (action, going) = (list(&action).expect("whole numbers"), list(&going).expect("floats"));
        for (path, (action, going)) in drawn.iter_mut().zip(action.into_iter().zip(going)) {
            path.push((going > 0.0).then_some(action as usize));
        }
    }
    total += dream.value() * counts;
    (drawn, Vec::try_from(total.to_device(tch::Device::Cpu)).expect("one number for each"))
}

/// Brings what each step is drawn from nearer to what the best did there; `keep` of it stays. A step that none of them reached
/// stays as it is.
fn refit(shares: &mut [Vec<f64>], elites: &[&[Option<usize>]], keep: f64) {
    for (at, step) in shares.iter_mut().enumerate() {
        let taken: Vec<usize> = elites.iter().filter_map(|path| path[at]).collect();
        if taken.is_empty() {
            continue;
        }
        step.iter_mut().for_each(|share| *share *= keep);
        taken.iter().for_each(|action| step[*action] += (1.0 - keep) / taken.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_best_did_is_drawn_more_often() {
        let mut shares = vec![vec![0.2, 0.3, 0.5]; 3];
        refit(&mut shares, &[&[Some(0), Some(1), None], &[Some(0), Some(2), None], &[Some(1), None, None]], 0.4);
        // Kept: 0.08, 0.12, 0.2; of the other 0.6 two thirds go to the first action, then halves to the second and third.
        let close = |a: &[f64], b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&shares[0], [0.48, 0.32, 0.2]), "{:?}", shares[0]);
        assert!(close(&shares[1], [0.08, 0.42, 0.5]), "{:?}", shares[1]);
        assert!(close(&shares[2], [0.2, 0.3, 0.5]), "nobody came there");
    }
}
