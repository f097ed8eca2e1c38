//! What graphs compute, on all elements: a fingerprint is never trusted without it.

use super::arithmetic::Field;
use super::domain::{Domain, Tensor};
use super::graph::{NONE, Packed, Step};
use super::preset::Preset;
use crate::graph::splitmix64;

/// Evaluates graphs on several draws of the inputs.
pub struct Evaluator {
    domains: Vec<Domain<Field>>,
    inputs: usize,
}

/// The results of a graph that no step of it uses, by number of tensor.
pub fn outputs(steps: &[Step], counts: &[usize], inputs: usize) -> Vec<u8> {
    let total = inputs + counts.iter().sum::<usize>();
    let used = |tensor: u8| steps.iter().any(|s| s.args.contains(&tensor));
    (inputs as u8..total as u8).filter(|&tensor| !used(tensor)).collect()
}

impl Evaluator {
    /// An evaluator on fresh draws, apart from those that fingerprints are made on.
    pub fn new(preset: &Preset, seed: u64) -> Evaluator {
        let domains: Vec<_> =
            (1..=2).map(|draw| Domain::new(preset, true, splitmix64(seed ^ 0x6672_6573_685f_6461, draw))).collect();
        Evaluator { inputs: preset.inputs.len(), domains }
    }

    /// The domain of the first draw.
    pub fn domain(&mut self) -> &mut Domain<Field> {
        &mut self.domains[0]
    }

    /// Number of results of each step.
    pub fn counts(&mut self, steps: &[Step]) -> Option<Vec<usize>> {
        let domain = &mut self.domains[0];
        let mut types: Vec<_> = domain.inputs.iter().map(|t| t.ty).collect();
        let mut counts = Vec::with_capacity(steps.len());
        for step in steps {
            let ty = |arg: u8| if arg == NONE { None } else { types.get(usize::from(arg)).copied() };
            let plan = domain.plan_of(step.op, ty(step.args[0]), ty(step.args[1]))?;
            let plan = domain.plan(plan);
            counts.push(plan.types.len());
            types.extend(&plan.types);
        }
        Some(counts)
    }

    /// How the outputs of two graphs correspond: for each output of the first the number of that of the second with the
    /// same values on every draw. `None` if they do not, or do not in one way.
    pub fn correspondence(&mut self, a: Packed, b: Packed) -> Option<Vec<usize>> {
        self.correspond(&a.steps(), &b.steps(), None)
    }

    /// As [`Evaluator::correspondence`], with other elements in place of a tensor: (number of its draw's seed, tensor of a,
    /// tensor of b), which must have one shape.
    pub fn correspond(&mut self, a: &[Step], b: &[Step], fresh: Option<(u8, u8)>) -> Option<Vec<usize>> {
        let mut order: Option<Vec<usize>> = None;
        for domain in &mut self.domains {
            let (left, counts) = evaluate(domain, a, fresh.map(|f| f.0))?;
            let mine = outputs(a, &counts, self.inputs);
            let (right, counts) = evaluate(domain, b, fresh.map(|f| f.1))?;
            let theirs = outputs(b, &counts, self.inputs);
            if mine.len() != theirs.len() {
                return None;
            }
            let same =
                |x: &Tensor, y: &Tensor| domain.shape_number(x.ty) == domain.shape_number(y.ty) && x.data == y.data;
            let find = |&m: &u8| theirs.iter().position(|&t| same(&left[usize::from(m)], &right[usize::from(t)]));
            let found: Vec<usize> = mine.iter().map(find).collect::<Option<_>>()?;
            let mut sorted = found.clone();
            sorted.sort_unstable();
            sorted.dedup();
            if sorted.len() != found.len() || order.as_ref().is_some_and(|o| *o != found) {
                return None;
            }
            order = Some(found);
        }
        order
    }

    /// All tensors of a graph on the first draw, and the number of results of each step.
    pub fn tensors(&mut self, steps: &[Step]) -> Option<(Vec<Tensor>, Vec<usize>)> {
        evaluate(&mut self.domains[0], steps, None)
    }

    /// Whether two tensors have one shape and the same elements.
    pub fn same(&self, x: &Tensor, y: &Tensor) -> bool {
        self.domains[0].shape_number(x.ty) == self.domains[0].shape_number(y.ty) && x.data == y.data
    }
}

/// All tensors of a graph and the number of results of each step; the elements of `fresh` are replaced by random ones that
/// depend on its shape alone.
fn evaluate(domain: &mut Domain<Field>, steps: &[Step], fresh: Option<u8>) -> Option<(Vec<Tensor>, Vec<usize>)> {
    let mut tensors = domain.inputs.clone();
    let mut counts = Vec::with_capacity(steps.len());
    for step in steps {
        let ty = |arg: u8| if arg == NONE { None } else { tensors.get(usize::from(arg)).map(|t| t.ty) };
        let plan = domain.plan_of(step.op, ty(step.args[0]), ty(step.args[1]))?;
        let plan = domain.plan(plan);
        let data = |arg: u8| tensors.get(usize::from(arg)).map_or(&[][..], |t| &t.data);
        let mut results = Vec::with_capacity(2);
        for (slot, &ty) in plan.types.iter().enumerate() {
            let number = (tensors.len() + slot) as u8;
            let data = if fresh == Some(number) {
                let shape = domain.shape_number(ty);
                (0..domain.ty(ty).count()).map(|i| splitmix64(shape, i as u64) % super::PRIME).collect()
            } else {
                plan.applied.evaluate::<Field>(slot, data(step.args[0]), data(step.args[1])).into()
            };
            results.push(Tensor { ty, data });
        }
        counts.push(results.len());
        tensors.extend(results);
    }
    Some((tensors, counts))
}
