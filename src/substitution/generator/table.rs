//! Graphs of equal fingerprints.
//!
//! Sources are the graphs with canonical names; they are stored, sorted by fingerprint. Targets are all graphs, whatever
//! their names: they stream by, and of those whose fingerprint is that of a source the least are kept. So no target
//! is lost for its names, and memory goes with the number of sources alone. Where that is too much, sources are split
//! by fingerprint and the work is done in several passes, with the same result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::arithmetic::Field;
use super::graph::Packed;
use super::preset::Preset;
use super::walk::{Found, Names, Visitor, Walker};

/// Sources of one part of all fingerprints.
pub struct Table {
    fingerprints: Vec<u64>,
    sources: Vec<Packed>,
    filter: Filter,
}

/// Bits that say which fingerprints may be there.
struct Filter {
    bits: Vec<u64>,
    shift: u32,
}

impl Filter {
    /// About sixteen bits for each fingerprint.
    fn of(fingerprints: &[u64]) -> Filter {
        let words = (fingerprints.len() / 4).next_power_of_two().max(64);
        let shift = 64 - (words * 64).trailing_zeros();
        let mut filter = Filter { bits: vec![0; words], shift };
        for &f in fingerprints {
            let bit = filter.bit(f);
            filter.bits[bit / 64] |= 1 << (bit % 64);
        }
        filter
    }

    fn bit(&self, fingerprint: u64) -> usize {
        // The highest bits say which pass a fingerprint belongs to.
        (fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    fn may_hold(&self, fingerprint: u64) -> bool {
        let bit = self.bit(fingerprint);
        self.bits[bit / 64] >> (bit % 64) & 1 == 1
    }
}

/// Which fingerprints a pass is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Number of the pass.
    pub index: u64,
    /// Number of passes.
    pub count: u64,
}

impl Pass {
    fn holds(self, fingerprint: u64) -> bool {
        ((u128::from(fingerprint) * u128::from(self.count)) >> 64) as u64 == self.index
    }
}

/// How a walk over many beginnings is watched and stopped.
#[derive(Default)]
pub struct Watch {
    /// Graphs walked so far.
    pub graphs: AtomicU64,
    /// Set when the work is to end early.
    pub stop: Arc<AtomicBool>,
}

impl Watch {
    /// Whether the work is to end early.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A graph whose results are inputs, with these in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The graph.
    pub graph: Packed,
    /// Numbers of inputs.
    pub results: Vec<u8>,
}

/// What is walked.
#[derive(Clone, Copy)]
pub struct Space<'a> {
    /// Inputs and operators.
    pub preset: &'a Preset,
    /// Steps of a graph, at most.
    pub max_ops: usize,
    /// Seed of the elements of inputs.
    pub seed: u64,
}

impl Space<'_> {
    fn walker(&self, names: Names, watch: &Watch) -> Walker<Field> {
        Walker::new(self.preset, self.max_ops, names, self.seed, Arc::clone(&watch.stop))
    }

    /// Number of first steps.
    pub fn beginnings(&self) -> usize {
        self.walker(Names::All, &Watch::default()).beginnings()
    }
}

struct Collect {
    pass: Pass,
    entries: Vec<(u64, Packed)>,
    identities: Vec<Identity>,
}

impl Visitor for Collect {
    fn graph(&mut self, fingerprint: u64, graph: Found<'_>) {
        if self.pass.holds(fingerprint) {
            self.entries.push((fingerprint, graph.packed()));
        }
    }

    fn identity(&mut self, graph: Packed, results: &[u8]) {
        self.identities.push(Identity { graph, results: results.to_vec() });
    }
}

/// All sources of a pass, with the graphs that are nothing but inputs and the number of canonical graphs by steps (of all
/// passes alike); `None` if stopped.
pub fn sources(space: &Space<'_>, pass: Pass, watch: &Watch) -> Option<(Table, Vec<Identity>, Vec<u64>)> {
    let parts: Vec<Collect> = (0..space.beginnings())
        .into_par_iter()
        .map_init(
            || space.walker(Names::Canonical, watch),
            |walker, beginning| {
                let mut collect = Collect { pass, entries: Vec::new(), identities: Vec::new() };
                if !watch.stopped() {
                    let before: u64 = walker.graphs.iter().sum();
                    walker.walk(beginning, &mut collect);
                    watch.graphs.fetch_add(walker.graphs.iter().sum::<u64>() - before, Ordering::Relaxed);
                }
                collect
            },
        )
        .collect();
    if watch.stopped() {
        return None;
    }
    let mut entries = Vec::with_capacity(parts.iter().map(|p| p.entries.len()).sum());
    let mut identities = Vec::new();
    for part in parts {
        entries.extend(part.entries);
        identities.extend(part.identities);
    }
    entries.par_sort_unstable();
    let mut by_ops = vec![0; space.max_ops + 1];
    for (_, graph) in &entries {
        by_ops[graph.ops()] += 1;
    }
    let fingerprints: Vec<u64> = entries.iter().map(|e| e.0).collect();
    let sources = entries.into_iter().map(|e| e.1).collect();
    let filter = Filter::of(&fingerprints);
    Some((Table { fingerprints, sources, filter }, identities, by_ops))
}

/// Bytes that a source takes while a table is made.
pub const BYTES_PER_SOURCE: u64 = 120;

