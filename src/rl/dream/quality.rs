//! How well M predicts: open-loop, from every state of episodes that it was not fitted to, with the actions that were taken.

use std::collections::BTreeMap;

use tch::{Kind, Tensor, no_grad};

use super::chance::Chance;
use super::data::Trajectory;
use super::dream::Dream;
use super::model::WorldModel;
use super::sequences::Sequences;
use crate::rl::random::Random;

/// How many steps ahead is looked.
pub const HORIZONS: [usize; 5] = [1, 2, 5, 10, 20];

/// What M is worth so many steps ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Quality {
    /// 1 - error / error of predicting no change, of the state: the mean over its numbers, each of which has its own share.
    pub state_skill: f64,
    /// The same of `log(initial / cost)`, where what is predicted is summed up.
    pub cost_skill: f64,
    /// The same of the sum of rewards, against predicting none.
    pub reward_skill: f64,
    /// F1 of the slots that became empty or full: predicted against true.
    pub slot_f1: f64,
    /// Share of steps of which it was told rightly whether the episode goes on.
    pub continue_accuracy: f64,
    /// The same of the steps that ended one.
    pub end_recall: f64,
    /// States that this is of.
    pub count: f64,
}

/// Sums over states.
#[derive(Default)]
struct Sums {
    /// `[U]` each.
    state: Option<[Tensor; 2]>,
    cost: [f64; 2],
    reward: [f64; 2],
    /// Bits that changed and were said to, those said to, those that changed.
    bits: [f64; 3],
    right: f64,
    ends: [f64; 2],
    count: f64,
    /// Steps of which it was asked whether they go on: those that stop too.
    asked: f64,
}

/// Quality by horizon. Predictions are what is likeliest (temperature 0).
pub fn measure(model: &WorldModel, table: &Tensor, episodes: &[&Trajectory]) -> BTreeMap<usize, Quality> {
    const TOGETHER: usize = 16;
    let mut sums: BTreeMap<usize, Sums> = BTreeMap::new();
    no_grad(|| {
        for part in episodes.chunks(TOGETHER) {
            add(model, table, &Sequences::new(part, model.device()), &mut sums);
        }
    });
    let share = |[error, copying]: [f64; 2]| if copying > 0.0 { 1.0 - error / copying } else { f64::NAN };
    let of = |s: &Sums| Quality {
        state_skill: s.state.as_ref().map_or(f64::NAN, |[error, copying]| {
            let changed = copying.gt(0.0).nonzero().squeeze_dim(1);
            let of = |x: &Tensor| x.index_select(0, &changed);
            1.0 - (of(error) / of(copying)).mean(Kind::Double).double_value(&[])
        }),
        cost_skill: share(s.cost),
        reward_skill: share(s.reward),
        slot_f1: 2.0 * s.bits[0] / (s.bits[1] + s.bits[2]).max(1.0),
        continue_accuracy: s.right / s.asked.max(1.0),
        end_recall: s.ends[0] / s.ends[1].max(1.0),
        count: s.count,
    };
    sums.iter().map(|(k, s)| (*k, of(s))).collect()
}

fn number(x: &Tensor) -> f64 {
    x.sum(Kind::Double).double_value(&[])
}

