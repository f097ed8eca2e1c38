//! Searching with a dreamer: its controller in the real environment.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::agent::Dreamer;
use super::collect::{Sight, pilot_pick};
use super::pilot::{Mind, Pilot};
use super::play::{Eye, Pick, Playing};
use crate::graph::Graph;
use crate::rewrite::Candidate;
use crate::rl::dream::controller::Controllers;
use crate::rl::dream::data::Player;
use crate::rl::dream::fit::rule_table;
use crate::rl::env::Task;
use crate::rl::random::Random;
use crate::rl::random_search::{Found, why_stop};
use crate::search::{Counts, Problem, Report, Search, State, StopReason, Stopwatch, Watcher};

/// A search by a controller that was trained in a dream: its episode, again from the best graph as long as that gains; then,
/// until the budget is spent, episodes in which it strays.
pub struct DreamSearch {
    dreamer: RefCell<Option<Dreamer>>,
    seed: u64,
}

/// Gains below this are noise of the arithmetic.
const MIN_GAIN_US: f64 = 1e-6;
/// Shares of actions that are random in episodes that stray, by turns.
const STRAYS: [f64; 4] = [0.05, 0.1, 0.2, 0.4];
/// Episodes that apply nothing before the search gives up.
const IDLE: usize = 20;

impl DreamSearch {
    /// A search; the seed is that of the draws.
    pub fn new(dreamer: Dreamer, seed: u64) -> DreamSearch {
        DreamSearch { dreamer: RefCell::new(Some(dreamer)), seed }
    }
}

impl Search for DreamSearch {
    fn name(&self) -> &'static str {
        "dream"
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let Dreamer { view, model, controller, config } =
            self.dreamer.borrow_mut().take().expect("a search does not run within itself");
        let mut eye = Eye::new(view);
        let task = Arc::new(Task::new(problem.graph, problem.rules.clone(), problem.model));
        let table = rule_table(&eye.rules(&task), model.device());
        let controllers = Controllers::new(config.controller(), std::slice::from_ref(&controller), model.device());
        let mut run = Running {
            problem: *problem,
            watcher,
            watch: Stopwatch::start(problem.budget.time),
            counts: Counts { explored: 1, ..Counts::default() },
            random: Random::new(self.seed),
            mind: Mind { model: &model, table: &table, controllers: &controllers },
            settings: (config.horizon, config.reward_scale),
            eye: &mut eye,
            start_us: task.start_us(),
            best: Found { rewrites: Vec::new(), cost_us: task.start_us() },
        };
        let stop_reason = run.search().unwrap_or(StopReason::Exhausted);
        let Running { best, counts, watch, .. } = run;
        let result = best.report(self.name(), problem, &watch, counts, stop_reason);
        *self.dreamer.borrow_mut() = Some(Dreamer { view: eye.view, model, controller, config });
        result
    }
}

/// A search at work.
struct Running<'p, 'r> {
    problem: Problem<'p>,
    watcher: Watcher<'r>,
    watch: Stopwatch,
    counts: Counts,
    random: Random,
    mind: Mind<'r>,
    settings: (usize, f64),
    eye: &'r mut Eye,
    start_us: f64,
    best: Found,
}

impl<'p> Running<'p, '_> {
    fn search(&mut self) -> Option<StopReason> {
        let mut origin: Vec<Arc<Candidate>> = Vec::new();
        loop {
            let from = self.best.rewrites.clone();
            let before_us = self.best.cost_us;
            let task = self.task(&from);
            if let Some(reason) = self.episode(&task, &from, 0.0) {
                return Some(reason);
            }
            if self.best.cost_us >= before_us - MIN_GAIN_US {
                break;
            }
            origin = from;
        }
        let task = self.task(&origin);
        let mut idle = 0;
        for strays in STRAYS.iter().cycle() {
            let pops = self.counts.pops;
            if let Some(reason) = self.episode(&task, &origin, *strays) {
                return Some(reason);
            }
            idle = if self.counts.pops == pops { idle + 1 } else { 0 };
            if idle == IDLE {
                break;
            }
        }
        None
    }

    /// The task of making the graph behind these rewrites cheaper.
    fn task(&self, origin: &[Arc<Candidate>]) -> Arc<Task<'p>> {
        let Problem { graph, rules, model, .. } = self.problem;
        let mut state = State::new(graph.clone(), rules.clone(), model);
        for candidate in origin {
            state.apply(candidate);
        }
        Arc::new(Task::new(&state.into_graph(), rules.clone(), model))
    }

    /// Plays an episode. One that does not stray ends where it comes back to where it was.
    fn episode(&mut self, task: &Arc<Task<'p>>, origin: &[Arc<Candidate>], strays: f64) -> Option<StopReason> {
        let (horizon, reward_scale) = self.settings;
        let mut playing = Playing::new(task, 0, Player::Controller, horizon, reward_scale);
        let mut pilot = Pilot::new(self.mind);
        let mut seen = FxHashSet::from_iter([playing.env.graph().state_hash()]);
        while !playing.env.is_over() {
            let (digest, look) = self.eye.look(&mut [&mut playing.env]).pop()?;
            let scene = playing.scene(digest, look);
            self.counts.expanded += 1;
            let is_stray = strays > 0.0 && self.random.unit() < strays;
            let pick = match scene.any_slot(&mut self.random).filter(|_| is_stray) {
                Some(slot) => Pick::Slot(slot),
                None => pilot_pick(&pilot, &scene, Sight::Slots),
            };
            let (action, deed) = scene.act(pick, &mut self.random);
            if action.is_some() {
                let Running { problem, watch, watcher, counts, start_us, best, .. } = self;
                let reason = why_stop(problem, watch, watcher, counts.pops, *start_us, best.cost_us);
                if reason.is_some() {
                    return reason;
                }
            }
            pilot.advance(&scene.frame.whole, &deed);
            playing.step((action, deed));
            if action.is_some() {
                self.counts.pops += 1;
                self.counts.explored += 1;
                self.best.note(origin, &playing.env);
                let is_new = seen.insert(playing.env.graph().state_hash());
                self.counts.duplicates += usize::from(!is_new);
                if !is_new && strays == 0.0 {
                    break;
                }
            }
        }
        None
    }
}
