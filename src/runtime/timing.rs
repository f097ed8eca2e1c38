//! Timing: whole programs one against the other, and single operators.
//!
//! A time is the median of repeated runs, its spread the distance between the quartiles. Programs that are compared run
//! in turn, round after round in changing order, so that whatever slows the machine down slows all of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tch::Tensor;

use super::device::set_threads;
use super::executor::{ExecuteError, Program, synchronise};
use crate::graph::{NodeId, OpKind, splitmix64};

/// How to time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TimingOptions {
    /// Runs before the clock counts.
    pub warmup: usize,
    /// Rounds at least.
    pub min_rounds: usize,
    /// Rounds at most.
    pub max_rounds: usize,
    /// Seconds after which no further round is begun (once there are `min_rounds`).
    pub seconds: f64,
    /// Threads within an operator; 0 leaves the number as it is.
    pub threads: usize,
    /// Seed of the order of programs within rounds and of the bootstrap.
    pub seed: u64,
}

impl Default for TimingOptions {
    fn default() -> TimingOptions {
        TimingOptions { warmup: 3, min_rounds: 10, max_rounds: 200, seconds: 5.0, threads: 0, seed: 0 }
    }
}

/// Times of one program or operator.
#[derive(Clone, PartialEq, Debug)]
pub struct Timing {
    /// Median, in microseconds.
    pub median_us: f64,
    /// Distance between the quartiles, in microseconds.
    pub spread_us: f64,
    /// Every run in order, in microseconds.
    pub samples_us: Vec<f64>,
}

impl Timing {
    /// From the runs' times in microseconds.
    pub fn of(samples_us: Vec<f64>) -> Timing {
        let mut sorted = samples_us.clone();
        sorted.sort_by(f64::total_cmp);
        let spread_us = quantile(&sorted, 0.75) - quantile(&sorted, 0.25);
        Timing { median_us: quantile(&sorted, 0.5), spread_us, samples_us }
    }
}

/// A ratio of medians with its 95 % bootstrap interval.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ratio {
    /// Ratio of the medians.
    pub ratio: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Programs timed in turn.
#[derive(Clone, PartialEq, Debug)]
pub struct Interleaved {
    /// In the order of the programs; sample `i` of each is from round `i`.
    pub timings: Vec<Timing>,
    seed: u64,
}

/// Resamples of the bootstrap: the ends of the interval then vary by about a hundredth of its width.
const RESAMPLES: u64 = 2000;

impl Interleaved {
    /// How many times as long program `a` takes as program `b`: above 1, `b` is faster. Rounds are resampled whole.
    pub fn ratio(&self, a: usize, b: usize) -> Ratio {
        let (a, b) = (&self.timings[a], &self.timings[b]);
        let rounds = a.samples_us.len().min(b.samples_us.len());
        let mut ratios = Vec::new();
        let (mut left, mut right) = (vec![0.0; rounds], vec![0.0; rounds]);
        for resample in 0..RESAMPLES {
            for k in 0..rounds {
                let pick = (splitmix64(self.seed, resample * rounds as u64 + k as u64) % rounds as u64) as usize;
                (left[k], right[k]) = (a.samples_us[pick], b.samples_us[pick]);
            }
            left.sort_by(f64::total_cmp);
            right.sort_by(f64::total_cmp);
            ratios.push(quantile(&left, 0.5) / quantile(&right, 0.5));
        }
        ratios.sort_by(f64::total_cmp);
        Ratio { ratio: a.median_us / b.median_us, low: quantile(&ratios, 0.025), high: quantile(&ratios, 0.975) }
    }

    /// Likewise from the ratio within each round: its median and the bootstrap interval of that. What slows down a whole
    /// round cancels out, so on a busy machine this interval is the narrower one.
    pub fn paired_ratio(&self, a: usize, b: usize) -> Ratio {
        let (a, b) = (&self.timings[a].samples_us, &self.timings[b].samples_us);
        let rounds: Vec<f64> = a.iter().zip(b).map(|(a, b)| a / b).collect();
        let count = rounds.len() as u64;
        if count == 0 {
            return Ratio { ratio: f64::NAN, low: f64::NAN, high: f64::NAN };
        }
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            quantile(&values, 0.5)
        };
        let resampled = |resample: u64| {
            let pick = |k: u64| rounds[(splitmix64(self.seed, resample * count + k) % count) as usize];
            median((0..count).map(pick).collect())
        };
        let mut medians: Vec<f64> = (0..RESAMPLES).map(resampled).collect();
        medians.sort_by(f64::total_cmp);
        Ratio { ratio: median(rounds.clone()), low: quantile(&medians, 0.025), high: quantile(&medians, 0.975) }
    }
}

/// The value below which a share of the sorted values lies, by linear interpolation; NaN of nothing.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    sorted[low] + part * (sorted[(low + 1).min(last)] - sorted[low])
}

/// Times programs on the same inputs, interleaved.
///
/// # Errors
/// A program that does not run.
pub fn time_programs(
    programs: &[&Program],
    inputs: &[Tensor],
    options: &TimingOptions,
) -> Result<Interleaved, ExecuteError> {
    let threads = set_threads(options.threads);
    let result = interleave(programs, inputs, options);
    set_threads(threads);
    result
}

