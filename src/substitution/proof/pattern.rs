//! Terms with variables, read from text: the two sides of axioms, and the terms that a proof names.
//!
//! `Conv(x, Add(w, v)){strides=?s, pads=?p}` applies operators to values; `Split#0/2(x){…}` is the first of two results;
//! `y:Relu(x)` names a term so that attributes and conditions can speak of it; `$u(x)` stands for any operator of a class.
//! An attribute is `?a`, a literal, an expression of the rule language, or a function of lists: `@compose(?p, ?q)`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::axes;
use super::eval::Scope;
use super::group::{Form, Member};
use super::shape;
use super::term::{Application, Head, SymVal, TermId, World, dim_text};
use crate::graph::{Attr, Dim, OpKind};
use crate::ops;
use crate::rewrite::{Condition, Expr};
use crate::substitution::expr::{parse_condition, parse_expr};

/// A term with variables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pattern {
    /// Any term; equal names are equal terms.
    Var(String),
    /// An application.
    Apply(Box<Apply>),
}

/// An application in a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Apply {
    /// What expressions call this term.
    pub label: Option<String>,
    pub op: PatternOp,
    /// Of what the operator is applied to; axioms speak of single values.
    pub over: Over,
    /// In order of name, those not mentioned at their default.
    pub attrs: Vec<(&'static str, AttrValue)>,
    /// Which result, of how many.
    pub slot: (usize, usize),
    pub args: Vec<Pattern>,
}

/// An operator in a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PatternOp {
    Kind(OpKind),
    /// Any operator of a class, attributes included; equal names are equal operators.
    Class(Class, String),
}

/// What an operator is applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Single values.
    Values,
    /// `each Relu(xs[i])`: the members of lists.
    Each,
    /// `parts Split(x)`: one value, and its results are a list.
    Parts,
    /// `all Concat(xs[i])`: all members of one list.
    All,
}

impl Over {
    fn of(name: &str) -> Option<Over> {
        [("each", Over::Each), ("parts", Over::Parts), ("all", Over::All)]
            .into_iter()
            .find(|(n, _)| *n == name)
            .map(|(_, o)| o)
    }

    fn head(self) -> fn(Arc<Application>) -> Head {
        match self {
            Over::Values => Head::Apply,
            Over::Each => Head::Each,
            Over::Parts => Head::Parts,
            Over::All => Head::All,
        }
    }

    /// Whether operands are lists and values where they should be.
    fn suits(self, world: &World, args: &[TermId]) -> bool {
        let lists = args.iter().filter(|arg| world.is_list(**arg)).count();
        match self {
            Over::Values | Over::Parts => lists == 0,
            Over::Each => lists >= 1,
            Over::All => lists == 1 && args.len() == 1,
        }
    }
}

/// Classes of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `$u`: maps each element by itself.
    Pointwise,
    /// `$b`: combines two tensors element by element, with broadcasting.
    Broadcasting,
    /// `$m`: moves or drops elements of one tensor, and makes none.
    Movement,
    /// `$r`: keeps elements and their order.
    Reshaping,
    /// `$k`: keeps elements and their order where it keeps the shape.
    Keeping,
    /// `$n`: maps each element to one that is 0 or more.
    Nonnegative,
    /// `$f`: maps each element that is 0 or more to itself.
    FixesNonnegative,
    /// `$i`: maps each element to one that it maps to itself.
    Idempotent,
    /// `$c`: combines two tensors element by element, in any order and grouping.
    Commutative,
    /// `$l`: linear in each of its two operands.
    Bilinear,
    /// `$p`: linear in its operand.
    Linear,
}

impl Class {
    pub fn of(name: &str) -> Option<Class> {
        Some(match name.chars().next()? {
            'u' => Class::Pointwise,
            'b' => Class::Broadcasting,
            'm' => Class::Movement,
            'r' => Class::Reshaping,
            'k' => Class::Keeping,
            'f' => Class::FixesNonnegative,
            'n' => Class::Nonnegative,
            'i' => Class::Idempotent,
            'c' => Class::Commutative,
            'l' => Class::Bilinear,
            'p' => Class::Linear,
            _ => return None,
        })
    }

