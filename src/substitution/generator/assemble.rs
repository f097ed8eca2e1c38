//! From candidates to libraries: one of what is proved, one of what is not.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::{Candidate, Outcome};
use super::generate::{Counts, Generated, Settings};
use super::prune::{Derived, Pair};
use super::show;
use crate::substitution::{Generator, Substitution, Verification};

/// Puts the rules of candidates into libraries, each rule once; those that stand for themselves come first.
pub fn assemble(settings: &Settings, all: &[Pair], candidates: Vec<Candidate>, mut counts: Counts) -> Generated {
    let rules = rules_of_pairs(&candidates);
    let parent = |candidate: &Candidate| match all[candidate.pair?].derived {
        Some(Derived::Part(pair) | Derived::Instance(pair)) => Some(pair),
        Some(Derived::CommonSubgraph | Derived::CommonSupergraph) | None => None,
    };
    let (first, second): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|c| parent(c).is_none());
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut generated = Generated::default();
    for candidate in first.into_iter().chain(second) {
        let proved = matches!(candidate.outcome, Outcome::Proved(..));
        let parent = parent(&candidate);
        let (id, rule, verification) = match candidate.outcome {
            Outcome::Trivial => {
                counts.trivial += 1;
                continue;
            }
            Outcome::None => {
                let reason = match candidate.last {
                    Some(why) => {
                        *counts.inexpressible.entry(why.to_string()).or_default() += 1;
                        why.to_string()
                    }
                    None => {
                        counts.refuted += 1;
                        "no general form of it is true or can be tested".to_owned()
                    }
                };
                let text = show::direction(&settings.preset, &candidate.direction);
                generated.left_out.push(format!("{text}    # {reason}"));
                continue;
            }
            Outcome::Proved(id, rule, proof) => (id, rule, Verification::proved(&proof)),
            Outcome::Tested(id, rule, why) => (id, rule, Verification::tested(why)),
        };
        // A library is complete in itself: what follows from a rule that is not in it stands for itself.
        let parent = parent.and_then(|pair| rules.get(&pair)).filter(|(_, is_proved)| *is_proved || !proved);
        let derived_from: Vec<String> =
            parent.map(|(id, _)| id.clone()).filter(|other| *other != id).into_iter().collect();
        if !taken.insert(id.clone()) {
            counts.same_rule += 1;
            continue;
        }
        let library = if proved {
            counts.proved += 1;
            &mut generated.library
        } else {
            counts.unproved += 1;
            &mut generated.unproved
        };
        library.substitutions.push(Substitution { id, rule: *rule, derived_from, verification });
    }
    let generator = generator(settings, &counts);
    generated.library.generator = Some(generator.clone());
    generated.unproved.generator = Some(generator);
    generated.counts = counts;
    generated
}

/// The rules of pairs read from the greater graph to the lesser, with whether they are proved.
fn rules_of_pairs(candidates: &[Candidate]) -> BTreeMap<usize, (String, bool)> {
    let mut rules: BTreeMap<usize, Option<(String, bool)>> = BTreeMap::new();
    for candidate in candidates {
        // Of the two directions of a pair this one comes first.
        if let Some(pair) = candidate.pair {
            rules.entry(pair).or_insert_with(|| candidate.rule().map(|(id, proved)| (id.to_owned(), proved)));
        }
    }
    rules.into_iter().filter_map(|(pair, rule)| Some((pair, rule?))).collect()
}

fn generator(settings: &Settings, counts: &Counts) -> Generator {
    let pruned = [
        ("collision", counts.collisions),
        ("common_subgraph", counts.common_subgraph),
        ("common_supergraph", counts.common_supergraph),
        ("derived", counts.derived),
        ("refuted", counts.refuted),
        ("renaming", counts.renaming),
        ("same_rule", counts.same_rule),
        ("trivial", counts.trivial),
        ("useless", counts.useless),
    ];
    Generator {
        preset: settings.preset.name.to_owned(),
        operators: settings.preset.functions().iter().map(ToString::to_string).collect(),
        max_ops: settings.max_ops as u64,
        seed: settings.seed,
        enumerated: counts.graphs.iter().sum(),
        candidates: counts.candidates,
        pruned: pruned.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
    }
}