fn interleave(programs: &[&Program], inputs: &[Tensor], options: &TimingOptions) -> Result<Interleaved, ExecuteError> {
    let placed: Vec<Vec<Tensor>> = programs.iter().map(|p| p.place_inputs(inputs)).collect::<Result<_, _>>()?;
    for (program, inputs) in programs.iter().zip(&placed) {
        for _ in 0..options.warmup {
            program.run(inputs)?;
        }
        synchronise(program.device());
    }
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); programs.len()];
    let start = Instant::now();
    for round in 0..options.max_rounds.max(1) {
        if round >= options.min_rounds && start.elapsed().as_secs_f64() > options.seconds {
            break;
        }
        for index in shuffled(programs.len(), splitmix64(options.seed, round as u64)) {
            let program = programs[index];
            let begin = Instant::now();
            let run = program.run(&placed[index])?;
            synchronise(program.device());
            samples[index].push(micros(begin.elapsed()));
            drop(run);
        }
    }
    Ok(Interleaved { timings: samples.into_iter().map(Timing::of).collect(), seed: options.seed })
}

/// Times one program.
///
/// # Errors
/// A program that does not run.
pub fn time_program(program: &Program, inputs: &[Tensor], options: &TimingOptions) -> Result<Timing, ExecuteError> {
    let mut interleaved = time_programs(&[program], inputs, options)?;
    Ok(interleaved.timings.swap_remove(0))
}

/// The time of one operator application within a program.
#[derive(Clone, PartialEq, Debug)]
pub struct OperatorTime {
    /// The node.
    pub node: NodeId,
    /// Its operator.
    pub kind: OpKind,
    /// Its times over the runs.
    pub timing: Timing,
}

/// Times each operator of a program, in the order they run. The device is waited for after each, so that the sum is above
/// the time of the whole.
///
/// # Errors
/// A program that does not run.
pub fn profile(
    program: &Program,
    inputs: &[Tensor],
    options: &TimingOptions,
) -> Result<Vec<OperatorTime>, ExecuteError> {
    let threads = set_threads(options.threads);
    let result = profile_steps(program, inputs, options);
    set_threads(threads);
    result
}

fn profile_steps(
    program: &Program,
    inputs: &[Tensor],
    options: &TimingOptions,
) -> Result<Vec<OperatorTime>, ExecuteError> {
    let inputs = program.place_inputs(inputs)?;
    for _ in 0..options.warmup {
        program.run(&inputs)?;
    }
    synchronise(program.device());
    let mut order: Vec<(NodeId, OpKind)> = Vec::new();
    let mut samples: BTreeMap<NodeId, Vec<f64>> = BTreeMap::new();
    let start = Instant::now();
    for round in 0..options.max_rounds.max(1) {
        if round >= options.min_rounds && start.elapsed().as_secs_f64() > options.seconds {
            break;
        }
        program.run_timed(&inputs, &mut |node, kind, elapsed| {
            if round == 0 {
                order.push((node, kind));
            }
            samples.entry(node).or_default().push(micros(elapsed));
        })?;
    }
    let time = |(node, kind): (NodeId, OpKind)| OperatorTime {
        node,
        kind,
        timing: Timing::of(samples.remove(&node).unwrap_or_default()),
    };
    Ok(order.into_iter().map(time).collect())
}

/// Microseconds.
fn micros(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e6
}

/// A random order of `0..count` (Fisher-Yates).
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, (splitmix64(seed, i as u64) % (i as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(base: f64, seed: u64, rounds: u64) -> Timing {
        Timing::of((0..rounds).map(|i| base * (1.0 + (splitmix64(seed, i) % 100) as f64 / 1000.0)).collect())
    }

    #[test]
    fn the_interval_holds_the_true_ratio_and_tells_a_difference_from_noise() {
        let timed =
            Interleaved { timings: vec![noisy(120.0, 1, 60), noisy(100.0, 2, 60), noisy(100.0, 3, 60)], seed: 5 };
        let faster = timed.ratio(0, 1);
        assert!(faster.low > 1.15 && faster.high < 1.25 && faster.low <= faster.ratio, "{faster:?}");
        let same = timed.ratio(1, 2);
        assert!(same.low <= 1.0 && same.high >= 1.0 && same.high - same.low < 0.05, "{same:?}");
        assert_eq!(same, timed.ratio(1, 2), "seeded");
    }

    #[test]
    fn what_slows_down_a_whole_round_cancels_out() {
        // Every third round takes five times as long for both.
        let slow = |i: u64| if i.is_multiple_of(3) { 5.0 } else { 1.0 };
        let times = |base: f64, seed: u64| {
            let noise = move |i: u64| 1.0 + (splitmix64(seed, i) % 100) as f64 / 1000.0;
            Timing::of((0..40).map(|i| base * slow(i) * noise(i)).collect())
        };
        let timed = Interleaved { timings: vec![times(110.0, 1), times(100.0, 2)], seed: 5 };
        let paired = timed.paired_ratio(0, 1);
        assert!(paired.low > 1.05 && paired.high < 1.15, "{paired:?}");
    }

    #[test]
    fn medians_and_quartiles() {
        let t = Timing::of(vec![4.0, 1.0, 3.0, 2.0, 100.0]);
        assert_eq!((t.median_us, t.spread_us), (3.0, 2.0));
        assert!(Timing::of(vec![]).median_us.is_nan());
    }

    #[test]
    fn an_order_holds_each_once_and_changes() {
        let orders: Vec<Vec<usize>> = (0..20).map(|seed| shuffled(3, seed)).collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
        assert!(orders.iter().any(|o| o != &orders[0]));
    }
}