    /// How many operands the class speaks of. An operator may have more: they belong to it, as the index of a Gather.
    pub fn operands(self) -> usize {
        match self {
            Class::Broadcasting | Class::Commutative | Class::Bilinear => 2,
            Class::Pointwise
            | Class::Movement
            | Class::Reshaping
            | Class::Keeping
            | Class::Nonnegative
            | Class::FixesNonnegative
            | Class::Idempotent
            | Class::Linear => 1,
        }
    }

    /// Whether an operator belongs to the class.
    pub fn has(self, kind: OpKind) -> bool {
        use OpKind::*;
        match self {
            // A cast is not a function of the element over the reals alone.
            Class::Pointwise => shape::is_pointwise_unary(kind) && kind != Cast,
            Class::Broadcasting => matches!(kind, Add | Sub | Mul | Div | Pow),
            Class::Movement => {
                matches!(
                    kind,
                    Transpose | Reshape | Flatten | Squeeze | Unsqueeze | Slice | Split | Expand | Tile | Gather
                )
            }
            Class::Reshaping => matches!(kind, Reshape | Flatten | Squeeze | Unsqueeze),
            Class::Keeping => matches!(kind, Reshape | Flatten | Squeeze | Unsqueeze | Expand),
            Class::Nonnegative => matches!(kind, Relu | Sigmoid | Exp | Softplus | Abs | Sqrt),
            Class::FixesNonnegative => matches!(kind, Relu | Abs),
            Class::Idempotent => matches!(kind, Floor | Ceil | Round | Sign | Clip),
            Class::Commutative => matches!(kind, Add | Mul),
            Class::Bilinear => matches!(kind, MatMul | Gemm | Conv | ConvTranspose | Einsum),
            Class::Linear => matches!(kind, GlobalAveragePool | AveragePool | ReduceSum | ReduceMean),
        }
    }
}

/// A value of an attribute in a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttrValue {
    Variable(String),
    Literal(SymVal),
    Computed(Expr),
    /// A function of lists.
    Function(Function, Vec<String>),
}

/// Functions that the rule language lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// `@compose(?p, ?q)`: the list of `?p[?q[i]]`.
    Compose,
    /// `@dims(x)`: the dimensions of a value.
    Dims,
    /// `@column(e, k)`: e followed by k ones.
    Column,
    /// `@joined(?s, ?t)`: two lists that differ in their first entries, with the sum of these.
    Joined,
}

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
    /// `@leading(m, x)`: the movement leaves the last axis of x alone.
    Leading(String, String),
    /// `@batch(l, x, w, a)`: the operator treats what x has at each place along axis a by itself.
    Batch(String, String, String, Expr),
}

/// What variables stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Binding {
    pub terms: BTreeMap<String, TermId>,
    pub vars: BTreeMap<String, SymVal>,
    pub heads: BTreeMap<String, Head>,
    /// How lists are written out, in a rule.
    pub form: Form,
}

impl Binding {
    pub fn scope<'a>(&'a self, world: &'a World) -> Scope<'a> {
        // A proof calls the number of the first members n.
        let form = if self.form == Form::Next { Form::First } else { self.form };
        let member = Member::Any;
        Scope { world, terms: &self.terms, vars: &self.vars, lets: &[], exact: false, form, member }
    }
}

/// Matches a pattern against a term, adding to the binding. On failure the binding is left in part.
///
/// Attributes that are computed must be computable from what is bound when they are met, or are checked by whoever
/// instantiates the pattern afterwards.
pub(crate) fn matches(world: &World, pattern: &Pattern, term: TermId, binding: &mut Binding) -> bool {
    let apply = match pattern {
        Pattern::Var(name) => return *binding.terms.entry(name.clone()).or_insert(term) == term,
        Pattern::Apply(apply) => apply,
    };
    let Head::Apply(application) = world.head(term) else { return false };
    let args = world.args(term);
    let own = own_operand(apply, application);
    if args.len() != apply.args.len() + usize::from(own.is_some()) || !match_head(apply, application, binding) {
        return false;
    }
    if let Some(label) = &apply.label {
        binding.terms.insert(label.clone(), term);
    }
    if let (Some(name), Some(&last)) = (own, args.last())
        && *binding.terms.entry(name).or_insert(last) != last
    {
        return false;
    }
    apply.args.iter().zip(args).all(|(p, arg)| matches(world, p, *arg, binding))
}

