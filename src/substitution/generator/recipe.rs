//! How the elements of a result come about, and their evaluation in an arithmetic.

use super::arithmetic::Arithmetic;
use super::tensor::Type;

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
        /// What a sum is divided by; 0 for the maximum.
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
    /// Element i is that of the first operand plus, or times, this one of the second.
    Spread {
        /// Whether they are multiplied.
        product: bool,
        /// Indices in the second operand.
        from: Box<[u16]>,
    },
    /// Product with the reciprocal of a scalar.
    Unscale,
    /// Along rows of so many elements, a function of each over the sum of those of the row.
    Softmax(usize),
    /// Along rows of so many elements, each without the mean of the row, times a function of their mean square and a factor
    /// for its place in the row.
    Normalise(usize),
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

impl Known {
    /// 1 if so, or else 0.
    pub fn of(is_one: bool) -> Known {
        if is_one { Known::One } else { Known::Zero }
    }
}

/// Numbers of the functions that a Softmax is made of.
const EXPONENTIAL: u64 = 100;
const RECIPROCAL: u64 = 101;
/// Number of the function of a mean square that a normalisation multiplies by.
const NORMALISER: u64 = 102;

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
            Recipe::Spread { product: true, from } => A::mul(a[index], b[usize::from(from[index])]),
            Recipe::Spread { product: false, from } => A::add(a[index], b[usize::from(from[index])]),
            Recipe::Unscale => A::mul(a[index], A::function(RECIPROCAL, b[0])),
            Recipe::Softmax(len) => {
                let row = &a[index / len * len..][..*len];
                let sum = row.iter().fold(0, |sum, &x| A::add(sum, A::function(EXPONENTIAL, x)));
                A::mul(A::function(EXPONENTIAL, a[index]), A::function(RECIPROCAL, sum))
            }
            Recipe::Normalise(len) => {
                let row = &a[index / len * len..][..*len];
                let share = A::share(*len as u64);
                let mean = A::mul(row.iter().fold(0, |sum, &x| A::add(sum, x)), share);
                let square = |x: u64| A::mul(A::sub(x, mean), A::sub(x, mean));
                let spread = A::mul(row.iter().fold(0, |sum, &x| A::add(sum, square(x))), share);
                A::mul(A::mul(A::sub(a[index], mean), A::function(NORMALISER, spread)), b[index % len])
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
