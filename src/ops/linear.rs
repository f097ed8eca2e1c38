//! Matrix products: MatMul with broadcast batches and one-dimensional operands, and Gemm.

use super::broadcast::broadcast;
use super::call::{Call, EvalCall, WorkCall};
use super::dims::agree;
use super::schema::Schema;
use super::schema::rows::{float, int};
use super::support::{Evaluated, Inferred, advance, one, output_shapes, same_dtype};
use super::work::{count, size};
use super::{Array, Element, EvalError, Work, einsum};
use crate::graph::{DType, Dim, Op, OpKind};

/// Schemas of the family.
pub const SCHEMAS: &[Schema] = &[
    Schema::of(OpKind::MatMul, (2, 2)),
    Schema::of(OpKind::Gemm, (2, 3)).attrs(&[
        float("alpha", 1.0),
        float("beta", 1.0),
        int("transA", 0),
        int("transB", 0),
    ]),
    einsum::SCHEMA,
];

/// Type of the output: MatMul `[…, M, K] x […, K, N]`, Gemm `[M, K] x [K, N] + C`.
pub fn infer(call: &Call) -> Inferred {
    if call.kind == OpKind::Einsum {
        return einsum::infer(call);
    }
    let (a, b) = (call.ty(0)?, call.ty(1)?);
    same_dtype(call, a.dtype, 1..3)?;
    call.want(0, "of a numeric type", |dtype: DType| dtype.is_float() || dtype.is_int())?;
    let inner = |k: &Dim, l: &Dim| match agree(k, l) {
        Some(_) => Ok(()),
        None => Err(call.fail(format!("inner dimensions {k} and {l} differ"))),
    };
    if call.kind == OpKind::Gemm {
        if a.rank() != 2 || b.rank() != 2 {
            return Err(call.fail("both factors should be matrices"));
        }
        let (ta, tb) = transposes(call.op);
        let (m, k) = (&a.shape[usize::from(ta)], &a.shape[usize::from(!ta)]);
        let (l, n) = (&b.shape[usize::from(tb)], &b.shape[usize::from(!tb)]);
        inner(k, l)?;
        let shape = vec![m.clone(), n.clone()];
        if let Some(c) = call.optional(2) {
            let fits = |(have, want): (&Dim, &Dim)| *have == Dim::Known(1) || agree(have, want).is_some();
            if c.rank() > 2 || !c.shape.iter().rev().zip(shape.iter().rev()).all(fits) {
                return Err(call.fail(format!("the addend does not broadcast to [{m}, {n}]")));
            }
        }
        return one(call, a.dtype, shape);
    }
    if a.rank() == 0 || b.rank() == 0 {
        return Err(call.fail("a factor is a scalar"));
    }
    let (batch_a, m, k) = left(&a.shape);
    let (batch_b, l, n) = right(&b.shape);
    inner(k, l)?;
    let mut shape = broadcast(batch_a, batch_b)
        .ok_or_else(|| call.fail(format!("batches {batch_a:?} and {batch_b:?} do not broadcast")))?;
    shape.extend(m.cloned());
    shape.extend(n.cloned());
    one(call, a.dtype, shape)
}

fn transposes(op: &Op) -> (bool, bool) {
    (op.int("transA").unwrap_or(0) != 0, op.int("transB").unwrap_or(0) != 0)
}

/// A left factor's batch, rows (none for a vector) and inner dimension.
fn left<T>(shape: &[T]) -> (&[T], Option<&T>, &T) {
    match shape {
        [batch @ .., m, k] => (batch, Some(m), k),
        rest => (&[], None, &rest[0]),
    }
}

/// A right factor's batch, inner dimension and columns (none for a vector).
fn right<T>(shape: &[T]) -> (&[T], &T, Option<&T>) {
    match shape {
        [batch @ .., k, n] => (batch, k, Some(n)),
        rest => (&[], &rest[0], None),
    }
}

/// Two operations for each product, and Gemm's scalings and addition.
pub fn work(call: &WorkCall) -> Work {
    if call.kind == OpKind::Einsum {
        return einsum::work(call);
    }
    let (Some(Some(a)), Some(y)) = (call.inputs.first(), call.outputs.first()) else { return Work::default() };
    let (ta, _) = transposes(call.op);
    let at = if ta { a.rank().checked_sub(2) } else { a.rank().checked_sub(1) };
    let mut flops = 2.0 * count(y) * at.map_or(1.0, |i| size(&a.shape[i]));
    if call.kind == OpKind::Gemm {
        let scaled = |name| call.op.float(name).is_some_and(|v| v != 1.0);
        flops += if scaled("alpha") { count(y) } else { 0.0 };
        if call.inputs.get(2).is_some_and(Option::is_some) {
            flops += count(y) * if scaled("beta") { 2.0 } else { 1.0 };
        }
    }
    Work::streaming(flops, call.inputs, call.outputs)
}

