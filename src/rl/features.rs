//! The features of nodes, edges, candidates and of the whole: what each number is.
//!
//! Node and edge features are *local*: an edit elsewhere changes none of them. All numbers lie in about [-1, 1]. `log2(1 + n)`
//! tames sizes; what is unknown (a symbolic dimension, a rule's sizes) is 0, with a flag beside it. The number of the whole
//! table is [`super::observation::FEATURE_VERSION`].
//!
//! | node | |
//! | --- | --- |
//! | 0 | 1 if it depends on weights alone |
//! | 1 | 1 if it gives an output of the graph |
//! | 2 | rank of its first result / 8 |
//! | 3 to 6 | log2(1 + size) / 24 of the last, the last but one ... of the first result's dimensions |
//! | 7 | log2(1 + elements) / 40 of all results |
//! | 8 | class of the first result's elements: see [`dtype_class`] |
//! | 9 | 1 if some size is not known |
//! | 10 | log2(results) / 8 |
//! | 11, 12 | log2(1 + floating-point operations) / 48, log2(1 + bytes moved) / 48 |
//! | 13 | its time as a share of the initial total |
//! | 14 | the same as 1 + log10(share) / 6, at least 0, in steps of 1/64; 0 if it takes no time |
//! | 15 | kernels launched / 4 |
//! | 16 | log2 of the elements of its window (`kernel_shape`, or a convolution's kernel) / 8 |
//! | 17 | log2 of the product of its strides / 4 |
//! | 18 | log2(group) / 12 |
//! | 19 | (`axis` + 1) / 8, of several the first |
//! | 20, 21 | two numbers in [-1, 1) drawn by a hash of all its attributes; 0 without attributes, and for weights |
//! | 22 | for a Transpose the share of the axes that it moves, else the mean of its pads / 8 |
//! | 23 | 1 if it stands for several (of a rule) |
//!
//! | edge | |
//! | --- | --- |
//! | 0, 1 | result of the producer / 8, operand of the consumer / 8 |
//! | 2 to 4 | 1 if it is the first, the second, a later operand |
//! | 5 | rank / 8 |
//! | 6 to 9 | log2(1 + size) / 24 of the last, the last but one ... dimension |
//! | 10, 11 | log2(1 + elements) / 40, log2(1 + bytes) / 48 |
//! | 12 | class of its elements |
//! | 13 | 1 if it depends on weights alone |
//! | 14 | 1 if some size is not known |
//! | 15 | log2(its elements / those of the consumer's first result) / 16: below 0 where it is broadcast |
//!
//! | candidate | |
//! | --- | --- |
//! | 0 | predicted change of time / initial total |
//! | 1 | its sign; 0 within a millionth of a microsecond |
//! | 2 | its size as 1 + log10(change / initial total) / 6, at least 0 |
//! | 3 | predicted growth of the weights that inference reads / those at the start, through a signed square root |
//! | 4 | operators added less removed / 16 |
//! | 5 | log2(equivalent legal candidates, itself included) / 6 |
//! | 6 | log2(members of its groups) / 6 |
//! | 7 | what it would earn now: tanh(4 log(best so far / cost after it)), 0 if nothing |
//!
//! | the whole | |
//! | --- | --- |
//! | 0 | rewrites left / horizon |
//! | 1 | tanh(4 log(initial / current cost)) |
//! | 2 | tanh(4 log(initial / best cost)) |
//! | 3 | tanh(4 log(best / current cost)) |
//! | 4 | log2(1 + nodes) / 12 |
//! | 5 | log2(1 + candidates) / 12 |
//! | 6, 7 | weights, and operators, as shares of what is allowed |

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::cost::Cost;
use crate::graph::{Attr, Attrs, DType, Dim, Graph, NodeId, Op, OpKind, TensorType, Use};

use super::neighbourhood::NodeBase;
use super::observation::{CANDIDATE_FEATURES, EDGE_FEATURES, GLOBAL_FEATURES, NODE_FEATURES};

/// Changes of time below this many microseconds are noise of the arithmetic.
pub(super) const MIN_CHANGE_US: f64 = 1e-6;

/// Row of the table of operators: 0 is an input, 1 a weight, 2 an operator that is not understood.
pub fn operator_row(op: &Op) -> u32 {
    match op {
        Op::Input => 0,
        Op::Weight(_) => 1,
        Op::Opaque(_) => 2,
        Op::Apply(kind, _) => kind_row(*kind),
    }
}

/// Row of an understood operator.
pub(super) fn kind_row(kind: OpKind) -> u32 {
    3 + kind as u32
}

/// Element types as a number: floats above 0, by their width; integers and the rest below.
pub fn dtype_class(dtype: DType) -> f32 {
    match dtype {
        DType::F64 => 0.9,
        DType::F32 => 1.0,
        DType::F16 => 0.6,
        DType::BF16 => 0.5,
        DType::F8E4M3 | DType::F8E5M2 => 0.3,
        DType::I64 | DType::U64 => -0.4,
        DType::I32 | DType::U32 => -0.5,
        DType::I16 | DType::U16 => -0.6,
        DType::I8 | DType::U8 => -0.7,
        DType::I4 | DType::U4 => -0.8,
        DType::Bool => -1.0,
        DType::String => -0.9,
    }
}

