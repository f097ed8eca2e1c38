//! Operations on ragged rows: row `i` of a tensor belongs to segment `ids[i]`.

use tch::{Kind, Tensor};

/// Weighted sums of rows of a table, without making the rows: bag `b` adds `weights[i] * table[rows[i]]` for `i` from
/// `offsets[b]` up to the next offset.
#[derive(Debug)]
pub struct Bags {
    /// `[N]`, int64: rows of the table.
    pub rows: Tensor,
    /// `[B]`, int64: where each bag begins.
    pub offsets: Tensor,
    /// `[N]`, f32.
    pub weights: Tensor,
}

impl Bags {
    /// `[B, W]` from a table `[C, W]`; an empty bag is zero.
    pub fn sum(&self, table: &Tensor) -> Tensor {
        const SUM: i64 = 0;
        if table.size()[0] == 0 {
            return Tensor::zeros([self.offsets.size()[0], table.size()[1]], (Kind::Float, table.device()));
        }
        Tensor::embedding_bag(table, &self.rows, &self.offsets, false, SUM, false, Some(&self.weights), false).0
    }
}

/// `[S]` (or `[S, W]`): sums of the rows of each segment.
pub fn sum(values: &Tensor, ids: &Tensor, segments: i64) -> Tensor {
    let mut size = values.size();
    size[0] = segments;
    Tensor::zeros(size, (values.kind(), values.device())).index_add(0, ids, values)
}

/// `[S, W]`: the largest of each column within each segment; 0 for an empty segment.
pub fn max(values: &Tensor, ids: &Tensor, segments: i64) -> Tensor {
    let width = values.size()[1];
    let index = ids.unsqueeze(1).expand([-1, width], false);
    Tensor::zeros([segments, width], (values.kind(), values.device()))
        .internal_scatter_reduce(0, &index, values, "amax", false)
}

/// `[N]`: log-softmax of the logits `[N]` within each segment.
pub fn log_softmax(logits: &Tensor, ids: &Tensor, segments: i64) -> Tensor {
    // The largest is subtracted as a constant: the result does not depend on it.
    let top = max(&logits.detach().unsqueeze(1), ids, segments).squeeze_dim(1);
    let shifted = logits - top.index_select(0, ids);
    let total = sum(&shifted.exp(), ids, segments).clamp_min(f64::from(f32::MIN_POSITIVE)).log();
    shifted - total.index_select(0, ids)
}
