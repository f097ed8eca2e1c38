//! Shapes of terms on symbolic sizes, granted that the term has a value: what operators demand of their operands is not
//! checked here, but taken from there. Dimensions are at least 1.

use std::sync::Arc;

use super::axes;
use super::facts::Facts;
use super::group;
use super::term::{Application, Head, SymVal, TermId, World};
use super::window::Window;
use crate::graph::{Dim, OpKind};

/// A shape.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Of known rank.
    Ranked(Vec<Dim>),
    /// Of unknown rank.
    Open(Box<Open>),
}

/// A shape of unknown rank: that of `base`, with its last dimensions replaced by `tail`. Dimensions before the first one
/// are 1, as broadcasting reads them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) struct Open {
    pub base: Base,
    pub rank: Dim,
    pub tail: Vec<Dim>,
}

/// What a shape of unknown rank is like.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) enum Base {
    /// The shape of the value of this name.
    Named(Arc<str>),
    /// What these shapes broadcast to together, in order.
    Joined(Vec<Shape>),
}

impl Shape {
    /// The rank, as an expression.
    pub fn rank(&self) -> Dim {
        match self {
            Shape::Ranked(dims) => Dim::Known(dims.len() as i64),
            Shape::Open(open) => open.rank.clone(),
        }
    }

    /// The rank, if it is known.
    pub fn known_rank(&self) -> Option<usize> {
        match self {
            Shape::Ranked(dims) => Some(dims.len()),
            Shape::Open(_) => None,
        }
    }

    /// The dimensions, if the rank is known.
    pub fn dims(&self) -> Option<&[Dim]> {
        match self {
            Shape::Ranked(dims) => Some(dims),
            Shape::Open(_) => None,
        }
    }

    /// The k-th dimension from the end, k from 1; 1 before the first.
    pub fn counted_from_end(&self, k: usize, facts: &Facts) -> Dim {
        match self {
            Shape::Ranked(dims) => dims.len().checked_sub(k).map_or(Dim::Known(1), |at| dims[at].clone()),
            Shape::Open(open) => match open.tail.len().checked_sub(k) {
                Some(at) => open.tail[at].clone(),
                None => match &open.base {
                    Base::Named(name) => facts.normal(&Dim::symbol(&format!("dim({name}, -{k})"))),
                    Base::Joined(parts) => {
                        let dims = parts.iter().map(|part| part.counted_from_end(k, facts));
                        dims.reduce(|a, b| join_dim(&a, &b, facts)).unwrap_or(Dim::Known(1))
                    }
                },
            },
        }
    }

    /// The name of a shape of unknown rank that is called so.
    pub fn open_name(&self) -> Option<&Arc<str>> {
        match self {
            Shape::Open(open) if open.tail.is_empty() => match &open.base {
                Base::Named(name) => Some(name),
                Base::Joined(_) => None,
            },
            Shape::Ranked(_) | Shape::Open(_) => None,
        }
    }

    /// A dimension counted from the start, if it can be told.
    pub fn counted_from_start(&self, axis: usize, facts: &Facts) -> Option<Dim> {
        match self {
            Shape::Ranked(dims) => dims.get(axis).cloned(),
            Shape::Open(open) => match (&open.base, open.tail.is_empty()) {
                (Base::Named(name), true) => Some(facts.normal(&Dim::symbol(&format!("dim({name}, {axis})")))),
                _ => None,
            },
        }
    }

    /// Whether every dimension is certainly 1.
    fn is_ones(&self) -> bool {
        self.dims().is_some_and(|dims| dims.iter().all(|d| *d == Dim::Known(1)))
    }
}

/// The shape of the value called `name`.
pub(crate) fn named(name: &str, rank: Option<usize>, facts: &Facts) -> Shape {
    let name = &facts.shape_name(&name.into());
    let symbol = facts.normal(&Dim::symbol(&format!("rank({name})")));
    let rank = rank.or_else(|| usize::try_from(symbol.known()?).ok());
    match rank {
        Some(rank) => {
            let dim = |axis: usize| facts.normal(&Dim::symbol(&format!("dim({name}, {axis})")));
            Shape::Ranked((0..rank).map(dim).collect())
        }
        None => Shape::Open(Box::new(Open { base: Base::Named(name.clone()), rank: symbol, tail: Vec::new() })),
    }
}

