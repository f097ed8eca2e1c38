//! The operator instances that graphs are made of, and what each is on shapes and on elements.

use super::arithmetic::Arithmetic;

/// Axes of a tensor, at most.
pub const MAX_RANK: usize = 4;

/// The shape of a tensor in the generator, with what decides how a Split cuts it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Type {
    /// Number of axes.
    pub rank: u8,
    /// Sizes; 1 beyond the rank.
    pub dims: [u8; MAX_RANK],
    /// Whether a matrix is stored by columns. TASO tells such tensors apart; rules do not.
    pub transposed: bool,
    /// Per axis, where Concat joined it, in the order in which joints were made.
    pub joints: [Joints; MAX_RANK],
}

impl Type {
    /// A tensor of this shape that is no result of Concat.
    pub fn of(dims: &[u8]) -> Type {
        let mut all = [1; MAX_RANK];
        all[..dims.len()].copy_from_slice(dims);
        Type { rank: dims.len() as u8, dims: all, transposed: false, joints: [Joints::NONE; MAX_RANK] }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.dims.iter().map(|&d| usize::from(d)).product()
    }

    /// The sizes of its axes.
    pub fn shape(&self) -> &[u8] {
        &self.dims[..usize::from(self.rank)]
    }

    fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [1; MAX_RANK];
        for axis in (0..MAX_RANK - 1).rev() {
            strides[axis] = strides[axis + 1] * usize::from(self.dims[axis + 1]);
        }
        strides
    }
}

/// Up to four positions along an axis, as bytes from the lowest; a position is never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Joints(u32);

impl Joints {
    /// No joint.
    pub const NONE: Joints = Joints(0);

    fn positions(self) -> impl Iterator<Item = u8> {
        self.0.to_le_bytes().into_iter().take_while(|&p| p != 0)
    }

    fn from(positions: impl Iterator<Item = u8>) -> Option<Joints> {
        let mut bytes = [0; 4];
        for (i, position) in positions.enumerate() {
            *bytes.get_mut(i)? = position;
        }
        Some(Joints(u32::from_le_bytes(bytes)))
    }

    /// Those of `self`, then those of `next` behind `offset`, then the joint between the two.
    fn joined(self, offset: u8, next: Joints) -> Option<Joints> {
        Joints::from(self.positions().chain(next.positions().map(|p| p + offset)).chain([offset]))
    }

    /// The last joint made, and what is left on both sides of it.
    fn cut(self) -> Option<(u8, Joints, Joints)> {
        let at = self.positions().last()?;
        let left = Joints::from(self.positions().filter(|&p| p < at))?;
        let right = Joints::from(self.positions().filter(|&p| p > at).map(|p| p - at))?;
        Some((at, left, right))
    }
}

/// An operator with its attributes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Operator {
    /// Product of two matrices.
    MatMul,
    /// Sum of two tensors of one shape.
    Add,
    /// Product of two tensors of one shape.
    Mul,
    /// Convolution that keeps the size (divides it by the stride), grouped as the shapes say; with a rectifier if stated.
    Conv {
        /// Sizes of the kernel.
        kernel: [u8; 2],
        /// Step of the kernel along both axes.
        stride: u8,
        /// Whether a rectifier follows.
        relu: bool,
    },
    /// Average over 3x3 windows of stride 1 that keeps the size; the padding counts.
    AveragePool,
    /// Maximum over 3x3 windows of stride 1 that keeps the size.
    MaxPool,
    /// The depthwise kernel that averages over 3x3 windows.
    PoolKernel,
    /// The 3x3 kernel that changes nothing.
    IdentityKernel,
    /// The matrix that changes nothing.
    IdentityMatrix,
    /// Ones, in the shape of the images.
    Ones,
    /// A kernel padded to 3x3.
    Enlarge,
    /// Product with a scalar.
    Scale,
    /// Difference of two tensors of one shape.
    Sub,
    /// Sum of images and a number for each channel.
    ChannelAdd,
    /// Product of images and a number for each channel.
    ChannelMul,
    /// Exponentials along the last axis over their sum.
    Softmax,
    /// An elementwise function of which no law is used.
    Function(Function),
    /// The last two axes of a tensor of rank 3 exchanged.
    TransposeLast,
    /// max(x, 0).
    Relu,
    /// Two tensors one behind the other.
    Concat {
        /// Rank of the tensors.
        rank: u8,
        /// Axis along which they are joined.
        axis: u8,
    },
    /// The two parts on both sides of the last joint.
    Split {
        /// Axis that is cut.
        axis: u8,
    },
    /// A matrix with its axes exchanged.
    Transpose {
        /// Whether only the strides change, so that the result is stored by columns. Functionally no difference.
        view: bool,
    },
}

