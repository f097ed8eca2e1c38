//! Predicts the measured time of a graph, relative to the original, with its uncertainty.
//!
//! A prediction is linear in the encoding ([`Encoding`]): `1 + w . (x - x_original)`. Without data `w` is the estimate's own
//! opinion (1 for times of operators, 0 for the rest), known to some percent ([`deviation`]); measurements `y` with noise move
//! it: Bayesian linear regression. Member `k` of the ensemble is drawn from what is believed after the data, by fitting to
//! perturbed data from a perturbed opinion ("randomise, then optimise"; for linear laws the draws are exact):
//!
//! `w_k = v_k + S D^T (D S D^T + N)^-1 (y - 1 + e_k - D v_k)`
//!
//! with rows `D = x_i - x_original`, `v_k` drawn from the prior of covariance `S`, `e_k` from the noise of covariance `N`: each
//! reading has its own, and all readings of one run share another ([`RUN`]), so that `N` is diagonal
//! but for blocks of runs. One more row is known before anything is measured: the nodes of the original take its time together, `w . x_original = 1`
//! without edges and but for [`WHOLE`], so that corrected costs of whole graphs are times, not differences alone. The disagreement of the members is the uncertainty: large where no measurement is like the graph.
//! Numbers of graphs not met before have an opinion too, drawn when it is asked for from a hash of their name, so that members
//! are laws for all graphs.
//!
//! A fit takes `O(n^2 f + n^3 + n^2 K)` for n measurements of f numbers each and K members.

use rustc_hash::FxHashMap;

use crate::cost::{Cost, CostModel};
use crate::graph::{Op, TensorType, splitmix64};
use crate::rl::random::Random;

use super::encoding::{Encoding, Feature, Group, Scale, of_application};

/// A measurement of a graph.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The graph's numbers.
    pub encoding: Encoding,
    /// Its measured time over that of the original.
    pub ratio: f64,
    /// Standard error of that.
    pub error: f64,
    /// The run of turns that it was measured in: readings of one run share an error.
    pub run: usize,
}

/// What the ensemble says of a graph.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Prediction {
    /// Time over that of the original.
    pub ratio: f64,
    /// Standard deviation of what the members say.
    pub disagreement: f64,
}

/// Members that are perturbed.
pub const MEMBERS: usize = 24;
/// What a measurement may be off beside its own noise, as a share of the original's time: two graphs of the same numbers, and
/// the same graph in two runs, differ by this.
const NUGGET: f64 = 0.01;
/// What all readings of one run may be off by together, as a standard deviation and a share of the original's time: all are
/// relative to the same few hundred executions of the original, and of one state of the machine. Means of four readings by turns
/// scatter two to three times as much as their own errors explain. Half as much again, and graphs that one run holds teach too
/// little where runs are in fact not off.
const RUN: f64 = 0.01;
/// What the nodes of the original may be off from its time together, as a share of it: what lies between them.
const WHOLE: f64 = 0.02;
/// No operator is predicted to take less than this share of its estimate.
const LEAST_SHARE: f64 = 0.05;

/// What is believed of the weight of a number before any measurement.
fn opinion(group: Group) -> f64 {
    match group {
        Group::Time => 1.0,
        Group::Launches | Group::Application | Group::Count | Group::Edge => 0.0,
    }
}

/// How far that may be off, as a standard deviation: half of the estimate for a kind of operator, a third more for one
/// application of it; an edge may hide or add a fifth of a launch.
fn deviation(group: Group) -> f64 {
    match group {
        Group::Time => 0.5,
        Group::Launches => 0.3,
        Group::Application => 0.3,
        Group::Count => 0.2,
        Group::Edge => 0.2,
    }
}

fn variance(feature: Feature) -> f64 {
    deviation(feature.group()).powi(2)
}

/// An ensemble. See the module.
#[derive(Clone, Debug)]
pub struct Ensemble {
    scale: Scale,
    original: Encoding,
    seed: u64,
    /// Measurements less the original, and behind them the nodes of the original.
    rows: Vec<Encoding>,
    /// By member, the centre first: what each measurement adds to the weights, before `S`.
    pulls: Vec<Vec<f64>>,
}

impl Ensemble {
    /// Fits to measurements. The same seed gives the same members.
    pub fn fit(scale: Scale, original: &Encoding, samples: &[Sample], seed: u64) -> Ensemble {
        Ensemble::with_run_error(scale, original, samples, seed, RUN)
    }

