//! Enumeration of connected graphs, each in one order of its steps.
//!
//! Steps that do not depend on each other commute. Of all orders of a graph only the least one is walked (the
//! lexicographic normal form of traces): a step is refused when a greater step that it could precede stands before it.
//! Of graphs that differ in the names of inputs of one type, only those are walked, if wanted, in which such inputs
//! appear in ascending order; the least graph of each set of renamings is among them, since exchanging two names that
//! appear in the wrong order makes a graph less.
//!
//! A graph in which two tensors coincide, or one is nothing but zeros, is not walked, nor what begins with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arithmetic::Arithmetic;
use super::domain::{Domain, PlanId, SAMPLES, Tensor, TypeId};
use super::graph::{Made, NONE, Packed, Step, compare_steps, compare_tensors};
use super::operator::Operands;
use super::preset::Preset;
use crate::graph::splitmix64;

/// What a walk meets.
pub trait Visitor {
    /// A connected graph, with the fingerprint of its results.
    fn graph(&mut self, fingerprint: u64, graph: Found<'_>);

    /// A connected graph whose results are all inputs, which are given in order.
    fn identity(&mut self, graph: Packed, results: &[u8]);
}

/// A graph on the path of a walk.
pub struct Found<'a> {
    path: &'a [Made],
    last: Step,
}

impl Found<'_> {
    /// The graph, packed.
    pub fn packed(&self) -> Packed {
        Packed::of(self.path.iter().map(|m| m.step).chain([self.last]))
    }
}

/// Which names of inputs are walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// Those in which inputs of one type appear in ascending order.
    Canonical,
    /// All.
    All,
}

/// A step on inputs alone.
struct Begin {
    step: Step,
    plan: PlanId,
    mask: u64,
    /// Hashes of what it makes; `None` where that is an input.
    hashes: Option<Vec<u64>>,
}

/// Sets of steps that hang together through results and inputs: the inputs of each.
#[derive(Clone, Copy)]
struct Parts {
    count: u8,
    masks: [u64; 6],
    /// Part of each step, by number of the step.
    of: [u8; 6],
}

/// Walks graphs that begin with given steps.
pub struct Walker<A> {
    domain: Domain<A>,
    begins: Vec<Begin>,
    binary: Vec<u8>,
    /// First input of the type of each input.
    group: Vec<u8>,
    /// Which inputs connect: all but scalars.
    links: u64,
    max_ops: usize,
    names: Names,
    tensors: Vec<Tensor>,
    hashes: Vec<u64>,
    path: Vec<Made>,
    producers: Vec<u8>,
    used: Vec<u8>,
    stop: Arc<AtomicBool>,
    /// Graphs seen: connected ones, by number of steps.
    pub graphs: Vec<u64>,
}

impl<A: Arithmetic> Walker<A> {
    /// A walker over graphs of at most `max_ops` steps. Once `stop` is set, walks end soon, and are incomplete.
    pub fn new(preset: &Preset, max_ops: usize, names: Names, seed: u64, stop: Arc<AtomicBool>) -> Walker<A> {
        let mut domain = Domain::<A>::new(preset, true, seed);
        let roots = domain.roots();
        let inputs = domain.inputs.len();
        let group = (0..inputs)
            .map(|i| (0..=i).find(|&j| domain.inputs[j].ty == domain.inputs[i].ty).map_or(i, |j| j) as u8)
            .collect();
        let links = (0..inputs).filter(|&i| !preset.inputs[i].dims.is_empty()).fold(0, |mask, i| mask | 1 << i);
        let is_binary = |op: &u8| {
            matches!(domain.operators[usize::from(*op)].operands(), Operands::Ordered { .. } | Operands::Unordered)
        };
        let binary = (0..domain.operators.len() as u8).filter(is_binary).collect();
        let hashes = domain.inputs.iter().map(|t| hash_of(&domain, t)).collect();
        let mut walker = Walker {
            begins: Vec::new(),
            binary,
            group,
            links,
            max_ops,
            names,
            tensors: domain.inputs.clone(),
            hashes,
            path: Vec::new(),
            producers: Vec::new(),
            used: vec![0; inputs],
            stop,
            graphs: vec![0; max_ops + 1],
            domain,
        };
        for root in roots {
            let args = root.inputs.map(|i| i.unwrap_or(NONE));
            let hashes: Vec<u64> = walker.sampled(root.plan, args);
            // A hash decides nothing alone: tensors may agree where they are sampled.
            let plan = walker.domain.plan(root.plan);
            let suspect = hashes.iter().zip(&plan.types).any(|(&hash, &ty)| walker.is_suspect(hash, ty));
            let fresh = !suspect || walker.results(root.plan, args).is_some();
            walker.begins.push(Begin {
                step: Step { op: root.op, args },
                plan: root.plan,
                mask: walker.mask(args),
                hashes: fresh.then_some(hashes),
            });
        }
        walker.begins.sort_by_key(|b| b.step);
        walker
    }

