//! Evaluation of the rule language's expressions and conditions on a match.

use std::cmp::Ordering;

use smallvec::{SmallVec, smallvec};

use crate::graph::{Dim, Graph, ValueRef};

use super::bindings::{Binding, Match, Val};
use super::pattern::Pattern;
use super::rule::{Arithmetic, Comparison, Condition, Expr, Operand};

/// A match seen from one member of its groups.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub graph: &'a Graph,
    pub pattern: &'a Pattern,
    pub found: &'a Match,
    /// Which member `xs[i]` is.
    pub member: usize,
}

impl<'a> Scope<'a> {
    fn values(&self, operand: &Operand) -> Option<SmallVec<[ValueRef; 4]>> {
        let id = *self.pattern.value_ids.get(operand.name()?)?;
        match operand {
            Operand::One(_) | Operand::Each(_) => self.found.value(id, self.member).map(|v| smallvec![v]),
            Operand::First(_) => self.found.value(id, 0).map(|v| smallvec![v]),
            Operand::All(_) => match &self.found.values[id] {
                Binding::List(list) => Some(list.clone()),
                Binding::One(_) | Binding::Free | Binding::Absent => None,
            },
            Operand::Absent => None,
        }
    }

    /// A dimension. Axes below 0 count from the end, and one that is not there is 1, as in broadcasting.
    fn dim(&self, value: ValueRef, axis: i64) -> Option<Dim> {
        let shape = &self.graph.facts(value).ty.as_ref()?.shape;
        let from_end = axis < 0;
        let axis = if from_end { axis + shape.len() as i64 } else { axis };
        match usize::try_from(axis) {
            Ok(axis) => shape.get(axis).cloned(),
            Err(_) => from_end.then_some(Dim::Known(1)),
        }
    }

    /// The value of an expression; `None` if it has none here (unbound, unknown, inexact division, out of range).
    pub fn eval(&self, expr: &Expr) -> Option<Val> {
        match expr {
            Expr::Int(n) => Some(Val::Int(Dim::Known(*n))),
            Expr::Count => Some(Val::Int(Dim::Known(self.found.count(self.pattern) as i64))),
            Expr::Variable(name) => self.variable(name),
            Expr::Index(name, index) => {
                let at = self.int(index)?.known()?;
                match self.variable(name)? {
                    Val::List(list) => {
                        let at = if at < 0 { at + list.len() as i64 } else { at };
                        list.get(usize::try_from(at).ok()?).cloned().map(Val::Int)
                    }
                    Val::Int(_) | Val::Attr(_) => None,
                }
            }
            Expr::Dim(operand, axis) => {
                let axis = self.int(axis)?.known()?;
                let values = self.values(operand)?;
                match operand {
                    Operand::All(_) => values.iter().map(|v| self.dim(*v, axis)).collect::<Option<_>>().map(Val::List),
                    _ => self.dim(values[0], axis).map(Val::Int),
                }
            }
            Expr::Rank(operand) => {
                let value = *self.values(operand)?.first()?;
                Some(Val::Int(Dim::Known(self.graph.facts(value).ty.as_ref()?.rank() as i64)))
            }
            Expr::Binary(op, a, b) => zip(&self.eval(a)?, &self.eval(b)?, |a, b| arithmetic(*op, a, b)),
            Expr::List(items) => items.iter().map(|e| self.int(e)).collect::<Option<_>>().map(Val::List),
        }
    }

    fn int(&self, expr: &Expr) -> Option<Dim> {
        match self.eval(expr)? {
            Val::Int(d) => Some(d),
            Val::List(_) | Val::Attr(_) => None,
        }
    }

    fn variable(&self, name: &str) -> Option<Val> {
        let id = *self.pattern.var_ids.get(name)?;
        if let Some(attr) = self.found.var(id) {
            return Some(Val::of(attr));
        }
        let (_, expr) = self.pattern.rule.lets.iter().find(|(n, _)| n == name)?;
        self.eval(expr)
    }

    /// Whether a condition certainly holds for this member.
    pub fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Compare(comparison, a, b) => match (self.eval(a), self.eval(b)) {
                (Some(a), Some(b)) => compare(*comparison, &a, &b),
                _ => false,
            },
            Condition::Divides(a, b) => match (self.int(a), self.int(b)) {
                (Some(a), Some(b)) => divides(&a, &b),
                _ => false,
            },
            Condition::Constant(v) => self.values(v).is_some_and(|vs| vs.iter().all(|v| self.graph.is_constant(*v))),
            Condition::Broadcasts(v, w) => self.broadcasts(v, w).unwrap_or(false),
        }
    }

    fn broadcasts(&self, v: &Operand, w: &Operand) -> Option<bool> {
        let (v, w) = (*self.values(v)?.first()?, *self.values(w)?.first()?);
        let from = &self.graph.facts(v).ty.as_ref()?.shape;
        let to = &self.graph.facts(w).ty.as_ref()?.shape;
        let skip = to.len().checked_sub(from.len());
        Some(skip.is_some_and(|skip| from.iter().zip(&to[skip..]).all(|(a, b)| a == b || *a == Dim::Known(1))))
    }
}

