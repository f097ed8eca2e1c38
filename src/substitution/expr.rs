//! The texts of the rule language: operands, expressions and conditions, read and written.
//!
//! ```text
//! operand    = "" | name | name "?" | name "*" | name "[i]" | name "[0]"
//! condition  = "divides(" expr "," expr ")" | "const(" operand ")" | "broadcasts(" operand "," operand ")"
//!            | expr ("==" | "!=" | "<" | "<=") expr
//! expr       = term (("+" | "-") term)*
//! term       = factor ("*" factor)*
//! factor     = integer | "n" | "?" name | "?" name "[" expr "]" | "dim(" operand "," expr ")" | "rank(" operand ")"
//!            | ("div" | "min" | "max") "(" expr "," expr ")" | "[" (expr ("," expr)*)? "]" | "(" expr ")"
//! ```
//!
//! An axis below 0 counts from the end, and one that is not there is then 1, as in broadcasting: `dim(c, -3)` is the
//! channels of a constant that follows a convolution, whether it is a scalar, `[C, 1, 1]` or `[1, C, 1, 1]`. Arithmetic of
//! lists goes element by element, and a list compares with an integer if each element does (`?p == 0`: no padding).

use crate::rewrite::{Arithmetic, Comparison, Condition, Expr, Operand};

/// Deeper nesting than this is refused, so that no file exhausts the stack.
const MAX_DEPTH: usize = 48;
/// Longer texts than this are refused.
const MAX_TEXT: usize = 4096;

/// A text that is not of the rule language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at column {column} of {text:?}")]
pub struct TextError {
    /// The text, cut where it is long.
    pub text: String,
    /// Position in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
}

/// Reads an operand. `b?` is the optional value `b`.
pub fn parse_operand(text: &str) -> Result<Operand, TextError> {
    if text.is_empty() {
        return Ok(Operand::Absent);
    }
    Parser::run(text, Parser::operand)
}

/// Reads an expression.
pub fn parse_expr(text: &str) -> Result<Expr, TextError> {
    Parser::run(text, |parser| parser.expr(0))
}

/// Reads a condition.
pub fn parse_condition(text: &str) -> Result<Condition, TextError> {
    Parser::run(text, Parser::condition)
}

/// Whether a text may name a value or a variable: a letter or `_`, then letters, digits and `_`.
pub fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Writes an operand; `optional` tells which names are optional values.
pub fn operand_text(operand: &Operand, optional: &dyn Fn(&str) -> bool) -> String {
    match operand {
        Operand::Absent => String::new(),
        Operand::One(name) if optional(name) => format!("{name}?"),
        Operand::One(name) => name.clone(),
        Operand::Each(name) => format!("{name}[i]"),
        Operand::First(name) => format!("{name}[0]"),
        Operand::All(name) => format!("{name}*"),
    }
}

/// Writes an expression so that reading it gives the same expression.
pub fn expr_text(expr: &Expr) -> String {
    write_expr(expr, Level::Sum)
}

/// Writes a condition so that reading it gives the same condition.
pub fn condition_text(condition: &Condition) -> String {
    let operand = |o: &Operand| operand_text(o, &|_| false);
    match condition {
        Condition::Compare(comparison, a, b) => {
            let sign = match comparison {
                Comparison::Equal => "==",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
            };
            format!("{} {sign} {}", expr_text(a), expr_text(b))
        }
        Condition::Divides(a, b) => format!("divides({}, {})", expr_text(a), expr_text(b)),
        Condition::Constant(v) => format!("const({})", operand(v)),
        Condition::Broadcasts(v, w) => format!("broadcasts({}, {})", operand(v), operand(w)),
    }
}

/// What may stand in a place without parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Sum,
    Product,
    Factor,
}

