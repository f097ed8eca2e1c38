//! Conditions of axioms, discharged on symbolic sizes. A condition holds only where that is certain.

use super::axes;
use super::class::Class;
use super::effects;
use super::pattern::Binding;
use super::read::split_top;
use super::shape;
use super::term::{Head, SymVal, World};
use crate::graph::{Dim, OpKind};
use crate::rewrite::{Condition, Expr};
use crate::substitution::expr::{parse_condition, parse_expr};

/// A condition of an axiom: one of the rule language, or one that it lacks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Side {
    Rule(Condition),
    /// `@same(x, y)`: the shapes are the same.
    Same(String, String),
    /// `@aligned(c, e)`: the list is the shape of c, up to ones in front.
    Aligned(String, Expr),
    /// `@length(?p, e)`: the list has this length.
    Length(String, Expr),
    /// `@shorter(?t, a)`: the list is no longer than the rank of a.
    Shorter(String, String),
    /// `@column(?t)`: a list of ones, but for its first entry, which is 1 or more.
    Column(String),
    /// `@granted(y)`: y is a term of the rule's source or target, hence has a value.
    Granted(String),
    /// `@identity(?p)`: the list counts from 0.
    Identity(String),
    /// `@swaps(?p)`: the list counts from 0, with its last two exchanged.
    Swaps(String),
    /// `@positive(e)`: all entries are 1 or more.
    Positive(Expr),
    /// `@extent(x, a, e)`: the size of x along axis a.
    Extent(String, Expr, Expr),
    /// `@alike(x, y, a)`: the shapes are the same but for their sizes along axis a.
    Alike(String, String, Expr),
    /// `@elements(x, ?s)`: all entries of the list are 1 or more, and x has as many elements as their product.
    Elements(String, String),
    /// `@is($l, MatMul)`: the operator is this one.
    Is(String, OpKind),
    /// `@centred(?p, ?k, ?d)`: pads that a kernel with these dilations reaches as far on each side, from its middle.
    Centred(String, String, String),
    /// `@wider(?a, ?b)`: every value of the first element type is one of the second.
    Wider(String, String),
    /// `@only($v, group)`, `@zero($l, transA)`: the attribute is 1, or 0.
    Attribute(String, String, i64),
    /// `@absorbs($u, $w)`: the first maps every value of the second to itself.
    Absorbs(String, String),
    /// `@undoes($r, $s)`: one adds the axes that the other drops.
    Undoes(String, String),
    /// `@even($a, $c)`: the average counts no padding, or the operation keeps zeros.
    Even(String, String),
    /// `@ordered($k)`: the operator keeps elements and their order where it keeps the shape.
    Ordered(String),
    /// `@nothing($k, x)`: by its attributes the operator gives back x.
    Nothing(String, String),
    /// `@in-order($k, x)`: what the operator gives has the elements of x in their order.
    InOrder(String, String),
    /// `@sure($r, x)`: a Reshape of x to sizes that are 1 or more, and as many elements.
    Sure(String, String),
    /// `@part($d, c, ?a, x)`: the operator takes x from c along axis a, `@part($d, c, ?a, y, x)`: what follows on x.
    Part(String, String, Expr, String, Option<String>),
    /// `@along($d, a)`: the operator takes a part along axis a.
    Along(String, Expr),
    /// `@picks($k)`: the operator takes single places.
    Picks(String),
    /// `@elementwise($f)`, `@moves($n)`, `@linear($n)`: the operator is of this class.
    Of(String, Class),
    /// `@across($h, a, x, u)`: the operator joins x and u along an axis other than a.
    Across(String, Expr, String, String),
    /// `@rows($n, x, t)`: the movement from x to t keeps rows along the last axis.
    Rows(String, String, String),
    /// `@leading(m, x)`: the movement leaves the last axis of x alone.
    Leading(String, String),
    /// `@batch(l, x, w, a)`: the operator treats what x has at each place along axis a by itself.
    Batch(String, String, String, Expr),
}
/// Whether a side condition certainly holds under a binding.
pub(crate) fn holds(world: &World, side: &Side, binding: &Binding) -> bool {
    let scope = binding.scope(world);
    let shape = |name: &str| binding.terms.get(name).map(|id| world.shape(*id));
    let operator = |name: &str| binding.heads.get(name).and_then(Head::application);
    let list = |name: &str| match scope.variable(name) {
        Some(SymVal::List(list)) => Some(list),
        _ => None,
    };
    let counts = |list: Vec<Dim>, expected: &dyn Fn(usize, usize) -> usize| {
        let rank = list.len();
        list.iter().enumerate().all(|(i, d)| *d == Dim::Known(expected(i, rank) as i64))
    };
    let certainly = match side {
        Side::Rule(condition) => Some(scope.holds(condition)),
        Side::Same(a, b) => shape(a).zip(shape(b)).map(|(a, b)| shape::same(a, b, &world.facts)),
        Side::Aligned(c, t) => {
            let t = scope.eval(t).and_then(|t| t.list().map(<[Dim]>::to_vec));
            shape(c).zip(t).map(|(c, t)| aligned(world, c, &t))
        }
        Side::Length(p, e) => list(p).zip(scope.int(e)).map(|(p, length)| length == Dim::Known(p.len() as i64)),
        Side::Shorter(t, a) => {
            list(t).zip(shape(a)).map(|(t, a)| world.facts.is_at_least_zero(&a.rank().sub(&Dim::Known(t.len() as i64))))
        }
        Side::Column(t) => list(t).map(|t| {
            let positive = |d: &Dim| world.facts.is_at_least_zero(&d.sub(&Dim::Known(1)));
            t.first().is_some_and(positive) && t[1..].iter().all(|d| *d == Dim::Known(1))
        }),
        Side::Granted(y) => binding.terms.get(y).map(|id| world.is_granted(*id)),
        Side::Identity(p) => list(p).map(|p| counts(p, &|i, _| i)),
        Side::Swaps(p) => list(p).map(|p| {
            p.len() >= 2
                && counts(p, &|i, rank| match rank - i {
                    1 => rank - 2,
                    2 => rank - 1,
                    _ => i,
                })
        }),
        Side::Positive(expr) => scope.eval(expr).map(|value| {
            let positive = |d: &Dim| world.facts.is_at_least_zero(&d.sub(&Dim::Known(1)));
            match &value {
                SymVal::List(list) => list.iter().all(positive),
                SymVal::Num(d) => positive(d),
                SymVal::Fixed(_) | SymVal::Opaque(_) => false,
            }
        }),
        Side::Extent(x, axis, size) => {
            let extent = |(x, axis): (&shape::Shape, Dim)| shape::extent(x, &axis, &world.facts);
            shape(x).zip(scope.int(axis)).and_then(extent).zip(scope.int(size)).map(|(a, b)| a == b)
        }
        Side::Alike(x, y, axis) => shape(x).zip(shape(y)).zip(scope.int(axis)).map(|((x, y), axis)| {
            let plain = |x| shape::with_size(x, &axis, Dim::Known(1), &world.facts);
            plain(x).zip(plain(y)).is_some_and(|(x, y)| shape::same(&x, &y, &world.facts))
        }),
        Side::Elements(x, s) => shape(x).zip(list(s)).map(|(x, s)| fits(world, x, &s)),
        Side::Sure(r, x) => operator(r)
            .zip(shape(x))
            .map(|(r, x)| r.kind == OpKind::Reshape && r.list("shape").is_some_and(|list| fits(world, x, list))),
        Side::Is(l, kind) => operator(l).map(|a| a.kind == *kind),
        Side::Centred(p, k, d) => list(p).zip(list(k)).zip(list(d)).map(|((p, k), d)| {
            let two = Dim::Known(2);
            let reach = |i: usize| {
                let side = k.get(i)?.sub(&Dim::Known(1));
                if !world.facts.is_exact(&side, &two) {
                    return None;
                }
                Some(side.floor_div(&two)?.mul(d.get(i)?))
            };
            d.len() == k.len()
                && p.len() == 2 * k.len()
                && p.iter().enumerate().all(|(i, pad)| reach(i % k.len()).is_some_and(|r| r == *pad))
        }),
        Side::Wider(a, b) => {
            let number = |name: &String| scope.variable(name)?.num()?.known();
            number(a).zip(number(b)).map(|(a, b)| axes::holds_all(a, b))
        }
        Side::Attribute(v, attr, wanted) => operator(v).and_then(|a| a.int(attr)).map(|value| value == *wanted),
        Side::Absorbs(u, w) => operator(u).zip(operator(w)).map(|(u, w)| effects::absorbs(u, w)),
        Side::Undoes(r, s) => operator(r).zip(operator(s)).map(|(r, s)| effects::undoes(r, s)),
        Side::Even(a, c) => operator(a).zip(operator(c)).map(|(a, c)| effects::is_even(a, c)),
        Side::Ordered(k) => operator(k).map(|k| effects::is_ordered(k, &world.facts)),
        Side::InOrder(k, x) => operator(k).zip(shape(x)).map(|(k, x)| effects::is_in_order(k, x, &world.facts)),
        Side::Part(d, whole, axis, own, before) => {
            let extent = |name: &String| shape::extent(shape(name)?, &scope.int(axis)?, &world.facts);
            let part = operator(d).and_then(|d| axes::part(d)).zip(scope.int(axis));
            part.and_then(|(part, axis)| {
                let from = before.as_ref().map_or(Some(Dim::Known(0)), extent)?;
                let whole = part.whole.is_none_or(|all| extent(whole).is_some_and(|whole| whole == all));
                Some(part.axis == axis && part.from == from && part.to == from.add(&extent(own)?) && whole)
            })
        }
        Side::Along(d, axis) => {
            operator(d).and_then(|d| axes::part(d)).zip(scope.int(axis)).map(|(part, axis)| part.axis == axis)
        }
        Side::Picks(k) => operator(k).map(|k| effects::picks(k)),
        Side::Of(f, class) => operator(f).map(|f| class.includes(f)),
        Side::Across(h, a, x, u) => {
            let joint = operator(h).filter(|h| h.kind == OpKind::Concat).and_then(|h| h.num("axis"));
            joint.zip(scope.int(a)).zip(shape(x).zip(shape(u))).map(|((axis, a), (x, u))| {
                let plain = |x| shape::with_size(x, axis, Dim::Known(1), &world.facts);
                let alike = plain(x).zip(plain(u)).is_some_and(|(x, u)| shape::same(&x, &u, &world.facts));
                alike && world.facts.is_at_least_zero(&a) && world.facts.is_not_zero(&a.sub(axis))
            })
        }
        Side::Rows(n, x, t) => {
            operator(n).zip(shape(x)).zip(shape(t)).map(|((n, x), t)| axes::keeps_rows(n, x, t, &world.facts))
        }
        Side::Nothing(k, x) => operator(k).zip(shape(x)).map(|(k, x)| effects::does_nothing(k, x, &world.facts)),
        Side::Leading(m, x) => {
            let movement = operator(m);
            movement.zip(shape(x)).map(|(m, x)| axes::is_leading(m, x, &world.facts))
        }
        Side::Batch(l, x, w, axis) => {
            let operands = operator(l).zip(shape(x)).zip(shape(w)).zip(scope.int(axis));
            operands.map(|(((l, x), w), axis)| axes::is_batch(l, x, w, &axis, &world.facts))
        }
    };
    certainly.unwrap_or(false)
}

