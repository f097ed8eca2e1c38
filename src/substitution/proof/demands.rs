//! What operators demand of their operands: a source that is well typed grants it.

use super::facts::Facts;
use super::learn::learn_broadcast;
use super::shape;
use super::term::{Application, Head, TermId, World};
use crate::graph::{Dim, OpKind};

/// What an application demands of its operands, which a well-typed source grants.
pub(super) fn demands(world: &World, term: TermId, facts: &mut Facts) {
    let Some(a) = world.head(term).application() else { return };
    let (args, result) = (world.args(term), world.shape(term));
    use super::shape::Shape;
    use OpKind::*;
    let shape = |slot: usize| args.get(slot).filter(|t| *world.head(**t) != Head::Absent).map(|t| world.shape(*t));
    let dims = |slot: usize| shape(slot).and_then(Shape::dims);
    let mut equal = |a: Option<&Dim>, b: Option<&Dim>| {
        if let (Some(a), Some(b)) = (a, b) {
            facts.equal(a, b);
        }
    };
    match a.kind {
        Add | Sub | Mul | Div => {
            for slot in 0..2 {
                let rank = result.known_rank().unwrap_or(2);
                for (k, x) in (1..=rank).filter_map(|k| Some((k, shape(slot)?))) {
                    facts.cover(&result.counted_from_end(k, &world.facts), &x.counted_from_end(k, &world.facts));
                }
            }
        }
        Conv => {
            let axis = |slot: usize, axis: usize| shape(slot).and_then(|s| s.counted_from_start(axis, &world.facts));
            if let Some(group) = a.num("group") {
                equal(axis(0, 1).as_ref(), axis(1, 1).map(|w| w.mul(group)).as_ref());
                equal(axis(2, 0).as_ref(), axis(1, 0).as_ref());
                facts.at_least_zero(&group.sub(&Dim::Known(1)));
                if let Some(outputs) = axis(1, 0) {
                    facts.divides_exactly(&outputs, group);
                    if let Some(each) = outputs.floor_div(group) {
                        facts.at_least_zero(&each.sub(&Dim::Known(1)));
                    }
                }
            }
        }
        ConvTranspose => {
            let (x, w, b) = (dims(0), dims(1), dims(2));
            equal(x.and_then(|x| x.get(1)), w.and_then(<[Dim]>::first));
            if let (Some(b), Some(w), Some(group)) = (b, w, a.num("group")) {
                equal(b.first(), w.get(1).map(|w| w.mul(group)).as_ref());
            }
        }
        LayerNormalization => {
            for slot in 1..args.len() {
                if let (Some(x), Some(s)) = (shape(0), shape(slot)) {
                    learn_broadcast(s, x, facts);
                }
            }
        }
        BatchNormalization => {
            let channels = dims(0).and_then(|x| x.get(1));
            for slot in 1..5 {
                equal(dims(slot).and_then(<[Dim]>::first), channels);
            }
        }
        MatMul => {
            let one = Dim::Known(1);
            for slot in 0..2 {
                if let Some(shape) = shape(slot) {
                    facts.at_least_zero(&shape.rank().sub(&one));
                }
            }
            if let (Some(x), Some(w)) = (shape(0), shape(1)) {
                let rows = match w.known_rank() {
                    Some(1) => Some(w.counted_from_end(1, facts)),
                    Some(_) => Some(w.counted_from_end(2, facts)),
                    None if facts.is_at_least_zero(&w.rank().sub(&Dim::Known(2))) => Some(w.counted_from_end(2, facts)),
                    None => None,
                };
                equal_if(facts, Some(&x.counted_from_end(1, facts)), rows.as_ref());
            }
        }
        Gemm => {
            for slot in 0..2 {
                if let Some(shape) = shape(slot) {
                    equal(Some(&shape.rank()), Some(&Dim::Known(2)));
                }
            }
            let inner = |slot: usize, flag: &str, plain: usize| {
                let transposed = usize::try_from(a.int(flag)?).ok()?;
                dims(slot)?.get(if transposed == 0 { plain } else { 1 - plain })
            };
            equal(inner(0, "transA", 1), inner(1, "transB", 0));
            if let Some(b) = shape(2) {
                learn_broadcast(b, result, facts);
            }
        }
        Concat => {
            let Some(first) = dims(0) else { return alike(world, a, args, facts) };
            let Some(k) =
                a.num("axis").and_then(|axis| super::shape::axis_from_end(axis, &Dim::Known(first.len() as i64)))
            else {
                return;
            };
            let at = first.len() - k;
            for slot in 1..args.len() {
                for (i, d) in dims(slot).unwrap_or_default().iter().enumerate() {
                    if i != at {
                        equal(Some(d), first.get(i));
                    }
                }
            }
        }
        Split => {
            let (Some(x), Some(sizes)) = (shape(0), a.list("split")) else { return };
            if let Some(k) = a.num("axis").and_then(|axis| super::shape::axis_from_end(axis, &x.rank())) {
                facts.at_least_zero(&x.rank().sub(&Dim::Known(1)));
                sizes.iter().for_each(|size| facts.at_least_zero(&size.sub(&Dim::Known(1))));
                let sum = sizes.iter().fold(Dim::Known(0), |sum, d| sum.add(d));
                let whole = x.counted_from_end(k, facts);
                facts.equal(&sum, &whole);
            }
        }
        _ => {}
    }
}

fn equal_if(facts: &mut Facts, a: Option<&Dim>, b: Option<&Dim>) {
    if let (Some(a), Some(b)) = (a, b) {
        facts.equal(a, b);
    }
}

/// Operands of unknown rank that are joined have one shape but for their sizes along the axis.
fn alike(world: &World, a: &Application, args: &[TermId], facts: &mut Facts) {
    let plain = |x: &TermId| shape::with_size(world.shape(*x), a.num("axis")?, Dim::Known(1), &world.facts);
    let shapes: Vec<shape::Shape> = args.iter().filter_map(plain).collect();
    for (x, y) in shapes.iter().zip(shapes.iter().skip(1)) {
        facts.broadcast(x, y);
        facts.broadcast(y, x);
    }
}