/// Elementwise functions without laws.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Function {
    Sigmoid,
    Tanh,
    Gelu,
}

/// Which pairs of operands are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operands {
    /// None: a constant.
    None,
    /// One tensor.
    One,
    /// Any two tensors in this order, also one twice if stated.
    Ordered {
        /// Whether both may be the same tensor.
        same: bool,
    },
    /// Two different tensors whose order makes no difference.
    Unordered,
}

/// How the elements of a result come about.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// Sums of products: result i is the sum over `terms[starts[i]..starts[i + 1]]` of `a[j] b[k]`.
    Bilinear {
        /// Beginnings of the terms of each result.
        starts: Box<[u32]>,
        /// Indices of the factors.
        terms: Box<[(u16, u16)]>,
    },
    /// Over windows of `a`: result i is made of `terms[starts[i]..starts[i + 1]]`.
    Window {
        /// Beginnings of the windows.
        starts: Box<[u32]>,
        /// Indices of the elements.
        terms: Box<[u16]>,
        /// Size of a whole window for an average; 0 for the maximum.
        area: u64,
    },
    /// Copies: index in `a` (in `b` from [`SECOND`] on), or [`ZERO`].
    Copy(Box<[u16]>),
    /// Elementwise sum.
    Add,
    /// Elementwise product.
    Mul,
    /// Product with a scalar.
    Scale,
    /// Elementwise rectifier.
    Relu,
    /// Elementwise difference.
    Sub,
    /// Element i is that of the first operand plus, or times, this one of the second.
    Spread {
        /// Whether they are multiplied.
        product: bool,
        /// Indices in the second operand.
        from: Box<[u16]>,
    },
    /// Along rows of so many elements, a function of each over the sum of those of the row.
    Row(usize),
    /// A function without laws, by number.
    Function(u64),
    /// Elements that are known: 0, 1, or one over a number.
    Known(Box<[Known]>),
}

/// An element of a constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// 0.
    Zero,
    /// 1.
    One,
    /// One part of so many.
    Share(u64),
}

/// Numbers of the functions that a Softmax is made of.
const EXPONENTIAL: u64 = 100;
const RECIPROCAL: u64 = 101;

/// Where the second operand begins among the sources of a copy.
pub const SECOND: u16 = 1 << 14;
/// A copied element that is 0.
pub const ZERO: u16 = u16::MAX;

/// An operator on given types: types of the results and their recipes.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Types of the results.
    pub types: Vec<Type>,
    /// Recipes of the results.
    pub recipes: Vec<Recipe>,
    /// Whether a rectifier follows.
    pub relu: bool,
}

