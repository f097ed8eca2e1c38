//! The dream: how fast it is, how well M predicts, and what its temperature does.
//!
//! `cargo bench --bench dream -- speed`: steps dreamt in a second with the settings of `--preset cpu`, 4,096 dreams at a time.
//! (Here and below THREADS is how many libtorch may use, and DEVICE where it computes: cpu, or cuda.)
//! `cargo bench --bench dream -- quality [SEEDS [EPISODES [EPOCHS [MODEL…]]]]`: prediction on episodes and on graphs that M has
//! not met, for a mixture, one Gaussian, and a single prediction, and the same when M is not told what actions take (`blind`), and when it
//! keeps books (`books`).
//! `cargo bench --bench dream -- temperature MODEL [SEEDS [GENERATIONS]]`: controllers trained in dreams of each temperature,
//! their return there and for real.
//! `cargo bench --bench dream -- teachers MODEL [SEEDS [GENERATIONS]]`: one M a seed, and controllers that are trained in its dream by
//! evolution, by PPO with rollouts of several shapes and about equal steps, by imitation, and with a penalty on what an ensemble
//! disagrees about.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use common::dream::{self, HORIZON};

use std::sync::Arc;
use std::time::Instant;

use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::rewrite::RuleSet;
use graphopt::rl::dream::chance::Chance;
use graphopt::rl::dream::config::{EnsembleConfig, FitConfig, ModelConfig, PracticeConfig, RolloutShape, Teacher};
use graphopt::rl::dream::controller::Controllers;
use graphopt::rl::dream::data::Trajectory;
use graphopt::rl::dream::dream::Dream;
use graphopt::rl::dream::fit::Fit;
use graphopt::rl::dream::frame::Frame;
use graphopt::rl::dream::model::WorldModel;
use graphopt::rl::dream::practice::Practice;
use graphopt::rl::dream::quality::{Quality, measure};
use graphopt::rl::dream::sequences::Sequences;
use graphopt::rl::dream::waking::learner::{HELD_OUT, Learner, Phase};
use graphopt::rl::dream::waking::settings::LearnConfig;
use graphopt::rl::random::Random;
use tch::{Kind, no_grad};

fn main() {
    graphopt::runtime::keep_freed_memory();
    // Number of libtorch's threads.
    let threads = std::env::var("THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    graphopt::runtime::set_threads(threads);
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |at: usize, otherwise: usize| arguments.get(at).and_then(|a| a.parse().ok()).unwrap_or(otherwise);
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    match arguments.first().map(String::as_str) {
        Some("speed") => speed(&rules, &model, threads),
        Some("quality") => {
            let models = arguments.get(4..).unwrap_or_default();
            quality(&rules, &model, (number(1, 3) as u64, number(2, 8), number(3, 30)), models);
        }
        Some("temperature") => {
            let name = arguments.get(1).map_or("squeezenet1_1", String::as_str);
            temperature(&rules, &model, name, number(2, 5) as u64, number(3, 60));
        }
        Some("teachers") => {
            let name = arguments.get(1).map_or("squeezenet1_1", String::as_str);
            teachers(&rules, &model, name, number(2, 3) as u64, number(3, 40));
        }
        _ => println!("speed, quality, temperature or teachers"),
    }
}

/// Episodes of each player.
const EPISODES: usize = 64;

/// A loop on these graphs whose encoder was trained on `pretrain_on`, behind `until`.
fn learner<'a>(
    config: LearnConfig,
    names: &[&str],
    pretrain_on: &[&str],
    rules: &Arc<RuleSet>,
    model: &'a Roofline,
    until: &dyn Fn(Phase) -> bool,
) -> Learner<'a> {
    let mut learner = dream::learner(config, names, pretrain_on, rules, model);
    while !until(learner.state().phase) {
        learner.advance();
    }
    learner
}

