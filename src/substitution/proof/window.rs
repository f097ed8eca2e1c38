//! Sizes of what windows that move over planes give.

use super::facts::Facts;
use crate::graph::Dim;

/// Strides, pads and dilations of a window.
pub(super) struct Window<'a> {
    pub strides: &'a [Dim],
    pub pads: &'a [Dim],
    pub dilations: &'a [Dim],
}

impl Window<'_> {
    /// Sizes of what a kernel gives as it moves over x.
    pub fn sizes(&self, x: &[Dim], kernel: &[Dim], facts: &Facts) -> Option<Vec<Dim>> {
        let rank = x.len();
        let dilation = |i: usize| self.dilations.get(i).cloned();
        let size = |i: usize| {
            let reach = dilation(i)?.mul(&kernel.get(i)?.sub(&Dim::Known(1)));
            let room = x[i].add(self.pads.get(i)?).add(self.pads.get(i + rank)?).sub(&reach).sub(&Dim::Known(1));
            Some(facts.normal(&room.floor_div(self.strides.get(i)?)?.add(&Dim::Known(1))))
        };
        (0..rank).map(size).collect()
    }

    /// Sizes of what a kernel gives that is spread over the result.
    pub fn spread(&self, x: &[Dim], kernel: &[Dim], extra: &[Dim], facts: &Facts) -> Option<Vec<Dim>> {
        let (rank, one) = (x.len(), Dim::Known(1));
        let size = |i: usize| {
            let reach = self.dilations.get(i)?.mul(&kernel.get(i)?.sub(&one)).add(&one);
            let all = self.strides.get(i)?.mul(&x[i].sub(&one)).add(extra.get(i)?).add(&reach);
            Some(facts.normal(&all.sub(self.pads.get(i)?).sub(self.pads.get(i + rank)?)))
        };
        (0..rank).map(size).collect()
    }
}
