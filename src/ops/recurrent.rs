//! Recurrent layers over a whole sequence.
//!
//! Shapes, with T steps, batch B, D directions, H hidden, G gates (4 for LSTM in the order i o f c, 3 for GRU in the
//! order z r h): x `[T, B, I]`, W `[D, G H, I]`, R `[D, G H, H]`, biases `[D, 2 G H]`, initial states `[D, B, H]`,
//! peepholes `[D, 3 H]` in the order i o f. Results: Y `[T, D, B, H]`, last states `[D, B, H]`. With `layout` 1 the batch comes first: x
//! `[B, T, I]`, states `[B, D, H]`, Y `[B, T, D, H]`.

use crate::graph::{Attr, Dim, Facts, Op, OpKind, TensorType};

use super::call::{Call, EvalCall, WorkCall};
use super::schema::rows::{float, floats, int, required, text, texts};
use super::work::{TRANSCENDENTAL, size};
use super::{Array, AttrType, Element, EvalError, Func, OpError, Schema, Work};

pub(super) const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::LSTM, (3, 8)).outputs(1, 3).attrs(&[
        text("direction", "forward"),
        required("hidden_size", AttrType::Int),
        texts("activations"),
        floats("activation_alpha"),
        floats("activation_beta"),
        float("clip", 0.0),
        int("layout", 0),
        int("input_forget", 0),
    ]),
    Schema::of(OpKind::GRU, (3, 6)).outputs(1, 2).attrs(&[
        text("direction", "forward"),
        required("hidden_size", AttrType::Int),
        texts("activations"),
        floats("activation_alpha"),
        floats("activation_beta"),
        float("clip", 0.0),
        int("layout", 0),
        int("linear_before_reset", 0),
    ]),
];

const SEQUENCE_LENS: usize = 4;
const INITIAL_H: usize = 5;
const INITIAL_C: usize = 6;
const PEEPHOLES: usize = 7;

fn gates(kind: OpKind) -> usize {
    if kind == OpKind::LSTM { 4 } else { 3 }
}

/// Whether each direction runs backwards; `None` for an unknown direction.
fn directions(direction: &str) -> Option<&'static [bool]> {
    match direction {
        "forward" => Some(&[false]),
        "reverse" => Some(&[true]),
        "bidirectional" => Some(&[false, true]),
        _ => None,
    }
}

/// What the attributes ask for beyond what is computed here, if anything.
fn unsupported(kind: OpKind, op: &Op) -> Option<&'static str> {
    let defaults: &[&str] = if kind == OpKind::LSTM { &["Sigmoid", "Tanh", "Tanh"] } else { &["Sigmoid", "Tanh"] };
    let Op::Apply(_, attrs) = op else { return Some("no attributes") };
    if let Some(Attr::Strs(names)) = attrs.get("activations")
        && names.iter().enumerate().any(|(i, name)| **name != *defaults[i % defaults.len()])
    {
        return Some("attribute \"activations\" asks for other functions than the default ones");
    }
    if op.float("clip").is_some_and(|clip| clip != 0.0) {
        return Some("attribute \"clip\" is not supported");
    }
    None
}