fn write_expr(expr: &Expr, level: Level) -> String {
    let call = |name: &str, a: &Expr, b: &Expr| format!("{name}({}, {})", expr_text(a), expr_text(b));
    match expr {
        Expr::Int(v) => v.to_string(),
        Expr::Variable(name) => format!("?{name}"),
        Expr::Index(name, index) => format!("?{name}[{}]", expr_text(index)),
        Expr::Dim(value, axis) => format!("dim({}, {})", operand_text(value, &|_| false), expr_text(axis)),
        Expr::Rank(value) => format!("rank({})", operand_text(value, &|_| false)),
        Expr::Count => "n".to_owned(),
        Expr::List(items) => format!("[{}]", items.iter().map(expr_text).collect::<Vec<_>>().join(", ")),
        Expr::Binary(Arithmetic::Div, a, b) => call("div", a, b),
        Expr::Binary(Arithmetic::Min, a, b) => call("min", a, b),
        Expr::Binary(Arithmetic::Max, a, b) => call("max", a, b),
        Expr::Binary(op, a, b) => {
            let (sign, own, right) = match op {
                Arithmetic::Add => ("+", Level::Sum, Level::Product),
                Arithmetic::Sub => ("-", Level::Sum, Level::Product),
                _ => ("*", Level::Product, Level::Factor),
            };
            let text = format!("{} {sign} {}", write_expr(a, own), write_expr(b, right));
            if level > own { format!("({text})") } else { text }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn run<T>(text: &'a str, read: impl FnOnce(&mut Parser<'a>) -> Result<T, TextError>) -> Result<T, TextError> {
        let mut parser = Parser { text, at: 0 };
        if text.len() > MAX_TEXT {
            return Err(parser.fail(format!("more than {MAX_TEXT} bytes")));
        }
        let value = read(&mut parser)?;
        parser.space();
        if parser.at < text.len() {
            return Err(parser.fail("unexpected text"));
        }
        Ok(value)
    }

    fn fail(&self, problem: impl Into<String>) -> TextError {
        let column = self.text[..self.at].chars().count() + 1;
        TextError { text: self.text.chars().take(120).collect(), column, problem: problem.into() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes a sign if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn need(&mut self, sign: &str) -> Result<(), TextError> {
        if self.take(sign) { Ok(()) } else { Err(self.fail(format!("expected {sign:?}"))) }
    }

    /// Takes a name if one comes next.
    fn word(&mut self) -> Option<&'a str> {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..end];
        is_name(word).then(|| {
            self.at += end;
            word
        })
    }

    fn name(&mut self) -> Result<String, TextError> {
        self.word().map(str::to_owned).ok_or_else(|| self.fail("expected a name"))
    }

    fn operand(&mut self) -> Result<Operand, TextError> {
        let name = self.name()?;
        if self.take("*") {
            return Ok(Operand::All(name));
        }
        if self.take("?") {
            return Ok(Operand::One(name));
        }
        if !self.take("[") {
            return Ok(Operand::One(name));
        }
        let operand = if self.take("i") {
            Operand::Each(name)
        } else if self.take("0") {
            Operand::First(name)
        } else {
            return Err(self.fail("expected \"i\" or \"0\""));
        };
        self.need("]")?;
        Ok(operand)
    }

    fn condition(&mut self) -> Result<Condition, TextError> {
        let start = self.at;
        if let Some(word) = self.word() {
            match word {
                "divides" => {
                    let (a, b) = self.pair(|p| p.expr(1))?;
                    return Ok(Condition::Divides(a, b));
                }
                "broadcasts" => {
                    let (v, w) = self.pair(Parser::operand)?;
                    return Ok(Condition::Broadcasts(v, w));
                }
                "const" => {
                    self.need("(")?;
                    let value = self.operand()?;
                    self.need(")")?;
                    return Ok(Condition::Constant(value));
                }
                _ => self.at = start,
            }
        }
        let left = self.expr(0)?;
        let comparison = if self.take("==") {
            Comparison::Equal
        } else if self.take("!=") {
            Comparison::NotEqual
        } else if self.take("<=") {
            Comparison::LessOrEqual
        } else if self.take("<") {
            Comparison::Less
        } else {
            return Err(self.fail("expected one of == != < <="));
        };
        Ok(Condition::Compare(comparison, left, self.expr(0)?))
    }

    fn pair<T>(&mut self, read: impl Fn(&mut Parser<'a>) -> Result<T, TextError>) -> Result<(T, T), TextError> {
        self.need("(")?;
        let first = read(self)?;
        self.need(",")?;
        let second = read(self)?;
        self.need(")")?;
        Ok((first, second))
    }

    fn expr(&mut self, depth: usize) -> Result<Expr, TextError> {
        if depth > MAX_DEPTH {
            return Err(self.fail("nested too deeply"));
        }
        let mut left = self.term(depth)?;
        let mut length = 0;
        loop {
            let op = if self.take("+") {
                Arithmetic::Add
            } else if self.take("-") {
                Arithmetic::Sub
            } else {
                return Ok(left);
            };
            length += 1;
            if length > MAX_DEPTH {
                return Err(self.fail("too many terms"));
            }
            left = Expr::Binary(op, Box::new(left), Box::new(self.term(depth)?));
        }
    }

    fn term(&mut self, depth: usize) -> Result<Expr, TextError> {
        let mut left = self.factor(depth)?;
        let mut length = 0;
        while self.take("*") {
            length += 1;
            if length > MAX_DEPTH {
                return Err(self.fail("too many factors"));
            }
            left = Expr::Binary(Arithmetic::Mul, Box::new(left), Box::new(self.factor(depth)?));
        }
        Ok(left)
    }

    fn factor(&mut self, depth: usize) -> Result<Expr, TextError> {
        let depth = depth + 1;
        if self.take("(") {
            let inner = self.expr(depth)?;
            self.need(")")?;
            return Ok(inner);
        }
        if self.take("[") {
            let mut items = Vec::new();
            if self.take("]") {
                return Ok(Expr::List(items));
            }
            loop {
                items.push(self.expr(depth)?);
                if self.take("]") {
                    return Ok(Expr::List(items));
                }
                self.need(",")?;
            }
        }
        if self.take("?") {
            let name = self.name()?;
            if !self.take("[") {
                return Ok(Expr::Variable(name));
            }
            let index = self.expr(depth)?;
            self.need("]")?;
            return Ok(Expr::Index(name, Box::new(index)));
        }
        if let Some(value) = self.integer()? {
            return Ok(Expr::Int(value));
        }
        let start = self.at;
        match self.word() {
            Some("n") => Ok(Expr::Count),
            Some("dim") => {
                self.need("(")?;
                let value = self.operand()?;
                self.need(",")?;
                let axis = self.expr(depth)?;
                self.need(")")?;
                Ok(Expr::Dim(value, Box::new(axis)))
            }
            Some("rank") => {
                self.need("(")?;
                let value = self.operand()?;
                self.need(")")?;
                Ok(Expr::Rank(value))
            }
            Some(word @ ("div" | "min" | "max")) => {
                let op = match word {
                    "div" => Arithmetic::Div,
                    "min" => Arithmetic::Min,
                    _ => Arithmetic::Max,
                };
                let (a, b) = self.pair(|p| p.expr(depth))?;
                Ok(Expr::Binary(op, Box::new(a), Box::new(b)))
            }
            Some(_) => {
                self.at = start;
                Err(self
                    .fail("unknown word; an expression is made of integers, ?a, ?a[i], dim, rank, n, div, min, max"))
            }
            None => Err(self.fail("expected an expression")),
        }
    }

    fn integer(&mut self) -> Result<Option<i64>, TextError> {
        self.space();
        let rest = self.rest();
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if length == 0 {
            return Ok(None);
        }
        let end = rest.len() - digits.len() + length;
        let value = rest[..end].parse().map_err(|_| self.fail("an integer beyond 64 bits"))?;
        self.at += end;
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_round_trip() {
        for text in [
            "dim(w1, 2)",
            "?p[?q[0]]",
            "[?a, n]",
            "?p[0] + div(dim(w1, 2) - dim(w2, 2), 2) * ?d[0]",
            "(?a + 1) * (2 - ?b)",
            "?a - (?b - ?c)",
            "?a * (?b * ?c)",
            "max(rank(x) - 1, 0)",
            "dim(ws*, 1)",
            "dim(ws[i], -3)",
            "[]",
            "-4",
        ] {
            let expr = parse_expr(text).unwrap();
            assert_eq!(expr_text(&expr), text);
        }
        for text in [
            "dim(w1, 0) == dim(w2, 0)",
            "divides(?g, dim(x, 1))",
            "const(w)",
            "broadcasts(c, x)",
            "2 <= rank(x)",
            "[0, 0] != ?p",
            "dim(ws[0], 1) < 3",
        ] {
            assert_eq!(condition_text(&parse_condition(text).unwrap()), text);
        }
        assert_eq!(parse_operand("b?"), Ok(Operand::One("b".into())));
        assert_eq!(parse_operand("xs[ i ]"), Ok(Operand::Each("xs".into())));
        assert_eq!(parse_operand(""), Ok(Operand::Absent));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, message) in [
            ("dim(w1", "expected \",\" at column 7 of \"dim(w1\""),
            ("?a +", "expected an expression at column 5 of \"?a +\""),
            (
                "system(1)",
                "unknown word; an expression is made of integers, ?a, ?a[i], dim, rank, n, div, min, max at column 1 of \"system(1)\"",
            ),
            ("1 1", "unexpected text at column 3 of \"1 1\""),
            ("99999999999999999999", "an integer beyond 64 bits at column 1 of \"99999999999999999999\""),
        ] {
            assert_eq!(parse_expr(text).unwrap_err().to_string(), message);
        }
        assert!(parse_expr(&"(".repeat(4000)).unwrap_err().problem.contains("deeply"));
        assert!(parse_expr(&"[".repeat(4000)).unwrap_err().problem.contains("deeply"));
        assert!(parse_expr(&"?a[".repeat(1000)).unwrap_err().problem.contains("deeply"));
        assert!(parse_expr(&"1+".repeat(2000)).unwrap_err().problem.contains("terms"));
        assert!(parse_condition("dim(a,0) > 1").is_err());
        assert!(parse_operand("xs[1]").is_err());
    }

    fn operand() -> impl Strategy<Value = Operand> {
        (prop_oneof![Just("x"), Just("ws"), Just("b_1")], 0..4).prop_map(|(name, kind)| match kind {
            0 => Operand::One(name.into()),
            1 => Operand::Each(name.into()),
            2 => Operand::First(name.into()),
            _ => Operand::All(name.into()),
        })
    }

    fn expr() -> impl Strategy<Value = Expr> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Expr::Int),
            Just(Expr::Count),
            Just(Expr::Variable("a".into())),
            operand().prop_map(Expr::Rank),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                (0..6usize, inner.clone(), inner.clone()).prop_map(|(op, a, b)| {
                    use Arithmetic::*;
                    Expr::Binary([Add, Sub, Mul, Div, Min, Max][op], Box::new(a), Box::new(b))
                }),
                (operand(), inner.clone()).prop_map(|(v, a)| Expr::Dim(v, Box::new(a))),
                inner.clone().prop_map(|a| Expr::Index("p".into(), Box::new(a))),
                prop::collection::vec(inner, 0..3).prop_map(Expr::List),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_expression_reads_as_it_was_written(e in expr()) {
            prop_assert_eq!(parse_expr(&expr_text(&e)), Ok(e));
        }

        #[test]
        fn no_text_panics(text in "[?a-z0-9\\[\\]()*+, =<!-]{0,40}|\\PC{0,20}") {
            let _ = (parse_expr(&text), parse_condition(&text), parse_operand(&text));
        }
    }
}