/// A shape of which nothing is known.
pub(crate) fn unknown(name: &str) -> Shape {
    named(name, None, &Facts::default())
}

/// What two dimensions broadcast to, granted that they do: equal, or one of them is 1.
fn join_dim(a: &Dim, b: &Dim, facts: &Facts) -> Dim {
    match (a.known(), b.known()) {
        (Some(1), _) => b.clone(),
        (_, Some(1)) => a.clone(),
        _ if covers(b, a, facts) => b.clone(),
        _ if covers(a, b, facts) => a.clone(),
        (Some(n), _) | (_, Some(n)) => Dim::Known(n),
        (None, None) => a.maximum(b),
    }
}

/// Whether a dimension is certainly 1 or the other one.
fn covers(large: &Dim, small: &Dim, facts: &Facts) -> bool {
    large == small || *small == Dim::Known(1) || facts.known_covers(large, small)
}

/// What two shapes broadcast to.
pub(crate) fn join(a: &Shape, b: &Shape, facts: &Facts) -> Shape {
    if broadcasts(a, b, facts) {
        return b.clone();
    }
    if broadcasts(b, a, facts) {
        return a.clone();
    }
    if let (Shape::Ranked(x), Shape::Ranked(y)) = (a, b) {
        let rank = x.len().max(y.len());
        return Shape::Ranked(
            (1..=rank)
                .rev()
                .map(|k| join_dim(&a.counted_from_end(k, facts), &b.counted_from_end(k, facts), facts))
                .collect(),
        );
    }
    let mut parts = Vec::new();
    for shape in [a, b] {
        match shape {
            Shape::Open(open) if open.tail.is_empty() => match &open.base {
                Base::Joined(inner) => parts.extend(inner.iter().cloned()),
                Base::Named(_) => parts.push(shape.clone()),
            },
            _ => parts.push(shape.clone()),
        }
    }
    parts.sort();
    parts.dedup();
    let rank = parts.iter().map(Shape::rank).reduce(|a, b| a.maximum(&b)).unwrap_or(Dim::Known(0));
    Shape::Open(Box::new(Open { base: Base::Joined(parts), rank, tail: Vec::new() }))
}

/// Whether a shape certainly broadcasts to another without changing it.
pub(crate) fn broadcasts(from: &Shape, to: &Shape, facts: &Facts) -> bool {
    if plainly(from, to, facts) {
        return true;
    }
    if let Shape::Open(open) = from
        && let Base::Joined(parts) = &open.base
        && open.tail.is_empty()
    {
        // Parts of a joined shape are not joined themselves.
        return parts.iter().all(|part| part != from && broadcasts(part, to, facts));
    }
    facts.known_broadcasts().any(|(a, b)| plainly(from, a, facts) && plainly(b, to, facts))
}

/// As [`broadcasts`], without looking at what was taken in.
fn plainly(from: &Shape, to: &Shape, facts: &Facts) -> bool {
    if from == to {
        return true;
    }
    if let Shape::Open(open) = to
        && let Base::Joined(parts) = &open.base
        && open.tail.is_empty()
        && parts.iter().any(|part| part == from)
    {
        return true;
    }
    let Shape::Ranked(dims) = from else { return false };
    let fits = facts.is_at_least_zero(&to.rank().sub(&Dim::Known(dims.len() as i64)));
    fits && (from.is_ones()
        || (1..=dims.len()).all(|k| covers(&to.counted_from_end(k, facts), &from.counted_from_end(k, facts), facts)))
}

/// Whether two shapes are certainly the same.
pub(crate) fn same(a: &Shape, b: &Shape, facts: &Facts) -> bool {
    a == b || (broadcasts(a, b, facts) && broadcasts(b, a, facts))
}

/// A shape with its last dimensions replaced; the rank is at least their number.
fn with_tail(shape: &Shape, tail: Vec<Dim>) -> Shape {
    match shape {
        Shape::Ranked(dims) => {
            let keep = dims.len().saturating_sub(tail.len());
            Shape::Ranked(dims[..keep].iter().cloned().chain(tail).collect())
        }
        Shape::Open(open) => {
            let keep = open.tail.len().saturating_sub(tail.len());
            let tail = open.tail[..keep].iter().cloned().chain(tail).collect();
            Shape::Open(Box::new(Open { tail, ..(**open).clone() }))
        }
    }
}