fn speed(rules: &Arc<RuleSet>, model: &Roofline, threads: usize) {
    const BATCH: usize = 4096;
    const STEPS: usize = 24;
    let settings = LearnConfig { episodes: 8, ..dream::config(0, EPISODES) };
    let names = ["squeezenet1_1"];
    let mut learner = learner(settings, &names, &names, rules, model, &|phase| matches!(phase, Phase::Fit { .. }));
    // A fit, so that slots come and go as they do.
    while matches!(learner.state().phase, Phase::Fit { .. }) {
        learner.advance();
    }
    let (world, table) = (learner.model(), learner.rules());
    println!("what,temperature,threads,batch,steps,seconds,steps_per_second,mflop_per_step,gflop_per_second");
    let mflop = world.flops_per_step(table.size()[0] as usize) / 1e6;
    let row = |what: &str, temperature: f64, steps: u64, seconds: f64| {
        let rate = steps as f64 / seconds;
        println!(
            "{what},{temperature},{threads},{BATCH},{steps},{seconds:.2},{rate:.0},{mflop:.3},{:.1}",
            rate * mflop / 1e3
        );
    };
    let start = learner.starts()[0].clone();
    let shape = settings.dreamer.controller();
    let controllers = Controllers::new(shape, &[shape.first(true)], world.device());
    for temperature in [0.0, 1.0] {
        for _ in 0..2 {
            let frames: Vec<&Frame> = vec![&start; BATCH];
            let mut random = Random::new(0);
            let begin = Instant::now();
            no_grad(|| {
                let mut dream = Dream::new(world, table, &frames);
                let mut chance = Chance { temperature, random: &mut random, draws: BATCH as i64 };
                for _ in 0..STEPS {
                    let (state, slots, present) =
                        (dream.state().unsqueeze(0), dream.slots().unsqueeze(0), dream.present().unsqueeze(0));
                    let action = controllers.choose(&state, &slots, &present).squeeze_dim(0);
                    let _ = dream.step(&action, &mut chance);
                }
                dream.z.sum(Kind::Float).double_value(&[])
            });
            row("dream", temperature, (BATCH * STEPS) as u64, begin.elapsed().as_secs_f64());
        }
    }
    let practice = PracticeConfig { population: 64, dreams: 64, ..PracticeConfig::default() };
    let practice = Practice::new(world, table, vec![&start], practice, (shape, STEPS));
    let (mut cma, mut random) = (practice.begin(), Random::new(0));
    for _ in 0..2 {
        let begin = Instant::now();
        let generation = practice.generation(&mut cma, &mut random);
        row("dream and learning", 1.0, generation.steps, begin.elapsed().as_secs_f64());
    }
}

/// Graphs that M is fitted to (with as many as `DRAWN` says that are drawn at random), and those that neither it nor V meets,
/// whole or in pieces: nothing is drawn from the models in the last table.
const SEEN: [&str; 6] = ["squeezenet1_1", "nasrnn_4", "inception_pair", "lora_mlp", "bert_2_layers", "repvgg_a0"];
const UNSEEN: [&str; 3] = ["resnext_stage", "attention_heads", "lstm"];
const UNLIKE: [&str; 3] = ["resnext", "attention_heads", "lstm"];
/// Episodes of each player on each graph that M does not meet.
const ELSEWHERE: usize = 16;

/// Models that are compared: components, whether they are told what actions take, and whether they keep books.
const MODELS: [(&str, usize, bool, bool); 9] = [
    ("mixture", 5, true, false),
    ("gaussian", 1, true, false),
    ("deterministic", 0, true, false),
    ("blind-mixture", 5, false, false),
    ("blind-gaussian", 1, false, false),
    ("blind-deterministic", 0, false, false),
    ("books-mixture", 5, true, true),
    ("books-gaussian", 1, true, true),
    ("books-deterministic", 0, true, true),
];