/// Types of the outputs.
pub(super) fn infer(call: &Call<'_>) -> Result<Vec<Facts>, OpError> {
    if let Some(problem) = unsupported(call.kind, call.op) {
        return Err(call.fail(problem));
    }
    let ways = directions(call.text("direction")?).ok_or_else(|| call.fail("unknown direction"))?.len() as i64;
    let hidden = call.int("hidden_size")?;
    if !(1..=1 << 40).contains(&hidden) {
        return Err(call.fail(format!("attribute \"hidden_size\" {hidden} is out of range")));
    }
    let (x, layout) = (call.ty(0)?, call.int("layout")? != 0);
    let [first, second, features] = &*x.shape else { return Err(call.fail("input 0 must have three axes")) };
    let (steps, batch) = if layout { (second, first) } else { (first, second) };
    let known = |n: i64| Dim::Known(n);
    let (d, h, gates) = (known(ways), known(hidden), gates(call.kind) as i64);
    let state = match layout {
        true => vec![batch.clone(), d.clone(), h.clone()],
        false => vec![d.clone(), batch.clone(), h.clone()],
    };
    let expected: [Vec<Dim>; 8] = [
        x.shape.to_vec(),
        vec![d.clone(), known(gates * hidden), features.clone()],
        vec![d.clone(), known(gates * hidden), h.clone()],
        vec![d.clone(), known(2 * gates * hidden)],
        vec![batch.clone()],
        state.clone(),
        state.clone(),
        vec![d.clone(), known(3 * hidden)],
    ];
    for (index, expected) in expected.iter().enumerate() {
        let Some(ty) = call.optional(index) else { continue };
        let right_type =
            if index == SEQUENCE_LENS { ty.dtype.is_int() } else { ty.dtype == x.dtype && x.dtype.is_float() };
        let differ = |(a, b): (&Dim, &Dim)| matches!((a, b), (Dim::Known(a), Dim::Known(b)) if a != b);
        if !right_type || ty.rank() != expected.len() || ty.shape.iter().zip(expected).any(differ) {
            return Err(call.fail(format!("input {index} must have shape {expected:?} and the type of the others")));
        }
    }
    let all = match layout {
        true => vec![batch.clone(), steps.clone(), d, h],
        false => vec![steps.clone(), d, batch.clone(), h],
    };
    let shapes = [all, state.clone(), state];
    Ok(shapes.into_iter().take(call.outputs).map(|shape| Facts::typed(TensorType::new(x.dtype, shape))).collect())
}

/// Work of one application: the products with W and R, then the gates. Each step is a product and a gate kernel.
pub(super) fn work(call: &WorkCall<'_>) -> Work {
    let (Some(x), Some(w)) = (call.inputs.first().copied().flatten(), call.inputs.get(1).copied().flatten()) else {
        return call.per_output(0.0);
    };
    let ([a, b, features], [ways, rows, _]) = (&*x.shape, &*w.shape) else { return call.per_output(0.0) };
    let (tokens, ways, rows) = (size(a) * size(b), size(ways), size(rows));
    let hidden = rows / gates(call.kind) as f64;
    let products = 2.0 * tokens * ways * rows * (size(features) + hidden);
    let flops = products + tokens * ways * rows * (TRANSCENDENTAL + 2.0);
    let steps = if call.op.int("layout") == Some(1) { size(b) } else { size(a) };
    // R is read again at every step.
    let again = (steps - 1.0).max(0.0) * ways * rows * hidden * f64::from(x.dtype.bits()) / 8.0;
    let mut work = Work::streaming(flops, call.inputs, call.outputs);
    work.bytes += again;
    work.launches = (ways * (1.0 + 2.0 * steps)).min(1e9) as u32;
    work
}

/// Sizes of an evaluation.
struct Sizes {
    batch: usize,
    features: usize,
    hidden: usize,
    ways: usize,
}

