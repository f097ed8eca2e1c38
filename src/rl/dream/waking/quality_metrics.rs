//! The numbers of quality by the keys that metrics give them.

use std::collections::BTreeMap;

use crate::rl::dream::quality::Quality;
use crate::rl::metrics::Metrics;

/// Keys of the numbers of quality, by horizon.
const QUALITY: [(usize, [&str; 6]); 5] = {
    macro_rules! keys {
        ($k:literal) => {
            (
                $k,
                [
                    concat!("quality/state_skill_", $k),
                    concat!("quality/cost_skill_", $k),
                    concat!("quality/reward_skill_", $k),
                    concat!("quality/slot_f1_", $k),
                    concat!("quality/continue_accuracy_", $k),
                    concat!("quality/end_recall_", $k),
                ],
            )
        };
    }
    [keys!(1), keys!(2), keys!(5), keys!(10), keys!(20)]
};

/// Adds what was measured.
pub fn describe(quality: &BTreeMap<usize, Quality>, metrics: &mut Metrics) {
    for (k, keys) in QUALITY {
        let Some(q) = quality.get(&k).filter(|q| q.count > 0.0) else { continue };
        let values = [q.state_skill, q.cost_skill, q.reward_skill, q.slot_f1, q.continue_accuracy, q.end_recall];
        metrics.extend(keys.into_iter().zip(values));
    }
}
