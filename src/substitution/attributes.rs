//! Proposals of attributes.

use std::collections::BTreeMap;

use super::random::Random;
use crate::graph::{Attr, OpKind};

/// A value for an attribute, given the shapes of the operands, the attributes chosen before and the number of parts that
/// a Split makes; `None` if nothing suits.
pub(super) fn propose_attr(
    op: OpKind,
    name: &str,
    shapes: &[Option<Vec<i64>>],
    attrs: &BTreeMap<&str, Attr>,
    parts: usize,
    random: &mut Random,
) -> Option<Attr> {
    use OpKind::*;
    let x: &[i64] = shapes.first().and_then(Option::as_deref).unwrap_or_default();
    let rank = x.len();
    let spatial = rank.saturating_sub(2);
    let mut per_axis = |count: usize, values: &[i64]| -> Attr {
        let first = random.pick(values);
        let list: Vec<i64> = (0..count).map(|_| if random.percent(60) { first } else { random.pick(values) }).collect();
        Attr::ints(&list)
    };
    Some(match name {
        "strides" => per_axis(spatial, &[1, 1, 1, 2]),
        "dilations" => per_axis(spatial, &[1, 1, 1, 2]),
        "kernel_shape" => per_axis(spatial, &[1, 2, 3, 3]),
        "repeats" => per_axis(rank, &[1, 1, 2]),
        "output_padding" => per_axis(spatial, &[0, 0, 1]),
        "pads" if op == Pad => {
            let (inner, zero) = (random.percent(50), random.percent(30));
            let list = (0..2 * rank).map(|i| {
                let outer = inner && i % rank < 2;
                if outer || zero || random.percent(40) { 0 } else { random.pick(&[1, 2]) }
            });
            Attr::ints(&list.collect::<Vec<_>>())
        }
        "pads" => window_pads(shapes, attrs, spatial, random),
        "group" => Attr::Int(group(shapes, random)),
        "axis" => {
            let count = if op == Flatten { rank + 1 } else { rank };
            match op {
                LayerNormalization => Attr::Int(rank.checked_sub(1)? as i64),
                Split => Attr::Int(*split_axes(x, parts, random)?),
                _ if count == 0 => return None,
                _ => Attr::Int(random.below(count) as i64),
            }
        }
        "split" => {
            let Attr::Int(axis) = attrs.get("axis")? else { return None };
            let size = *x.get(usize::try_from(*axis).ok()?)?;
            Attr::ints(&partition(size, parts, random)?)
        }
        "perm" => {
            let fixed = usize::from(random.percent(50));
            let mut perm = random.permutation(rank.saturating_sub(fixed));
            if perm.len() < rank {
                perm.push(rank as i64 - 1);
            }
            Attr::ints(&perm)
        }
        "shape" if op == Reshape => Attr::ints(&reshaped(x, random)),
        "shape" => {
            let same = random.percent(60);
            Attr::ints(&x.iter().map(|&d| if same || d != 1 { d } else { random.pick(&[1, 2, 3]) }).collect::<Vec<_>>())
        }
        "axes" if op == Squeeze => {
            let units: Vec<i64> = (0..rank).filter(|&i| x[i] == 1).map(|i| i as i64).collect();
            let chosen: Vec<i64> = units.into_iter().filter(|_| random.percent(60)).collect();
            if chosen.is_empty() {
                return None;
            }
            Attr::ints(&chosen)
        }
        "axes" if op == Unsqueeze => {
            let added = random.pick(&[1, 1, 2]);
            let mut axes: Vec<i64> = random.permutation(rank + added);
            axes.truncate(added);
            axes.sort_unstable();
            Attr::ints(&axes)
        }
        "axes" => {
            if rank == 0 {
                return None;
            }
            let mut axes: Vec<i64> = random.permutation(rank);
            axes.truncate(1 + random.below(rank.min(2)));
            axes.sort_unstable();
            Attr::ints(&axes)
        }
        "starts" | "ends" | "steps" => slice_list(name, x, attrs, random)?,
        "keepdims" | "transA" | "transB" | "ceil_mode" | "count_include_pad" => Attr::Int(random.below(2) as i64),
        "allowzero" | "coerced" => Attr::Int(0),
        "saturate" | "stash_type" => Attr::Int(1),
        "to" => Attr::Int(random.pick(&[1, 1, 11, 7, 6])),
        "epsilon" => Attr::Float(random.pick(&[1e-3, 1e-2, 0.1])),
        "min" => Attr::Float(random.pick(&[-0.5, -0.1, 0.0])),
        "max" => Attr::Float(random.pick(&[0.3, 0.7, 1.0])),
        "alpha" | "beta" => Attr::Float(random.pick(&[1.0, 0.5, 2.0, -0.75])),
        "value" => Attr::Float(random.pick(&[0.0, 1.5])),
        "mode" => Attr::str("constant"),
        "approximate" => Attr::str(random.pick(&["none", "tanh"])),
        "equation" => {
            let equations: &[&str] = match rank {
                2 => &["ij,jk->ik", "ij,kj->ik", "ij,ij->ij"],
                3 => &["bij,bjk->bik", "bij,bkj->bik"],
                4 => &["bhij,bhjd->bhid", "bhid,bhjd->bhij"],
                _ => return None,
            };
            Attr::str(random.pick(equations))
        }
        _ => return None,
    })
}

