//! The canonical form of a rule: the same whatever its values, variables and itself are called, in whatever order nodes
//! that do not depend on one another, inputs, attributes and conditions are written.

use std::collections::BTreeMap;

use super::expr::{condition_text, expr_text};
use crate::graph::Attr;
use crate::ops;
use crate::rewrite::{Arity, AttrPattern, Condition, DTypeClass, Expr, Operand, Rule, RuleGraph, RuleNode};

/// Hex digits of an id.
const ID_DIGITS: usize = 16;

/// The id of a rule: the first 16 hex digits of the BLAKE3 hash of its canonical form.
pub fn id_of(rule: &Rule) -> String {
    let hash = blake3::hash(canonical_form(rule).as_bytes());
    hash.to_hex()[..ID_DIGITS].to_owned()
}

/// The canonical form, as text. Values are numbered in the order in which a walk from the source's outputs through
/// operands meets them, then likewise through the target; computed attributes are written where they are used.
pub(super) fn canonical_form(rule: &Rule) -> String {
    let mut names = Names::default();
    let mut lets: BTreeMap<&str, Expr> = BTreeMap::new();
    for (name, expr) in &rule.lets {
        let expr = inline(expr, &lets);
        lets.insert(name, expr);
    }
    let source = graph_text(&rule.source, &mut names, &lets);
    let target = graph_text(&rule.target, &mut names, &lets);
    let mut inputs: Vec<(usize, String)> = Vec::new();
    for input in &rule.inputs {
        let number = names.value(&input.name);
        let rank = input.rank.map_or("any".to_owned(), |r| r.to_string());
        let dtype = match input.dtype {
            DTypeClass::Float => "float",
            DTypeClass::Int => "int",
            DTypeClass::Any => "any",
        };
        let arity = match input.arity {
            Arity::One => "one",
            Arity::Optional => "optional",
            Arity::List => "list",
        };
        let constant = if input.constant { " const" } else { "" };
        inputs.push((number, format!("v{number} {rank} {dtype} {arity}{constant}\n")));
    }
    inputs.sort();
    let mut conditions: Vec<String> = Vec::new();
    for condition in &rule.conditions {
        conditions.push(condition_text(&rename_condition(condition, &mut names, &lets)));
    }
    conditions.sort();
    conditions.dedup();
    let inputs: String = inputs.into_iter().map(|(_, text)| text).collect();
    format!("inputs\n{inputs}source\n{source}target\n{target}conditions\n{}\n", conditions.join("\n"))
}

#[derive(Default)]
struct Names {
    values: BTreeMap<String, usize>,
    variables: BTreeMap<String, usize>,
}

impl Names {
    fn value(&mut self, name: &str) -> usize {
        let next = self.values.len();
        *self.values.entry(name.to_owned()).or_insert(next)
    }

    fn variable(&mut self, name: &str) -> String {
        let next = self.variables.len();
        format!("a{}", self.variables.entry(name.to_owned()).or_insert(next))
    }

    fn operand(&mut self, operand: &Operand) -> Operand {
        let mut rename = |name: &String| format!("v{}", self.value(name));
        match operand {
            Operand::Absent => Operand::Absent,
            Operand::One(name) => Operand::One(rename(name)),
            Operand::Each(name) => Operand::Each(rename(name)),
            Operand::First(name) => Operand::First(rename(name)),
            Operand::All(name) => Operand::All(rename(name)),
        }
    }

    fn operands(&mut self, operands: &[Operand]) -> String {
        let texts = operands.iter().map(|o| super::expr::operand_text(&self.operand(o), &|_| false));
        texts.collect::<Vec<_>>().join(",")
    }
}

fn graph_text(graph: &RuleGraph, names: &mut Names, lets: &BTreeMap<&str, Expr>) -> String {
    let mut order = Vec::new();
    let mut visited = vec![false; graph.nodes.len()];
    for output in &graph.outputs {
        visit(graph, output, &mut visited, &mut order);
    }
    // A checked rule has no node that is not reached; of others the written order decides.
    order.extend((0..graph.nodes.len()).filter(|&i| !visited[i]));
    let mut out = String::new();
    for index in order {
        let node = &graph.nodes[index];
        let inputs = names.operands(&node.inputs);
        let outputs = names.operands(&node.outputs);
        let repeated = if node.repeated { " each" } else { "" };
        out += &format!("{outputs}={}({inputs}){}{repeated}\n", node.op.name(), attrs_text(node, names, lets));
    }
    out + &format!("-> {}\n", names.operands(&graph.outputs))
}

