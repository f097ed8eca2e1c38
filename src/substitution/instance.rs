//! Random instances of a rule's source: shapes, attributes and elements that satisfy its conditions.

use std::collections::BTreeMap;
use std::fmt;

use super::propose::{Proposer, draw_elements};
use super::random::Random;
use super::trial::bind;
use super::value::Scope;
use crate::graph::{Attr, DType, Dim, Facts, Op, TensorType};
use crate::ops::{self, Array, Element};
use crate::rewrite::{Arity, AttrPattern, Operand, Rule, RuleNode};

/// A value with what inference knows of it.
#[derive(Clone, Debug)]
pub(super) struct Value<E = f64> {
    pub facts: Facts,
    pub array: Array<E>,
}

/// Values by name: one for a single value, one for each member of a list; `None` is a missing input.
pub(super) type Values<E = f64> = BTreeMap<String, Vec<Option<Value<E>>>>;

/// Why a proposal is no instance.
#[derive(Clone, Debug)]
pub(super) struct Misfit(pub String);

/// An instance of a rule's source.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Size of the groups.
    pub members: usize,
    /// Every value of the source.
    pub values: Values,
    /// Variables that the source binds.
    pub variables: BTreeMap<String, Attr>,
    /// The operators applied, node by node and member by member.
    pub applied: Vec<Vec<Op>>,
}

impl Instance {
    /// Names of the optional inputs.
    pub fn optional_inputs(rule: &Rule) -> Vec<&str> {
        rule.inputs.iter().filter(|i| i.arity == Arity::Optional).map(|i| i.name.as_str()).collect()
    }

    /// Whether the rule speaks of a group.
    pub fn is_grouped(rule: &Rule) -> bool {
        rule.inputs.iter().any(|i| i.arity == Arity::List)
            || rule
                .source
                .nodes
                .iter()
                .any(|n| n.outputs.iter().any(|o| matches!(o, Operand::All(_) | Operand::Each(_))))
    }

    /// A random proposal, which is an instance if all operators accept it and the conditions hold. Bit i of `absent`
    /// leaves out the i-th optional input.
    pub fn propose(rule: &Rule, members: usize, absent: usize, random: &mut Random) -> Result<Instance, Misfit> {
        let mut instance =
            Instance { members, values: BTreeMap::new(), variables: BTreeMap::new(), applied: Vec::new() };
        for (i, name) in Instance::optional_inputs(rule).into_iter().enumerate() {
            if absent >> i & 1 == 1 {
                instance.values.insert(name.to_owned(), vec![None]);
            }
        }
        // Shapes first, on cheap facts; elements once everything fits.
        let mut facts: BTreeMap<String, Vec<Option<Facts>>> =
            instance.values.keys().map(|name| (name.clone(), vec![None])).collect();
        for node in &rule.source.nodes {
            let count = if node.repeated { members } else { 1 };
            let mut applied = Vec::new();
            for member in 0..count {
                let mut proposer = Proposer { rule, node, member, members, facts: &mut facts, random };
                let op = proposer.complete(&mut instance.variables)?;
                let operands: Vec<Option<Facts>> = gather(node, &facts, member)?;
                let listed = node.outputs.iter().any(|o| matches!(o, Operand::All(_)));
                let outputs = if listed { members } else { node.outputs.len() };
                let inputs: Vec<Option<&Facts>> = trimmed(&operands).iter().map(Option::as_ref).collect();
                let results = ops::infer(&op, &inputs, outputs).map_err(|e| Misfit(e.to_string()))?;
                bind_facts(&mut facts, &node.outputs, results);
                applied.push(op);
            }
            instance.applied.push(applied);
        }
        let scope = Scope { members, facts: &facts, variables: &instance.variables, rule };
        for (i, condition) in rule.conditions.iter().enumerate() {
            if !scope.holds(condition) {
                return Err(Misfit(format!("condition {i} ({})", super::expr::condition_text(condition))));
            }
        }
        instance.fill(rule, &facts, random)?;
        Ok(instance)
    }

    /// Draws the elements of the inputs and evaluates the source.
    fn fill(
        &mut self,
        rule: &Rule,
        facts: &BTreeMap<String, Vec<Option<Facts>>>,
        random: &mut Random,
    ) -> Result<(), Misfit> {
        let mut inputs = Values::new();
        for input in &rule.inputs {
            let mut list = Vec::new();
            for known in facts.get(&input.name).into_iter().flatten() {
                list.push(match known {
                    None => None,
                    Some(known) => Some(draw_elements(rule, &input.name, known, facts, random)?),
                });
            }
            inputs.insert(input.name.clone(), list);
        }
        self.values = self.evaluate_source(rule, inputs)?;
        Ok(())
    }

