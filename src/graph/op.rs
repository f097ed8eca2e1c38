//! Operators as data: what a node applies, with its attributes. What an operator means is said in [`crate::ops`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Tensor;

/// An attribute of an understood operator.
#[derive(Clone, Debug)]
pub enum Attr {
    /// An integer, or a boolean as 0 and 1.
    Int(i64),
    /// A float; equality and hash go by its bits.
    Float(f32),
    /// Text.
    Str(Arc<str>),
    /// Integers.
    Ints(Arc<[i64]>),
    /// Floats; equality and hash go by their bits.
    Floats(Arc<[f32]>),
    /// Texts.
    Strs(Arc<[Arc<str>]>),
}

impl Attr {
    /// A list of integers.
    pub fn ints(values: &[i64]) -> Attr {
        Attr::Ints(values.into())
    }

    /// A text.
    pub fn str(value: &str) -> Attr {
        Attr::Str(value.into())
    }
}

impl PartialEq for Attr {
    fn eq(&self, other: &Attr) -> bool {
        match (self, other) {
            (Attr::Int(a), Attr::Int(b)) => a == b,
            (Attr::Float(a), Attr::Float(b)) => a.to_bits() == b.to_bits(),
            (Attr::Str(a), Attr::Str(b)) => a == b,
            (Attr::Ints(a), Attr::Ints(b)) => a == b,
            (Attr::Floats(a), Attr::Floats(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x.to_bits() == y.to_bits())
            }
            (Attr::Strs(a), Attr::Strs(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Attr {}

impl Hash for Attr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Attr::Int(v) => v.hash(state),
            Attr::Float(v) => v.to_bits().hash(state),
            Attr::Str(v) => v.hash(state),
            Attr::Ints(v) => v.hash(state),
            Attr::Floats(v) => v.iter().for_each(|x| x.to_bits().hash(state)),
            Attr::Strs(v) => v.hash(state),
        }
    }
}

/// All attributes of an operator's schema in order of name, defaults filled in (see `ops::schema`). Clones share them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Attrs(Arc<[(&'static str, Attr)]>);

impl Attrs {
    /// From (name, value) pairs in any order; a name occurs once.
    pub fn new(mut pairs: Vec<(&'static str, Attr)>) -> Attrs {
        pairs.sort_by_key(|pair| pair.0);
        Attrs(pairs.into())
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.0.iter().find(|pair| pair.0 == name).map(|pair| &pair.1)
    }

    /// All pairs in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Attr)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// All pairs in order of name, by position.
    pub fn as_slice(&self) -> &[(&'static str, Attr)] {
        &self.0
    }

    /// These attributes with one replaced or added.
    pub fn with(&self, name: &'static str, value: Attr) -> Attrs {
        let mut pairs: Vec<_> = self.0.iter().filter(|pair| pair.0 != name).cloned().collect();
        pairs.push((name, value));
        Attrs::new(pairs)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident),+ $(,)?) => {
        /// The operators that the optimiser understands, by their ONNX names; and the constructors on constants of the
        /// rule language, which are always folded and never written to a file.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[allow(missing_docs)]
        #[repr(u16)]
        pub enum OpKind { $($(#[$doc])* $kind),+ }

        impl OpKind {
            /// Every operator.
            pub const ALL: &'static [OpKind] = &[$(OpKind::$kind),+];

            /// The name in ONNX and in rules.
            pub fn name(self) -> &'static str {
                match self { $(OpKind::$kind => stringify!($kind)),+ }
            }

            /// The operator of this name.
            pub fn from_name(name: &str) -> Option<OpKind> {
                match name { $(stringify!($kind) => Some(OpKind::$kind),)+ _ => None }
            }
        }
    };
}

kinds! {
    // Element-wise, two or more operands with broadcasting.
    Add, Sub, Mul, Div, Pow, Mod, Min, Max, Mean, Sum, PRelu,
    And, Or, Xor, Equal, Less, LessOrEqual, Greater, GreaterOrEqual, Where,
    // Element-wise, one operand.
    Neg, Abs, Sqrt, Exp, Log, Reciprocal, Floor, Ceil, Round, Sign, Not, IsNaN, IsInf, Erf,
    Sin, Cos, Tan, Asin, Acos, Atan, Sinh, Cosh, Tanh, Asinh, Acosh, Atanh,
    Relu, LeakyRelu, Sigmoid, Gelu, HardSigmoid, HardSwish, Elu, Selu, Celu, ThresholdedRelu, Softplus, Softsign, Mish,
    Clip, Cast,
    // Along axes.
    Softmax, LogSoftmax, Hardmax, LpNormalization, CumSum,
    ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceLogSum, ReduceLogSumExp,
    ReduceSumSquare, ArgMax, ArgMin, TopK,
    // Normalisation.
    BatchNormalization, LayerNormalization, InstanceNormalization, GroupNormalization, RMSNormalization, LRN,
    // Linear maps.
    Conv, ConvTranspose, MatMul, Gemm, Einsum,
    // Pooling.
    MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool,
    // Moving elements.
    Concat, Split, Slice, Gather, GatherElements, GatherND, Transpose, Reshape, Flatten, Squeeze, Unsqueeze, Expand,
    Tile, Pad, DepthToSpace, SpaceToDepth, Trilu, Resize, Identity, Dropout,
    // Shapes and constants.
    Shape, Size, ConstantOfShape, Range, Constant,
    // Recurrent.
    LSTM, GRU,
    // Constructors on constants.
    Enlarge, IdentityKernel, IdentityMatrix, PoolKernel, BlockDiagonal, Ungroup,
}

impl OpKind {
    /// Whether this is a constructor on constants of the rule language.
    pub fn is_constructor(self) -> bool {
        self >= OpKind::Enlarge
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a node is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// A graph input.
    Input,
    /// A constant.
    Weight(Tensor),
    /// An operator that the optimiser understands.
    Apply(OpKind, Attrs),
    /// An operator that it does not: kept bit for bit.
    Opaque(Arc<OpaqueOp>),
}

/// An operator that is not understood. The exporter writes the node of the model that it came from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OpaqueOp {
    /// Domain; `""` is ONNX's own.
    pub domain: String,
    /// Operator.
    pub op_type: String,
    /// Position of the node in the model's list of nodes: no two opaque nodes are ever equal, hence never merged.
    pub origin: usize,
    /// How many of the node's inputs are its own; the others are outer values that its sub-graphs name.
    pub own_inputs: usize,
    /// Names of the outer values, one for each input beyond `own_inputs`: they must keep these names.
    pub captures: Vec<String>,
}

impl Op {
    /// The operator, if it is an understood one.
    pub fn kind(&self) -> Option<OpKind> {
        match self {
            Op::Apply(kind, _) => Some(*kind),
            Op::Input | Op::Weight(_) | Op::Opaque(_) => None,
        }
    }

    /// The name to show: `Conv`, `Input`, `Weight`, `com.example.Foo`.
    pub fn label(&self) -> String {
        match self {
            Op::Input => "Input".to_owned(),
            Op::Weight(_) => "Weight".to_owned(),
            Op::Apply(kind, _) => kind.name().to_owned(),
            Op::Opaque(o) if o.domain.is_empty() => o.op_type.clone(),
            Op::Opaque(o) => format!("{}.{}", o.domain, o.op_type),
        }
    }

    fn attr(&self, name: &str) -> Option<&Attr> {
        match self {
            Op::Apply(_, attrs) => attrs.get(name),
            Op::Input | Op::Weight(_) | Op::Opaque(_) => None,
        }
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attr(name)? {
            Attr::Int(v) => Some(*v),
            _ => None,
        }
    }

    /// A float attribute.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attr(name)? {
            Attr::Float(v) => Some(*v),
            _ => None,
        }
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attr(name)? {
            Attr::Str(v) => Some(v),
            _ => None,
        }
    }

    /// An attribute that is a list of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attr(name)? {
            Attr::Ints(v) => Some(v),
            _ => None,
        }
    }

    /// An attribute that is a list of floats.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.attr(name)? {
            Attr::Floats(v) => Some(v),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for &kind in OpKind::ALL {
            assert_eq!(OpKind::from_name(kind.name()), Some(kind));
        }
        assert!(OpKind::Ungroup.is_constructor() && !OpKind::GRU.is_constructor());
    }

    #[test]
    fn attributes_are_in_order_of_name() {
        let a = Attrs::new(vec![("strides", Attr::ints(&[1, 1])), ("group", Attr::Int(1))]);
        let b = Attrs::new(vec![("group", Attr::Int(1)), ("strides", Attr::ints(&[1, 1]))]);
        assert_eq!(a, b);
        assert_eq!(a.with("group", Attr::Int(2)).get("group"), Some(&Attr::Int(2)));
        assert_ne!(Attr::Float(0.0), Attr::Float(-0.0));
    }
}