fn quality(rules: &Arc<RuleSet>, model: &Roofline, (seeds, episodes, epochs): (u64, usize, usize), models: &[String]) {
    println!(
        "model,seed,on,horizon,state_skill,cost_skill,reward_skill,slot_f1,continue_accuracy,end_recall,states,\
         fit_seconds,parameters"
    );
    let mut known = dream::subjects(&SEEN, rules, model);
    let drawn = std::env::var("DRAWN").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    known.extend(dream::drawn(drawn, &UNLIKE, rules, model));
    for seed in 0..seeds {
        let settings = LearnConfig { episodes, ..dream::config(seed, EPISODES) };
        let play = |settings, on| {
            let mut learner = dream::learner_on(settings, on, &known);
            while !matches!(learner.state().phase, Phase::Fit { .. }) {
                learner.advance();
            }
            learner
        };
        let seen = play(settings, dream::copies(&known));
        let elsewhere = LearnConfig { episodes: ELSEWHERE, ..settings };
        let unseen = play(elsewhere, dream::subjects(&UNSEEN, rules, model));
        let (fit_to, judge_by) = seen.data().split(HELD_OUT);
        let elsewhere: Vec<&Trajectory> = unseen.data().trajectories.iter().collect();
        for (name, components, sees_takes, keeps_books) in MODELS {
            if !models.is_empty() && !models.iter().any(|m| m == name) {
                continue;
            }
            let books = keeps_books.then_some(settings.dreamer.reward_scale);
            let of = ModelConfig { components, sees_takes, books, ..settings.dreamer.model };
            let begin = Instant::now();
            let world = fitted(of, &fit_to, seen.rules(), (seed, epochs));
            let seconds = begin.elapsed().as_secs_f64();
            for (on, episodes) in [("unseen episodes", &judge_by), ("unseen graphs", &elsewhere)] {
                for (horizon, q) in measure(&world, seen.rules(), episodes) {
                    let Quality {
                        state_skill,
                        cost_skill,
                        reward_skill,
                        slot_f1,
                        continue_accuracy,
                        end_recall,
                        count,
                    } = q;
                    println!(
                        "{name},{seed},{on},{horizon},{state_skill:.4},{cost_skill:.4},{reward_skill:.4},{slot_f1:.4},\
                         {continue_accuracy:.4},{end_recall:.4},{count},{seconds:.1},{}",
                        world.parameters.count()
                    );
                }
            }
        }
    }
}

fn fitted(of: ModelConfig, episodes: &[&Trajectory], table: &tch::Tensor, (seed, epochs): (u64, usize)) -> WorldModel {
    let mut world = WorldModel::new(of, dream::device(), seed);
    world.scales.measure(&Sequences::new(episodes, dream::device()), of.normalise_deltas);
    let config = FitConfig { epochs, ..FitConfig::default() };
    let mut fit = Fit::new(&world);
    for epoch in 0..config.epochs {
        let done = epoch as f64 / config.epochs as f64;
        fit.epoch(&world, episodes, table, &config, done, seed << 32 | epoch as u64);
    }
    world
}

/// As Ha and Schmidhuber's table has them, and more.
const TEMPERATURES: [f64; 10] = [0.0, 0.1, 0.5, 0.75, 1.0, 1.15, 1.3, 1.5, 2.0, 3.0];

