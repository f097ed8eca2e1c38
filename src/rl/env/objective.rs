//! What an environment rewards. Costs: `c0` at the start, `c` now, `b` the least so far; a prime is after the action.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::cost;
use crate::graph::Graph;
use crate::runtime;
use crate::search::State;

use super::{Env, Task, is_less};

/// What is to become less.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Estimated time, in microseconds.
    #[default]
    Time,
    /// The peak of the activations' memory, in bytes.
    Memory,
    /// Kernels launched.
    Launches,
}

impl Quantity {
    /// The objective that rewards it: the log of the least before over the least after.
    pub fn objective(self) -> Objective {
        match self {
            Quantity::Time => Objective::LogBest,
            Quantity::Memory | Quantity::Launches => Objective::LogBestOf { quantity: self },
        }
    }

    /// Whether it is time.
    pub fn is_time(&self) -> bool {
        *self == Quantity::Time
    }

    fn of(self, state: &State<'_>) -> f64 {
        match self {
            Quantity::Time => state.total_us(),
            Quantity::Memory => memory(state),
            Quantity::Launches => cost::graph_cost(state.model(), state.graph()).launches,
        }
    }
}

impl Task<'_> {
    /// How much of a quantity the graph at the start takes.
    pub fn start(&self, quantity: Quantity) -> f64 {
        quantity.of(&self.root)
    }
}

impl Env<'_> {
    /// `log(start / now)` of the quantity that the objective is about: time, unless it says otherwise.
    pub fn log_saved(&self) -> f64 {
        let quantity = match self.settings.objective {
            Objective::LogBestOf { quantity } => quantity,
            _ => Quantity::Time,
        };
        match quantity {
            Quantity::Time => (self.task.start_us() / self.state.total_us()).ln(),
            _ => log_ratio(self.ledger.start_amount, self.ledger.amount),
        }
    }

    /// How much of a quantity each candidate would leave: each is applied, weighed, and undone.
    pub fn weigh_all(&mut self, quantity: Quantity) -> Vec<f64> {
        let count = self.candidates();
        let weigh = |position: usize| {
            let candidate = self.candidate(position).clone();
            let saved = self.state.apply(&candidate);
            let amount = quantity.of(&self.state);
            self.state.undo(saved);
            amount
        };
        (0..count).map(weigh).collect()
    }
}

/// What is rewarded.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// `log(b / b')`: the rewards of an episode sum to `log(c0 / best visited)`.
    #[default]
    LogBest,
    /// The same of another quantity than time; the best graph is the one that takes least of it.
    LogBestOf {
        /// Which.
        quantity: Quantity,
    },
    /// `(c - c') / c0`: they sum to the gain of the last graph, as a share of the start.
    Difference,
    /// 0 until the end, then `log(c0 / best visited)`.
    Terminal,
    /// `w_time (t - t') / t0 + w_memory (m - m') / m0 + w_launches (l - l') / l0`, where m is the peak of the activations'
    /// memory and l the number of kernels.
    Weighted {
        /// Weight of time.
        time: f64,
        /// Weight of the peak of memory.
        memory: f64,
        /// Weight of kernels launched.
        launches: f64,
    },
    /// Measured end to end after every so many actions and at the end: `log(b / b')` of what was measured, 0 in between.
    Measured {
        /// Actions from one measurement to the next; at least 1.
        every: usize,
    },
}

/// A transition, as objectives see it.
pub(super) struct Moment<'s, 'a> {
    /// The state at the start.
    pub root: &'s State<'a>,
    /// The state after the action.
    pub state: &'s State<'a>,
    /// Actions so far.
    pub steps: usize,
    /// Whether the episode is over.
    pub over: bool,
    /// Time before the action, and the least so far then; in microseconds.
    pub before_us: f64,
    pub best_before_us: f64,
}

/// What an objective says of a transition.
pub(super) struct Transition {
    pub reward: f64,
    /// Whether the graph after the action is the best so far.
    pub is_best: bool,
}

type Measure<'a> = Box<dyn FnMut(&Graph) -> f64 + Send + 'a>;

/// Time, peak of memory, launches.
type Totals = [f64; 3];

fn totals(state: &State<'_>) -> Totals {
    let cost = cost::graph_cost(state.model(), state.graph());
    [cost.time_us, memory(state), cost.launches]
}

