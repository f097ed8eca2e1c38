//! Einsum: sums of products over labelled axes, with an ellipsis and repeated labels.

use super::broadcast::broadcast_dim;
use super::call::{Call, EvalCall, WorkCall};
use super::dims::{agree, sizes};
use super::linear::broadcast_position;
use super::schema::rows::required;
use super::schema::{AttrType, MANY, Schema};
use super::support::{Evaluated, Inferred, advance, one, output_shapes, same_dtype};
use super::work::{count, size};
use super::{Array, Element, OpError, Work};
use crate::graph::{DType, Dim, OpKind};

/// Schema of Einsum.
pub const SCHEMA: Schema = Schema::of(OpKind::Einsum, (1, MANY)).attrs(&[required("equation", AttrType::Str)]);

/// One axis of a term.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Label {
    /// The k-th axis that an ellipsis stands for, counted from its last.
    Broadcast(usize),
    Letter(char),
}

/// An equation resolved for operands of given ranks.
struct Equation {
    /// Labels of each operand's axes.
    terms: Vec<Vec<Label>>,
    /// Labels of the output's axes.
    output: Vec<Label>,
    /// Labels that are summed over, each once.
    summed: Vec<Label>,
}

impl Equation {
    /// Reads an equation: letters for axes, `...` for the axes not named, `->` before the output; without it the output
    /// has the ellipsis's axes and then all letters that occur once, in alphabetical order.
    fn read(text: &str, ranks: &[usize]) -> Result<Equation, String> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text.as_str(), None),
        };
        let parts: Vec<&str> = left.split(',').collect();
        if parts.len() != ranks.len() {
            return Err(format!("the equation has {} terms for {} operands", parts.len(), ranks.len()));
        }
        let mut terms = Vec::with_capacity(parts.len());
        let mut widest = 0;
        for (part, &rank) in parts.iter().zip(ranks) {
            let named = letters(part)?.len();
            let free = match (rank.checked_sub(named), part.contains("...")) {
                (Some(0), false) => 0,
                (Some(free), true) => free,
                _ => return Err(format!("the term {part:?} does not fit an operand of rank {rank}")),
            };
            widest = widest.max(free);
            terms.push(expand(part, free)?);
        }
        let output = match right {
            Some(part) => {
                letters(part)?;
                let output = expand(part, widest)?;
                for (i, label) in output.iter().enumerate() {
                    if output[..i].contains(label) || !terms.iter().any(|t| t.contains(label)) {
                        return Err(format!("the output {part:?} repeats a label or names a new one"));
                    }
                }
                output
            }
            None => {
                let mut once: Vec<Label> = terms.concat();
                once.sort_unstable();
                let all = once.clone();
                once.dedup();
                once.retain(|l| matches!(l, Label::Letter(_)) && all.iter().filter(|m| *m == l).count() == 1);
                (0..widest).rev().map(Label::Broadcast).chain(once).collect()
            }
        };
        let mut summed: Vec<Label> = terms.concat();
        summed.sort_unstable();
        summed.dedup();
        summed.retain(|label| !output.contains(label));
        Ok(Equation { terms, output, summed })
    }

    /// The size of every label, or what does not fit.
    fn sizes(&self, shapes: &[&[Dim]]) -> Result<Vec<(Label, Dim)>, String> {
        let mut sizes: Vec<(Label, Dim)> = Vec::new();
        for (term, shape) in self.terms.iter().zip(shapes) {
            for (label, dim) in term.iter().zip(*shape) {
                let Some(slot) = sizes.iter_mut().find(|(l, _)| l == label) else {
                    sizes.push((*label, dim.clone()));
                    continue;
                };
                let joined = match label {
                    Label::Broadcast(_) => broadcast_dim(&slot.1, dim),
                    Label::Letter(_) => agree(&slot.1, dim),
                };
                slot.1 = joined.ok_or_else(|| format!("axes of sizes {} and {dim} share a label", slot.1))?;
            }
        }
        Ok(sizes)
    }
}

/// The letters of a term, which may hold one ellipsis beside them.
fn letters(part: &str) -> Result<Vec<char>, String> {
    let rest = part.replacen("...", "", 1);
    if let Some(c) = rest.chars().find(|c| !c.is_ascii_alphabetic()) {
        return Err(format!("the term {part:?} holds {c:?}"));
    }
    Ok(rest.chars().collect())
}

fn expand(part: &str, free: usize) -> Result<Vec<Label>, String> {
    let all = |s: &str| s.chars().map(Label::Letter).collect::<Vec<_>>();
    Ok(match part.split_once("...") {
        None => all(part),
        Some((before, after)) => {
            let middle = (0..free).rev().map(Label::Broadcast);
            all(before).into_iter().chain(middle).chain(all(after)).collect()
        }
    })
}

