//! Graphs with sizes left open: what the shapes of inputs must satisfy, and the sizes that attributes are computed from.

use std::collections::BTreeMap;

use super::graph::{NONE, Step};
use super::linear::{Atom, Linear};
use super::operator::{Operator, Over};
use super::preset::Preset;
use super::tensor::Type;

/// Joints along an axis: where on the tensors of the preset, and where in general.
type Places = Vec<(u8, Linear)>;

/// A tensor with open sizes.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its type on the tensors of the preset.
    pub ty: Type,
    /// Sizes of its axes.
    pub dims: Vec<Linear>,
    /// Per axis, the joints made by Concat: where on the tensors of the preset, and where in general.
    joints: Vec<Places>,
}

/// An equation that a graph needs to be well-formed.
#[derive(Clone, Debug)]
pub struct Need {
    /// What is 0.
    pub zero: Linear,
    /// Whether types do not say so: the operator would broadcast, or joined parts would not face each other.
    pub open: bool,
}

/// A graph with open sizes.
#[derive(Clone, Debug)]
pub struct Symbolic {
    /// Inputs, then results.
    pub tensors: Vec<Shape>,
    /// What must hold.
    pub needs: Vec<Need>,
    /// Sizes of the parts of each Split, by step.
    pub parts: BTreeMap<usize, [Linear; 2]>,
}

/// Sizes that are not known from operands, told apart by how they come about, so that two graphs share them.
#[derive(Clone, Debug, Default)]
pub struct Unknowns {
    known: BTreeMap<String, u16>,
}

impl Unknowns {
    fn size(&mut self, what: String) -> Linear {
        let next = self.known.len() as u16;
        Linear::atom(Atom::Unknown(*self.known.entry(what).or_insert(next)))
    }
}

