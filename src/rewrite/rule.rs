//! Rules as data: a source and a target in the normal form of operators, with computed attributes and conditions.
//! The text form and its meaning are in the format of substitution libraries; [`crate::substitution`] reads it.

use crate::graph::{Attr, OpKind};

/// A rule: every match of `source` whose conditions hold may be replaced by `target`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Readable name, unique in a library.
    pub name: String,
    /// The values that the source takes from outside.
    pub inputs: Vec<RuleInput>,
    /// What is looked for.
    pub source: RuleGraph,
    /// What replaces it; outputs correspond by position.
    pub target: RuleGraph,
    /// Attributes computed from what was bound, in order.
    pub lets: Vec<(String, Expr)>,
    /// What must hold.
    pub conditions: Vec<Condition>,
}

/// An input of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleInput {
    /// Name without its `?` or `*`.
    pub name: String,
    /// Required rank; `None` is any.
    pub rank: Option<usize>,
    /// Required element type.
    pub dtype: DTypeClass,
    /// Whether the value must depend on weights alone.
    pub constant: bool,
    /// One value, an optional one, or a list of n.
    pub arity: Arity,
}

/// Classes of element types that rules speak of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DTypeClass {
    /// f64, f32, f16, bf16.
    Float,
    /// Integers.
    Int,
    /// Any.
    Any,
}

/// How many values an input of a rule stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// One.
    One,
    /// One or none (`b?`): an absent operand stands for what its operator in the source takes instead, which is zero
    /// for every operator here (biases), and stays zero through what the target computes from it.
    Optional,
    /// n of them (`xs*`).
    List,
}

/// One side of a rule.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RuleGraph {
    /// Nodes, operands before users.
    pub nodes: Vec<RuleNode>,
    /// Results.
    pub outputs: Vec<Operand>,
}

/// A node of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleNode {
    /// Operator.
    pub op: OpKind,
    /// Operands.
    pub inputs: Vec<Operand>,
    /// Names of its results; `xs*` for the n results of a Split.
    pub outputs: Vec<Operand>,
    /// Attributes that are not at their default.
    pub attrs: Vec<(String, AttrPattern)>,
    /// Whether it stands n times (`"for": "i in 0..n"`).
    pub repeated: bool,
}

/// A mention of a value in a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// `x`.
    One(String),
    /// `xs[i]`, inside a repeated node.
    Each(String),
    /// `xs[0]`, in expressions and conditions: the first of the list, whatever the member.
    First(String),
    /// `xs*`: the whole list.
    All(String),
    /// `""`: an optional operand left out.
    Absent,
}

impl Operand {
    /// The name mentioned, if any.
    pub fn name(&self) -> Option<&str> {
        match self {
            Operand::One(name) | Operand::Each(name) | Operand::First(name) | Operand::All(name) => Some(name),
            Operand::Absent => None,
        }
    }
}

/// What a rule says of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrPattern {
    /// `"*"` (sources only): any value.
    Any,
    /// `"?a"` in a source: binds, and equal names take equal values. In a target: the bound or computed value.
    Variable(String),
    /// A literal value.
    Literal(Attr),
    /// A computed value (targets only; in a source: must be equal).
    Computed(Expr),
}

/// An integer expression, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// An integer.
    Int(i64),
    /// `?a`.
    Variable(String),
    /// `?a[e]`.
    Index(String, Box<Expr>),
    /// `dim(v, e)`; `dim(vs*, e)` is the list over the group, `dim(vs[i], e)` the value of each.
    Dim(Operand, Box<Expr>),
    /// `rank(v)`.
    Rank(Operand),
    /// `n`: the size of the group.
    Count,
    /// `a + b`, `a - b`, `a * b`, `div(a, b)`, `min(a, b)`, `max(a, b)`.
    Binary(Arithmetic, Box<Expr>, Box<Expr>),
    /// `[a, b, …]`.
    List(Vec<Expr>),
}

/// Integer operations of the rule language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    /// Exact division: undefined (the rule does not apply) when it leaves a remainder.
    Div,
    Min,
    Max,
}

/// A condition of a rule. Mentions of `vs[i]` must hold for every member of the group.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `a == b` and its kind; lists compare element by element.
    Compare(Comparison, Expr, Expr),
    /// `divides(a, b)`: b is a multiple of a.
    Divides(Expr, Expr),
    /// `const(v)`: v depends on weights alone.
    Constant(Operand),
    /// `broadcasts(v, w)`: v broadcasts to the shape of w without changing it.
    Broadcasts(Operand, Operand),
}

/// Comparisons of the rule language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
}
