//! What a rule must satisfy to be used at all. A rule that does not is refused when it is read, not when it fires.
//!
//! 1. Every name is bound once: inputs, results of source nodes, results of target nodes, variables, computed attributes.
//! 2. The source uses every input; the target uses inputs and its own results only; operands stand before their users.
//! 3. Lists are mentioned as `xs[i]` in repeated nodes and as `xs*` elsewhere; repeated nodes produce `ys[i]`.
//! 4. Operators have as many operands and results as their schemas say, and attributes of the right names and types;
//!    `"*"` and unbound variables stand in sources only.
//! 5. Constructors stand in targets only, on constants.
//! 6. An optional input is an optional bias in the source. In the target it is again an optional operand, or goes through
//!    linear operators, of which a missing bias is a zero that stays one.
//! 7. Source and target outputs correspond by position; the source's are results of its nodes. Every node serves an output.
//! 8. The source is connected through nodes or non-constant inputs, never through a constant alone; but the members of a
//!    repeated group may share a constant of rank 2 or more.
//! 9. Expressions and conditions speak of what the source binds.

use std::collections::{BTreeMap, BTreeSet};

use super::expr::{condition_text, expr_text, is_name, operand_text};
use super::json::Fault;
use crate::graph::OpKind;
use crate::ops::{self, AttrType, Schema};
use crate::rewrite::{Arity, AttrPattern, Condition, Expr, Operand, Rule, RuleGraph, RuleNode};

/// Longer lists of anything in a rule are refused.
const MAX_ITEMS: usize = 256;

/// Checks all of the above.
pub(super) fn check(rule: &Rule) -> Result<(), Fault> {
    if rule.name.is_empty() {
        return Err(Fault::new("name", "a rule has a name"));
    }
    let sizes = [rule.inputs.len(), rule.source.nodes.len(), rule.target.nodes.len(), rule.conditions.len()];
    if sizes.into_iter().max().is_some_and(|n| n > MAX_ITEMS) {
        return Err(Fault::new("", format!("more than {MAX_ITEMS} inputs, nodes or conditions")));
    }
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    for (i, input) in rule.inputs.iter().enumerate() {
        let value = Value {
            list: input.arity == Arity::List,
            maybe_absent: input.arity == Arity::Optional,
            constant: input.constant || has_const_condition(rule, &input.name),
            input: true,
            rank: input.rank,
            used: false,
        };
        define(&mut values, &input.name, value, &format!("inputs[{i}].name"))?;
    }
    check_graph(&rule.source, "source", Side::Source, &mut values)?;
    for (i, input) in rule.inputs.iter().enumerate() {
        if !values[&input.name].used {
            return Err(Fault::new(format!("inputs[{i}]"), format!("the source does not use {:?}", input.name)));
        }
    }
    check_connected(rule, &values)?;
    let source_values = values.clone();
    // Results of source nodes are hidden from the target, but their names stay taken.
    values.values_mut().for_each(|v| v.used = false);
    check_graph(&rule.target, "target", Side::Target, &mut values)?;
    check_outputs(rule, &values)?;
    check_variables(rule, &source_values)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Source,
    Target,
}

/// A named value of a rule.
#[derive(Clone)]
struct Value {
    list: bool,
    /// An optional input, or a linear map of one.
    maybe_absent: bool,
    constant: bool,
    /// Whether it is an input of the rule (else the result of a node).
    input: bool,
    rank: Option<usize>,
    used: bool,
}

fn has_const_condition(rule: &Rule, name: &str) -> bool {
    rule.conditions.iter().any(|c| matches!(c, Condition::Constant(v) if v.name() == Some(name)))
}

fn define(values: &mut BTreeMap<String, Value>, name: &str, value: Value, path: &str) -> Result<(), Fault> {
    if !is_name(name) {
        return Err(Fault::new(path, format!("{name:?} is no name")));
    }
    if values.insert(name.to_owned(), value).is_some() {
        return Err(Fault::new(path, format!("{name:?} is bound twice")));
    }
    Ok(())
}

