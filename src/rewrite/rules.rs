//! A set of compiled rules, found by the operator of their anchor and by what feeds it.

use rustc_hash::FxHashMap;

use crate::graph::{Graph, Node, OpKind};

use super::pattern::{Pattern, PatternOperand, RuleError};
use super::rule::{Arity, Rule};

/// Compiled rules.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    patterns: Vec<Pattern>,
    by_anchor: FxHashMap<OpKind, Vec<Row>>,
}

/// A rule among those of one anchor operator, with what must feed the anchor for the rule to match at all.
#[derive(Clone, Debug)]
struct Row {
    rule: u32,
    /// Operators of the source that produce operands of the anchor.
    operands: KindSet,
    /// Whether an operand of the anchor must be a constant.
    constant: bool,
}

/// A set of operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct KindSet([u64; 4]);

const _: () = assert!(OpKind::ALL.len() <= 256, "a kind set has 256 bits");

impl KindSet {
    fn insert(&mut self, kind: OpKind) {
        self.0[kind as usize / 64] |= 1 << (kind as usize % 64);
    }

    fn contains(&self, other: &KindSet) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & b == *b)
    }
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
        let anchor = &pattern.source[pattern.anchor];
        let mut row = Row { rule: self.patterns.len() as u32, operands: KindSet::default(), constant: false };
        for operand in &anchor.inputs {
            let (PatternOperand::One(id) | PatternOperand::Each(id) | PatternOperand::All(id)) = *operand else {
                continue;
            };
            let value = &pattern.values[id];
            if let Some((producer, _)) = value.producer {
                row.operands.insert(pattern.source[producer].kind);
            }
            row.constant |= value.input.as_ref().is_some_and(|i| i.constant && i.arity != Arity::Optional);
        }
        self.by_anchor.entry(pattern.anchor_kind()).or_default().push(row);
        self.patterns.push(pattern);
    }

    /// 16 hexadecimal digits that differ between different sets.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for pattern in &self.patterns {
            hasher.update(format!("{:?}", pattern.rule).as_bytes());
        }
        hasher.finalize().to_hex()[..16].to_owned()
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

    /// Whether some rule is anchored at this operator.
    pub(super) fn has_anchor(&self, kind: OpKind) -> bool {
        self.by_anchor.contains_key(&kind)
    }

    /// The rules anchored at this node's operator whose operands of the anchor can be had from its producers.
    pub(super) fn may_match<'a>(&'a self, graph: &Graph, node: &Node) -> impl Iterator<Item = u32> + use<'a> {
        let mut operands = KindSet::default();
        let mut constant = false;
        for v in node.inputs.iter().flatten() {
            let producer = graph.node(v.node);
            constant |= producer.constant;
            if let Some(kind) = producer.op.kind() {
                operands.insert(kind);
            }
        }
        let rows = node.op.kind().and_then(|kind| self.by_anchor.get(&kind)).map_or(&[][..], Vec::as_slice);
        rows.iter().filter(move |r| operands.contains(&r.operands) && (constant || !r.constant)).map(|r| r.rule)
    }
}
