//! Shapes of applications: what follows from an operator, its attributes and the shapes of its operands, and names for what
//! does not. That the operands are accepted is taken for granted (see [`super::shape`]).

use super::axes;
use super::facts::Facts;
use super::group;
use super::shape::{Base, Open, Shape, axis_from_end, extent, join, named, unknown, with_size, with_tail};
use super::term::{Application, Head, SymVal, TermId, World};
use super::window::Window;
use crate::graph::{Dim, OpKind};

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
    // Named beside the operators, one of which is called Shape too.
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