    /// The same, with another deviation of what readings of one run are off by together.
    fn with_run_error(scale: Scale, original: &Encoding, samples: &[Sample], seed: u64, of_run: f64) -> Ensemble {
        let differences = samples.iter().map(|s| s.encoding.less(original));
        let rows: Vec<Encoding> = differences.chain([original.without_edges()]).collect();
        let mut ensemble = Ensemble { scale, original: original.clone(), seed, rows, pulls: Vec::new() };
        let run = |at: usize| samples.get(at).map(|s| s.run);
        let noise = |at: usize| samples.get(at).map_or(WHOLE, |s| s.error.max(0.0).hypot(NUGGET));
        let told = |at: usize| samples.get(at).map_or(1.0, |s| s.ratio - 1.0);
        // The lower triangle: row i has i + 1 entries.
        let row = |i: usize| {
            let covariance = |other: usize| {
                let shared = if run(i).is_some() && run(other) == run(i) { of_run.powi(2) } else { 0.0 };
                ensemble.rows[i].product(&ensemble.rows[other], variance) + shared
            };
            let mut row: Vec<f64> = (0..=i).map(covariance).collect();
            row[i] += noise(i).powi(2);
            row
        };
        let mut matrix: Vec<Vec<f64>> = (0..ensemble.rows.len()).map(row).collect();
        factorise(&mut matrix);
        for member in 0..=MEMBERS {
            let mut random = Random::new(splitmix64(seed, member as u64));
            let shared = |run: usize| of_run * Random::new(splitmix64(!seed ^ run as u64, member as u64)).normal();
            let residual = |at: usize| {
                let own = match member {
                    0 => 0.0,
                    _ => noise(at) * random.normal() + run(at).map_or(0.0, shared),
                };
                told(at) + own - ensemble.prior_of(member, &ensemble.rows[at])
            };
            let residuals = (0..ensemble.rows.len()).map(residual).collect();
            ensemble.pulls.push(solve(&matrix, residuals));
        }
        ensemble
    }

    /// What a member believed of a number before any measurement; the centre is member 0.
    fn prior(&self, member: usize, feature: Feature) -> f64 {
        let group = feature.group();
        if member == 0 {
            return opinion(group);
        }
        let draw = Random::new(splitmix64(self.seed ^ feature.0, member as u64)).normal();
        opinion(group) + deviation(group) * draw
    }

    fn prior_of(&self, member: usize, row: &Encoding) -> f64 {
        row.entries().iter().map(|(feature, value)| value * self.prior(member, *feature)).sum()
    }

    /// What a member believes of a number now.
    fn weight(&self, member: usize, feature: Feature) -> f64 {
        let of = |(row, pull): (&Encoding, &f64)| row.value(feature) * pull;
        let pulled: f64 = self.rows.iter().zip(&self.pulls[member]).map(of).sum();
        self.prior(member, feature) + variance(feature) * pulled
    }

    /// What each member says of a graph, the centre first.
    pub fn all(&self, encoding: &Encoding) -> Vec<f64> {
        let row = encoding.less(&self.original);
        let likeness: Vec<f64> = self.rows.iter().map(|known| row.product(known, variance)).collect();
        let say = |(member, pulls): (usize, &Vec<f64>)| {
            1.0 + self.prior_of(member, &row) + likeness.iter().zip(pulls).map(|(l, p)| l * p).sum::<f64>()
        };
        self.pulls.iter().enumerate().map(say).collect()
    }

    /// What it says of a graph.
    pub fn predict(&self, encoding: &Encoding) -> Prediction {
        let all = self.all(encoding);
        let (centre, members) = (all[0], &all[1..]);
        let spread: f64 = members.iter().map(|say| (say - centre).powi(2)).sum();
        Prediction { ratio: centre, disagreement: (spread / members.len() as f64).sqrt() }
    }

    /// The costs of `model` as a member corrects them; 0 is the centre.
    pub fn correct<'a>(&'a self, model: &'a dyn CostModel, member: usize) -> Corrected<'a> {
        let known = self.rows.iter().flat_map(|row| row.entries()).map(|(feature, _)| *feature);
        let weights = known.map(|feature| (feature, self.weight(member, feature))).collect();
        Corrected { ensemble: self, model, member, weights }
    }
}

/// Costs as a member of an ensemble corrects them. Edges are left out: they belong to no application by itself.
pub struct Corrected<'a> {
    ensemble: &'a Ensemble,
    model: &'a dyn CostModel,
    member: usize,
    /// Weights of the numbers that measurements tell something of.
    weights: FxHashMap<Feature, f64>,
}

