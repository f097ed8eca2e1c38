//! One form for graphs that differ in names of inputs and in the order of steps alone.

use super::graph::{Made, NONE, Packed, Step, compare_steps};
use super::preset::Preset;

/// What renaming may exchange: for each input the first of its shape.
pub struct Renaming {
    group: Vec<u8>,
}

impl Renaming {
    /// For the inputs of a preset.
    pub fn new(preset: &Preset) -> Renaming {
        let first = |i: usize| preset.inputs.iter().position(|other| other.dims == preset.inputs[i].dims).unwrap_or(i);
        Renaming { group: (0..preset.inputs.len()).map(|i| first(i) as u8).collect() }
    }

    /// The first input of the shape of this one.
    pub fn group(&self, input: u8) -> u8 {
        self.group[usize::from(input)]
    }

    /// The least form over all names. `counts` is the number of results of each step.
    pub fn canonical(&self, steps: &[Step], counts: &[usize], commutes: &impl Fn(u8) -> bool) -> Packed {
        self.renamings(&[steps])
            .into_iter()
            .map(|names| self.ordered(steps, counts, &names, commutes))
            .min()
            .unwrap_or(Packed::of([]))
    }

    /// The least form of a pair over all names given to both at once.
    pub fn canonical_pair(
        &self,
        a: (&[Step], &[usize]),
        b: (&[Step], &[usize]),
        commutes: &impl Fn(u8) -> bool,
    ) -> (Packed, Packed) {
        let forms = self
            .renamings(&[a.0, b.0])
            .into_iter()
            .map(|names| (self.ordered(a.0, a.1, &names, commutes), self.ordered(b.0, b.1, &names, commutes)));
        forms.min().unwrap_or((Packed::of([]), Packed::of([])))
    }

    /// All ways to give the inputs used the first names of their shapes: a name for each input.
    fn renamings(&self, graphs: &[&[Step]]) -> Vec<Vec<u8>> {
        let inputs = self.group.len() as u8;
        let mut used: Vec<u8> =
            graphs.iter().flat_map(|g| g.iter()).flat_map(|s| s.args).filter(|&a| a < inputs).collect();
        used.sort_unstable();
        used.dedup();
        let mut all: Vec<Vec<u8>> = vec![vec![NONE; usize::from(inputs)]];
        for &input in &used {
            let first = self.group(input);
            let size = used.iter().filter(|&&u| self.group(u) == first).count() as u8;
            let extend = |names: Vec<u8>| {
                let free = (first..first + size).filter(|name| !names.contains(name)).collect::<Vec<u8>>();
                free.into_iter().map(move |name| {
                    let mut names = names.clone();
                    names[usize::from(input)] = name;
                    names
                })
            };
            all = all.into_iter().flat_map(extend).collect();
        }
        all
    }

    /// The least order of the steps under these names.
    fn ordered(&self, steps: &[Step], counts: &[usize], names: &[u8], commutes: &impl Fn(u8) -> bool) -> Packed {
        let inputs = self.group.len() as u8;
        let mut first = Vec::with_capacity(steps.len());
        let mut next = inputs;
        for &count in counts {
            first.push(next);
            next += count as u8;
        }
        let producer = |tensor: u8| (0..steps.len()).rev().find(|&i| tensor >= first[i]).unwrap_or(0);
        // Number of the step in the new order, and its first result there.
        let mut placed: Vec<Option<u8>> = vec![None; steps.len()];
        let mut path: Vec<Made> = Vec::with_capacity(steps.len());
        let mut producers: Vec<u8> = Vec::new();
        while path.len() < steps.len() {
            let mut best: Option<(Step, usize)> = None;
            for i in 0..steps.len() {
                if placed[i].is_some() {
                    continue;
                }
                let rename = |arg: u8| match arg {
                    NONE => Some(NONE),
                    arg if arg < inputs => Some(names[usize::from(arg)]),
                    arg => placed[producer(arg)].map(|at| at + arg - first[producer(arg)]),
                };
                let (Some(a), Some(b)) = (rename(steps[i].args[0]), rename(steps[i].args[1])) else { continue };
                let mut step = Step { op: steps[i].op, args: [a, b] };
                let less = |x: u8, y: u8| super::graph::compare_tensors(&path, &producers, inputs, x, y).is_lt();
                if commutes(step.op) && b != NONE && less(b, a) {
                    step.args.swap(0, 1);
                }
                if best.is_none_or(|(b, _)| compare_steps(&path, &producers, inputs, step, b).is_lt()) {
                    best = Some((step, i));
                }
            }
            let Some((step, i)) = best else { break };
            let at = inputs + producers.len() as u8;
            placed[i] = Some(at);
            producers.extend(std::iter::repeat_n(path.len() as u8, counts[i]));
            path.push(Made { step, first: at });
        }
        Packed::of(path.iter().map(|m| m.step))
    }
}
