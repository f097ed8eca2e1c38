//! What planning is worth beside learning from real episodes alone, and how it is to be shaped.
//!
//! `cargo bench --bench planning -- shapes MODEL [SEEDS [ROUNDS]]`: one loop of real episodes and planning by PPO (Holland,
//! Talvitie and Bowling 2018), with rollouts of 100x1, 33x3 and 10x10 in the environment itself (a perfect model), in an M that
//! was fitted to experts' episodes alone, and in one that is fitted round by round; with as many steps of replay; and without
//! planning. A row a round.
//! `cargo bench --bench planning -- ladder`: model-predictive control in 64 real states, step by step from one path at a time to
//! all paths of all states in one batch.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use common::dream;

use std::sync::Arc;
use std::time::Instant;

use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::rewrite::RuleSet;
use graphopt::rl::dream::config::{Beginners, FitConfig, Planning, PracticeConfig, RolloutShape, Teacher};
use graphopt::rl::dream::controller::Controllers;
use graphopt::rl::dream::data::Trajectory;
use graphopt::rl::dream::dream::STOP;
use graphopt::rl::dream::ensemble::Ensemble;
use graphopt::rl::dream::plan::{Plan, Proposals, worth, worth_of_all};
use graphopt::rl::dream::replay::replayed;
use graphopt::rl::dream::waking::learner::{Learner, Phase};
use graphopt::rl::dream::waking::settings::LearnConfig;
use graphopt::rl::random::Random;
use tch::{Tensor, no_grad};

fn main() {
    graphopt::runtime::keep_freed_memory();
    graphopt::runtime::set_threads(1);
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |at: usize, otherwise: usize| arguments.get(at).and_then(|a| a.parse().ok()).unwrap_or(otherwise);
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    match arguments.first().map(String::as_str) {
        Some("shapes") => {
            let name = arguments.get(1).map_or("nasrnn_4", String::as_str);
            shapes(&rules, &model, name, number(2, 3) as u64, number(3, 12));
        }
        Some("ladder") => ladder(&rules, &model),
        _ => println!("shapes or ladder"),
    }
}

/// Episodes of each player in a round.
const EPISODES: usize = 16;

fn learner<'a>(config: LearnConfig, name: &str, rules: &Arc<RuleSet>, model: &'a Roofline) -> Learner<'a> {
    dream::learner(config, &[name], &[name], rules, model)
}

/// Rollouts of one budget: 400 steps an update.
const SHAPES: [(&str, usize, usize); 3] = [("100x1", 100, 1), ("33x3", 33, 3), ("10x10", 10, 10)];

fn shapes(rules: &Arc<RuleSet>, model: &Roofline, name: &str, seeds: u64, rounds: usize) {
    println!("model,planning,shape,seed,round,real_steps,planned_steps,played_return,real_return_slots,seconds");
    let ppo = PracticeConfig {
        teacher: Teacher::Ppo,
        from_real: true,
        dreams: 4,
        generations: 8,
        warm_start: false,
        ..PracticeConfig::default()
    };
    for seed in 0..seeds {
        let config = LearnConfig {
            rounds,
            fit: FitConfig { epochs: 6, ..FitConfig::default() },
            ..dream::config(seed, EPISODES)
        };
        let experts = LearnConfig { beginners: Beginners::Experts, aggregate: false, ..config };
        for (planning, of, by) in [
            ("perfect", config, Planning::Exact),
            ("experts", experts, Planning::Dream),
            ("online", config, Planning::Dream),
        ] {
            for (shape, rollouts, depth) in SHAPES {
                let rollouts = Some(RolloutShape { rollouts, depth });
                let practice = PracticeConfig { planning: by, rollouts, ..ppo };
                run(LearnConfig { practice, ..of }, (planning, shape), name, rules, model);
            }
        }
        let rollouts = Some(RolloutShape { rollouts: 100, depth: 1 });
        let replay = PracticeConfig { planning: Planning::Replay, rollouts, ..ppo };
        run(LearnConfig { practice: replay, ..config }, ("replay", "-"), name, rules, model);
        let nothing = PracticeConfig { generations: 0, ..ppo };
        // It begins by chance alone, with as many episodes as the three who begin elsewhere.
        run(LearnConfig { practice: nothing, ..config }, ("none", "-"), name, rules, model);
    }
}

