//! Rules as fields of a JSON object, read and written.

use serde_json::{Map, Value};

use super::expr::{
    TextError, condition_text, expr_text, is_name, operand_text, parse_condition, parse_expr, parse_operand,
};
use super::json::{Fault, Fields, expected, list, text};
use crate::graph::{Attr, OpKind};
use crate::ops::{self, AttrType};
use crate::rewrite::{Arity, AttrPattern, DTypeClass, Expr, Operand, Rule, RuleGraph, RuleInput, RuleNode};

/// What stands for each member of a group.
const EACH: &str = "i in 0..n";

/// Takes the fields of a rule: `name inputs source target let conditions`.
pub(super) fn rule_from_fields(fields: &mut Fields) -> Result<Rule, Fault> {
    let name = fields.text("name")?;
    let inputs = fields.list("inputs")?;
    let inputs = inputs.into_iter().enumerate().map(|(i, v)| read_input(v, &format!("inputs[{i}]")));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let source = read_graph(fields.required("source")?, "source")?;
    let target = read_graph(fields.required("target")?, "target")?;
    let mut lets = Vec::new();
    for (key, value) in fields.entries_or_empty("let")? {
        let path = format!("let.{key}");
        let variable = key.strip_prefix('?').filter(|name| is_name(name));
        let variable = variable.ok_or_else(|| Fault::new(&path, "a computed attribute is named ?a"))?;
        lets.push((variable.to_owned(), read_expr(value, &path)?));
    }
    let mut conditions = Vec::new();
    for (i, condition) in fields.texts_or_empty("conditions")?.iter().enumerate() {
        conditions.push(parse_condition(condition).map_err(|e| at(&format!("conditions[{i}]"), e))?);
    }
    Ok(Rule { name, inputs, source, target, lets, conditions })
}

/// Adds the fields of a rule to an object.
pub(super) fn rule_to_fields(rule: &Rule, fields: &mut Map<String, Value>) {
    let optional = |name: &str| rule.inputs.iter().any(|i| i.name == name && i.arity == Arity::Optional);
    fields.insert("name".into(), rule.name.clone().into());
    fields.insert("inputs".into(), rule.inputs.iter().map(write_input).collect());
    fields.insert("source".into(), write_graph(&rule.source, &optional));
    fields.insert("target".into(), write_graph(&rule.target, &optional));
    if !rule.lets.is_empty() {
        let lets = rule.lets.iter().map(|(name, expr)| (format!("?{name}"), write_expr(expr)));
        fields.insert("let".into(), Value::Object(lets.collect()));
    }
    if !rule.conditions.is_empty() {
        let conditions: Vec<String> = rule.conditions.iter().map(condition_text).collect();
        fields.insert("conditions".into(), conditions.into());
    }
}

fn at(path: &str, error: TextError) -> Fault {
    Fault::new(path, error.to_string())
}

fn read_input(value: Value, path: &str) -> Result<RuleInput, Fault> {
    let mut fields = Fields::of(value, path)?;
    let marked = fields.text("name")?;
    let (name, arity) = match (marked.strip_suffix('*'), marked.strip_suffix('?')) {
        (Some(name), _) => (name, Arity::List),
        (_, Some(name)) => (name, Arity::Optional),
        _ => (marked.as_str(), Arity::One),
    };
    if !is_name(name) {
        return Err(Fault::new(fields.at("name"), format!("{marked:?} is no name of an input (x, b? or xs*)")));
    }
    let rank = match fields.optional("rank") {
        None => None,
        Some(Value::String(any)) if any == "any" => None,
        Some(value) => match value.as_u64() {
            Some(rank @ 0..=16) => Some(rank as usize),
            _ => return Err(Fault::new(fields.at("rank"), "expected a rank from 0 to 16, or \"any\"")),
        },
    };
    let dtype = match fields.optional("dtype") {
        None => DTypeClass::Float,
        Some(value) => match text(value, &fields.at("dtype"))?.as_str() {
            "float" => DTypeClass::Float,
            "int" => DTypeClass::Int,
            "any" => DTypeClass::Any,
            other => {
                let problem = format!("expected \"float\", \"int\" or \"any\", found {other:?}");
                return Err(Fault::new(fields.at("dtype"), problem));
            }
        },
    };
    let constant = match fields.optional("const") {
        None => false,
        Some(Value::Bool(constant)) => constant,
        Some(other) => return Err(expected("a boolean", &other, &fields.at("const"))),
    };
    fields.finish()?;
    Ok(RuleInput { name: name.to_owned(), rank, dtype, constant, arity })
}

