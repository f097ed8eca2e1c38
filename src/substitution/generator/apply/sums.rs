//! Results whose elements are sums of products, averages, or maxima.

use super::super::operator::Limits;
use super::super::recipe::Recipe;
use super::super::tensor::{Joints, Type};

/// A product of matrices, one for each place of the leading axes; the second operand may have no such axes.
pub fn mat_mul(a: &Type, b: &Type, limits: &Limits) -> Option<(Type, Recipe)> {
    let (rank, theirs) = (usize::from(a.rank), usize::from(b.rank));
    if rank < 2 || a.rank > limits.matrix_rank || theirs < 2 || (theirs > 2 && theirs != rank) {
        return None;
    }
    let lead = rank - 2;
    let shared = theirs > 2;
    let (b_rows, b_columns) = (theirs - 2, theirs - 1);
    if a.dims[rank - 1] != b.dims[b_rows] || (shared && a.dims[..lead] != b.dims[..lead]) {
        return None;
    }
    if rank == 2 && limits.no_inner == Some(b.dims[0]) {
        return None;
    }
    let mut ty = *a;
    ty.transposed = false;
    (ty.dims[rank - 1], ty.joints[rank - 1]) = (b.dims[b_columns], b.joints[b_columns]);
    if shared {
        for axis in 0..lead {
            if a.joints[axis] != b.joints[axis] {
                ty.joints[axis] = Joints::NONE;
            }
        }
    }
    let (sa, sb) = (a.strides(), b.strides());
    let inner = usize::from(a.dims[rank - 1]);
    let terms = ty.places().map(|at| {
        let left: usize = (0..rank - 1).map(|axis| at[axis] * sa[axis]).sum();
        let batch: usize = if shared { (0..lead).map(|axis| at[axis] * sb[axis]).sum() } else { 0 };
        let right = batch + at[rank - 1] * sb[b_columns];
        (0..inner).map(move |k| ((left + k * sa[rank - 1]) as u16, (right + k * sb[b_rows]) as u16))
    });
    Some((ty, bilinear(terms)))
}

fn bilinear<T: Iterator<Item = (u16, u16)>>(results: impl Iterator<Item = T>) -> Recipe {
    let (mut starts, mut all) = (vec![0], Vec::new());
    for terms in results {
        all.extend(terms);
        starts.push(all.len() as u32);
    }
    Recipe::Bilinear { starts: starts.into(), terms: all.into() }
}

/// Where a window of `k` elements `dilation` apart around `at` that keeps the size lies in an axis of `size`.
fn window(at: usize, k: u8, dilation: u8, size: u8) -> impl Iterator<Item = (usize, usize)> + Clone {
    let before = usize::from((k - 1) / 2 * dilation);
    let place = move |i: usize| (at + i * usize::from(dilation)).checked_sub(before).filter(|&x| x < usize::from(size));
    (0..usize::from(k)).filter_map(move |i| Some((i, place(i)?)))
}

/// A convolution that keeps the size, divided by the stride.
pub fn conv(x: &Type, w: &Type, kernel: [u8; 2], stride: u8, dilation: u8) -> Option<(Type, Recipe)> {
    if x.rank != 4 || w.rank != 4 || [w.dims[2], w.dims[3]] != kernel || !x.dims[1].is_multiple_of(w.dims[1]) {
        return None;
    }
    let groups = x.dims[1] / w.dims[1];
    if !w.dims[0].is_multiple_of(groups) {
        return None;
    }
    let mut ty = *x;
    ty.transposed = false;
    (ty.dims[1], ty.joints[1]) = (w.dims[0], w.joints[0]);
    for axis in 2..4 {
        ty.dims[axis] = x.dims[axis].div_ceil(stride);
    }
    let step = usize::from(stride);
    let (xs, ws) = (x.strides(), w.strides());
    let per_group = usize::from(w.dims[0] / groups);
    let inputs = usize::from(w.dims[1]);
    let (x, w) = (*x, *w);
    let results = ty.places().map(move |at| {
        let first = at[1] / per_group * inputs;
        (0..inputs).flat_map(move |c| {
            window(at[2] * step, w.dims[2], dilation, x.dims[2]).flat_map(move |(kh, h)| {
                window(at[3] * step, w.dims[3], dilation, x.dims[3]).map(move |(kw, v)| {
                    let from = at[0] * xs[0] + (first + c) * xs[1] + h * xs[2] + v;
                    let by = at[1] * ws[0] + c * ws[1] + kh * ws[2] + kw;
                    (from as u16, by as u16)
                })
            })
        })
    });
    Some((ty, bilinear(results)))
}

/// A pool over 3x3 windows that keeps the size: a sum over `area`, or the maximum if that is 0.
pub fn pool(x: &Type, area: u64) -> Option<(Type, Recipe)> {
    if x.rank != 4 {
        return None;
    }
    let strides = x.strides();
    let windows = x.places().map(|at| {
        let rows = window(at[2], 3, 1, x.dims[2]);
        let cells = rows.flat_map(move |(_, h)| window(at[3], 3, 1, x.dims[3]).map(move |(_, w)| (h, w)));
        cells.map(move |(h, w)| (at[0] * strides[0] + at[1] * strides[1] + h * strides[2] + w) as u16)
    });
    let mut ty = *x;
    ty.joints[1] = Joints::NONE;
    Some((ty, windowed(windows, area)))
}

/// Averages along some axes, which stay as axes of one element.
pub fn average(a: &Type, axes: &[usize]) -> Option<(Type, Recipe)> {
    let mut ty = *a;
    for &axis in axes {
        (ty.dims[axis], ty.joints[axis]) = (1, Joints::NONE);
    }
    let area = a.count() / ty.count();
    let strides = a.strides();
    let rows = ty.places().map(|at| {
        let same = move |place: &[usize; 4]| (0..4).all(|axis| axes.contains(&axis) || place[axis] == at[axis]);
        let index = move |place: [usize; 4]| (0..4).map(|axis| place[axis] * strides[axis]).sum::<usize>() as u16;
        a.places().filter(same).map(index)
    });
    (area > 1).then(|| (ty, windowed(rows, area as u64)))
}

fn windowed<T: Iterator<Item = u16>>(results: impl Iterator<Item = T>, area: u64) -> Recipe {
    let (mut starts, mut all) = (vec![0], Vec::new());
    for terms in results {
        all.extend(terms);
        starts.push(all.len() as u32);
    }
    Recipe::Window { starts: starts.into(), terms: all.into(), area }
}
