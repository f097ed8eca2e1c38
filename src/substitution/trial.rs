//! Numerical tests of rules: random instances of the source, evaluated in f64 on both sides.
//!
//! This walks the rule itself and shares no code with the matcher and the patches of [`crate::rewrite`], so that each is
//! an oracle for the other.

use super::instance::{Instance, Misfit, Value, Values};
use super::random::Random;
use crate::graph::Attr;
use crate::ops::{self, Element};
use crate::rewrite::{Operand, Rule, RuleGraph};

/// How a rule is tested.
#[derive(Clone, Copy, Debug)]
pub struct TrialSettings {
    /// Seed of shapes, attributes and elements.
    pub seed: u64,
    /// Instances to test.
    pub instances: usize,
    /// Random proposals after which the search for instances ends.
    pub attempts: usize,
    /// Largest difference of results, relative to their magnitude or 1.
    pub tolerance: f64,
}

impl Default for TrialSettings {
    fn default() -> TrialSettings {
        TrialSettings { seed: 0, instances: 20, attempts: 400_000, tolerance: 1e-9 }
    }
}

/// What was tested.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Trials {
    /// Instances on which both sides agreed.
    pub instances: usize,
    /// Proposals made.
    pub attempts: usize,
    /// Largest difference seen, relative to the magnitude or 1.
    pub error: f64,
}

/// A rule that failed its test.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TrialError {
    /// Too few instances were found.
    #[error("{found} instances in {attempts} proposals; the last misfit: {reason}")]
    TooFew {
        /// Instances found.
        found: usize,
        /// Proposals made.
        attempts: usize,
        /// Why the last proposal was none.
        reason: String,
    },
    /// The conditions hold and the target cannot be built, or has other types.
    #[error("the conditions hold, and the target does not fit: {reason}; {instance}")]
    Target {
        /// Why.
        reason: String,
        /// The instance.
        instance: String,
    },
    /// Source and target differ.
    #[error("source and target differ by {error:e} in output {output}; {instance}")]
    Differ {
        /// Which output.
        output: usize,
        /// The difference, relative to the magnitude or 1.
        error: f64,
        /// The instance.
        instance: String,
    },
}

/// Tests a rule on random instances: groups of 2, 3 and 4 members, optional inputs there and left out.
///
/// # Errors
/// The two sides differ, or too few instances are found.
pub fn try_rule(rule: &Rule, settings: &TrialSettings) -> Result<Trials, TrialError> {
    let mut error = 0.0f64;
    let trials = each_instance(rule, settings, &mut |instance| {
        error = error.max(compare(rule, instance, settings.tolerance)?);
        Ok(())
    })?;
    Ok(Trials { error, ..trials })
}

/// Calls `visit` with random instances, as many as are asked for.
pub(super) fn each_instance(
    rule: &Rule,
    settings: &TrialSettings,
    visit: &mut dyn FnMut(&Instance) -> Result<(), TrialError>,
) -> Result<Trials, TrialError> {
    let optional = Instance::optional_inputs(rule).len();
    let grouped = Instance::is_grouped(rule);
    let mut trials = Trials::default();
    let mut reason = String::new();
    let seed = rule.name.bytes().fold(settings.seed, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(b)));
    // Every choice of absent inputs and group sizes in turn, so that each is covered.
    let choices = (1usize << optional.min(6)) * if grouped { 3 } else { 1 };
    let per_choice = settings.instances.div_ceil(choices);
    let attempts = (settings.attempts / choices).max(1);
    for choice in 0..choices {
        let members = if grouped { 2 + choice % 3 } else { 1 };
        let absent = if grouped { choice / 3 } else { choice };
        let mut found = 0;
        for attempt in 0..attempts {
            if found == per_choice {
                break;
            }
            trials.attempts += 1;
            let mut random = Random::new(seed, (choice * attempts + attempt) as u64);
            match Instance::propose(rule, members, absent, &mut random) {
                Ok(instance) => {
                    visit(&instance)?;
                    found += 1;
                }
                Err(Misfit(why)) => reason = why,
            }
        }
        trials.instances += found;
        if found < per_choice {
            let reason = format!("with {members} members and absent inputs {absent:b}: {reason}");
            return Err(TrialError::TooFew { found: trials.instances, attempts: trials.attempts, reason });
        }
    }
    Ok(trials)
}

/// Compares both sides on all shapes with dimensions of 1 and 2 that come of each of some random choices of ranks,
/// attributes and elements, with lists of two members; how many instances there were, and how many choices were gone
/// through to the end within so many proposals.
#[cfg(test)]
pub(super) fn try_small(rule: &Rule, streams: u64, proposals: usize) -> Result<(usize, usize), TrialError> {
    let members = if Instance::is_grouped(rule) { 2 } else { 1 };
    let choices = 1u64 << Instance::optional_inputs(rule).len().min(6);
    let (mut instances, mut whole) = (0, 0);
    for stream in 0..streams {
        let mut random = Random::in_turn(3, stream);
        for turn in 1.. {
            if let Ok(instance) = Instance::propose(rule, members, (stream % choices) as usize, &mut random) {
                instances += 1;
                // A target that does not fit is refused by whoever applies the rule.
                if let Err(error @ TrialError::Differ { .. }) = compare(rule, &instance, 1e-9) {
                    return Err(error);
                }
            }
            let more = random.turn();
            whole += usize::from(!more);
            if !more || turn == proposals {
                break;
            }
        }
    }
    Ok((instances, whole))
}

