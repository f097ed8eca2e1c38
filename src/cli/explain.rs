//! `graphopt explain`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context;
use clap::Args;

use super::picture::{BoxId, Dot, Look};
use super::{Answer, args, terminal};
use crate::graph::Attr;
use crate::rewrite::{Arity, AttrPattern, DTypeClass, Operand, Rule, RuleGraph, RuleInput, RuleNode};
use crate::substitution::{Library, Proof, Status, Substitution, condition_text, expr_text, narrate, operand_text};

/// Shows a rewrite rule: what it looks for, what replaces it, and when.
///
/// Without RULE, lists the rules. Names: ?a is a bound attribute, b? an optional value, xs* a
/// list of n values of which xs[i] is each.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  graphopt explain
  graphopt explain transpose-twice-rank-4 --dot | dot -Tsvg > rule.svg"
)]
pub struct Explain {
    /// Name or id of the rule.
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    #[command(flatten)]
    libraries: args::LibraryArgs,
    /// Prints a picture in the DOT language of Graphviz instead.
    #[arg(long, requires = "rule", conflicts_with = "json")]
    dot: bool,
    /// Prints one JSON document on stdout instead: the rules in the format of libraries.
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let mut library = self.libraries.library()?;
        if let Some(name) = &self.rule {
            let found = args::find_rule(&library, name)?.clone();
            library = Library { generator: None, substitutions: vec![found] };
        }
        if self.json {
            terminal::print(&library.to_text())?;
        } else if self.rule.is_none() {
            let row = |s: &Substitution| vec![s.rule.name.clone(), status(s).to_owned(), s.id.clone()];
            terminal::print(&terminal::table(&["rule", "status", "id"], library.substitutions.iter().map(row)))?;
        } else {
            let rule = library.substitutions.first().context("the library has no rule")?;
            let text = if self.dot { picture(&rule.rule) } else { explanation(rule) };
            terminal::print(&text)?;
        }
        Ok(Answer::Done)
    }
}

fn status(substitution: &Substitution) -> &'static str {
    match substitution.verification.status {
        Status::Proved => "proved",
        Status::Tested => "tested",
    }
}

/// The rule as text.
fn explanation(substitution: &Substitution) -> String {
    let rule = &substitution.rule;
    let mut lines = vec![format!("{}  ({}, {})", rule.name, status(substitution), substitution.id)];
    let mut section = |title: &str, body: Vec<String>| {
        if !body.is_empty() {
            lines.push(String::new());
            lines.push(title.to_owned());
            lines.extend(body.into_iter().map(|line| format!("  {line}")));
        }
    };
    section("inputs", rule.inputs.iter().map(input_line).collect());
    section("finds", side_lines(rule, &rule.source));
    section("replaces it by", side_lines(rule, &rule.target));
    section("where", rule.lets.iter().map(|(name, expr)| format!("?{name} = {}", expr_text(expr))).collect());
    section("if", rule.conditions.iter().map(condition_text).collect());
    section("derived from", substitution.derived_from.clone());
    let verification = &substitution.verification;
    section("not proved", verification.reason.clone().into_iter().collect());
    let tests =
        verification.finite_field.map(|f| format!("{} trials on {} shapes modulo {}", f.trials, f.shapes, f.prime));
    section("tested by", tests.into_iter().collect());
    section("proof", proof_lines(substitution));
    lines.join("\n")
}

/// The proof with the terms between its steps; as it is written where it cannot be replayed.
fn proof_lines(substitution: &Substitution) -> Vec<String> {
    let proof = Proof::from_lines(&substitution.verification.proof);
    let Some(parts) = proof.ok().and_then(|proof| narrate(&substitution.rule, &proof).ok()) else {
        return substitution.verification.proof.clone();
    };
    let mut lines = Vec::new();
    for part in parts {
        let without = part.absent.join(", ");
        let without = if without.is_empty() { without } else { format!(" without {without}") };
        lines.push(format!("output {}{}{without}", part.output, part.case));
        lines.push(format!("    {}", part.from));
        for (axiom, term) in part.steps {
            lines.push(format!("  = {term}"));
            lines.push(format!("        by {axiom}"));
        }
    }
    lines
}