/// Operands before users, in the order in which operands are written.
fn visit(graph: &RuleGraph, value: &Operand, visited: &mut [bool], order: &mut Vec<usize>) {
    let Some(name) = value.name() else { return };
    let producer = graph.nodes.iter().position(|n| n.outputs.iter().any(|o| o.name() == Some(name)));
    let Some(index) = producer.filter(|&i| !visited[i]) else { return };
    visited[index] = true;
    for operand in &graph.nodes[index].inputs {
        visit(graph, operand, visited, order);
    }
    order.push(index);
}

fn attrs_text(node: &RuleNode, names: &mut Names, lets: &BTreeMap<&str, Expr>) -> String {
    let mut attrs: Vec<&(String, AttrPattern)> = node.attrs.iter().collect();
    attrs.sort_by_key(|(name, _)| name);
    let mut out = String::new();
    for (name, pattern) in attrs {
        let default = ops::schema(node.op).attr(name).and_then(|spec| spec.default.value());
        let text = match pattern {
            AttrPattern::Any => "*".to_owned(),
            AttrPattern::Literal(value) if Some(value) == default.as_ref() => continue,
            AttrPattern::Literal(value) => literal_text(value),
            AttrPattern::Variable(variable) => match lets.get(variable.as_str()) {
                Some(expr) => expr_text(&rename(expr, names)),
                None => format!("?{}", names.variable(variable)),
            },
            AttrPattern::Computed(expr) => expr_text(&rename(&inline(expr, lets), names)),
        };
        out += &format!(" {name}={text}");
    }
    out
}

fn literal_text(value: &Attr) -> String {
    match value {
        Attr::Int(v) => v.to_string(),
        Attr::Ints(v) => format!("{v:?}").replace(' ', ""),
        Attr::Float(v) => format!("f{:08x}", v.to_bits()),
        Attr::Floats(v) => v.iter().map(|v| format!("f{:08x};", v.to_bits())).collect(),
        Attr::Str(v) => format!("{v:?}"),
        Attr::Strs(v) => format!("{v:?}"),
    }
}

/// The expression with computed attributes replaced by what they are computed from.
fn inline(expr: &Expr, lets: &BTreeMap<&str, Expr>) -> Expr {
    let again = |e: &Expr| Box::new(inline(e, lets));
    match expr {
        Expr::Variable(name) => lets.get(name.as_str()).unwrap_or(expr).clone(),
        Expr::Index(name, index) => {
            let index = inline(index, lets);
            match (lets.get(name.as_str()), &index) {
                (Some(Expr::List(items)), Expr::Int(i)) => {
                    usize::try_from(*i).ok().and_then(|i| items.get(i)).cloned().unwrap_or(expr.clone())
                }
                (Some(Expr::Variable(other)), _) => Expr::Index(other.clone(), Box::new(index)),
                _ => Expr::Index(name.clone(), Box::new(index)),
            }
        }
        Expr::Dim(value, axis) => Expr::Dim(value.clone(), again(axis)),
        Expr::Binary(op, a, b) => Expr::Binary(*op, again(a), again(b)),
        Expr::List(items) => Expr::List(items.iter().map(|e| inline(e, lets)).collect()),
        Expr::Int(_) | Expr::Rank(_) | Expr::Count => expr.clone(),
    }
}

fn rename(expr: &Expr, names: &mut Names) -> Expr {
    match expr {
        Expr::Int(_) | Expr::Count => expr.clone(),
        Expr::Variable(name) => Expr::Variable(names.variable(name)),
        Expr::Index(name, index) => Expr::Index(names.variable(name), Box::new(rename(index, names))),
        Expr::Dim(value, axis) => Expr::Dim(names.operand(value), Box::new(rename(axis, names))),
        Expr::Rank(value) => Expr::Rank(names.operand(value)),
        Expr::Binary(op, a, b) => Expr::Binary(*op, Box::new(rename(a, names)), Box::new(rename(b, names))),
        Expr::List(items) => Expr::List(items.iter().map(|e| rename(e, names)).collect()),
    }
}

fn rename_condition(condition: &Condition, names: &mut Names, lets: &BTreeMap<&str, Expr>) -> Condition {
    let mut expr = |e: &Expr| rename(&inline(e, lets), names);
    match condition {
        Condition::Compare(comparison, a, b) => Condition::Compare(*comparison, expr(a), expr(b)),
        Condition::Divides(a, b) => Condition::Divides(expr(a), expr(b)),
        Condition::Constant(v) => Condition::Constant(names.operand(v)),
        Condition::Broadcasts(v, w) => Condition::Broadcasts(names.operand(v), names.operand(w)),
    }
}