/// The name of the operand that an operator of a class has for itself.
pub(crate) fn own_operand(apply: &Apply, application: &Application) -> Option<String> {
    match &apply.op {
        PatternOp::Class(_, name) if application.kind == OpKind::Gather => Some(format!("${name}")),
        PatternOp::Class(..) | PatternOp::Kind(_) => None,
    }
}

/// Matches operator and attributes alone.
pub(crate) fn match_head(apply: &Apply, application: &Arc<Application>, binding: &mut Binding) -> bool {
    match &apply.op {
        PatternOp::Class(class, name) => {
            let head = Head::Apply(application.clone());
            class.has(application.kind) && *binding.heads.entry(name.clone()).or_insert(head.clone()) == head
        }
        PatternOp::Kind(kind) => {
            if *kind != application.kind
                || apply.slot != (application.slot, application.slots)
                || apply.attrs.len() != application.attrs.len()
            {
                return false;
            }
            apply.attrs.iter().zip(&application.attrs).all(|((name, pattern), (given, value))| {
                name == given
                    && match pattern {
                        AttrValue::Literal(literal) => literal == value,
                        AttrValue::Variable(variable) => {
                            *binding.vars.entry(variable.clone()).or_insert(value.clone()) == *value
                        }
                        AttrValue::Computed(_) | AttrValue::Function(..) => true,
                    }
            })
        }
    }
}

/// The term that a pattern is under a binding; labels are bound on the way. `None`: something is not bound, or has no
/// value.
pub(crate) fn instantiate(world: &mut World, pattern: &Pattern, binding: &mut Binding) -> Option<TermId> {
    let apply = match pattern {
        Pattern::Var(name) => return binding.terms.get(name).copied(),
        Pattern::Apply(apply) => apply,
    };
    let mut args = Vec::with_capacity(apply.args.len());
    for arg in &apply.args {
        args.push(instantiate(world, arg, binding)?);
    }
    if !apply.over.suits(world, &args) {
        return None;
    }
    let term = match &apply.op {
        PatternOp::Class(_, name) => {
            let head = binding.heads.get(name)?.clone();
            if let Some(own) = head.application().and_then(|a| own_operand(apply, a)) {
                args.push(*binding.terms.get(&own)?);
            }
            world.apply_head(&head, args, None)
        }
        PatternOp::Kind(kind) => {
            let mut attrs = Vec::with_capacity(apply.attrs.len());
            for (name, value) in &apply.attrs {
                attrs.push((*name, attr_value(world, value, binding)?));
            }
            world.apply_as(apply.over.head(), *kind, attrs, apply.slot, args, None)
        }
    };
    if let Some(label) = &apply.label {
        binding.terms.insert(label.clone(), term);
    }
    Some(term)
}