/// The largest relative difference of the two sides on an instance.
pub(super) fn compare(rule: &Rule, instance: &Instance, tolerance: f64) -> Result<f64, TrialError> {
    let misfit = |Misfit(reason): Misfit| TrialError::Target { reason, instance: instance.to_string() };
    let (source, target) = sides(rule, instance, &instance.values).map_err(misfit)?;
    let mut worst = 0.0f64;
    for (output, (s, t)) in source.iter().zip(&target).enumerate() {
        if s.facts != t.facts {
            let reason = format!("output {output} is {:?} instead of {:?}", t.facts.ty, s.facts.ty);
            return Err(misfit(Misfit(reason)));
        }
        let magnitude = s.array.data.iter().filter(|v| v.is_finite()).fold(1.0f64, |m, v| m.max(v.abs()));
        for (a, b) in s.array.data.iter().zip(&t.array.data) {
            let same = a == b || (a.is_nan() && b.is_nan());
            let error = if same { 0.0 } else { (a - b).abs() / magnitude };
            if error.is_nan() || error > tolerance {
                return Err(TrialError::Differ { output, error, instance: instance.to_string() });
            }
            worst = worst.max(error);
        }
    }
    Ok(worst)
}

/// Outputs of the source and of the target.
pub(super) type Outputs<E> = (Vec<Value<E>>, Vec<Value<E>>);

/// The outputs of both sides, given all values of the source.
pub(super) fn sides<E: Element>(rule: &Rule, instance: &Instance, values: &Values<E>) -> Result<Outputs<E>, Misfit> {
    let target = evaluate_target(rule, instance, values)?;
    let (source, target) = (outputs(&rule.source, values)?, outputs(&rule.target, &target)?);
    if source.len() == target.len() { Ok((source, target)) } else { Err(Misfit("another number of outputs".into())) }
}

fn outputs<E: Element>(graph: &RuleGraph, values: &Values<E>) -> Result<Vec<Value<E>>, Misfit> {
    let mut out = Vec::new();
    for output in &graph.outputs {
        let list = output.name().and_then(|name| values.get(name)).ok_or_else(|| Misfit("unbound output".into()))?;
        for value in list {
            out.push(value.clone().ok_or_else(|| Misfit("an output is missing".into()))?);
        }
    }
    Ok(out)
}

/// The values of the target's nodes and of the rule's inputs.
fn evaluate_target<E: Element>(rule: &Rule, instance: &Instance, source: &Values<E>) -> Result<Values<E>, Misfit> {
    let mut values = Values::new();
    for input in &rule.inputs {
        values.insert(input.name.clone(), source[&input.name].clone());
    }
    for node in &rule.target.nodes {
        let members = if node.repeated { instance.members } else { 1 };
        for member in 0..members {
            let mut attrs: Vec<(&str, Attr)> = Vec::new();
            for (name, pattern) in &node.attrs {
                let value = instance.target_attr(rule, pattern, member);
                attrs.push((name, value.ok_or_else(|| Misfit(format!("attribute {name} has no value")))?));
            }
            let mut operands: Vec<Option<Value<E>>> = Vec::new();
            for operand in &node.inputs {
                let list = operand.name().and_then(|name| values.get(name));
                match (operand, list) {
                    (Operand::Absent, _) => operands.push(None),
                    (Operand::All(_), Some(list)) => operands.extend(list.iter().cloned()),
                    (Operand::Each(_), Some(list)) => operands.push(list[member].clone()),
                    (_, Some(list)) => operands.push(list[0].clone()),
                    (_, None) => return Err(Misfit("unbound operand".into())),
                }
            }
            let op = ops::build(node.op, attrs).map_err(|e| Misfit(e.to_string()))?;
            let listed = node.outputs.iter().any(|o| matches!(o, Operand::All(_)));
            let count = if listed { instance.members } else { node.outputs.len() };
            let results = match with_absent(node.op, &operands) {
                Absence::None => Instance::apply(&op, &operands, count)?.into_iter().map(Some).collect(),
                Absence::Is(value) => vec![value],
                Absence::Negated(value) => {
                    let neg =
                        ops::build::<&str>(crate::graph::OpKind::Neg, vec![]).map_err(|e| Misfit(e.to_string()))?;
                    Instance::apply(&neg, &[Some(value)], 1)?.into_iter().map(Some).collect()
                }
            };
            bind(&mut values, &node.outputs, results);
        }
    }
    Ok(values)
}

/// Adds the results of one application to the values of a side.
pub(super) fn bind<E>(values: &mut Values<E>, outputs: &[Operand], results: Vec<Option<Value<E>>>) {
    if let [Operand::All(name)] = outputs {
        values.insert(name.clone(), results);
        return;
    }
    for (output, result) in outputs.iter().zip(results) {
        if let Some(name) = output.name() {
            values.entry(name.to_owned()).or_default().push(result);
        }
    }
}

/// What an application to missing biases is.
enum Absence<E> {
    /// Nothing is missing that matters: apply the operator.
    None,
    /// This value, or again a missing bias.
    Is(Option<Value<E>>),
    /// The negative of this value.
    Negated(Value<E>),
}

fn with_absent<E: Clone>(op: crate::graph::OpKind, operands: &[Option<Value<E>>]) -> Absence<E> {
    use crate::graph::OpKind::*;
    let missing = operands.iter().any(Option::is_none);
    match (op, operands) {
        (Add, [Some(v), None] | [None, Some(v)]) | (Sub, [Some(v), None]) => Absence::Is(Some(v.clone())),
        (Sub, [None, Some(v)]) => Absence::Negated(v.clone()),
        (Add | Sub, [None, None]) => Absence::Is(None),
        (Mul | Div | Neg | Reshape | Transpose | MatMul | ReduceSum, _) if missing => Absence::Is(None),
        _ => Absence::None,
    }
}