/// `log2(1 + n) / scale`, at most 1.
fn log_size(n: f64, scale: f64) -> f32 {
    ((1.0 + n.max(0.0)).log2() / scale).min(1.0) as f32
}

fn clamp(x: f64) -> f32 {
    // No negative zero: features are compared by bits.
    x.clamp(-1.0, 1.0) as f32 + 0.0
}

/// A share in (0, 1] on a logarithmic scale of six decades.
fn log_share(share: f64) -> f64 {
    if share > 0.0 { (1.0 + share.log10() / 6.0).clamp(0.0, 1.0) } else { 0.0 }
}

/// A ratio of costs is the hyperbolic tangent of its logarithm times this.
pub const LOG_RATIO_STEEPNESS: f64 = 4.0;

/// A ratio of costs, so that 1 % shows and nothing exceeds 1.
fn log_ratio(over: f64, under: f64) -> f32 {
    if over > 0.0 && under > 0.0 { (LOG_RATIO_STEEPNESS * (over / under).ln()).tanh() as f32 + 0.0 } else { 0.0 }
}

/// Number of elements; dimensions that are no numbers count as 1.
fn elements(ty: &TensorType) -> f64 {
    ty.shape.iter().map(|d| d.known().map_or(1.0, |n| n.max(0) as f64)).product()
}

fn sizes_known(ty: &TensorType) -> bool {
    ty.shape.iter().all(|d| d.known().is_some())
}

/// Rank and the last four dimensions.
fn shape(ty: &TensorType) -> [f32; 5] {
    let mut f = [rank(ty.rank()), 0.0, 0.0, 0.0, 0.0];
    for (slot, dim) in f[1..].iter_mut().zip(ty.shape.iter().rev()) {
        *slot = dim.known().map_or(0.0, |n| log_size(n as f64, 24.0));
    }
    f
}

/// A rank as a feature.
pub(super) fn rank(rank: usize) -> f32 {
    clamp(rank as f64 / 8.0)
}

/// Features of a node; `cost` is its own, `start_us` the total at the start.
pub fn node(graph: &Graph, id: NodeId, cost: &Cost, start_us: f64) -> NodeBase {
    let node = graph.node(id);
    let mut f = [0.0; NODE_FEATURES];
    f[0] = f32::from(node.constant);
    f[1] = f32::from(graph.feeds_output(id));
    let mut all = 0.0;
    for (slot, output) in node.outputs.iter().enumerate() {
        let Some(ty) = &output.facts.ty else {
            f[9] = 1.0;
            continue;
        };
        all += elements(ty);
        if !sizes_known(ty) {
            f[9] = 1.0;
        }
        if slot == 0 {
            f[2..7].copy_from_slice(&shape(ty));
            f[8] = dtype_class(ty.dtype);
        }
    }
    f[7] = log_size(all, 40.0);
    f[10] = clamp((node.outputs.len().max(1) as f64).log2() / 8.0);
    f[11] = log_size(cost.flops, 48.0);
    f[12] = log_size(cost.bytes, 48.0);
    let share = if start_us > 0.0 { cost.time_us / start_us } else { 0.0 };
    f[13] = clamp(share);
    f[14] = ((log_share(share) * 64.0).round() / 64.0) as f32;
    f[15] = clamp(cost.launches / 4.0);
    if let Op::Apply(kind, attrs) = &node.op {
        attributes(&mut f, attrs.as_slice().iter().map(|(name, value)| (*name, value)));
        f[20..22].copy_from_slice(&attribute_hash(*kind, attrs));
        let kernel = || graph.facts(node.inputs.get(1).copied().flatten()?).ty.as_ref();
        if matches!(kind, OpKind::Conv | OpKind::ConvTranspose)
            && let Some(ty) = kernel()
        {
            let window: f64 = ty.shape.iter().skip(2).filter_map(Dim::known).map(|n| n as f64).product();
            f[16] = clamp(window.max(1.0).log2() / 8.0);
        }
    }
    NodeBase { operator: operator_row(&node.op), features: f }
}

/// What attributes say, one by one.
pub(super) fn attributes<'a>(f: &mut [f32; NODE_FEATURES], attrs: impl Iterator<Item = (&'a str, &'a Attr)>) {
    let log_product = |values: &[i64]| values.iter().map(|&v| (v.max(1) as f64).log2()).sum::<f64>();
    for (name, value) in attrs {
        match (name, value) {
            ("kernel_shape", Attr::Ints(v)) => f[16] = clamp(log_product(v) / 8.0),
            ("strides", Attr::Ints(v)) => f[17] = clamp(log_product(v) / 4.0),
            ("group", Attr::Int(v)) => f[18] = clamp((*v).max(1).ilog2() as f64 / 12.0),
            ("axis", Attr::Int(v)) => f[19] = clamp((*v + 1) as f64 / 8.0),
            ("axes", Attr::Ints(v)) => f[19] = clamp((v.first().map_or(-1, |a| *a) + 1) as f64 / 8.0),
            ("perm", Attr::Ints(v)) => {
                let moved = v.iter().enumerate().filter(|(i, a)| *i as i64 != **a).count();
                f[22] = clamp(moved as f64 / v.len().max(1) as f64);
            }
            ("pads", Attr::Ints(v)) => f[22] = clamp(v.iter().sum::<i64>() as f64 / (8 * v.len().max(1)) as f64),
            _ => {}
        }
    }
}