pub(crate) fn attr_value(world: &World, value: &AttrValue, binding: &Binding) -> Option<SymVal> {
    let scope = binding.scope(world);
    match value {
        AttrValue::Literal(value) => Some(value.clone()),
        AttrValue::Variable(name) => scope.variable(name),
        AttrValue::Computed(expr) => scope.eval(expr),
        AttrValue::Function(Function::Compose, args) => {
            let (p, q) = (scope.variable(args[0].strip_prefix('?')?)?, scope.variable(args[1].strip_prefix('?')?)?);
            match (&p, &q) {
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
        AttrValue::Function(Function::Joined, args) => {
            let list = |at: usize| scope.variable(args[at].strip_prefix('?')?)?.list().map(<[Dim]>::to_vec);
            let (mut s, t) = (list(0)?, list(1)?);
            let same = s.len() == t.len() && s.iter().zip(&t).skip(1).all(|(a, b)| a == b);
            let first = s.first_mut().filter(|_| same)?;
            *first = first.add(t.first()?);
            Some(SymVal::List(s))
        }
        AttrValue::Function(Function::Dims, args) => {
            let dims = world.shape(*binding.terms.get(&args[0])?).dims()?;
            Some(SymVal::List(dims.to_vec()))
        }
        AttrValue::Function(Function::Column, args) => {
            let first = scope.int(&parse_expr(&args[0]).ok()?)?;
            let ones = scope.int(&parse_expr(&args[1]).ok()?)?;
            let Some(ones) = ones.known() else {
                return Some(SymVal::Opaque(format!("@column({}, {})", dim_text(&first), dim_text(&ones))));
            };
            let ones = std::iter::repeat_n(Dim::Known(1), usize::try_from(ones).ok()?);
            Some(SymVal::List(std::iter::once(first).chain(ones).collect()))
        }
    }
}

/// Whether a side condition certainly holds under a binding.
pub(crate) fn holds(world: &World, side: &Side, binding: &Binding) -> bool {
    let scope = binding.scope(world);
    let shape = |name: &str| binding.terms.get(name).map(|id| world.shape(*id));
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
        Side::Elements(x, s) => shape(x).and_then(shape::Shape::dims).zip(list(s)).map(|(dims, s)| {
            let product = |dims: &[Dim]| dims.iter().fold(Dim::Known(1), |p, d| p.mul(d));
            let positive = |d: &Dim| world.facts.is_at_least_zero(&d.sub(&Dim::Known(1)));
            s.iter().all(positive) && product(dims) == product(&s)
        }),
        Side::Is(l, kind) => binding.heads.get(l).and_then(Head::application).map(|a| a.kind == *kind),
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
        Side::Leading(m, x) => {
            let movement = binding.heads.get(m).and_then(Head::application);
            movement.zip(shape(x)).map(|(m, x)| axes::is_leading(m, x, &world.facts))
        }
        Side::Batch(l, x, w, axis) => {
            let operator = binding.heads.get(l).and_then(Head::application);
            let operands = operator.zip(shape(x)).zip(shape(w)).zip(scope.int(axis));
            operands.map(|(((l, x), w), axis)| axes::is_batch(l, x, w, &axis, &world.facts))
        }
    };
    certainly.unwrap_or(false)
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

/// Reads a pattern.
pub(crate) fn parse_pattern(text: &str) -> Result<Pattern, String> {
    let mut reader = Reader { text, at: 0 };
    let pattern = reader.pattern(0)?;
    reader.space();
    if reader.at < text.len() { Err(reader.fail("unexpected text")) } else { Ok(pattern) }
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
        "leading" => Side::Leading(variable(0)?, variable(1)?),
        "batch" => Side::Batch(variable(0)?, variable(1)?, variable(2)?, expr(3)?),
        _ => return Err(format!("unknown condition @{name}")),
    })
}

/// Reads the value of an attribute.
pub(crate) fn parse_value(text: &str) -> Result<AttrValue, String> {
    let text = text.trim();
    if let Some(call) = text.strip_prefix('@') {
        let (name, args) = call.strip_suffix(')').and_then(|c| c.split_once('(')).ok_or("expected @name(…)")?;
        let args: Vec<String> = split_top(args).into_iter().map(str::to_owned).collect();
        let (function, count) = match name {
            "compose" => (Function::Compose, 2),
            "dims" => (Function::Dims, 1),
            "column" => (Function::Column, 2),
            "joined" => (Function::Joined, 2),
            _ => return Err(format!("unknown function @{name}")),
        };
        if args.len() != count {
            return Err(format!("@{name} has {count} arguments"));
        }
        return Ok(AttrValue::Function(function, args));
    }
    if let Some(name) = text.strip_prefix('?')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Ok(AttrValue::Variable(name.to_owned()));
    }
    if let Some(quoted) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return Ok(AttrValue::Literal(SymVal::Fixed(Attr::str(quoted))));
    }
    if text.contains(['.', 'e'])
        && let Ok(value) = text.parse::<f32>()
    {
        return Ok(AttrValue::Literal(SymVal::Fixed(Attr::Float(value))));
    }
    let expr = parse_expr(text).map_err(|e| e.to_string())?;
    Ok(match literal(&expr) {
        Some(value) => AttrValue::Literal(value),
        None => AttrValue::Computed(expr),
    })
}

fn literal(expr: &Expr) -> Option<SymVal> {
    match expr {
        Expr::Int(n) => Some(SymVal::Num(Dim::Known(*n))),
        Expr::List(items) => {
            let item = |e: &Expr| literal(e)?.num().cloned();
            items.iter().map(item).collect::<Option<_>>().map(SymVal::List)
        }
        _ => None,
    }
}

/// The parts between commas that stand in no bracket.
pub(crate) fn split_top(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut quoted) = (0i32, 0, false);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !(last.is_empty() && parts.is_empty()) {
        parts.push(last);
    }
    parts
}

