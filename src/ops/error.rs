//! What can be wrong with an operator, its operands, or an evaluation.

use crate::graph::OpKind;

use super::AttrType;

/// An operator that cannot be built, or operands that do not fit it.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum OpError {
    /// The operator has no attribute of this name.
    #[error("{op} has no attribute {attr:?}")]
    UnknownAttr {
        /// Operator.
        op: OpKind,
        /// Attribute.
        attr: String,
    },
    /// An attribute is given twice.
    #[error("{op}: attribute {attr:?} is given twice")]
    RepeatedAttr {
        /// Operator.
        op: OpKind,
        /// Attribute.
        attr: String,
    },
    /// An attribute that has no default is not given.
    #[error("{op} needs attribute {attr:?} ({expected})")]
    MissingAttr {
        /// Operator.
        op: OpKind,
        /// Attribute.
        attr: &'static str,
        /// Its type.
        expected: AttrType,
    },
    /// An attribute has another type than the schema says.
    #[error("{op}: attribute {attr:?} must be {expected}, and is {found}")]
    AttrType {
        /// Operator.
        op: OpKind,
        /// Attribute.
        attr: &'static str,
        /// The type in the schema.
        expected: AttrType,
        /// The type given.
        found: AttrType,
    },
    /// The number of inputs or outputs does not fit, or one that is needed is left out.
    #[error("{op}: {problem}")]
    Arity {
        /// Operator.
        op: OpKind,
        /// What is wrong.
        problem: String,
    },
    /// Operand types, or operands and attributes, do not fit one another.
    #[error("{op}({}): {problem}", inputs.join(", "))]
    Mismatch {
        /// Operator.
        op: OpKind,
        /// Types of the inputs, as text (`-` for one left out, `?` for an unknown one).
        inputs: Vec<String>,
        /// What is wrong, with the attribute if one is involved.
        problem: String,
    },
    /// The node applies no operator of the table: it is a graph input, a weight or opaque.
    #[error("{0} is no operator of the table")]
    NotApplied(String),
}

/// An evaluation that cannot be carried out.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum EvalError {
    /// Operands do not fit the operator, or a needed one is missing.
    #[error("{op}: {problem}")]
    Operands {
        /// Operator.
        op: OpKind,
        /// What is wrong.
        problem: String,
    },
    /// The function has no meaning on these elements (an order on integers modulo a prime, a quotient by zero).
    #[error("{what} is not defined on these elements")]
    Undefined {
        /// Function or property.
        what: String,
    },
    /// The result would have more elements than [`super::MAX_EVALUATED`].
    #[error("a result of shape {shape:?} is too large to evaluate")]
    TooLarge {
        /// Shape of the result.
        shape: Vec<usize>,
    },
    /// Shape and number of elements disagree.
    #[error("shape {shape:?} does not hold {found} elements")]
    Length {
        /// Shape.
        shape: Vec<usize>,
        /// Elements given.
        found: usize,
    },
    /// The node applies no operator of the table.
    #[error("{0} is no operator of the table")]
    NotApplied(String),
}
