//! How dear graphs are, and which directions a search has a use for.

use super::generalise::Direction;
use super::graph::{NONE, Packed, Step};
use super::operator::Operator;
use super::preset::Preset;

/// Steps of a source, at most, for which a direction is kept that costs as much as it saves: it may lead to others that
/// save something.
const NEUTRAL_STEPS: usize = 2;

/// How dear a graph is, roughly and whatever its context. Where weights are known, that is the work on what is not; else
/// the number of operators first.
pub fn rank(preset: &Preset) -> impl Fn(Packed) -> u64 + Sync + use<> {
    let scale = Scale::new(preset);
    let known = preset.limits.weights_known;
    move |graph: Packed| {
        let steps = graph.steps();
        if known {
            scale.work(&steps, true) << 8 | graph.ops() as u64
        } else {
            let sum: u64 = steps.iter().map(|s| scale.operators[usize::from(s.op)].weight()).sum();
            (graph.ops() as u64) << 32 | sum
        }
    }
}

/// Whether a search has a use for a direction: it makes a graph cheaper, with weights known or with none known; or it is
/// simple, moves elements about, and costs no more. Sums and products of single elements alone are left to the few laws
/// that say all of them at any rank.
pub fn is_useful(preset: &Preset, direction: &Direction) -> bool {
    let scale = Scale::new(preset);
    let any = |test: &dyn Fn(Operator) -> bool| {
        let mut steps = direction.source.iter().chain(&direction.target);
        steps.any(|step| test(scale.operators[usize::from(step.op)]))
    };
    if !any(&|op| !op.is_arithmetic()) {
        return false;
    }
    let changes = [true, false]
        .map(|constants| scale.work(&direction.source, constants).cmp(&scale.work(&direction.target, constants)));
    let simple = direction.source.len() <= NEUTRAL_STEPS && any(&Operator::is_movement);
    changes.iter().any(|c| c.is_gt()) || (simple && changes.iter().any(|c| c.is_eq()))
}

/// What graphs are weighed by.
struct Scale {
    operators: Vec<Operator>,
    weights: Vec<bool>,
}

impl Scale {
    fn new(preset: &Preset) -> Scale {
        Scale { operators: preset.functions(), weights: preset.inputs.iter().map(|input| input.weight).collect() }
    }

    /// The work of the steps, without those on constants alone; `constants`: whether weights are.
    fn work(&self, steps: &[Step], constants: bool) -> u64 {
        let mut known = self
            .weights
            .iter()
            .enumerate()
            .fold(0u128, |known, (input, &weight)| if constants && weight { known | 1 << input } else { known });
        let (mut next, mut sum) = (self.weights.len(), 0);
        for step in steps {
            let operator = self.operators[usize::from(step.op)];
            let results = if matches!(operator, Operator::Split { .. }) { 2 } else { 1 };
            if step.args.iter().all(|&arg| arg == NONE || known >> arg & 1 == 1) {
                (next..next + results).for_each(|result| known |= 1 << result);
            } else {
                sum += operator.weight();
            }
            next += results;
        }
        sum
    }
}
