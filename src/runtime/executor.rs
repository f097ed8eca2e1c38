//! Running a graph: compiled once into a list of steps over numbered values, then run any number of times.

mod compile;
mod packing;
#[cfg(test)]
mod packing_tests;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tch::{Device, Kind, Tensor};

use super::fold::Constants;
use super::kernels::{self, Place, RunError};
use super::weights::Weights;
use compile::may_be_on_host;

use crate::graph::{Graph, NodeId, Op, OpKind, TensorType, ValueRef};

/// How a graph is compiled.
#[derive(Clone, Debug)]
pub struct Options {
    /// Device to run on.
    pub device: Device,
    /// Compute every floating-point value in f64 (constants included), instead of its own type.
    pub wide: bool,
    /// Take the values that opaque nodes produce from the caller, where their type is known, instead of leaving out
    /// everything below them.
    pub supply_opaque: bool,
    /// Values to return beside the graph's outputs.
    pub observe: Vec<ValueRef>,
}

impl Options {
    /// Each value in its own type, opaque nodes left out.
    pub fn native(device: Device) -> Options {
        Options { device, wide: false, supply_opaque: false, observe: Vec::new() }
    }

    /// Everything in f64.
    pub fn wide(device: Device) -> Options {
        Options { wide: true, ..Options::native(device) }
    }

    /// Where values are computed.
    pub fn place(&self) -> Place {
        Place { device: self.device, wide: self.wide }
    }
}

/// A step's operand.
#[derive(Clone, Copy, Debug)]
enum Operand {
    Omitted,
    Constant(usize),
    Value(usize),
}

/// One operator application.
struct Step {
    node: NodeId,
    name: String,
    op: Op,
    operands: SmallVec<[Operand; 3]>,
    outputs: std::ops::Range<usize>,
    /// Values that nothing needs after this step.
    release: SmallVec<[usize; 2]>,
    /// On CUDA: a small integer computation on shapes, which stays on the CPU.
    on_host: bool,
    /// A convolution laid out for the machine, with what follows it.
    packed: Option<Box<packing::Packed>>,
}

/// A value that the caller gives.
struct Given {
    value: ValueRef,
    name: String,
    kind: Option<Kind>,
    ty: Option<TensorType>,
    slot: usize,
}

/// A node that was not run, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotRun {
    /// The node.
    pub node: NodeId,
    /// Operator and name.
    pub what: String,
    /// The reason in a few words.
    pub why: String,
}

/// What a run gives.
pub struct Run {
    /// The graph's outputs in order; `None` for one that depends on something that was not run.
    pub outputs: Vec<Option<Tensor>>,
    /// The values of [`Options::observe`] in order.
    pub observed: Vec<Option<Tensor>>,
    /// Nodes that turned out not to be supported while running (nodes known before are in [`Program::not_run`]).
    pub not_run: Vec<NotRun>,
}

/// A graph that cannot be run on these inputs.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// A node failed.
    #[error("{op} {node:?}: {error}")]
    Node {
        /// Name of the node.
        node: String,
        /// Operator.
        op: String,
        /// Why.
        error: RunError,
    },
    /// Another number of inputs than the graph has.
    #[error("{found} inputs given, and the graph takes {expected}")]
    InputCount {
        /// Inputs of the graph.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// A weight or constant could not be made.
    #[error("constant {name:?}: {error}")]
    Constant {
        /// Name of the value.
        name: String,
        /// Why.
        error: RunError,
    },
    /// Moving an input to the device failed.
    #[error("input {name:?}: {error}")]
    Input {
        /// Name of the input.
        name: String,
        /// Why.
        error: RunError,
    },
}

/// A compiled graph.
pub struct Program {
    steps: Vec<Step>,
    constants: Vec<Tensor>,
    inputs: Vec<Given>,
    supplied: Vec<Given>,
    values: usize,
    outputs: Vec<Operand>,
    observed: Vec<Operand>,
    not_run: Vec<NotRun>,
    place: Place,
}

impl Program {
    /// Compiles a graph: constants are folded (in f64, rounded once) and weights loaded.
    ///
    /// # Errors
    /// A weight that does not load. Nodes that cannot be run are no error; see [`Program::not_run`].
    pub fn compile(graph: &Graph, options: &Options) -> Result<Program, ExecuteError> {
        let mut weights = Weights::default();
        Program::with(graph, options, &Constants::of(graph, &mut weights), &mut weights)
    }