fn memory(state: &State<'_>) -> f64 {
    runtime::peak_memory(state.graph(), &BTreeMap::new()).bytes as f64
}

/// What an objective remembers of an episode.
pub(super) struct Ledger<'a> {
    objective: Objective,
    start: Totals,
    now: Totals,
    /// Of the quantity of [`Objective::LogBestOf`]: at the start, now, and the least so far.
    start_amount: f64,
    amount: f64,
    least: f64,
    measure: Option<Measure<'a>>,
    measured: FxHashMap<u128, f64>,
    /// Least measured time of the episode; `None` before the first measurement.
    best_measured_us: Option<f64>,
}

/// `log(a / b)`, 0 where a graph costs nothing.
fn log_ratio(over: f64, under: f64) -> f64 {
    if over > 0.0 && under > 0.0 { (over / under).ln() } else { 0.0 }
}

impl<'a> Ledger<'a> {
    pub fn new(objective: &Objective, root: &State<'_>) -> Ledger<'a> {
        let start = if matches!(objective, Objective::Weighted { .. }) { totals(root) } else { Totals::default() };
        let start_amount = match objective {
            Objective::LogBestOf { quantity } => quantity.of(root),
            _ => 0.0,
        };
        Ledger {
            objective: objective.clone(),
            start,
            now: start,
            start_amount,
            amount: start_amount,
            least: start_amount,
            measure: None,
            measured: FxHashMap::default(),
            best_measured_us: None,
        }
    }

    pub fn measure_with(&mut self, measure: Measure<'a>) {
        self.measure = Some(measure);
        self.measured.clear();
    }

    /// Takes over how to measure. What was measured stays behind: a state hash says nothing of the sizes of inputs.
    pub fn take_measure(&mut self, other: &mut Ledger<'a>) {
        self.measure = other.measure.take();
    }

    pub fn reset(&mut self) {
        self.now = self.start;
        (self.amount, self.least) = (self.start_amount, self.start_amount);
        self.best_measured_us = None;
    }

    /// Judges a transition.
    pub fn transition(&mut self, moment: &Moment<'_, '_>) -> Transition {
        let (start_us, after_us) = (moment.root.total_us(), moment.state.total_us());
        let is_best = is_less(after_us, moment.best_before_us);
        let best_us = moment.best_before_us.min(after_us);
        let reward = match self.objective {
            Objective::LogBest => log_ratio(moment.best_before_us, best_us),
            Objective::LogBestOf { quantity } => {
                let before = self.least;
                self.amount = quantity.of(moment.state);
                self.least = before.min(self.amount);
                return Transition { reward: log_ratio(before, self.least), is_best: is_less(self.amount, before) };
            }
            Objective::Difference if start_us > 0.0 => (moment.before_us - after_us) / start_us,
            Objective::Difference => 0.0,
            Objective::Terminal if moment.over => log_ratio(start_us, best_us),
            Objective::Terminal => 0.0,
            Objective::Weighted { time, memory, launches } => {
                let before = std::mem::replace(&mut self.now, totals(moment.state));
                let part = |at: usize, weight: f64| match self.start[at] {
                    start if start > 0.0 => weight * (before[at] - self.now[at]) / start,
                    _ => 0.0,
                };
                part(0, time) + part(1, memory) + part(2, launches)
            }
            Objective::Measured { every } => return self.measured(moment, every),
        };
        Transition { reward, is_best }
    }

    fn measured(&mut self, moment: &Moment<'_, '_>, every: usize) -> Transition {
        let is_due = moment.over || moment.steps.is_multiple_of(every.max(1));
        if !is_due {
            return Transition { reward: 0.0, is_best: false };
        }
        let best_us = match self.best_measured_us {
            Some(us) => us,
            None => self.time(moment.root),
        };
        let now_us = self.time(moment.state);
        let is_best = is_less(now_us, best_us);
        self.best_measured_us = Some(best_us.min(now_us));
        Transition { reward: log_ratio(best_us, best_us.min(now_us)), is_best }
    }

    /// Measured time of a graph, each graph once.
    fn time(&mut self, state: &State<'_>) -> f64 {
        let Some(measure) = &mut self.measure else { return state.total_us() };
        *self.measured.entry(state.graph().state_hash()).or_insert_with(|| measure(state.graph()))
    }
}
