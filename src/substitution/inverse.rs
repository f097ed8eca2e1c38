//! Rules read backwards, for making graphs that an optimiser should be able to undo.

use std::collections::{BTreeMap, BTreeSet};

use super::check::check;
use crate::rewrite::{AttrPattern, Condition, Expr, Operand, Pattern, Rule, RuleGraph};

/// The rule that looks for the target of `rule` and replaces it by its source, named `inverse-of-NAME`. `None` where that
/// is no rule: the target is a bare input or has a constructor, the source speaks of something that the target does not
/// bind, or the rule fails the checks of a library for another reason.
///
/// It holds wherever the source is well formed with the types of the target; an edit is refused where it is not.
pub fn inverse(rule: &Rule) -> Option<Rule> {
    let lets: BTreeMap<&str, &Expr> = rule.lets.iter().map(|(name, expr)| (name.as_str(), expr)).collect();
    let used: BTreeSet<&str> = rule.target.nodes.iter().flat_map(|n| &n.inputs).filter_map(Operand::name).collect();
    let inverse = Rule {
        name: format!("inverse-of-{}", rule.name),
        inputs: rule.inputs.iter().filter(|i| used.contains(i.name.as_str())).cloned().collect(),
        source: written_out(&rule.target, &lets),
        target: written_out(&rule.source, &lets),
        lets: Vec::new(),
        conditions: rule.conditions.iter().map(|c| condition(c, &lets)).collect(),
    };
    check(&inverse).ok()?;
    Pattern::compile(inverse.clone()).ok()?;
    Some(inverse)
}

/// A side of a rule with its computed attributes written out.
fn written_out(side: &RuleGraph, lets: &BTreeMap<&str, &Expr>) -> RuleGraph {
    let mut side = side.clone();
    for (_, attr) in side.nodes.iter_mut().flat_map(|n| &mut n.attrs) {
        match attr {
            AttrPattern::Variable(name) if lets.contains_key(name.as_str()) => {
                *attr = AttrPattern::Computed(expr(&Expr::Variable(name.clone()), lets));
            }
            AttrPattern::Computed(e) => *attr = AttrPattern::Computed(expr(e, lets)),
            AttrPattern::Any | AttrPattern::Variable(_) | AttrPattern::Literal(_) => {}
        }
    }
    side
}

fn condition(condition: &Condition, lets: &BTreeMap<&str, &Expr>) -> Condition {
    match condition {
        Condition::Compare(how, a, b) => Condition::Compare(*how, expr(a, lets), expr(b, lets)),
        Condition::Divides(a, b) => Condition::Divides(expr(a, lets), expr(b, lets)),
        Condition::Constant(_) | Condition::Broadcasts(..) => condition.clone(),
    }
}

/// An expression with what `let` computes put in place of its names. (An entry of a computed list keeps its name, which
/// nothing binds then: the rule is refused.)
fn expr(e: &Expr, lets: &BTreeMap<&str, &Expr>) -> Expr {
    let boxed = |e: &Expr| Box::new(expr(e, lets));
    match e {
        Expr::Variable(name) => lets.get(name.as_str()).map_or_else(|| e.clone(), |computed| expr(computed, lets)),
        Expr::Index(name, at) => match (lets.get(name.as_str()), &**at) {
            (Some(Expr::List(items)), Expr::Int(at)) if usize::try_from(*at).is_ok_and(|at| at < items.len()) => {
                expr(&items[*at as usize], lets)
            }
            _ => Expr::Index(name.clone(), boxed(at)),
        },
        Expr::Dim(value, axis) => Expr::Dim(value.clone(), boxed(axis)),
        Expr::Binary(op, a, b) => Expr::Binary(*op, boxed(a), boxed(b)),
        Expr::List(items) => Expr::List(items.iter().map(|item| expr(item, lets)).collect()),
        Expr::Int(_) | Expr::Rank(_) | Expr::Count => e.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substitution::{Library, TrialError, TrialSettings, try_rule};

    #[test]
    fn inverses_of_the_library_hold_on_random_instances() {
        let library = Library::built_in().unwrap();
        let inverses: Vec<Rule> = library.substitutions.iter().filter_map(|s| inverse(&s.rule)).collect();
        assert!(inverses.len() > 150, "{} of {}", inverses.len(), library.substitutions.len());
        let mut tried = 0;
        for rule in &inverses {
            let settings = TrialSettings { instances: 6, ..TrialSettings::default() };
            match try_rule(rule, &settings) {
                Ok(_) => tried += 1,
                // Where the source is not well formed an edit is refused; random instances need not meet the others.
                Err(TrialError::Target { .. } | TrialError::TooFew { .. }) => {}
                Err(error @ TrialError::Differ { .. }) => panic!("{}: {error}", rule.name),
            }
        }
        assert!(tried > 100, "{tried} of {}", inverses.len());
    }

    #[test]
    fn what_the_target_does_not_bind_has_no_inverse() {
        let library = Library::built_in().unwrap();
        let of = |name: &str| inverse(&library.find(name).unwrap().rule);
        // The target is the input itself; the target has a constructor.
        assert_eq!(of("negated-twice"), None);
        assert_eq!(of("sum-of-convolutions-enlarged"), None);
        let back = of("relu-twice").unwrap();
        assert_eq!((back.source.nodes.len(), back.target.nodes.len()), (1, 2));
        assert_eq!(back.name, "inverse-of-relu-twice");
    }
}
