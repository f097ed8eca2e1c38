//! One real episode, step by step, seen through V.

use std::sync::Arc;

use super::taking::Taking;
use crate::rl::dream::data::{Player, Trajectory};
use crate::rl::dream::frame::{Deed, Frame};
use crate::rl::dream::plan::DISCOUNT;
use crate::rl::dream::slots::{SLOTS, Seat, Seats};
use crate::rl::dream::view::{Look, View};

use crate::rl::env::{Action, Env, EnvSettings, Quantity, Task};
use crate::rl::neighbourhood::Neighbourhoods;
use crate::rl::net::digest::{Digest, NodeKey};
use crate::rl::observation::RuleObservation;
use crate::rl::random::Random;
use crate::rl::rule_features::observe_rule;

/// V with the classes of neighbourhoods that it has met and the rules.
#[derive(Debug)]
pub struct Eye {
    /// V.
    pub view: View,
    pub(super) known: Neighbourhoods,
    pub(super) rules: Vec<RuleObservation>,
}

/// Classes are forgotten when their table takes more than this.
const MAX_TABLE_BYTES: usize = 256 << 20;

impl Eye {
    /// An eye that has met nothing.
    pub fn new(view: View) -> Eye {
        let known = Neighbourhoods::new(view.config.rounds);
        Eye { view, known, rules: Vec::new() }
    }

    /// Forgets what it has met: what is seen next does not depend, in its last bit, on what was seen before.
    pub fn forget(&mut self, task: &Task<'_>) {
        self.known.clear();
        let rules = task.rules();
        self.rules = (0..rules.len() as u32).map(|i| observe_rule(rules.rule(i), &mut self.known)).collect();
    }

    /// `[R * RULE]`: the rules' embeddings.
    pub fn rules(&mut self, task: &Task<'_>) -> Vec<f32> {
        self.forget(task);
        self.view.rules(&self.rules, &self.known)
    }

    /// Looks at where episodes are.
    pub fn look(&mut self, envs: &mut [&mut Env<'_>]) -> Vec<(Digest, Look)> {
        let full = self.rules.is_empty() || self.known.bytes() > MAX_TABLE_BYTES;
        if let (true, Some(env)) = (full, envs.first()) {
            let task = env.task().clone();
            self.forget(&task);
        }
        let digests: Vec<Digest> =
            envs.iter_mut().map(|env| Digest::new(env.observe(&mut self.known), NodeKey::Class)).collect();
        let refs: Vec<&Digest> = digests.iter().collect();
        let looks = self.view.look(&refs, &self.rules, &self.known);
        digests.into_iter().zip(looks).collect()
    }
}

/// A state that is about to be acted in.
#[derive(Debug)]
pub struct Scene {
    /// What may be done.
    pub digest: Digest,
    /// What V sees.
    pub look: Look,
    /// The state as M reads it.
    pub frame: Frame,
    /// Who sits on its seats.
    pub seats: [Option<Seat>; SLOTS],
    taking: Taking,
}

/// What is done, before a site is picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// End the episode.
    Stop,
    /// What sits on a seat.
    Slot(usize),
    /// Any distinct candidate.
    Distinct(u32),
}

impl Scene {
    /// The distinct candidate of a pick.
    fn distinct(&self, pick: Pick) -> Option<u32> {
        match pick {
            Pick::Stop => None,
            Pick::Slot(slot) => self.seats[slot].map(|seat| seat.distinct),
            Pick::Distinct(distinct) => Some(distinct),
        }
    }

    /// A seat at random, if any is taken.
    pub fn any_slot(&self, random: &mut Random) -> Option<usize> {
        let taken: Vec<usize> = (0..SLOTS).filter(|&slot| self.seats[slot].is_some()).collect();
        (!taken.is_empty()).then(|| taken[random.below(taken.len())])
    }

    /// The rule of a distinct candidate.
    pub fn rule_of(&self, distinct: u32) -> u32 {
        let at = self.digest.groups.partition_point(|group| group.end <= distinct);
        self.digest.groups[at].rule
    }

    /// A pick as an action of the environment, and as M reads it. Of several sites one is drawn.
    pub fn act(&self, pick: Pick, random: &mut Random) -> (Option<u32>, Deed) {
        let Some(distinct) = self.distinct(pick) else { return (None, Deed::Stop) };
        let sites = &self.digest.distinct[distinct as usize].sites;
        let site = sites[random.below(sites.len())];
        (Some(site), self.deed(distinct, site))
    }

    /// The candidate at a site, and the distinct one that it is of, as M reads it.
    fn deed(&self, distinct: u32, site: u32) -> Deed {
        let slot = self.seats.iter().position(|seat| seat.is_some_and(|seat| seat.distinct == distinct));
        let features = self.look.candidate(distinct).to_vec();
        Deed::Apply { slot, rule: self.rule_of(distinct) as i32, features, takes: self.taking.by(site) }
    }

    /// A site that was chosen before, in the same state: as an action, and as M reads it; `None` if there is no such site.
    pub fn again(&self, site: u32) -> Option<(Option<u32>, Deed)> {
        let distinct = self.digest.distinct.iter().position(|d| d.sites.contains(&site))?;
        Some((Some(site), self.deed(distinct as u32, site)))
    }
}

/// On what terms episodes are played.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Terms {
    /// Actions of an episode at most.
    pub horizon: usize,
    /// Rewards are multiplied by it.
    pub reward_scale: f64,
    /// What is to become less.
    pub objective: Quantity,
}