fn check_graph(graph: &RuleGraph, path: &str, side: Side, values: &mut BTreeMap<String, Value>) -> Result<(), Fault> {
    let foreign: BTreeSet<String> = values.iter().filter(|(_, v)| !v.input).map(|(name, _)| name.clone()).collect();
    for (i, node) in graph.nodes.iter().enumerate() {
        let path = format!("{path}.nodes[{i}]");
        let schema = ops::schema(node.op);
        if side == Side::Source && (node.op.is_constructor() || node.op == OpKind::Constant) {
            return Err(Fault::new(path, format!("{} stands in targets only", node.op)));
        }
        let mut maybe_absent = false;
        let mut constant = true;
        for (slot, operand) in node.inputs.iter().enumerate() {
            let path = format!("{path}.inputs[{slot}]");
            let Some(name) = operand.name() else {
                check_left_out(schema, slot, &path)?;
                continue;
            };
            let value = match values.get_mut(name) {
                Some(value) if !foreign.contains(name) => value,
                Some(_) => {
                    let problem =
                        format!("{name:?} is a result of the source; the target has inputs and its own results");
                    return Err(Fault::new(path, problem));
                }
                None => return Err(Fault::new(path, format!("nothing before this binds {name:?}"))),
            };
            value.used = true;
            constant &= value.constant;
            check_mention(operand, value.list, node, true, &path)?;
            if value.maybe_absent {
                maybe_absent |= check_optional(node.op, slot, side, &path)?;
            }
        }
        check_counts(node, schema, &path)?;
        check_attrs(node, schema, side, &path)?;
        if node.op.is_constructor() && !constant {
            return Err(Fault::new(path, format!("{} is for constants", node.op)));
        }
        // Add and Sub of a missing bias and something else is something.
        if matches!(node.op, OpKind::Add | OpKind::Sub) && maybe_absent {
            let absent = |o: &Operand| o.name().is_some_and(|name| values[name].maybe_absent);
            maybe_absent = node.inputs.iter().all(absent);
        }
        for (slot, output) in node.outputs.iter().enumerate() {
            let path = format!("{path}.outputs[{slot}]");
            let list = matches!(output, Operand::Each(_) | Operand::All(_));
            check_mention(output, list, node, false, &path)?;
            let name = output.name().unwrap_or_default();
            let value = Value { list, maybe_absent, constant, input: false, rank: None, used: false };
            define(values, name, value, &path)?;
        }
    }
    for (i, output) in graph.outputs.iter().enumerate() {
        let path = format!("{path}.outputs[{i}]");
        let value = output.name().filter(|name| !foreign.contains(*name)).and_then(|name| values.get_mut(name));
        let Some(value) = value else {
            return Err(Fault::new(path, format!("nothing binds {:?}", operand_text(output, &|_| false))));
        };
        if value.list != matches!(output, Operand::All(_)) || matches!(output, Operand::Each(_) | Operand::First(_)) {
            return Err(Fault::new(path, "an output is y, or ys* for a list"));
        }
        value.used = true;
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        let dead = |o: &Operand| o.name().is_none_or(|name| !values[name].used);
        if node.outputs.iter().all(dead) {
            return Err(Fault::new(format!("{path}.nodes[{i}]"), "no output depends on this node"));
        }
    }
    Ok(())
}

fn check_left_out(schema: &Schema, slot: usize, path: &str) -> Result<(), Fault> {
    let (least, greatest) = schema.inputs;
    if slot < least || greatest == usize::MAX {
        return Err(Fault::new(path, format!("{} needs this operand", schema.kind)));
    }
    Ok(())
}