    /// Number of first steps.
    pub fn beginnings(&self) -> usize {
        self.begins.len()
    }

    /// Walks all graphs whose first step is this one, which must be below [`Walker::beginnings`].
    pub fn walk(&mut self, beginning: usize, visitor: &mut impl Visitor) {
        let parts = Parts { count: 0, masks: [0; 6], of: [0; 6] };
        self.begin(beginning, parts, 0, visitor);
    }

    fn mask(&self, args: [u8; 2]) -> u64 {
        let inputs = self.domain.inputs.len() as u8;
        args.iter().filter(|&&a| a < inputs).fold(0, |mask, &a| mask | 1 << a) & self.links
    }

    /// Hashes of the results of a plan, from their samples.
    fn sampled(&self, plan: PlanId, args: [u8; 2]) -> Vec<u64> {
        let plan = self.domain.plan(plan);
        let (a, b) = (self.data(args[0]), self.data(args[1]));
        let slots = plan.types.iter().enumerate();
        slots
            .map(|(slot, &ty)| {
                let element = |i: usize| plan.applied.element::<A>(slot, plan.samples[slot][i] as usize, a, b);
                hash(self.domain.shape_number(ty), std::array::from_fn(element))
            })
            .collect()
    }

    /// Whether a tensor of this hash and type may be there already, or be nothing but zeros.
    fn is_suspect(&self, hash: u64, ty: TypeId) -> bool {
        self.hashes.contains(&hash) || hash == self::hash(self.domain.shape_number(ty), [0; SAMPLES])
    }

    fn data(&self, at: u8) -> &[u64] {
        self.tensors.get(usize::from(at)).map_or(&[], |t| &t.data)
    }

    /// Extends the path by a step on inputs alone.
    fn begin(&mut self, index: usize, parts: Parts, open: u64, visitor: &mut impl Visitor) {
        let begin = &self.begins[index];
        let (step, plan, mask) = (begin.step, begin.plan, begin.mask);
        let Some((used, parts)) = self.admit(step, mask, &parts) else { return };
        let Some(hashes) = begin.hashes.as_ref() else {
            if self.path.is_empty() {
                self.identity(plan, step, visitor);
            }
            return;
        };
        if hashes.iter().any(|h| self.hashes.contains(h)) && self.results(plan, step.args).is_none() {
            return;
        }
        if self.path.len() + 1 == self.max_ops {
            if parts.count == 1 {
                let sum = hashes.iter().fold(open, |sum, &h| sum.wrapping_add(mix(h)));
                self.graphs[self.max_ops] += 1;
                visitor.graph(sum, Found { path: &self.path, last: step });
            }
            return;
        }
        let Some(results) = self.results(plan, step.args) else { return };
        self.push(step, used, results, parts, open, visitor);
    }

    /// Names and connection of a path extended by a step: `None` where the step is not to be taken. What is returned first
    /// is the input to mark as used by each operand.
    fn admit(&self, step: Step, mask: u64, parts: &Parts) -> Option<([u8; 2], Parts)> {
        let inputs = self.domain.inputs.len() as u8;
        let mut used = [NONE; 2];
        if self.names == Names::Canonical {
            for at in 0..2 {
                let arg = step.args[at];
                if arg < inputs && self.used[usize::from(arg)] == 0 && used[0] != arg {
                    let first = self.group[usize::from(arg)];
                    let before = arg > first && self.used[usize::from(arg - 1)] == 0 && used[0] != arg - 1;
                    if before {
                        return None;
                    }
                    used[at] = arg;
                }
            }
        }
        let mut joined = Parts { count: 0, ..*parts };
        let at = self.path.len();
        // The parts that the step touches become one, which comes last.
        let mut touched = 0u8;
        for arg in step.args {
            if arg >= inputs && arg != NONE {
                touched |= 1 << parts.of[usize::from(self.producers[usize::from(arg - inputs)])];
            }
        }
        let mut map = [0u8; 6];
        let mut merged = mask;
        for part in 0..parts.count {
            if touched >> part & 1 == 1 || parts.masks[usize::from(part)] & mask != 0 {
                merged |= parts.masks[usize::from(part)];
                map[usize::from(part)] = u8::MAX;
            } else {
                map[usize::from(part)] = joined.count;
                joined.masks[usize::from(joined.count)] = parts.masks[usize::from(part)];
                joined.count += 1;
            }
        }
        joined.masks[usize::from(joined.count)] = merged;
        for step in 0..at {
            let part = map[usize::from(parts.of[step])];
            joined.of[step] = if part == u8::MAX { joined.count } else { part };
        }
        joined.of[at] = joined.count;
        joined.count += 1;
        // Each further step joins two parts at most.
        let left = self.max_ops - at - 1;
        (usize::from(joined.count) - 1 <= left).then_some((used, joined))
    }

