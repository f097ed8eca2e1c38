//! The time of graphs relative to an original, measured by turns in one run: what slows the machine down slows all of them.

use std::collections::BTreeMap;

use tch::{Device, Tensor};

use crate::graph::Graph;
use crate::runtime::{self, Constants, ExecuteError, Options, Program, TimingOptions, Weights};

/// What a graph measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reading {
    /// Its time over that of the original: median over rounds in which each ran once.
    pub ratio: f64,
    /// Standard error of that, by bootstrap.
    pub error: f64,
}

/// Measures graphs: of each its reading, `None` if it does not run. What a search measures with, so that tests need no
/// device and no time.
pub type Clock<'a> = &'a mut dyn FnMut(&[&Graph]) -> Vec<Option<Reading>>;

/// Runs graphs by turns with an original.
pub struct Turns {
    device: Device,
    weights: Weights,
    original: Program,
    inputs: Vec<Tensor>,
    rounds: u64,
    seed: u64,
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum TurnsError {
    /// The original does not run.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// No inputs could be drawn.
    #[error("no inputs could be drawn for it: {0}")]
    Inputs(#[from] runtime::DrawError),
}

/// Seconds for each graph of a run, and for the original.
const SECONDS_EACH: f64 = 0.3;
/// An interval of 95 % is this many standard errors wide.
const WIDTH: f64 = 3.92;

impl Turns {
    /// Makes the original ready.
    ///
    /// # Errors
    /// See [`TurnsError`].
    pub fn new(original: &Graph, device: Device, seed: u64) -> Result<Turns, TurnsError> {
        let sizes = runtime::size_sets(original, &BTreeMap::new()).into_iter().next().unwrap_or_default();
        let inputs = runtime::draw_inputs(original, &sizes, seed)?;
        let mut weights = Weights::default();
        let original = compile(original, device, &mut weights)?;
        original.run(&original.place_inputs(&inputs)?)?;
        Ok(Turns { device, weights, original, inputs, rounds: 0, seed })
    }

    /// Measures graphs in one run. One that does not run has no reading.
    pub fn measure(&mut self, graphs: &[&Graph]) -> Vec<Option<Reading>> {
        self.measure_for(graphs, SECONDS_EACH)
    }

    /// The same with other seconds for each graph.
    pub fn measure_for(&mut self, graphs: &[&Graph], seconds_each: f64) -> Vec<Option<Reading>> {
        self.rounds += 1;
        let runs = |program: &Program| program.place_inputs(&self.inputs).and_then(|i| program.run(&i)).is_ok();
        let programs: Vec<Option<Program>> =
            graphs.iter().map(|graph| compile(graph, self.device, &mut self.weights).ok().filter(runs)).collect();
        let timing = TimingOptions {
            warmup: 2,
            min_rounds: 10,
            max_rounds: 400,
            seconds: seconds_each * (graphs.len() + 1) as f64,
            threads: 0,
            seed: self.seed.wrapping_add(self.rounds),
        };
        let all: Vec<&Program> = [&self.original].into_iter().chain(programs.iter().flatten()).collect();
        let Ok(timed) = runtime::time_programs(&all, &self.inputs, &timing) else { return vec![None; graphs.len()] };
        let mut at = 0;
        let mut reading = |program: &Option<Program>| {
            program.as_ref()?;
            at += 1;
            let ratio = timed.paired_ratio(at, 0);
            Some(Reading { ratio: ratio.ratio, error: (ratio.high - ratio.low) / WIDTH })
                .filter(|r| r.ratio.is_finite())
        };
        programs.iter().map(&mut reading).collect()
    }
}

fn compile(graph: &Graph, device: Device, weights: &mut Weights) -> Result<Program, ExecuteError> {
    let constants = Constants::of(graph, weights);
    Program::with(graph, &Options::native(device), &constants, weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::env::tests::model;

    #[test]
    fn a_graph_takes_about_as_long_as_itself() {
        let graph = model("lora_mlp", &[]);
        let mut turns = Turns::new(&graph, Device::Cpu, 0).unwrap();
        let readings = turns.measure_for(&[&graph, &graph], 0.05);
        assert_eq!(readings.len(), 2);
        for reading in readings.into_iter().flatten() {
            assert!(reading.ratio > 0.2 && reading.ratio < 5.0 && reading.error >= 0.0, "{reading:?}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        let mut graph = Graph::new("untyped");
        graph.add_input("x", crate::graph::Facts::default());
        assert!(matches!(Turns::new(&graph, Device::Cpu, 0), Err(TurnsError::Inputs(_))));
    }
}