/// The shape of an application. `name` is what it is called where it does not follow from the operands; then what it
/// would be called otherwise is told too.
pub(crate) fn of(world: &World, head: &Head, args: &[TermId], name: Option<&str>) -> (Shape, Option<String>) {
    let Some(a) = head.application() else { return (unknown("?"), None) };
    let known = match head {
        Head::Parts(_) => parts(world, a, args),
        Head::All(_) => all(world, a, args),
        _ => derived(world, a, args),
    };
    if let Some(known) = known {
        return (known, None);
    }
    let own = own_name(world, head, a, args);
    let shape_name = name.unwrap_or(&own);
    let shape = match rank_of(world, a, args) {
        Some(rank) => match rank.known().and_then(|r| usize::try_from(r).ok()) {
            Some(rank) => named(shape_name, Some(rank), &world.facts),
            None => {
                let name = world.facts.shape_name(&shape_name.into());
                Shape::Open(Box::new(Open { base: Base::Named(name), rank, tail: Vec::new() }))
            }
        },
        None => named(shape_name, None, &world.facts),
    };
    (shape, name.map(|_| own))
}

/// A name for the shape of an application. Equal operators on operands of equal shapes have results of equal shapes,
/// unless they read sizes from values.
fn own_name(world: &World, head: &Head, a: &Application, args: &[TermId]) -> String {
    let reads = matches!(a.kind, OpKind::ConstantOfShape | OpKind::Range | OpKind::Resize | OpKind::TopK);
    let values = args.iter().filter(|_| reads).map(|t| world.text(*t)).collect::<Vec<_>>();
    let args: Vec<&Shape> = args.iter().map(|t| world.shape(*t)).collect();
    let text = format!("{a:?} {args:?} {values:?}");
    let name = format!("_{}", &blake3::hash(text.as_bytes()).to_hex()[..32]);
    if matches!(head, Head::Apply(_)) { name } else { group::member(&name) }
}

/// The rank of a result whose dimensions are not derived.
fn rank_of(world: &World, a: &Application, args: &[TermId]) -> Option<Dim> {
    use OpKind::*;
    let first = args.first().map(|x| world.shape(*x));
    match a.kind {
        Transpose | Concat | Split | Slice | Pad | Tile | Conv | ConvTranspose | MaxPool | AveragePool
        | GlobalAveragePool | GlobalMaxPool => Some(first?.rank()),
        Reshape => Some(Dim::Known(a.list("shape")?.len() as i64)),
        Flatten => Some(Dim::Known(2)),
        Squeeze => Some(first?.rank().sub(&Dim::Known(a.list("axes")?.len() as i64))),
        Unsqueeze => Some(first?.rank().add(&Dim::Known(a.list("axes")?.len() as i64))),
        Gather => Some(first?.rank().add(&world.shape(*args.get(1)?).rank()).sub(&Dim::Known(1))),
        _ => None,
    }
}

