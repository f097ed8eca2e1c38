//! Do two graphs compute the same function? Same interface, then the same outputs on several random inputs.
//!
//! Twice over. The reference check computes both in f64, folded weights kept in f64: a rewrite that is right over the
//! reals differs by rounding alone, below 1e-9 of each output's magnitude. The precision check computes both in their own
//! types, weights as a file would hold them: the second graph's distance from the first's f64 result has to be within
//! 1e-5 of the output's magnitude (16-bit outputs: four units in the last place), or within four times the first graph's
//! own. Tolerances scale with magnitude since a fixed one wrongly fails networks whose outputs are large.
//!
//! What lies below an opaque node is computed too where the node's output types are known: both graphs are given the same
//! random values for the outputs of each opaque node, and the inputs of opaque nodes are compared like outputs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use tch::{Device, Kind, Tensor};

use super::executor::{ExecuteError, Options, Program, Run};
use super::fold::Constants;
use super::inputs::{DrawError, draw, draw_inputs, size_sets};
use super::kernels::RunError;
use super::weights::Weights;
use crate::graph::{Graph, NodeId, Op, ValueRef, splitmix64};

/// Largest distance in f64, relative to an output's magnitude.
pub const REFERENCE_TOLERANCE: f64 = 1e-9;
/// Largest distance in the outputs' own types, relative to an output's magnitude.
pub const NATIVE_TOLERANCE: f64 = 1e-5;
/// Or this many times the first graph's own rounding error.
pub const ERROR_FACTOR: f64 = 4.0;

/// How to compare.
#[derive(Clone, PartialEq, Debug)]
pub struct CompareOptions {
    /// Device to run on.
    pub device: Device,
    /// Sizes of named dimensions; the others get several sizes.
    pub sizes: BTreeMap<String, i64>,
    /// Random inputs to try.
    pub trials: usize,
    /// Seed of the inputs.
    pub seed: u64,
    /// Whether to check precision in the outputs' own types too.
    pub native: bool,
    /// Whether the graphs come from two files, the second's folded weights rounded to their type: what its outputs in
    /// f64 are off by is then reported, and only the check in the outputs' own types judges floats.
    pub two_files: bool,
}

impl Default for CompareOptions {
    fn default() -> CompareOptions {
        CompareOptions {
            device: Device::Cpu,
            sizes: BTreeMap::new(),
            trials: 3,
            seed: 0,
            native: true,
            two_files: false,
        }
    }
}

/// Largest errors over all outputs and inputs.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Errors {
    /// Largest absolute difference.
    pub max_abs_error: f64,
    /// Largest difference relative to its output's largest magnitude.
    pub max_rel_error: f64,
}

impl Errors {
    fn include(&mut self, distance: &Distance) {
        self.max_abs_error = self.max_abs_error.max(distance.error);
        self.max_rel_error = self.max_rel_error.max(distance.relative());
    }
}

/// The result of a comparison.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Equivalence {
    /// Whether no difference was found.
    pub passed: bool,
    /// What differs, a line each, at most a few per kind of difference.
    pub differences: Vec<String>,
    /// Both graphs in f64.
    pub reference: Errors,
    /// The second graph in its own types against the first in f64; `None` if that was not asked for.
    pub native: Option<Errors>,
    /// Random inputs that both graphs were run on.
    pub inputs_tried: usize,
    /// The sizes of named dimensions that were tried.
    pub sizes: Vec<BTreeMap<String, i64>>,
    /// Outputs, and inputs of opaque nodes, that were compared.
    pub compared: usize,
    /// Outputs, and inputs of opaque nodes, that neither graph could compute.
    pub unchecked: Vec<String>,
    /// Nodes of the first graph that were not run, with the reason.
    pub not_run: Vec<String>,
}

