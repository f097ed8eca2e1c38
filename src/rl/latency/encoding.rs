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
//!
//! A number goes by a digest of its name, such as `time Conv` or `edge Conv Relu`, which is the same in every run and every
//! build of the program; files have the names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

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

/// All groups with the first words of their names, in the order of their tags.
const GROUPS: [(Group, &str); 5] = [
    (Group::Time, "time"),
    (Group::Launches, "launches"),
    (Group::Application, "application"),
    (Group::Count, "count"),
    (Group::Edge, "edge"),
];
/// Where the tag begins in a feature.
const TAG: u32 = 61;

/// A number: a digest of its name whose upper bits are its group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Feature(pub(super) u64);

/// Names of numbers.
pub type Names = BTreeMap<Feature, String>;

impl Feature {
    fn new(group: Group, what: &str) -> Feature {
        let digest = blake3::hash(what.as_bytes());
        let first = digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
        Feature((u64::from_le_bytes(*first) >> 3) | (group as u64) << TAG)
    }

    /// The number of a name; `None` if it begins with the word of no group.
    pub fn named(name: &str) -> Option<Feature> {
        let (word, what) = name.split_once(' ')?;
        let (group, _) = GROUPS.iter().find(|(_, first)| *first == word)?;
        Some(Feature::new(*group, what))
    }

    /// What it says.
    pub fn group(self) -> Group {
        GROUPS[(self.0 >> TAG) as usize].0
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
            let op = &graph.node(id).op;
            entries.extend(of_application(op, &operands(graph, id), &cost, scale));
            let edge = |from: &Op| (feature_of_edge(from, op), 1.0 / scale.launches);
            entries.extend(producers(graph, id).map(edge));
        }
        Encoding::sum(entries)
    }

    /// From numbers by name, in any order; those of the same name are added.
    pub fn sum(mut entries: Vec<(Feature, f64)>) -> Encoding {
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

    /// The numbers that belong to nodes.
    pub fn without_edges(&self) -> Encoding {
        let of_nodes = self.entries.iter().filter(|(feature, _)| feature.group() != Group::Edge);
        Encoding { entries: of_nodes.copied().collect() }
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

/// The types of a node's operands.
fn operands(graph: &Graph, id: NodeId) -> Vec<Option<&TensorType>> {
    graph.node(id).inputs.iter().map(|v| v.and_then(|v| graph.facts(v).ty.as_ref())).collect()
}

/// What runs and makes a node's operands.
fn producers(graph: &Graph, id: NodeId) -> impl Iterator<Item = &Op> {
    let ids = graph.node(id).inputs.iter().flatten().map(|v| v.node).filter(|id| runs(graph, *id));
    ids.map(|id| &graph.node(id).op)
}

/// Adds the names of a graph's numbers.
pub fn add_names(model: &dyn CostModel, graph: &Graph, names: &mut Names) {
    let mut add = |(group, what): (Group, String)| {
        let name = |feature: Feature| format!("{} {what}", GROUPS[(feature.0 >> TAG) as usize].1);
        let feature = Feature::new(group, &what);
        names.entry(feature).or_insert_with(|| name(feature));
    };
    for id in graph.topological() {
        if cost::node_cost(model, graph, id) == Cost::default() {
            continue;
        }
        let op = &graph.node(id).op;
        names_of_application(op, &operands(graph, id)).into_iter().for_each(&mut add);
        producers(graph, id).for_each(|from| add((Group::Edge, name_of_edge(from, op))));
    }
}

fn name_of_edge(from: &Op, to: &Op) -> String {
    format!("{} {}", from.label(), to.label())
}

fn names_of_application(op: &Op, inputs: &[Option<&TensorType>]) -> [(Group, String); 4] {
    let (kind, whole) = (op.label(), cost::application_name(op, inputs));
    [(Group::Time, kind.clone()), (Group::Launches, kind), (Group::Application, whole.clone()), (Group::Count, whole)]
}

thread_local! {
    /// Numbers of applications and edges, by a quick hash of what they are of: naming takes longer than all the rest.
    static NAMED: RefCell<FxHashMap<u64, [Feature; 4]>> = RefCell::default();
}

/// What `make` gives for `what`, which is made once.
fn known(what: impl Hash, make: impl FnOnce() -> [Feature; 4]) -> [Feature; 4] {
    let mut hasher = FxHasher::default();
    what.hash(&mut hasher);
    NAMED.with_borrow_mut(|known| *known.entry(hasher.finish()).or_insert_with(make))
}

fn feature_of_edge(from: &Op, to: &Op) -> Feature {
    let (a, b) = (from.kind(), to.kind());
    known((Group::Edge as u8, a, b), || [Feature::new(Group::Edge, &name_of_edge(from, to)); 4])[0]
}

/// The numbers that an application adds by itself.
pub(super) fn of_application(
    op: &Op,
    inputs: &[Option<&TensorType>],
    cost: &Cost,
    scale: Scale,
) -> [(Feature, f64); 4] {
    let (time, launches) = (cost.time_us / scale.time_us, cost.launches / scale.launches);
    let [a, b, c, d] = known((Group::Application as u8, op, inputs), || {
        names_of_application(op, inputs).map(|(group, what)| Feature::new(group, &what))
    });
    [(a, time), (b, launches), (c, time), (d, launches)]
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

    #[test]
    fn every_number_goes_by_its_name_in_every_build() {
        let costs = Roofline::new(DeviceProfile::cpu());
        let graph = model("nasrnn_4", &[]);
        let encoding = Encoding::of(&costs, &graph, Scale::of(&costs, &graph));
        let mut names = Names::new();
        add_names(&costs, &graph, &mut names);
        assert_eq!(
            names.keys().copied().collect::<Vec<_>>(),
            encoding.entries().iter().map(|e| e.0).collect::<Vec<_>>()
        );
        assert!(names.iter().all(|(feature, name)| Feature::named(name) == Some(*feature)), "{names:?}");
        // Files are read by other builds.
        assert_eq!(Feature::named("time Conv"), Some(Feature(1_582_874_838_704_570_533)));
        assert_eq!(Feature::named("edge Conv Relu").map(Feature::group), Some(Group::Edge));
        assert_eq!((Feature::named("weight Conv"), Feature::named("time")), (None, None));
    }
}
