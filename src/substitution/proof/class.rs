//! Classes of operators that axioms speak of, and what operators are applied to.

use std::sync::Arc;

use super::shape_of;
use super::term::{Application, Head, TermId, World};
use crate::graph::OpKind;

/// What an operator is applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Single values.
    Values,
    /// `each Relu(xs[i])`: the members of lists.
    Each,
    /// `parts Split(x)`: one value, and its results are a list.
    Parts,
    /// `all Concat(xs[i])`: all members of one list.
    All,
}

impl Over {
    pub fn of(name: &str) -> Option<Over> {
        [("each", Over::Each), ("parts", Over::Parts), ("all", Over::All)]
            .into_iter()
            .find(|(n, _)| *n == name)
            .map(|(_, o)| o)
    }

    pub fn head(self) -> fn(Arc<Application>) -> Head {
        match self {
            Over::Values => Head::Apply,
            Over::Each => Head::Each,
            Over::Parts => Head::Parts,
            Over::All => Head::All,
        }
    }

    /// Whether operands are lists and values where they should be.
    pub fn suits(self, world: &World, args: &[TermId]) -> bool {
        let lists = args.iter().filter(|arg| world.is_list(**arg)).count();
        match self {
            Over::Values | Over::Parts => lists == 0,
            Over::Each => lists >= 1,
            Over::All => lists == 1 && args.len() == 1,
        }
    }
}

/// Classes of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `$u`: maps each element by itself.
    Pointwise,
    /// `$b`: combines two tensors element by element, with broadcasting.
    Broadcasting,
    /// `$m`: moves or drops elements of one tensor, and makes none.
    Movement,
    /// `$r`: keeps elements and their order.
    Reshaping,
    /// `$k`: may give back its operand.
    Keeping,
    /// `$c`: combines two tensors element by element, in any order and grouping.
    Commutative,
    /// `$l`: linear in each of its two operands.
    Bilinear,
    /// `$p`: linear in its operand.
    Linear,
    /// `$v`: has outputs for rows of its second operand, and may have a bias for each.
    Outputs,
    /// `$a`: the average of places of a plane.
    Average,
    /// `$d`: takes a part along one axis.
    Part,
    /// `$f`: combines a tensor with one that may be shared by all places along leading axes.
    Sharing,
    /// `$g`: linear in each column of its second operand.
    Columns,
    /// `$i`, `$j`: maps each element by itself, as a number of an element type.
    Rounding,
    /// Maps each plane by itself; a condition alone.
    Planes,
    /// `$e`: maps each element, or each plane, by itself.
    Separate,
    /// `$h`: combines two tensors element by element, or joins them.
    Joining,
    /// `$q`: combines two tensors or more, one after another.
    Several,
    /// `$n`: moves elements, or is linear in its operand.
    Moving,
}

impl Class {
    pub fn of(name: &str) -> Option<Class> {
        Some(match name.chars().next()? {
            'u' | 'w' => Class::Pointwise,
            'b' => Class::Broadcasting,
            'm' => Class::Movement,
            'r' | 's' => Class::Reshaping,
            'k' => Class::Keeping,
            'c' => Class::Commutative,
            'l' => Class::Bilinear,
            'p' => Class::Linear,
            'v' => Class::Outputs,
            'a' => Class::Average,
            'd' => Class::Part,
            'f' => Class::Sharing,
            'g' => Class::Columns,
            'i' | 'j' => Class::Rounding,
            'e' => Class::Separate,
            'h' => Class::Joining,
            'n' => Class::Moving,
            'q' => Class::Several,
            _ => return None,
        })
    }

    /// How many operands the class speaks of. An operator may have more: they belong to it, as the index of a Gather.
    pub fn operands(self) -> usize {
        match self {
            Class::Broadcasting
            | Class::Commutative
            | Class::Bilinear
            | Class::Outputs
            | Class::Sharing
            | Class::Several
            | Class::Joining
            | Class::Columns => 2,
            Class::Pointwise
            | Class::Movement
            | Class::Reshaping
            | Class::Keeping
            | Class::Linear
            | Class::Average
            | Class::Part
            | Class::Rounding
            | Class::Separate
            | Class::Planes
            | Class::Moving => 1,
        }
    }

    /// Whether an operator with its attributes belongs to the class. Only a Split has results beyond the first that
    /// axioms speak of.
    pub fn includes(self, application: &Application) -> bool {
        self.has(application.kind) && (application.slot == 0 || application.kind == OpKind::Split)
    }

    /// Whether an operator of this kind may belong to the class.
    pub fn has(self, kind: OpKind) -> bool {
        use OpKind::*;
        match self {
            // A cast is not a function of the element over the reals alone.
            Class::Pointwise => shape_of::is_pointwise_unary(kind) && kind != Cast,
            Class::Broadcasting => matches!(kind, Add | Sub | Mul | Div | Pow),
            Class::Movement => {
                matches!(
                    kind,
                    Transpose | Reshape | Flatten | Squeeze | Unsqueeze | Slice | Split | Expand | Tile | Gather
                )
            }
            Class::Reshaping => matches!(kind, Reshape | Flatten | Squeeze | Unsqueeze),
            Class::Keeping => matches!(
                kind,
                Reshape
                    | Flatten
                    | Squeeze
                    | Unsqueeze
                    | Expand
                    | Tile
                    | Slice
                    | Transpose
                    | Pad
                    | AveragePool
                    | MaxPool
            ),
            Class::Commutative => matches!(kind, Add | Mul),
            Class::Bilinear => matches!(kind, MatMul | Gemm | Conv | ConvTranspose | Einsum),
            Class::Outputs => matches!(kind, Conv | ConvTranspose | Gemm),
            Class::Average => matches!(kind, AveragePool | GlobalAveragePool),
            Class::Part => matches!(kind, Split | Slice),
            Class::Sharing => kind == MatMul || Class::Broadcasting.has(kind),
            Class::Columns => matches!(kind, MatMul | Gemm | LayerNormalization),
            Class::Planes => matches!(kind, MaxPool | AveragePool | GlobalAveragePool | GlobalMaxPool),
            Class::Separate => Class::Pointwise.has(kind) || Class::Planes.has(kind),
            Class::Joining => kind == Concat || Class::Broadcasting.has(kind),
            Class::Several => matches!(kind, Sum | Concat),
            Class::Rounding => shape_of::is_pointwise_unary(kind),
            Class::Moving => Class::Movement.has(kind) || Class::Linear.has(kind),
            Class::Linear => matches!(kind, GlobalAveragePool | AveragePool | ReduceSum | ReduceMean),
        }
    }
}