/// The shape, where it follows from operands and attributes.
fn derived(world: &World, a: &Application, args: &[TermId]) -> Option<Shape> {
    use super::shape::Shape;
    use OpKind::*;
    let facts = &world.facts;
    let arg = |slot: usize| args.get(slot).map(|x| world.shape(*x));
    let one = Dim::Known(1);
    let shape = match a.kind {
        Constant => match a.attr("value_float").or(a.attr("value_int")) {
            Some(_) => Shape::Ranked(Vec::new()),
            None => return None,
        },
        IdentityMatrix => {
            let size = a.num("size")?;
            Shape::Ranked(vec![size.clone(), size.clone()])
        }
        IdentityKernel => {
            let (channels, group) = (a.num("channels")?, a.num("group")?);
            let inner = quotient(channels, group, facts)?;
            let lead = [channels.clone(), inner];
            Shape::Ranked(lead.into_iter().chain(a.list("kernel_shape")?.iter().cloned()).collect())
        }
        Enlarge => {
            let kernel = a.list("kernel_shape")?;
            with_tail(arg(0)?, kernel.to_vec())
        }
        Ungroup => {
            let mut dims = arg(0)?.dims()?.to_vec();
            *dims.get_mut(1)? = dims.get(1)?.mul(a.num("group")?);
            Shape::Ranked(dims)
        }
        kind if is_pointwise_unary(kind) || same_as_first(kind) => arg(0)?.clone(),
        kind if is_pointwise(kind) => {
            let mut shape = arg(0)?.clone();
            for slot in 1..args.len() {
                shape = join(&shape, arg(slot)?, facts);
            }
            shape
        }
        MatMul => return product(arg(0)?, arg(1)?, facts),
        Gemm => {
            let (x, w) = (arg(0)?.dims()?, arg(1)?.dims()?);
            let side = |flag: &str, dims: &[Dim], plain: usize| match (a.num(flag)?.known(), dims) {
                (Some(0), _) => dims.get(plain).cloned(),
                (Some(_), _) => dims.get(1 - plain).cloned(),
                // Which of the two depends on the flag: equal flags and operands give equal names.
                (None, [m, n]) => Some(Dim::symbol(&format!("dim(gemm {flag} {} {m} {n}, {plain})", a.num(flag)?))),
                (None, _) => None,
            };
            Shape::Ranked(vec![side("transA", x, 0)?, side("transB", w, 1)?])
        }
        Conv => {
            let (x, w) = (arg(0)?.dims()?, arg(1)?.dims()?);
            let window = Window { strides: a.list("strides")?, pads: a.list("pads")?, dilations: a.list("dilations")? };
            let spatial = window.sizes(x.get(2..)?, w.get(2..)?, facts)?;
            Shape::Ranked([x[0].clone(), w[0].clone()].into_iter().chain(spatial).collect())
        }
        ConvTranspose => {
            let (x, w) = (arg(0)?.dims()?, arg(1)?.dims()?);
            let window = Window { strides: a.list("strides")?, pads: a.list("pads")?, dilations: a.list("dilations")? };
            let spatial = window.spread(x.get(2..)?, w.get(2..)?, a.list("output_padding")?, facts)?;
            Shape::Ranked([x[0].clone(), w.get(1)?.mul(a.num("group")?)].into_iter().chain(spatial).collect())
        }
        Einsum => return einsum(a, args, world),
        MaxPool | AveragePool if a.int("ceil_mode") == Some(0) => {
            let x = arg(0)?.dims()?;
            let window = Window { strides: a.list("strides")?, pads: a.list("pads")?, dilations: a.list("dilations")? };
            let spatial = window.sizes(x.get(2..)?, a.list("kernel_shape")?, facts)?;
            Shape::Ranked(x[..2].iter().cloned().chain(spatial).collect())
        }
        GlobalAveragePool | GlobalMaxPool => {
            let x = arg(0)?.dims()?;
            Shape::Ranked(x.iter().enumerate().map(|(i, d)| if i < 2 { d.clone() } else { one.clone() }).collect())
        }
        Transpose => {
            let (x, perm) = (arg(0)?.dims()?, a.list("perm")?);
            let dims = perm.iter().map(|p| x.get(usize::try_from(p.known()?).ok()?).cloned());
            Shape::Ranked(dims.collect::<Option<_>>()?)
        }
        Reshape => {
            // An entry 0 copies and -1 is computed; what is certainly positive is the dimension itself.
            let list = a.list("shape")?;
            let positive = |d: &Dim| facts.is_at_least_zero(&d.sub(&one));
            if !list.iter().all(positive) {
                return None;
            }
            Shape::Ranked(list.to_vec())
        }
        Flatten => {
            let (x, axis) = (arg(0)?.dims()?, usize::try_from(a.int("axis")?).ok()?);
            let all = |dims: &[Dim]| dims.iter().fold(Dim::Known(1), |p, d| p.mul(d));
            Shape::Ranked(vec![all(x.get(..axis)?), all(&x[axis..])])
        }
        Squeeze => {
            let (x, axes) = (arg(0)?.dims()?, known_axes(a.list("axes")?)?);
            Shape::Ranked(x.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, d)| d.clone()).collect())
        }
        Unsqueeze => {
            let (x, axes) = (arg(0)?.dims()?, known_axes(a.list("axes")?)?);
            let mut rest = x.iter();
            let rank = x.len() + axes.len();
            let dim = |i| if axes.contains(&i) { Some(one.clone()) } else { rest.next().cloned() };
            Shape::Ranked((0..rank).map(dim).collect::<Option<_>>()?)
        }
        BlockDiagonal => {
            let sizes = args.iter().map(|x| world.shape(*x).dims());
            let [rows, columns] = [0, 1].map(|axis| {
                let sizes = sizes.clone().map(|dims| dims?.get(axis).cloned());
                sizes.reduce(|a, b| Some(a?.add(&b?))).flatten()
            });
            Shape::Ranked(vec![rows?, columns?])
        }
        Concat => return joined(a, args, world),
        Split => return part(a, arg(0)?, facts),
        Slice => {
            let (x, part) = (arg(0)?, axes::part(a)?);
            let whole = extent(x, &part.axis, facts)?;
            let bounds = [part.from.clone(), part.to.sub(&part.from), whole.sub(&part.to)];
            if !bounds.iter().all(|d| facts.is_at_least_zero(d)) {
                return None;
            }
            return with_size(x, &part.axis, part.to.sub(&part.from), facts);
        }
        ReduceSum => {
            let (x, axes) = (arg(0)?.dims()?, known_axes(a.list("axes")?)?);
            let keep = a.int("keepdims")? != 0;
            if axes.is_empty() || axes.iter().any(|axis| *axis >= x.len()) {
                return None;
            }
            let dims = x.iter().enumerate().filter(|(i, _)| keep || !axes.contains(i));
            Shape::Ranked(dims.map(|(i, d)| if axes.contains(&i) { one.clone() } else { d.clone() }).collect())
        }
        Gather => {
            let (x, index) = (arg(0)?.dims()?, arg(1)?.dims()?);
            let axis = usize::try_from(a.int("axis")?).ok()?;
            let lead = x.get(..axis)?.iter().chain(index).chain(x.get(axis + 1..)?);
            Shape::Ranked(lead.cloned().collect())
        }
        _ => return None,
    };
    Some(shape)
}

