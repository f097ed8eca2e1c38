//! Random observations for tests of the networks.

use std::collections::BTreeSet;

use crate::rl::neighbourhood::{EdgeClass, Neighbourhoods, NodeBase, NodeClass};
use crate::rl::observation::{
    CANDIDATE_FEATURES, Candidates, ClassId, EDGE_FEATURES, GLOBAL_FEATURES, NODE_FEATURES, Observation, Plain,
    PlainEdge, RuleObservation, Side,
};
use crate::rl::random::Random;

/// Different rows of features in tests: few, so that neighbourhoods repeat.
const VARIETY: usize = 2;

/// Numbers of rules in tests.
pub const RULES: usize = 4;

fn row<const N: usize>(random: &mut Random) -> [f32; N] {
    let value = random.below(VARIETY) as f32 - 0.5;
    std::array::from_fn(|i| if i % 2 == 0 { value } else { 0.25 })
}

/// A random acyclic graph of `count` nodes: classes at every radius, by the definition of classes.
fn plain(known: &mut Neighbourhoods, random: &mut Random, count: usize) -> (Plain, Vec<ClassId>) {
    let mut plain = Plain::default();
    for to in 0..count as u32 {
        let base = NodeBase { operator: 3 + random.below(3) as u32, features: row::<NODE_FEATURES>(random) };
        plain.nodes.push(known.intern_base(&base));
        for _ in 0..random.below(3).min(to as usize) {
            let class = known.intern_edge_base(&row::<EDGE_FEATURES>(random));
            plain.edges.push(PlainEdge { from: random.below(to as usize) as u32, to, class });
        }
    }
    let mut nodes = plain.nodes.clone();
    let mut edges: Vec<ClassId> = plain.edges.iter().map(|e| e.class).collect();
    for k in 1..=known.rounds() {
        let ends = |edge: &PlainEdge, before| EdgeClass {
            before,
            from: nodes[edge.from as usize],
            to: nodes[edge.to as usize],
        };
        edges = plain.edges.iter().zip(&edges).map(|(e, before)| known.intern_edge(k, ends(e, *before))).collect();
        let of = |node: usize, end: &dyn Fn(&PlainEdge) -> u32| {
            let own = plain.edges.iter().zip(&edges).filter(|(e, _)| end(e) == node as u32);
            let mut classes: Vec<ClassId> = own.map(|(_, class)| *class).collect();
            classes.sort_unstable();
            classes
        };
        let all: Vec<_> = (0..count).map(|n| (nodes[n], of(n, &|e| e.to), of(n, &|e| e.from))).collect();
        nodes = all
            .iter()
            .map(|(before, incoming, outgoing)| known.intern_node(k, NodeClass { before: *before, incoming, outgoing }))
            .collect();
    }
    (plain, nodes)
}

/// A random observation with `sites` candidates.
pub fn observation(known: &mut Neighbourhoods, random: &mut Random, count: usize, sites: usize) -> Observation {
    let (plain, nodes) = plain(known, random, count);
    let mut rules: Vec<u32> = (0..sites).map(|_| random.below(RULES) as u32).collect();
    rules.sort_unstable();
    let mut candidates = Candidates { rules, starts: vec![0], ..Candidates::default() };
    for _ in 0..sites {
        candidates.features.push(row::<CANDIDATE_FEATURES>(random));
        let touched: BTreeSet<u32> = (0..2).map(|_| random.below(count) as u32).collect();
        candidates.touched.extend(touched);
        candidates.starts.push(candidates.touched.len() as u32);
    }
    Observation {
        cost_share: (0..count).map(|_| random.unit() as f32 / count as f32).collect(),
        globals: row::<GLOBAL_FEATURES>(random),
        nodes,
        plain: Some(plain),
        candidates,
    }
}

/// Random rules.
pub fn rules(known: &mut Neighbourhoods, random: &mut Random) -> Vec<RuleObservation> {
    let side = |known: &mut Neighbourhoods, random: &mut Random| {
        let (plain, nodes) = plain(known, random, 3);
        Side { nodes, plain }
    };
    (0..RULES).map(|_| RuleObservation { source: side(known, random), target: side(known, random) }).collect()
}