/// A comparison that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A graph does not run.
    #[error("{graph} graph: {error}")]
    Run {
        /// "first" or "second".
        graph: &'static str,
        /// Why.
        error: ExecuteError,
    },
    /// Inputs cannot be made.
    #[error("random inputs: {0}")]
    Inputs(#[from] DrawError),
    /// Outputs cannot be compared.
    #[error("comparing outputs: {0}")]
    Compare(#[from] RunError),
}

/// What is compared: an output of the graph by name, or an input of an opaque node by the node's position in the model.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Probe {
    Output(String),
    OpaqueInput { of: String, slot: usize },
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Probe::Output(name) => write!(f, "output {name:?}"),
            Probe::OpaqueInput { of, slot } => write!(f, "input {slot} of opaque node {of}"),
        }
    }
}

/// Compares two graphs.
///
/// # Errors
/// A graph that does not run on any size tried, inputs that cannot be made. Graphs that differ are no error.
pub fn compare(a: &Graph, b: &Graph, options: &CompareOptions) -> Result<Equivalence, CompareError> {
    compare_with(a, b, options, &mut Weights::default())
}

/// Compares two graphs with weights that are loaded already, or are wanted afterwards.
///
/// # Errors
/// As [`compare`].
pub fn compare_with(
    a: &Graph,
    b: &Graph,
    options: &CompareOptions,
    weights: &mut Weights,
) -> Result<Equivalence, CompareError> {
    let mut result = Equivalence { differences: interface_differences(a, b), ..Equivalence::default() };
    if !result.differences.is_empty() {
        return Ok(result);
    }
    let sides = (Side::of("first", a, options.two_files), Side::of("second", b, options.two_files));
    let mut programs = Programs::compile(&sides, options, true, weights)?;
    result.not_run = programs.a.not_run().iter().map(|n| format!("{}: {}", n.what, n.why)).collect();
    let sets = size_sets(a, &options.sizes);
    let mut set = 0;
    let mut checked: BTreeSet<Probe> = BTreeSet::new();
    let mut unchecked: BTreeSet<Probe> = BTreeSet::new();
    while result.inputs_tried < options.trials.max(1) {
        let seed = splitmix64(options.seed, result.inputs_tried as u64);
        let sizes = &sets[set % sets.len()];
        match programs.trial(&sides, options, sizes, seed) {
            Ok(runs) => {
                judge(&runs, &sides, options.two_files, &mut result, &mut checked, &mut unchecked)?;
                if result.sizes.last() != Some(sizes) {
                    result.sizes.push(sizes.clone());
                }
                result.inputs_tried += 1;
                set += usize::from(sets.len() > 1 && result.inputs_tried < sets.len().min(options.trials));
            }
            // A network may not take every size: try the next.
            Err(CompareError::Run { graph: "first", .. }) if set + 1 < sets.len() => set += 1,
            // Values for opaque nodes may not fit one another: leave out what is below them.
            Err(CompareError::Run { graph: "first", .. }) if programs.supplies && !programs.a_is_closed() => {
                programs = Programs::compile(&sides, options, false, weights)?;
                set = 0;
            }
            Err(error) => return Err(error),
        }
    }
    result.compared = checked.len();
    result.unchecked = unchecked.difference(&checked).map(Probe::to_string).collect();
    result.passed = result.differences.is_empty();
    Ok(result)
}

/// Differences of names and types of inputs and outputs.
fn interface_differences(a: &Graph, b: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    let names = |g: &Graph| -> Vec<String> {
        g.inputs().iter().map(|&id| g.value_name(ValueRef::first(id)).to_string()).collect()
    };
    let outputs = |g: &Graph| -> Vec<String> { g.outputs().iter().map(|o| o.name.to_string()).collect() };
    if names(a) != names(b) {
        found.push(format!("inputs are {:?} and {:?}", names(a), names(b)));
    }
    if outputs(a) != outputs(b) {
        found.push(format!("outputs are {:?} and {:?}", outputs(a), outputs(b)));
    }
    if !found.is_empty() {
        return found;
    }
    let mut check = |what: String, left: ValueRef, right: ValueRef| {
        let (Some(x), Some(y)) = (&a.facts(left).ty, &b.facts(right).ty) else { return };
        // Names of dimensions may differ between files; numbers may not.
        let fits = |(p, q): (&crate::graph::Dim, &crate::graph::Dim)| match (p.known(), q.known()) {
            (Some(p), Some(q)) => p == q,
            _ => true,
        };
        if x.dtype != y.dtype || x.rank() != y.rank() || !x.shape.iter().zip(y.shape.iter()).all(fits) {
            found.push(format!("{what} has type {x} and {y}"));
        }
    };
    for (&left, &right) in a.inputs().iter().zip(b.inputs()) {
        let name = a.value_name(ValueRef::first(left));
        check(format!("input {name:?}"), ValueRef::first(left), ValueRef::first(right));
    }
    for (left, right) in a.outputs().iter().zip(b.outputs()) {
        check(format!("output {:?}", left.name), left.value, right.value);
    }
    found
}

