//! The kernels against the reference semantics of [`crate::ops`]: two implementations that share no code check each other.

mod cases;
mod moving;
mod types;

use tch::{Kind, Tensor};

use super::{Place, run};
use crate::graph::{Attr, Op, OpKind, splitmix64};
use crate::ops::{self, Array};

/// What an operand holds.
#[derive(Clone, Copy, Debug)]
enum Fill {
    /// Normal floats.
    Normal,
    /// Floats in (0.5, 2).
    Positive,
    /// Floats in (-0.5, 0.5).
    Half,
    /// Floats in (-1, 1).
    Unit,
    /// Small whole numbers as floats, so that there are equal elements.
    Ties,
    /// Integers in [low, high).
    Ints(i64, i64),
    /// Booleans.
    Bools,
    /// These integers.
    Exact(&'static [i64]),
}

/// An operand: what it holds, and its shape.
type Operand = (Fill, &'static [i64]);

/// A row of a table: operator, attributes, operands (`None`: left out).
struct Case {
    kind: OpKind,
    attrs: Vec<(&'static str, Attr)>,
    operands: Vec<Option<Operand>>,
}

fn values((fill, shape): Operand, seed: u64) -> Vec<f64> {
    let count = shape.iter().product::<i64>() as u64;
    let unit = |i: u64| (splitmix64(seed, i) >> 11) as f64 / (1u64 << 53) as f64;
    (0..count)
        .map(|i| match fill {
            Fill::Normal => (0..6).map(|k| unit(6 * i + k) - 0.5).sum::<f64>() * 1.4,
            Fill::Positive => 0.5 + 1.5 * unit(i),
            Fill::Half => unit(i) - 0.5,
            Fill::Unit => 1.98 * unit(i) - 0.99,
            Fill::Ties => (unit(i) * 4.0).floor() - 2.0,
            Fill::Ints(low, high) => (low + (unit(i) * (high - low) as f64) as i64) as f64,
            Fill::Bools => f64::from(u8::from(unit(i) < 0.5)),
            Fill::Exact(list) => list[i as usize] as f64,
        })
        .collect()
}

fn tensor(operand: Operand, values: &[f64], float: Kind) -> Tensor {
    let kind = match operand.0 {
        Fill::Normal | Fill::Positive | Fill::Half | Fill::Unit | Fill::Ties => float,
        Fill::Ints(..) | Fill::Exact(_) => Kind::Int64,
        Fill::Bools => Kind::Bool,
    };
    Tensor::from_slice(values).reshape(operand.1).to_kind(kind)
}

fn as_f64s(t: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(&t.to_kind(Kind::Double).reshape([-1])).unwrap()
}

/// Largest difference, divided by the largest magnitude; different non-finite elements count as infinite.
fn distance(expected: &[f64], found: &[f64]) -> f64 {
    let scale = expected.iter().filter(|v| v.is_finite()).fold(1e-3f64, |m, v| m.max(v.abs()));
    let apart = |(a, b): (&f64, &f64)| match (a.is_finite(), b.is_finite()) {
        (true, true) => (a - b).abs() / scale,
        _ if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        _ => f64::INFINITY,
    };
    expected.iter().zip(found).map(apart).fold(0.0, f64::max)
}

/// Runs a case in f64 (exactly as the reference), f32 and f16, and panics with what is wrong.
fn check(case: &Case, seed: u64) -> Result<(), String> {
    let op: Op = ops::build(case.kind, case.attrs.clone()).map_err(|e| e.to_string())?;
    let data: Vec<Option<Vec<f64>>> =
        case.operands.iter().enumerate().map(|(i, o)| o.map(|o| values(o, seed * 100 + i as u64))).collect();
    let arrays: Vec<Option<Array<f64>>> = case
        .operands
        .iter()
        .zip(&data)
        .map(|(o, d)| {
            let (o, d) = (o.as_ref()?, d.as_ref()?);
            let shape: Vec<usize> = o.1.iter().map(|&n| n as usize).collect();
            Some(Array::new(&shape, d.clone()).unwrap())
        })
        .collect();
    let refs: Vec<Option<&Array<f64>>> = arrays.iter().map(Option::as_ref).collect();
    let expected = ops::evaluate(&op, &refs).map_err(|e| format!("reference: {e}"))?;
    let least = ops::schema(case.kind).outputs.0;
    // Sums of a few terms in 11 bits of mantissa.
    for (float, wide, tolerance) in [(Kind::Double, true, 1e-12), (Kind::Float, false, 2e-5), (Kind::Half, false, 3e-2)]
    {
        // What is rounded before a jump or a tie may fall on its other side.
        let sharp = matches!(case.kind, OpKind::Mod | OpKind::Floor | OpKind::Ceil | OpKind::Round | OpKind::Cast);
        if float == Kind::Half && (sharp || case.kind == OpKind::Range) {
            continue;
        }
        let given = |d: &Vec<f64>, o: Operand| tensor(o, d, float);
        let tensors: Vec<Option<Tensor>> =
            case.operands.iter().zip(&data).map(|(o, d)| Some(given(d.as_ref()?, (*o)?))).collect();
        let inputs: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
        for outputs in [least, expected.len()] {
            let outputs = outputs.min(expected.len());
            let found =
                run(&op, &inputs, outputs, Place { wide, ..Place::CPU }).map_err(|e| format!("{float:?}: {e}"))?;
            for (slot, (e, f)) in expected.iter().zip(&found).enumerate() {
                let shape: Vec<usize> = f.size().iter().map(|&d| d as usize).collect();
                if shape != e.shape {
                    return Err(format!("{float:?} output {slot}: shape {shape:?}, reference {:?}", e.shape));
                }
                let d = distance(&e.data, &as_f64s(f));
                let index_of_rounded = slot == 1 && float == Kind::Half;
                if d > tolerance && !index_of_rounded {
                    return Err(format!("{float:?} output {slot}: {d:.1e} apart\n{:?}\n{f}", e.data));
                }
            }
        }
    }
    Ok(())
}

/// Checks every row on several seeds and reports all rows that fail.
fn check_all(cases: Vec<Case>) {
    assert!(!cases.is_empty());
    let mut failures = Vec::new();
    for case in &cases {
        for seed in 1..4 {
            if let Err(problem) = check(case, seed) {
                failures.push(format!("{} {:?} {:?}: {problem}", case.kind, case.attrs, case.operands));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}
