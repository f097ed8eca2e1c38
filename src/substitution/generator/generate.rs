//! The whole way from a preset to a library.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::generalise::{Direction, GENERALITIES, Inexpressible, is_trivial, name, rule};
use super::graph::Packed;
use super::preset::Preset;
use super::prune::{Derived, Pair, prune};
use super::table::{Identity, Matches, Pass, Space, Watch, pairs, sources, targets};
use super::verify::Evaluator;
use crate::rewrite::Rule;
use crate::substitution::check::check;
use crate::substitution::{Generator, Library, Status, Substitution, TrialSettings, Verification, id_of, try_rule};

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
    /// Rules are tested.
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
}

/// The result.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// The rules, with the counts.
    pub library: Library,
    /// Counts of every stage.
    pub counts: Counts,
    /// Pairs that hold on the tensors of the preset and are no rule, each as text with the reason.
    pub left_out: Vec<String>,
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

/// How expensive a graph is, roughly and whatever its context: number of operators first.
pub fn rank(preset: &Preset) -> impl Fn(Packed) -> u64 + Sync + use<> {
    use super::operator::Operator::*;
    let weigh = |op| match op {
        Conv { relu, .. } => 64 + u64::from(relu),
        MatMul => 48,
        AveragePool | MaxPool => 24,
        Concat { .. } | Split { .. } => 8,
        Softmax | Function(_) => 12,
        Mul | Add | Sub | ChannelAdd | ChannelMul => 6,
        Scale => 5,
        Relu | Transpose { .. } | TransposeLast => 4,
        Enlarge | PoolKernel | IdentityKernel | IdentityMatrix | Ones => 1,
    };
    let weights: Vec<u64> = preset.functions().into_iter().map(weigh).collect();
    move |graph: Packed| {
        let sum: u64 = graph.steps().iter().map(|s| weights[usize::from(s.op)]).sum();
        (graph.ops() as u64) << 32 | sum
    }
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

/// A direction of a pair on its way to a rule.
struct Candidate {
    direction: Direction,
    /// Pair that it comes from; identities come first.
    pair: Option<usize>,
    last: Option<Inexpressible>,
    rule: Option<(String, Rule)>,
    /// Whether both sides are the same.
    trivial: bool,
}

/// What becomes of a candidate in one round.
enum Proposal {
    Rule(String, Box<Rule>),
    Trivial,
    None(Option<Inexpressible>),
}

/// Checks, prunes, generalises and tests.
pub fn write(settings: &Settings, found: &Found, progress: Progress<'_>) -> Generated {
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
            candidates.push(Candidate { direction, pair: None, last: None, rule: None, trivial: false });
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
            candidates.push(Candidate { direction, pair: Some(number), last: None, rule: None, trivial: false });
        }
    }
    generalise(settings, &mut candidates, progress);
    assemble(settings, &all, candidates, &mut counts)
}

/// Gives each candidate its most general true rule. Each rule is tested once, however many candidates propose it.
fn generalise(settings: &Settings, candidates: &mut [Candidate], progress: Progress<'_>) {
    let preset = &settings.preset;
    let total = (candidates.len() * GENERALITIES.len()) as u64;
    let trials = TrialSettings { seed: settings.seed, instances: 8, attempts: 20_000, ..TrialSettings::default() };
    for (round, generality) in GENERALITIES.into_iter().enumerate() {
        let proposed: Vec<Proposal> = candidates
            .par_iter()
            .map(|candidate| {
                if candidate.rule.is_some() || candidate.trivial {
                    return Proposal::None(None);
                }
                match rule(preset, &candidate.direction, generality) {
                    Err(why) => Proposal::None(Some(why)),
                    Ok(None) => Proposal::None(None),
                    Ok(Some(rule)) if is_trivial(&rule) => Proposal::Trivial,
                    Ok(Some(mut rule)) => {
                        let id = id_of(&rule);
                        rule.name = name(preset, &rule, &id);
                        // What the language refuses (sources that hang together by nothing) is no rule.
                        if check(&rule).is_ok() { Proposal::Rule(id, Box::new(rule)) } else { Proposal::None(None) }
                    }
                }
            })
            .collect();
        let rules = proposed.iter().filter_map(|p| match p {
            Proposal::Rule(id, rule) => Some((id, &**rule)),
            Proposal::Trivial | Proposal::None(_) => None,
        });
        let different: BTreeMap<&String, &Rule> = rules.collect();
        let tested = std::sync::atomic::AtomicU64::new(0);
        let share = (candidates.len() as u64).checked_div(different.len() as u64).unwrap_or(1);
        let good: BTreeSet<String> = different
            .into_par_iter()
            .filter(|(_, rule)| {
                let n = tested.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                progress(Stage::Rules, (round * candidates.len()) as u64 + n * share, total);
                try_rule(rule, &trials).is_ok()
            })
            .map(|(id, _)| id.clone())
            .collect();
        for (candidate, proposed) in candidates.iter_mut().zip(proposed) {
            match proposed {
                Proposal::Rule(id, rule) if good.contains(&id) => candidate.rule = Some((id, *rule)),
                Proposal::Trivial => candidate.trivial = true,
                Proposal::None(Some(why)) => candidate.last = Some(why),
                Proposal::Rule(..) | Proposal::None(None) => {}
            }
        }
    }
}