fn temperature(rules: &Arc<RuleSet>, model: &Roofline, name: &str, seeds: u64, generations: usize) {
    println!(
        "model,temperature,seed,start,dream_return,predicted_slots,real_return_slots,real_return_candidates,\
         untrained_real_return,greedy_return,seconds"
    );
    for seed in 0..seeds {
        let fitted = |phase| matches!(phase, Phase::Practise { .. });
        let mut learner = learner(dream::config(seed, EPISODES), &[name], &[name], rules, model, &fitted);
        let subject = &learner.subjects()[0];
        let greedy = (subject.task.start_us() / subject.known_us).ln();
        let scale = learner.config().dreamer.reward_scale;
        for (begins, warm_start) in [("cold", false), ("warm", true)] {
            let untrained = learner.worth_of(&learner.config().dreamer.controller().first(warm_start))[0].slots / scale;
            for temperature in TEMPERATURES {
                let of = PracticeConfig { temperature, warm_start, generations, ..PracticeConfig::default() };
                let begin = Instant::now();
                let shape = learner.config().dreamer.controller();
                let (middle, dreamt) = {
                    let practice =
                        Practice::new(learner.model(), learner.rules(), learner.starts(), of, (shape, HORIZON));
                    let (mut cma, mut random) = (practice.begin(), Random::new(seed));
                    for _ in 0..generations {
                        practice.generation(&mut cma, &mut random);
                    }
                    let dreams = practice.returns(&[cma.mean.clone()], temperature, 64, &mut Random::new(seed + 1)).0;
                    (cma.mean, dreams[0])
                };
                let seconds = begin.elapsed().as_secs_f64();
                let worth = learner.worth_of(&middle)[0];
                println!(
                    "{name},{temperature},{seed},{begins},{:.4},{:.4},{:.4},{:.4},{untrained:.4},{greedy:.4},{seconds:.1}",
                    dreamt / scale,
                    worth.dreamt / scale,
                    worth.slots / scale,
                    worth.candidates / scale
                );
            }
        }
    }
}

fn teachers(rules: &Arc<RuleSet>, model: &Roofline, name: &str, seeds: u64, generations: usize) {
    println!(
        "model,seed,start,teacher,penalty,dream_steps,predicted_slots,real_return_slots,real_return_candidates,\
         untrained_real_return,greedy_return,seconds"
    );
    let shape = |rollouts, depth| Some(RolloutShape { rollouts, depth });
    let ways = [
        ("evolution", Teacher::Cma, None, 0.0),
        ("evolution", Teacher::Cma, None, 0.5),
        ("ppo whole", Teacher::Ppo, None, 0.0),
        ("ppo 100x1", Teacher::Ppo, shape(600, 1), 0.0),
        ("ppo 33x3", Teacher::Ppo, shape(200, 3), 0.0),
        ("ppo 10x10", Teacher::Ppo, shape(60, 10), 0.0),
        ("imitation", Teacher::Expert, None, 0.0),
    ];
    for seed in 0..seeds {
        let fitted = |phase| matches!(phase, Phase::Practise { .. });
        let ensemble = EnsembleConfig { members: 3, ..EnsembleConfig::default() };
        let settings = LearnConfig { ensemble, episodes: 32, ..dream::config(seed, EPISODES) };
        let settings = LearnConfig { fit: FitConfig { epochs: 30, ..settings.fit }, ..settings };
        let mut learner = learner(settings, &[name], &[name], rules, model, &fitted);
        let subject = &learner.subjects()[0];
        let greedy = (subject.task.start_us() / subject.known_us).ln();
        let scale = learner.config().dreamer.reward_scale;
        for (start, warm_start) in [("cold", false), ("warm", true)] {
            for (teacher, by, rollouts, penalty) in ways {
                let of = PracticeConfig { teacher: by, rollouts, warm_start, generations, ..PracticeConfig::default() };
                learner.begin_again(of, penalty);
                let untrained = learner.worth()[0].slots / scale;
                let (begin, before) = (Instant::now(), learner.state().dream_steps);
                while matches!(learner.state().phase, Phase::Practise { .. }) {
                    learner.advance();
                }
                let seconds = begin.elapsed().as_secs_f64();
                let worth = learner.worth()[0];
                println!(
                    "{name},{seed},{start},{teacher},{penalty},{},{:.4},{:.4},{:.4},{untrained:.4},{greedy:.4},{seconds:.1}",
                    learner.state().dream_steps - before,
                    worth.dreamt / scale,
                    worth.slots / scale,
                    worth.candidates / scale
                );
            }
        }
    }
}
