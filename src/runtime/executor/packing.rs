//! Convolutions whose weights are known are laid out when the program is compiled, and take the activation that follows
//! into their step, as engines that deploy networks do: what is timed should be what will run. On a CPU, in f32, in two
//! dimensions; the f64 reference never goes through here. Residual sums stay steps of their own: oneDNN's convolution
//! with a sum is no faster than the two apart, and three times slower on large planes of plain layout.

use tch::{Device, Kind, Tensor};

use super::{Operand, Program, Step};
use crate::graph::{Op, OpKind};
use crate::runtime::kernels::{RunError, Window, pad_spatial};
use crate::runtime::onednn::{self, Activation, Geometry};

/// A convolution ready to run.
pub(super) struct Packed {
    weight: Tensor,
    bias: Option<Tensor>,
    geometry: Geometry,
    activation: Activation,
    /// Zeros that the input gets first (or rows it loses) because the two sides differ: before and after.
    uneven: Option<(Vec<i64>, Vec<i64>)>,
}

impl Packed {
    /// Runs on x.
    pub fn run(&self, x: &Tensor) -> Result<Tensor, RunError> {
        let padded = match &self.uneven {
            Some((before, after)) => Some(pad_spatial(x, before, after, 0.0)?),
            None => None,
        };
        let x = padded.as_ref().unwrap_or(x);
        onednn::convolve(x, &self.weight, self.bias.as_ref(), &self.geometry, &self.activation)
    }
}

/// What the pass needs to know of a value: its shape where it is known and in f32.
pub(super) type Shapes = Vec<Option<Vec<i64>>>;

/// Packs the convolutions of a program. `shapes` has an entry for each of the program's values.
///
/// # Errors
/// A weight that oneDNN refuses.
pub(super) fn pack(program: &mut Program, shapes: &Shapes) -> Result<(), RunError> {
    if program.place.device != Device::Cpu || program.place.wide || !onednn::is_available() {
        return Ok(());
    }
    let mut uses = vec![0_usize; program.values];
    let mut user: Vec<Option<usize>> = vec![None; program.values];
    for (at, step) in program.steps.iter().enumerate() {
        for operand in &step.operands {
            if let Operand::Value(value) = *operand {
                uses[value] += 1;
                user[value] = Some(at);
            }
        }
    }
    for operand in program.outputs.iter().chain(&program.observed) {
        if let Operand::Value(value) = *operand {
            uses[value] += 1;
            user[value] = None;
        }
    }
    let mut absorbed = vec![false; program.steps.len()];
    for at in 0..program.steps.len() {
        let Some(mut packed) = packed(program, at, shapes)? else { continue };
        let result = program.steps[at].outputs.start;
        let next = user[result].filter(|_| uses[result] == 1);
        if let Some(next) = next
            && let Some(activation) = activation(&program.steps[next])
        {
            packed.activation = activation;
            program.steps[at].outputs = program.steps[next].outputs.clone();
            absorbed[next] = true;
        }
        let step = &mut program.steps[at];
        step.operands.truncate(1);
        step.packed = Some(Box::new(packed));
    }
    let mut position = 0;
    program.steps.retain(|_| {
        position += 1;
        !absorbed[position - 1]
    });
    Ok(())
}

/// The convolution at a step, packed; `None` if it is none or not one to pack.
fn packed(program: &Program, at: usize, shapes: &Shapes) -> Result<Option<Packed>, RunError> {
    let step = &program.steps[at];
    if step.op.kind() != Some(OpKind::Conv) || step.packed.is_some() {
        return Ok(None);
    }
    let (Operand::Value(x), Operand::Constant(weight)) = (step.operands[0], step.operands[1]) else { return Ok(None) };
    let bias = match step.operands.get(2) {
        None | Some(Operand::Omitted) => None,
        Some(Operand::Constant(bias)) => Some(program.constants[*bias].shallow_clone()),
        Some(Operand::Value(_)) => return Ok(None),
    };
    let weight = &program.constants[weight];
    let Some(shape) = &shapes[x] else { return Ok(None) };
    if weight.dim() != 4 || weight.kind() != Kind::Float || shape.len() != 4 || weight.numel() == 0 {
        return Ok(None);
    }
    if shape.contains(&0) {
        return Ok(None);
    }
    let window = Window::of_op(&step.op, weight.size()[2..].to_vec(), &shape[2..])
        .map_err(|what| RunError::Invalid { kind: OpKind::Conv, what })?;
    let common = window.common();
    let rest = |pads: &[i64]| -> Vec<i64> { pads.iter().zip(&common).map(|(p, c)| p - c).collect() };
    let (before, after) = (rest(&window.before), rest(&window.after));
    let even = before.iter().chain(&after).all(|&pad| pad == 0);
    let mut shape = shape.clone();
    for axis in 0..2 {
        shape[2 + axis] += before[axis] + after[axis];
    }
    let geometry = Geometry {
        padding: common,
        stride: window.strides,
        dilation: window.dilations,
        groups: step.op.int("group").unwrap_or(1),
    };
    let weight = onednn::pack(weight, &geometry, &shape)?;
    let uneven = (!even).then_some((before, after));
    Ok(Some(Packed { weight, bias, geometry, activation: Activation::NONE, uneven }))
}

/// What a step does to its operand in oneDNN's terms; `None` if oneDNN has no such post-operation.
fn activation(step: &Step) -> Option<Activation> {
    let named = |name, scalars: &[f64]| Some(Activation { name, scalars: scalars.to_vec(), algorithm: c"" });
    let float = |name: &str, default: f32| f64::from(step.op.float(name).unwrap_or(default));
    let (Op::Apply(..), 1) = (&step.op, step.operands.iter().filter(|o| !matches!(o, Operand::Omitted)).count()) else {
        return None;
    };
    match step.op.kind()? {
        OpKind::Relu => named(c"relu", &[]),
        OpKind::Sigmoid => named(c"sigmoid", &[]),
        OpKind::Tanh => named(c"tanh", &[]),
        OpKind::LeakyRelu => named(c"leaky_relu", &[float("alpha", 0.01)]),
        OpKind::HardSwish => named(c"hardswish", &[]),
        OpKind::Clip => {
            let (low, high) = (float("min", f32::MIN), float("max", f32::MAX));
            named(c"hardtanh", &[low.max(f64::from(f32::MIN)), high.min(f64::from(f32::MAX))])
        }
        OpKind::Gelu => {
            let algorithm = if step.op.text("approximate") == Some("tanh") { c"tanh" } else { c"none" };
            Some(Activation { name: c"gelu", scalars: Vec::new(), algorithm })
        }
        _ => None,
    }
}