fn run(config: LearnConfig, (planning, shape): (&str, &str), name: &str, rules: &Arc<RuleSet>, model: &Roofline) {
    let begin = Instant::now();
    let mut learner = learner(config, name, rules, model);
    let mut played = f64::NAN;
    while !learner.is_done() {
        let round = learner.state().round;
        let unit = learner.advance();
        played = unit.metrics.get("charts/episodic_return").copied().unwrap_or(played);
        let state = learner.state();
        // What it is worth before any dream is judged, too.
        if let Some(real) = unit.metrics.get("return/true_slots").filter(|_| state.round > round) {
            println!(
                "{name},{planning},{shape},{},{round},{},{},{played:.4},{real:.4},{:.1}",
                config.seed,
                state.real_steps,
                state.dream_steps,
                begin.elapsed().as_secs_f64()
            );
        }
    }
}

/// Real states that are planned in.
const STATES: usize = 64;

fn ladder(rules: &Arc<RuleSet>, model: &Roofline) {
    let fit = FitConfig { epochs: 3, ..FitConfig::default() };
    let mut learner = learner(LearnConfig { fit, ..dream::config(0, EPISODES) }, "squeezenet1_1", rules, model);
    while !matches!(learner.state().phase, Phase::Practise { .. }) {
        learner.advance();
    }
    let (world, table) = (learner.model(), learner.rules());
    let played: Vec<&Trajectory> = learner.data().trajectories.iter().collect();
    let models = Ensemble::from(world);
    let dream = replayed(&models, table, &played, STATES, &mut Random::new(0)).expect("episodes were played");
    let config = learner.config().dreamer;
    let first = config.controller().first(true);
    let controllers = Controllers::new(config.controller(), &[first], dream::device());
    let plan = Plan { depth: 8, paths: 1, temperature: 0.0, proposals: Proposals::Controller };
    println!("rung,seconds,over the first");
    let mut before = None;
    let mut row = |rung: &str, work: &mut dyn FnMut()| {
        work();
        let begin = Instant::now();
        work();
        let seconds = begin.elapsed().as_secs_f64();
        let first = *before.get_or_insert(seconds);
        println!("{rung},{seconds:.3},{:.1}", first / seconds);
    };
    let possible = |at: i64| -> Vec<i64> {
        let present = Vec::<bool>::try_from(dream.present().get(at)).expect("of slots");
        (0..).zip(present).filter(|(_, there)| *there).map(|(slot, _)| slot).chain([STOP]).collect()
    };
    let one = |at: i64| dream.select(&Tensor::from_slice(&[at]));
    row("one path at a time", &mut || {
        for at in 0..STATES as i64 {
            let dream = one(at);
            for action in possible(at) {
                let _ = no_grad(|| worth(&dream, &[action], &plan, &controllers, &mut Random::new(0)));
            }
        }
    });
    row("all paths of a state together", &mut || {
        for at in 0..STATES as i64 {
            let _ = no_grad(|| worth(&one(at), &possible(at), &plan, &controllers, &mut Random::new(0)));
        }
    });
    row("all paths of all states together", &mut || {
        let _ = no_grad(|| worth_of_all(&dream, &plan, &controllers, &mut Random::new(0)));
    });
    graphopt::runtime::set_threads(2);
    row("the same on two threads", &mut || {
        let _ = no_grad(|| worth_of_all(&dream, &plan, &controllers, &mut Random::new(0)));
    });
}