impl Applied {
    /// Element `index` of result `slot`.
    #[inline]
    pub fn element<A: Arithmetic>(&self, slot: usize, index: usize, a: &[u64], b: &[u64]) -> u64 {
        let value = match &self.recipes[slot] {
            Recipe::Bilinear { starts, terms } => {
                let terms = &terms[starts[index] as usize..starts[index + 1] as usize];
                A::dot(terms.iter().map(|&(j, k)| (a[usize::from(j)], b[usize::from(k)])))
            }
            Recipe::Window { starts, terms, area } => {
                let window = terms[starts[index] as usize..starts[index + 1] as usize].iter();
                match area {
                    0 => A::max(window.map(|&j| a[usize::from(j)])),
                    area => A::mul(window.fold(0, |sum, &j| A::add(sum, a[usize::from(j)])), A::share(*area)),
                }
            }
            Recipe::Copy(sources) => match sources[index] {
                ZERO => 0,
                j if j >= SECOND => b[usize::from(j - SECOND)],
                j => a[usize::from(j)],
            },
            Recipe::Add => A::add(a[index], b[index]),
            Recipe::Mul => A::mul(a[index], b[index]),
            Recipe::Scale => A::mul(a[index], b[0]),
            Recipe::Relu => A::relu(a[index]),
            Recipe::Sub => A::sub(a[index], b[index]),
            Recipe::Spread { product: true, from } => A::mul(a[index], b[usize::from(from[index])]),
            Recipe::Spread { product: false, from } => A::add(a[index], b[usize::from(from[index])]),
            Recipe::Row(len) => {
                let row = &a[index / len * len..index / len * len + len];
                let sum = row.iter().fold(0, |sum, &x| A::add(sum, A::function(EXPONENTIAL, x)));
                A::mul(A::function(EXPONENTIAL, a[index]), A::function(RECIPROCAL, sum))
            }
            Recipe::Function(number) => A::function(*number, a[index]),
            Recipe::Known(elements) => match elements[index] {
                Known::Zero => 0,
                Known::One => 1,
                Known::Share(count) => A::share(count),
            },
        };
        if self.relu { A::relu(value) } else { value }
    }

    /// All elements of result `slot`.
    pub fn evaluate<A: Arithmetic>(&self, slot: usize, a: &[u64], b: &[u64]) -> Box<[u64]> {
        (0..self.types[slot].count()).map(|i| self.element::<A>(slot, i, a, b)).collect()
    }
}

/// What a preset allows beyond the operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements of a result, at most.
    pub elements: usize,
    /// An inner size over which matrices are not multiplied.
    pub no_inner: Option<u8>,
}

impl Operator {
    /// Which operands are tried.
    pub fn operands(self) -> Operands {
        match self {
            Operator::PoolKernel | Operator::IdentityKernel | Operator::IdentityMatrix | Operator::Ones => {
                Operands::None
            }
            Operator::AveragePool
            | Operator::MaxPool
            | Operator::Enlarge
            | Operator::Relu
            | Operator::Softmax
            | Operator::Function(_)
            | Operator::TransposeLast
            | Operator::Split { .. }
            | Operator::Transpose { .. } => Operands::One,
            Operator::MatMul | Operator::Scale | Operator::Sub | Operator::ChannelAdd | Operator::ChannelMul => {
                Operands::Ordered { same: false }
            }
            Operator::Conv { .. } => Operands::Ordered { same: true },
            Operator::Concat { .. } => Operands::Ordered { same: false },
            Operator::Add | Operator::Mul => Operands::Unordered,
        }
    }

    /// Whether the result is known without operands.
    pub fn is_constant(self) -> bool {
        self.operands() == Operands::None
    }

