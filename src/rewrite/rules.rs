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
            set.push(Pattern::compile(rule).map_err(|e| (name, e))?);
        }
        Ok(set)
    }

    /// The rule of this number.
    pub fn rule(&self, number: u32) -> &Rule {
        &self.patterns[number as usize].rule
    }

    /// The set without the rule of this name.
    pub fn without(&self, name: &str) -> RuleSet {
        let mut set = RuleSet::default();
        self.patterns.iter().filter(|p| p.rule.name != name).for_each(|p| set.push(p.clone()));
        set
    }

    /// Whether the rule of this name merges work that costs something else: its target splits, enlarges or densifies.
    pub fn adds_work(&self, name: &str) -> bool {
        let dear = [OpKind::Split, OpKind::Slice, OpKind::Enlarge, OpKind::Ungroup, OpKind::BlockDiagonal];
        let rule = self.patterns.iter().find(|p| p.rule.name == name);
        rule.is_some_and(|p| p.target.iter().any(|n| dear.contains(&n.kind)))
    }

    fn push(&mut self, pattern: Pattern) {
        self.by_anchor.entry(pattern.anchor_kind()).or_default().push(self.patterns.len() as u32);
        self.patterns.push(pattern);
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