    /// All elements of the results, unless one of the tensors is there already or nothing but zeros.
    fn results(&self, plan: PlanId, args: [u8; 2]) -> Option<Vec<Tensor>> {
        let plan = self.domain.plan(plan);
        let (a, b) = (self.data(args[0]), self.data(args[1]));
        let mut results: Vec<Tensor> = Vec::with_capacity(plan.types.len());
        for (slot, &ty) in plan.types.iter().enumerate() {
            let data: std::rc::Rc<[u64]> = plan.applied.evaluate::<A>(slot, a, b).into();
            let shape = self.domain.shape_number(ty);
            let same = |t: &Tensor| self.domain.shape_number(t.ty) == shape && t.data == data;
            if self.tensors.iter().chain(&results).any(same) || data.iter().all(|&x| x == 0) {
                return None;
            }
            results.push(Tensor { ty, data });
        }
        Some(results)
    }

    /// A step whose results coincide with tensors on the path: a graph that is nothing but inputs, if there is nothing else.
    fn identity(&mut self, plan: PlanId, step: Step, visitor: &mut impl Visitor) {
        let plan = self.domain.plan(plan);
        let (a, b) = (self.data(step.args[0]), self.data(step.args[1]));
        let mut results = Vec::new();
        for (slot, &ty) in plan.types.iter().enumerate() {
            let data = plan.applied.evaluate::<A>(slot, a, b);
            let shape = self.domain.shape_number(ty);
            let mut inputs = self.domain.inputs.iter();
            let Some(input) = inputs.position(|t| self.domain.shape_number(t.ty) == shape && *t.data == *data) else {
                return;
            };
            results.push(input as u8);
        }
        visitor.identity(Packed::of(self.path.iter().map(|m| m.step).chain([step])), &results);
    }

    /// Takes a step: visits the graph and what begins with it.
    fn push(
        &mut self,
        step: Step,
        used: [u8; 2],
        results: Vec<Tensor>,
        parts: Parts,
        open: u64,
        visitor: &mut impl Visitor,
    ) {
        let mut open = open;
        let first = self.tensors.len() as u8;
        for result in &results {
            let hash = hash_of(&self.domain, result);
            open = open.wrapping_add(mix(hash));
            self.hashes.push(hash);
            self.producers.push(self.path.len() as u8);
        }
        if parts.count == 1 {
            self.graphs[self.path.len() + 1] += 1;
            visitor.graph(open, Found { path: &self.path, last: step });
        }
        self.tensors.extend(results);
        self.path.push(Made { step, first });
        for input in used {
            if input != NONE {
                self.used[usize::from(input)] += 1;
            }
        }
        self.extend(parts, open, visitor);
        for input in used {
            if input != NONE {
                self.used[usize::from(input)] -= 1;
            }
        }
        self.path.pop();
        self.tensors.truncate(usize::from(first));
        self.hashes.truncate(usize::from(first));
        self.producers.truncate(usize::from(first) - self.domain.inputs.len());
    }

