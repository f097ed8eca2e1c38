//! A graph as numbers that its measured time may depend on.
//!
//! All of them are sums over the graph's nodes and edges, relative to the original graph, so that an edit changes few of them:
//!
//! | group | one number for each | sum of |
//! | --- | --- | --- |
//! | time | kind of operator | estimated time / the original's |
//! | launches | kind of operator | launches / the original's |
//! | application | operator with attributes and types | estimated time / the original's |
//! | count | operator with attributes and types | launches / the original's |
//! | edge | kind of producer and kind of consumer | 1 / the original's launches |
//!
//! The first four belong to a node by itself: what is learned of them corrects a cost model. Edges tell what runs next to
//! what, on which fusion and layout depend.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::cost::{self, Cost, CostModel};
use crate::graph::{Graph, NodeId, Op, TensorType};

/// What a number says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Time of a kind of operator.
    Time,
    /// Launches of a kind of operator.
    Launches,
    /// Time of an application.
    Application,
    /// Launches of an application.
    Count,
    /// Edges between two kinds of operators.
    Edge,
}

/// All groups, in the order of their tags.
const GROUPS: [Group; 5] = [Group::Time, Group::Launches, Group::Application, Group::Count, Group::Edge];
/// Where the tag begins in a feature.
const TAG: u32 = 61;

/// The name of a number: a hash whose upper bits are its group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Feature(pub(super) u64);

impl Feature {
    fn new(group: Group, what: impl Hash) -> Feature {
        let mut hasher = FxHasher::default();
        what.hash(&mut hasher);
        // The multiplication of the hash leaves its upper bits the better ones: they are kept.
        Feature((hasher.finish() >> 3) | (group as u64) << TAG)
    }

    /// What it says.
    pub fn group(self) -> Group {
        GROUPS[(self.0 >> TAG) as usize]
    }
}

/// What relates to the original.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scale {
    /// Estimated time of the original in microseconds.
    pub time_us: f64,
    /// Its launches.
    pub launches: f64,
}

impl Scale {
    /// That of an original.
    pub fn of(model: &dyn CostModel, original: &Graph) -> Scale {
        let cost = cost::graph_cost(model, original);
        Scale { time_us: cost.time_us.max(f64::MIN_POSITIVE), launches: cost.launches.max(1.0) }
    }
}

/// Numbers by name, ascending; those that are not listed are 0.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Encoding {
    entries: Vec<(Feature, f64)>,
}

impl Encoding {
    /// The numbers of a graph.
    pub fn of(model: &dyn CostModel, graph: &Graph, scale: Scale) -> Encoding {
        let mut entries = Vec::new();
        for id in graph.topological() {
            let cost = cost::node_cost(model, graph, id);
            if cost == Cost::default() {
                continue;
            }
            let node = graph.node(id);
            let inputs: Vec<Option<&TensorType>> =
                node.inputs.iter().map(|v| v.and_then(|v| graph.facts(v).ty.as_ref())).collect();
            entries.extend(of_application(&node.op, &inputs, &cost, scale));
            for producer in node.inputs.iter().flatten().map(|v| v.node).filter(|id| runs(graph, *id)) {
                let pair = (graph.node(producer).op.kind(), node.op.kind());
                entries.push((Feature::new(Group::Edge, pair), 1.0 / scale.launches));
            }
        }
        Encoding::sum(entries)
    }

    fn sum(mut entries: Vec<(Feature, f64)>) -> Encoding {
        entries.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        entries.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 += later.1;
            }
            same
        });
        Encoding { entries }
    }

    /// This less another.
    pub fn less(&self, other: &Encoding) -> Encoding {
        let minus = other.entries.iter().map(|(feature, value)| (*feature, -value));
        let mut difference = Encoding::sum(self.entries.iter().copied().chain(minus).collect());
        difference.entries.retain(|(_, value)| value.abs() > NOTHING);
        difference
    }

    /// The numbers that are not 0.
    pub fn entries(&self) -> &[(Feature, f64)] {
        &self.entries
    }

    /// A number by its name.
    pub fn value(&self, feature: Feature) -> f64 {
        self.entries.binary_search_by_key(&feature, |entry| entry.0).map_or(0.0, |at| self.entries[at].1)
    }

    /// Equal for graphs of the same numbers, and hardly ever for others.
    pub fn digest(&self) -> u64 {
        let mut hasher = FxHasher::default();
        for (feature, value) in &self.entries {
            (feature, (value / NOTHING).round() as i64).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Sum of the products of equal names, each times a weight.
    pub fn product(&self, other: &Encoding, weight: impl Fn(Feature) -> f64) -> f64 {
        let mut rest = other.entries.iter().peekable();
        let mut sum = 0.0;
        for (feature, value) in &self.entries {
            while rest.next_if(|(name, _)| name < feature).is_some() {}
            if let Some((_, other)) = rest.next_if(|(name, _)| name == feature) {
                sum += value * other * weight(*feature);
            }
        }
        sum
    }
}

/// Differences below this are noise of the arithmetic.
const NOTHING: f64 = 1e-9;

fn runs(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    !node.constant && matches!(node.op, Op::Apply(..))
}

/// The numbers that an application adds by itself.
pub(super) fn of_application(
    op: &Op,
    inputs: &[Option<&TensorType>],
    cost: &Cost,
    scale: Scale,
) -> [(Feature, f64); 4] {
    let (time, launches) = (cost.time_us / scale.time_us, cost.launches / scale.launches);
    [
        (Feature::new(Group::Time, op.kind()), time),
        (Feature::new(Group::Launches, op.kind()), launches),
        (Feature::new(Group::Application, (op, inputs)), time),
        (Feature::new(Group::Count, (op, inputs)), launches),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{DeviceProfile, Roofline};
    use crate::rl::env::tests::model;

    #[test]
    fn times_sum_to_one_and_equal_graphs_are_alike() {
        let costs = Roofline::new(DeviceProfile::cpu());
        let graph = model("nasrnn_4", &[]);
        let scale = Scale::of(&costs, &graph);
        let encoding = Encoding::of(&costs, &graph, scale);
        let total = |group: Group| -> f64 {
            encoding.entries().iter().filter(|(feature, _)| feature.group() == group).map(|(_, value)| value).sum()
        };
        for group in [Group::Time, Group::Launches, Group::Application, Group::Count] {
            assert!((total(group) - 1.0).abs() < 1e-9, "{group:?}");
        }
        assert!(total(Group::Edge) > 1.0, "most applications have two operands");
        assert_eq!(encoding.digest(), Encoding::of(&costs, &graph, scale).digest());
        let other = Encoding::of(&costs, &model("lstm", &[]), scale);
        assert_ne!(encoding.digest(), other.digest());
        let norm = |e: &Encoding| e.product(e, |_| 1.0);
        let difference = encoding.less(&other);
        let expected = norm(&encoding) + norm(&other) - 2.0 * encoding.product(&other, |_| 1.0);
        assert!((norm(&difference) - expected).abs() < 1e-9);
    }
}
