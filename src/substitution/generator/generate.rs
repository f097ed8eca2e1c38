//! The whole way from a preset to a library.

use std::collections::BTreeMap;
use std::time::Duration;

use super::assemble::assemble;
use super::candidate::{Candidate, settle};
use super::generalise::Direction;
use super::graph::Packed;
use super::preset::Preset;
use super::prune::{Derived, prune};
use super::table::{Identity, Matches, Pass, Space, Watch, pairs, sources, targets};
use super::useful::{is_useful, rank};
use super::verify::Evaluator;
use crate::substitution::{Library, ProverLimits};

/// What is generated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Inputs and operators.
    pub preset: Preset,
    /// Operators of a graph, at most.
    pub max_ops: usize,
    /// Seed of the elements.
    pub seed: u64,
    /// Passes over the graphs, each with a part of the sources in memory. The result does not depend on it.
    pub passes: u64,
    /// Whether rules that follow from smaller ones are written too.
    pub derived: bool,
    /// Bounds of the search for proofs; `None`: no rule is proved.
    pub prover: Option<ProverLimits>,
    /// Keeps only rules that a search has a use for.
    pub useful: bool,
    /// Names of rules that have one already, by id.
    pub names: BTreeMap<String, String>,
}

/// What is being done, for whoever watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Graphs with canonical names are collected.
    Sources,
    /// All graphs are looked up.
    Targets,
    /// Pairs are checked and pruned.
    Pairs,
    /// Rules are tested and proved.
    Rules,
}

/// Who watches: told the stage and how far it is, from 0 to the number given.
pub type Progress<'a> = &'a (dyn Fn(Stage, u64, u64) + Sync);

/// Counts of every stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connected graphs with canonical names.
    pub canonical: u64,
    /// Connected graphs under all names, by number of operators.
    pub graphs: Vec<u64>,
    /// Pairs (graph, least graph of its fingerprint).
    pub candidates: u64,
    /// Candidates that differ on fresh data.
    pub collisions: u64,
    /// Candidates that another becomes by renaming.
    pub renaming: u64,
    /// Pairs with a common beginning.
    pub common_subgraph: u64,
    /// Pairs with a common end.
    pub common_supergraph: u64,
    /// Pairs whose source has a part that a smaller pair replaces, or that another pair becomes when inputs are made the
    /// same.
    pub derived: u64,
    /// Pairs left.
    pub pairs: u64,
    /// Graphs that are nothing but inputs.
    pub identities: u64,
    /// Directions that the rule language does not say, by reason.
    pub inexpressible: BTreeMap<String, u64>,
    /// Directions no general form of which is true.
    pub refuted: u64,
    /// Directions that another says for all shapes.
    pub same_rule: u64,
    /// Directions whose sides are the same once operators with a rectifier are two.
    pub trivial: u64,
    /// Directions that a search has no use for.
    pub useless: u64,
    /// Rules with a proof.
    pub proved: u64,
    /// Rules that pass every test and have no proof.
    pub unproved: u64,
}

/// The result.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// The rules that are proved, with the counts.
    pub library: Library,
    /// The rules that pass every test and are not proved, each with the reason.
    pub unproved: Library,
    /// Counts of every stage.
    pub counts: Counts,
    /// Pairs that hold on the tensors of the preset and are no rule, each as text with the reason.
    pub left_out: Vec<String>,
    /// What each attempt at a proof took, with whether it succeeded; in ascending order.
    pub proving: Vec<(Duration, bool)>,
}

/// Graphs of equal fingerprints, before they are checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Pairs (greater, lesser), sorted.
    pub pairs: Vec<(Packed, Packed)>,
    /// Graphs that are nothing but inputs.
    pub identities: Vec<Identity>,
    /// Canonical graphs.
    pub canonical: u64,
    /// Graphs under all names, by number of operators.
    pub graphs: Vec<u64>,
}

