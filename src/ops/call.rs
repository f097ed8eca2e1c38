//! An application under inference or under count, as the families see it.

use std::sync::Arc;

use crate::graph::{DType, Dim, Facts, MAX_ELEMENTS, Op, OpKind, TensorType};

use super::{EvalError, OpError};

/// An application whose facts are asked for. The number of inputs and outputs is already checked against the schema,
/// and every input that is there has a type.
pub struct Call<'a> {
    /// Operator.
    pub kind: OpKind,
    /// Operator with attributes.
    pub op: &'a Op,
    /// Inputs; `None` is one left out.
    pub inputs: &'a [Option<&'a Facts>],
    /// Number of outputs asked for.
    pub outputs: usize,
}

impl<'a> Call<'a> {
    /// The type of an input that the schema demands.
    pub fn ty(&self, index: usize) -> Result<&'a TensorType, OpError> {
        self.optional(index).ok_or_else(|| self.fail(format!("input {index} is missing")))
    }

    /// The type of an input, if the input is there.
    pub fn optional(&self, index: usize) -> Option<&'a TensorType> {
        self.inputs.get(index).copied().flatten().and_then(|facts| facts.ty.as_ref())
    }

    /// Whether the input is there.
    pub fn has(&self, index: usize) -> bool {
        matches!(self.inputs.get(index), Some(Some(_)))
    }

    /// The partial value of an input.
    pub fn elements(&self, index: usize) -> Option<&'a [Dim]> {
        self.inputs.get(index).copied().flatten().and_then(|facts| facts.elements.as_deref())
    }

    /// The value of an integer input, if all its elements are numbers.
    pub fn known_elements(&self, index: usize) -> Option<Vec<i64>> {
        self.elements(index)?.iter().map(Dim::known).collect()
    }

    /// An integer attribute.
    pub fn int(&self, name: &'static str) -> Result<i64, OpError> {
        self.op.int(name).ok_or_else(|| self.fail(format!("attribute {name:?} is missing")))
    }

    /// A text attribute.
    pub fn text(&self, name: &'static str) -> Result<&'a str, OpError> {
        self.op.text(name).ok_or_else(|| self.fail(format!("attribute {name:?} is missing")))
    }

    /// An attribute that is a list of integers.
    pub fn ints(&self, name: &'static str) -> Result<&'a [i64], OpError> {
        self.op.ints(name).ok_or_else(|| self.fail(format!("attribute {name:?} is missing")))
    }

    /// The axis that an attribute names, among `rank` axes. Negative numbers count from the end.
    pub fn axis(&self, name: &'static str, rank: usize) -> Result<usize, OpError> {
        let axis = self.int(name)?;
        resolve_axis(axis, rank).ok_or_else(|| self.fail(format!("{name} {axis} is out of range for rank {rank}")))
    }

    /// That the operands do not fit, and why.
    pub fn fail(&self, problem: impl Into<String>) -> OpError {
        let show = |input: &Option<&Facts>| match input {
            None => "-".to_owned(),
            Some(facts) => facts.ty.as_ref().map_or("?".to_owned(), |ty| ty.to_string()),
        };
        OpError::Mismatch { op: self.kind, inputs: self.inputs.iter().map(show).collect(), problem: problem.into() }
    }

    /// That a family was asked about an operator that is not of it.
    pub fn misrouted(&self) -> OpError {
        self.fail("the operator is not of the family that it was routed to")
    }

    /// One output of this type.
    pub fn one(&self, dtype: DType, shape: impl Into<Arc<[Dim]>>) -> Result<Vec<Facts>, OpError> {
        Ok(vec![Facts::typed(TensorType::new(dtype, shape))])
    }

    /// One output of unknown type.
    pub fn unknown(&self) -> Result<Vec<Facts>, OpError> {
        Ok(vec![Facts::default(); self.outputs])
    }

    /// Checks that an input has one of the element types that `allowed` accepts.
    pub fn want(&self, index: usize, what: &str, allowed: impl Fn(DType) -> bool) -> Result<(), OpError> {
        match self.optional(index) {
            Some(ty) if !allowed(ty.dtype) => Err(self.fail(format!("input {index} must be {what}, not {}", ty.dtype))),
            _ => Ok(()),
        }
    }
}

/// The axis `axis` among `rank` of them, negative numbers counting from the end; `None` if there is no such axis.
pub fn resolve_axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let resolved = if axis < 0 { axis + rank } else { axis };
    (0..rank).contains(&resolved).then_some(resolved as usize)
}

