//! Reading terms with variables from text.

use super::class::{Class, Over};
use super::functions::Function;
use super::pattern::{Apply, AttrValue, Pattern, PatternOp};
use super::term::SymVal;
use crate::graph::{Attr, Dim, OpKind};
use crate::ops;
use crate::rewrite::Expr;
use crate::substitution::expr::parse_expr;

/// Reads a pattern.
pub(crate) fn parse_pattern(text: &str) -> Result<Pattern, String> {
    let mut reader = Reader { text, at: 0 };
    let pattern = reader.pattern(0)?;
    reader.space();
    if reader.at < text.len() { Err(reader.fail("unexpected text")) } else { Ok(pattern) }
}

/// Reads the value of an attribute.
pub(crate) fn parse_value(text: &str) -> Result<AttrValue, String> {
    let text = text.trim();
    if let Some(call) = text.strip_prefix('@') {
        let (name, args) = call.strip_suffix(')').and_then(|c| c.split_once('(')).ok_or("expected @name(…)")?;
        let args: Vec<String> = split_top(args).into_iter().map(str::to_owned).collect();
        let (function, count) = Function::of(name).ok_or_else(|| format!("unknown function @{name}"))?;
        if args.len() != count {
            return Err(format!("@{name} has {count} arguments"));
        }
        return Ok(AttrValue::Function(function, args));
    }
    if let Some(name) = text.strip_prefix('?')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Ok(AttrValue::Variable(name.to_owned()));
    }
    if let Some(quoted) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return Ok(AttrValue::Literal(SymVal::Fixed(Attr::str(quoted))));
    }
    if text.contains(['.', 'e'])
        && let Ok(value) = text.parse::<f32>()
    {
        return Ok(AttrValue::Literal(SymVal::Fixed(Attr::Float(value))));
    }
    let expr = parse_expr(text).map_err(|e| e.to_string())?;
    Ok(match literal(&expr) {
        Some(value) => AttrValue::Literal(value),
        None => AttrValue::Computed(expr),
    })
}

fn literal(expr: &Expr) -> Option<SymVal> {
    match expr {
        Expr::Int(n) => Some(SymVal::Num(Dim::Known(*n))),
        Expr::List(items) => {
            let item = |e: &Expr| literal(e)?.num().cloned();
            items.iter().map(item).collect::<Option<_>>().map(SymVal::List)
        }
        _ => None,
    }
}

/// The parts between commas that stand in no bracket.
pub(crate) fn split_top(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut quoted) = (0i32, 0, false);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !(last.is_empty() && parts.is_empty()) {
        parts.push(last);
    }
    parts
}

/// Deeper terms are refused.
const MAX_DEPTH: usize = 64;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn fail(&self, problem: &str) -> String {
        format!("{problem} at {:?}", self.text[self.at..].chars().take(40).collect::<String>())
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.text[self.at..].trim_start().len();
    }

    fn take(&mut self, sign: char) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(sign);
        if found {
            self.at += sign.len_utf8();
        }
        found
    }

    fn word(&mut self) -> Result<String, String> {
        self.space();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            return Err(self.fail("expected a name"));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    fn number(&mut self) -> Result<usize, String> {
        let word = self.word()?;
        word.parse().map_err(|_| self.fail("expected a number"))
    }

    fn pattern(&mut self, depth: usize) -> Result<Pattern, String> {
        if depth > MAX_DEPTH {
            return Err(self.fail("nested too deeply"));
        }
        let class = self.take('$');
        let mut name = self.word()?;
        let mut label = None;
        let mut class = class;
        let mut over = Over::Values;
        if let Some(of) = Over::of(&name)
            && self.text[self.at..].starts_with(' ')
        {
            over = of;
            name = self.word()?;
        }
        if self.take(':') {
            label = Some(name);
            class = self.take('$');
            name = self.word()?;
        }
        let op = match (class, OpKind::from_name(&name)) {
            (true, _) => {
                let class = Class::of(&name).ok_or_else(|| self.fail("unknown class"))?;
                PatternOp::Class(class, name)
            }
            (false, Some(kind)) => PatternOp::Kind(kind),
            (false, None) if label.is_none() => {
                let member =
                    ["[i]", "[0]"].into_iter().find(|m| self.text[self.at..].starts_with(m)).unwrap_or_default();
                self.at += member.len();
                return Ok(Pattern::Var(name + member));
            }
            (false, None) => return Err(self.fail("unknown operator")),
        };
        let mut slot = (0, 1);
        if self.take('#') {
            slot.0 = self.number()?;
            if !self.take('/') {
                return Err(self.fail("expected \"/\""));
            }
            slot.1 = self.number()?;
        }
        let mut args = Vec::new();
        if self.take('(') && !self.take(')') {
            loop {
                args.push(self.pattern(depth + 1)?);
                if self.take(')') {
                    break;
                }
                if !self.take(',') {
                    return Err(self.fail("expected \",\" or \")\""));
                }
            }
        }
        let attrs = if self.take('{') { self.attrs()? } else { Vec::new() };
        let attrs = match &op {
            PatternOp::Kind(kind) => complete(*kind, attrs)?,
            PatternOp::Class(..) if attrs.is_empty() => Vec::new(),
            PatternOp::Class(..) => return Err(self.fail("a class has its attributes with it")),
        };
        Ok(Pattern::Apply(Box::new(Apply { label, op, over, attrs, slot, args })))
    }

    fn attrs(&mut self) -> Result<Vec<(String, AttrValue)>, String> {
        let rest = &self.text[self.at..];
        let end = rest.find('}').ok_or_else(|| self.fail("expected \"}\""))?;
        let mut attrs = Vec::new();
        for part in split_top(&rest[..end]) {
            let (name, value) = part.split_once('=').ok_or_else(|| self.fail("expected name=value"))?;
            attrs.push((name.trim().to_owned(), parse_value(value)?));
        }
        self.at += end + 1;
        Ok(attrs)
    }
}

/// The attributes of an operator, defaults filled in, in order of name.
fn complete(kind: OpKind, given: Vec<(String, AttrValue)>) -> Result<Vec<(&'static str, AttrValue)>, String> {
    let schema = ops::schema(kind);
    let mut attrs: Vec<(&'static str, AttrValue)> = Vec::new();
    for (name, value) in given {
        let spec = schema.attr(&name).ok_or_else(|| format!("{kind} has no attribute {name}"))?;
        attrs.push((spec.name, value));
    }
    for spec in schema.attrs {
        if attrs.iter().all(|(name, _)| *name != spec.name)
            && let Some(value) = spec.default.value()
        {
            attrs.push((spec.name, AttrValue::Literal(SymVal::of(&value))));
        }
    }
    attrs.sort_by_key(|(name, _)| *name);
    Ok(attrs)
}