    /// Compiles a graph with constants folded before and a store of weights that programs share.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn with(
        graph: &Graph,
        options: &Options,
        constants: &Constants,
        weights: &mut Weights,
    ) -> Result<Program, ExecuteError> {
        compile::compile(graph, options, constants, weights)
    }

    /// Nodes that are known not to run: opaque ones, types that are not computed with, and what depends on them.
    pub fn not_run(&self) -> &[NotRun] {
        &self.not_run
    }

    /// The opaque values that the caller supplies to [`Program::run_from`], in order, with their types.
    pub fn supplied(&self) -> impl Iterator<Item = (ValueRef, &TensorType)> {
        self.supplied.iter().filter_map(|given| Some((given.value, given.ty.as_ref()?)))
    }

    /// Number of operator applications in a run.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether a run applies no operator.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The device that the program runs on.
    pub fn device(&self) -> Device {
        self.place.device
    }

    /// Moves inputs to the device, each in the type that the program computes it in, so that runs need not.
    ///
    /// # Errors
    /// [`ExecuteError::Input`], [`ExecuteError::InputCount`].
    pub fn place_inputs(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ExecuteError> {
        if inputs.len() != self.inputs.len() {
            return Err(ExecuteError::InputCount { expected: self.inputs.len(), found: inputs.len() });
        }
        inputs.iter().zip(&self.inputs).map(|(tensor, given)| place(tensor, given, self.place)).collect()
    }

    /// Runs on the graph's inputs in order. Types and devices are adjusted where they differ.
    ///
    /// # Errors
    /// A node that fails on these inputs, or a wrong number of them.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Run, ExecuteError> {
        self.execute(inputs, &[], None)
    }

    /// Runs with values for the opaque outputs that [`Program::supplied`] lists.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_from(&self, inputs: &[Tensor], supplied: &[Tensor]) -> Result<Run, ExecuteError> {
        self.execute(inputs, supplied, None)
    }

    /// Runs and tells the time of each step (the device is waited for after each).
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_timed(
        &self,
        inputs: &[Tensor],
        each: &mut dyn FnMut(NodeId, OpKind, Duration),
    ) -> Result<Run, ExecuteError> {
        self.execute(inputs, &[], Some(each))
    }

    fn execute(
        &self,
        inputs: &[Tensor],
        supplied: &[Tensor],
        mut each: Option<&mut dyn FnMut(NodeId, OpKind, Duration)>,
    ) -> Result<Run, ExecuteError> {
        let _guard = tch::no_grad_guard();
        for (found, expected) in [(inputs.len(), self.inputs.len()), (supplied.len(), self.supplied.len())] {
            if found != expected {
                return Err(ExecuteError::InputCount { expected, found });
            }
        }
        let mut values: Vec<Option<Tensor>> = Vec::new();
        values.resize_with(self.values, || None);
        for (tensor, given) in inputs.iter().zip(&self.inputs).chain(supplied.iter().zip(&self.supplied)) {
            if given.kind.is_some() {
                values[given.slot] = Some(place(tensor, given, self.place)?);
            }
        }
        let mut not_run = Vec::new();
        for step in &self.steps {
            let start = each.is_some().then(Instant::now);
            match self.apply(step, &values) {
                Ok(None) => {}
                Ok(Some(outputs)) => {
                    for (slot, tensor) in step.outputs.clone().zip(outputs) {
                        values[slot] = Some(tensor);
                    }
                }
                Err(error @ RunError::Unsupported { .. }) => not_run.push(NotRun {
                    node: step.node,
                    what: format!("{} {}", step.op.label(), step.name),
                    why: error.to_string(),
                }),
                Err(error) => {
                    return Err(ExecuteError::Node { node: step.name.clone(), op: step.op.label(), error });
                }
            }
            if let (Some(each), Some(start), Some(kind)) = (each.as_mut(), start, step.op.kind()) {
                synchronise(self.place.device);
                each(step.node, kind, start.elapsed());
            }
            for &slot in &step.release {
                values[slot] = None;
            }
        }
        let read = |operand: &Operand| match *operand {
            Operand::Omitted => None,
            Operand::Constant(i) => Some(self.constants[i].shallow_clone()),
            Operand::Value(i) => values[i].as_ref().map(Tensor::shallow_clone),
        };
        Ok(Run {
            outputs: self.outputs.iter().map(read).collect(),
            observed: self.observed.iter().map(read).collect(),
            not_run,
        })
    }

    /// The step's outputs; `None` if an operand was not computed.
    fn apply(&self, step: &Step, values: &[Option<Tensor>]) -> Result<Option<Vec<Tensor>>, RunError> {
        let mut moved: SmallVec<[Option<Tensor>; 6]> = SmallVec::new();
        let mut inputs: SmallVec<[Option<&Tensor>; 6]> = SmallVec::new();
        for operand in &step.operands {
            inputs.push(match *operand {
                Operand::Omitted => None,
                Operand::Constant(i) => Some(&self.constants[i]),
                Operand::Value(i) => match &values[i] {
                    Some(tensor) => Some(tensor),
                    None => return Ok(None),
                },
            });
        }
        if let Some(packed) = &step.packed {
            let x = inputs[0].expect("a packed convolution has its operand");
            return packed.run(x).map(|output| Some(vec![output]));
        }
        let place = if step.on_host { Place { device: Device::Cpu, ..self.place } } else { self.place };
        if self.place.device == Device::Cpu {
            return kernels::run(&step.op, &inputs, step.outputs.len(), place).map(Some);
        }
        // Bring the operands together: shapes stay on the CPU, all else is on the device.
        for (slot, input) in inputs.iter().enumerate() {
            let Some(input) = input else {
                moved.push(None);
                continue;
            };
            let wrong = input.device() != place.device
                && (step.on_host || !step.op.kind().is_some_and(|kind| may_be_on_host(kind, slot, input.dim())));
            moved.push(if wrong { Some(input.f_to_device(place.device)?) } else { None });
        }
        for (input, moved) in inputs.iter_mut().zip(&moved) {
            if let Some(tensor) = moved {
                *input = Some(tensor);
            }
        }
        kernels::run(&step.op, &inputs, step.outputs.len(), place).map(Some)
    }
}

/// Waits until the device has done its work.
pub fn synchronise(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

fn place(tensor: &Tensor, given: &Given, place: Place) -> Result<Tensor, ExecuteError> {
    let moved = || -> Result<Tensor, RunError> {
        let kind = given.kind.unwrap_or_else(|| tensor.kind());
        let typed = if tensor.kind() == kind { tensor.shallow_clone() } else { tensor.f_to_kind(kind)? };
        Ok(if typed.device() == place.device { typed } else { typed.f_to_device(place.device)? })
    };
    moved().map_err(|error| ExecuteError::Input { name: given.name.clone(), error })
}
