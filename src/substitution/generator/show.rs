//! Graphs of the generator as text.

use super::generalise::Direction;
use super::graph::{NONE, Step};
use super::operator::Operator;
use super::preset::Preset;

/// A direction: `a = MatMul(x1, w1); … => …`.
pub fn direction(preset: &Preset, direction: &Direction) -> String {
    format!("{} => {}", graph(preset, &direction.source, "t"), graph(preset, &direction.target, "u"))
}

fn graph(preset: &Preset, steps: &[Step], letter: &str) -> String {
    let operators = preset.functions();
    let name = |tensor: u8| match usize::from(tensor).checked_sub(preset.inputs.len()) {
        None => preset.inputs[usize::from(tensor)].name.to_owned(),
        Some(result) => format!("{letter}{result}"),
    };
    let mut next = preset.inputs.len() as u8;
    let mut words = Vec::new();
    for step in steps {
        let args: Vec<String> = step.args.iter().filter(|&&a| a != NONE).map(|&a| name(a)).collect();
        let op = operators[usize::from(step.op)];
        let results = if matches!(op, Operator::Split { .. }) { 2 } else { 1 };
        let made: Vec<String> = (next..next + results).map(name).collect();
        next += results;
        words.push(format!("{} = {}({})", made.join(", "), op, args.join(", ")));
    }
    if words.is_empty() { "its inputs".to_owned() } else { words.join("; ") }
}
