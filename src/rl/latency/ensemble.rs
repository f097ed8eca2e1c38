//! Predicts the measured time of a graph, relative to the original, with its uncertainty.
//!
//! A prediction is linear in the encoding ([`Encoding`]): `1 + w . (x - x_original)`. Without data `w` is the estimate's own
//! opinion (1 for times of operators, 0 for the rest), known to some percent ([`deviation`]); measurements `y` with noise move
//! it: Bayesian linear regression. Member `k` of the ensemble is drawn from what is believed after the data, by fitting to
//! perturbed data from a perturbed opinion ("randomise, then optimise"; for linear laws the draws are exact):
//!
//! `w_k = v_k + S D^T (D S D^T + N)^-1 (y - 1 + e_k - D v_k)`
//!
//! with rows `D = x_i - x_original`, `v_k` drawn from the prior of covariance `S`, `e_k` from the noise of covariance `N`. The
//! disagreement of the members is the uncertainty: large where no measurement is like the graph. Numbers of graphs not met
//! before have an opinion too, drawn when it is asked for from a hash of their name, so that members are laws for all graphs.
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
    /// Measurements less the original.
    rows: Vec<Encoding>,
    /// By member, the centre first: what each measurement adds to the weights, before `S`.
    pulls: Vec<Vec<f64>>,
}

impl Ensemble {
    /// Fits to measurements. The same seed gives the same members.
    pub fn fit(scale: Scale, original: &Encoding, samples: &[Sample], seed: u64) -> Ensemble {
        let rows: Vec<Encoding> = samples.iter().map(|s| s.encoding.less(original)).collect();
        let mut ensemble = Ensemble { scale, original: original.clone(), seed, rows, pulls: Vec::new() };
        let noise = |at: usize| samples[at].error.max(0.0).hypot(NUGGET);
        // The lower triangle: row i has i + 1 entries.
        let row = |i: usize| {
            let mut row: Vec<f64> =
                ensemble.rows[..=i].iter().map(|other| ensemble.rows[i].product(other, variance)).collect();
            row[i] += noise(i).powi(2);
            row
        };
        let mut matrix: Vec<Vec<f64>> = (0..samples.len()).map(row).collect();
        factorise(&mut matrix);
        for member in 0..=MEMBERS {
            let mut random = Random::new(splitmix64(seed, member as u64));
            let residual = |(at, sample): (usize, &Sample)| {
                let perturbed = if member == 0 { 0.0 } else { noise(at) * random.normal() };
                let row = &ensemble.rows[at];
                sample.ratio - 1.0 + perturbed - ensemble.prior_of(member, row)
            };
            let residuals = samples.iter().enumerate().map(residual).collect();
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
        };
        (scale, Encoding::of(costs, original, scale), graphs.iter().map(sample).collect())
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
