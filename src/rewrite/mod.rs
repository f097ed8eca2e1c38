//! Rewriting: patterns, matches and checked edits. No cost and no search is known here.

mod rule;

pub use rule::{
    Arithmetic, Arity, AttrPattern, Comparison, Condition, DTypeClass, Expr, Operand, Rule, RuleGraph, RuleInput,
    RuleNode,
};
