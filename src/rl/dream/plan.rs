//! Planning: what the first action of a path is worth, by paths that M imagines; and choosing among first actions by few
//! simulations, whoever simulates.

use tch::{Kind, Tensor, no_grad};

use super::chance::Chance;
use super::controller::Controllers;
use super::dream::{Dream, STOP};
use crate::rl::random::Random;

/// What is earned one action later counts so much of itself: of paths that are worth the same the quicker is taken, and nothing is put
/// off for ever, since with each action the horizon of a plan moves on.
pub const DISCOUNT: f64 = 0.97;

/// Where the actions behind the first come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proposals {
    /// Any slot, as likely as any other; a first action is worth what the best of its paths is (random shooting).
    Random,
    /// The controller; a first action is worth the mean of its paths.
    Controller,
}

/// How far and how broadly is looked.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    /// Actions of a path.
    pub depth: usize,
    /// Paths for each first action.
    pub paths: usize,
    /// Temperature of the dream.
    pub temperature: f64,
    /// Where actions come from.
    pub proposals: Proposals,
}

/// What each of `first` (slots, or [`STOP`]) is worth in a state, which is the one row of `dream`: the rewards of the paths that
/// begin with it, and the value where they end, discounted.
pub fn worth(
    dream: &Dream<'_>,
    first: &[i64],
    plan: &Plan,
    controllers: &Controllers,
    random: &mut Random,
) -> Vec<f32> {
    no_grad(|| {
        let device = dream.z.device();
        let first_of = Tensor::from_slice(first).to_device(device);
        let rows = Tensor::zeros([first.len() as i64], (Kind::Int64, device));
        let worth = follow(dream, (&rows, &first_of), plan, controllers, random).0;
        Vec::<f32>::try_from(worth.to_device(tch::Device::Cpu)).expect("one number for each")
    })
}

/// `[B, S + 1]`: the same of everything that may be done in the states of `dream`, all paths of all of them in one batch; what
/// may not be done is worth far less than anything. And the number of steps dreamt.
pub fn worth_of_all(dream: &Dream<'_>, plan: &Plan, controllers: &Controllers, random: &mut Random) -> (Tensor, u64) {
    no_grad(|| {
        let present = dream.present();
        let stop = present.narrow(1, 0, 1).ones_like();
        let possible = Tensor::cat(&[present, stop], 1);
        let pairs = possible.nonzero();
        let (rows, first) = (pairs.select(1, 0), pairs.select(1, 1));
        let (worth, steps) = follow(dream, (&rows, &first), plan, controllers, random);
        let all = Tensor::full(possible.size(), f64::from(FAR_BELOW), (Kind::Float, dream.z.device()));
        (all.index_put(&[Some(rows), Some(first)], &worth, false), steps)
    })
}

/// Less than any path is worth, and finite.
const FAR_BELOW: f32 = -1e9;

/// `[A]`: what actions `[A]` are worth in the states in these rows `[A]`.
fn follow(
    dream: &Dream<'_>,
    (rows, first): (&Tensor, &Tensor),
    plan: &Plan,
    controllers: &Controllers,
    random: &mut Random,
) -> (Tensor, u64) {
    let (a, paths) = (first.size()[0], plan.paths.max(1) as i64);
    let mut dream = dream.select(&rows.repeat_interleave_self_int(paths, None, None));
    let mut action = first.repeat_interleave_self_int(paths, None, None);
    let mut total = dream.going.zeros_like();
    let mut counts = 1.0;
    for step in 0..plan.depth.max(1) {
        let mut chance = Chance { temperature: plan.temperature, random, draws: a * paths };
        if step > 0 {
            action = propose(&dream, plan.proposals, controllers, &mut chance);
        }
        total += dream.step(&action, &mut chance) * counts;
        counts *= DISCOUNT;
    }
    total += dream.value() * counts;
    let by_first = total.reshape([a, paths]);
    let worth = match plan.proposals {
        Proposals::Random => by_first.amax([1i64].as_slice(), false),
        Proposals::Controller => by_first.mean_dim([1i64].as_slice(), false, Kind::Float),
    };
    // To stop earns nothing, whatever M says of it.
    (worth * first.ne(STOP).to_kind(Kind::Float), (a * paths) as u64 * plan.depth.max(1) as u64)
}

