//! What `optimise` tells of its result: as tables, and as a JSON document.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{compare, terminal, units};
use crate::rewrite::CleanUp;
use crate::rl::latency::active::{Learned, Measured};
use crate::search::{Measurement, Outcome};

/// What the report says beside the outcome.
pub struct Context<'a> {
    /// The file that was read.
    pub model: &'a Path,
    /// The file that is written, if any.
    pub output: Option<&'a Path>,
    /// The source of the costs.
    pub cost_model: String,
    /// The seed.
    pub seed: u64,
    /// What measurements taught, if any were asked for.
    pub learned: Option<&'a Learned>,
}

/// The report in tables.
pub fn text(outcome: &Outcome, context: &Context<'_>) -> String {
    let mut sections = vec![costs(outcome, context), rewrites(outcome)];
    sections.push(notes(outcome));
    sections.push(measured(outcome));
    sections.extend(context.learned.map(taught));
    sections.push(compare::text(&outcome.check));
    sections.retain(|section| !section.is_empty());
    let times = outcome.seconds.iter().map(|(part, time)| format!("{part} {}", units::seconds(*time)));
    sections.push(format!("spent: {}", times.collect::<Vec<_>>().join(", ")));
    sections.iter().map(|section| section.trim_end().to_owned()).collect::<Vec<_>>().join("\n\n")
}

/// Before and after.
fn costs(outcome: &Outcome, context: &Context<'_>) -> String {
    let (before, after) = (&outcome.before, &outcome.after);
    let row = |name: &str, before: f64, after: f64, show: &dyn Fn(f64) -> String| {
        vec![name.to_owned(), show(before), show(after), units::change(before, after)]
    };
    let rows = [
        row("nodes", before.nodes as f64, after.nodes as f64, &|n| format!("{n:.0}")),
        row("time (estimate)", before.cost.time_us, after.cost.time_us, &units::time),
        row("FLOPs", before.cost.flops, after.cost.flops, &units::count),
        row("memory traffic", before.cost.bytes, after.cost.bytes, &units::bytes),
        row("launches", before.cost.launches, after.cost.launches, &|n| format!("{n:.0}")),
        row("peak memory", before.cost.peak_memory, after.cost.peak_memory, &units::bytes),
        row("weights", before.weight_bytes as f64, after.weight_bytes as f64, &units::bytes),
    ];
    let title = context.model.display().to_string();
    let table = terminal::table(&[title.as_str(), ">before", ">after", ">change"], rows);
    format!("{table}estimated by: {}", context.cost_model)
}

/// How often each rule was applied, in order of first application.
fn rewrites(outcome: &Outcome) -> String {
    let mut counts: IndexMap<&str, usize> = IndexMap::new();
    for step in &outcome.applied {
        *counts.entry(&step.rule).or_default() += 1;
    }
    if counts.is_empty() {
        return "no rule was applied".to_owned();
    }
    let rows = counts.iter().map(|(rule, count)| vec![(*rule).to_owned(), count.to_string()]);
    terminal::table(&["rule applied", ">times"], rows)
}

fn notes(outcome: &Outcome) -> String {
    let search = &outcome.search;
    let mut lines = vec![format!(
        "{} search: {} pops, {} graphs explored, {} expanded, {} met again, {}; best found by {}",
        search.method,
        search.counts.pops,
        search.counts.explored,
        search.counts.expanded,
        search.counts.duplicates,
        word(&search.stop_reason),
        search.found_by
    )];
    let clean = outcome.clean_up.plus(search.clean_up);
    if clean != CleanUp::default() && outcome.chosen.from != "original" {
        let parts = [(clean.dead, "dead"), (clean.merged, "merged"), (clean.passed_through, "passed through")];
        let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        lines.push(format!("clean-up of nodes: {}", parts.collect::<Vec<_>>().join(", ")));
    }
    lines.push(match outcome.chosen.from.as_str() {
        "original" => "chosen: the original, since no other graph was faster beyond noise".to_owned(),
        "search" => "chosen: the result of the search".to_owned(),
        other => format!("chosen: the result of {other}"),
    });
    if let Some(why) = &outcome.chosen.not_measured {
        lines.push(format!("not measured: {why}"));
    }
    if outcome.opaque_nodes > 0 {
        lines.push(format!("opaque nodes, kept as they are: {}", outcome.opaque_nodes));
    }
    if outcome.symbolic_values > 0 {
        let text = "values with a dimension of unknown size, where fewer rewrites apply (see --dim)";
        lines.push(format!("{text}: {}", outcome.symbolic_values));
    }
    lines.join("\n")
}

