//! Many environments at a time, stepped and observed over all threads.
//!
//! Classes of neighbourhoods are numbered in the order of the environments, whatever the number of threads: all threads
//! look up what is known, then one adds the rest, environment by environment.

use std::sync::Arc;

use rayon::prelude::*;

use super::env::{Action, Env, EnvSettings, Step, Task};
use super::neighbourhood::Neighbourhoods;
use super::observation::Observation;

/// An episode that ended.
#[derive(Clone)]
pub struct Episode<'a> {
    /// Which environment it was in.
    pub env: usize,
    /// Its task.
    pub task: Arc<Task<'a>>,
    /// Sum of its rewards, not discounted.
    pub episodic_return: f64,
    /// Actions, the one to stop included.
    pub episodic_length: usize,
    /// Estimated time of its last graph, in microseconds.
    pub cost_us: f64,
    /// Estimated time of its best graph.
    pub best_us: f64,
    /// Positions of the candidates that lead to its best graph.
    pub best_actions: Vec<usize>,
}

/// What came of one action in each environment.
pub struct Stepped<'a> {
    /// For each environment. Where an episode ended, this is its last step; another has begun.
    pub steps: Vec<Step>,
    /// The episodes that ended, in the order of the environments.
    pub episodes: Vec<Episode<'a>>,
}

struct Slot<'a> {
    env: Env<'a>,
    /// The task of the episodes after this.
    next: Option<Arc<Task<'a>>>,
    episodic_return: f64,
    episodic_length: usize,
}

/// Many environments, with the table of classes that they share.
pub struct VectorEnv<'a> {
    slots: Vec<Slot<'a>>,
    settings: EnvSettings,
    table: Neighbourhoods,
    most_bytes: usize,
}

/// The table of classes is emptied when it takes more than this many bytes.
pub const MAX_TABLE_BYTES: usize = 1 << 30;

impl<'a> VectorEnv<'a> {
    /// One environment for each task; classes are for `rounds` rounds of a graph network.
    pub fn new(tasks: Vec<Arc<Task<'a>>>, settings: EnvSettings, rounds: usize) -> VectorEnv<'a> {
        let slot = |task: Arc<Task<'a>>| Slot {
            env: Env::new(task, settings.clone()),
            next: None,
            episodic_return: 0.0,
            episodic_length: 0,
        };
        let slots = tasks.into_par_iter().map(slot).collect();
        VectorEnv { slots, settings, table: Neighbourhoods::new(rounds), most_bytes: MAX_TABLE_BYTES }
    }