/// One of the two graphs with what is looked at in it.
struct Side<'a> {
    which: &'static str,
    graph: &'a Graph,
    probes: Vec<Probe>,
    /// Inputs of opaque nodes, after the outputs in `probes`.
    observed: Vec<ValueRef>,
    /// Whether the graphs come from two files.
    two_files: bool,
}

impl<'a> Side<'a> {
    fn of(which: &'static str, graph: &'a Graph, two_files: bool) -> Side<'a> {
        let mut probes: Vec<Probe> = graph.outputs().iter().map(|o| Probe::Output(o.name.to_string())).collect();
        let mut observed = Vec::new();
        for id in graph.topological() {
            let node = graph.node(id);
            let Some(of) = opaque_name(graph, id, two_files) else { continue };
            for (slot, operand) in node.inputs.iter().enumerate() {
                if let Some(value) = operand {
                    probes.push(Probe::OpaqueInput { of: of.clone(), slot });
                    observed.push(*value);
                }
            }
        }
        Side { which, graph, probes, observed, two_files }
    }

    fn options(&self, options: &CompareOptions, wide: bool, supply_opaque: bool) -> Options {
        Options { device: options.device, wide, supply_opaque, observe: self.observed.clone() }
    }

    /// The opaque node and the output, as both graphs name a supplied value.
    fn opaque_key(&self, value: ValueRef) -> (String, u32) {
        (opaque_name(self.graph, value.node, self.two_files).unwrap_or_default(), value.slot)
    }

    fn error(&self) -> impl Fn(ExecuteError) -> CompareError + use<> {
        let which = self.which;
        move |error| CompareError::Run { graph: which, error }
    }
}

/// What both graphs call an opaque node: its position in the model that both come from; or, in graphs of two files, the
/// first of its results, since a value's name occurs once in a file.
fn opaque_name(graph: &Graph, id: NodeId, two_files: bool) -> Option<String> {
    let node = graph.node(id);
    let Op::Opaque(opaque) = &node.op else { return None };
    if !two_files {
        return Some(format!("number {}", opaque.origin));
    }
    let result = node.outputs.iter().map(|o| &o.name).find(|name| !name.is_empty());
    Some(format!("{:?}", result.unwrap_or(&node.name)))
}

/// Both graphs in f64, and in their own types if asked for.
struct Programs {
    a: Program,
    b: Program,
    native: Option<(Program, Program)>,
    supplies: bool,
}

/// The runs of one trial.
struct Runs {
    a: Run,
    b: Run,
    native: Option<(Run, Run)>,
}

impl Programs {
    fn compile(
        sides: &(Side<'_>, Side<'_>),
        options: &CompareOptions,
        supply: bool,
        weights: &mut Weights,
    ) -> Result<Programs, CompareError> {
        let constants = (Constants::of(sides.0.graph, weights), Constants::of(sides.1.graph, weights));
        let mut pair = |wide: bool| -> Result<(Program, Program), CompareError> {
            let first = sides.0.options(options, wide, supply);
            let a = Program::with(sides.0.graph, &first, &constants.0, weights).map_err(sides.0.error())?;
            let second = sides.1.options(options, wide, supply);
            let b = Program::with(sides.1.graph, &second, &constants.1, weights).map_err(sides.1.error())?;
            Ok((a, b))
        };
        let (a, b) = pair(true)?;
        let native = if options.native { Some(pair(false)?) } else { None };
        // The programs hold what they need; f64 copies of weights are of no use to others.
        weights.forget_placed();
        Ok(Programs { a, b, native, supplies: supply })
    }