/// Whether values of this type carry partial values.
pub fn carries_elements(dtype: DType) -> bool {
    dtype.is_int() || dtype == DType::Bool
}

/// Number of elements of a type whose partial value may be carried; `None` if unknown or above [`MAX_ELEMENTS`].
pub fn carried_count(ty: &TensorType) -> Option<usize> {
    let mut count: u64 = 1;
    for dim in ty.shape.iter() {
        count = count.checked_mul(u64::try_from(dim.known()?).ok()?)?;
    }
    (count <= MAX_ELEMENTS && carries_elements(ty.dtype)).then_some(count as usize)
}

/// An application under evaluation.
pub struct EvalCall<'a, E> {
    /// Operator.
    pub kind: OpKind,
    /// Operator with attributes.
    pub op: &'a Op,
    /// Inputs; `None` is one left out.
    pub inputs: &'a [Option<&'a super::Array<E>>],
}

impl<'a, E> EvalCall<'a, E> {
    /// An input that must be there.
    pub fn input(&self, index: usize) -> Result<&'a super::Array<E>, EvalError> {
        self.optional(index).ok_or_else(|| self.fail(format!("input {index} is missing")))
    }

    /// An input that may be left out.
    pub fn optional(&self, index: usize) -> Option<&'a super::Array<E>> {
        self.inputs.get(index).copied().flatten()
    }

    /// An integer attribute.
    pub fn int(&self, name: &'static str) -> Result<i64, EvalError> {
        self.op.int(name).ok_or_else(|| self.fail(format!("attribute {name:?} is missing")))
    }

    /// A float attribute, widened.
    pub fn float(&self, name: &'static str) -> Result<f64, EvalError> {
        self.op.float(name).map(f64::from).ok_or_else(|| self.fail(format!("attribute {name:?} is missing")))
    }

    /// A text attribute.
    pub fn text(&self, name: &'static str) -> Result<&'a str, EvalError> {
        self.op.text(name).ok_or_else(|| self.fail(format!("attribute {name:?} is missing")))
    }

    /// An attribute that is a list of integers.
    pub fn ints(&self, name: &'static str) -> Result<&'a [i64], EvalError> {
        self.op.ints(name).ok_or_else(|| self.fail(format!("attribute {name:?} is missing")))
    }

    /// The axis that an attribute names, among `rank` axes.
    pub fn axis(&self, name: &'static str, rank: usize) -> Result<usize, EvalError> {
        let axis = self.int(name)?;
        resolve_axis(axis, rank).ok_or_else(|| self.fail(format!("{name} {axis} is out of range for rank {rank}")))
    }

    /// That the operands do not fit, and why.
    pub fn fail(&self, problem: impl Into<String>) -> EvalError {
        EvalError::Operands { op: self.kind, problem: problem.into() }
    }

    /// That a family was asked about an operator that is not of it.
    pub fn misrouted(&self) -> EvalError {
        self.fail("the operator is not of the family that it was routed to")
    }
}

/// An application whose work is asked for.
pub struct WorkCall<'a> {
    /// Operator.
    pub kind: OpKind,
    /// Operator with attributes.
    pub op: &'a Op,
    /// Types of the inputs; `None` is one left out, or of unknown type.
    pub inputs: &'a [Option<&'a TensorType>],
    /// Types of the outputs.
    pub outputs: &'a [TensorType],
}

impl WorkCall<'_> {
    /// One kernel that reads and writes every operand once and does `per_output` operations for each element of the
    /// first output.
    pub fn per_output(&self, per_output: f64) -> super::Work {
        let count = self.outputs.first().map_or(0.0, super::work::count);
        super::Work::streaming(per_output * count, self.inputs, self.outputs)
    }

    /// Likewise for each element of the first input.
    pub fn per_input(&self, per_input: f64) -> super::Work {
        let count = self.inputs.first().copied().flatten().map_or(0.0, super::work::count);
        super::Work::streaming(per_input * count, self.inputs, self.outputs)
    }
}