    /// The same with another bound on the table of classes, in bytes.
    pub fn with_table_bytes(mut self, most: usize) -> VectorEnv<'a> {
        self.most_bytes = most;
        self
    }

    /// Number of environments.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// An environment.
    pub fn env(&self, at: usize) -> &Env<'a> {
        &self.slots[at].env
    }

    /// An environment, to set up.
    pub fn env_mut(&mut self, at: usize) -> &mut Env<'a> {
        &mut self.slots[at].env
    }

    /// What the classes of observations stand for. When its generation changes, so do all classes.
    pub fn table(&self) -> &Neighbourhoods {
        &self.table
    }

    /// The table, to add classes of rules.
    pub fn table_mut(&mut self) -> &mut Neighbourhoods {
        &mut self.table
    }

    /// Gives an environment another task, from its next episode on.
    pub fn set_task(&mut self, at: usize, task: Arc<Task<'a>>) {
        self.slots[at].next = Some(task);
    }

    /// Begins an episode of a task in an environment, and takes these actions. `false` if one of them is not legal, or ends
    /// the episode.
    pub fn replay(&mut self, at: usize, task: Arc<Task<'a>>, actions: &[usize]) -> bool {
        let slot = &mut self.slots[at];
        slot.next = Some(task);
        slot.begin(&self.settings);
        actions.iter().all(|&action| {
            let legal = action < slot.env.candidates();
            legal && !slot.take(Action::Apply(action)).terminated
        })
    }

    /// Begins an episode everywhere.
    pub fn reset(&mut self) {
        self.slots.par_iter_mut().for_each(|slot| slot.begin(&self.settings));
    }

    /// What each environment shows.
    pub fn observe(&mut self) -> Vec<Observation> {
        if self.table.bytes() > self.most_bytes {
            self.table.clear();
        }
        let VectorEnv { slots, table, .. } = self;
        let known = &*table;
        let look = |slot: &mut Slot<'_>| {
            slot.env.look();
            slot.env.begin_classes(known);
            slot.env.classify(known)
        };
        let done: Vec<bool> = slots.par_iter_mut().map(look).collect();
        for (slot, done) in slots.iter_mut().zip(done) {
            if !done {
                slot.env.classify(&mut *table);
            }
        }
        slots.par_iter_mut().map(|slot| slot.env.collect()).collect()
    }

    /// Takes an action in each environment; where that ends an episode another begins.
    ///
    /// # Panics
    /// There is not one action for each environment, or one is not of its latest observation.
    pub fn step(&mut self, actions: &[Action]) -> Stepped<'a> {
        assert_eq!(actions.len(), self.slots.len(), "one action for each environment");
        let settings = &self.settings;
        let step = |(at, (slot, action)): (usize, (&mut Slot<'a>, &Action))| slot.step(at, *action, settings);
        let all: Vec<(Step, Option<Episode<'a>>)> =
            self.slots.par_iter_mut().zip(actions).enumerate().map(step).collect();
        let (steps, episodes): (Vec<Step>, Vec<Option<Episode<'a>>>) = all.into_iter().unzip();
        Stepped { steps, episodes: episodes.into_iter().flatten().collect() }
    }
}

impl<'a> Slot<'a> {
    fn begin(&mut self, settings: &EnvSettings) {
        (self.episodic_return, self.episodic_length) = (0.0, 0);
        match self.next.take() {
            Some(task) => self.env = self.env.with_task(task, settings.clone()),
            None => self.env.reset(),
        }
    }

    fn take(&mut self, action: Action) -> Step {
        let step = self.env.step(action);
        self.episodic_return += step.reward;
        self.episodic_length += 1;
        step
    }

    fn step(&mut self, at: usize, action: Action, settings: &EnvSettings) -> (Step, Option<Episode<'a>>) {
        let step = self.take(action);
        if !step.terminated {
            return (step, None);
        }
        let episode = Episode {
            env: at,
            task: self.env.task().clone(),
            episodic_return: self.episodic_return,
            episodic_length: self.episodic_length,
            cost_us: step.info.cost_us,
            best_us: step.info.best_us,
            best_actions: self.env.best_actions(),
        };
        self.begin(settings);
        (step, Some(episode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{DeviceProfile, Roofline};
    use crate::graph::splitmix64;
    use crate::rl::env::tests::{model, rules};

    /// Everything that a random policy sees and earns: observations, steps, of each episode the environment, the length and
    /// the best actions, and the number of classes.
    #[derive(PartialEq)]
    struct Seen {
        observations: Vec<Observation>,
        steps: Vec<Step>,
        episodes: Vec<(usize, usize, Vec<usize>)>,
        classes: usize,
    }

    fn run(threads: usize) -> Seen {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (rules, costs) = (rules(), Roofline::new(DeviceProfile::cpu()));
        let tasks: Vec<_> = ["nasrnn_4", "inception_pair", "attention_heads", "nasrnn_4", "nasrnn_4"]
            .map(|name| Arc::new(Task::new(&model(name, &[]), rules.clone(), &costs)))
            .into();
        pool.install(|| {
            let settings = EnvSettings { horizon: 6, ..EnvSettings::default() };
            let other = tasks[1].clone();
            let mut envs = VectorEnv::new(tasks, settings, 2).with_table_bytes(50_000);
            let first = envs.table().generation();
            let (mut seen, mut steps, mut episodes) = (Vec::new(), Vec::new(), Vec::new());
            envs.set_task(3, other);
            for t in 0..30u64 {
                let observations = envs.observe();
                let act = |(at, o): (usize, &Observation)| match (splitmix64(at as u64, t), o.candidates.len() as u64) {
                    (_, 0) => Action::Stop,
                    (draw, _) if draw % 12 == 0 => Action::Stop,
                    (draw, n) => Action::Apply((draw % n) as usize),
                };
                let actions: Vec<Action> = observations.iter().enumerate().map(act).collect();
                seen.extend(observations);
                let stepped = envs.step(&actions);
                steps.extend(stepped.steps);
                for e in stepped.episodes {
                    let gain = (e.task.start_us() / e.best_us).ln();
                    assert!((e.episodic_return - gain).abs() < 1e-9, "the return is the gain");
                    assert!(e.best_actions.len() <= e.episodic_length && e.episodic_length <= 6);
                    episodes.push((e.env, e.episodic_length, e.best_actions));
                }
            }
            assert!(envs.table().generation() > first, "the table was emptied on the way");
            Seen { observations: seen, steps, episodes, classes: envs.table().len() }
        })
    }

    #[test]
    fn threads_change_nothing() {
        let one = run(1);
        assert!(one.episodes.len() > 20, "episodes end and begin");
        let two = run(2);
        assert!(one == two);
    }
}