fn read(call: &Call, ranks: &[usize]) -> Result<Equation, OpError> {
    Equation::read(call.text("equation")?, ranks).map_err(|e| call.fail(e))
}

fn dims_of(sizes: &[(Label, Dim)], labels: &[Label]) -> Vec<Dim> {
    let size = |label| sizes.iter().find(|(l, _)| l == label).map_or(Dim::Known(1), |(_, d)| d.clone());
    labels.iter().map(size).collect()
}

/// Type of the output.
pub fn infer(call: &Call) -> Inferred {
    let operands = (0..call.inputs.len()).map(|i| call.ty(i)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = operands.first() else { return Err(call.fail("there is no operand")) };
    same_dtype(call, first.dtype, 1..operands.len())?;
    call.want(0, "of a numeric type", |dtype: DType| dtype.is_float() || dtype.is_int())?;
    let ranks: Vec<usize> = operands.iter().map(|ty| ty.rank()).collect();
    let equation = read(call, &ranks)?;
    let shapes: Vec<&[Dim]> = operands.iter().map(|ty| &*ty.shape).collect();
    let sizes = equation.sizes(&shapes).map_err(|e| call.fail(e))?;
    one(call, first.dtype, dims_of(&sizes, &equation.output))
}

/// A multiplication for each operand at every point of the labels' space.
pub fn work(call: &WorkCall) -> Work {
    let (Some(text), Some(y)) = (call.op.text("equation"), call.outputs.first()) else { return Work::default() };
    let Some(types) = call.inputs.iter().copied().collect::<Option<Vec<_>>>() else { return Work::default() };
    let ranks: Vec<usize> = types.iter().map(|ty| ty.rank()).collect();
    let Ok(equation) = Equation::read(text, &ranks) else { return Work::default() };
    let shapes: Vec<&[Dim]> = types.iter().map(|ty| &*ty.shape).collect();
    let Ok(sizes) = equation.sizes(&shapes) else { return Work::default() };
    let summed: f64 = dims_of(&sizes, &equation.summed).iter().map(size).product();
    Work::streaming(types.len() as f64 * count(y) * summed, call.inputs, call.outputs)
}

/// The sums, directly: the product over all operands at every point.
pub fn evaluate<E: Element>(call: &EvalCall<E>) -> Evaluated<E> {
    let shape = output_shapes(call, 1, |_| false, infer)?.remove(0);
    let operands = (0..call.inputs.len()).map(|i| call.input(i)).collect::<Result<Vec<_>, _>>()?;
    let ranks: Vec<usize> = operands.iter().map(|a| a.rank()).collect();
    let equation = Equation::read(call.text("equation")?, &ranks).map_err(|e| call.fail(e))?;
    let dims: Vec<Vec<Dim>> =
        operands.iter().map(|a| a.shape.iter().map(|&n| Dim::Known(n as i64)).collect()).collect();
    let shapes: Vec<&[Dim]> = dims.iter().map(Vec::as_slice).collect();
    let label_sizes = equation.sizes(&shapes).map_err(|e| call.fail(e))?;
    let labels = [equation.output.as_slice(), equation.summed.as_slice()].concat();
    let space = sizes(&dims_of(&label_sizes, &labels)).ok_or_else(|| call.fail("a size is negative"))?;
    let axes: Vec<Vec<usize>> = equation
        .terms
        .iter()
        .map(|term| term.iter().filter_map(|label| labels.iter().position(|l| l == label)).collect())
        .collect();
    let outputs = shape.len();
    let mut data = Vec::with_capacity(shape.iter().product());
    let mut at = vec![0; space.len()];
    if !shape.contains(&0) {
        loop {
            data.push(sum(&mut at, &space, outputs, &operands, &axes));
            if !advance(&mut at[..outputs], &space[..outputs]) {
                break;
            }
        }
    }
    Ok(vec![Array { shape, data }])
}

/// The sum over the axes from `outputs` on, which start and end at 0.
fn sum<E: Element>(
    at: &mut [usize],
    space: &[usize],
    outputs: usize,
    operands: &[&Array<E>],
    axes: &[Vec<usize>],
) -> E {
    let mut sum = E::constant(0.0);
    if space[outputs..].contains(&0) {
        return sum;
    }
    loop {
        let mut product: Option<E> = None;
        for (operand, axes) in operands.iter().zip(axes) {
            let place: Vec<usize> = axes.iter().map(|&axis| at[axis]).collect();
            let factor = &operand.data[broadcast_position(&place, &operand.shape)];
            product = Some(product.map_or_else(|| factor.clone(), |p| p.mul(factor)));
        }
        sum = sum.add(&product.unwrap_or_else(|| E::constant(1.0)));
        if !advance(&mut at[outputs..], &space[outputs..]) {
            return sum;
        }
    }
}