fn input_line(input: &RuleInput) -> String {
    let mark = match input.arity {
        Arity::One => "",
        Arity::Optional => "?",
        Arity::List => "*",
    };
    let dtype = match input.dtype {
        DTypeClass::Float => "float",
        DTypeClass::Int => "integer",
        DTypeClass::Any => "any type",
    };
    let rank = input.rank.map_or("any rank".to_owned(), |rank| format!("rank {rank}"));
    let constant = if input.constant { ", constant" } else { "" };
    format!("{}{mark}: {dtype}, {rank}{constant}", input.name)
}

fn operands(rule: &Rule, operands: &[Operand]) -> String {
    let optional = |name: &str| rule.inputs.iter().any(|i| i.name == name && i.arity == Arity::Optional);
    let shown = |o: &Operand| if *o == Operand::Absent { "_".to_owned() } else { operand_text(o, &optional) };
    operands.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn side_lines(rule: &Rule, side: &RuleGraph) -> Vec<String> {
    let node_line = |node: &RuleNode| {
        let mut line = format!("{} = {}({})", operands(rule, &node.outputs), node.op, operands(rule, &node.inputs));
        for (name, pattern) in &node.attrs {
            write!(line, " {name}={}", attr_text(pattern)).expect("a string can be written to");
        }
        if node.repeated { format!("{line}  for each i in 0..n") } else { line }
    };
    let mut lines: Vec<String> = side.nodes.iter().map(node_line).collect();
    lines.push(format!("-> {}", operands(rule, &side.outputs)));
    lines
}

fn attr_text(pattern: &AttrPattern) -> String {
    fn list<T: ToString>(items: &[T]) -> String {
        format!("[{}]", items.iter().map(T::to_string).collect::<Vec<_>>().join(", "))
    }
    match pattern {
        AttrPattern::Any => "*".to_owned(),
        AttrPattern::Variable(name) => format!("?{name}"),
        AttrPattern::Computed(expr) => expr_text(expr),
        AttrPattern::Literal(attr) => match attr {
            Attr::Int(v) => v.to_string(),
            Attr::Float(v) => v.to_string(),
            Attr::Str(v) => format!("{v:?}"),
            Attr::Ints(v) => list(v),
            Attr::Floats(v) => list(v),
            Attr::Strs(v) => list(v),
        },
    }
}

/// Source and target side by side.
fn picture(rule: &Rule) -> String {
    let mut dot = Dot::new();
    for (title, side) in [("finds", &rule.source), ("replaces it by", &rule.target)] {
        dot.begin_frame(title);
        draw_side(rule, side, &mut dot);
        dot.end_frame();
    }
    dot.finish(&rule.name)
}

fn draw_side(rule: &Rule, side: &RuleGraph, dot: &mut Dot) {
    let mut makers: BTreeMap<String, BoxId> = BTreeMap::new();
    for input in &rule.inputs {
        let mentions = |o: &Operand| o.name() == Some(&input.name);
        let used = side.nodes.iter().flat_map(|n| &n.inputs).chain(&side.outputs).any(mentions);
        if used {
            let look = if input.constant { Look::Constant } else { Look::End };
            makers.insert(input.name.clone(), dot.add_box(look, &[input_line(input)]));
        }
    }
    for node in &side.nodes {
        let attrs = node.attrs.iter().map(|(name, pattern)| format!("{name}={}", attr_text(pattern)));
        let title = if node.repeated { format!("{} (for each i)", node.op) } else { node.op.to_string() };
        let lines: Vec<String> = std::iter::once(title).chain(attrs).collect();
        let this = dot.add_box(Look::Operator, &lines);
        for operand in &node.inputs {
            if let Some(from) = operand.name().and_then(|name| makers.get(name)) {
                dot.add_arrow(*from, this, &operands(rule, std::slice::from_ref(operand)));
            }
        }
        makers.extend(node.outputs.iter().filter_map(|o| Some((o.name()?.to_owned(), this))));
    }
    for (at, output) in side.outputs.iter().enumerate() {
        let end = dot.add_box(Look::End, &[format!("output {at}")]);
        if let Some(from) = output.name().and_then(|name| makers.get(name)) {
            dot.add_arrow(*from, end, &operands(rule, std::slice::from_ref(output)));
        }
    }
}
