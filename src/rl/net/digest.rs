//! An observation in the form that a policy reads and a buffer keeps: equal nodes and equal candidates counted, not listed.

use rustc_hash::FxHashMap;

use crate::rl::observation::{CANDIDATE_FEATURES, ClassId, GLOBAL_FEATURES, Observation, Plain};

/// By what a node is known to the encoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeKey {
    /// By its class: equal neighbourhoods have equal embeddings.
    Class,
    /// By its position in the observation.
    Position,
}

/// An observation, counted.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    /// Different nodes: key, share of all nodes, share of the initial cost.
    pub nodes: Vec<NodeWeight>,
    /// The whole.
    pub globals: [f32; GLOBAL_FEATURES],
    /// Rules with candidates, ascending, each with its part of `distinct`.
    pub groups: Vec<Group>,
    /// Candidates that differ, by rule.
    pub distinct: Vec<Distinct>,
    /// The graph, where the encoder needs it whole.
    pub plain: Option<Plain>,
}

/// Nodes of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeWeight {
    /// See [`NodeKey`].
    pub key: u32,
    /// Their number, as a share of all.
    pub share: f32,
    /// Their estimated time as a share of the initial total.
    pub cost: f32,
}

/// The candidates of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The rule's number.
    pub rule: u32,
    /// Its part of [`Digest::distinct`] begins here.
    pub start: u32,
    /// And ends here.
    pub end: u32,
    /// How many candidates that stands for.
    pub sites: u32,
}

/// Candidates that the network cannot tell apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Distinct {
    /// What is known of each of them.
    pub features: [f32; CANDIDATE_FEATURES],
    /// Keys of the nodes that they touch, ascending.
    pub touched: Vec<u32>,
    /// Their positions among the observation's candidates.
    pub sites: Vec<u32>,
}

impl Digest {
    /// Counts what is equal.
    pub fn new(observation: Observation, by: NodeKey) -> Digest {
        let key = |position: u32| match by {
            NodeKey::Class => observation.nodes[position as usize],
            NodeKey::Position => position,
        };
        let share = 1.0 / observation.nodes.len().max(1) as f32;
        let mut nodes: Vec<NodeWeight> = Vec::new();
        let mut place: FxHashMap<ClassId, usize> = FxHashMap::default();
        for (position, cost) in (0..).zip(&observation.cost_share) {
            let key = key(position);
            let at = *place.entry(key).or_insert(nodes.len());
            match nodes.get_mut(at) {
                Some(node) => {
                    node.share += share;
                    node.cost += cost;
                }
                None => nodes.push(NodeWeight { key, share, cost: *cost }),
            }
        }
        let candidates = &observation.candidates;
        let mut groups: Vec<Group> = Vec::new();
        let mut distinct: Vec<Distinct> = Vec::new();
        let mut known: FxHashMap<(Vec<u32>, [u32; CANDIDATE_FEATURES]), usize> = FxHashMap::default();
        for (position, &rule) in (0u32..).zip(&candidates.rules) {
            if groups.last().is_none_or(|group| group.rule != rule) {
                let start = distinct.len() as u32;
                groups.push(Group { rule, start, end: start, sites: 0 });
                known.clear();
            }
            let group = groups.last_mut().expect("one was just added");
            let features = candidates.features[position as usize];
            let mut touched: Vec<u32> = candidates.touched_by(position as usize).iter().map(|&p| key(p)).collect();
            touched.sort_unstable();
            let at = *known.entry((touched.clone(), features.map(f32::to_bits))).or_insert(distinct.len());
            match distinct.get_mut(at) {
                Some(equal) => equal.sites.push(position),
                None => distinct.push(Distinct { features, touched, sites: vec![position] }),
            }
            group.end = distinct.len() as u32;
            group.sites += 1;
        }
        Digest { nodes, globals: observation.globals, groups, distinct, plain: observation.plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::observation::Candidates;

    #[test]
    fn equal_nodes_and_equal_candidates_are_counted() {
        let mut features = [[0.0; CANDIDATE_FEATURES]; 4];
        features[2][0] = 1.0;
        let observation = Observation {
            nodes: vec![7, 8, 7, 9],
            cost_share: vec![0.25, 0.5, 0.125, 0.125],
            candidates: Candidates {
                rules: vec![3, 3, 3, 5],
                features: features.to_vec(),
                starts: vec![0, 2, 4, 5, 6],
                touched: vec![0, 1, 2, 1, 0, 3],
            },
            ..Observation::default()
        };
        let digest = Digest::new(observation.clone(), NodeKey::Class);
        let node = |key, share, cost| NodeWeight { key, share, cost };
        assert_eq!(digest.nodes, [node(7, 0.5, 0.375), node(8, 0.25, 0.5), node(9, 0.25, 0.125)]);
        let group = |rule, start, end, sites| Group { rule, start, end, sites };
        assert_eq!(digest.groups, [group(3, 0, 2, 3), group(5, 2, 3, 1)]);
        assert_eq!(digest.distinct[0].sites, [0, 1]);
        assert_eq!(digest.distinct[1].sites, [2]);
        assert_eq!(digest.distinct[2].touched, [9]);
        let listed = Digest::new(observation, NodeKey::Position);
        assert_eq!((listed.nodes.len(), listed.distinct.len()), (4, 4));
    }
}