fn write_input(input: &RuleInput) -> Value {
    let mut fields = Map::new();
    let mark = match input.arity {
        Arity::One => "",
        Arity::Optional => "?",
        Arity::List => "*",
    };
    fields.insert("name".into(), format!("{}{mark}", input.name).into());
    fields.insert("rank".into(), input.rank.map_or("any".into(), Value::from));
    match input.dtype {
        DTypeClass::Float => {}
        DTypeClass::Int => drop(fields.insert("dtype".into(), "int".into())),
        DTypeClass::Any => drop(fields.insert("dtype".into(), "any".into())),
    }
    if input.constant {
        fields.insert("const".into(), true.into());
    }
    Value::Object(fields)
}

fn read_graph(value: Value, path: &str) -> Result<RuleGraph, Fault> {
    let mut fields = Fields::of(value, path)?;
    let nodes = fields.list("nodes")?;
    let nodes = nodes.into_iter().enumerate().map(|(i, v)| read_node(v, &format!("{path}.nodes[{i}]")));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let outputs = read_operands(&mut fields, "outputs")?;
    fields.finish()?;
    Ok(RuleGraph { nodes, outputs })
}

fn read_operands(fields: &mut Fields, field: &str) -> Result<Vec<Operand>, Fault> {
    let texts = fields.texts(field)?;
    let read = |(i, text): (usize, &String)| {
        parse_operand(text).map_err(|e| Fault::new(format!("{}[{i}]", fields.at(field)), e.to_string()))
    };
    texts.iter().enumerate().map(read).collect()
}

fn read_node(value: Value, path: &str) -> Result<RuleNode, Fault> {
    let mut fields = Fields::of(value, path)?;
    let name = fields.text("op")?;
    let op = OpKind::from_name(&name)
        .ok_or_else(|| Fault::new(fields.at("op"), format!("the optimiser does not know the operator {name:?}")))?;
    let inputs = read_operands(&mut fields, "inputs")?;
    let outputs = read_operands(&mut fields, "outputs")?;
    let mut attrs = Vec::new();
    for (name, value) in fields.entries_or_empty("attrs")? {
        let path = format!("{path}.attrs.{name}");
        let pattern = read_attr(op, &name, value, &path)?;
        attrs.push((name, pattern));
    }
    let repeated = match fields.optional("for") {
        None => false,
        Some(Value::String(each)) if each == EACH => true,
        Some(_) => return Err(Fault::new(fields.at("for"), format!("a repeated node has {EACH:?} here"))),
    };
    fields.finish()?;
    Ok(RuleNode { op, inputs, outputs, attrs, repeated })
}

fn write_graph(graph: &RuleGraph, optional: &dyn Fn(&str) -> bool) -> Value {
    let operands = |operands: &[Operand]| -> Value { operands.iter().map(|o| operand_text(o, optional)).collect() };
    let node = |node: &RuleNode| {
        let mut fields = Map::new();
        fields.insert("op".into(), node.op.name().into());
        fields.insert("inputs".into(), operands(&node.inputs));
        fields.insert("outputs".into(), operands(&node.outputs));
        if !node.attrs.is_empty() {
            let attrs = node.attrs.iter().map(|(name, pattern)| (name.clone(), write_attr(pattern)));
            fields.insert("attrs".into(), Value::Object(attrs.collect()));
        }
        if node.repeated {
            fields.insert("for".into(), EACH.into());
        }
        Value::Object(fields)
    };
    let mut fields = Map::new();
    fields.insert("nodes".into(), graph.nodes.iter().map(node).collect());
    fields.insert("outputs".into(), operands(&graph.outputs));
    Value::Object(fields)
}

/// Reads an expression: an integer, a text, or a list of these.
fn read_expr(value: Value, path: &str) -> Result<Expr, Fault> {
    match value {
        Value::Number(number) => number.as_i64().map(Expr::Int).ok_or_else(|| Fault::new(path, "expected an integer")),
        Value::String(text) => parse_expr(&text).map_err(|e| at(path, e)),
        Value::Array(items) => {
            let items = items.into_iter().enumerate().map(|(i, item)| match item {
                Value::Array(_) => Err(Fault::new(format!("{path}[{i}]"), "a list within a list")),
                item => read_expr(item, &format!("{path}[{i}]")),
            });
            Ok(Expr::List(items.collect::<Result<_, _>>()?))
        }
        other => Err(expected("an integer, a text or a list", &other, path)),
    }
}

