//! Real states that dreams go on from: any of the episodes that were played, with what M remembers there.

use tch::{Tensor, no_grad};

use super::data::Trajectory;
use super::dream::Dream;
use super::ensemble::Ensemble;
use super::model::{Carry, WorldModel};
use super::sequences::{Sequences, States};
use crate::rl::random::Random;

/// Episodes that the states of one draw come from.
const EPISODES: usize = 16;

/// Dreams that go on from `count` states of these episodes, each before an action; `None` without episodes.
pub fn replayed<'m>(
    ensemble: &Ensemble<'m>,
    table: &Tensor,
    episodes: &[&Trajectory],
    count: usize,
    random: &mut Random,
) -> Option<Dream<'m>> {
    let played: Vec<&Trajectory> = episodes.iter().filter(|e| !e.is_empty()).copied().collect();
    if played.is_empty() {
        return None;
    }
    let drawn: Vec<&Trajectory> = (0..EPISODES).map(|_| played[random.below(played.len())]).collect();
    let data = Sequences::new(&drawn, ensemble.first.device());
    let t = data.length();
    let place = |_| {
        let episode = random.below(drawn.len());
        episode as i64 * t + random.below(drawn[episode].len()) as i64
    };
    let places: Vec<i64> = (0..count).map(place).collect();
    no_grad(|| {
        let rows = Tensor::from_slice(&places).to_device(data.mask.device());
        let pick = |x: &Tensor| x.narrow(1, 0, t).flatten(0, 1).index_select(0, &rows);
        let actions = data.actions(table);
        let carry = |model: &WorldModel| {
            let carry = model.unroll(&model.standardise(&data.whole).narrow(1, 0, t), &actions).0;
            Carry { h: pick(&carry.h), c: pick(&carry.c) }
        };
        let states = States {
            whole: pick(&data.whole),
            rules: pick(&data.rules),
            features: pick(&data.features),
            takes: pick(&data.takes),
        };
        let shadows = ensemble.others.iter().map(|model| (*model, carry(model))).collect();
        let dream = Dream::from_states(ensemble.first, table, carry(ensemble.first), states);
        Some(dream.with_shadows(shadows, ensemble.penalty))
    })
}
