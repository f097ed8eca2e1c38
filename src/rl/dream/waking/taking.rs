//! What actions take from slots: a rewrite removes nodes, and no match that needs one of them is there afterwards.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::NodeId;
use crate::rewrite::Candidate;
use crate::rl::dream::slots::{SLOTS, Seat};
use crate::rl::env::Env;
use crate::rl::net::digest::Digest;

/// So many of the candidates that a slot stands for are asked what they take; the mean is what the slot takes.
const ASKED: usize = 8;

/// Who needs which node in a state.
#[derive(Debug)]
pub struct Taking {
    /// All candidates, by position.
    candidates: Vec<Arc<Candidate>>,
    /// The candidates of each slot, by position.
    sites: Vec<Vec<u32>>,
    /// Slots and candidates that match a node.
    needed_by: FxHashMap<NodeId, Vec<(u8, u32)>>,
}

impl Taking {
    /// Of the state that an environment is in.
    pub fn new(env: &mut Env<'_>, digest: &Digest, seats: &[Option<Seat>; SLOTS]) -> Taking {
        let candidates: Vec<Arc<Candidate>> = (0..env.candidates()).map(|at| env.candidate(at).clone()).collect();
        let sites = |seat: &Option<Seat>| seat.map(|seat| digest.distinct[seat.distinct as usize].sites.clone());
        Taking::of(candidates, seats.iter().map(|seat| sites(seat).unwrap_or_default()).collect())
    }

    fn of(candidates: Vec<Arc<Candidate>>, sites: Vec<Vec<u32>>) -> Taking {
        let mut needed_by: FxHashMap<NodeId, Vec<(u8, u32)>> = FxHashMap::default();
        for (slot, own) in sites.iter().enumerate() {
            for &site in own {
                for id in candidates[site as usize].found.nodes() {
                    needed_by.entry(id).or_default().push((slot as u8, site));
                }
            }
        }
        Taking { candidates, sites, needed_by }
    }

    /// `[SLOTS]`: the share of each slot's candidates of which this one removes a node.
    pub fn by(&self, site: u32) -> Vec<f32> {
        let mut hit: FxHashSet<(u8, u32)> = FxHashSet::default();
        for id in &self.candidates[site as usize].patch.dead {
            hit.extend(self.needed_by.get(id).into_iter().flatten());
        }
        let mut takes = vec![0.0; SLOTS];
        // Whole numbers: the order of a set does not reach the sums.
        hit.iter().for_each(|(slot, _)| takes[*slot as usize] += 1.0);
        takes.iter_mut().zip(&self.sites).for_each(|(takes, sites)| *takes /= sites.len().max(1) as f32);
        takes
    }

    /// `[SLOTS * SLOTS]`: what each slot takes from each.
    pub fn all(&self) -> Vec<f32> {
        let row = |sites: &Vec<u32>| {
            let asked = &sites[..sites.len().min(ASKED)];
            let mut mean = vec![0.0; SLOTS];
            for &site in asked {
                mean.iter_mut().zip(self.by(site)).for_each(|(sum, takes)| *sum += takes / asked.len() as f32);
            }
            mean
        };
        self.sites.iter().flat_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{DeviceProfile, Roofline};
    use crate::rl::env::tests::{model as graph, rules};
    use crate::rl::env::{Action, EnvSettings, Task};

    #[test]
    fn what_is_taken_is_gone_afterwards() {
        let model = Roofline::new(DeviceProfile::cpu());
        let task = Arc::new(Task::new(&graph("nasrnn_4", &[]), rules(), &model));
        let mut env = Env::new(task, EnvSettings::default());
        let matched = |candidate: &Candidate| {
            let mut nodes: Vec<NodeId> = candidate.found.nodes().collect();
            nodes.sort_unstable();
            (candidate.found.rule, nodes)
        };
        let (mut taken, mut left) = (0, 0);
        for step in 0..5 {
            let count = env.candidates().min(SLOTS);
            let all: Vec<_> = (0..env.candidates()).map(|at| env.candidate(at).clone()).collect();
            // One candidate a slot, and the last slot stands for two.
            let mut sites: Vec<Vec<u32>> = (0..count as u32).map(|at| vec![at]).collect();
            sites[count - 1].push(0);
            let taking = Taking::of(all.clone(), sites);
            let site = (7 * step) % (count - 1);
            let takes = taking.by(site as u32);
            assert_eq!(takes[site], 1.0, "a rewrite takes itself");
            assert_eq!(taking.all()[site * SLOTS..(site + 1) * SLOTS], takes);
            let share = [takes[0], taking.by(site as u32)[count - 1]];
            assert!(share[0] == 0.0 || share[1] >= 0.5, "one of two at least: {share:?}");
            env.step(Action::Apply(site));
            let after: Vec<_> = (0..env.candidates()).map(|at| matched(env.candidate(at))).collect();
            for (slot, candidate) in all.iter().take(count - 1).enumerate() {
                if takes[slot] == 1.0 {
                    assert!(!after.contains(&matched(candidate)), "step {step}: {slot} is gone");
                    taken += 1;
                } else {
                    left += 1;
                }
            }
        }
        assert!(taken > 5 && left > 5, "{taken} taken, {left} left");
    }
}