    /// The operator on operands of these types (`b` is not looked at where there is one operand), or `None` where it does
    /// not apply.
    pub fn apply(self, a: Option<&Type>, b: Option<&Type>, limits: &Limits) -> Option<Applied> {
        let one = |ty: Type, recipe: Recipe| {
            Some(Applied { types: vec![ty], recipes: vec![recipe], relu: false })
                .filter(|_| ty.count() <= limits.elements)
        };
        match self {
            Operator::PoolKernel => one(Type::of(&[4, 1, 3, 3]), Recipe::Known(vec![Known::Share(9); 36].into())),
            Operator::IdentityKernel => one(Type::of(&[4, 4, 3, 3]), identity_kernel()),
            Operator::IdentityMatrix => {
                let elements = (0..16).map(|i| if i % 5 == 0 { Known::One } else { Known::Zero });
                one(Type::of(&[4, 4]), Recipe::Known(elements.collect()))
            }
            Operator::Ones => one(Type::of(&[2, 4, 5, 5]), Recipe::Known(vec![Known::One; 200].into())),
            Operator::MatMul => mat_mul(a?, b?, limits).and_then(|(ty, recipe)| one(ty, recipe)),
            Operator::Add | Operator::Mul | Operator::Sub => {
                let (a, b) = (a?, b?);
                if a.rank != b.rank || a.dims != b.dims || a.transposed != b.transposed {
                    return None;
                }
                let mut ty = *a;
                for axis in 0..MAX_RANK {
                    if a.joints[axis] != b.joints[axis] {
                        ty.joints[axis] = Joints::NONE;
                    }
                }
                one(
                    ty,
                    match self {
                        Operator::Add => Recipe::Add,
                        Operator::Sub => Recipe::Sub,
                        _ => Recipe::Mul,
                    },
                )
            }
            Operator::Scale => one(*a?, Recipe::Scale).filter(|_| b.is_some_and(|b| b.rank == 0)),
            Operator::Relu => one(*a?, Recipe::Relu),
            Operator::Function(function) => one(*a?, Recipe::Function(function as u64)),
            Operator::Softmax => {
                let mut ty = *a.filter(|a| a.rank >= 2)?;
                let last = usize::from(ty.rank) - 1;
                ty.joints[last] = Joints::NONE;
                one(ty, Recipe::Row(usize::from(ty.dims[last])))
            }
            Operator::ChannelAdd | Operator::ChannelMul => {
                let (a, b) = (a.filter(|a| a.rank == 4)?, b.filter(|b| b.rank == 4)?);
                if b.dims != [1, a.dims[1], 1, 1] || a.dims == b.dims {
                    return None;
                }
                let mut ty = *a;
                if a.joints[1] != b.joints[1] {
                    ty.joints[1] = Joints::NONE;
                }
                let from = places(a).map(|at| at[1] as u16).collect();
                one(ty, Recipe::Spread { product: self == Operator::ChannelMul, from })
            }
            Operator::TransposeLast => {
                let a = a.filter(|a| a.rank == 3)?;
                let mut ty = *a;
                ty.dims.swap(1, 2);
                ty.joints.swap(1, 2);
                let (rows, columns) = (usize::from(a.dims[1]), usize::from(a.dims[2]));
                one(ty, copies(&ty, |at| Some(((at[0] * rows + at[2]) * columns + at[1]) as u16)))
            }
            Operator::Conv { kernel, stride, relu } => {
                let (ty, recipe) = conv(a?, b?, kernel, stride)?;
                one(ty, recipe).map(|applied| Applied { relu, ..applied })
            }
            Operator::AveragePool | Operator::MaxPool => {
                let a = a.filter(|a| a.rank == 4)?;
                let mut ty = *a;
                ty.joints[1] = Joints::NONE;
                one(ty, pool(a, if self == Operator::AveragePool { 9 } else { 0 }))
            }
            Operator::Enlarge => {
                let a =
                    a.filter(|a| a.rank == 4 && a.dims[2] <= 3 && a.dims[3] <= 3 && (a.dims[2], a.dims[3]) != (3, 3))?;
                let mut ty = *a;
                (ty.dims[2], ty.dims[3]) = (3, 3);
                (ty.joints[2], ty.joints[3]) = (Joints::NONE, Joints::NONE);
                let margins = [(3 - a.dims[2]) / 2, (3 - a.dims[3]) / 2];
                let strides = a.strides();
                let recipe = copies(&ty, |at| {
                    let h = at[2].checked_sub(usize::from(margins[0])).filter(|&h| h < usize::from(a.dims[2]))?;
                    let w = at[3].checked_sub(usize::from(margins[1])).filter(|&w| w < usize::from(a.dims[3]))?;
                    Some((at[0] * strides[0] + at[1] * strides[1] + h * strides[2] + w) as u16)
                });
                one(ty, recipe)
            }
            Operator::Concat { rank, axis } => {
                let (ty, recipe) = concat(a?, b?, rank, usize::from(axis))?;
                one(ty, recipe)
            }
            Operator::Split { axis } => split(a?, usize::from(axis)),
            Operator::Transpose { view } => {
                let a = a.filter(|a| a.rank == 2)?;
                let mut ty = *a;
                (ty.dims[0], ty.dims[1]) = (a.dims[1], a.dims[0]);
                (ty.joints[0], ty.joints[1]) = (a.joints[1], a.joints[0]);
                ty.transposed = view && !a.transposed;
                let columns = usize::from(a.dims[1]);
                one(ty, copies(&ty, |at| Some((at[1] * columns + at[0]) as u16)))
            }
        }
    }
}

