//! Which candidates a dream knows of: a few, with every rule's best before any rule's second best, on seats that keep their
//! holders from step to step.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::rl::net::digest::{Digest, Distinct};

/// Slots of a state at most.
pub const SLOTS: usize = 32;

/// Candidates that the network cannot tell apart, as a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Position in [`Digest::distinct`].
    pub distinct: u32,
    /// The rule's number.
    pub rule: u32,
    /// Equal for what is the same at the same kind of place.
    exact: u64,
    /// Equal for what does the same.
    coarse: u64,
}

/// Features that say how a candidate relates to the rest of the graph, not what it is: the number of its like, and what it
/// would earn now.
const RELATIVE: [usize; 2] = [5, 7];

impl Chosen {
    fn new(rule: u32, at: u32, distinct: &Distinct) -> Chosen {
        let mut exact = FxHasher::default();
        (rule, &distinct.touched).hash(&mut exact);
        for (i, feature) in distinct.features.iter().enumerate() {
            if !RELATIVE.contains(&i) {
                feature.to_bits().hash(&mut exact);
            }
        }
        let mut coarse = FxHasher::default();
        // The size of the change in steps of some percent: it is a logarithm of six decades.
        let size = (distinct.features[2] * 256.0).round() as i64;
        (rule, distinct.features[1] as i64, size).hash(&mut coarse);
        Chosen { distinct: at, rule, exact: exact.finish(), coarse: coarse.finish() }
    }
}

/// The candidates that get slots: the best of each rule, by predicted change, then the second of each, and so on.
pub fn choose(digest: &Digest) -> Vec<Chosen> {
    let mut ranked: Vec<(usize, f32, Chosen)> = Vec::new();
    for group in &digest.groups {
        let mut own: Vec<u32> = (group.start..group.end).collect();
        let change = |at: u32| digest.distinct[at as usize].features[0];
        own.sort_by(|a, b| change(*a).total_cmp(&change(*b)).then(a.cmp(b)));
        let chosen =
            |(rank, at): (usize, u32)| (rank, change(at), Chosen::new(group.rule, at, &digest.distinct[at as usize]));
        ranked.extend(own.into_iter().take(SLOTS).enumerate().map(chosen));
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.rule.cmp(&b.2.rule)));
    ranked.into_iter().take(SLOTS).map(|(_, _, chosen)| chosen).collect()
}

/// Who sits where, from step to step of an episode.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    holders: [Option<Chosen>; SLOTS],
}

/// A state's slots by seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Position in [`Digest::distinct`].
    pub distinct: u32,
    /// The rule's number.
    pub rule: u32,
    /// Whether it sat here one step ago.
    pub kept: bool,
}

impl Seats {
    /// Gives every candidate a seat: where it sat, else where one sat that does the same and is gone, else the first that is
    /// free.
    pub fn seat(&mut self, chosen: &[Chosen]) -> [Option<Seat>; SLOTS] {
        let mut seats: [Option<(usize, bool)>; SLOTS] = [None; SLOTS];
        let mut waiting: Vec<usize> = (0..chosen.len()).collect();
        for key in [(|c: &Chosen| c.exact) as fn(&Chosen) -> u64, |c: &Chosen| c.coarse] {
            waiting.retain(|&at| {
                let is_its = |(seat, holder): (usize, &Option<Chosen>)| {
                    seats[seat].is_none() && holder.as_ref().is_some_and(|h| key(h) == key(&chosen[at]))
                };
                let seat = self.holders.iter().enumerate().position(is_its);
                if let Some(seat) = seat {
                    seats[seat] = Some((at, true));
                }
                seat.is_none()
            });
        }
        for at in waiting {
            let free = seats.iter().position(Option::is_none).expect("as many seats as candidates may be chosen");
            seats[free] = Some((at, false));
        }
        self.holders = seats.map(|seat| seat.map(|(at, _)| chosen[at]));
        seats.map(|seat| seat.map(|(at, kept)| Seat { distinct: chosen[at].distinct, rule: chosen[at].rule, kept }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::net::digest::Group;

    fn digest(rules: &[&[(f32, u32)]]) -> Digest {
        let mut digest = Digest::default();
        for (rule, changes) in rules.iter().enumerate() {
            let start = digest.distinct.len() as u32;
            for &(change, touched) in *changes {
                let features = [change, change.signum(), change.abs(), 0.0, 0.0, 0.5, 0.0, 0.7];
                digest.distinct.push(Distinct { features, touched: vec![touched], sites: vec![start] });
            }
            let end = digest.distinct.len() as u32;
            digest.groups.push(Group { rule: rule as u32, start, end, sites: end - start });
        }
        digest
    }

    #[test]
    fn every_rule_has_its_best_before_any_has_its_second() {
        let many: Vec<(f32, u32)> = (0..40).map(|i| (-1.0 + i as f32 / 100.0, i)).collect();
        let digest = digest(&[&many, &[(0.2, 1), (-0.1, 2)], &[(0.0, 3)]]);
        let chosen = choose(&digest);
        assert_eq!(chosen.len(), SLOTS);
        let first: Vec<(u32, u32)> = chosen.iter().take(5).map(|c| (c.rule, c.distinct)).collect();
        assert_eq!(first, [(0, 0), (1, 41), (2, 42), (0, 1), (1, 40)]);
        assert_eq!(chosen.iter().filter(|c| c.rule == 0).count(), SLOTS - 3);
    }

    #[test]
    fn a_holder_keeps_its_seat_and_a_new_one_takes_the_first_that_is_free() {
        let mut seats = Seats::default();
        let rules = |row: [Option<Seat>; SLOTS]| row.map(|s| s.map(|s| (s.rule, s.kept)));
        let first = rules(seats.seat(&choose(&digest(&[&[(-0.3, 1)], &[(-0.2, 2)], &[(0.1, 3)]]))));
        assert_eq!(first[..4], [Some((0, false)), Some((1, false)), Some((2, false)), None]);
        // The first is gone, the second is at another place, one of the third rule has come.
        let second = rules(seats.seat(&choose(&digest(&[&[], &[(-0.2, 9)], &[(-0.5, 4), (0.1, 3)]]))));
        assert_eq!(second[..4], [Some((2, false)), Some((1, true)), Some((2, true)), None]);
    }
}
