//! Greedy by any quantity: what it leaves is not known before a rewrite is applied, so each is tried.

use std::sync::Arc;

use super::env::{Action, Env, EnvSettings, Quantity, Task};

/// What greedy reached.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Greedy {
    /// How much of the quantity the graph took at the start.
    pub start: f64,
    /// And at the end.
    pub best: f64,
    /// Rewrites on the way.
    pub rewrites: usize,
    /// Rewrites tried.
    pub tried: usize,
}

/// Takes the rewrite that leaves least of a quantity, as long as that is less; at most `horizon` rewrites.
pub fn greedy(task: &Arc<Task<'_>>, quantity: Quantity, horizon: usize) -> Greedy {
    let settings = EnvSettings { horizon, objective: quantity.objective(), ..EnvSettings::default() };
    let mut env = Env::new(task.clone(), settings);
    let start = task.start(quantity);
    let mut result = Greedy { start, best: start, rewrites: 0, tried: 0 };
    while !env.is_over() {
        let left = env.weigh_all(quantity);
        result.tried += left.len();
        let least = (0..left.len()).min_by(|a, b| left[*a].total_cmp(&left[*b]));
        let Some(least) = least.filter(|at| left[*at] < result.best * LESS) else { break };
        env.step(Action::Apply(least));
        result.best = left[least];
        result.rewrites += 1;
    }
    result
}

/// A rewrite that leaves more than this share of what there was gains nothing but rounding.
const LESS: f64 = 1.0 - 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{DeviceProfile, Roofline};
    use crate::rl::env::tests::{model, rules};

    #[test]
    fn every_step_gains_and_nothing_gains_at_the_end() {
        let costs = Roofline::new(DeviceProfile::cpu());
        for (name, quantity) in
            [("inception_pair", Quantity::Memory), ("nasrnn_4", Quantity::Launches), ("inception_pair", Quantity::Time)]
        {
            let task = Arc::new(Task::new(&model(name, &[]), rules(), &costs));
            let found = greedy(&task, quantity, 50);
            assert!(found.best < found.start && found.rewrites > 0 && found.tried > found.rewrites, "{found:?}");
            let short = greedy(&task, quantity, 1);
            assert!(short.rewrites == 1 && short.best >= found.best, "{short:?} {found:?}");
            let mut env = Env::new(task.clone(), EnvSettings::default());
            // What is tried leaves no trace.
            let before = (env.graph().state_hash(), env.candidates());
            assert!(env.weigh_all(quantity).iter().copied().fold(f64::INFINITY, f64::min) == short.best);
            assert_eq!((env.graph().state_hash(), env.candidates()), before);
        }
    }
}
