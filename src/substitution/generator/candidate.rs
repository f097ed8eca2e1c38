//! Directions of pairs on their way to rules: each becomes the most general rule that is proved or, if none is, the most
//! general one that passes its tests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::generalise::{Direction, GENERALITIES, Generality, Inexpressible, rule};
use super::generate::{Progress, Settings, Stage};
use super::naming::{is_trivial, name};
use super::table::Watch;
use crate::rewrite::Rule;
use crate::substitution::check::check;
use crate::substitution::{Proof, ProverLimits, TrialError, TrialSettings, Verdict, id_of, prove, try_rule};

/// Instances that each rule is tested on.
const INSTANCES: usize = 8;
/// Fresh instances that a rule is tested on after the attempt at a proof.
const FRESH_INSTANCES: usize = 64;
/// Proposals after which the search for instances ends.
const ATTEMPTS: usize = 20_000;

/// A direction with what has become of it.
pub struct Candidate {
    /// The direction.
    pub direction: Direction,
    /// Pair that it comes from; `None` for a graph that is nothing but inputs.
    pub pair: Option<usize>,
    /// What it is as a rule.
    pub outcome: Outcome,
    /// Why its last form was no rule.
    pub last: Option<Inexpressible>,
}

/// What a direction is as a rule.
pub enum Outcome {
    /// None: nothing that it might be is true or can be said.
    None,
    /// Both sides are the same.
    Trivial,
    /// The most general form that is proved.
    Proved(String, Box<Rule>, Proof),
    /// The most general form that passes every test, and why it is not proved.
    Tested(String, Box<Rule>, String),
}

impl Candidate {
    /// A candidate of which nothing is known.
    pub fn new(direction: Direction, pair: Option<usize>) -> Candidate {
        Candidate { direction, pair, outcome: Outcome::None, last: None }
    }

    /// The id of its rule, and whether that is proved.
    pub fn rule(&self) -> Option<(&str, bool)> {
        match &self.outcome {
            Outcome::None | Outcome::Trivial => None,
            Outcome::Proved(id, ..) => Some((id, true)),
            Outcome::Tested(id, ..) => Some((id, false)),
        }
    }

    /// What it is in one generality.
    fn propose(&self, settings: &Settings, generality: Generality) -> Proposal {
        let preset = &settings.preset;
        match &self.outcome {
            Outcome::Proved(..) | Outcome::Trivial => return Proposal::None(None),
            Outcome::None | Outcome::Tested(..) => {}
        }
        match rule(preset, &self.direction, generality) {
            Err(why) => Proposal::None(Some(why)),
            Ok(None) => Proposal::None(None),
            Ok(Some(rule)) if is_trivial(&rule) => Proposal::Trivial,
            Ok(Some(mut rule)) => {
                let id = id_of(&rule);
                rule.name = settings.names.get(&id).cloned().unwrap_or_else(|| name(preset, &rule, &id));
                // What the language refuses (sources that hang together by nothing) is no rule.
                if check(&rule).is_ok() { Proposal::Rule(id, Box::new(rule)) } else { Proposal::None(None) }
            }
        }
    }
}

/// What a candidate proposes in one round.
enum Proposal {
    Rule(String, Box<Rule>),
    Trivial,
    None(Option<Inexpressible>),
}

/// What came of examining a rule.
enum Finding {
    False,
    Proved(Proof),
    Tested(String),
}

/// Tests a rule and tries to prove it; what the attempt at a proof took, if there was one.
fn examine(settings: &Settings, rule: &Rule) -> (Finding, Option<Duration>) {
    let trials =
        TrialSettings { seed: settings.seed, instances: INSTANCES, attempts: ATTEMPTS, ..TrialSettings::default() };
    if try_rule(rule, &trials).is_err() {
        return (Finding::False, None);
    }
    let Some(limits) = &settings.prover else { return (Finding::Tested("no proof was looked for".to_owned()), None) };
    let started = Instant::now();
    // It is refuted here, on instances that the first test did not use.
    let verdict = prove(rule, &ProverLimits { trials: 0, ..*limits });
    let took = started.elapsed();
    let finding = match verdict {
        Verdict::Proved(proof) => Finding::Proved(proof),
        Verdict::Refuted(_) => return (Finding::False, Some(took)),
        Verdict::Unknown(why) => Finding::Tested(why),
    };
    // A proof speaks of where both sides have a value. That the target has one wherever the source has and the conditions
    // hold, so that no condition is missing, is tested.
    let fresh = TrialSettings { seed: settings.seed ^ u64::MAX, instances: FRESH_INSTANCES, ..trials };
    let finding = match try_rule(rule, &fresh) {
        Ok(_) | Err(TrialError::TooFew { .. }) => finding,
        Err(TrialError::Differ { .. } | TrialError::Target { .. }) => Finding::False,
    };
    (finding, Some(took))
}

/// Gives each candidate its rule, from the most general form to the least. Each rule is examined once, however many
/// candidates propose it. What each attempt at a proof took, with whether it succeeded; `None` if stopped.
pub fn settle(
    settings: &Settings,
    candidates: &mut [Candidate],
    watch: &Watch,
    progress: Progress<'_>,
) -> Option<Vec<(Duration, bool)>> {
    let total = (candidates.len() * GENERALITIES.len()) as u64;
    let mut times = Vec::new();
    for (round, generality) in GENERALITIES.into_iter().enumerate() {
        let proposed: Vec<Proposal> =
            candidates.par_iter().map(|candidate| candidate.propose(settings, generality)).collect();
        // A proof speaks of the names of one rule: of those with one id the first is taken.
        let mut different: BTreeMap<&str, &Rule> = BTreeMap::new();
        for proposal in &proposed {
            if let Proposal::Rule(id, rule) = proposal {
                different.entry(id).or_insert(rule);
            }
        }
        let examined = AtomicU64::new(0);
        let share = (candidates.len() as u64).checked_div(different.len() as u64).unwrap_or(1);
        let findings: BTreeMap<String, (Rule, Finding, Option<Duration>)> = different
            .into_par_iter()
            .filter(|_| !watch.stopped())
            .map(|(id, rule)| {
                let n = examined.fetch_add(1, Ordering::Relaxed);
                progress(Stage::Rules, (round * candidates.len()) as u64 + n * share, total);
                let (finding, took) = examine(settings, rule);
                (id.to_owned(), (rule.clone(), finding, took))
            })
            .collect();
        if watch.stopped() {
            return None;
        }
        for (_, finding, took) in findings.values() {
            times.extend(took.map(|took| (took, matches!(finding, Finding::Proved(_)))));
        }
        for (candidate, proposed) in candidates.iter_mut().zip(proposed) {
            match proposed {
                Proposal::Rule(id, _) => match findings.get(&id) {
                    Some((rule, Finding::Proved(proof), _)) => {
                        candidate.outcome = Outcome::Proved(id, Box::new(rule.clone()), proof.clone());
                    }
                    Some((rule, Finding::Tested(why), _)) if matches!(candidate.outcome, Outcome::None) => {
                        candidate.outcome = Outcome::Tested(id, Box::new(rule.clone()), why.clone());
                    }
                    Some((_, Finding::Tested(_) | Finding::False, _)) | None => {}
                },
                Proposal::Trivial if candidate.rule().is_none() => candidate.outcome = Outcome::Trivial,
                Proposal::None(Some(why)) => candidate.last = Some(why),
                Proposal::Trivial | Proposal::None(None) => {}
            }
        }
    }
    times.sort_unstable();
    Some(times)
}