/// One product of matrices: `a` and `b` are positions with (row stride, column stride).
struct Product {
    rows: usize,
    inner: usize,
    columns: usize,
    a: (usize, usize),
    b: (usize, usize),
}

impl Product {
    fn add_to<E: Element>(&self, a: &[E], b: &[E], out: &mut Vec<E>) {
        for i in 0..self.rows {
            let row = out.len();
            out.extend(std::iter::repeat_n(E::constant(0.0), self.columns));
            for k in 0..self.inner {
                let factor = &a[i * self.a.0 + k * self.a.1];
                for (j, slot) in out[row..].iter_mut().enumerate() {
                    *slot = slot.add(&factor.mul(&b[k * self.b.0 + j * self.b.1]));
                }
            }
        }
    }
}

/// The sums of products, directly.
pub fn evaluate<E: Element>(call: &EvalCall<E>) -> Evaluated<E> {
    if call.kind == OpKind::Einsum {
        return einsum::evaluate(call);
    }
    let shape = output_shapes(call, 1, |_| false, infer)?.remove(0);
    let (a, b) = (call.input(0)?, call.input(1)?);
    if call.kind == OpKind::Gemm {
        return Ok(vec![gemm(call, a, b, call.optional(2), shape)?]);
    }
    let (batch_a, m, &inner) = left(&a.shape);
    let (batch_b, _, n) = right(&b.shape);
    let (rows, columns) = (m.copied().unwrap_or(1), n.copied().unwrap_or(1));
    let product = Product { rows, inner, columns, a: (inner, 1), b: (columns, 1) };
    let batch = &shape[..shape.len() - usize::from(m.is_some()) - usize::from(n.is_some())];
    let mut out = Vec::with_capacity(shape.iter().product());
    if !shape.contains(&0) {
        let mut at = vec![0; batch.len()];
        loop {
            let from_a = broadcast_position(&at, batch_a) * rows * inner;
            let from_b = broadcast_position(&at, batch_b) * inner * columns;
            product.add_to(&a.data[from_a..], &b.data[from_b..], &mut out);
            if !advance(&mut at, batch) {
                break;
            }
        }
    }
    Ok(vec![Array { shape, data: out }])
}

/// Row-major position in an operand of this shape, aligned at the last axes of `at`; axes of size 1 are repeated.
pub fn broadcast_position(at: &[usize], shape: &[usize]) -> usize {
    let skip = at.len().saturating_sub(shape.len());
    at[skip..].iter().zip(shape).fold(0, |position, (&i, &n)| position * n + if n == 1 { 0 } else { i })
}

fn gemm<E: Element>(
    call: &EvalCall<E>,
    a: &Array<E>,
    b: &Array<E>,
    c: Option<&Array<E>>,
    shape: Vec<usize>,
) -> Result<Array<E>, EvalError> {
    let (ta, tb) = transposes(call.op);
    let (rows, columns) = (shape[0], shape[1]);
    let inner = a.shape[usize::from(!ta)];
    let strides = |transposed: bool, width: usize| if transposed { (1, width) } else { (width, 1) };
    let product = Product { rows, inner, columns, a: strides(ta, a.shape[1]), b: strides(tb, b.shape[1]) };
    let mut out = Vec::with_capacity(rows * columns);
    product.add_to(&a.data, &b.data, &mut out);
    let alpha = scale(call, "alpha")?;
    let beta = scale(call, "beta")?;
    for (i, y) in out.iter_mut().enumerate() {
        if let Some(alpha) = &alpha {
            *y = alpha.mul(y);
        }
        if let Some(c) = c {
            let addend = &c.data[broadcast_position(&[i / columns, i % columns], &c.shape)];
            *y = y.add(&beta.as_ref().map_or_else(|| addend.clone(), |beta| beta.mul(addend)));
        }
    }
    Ok(Array { shape, data: out })
}

/// A scale attribute; `None` if it is 1.
fn scale<E: Element>(call: &EvalCall<E>, name: &str) -> Result<Option<E>, EvalError> {
    match call.op.float(name) {
        None | Some(1.0) => Ok(None),
        Some(v) if v.is_finite() => Ok(Some(E::constant(v.into()))),
        Some(v) => Err(call.fail(format!("attribute {name} = {v}"))),
    }
}