/// Whether an operand or result is mentioned as what it is.
fn check_mention(operand: &Operand, list: bool, node: &RuleNode, input: bool, path: &str) -> Result<(), Fault> {
    let problem = match (operand, list, node.repeated) {
        (Operand::Absent, ..) if !input => "a result has a name",
        (Operand::One(_), false, false) | (Operand::Absent, ..) => return Ok(()),
        (Operand::One(_), false, true) if input => return Ok(()),
        (Operand::Each(_), true, true) | (Operand::All(_), true, false) => return Ok(()),
        (Operand::One(_), false, true) => "a repeated node produces ys[i]",
        (Operand::First(_), ..) => "xs[0] stands in expressions only",
        (Operand::One(_), true, true) => "a list is mentioned as xs[i] in a repeated node",
        (Operand::One(_), true, false) => "a list is mentioned as xs*",
        (Operand::Each(_), _, false) => "xs[i] stands in repeated nodes",
        (Operand::All(_), _, true) => "a repeated node takes and produces xs[i], not xs*",
        (Operand::Each(_) | Operand::All(_), false, _) => "this is no list",
    };
    Err(Fault::new(path, problem))
}

/// Whether the operator may have a missing bias here, and if so whether its result is again a missing bias.
fn check_optional(op: OpKind, slot: usize, side: Side, path: &str) -> Result<bool, Fault> {
    use OpKind::*;
    match (op, slot) {
        (Conv | ConvTranspose | Gemm | LayerNormalization, 2) => Ok(false),
        (Add | Sub | Mul | Neg | Reshape | Transpose | MatMul | ReduceSum, _) | (Div, 0) if side == Side::Target => {
            Ok(true)
        }
        _ if side == Side::Source => Err(Fault::new(path, format!("operand {slot} of {op} is no optional bias"))),
        _ => Err(Fault::new(path, format!("{op} of a bias that may be missing has no meaning"))),
    }
}

fn check_counts(node: &RuleNode, schema: &Schema, path: &str) -> Result<(), Fault> {
    let lists = |operands: &[Operand]| operands.iter().any(|o| matches!(o, Operand::All(_)));
    let fits = |count: usize, list: bool, (least, greatest): (usize, usize)| {
        if list { greatest == usize::MAX } else { (least..=greatest).contains(&count) }
    };
    if !fits(node.inputs.len(), lists(&node.inputs), schema.inputs) {
        return Err(Fault::new(format!("{path}.inputs"), format!("{} has no such number of operands", node.op)));
    }
    if node.outputs.is_empty() || !fits(node.outputs.len(), lists(&node.outputs), schema.outputs) {
        return Err(Fault::new(format!("{path}.outputs"), format!("{} has no such number of results", node.op)));
    }
    Ok(())
}

fn check_attrs(node: &RuleNode, schema: &Schema, side: Side, path: &str) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for (name, pattern) in &node.attrs {
        let path = format!("{path}.attrs.{name}");
        let Some(spec) = schema.attr(name) else {
            return Err(Fault::new(path, format!("{} has no attribute {name:?}", node.op)));
        };
        if !seen.insert(name.as_str()) {
            return Err(Fault::new(path, "given twice"));
        }
        let ty = spec.default.ty();
        match pattern {
            AttrPattern::Any if side == Side::Target => {
                return Err(Fault::new(path, "\"*\" stands in sources only"));
            }
            AttrPattern::Literal(value) if !ty.accepts(AttrType::of(value)) => {
                return Err(Fault::new(path, format!("expected {ty}, found {}", AttrType::of(value))));
            }
            AttrPattern::Computed(_) if !matches!(ty, AttrType::Int | AttrType::Ints) => {
                return Err(Fault::new(path, format!("expected {ty}; expressions give integers")));
            }
            AttrPattern::Any | AttrPattern::Literal(_) | AttrPattern::Computed(_) | AttrPattern::Variable(_) => {}
        }
    }
    for spec in schema.attrs {
        if matches!(spec.default, ops::AttrDefault::Required(_)) && !seen.contains(spec.name) {
            let problem = format!("attribute {:?} of {} has no default: give it", spec.name, node.op);
            return Err(Fault::new(path, problem));
        }
    }
    Ok(())
}