fn quotient(a: &Dim, b: &Dim, facts: &Facts) -> Option<Dim> {
    a.exact_div(b).or_else(|| if facts.is_exact(a, b) { a.floor_div(b) } else { None })
}

fn known_axes(axes: &[Dim]) -> Option<Vec<usize>> {
    axes.iter().map(|axis| usize::try_from(axis.known()?).ok()).collect()
}

/// The axis of a joint, counted from the end (from 1): an axis may be said as `rank - k`.
pub(crate) fn axis_from_end(axis: &Dim, rank: &Dim) -> Option<usize> {
    let k = rank.sub(axis).known()?;
    usize::try_from(k).ok().filter(|_| k >= 1 && rank.known().is_none_or(|rank| k <= rank))
}

fn joined(a: &Application, args: &[TermId], world: &World) -> Option<Shape> {
    let first = world.shape(*args.first()?);
    let k = axis_from_end(a.num("axis")?, &first.rank())?;
    let facts = &world.facts;
    let sizes = args.iter().map(|x| world.shape(*x).counted_from_end(k, facts));
    let sum = sizes.reduce(|a, b| a.add(&b))?;
    let tail = (1..k).rev().map(|i| first.counted_from_end(i, facts));
    Some(with_tail(first, std::iter::once(sum).chain(tail).collect()))
}

fn part(a: &Application, x: &Shape, facts: &Facts) -> Option<Shape> {
    with_size(x, a.num("axis")?, a.list("split")?.get(a.slot)?.clone(), facts)
}

/// The size along an axis.
pub(crate) fn extent(x: &Shape, axis: &Dim, facts: &Facts) -> Option<Dim> {
    axis_from_end(axis, &x.rank()).map(|k| x.counted_from_end(k, facts))
}

/// A shape with another size along an axis.
pub(crate) fn with_size(x: &Shape, axis: &Dim, size: Dim, facts: &Facts) -> Option<Shape> {
    let k = axis_from_end(axis, &x.rank())?;
    let tail = (1..k).rev().map(|i| x.counted_from_end(i, facts));
    Some(with_tail(x, std::iter::once(size).chain(tail).collect()))
}

/// The shape of member i of the parts of a value.
fn parts(world: &World, a: &Application, args: &[TermId]) -> Option<Shape> {
    with_size(world.shape(*args.first()?), a.num("axis")?, a.num("split")?.clone(), &world.facts)
}