fn write_expr(expr: &Expr) -> Value {
    match expr {
        Expr::Int(v) => (*v).into(),
        Expr::List(items) if !items.iter().any(|item| matches!(item, Expr::List(_))) => {
            items.iter().map(write_expr).collect()
        }
        other => expr_text(other).into(),
    }
}

/// Reads what a rule says of an attribute; numbers take the type that the operator's schema has.
fn read_attr(op: OpKind, name: &str, value: Value, path: &str) -> Result<AttrPattern, Fault> {
    let spec = ops::schema(op).attr(name);
    let ty = spec.ok_or_else(|| Fault::new(path, format!("{op} has no attribute {name:?}")))?.default.ty();
    if let Value::String(text) = &value {
        if text == "*" {
            return Ok(AttrPattern::Any);
        }
        if let Some(variable) = text.strip_prefix('?').filter(|v| is_name(v)) {
            return Ok(AttrPattern::Variable(variable.to_owned()));
        }
    }
    let wrong = |value: &Value| expected(&format!("{ty}, \"*\", a variable or an expression"), value, path);
    let literal = match ty {
        AttrType::Int | AttrType::Ints => {
            let expr = read_expr(value, path)?;
            return Ok(match (ty, expr) {
                (AttrType::Int, Expr::Int(v)) => AttrPattern::Literal(Attr::Int(v)),
                (_, Expr::List(items)) if ty == AttrType::Int => {
                    return Err(Fault::new(path, format!("expected an integer, found a list of {}", items.len())));
                }
                (_, Expr::Int(_)) => return Err(Fault::new(path, "expected a list of integers, found an integer")),
                (_, Expr::List(items)) => {
                    let numbers = items.iter().map(|item| if let Expr::Int(v) = item { Some(*v) } else { None });
                    match numbers.collect::<Option<Vec<i64>>>() {
                        Some(numbers) => AttrPattern::Literal(Attr::ints(&numbers)),
                        None => AttrPattern::Computed(Expr::List(items)),
                    }
                }
                (_, other) => AttrPattern::Computed(other),
            });
        }
        AttrType::Float => Attr::Float(read_float(&value).ok_or_else(|| wrong(&value))?),
        AttrType::Number => match value.as_i64() {
            Some(v) => Attr::Int(v),
            None => Attr::Float(read_float(&value).ok_or_else(|| wrong(&value))?),
        },
        AttrType::Str => Attr::str(&text(value, path)?),
        AttrType::Floats => {
            let items = list(value, path)?;
            let floats = items.iter().map(|item| read_float(item).ok_or_else(|| wrong(item)));
            Attr::Floats(floats.collect::<Result<Vec<f32>, _>>()?.into())
        }
        AttrType::Strs => {
            let items = list(value, path)?;
            let texts = items.into_iter().map(|item| text(item, path).map(Into::into));
            Attr::Strs(texts.collect::<Result<Vec<_>, _>>()?.into())
        }
    };
    Ok(AttrPattern::Literal(literal))
}

/// A float; what JSON has no number for is a text.
fn read_float(value: &Value) -> Option<f32> {
    match value {
        Value::Number(number) => number.as_f64().map(|v| v as f32).filter(|v| v.is_finite()),
        Value::String(text) => match text.as_str() {
            "inf" => Some(f32::INFINITY),
            "-inf" => Some(f32::NEG_INFINITY),
            "nan" => Some(f32::NAN),
            _ => None,
        },
        _ => None,
    }
}

fn write_float(v: f32) -> Value {
    if v.is_nan() {
        return "nan".into();
    }
    if v.is_infinite() {
        return if v > 0.0 { "inf".into() } else { "-inf".into() };
    }
    // The shortest decimal that is this f32, which is not the shortest that is this f64.
    v.to_string().parse::<f64>().unwrap_or(f64::from(v)).into()
}

fn write_attr(pattern: &AttrPattern) -> Value {
    match pattern {
        AttrPattern::Any => "*".into(),
        AttrPattern::Variable(name) => format!("?{name}").into(),
        AttrPattern::Computed(expr) => write_expr(expr),
        AttrPattern::Literal(attr) => match attr {
            Attr::Int(v) => (*v).into(),
            Attr::Float(v) => write_float(*v),
            Attr::Str(v) => v.to_string().into(),
            Attr::Ints(v) => v.to_vec().into(),
            Attr::Floats(v) => v.iter().map(|&v| write_float(v)).collect(),
            Attr::Strs(v) => v.iter().map(|v| v.to_string()).collect(),
        },
    }
}
