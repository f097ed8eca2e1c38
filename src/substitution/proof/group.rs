//! Rules over lists of n values, by induction: what is true of one member, and of n + 1 if of n, is true of all n.
//!
//! A list of n + 1 is written as its first n members, one term of which no more is known than the shape of its member i,
//! whatever i; and its last member, an ordinary term. An operator that joins a list joins what the first n are joined to
//! with the last, and an operator that splits into n + 1 splits in two, the first of which is split into n. The
//! hypothesis is the rule itself for the first n, and for the first part of what the source splits.

use crate::graph::Dim;
use crate::rewrite::{Condition, Expr, Operand, Rule};

/// How the lists of a rule are written out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Form {
    /// There are none.
    #[default]
    Plain,
    /// They have one member.
    One,
    /// The first n members: what the hypothesis speaks of.
    First,
    /// The first n members and the last.
    Next,
}

/// Which member of a list is spoken of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Member {
    /// Any of the first n.
    Any,
    /// The last, or the only one.
    Last,
}

impl Form {
    /// The members that repeated nodes are written out for.
    pub fn members(self) -> &'static [Member] {
        match self {
            Form::Plain | Form::One => &[Member::Last],
            Form::First => &[Member::Any],
            Form::Next => &[Member::Any, Member::Last],
        }
    }

    /// What the rule calls `n`.
    pub fn count(self) -> Dim {
        match self {
            Form::Plain | Form::One => Dim::Known(1),
            Form::First => Dim::symbol(COUNT),
            Form::Next => Dim::symbol(COUNT).add(&Dim::Known(1)),
        }
    }
}

/// The number of members before the last.
pub(crate) const COUNT: &str = "n";

/// The name of member i of a list, whatever i.
pub(crate) fn member(list: &str) -> String {
    format!("{list}[i]")
}

/// The name of the first member of a list.
pub(crate) fn first(list: &str) -> String {
    format!("{list}[0]")
}

/// What a name of a rule is called for a member: the last member has the list's own name.
pub(crate) fn key(operand: &Operand, at: Member, form: Form) -> Option<String> {
    match (operand, at) {
        (Operand::One(name), _) | (Operand::Each(name), Member::Last) => Some(name.clone()),
        (Operand::Each(name), Member::Any) => Some(member(name)),
        (Operand::First(name), _) if form == Form::One => Some(name.clone()),
        (Operand::First(name), _) => Some(first(name)),
        (Operand::All(_) | Operand::Absent, _) => None,
    }
}

/// What a result of a node is called for a member; of all results of one operator, the last stands for them.
pub(crate) fn result_key(output: &Operand, at: Member) -> Option<String> {
    match output {
        Operand::All(name) => Some(name.clone()),
        other => key(other, at, Form::Next),
    }
}

/// Whether a size is one of member i.
pub(crate) fn is_of_member(name: &str) -> bool {
    // A name that stands for a long expression hides what it speaks of.
    let hides = |hex: &str| hex.len() == 16 && hex.bytes().all(|c| c.is_ascii_hexdigit());
    name.contains("[i]") || name.strip_prefix('?').is_some_and(hides)
}

/// Whether a name stands for 1 or more.
pub(crate) fn is_positive(name: &str) -> bool {
    name == COUNT || name.starts_with(SUM)
}

/// What names of sums begin with.
const SUM: &str = "?sum_";

/// The sum of a size over the first n members.
pub(crate) fn sum(size: &Dim) -> Dim {
    if !size.symbols().iter().any(|name| is_of_member(name)) {
        return size.mul(&Dim::symbol(COUNT));
    }
    Dim::symbol(&format!("{SUM}{}", &blake3::hash(size.to_string().as_bytes()).to_hex()[..20]))
}

/// Whether an expression speaks of a member.
pub(crate) fn speaks_of_member(condition: &Condition) -> bool {
    let each = |o: &Operand| matches!(o, Operand::Each(_) | Operand::All(_));
    match condition {
        Condition::Compare(_, a, b) | Condition::Divides(a, b) => [a, b].into_iter().any(mentions),
        Condition::Constant(v) => each(v),
        Condition::Broadcasts(v, w) => each(v) || each(w),
    }
}

fn mentions(expr: &Expr) -> bool {
    match expr {
        Expr::Int(_) | Expr::Variable(_) | Expr::Count => false,
        Expr::Index(_, e) => mentions(e),
        Expr::Dim(operand, e) => matches!(operand, Operand::Each(_) | Operand::All(_)) || mentions(e),
        Expr::Rank(operand) => matches!(operand, Operand::Each(_)),
        Expr::Binary(_, a, b) => mentions(a) || mentions(b),
        Expr::List(items) => items.iter().any(mentions),
    }
}

/// Whether a rule speaks of lists.
pub(crate) fn is_grouped(rule: &Rule) -> bool {
    use crate::rewrite::Arity;
    let nodes = rule.source.nodes.iter().chain(&rule.target.nodes);
    rule.inputs.iter().any(|i| i.arity == Arity::List)
        || nodes.into_iter().any(|n| n.repeated || n.outputs.iter().any(|o| matches!(o, Operand::All(_))))
}
