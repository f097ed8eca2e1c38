//! Costs measured in libtorch on the device that the graph is for, application by application, when they are first asked
//! for; kept in memory and in a file (see [`super::cache`]).
//!
//! What is measured is one application alone on random operands: the lower quartile of a few runs after a warm-up, less
//! the time of a program that does nothing. Two things are not measured. Operators that only give another view of their
//! operand (Transpose, Split, Slice, Expand) cost libtorch nothing by themselves and their consumer something, so they are
//! charged the roofline's time for the traffic. Applications whose dimensions are not all numbers are charged the roofline's
//! time as well.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use rustc_hash::FxHashMap;
use tch::Device;

use crate::graph::{Data, Facts, Graph, Init, Node, Op, OpKind, Tensor, TensorType, ValueRef};
use crate::ops;
use crate::runtime::{self, ExecuteError, Options, Program, TimingOptions};

use super::cache::{Cache, Key};
use super::{Cost, CostModel, DeviceProfile, Roofline};

/// Warm-up runs, and bounds of the runs that count: enough for a lower quartile, short enough for hundreds of shapes.
const TIMING: TimingOptions =
    TimingOptions { warmup: 2, min_rounds: 5, max_rounds: 60, seconds: 0.015, threads: 0, seed: 0 };

/// Measured costs of a device.
pub struct Measured {
    device: Device,
    fallback: Roofline,
    table: Mutex<Table>,
    /// Time of a program that does nothing, in microseconds.
    overhead_us: f64,
}

struct Table {
    /// By operator and types.
    known: FxHashMap<(Op, Vec<Option<TensorType>>), f64>,
    cache: Cache,
}

impl Measured {
    /// Measured costs of `device`, starting from the cache in `folder` (`None`: nothing is kept on disk).
    ///
    /// # Errors
    /// libtorch cannot run anything on the device.
    pub fn new(device: Device, folder: Option<&Path>) -> Result<Measured, ExecuteError> {
        let profile = if device.is_cuda() { DeviceProfile::cuda() } else { DeviceProfile::cpu() };
        let overhead_us = lower_quartile(&empty_program(device)?, &[])?;
        let cache = Cache::open(folder, &runtime::device_name(device), runtime::threads());
        let table = Mutex::new(Table { known: FxHashMap::default(), cache });
        Ok(Measured { device, fallback: Roofline::new(profile), table, overhead_us })
    }

    /// Writes what was measured to the cache, so that the next run need not measure it. Failing to is no fault: the
    /// costs are measured again.
    pub fn save(&self) -> std::io::Result<()> {
        self.table.lock().expect("no measurement panics").cache.save()
    }

    /// Number of applications measured in this run.
    pub fn measured(&self) -> usize {
        self.table.lock().expect("no measurement panics").cache.added()
    }

    fn measure(&self, op: &Op, inputs: &[Option<&TensorType>], outputs: usize) -> Option<f64> {
        let graph = single(op, inputs, outputs)?;
        let program = Program::compile(&graph, &Options::native(self.device)).ok()?;
        let operands = runtime::draw_inputs(&graph, &BTreeMap::new(), 0).ok()?;
        let time = lower_quartile(&program, &operands).ok()?;
        Some((time - self.overhead_us).max(0.05))
    }
}

/// A graph of one application whose operands are graph inputs; a convolution's kernel and bias are weights, which the
/// executor lays out beforehand.
fn single(op: &Op, inputs: &[Option<&TensorType>], outputs: usize) -> Option<Graph> {
    let mut graph = Graph::new("application");
    let mut operands = crate::graph::Inputs::new();
    for (i, ty) in inputs.iter().enumerate() {
        let name = format!("x{i}");
        let Some(&ty) = ty.as_ref() else {
            operands.push(None);
            continue;
        };
        let shape: Option<Vec<u64>> = ty.known_shape().map(|shape| shape.iter().map(|&d| d as u64).collect());
        let weight = match shape {
            Some(shape) if i > 0 && op.kind() == Some(OpKind::Conv) => {
                let init = Data::Init(Init::Normal { seed: i as u64, std: 0.1 });
                Some(Tensor::new(ty.dtype, &shape, init).ok()?)
            }
            _ => None,
        };
        operands.push(Some(ValueRef::first(match weight {
            Some(tensor) => graph.add_node(Node::weight(&name, tensor)),
            None => graph.add_input(&name, Facts::typed(ty.clone())),
        })));
    }
    let names: Vec<std::sync::Arc<str>> = (0..outputs).map(|i| format!("y{i}").into()).collect();
    let node = ops::make_node(&graph, "application", op.clone(), operands, &names).ok()?;
    let id = graph.add_node(node);
    for (slot, name) in names.iter().enumerate() {
        graph.add_output(name, ValueRef { node: id, slot: slot as u32 });
    }
    Some(graph)
}

fn empty_program(device: Device) -> Result<Program, ExecuteError> {
    Program::compile(&Graph::new("empty"), &Options::native(device))
}

fn lower_quartile(program: &Program, inputs: &[tch::Tensor]) -> Result<f64, ExecuteError> {
    let mut samples = runtime::time_program(program, inputs, &TIMING)?.samples_us;
    samples.sort_by(f64::total_cmp);
    Ok(samples[samples.len() / 4])
}

/// Whether libtorch's result is a view of its operand, paid for by whoever reads it.
fn is_view(op: &Op) -> bool {
    matches!(op.kind(), Some(OpKind::Transpose | OpKind::Split | OpKind::Slice | OpKind::Expand))
}

impl CostModel for Measured {
    fn name(&self) -> String {
        format!("measured ({})", runtime::device_name(self.device))
    }

    fn apply(&self, op: &Op, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> Cost {
        let estimate = self.fallback.apply(op, inputs, outputs);
        let known = |ty: &TensorType| ty.known_shape().is_some();
        if is_view(op) || estimate.launches == 0.0 || !inputs.iter().flatten().all(|ty| known(ty)) {
            return estimate;
        }
        let entry = (op.clone(), inputs.iter().map(|ty| ty.cloned()).collect::<Vec<_>>());
        if let Some(&time_us) = self.table.lock().expect("no measurement panics").known.get(&entry) {
            return Cost { time_us, ..estimate };
        }
        let key = Key::of(op, inputs);
        let cached = self.table.lock().expect("no measurement panics").cache.get(&key);
        // Measured outside the lock: two threads may measure the same, and either result serves.
        let time_us = cached.or_else(|| self.measure(op, inputs, outputs.len())).unwrap_or(estimate.time_us);
        let mut table = self.table.lock().expect("no measurement panics");
        table.cache.put(key, time_us);
        table.known.insert(entry, time_us);
        Cost { time_us, ..estimate }
    }
}
