//! Never slower: of a handful of graphs the one is taken that a measurement of whole runs shows to be fastest, and the
//! original unless another is faster beyond noise or at least no slower and estimated to be cheaper.

use std::collections::BTreeMap;

use tch::Device;

use crate::graph::{Graph, Op};
use crate::runtime::{self, Constants, ExecuteError, Options, Program, Ratio, TimingOptions, Weights};

use super::Step;

/// A graph that may be taken.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Where it comes from: `search`, `greedy`, `without RULE`, `clean-up`, `original`.
    pub from: String,
    /// The graph.
    pub graph: Graph,
    /// Its estimated time in microseconds.
    pub estimate_us: f64,
    /// Rewrites that lead to it.
    pub applied: Vec<Step>,
}

/// What a contender measured.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Measurement {
    /// Where it comes from.
    pub from: String,
    /// Median time of a whole run, in microseconds.
    pub median_us: f64,
    /// Distance between the quartiles, in microseconds.
    pub spread_us: f64,
    /// The original's time over this one's, within rounds in which each runs once (median): above 1 is faster.
    pub speedup: f64,
    /// Lower end of the speed-up's 95 % bootstrap interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Which graph was taken.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Chosen {
    /// Where it comes from.
    pub from: String,
    /// Estimated time of the method's own result before any choice, in microseconds.
    pub method_time_us: f64,
    /// What was measured, the original last; empty if nothing was.
    pub measured: Vec<Measurement>,
    /// Why nothing was measured although it was asked for.
    pub not_measured: Option<String>,
}

/// A speed-up whose interval begins above this is beyond noise.
const FASTER: f64 = 1.0;
/// A graph that may be slower than the original by no more than this is "no slower" where its estimate is better.
const NO_SLOWER: f64 = 0.99;
/// Seconds that the timing of all contenders may take.
const SECONDS: f64 = 12.0;

/// How contenders are measured.
#[derive(Clone, Copy, Debug)]
pub struct Measuring {
    /// Where.
    pub device: Device,
    /// Seed of the inputs.
    pub seed: u64,
}

/// Takes one of `contenders` (the first is the method's own result) or the original. Without `measuring` that is the
/// method's own.
pub fn choose(
    original: Contender,
    mut contenders: Vec<Contender>,
    measuring: Option<Measuring>,
    weights: &mut Weights,
) -> (Contender, Chosen) {
    let method_time_us = contenders.first().map_or(original.estimate_us, |c| c.estimate_us);
    let mut chosen = Chosen { from: String::new(), method_time_us, measured: Vec::new(), not_measured: None };
    distinct(&mut contenders, &original.graph);
    let taken = match measuring {
        _ if contenders.is_empty() => original,
        None => contenders.swap_remove(0),
        Some(measuring) => match measure(&original, &contenders, measuring, weights) {
            Ok(measured) => {
                let best = fastest(&original, &contenders, &measured);
                chosen.measured = measured;
                best.map_or(original, |at| contenders.swap_remove(at))
            }
            Err(why) => {
                chosen.not_measured = Some(why);
                contenders.swap_remove(0)
            }
        },
    };
    chosen.from = taken.from.clone();
    (taken, chosen)
}

/// Drops graphs that equal the original or an earlier one.
fn distinct(contenders: &mut Vec<Contender>, original: &Graph) {
    let mut seen = vec![original.state_hash()];
    contenders.retain(|c| {
        let hash = c.graph.state_hash();
        let new = !seen.contains(&hash);
        seen.push(hash);
        new
    });
}

/// The contender of the best median among those that are faster than the original beyond noise, or no slower and
/// estimated cheaper.
fn fastest(original: &Contender, contenders: &[Contender], measured: &[Measurement]) -> Option<usize> {
    let admitted = |at: &usize| {
        let m = &measured[*at];
        let cheaper = contenders[*at].estimate_us < original.estimate_us;
        m.low > FASTER || (cheaper && m.speedup >= 1.0 && m.low >= NO_SLOWER)
    };
    (0..contenders.len()).filter(admitted).min_by(|a, b| measured[*a].median_us.total_cmp(&measured[*b].median_us))
}