/// Values of the outputs.
pub(super) fn evaluate<E: Element>(call: &EvalCall<'_, E>) -> Result<Vec<Array<E>>, EvalError> {
    if let Some(problem) = unsupported(call.kind, call.op) {
        return Err(call.fail(problem));
    }
    let ways = directions(call.text("direction")?).ok_or_else(|| call.fail("unknown direction"))?;
    let layout = call.int("layout")? != 0;
    let time_first = |a: &Array<E>| if layout { swap_leading(a) } else { a.clone() };
    let x = time_first(call.input(0)?);
    let &[steps, batch, features] = x.shape.as_slice() else { return Err(call.fail("input 0 must have three axes")) };
    let hidden = usize::try_from(call.int("hidden_size")?).map_err(|_| call.fail("hidden_size must be positive"))?;
    let sizes = Sizes { batch, features, hidden, ways: ways.len() };
    check_shapes(call, &sizes, layout)?;
    let lengths = match call.optional(SEQUENCE_LENS) {
        Some(lengths) => lengths.to_i64s()?.into_iter().map(|n| n.clamp(0, steps as i64) as usize).collect(),
        None => vec![steps; batch],
    };
    let state = |index: usize| match call.optional(index) {
        Some(state) => Ok(time_first(state)),
        None => Array::filled(&[ways.len(), batch, hidden], E::constant(0.0)),
    };
    let mut h = state(INITIAL_H)?;
    let mut c = if call.kind == OpKind::LSTM { Some(state(INITIAL_C)?) } else { None };
    let mut y = Array::filled(&[steps, ways.len(), batch, hidden], E::constant(0.0))?;
    for (way, &backwards) in ways.iter().enumerate() {
        for (b, &length) in lengths.iter().enumerate() {
            let at = (way * batch + b) * hidden..(way * batch + b + 1) * hidden;
            for step in 0..length {
                let t = if backwards { length - 1 - step } else { step };
                let input = &x.data[(t * batch + b) * features..(t * batch + b + 1) * features];
                let cell = Cell { call, sizes: &sizes, way, input };
                match &mut c {
                    Some(c) => cell.lstm(&mut h.data[at.clone()], &mut c.data[at.clone()])?,
                    None => cell.gru(&mut h.data[at.clone()])?,
                }
                let to = ((t * ways.len() + way) * batch + b) * hidden;
                y.data[to..to + hidden].clone_from_slice(&h.data[at.clone()]);
            }
        }
    }
    if layout {
        // [T, D, B, H] to [B, T, D, H].
        let mut swapped = Array { shape: vec![batch, steps, ways.len(), hidden], data: Vec::with_capacity(y.len()) };
        for b in 0..batch {
            for row in 0..steps * ways.len() {
                let from = (row * batch + b) * hidden;
                swapped.data.extend_from_slice(&y.data[from..from + hidden]);
            }
        }
        y = swapped;
    }
    Ok([Some(y), Some(time_first(&h)), c.as_ref().map(time_first)].into_iter().flatten().collect())
}

/// The array with its first two axes exchanged; it has three.
fn swap_leading<E: Element>(a: &Array<E>) -> Array<E> {
    let &[m, n, inner] = a.shape.as_slice() else { return a.clone() };
    let mut data = Vec::with_capacity(a.len());
    for j in 0..n {
        for i in 0..m {
            data.extend_from_slice(&a.data[(i * n + j) * inner..(i * n + j + 1) * inner]);
        }
    }
    Array { shape: vec![n, m, inner], data }
}

fn check_shapes<E>(call: &EvalCall<'_, E>, sizes: &Sizes, layout: bool) -> Result<(), EvalError> {
    let &Sizes { batch, features, hidden, ways } = sizes;
    let rows = gates(call.kind).saturating_mul(hidden);
    let state = if layout { vec![batch, ways, hidden] } else { vec![ways, batch, hidden] };
    let expected = [
        (1, vec![ways, rows, features]),
        (2, vec![ways, rows, hidden]),
        (3, vec![ways, rows.saturating_mul(2)]),
        (SEQUENCE_LENS, vec![batch]),
        (INITIAL_H, state.clone()),
        (INITIAL_C, state),
        (PEEPHOLES, vec![ways, hidden.saturating_mul(3)]),
    ];
    for (index, shape) in expected {
        if call.optional(index).is_some_and(|input| input.shape != shape) {
            return Err(call.fail(format!("input {index} must have shape {shape:?}")));
        }
    }
    Ok(())
}

/// One step of one sequence in one direction.
struct Cell<'a, E> {
    call: &'a EvalCall<'a, E>,
    sizes: &'a Sizes,
    way: usize,
    input: &'a [E],
}