/// Number of sources, of all fingerprints.
pub fn count_sources(space: &Space<'_>, watch: &Watch) -> u64 {
    struct Nothing;
    impl Visitor for Nothing {
        fn graph(&mut self, _: u64, _: Found<'_>) {}
        fn identity(&mut self, _: Packed, _: &[u8]) {}
    }
    let count = |walker: &mut Walker<Field>, beginning: usize| {
        walker.graphs.fill(0);
        walker.walk(beginning, &mut Nothing);
        walker.graphs.iter().sum::<u64>()
    };
    (0..space.beginnings()).into_par_iter().map_init(|| space.walker(Names::Canonical, watch), count).sum()
}

impl Table {
    /// Sources of a fingerprint, least first.
    fn of(&self, fingerprint: u64) -> &[Packed] {
        let from = self.fingerprints.partition_point(|&f| f < fingerprint);
        let count = self.fingerprints[from..].iter().take_while(|&&f| f == fingerprint).count();
        &self.sources[from..from + count]
    }
}

/// The two least graphs of a fingerprint.
pub type Least = [Option<Packed>; 2];

fn insert(least: &mut Least, graph: Packed, rank: &impl Fn(Packed) -> u64) {
    let key = |g: Packed| (rank(g), g);
    match least {
        [Some(a), _] if *a == graph => {}
        [_, Some(b)] if *b == graph => {}
        [Some(a), b] => {
            if key(graph) < key(*a) {
                *b = Some(*a);
                *a = graph;
            } else if b.is_none_or(|b| key(graph) < key(b)) {
                *b = Some(graph);
            }
        }
        [a, _] => *a = Some(graph),
    }
}

struct Match<'a, R> {
    table: &'a Table,
    rank: &'a R,
    least: FxHashMap<u64, Least>,
    hits: u64,
}

impl<R: Fn(Packed) -> u64> Visitor for Match<'_, R> {
    fn graph(&mut self, fingerprint: u64, graph: Found<'_>) {
        if !self.table.filter.may_hold(fingerprint) {
            return;
        }
        let sources = self.table.of(fingerprint);
        let Some(greatest) = sources.last() else { return };
        let packed = graph.packed();
        if packed.ops() > greatest.ops() || (sources.len() == 1 && packed == sources[0]) {
            return;
        }
        self.hits += 1;
        insert(self.least.entry(fingerprint).or_default(), packed, self.rank);
    }

    fn identity(&mut self, _: Packed, _: &[u8]) {}
}

/// For one beginning: the least graphs that begin so, by the fingerprint of sources, in ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    /// Graphs walked, by steps.
    pub graphs: Vec<u64>,
    /// Graphs whose fingerprint is that of a source, not counting a source that is alone with its fingerprint.
    pub hits: u64,
    /// The least of them.
    pub least: Vec<(u64, Least)>,
}

/// Streams all graphs of some beginnings past the sources; `done` is told each result. Returns false if stopped.
pub fn targets(
    space: &Space<'_>,
    table: &Table,
    beginnings: &[usize],
    rank: &(impl Fn(Packed) -> u64 + Sync),
    watch: &Watch,
    done: &(impl Fn(usize, Matches) + Sync),
) -> bool {
    beginnings.par_iter().with_max_len(1).for_each_init(
        || space.walker(Names::All, watch),
        |walker, &beginning| {
            if watch.stopped() {
                return;
            }
            walker.graphs.fill(0);
            let mut matching = Match { table, rank, least: FxHashMap::default(), hits: 0 };
            walker.walk(beginning, &mut matching);
            if watch.stopped() {
                return;
            }
            watch.graphs.fetch_add(walker.graphs.iter().sum::<u64>(), Ordering::Relaxed);
            let mut least: Vec<(u64, Least)> = matching.least.into_iter().collect();
            least.sort_unstable_by_key(|(f, _)| *f);
            done(beginning, Matches { graphs: walker.graphs.clone(), hits: matching.hits, least });
        },
    );
    !watch.stopped()
}

/// Joins the results of all beginnings into pairs (source, lesser or equal graph of the same fingerprint), sorted.
pub fn pairs(table: &Table, matches: &[Matches], rank: &impl Fn(Packed) -> u64) -> Vec<(Packed, Packed)> {
    let mut least: FxHashMap<u64, Least> = FxHashMap::default();
    for (fingerprint, found) in matches.iter().flat_map(|m| &m.least) {
        let all = least.entry(*fingerprint).or_default();
        for graph in found.iter().flatten() {
            insert(all, *graph, rank);
        }
    }
    let mut pairs = Vec::new();
    let mut from = 0;
    while from < table.sources.len() {
        let fingerprint = table.fingerprints[from];
        let sources = &table.sources[from..];
        let count = table.fingerprints[from..].iter().take_while(|&&f| f == fingerprint).count();
        let sources = &sources[..count];
        from += count;
        let mut two = least.get(&fingerprint).copied().unwrap_or_default();
        if count == 1 && two == [None, None] {
            continue;
        }
        sources.iter().for_each(|&s| insert(&mut two, s, rank));
        let [Some(first), Some(second)] = two else { continue };
        for &source in sources {
            if source != first {
                pairs.push((source, first));
            } else if rank(second) == rank(first) {
                pairs.push((source, second));
            }
        }
    }
    pairs.sort_unstable();
    pairs
}
