//! Searching with a dreamer: its controller in the real environment, alone or looking ahead.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::agent::Dreamer;
use super::lookahead::{CONSIDERED, SIMULATIONS, Way, as_pick, decide, prior};
use super::pilot::{Mind, Pilot};
use super::play::{Eye, Pick, Playing, Scene, Terms};
use crate::graph::Graph;
use crate::rewrite::Candidate;
use crate::rl::dream::controller::Controllers;
use crate::rl::dream::data::Player;
use crate::rl::dream::fit::rule_table;
use crate::rl::dream::frame::Deed;
use crate::rl::dream::model::WorldModel;
use crate::rl::dream::plan::gumbel_choice;
use crate::rl::env::Task;
use crate::rl::random::Random;
use crate::rl::tracker::Tracker;
use crate::search::{Problem, Report, Search, StopReason, Watcher};

/// A search by a dreamer: its episode, again from the best graph as long as that gains; then, until the budget is spent,
/// episodes in which it strays.
pub struct DreamSearch {
    dreamer: Rc<RefCell<Option<Dreamer>>>,
    way: Way,
    seed: u64,
}

/// Shares of actions that are random in episodes that stray, by turns.
const STRAYS: [f64; 4] = [0.05, 0.1, 0.2, 0.4];
/// Actions of a simulation in the real environment.
const SIMULATED_DEPTH: usize = 4;
/// Episodes that apply nothing before the search gives up.
const IDLE: usize = 20;

impl DreamSearch {
    /// A search; the seed is that of the draws.
    pub fn new(dreamer: Dreamer, way: Way, seed: u64) -> DreamSearch {
        DreamSearch::shared(Rc::new(RefCell::new(Some(dreamer))), way, seed)
    }

    /// A search by a dreamer that others use too, one after another; it is there whenever none of them runs.
    pub fn shared(dreamer: Rc<RefCell<Option<Dreamer>>>, way: Way, seed: u64) -> DreamSearch {
        DreamSearch { dreamer, way, seed }
    }
}

impl Search for DreamSearch {
    fn name(&self) -> &'static str {
        self.way.name()
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let Dreamer { view, model, controller, config, others, ensemble } =
            self.dreamer.borrow_mut().take().expect("a search does not run within itself");
        let mut eye = Eye::new(view);
        let task = Arc::new(Task::new(problem.graph, problem.rules.clone(), problem.model));
        let table = rule_table(&eye.rules(&task), model.device());
        let controllers = Controllers::new(config.controller(), std::slice::from_ref(&controller), model.device());
        // They dream along for what their differences take from rewards; else nobody asks them.
        let asked: Vec<&WorldModel> = others.iter().filter(|_| ensemble.penalty > 0.0).collect();
        let mut run = Running {
            tracker: Tracker::new(problem, watcher),
            random: Random::new(self.seed),
            way: self.way,
            mind: Mind {
                model: &model,
                table: &table,
                controllers: &controllers,
                others: &asked,
                penalty: ensemble.penalty,
            },
            terms: config.terms(),
            eye: &mut eye,
        };
        let stop_reason = run.search().unwrap_or(StopReason::Exhausted);
        let result = run.tracker.report(self.name(), stop_reason);
        *self.dreamer.borrow_mut() = Some(Dreamer { view: eye.view, model, controller, config, others, ensemble });
        result
    }
}

/// A search at work.
struct Running<'p, 'r> {
    tracker: Tracker<'p, 'r>,
    random: Random,
    way: Way,
    mind: Mind<'r>,
    terms: Terms,
    eye: &'r mut Eye,
}