    /// Whether no values are supplied to the first graph.
    fn a_is_closed(&self) -> bool {
        self.a.supplied().next().is_none()
    }

    fn trial(
        &self,
        sides: &(Side<'_>, Side<'_>),
        options: &CompareOptions,
        sizes: &BTreeMap<String, i64>,
        seed: u64,
    ) -> Result<Runs, CompareError> {
        let inputs = draw_inputs(sides.0.graph, sizes, seed)?;
        let mut drawn: BTreeMap<(String, u32), Tensor> = BTreeMap::new();
        let mut supply = |program: &Program, side: &Side<'_>| -> Result<Vec<Tensor>, DrawError> {
            let mut tensors = Vec::new();
            for (value, _) in program.supplied() {
                let key = side.opaque_key(value);
                let tensor = match drawn.entry(key.clone()) {
                    Entry::Occupied(seen) => seen.get().shallow_clone(),
                    Entry::Vacant(place) => {
                        let name = key.0.bytes().fold(0, |hash, byte| splitmix64(hash, u64::from(byte)));
                        let seed = splitmix64(seed ^ name, u64::from(key.1));
                        place.insert(draw(side.graph, value, sizes, seed)?).shallow_clone()
                    }
                };
                tensors.push(tensor);
            }
            Ok(tensors)
        };
        let mut run = |program: &Program, side: &Side<'_>| -> Result<Run, CompareError> {
            // A dimension below an opaque node that nothing binds counts as a size that does not fit.
            let supplied = supply(program, side).map_err(|error| CompareError::Run {
                graph: side.which,
                error: ExecuteError::Input { name: side.which.to_owned(), error: RunError::Torch(error.to_string()) },
            })?;
            program.run_from(&inputs, &supplied).map_err(side.error())
        };
        let (a, b) = (run(&self.a, &sides.0)?, run(&self.b, &sides.1)?);
        let native = match &self.native {
            Some((first, second)) if options.native => Some((run(first, &sides.0)?, run(second, &sides.1)?)),
            _ => None,
        };
        Ok(Runs { a, b, native })
    }
}

/// Adds what one trial shows to the result.
fn judge(
    runs: &Runs,
    sides: &(Side<'_>, Side<'_>),
    two_files: bool,
    result: &mut Equivalence,
    checked: &mut BTreeSet<Probe>,
    unchecked: &mut BTreeSet<Probe>,
) -> Result<(), CompareError> {
    let native = runs.native.as_ref().map(|(a, b)| (values(a, &sides.0), values(b, &sides.1)));
    let (a, b) = (values(&runs.a, &sides.0), values(&runs.b, &sides.1));
    let probes: BTreeSet<&Probe> = sides.0.probes.iter().chain(&sides.1.probes).collect();
    let mut differ = |text: String| {
        // One line each, and not one for each trial.
        if !result.differences.contains(&text) && result.differences.len() < 20 {
            result.differences.push(text);
        }
    };
    for node in runs.a.not_run.iter().map(|n| format!("{}: {}", n.what, n.why)) {
        if !result.not_run.contains(&node) {
            result.not_run.push(node);
        }
    }
    for probe in probes {
        let in_both = sides.0.probes.contains(probe) && sides.1.probes.contains(probe);
        let (left, right) = match (a.get(probe), b.get(probe)) {
            (Some(left), Some(right)) => (*left, *right),
            (None, None) if in_both => {
                unchecked.insert(probe.clone());
                continue;
            }
            (None, _) if in_both => {
                unchecked.insert(probe.clone());
                continue;
            }
            (Some(_), None) if in_both => {
                differ(format!("{probe} is not computed by the second graph"));
                continue;
            }
            _ => {
                differ(format!("{probe} is in one graph only"));
                continue;
            }
        };
        checked.insert(probe.clone());
        if left.size() != right.size() {
            differ(format!("{probe} has shape {:?} and {:?}", left.size(), right.size()));
            continue;
        }
        let distance = Distance::between(left, right)?;
        result.reference.include(&distance);
        if !distance.same_pattern {
            differ(format!("{probe} is not finite in other places"));
            continue;
        }
        let judged_below = two_files && native.is_some() && left.kind() == Kind::Double;
        if distance.relative() > REFERENCE_TOLERANCE && !judged_below {
            differ(format!("{probe} differs by {:.3e} of its magnitude in f64", distance.relative()));
            continue;
        }
        let Some((first, second)) = &native else { continue };
        let (Some(first), Some(second)) = (first.get(probe), second.get(probe)) else { continue };
        let kind = first.kind();
        if kind != second.kind() {
            differ(format!("{probe} has type {kind:?} and {:?}", second.kind()));
            continue;
        }
        // Where the original leaves its type's range there is nothing to compare with.
        let own = Distance::where_finite(left, first, first)?;
        let found = Distance::where_finite(left, second, first)?;
        result.native.get_or_insert_default().include(&found);
        let least = match kind {
            Kind::Half => 4.0 * 2f64.powi(-10),
            Kind::BFloat16 => 4.0 * 2f64.powi(-7),
            _ => NATIVE_TOLERANCE,
        };
        let allowed = (least * found.magnitude).max(ERROR_FACTOR * own.error);
        if !found.same_pattern || found.error > allowed {
            differ(format!(
                "{probe} in {kind:?}: error {:.3e}, allowed {allowed:.3e} (the original's own is {:.3e})",
                found.error, own.error
            ));
        }
    }
    Ok(())
}

