//! A set of compiled rules, found by the operator of their anchor.

use rustc_hash::FxHashMap;

use crate::graph::OpKind;

use super::pattern::{Pattern, RuleError};
use super::rule::Rule;

/// Compiled rules.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    patterns: Vec<Pattern>,
    by_anchor: FxHashMap<OpKind, Vec<u32>>,
}

impl RuleSet {
    /// Compiles rules; the error names the rule that does not compile.
    pub fn compile(rules: impl IntoIterator<Item = Rule>) -> Result<RuleSet, (String, RuleError)> {
        let mut set = RuleSet::default();
        for rule in rules {
            let name = rule.name.clone();
            let pattern = Pattern::compile(rule).map_err(|e| (name, e))?;
            set.by_anchor.entry(pattern.anchor_kind()).or_default().push(set.patterns.len() as u32);
            set.patterns.push(pattern);
        }
        Ok(set)
    }

    /// The rule of this number.
    pub fn rule(&self, number: u32) -> &Rule {
        &self.patterns[number as usize].rule
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(super) fn pattern(&self, number: u32) -> &Pattern {
        &self.patterns[number as usize]
    }

    pub(super) fn anchored_at(&self, kind: OpKind) -> &[u32] {
        self.by_anchor.get(&kind).map_or(&[], Vec::as_slice)
    }
}