/// Padding of a window: none, half the kernel, or anything small.
fn window_pads(shapes: &[Option<Vec<i64>>], attrs: &BTreeMap<&str, Attr>, spatial: usize, random: &mut Random) -> Attr {
    let ints = |name: &str| match attrs.get(name) {
        Some(Attr::Ints(values)) => Some(values.to_vec()),
        _ => None,
    };
    let from_weight = || shapes.get(1).and_then(Option::as_ref).and_then(|w| w.get(2..)).map(<[i64]>::to_vec);
    let kernel = ints("kernel_shape").or_else(from_weight).unwrap_or_default();
    let dilations = ints("dilations").unwrap_or_else(|| vec![1; spatial]);
    let style = random.below(10);
    let list = (0..2 * spatial).map(|i| {
        let axis = i % spatial.max(1);
        let (k, d) = (kernel.get(axis).copied().unwrap_or(1), dilations.get(axis).copied().unwrap_or(1));
        match style {
            0..3 => 0,
            3..8 => (k - 1) / 2 * d,
            8 => 1,
            _ => random.below(3) as i64,
        }
    });
    Attr::ints(&list.collect::<Vec<_>>())
}

/// A number of groups that divides the channels of the input, or those of the kernel.
fn group(shapes: &[Option<Vec<i64>>], random: &mut Random) -> i64 {
    let channels = shapes.iter().flatten().next().and_then(|x| x.get(1)).copied().unwrap_or(1).max(1);
    let divisors: Vec<i64> = (1..=channels).filter(|g| channels % g == 0).collect();
    match random.below(3) {
        0 => 1,
        1 => channels,
        _ => random.pick(&divisors),
    }
}

fn split_axes(x: &[i64], parts: usize, random: &mut Random) -> Option<&'static i64> {
    const AXES: [i64; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
    let fitting: Vec<usize> = (0..x.len().min(8)).filter(|&i| x[i] >= parts as i64).collect();
    if fitting.is_empty() {
        return None;
    }
    AXES.get(fitting[random.below(fitting.len())])
}

/// `parts` positive sizes that sum to `size`; equal ones half of the time.
fn partition(size: i64, parts: usize, random: &mut Random) -> Option<Vec<i64>> {
    let count = parts as i64;
    if size < count || count == 0 {
        return None;
    }
    if size % count == 0 && random.percent(50) {
        return Some(vec![size / count; parts]);
    }
    let mut sizes = vec![1; parts];
    for _ in 0..size - count {
        let at = random.below(parts);
        sizes[at] += 1;
    }
    Some(sizes)
}

/// A shape with as many elements: axes merged, split, swapped, added.
fn reshaped(x: &[i64], random: &mut Random) -> Vec<i64> {
    let mut shape = x.to_vec();
    for _ in 0..1 + random.below(3) {
        match random.below(5) {
            0 if shape.len() >= 2 => {
                let at = random.below(shape.len() - 1);
                let merged = shape.remove(at + 1);
                shape[at] *= merged;
            }
            1 if !shape.is_empty() => {
                let at = random.below(shape.len());
                let divisors: Vec<i64> = (1..=shape[at]).filter(|d| shape[at] % d == 0).collect();
                if !divisors.is_empty() {
                    let d = random.pick(&divisors);
                    shape[at] /= d;
                    shape.insert(at, d);
                }
            }
            2 => {
                let at = random.below(shape.len() + 1);
                shape.insert(at, 1);
            }
            3 if shape.len() >= 2 => {
                let at = random.below(shape.len() - 1);
                shape.swap(at, at + 1);
            }
            _ => {}
        }
    }
    shape
}

fn slice_list(name: &str, x: &[i64], attrs: &BTreeMap<&str, Attr>, random: &mut Random) -> Option<Attr> {
    let Attr::Ints(axes) = attrs.get("axes")? else { return None };
    let plain = random.percent(60);
    let list = axes.iter().map(|&axis| {
        let size = *x.get(usize::try_from(axis).ok()?)?;
        let within =
            |random: &mut Random, from: i64| from + random.below(usize::try_from(size + 1 - from).unwrap_or(1)) as i64;
        Some(match name {
            "starts" if random.percent(50) => 0,
            "starts" => within(random, 0).min(size - 1).max(0),
            "ends" if random.percent(50) => size,
            "ends" => within(random, 0),
            _ if plain => 1,
            _ => random.pick(&[1, 2]),
        })
    });
    Some(Attr::ints(&list.collect::<Option<Vec<_>>>()?))
}