fn measure(
    original: &Contender,
    contenders: &[Contender],
    measuring: Measuring,
    weights: &mut Weights,
) -> Result<Vec<Measurement>, String> {
    if original.graph.node_ids().any(|id| matches!(original.graph.node(id).op, Op::Opaque(_))) {
        return Err("the model has operators that are not understood, so it cannot be run whole".to_owned());
    }
    let all: Vec<&Contender> = contenders.iter().chain([original]).collect();
    let mut run = || -> Result<Vec<Measurement>, ExecuteError> {
        let options = Options::native(measuring.device);
        let mut compile = |c: &&Contender| {
            let constants = Constants::of(&c.graph, weights);
            Program::with(&c.graph, &options, &constants, weights)
        };
        let programs: Vec<Program> = all.iter().map(&mut compile).collect::<Result<_, _>>()?;
        let sizes = runtime::size_sets(&original.graph, &BTreeMap::new()).into_iter().next().unwrap_or_default();
        let Ok(inputs) = runtime::draw_inputs(&original.graph, &sizes, measuring.seed) else {
            return Ok(Vec::new());
        };
        let timing = TimingOptions {
            warmup: 2,
            min_rounds: 12,
            max_rounds: 100,
            seconds: SECONDS,
            threads: 0,
            seed: measuring.seed,
        };
        let references: Vec<&Program> = programs.iter().collect();
        let timed = runtime::time_programs(&references, &inputs, &timing)?;
        let last = all.len() - 1;
        let row = |(at, c): (usize, &&Contender)| {
            let Ratio { ratio, low, high } = timed.paired_ratio(last, at);
            let t = &timed.timings[at];
            Measurement {
                from: c.from.clone(),
                median_us: t.median_us,
                spread_us: t.spread_us,
                speedup: ratio,
                low,
                high,
            }
        };
        Ok(all.iter().enumerate().map(row).collect())
    };
    match run() {
        Ok(rows) if rows.is_empty() => Err("no inputs could be drawn for it".to_owned()),
        Ok(rows) => Ok(rows),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Facts, ValueRef};

    /// A contender of its own graph, told from others by the number of its inputs.
    fn contender(from: &str, inputs: usize, estimate_us: f64) -> Contender {
        let mut graph = Graph::new(from);
        for i in 0..inputs {
            let id = graph.add_input(&format!("x{i}"), Facts::default());
            graph.add_output(&format!("y{i}"), ValueRef::first(id));
        }
        Contender { from: from.to_owned(), graph, estimate_us, applied: Vec::new() }
    }

    fn measured(from: &str, median_us: f64, (low, speedup, high): (f64, f64, f64)) -> Measurement {
        Measurement { from: from.to_owned(), median_us, spread_us: 1.0, speedup, low, high }
    }

    fn taken(rows: &[(f64, f64, (f64, f64, f64))]) -> Option<usize> {
        let original = contender("original", 0, 100.0);
        let contenders: Vec<Contender> = rows.iter().map(|(estimate, ..)| contender("c", 1, *estimate)).collect();
        let measurements: Vec<Measurement> =
            rows.iter().map(|(_, median, ratio)| measured("c", *median, *ratio)).collect();
        fastest(&original, &contenders, &measurements)
    }

    #[test]
    fn the_fastest_beyond_noise_is_taken_and_none_that_may_be_slower() {
        // (estimate, median, (low, speed-up, high)); the original is estimated at 100.
        let sure = (90.0, 80.0, (1.1, 1.2, 1.3));
        let surer = (95.0, 70.0, (1.2, 1.4, 1.5));
        let dearer_but_faster = (110.0, 60.0, (1.3, 1.5, 1.6));
        let within_noise = (90.0, 99.0, (0.995, 1.01, 1.02));
        let dearer_within_noise = (110.0, 99.0, (0.995, 1.01, 1.02));
        let may_be_slower = (90.0, 50.0, (0.95, 1.3, 1.5));
        let slower = (50.0, 120.0, (0.8, 0.83, 0.9));
        assert_eq!(taken(&[sure, surer]), Some(1));
        assert_eq!(taken(&[sure, dearer_but_faster]), Some(1));
        assert_eq!(taken(&[within_noise]), Some(0));
        assert_eq!(taken(&[dearer_within_noise]), None);
        assert_eq!(taken(&[may_be_slower, slower]), None);
        assert_eq!(taken(&[slower, sure]), Some(1));
        assert_eq!(taken(&[]), None);
    }

    #[test]
    fn without_measuring_the_method_has_its_way_unless_it_found_nothing() {
        let mut weights = Weights::default();
        let contenders = vec![contender("search", 1, 80.0), contender("greedy", 2, 70.0)];
        let (taken, chosen) = choose(contender("original", 0, 100.0), contenders, None, &mut weights);
        assert_eq!((taken.from.as_str(), chosen.from.as_str(), chosen.method_time_us), ("search", "search", 80.0));
        let same = vec![contender("search", 0, 100.0)];
        let (taken, chosen) = choose(contender("original", 0, 100.0), same, None, &mut weights);
        assert_eq!((taken.from.as_str(), chosen.from.as_str(), chosen.measured.len()), ("original", "original", 0));
    }

    #[test]
    fn graphs_that_are_the_same_are_measured_once() {
        let original = contender("original", 0, 100.0);
        let mut contenders =
            vec![contender("search", 1, 80.0), contender("greedy", 1, 80.0), contender("clean-up", 0, 100.0)];
        distinct(&mut contenders, &original.graph);
        assert_eq!(contenders.iter().map(|c| c.from.as_str()).collect::<Vec<_>>(), ["search"]);
    }

    #[test]
    fn a_graph_that_cannot_be_run_is_not_measured_and_it_is_said() {
        // Inputs without a type cannot be drawn.
        let contenders = vec![contender("search", 2, 80.0)];
        let measuring = Measuring { device: Device::Cpu, seed: 0 };
        let mut weights = Weights::default();
        let (taken, chosen) = choose(contender("original", 1, 100.0), contenders, Some(measuring), &mut weights);
        assert_eq!(taken.from, "search");
        assert!(chosen.not_measured.is_some() && chosen.measured.is_empty(), "{chosen:?}");
    }
}
