//! Movements of elements that treat every axis on its own: transposes, slices, tiles, paddings, gathers along an axis,
//! nearest-neighbour resizing. One table of source offsets for each output axis says everything, for numbers and for the
//! partial values of shape tensors alike.

use super::array::strides;

/// A table entry that stands for the fill value.
pub const FILL: usize = usize::MAX;

/// Where each element of an output comes from: the sum over all axes of the table entries at its coordinates is the
/// row-major position in the source; any entry [`FILL`] makes it the fill value.
pub struct AxisMap {
    tables: Vec<Vec<usize>>,
}

impl AxisMap {
    /// From one table for each output axis. Every sum of entries without [`FILL`] must be a position of the source.
    pub fn new(tables: Vec<Vec<usize>>) -> AxisMap {
        AxisMap { tables }
    }

    /// A strided view: (length, stride in elements) for each axis.
    pub fn strided(axes: impl IntoIterator<Item = (usize, usize)>) -> AxisMap {
        AxisMap::new(axes.into_iter().map(|(len, stride)| (0..len).map(|i| i * stride).collect()).collect())
    }

    /// The source as it is, but for one axis, which is read at `indices` (coordinates; `None` is the fill value).
    pub fn along(shape: &[usize], axis: usize, indices: impl IntoIterator<Item = Option<usize>>) -> AxisMap {
        let strides = strides(shape);
        let mut map = AxisMap::strided(shape.iter().copied().zip(strides.iter().copied()));
        map.set_axis(axis, strides[axis], indices);
        map
    }

    /// Replaces the table of one axis.
    pub fn set_axis(&mut self, axis: usize, stride: usize, indices: impl IntoIterator<Item = Option<usize>>) {
        self.tables[axis] = indices.into_iter().map(|i| i.map_or(FILL, |i| i * stride)).collect();
    }

    /// The output's elements, row-major. Its number of elements must have been checked against the limit before.
    pub fn apply<T: Clone>(&self, source: &[T], fill: &T) -> Vec<T> {
        let count = self.tables.iter().map(Vec::len).product();
        let mut out = Vec::with_capacity(count);
        if count == 0 {
            return out;
        }
        // Axes of length 1 only shift the source, so that the depth of recursion is bounded by the count's logarithm.
        let mut base = 0;
        let mut tables: Vec<&[usize]> = Vec::new();
        for table in &self.tables {
            match table.as_slice() {
                [FILL] => return vec![fill.clone(); count],
                [offset] => base += offset,
                table => tables.push(table),
            }
        }
        walk(&tables, base, count, source, fill, &mut out);
        out
    }
}

fn walk<T: Clone>(tables: &[&[usize]], base: usize, count: usize, source: &[T], fill: &T, out: &mut Vec<T>) {
    let read = |at: usize| source.get(at).unwrap_or(fill).clone();
    match tables {
        [] => out.push(read(base)),
        [last] => out.extend(last.iter().map(|&t| if t == FILL { fill.clone() } else { read(base + t) })),
        [first, rest @ ..] => {
            let inner = count / first.len();
            for &t in *first {
                match t {
                    FILL => out.extend(std::iter::repeat_n(fill.clone(), inner)),
                    t => walk(rest, base + t, inner, source, fill, out),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_and_a_padded_matrix() {
        let m = [1, 2, 3, 4, 5, 6];
        assert_eq!(AxisMap::strided([(3, 1), (2, 3)]).apply(&m, &0), [1, 4, 2, 5, 3, 6]);
        let padded = AxisMap::along(&[2, 3], 0, [None, Some(1)]);
        assert_eq!(padded.apply(&m, &9), [9, 9, 9, 4, 5, 6]);
        assert_eq!(AxisMap::strided([(1, 0), (0, 5)]).apply(&m, &0), Vec::<usize>::new());
        assert_eq!(AxisMap::new(vec![]).apply(&m, &0), [1]);
    }
}