    /// Every step that may follow the path.
    fn extend(&mut self, parts: Parts, open: u64, visitor: &mut impl Visitor) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        // A step on inputs alone commutes with all others: it is greater than all of them.
        let last = self.path.len() + 1 == self.max_ops;
        let inputs = self.domain.inputs.len() as u8;
        let greatest = (0..self.path.len())
            .map(|i| {
                let step = self.path[i].step;
                self.begins.partition_point(|b| {
                    compare_steps(&self.path, &self.producers, inputs, b.step, step) != std::cmp::Ordering::Greater
                })
            })
            .max()
            .unwrap_or(0);
        let all = parts.masks[..usize::from(parts.count)].iter().fold(0, |all, mask| all | mask);
        for index in greatest..self.begins.len() {
            // The last step has to hang together with the others.
            if !last || self.begins[index].mask & all != 0 {
                self.begin(index, parts, open, visitor);
            }
        }
        for at in inputs..self.tensors.len() as u8 {
            let partners = self.domain.partners(self.tensors[usize::from(at)].ty);
            for partner in partners.iter() {
                let input = partner.input.unwrap_or(NONE);
                let args = if partner.input_first { [input, at] } else { [at, input] };
                self.follow(Step { op: partner.op, args }, partner.plan, &parts, open, visitor);
            }
        }
        for binary in 0..self.binary.len() {
            let op = self.binary[binary];
            let kind = self.domain.operators[usize::from(op)].operands();
            for a in inputs..self.tensors.len() as u8 {
                for b in inputs..self.tensors.len() as u8 {
                    let tried = match kind {
                        Operands::Unordered => {
                            compare_tensors(&self.path, &self.producers, inputs, a, b) == std::cmp::Ordering::Less
                        }
                        Operands::Ordered { same } => same || a != b,
                        Operands::None | Operands::One => false,
                    };
                    if !tried {
                        continue;
                    }
                    let types = [a, b].map(|i| Some(self.tensors[usize::from(i)].ty));
                    if let Some(plan) = self.domain.plan_of(op, types[0], types[1]) {
                        self.follow(Step { op, args: [a, b] }, plan, &parts, open, visitor);
                    }
                }
            }
        }
    }

    /// Extends the path by a step on results.
    fn follow(&mut self, step: Step, plan: PlanId, parts: &Parts, open: u64, visitor: &mut impl Visitor) {
        let inputs = self.domain.inputs.len() as u8;
        // Steps behind the last one that this one depends on are less than it.
        let depends = step.args.iter().filter(|&&a| a >= inputs && a != NONE);
        let behind = depends.map(|&a| usize::from(self.producers[usize::from(a - inputs)]) + 1).max().unwrap_or(0);
        for made in &self.path[behind..] {
            if compare_steps(&self.path, &self.producers, inputs, made.step, step) == std::cmp::Ordering::Greater {
                return;
            }
        }
        let mask = self.mask(step.args);
        let Some((used, parts)) = self.admit(step, mask, parts) else { return };
        let mut open = open;
        for (at, &arg) in step.args.iter().enumerate() {
            let again = at == 1 && step.args[0] == arg;
            if arg >= inputs && arg != NONE && !again && !self.is_consumed(arg) {
                open = open.wrapping_sub(mix(self.hashes[usize::from(arg)]));
            }
        }
        if self.path.len() + 1 < self.max_ops {
            match self.results(plan, step.args) {
                Some(results) => self.push(step, used, results, parts, open, visitor),
                None if open == 0 => self.identity(plan, step, visitor),
                None => {}
            }
            return;
        }
        if parts.count != 1 {
            return;
        }
        let plan_data = self.domain.plan(plan);
        let (a, b) = (self.data(step.args[0]), self.data(step.args[1]));
        let mut sum = open;
        let mut seen = [0u64; 2];
        for (slot, &ty) in plan_data.types.iter().enumerate() {
            let element = |i: usize| plan_data.applied.element::<A>(slot, plan_data.samples[slot][i] as usize, a, b);
            let hash = hash(self.domain.shape_number(ty), std::array::from_fn(element));
            let known = self.is_suspect(hash, ty) || seen[..slot].contains(&hash);
            if known && self.results(plan, step.args).is_none() {
                if open == 0 {
                    self.identity(plan, step, visitor);
                }
                return;
            }
            seen[slot] = hash;
            sum = sum.wrapping_add(mix(hash));
        }
        self.graphs[self.max_ops] += 1;
        visitor.graph(sum, Found { path: &self.path, last: step });
    }

    fn is_consumed(&self, tensor: u8) -> bool {
        self.path.iter().any(|m| m.step.args.contains(&tensor))
    }
}

fn hash_of<A: Arithmetic>(domain: &Domain<A>, tensor: &Tensor) -> u64 {
    let at = domain.samples(tensor.ty);
    hash(domain.shape_number(tensor.ty), at.map(|i| tensor.data[i as usize]))
}

/// Hash of a shape and the elements that stand for a tensor.
fn hash(shape: u64, samples: [u64; SAMPLES]) -> u64 {
    let [x, y, z] = samples;
    let h = (shape ^ x).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let h = ((h ^ h >> 29) ^ y).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let h = ((h ^ h >> 32) ^ z).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ h >> 31
}

/// Hashes of results are mixed once more and added, so that their order makes no difference.
fn mix(hash: u64) -> u64 {
    splitmix64(hash, 1)
}