    /// All values of the source on these inputs.
    pub fn evaluate_source<E: Element>(&self, rule: &Rule, inputs: Values<E>) -> Result<Values<E>, Misfit> {
        let mut values = inputs;
        for (node, ops) in rule.source.nodes.iter().zip(&self.applied) {
            for (member, op) in ops.iter().enumerate() {
                let mut operands: Vec<Option<Value<E>>> = Vec::new();
                for operand in &node.inputs {
                    let list = operand.name().and_then(|name| values.get(name));
                    match (operand, list) {
                        (Operand::All(_), Some(list)) => operands.extend(list.iter().cloned()),
                        (Operand::Each(_), Some(list)) => operands.push(list[member].clone()),
                        (_, Some(list)) => operands.push(list[0].clone()),
                        (_, None) => operands.push(None),
                    }
                }
                let listed = node.outputs.iter().any(|o| matches!(o, Operand::All(_)));
                let count = if listed { self.members } else { node.outputs.len() };
                let results = Instance::apply(op, &operands, count)?;
                bind(&mut values, &node.outputs, results.into_iter().map(Some).collect());
            }
        }
        Ok(values)
    }

    /// Infers and evaluates one application.
    pub fn apply<E: Element>(op: &Op, operands: &[Option<Value<E>>], outputs: usize) -> Result<Vec<Value<E>>, Misfit> {
        let operands = trimmed(operands);
        let facts: Vec<Option<&Facts>> = operands.iter().map(|v| v.as_ref().map(|v| &v.facts)).collect();
        let facts = ops::infer(op, &facts, outputs).map_err(|e| Misfit(e.to_string()))?;
        let arrays: Vec<Option<&Array<E>>> = operands.iter().map(|v| v.as_ref().map(|v| &v.array)).collect();
        let mut arrays = ops::evaluate(op, &arrays).map_err(|e| Misfit(e.to_string()))?;
        arrays.truncate(outputs);
        if arrays.len() != facts.len() {
            return Err(Misfit(format!("{}: {} results", op.label(), arrays.len())));
        }
        let values = facts.into_iter().zip(arrays).map(|(facts, array)| Value { facts, array });
        Ok(values.collect())
    }

    /// The value of an attribute of a target node.
    pub fn target_attr(&self, rule: &Rule, pattern: &AttrPattern, member: usize) -> Option<Attr> {
        let facts: BTreeMap<String, Vec<Option<Facts>>> = self
            .values
            .iter()
            .map(|(name, list)| (name.clone(), list.iter().map(|v| v.as_ref().map(|v| v.facts.clone())).collect()))
            .collect();
        Scope { members: self.members, facts: &facts, variables: &self.variables, rule }.attr(pattern, member)
    }
}

/// The operands of a node for one member, from facts.
fn gather(
    node: &RuleNode,
    facts: &BTreeMap<String, Vec<Option<Facts>>>,
    member: usize,
) -> Result<Vec<Option<Facts>>, Misfit> {
    let mut operands = Vec::new();
    for operand in &node.inputs {
        let list = operand.name().and_then(|name| facts.get(name));
        match (operand, list) {
            (Operand::Absent, _) => operands.push(None),
            (Operand::All(_), Some(list)) => operands.extend(list.iter().cloned()),
            (Operand::Each(_), Some(list)) => operands.push(list[member].clone()),
            (_, Some(list)) => operands.push(list[0].clone()),
            (_, None) => return Err(Misfit("an operand has no shape".into())),
        }
    }
    Ok(operands)
}

fn bind_facts(facts: &mut BTreeMap<String, Vec<Option<Facts>>>, outputs: &[Operand], results: Vec<Facts>) {
    if let [Operand::All(name)] = outputs {
        facts.insert(name.clone(), results.into_iter().map(Some).collect());
        return;
    }
    for (output, result) in outputs.iter().zip(results) {
        if let Some(name) = output.name() {
            facts.entry(name.to_owned()).or_default().push(Some(result));
        }
    }
}

/// Operands without missing ones at the end.
fn trimmed<T>(operands: &[Option<T>]) -> &[Option<T>] {
    let end = operands.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    &operands[..end]
}

/// Facts of a tensor of known shape.
pub(super) fn typed(dtype: DType, shape: &[i64]) -> Facts {
    Facts::typed(TensorType::known(dtype, shape))
}

/// The shape of a value, all of whose dimensions are known here.
pub(super) fn known_shape(facts: &Facts) -> Option<Vec<i64>> {
    facts.ty.as_ref()?.shape.iter().map(Dim::known).collect()
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, list) in &self.values {
            let types: Vec<String> = list
                .iter()
                .map(|v| v.as_ref().and_then(|v| v.facts.ty.as_ref()).map_or("absent".into(), |ty| ty.to_string()))
                .collect();
            write!(f, "{name}: {}, ", types.join(" "))?;
        }
        for (name, attr) in &self.variables {
            write!(f, "?{name} = {attr:?}, ")?;
        }
        write!(f, "n = {}", self.members)
    }
}
