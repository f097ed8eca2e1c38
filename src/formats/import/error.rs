//! What can be wrong with a model beyond its encoding, and what an import has to tell.

use crate::graph::TensorType;

/// Why a model is not a graph. Every message names the node or value at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// ONNX's own operator set is not imported, and a node needs it.
    #[error("opset_import: the version of ONNX's operator set is missing")]
    NoOpset,
    /// An operator set outside the range that is read.
    #[error("opset_import: operator set {found} is not supported ({oldest} to {newest} are)")]
    Opset {
        /// Version in the file.
        found: i64,
        /// Oldest supported version.
        oldest: i64,
        /// Newest supported version.
        newest: i64,
    },
    /// A value without a name where one is needed.
    #[error("{place}: the name is empty")]
    Nameless {
        /// Input, output or initialiser.
        place: String,
    },
    /// Two definitions of one name.
    #[error("{place}: the name {name:?} is already taken by {other}")]
    Doubled {
        /// Where the second definition is.
        place: String,
        /// The name.
        name: String,
        /// Where the first definition is.
        other: String,
    },
    /// A name that nothing defines.
    #[error("{place}: there is no value {name:?}")]
    Undefined {
        /// Where the name is used.
        place: String,
        /// The name.
        name: String,
    },
    /// Nodes that depend on themselves.
    #[error("{node}: it depends on its own output {value:?}")]
    Cycle {
        /// A node on the cycle.
        node: String,
        /// Its output.
        value: String,
    },
    /// A number of inputs or outputs that the operator cannot have.
    #[error("{node}: {problem}")]
    Arity {
        /// The node.
        node: String,
        /// What is wrong.
        problem: String,
    },
    /// A node that contradicts itself.
    #[error("{node}: {field}: {problem}")]
    Node {
        /// The node.
        node: String,
        /// Which part of it.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// Operands that do not fit the operator.
    #[error("{node}: {source}")]
    Types {
        /// The node.
        node: String,
        /// What is wrong.
        source: crate::ops::OpError,
    },
    /// A declared type that cannot be.
    #[error("{place}: declared as {declared}, and is {found}")]
    Declared {
        /// The value.
        place: String,
        /// The type in the file.
        declared: String,
        /// What it is.
        found: String,
    },
    /// A dimension that is too large.
    #[error("{place}: dimension {axis} is too large ({size})")]
    Dimension {
        /// The value.
        place: String,
        /// Which dimension.
        axis: usize,
        /// Its size in the file.
        size: u64,
    },
    /// A named size to bind that no input has.
    #[error("--dim {name}: no input has a dimension of this name ({})", known_dims(known))]
    UnknownDim {
        /// The name.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A size to bind that is below 1.
    #[error("--dim {name}={size}: a size is at least 1")]
    BadDim {
        /// The name.
        name: String,
        /// The size.
        size: i64,
    },
}

/// So many names are listed in a message.
const MAX_LISTED: usize = 12;

/// What dimensions there are to bind.
fn known_dims(known: &[String]) -> String {
    match known {
        [] => "all their dimensions have sizes".to_owned(),
        [one] => format!("there is {one}"),
        several if several.len() <= MAX_LISTED => format!("there are {}", several.join(", ")),
        several => {
            let (listed, others) = several.split_at(MAX_LISTED);
            format!("there are {} and {} others", listed.join(", "), others.len())
        }
    }
}

/// Something that the user may want to know of an import that went well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportWarning {
    /// A node that is passed through as it is.
    #[error("{node} is passed through: {reason}")]
    Opaque {
        /// The node.
        node: String,
        /// Why it is not understood.
        reason: String,
    },
    /// A declared shape that the operators contradict; the computed one is used.
    #[error("value {value:?} is declared as {declared}, and is {inferred}")]
    Shape {
        /// The value.
        value: String,
        /// The type in the file.
        declared: TensorType,
        /// The computed type.
        inferred: TensorType,
    },
}