/// A copy whose source is told by the place in the result.
fn copies(ty: &Type, source: impl Fn([usize; MAX_RANK]) -> Option<u16>) -> Recipe {
    Recipe::Copy(places(ty).map(|at| source(at).unwrap_or(ZERO)).collect())
}

/// All places of a tensor, row by row.
fn places(ty: &Type) -> impl Iterator<Item = [usize; MAX_RANK]> + use<> {
    let (strides, dims) = (ty.strides(), ty.dims.map(usize::from));
    (0..ty.count()).map(move |i| std::array::from_fn(|axis| i / strides[axis] % dims[axis]))
}

fn identity_kernel() -> Recipe {
    let elements = places(&Type::of(&[4, 4, 3, 3]))
        .map(|at| if at[0] == at[1] && at[2] == 1 && at[3] == 1 { Known::One } else { Known::Zero });
    Recipe::Known(elements.collect())
}

fn mat_mul(a: &Type, b: &Type, limits: &Limits) -> Option<(Type, Recipe)> {
    if a.rank == 3 && b.rank == 3 {
        return batched(a, b);
    }
    if a.rank != 2 || b.rank != 2 || a.dims[1] != b.dims[0] || limits.no_inner == Some(b.dims[0]) {
        return None;
    }
    let mut ty = Type::of(&[a.dims[0], b.dims[1]]);
    (ty.joints[0], ty.joints[1]) = (a.joints[0], b.joints[1]);
    let (inner, columns) = (usize::from(a.dims[1]), usize::from(b.dims[1]));
    let terms =
        places(&ty).map(|at| (0..inner).map(move |k| ((at[0] * inner + k) as u16, (k * columns + at[1]) as u16)));
    Some((ty, bilinear(terms)))
}

/// Products of matrices along a first axis.
fn batched(a: &Type, b: &Type) -> Option<(Type, Recipe)> {
    if a.dims[0] != b.dims[0] || a.dims[2] != b.dims[1] {
        return None;
    }
    let mut ty = Type::of(&[a.dims[0], a.dims[1], b.dims[2]]);
    ty.joints[0] = if a.joints[0] == b.joints[0] { a.joints[0] } else { Joints::NONE };
    (ty.joints[1], ty.joints[2]) = (a.joints[1], b.joints[2]);
    let (rows, inner, columns) = (usize::from(a.dims[1]), usize::from(a.dims[2]), usize::from(b.dims[2]));
    let terms = places(&ty).map(|at| {
        let (left, right) = ((at[0] * rows + at[1]) * inner, at[0] * inner);
        (0..inner).map(move |k| ((left + k) as u16, ((right + k) * columns + at[2]) as u16))
    });
    Some((ty, bilinear(terms)))
}

fn bilinear<T: Iterator<Item = (u16, u16)>>(results: impl Iterator<Item = T>) -> Recipe {
    let (mut starts, mut all) = (vec![0], Vec::new());
    for terms in results {
        all.extend(terms);
        starts.push(all.len() as u32);
    }
    Recipe::Bilinear { starts: starts.into(), terms: all.into() }
}

/// Where a window of size `k` around `at` that keeps the size lies in an axis of `size`.
fn window(at: usize, k: u8, size: u8) -> impl Iterator<Item = (usize, usize)> + Clone {
    let before = usize::from(k - 1) / 2;
    (0..usize::from(k)).filter_map(move |i| Some((i, (at + i).checked_sub(before).filter(|&x| x < usize::from(size))?)))
}