/// Whether all entries of a list are 1 or more, and a value has as many elements as their product.
fn fits(world: &World, x: &shape::Shape, list: &[Dim]) -> bool {
    let product = |dims: &[Dim]| dims.iter().fold(Dim::Known(1), |p, d| p.mul(d));
    let positive = |d: &Dim| world.facts.is_at_least_zero(&d.sub(&Dim::Known(1)));
    list.iter().all(positive) && x.dims().is_some_and(|dims| product(dims) == product(list))
}

/// The shape of c has at most `rank` dimensions, and a list is that shape up to ones in front.
fn aligned(world: &World, c: &shape::Shape, list: &[Dim]) -> bool {
    let facts = &world.facts;
    // Looks at as many dimensions as c can have: a bound on its rank is needed where that is not known.
    let longest = c
        .known_rank()
        .or_else(|| (0..=8).find(|n| facts.is_at_least_zero(&Dim::Known(*n).sub(&c.rank()))).map(|n| n as usize));
    let bounded = longest.or_else(|| {
        let ranks = facts.known_broadcasts().filter(|(from, _)| from == c).filter_map(|(_, to)| to.known_rank());
        ranks.min()
    });
    let Some(longest) = bounded else { return false };
    (1..=longest.max(list.len())).all(|k| {
        let entry = list.len().checked_sub(k).map_or(Dim::Known(1), |at| list[at].clone());
        c.counted_from_end(k, facts) == entry
    })
}

