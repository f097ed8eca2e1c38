//! Graphs as short lists of packed steps.

use std::cmp::Ordering;

/// A step: operator, then operands. An operand below the number of inputs is an input; others are results in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Step {
    /// Number of the operator.
    pub op: u8,
    /// Operands; [`NONE`] where there is none.
    pub args: [u8; 2],
}

/// No operand.
pub const NONE: u8 = u8::MAX;
/// Steps of a graph, at most.
pub const MAX_STEPS: usize = 5;

/// A graph of up to five steps in 128 bits: the number of steps in the highest byte, then 24 bits for each step, so that
/// graphs compare by size first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Packed(pub u128);

impl Packed {
    /// The graph of these steps, of which there are at most [`MAX_STEPS`].
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Packed {
        let (mut bits, mut count) = (0u128, 0);
        for step in steps {
            let word = u128::from(step.op) << 16 | u128::from(step.args[0]) << 8 | u128::from(step.args[1]);
            bits |= word << (96 - 24 * count);
            count += 1;
        }
        debug_assert!(count as usize <= MAX_STEPS);
        Packed((count as u128) << 120 | bits)
    }

    /// Number of steps.
    pub fn ops(self) -> usize {
        (self.0 >> 120) as usize
    }

    /// The steps.
    pub fn steps(self) -> Vec<Step> {
        let step = |i: usize| {
            let word = (self.0 >> (96 - 24 * i)) as u32;
            Step { op: (word >> 16) as u8, args: [(word >> 8) as u8, word as u8] }
        };
        (0..self.ops()).map(step).collect()
    }
}

/// A step with what it makes.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The step.
    pub step: Step,
    /// Number of its first result among tensors.
    pub first: u8,
}

/// The order of terms: inputs before results; results by operator, then operands, then which result.
pub fn compare_tensors(made: &[Made], producers: &[u8], inputs: u8, a: u8, b: u8) -> Ordering {
    if a == b || a < inputs || b < inputs {
        return a.cmp(&b);
    }
    let (p, q) = (producers[usize::from(a - inputs)], producers[usize::from(b - inputs)]);
    let slot = |tensor: u8, producer: u8| tensor - made[usize::from(producer)].first;
    if p == q {
        return a.cmp(&b);
    }
    let (s, t) = (made[usize::from(p)].step, made[usize::from(q)].step);
    compare_steps(made, producers, inputs, s, t).then(slot(a, p).cmp(&slot(b, q)))
}

/// The order of steps, which does not depend on where in a graph they stand: by operator, then operands.
pub fn compare_steps(made: &[Made], producers: &[u8], inputs: u8, s: Step, t: Step) -> Ordering {
    let operand = |at: usize| compare_tensors(made, producers, inputs, s.args[at], t.args[at]);
    s.op.cmp(&t.op).then_with(|| operand(0)).then_with(|| operand(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing_and_sorts_by_size() {
        let steps = [
            Step { op: 24, args: [1, NONE] },
            Step { op: 0, args: [20, 3] },
            Step { op: 255, args: [NONE, NONE] },
            Step { op: 7, args: [0, 22] },
            Step { op: 9, args: [0, 1] },
        ];
        for n in 0..=5 {
            let packed = Packed::of(steps[..n].iter().copied());
            assert_eq!(packed.ops(), n);
            assert_eq!(packed.steps(), &steps[..n]);
            assert!(n == 0 || Packed::of(steps[..n - 1].iter().copied()) < packed);
        }
    }
}
