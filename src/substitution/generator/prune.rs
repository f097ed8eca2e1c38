//! From pairs of equal graphs to rules: pairs are checked on all elements, those that differ in names alone are one, and
//! those that follow from smaller ones are told.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::canonical::Renaming;
use super::graph::{NONE, Packed, Step};
use super::operator::Operands;
use super::preset::Preset;
use super::verify::{Evaluator, outputs};

/// Why a pair says nothing new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Derived {
    /// A part of the source is the source of this smaller pair.
    Part(usize),
    /// It is this pair with one input in place of several.
    Instance(usize),
    /// Both graphs begin with the same steps; the pair holds for any tensor in place of what they make.
    CommonSubgraph,
    /// Both graphs end with the same step, on tensors that are equal.
    CommonSupergraph,
}

/// Two graphs that compute the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The greater graph.
    pub source: Packed,
    /// The lesser graph.
    pub target: Packed,
    /// For each output of the source, the number of the target's.
    pub outputs: Vec<usize>,
    /// Why the pair says nothing new, if it does not.
    pub derived: Option<Derived>,
    /// Whether the target is less in a way that survives renaming and context.
    pub descends: bool,
}

/// Counts of what was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Pairs of equal fingerprints that differ somewhere.
    pub collisions: u64,
    /// Pairs that are another pair under other names.
    pub renaming: u64,
}

/// Tools on graphs of a preset, one set for each thread.
pub struct Tools {
    renaming: Renaming,
    evaluator: Evaluator,
    commutes: Vec<bool>,
    preset: Preset,
}

impl Tools {
    /// For a preset; `seed` is that of the fingerprints, fresh data are drawn apart from it.
    pub fn new(preset: &Preset, seed: u64) -> Tools {
        let commutes = preset.functions().iter().map(|op| op.operands() == Operands::Unordered).collect();
        Tools {
            renaming: Renaming::new(preset),
            evaluator: Evaluator::new(preset, seed),
            commutes,
            preset: preset.clone(),
        }
    }

    fn canonical(&mut self, steps: &[Step]) -> Option<Packed> {
        let counts = self.evaluator.counts(steps)?;
        let commutes = &self.commutes;
        Some(self.renaming.canonical(steps, &counts, &|op| commutes[usize::from(op)]))
    }

    fn canonical_pair(&mut self, a: Packed, b: Packed) -> Option<(Packed, Packed)> {
        let (a, b) = (a.steps(), b.steps());
        let counts = [self.evaluator.counts(&a)?, self.evaluator.counts(&b)?];
        let commutes = &self.commutes;
        Some(self.renaming.canonical_pair((&a, &counts[0]), (&b, &counts[1]), &|op| commutes[usize::from(op)]))
    }

    /// The pair with two or more inputs of one shape made the same, in every way, under the least names; each with either
    /// graph first.
    fn merged(&mut self, pair: &Pair) -> Vec<(Packed, Packed)> {
        let inputs = self.preset.inputs.len() as u8;
        let mut all = Vec::new();
        let mut open = vec![(pair.source.steps(), pair.target.steps())];
        while let Some((s, t)) = open.pop() {
            let mut used: Vec<u8> = s.iter().flat_map(|s| s.args).filter(|&a| a < inputs).collect();
            used.sort_unstable();
            used.dedup();
            for (i, &keep) in used.iter().enumerate() {
                for &gone in &used[i + 1..] {
                    if self.renaming.group(gone) != self.renaming.group(keep) {
                        continue;
                    }
                    let merge = |steps: &[Step]| -> Vec<Step> {
                        let arg = |a: u8| if a == gone { keep } else { a };
                        steps.iter().map(|s| Step { op: s.op, args: s.args.map(arg) }).collect()
                    };
                    let (s, t) = (merge(&s), merge(&t));
                    let (a, b) = (Packed::of(s.iter().copied()), Packed::of(t.iter().copied()));
                    all.extend(self.canonical_pair(a, b));
                    all.extend(self.canonical_pair(b, a));
                    open.push((s, t));
                }
            }
        }
        all
    }

