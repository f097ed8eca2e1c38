//! The number of graphs as TASO's public generator counts them.
//!
//! A graph is a sequence of at most N operators, each on inputs or earlier results. Sums, products and joins take two
//! different tensors in the order in which they came about; a kernel that is an input is not convolved; only inputs are
//! enlarged; a matrix is not multiplied with itself. A graph in which two tensors coincide (inputs among them, and with
//! layout and joints) is not counted, nor what begins with it. The empty graph counts. Nothing else does: graphs
//! that differ in the order of independent operators are counted each.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::arithmetic::Arithmetic;
use super::domain::{Domain, PlanId, Root, Tensor};
use super::operator::{Operands, Operator};
use super::preset::Preset;
use crate::graph::splitmix64;

/// Graphs counted, by number of operators.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Count {
    /// Graphs with 0, 1, 2, … operators.
    pub by_ops: Vec<u64>,
}

impl Count {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_ops.iter().sum()
    }

    /// Adds the counts of other beginnings.
    pub fn add(&mut self, other: &Count) {
        for (mine, theirs) in self.by_ops.iter_mut().zip(&other.by_ops) {
            *mine += theirs;
        }
    }
}

/// Counts graphs that begin with given operators.
pub struct Counter<A> {
    domain: Domain<A>,
    /// Operators on inputs alone that make tensors different from all inputs, and what they make.
    roots: Vec<(Root, Vec<Tensor>)>,
    /// How many of them make a tensor of this hash.
    occurrences: FxHashMap<u64, u64>,
    /// The inputs, then the results on the path.
    tensors: Vec<Tensor>,
    /// Hashes of the results on the path.
    hashes: Vec<u64>,
    binary: Vec<u8>,
    max_ops: usize,
    count: Count,
}

impl<A: Arithmetic> Counter<A> {
    /// A counter of graphs of at most `max_ops` operators (at least one).
    pub fn new(preset: &Preset, max_ops: usize, seed: u64) -> Counter<A> {
        let mut domain = Domain::<A>::new(preset, false, seed);
        let roots = domain.roots();
        let binary = (0..domain.operators.len() as u8).filter(|&op| {
            matches!(domain.operators[usize::from(op)].operands(), Operands::Ordered { .. } | Operands::Unordered)
        });
        let mut counter = Counter {
            roots: Vec::new(),
            occurrences: FxHashMap::default(),
            tensors: domain.inputs.clone(),
            hashes: Vec::new(),
            binary: binary.collect(),
            max_ops,
            count: Count { by_ops: vec![0; max_ops + 1] },
            domain,
        };
        for root in roots {
            let operand = |at: usize| root.inputs[at].map_or(NONE, usize::from);
            if let Some(results) = counter.apply(root.plan, operand(0), operand(1)) {
                for result in &results {
                    *counter.occurrences.entry(hash(result)).or_default() += 1;
                }
                counter.roots.push((root, results));
            }
        }
        counter
    }

    /// Number of beginnings; each can be counted by itself.
    pub fn beginnings(&self) -> usize {
        self.roots.len()
    }

    /// Graphs whose first operator is this one, which must be below [`Counter::beginnings`].
    pub fn count_from(&mut self, beginning: usize) -> Count {
        self.count.by_ops.fill(0);
        let results = self.roots[beginning].1.clone();
        self.descend(1, results);
        self.count.clone()
    }

    fn descend(&mut self, depth: usize, results: Vec<Tensor>) {
        self.count.by_ops[depth] += 1;
        if depth == self.max_ops {
            return;
        }
        let added = results.len();
        self.hashes.extend(results.iter().map(hash));
        self.tensors.extend(results);
        self.extend_with_inputs(depth);
        self.extend_with_results(depth);
        self.tensors.truncate(self.tensors.len() - added);
        self.hashes.truncate(self.hashes.len() - added);
    }

