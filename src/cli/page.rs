//! The HTML page of `inspect`: one file without scripts or anything from elsewhere.

use std::fmt::Write as _;

use super::inspect::{Findings, NodeRow, summary};
use super::units;
use crate::cost::Cost;

const STYLE: &str = "\
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #202124; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th { text-align: left; border-bottom: 2px solid #dadce0; position: sticky; top: 0; background: #fff; }
th, td { padding: 0.2rem 0.6rem; vertical-align: top; }
tr:nth-child(even) td { background: #f8f9fa; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.bar { width: 12rem; }
td.bar div { background: #1a73e8; height: 0.8rem; min-width: 1px; }
code { font-size: 0.92em; overflow-wrap: anywhere; }
dt { float: left; clear: left; width: 8rem; color: #5f6368; }
dd { margin-left: 8rem; overflow-wrap: anywhere; }";

/// The page.
pub fn html(found: &Findings) -> String {
    let title = escape(&found.model);
    let mut body = format!("<h1>{title}</h1>\n<dl>\n");
    for (name, text) in summary(found) {
        add(&mut body, format_args!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(&text)));
    }
    body.push_str("</dl>\n");
    operators(&mut body, found);
    if !found.matches.is_empty() {
        body.push_str("<h2>Matches by rule</h2>\n<table>\n<tr><th>rule<th class=n>matches<th class=n>best gain</tr>\n");
        for (rule, count, gain) in &found.matches {
            let gain = if *gain > 0.0 { units::time(*gain) } else { String::new() };
            add(&mut body, format_args!("<tr><td>{}<td class=n>{count}<td class=n>{gain}</tr>\n", escape(rule)));
        }
        body.push_str("</table>\n");
    }
    if !found.opaque.is_empty() {
        body.push_str("<h2>Opaque nodes</h2>\n<table>\n<tr><th>node<th>why</tr>\n");
        for (node, why) in &found.opaque {
            add(&mut body, format_args!("<tr><td><code>{}</code><td>{}</tr>\n", escape(node), escape(why)));
        }
        body.push_str("</table>\n");
    }
    nodes(&mut body, found);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>\n{STYLE}\n</style>\n{body}</html>\n"
    )
}

fn operators(body: &mut String, found: &Findings) {
    body.push_str(
        "<h2>Cost by operator</h2>\n<table>\n<tr><th>operator<th class=n>count<th class=n>time<th><th class=n>FLOPs\
         <th class=n>traffic</tr>\n",
    );
    for (op, count, cost) in &found.operators {
        let width = share(cost, found);
        add(
            body,
            format_args!(
                "<tr><td>{}<td class=n>{count}<td class=n>{}<td class=bar><div style=\"width:{width:.1}%\"></div>\
                 <td class=n>{}<td class=n>{}</tr>\n",
                escape(op),
                units::time(cost.time_us),
                units::count(cost.flops),
                units::bytes(cost.bytes),
            ),
        );
    }
    body.push_str("</table>\n");
}

fn nodes(body: &mut String, found: &Findings) {
    body.push_str(
        "<h2>Nodes in the order they run</h2>\n<table>\n<tr><th>node<th>operator<th>results<th class=n>time\
         <th class=n>FLOPs<th class=n>traffic</tr>\n",
    );
    for NodeRow { name, op, types, cost } in &found.rows {
        add(
            body,
            format_args!(
                "<tr><td><code>{}</code><td>{}<td><code>{}</code><td class=n>{}<td class=n>{}<td class=n>{}</tr>\n",
                escape(name),
                escape(op),
                escape(types),
                units::time(cost.time_us),
                units::count(cost.flops),
                units::bytes(cost.bytes),
            ),
        );
    }
    body.push_str("</table>\n");
}

/// The share of the whole time, in percent.
fn share(cost: &Cost, found: &Findings) -> f64 {
    100.0 * cost.time_us / found.cost.time_us.max(f64::MIN_POSITIVE)
}

fn add(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("a string can be written to");
}

/// Text that stands for itself in HTML, in quotes too.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_from_a_file_cannot_become_markup() {
        assert_eq!(super::escape("<b a=\"x\">&'"), "&lt;b a=&quot;x&quot;&gt;&amp;&#39;");
    }
}