    /// The steps of `subset` (bits) as a graph of its own: what comes from outside becomes an input of the same shape.
    /// `None` where there is no such input, or the subset makes several tensors and is not closed.
    fn part(&mut self, steps: &[Step], subset: u32) -> Option<Vec<Step>> {
        let inputs = self.preset.inputs.len() as u8;
        let counts = self.evaluator.counts(steps)?;
        let mut first = Vec::new();
        let mut next = inputs;
        for &count in &counts {
            first.push(next);
            next += count as u8;
        }
        let producer = |tensor: u8| (0..steps.len()).rev().find(|&i| tensor >= first[i]).unwrap_or(0);
        let inside = |i: usize| subset >> i & 1 == 1;
        let mut names: FxHashMap<u8, u8> = FxHashMap::default();
        let members = || (0..steps.len()).filter(|&i| inside(i));
        let mut taken: Vec<u8> = members().flat_map(|i| steps[i].args).filter(|&a| a < inputs).collect();
        let shapes = shapes(&mut self.evaluator, steps)?;
        let mut part = Vec::new();
        let mut next = inputs;
        for i in members() {
            let mut args = [NONE; 2];
            for (at, &arg) in steps[i].args.iter().enumerate() {
                args[at] = match arg {
                    arg if arg == NONE || arg < inputs => arg,
                    arg if names.contains_key(&arg) => names[&arg],
                    arg => {
                        debug_assert!(!inside(producer(arg)));
                        let fits = |&input: &u8| {
                            shapes[usize::from(input)] == shapes[usize::from(arg)] && !taken.contains(&input)
                        };
                        let input = (0..inputs).find(fits)?;
                        taken.push(input);
                        names.insert(arg, input);
                        input
                    }
                };
            }
            for slot in 0..counts[i] as u8 {
                names.insert(first[i] + slot, next);
                next += 1;
            }
            part.push(Step { op: steps[i].op, args });
        }
        Some(part)
    }
}

/// Shapes of inputs and results.
fn shapes(evaluator: &mut Evaluator, steps: &[Step]) -> Option<Vec<u64>> {
    let domain = evaluator.domain();
    let mut types: Vec<u16> = domain.inputs.iter().map(|t| t.ty).collect();
    for step in steps {
        let ty = |arg: u8| if arg == NONE { None } else { types.get(usize::from(arg)).copied() };
        let plan = domain.plan_of(step.op, ty(step.args[0]), ty(step.args[1]))?;
        types.extend(domain.plan(plan).types.iter());
    }
    Some(types.into_iter().map(|ty| domain.shape_number(ty)).collect())
}

/// Subsets of n steps, smallest first: neither empty nor all.
fn subsets(n: usize) -> Vec<u32> {
    let mut all: Vec<u32> = (1..(1u32 << n) - 1).collect();
    all.sort_by_key(|s| (s.count_ones(), *s));
    all
}

/// Checks and prunes pairs (source, target), of which the first is never less than the second by `rank`. The order of what
/// comes back depends on the pairs alone.
pub fn prune(
    preset: &Preset,
    seed: u64,
    found: &[(Packed, Packed)],
    rank: &(impl Fn(Packed) -> u64 + Sync),
    tick: &(impl Fn() + Sync),
) -> (Vec<Pair>, Dropped) {
    let mut dropped = Dropped::default();
    // Every pair under its least names; equal ones next to each other.
    let mut named: Vec<(Packed, Packed)> = found
        .par_iter()
        .with_min_len(64)
        .map_init(
            || Tools::new(preset, seed),
            |tools, &(s, t)| {
                let pair = tools.canonical_pair(s, t)?;
                if rank(s) > rank(t) { Some(pair) } else { tools.canonical_pair(t, s).map(|other| pair.max(other)) }
            },
        )
        .flatten()
        .collect();
    let before = named.len();
    named.par_sort_unstable();
    named.dedup();
    dropped.renaming = (before - named.len()) as u64;
    // Sources that a smaller graph is known for, by their least names.
    let mut by_source: FxHashMap<Packed, usize> = FxHashMap::default();
    let mut pairs: Vec<Pair> = Vec::new();
    let most = named.iter().map(|p| p.0.ops()).max().unwrap_or(0);
    for ops in 0..=most {
        let of_size: Vec<(Packed, Packed)> = named.iter().copied().filter(|p| p.0.ops() == ops).collect();
        let checked: Vec<Option<(Pair, Packed)>> = of_size
            .par_iter()
            .with_min_len(16)
            .map_init(
                || Tools::new(preset, seed),
                |tools, &(source, target)| {
                    tick();
                    let descends = rank(source) > rank(target);
                    let derived = part_of(tools, source, &by_source);
                    let outputs = tools.evaluator.correspondence(source, target)?;
                    let derived = derived.or_else(|| common(tools, source, target));
                    let key = tools.canonical(&source.steps())?;
                    Some((Pair { source, target, outputs, derived, descends }, key))
                },
            )
            .collect();
        for checked in checked {
            match checked {
                Some((pair, key)) => {
                    if pair.descends {
                        by_source.entry(key).or_insert(pairs.len());
                    }
                    pairs.push(pair);
                }
                None => dropped.collisions += 1,
            }
        }
    }
    mark_instances(preset, seed, &mut pairs);
    (pairs, dropped)
}