/// Works out a graph with open sizes; `side` tells constants of two graphs apart. With `literal`, kernels have the sizes that
/// they have in the preset. `None` where joints of two operands contradict each other.
pub fn symbolic(
    preset: &Preset,
    steps: &[Step],
    side: &str,
    literal: bool,
    unknowns: &mut Unknowns,
) -> Option<Symbolic> {
    let operators = preset.functions();
    let mut tensors: Vec<Shape> = Vec::new();
    for (number, input) in preset.inputs.iter().enumerate() {
        let dims = (0..input.dims.len()).map(|axis| Linear::atom(Atom::Dim(number as u8, axis as u8)));
        tensors.push(Shape {
            ty: Type::of(input.dims),
            dims: dims.collect(),
            joints: vec![Vec::new(); input.dims.len()],
        });
    }
    let mut graph = Symbolic { tensors: Vec::new(), needs: Vec::new(), parts: BTreeMap::new() };
    for (number, step) in steps.iter().enumerate() {
        let operator = operators[usize::from(step.op)];
        let operand = |at: usize| (step.args[at] != NONE).then(|| &tensors[usize::from(step.args[at])]);
        let (a, b) = (operand(0).cloned(), operand(1).cloned());
        let types = [a.as_ref().map(|a| a.ty), b.as_ref().map(|b| b.ty)];
        let applied = operator.apply(types[0].as_ref(), types[1].as_ref(), &preset.limits)?;
        let mut need = |left: &Linear, right: &Linear, open: bool| {
            let zero = left.minus(right);
            if !zero.is_zero() {
                graph.needs.push(Need { zero, open });
            }
        };
        let results: Vec<(Vec<Linear>, Vec<Places>)> = match (operator, a, b) {
            (Operator::MatMul, Some(a), Some(b)) => {
                let (last, rows) = (a.dims.len() - 1, b.dims.len() - 2);
                facing(&a.joints[last], &b.joints[rows]).for_each(|(x, y)| need(x, y, true));
                need(&a.dims[last], &b.dims[rows], false);
                let (mut dims, mut joints) = (a.dims.clone(), a.joints.clone());
                (dims[last], joints[last]) = (b.dims[rows + 1].clone(), b.joints[rows + 1].clone());
                for (axis, joints) in joints.iter_mut().enumerate().take(rows) {
                    facing(&a.joints[axis], &b.joints[axis]).for_each(|(x, y)| need(x, y, true));
                    need(&a.dims[axis], &b.dims[axis], true);
                    keep_common(joints, &b.joints[axis]);
                }
                vec![(dims, joints)]
            }
            (Operator::Spread { over, .. }, Some(a), Some(b)) => {
                let rank = a.dims.len();
                let axes: Vec<(usize, usize)> = match over {
                    Over::Channels => vec![(1, 1)],
                    Over::Last => vec![(rank - 1, 0)],
                    Over::Heads => vec![(2, 0), (3, 1)],
                };
                let mut joints = a.joints.clone();
                for (mine, theirs) in axes {
                    facing(&a.joints[mine], &b.joints[theirs]).for_each(|(x, y)| need(x, y, true));
                    need(&a.dims[mine], &b.dims[theirs], true);
                    keep_common(&mut joints[mine], &b.joints[theirs]);
                }
                if over == Over::Channels {
                    [0, 2, 3].iter().for_each(|&axis| need(&b.dims[axis], &Linear::number(1), true));
                }
                vec![(a.dims.clone(), joints)]
            }
            (Operator::Permute { rank, axes }, Some(a), _) => {
                let axes = axes[..usize::from(rank)].iter().map(|&axis| usize::from(axis));
                vec![axes.map(|axis| (a.dims[axis].clone(), a.joints[axis].clone())).unzip()]
            }
            (Operator::GlobalAverage | Operator::Mean, Some(a), _) => {
                let (mut dims, mut joints) = (a.dims.clone(), a.joints.clone());
                let from = if operator == Operator::Mean { dims.len() - 1 } else { 2 };
                for axis in from..dims.len() {
                    dims[axis] = Linear::number(1);
                    joints[axis].clear();
                }
                vec![(dims, joints)]
            }
            (Operator::Slice { axis, .. }, Some(a), _) => {
                let axis = usize::from(axis);
                let (mut dims, mut joints) = (a.dims.clone(), a.joints.clone());
                dims[axis] = unknowns.size(format!("{operator} {:?}", dims[axis]));
                joints[axis].clear();
                vec![(dims, joints)]
            }
            (Operator::Pad { .. }, Some(a), _) => {
                let sizes = a.dims.iter().enumerate();
                let dims = sizes.map(|(axis, dim)| unknowns.size(format!("{operator} {axis} {dim:?}"))).collect();
                let mut joints = a.joints.clone();
                joints.last_mut()?.clear();
                vec![(dims, joints)]
            }
            (Operator::Heads { rank }, Some(a), _) => {
                // The attribute says all sizes; for a vector the last two of them.
                let from = if rank == 1 { 2 } else { 0 };
                let dims: Vec<Linear> = (from..4).map(|axis| unknowns.size(format!("heads {axis}"))).collect();
                let mut joints = a.joints.clone();
                joints.resize(dims.len(), Vec::new());
                joints[usize::from(rank) - 1].clear();
                vec![(dims, joints)]
            }
            (Operator::Normalise, Some(a), Some(b)) => {
                let last = a.dims.len() - 1;
                need(&a.dims[last], &b.dims[0], true);
                let mut joints = a.joints.clone();
                joints[last].clear();
                vec![(a.dims.clone(), joints)]
            }
            (Operator::Softmax, Some(a), _) => {
                let mut joints = a.joints.clone();
                joints.last_mut()?.clear();
                vec![(a.dims.clone(), joints)]
            }
            (Operator::Add | Operator::Mul, Some(a), Some(b)) => {
                a.joints.iter().zip(&b.joints).flat_map(|(x, y)| facing(x, y)).for_each(|(x, y)| need(x, y, true));
                a.dims.iter().zip(&b.dims).for_each(|(x, y)| need(x, y, true));
                let mut joints = a.joints.clone();
                joints.iter_mut().zip(&b.joints).for_each(|(x, y)| keep_common(x, y));
                vec![(a.dims.clone(), joints)]
            }
            (
                Operator::Scale
                | Operator::Unscale
                | Operator::Relu
                | Operator::Function(_)
                | Operator::AveragePool
                | Operator::MaxPool,
                Some(a),
                _,
            ) => {
                let mut dims = a.dims.clone();
                let mut joints = a.joints.clone();
                if matches!(operator, Operator::AveragePool | Operator::MaxPool) {
                    joints[1].clear();
                    if !literal {
                        for dim in &mut dims[2..] {
                            *dim = unknowns.size(format!("{operator:?} {dim:?}"));
                        }
                    }
                }
                vec![(dims, joints)]
            }
            (Operator::Conv { kernel, stride, dilation, .. }, Some(x), Some(w)) => {
                if x.ty.dims[1] == w.ty.dims[1] {
                    facing(&x.joints[1], &w.joints[1]).for_each(|(x, y)| need(x, y, true));
                    need(&x.dims[1], &w.dims[1], false);
                } else if w.ty.dims[1] == 1 {
                    need(&w.dims[1], &Linear::number(1), false);
                } else {
                    // Groups are counted, and begin and end where parts do.
                    let groups = x.ty.dims[1] / w.ty.dims[1];
                    need(&x.dims[1], &Linear::default().plus(i64::from(groups), &w.dims[1]), false);
                    for (at, size) in &x.joints[1] {
                        need(size, &Linear::default().plus(i64::from(at / w.ty.dims[1]), &w.dims[1]), true);
                    }
                    for (at, size) in &w.joints[0] {
                        let before = i64::from(at * groups / w.ty.dims[0]);
                        let parts = Linear::default().plus(before, &w.dims[0]);
                        need(&Linear::default().plus(i64::from(groups), size), &parts, true);
                    }
                }
                let mut dims = vec![x.dims[0].clone(), w.dims[0].clone()];
                for axis in 2..4 {
                    if literal {
                        need(&w.dims[axis], &Linear::number(i64::from(kernel[axis - 2])), false);
                    }
                    if literal && stride == 1 {
                        dims.push(x.dims[axis].clone());
                    } else {
                        let (image, kernel_size) = (&x.dims[axis], &w.dims[axis]);
                        dims.push(
                            unknowns
                                .size(format!("conv {kernel:?} {stride} {dilation} {axis} {image:?} {kernel_size:?}")),
                        );
                    }
                }
                let joints = [&x.joints[0], &w.joints[0], &x.joints[2], &x.joints[3]].map(Clone::clone).to_vec();
                vec![(dims, joints)]
            }
            (Operator::Enlarge, Some(a), _) => {
                let dims = vec![a.dims[0].clone(), a.dims[1].clone(), Linear::number(3), Linear::number(3)];
                for axis in 2..4 {
                    need(&a.dims[axis], &Linear::number(i64::from(a.ty.dims[axis])), false);
                }
                vec![(dims, vec![Vec::new(); 4])]
            }
            (Operator::Concat { axis, .. }, Some(a), Some(b)) => {
                let axis = usize::from(axis);
                let (mut dims, mut joints) = (a.dims.clone(), a.joints.clone());
                for i in 0..dims.len() {
                    if i == axis {
                        dims[i] = a.dims[i].plus(1, &b.dims[i]);
                        joints[i]
                            .extend(b.joints[i].iter().map(|(at, size)| (at + a.ty.dims[i], size.plus(1, &a.dims[i]))));
                        joints[i].push((a.ty.dims[i], a.dims[i].clone()));
                    } else {
                        need(&a.dims[i], &b.dims[i], false);
                        keep_common(&mut joints[i], &b.joints[i]);
                    }
                }
                vec![(dims, joints)]
            }
            (Operator::Split { axis }, Some(a), _) => {
                let axis = usize::from(axis);
                let (at, size) = a.joints[axis].last()?.clone();
                let rest = a.dims[axis].minus(&size);
                graph.parts.insert(number, [size.clone(), rest.clone()]);
                let part = |first: bool| {
                    let (mut dims, mut joints) = (a.dims.clone(), a.joints.clone());
                    dims[axis] = if first { size.clone() } else { rest.clone() };
                    let inside = a.joints[axis].iter().filter(|(p, _)| if first { *p < at } else { *p > at });
                    joints[axis] =
                        inside.map(|(p, s)| if first { (*p, s.clone()) } else { (p - at, s.minus(&size)) }).collect();
                    (dims, joints)
                };
                vec![part(true), part(false)]
            }
            (Operator::Transpose { .. }, Some(a), _) => {
                vec![(vec![a.dims[1].clone(), a.dims[0].clone()], vec![a.joints[1].clone(), a.joints[0].clone()])]
            }
            (Operator::IdentityMatrix | Operator::IdentityKernel | Operator::PoolKernel | Operator::Ones, ..) => {
                let mut unknown = |what: &str| unknowns.size(format!("{side} {number} {what}"));
                let channels = unknown("channels");
                let dims = match operator {
                    Operator::IdentityMatrix => vec![channels.clone(), channels],
                    Operator::IdentityKernel => vec![channels.clone(), channels, Linear::number(3), Linear::number(3)],
                    Operator::PoolKernel => vec![channels, Linear::number(1), Linear::number(3), Linear::number(3)],
                    _ => (0..4).map(|axis| unknown(&axis.to_string())).collect(),
                };
                let joints = vec![Vec::new(); dims.len()];
                vec![(dims, joints)]
            }
            _ => return None,
        };
        for ((dims, joints), ty) in results.into_iter().zip(applied.types) {
            tensors.push(Shape { ty, dims, joints });
        }
    }
    graph.tensors = tensors;
    Some(graph)
}

/// Joints of two axes that meet: they are at the same place in the preset.
fn facing<'a>(a: &'a [(u8, Linear)], b: &'a [(u8, Linear)]) -> impl Iterator<Item = (&'a Linear, &'a Linear)> {
    a.iter().flat_map(move |(p, x)| b.iter().filter(move |(q, _)| p == q).map(move |(_, y)| (x, y)))
}

/// Forgets joints of an axis where another operand is joined elsewhere.
fn keep_common(joints: &mut Places, others: &Places) {
    if !joints.iter().map(|j| j.0).eq(others.iter().map(|j| j.0)) {
        joints.clear();
    }
}