impl<E: Element> Cell<'_, E> {
    /// Row `row` of an input matrix `[D, rows, columns]` times a vector.
    fn product(&self, index: usize, row: usize, vector: &[E]) -> Result<E, EvalError> {
        let matrix = self.call.input(index)?;
        let start = (self.way * matrix.shape[1] + row) * vector.len();
        let row = &matrix.data[start..start + vector.len()];
        Ok(row.iter().zip(vector).fold(E::constant(0.0), |sum, (a, b)| sum.add(&a.mul(b))))
    }

    /// Element of the bias on the input (`recurrent` false) or on the state.
    fn bias(&self, row: usize, recurrent: bool) -> E {
        let rows = gates(self.call.kind) * self.sizes.hidden;
        let at = self.way * 2 * rows + if recurrent { rows } else { 0 } + row;
        self.call.optional(3).map_or_else(|| E::constant(0.0), |bias| bias.data[at].clone())
    }

    /// W x + R h + both biases, at one unit of a gate.
    fn gate(&self, gate: usize, unit: usize, h: &[E]) -> Result<E, EvalError> {
        let row = gate * self.sizes.hidden + unit;
        let products = self.product(1, row, self.input)?.add(&self.product(2, row, h)?);
        Ok(products.add(&self.bias(row, false)).add(&self.bias(row, true)))
    }

    /// P c, at one unit of a gate, where there are peepholes.
    fn peephole(&self, gate: usize, unit: usize, c: &E) -> E {
        let hidden = self.sizes.hidden;
        let weight = self.call.optional(PEEPHOLES).map(|p| &p.data[self.way * 3 * hidden + gate * hidden + unit]);
        weight.map_or_else(|| E::constant(0.0), |weight| weight.mul(c))
    }

    fn lstm(&self, h: &mut [E], c: &mut [E]) -> Result<(), EvalError> {
        let coupled = self.call.int("input_forget")? != 0;
        let mut next = Vec::with_capacity(h.len());
        for (unit, c) in c.iter_mut().enumerate() {
            let gate = |gate: usize| self.gate(gate, unit, h);
            let input = E::apply1(Func::Sigmoid, &gate(0)?.add(&self.peephole(0, unit, c)))?;
            let forget = match coupled {
                true => E::constant(1.0).sub(&input),
                false => E::apply1(Func::Sigmoid, &gate(2)?.add(&self.peephole(2, unit, c)))?,
            };
            let candidate = E::apply1(Func::Tanh, &gate(3)?)?;
            *c = forget.mul(c).add(&input.mul(&candidate));
            let output = E::apply1(Func::Sigmoid, &gate(1)?.add(&self.peephole(1, unit, c)))?;
            next.push(output.mul(&E::apply1(Func::Tanh, c)?));
        }
        h.clone_from_slice(&next);
        Ok(())
    }

    fn gru(&self, h: &mut [E]) -> Result<(), EvalError> {
        let hidden = self.sizes.hidden;
        let squash = |value: &E| E::apply1(Func::Sigmoid, value);
        let update: Vec<E> = (0..hidden).map(|u| squash(&self.gate(0, u, h)?)).collect::<Result<_, _>>()?;
        let reset: Vec<E> = (0..hidden).map(|u| squash(&self.gate(1, u, h)?)).collect::<Result<_, _>>()?;
        let linear_first = self.call.int("linear_before_reset")? != 0;
        let masked: Vec<E> = reset.iter().zip(h.iter()).map(|(r, h)| r.mul(h)).collect();
        let mut next = Vec::with_capacity(hidden);
        for unit in 0..hidden {
            let row = 2 * hidden + unit;
            let fed = self.product(1, row, self.input)?.add(&self.bias(row, false));
            let kept = match linear_first {
                true => reset[unit].mul(&self.product(2, row, h)?.add(&self.bias(row, true))),
                false => self.product(2, row, &masked)?.add(&self.bias(row, true)),
            };
            let candidate = E::apply1(Func::Tanh, &fed.add(&kept))?;
            let left = E::constant(1.0).sub(&update[unit]);
            next.push(left.mul(&candidate).add(&update[unit].mul(&h[unit])));
        }
        h.clone_from_slice(&next);
        Ok(())
    }
}