fn conv(x: &Type, w: &Type, kernel: [u8; 2], stride: u8) -> Option<(Type, Recipe)> {
    if x.rank != 4 || w.rank != 4 || [w.dims[2], w.dims[3]] != kernel || !x.dims[1].is_multiple_of(w.dims[1]) {
        return None;
    }
    let groups = x.dims[1] / w.dims[1];
    if !w.dims[0].is_multiple_of(groups) {
        return None;
    }
    let mut ty = *x;
    ty.transposed = false;
    (ty.dims[1], ty.joints[1]) = (w.dims[0], w.joints[0]);
    for axis in 2..4 {
        ty.dims[axis] = x.dims[axis].div_ceil(stride);
    }
    let step = usize::from(stride);
    let (xs, ws) = (x.strides(), w.strides());
    let per_group = usize::from(w.dims[0] / groups);
    let inputs = usize::from(w.dims[1]);
    let (x, w) = (*x, *w);
    let results = places(&ty).map(move |at| {
        let first = at[1] / per_group * inputs;
        (0..inputs).flat_map(move |c| {
            window(at[2] * step, w.dims[2], x.dims[2]).flat_map(move |(kh, h)| {
                window(at[3] * step, w.dims[3], x.dims[3]).map(move |(kw, v)| {
                    let from = at[0] * xs[0] + (first + c) * xs[1] + h * xs[2] + v;
                    let by = at[1] * ws[0] + c * ws[1] + kh * ws[2] + kw;
                    (from as u16, by as u16)
                })
            })
        })
    });
    Some((ty, bilinear(results)))
}

fn pool(x: &Type, area: u64) -> Recipe {
    let strides = x.strides();
    let (mut starts, mut terms) = (vec![0], Vec::new());
    for at in places(x) {
        for (_, h) in window(at[2], 3, x.dims[2]) {
            for (_, w) in window(at[3], 3, x.dims[3]) {
                terms.push((at[0] * strides[0] + at[1] * strides[1] + h * strides[2] + w) as u16);
            }
        }
        starts.push(terms.len() as u32);
    }
    Recipe::Window { starts: starts.into(), terms: terms.into(), area }
}

fn concat(a: &Type, b: &Type, rank: u8, axis: usize) -> Option<(Type, Recipe)> {
    if a.rank != rank || b.rank != rank || (0..MAX_RANK).any(|i| i != axis && a.dims[i] != b.dims[i]) {
        return None;
    }
    let mut ty = *a;
    ty.transposed = false;
    ty.dims[axis] = a.dims[axis].checked_add(b.dims[axis])?;
    for i in 0..MAX_RANK {
        if i == axis {
            ty.joints[i] = a.joints[i].joined(a.dims[i], b.joints[i])?;
        } else if a.joints[i] != b.joints[i] {
            ty.joints[i] = Joints::NONE;
        }
    }
    let (sa, sb, cut) = (a.strides(), b.strides(), usize::from(a.dims[axis]));
    let index = |at: [usize; MAX_RANK], strides: [usize; MAX_RANK]| -> u16 {
        at.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>() as u16
    };
    let recipe = copies(&ty, |mut at| {
        Some(match at[axis].checked_sub(cut) {
            None => index(at, sa),
            Some(rest) => {
                at[axis] = rest;
                SECOND + index(at, sb)
            }
        })
    });
    Some((ty, recipe))
}

fn split(a: &Type, axis: usize) -> Option<Applied> {
    if axis >= usize::from(a.rank) {
        return None;
    }
    let (at, left, right) = a.joints[axis].cut()?;
    let strides = a.strides();
    let part = |from: u8, to: u8, joints: Joints| {
        let mut ty = *a;
        ty.transposed = false;
        (ty.dims[axis], ty.joints[axis]) = (to - from, joints);
        let recipe = copies(&ty, |mut place| {
            place[axis] += usize::from(from);
            Some(place.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>() as u16)
        });
        (ty, recipe)
    };
    let (first, second) = (part(0, at, left), part(at, a.dims[axis], right));
    Some(Applied { types: vec![first.0, second.0], recipes: vec![first.1, second.1], relu: false })
}