fn assemble(settings: &Settings, all: &[Pair], candidates: Vec<Candidate>, counts: &mut Counts) -> Generated {
    let mut substitutions: Vec<Substitution> = Vec::new();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut by_pair: BTreeMap<usize, String> = BTreeMap::new();
    let mut left_out = Vec::new();
    for candidate in &candidates {
        let (Some(pair), Some((id, _))) = (candidate.pair, &candidate.rule) else { continue };
        by_pair.entry(pair).or_insert_with(|| id.clone());
    }
    // Rules that stand for themselves come before those that follow from others.
    let derived = |c: &Candidate| c.pair.is_some_and(|p| all[p].derived.is_some());
    let (first, second): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|c| !derived(c));
    for candidate in first.into_iter().chain(second) {
        if candidate.trivial {
            counts.trivial += 1;
            continue;
        }
        let Some((id, rule)) = candidate.rule else {
            match candidate.last {
                Some(why) => *counts.inexpressible.entry(why.to_string()).or_default() += 1,
                None => counts.refuted += 1,
            }
            let reason =
                candidate.last.map_or("no general form of it is true or can be tested".to_owned(), |w| w.to_string());
            let text = super::show::direction(&settings.preset, &candidate.direction);
            left_out.push(format!("{text}    # {reason}"));
            continue;
        };
        let derived_from: Vec<String> = match candidate.pair.map(|p| all[p].derived) {
            Some(Some(Derived::Part(part) | Derived::Instance(part))) => match by_pair.get(&part) {
                Some(other) if *other != id => vec![other.clone()],
                // What it follows from is no rule here: that is told among what is left out.
                _ => continue,
            },
            _ => Vec::new(),
        };
        if !taken.insert(id.clone()) {
            counts.same_rule += 1;
            continue;
        }
        let verification = Verification { status: Status::Tested, finite_field: None, proof: Vec::new() };
        substitutions.push(Substitution { id, rule, derived_from, verification });
    }
    let pruned = BTreeMap::from([
        ("collision".to_owned(), counts.collisions),
        ("common_subgraph".to_owned(), counts.common_subgraph),
        ("common_supergraph".to_owned(), counts.common_supergraph),
        ("derived".to_owned(), counts.derived),
        ("renaming".to_owned(), counts.renaming),
        ("same_rule".to_owned(), counts.same_rule),
        ("trivial".to_owned(), counts.trivial),
    ]);
    let generator = Generator {
        preset: settings.preset.name.to_owned(),
        operators: settings.preset.functions().iter().map(|op| super::show::operator(*op)).collect(),
        max_ops: settings.max_ops as u64,
        seed: settings.seed,
        enumerated: counts.graphs.iter().sum(),
        candidates: counts.candidates,
        pruned,
    };
    let library = Library { generator: Some(generator), substitutions };
    Generated { library, counts: counts.clone(), left_out }
}