fn check_outputs(rule: &Rule, values: &BTreeMap<String, Value>) -> Result<(), Fault> {
    let (source, target) = (&rule.source.outputs, &rule.target.outputs);
    if source.is_empty() {
        return Err(Fault::new("source.outputs", "a rule has an output"));
    }
    if source.len() != target.len() {
        let problem = format!("{} outputs, and {} of the source", target.len(), source.len());
        return Err(Fault::new("target.outputs", problem));
    }
    let mut seen = BTreeSet::new();
    for (i, (s, t)) in source.iter().zip(target).enumerate() {
        let name = s.name().unwrap_or_default();
        if values[name].input || !seen.insert(name) {
            return Err(Fault::new(format!("source.outputs[{i}]"), "an output is the result of a node, once"));
        }
        let is_list = |o: &Operand| matches!(o, Operand::All(_));
        if is_list(s) != is_list(t) {
            return Err(Fault::new(format!("target.outputs[{i}]"), "a list corresponds to a list"));
        }
        if t.name().is_some_and(|name| values[name].maybe_absent) {
            return Err(Fault::new(format!("target.outputs[{i}]"), "an output cannot be missing"));
        }
    }
    Ok(())
}

/// The source with two members in its group hangs together (8).
fn check_connected(rule: &Rule, values: &BTreeMap<String, Value>) -> Result<(), Fault> {
    // (node, member); what is not repeated has member 0 only.
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (index, node) in rule.source.nodes.iter().enumerate() {
        places.push((index, 0));
        if node.repeated {
            places.push((index, 1));
        }
    }
    let mut group: Vec<usize> = (0..places.len()).collect();
    // Links: a text for each thing shared, with the first place that has it.
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (place, &(index, member)) in places.iter().enumerate() {
        let node = &rule.source.nodes[index];
        for operand in node.inputs.iter().chain(&node.outputs) {
            let Some(name) = operand.name() else { continue };
            let value = &values[name];
            let links: Vec<String> = match operand {
                Operand::Each(_) => vec![format!("{name}[{member}]")],
                Operand::All(_) => vec![format!("{name}[0]"), format!("{name}[1]")],
                _ => vec![name.to_owned()],
            };
            for link in links {
                let link = match (value.input && value.constant, node.repeated) {
                    (false, _) => link,
                    (true, true) if !value.list && value.rank.is_some_and(|r| r >= 2) => format!("{index}:{link}"),
                    (true, _) => continue,
                };
                let other = *first.entry(link).or_insert(place);
                let (a, b) = (root(&group, other), root(&group, place));
                group[a] = b;
            }
        }
    }
    match (0..places.len()).find(|&place| root(&group, place) != root(&group, 0)) {
        None => Ok(()),
        Some(place) => {
            let (node, member) = places[place];
            let path = format!("source.nodes[{node}]");
            Err(Fault::new(
                path,
                match member {
                    0 => "not connected with the first node through nodes or non-constant inputs",
                    _ => {
                        "the members of the group share no input that is not constant, no constant of rank 2, and no list"
                    }
                },
            ))
        }
    }
}

fn root(group: &[usize], mut at: usize) -> usize {
    while group[at] != at {
        at = group[at];
    }
    at
}

