//! Searching with an agent: its policy alone, sampled, in a beam, or as the guide of a best-first search.
//!
//! Every way returns the best graph that it visited, and begins with the likeliest path: when an episode gains, another one
//! begins at the best graph, so that an agent may do more than one horizon of rewrites. Then it looks around from where the
//! last gain began; what that finds is gone on from in the same way, until nothing gains or the budget is spent. A pop of the
//! budget is a rewrite applied for the first time: one cost evaluation, as in the classical searches. Replays of known paths
//! are not counted.

mod queue;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use self::queue::{Path, Waiting};
use super::agent::{Agent, Chances, Choice};
use super::env::{Action, Env, EnvSettings, Task};
use super::neighbourhood::Neighbourhoods;
use super::net::batch::Batch;
use super::net::digest::Digest;
use super::net::encoder::Global;
use super::observation::RuleObservation;
use super::random::Random;
use super::rule_features::observe_rule;
use super::tracker::{MIN_GAIN_US, Tracker};
use crate::graph::Graph;
use crate::rewrite::Candidate;
use crate::search::{Problem, Report, Search, StopReason, Watcher};

/// How an agent is asked.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Decoding {
    /// The likeliest action, again and again.
    Greedy,
    /// The likeliest once, then episodes drawn from the policy until the budget is spent; the best of all.
    Samples,
    /// The likeliest few paths side by side.
    Beam {
        /// How many.
        width: usize,
    },
    /// Best-first search: states in the order of what the value promises and the policy likes.
    Guided,
}

/// Paths side by side in a beam, unless said.
pub const BEAM_WIDTH: usize = 8;

impl Decoding {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Decoding::Greedy => "ppo-greedy",
            Decoding::Samples => "ppo",
            Decoding::Beam { .. } => "ppo-beam",
            Decoding::Guided => "guided",
        }
    }
}

/// The name on the command line of [`Decoding::Samples`] relayed by the portfolio.
pub const PPO_PORTFOLIO: &str = "ppo-portfolio";

/// A search by an agent.
pub struct PolicySearch {
    agent: Rc<RefCell<Agent>>,
    decoding: Decoding,
    seed: u64,
}

impl PolicySearch {
    /// A search; the seed is that of the draws.
    pub fn new(agent: Agent, decoding: Decoding, seed: u64) -> PolicySearch {
        PolicySearch::shared(Rc::new(RefCell::new(agent)), decoding, seed)
    }

    /// A search with an agent that others use too.
    pub fn shared(agent: Rc<RefCell<Agent>>, decoding: Decoding, seed: u64) -> PolicySearch {
        PolicySearch { agent, decoding, seed }
    }
}

/// States that are looked at together in a guided search.
const BATCH: usize = 16;
/// Episodes that are drawn together: a large graph is no further than a horizon after each.
const EPISODES: usize = 8;
/// Classes are forgotten when their table takes more than this.
const MAX_TABLE_BYTES: usize = 256 << 20;
/// What a step that is e times less likely than the likeliest must promise more, in units of the value.
const DOUBT: f64 = 0.1;
/// What is promised counts this much of what is gained already: among states of the same prospects those further on come
/// first, as in weighted A* (Pohl 1970).
const TRUST: f64 = 0.8;
/// Rewrites without a gain after which the likeliest path is taken to lead nowhere: more than any known valley is deep.
const PATIENCE: usize = 12;
/// Where a path turns back to, which now is `here`: to where it was at this graph before, or, after [`PATIENCE`] rewrites without
/// one, to its last gain.
fn turn(path: &[(u128, usize, u32)], here: u128, gained_at: usize) -> Option<usize> {
    let round = path.iter().position(|(before, ..)| *before == here);
    round.or((path.len() - gained_at >= PATIENCE).then_some(gained_at))
}

/// States that wait at most; the least promising go first.
const MAX_QUEUE: usize = 100_000;