/// The computed values of a run by what they are.
fn values<'a>(run: &'a Run, side: &'a Side<'_>) -> BTreeMap<&'a Probe, &'a Tensor> {
    let all = run.outputs.iter().chain(&run.observed);
    side.probes.iter().zip(all).filter_map(|(probe, value)| Some((probe, value.as_ref()?))).collect()
}

/// How far apart two tensors are.
struct Distance {
    /// Largest absolute difference of finite elements.
    error: f64,
    /// Largest magnitude of the first's finite elements.
    magnitude: f64,
    /// Whether infinities and NaNs are in the same places.
    same_pattern: bool,
}

impl Distance {
    /// Error relative to magnitude; an error where all is zero counts as infinite.
    fn relative(&self) -> f64 {
        if self.error == 0.0 { 0.0 } else { self.error / self.magnitude }
    }

    fn between(a: &Tensor, b: &Tensor) -> Result<Distance, RunError> {
        Distance::where_finite(a, b, a)
    }

    /// Only where `mask` is finite, the pattern of non-finite elements included if `mask` is the first itself.
    fn where_finite(a: &Tensor, b: &Tensor, mask: &Tensor) -> Result<Distance, RunError> {
        if a.numel() == 0 {
            return Ok(Distance { error: 0.0, magnitude: 0.0, same_pattern: true });
        }
        let whole = std::ptr::eq(a, mask);
        let mask = mask.f_to_kind(Kind::Double)?.f_isfinite()?;
        let (a, b) = (a.f_to_kind(Kind::Double)?, b.f_to_kind(Kind::Double)?);
        let (finite_a, finite_b) = (a.f_isfinite()?, b.f_isfinite()?);
        let truth = |t: &Tensor| -> Result<bool, RunError> { Ok(t.f_all()?.f_int64_value(&[])? != 0) };
        let same_pattern = if whole {
            // NaN with NaN, and each infinity with itself.
            let same = a.f_eq_tensor(&b)?.f_logical_or(&a.f_isnan()?.f_logical_and(&b.f_isnan()?)?)?;
            truth(&same.f_logical_or(&finite_a.f_logical_and(&finite_b)?)?)?
        } else {
            truth(&finite_b.f_logical_or(&mask.f_logical_not()?)?.f_logical_or(&finite_a.f_logical_not()?)?)?
        };
        let counted = finite_a.f_logical_and(&finite_b)?.f_logical_and(&mask)?;
        let outside = counted.f_logical_not()?;
        let largest = |t: &Tensor| -> Result<f64, RunError> {
            Ok(t.f_abs()?.f_masked_fill(&outside, 0.0)?.f_max()?.f_double_value(&[])?)
        };
        Ok(Distance { error: largest(&a.f_sub(&b)?)?, magnitude: largest(&a)?, same_pattern })
    }
}

#[cfg(test)]
mod tests;
