//! Rewriting: patterns, matches and checked edits. No cost and no search is known here.

mod bindings;
mod cleanup;
mod entry;
mod expr;
mod identity;
mod index;
mod matcher;
mod patch;
mod pattern;
mod reads;
mod rule;
mod rules;

pub use bindings::Match;
pub use cleanup::{CleanUp, clean_up};
pub use index::{Applied, Candidate, Index, IndexMark, Scorer};
pub use patch::{Patch, PatchNode, PatchValue};
pub use pattern::{Pattern, RuleError};
pub use rule::{
    Arithmetic, Arity, AttrPattern, Comparison, Condition, DTypeClass, Expr, Operand, Rule, RuleGraph, RuleInput,
    RuleNode,
};
pub use rules::RuleSet;

#[cfg(test)]
mod tests;
