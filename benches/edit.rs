//! The cost of one edit: apply a match and undo it, with the index of matches of the whole shipped library kept current.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

mod common;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use graphopt::cost::{DeviceProfile, Roofline};
use graphopt::search::State;

fn edit(c: &mut Criterion) {
    graphopt::runtime::keep_freed_memory();
    let model = Roofline::new(DeviceProfile::cpu());
    let rules = common::rules();
    for name in ["bert_base", "resnet50", "inception_v3", "nasnet_a"] {
        let mut state = State::new(common::model(name), rules.clone(), &model);
        let candidates: Vec<_> = state.candidates().filter(|c| c.patch.is_acyclic(state.graph())).cloned().collect();
        println!("{name}: {} nodes, {} candidates", state.graph().len(), candidates.len());
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