/// Deeper terms are refused.
const MAX_DEPTH: usize = 64;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn fail(&self, problem: &str) -> String {
        format!("{problem} at {:?}", self.text[self.at..].chars().take(40).collect::<String>())
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.text[self.at..].trim_start().len();
    }

    fn take(&mut self, sign: char) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(sign);
        if found {
            self.at += sign.len_utf8();
        }
        found
    }

    fn word(&mut self) -> Result<String, String> {
        self.space();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            return Err(self.fail("expected a name"));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    fn number(&mut self) -> Result<usize, String> {
        let word = self.word()?;
        word.parse().map_err(|_| self.fail("expected a number"))
    }

    fn pattern(&mut self, depth: usize) -> Result<Pattern, String> {
        if depth > MAX_DEPTH {
            return Err(self.fail("nested too deeply"));
        }
        let class = self.take('$');
        let mut name = self.word()?;
        let mut label = None;
        let mut class = class;
        let mut over = Over::Values;
        if let Some(of) = Over::of(&name)
            && self.text[self.at..].starts_with(' ')
        {
            over = of;
            name = self.word()?;
        }
        if self.take(':') {
            label = Some(name);
            class = self.take('$');
            name = self.word()?;
        }
        let op = match (class, OpKind::from_name(&name)) {
            (true, _) => {
                let class = Class::of(&name).ok_or_else(|| self.fail("unknown class"))?;
                PatternOp::Class(class, name)
            }
            (false, Some(kind)) => PatternOp::Kind(kind),
            (false, None) if label.is_none() => {
                let member =
                    ["[i]", "[0]"].into_iter().find(|m| self.text[self.at..].starts_with(m)).unwrap_or_default();
                self.at += member.len();
                return Ok(Pattern::Var(name + member));
            }
            (false, None) => return Err(self.fail("unknown operator")),
        };
        let mut slot = (0, 1);
        if self.take('#') {
            slot.0 = self.number()?;
            if !self.take('/') {
                return Err(self.fail("expected \"/\""));
            }
            slot.1 = self.number()?;
        }
        let mut args = Vec::new();
        if self.take('(') && !self.take(')') {
            loop {
                args.push(self.pattern(depth + 1)?);
                if self.take(')') {
                    break;
                }
                if !self.take(',') {
                    return Err(self.fail("expected \",\" or \")\""));
                }
            }
        }
        let attrs = if self.take('{') { self.attrs()? } else { Vec::new() };
        let attrs = match &op {
            PatternOp::Kind(kind) => complete(*kind, attrs)?,
            PatternOp::Class(..) if attrs.is_empty() => Vec::new(),
            PatternOp::Class(..) => return Err(self.fail("a class has its attributes with it")),
        };
        Ok(Pattern::Apply(Box::new(Apply { label, op, over, attrs, slot, args })))
    }

    fn attrs(&mut self) -> Result<Vec<(String, AttrValue)>, String> {
        let rest = &self.text[self.at..];
        let end = rest.find('}').ok_or_else(|| self.fail("expected \"}\""))?;
        let mut attrs = Vec::new();
        for part in split_top(&rest[..end]) {
            let (name, value) = part.split_once('=').ok_or_else(|| self.fail("expected name=value"))?;
            attrs.push((name.trim().to_owned(), parse_value(value)?));
        }
        self.at += end + 1;
        Ok(attrs)
    }
}

/// The attributes of an operator, defaults filled in, in order of name.
fn complete(kind: OpKind, given: Vec<(String, AttrValue)>) -> Result<Vec<(&'static str, AttrValue)>, String> {
    let schema = ops::schema(kind);
    let mut attrs: Vec<(&'static str, AttrValue)> = Vec::new();
    for (name, value) in given {
        let spec = schema.attr(&name).ok_or_else(|| format!("{kind} has no attribute {name}"))?;
        attrs.push((spec.name, value));
    }
    for spec in schema.attrs {
        if attrs.iter().all(|(name, _)| *name != spec.name)
            && let Some(value) = spec.default.value()
        {
            attrs.push((spec.name, AttrValue::Literal(SymVal::of(&value))));
        }
    }
    attrs.sort_by_key(|(name, _)| *name);
    Ok(attrs)
}