/// What was timed, the original last.
fn measured(outcome: &Outcome) -> String {
    let row = |m: &Measurement| {
        let interval = format!("{:.3}x ({:.3} to {:.3})", m.speedup, m.low, m.high);
        vec![m.from.clone(), units::time(m.median_us), units::time(m.spread_us), interval]
    };
    match outcome.chosen.measured.as_slice() {
        [] => String::new(),
        rows => terminal::table(&["measured", ">median", ">spread", ">speed-up (95 % interval)"], rows.iter().map(row)),
    }
}

/// What measurements taught.
fn taught(learned: &Learned) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let (predicted, estimated) = learned.errors();
    let mut text = format!(
        "learned latency: {} measurements; predictions before them were off by {} of the original's time, the estimate by {}",
        learned.measured.len(),
        percent(predicted),
        percent(estimated)
    );
    if let Some((belief, best)) = learned.fastest(learned.measured.len()).first() {
        text += &format!("; the fastest took {:.3} of it, and is believed to take {belief:.3}", best.ratio());
    }
    text
}

/// What was measured to learn from, in order; times are shares of the original's.
fn learned_document(learned: &Learned) -> Value {
    let number = units::json_number;
    let row = |m: &Measured| {
        json!({
            "from": m.from,
            "rewrites": m.found.applied.len(),
            "estimate": number(m.estimate),
            "predicted": number(m.prediction.ratio),
            "disagreement": number(m.prediction.disagreement),
            "measured": m.reading.map(|reading| number(reading.ratio)),
            "standard_error": m.reading.map(|reading| number(reading.error)),
        })
    };
    let (predicted, estimated) = learned.errors();
    json!({
        "measurements": learned.measured.len(),
        "median_error": number(predicted),
        "median_error_of_estimate": number(estimated),
        "graphs": learned.measured.iter().map(row).collect::<Vec<_>>(),
    })
}

/// A word as it stands in JSON, for people.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text.replace('_', " "),
        other => other.map_or_else(|e| e.to_string(), |v| v.to_string()),
    }
}

/// The report as a JSON document.
pub fn document(outcome: &Outcome, context: &Context<'_>) -> Value {
    let search = &outcome.search;
    let seconds: serde_json::Map<String, Value> =
        outcome.seconds.iter().map(|(part, time)| ((*part).to_owned(), (*time).into())).collect();
    let clean = outcome.clean_up.plus(search.clean_up);
    let mut document = json!({
        "model": context.model.display().to_string(),
        "output": context.output.map(|path| path.display().to_string()),
        "nodes_before": outcome.before.nodes,
        "nodes_after": outcome.after.nodes,
        "opaque_nodes": outcome.opaque_nodes,
        "symbolic_values": outcome.symbolic_values,
        "cost_before": outcome.before.cost,
        "cost_after": outcome.after.cost,
        "weight_bytes_before": outcome.before.weight_bytes,
        "weight_bytes_after": outcome.after.weight_bytes,
        "cost_model": context.cost_model,
        "search": {
            "method": search.method,
            "seconds": search.seconds,
            "pops": search.counts.pops,
            "graphs_explored": search.counts.explored,
            "graphs_expanded": search.counts.expanded,
            "duplicates": search.counts.duplicates,
            "found_by": search.found_by,
            "stop_reason": search.stop_reason,
            "legs": search.legs,
        },
        "applied": outcome.applied,
        "clean_up": { "dead": clean.dead, "merged": clean.merged, "passed_through": clean.passed_through },
        "chosen": chosen(outcome),
        "check": compare::check_document(&outcome.check),
        "seconds": seconds,
        "seed": context.seed,
    });
    if let Some(learned) = context.learned {
        document["learned_latency"] = learned_document(learned);
    }
    document
}

fn chosen(outcome: &Outcome) -> Value {
    let chosen = &outcome.chosen;
    let number = units::json_number;
    let row = |m: &Measurement| {
        json!({
            "from": m.from,
            "median_us": number(m.median_us),
            "spread_us": number(m.spread_us),
            "speedup": number(m.speedup),
            "low": number(m.low),
            "high": number(m.high),
        })
    };
    json!({
        "from": chosen.from,
        "method_time_us": number(chosen.method_time_us),
        "measured": chosen.measured.iter().map(row).collect::<Vec<_>>(),
        "not_measured": chosen.not_measured,
    })
}
