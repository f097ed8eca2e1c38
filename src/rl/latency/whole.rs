//! Time of whole graphs, measured: what `--objective measured` rewards.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use rustc_hash::{FxHashMap, FxHasher};
use tch::Device;

use crate::graph::Graph;
use crate::runtime::{self, Constants, ExecuteError, Options, Program, TimingOptions, Weights};

/// How a graph is timed: a median of few runs, since a training asks for thousands of graphs.
const TIMING: TimingOptions =
    TimingOptions { warmup: 2, min_rounds: 5, max_rounds: 15, seconds: 0.2, threads: 0, seed: 0 };

/// Measures graphs end to end, each once, and one at a time: two would slow each other down.
pub struct Latency {
    device: Device,
    bench: Mutex<Bench>,
}

#[derive(Default)]
struct Bench {
    /// Medians in microseconds, by state hash and hash of the inputs' types, of which the first says nothing.
    known: FxHashMap<(u128, u64), f64>,
    /// What was measured, in order, where it is kept.
    kept: Option<Vec<(f64, Graph)>>,
    weights: Weights,
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").field("device", &self.device).field("measurements", &self.measurements()).finish()
    }
}

impl Latency {
    /// Measures on this device.
    pub fn new(device: Device) -> Latency {
        Latency { device, bench: Mutex::default() }
    }

    /// Keeps what it measures from now on.
    pub fn keep(&self) {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner).kept = Some(Vec::new());
    }

    /// Gives away the graphs that were measured since [`Latency::keep`], in order, with their medians in microseconds.
    pub fn kept(&self) -> Vec<(f64, Graph)> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner).kept.take().unwrap_or_default()
    }

    /// Graphs measured so far.
    pub fn measurements(&self) -> usize {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner).known.len()
    }

    /// Median time of a graph in microseconds; infinite if it does not run.
    pub fn of(&self, graph: &Graph) -> f64 {
        let mut hasher = FxHasher::default();
        graph.inputs().iter().for_each(|id| format!("{:?}", graph.node(*id).outputs[0].facts.ty).hash(&mut hasher));
        let key = (graph.state_hash(), hasher.finish());
        let mut bench = self.bench.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = bench.known.get(&key) {
            return *known;
        }
        let time_us = bench.measure(graph, self.device).unwrap_or(f64::INFINITY);
        bench.known.insert(key, time_us);
        if let Some(kept) = &mut bench.kept {
            kept.push((time_us, graph.clone()));
        }
        time_us
    }
}

impl Bench {
    /// Median time in microseconds; `None` if it does not run.
    fn measure(&mut self, graph: &Graph, device: Device) -> Option<f64> {
        let sizes = runtime::size_sets(graph, &Default::default()).into_iter().next().unwrap_or_default();
        let inputs = runtime::draw_inputs(graph, &sizes, 0).ok()?;
        let mut run = || -> Result<f64, ExecuteError> {
            let constants = Constants::of(graph, &mut self.weights);
            let program = Program::with(graph, &Options::native(device), &constants, &mut self.weights)?;
            Ok(runtime::time_programs(&[&program], &inputs, &TIMING)?.timings[0].median_us)
        };
        run().ok().filter(|time| time.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::env::tests::model;

    #[test]
    fn each_graph_is_measured_once_and_graphs_of_other_sizes_are_others() {
        let latency = Latency::new(Device::Cpu);
        let (small, large) = (model("lora_mlp", &[("batch", 1)]), model("lora_mlp", &[("batch", 2)]));
        let time = latency.of(&small);
        assert!(time > 0.0 && time.is_finite());
        assert_eq!((latency.of(&small), latency.measurements()), (time, 1));
        latency.keep();
        let slow = latency.of(&large);
        latency.of(&small);
        assert_eq!(latency.measurements(), 2);
        let kept = latency.kept();
        assert_eq!(
            kept.iter().map(|(time, g)| (*time, g.state_hash())).collect::<Vec<_>>(),
            [(slow, large.state_hash())]
        );
        assert!(latency.kept().is_empty());
    }
}