/// All attributes as two numbers.
fn attribute_hash(kind: OpKind, attrs: &Attrs) -> [f32; 2] {
    if attrs.as_slice().is_empty() {
        return [0.0; 2];
    }
    let mut hasher = FxHasher::default();
    (kind as u16).hash(&mut hasher);
    attrs.hash(&mut hasher);
    let word = crate::graph::splitmix64(hasher.finish(), 0);
    // 16 bits each: enough to tell attributes apart, and exact in an f32.
    [word as u16, (word >> 16) as u16].map(|bits| (f32::from(bits) - 32768.0) / 32768.0 + 0.0)
}

/// The features of a slot of a consumer.
pub(super) fn slots(f: &mut [f32; EDGE_FEATURES], from: u32, to: u32) {
    f[0] = clamp(f64::from(from) / 8.0);
    f[1] = clamp(f64::from(to) / 8.0);
    f[2 + (to as usize).min(2)] = 1.0;
}

/// Features of the edge into an operand; `None` if it is left out.
pub fn edge(graph: &Graph, user: Use) -> Option<[f32; EDGE_FEATURES]> {
    let consumer = graph.node(user.node);
    let value = consumer.inputs[user.slot as usize]?;
    let mut f = [0.0; EDGE_FEATURES];
    slots(&mut f, value.slot, user.slot);
    f[13] = f32::from(graph.is_constant(value));
    let Some(ty) = &graph.facts(value).ty else {
        f[14] = 1.0;
        return Some(f);
    };
    f[5..10].copy_from_slice(&shape(ty));
    let count = elements(ty);
    f[10] = log_size(count, 40.0);
    f[11] = log_size(count * f64::from(ty.dtype.bits()) / 8.0, 48.0);
    f[12] = dtype_class(ty.dtype);
    f[14] = f32::from(!sizes_known(ty));
    if let Some(result) = consumer.ty() {
        f[15] = clamp(((1.0 + count) / (1.0 + elements(result))).log2() / 16.0);
    }
    Some(f)
}

/// What the features of candidates and of the whole are related to.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    /// Initial total, in microseconds.
    pub start_us: f64,
    /// Total now.
    pub cost_us: f64,
    /// Least total so far.
    pub best_us: f64,
    /// Rewrites left.
    pub left: usize,
    /// Rewrites at most.
    pub horizon: usize,
    /// Nodes.
    pub nodes: usize,
    /// Operators now, and how many there may be.
    pub operators: (usize, usize),
    /// Bytes of weights at the start, now, and at most.
    pub weights: (u64, u64, u64),
}

/// Features of a candidate that depend on nothing but itself: its predicted change of time as a share of the initial total,
/// operators added less removed, members of its groups.
pub(super) fn candidate(share: f64, added: i32, members: usize) -> [f32; CANDIDATE_FEATURES] {
    let mut f = [0.0; CANDIDATE_FEATURES];
    if share.is_finite() {
        f[0] = clamp(share);
        f[1] = share.signum() as f32;
        f[2] = log_share(share.abs()) as f32;
    }
    f[4] = clamp(f64::from(added) / 16.0);
    f[6] = clamp((members as f64).log2() / 6.0);
    f
}

/// Growth of the weights, as a share of those at the start.
pub(super) fn weight_growth(share: f64) -> f32 {
    clamp(share.abs().sqrt().copysign(share))
}

/// Number of equivalent candidates.
pub(super) fn equivalent(count: u32) -> f32 {
    if count < 2 { 0.0 } else { clamp(f64::from(count).log2() / 6.0) }
}

/// What a candidate of this change would earn.
pub(super) fn earns(change_us: f64, whole: &Whole) -> f32 {
    let after_us = whole.cost_us + change_us;
    if after_us < whole.best_us { log_ratio(whole.best_us, after_us) } else { 0.0 }
}

/// Features of the whole.
pub fn globals(whole: &Whole, candidates: usize) -> [f32; GLOBAL_FEATURES] {
    let share = |part: f64, all: f64| if all > 0.0 { clamp(part / all) } else { 0.0 };
    [
        share(whole.left as f64, whole.horizon as f64),
        log_ratio(whole.start_us, whole.cost_us),
        log_ratio(whole.start_us, whole.best_us),
        log_ratio(whole.best_us, whole.cost_us),
        log_size(whole.nodes as f64, 12.0),
        log_size(candidates as f64, 12.0),
        share(whole.weights.1 as f64, whole.weights.2 as f64),
        share(whole.operators.0 as f64, whole.operators.1 as f64),
    ]
}