impl Terms {
    fn begin<'a>(&self, task: &Arc<Task<'a>>) -> Env<'a> {
        let objective = self.objective.objective();
        Env::new(task.clone(), EnvSettings { horizon: self.horizon, objective, ..EnvSettings::default() })
    }

    /// What has been saved so far, scaled.
    fn saved(&self, env: &Env<'_>) -> f32 {
        (self.reward_scale * env.log_saved()) as f32
    }

    /// Takes an action; what it earns, scaled.
    fn step(&self, env: &mut Env<'_>, action: Option<u32>) -> f32 {
        let step = env.step(action.map_or(Action::Stop, |site| Action::Apply(site as usize)));
        (step.reward * self.reward_scale) as f32
    }
}

/// An episode under way, written down as it goes.
pub struct Playing<'a> {
    /// The environment.
    pub env: Env<'a>,
    seats: Seats,
    record: Trajectory,
    terms: Terms,
}

impl<'a> Playing<'a> {
    /// At the start of an episode of a task, which is number `root`.
    pub fn new(task: &Arc<Task<'a>>, root: usize, player: Player, terms: Terms) -> Playing<'a> {
        let env = terms.begin(task);
        let record = Trajectory {
            root,
            player,
            actions: Vec::new(),
            frames: Vec::new(),
            deeds: Vec::new(),
            rewards: Vec::new(),
            costs: Vec::new(),
        };
        Playing { env, seats: Seats::default(), record, terms }
    }

    /// The state now; to be called once before each action, and once more when it is over.
    pub fn scene(&mut self, digest: Digest, look: Look) -> Scene {
        let (mut frame, seats) = look.frame(&digest, &mut self.seats);
        let taking = Taking::new(&mut self.env, &digest, &seats);
        frame.takes = taking.all();
        let saved = self.terms.saved(&self.env);
        // The rewards of an episode sum to the most that was saved in it.
        frame.saved = [saved, self.record.total().max(saved)];
        self.record.costs.push(saved);
        self.record.frames.push(frame.clone());
        Scene { digest, look, frame, seats, taking }
    }

    /// The actions so far.
    pub fn actions(&self) -> &[Option<u32>] {
        &self.record.actions
    }

    /// What the actions from this number on have earned, scaled, and discounted as plans discount.
    pub fn earned_since(&self, action: usize) -> f32 {
        self.record.rewards[action..].iter().rev().fold(0.0, |behind, reward| reward + DISCOUNT as f32 * behind)
    }

    /// Takes an action.
    pub fn step(&mut self, (action, deed): (Option<u32>, Deed)) {
        self.record.rewards.push(self.terms.step(&mut self.env, action));
        self.record.actions.push(action);
        self.record.deeds.push(deed);
    }

    /// What was written down; the episode is over, and its last state was looked at.
    pub fn finish(mut self) -> Trajectory {
        debug_assert_eq!(self.record.frames.len(), self.record.len() + 1, "one more state than actions");
        // To the last bit as they are when it is read again.
        self.record.keep_books();
        self.record
    }
}

/// What is done in an episode, by its number, its state and how many actions it has had.
pub type Choose<'c> = &'c mut dyn FnMut(usize, &Scene, usize) -> (Option<u32>, Deed);

/// Plays episodes side by side until all are over.
pub fn play<'a>(eye: &mut Eye, mut playing: Vec<Playing<'a>>, choose: Choose<'_>) -> Vec<Trajectory> {
    let mut over = vec![false; playing.len()];
    while over.contains(&false) {
        let mut going: Vec<(usize, &mut Playing<'a>)> =
            playing.iter_mut().enumerate().filter(|(at, _)| !over[*at]).collect();
        let looks = eye.look(&mut going.iter_mut().map(|(_, p)| &mut p.env).collect::<Vec<_>>());
        for ((at, playing), (digest, look)) in going.into_iter().zip(looks) {
            let scene = playing.scene(digest, look);
            if playing.env.is_over() {
                over[at] = true;
            } else {
                let action = choose(at, &scene, playing.record.len());
                playing.step(action);
            }
        }
    }
    playing.into_iter().map(Playing::finish).collect()
}

/// Takes up the actions of an episode again, to make its states anew: the same as they were.
pub fn replay(eye: &mut Eye, task: &Arc<Task<'_>>, like: &Header, terms: Terms) -> Option<Trajectory> {
    let playing = Playing::new(task, like.root, like.player, terms);
    let mut fits = true;
    let mut played = play(eye, vec![playing], &mut |_, scene, at| {
        let site = like.actions.get(at).copied().flatten();
        let found = site.and_then(|site| scene.again(site));
        fits &= site.is_some() == found.is_some() && at < like.actions.len();
        found.unwrap_or((None, Deed::Stop))
    });
    let trajectory = played.pop()?;
    (fits && trajectory.actions == like.actions).then_some(trajectory)
}

/// Judges an episode anew, on other terms: what it saw stays as it was, what its actions earn and save is that of the
/// objective. `None` if the actions do not fit the task.
pub fn judge(task: &Arc<Task<'_>>, played: &Trajectory, terms: Terms) -> Option<Trajectory> {
    let mut env = terms.begin(task);
    let (mut rewards, mut costs) = (Vec::with_capacity(played.len()), vec![terms.saved(&env)]);
    for &action in &played.actions {
        let fits = action.is_none_or(|site| (site as usize) < env.candidates());
        if env.is_over() || !fits {
            return None;
        }
        rewards.push(terms.step(&mut env, action));
        costs.push(terms.saved(&env));
    }
    let mut judged = Trajectory { rewards, costs, ..played.clone() };
    judged.keep_books();
    env.is_over().then_some(judged)
}

/// What an episode is, without what follows from it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Number of its root graph.
    pub root: usize,
    /// Who played.
    pub player: Player,
    /// Positions among the candidates of each state; `null` to stop.
    pub actions: Vec<Option<u32>>,
}