/// Enumerates and pairs. `known` are the results of beginnings that were walked before, by (pass, beginning); `save` is told
/// each new one; only beginnings that `mine` says are walked. `None` if stopped, or if not all beginnings are there.
pub fn find(
    settings: &Settings,
    known: &BTreeMap<(u64, usize), Matches>,
    mine: &(dyn Fn(usize) -> bool + Sync),
    save: &(dyn Fn(u64, usize, &Matches) + Sync),
    watch: &Watch,
    progress: Progress<'_>,
) -> Option<Found> {
    let space = Space { preset: &settings.preset, max_ops: settings.max_ops, seed: settings.seed };
    let rank = rank(&settings.preset);
    let beginnings = space.beginnings();
    let mut found = Found { graphs: vec![0; settings.max_ops + 1], ..Found::default() };
    let mut complete = true;
    let total = beginnings as u64 * settings.passes;
    for index in 0..settings.passes {
        let pass = Pass { index, count: settings.passes };
        progress(Stage::Sources, index, settings.passes);
        let (table, identities, by_ops) = sources(&space, pass, watch)?;
        found.canonical += by_ops.iter().sum::<u64>();
        let todo: Vec<usize> = (0..beginnings).filter(|&b| mine(b) && !known.contains_key(&(index, b))).collect();
        let fresh = std::sync::Mutex::new(BTreeMap::new());
        let done = |beginning: usize, matches: Matches| {
            save(index, beginning, &matches);
            let mut fresh = fresh.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            fresh.insert(beginning, matches);
            let before = (0..beginnings).filter(|&b| known.contains_key(&(index, b))).count();
            progress(Stage::Targets, index * beginnings as u64 + (before + fresh.len()) as u64, total);
        };
        if !targets(&space, &table, &todo, &rank, watch, &done) {
            return None;
        }
        let mut fresh = fresh.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let all: Option<Vec<Matches>> =
            (0..beginnings).map(|b| fresh.remove(&b).or_else(|| known.get(&(index, b)).cloned())).collect();
        let Some(all) = all else {
            complete = false;
            continue;
        };
        found.pairs.extend(pairs(&table, &all, &rank));
        if index == 0 {
            found.identities = identities;
            for matches in &all {
                found.graphs.iter_mut().zip(&matches.graphs).for_each(|(sum, n)| *sum += n);
            }
        }
    }
    found.pairs.sort_unstable();
    complete.then_some(found)
}

/// Checks, prunes, generalises, tests and proves. `None` if stopped.
pub fn write(settings: &Settings, found: &Found, watch: &Watch, progress: Progress<'_>) -> Option<Generated> {
    let preset = &settings.preset;
    let inputs = preset.inputs.len();
    let done = std::sync::atomic::AtomicU64::new(0);
    let tick = || {
        let n = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if n.is_multiple_of(256) {
            progress(Stage::Pairs, n, found.pairs.len() as u64);
        }
    };
    let (all, dropped) = prune(preset, settings.seed, &found.pairs, &rank(preset), &tick);
    let count =
        |test: &dyn Fn(&Derived) -> bool| all.iter().filter(|p| p.derived.is_some_and(|d| test(&d))).count() as u64;
    let mut counts = Counts {
        canonical: found.canonical,
        graphs: found.graphs.clone(),
        candidates: found.pairs.len() as u64,
        collisions: dropped.collisions,
        renaming: dropped.renaming,
        common_subgraph: count(&|d| *d == Derived::CommonSubgraph),
        common_supergraph: count(&|d| *d == Derived::CommonSupergraph),
        derived: count(&|d| matches!(d, Derived::Part(_) | Derived::Instance(_))),
        pairs: all.iter().filter(|p| p.derived.is_none()).count() as u64,
        identities: found.identities.len() as u64,
        ..Counts::default()
    };
    let mut evaluator = Evaluator::new(preset, settings.seed);
    let mut candidates = Vec::new();
    for identity in &found.identities {
        if let Some(n) = evaluator.counts(&identity.graph.steps()) {
            let direction = Direction::identity(identity.graph, &n, inputs, &identity.results);
            candidates.push(Candidate::new(direction, None));
        }
    }
    for (number, pair) in all.iter().enumerate() {
        let backs: &[bool] = match pair.derived {
            None => &[false, true],
            Some(Derived::Part(_) | Derived::Instance(_)) if settings.derived => &[false],
            Some(_) => continue,
        };
        let (Some(s), Some(t)) = (evaluator.counts(&pair.source.steps()), evaluator.counts(&pair.target.steps()))
        else {
            continue;
        };
        for &back in backs {
            let direction = Direction::of(pair, [&s, &t], inputs, back);
            candidates.push(Candidate::new(direction, Some(number)));
        }
    }
    if settings.useful {
        let all = candidates.len();
        candidates.retain(|candidate| is_useful(preset, &candidate.direction));
        counts.useless = (all - candidates.len()) as u64;
    }
    let proving = settle(settings, &mut candidates, watch, progress)?;
    let mut generated = assemble(settings, &all, candidates, counts);
    generated.proving = proving;
    Some(generated)
}
