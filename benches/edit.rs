//! The cost of one edit: apply a match and undo it, with the index of matches of the whole shipped library kept current.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::rewrite::Candidate;
use graphopt::search::State;

/// Rounds over all candidates behind the line of details.
const ROUNDS: usize = 15;

/// How the time is spread: over applying and undoing, and over the candidates. Of each candidate the quickest of a few
/// rounds counts, so that what else the machine does is left out.
fn details(name: &str, state: &mut State<'_>, candidates: &[Arc<Candidate>]) {
    let mut best = vec![(Duration::MAX, Duration::MAX); candidates.len()];
    for _ in 0..ROUNDS {
        for (candidate, best) in candidates.iter().zip(&mut best) {
            let start = Instant::now();
            let saved = state.apply(candidate);
            let applied = start.elapsed();
            let start = Instant::now();
            state.undo(black_box(saved));
            *best = (best.0.min(applied), best.1.min(start.elapsed()));
        }
    }
    let us = |d: Duration| d.as_secs_f64() * 1e6;
    let mut all: Vec<f64> = best.iter().map(|(apply, undo)| us(*apply) + us(*undo)).collect();
    all.sort_by(f64::total_cmp);
    let count = all.len() as f64;
    let undo: f64 = best.iter().map(|(_, undo)| us(*undo)).sum();
    println!(
        "{name}: quickest of {ROUNDS} rounds: mean {:.1} us (undo {:.1}), median {:.1}, nine in ten below {:.1}, all below {:.1}",
        all.iter().sum::<f64>() / count,
        undo / count,
        all[all.len() / 2],
        all[all.len() * 9 / 10],
        all[all.len() - 1],
    );
}

fn edit(c: &mut Criterion) {
    graphopt::runtime::keep_freed_memory();
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    for name in ["bert_base", "resnet50", "inception_v3", "nasnet_a"] {
        let mut state = State::new(common::model(name), rules.clone(), &model);
        let candidates: Vec<_> = state.candidates().filter(|c| c.patch.is_acyclic(state.graph())).cloned().collect();
        println!("{name}: {} nodes, {} candidates", state.graph().len(), candidates.len());
        details(name, &mut state, &candidates);
        let mut next = 0;
        c.bench_function(&format!("apply and undo, {name}"), |b| {
            b.iter(|| {
                let candidate = &candidates[next % candidates.len()];
                next += 1;
                let saved = state.apply(candidate);
                state.undo(black_box(saved));
            });
        });
        c.bench_function(&format!("state hash, {name}"), |b| b.iter(|| black_box(state.graph().state_hash())));
        c.bench_function(&format!("clone, {name}"), |b| b.iter(|| black_box(state.graph().clone())));
    }
}

criterion_group!(benches, edit);
criterion_main!(benches);
