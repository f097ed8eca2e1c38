//! Normalising: rewrites that cost nothing and say the same more plainly (`a - (-b)` as `a + b`, a Sum of two as an Add, a
//! Gemm without bias as a MatMul), so that rules written for the plain form see it. Siblings that differ in nothing but how
//! they are written become alike, and can be merged.

use std::sync::Arc;

use crate::graph::OpKind;
use crate::rewrite::{Candidate, Operand, Rule, RuleGraph, RuleSet};

use super::StopReason;
use super::greedy::Known;
use super::tree::{Entered, MIN_GAIN_US, Tree};

/// How far an operator is from plain: a plainer one can say what a less plain one says. `None` where a rule with it is
/// about more than how something is written.
fn remoteness(op: OpKind) -> Option<u32> {
    use OpKind::*;
    match op {
        Add | Mul | Div | MatMul => Some(4),
        Sub | Neg | Reciprocal => Some(6),
        // More than a product and a sum: a Gemm with a bias is not made here.
        Gemm => Some(9),
        Sum | Mean | Einsum => Some(10),
        Relu | Abs | Sigmoid | Tanh | Exp | Sqrt | Softplus | Clip => Some(4),
        _ => None,
    }
}

fn is_product(op: OpKind) -> bool {
    matches!(op, OpKind::MatMul | OpKind::Gemm | OpKind::Einsum)
}

/// The remoteness of one side of a rule and its number of products; what depends on nothing but constants is folded and
/// counts little. `None` where the rule is about more than how something is written.
fn weight(rule: &Rule, side: &RuleGraph) -> Option<(u32, usize)> {
    let mut constants: Vec<&str> = rule.inputs.iter().filter(|i| i.constant).map(|i| i.name.as_str()).collect();
    let (mut sum, mut products) = (0, 0);
    for node in &side.nodes {
        if node.repeated {
            return None;
        }
        if node.inputs.iter().filter_map(Operand::name).all(|name| constants.contains(&name)) {
            constants.extend(node.outputs.iter().filter_map(Operand::name));
            sum += 1;
        } else {
            sum += remoteness(node.op)?;
            products += usize::from(is_product(node.op));
        }
    }
    Some((sum, products))
}

/// Whether a rule says the same more plainly: it neither merges nor splits products, and its target is less remote.
fn is_plainer(rule: &Rule) -> bool {
    match (weight(rule, &rule.source), weight(rule, &rule.target)) {
        (Some((source, before)), Some((target, after))) => target < source && before == after,
        _ => false,
    }
}

/// Applies rewrites to something plainer that cost nothing, or gain at most so much, until there is none. It ends, since
/// every one makes the sum of remoteness smaller.
pub(super) fn normalise(tree: &mut Tree<'_>, rules: &RuleSet, most_gain_us: f64) -> StopReason {
    let plainer: Vec<bool> = (0..rules.len() as u32).map(|number| is_plainer(rules.rule(number))).collect();
    let mut refused = Known::default();
    loop {
        if let Some(reason) = tree.stop() {
            return reason;
        }
        let wanted = |c: &&Arc<Candidate>| {
            c.score <= MIN_GAIN_US && c.score >= -most_gain_us && plainer[c.found.rule as usize] && !refused.contains(c)
        };
        let next = tree.state().candidates().filter(wanted).min_by(|a, b| a.score.total_cmp(&b.score)).cloned();
        let Some(next) = next else { return StopReason::Exhausted };
        let before = tree.state().total_us();
        if tree.enter(&next, None) == Entered::New {
            if tree.state().total_us() <= before + MIN_GAIN_US {
                tree.keep_if_better();
                continue;
            }
            tree.leave();
        }
        refused.insert(&next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substitution::Library;

    #[test]
    fn plainer_rules_are_told_from_those_that_do_more() {
        let library = Library::built_in().unwrap();
        let of = |name: &str| is_plainer(&library.find(name).unwrap().rule);
        for name in [
            "minus-negated",
            "sum-of-two-as-add",
            "sub-constant-as-add",
            "product-with-constant-reciprocal",
            "gemm-without-bias-as-matmul",
        ] {
            assert!(of(name), "{name}");
        }
        for name in [
            "add-associate",
            "div-constant-as-mul",
            "products-of-one-input",
            "sum-of-products-of-one-input",
            "matmul-and-sum-as-gemm",
        ] {
            assert!(!of(name), "{name}");
        }
    }
}
