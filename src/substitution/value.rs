//! Expressions and conditions on an instance, all of whose sizes are numbers.

use std::collections::BTreeMap;

use super::instance::known_shape;
use crate::graph::{Attr, Facts};
use crate::rewrite::{Arithmetic, AttrPattern, Comparison, Condition, Expr, Operand, Rule};

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
enum Val {
    Int(i64),
    List(Vec<i64>),
    Other(Attr),
}

/// What expressions speak of.
pub(super) struct Scope<'a> {
    pub members: usize,
    pub facts: &'a BTreeMap<String, Vec<Option<Facts>>>,
    pub variables: &'a BTreeMap<String, Attr>,
    pub rule: &'a Rule,
}

impl Scope<'_> {
    /// The value of an attribute for one member; `None` if it has none.
    pub fn attr(&self, pattern: &AttrPattern, member: usize) -> Option<Attr> {
        let value = match pattern {
            AttrPattern::Any => return None,
            AttrPattern::Literal(value) => return Some(value.clone()),
            AttrPattern::Variable(name) => self.variable(name, member)?,
            AttrPattern::Computed(expr) => self.eval(expr, member)?,
        };
        Some(match value {
            Val::Int(v) => Attr::Int(v),
            Val::List(v) => Attr::ints(&v),
            Val::Other(attr) => attr,
        })
    }

    /// Whether a condition holds, for every member.
    pub fn holds(&self, condition: &Condition) -> bool {
        (0..self.members.max(1)).all(|member| self.holds_for(condition, member).unwrap_or(false))
    }

    fn holds_for(&self, condition: &Condition, member: usize) -> Option<bool> {
        Some(match condition {
            Condition::Compare(comparison, a, b) => {
                compare(*comparison, &self.eval(a, member)?, &self.eval(b, member)?)?
            }
            Condition::Divides(a, b) => {
                let (a, b) = (self.int(a, member)?, self.int(b, member)?);
                a != 0 && b % a == 0
            }
            // Inputs that must be constant are constant in every instance.
            Condition::Constant(_) => true,
            Condition::Broadcasts(v, w) => {
                let (from, to) = (self.shape(v, member)?, self.shape(w, member)?);
                let skip = to.len().checked_sub(from.len())?;
                from.iter().zip(&to[skip..]).all(|(a, b)| a == b || *a == 1)
            }
        })
    }

    fn shape(&self, operand: &Operand, member: usize) -> Option<Vec<i64>> {
        let list = self.facts.get(operand.name()?)?;
        let facts = match operand {
            Operand::Each(_) => list.get(member)?,
            _ => list.first()?,
        };
        known_shape(facts.as_ref()?)
    }

    fn variable(&self, name: &str, member: usize) -> Option<Val> {
        match self.variables.get(name) {
            Some(Attr::Int(v)) => Some(Val::Int(*v)),
            Some(Attr::Ints(v)) => Some(Val::List(v.to_vec())),
            Some(other) => Some(Val::Other(other.clone())),
            None => {
                let (_, expr) = self.rule.lets.iter().find(|(n, _)| n == name)?;
                self.eval(expr, member)
            }
        }
    }

    fn int(&self, expr: &Expr, member: usize) -> Option<i64> {
        match self.eval(expr, member)? {
            Val::Int(v) => Some(v),
            Val::List(_) | Val::Other(_) => None,
        }
    }

    fn eval(&self, expr: &Expr, member: usize) -> Option<Val> {
        Some(match expr {
            Expr::Int(v) => Val::Int(*v),
            Expr::Count => Val::Int(self.members as i64),
            Expr::Variable(name) => self.variable(name, member)?,
            Expr::Index(name, index) => match self.variable(name, member)? {
                Val::List(list) => Val::Int(*list.get(usize::try_from(self.int(index, member)?).ok()?)?),
                Val::Int(_) | Val::Other(_) => return None,
            },
            Expr::Dim(Operand::All(name), axis) => {
                let axis = self.int(axis, member)?;
                let shapes = self.facts.get(name)?.iter().map(|f| dim(&known_shape(f.as_ref()?)?, axis));
                Val::List(shapes.collect::<Option<_>>()?)
            }
            Expr::Dim(value, axis) => Val::Int(dim(&self.shape(value, member)?, self.int(axis, member)?)?),
            Expr::Rank(value) => Val::Int(self.shape(value, member)?.len() as i64),
            Expr::Binary(op, a, b) => match (self.eval(a, member)?, self.eval(b, member)?) {
                (Val::Int(a), Val::Int(b)) => Val::Int(arithmetic(*op, a, b)?),
                (Val::List(a), Val::Int(b)) => {
                    Val::List(a.iter().map(|&a| arithmetic(*op, a, b)).collect::<Option<_>>()?)
                }
                (Val::Int(a), Val::List(b)) => {
                    Val::List(b.iter().map(|&b| arithmetic(*op, a, b)).collect::<Option<_>>()?)
                }
                (Val::List(a), Val::List(b)) if a.len() == b.len() => {
                    Val::List(a.iter().zip(&b).map(|(&a, &b)| arithmetic(*op, a, b)).collect::<Option<_>>()?)
                }
                _ => return None,
            },
            Expr::List(items) => Val::List(items.iter().map(|e| self.int(e, member)).collect::<Option<_>>()?),
        })
    }
}

/// A dimension. Axes below 0 count from the end, and one that is not there is 1, as in broadcasting.
fn dim(shape: &[i64], axis: i64) -> Option<i64> {
    if axis >= 0 {
        return shape.get(usize::try_from(axis).ok()?).copied();
    }
    let back = usize::try_from(-axis).ok()?;
    Some(shape.len().checked_sub(back).map_or(1, |at| shape[at]))
}

fn arithmetic(op: Arithmetic, a: i64, b: i64) -> Option<i64> {
    match op {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Sub => a.checked_sub(b),
        Arithmetic::Mul => a.checked_mul(b),
        Arithmetic::Div => (b != 0 && a % b == 0).then(|| a / b),
        Arithmetic::Min => Some(a.min(b)),
        Arithmetic::Max => Some(a.max(b)),
    }
}

fn compare(comparison: Comparison, a: &Val, b: &Val) -> Option<bool> {
    let holds = |a: i64, b: i64| match comparison {
        Comparison::Equal => a == b,
        Comparison::NotEqual => a != b,
        Comparison::Less => a < b,
        Comparison::LessOrEqual => a <= b,
    };
    Some(match (a, b) {
        (Val::Int(a), Val::Int(b)) => holds(*a, *b),
        (Val::List(a), Val::Int(b)) => a.iter().all(|&a| holds(a, *b)),
        (Val::Int(a), Val::List(b)) => b.iter().all(|&b| holds(*a, b)),
        (Val::List(a), Val::List(b)) if comparison == Comparison::NotEqual => a != b,
        (Val::List(a), Val::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| holds(a, b)),
        (Val::Other(a), Val::Other(b)) => match comparison {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Less | Comparison::LessOrEqual => return None,
        },
        _ => return None,
    })
}
