//! What benchmarks of the world model share: its settings, and loops on built-in models.

use std::sync::Arc;

use graphopt::cost::Roofline;
use graphopt::rewrite::RuleSet;
use graphopt::rl::dream::waking::agent::{Dreamer, DreamerConfig};
use graphopt::rl::dream::waking::learner::Learner;
use graphopt::rl::dream::waking::pretrain::pretrained;
use graphopt::rl::dream::waking::settings::LearnConfig;
use graphopt::rl::env::Task;
use graphopt::rl::trainer::Subject;
use graphopt::search::{Budget, Greedy, Problem, Search};
use tch::Device;

/// Actions of an episode.
pub const HORIZON: usize = 24;

/// Those of `--preset cpu` but for one round of shorter episodes.
pub fn config(seed: u64, episodes: usize) -> LearnConfig {
    let dreamer = DreamerConfig { horizon: HORIZON, ..DreamerConfig::default() };
    LearnConfig { seed, dreamer, rounds: 1, episodes, ..LearnConfig::default() }
}

/// Built-in models, with what greedy search reaches.
fn subjects<'a>(names: &[&str], rules: &Arc<RuleSet>, model: &'a Roofline) -> Vec<Subject<'a>> {
    let subject = |name: &&str| {
        let task = Arc::new(Task::new(&super::model(name), rules.clone(), model));
        let budget = Budget::default();
        let problem = Problem { graph: task.graph(), rules, model, budget: &budget };
        let known_us = Greedy.run(&problem, &mut |_| true).1.best_us;
        Subject { name: (*name).to_owned(), known_us, task }
    };
    names.iter().map(subject).collect()
}

/// A loop on these graphs whose encoder was trained on `pretrain_on`.
pub fn learner<'a>(
    config: LearnConfig,
    names: &[&str],
    pretrain_on: &[&str],
    rules: &Arc<RuleSet>,
    model: &'a Roofline,
) -> Learner<'a> {
    let dreamer = Dreamer::new(config.dreamer, Device::Cpu, config.seed).expect("settings that fit");
    let on = subjects(pretrain_on, rules, model);
    let dreamer = pretrained(&config, &on, dreamer, &mut |_, _| {}).expect("there are graphs");
    Learner::new(config, subjects(names, rules, model), dreamer)
}
