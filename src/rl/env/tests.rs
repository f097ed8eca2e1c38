use std::sync::Arc;

use crate::cost::{self, DeviceProfile, Roofline};
use crate::formats::import::{ImportOptions, import};
use crate::graph::{Graph, splitmix64};
use crate::rewrite::{RuleSet, clean_up};
use crate::substitution::Library;
use crate::zoo;

use super::{Action, Env, EnvSettings, Task};
use crate::rl::neighbourhood::{Neighbourhoods, refine};
use crate::rl::observation::Observation;
use crate::rl::observe_rule;

pub(in crate::rl) fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::compile(Library::starter().unwrap().rules().cloned()).unwrap())
}

pub(in crate::rl) fn model(name: &str, sizes: &[(&str, u64)]) -> Graph {
    let mut graph = import(zoo::build(name, sizes).unwrap(), &ImportOptions::default()).unwrap().graph;
    clean_up(&mut graph);
    graph.commit();
    graph
}

fn small() -> Vec<Graph> {
    vec![
        model("nasrnn_4", &[]),
        model("inception_pair", &[]),
        model("attention_heads", &[]),
        model("lora_mlp", &[("layers", 3)]),
        model("mobilenet_v2", &[]),
    ]
}

/// A random action; stops now and then.
fn random(env: &mut Env<'_>, draw: u64) -> Action {
    match env.candidates() {
        0 => Action::Stop,
        _ if draw.is_multiple_of(50) => Action::Stop,
        n => Action::Apply((splitmix64(draw, 1) % n as u64) as usize),
    }
}

fn plain(horizon: usize) -> EnvSettings {
    EnvSettings { horizon, plain: true, ..EnvSettings::default() }
}

/// The observation of the same graph by an environment that has seen nothing before.
fn from_scratch(env: &Env<'_>, table: &mut Neighbourhoods) -> Observation {
    let mut fresh = env.without_memory();
    fresh.observe(table)
}

#[test]
fn what_is_kept_equals_what_is_made_anew() {
    let (rules, model) = (rules(), Roofline::new(DeviceProfile::cpu()));
    for (seed, graph) in small().iter().enumerate() {
        let mut table = Neighbourhoods::new(3);
        let task = Arc::new(Task::new(graph, rules.clone(), &model));
        let mut env = Env::new(task, plain(25));
        for step in 0..80 {
            let draw = splitmix64(seed as u64, step);
            // Now and then several edits pass before anyone looks, and the table is emptied.
            if step % 3 != 1 {
                let kept = env.observe(&mut table);
                assert_eq!(kept, from_scratch(&env, &mut table), "{} at step {step}", graph.name());
                assert_eq!(kept.nodes.len(), kept.cost_share.len());
                check_against_lists(&kept, &mut table);
            }
            if step == 40 {
                table.clear();
            }
            let action = random(&mut env, draw);
            if env.step(action).terminated {
                env.reset();
            }
        }
    }
}

/// The classes of an observation are those of its plain lists, refined from scratch.
fn check_against_lists(observation: &Observation, table: &mut Neighbourhoods) {
    let plain = observation.plain.as_ref().unwrap();
    let levels = refine(&plain.nodes, &plain.edges, table);
    assert_eq!(levels.last().unwrap(), &observation.nodes);
}

#[test]
fn rewards_of_an_episode_sum_to_the_gain_and_a_reset_restores() {
    let (rules, model) = (rules(), Roofline::new(DeviceProfile::cpu()));
    for (seed, graph) in small().iter().enumerate() {
        let task = Arc::new(Task::new(graph, rules.clone(), &model));
        let mut env = Env::new(task.clone(), plain(40));
        let mut table = Neighbourhoods::new(2);
        let start = env.observe(&mut table);
        let hash = env.graph().state_hash();
        for episode in 0..3 {
            let mut sum = 0.0;
            for t in 0.. {
                let action = random(&mut env, splitmix64(seed as u64 + 77, 1000 * episode + t));
                let step = env.step(action);
                sum += step.reward;
                assert!(!step.truncated);
                if step.terminated {
                    break;
                }
            }
            let info = env.info();
            assert!((sum - (info.start_us / info.best_us).ln()).abs() < 1e-9);
            let best = env.best();
            assert!((best.cost_us - info.best_us).abs() < 1e-6 * info.start_us);
            assert!((cost::graph_cost(&model, &best.graph).time_us - best.cost_us).abs() < 1e-6 * info.start_us);
            assert_eq!(env.step(Action::Stop).reward, 0.0, "an ended episode stays ended");
            // The actions lead to the same graph again.
            env.reset();
            assert_eq!(env.graph().state_hash(), hash);
            assert_eq!(env.observe(&mut table), start);
            for action in &best.actions {
                env.step(Action::Apply(*action));
            }
            assert_eq!(env.graph().state_hash(), best.graph.state_hash());
            env.reset();
        }
    }
}

#[test]
fn rules_are_seen_in_the_classes_of_graphs() {
    let rules = rules();
    let mut table = Neighbourhoods::new(2);
    for number in 0..rules.len() as u32 {
        let rule = rules.rule(number);
        let seen = observe_rule(rule, &mut table);
        assert_eq!(seen, observe_rule(rule, &mut table));
        for (side, graph) in [(&seen.source, &rule.source), (&seen.target, &rule.target)] {
            assert_eq!(side.nodes.len(), side.plain.nodes.len());
            let operators = side.plain.nodes.iter().filter(|c| table.base(**c).operator > 2).count();
            assert_eq!(operators, graph.nodes.len(), "{}", rule.name);
            assert!(side.plain.edges.iter().all(|e| e.from < e.to), "operands come first");
        }
        assert_ne!(seen.source, seen.target, "{}", rule.name);
    }
}