fn propose(dream: &Dream<'_>, proposals: Proposals, controllers: &Controllers, chance: &mut Chance<'_>) -> Tensor {
    let present = dream.present();
    match proposals {
        Proposals::Controller => {
            let one = |x: &Tensor| x.unsqueeze(0);
            controllers.choose(&one(&dream.state()), &one(&dream.slots()), &one(&present)).squeeze_dim(0)
        }
        Proposals::Random => {
            let draws = chance.uniform(&[present.size()[1]], dream.len(), present.device());
            // Where nothing is possible all are -1, and the first, an empty slot, is to stop.
            draws.where_scalarother(&present, -1.0).argmax(1, false)
        }
    }
}

/// What a visit counts beside the policy (Danihelka et al. 2022): `(VISITS + most visits) * SCALE` times the worth, brought to
/// [0, 1].
const VISITS: f32 = 50.0;
const SCALE: f32 = 0.1;

/// Chooses an action by sequential halving among those that Gumbel noise and the policy's logits bring to the top: half of
/// them goes after each round of simulations. `simulate` gives what each of some actions was worth in one more visit.
///
/// Logits of actions that are not possible are left out by the caller. Returns a position in `logits`.
pub fn gumbel_choice(
    logits: &[f32],
    considered: usize,
    visits: usize,
    random: &mut Random,
    simulate: &mut dyn FnMut(&[usize]) -> Vec<f32>,
) -> Option<usize> {
    let mut left: Vec<(usize, f32)> =
        logits.iter().enumerate().map(|(at, l)| (at, l + random.gumbel() as f32)).collect();
    left.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    left.truncate(considered.max(1));
    let mut sums: Vec<(f32, f32)> = vec![(0.0, 0.0); logits.len()];
    let rounds = (left.len() as f64).log2().ceil().max(1.0) as usize;
    let mut spent = 0;
    while left.len() > 1 && spent < visits {
        let each = (visits / rounds / left.len()).max(1);
        for _ in 0..each {
            let actions: Vec<usize> = left.iter().map(|(at, _)| *at).collect();
            for (at, worth) in actions.iter().zip(simulate(&actions)) {
                sums[*at] = (sums[*at].0 + worth, sums[*at].1 + 1.0);
            }
            spent += actions.len();
        }
        let mean = |at: usize| sums[at].0 / sums[at].1.max(1.0);
        let low = left.iter().map(|(at, _)| mean(*at)).fold(f32::INFINITY, f32::min);
        let high = left.iter().map(|(at, _)| mean(*at)).fold(f32::NEG_INFINITY, f32::max);
        let most = left.iter().map(|(at, _)| sums[*at].1).fold(0.0, f32::max);
        let unit = |at: usize| if high > low { (mean(at) - low) / (high - low) } else { 0.0 };
        let standing = |&(at, prior): &(usize, f32)| prior + (VISITS + most) * SCALE * unit(at);
        left.sort_by(|a, b| standing(b).total_cmp(&standing(a)).then(a.0.cmp(&b.0)));
        left.truncate(left.len().div_ceil(2));
    }
    left.first().map(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_finds_what_is_worth_most_and_keeps_to_its_visits() {
        let worth = [0.0f32, 1.0, 0.2, 0.9, 0.1, 0.3, 0.4, 0.5];
        let mut found = 0;
        for seed in 0..20 {
            let (mut visits, mut random) = (vec![0; 8], Random::new(seed));
            let choice = gumbel_choice(&[0.0; 8], 8, 24, &mut random, &mut |actions| {
                actions.iter().for_each(|at| visits[*at] += 1);
                actions.iter().map(|at| worth[*at]).collect()
            });
            found += usize::from(choice == Some(1));
            assert!(visits.iter().sum::<i32>() <= 30, "{visits:?}");
            assert!(visits[1] >= visits[0]);
        }
        // Noise of the policy may make the second best win.
        assert!(found >= 12, "{found} of 20");
        assert_eq!(gumbel_choice(&[], 8, 24, &mut Random::new(0), &mut |_| Vec::new()), None);
        let only = gumbel_choice(&[0.3], 8, 24, &mut Random::new(0), &mut |_| unreachable!("nothing to choose"));
        assert_eq!(only, Some(0));
    }
}