/// Whether a condition speaks of a member of a group (`xs[i]`).
pub(super) fn is_per_member(condition: &Condition) -> bool {
    let each = |o: &Operand| matches!(o, Operand::Each(_));
    match condition {
        Condition::Compare(_, a, b) | Condition::Divides(a, b) => mentions_member(a) || mentions_member(b),
        Condition::Constant(v) => each(v),
        Condition::Broadcasts(v, w) => each(v) || each(w),
    }
}

fn mentions_member(expr: &Expr) -> bool {
    match expr {
        Expr::Int(_) | Expr::Variable(_) | Expr::Count => false,
        Expr::Index(_, e) => mentions_member(e),
        Expr::Dim(operand, e) => matches!(operand, Operand::Each(_)) || mentions_member(e),
        Expr::Rank(operand) => matches!(operand, Operand::Each(_)),
        Expr::Binary(_, a, b) => mentions_member(a) || mentions_member(b),
        Expr::List(items) => items.iter().any(mentions_member),
    }
}

fn divides(a: &Dim, b: &Dim) -> bool {
    match (a, b) {
        (Dim::Known(0), _) => false,
        (Dim::Known(a), Dim::Known(b)) => b % a == 0,
        _ => b.exact_div(a).is_some(),
    }
}

fn arithmetic(op: Arithmetic, a: &Dim, b: &Dim) -> Option<Dim> {
    match op {
        Arithmetic::Add => Some(a.add(b)),
        Arithmetic::Sub => Some(a.sub(b)),
        Arithmetic::Mul => Some(a.mul(b)),
        Arithmetic::Div => divides(b, a).then(|| a.floor_div(b)).flatten(),
        Arithmetic::Min => Some(a.minimum(b)),
        Arithmetic::Max => Some(a.maximum(b)),
    }
}

fn zip(a: &Val, b: &Val, f: impl Fn(&Dim, &Dim) -> Option<Dim>) -> Option<Val> {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => f(a, b).map(Val::Int),
        (Val::List(a), Val::List(b)) if a.len() == b.len() => {
            a.iter().zip(b).map(|(a, b)| f(a, b)).collect::<Option<_>>().map(Val::List)
        }
        (Val::List(a), Val::Int(b)) => a.iter().map(|a| f(a, b)).collect::<Option<_>>().map(Val::List),
        (Val::Int(a), Val::List(b)) => b.iter().map(|b| f(a, b)).collect::<Option<_>>().map(Val::List),
        _ => None,
    }
}

/// The order of two sizes where it is certain.
fn order(a: &Dim, b: &Dim) -> Option<Ordering> {
    match a.sub(b) {
        Dim::Known(d) => Some(d.cmp(&0)),
        Dim::Symbolic(_) => None,
    }
}

fn compare(comparison: Comparison, a: &Val, b: &Val) -> bool {
    let all = |f: &dyn Fn(Ordering) -> bool| match (a, b) {
        (Val::Int(a), Val::Int(b)) => order(a, b).is_some_and(f),
        (Val::List(a), Val::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| order(a, b).is_some_and(f)),
        (Val::List(list), Val::Int(d)) => list.iter().all(|e| order(e, d).is_some_and(f)),
        (Val::Int(d), Val::List(list)) => list.iter().all(|e| order(d, e).is_some_and(f)),
        _ => false,
    };
    match comparison {
        Comparison::Equal => match (a, b) {
            (Val::Attr(a), Val::Attr(b)) => a == b,
            _ => all(&Ordering::is_eq),
        },
        Comparison::NotEqual => match (a, b) {
            (Val::Attr(a), Val::Attr(b)) => a != b,
            (Val::List(a), Val::List(b)) => {
                a.len() != b.len() || a.iter().zip(b).any(|(a, b)| order(a, b).is_some_and(Ordering::is_ne))
            }
            _ => all(&Ordering::is_ne),
        },
        Comparison::Less => all(&Ordering::is_lt),
        Comparison::LessOrEqual => all(&Ordering::is_le),
    }
}
