//! The encoder: graphs a second, forward and forward with backward, for the full block of Battaglia et al., for the same
//! rounds without global updates on whole graphs, and for classes of neighbourhoods; and acting, where the classes of the
//! steps before are kept. On graphs along random walks, one thread unless told otherwise.
//!
//! `cargo bench --bench encoder [-- MODEL…]`

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::sync::Arc;
use std::time::Instant;

use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::rl::agent::{Agent, AgentConfig};
use graphopt::rl::env::{Action, Env, EnvSettings, Task};
use graphopt::rl::neighbourhood::Neighbourhoods;
use graphopt::rl::net::digest::{Digest, NodeKey};
use graphopt::rl::net::encoder::{EncoderConfig, Global};
use graphopt::rl::observe_rule;
use graphopt::rl::random::Random;
use tch::{Device, Kind, Tensor, no_grad};

/// Environments at a time.
const BATCH: usize = 16;
/// Steps of each.
const STEPS: usize = 12;

fn main() {
    graphopt::runtime::keep_freed_memory();
    let threads = std::env::var("THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    graphopt::runtime::set_threads(threads);
    let mut names: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if names.is_empty() {
        names = vec!["bert_base".into(), "inception_pair".into()];
    }
    println!("model,nodes,what,graphs_per_second,forward_and_backward_per_second,largest_difference");
    for name in names {
        measure(&name);
    }
}

fn agent(global: Global) -> Agent {
    let encoder = EncoderConfig { global, ..EncoderConfig::default() };
    Agent::new(AgentConfig { encoder, ..AgentConfig::default() }, Device::Cpu, 0)
}

fn measure(name: &str) {
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    let task = Arc::new(Task::new(&common::model(name), rules.clone(), &model));
    let nodes = task.graph().len();
    let settings = EnvSettings { plain: true, horizon: STEPS + 1, ..EnvSettings::default() };
    let mut envs: Vec<Env<'_>> = (0..BATCH).map(|_| Env::new(task.clone(), settings.clone())).collect();
    let mut known = Neighbourhoods::new(EncoderConfig::default().rounds);
    let observed: Vec<_> = (0..rules.len() as u32).map(|i| observe_rule(rules.rule(i), &mut known)).collect();
    let mut random = Random::new(0);
    let mut late = agent(Global::Late);
    let mut full = agent(Global::Full);
    let mut seconds = [0.0; 6];
    let mut difference: f64 = 0.0;
    for step in 0..STEPS {
        let observations: Vec<_> = envs.iter_mut().map(|env| env.observe(&mut known)).collect();
        let counted: Vec<Digest> = observations.iter().map(|o| Digest::new(o.clone(), NodeKey::Class)).collect();
        let listed: Vec<Digest> = observations.into_iter().map(|o| Digest::new(o, NodeKey::Position)).collect();
        let (counted, listed): (Vec<&Digest>, Vec<&Digest>) = (counted.iter().collect(), listed.iter().collect());
        let timed = |seconds: &mut f64, work: &mut dyn FnMut() -> Tensor| {
            let start = Instant::now();
            let value = work();
            // The first steps warm up.
            if step >= 2 {
                *seconds += start.elapsed().as_secs_f64();
            }
            value
        };
        let backward = |value: Tensor| {
            value.sum(Kind::Float).backward();
            value
        };
        let mut whole = || full.judge(&listed, &observed, &known).1.value;
        let rounds = || late.encode_plainly(&listed, &observed, &known).value;
        let [full_f, full_b, plain_f, plain_b, class_b, act] = &mut seconds;
        let _ = timed(full_f, &mut || no_grad(&mut whole));
        let _ = timed(full_b, &mut || backward(whole()));
        let plain = timed(plain_f, &mut || no_grad(rounds));
        let _ = timed(plain_b, &mut || backward(rounds()));
        let _ = timed(class_b, &mut || backward(late.judge(&counted, &observed, &known).1.value));
        let kept = timed(act, &mut || late.judge_quickly(&counted, &observed, &known).1.value);
        difference = difference.max((plain - kept).abs().max().double_value(&[]));
        for env in &mut envs {
            let legal = env.candidates();
            if legal > 0 {
                env.step(Action::Apply(random.below(legal)));
            }
        }
    }
    let rate = |seconds: f64| format!("{:.0}", (BATCH * (STEPS - 2)) as f64 / seconds);
    let [full_f, full_b, plain_f, plain_b, class_b, act] = seconds;
    println!("{name},{nodes},full block,{},{},", rate(full_f), rate(full_b));
    println!("{name},{nodes},no global updates on whole graphs,{},{},", rate(plain_f), rate(plain_b));
    println!("{name},{nodes},classes,{},{},{difference:.1e}", rate(act), rate(class_b));
}
