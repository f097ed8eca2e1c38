//! What an operator makes of operands of given types: types of the results, and how their elements come about.

mod moves;
mod sums;

use super::operator::{Limits, Operator, Over};
use super::recipe::{Applied, Known, Recipe};
use super::tensor::{Joints, Type};

impl Operator {
    /// The operator on operands of these types (`b` is not looked at where there is one operand), or `None` where it does
    /// not apply.
    pub fn apply(self, a: Option<&Type>, b: Option<&Type>, limits: &Limits) -> Option<Applied> {
        if let Operator::Split { axis } = self {
            return moves::split(a?, usize::from(axis));
        }
        let relu = matches!(self, Operator::Conv { relu: true, .. });
        let (ty, recipe) = self.result(a, b, limits)?;
        (ty.count() <= limits.elements).then(|| Applied { types: vec![ty], recipes: vec![recipe], relu })
    }

    /// The one result.
    fn result(self, a: Option<&Type>, b: Option<&Type>, limits: &Limits) -> Option<(Type, Recipe)> {
        use Operator::*;
        Some(match self {
            PoolKernel => (Type::of(&[4, 1, 3, 3]), Recipe::Known(vec![Known::Share(9); 36].into())),
            IdentityKernel => {
                let ty = Type::of(&[4, 4, 3, 3]);
                let is_one = |at: [usize; 4]| at[0] == at[1] && at[2] == 1 && at[3] == 1;
                (ty, Recipe::Known(ty.places().map(|at| Known::of(is_one(at))).collect()))
            }
            IdentityMatrix => {
                let ty = Type::of(&[4, 4]);
                (ty, Recipe::Known(ty.places().map(|at| Known::of(at[0] == at[1])).collect()))
            }
            Ones => (Type::of(&[2, 4, 5, 5]), Recipe::Known(vec![Known::One; 200].into())),
            MatMul => sums::mat_mul(a?, b?, limits)?,
            Conv { kernel, stride, dilation, .. } => sums::conv(a?, b?, kernel, stride, dilation)?,
            AveragePool => sums::pool(a?, 9)?,
            MaxPool => sums::pool(a?, 0)?,
            GlobalAverage => sums::average(a.filter(|a| a.rank == 4)?, &[2, 3])?,
            Mean => sums::average(a.filter(|a| matches!(a.rank, 2 | 3))?, &[usize::from(a?.rank) - 1])?,
            Add => (alike(a?, b?)?, Recipe::Add),
            Mul => (alike(a?, b?)?, Recipe::Mul),
            Scale => (*a.filter(|_| b.is_some_and(|b| b.rank == 0))?, Recipe::Scale),
            Unscale => (*a.filter(|_| b.is_some_and(|b| b.rank == 0))?, Recipe::Unscale),
            Relu => (*a?, Recipe::Relu),
            Function(function) => (*a?, Recipe::Function(function as u64)),
            Softmax => {
                let (ty, len) = along_last(a?)?;
                (ty, Recipe::Softmax(len))
            }
            Normalise => {
                let (ty, len) = along_last(a?)?;
                let fits = b?.rank == 1 && usize::from(b?.dims[0]) == len;
                (ty, fits.then_some(Recipe::Normalise(len))?)
            }
            Spread { over, product } => spread(a?, b?, over, product)?,
            Enlarge => moves::enlarge(a?)?,
            Concat { rank, axis } => moves::concat(a?, b?, rank, usize::from(axis))?,
            Slice { rank, axis } => moves::slice(a.filter(|a| a.rank == rank)?, usize::from(axis))?,
            Pad { rank } => moves::pad(a.filter(|a| a.rank == rank)?)?,
            Transpose { view } => {
                let a = a.filter(|a| a.rank == 2)?;
                let (mut ty, recipe) = moves::permute(a, &[1, 0]);
                ty.transposed = view && !a.transposed;
                (ty, recipe)
            }
            Permute { rank, axes } => moves::permute(a.filter(|a| a.rank == rank)?, &axes[..usize::from(rank)]),
            Heads { rank } => moves::heads(a.filter(|a| a.rank == rank)?)?,
            Split { .. } => return None,
        })
    }
}

/// The type of the result of an elementwise operator on operands of one shape.
fn alike(a: &Type, b: &Type) -> Option<Type> {
    (a.rank == b.rank && a.dims == b.dims && a.transposed == b.transposed).then(|| a.agreeing_with(b))
}

/// The type of a function along the last axis, and the size of that axis.
fn along_last(a: &Type) -> Option<(Type, usize)> {
    let last = usize::from(a.rank).checked_sub(1).filter(|&last| last >= 1)?;
    let mut ty = *a;
    ty.joints[last] = Joints::NONE;
    Some((ty, usize::from(ty.dims[last])))
}

fn spread(a: &Type, b: &Type, over: Over, product: bool) -> Option<(Type, Recipe)> {
    let rank = usize::from(a.rank);
    let (fits, axes): (bool, &[usize]) = match over {
        Over::Channels => (rank == 4 && b.rank == 4 && b.dims == [1, a.dims[1], 1, 1] && a.dims != b.dims, &[1]),
        Over::Last => (rank >= 2 && b.shape() == &a.shape()[rank - 1..], &[rank - 1]),
        Over::Heads => (rank == 4 && b.shape() == &a.shape()[2..], &[2, 3]),
    };
    if !fits {
        return None;
    }
    let mut ty = *a;
    for (at, &axis) in axes.iter().enumerate() {
        let theirs = if over == Over::Channels { axis } else { at };
        if a.joints[axis] != b.joints[theirs] {
            ty.joints[axis] = Joints::NONE;
        }
    }
    let index = |at: [usize; 4]| axes.iter().fold(0, |index, &axis| index * usize::from(a.dims[axis]) + at[axis]);
    Some((ty, Recipe::Spread { product, from: a.places().map(|at| index(at) as u16).collect() }))
}