/// Variables are bound where they are used, and expressions speak of values of the source (9).
fn check_variables(rule: &Rule, values: &BTreeMap<String, Value>) -> Result<(), Fault> {
    let mut scope = Scope { values, variables: BTreeSet::new() };
    for node in &rule.source.nodes {
        for (_, pattern) in &node.attrs {
            if let AttrPattern::Variable(name) = pattern {
                scope.variables.insert(name.clone());
            }
        }
    }
    let bound_by_source = scope.variables.clone();
    for (name, expr) in &rule.lets {
        let path = format!("let.?{name}");
        if !is_name(name) || bound_by_source.contains(name) {
            return Err(Fault::new(path, format!("?{name} is bound twice, or no name")));
        }
        scope.expr(expr, false, &path)?;
        if !scope.variables.insert(name.clone()) {
            return Err(Fault::new(path, format!("?{name} is bound twice")));
        }
    }
    let all = Scope { values, variables: scope.variables.clone() };
    let source_only = Scope { values, variables: bound_by_source };
    for (graph, name, scope) in [(&rule.source, "source", &source_only), (&rule.target, "target", &all)] {
        for (i, node) in graph.nodes.iter().enumerate() {
            for (attr, pattern) in &node.attrs {
                let path = format!("{name}.nodes[{i}].attrs.{attr}");
                match pattern {
                    AttrPattern::Variable(variable) => scope.variable(variable, &path)?,
                    AttrPattern::Computed(expr) => scope.expr(expr, node.repeated, &path)?,
                    AttrPattern::Any | AttrPattern::Literal(_) => {}
                }
            }
        }
    }
    for (i, condition) in rule.conditions.iter().enumerate() {
        let path = format!("conditions[{i}]");
        match condition {
            Condition::Compare(_, a, b) | Condition::Divides(a, b) => {
                all.expr(a, true, &path)?;
                all.expr(b, true, &path)?;
            }
            Condition::Constant(v) => all.value(v, true, &path)?,
            Condition::Broadcasts(v, w) => {
                all.value(v, true, &path)?;
                all.value(w, true, &path)?;
            }
        }
        if let Condition::Constant(Operand::All(_)) | Condition::Broadcasts(Operand::All(_), _) = condition {
            return Err(Fault::new(path, format!("{:?}: write xs[i]", condition_text(condition))));
        }
    }
    Ok(())
}

struct Scope<'a> {
    values: &'a BTreeMap<String, Value>,
    variables: BTreeSet<String>,
}

impl Scope<'_> {
    fn variable(&self, name: &str, path: &str) -> Result<(), Fault> {
        if self.variables.contains(name) {
            return Ok(());
        }
        Err(Fault::new(path, format!("nothing binds ?{name}")))
    }

    fn value(&self, operand: &Operand, each: bool, path: &str) -> Result<(), Fault> {
        let shown = operand_text(operand, &|_| false);
        let Some(value) = operand.name().and_then(|name| self.values.get(name)) else {
            return Err(Fault::new(path, format!("the source binds no value {shown:?}")));
        };
        match operand {
            Operand::One(_) if !value.list => Ok(()),
            Operand::First(_) | Operand::All(_) if value.list => Ok(()),
            Operand::Each(_) if value.list && each => Ok(()),
            Operand::Each(_) if value.list => Err(Fault::new(path, format!("{shown:?} has no meaning here"))),
            _ => Err(Fault::new(path, format!("{shown:?}: write xs*, xs[i] or xs[0] for lists, x for others"))),
        }
    }

    fn expr(&self, expr: &Expr, each: bool, path: &str) -> Result<(), Fault> {
        match expr {
            Expr::Int(_) => Ok(()),
            Expr::Count if self.values.values().any(|v| v.list) => Ok(()),
            Expr::Count => Err(Fault::new(path, "n has no meaning in a rule without lists")),
            Expr::Variable(name) => self.variable(name, path),
            Expr::Index(name, index) => self.variable(name, path).and_then(|()| self.expr(index, each, path)),
            Expr::Dim(value, axis) => self.value(value, each, path).and_then(|()| self.expr(axis, each, path)),
            Expr::Rank(Operand::All(_)) => Err(Fault::new(path, format!("{:?}: write xs[0]", expr_text(expr)))),
            Expr::Rank(value) => self.value(value, each, path),
            Expr::Binary(_, a, b) => self.expr(a, each, path).and_then(|()| self.expr(b, each, path)),
            Expr::List(items) => items.iter().try_for_each(|item| self.expr(item, each, path)),
        }
    }
}