impl CostModel for Corrected<'_> {
    fn name(&self) -> String {
        format!("{}, corrected by measurements", self.model.name())
    }

    fn apply(&self, op: &Op, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> Cost {
        let estimate = self.model.apply(op, inputs, outputs);
        if estimate == Cost::default() {
            return estimate;
        }
        let scale = self.ensemble.scale;
        let weight = |feature: Feature| {
            self.weights.get(&feature).copied().unwrap_or_else(|| self.ensemble.prior(self.member, feature))
        };
        let numbers = of_application(op, inputs, &estimate, scale);
        let share: f64 = numbers.into_iter().map(|(feature, value)| value * weight(feature)).sum();
        Cost { time_us: (share * scale.time_us).max(LEAST_SHARE * estimate.time_us), ..estimate }
    }
}

/// The factor L of a positive definite matrix, `L L^T`, in its lower triangle (Cholesky).
fn factorise(matrix: &mut [Vec<f64>]) {
    for i in 0..matrix.len() {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            let rest = matrix[i][j] - sum;
            // Positive by the noise on the diagonal, but for rounding.
            matrix[i][j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / matrix[j][j] };
        }
    }
}

/// Solves `L L^T x = b`.
fn solve(factor: &[Vec<f64>], mut b: Vec<f64>) -> Vec<f64> {
    for i in 0..b.len() {
        let sum: f64 = (0..i).map(|k| factor[i][k] * b[k]).sum();
        b[i] = (b[i] - sum) / factor[i][i];
    }
    for i in (0..b.len()).rev() {
        let sum: f64 = (i + 1..b.len()).map(|k| factor[k][i] * b[k]).sum();
        b[i] = (b[i] - sum) / factor[i][i];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{self, DeviceProfile, Roofline};
    use crate::graph::{Graph, OpKind};
    use crate::rewrite::RuleSet;
    use crate::rl::env::tests::{model, rules};
    use crate::rl::latency::pool::cheapest;
    use crate::search::{Budget, Problem};

    /// A device on which a product of matrices costs half of the estimate, and Concat four times as much.
    struct Law(Roofline);

    impl CostModel for Law {
        fn name(&self) -> String {
            "law".to_owned()
        }

        fn apply(&self, op: &Op, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> Cost {
            let estimate = self.0.apply(op, inputs, outputs);
            let factor = match op.kind() {
                Some(OpKind::MatMul) => 0.5,
                Some(OpKind::Concat) => 4.0,
                _ => 1.0,
            };
            Cost { time_us: factor * estimate.time_us, ..estimate }
        }
    }

    fn graphs(rules: &std::sync::Arc<RuleSet>, graph: &Graph) -> Vec<Graph> {
        let costs = Roofline::new(DeviceProfile::cpu());
        let budget = Budget { pops: 300, ..Budget::default() };
        let problem = Problem { graph, rules, model: &costs, budget: &budget };
        let scale = Scale::of(&costs, graph);
        let digest = |graph: &Graph| Encoding::of(&costs, graph, scale).digest();
        cheapest(&problem, 80, &digest, &mut || true).into_iter().map(|found| found.graph).collect()
    }

    /// Samples of graphs by the law.
    fn samples(costs: &Roofline, original: &Graph, graphs: &[Graph]) -> (Scale, Encoding, Vec<Sample>) {
        let law = Law(costs.clone());
        let scale = Scale::of(costs, original);
        let start_us = cost::graph_cost(&law, original).time_us;
        let sample = |graph: &Graph| Sample {
            encoding: Encoding::of(costs, graph, scale),
            ratio: cost::graph_cost(&law, graph).time_us / start_us,
            error: 0.001,
            run: 0,
        };
        let apart = |(run, sample): (usize, Sample)| Sample { run, ..sample };
        (scale, Encoding::of(costs, original, scale), graphs.iter().map(sample).enumerate().map(apart).collect())
    }

    #[test]
    fn it_learns_a_law_and_knows_where_it_does_not_know() {
        let costs = Roofline::new(DeviceProfile::cpu());
        let original = model("nasrnn_4", &[]);
        let graphs = graphs(&rules(), &original);
        assert!(graphs.len() > 40, "{}", graphs.len());
        let (scale, encoding, all) = samples(&costs, &original, &graphs);
        let (known, held_out) = all.split_at(30);
        let blind = Ensemble::fit(scale, &encoding, &[], 7);
        let ensemble = Ensemble::fit(scale, &encoding, known, 7);
        let error = |ensemble: &Ensemble| {
            let off = |s: &Sample| (ensemble.predict(&s.encoding).ratio - s.ratio).abs();
            held_out.iter().map(off).sum::<f64>() / held_out.len() as f64
        };
        assert!(error(&ensemble) < 0.25 * error(&blind), "{} {}", error(&ensemble), error(&blind));
        // Pairs of graphs that were not measured are put in their order.
        let (mut right, mut pairs) = (0, 0);
        for a in held_out {
            for b in held_out.iter().filter(|b| b.ratio > a.ratio + 0.005) {
                pairs += 1;
                right += usize::from(ensemble.predict(&a.encoding).ratio < ensemble.predict(&b.encoding).ratio);
            }
        }
        assert!(pairs > 50 && right * 20 >= pairs * 19, "{right} of {pairs}");
        // The original is known, what was measured nearly, what is unlike either hardly.
        assert_eq!(ensemble.predict(&encoding).disagreement, 0.0);
        let (_, _, strange) = samples(&costs, &model("lstm", &[]), &[model("lstm", &[])]);
        let at_known = ensemble.predict(&known[3].encoding).disagreement;
        let away = ensemble.predict(&strange[0].encoding).disagreement;
        let unlearnt = blind.predict(&known[3].encoding).disagreement;
        assert!(
            at_known < 0.015 && 10.0 * at_known < away && 3.0 * at_known < unlearnt,
            "{at_known} {away} {unlearnt}"
        );
    }

    #[test]
    fn corrected_costs_sum_to_what_the_ensemble_says_without_edges() {
        let costs = Roofline::new(DeviceProfile::cpu());
        let original = model("nasrnn_4", &[]);
        let graphs = graphs(&rules(), &original);
        let (scale, encoding, all) = samples(&costs, &original, &graphs[..20]);
        let ensemble = Ensemble::fit(scale, &encoding, &all, 3);
        let corrected = ensemble.correct(&costs, 0);
        let total = |graph: &Graph| cost::graph_cost(&corrected, graph).time_us / scale.time_us;
        for (graph, sample) in graphs.iter().zip(&all) {
            let row = sample.encoding.less(&encoding);
            let edges: f64 = row
                .entries()
                .iter()
                .filter(|(feature, _)| feature.group() == Group::Edge)
                .map(|(feature, value)| value * ensemble.weight(0, *feature))
                .sum();
            let said = ensemble.predict(&sample.encoding).ratio - 1.0;
            let summed = total(graph) - total(&original) + edges;
            assert!((said - summed).abs() < 1e-6, "{said} {summed}");
        }
        // The original takes its time, by whoever is asked; of this law its estimate is far from that.
        for member in 0..=MEMBERS {
            let corrected = ensemble.correct(&costs, member);
            let whole = cost::graph_cost(&corrected, &original).time_us / scale.time_us;
            assert!((whole - 1.0).abs() < 4.0 * WHOLE, "{member}: {whole}");
        }
    }

    /// Numbers that are not those of the original, which has none.
    fn encoding(numbers: &[(&str, f64)]) -> Encoding {
        Encoding::sum(numbers.iter().map(|(name, value)| (Feature::named(name).unwrap(), *value)).collect())
    }

    const NO_SCALE: Scale = Scale { time_us: 1.0, launches: 1.0 };

    #[test]
    fn two_readings_of_one_run_weigh_as_worked_out_by_hand() {
        // One number of prior mean 1 and deviation 0.5; both graphs have 0.2 of it less, so that 0.8 is expected of both, with
        // variance 0.01; read are 0.7 and 0.72, with variance 0.01^2 + 0.01^2 each. The mean of the two, 0.71, then has
        // variance 0.0001, and with a run of deviation r shared by both 0.0001 + r^2: the expectation moves towards it by
        // 0.01 / (0.01 + 0.0001 + r^2), and what is left of its variance is 1 less that share.
        let graph = encoding(&[("time Conv", -0.2)]);
        let reading = |ratio: f64, run: usize| Sample { encoding: graph.clone(), ratio, error: 0.01, run };
        const OF_RUN: f64 = 0.015;
        for (runs, shared) in [([0, 1], OF_RUN.powi(2) / 2.0), ([4, 4], OF_RUN.powi(2))] {
            let samples = [reading(0.70, runs[0]), reading(0.72, runs[1])];
            let fit = |seed| Ensemble::with_run_error(NO_SCALE, &Encoding::default(), &samples, seed, OF_RUN);
            let share = 0.01 / (0.01 + 0.0001 + shared);
            let expected = 0.8 + share * (0.71 - 0.8);
            assert!((fit(0).predict(&graph).ratio - expected).abs() < 1e-12, "{runs:?}");
            let deviation = (0.01 * (1.0 - share)).sqrt();
            // That of 24 draws, averaged over a hundred seeds.
            let square = |seed| fit(seed).predict(&graph).disagreement.powi(2);
            let drawn = ((0..100).map(square).sum::<f64>() / 100.0).sqrt();
            assert!((drawn / deviation - 1.0).abs() < 0.06, "{runs:?}: {drawn} {deviation}");
        }
    }

    /// Solves a dense system by elimination with pivots.
    fn eliminate(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
        let n = b.len();
        for i in 0..n {
            let pivot = (i..n).max_by(|x, y| a[*x][i].abs().total_cmp(&a[*y][i].abs())).unwrap();
            a.swap(i, pivot);
            b.swap(i, pivot);
            for row in (0..n).filter(|row| *row != i) {
                let factor = a[row][i] / a[i][i];
                (0..n).for_each(|k| a[row][k] -= factor * a[i][k]);
                b[row] -= factor * b[i];
            }
        }
        (0..n).map(|i| b[i] / a[i][i]).collect()
    }

    #[test]
    fn the_centre_is_the_least_of_all_squares_with_an_unknown_for_every_run() {
        // Unknown: three weights and one error for each of two runs; least is the sum of squares, each over its variance, of
        // weights from their opinions, errors of runs, and readings. Its normal equations are solved whole.
        let names = ["time Conv", "launches Relu", "edge Conv Relu"];
        let rows = [[-0.3, 0.1, 0.0], [-0.1, -0.2, 0.1], [0.2, 0.0, -0.1], [0.0, -0.1, 0.2], [-0.2, 0.05, 0.05]];
        let (ratios, errors, runs) = ([0.8, 0.9, 1.15, 1.02, 0.85], [0.01, 0.02, 0.005, 0.03, 0.0], [0, 1, 0, 0, 1]);
        let graph = |row: &[f64; 3]| encoding(&std::array::from_fn::<_, 3, _>(|k| (names[k], row[k])));
        let sample =
            |at: usize| Sample { encoding: graph(&rows[at]), ratio: ratios[at], error: errors[at], run: runs[at] + 7 };
        let samples: Vec<Sample> = (0..rows.len()).map(sample).collect();
        let ensemble = Ensemble::with_run_error(NO_SCALE, &Encoding::default(), &samples, 0, 0.02);
        let groups = names.map(|name| Feature::named(name).unwrap().group());
        let (mut a, mut b) = (vec![vec![0.0; 5]; 5], vec![0.0; 5]);
        for k in 0..3 {
            a[k][k] = deviation(groups[k]).powi(-2);
            b[k] = opinion(groups[k]) * deviation(groups[k]).powi(-2);
        }
        (3..5).for_each(|k| a[k][k] = 0.02f64.powi(-2));
        for at in 0..rows.len() {
            let own = 1.0 / (errors[at].powi(2) + NUGGET.powi(2));
            let mut row = rows[at].to_vec();
            row.extend([0, 1].map(|run| if runs[at] == run { 1.0 } else { 0.0 }));
            for i in 0..5 {
                (0..5).for_each(|k| a[i][k] += own * row[i] * row[k]);
                b[i] += own * row[i] * (ratios[at] - 1.0);
            }
        }
        let solution = eliminate(a, b);
        for (k, name) in names.iter().enumerate() {
            let weight = ensemble.weight(0, Feature::named(name).unwrap());
            assert!((weight - solution[k]).abs() < 1e-9, "{name}: {weight} {}", solution[k]);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_members_and_another_others() {
        let costs = Roofline::new(DeviceProfile::cpu());
        let original = model("nasrnn_4", &[]);
        let graphs = graphs(&rules(), &original);
        let (scale, encoding, all) = samples(&costs, &original, &graphs[..10]);
        let say = |seed| Ensemble::fit(scale, &encoding, &all[..5], seed).all(&all[7].encoding);
        assert_eq!(say(1), say(1));
        assert_eq!(say(1)[0], say(2)[0], "the centre is not drawn");
        assert!((1..=MEMBERS).all(|member| say(1)[member] != say(2)[member]));
    }
}
