//! What benchmarks of the world model share: its settings, and loops on built-in models.

use std::sync::Arc;

use graphopt::cost::{Roofline, graph_cost};
use graphopt::rewrite::{Rule, RuleSet};
use graphopt::rl::dream::waking::agent::{Dreamer, DreamerConfig};
use graphopt::rl::dream::waking::learner::Learner;
use graphopt::rl::dream::waking::pretrain::pretrained;
use graphopt::rl::dream::waking::settings::LearnConfig;
use graphopt::rl::env::Task;
use graphopt::rl::task::Distribution;
use graphopt::rl::trainer::Subject;
use graphopt::runtime::DeviceChoice;
use graphopt::search::{Budget, Greedy, Problem, Search};
use graphopt::substitution::inverse;
use tch::Device;

/// Actions of an episode.
pub const HORIZON: usize = 24;

/// Where libtorch computes: what the environment variable DEVICE says (cpu, cuda, cuda:N), otherwise the CPU.
pub fn device() -> Device {
    let choice: DeviceChoice = std::env::var("DEVICE").map_or(Ok(DeviceChoice::Cpu), |d| d.parse()).expect("a device");
    choice.resolve().expect("a device that answers").0
}

/// Those of `--preset cpu` but for one round of shorter episodes.
pub fn config(seed: u64, episodes: usize) -> LearnConfig {
    let dreamer = DreamerConfig { horizon: HORIZON, ..DreamerConfig::default() };
    LearnConfig { seed, dreamer, rounds: 1, episodes, ..LearnConfig::default() }
}

/// Built-in models, with what greedy search reaches.
pub fn subjects<'a>(names: &[&str], rules: &Arc<RuleSet>, model: &'a Roofline) -> Vec<Subject<'a>> {
    let subject = |name: &&str| {
        let task = Arc::new(Task::new(&super::model(name), rules.clone(), model));
        let budget = Budget::default();
        let problem = Problem { graph: task.graph(), rules, model, budget: &budget };
        let known_us = Greedy.run(&problem, &mut |_| true).1.best_us;
        Subject { name: (*name).to_owned(), known_us, task }
    };
    names.iter().map(subject).collect()
}

/// The first `count` graphs drawn at random (as by `train-agent --draw`) that gain 1 % or more and have 200 nodes at most, none of
/// them made of the models `unlike`.
pub fn drawn<'a>(count: usize, unlike: &[&str], rules: &Arc<RuleSet>, model: &'a Roofline) -> Vec<Subject<'a>> {
    let forwards: Vec<Rule> = (0..rules.len() as u32).map(|i| rules.rule(i).clone()).collect();
    let backwards: Vec<Rule> = forwards.iter().filter_map(inverse).collect();
    let distribution = Distribution::new(&forwards, &backwards, model, &[], 200).expect("the shipped rules compile");
    let draws = (0..).filter_map(|seed| Some((seed, distribution.draw(seed).expect("the shipped rules compile")?)));
    let wanted = draws.filter(|(_, drawn)| {
        let gains = drawn.known_us < 0.99 * graph_cost(model, &drawn.graph).time_us;
        gains && !unlike.iter().any(|name| drawn.name.starts_with(name))
    });
    let subject = |(seed, drawn): (u64, graphopt::rl::task::Drawn)| {
        let task = Arc::new(Task::new(&drawn.graph, rules.clone(), model));
        Subject { name: format!("{} ({seed})", drawn.name), known_us: drawn.known_us, task }
    };
    wanted.take(count).map(subject).collect()
}

/// The same subjects.
pub fn copies<'a>(subjects: &[Subject<'a>]) -> Vec<Subject<'a>> {
    let copy = |s: &Subject<'a>| Subject { name: s.name.clone(), task: s.task.clone(), known_us: s.known_us };
    subjects.iter().map(copy).collect()
}

/// A loop on built-in models whose encoder was trained on `pretrain_on`.
pub fn learner<'a>(
    config: LearnConfig,
    names: &[&str],
    pretrain_on: &[&str],
    rules: &Arc<RuleSet>,
    model: &'a Roofline,
) -> Learner<'a> {
    learner_on(config, subjects(names, rules, model), &subjects(pretrain_on, rules, model))
}

/// The same on any graphs.
pub fn learner_on<'a>(config: LearnConfig, on: Vec<Subject<'a>>, pretrain_on: &[Subject<'a>]) -> Learner<'a> {
    let dreamer = Dreamer::new(config.dreamer, device(), config.seed).expect("settings that fit");
    let dreamer = pretrained(&config, pretrain_on, dreamer, &mut |_, _| {}).expect("there are graphs");
    Learner::new(config, on, dreamer)
}