impl<'p> Running<'p, '_> {
    fn search(&mut self) -> Option<StopReason> {
        let mut origin: Vec<Arc<Candidate>> = Vec::new();
        loop {
            let from = self.tracker.rewrites.clone();
            let before_us = self.tracker.best_us;
            let task = self.tracker.task(&from);
            if let Some(reason) = self.episode(&task, &from, 0.0) {
                return Some(reason);
            }
            if !self.tracker.gained(before_us) {
                break;
            }
            origin = from;
        }
        let task = self.tracker.task(&origin);
        let mut idle = 0;
        for strays in STRAYS.iter().cycle() {
            let pops = self.tracker.counts.pops;
            if let Some(reason) = self.episode(&task, &origin, *strays) {
                return Some(reason);
            }
            idle = if self.tracker.counts.pops == pops { idle + 1 } else { 0 };
            if idle == IDLE {
                break;
            }
        }
        None
    }

    /// Root search in the real environment: each simulation takes its action, then some of the controller's, and counts like
    /// any other rewrite.
    fn root_search(
        &mut self,
        task: &Arc<Task<'p>>,
        origin: &[Arc<Candidate>],
        playing: &Playing<'p>,
        pilot: &Pilot<'_>,
        scene: &Scene,
    ) -> Result<Pick, StopReason> {
        let (possible, logits) = prior(pilot, scene);
        let mut random = Random::new(self.random.bits());
        let mut stopped = None;
        let choice = gumbel_choice(&logits, CONSIDERED, SIMULATIONS, &mut random, &mut |actions| {
            let simulate = |at: &usize| {
                if stopped.is_some() {
                    return 0.0;
                }
                self.simulate(task, origin, playing, pilot, (scene, as_pick(possible[*at]))).unwrap_or_else(|reason| {
                    stopped = Some(reason);
                    0.0
                })
            };
            actions.iter().map(simulate).collect()
        });
        match (stopped, choice) {
            (Some(reason), _) => Err(reason),
            (None, choice) => Ok(choice.map_or(Pick::Stop, |at| as_pick(possible[at]))),
        }
    }

    /// What an action and some of the controller's behind it earn: rewards alone. The path to here is replayed, which does not
    /// count.
    fn simulate(
        &mut self,
        task: &Arc<Task<'p>>,
        origin: &[Arc<Candidate>],
        playing: &Playing<'p>,
        pilot: &Pilot<'_>,
        (scene, pick): (&Scene, Pick),
    ) -> Result<f32, StopReason> {
        let mut other = Playing::new(task, 0, Player::Controller, self.terms);
        for &action in playing.actions() {
            other.step((action, Deed::Stop));
        }
        let mut pilot = pilot.fork();
        let mut deed = scene.act(pick, &mut self.random);
        let mut whole = scene.frame.whole.clone();
        let begin = playing.actions().len();
        loop {
            if deed.0.is_some()
                && let Some(reason) = self.tracker.why_stop()
            {
                return Err(reason);
            }
            pilot.advance(&whole, &deed.1);
            let applies = deed.0.is_some();
            other.step(deed);
            if applies {
                self.tracker.count(origin, &other.env);
            }
            if other.env.is_over() || other.actions().len() - begin >= SIMULATED_DEPTH {
                return Ok(other.earned_since(begin));
            }
            let Some((digest, look)) = self.eye.look(&mut [&mut other.env]).pop() else { return Ok(0.0) };
            let scene = other.scene(digest, look);
            let pick = decide(Way::Controller, &pilot, &scene, 1, &mut self.random);
            deed = scene.act(pick, &mut self.random);
            whole.clone_from(&scene.frame.whole);
        }
    }

    /// Plays an episode. One that does not stray ends where it comes back to where it was.
    fn episode(&mut self, task: &Arc<Task<'p>>, origin: &[Arc<Candidate>], strays: f64) -> Option<StopReason> {
        let mut playing = Playing::new(task, 0, Player::Controller, self.terms);
        let mut pilot = Pilot::new(self.mind);
        let mut seen = FxHashSet::from_iter([playing.env.graph().state_hash()]);
        while !playing.env.is_over() {
            let (digest, look) = self.eye.look(&mut [&mut playing.env]).pop()?;
            let scene = playing.scene(digest, look);
            self.tracker.counts.expanded += 1;
            let is_stray = strays > 0.0 && self.random.unit() < strays;
            let pick = match scene.any_slot(&mut self.random).filter(|_| is_stray) {
                Some(slot) => Pick::Slot(slot),
                None if self.way == Way::Gumbel => match self.root_search(task, origin, &playing, &pilot, &scene) {
                    Ok(pick) => pick,
                    Err(reason) => return Some(reason),
                },
                None => {
                    let left = self.terms.horizon - playing.actions().len();
                    decide(self.way, &pilot, &scene, left, &mut self.random)
                }
            };
            let (action, deed) = scene.act(pick, &mut self.random);
            if action.is_some()
                && let Some(reason) = self.tracker.why_stop()
            {
                return Some(reason);
            }
            pilot.advance(&scene.frame.whole, &deed);
            playing.step((action, deed));
            if action.is_some() {
                self.tracker.count(origin, &playing.env);
                let is_new = seen.insert(playing.env.graph().state_hash());
                self.tracker.counts.duplicates += usize::from(!is_new);
                if !is_new && strays == 0.0 {
                    break;
                }
            }
        }
        None
    }
}
