//! Functions of attributes that the rule language lacks, for the sides of axioms.

use super::axes::{self, Axis};
use super::pattern::Binding;
use super::term::{Head, SymVal, World, dim_text};
use crate::graph::Dim;
use crate::substitution::expr::parse_expr;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// `@compose(?p, ?q)`: the list of `?p[?q[i]]`.
    Compose,
    /// `@dims(x)`: the dimensions of a value.
    Dims,
    /// `@column(e, k)`: e followed by k ones.
    Column,
    /// `@headed(?t, e)`: the list with e as its first entry.
    Headed,
    /// `@joined(?s, ?t)`: two lists that differ in their first entries, with the sum of these.
    Joined,
    /// `@span(a, b)`: the integers from a to before b.
    Span,
    /// `@in-groups(w, ?g)`: the shape of a kernel with its first axis split into groups.
    InGroups,
    /// `@by-group(w, ?g)`: the shape of one value for each group and place along the kernel's second axis.
    ByGroup,
    /// `@from($d)`, `@to($d)`: where a part begins and ends along its axis, as lists of one entry.
    From,
    To,
    /// `@faster($k, ?s)`: strides of one window after another.
    Faster,
    /// `@inner-left($l, x)`, `@inner-right($l, x)`: the axes that the operator sums along, of each operand.
    Axis(Axis),
}

impl Function {
    /// The function of this name, with the number of its arguments.
    pub fn of(name: &str) -> Option<(Function, usize)> {
        Some(match name {
            "compose" => (Function::Compose, 2),
            "dims" => (Function::Dims, 1),
            "column" => (Function::Column, 2),
            "headed" => (Function::Headed, 2),
            "joined" => (Function::Joined, 2),
            "span" => (Function::Span, 2),
            "in-groups" => (Function::InGroups, 2),
            "by-group" => (Function::ByGroup, 2),
            "from" => (Function::From, 1),
            "to" => (Function::To, 1),
            "faster" => (Function::Faster, 2),
            "inner-left" => (Function::Axis(Axis::InnerLeft), 2),
            "inner-right" => (Function::Axis(Axis::InnerRight), 2),
            "outer-right" => (Function::Axis(Axis::OuterRight), 2),
            "outer" => (Function::Axis(Axis::Outer), 2),
            _ => return None,
        })
    }

    /// The value under a binding, if it has one.
    pub fn value(self, world: &World, args: &[String], binding: &Binding) -> Option<SymVal> {
        let scope = binding.scope(world);
        let variable = |at: usize| scope.variable(args.get(at)?.strip_prefix('?')?);
        let int = |at: usize| scope.int(&parse_expr(args.get(at)?).ok()?);
        let shape = |at: usize| Some(world.shape(*binding.terms.get(args.get(at)?)?));
        let operator = |at: usize| binding.heads.get(args.get(at)?.strip_prefix('$')?).and_then(Head::application);
        let one = Dim::Known(1);
        match self {
            Function::From => axes::part(operator(0)?).map(|part| SymVal::List(vec![part.from])),
            Function::To => axes::part(operator(0)?).map(|part| SymVal::List(vec![part.to])),
            Function::Faster => {
                let (first, then) = (operator(0)?.list("strides")?, variable(1)?);
                let pairs = first.iter().zip(then.list()?);
                (first.len() == then.list()?.len()).then(|| SymVal::List(pairs.map(|(a, b)| a.mul(b)).collect()))
            }
            Function::Compose => compose(&variable(0)?, &variable(1)?),
            Function::Joined => {
                let (mut s, t) = (variable(0)?.list()?.to_vec(), variable(1)?.list()?.to_vec());
                let same = s.len() == t.len() && s.iter().zip(&t).skip(1).all(|(a, b)| a == b);
                let first = s.first_mut().filter(|_| same)?;
                *first = first.add(t.first()?);
                Some(SymVal::List(s))
            }
            Function::Headed => {
                let mut list = variable(0)?.list()?.to_vec();
                *list.first_mut()? = int(1)?;
                Some(SymVal::List(list))
            }
            Function::Dims => Some(SymVal::List(shape(0)?.dims()?.to_vec())),
            Function::Column => {
                let (first, ones) = (int(0)?, int(1)?);
                let Some(ones) = ones.known() else {
                    return Some(SymVal::Opaque(format!("@column({}, {})", dim_text(&first), dim_text(&ones))));
                };
                let ones = std::iter::repeat_n(one, usize::try_from(ones).ok()?);
                Some(SymVal::List(std::iter::once(first).chain(ones).collect()))
            }
            Function::Span => {
                let (from, to) = (int(0)?.known()?, int(1)?.known()?);
                Some(SymVal::List((from..to).map(Dim::Known).collect()))
            }
            Function::InGroups => {
                let (dims, group) = (shape(0)?.dims()?, variable(1)?.num()?.clone());
                let (first, rest) = dims.split_first()?;
                let size = first.exact_div(&group).or_else(|| first.floor_div(&group))?;
                Some(SymVal::List([group, size].into_iter().chain(rest.iter().cloned()).collect()))
            }
            Function::ByGroup => {
                let (dims, group) = (shape(0)?.dims()?, variable(1)?.num()?.clone());
                let ones = std::iter::repeat_n(one.clone(), dims.len().checked_sub(2)?);
                Some(SymVal::List([group, one, dims[1].clone()].into_iter().chain(ones).collect()))
            }
            Function::Axis(axis) => axes::axis(operator(0)?, axis, shape(1)?).map(SymVal::Num),
        }
    }
}

fn compose(p: &SymVal, q: &SymVal) -> Option<SymVal> {
    match (p, q) {
        (SymVal::List(p_list), SymVal::List(q_list)) if p_list.len() != q_list.len() => None,
        (SymVal::List(p_list), SymVal::List(q_list)) => {
            let entry = |at: &Dim| match at.known().and_then(|at| usize::try_from(at).ok()) {
                Some(at) => p_list.get(at).cloned(),
                None => Some(Dim::symbol(&format!("{p}[{}]", dim_text(at)))),
            };
            q_list.iter().map(entry).collect::<Option<_>>().map(SymVal::List)
        }
        _ => Some(SymVal::Opaque(format!("@compose({p}, {q})"))),
    }
}
