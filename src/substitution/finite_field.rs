//! Tests of rules over a finite field: what agrees on random elements of a large prime field agrees as a polynomial, but
//! for a chance that the degree bounds (Schwartz 1980, Zippel 1979).
//!
//! Functions that are no ring operations are random functions of the field, told apart by name: laws that hold for every
//! function hold for them, laws of one function (exp(x + y) = exp(x) exp(y)) do not. The order is a random one. A rule that
//! needs such a law differs here and is true over the reals; that is told apart from being wrong.

mod degree;
mod residue;

use std::collections::BTreeSet;

use super::instance::{Instance, Misfit, Value, Values};
use super::random::Random;
use super::trial::{Outputs, TrialError, TrialSettings, each_instance, sides};
use crate::graph::DType;
use crate::ops::{Array, Element};
use crate::rewrite::Rule;
use degree::Degree;
use residue::Residue;

pub use super::generator::PRIME;

/// What a test over the field gave.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct FieldTrials {
    /// Instances on which both sides agreed.
    pub instances: usize,
    /// Different shapes and attributes among them.
    pub shapes: usize,
    /// Instances on which something has no value in the field (a quotient by zero, the integer near an element).
    pub undefined: usize,
    /// Bound on the degree of the difference of the sides, as a polynomial in the elements of the inputs and the values of
    /// functions, over all instances.
    pub degree: u64,
}

impl FieldTrials {
    /// Bound on the chance that two sides which differ as polynomials on one of the tried instances agreed on it.
    pub fn chance(&self) -> f64 {
        self.degree as f64 / PRIME as f64
    }
}

/// Whether a rule holds over the field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldOutcome {
    /// Both sides agree wherever both have a value.
    Agrees(FieldTrials),
    /// They differ: it is wrong, or needs laws of the real numbers.
    Differs {
        /// Which output.
        output: usize,
        /// Shapes and attributes.
        instance: String,
    },
    /// Nothing of it has a value in the field.
    Undefined(FieldTrials),
}

/// Tests a rule over the field on random instances; each is evaluated on elements of its own.
///
/// # Errors
/// Too few instances are found.
pub fn try_over_field(rule: &Rule, settings: &TrialSettings) -> Result<FieldOutcome, TrialError> {
    let mut trials = FieldTrials::default();
    let mut shapes = BTreeSet::new();
    let mut differs = None;
    let mut number = 0;
    each_instance(rule, settings, &mut |instance| {
        number += 1;
        if differs.is_some() {
            return Ok(());
        }
        let mut random = Random::new(settings.seed ^ 0x5eed, number);
        let inputs = inputs(rule, instance, &mut || Residue::new(random.bits()));
        match evaluate(rule, instance, inputs) {
            Err(_) => trials.undefined += 1,
            Ok((source, target)) => {
                let differing = source.iter().zip(&target).position(|(s, t)| s.array.data != t.array.data);
                if let Some(output) = differing {
                    differs = Some(FieldOutcome::Differs { output, instance: instance.to_string() });
                    return Ok(());
                }
                trials.instances += 1;
                shapes.insert(instance.to_string());
                let inputs = self::inputs(rule, instance, &mut || Degree::VARIABLE);
                let difference = evaluate(rule, instance, inputs).map_or(u64::MAX, |(s, t)| degree::of(&s, &t));
                trials.degree = trials.degree.max(difference);
            }
        }
        Ok(())
    })?;
    trials.shapes = shapes.len();
    Ok(match differs {
        Some(differs) => differs,
        None if trials.instances == 0 => FieldOutcome::Undefined(trials),
        None => FieldOutcome::Agrees(trials),
    })
}

/// The rule's inputs with new elements; integers, which may be indices, stay what they are.
fn inputs<E: Element>(rule: &Rule, instance: &Instance, draw: &mut dyn FnMut() -> E) -> Values<E> {
    let mut inputs = Values::new();
    for input in &rule.inputs {
        let mut list = Vec::new();
        for value in &instance.values[&input.name] {
            list.push(value.as_ref().map(|value| {
                let integer = value.facts.ty.as_ref().is_some_and(|ty| ty.dtype == DType::I64);
                let element = |x: &f64| if integer { E::constant(*x) } else { draw() };
                let data = value.array.data.iter().map(element).collect();
                Value { facts: value.facts.clone(), array: Array { shape: value.array.shape.clone(), data } }
            }));
        }
        inputs.insert(input.name.clone(), list);
    }
    inputs
}

fn evaluate<E: Element>(rule: &Rule, instance: &Instance, inputs: Values<E>) -> Result<Outputs<E>, Misfit> {
    let values = instance.evaluate_source(rule, inputs)?;
    sides(rule, instance, &values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substitution::Library;

    fn outcome(name: &str) -> FieldOutcome {
        let library = Library::built_in().unwrap();
        try_over_field(&library.find(name).unwrap().rule, &TrialSettings::default()).unwrap()
    }

    #[test]
    fn polynomial_rules_agree_with_a_bound_on_the_chance() {
        for name in ["add-associate", "associate-products-right", "batch-normalization-into-convolution-2d"] {
            let FieldOutcome::Agrees(trials) = outcome(name) else { panic!("{name}: {:?}", outcome(name)) };
            assert!(trials.instances >= 20 && trials.shapes > 5, "{name}: {trials:?}");
            assert!(trials.chance() > 0.0 && trials.chance() < 1e-12, "{name}: {trials:?}");
        }
    }

    #[test]
    fn wrong_rules_differ() {
        let library = Library::built_in().unwrap();
        let mut rule = library.find("add-associate").unwrap().rule.clone();
        for node in &mut rule.target.nodes {
            node.op = crate::graph::OpKind::Sub;
        }
        let settings = TrialSettings::default();
        assert!(matches!(try_over_field(&rule, &settings).unwrap(), FieldOutcome::Differs { output: 0, .. }));
    }
}