    /// Operators on inputs alone.
    fn extend_with_inputs(&mut self, depth: usize) {
        if depth + 1 == self.max_ops {
            let occurrences = |hash| self.occurrences.get(hash).copied().unwrap_or(0);
            let taken: u64 = self.hashes.iter().map(occurrences).sum();
            self.count.by_ops[depth + 1] += self.roots.len() as u64 - taken;
            return;
        }
        for root in 0..self.roots.len() {
            let fresh = |t: &Tensor| !self.hashes.contains(&hash(t));
            if self.roots[root].1.iter().all(fresh) {
                let results = self.roots[root].1.clone();
                self.descend(depth + 1, results);
            }
        }
    }

    /// Operators on at least one result.
    fn extend_with_results(&mut self, depth: usize) {
        let inputs = self.domain.inputs.len();
        for at in inputs..self.tensors.len() {
            let partners = self.domain.partners(self.tensors[at].ty);
            for partner in partners.iter() {
                let input = partner.input.map_or(NONE, usize::from);
                let (a, b) = if partner.input_first { (input, at) } else { (at, input) };
                self.extend(depth, partner.plan, a, b);
            }
        }
        for binary in 0..self.binary.len() {
            let op = self.binary[binary];
            let kind = self.domain.operators[usize::from(op)].operands();
            for a in inputs..self.tensors.len() {
                for b in inputs..self.tensors.len() {
                    let tried = match kind {
                        Operands::Unordered => a < b,
                        Operands::Ordered { same } => same || a != b,
                        Operands::None | Operands::One => false,
                    };
                    let joined = matches!(self.domain.operators[usize::from(op)], Operator::Concat { .. });
                    if !tried || joined && a > b {
                        continue;
                    }
                    if let Some(plan) = self.domain.plan_of(op, Some(self.tensors[a].ty), Some(self.tensors[b].ty)) {
                        self.extend(depth, plan, a, b);
                    }
                }
            }
        }
    }

    fn extend(&mut self, depth: usize, plan: PlanId, a: usize, b: usize) {
        if depth + 1 < self.max_ops {
            if let Some(results) = self.apply(plan, a, b) {
                self.descend(depth + 1, results);
            }
        } else if self.is_new(plan, a, b) {
            self.count.by_ops[depth + 1] += 1;
        }
    }

    /// The results, unless one of them is there already.
    fn apply(&self, plan: PlanId, a: usize, b: usize) -> Option<Vec<Tensor>> {
        let (plan, a, b) = (self.domain.plan(plan), self.data(a), self.data(b));
        let mut results: Vec<Tensor> = Vec::with_capacity(plan.types.len());
        for (slot, &ty) in plan.types.iter().enumerate() {
            let data: Rc<[u64]> = plan.applied.evaluate::<A>(slot, a, b).into();
            if self.tensors.iter().chain(&results).any(|t| t.ty == ty && t.data == data) {
                return None;
            }
            results.push(Tensor { ty, data });
        }
        Some(results)
    }

    /// Whether none of the results is there already: mostly seen by the first element.
    fn is_new(&self, plan: PlanId, a: usize, b: usize) -> bool {
        let whole = plan;
        let plan = self.domain.plan(plan);
        let (first, second) = (self.data(a), self.data(b));
        let differs = |slot: usize, ty: u16| {
            let element = plan.applied.element::<A>(slot, 0, first, second);
            self.tensors.iter().all(|t| t.ty != ty || t.data[0] != element)
        };
        let types = &plan.types;
        (types.len() == 1 && differs(0, types[0])) || self.apply(whole, a, b).is_some()
    }

    fn data(&self, at: usize) -> &[u64] {
        self.tensors.get(at).map_or(&[], |t| &t.data)
    }
}

/// No operand.
const NONE: usize = usize::MAX;

fn hash(tensor: &Tensor) -> u64 {
    tensor.data.iter().fold(splitmix64(u64::from(tensor.ty), 0), |h, &x| splitmix64(h, x))
}