impl Search for PolicySearch {
    fn name(&self) -> &'static str {
        self.decoding.name()
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let mut agent = self.agent.borrow_mut();
        let mut known = Neighbourhoods::new(agent.config.encoder.rounds);
        let rules = rules_of(problem, &mut known);
        let mut run = Running {
            tracker: Tracker::new(problem, watcher),
            random: Random::new(self.seed),
            agent: &mut agent,
            known,
            rules,
        };
        let stop_reason = run.search(self.decoding);
        run.tracker.report(self.name(), stop_reason)
    }
}

fn rules_of(problem: &Problem<'_>, known: &mut Neighbourhoods) -> Vec<RuleObservation> {
    (0..problem.rules.len() as u32).map(|i| observe_rule(problem.rules.rule(i), known)).collect()
}

/// A search at work.
struct Running<'p, 'r> {
    tracker: Tracker<'p, 'r>,
    random: Random,
    agent: &'r mut Agent,
    known: Neighbourhoods,
    rules: Vec<RuleObservation>,
}

impl<'p> Running<'p, '_> {
    /// Goes down the likeliest paths, looks around, and goes down again from what that found, until nothing gains.
    fn search(&mut self, decoding: Decoding) -> StopReason {
        let mut origin: Vec<Arc<Candidate>> = Vec::new();
        loop {
            if let Some(reason) = self.descend(&mut origin) {
                return reason;
            }
            let before_us = self.tracker.best_us;
            let reason = match decoding {
                Decoding::Greedy => None,
                Decoding::Samples => self.samples(&origin),
                Decoding::Beam { width } => self.beam(&self.tracker.task(&origin), &origin, width.max(1)),
                Decoding::Guided => self.guided(&self.tracker.task(&origin), &origin),
            };
            if let Some(reason) = reason {
                return reason;
            }
            if !self.tracker.gained(before_us) {
                return StopReason::Exhausted;
            }
        }
    }

    /// Goes down the likeliest path from the best graph, again and again as long as that gains. `origin` is then where the
    /// last gain began.
    fn descend(&mut self, origin: &mut Vec<Arc<Candidate>>) -> Option<StopReason> {
        loop {
            let from = self.tracker.rewrites.clone();
            let task = self.tracker.task(&from);
            let before_us = self.tracker.best_us;
            if let Some(reason) = self.likeliest(&task, &from) {
                return Some(reason);
            }
            if !self.tracker.gained(before_us) {
                return None;
            }
            *origin = from;
        }
    }

    fn settings(&self) -> EnvSettings {
        EnvSettings {
            horizon: self.agent.config.horizon,
            reach: self.agent.config.reach.or(self.tracker.problem.budget.reach),
            plain: self.agent.config.encoder.global == Global::Full,
            ..EnvSettings::default()
        }
    }

    fn env(&self, task: &Arc<Task<'p>>) -> Env<'p> {
        Env::new(task.clone(), self.settings())
    }

    fn digests(&mut self, envs: &mut [&mut Env<'p>]) -> Vec<Digest> {
        if self.known.bytes() > MAX_TABLE_BYTES {
            self.known.clear();
            self.rules = rules_of(&self.tracker.problem, &mut self.known);
        }
        let by = Batch::key(self.agent.config.encoder.global);
        envs.iter_mut().map(|env| Digest::new(env.observe(&mut self.known), by)).collect()
    }

    /// Plays the likeliest episode. Where it comes back to a graph that it was at, or gains nothing for long, it goes on
    /// from there, or from where it gained last, without the rules that led round or nowhere, until something gains: a
    /// policy that never pays for a rewrite may go round for ever.
    fn likeliest(&mut self, task: &Arc<Task<'p>>, origin: &[Arc<Candidate>]) -> Option<StopReason> {
        let mut env = self.env(task);
        // The graph before each action, the action, and its rule.
        let mut path: Vec<(u128, usize, u32)> = Vec::new();
        let mut aside: FxHashSet<u32> = FxHashSet::default();
        let (mut best_us, mut gained_at) = (task.start_us(), 0);
        while !env.is_over() {
            let digest = self.digests(&mut [&mut env]).remove(0);
            self.tracker.counts.expanded += 1;
            let Choice::Site { group, site, .. } = self.agent.likeliest(&digest, &self.rules, &self.known, &aside)
            else {
                return None;
            };
            if let Some(reason) = self.tracker.why_stop() {
                return Some(reason);
            }
            path.push((env.graph().state_hash(), site as usize, digest.groups[group as usize].rule));
            env.step(Action::Apply(site as usize));
            self.tracker.count(origin, &env);
            if env.info().best_us < best_us - MIN_GAIN_US {
                (best_us, gained_at) = (env.info().best_us, path.len());
                aside.clear();
            }
            let here = env.graph().state_hash();
            if let Some(at) = turn(&path, here, gained_at) {
                self.tracker.counts.duplicates += usize::from(path[at].0 == here);
                aside.extend(path.drain(at..).map(|(.., rule)| rule));
                gained_at = gained_at.min(at);
                env.reset();
                path.iter().for_each(|(_, action, _)| {
                    env.step(Action::Apply(*action));
                });
            }
        }
        None
    }

    /// One step, drawn, of each of several episodes.
    fn play(&mut self, envs: &mut [&mut Env<'p>], origin: &[Arc<Candidate>]) -> Option<StopReason> {
        let digests = self.digests(envs);
        let refs: Vec<&Digest> = digests.iter().collect();
        let decisions = self.agent.decide(&refs, &self.rules, &self.known, &mut self.random);
        self.tracker.counts.expanded += refs.len();
        for (env, decision) in envs.iter_mut().zip(decisions) {
            match decision.choice {
                Choice::Stop => {
                    env.step(Action::Stop);
                }
                Choice::Site { site, .. } => {
                    if let Some(reason) = self.tracker.why_stop() {
                        return Some(reason);
                    }
                    env.step(Action::Apply(site as usize));
                    self.tracker.count(origin, env);
                }
            }
        }
        None
    }

    /// Draws a few episodes at a time, from where the last gain began and from the best graph by turns, until one gains. Many
    /// that apply nothing end it: the policy has nothing to say.
    fn samples(&mut self, origin: &[Arc<Candidate>]) -> Option<StopReason> {
        const IDLE: usize = 20;
        let best = self.tracker.rewrites.clone();
        let starts = [(self.tracker.task(origin), origin), (self.tracker.task(&best), &best[..])];
        let (mut idle, before_us) = (0, self.tracker.best_us);
        for (task, origin) in starts.iter().cycle() {
            let pops = self.tracker.counts.pops;
            let mut envs: Vec<Env<'p>> = (0..EPISODES).map(|_| self.env(task)).collect();
            loop {
                let mut playing: Vec<&mut Env<'p>> = envs.iter_mut().filter(|env| !env.is_over()).collect();
                if playing.is_empty() {
                    break;
                }
                if let Some(reason) = self.play(&mut playing, origin) {
                    return Some(reason);
                }
            }
            if self.tracker.gained(before_us) {
                return None;
            }
            idle = if self.tracker.counts.pops == pops { idle + 1 } else { 0 };
            if idle == IDLE {
                break;
            }
        }
        Some(StopReason::Exhausted)
    }

    /// The `width` likeliest paths, step by step.
    fn beam(&mut self, task: &Arc<Task<'p>>, origin: &[Arc<Candidate>], width: usize) -> Option<StopReason> {
        let mut paths: Vec<(Vec<usize>, f64)> = vec![(Vec::new(), 0.0)];
        let mut envs: Vec<Env<'p>> = vec![self.env(task)];
        let mut seen: FxHashSet<u128> = FxHashSet::default();
        let horizon = self.agent.config.horizon;
        for _ in 0..horizon {
            let mut refs: Vec<&mut Env<'p>> = envs.iter_mut().take(paths.len()).collect();
            let judged = self.judge(&mut refs);
            let mut next: Vec<(usize, usize, f64)> = Vec::new();
            for (at, (_, choices)) in judged.iter().enumerate() {
                let sites = choices.iter().filter_map(|(choice, log)| match choice {
                    Choice::Site { site, .. } => Some((at, *site as usize, paths[at].1 + f64::from(*log))),
                    Choice::Stop => None,
                });
                next.extend(sites);
            }
            next.sort_by(|a, b| b.2.total_cmp(&a.2));
            let mut longer = Vec::new();
            let mut made = Vec::new();
            for (at, site, log) in next {
                if longer.len() == width {
                    break;
                }
                if let Some(reason) = self.tracker.why_stop() {
                    return Some(reason);
                }
                let mut path = paths[at].0.clone();
                path.push(site);
                let mut env = self.env(task);
                path.iter().for_each(|action| {
                    env.step(Action::Apply(*action));
                });
                self.tracker.count(origin, &env);
                if !seen.insert(env.graph().state_hash()) {
                    self.tracker.counts.duplicates += 1;
                    continue;
                }
                longer.push((path, log));
                made.push(env);
            }
            if longer.is_empty() {
                break;
            }
            (paths, envs) = (longer, made);
        }
        None
    }

    /// The value of each state, and its choices with their log-probabilities.
    fn judge(&mut self, envs: &mut [&mut Env<'p>]) -> Vec<(f32, Vec<(Choice, f32)>)> {
        let digests = self.digests(envs);
        let refs: Vec<&Digest> = digests.iter().collect();
        let (batch, judgement) = self.agent.judge_quickly(&refs, &self.rules, &self.known);
        let chances = Chances::of(&batch, &judgement);
        self.tracker.counts.expanded += refs.len();
        refs.iter().enumerate().map(|(at, digest)| (chances.value(at), chances.all(at, digest))).collect()
    }

    /// Best-first search over states. What waits is a rewrite of a state that was looked at: it promises what that state
    /// does, less where the policy doubts it.
    fn guided(&mut self, task: &Arc<Task<'p>>, origin: &[Arc<Candidate>]) -> Option<StopReason> {
        let mut queue: BinaryHeap<Waiting> = BinaryHeap::new();
        let mut seen: FxHashSet<u128> = FxHashSet::default();
        let mut envs: Vec<Env<'p>> = (0..BATCH).map(|_| self.env(task)).collect();
        let (horizon, before_us) = (self.agent.config.horizon, self.tracker.best_us);
        let mut serial = 0;
        let mut paths: Vec<Arc<Path>> = vec![Arc::new(Path { parent: None, action: 0, length: 0 })];
        loop {
            // The states of `envs`, one for each path, are looked at; their rewrites wait.
            let mut refs: Vec<&mut Env<'p>> = envs.iter_mut().take(paths.len()).collect();
            let judged = self.judge(&mut refs);
            for ((env, path), (value, choices)) in envs.iter().zip(&paths).zip(judged) {
                if path.length >= horizon {
                    continue;
                }
                let info = env.info();
                let gained = self.agent.config.reward_scale * (info.start_us / info.best_us).ln();
                let promise = gained + TRUST * f64::from(value);
                let likeliest = choices.iter().map(|(_, log)| *log).fold(f32::NEG_INFINITY, f32::max);
                for (choice, log) in choices {
                    let Choice::Site { site, .. } = choice else { continue };
                    serial += 1;
                    let promise = promise - DOUBT * f64::from(likeliest - log);
                    queue.push(Waiting { promise, serial, parent: path.clone(), action: site as usize });
                }
            }
            if queue.len() > MAX_QUEUE {
                let mut kept = std::mem::take(&mut queue).into_sorted_vec();
                kept.drain(..kept.len() - MAX_QUEUE / 2);
                queue = kept.into();
            }
            paths.clear();
            while paths.len() < BATCH {
                let Some(next) = queue.pop() else { break };
                if let Some(reason) = self.tracker.why_stop() {
                    return Some(reason);
                }
                let env = &mut envs[paths.len()];
                env.reset();
                next.parent.actions().into_iter().for_each(|action| {
                    env.step(Action::Apply(action));
                });
                env.step(Action::Apply(next.action));
                self.tracker.count(origin, &envs[paths.len()]);
                if seen.insert(envs[paths.len()].graph().state_hash()) {
                    let length = next.parent.length + 1;
                    paths.push(Arc::new(Path { parent: Some(next.parent), action: next.action, length }));
                } else {
                    self.tracker.counts.duplicates += 1;
                }
            }
            if paths.is_empty() || self.tracker.gained(before_us) {
                return None;
            }
        }
    }
}
