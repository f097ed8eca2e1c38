//! Shapes of tensors in the generator, and where Concat joined them.

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

    /// How far apart neighbours along each axis are.
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [1; MAX_RANK];
        for axis in (0..MAX_RANK - 1).rev() {
            strides[axis] = strides[axis + 1] * usize::from(self.dims[axis + 1]);
        }
        strides
    }

    /// The index of the element at a place.
    pub fn index(&self, at: [usize; MAX_RANK]) -> usize {
        at.iter().zip(self.strides()).map(|(i, stride)| i * stride).sum()
    }

    /// All places, row by row.
    pub fn places(&self) -> impl Iterator<Item = [usize; MAX_RANK]> + use<> {
        let (strides, dims) = (self.strides(), self.dims.map(usize::from));
        (0..self.count()).map(move |i| std::array::from_fn(|axis| i / strides[axis] % dims[axis]))
    }

    /// The type with the joints of axes at which another operand is joined elsewhere forgotten.
    pub fn agreeing_with(mut self, other: &Type) -> Type {
        for axis in 0..MAX_RANK {
            if self.joints[axis] != other.joints[axis] {
                self.joints[axis] = Joints::NONE;
            }
        }
        self
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
    pub fn joined(self, offset: u8, next: Joints) -> Option<Joints> {
        Joints::from(self.positions().chain(next.positions().map(|p| p + offset)).chain([offset]))
    }

    /// The last joint made, and what is left on both sides of it.
    pub fn cut(self) -> Option<(u8, Joints, Joints)> {
        let at = self.positions().last()?;
        let left = Joints::from(self.positions().filter(|&p| p < at))?;
        let right = Joints::from(self.positions().filter(|&p| p > at).map(|p| p - at))?;
        Some((at, left, right))
    }
}