/// Reads a side condition.
pub(crate) fn parse_side(text: &str) -> Result<Side, String> {
    let text = text.trim();
    let Some(call) = text.strip_prefix('@') else {
        return parse_condition(text).map(Side::Rule).map_err(|e| e.to_string());
    };
    let (name, args) = call.strip_suffix(')').and_then(|c| c.split_once('(')).ok_or("expected @name(…)")?;
    let args: Vec<String> = split_top(args).into_iter().map(str::to_owned).collect();
    let variable = |i: usize| -> Result<String, String> {
        let name: &String = args.get(i).ok_or("too few arguments")?;
        Ok(name.trim_start_matches(['?', '$']).to_owned())
    };
    let expr = |i: usize| -> Result<Expr, String> {
        parse_expr(args.get(i).ok_or("too few arguments")?).map_err(|e| e.to_string())
    };
    Ok(match name {
        "same" => Side::Same(variable(0)?, variable(1)?),
        "aligned" => Side::Aligned(variable(0)?, expr(1)?),
        "length" => Side::Length(variable(0)?, expr(1)?),
        "shorter" => Side::Shorter(variable(0)?, variable(1)?),
        "column" => Side::Column(variable(0)?),
        "granted" => Side::Granted(variable(0)?),
        "identity" => Side::Identity(variable(0)?),
        "swaps" => Side::Swaps(variable(0)?),
        "positive" => Side::Positive(expr(0)?),
        "extent" => Side::Extent(variable(0)?, expr(1)?, expr(2)?),
        "alike" => Side::Alike(variable(0)?, variable(1)?, expr(2)?),
        "elements" => Side::Elements(variable(0)?, variable(1)?),
        "is" => {
            let kind = args.get(1).and_then(|name| OpKind::from_name(name)).ok_or("expected an operator")?;
            Side::Is(variable(0)?, kind)
        }
        "centred" => Side::Centred(variable(0)?, variable(1)?, variable(2)?),
        "wider" => Side::Wider(variable(0)?, variable(1)?),
        "only" => Side::Attribute(variable(0)?, variable(1)?, 1),
        "zero" => Side::Attribute(variable(0)?, variable(1)?, 0),
        "absorbs" => Side::Absorbs(variable(0)?, variable(1)?),
        "undoes" => Side::Undoes(variable(0)?, variable(1)?),
        "even" => Side::Even(variable(0)?, variable(1)?),
        "ordered" => Side::Ordered(variable(0)?),
        "nothing" => Side::Nothing(variable(0)?, variable(1)?),
        "in-order" => Side::InOrder(variable(0)?, variable(1)?),
        "part" => Side::Part(variable(0)?, variable(1)?, expr(2)?, variable(3)?, variable(4).ok()),
        "along" => Side::Along(variable(0)?, expr(1)?),
        "sure" => Side::Sure(variable(0)?, variable(1)?),
        "picks" => Side::Picks(variable(0)?),
        "elementwise" => Side::Of(variable(0)?, Class::Broadcasting),
        "moves" => Side::Of(variable(0)?, Class::Movement),
        "linear" => Side::Of(variable(0)?, Class::Linear),
        "across" => Side::Across(variable(0)?, expr(1)?, variable(2)?, variable(3)?),
        "pointwise" => Side::Of(variable(0)?, Class::Pointwise),
        "planes" => Side::Of(variable(0)?, Class::Planes),
        "rows" => Side::Rows(variable(0)?, variable(1)?, variable(2)?),
        "leading" => Side::Leading(variable(0)?, variable(1)?),
        "batch" => Side::Batch(variable(0)?, variable(1)?, variable(2)?, expr(3)?),
        _ => return Err(format!("unknown condition @{name}")),
    })
}