/// Marks pairs that another becomes when inputs are made the same.
fn mark_instances(preset: &Preset, seed: u64, pairs: &mut [Pair]) {
    let merged: Vec<Vec<(Packed, Packed)>> = pairs
        .par_iter()
        .with_min_len(16)
        .map_init(
            || Tools::new(preset, seed),
            |tools, pair| if pair.derived.is_none() { tools.merged(pair) } else { Vec::new() },
        )
        .collect();
    let mut general: FxHashMap<(Packed, Packed), usize> = FxHashMap::default();
    for (number, all) in merged.into_iter().enumerate() {
        for key in all {
            general.entry(key).or_insert(number);
        }
    }
    for (number, pair) in pairs.iter_mut().enumerate() {
        let key = (pair.source, pair.target);
        if let Some(&other) = general.get(&key).filter(|&&other| other != number && pair.derived.is_none()) {
            pair.derived = Some(Derived::Instance(other));
        }
    }
}

/// A part of the source for which a smaller graph is known.
fn part_of(tools: &mut Tools, source: Packed, by_source: &FxHashMap<Packed, usize>) -> Option<Derived> {
    let steps = source.steps();
    for subset in subsets(steps.len()) {
        let Some(part) = tools.part(&steps, subset) else { continue };
        let Some(key) = tools.canonical(&part) else { continue };
        if let Some(&pair) = by_source.get(&key) {
            return Some(Derived::Part(pair));
        }
    }
    None
}

/// Whether two graphs share their beginning or their end in a way that makes the pair one of smaller graphs.
fn common(tools: &mut Tools, source: Packed, target: Packed) -> Option<Derived> {
    let (s, t) = (source.steps(), target.steps());
    let inputs = tools.preset.inputs.len() as u8;
    let ((left, cs), (right, ct)) = (tools.evaluator.tensors(&s)?, tools.evaluator.tensors(&t)?);
    let (os, ot) = (outputs(&s, &cs, usize::from(inputs)), outputs(&t, &ct, usize::from(inputs)));
    let same = |tools: &Tools, a: u8, b: u8| tools.evaluator.same(&left[usize::from(a)], &right[usize::from(b)]);
    // The same tensor made on the way of both: any other tensor would do in its place.
    for a in (inputs..left.len() as u8).filter(|a| !os.contains(a)) {
        for b in (inputs..right.len() as u8).filter(|b| !ot.contains(b)) {
            if same(tools, a, b) && tools.evaluator.correspond(&s, &t, Some((a, b))).is_some() {
                return Some(Derived::CommonSubgraph);
            }
        }
    }
    // The same last step on equal tensors: without it there is a smaller pair.
    for p in unused(&s, &cs, inputs) {
        for q in unused(&t, &ct, inputs) {
            let mut args = s[p].args.into_iter().zip(t[q].args);
            let alike = s[p].op == t[q].op
                && args.all(|(a, b)| if a == NONE || b == NONE { a == b } else { same(tools, a, b) });
            let (rest_s, rest_t) = (without(&s, &cs, inputs, p), without(&t, &ct, inputs, q));
            if alike && tools.evaluator.correspond(&rest_s, &rest_t, None).is_some() {
                return Some(Derived::CommonSupergraph);
            }
        }
    }
    None
}

/// Steps none of whose results is used.
fn unused(steps: &[Step], counts: &[usize], inputs: u8) -> Vec<usize> {
    let mut first = inputs;
    let mut found = Vec::new();
    for (i, &count) in counts.iter().enumerate() {
        let own = first..first + count as u8;
        if !steps.iter().flat_map(|s| s.args).any(|a| a != NONE && own.contains(&a)) {
            found.push(i);
        }
        first += count as u8;
    }
    found
}

/// The steps but one, which no other uses.
fn without(steps: &[Step], counts: &[usize], inputs: u8, at: usize) -> Vec<Step> {
    let first = inputs + counts[..at].iter().sum::<usize>() as u8;
    let shift = |arg: u8| if arg != NONE && arg >= first { arg - counts[at] as u8 } else { arg };
    let rest = steps.iter().enumerate().filter(|(i, _)| *i != at);
    rest.map(|(_, s)| Step { op: s.op, args: s.args.map(shift) }).collect()
}