fn add(model: &WorldModel, table: &Tensor, data: &Sequences, sums: &mut BTreeMap<usize, Sums>) {
    let t = data.length();
    let z = model.standardise(&data.whole);
    let actions = data.actions(table);
    let (carry, _) = model.unroll(&z.narrow(1, 0, t), &actions);
    let flat = |x: &Tensor| x.narrow(1, 0, t).flatten(0, 1);
    let begin = super::model::Carry { h: flat(&carry.h), c: flat(&carry.c) };
    let mut dream = Dream::from_states(model, table, begin, data.before_actions());
    let (start_z, start_present) = (dream.z.shallow_clone(), dream.present());
    let n = data.mask.size()[0];
    // Row `(e, at)` looks `k` ahead: what is there, or zeros behind the end of the batch.
    let ahead = |x: &Tensor, k: i64| {
        let left = (x.size()[1] - k).clamp(0, t);
        let mut size = x.size();
        size[1] = t - left;
        Tensor::cat(&[x.narrow(1, x.size()[1].min(k), left), Tensor::zeros(&size, (x.kind(), x.device()))], 1)
            .flatten(0, 1)
    };
    let moves = data.moves().to_kind(Kind::Float);
    let zeros = Tensor::zeros([n * t], (Kind::Float, z.device()));
    let (mut valid, start_saved) = (zeros.ones_like(), dream.books.saved.shallow_clone());
    let (mut said_reward, mut true_reward) = (zeros.copy(), zeros.copy());
    let mut random = Random::new(0);
    for k in 1..=*HORIZONS.last().expect("some horizon") as i64 {
        let action = ahead(&actions, k - 1);
        let slot = ahead(&data.chosen, k - 1);
        let asked = &valid * ahead(&data.mask, k - 1);
        valid = &valid * ahead(&moves, k - 1);
        let (_, trunk) = model.step(&dream.carry, &dream.z, &action);
        let goes_on = model.goes_on(&trunk).gt(0.0).to_kind(Kind::Float);
        // An episode that M thinks is over goes on here: what it says of the rest counts.
        dream.going = zeros.ones_like();
        let mut chance = Chance { temperature: 0.0, random: &mut random, draws: 1 };
        // What has no slot takes what it really takes; the rest, what the dream says of its slot.
        let without = slot.lt(0).unsqueeze(1).to_kind(Kind::Float);
        let takes = dream.takes_of(&slot) + ahead(&data.action_takes, k - 1) * without;
        said_reward += dream.step_by(&action, (&slot, &takes), &mut chance);
        true_reward += ahead(&data.reward, k - 1);
        if !HORIZONS.contains(&(k as usize)) {
            continue;
        }
        let s = sums.entry(k as usize).or_default();
        let truth = ahead(&z, k);
        let square =
            |x: Tensor| (x.square() * valid.unsqueeze(1)).sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        let state = [square(&dream.z - &truth), square(&start_z - &truth)];
        s.state = Some(match s.state.take() {
            Some([error, copying]) => [error + &state[0], copying + &state[1]],
            None => state,
        });
        let cost = ahead(&data.cost, k) - flat(&data.cost);
        let said_cost = &dream.books.saved - &start_saved;
        s.cost[0] += number(&((said_cost - &cost).square() * &valid));
        s.cost[1] += number(&(cost.square() * &valid));
        s.reward[0] += number(&((&said_reward - &true_reward).square() * &valid));
        s.reward[1] += number(&(true_reward.square() * &valid));
        let rows = valid.unsqueeze(1).gt(0.0);
        let said = dream.present().logical_xor(&start_present).logical_and(&rows);
        let real = ahead(&data.rules, k).ge(0).logical_xor(&start_present).logical_and(&rows);
        for (sum, bits) in s.bits.iter_mut().zip([said.logical_and(&real), said, real]) {
            *sum += number(&bits.to_kind(Kind::Float));
        }
        let truth = ahead(&data.goes_on, k - 1);
        s.right += number(&(goes_on.eq_tensor(&truth).to_kind(Kind::Float) * &asked));
        let ends = (1.0 - truth) * &asked;
        s.ends[0] += number(&((1.0 - goes_on) * &ends));
        s.ends[1] += number(&ends);
        s.asked += number(&asked);
        s.count += number(&valid);
    }
}

/// Share of the variance in each direction as a number of directions: `exp` of the entropy of the shares (Roy and Vetterli
/// 2007), for rows `[N, W]`; and the mean variance. A representation that collapsed has few directions, or no variance.
pub fn effective_rank(rows: &Tensor) -> (f64, f64) {
    let centred = rows - rows.mean_dim([0i64].as_slice(), false, Kind::Float);
    let variance = number(&centred.square()) / centred.numel() as f64;
    let centred = centred.to_kind(Kind::Double);
    // Singular values, by the eigenvalues of the smaller square.
    let values = centred.tr().matmul(&centred).linalg_eigvalsh("L").clamp_min(0.0).sqrt();
    let shares = &values / values.sum(Kind::Double);
    let entropy = -number(&(&shares * (&shares + 1e-300).log()));
    (entropy.exp(), variance)
}