/// The shape of what all members of a list are joined to.
fn all(world: &World, a: &Application, args: &[TermId]) -> Option<Shape> {
    let [list] = args else { return None };
    let (member, facts) = (world.shape(*list), &world.facts);
    match a.kind {
        OpKind::Concat => {
            let axis = a.num("axis")?;
            let k = axis_from_end(axis, &member.rank())?;
            with_size(member, axis, facts.normal(&group::sum(&member.counted_from_end(k, facts))), facts)
        }
        OpKind::BlockDiagonal => {
            Some(Shape::Ranked(member.dims()?.iter().map(|d| facts.normal(&group::sum(d))).collect()))
        }
        _ => None,
    }
}

/// The shape of an Einsum whose equation names every axis by a letter.
fn einsum(a: &Application, args: &[TermId], world: &World) -> Option<Shape> {
    let SymVal::Fixed(crate::graph::Attr::Str(equation)) = a.attr("equation")? else { return None };
    let (operands, output) = equation.split_once("->")?;
    let operands: Vec<&str> = operands.split(',').collect();
    let letters = |text: &str| text.bytes().all(|c| c.is_ascii_alphabetic());
    if operands.len() != args.len() || !operands.iter().all(|o| letters(o)) || !letters(output) {
        return None;
    }
    let size = |letter: char| {
        let found = operands.iter().zip(args).find_map(|(o, x)| Some((o.find(letter)?, x)));
        found.and_then(|(at, x)| world.shape(*x).dims()?.get(at).cloned())
    };
    output.chars().map(size).collect::<Option<_>>().map(Shape::Ranked)
}

fn product(x: &Shape, w: &Shape, facts: &Facts) -> Option<Shape> {
    let two = Dim::Known(2);
    let at_least = |shape: &Shape| facts.is_at_least_zero(&shape.rank().sub(&two));
    match (x, w) {
        (_, Shape::Ranked(v)) if v.len() == 2 => match x {
            Shape::Ranked(u) if u.is_empty() => None,
            _ => Some(with_tail(x, vec![v[1].clone()])),
        },
        (Shape::Ranked(u), Shape::Ranked(v)) if u.len() >= 2 && v.len() >= 2 => {
            let lead = |dims: &[Dim]| Shape::Ranked(dims[..dims.len() - 2].to_vec());
            let batch = join(&lead(u), &lead(v), facts);
            let tail = [u[u.len() - 2].clone(), v[v.len() - 1].clone()];
            Some(Shape::Ranked(batch.dims()?.iter().cloned().chain(tail).collect()))
        }
        _ if at_least(x) && at_least(w) => {
            // The batch is what the leading dimensions broadcast to; ones stand for the two that are replaced.
            let ones = vec![Dim::Known(1), Dim::Known(1)];
            let batch = join(&with_tail(x, ones.clone()), &with_tail(w, ones), facts);
            Some(with_tail(&batch, vec![x.counted_from_end(2, facts), w.counted_from_end(1, facts)]))
        }
        _ => None,
    }
}

/// Whether the result has the shape of the first operand.
fn same_as_first(kind: OpKind) -> bool {
    use OpKind::*;
    matches!(
        kind,
        Softmax
            | LogSoftmax
            | Hardmax
            | LpNormalization
            | CumSum
            | BatchNormalization
            | LayerNormalization
            | InstanceNormalization
            | GroupNormalization
            | RMSNormalization
            | LRN
            | Identity
            | Dropout
    )
}

/// Whether the operator maps each element by itself.
pub(crate) fn is_pointwise_unary(kind: OpKind) -> bool {
    use OpKind::*;
    matches!(
        kind,
        Neg | Abs
            | Sqrt
            | Exp
            | Log
            | Reciprocal
            | Floor
            | Ceil
            | Round
            | Sign
            | Erf
            | Sin
            | Cos
            | Tan
            | Asin
            | Acos
            | Atan
            | Sinh
            | Cosh
            | Tanh
            | Asinh
            | Acosh
            | Atanh
            | Relu
            | LeakyRelu
            | Sigmoid
            | Gelu
            | HardSigmoid
            | HardSwish
            | Elu
            | Selu
            | Celu
            | ThresholdedRelu
            | Softplus
            | Softsign
            | Mish
            | Clip
            | Cast
    )
}

/// Whether the operator combines elements at equal places, with broadcasting.
pub(crate) fn is_pointwise(kind: OpKind) -> bool {
    use OpKind::*;
    matches!(kind, Add | Sub | Mul | Div | Pow | Min | Max | Mean | Sum)
}
