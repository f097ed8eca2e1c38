//! Expressions and conditions on symbolic sizes. A condition holds only where that is certain.

use std::collections::BTreeMap;

use super::group::{self, Form, Member};
use super::shape::{self, Shape};
use super::term::{SymVal, TermId, World};
use crate::graph::Dim;
use crate::rewrite::{Arithmetic, Comparison, Condition, Expr, Operand};

/// What expressions speak of.
pub(crate) struct Scope<'a> {
    pub world: &'a World,
    pub terms: &'a BTreeMap<String, TermId>,
    pub vars: &'a BTreeMap<String, SymVal>,
    /// Names of expressions.
    pub lets: &'a [(String, Expr)],
    /// Whether quotients are granted to be exact (in a rule, which does not apply where they are not).
    pub exact: bool,
    /// How lists are written out.
    pub form: Form,
    /// Which member `xs[i]` is.
    pub member: Member,
}

impl Scope<'_> {
    pub fn shape(&self, operand: &Operand) -> Option<&Shape> {
        let key = group::key(operand, self.member, self.form)?;
        self.terms.get(&key).map(|id| self.world.shape(*id))
    }

    pub fn variable(&self, name: &str) -> Option<SymVal> {
        if self.is_list(name) {
            return None;
        }
        if let Some(value) = self.vars.get(name) {
            return Some(value.clone());
        }
        match self.lets.iter().find(|(n, _)| n == name) {
            Some((_, expr)) => self.eval(expr),
            // Sums over members have names of their own.
            None => Some(format!("?{name}")).filter(|n| group::is_positive(n)).map(|n| SymVal::Num(Dim::symbol(&n))),
        }
    }

    /// Whether a variable is a list of a size for each member.
    fn is_list(&self, name: &str) -> bool {
        self.form != Form::Plain && self.vars.contains_key(&group::member(name))
    }

    /// The entry for the member spoken of, of an expression that is a list over the group.
    pub fn entry(&self, expr: &Expr) -> Option<Dim> {
        match expr {
            Expr::Dim(Operand::All(list), axis) => self.int(&Expr::Dim(Operand::Each(list.clone()), axis.clone())),
            Expr::Variable(name) if self.is_list(name) => {
                let key = group::key(&Operand::Each(name.clone()), self.member, self.form)?;
                self.vars.get(&key)?.num().map(|d| self.world.facts.normal(d))
            }
            _ => None,
        }
    }

    /// The value, with everything known put in.
    pub fn eval(&self, expr: &Expr) -> Option<SymVal> {
        let value = match expr {
            Expr::Int(n) => SymVal::Num(Dim::Known(*n)),
            Expr::Count => SymVal::Num(self.form.count()),
            Expr::Variable(name) => self.variable(name)?,
            Expr::Index(name, index) => SymVal::Num(element(&self.variable(name)?, &self.int(index)?)?),
            Expr::Dim(operand, axis) => {
                let axis = self.int(axis)?.known()?;
                let shape = self.shape(operand)?;
                SymVal::Num(match usize::try_from(axis) {
                    Ok(axis) => shape.counted_from_start(axis, &self.world.facts)?,
                    Err(_) => shape.counted_from_end(usize::try_from(-axis).ok()?, &self.world.facts),
                })
            }
            Expr::Rank(operand) => SymVal::Num(self.shape(operand)?.rank()),
            Expr::Binary(op, a, b) => self.binary(*op, &self.eval(a)?, &self.eval(b)?)?,
            Expr::List(items) => SymVal::List(items.iter().map(|e| self.int(e)).collect::<Option<_>>()?),
        };
        Some(value.normal(&self.world.facts))
    }

    pub fn int(&self, expr: &Expr) -> Option<Dim> {
        self.eval(expr)?.num().cloned()
    }

    fn binary(&self, op: Arithmetic, a: &SymVal, b: &SymVal) -> Option<SymVal> {
        Some(match (a, b) {
            (SymVal::Num(a), SymVal::Num(b)) => SymVal::Num(self.arithmetic(op, a, b)?),
            (SymVal::List(a), SymVal::Num(b)) => {
                SymVal::List(a.iter().map(|a| self.arithmetic(op, a, b)).collect::<Option<_>>()?)
            }
            (SymVal::Num(a), SymVal::List(b)) => {
                SymVal::List(b.iter().map(|b| self.arithmetic(op, a, b)).collect::<Option<_>>()?)
            }
            (SymVal::List(a), SymVal::List(b)) if a.len() == b.len() => {
                SymVal::List(a.iter().zip(b).map(|(a, b)| self.arithmetic(op, a, b)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    fn arithmetic(&self, op: Arithmetic, a: &Dim, b: &Dim) -> Option<Dim> {
        Some(match op {
            Arithmetic::Add => a.add(b),
            Arithmetic::Sub => a.sub(b),
            Arithmetic::Mul => a.mul(b),
            Arithmetic::Div if self.exact || self.world.facts.is_exact(a, b) => a.floor_div(b)?,
            Arithmetic::Div => return None,
            Arithmetic::Min => a.minimum(b),
            Arithmetic::Max => a.maximum(b),
        })
    }

    /// Whether a condition certainly holds.
    pub fn holds(&self, condition: &Condition) -> bool {
        let facts = &self.world.facts;
        match condition {
            Condition::Compare(comparison, a, b) => match self.sides(*comparison, a, b) {
                Some((a, b)) => self.compare(*comparison, &a, &b),
                None => false,
            },
            Condition::Divides(a, b) => match (self.int(a), self.int(b)) {
                (Some(a), Some(b)) => facts.is_exact(&b, &a),
                _ => false,
            },
            // That a value depends on weights alone bears on where a rule pays, not on whether it is true.
            Condition::Constant(_) => false,
            Condition::Broadcasts(v, w) => match (self.shape(v), self.shape(w)) {
                (Some(v), Some(w)) => shape::broadcasts(v, w, facts),
                _ => false,
            },
        }
    }

    /// What a condition compares: of lists over the group, the entries for the member spoken of.
    pub fn sides(&self, comparison: Comparison, a: &Expr, b: &Expr) -> Option<(SymVal, SymVal)> {
        match (self.entry(a), self.entry(b)) {
            (None, None) => Some((self.eval(a)?, self.eval(b)?)),
            // Lists differ where some entry does, which says nothing of this one.
            _ if comparison == Comparison::NotEqual => None,
            (a_entry, b_entry) => {
                let side = |entry: Option<Dim>, expr| entry.or_else(|| self.int(expr)).map(SymVal::Num);
                Some((side(a_entry, a)?, side(b_entry, b)?))
            }
        }
    }

    fn compare(&self, comparison: Comparison, a: &SymVal, b: &SymVal) -> bool {
        if self.world.facts.is_literal(comparison, a, b) {
            return true;
        }
        let Some(pairs) = pairs(a, b) else { return comparison == Comparison::Equal && a == b };
        let certainly = |(a, b): &(Dim, Dim)| {
            let facts = &self.world.facts;
            let difference = b.sub(a);
            match comparison {
                Comparison::Equal => a == b,
                Comparison::NotEqual => facts.is_not_zero(&difference),
                Comparison::Less => facts.is_at_least_zero(&difference.sub(&Dim::Known(1))),
                Comparison::LessOrEqual => facts.is_at_least_zero(&difference),
            }
        };
        match (comparison, a, b) {
            (Comparison::NotEqual, SymVal::List(_), SymVal::List(_)) => pairs.iter().any(certainly),
            _ => pairs.iter().all(certainly),
        }
    }
}

/// An element of a list. Elements of lists that are not known have names.
pub(super) fn element(list: &SymVal, index: &Dim) -> Option<Dim> {
    let named = || Some(Dim::symbol(&format!("{list}[{}]", super::term::dim_text(index))));
    match (list, index.known()) {
        (SymVal::List(items), Some(at)) => {
            let at = if at < 0 { at + items.len() as i64 } else { at };
            items.get(usize::try_from(at).ok()?).cloned()
        }
        (SymVal::List(_) | SymVal::Opaque(_), _) => named(),
        (SymVal::Num(_) | SymVal::Fixed(_), _) => None,
    }
}

/// What a comparison compares, pair by pair; `None` where it is not of sizes or of lists that fit.
pub(crate) fn pairs(a: &SymVal, b: &SymVal) -> Option<Vec<(Dim, Dim)>> {
    Some(match (a, b) {
        (SymVal::Num(a), SymVal::Num(b)) => vec![(a.clone(), b.clone())],
        (SymVal::List(a), SymVal::Num(b)) => a.iter().map(|a| (a.clone(), b.clone())).collect(),
        (SymVal::Num(a), SymVal::List(b)) => b.iter().map(|b| (a.clone(), b.clone())).collect(),
        (SymVal::List(a), SymVal::List(b)) if a.len() == b.len() => a.iter().cloned().zip(b.iter().cloned()).collect(),
        _ => return None,
    })
}
