//! Real states that dreams go on from: any of the episodes that were played, with what M remembers there.

use tch::{Tensor, no_grad};

use super::data::Trajectory;
use super::dream::Dream;
use super::ensemble::Ensemble;
use super::model::{Carry, WorldModel};
use super::sequences::Sequences;
use crate::rl::random::Random;

/// Episodes that the states of one draw come from.
const EPISODES: usize = 16;

/// Episodes that were drawn, with places in them.
#[derive(Debug)]
pub struct Drawn<'t> {
    /// The episodes, as often as they were drawn.
    pub episodes: Vec<&'t Trajectory>,
    /// Number of an episode, and of an action of it.
    pub places: Vec<(usize, usize)>,
}

impl<'t> Drawn<'t> {
    /// `count` places in some of these episodes; `None` without episodes.
    pub fn new(episodes: &[&'t Trajectory], count: usize, random: &mut Random) -> Option<Drawn<'t>> {
        let played: Vec<&Trajectory> = episodes.iter().filter(|e| !e.is_empty()).copied().collect();
        if played.is_empty() {
            return None;
        }
        let episodes: Vec<&Trajectory> = (0..EPISODES).map(|_| played[random.below(played.len())]).collect();
        let place = |_| {
            let episode = random.below(episodes.len());
            (episode, random.below(episodes[episode].len()))
        };
        let places = (0..count).map(place).collect();
        Some(Drawn { episodes, places })
    }

    /// The places as rows of what is `[N, T, ..]` over the episodes.
    pub fn rows(&self, data: &Sequences) -> Tensor {
        let t = data.length();
        let rows: Vec<i64> = self.places.iter().map(|(episode, at)| *episode as i64 * t + *at as i64).collect();
        Tensor::from_slice(&rows).to_device(data.mask.device())
    }

    /// What a model remembers at each place, before the action.
    pub fn carry(&self, model: &WorldModel, table: &Tensor, data: &Sequences) -> Carry {
        no_grad(|| {
            let (t, rows) = (data.length(), self.rows(data));
            let carry = model.unroll(&model.standardise(&data.whole).narrow(1, 0, t), &data.actions(table)).0;
            let pick = |x: &Tensor| x.flatten(0, 1).index_select(0, &rows);
            Carry { h: pick(&carry.h), c: pick(&carry.c) }
        })
    }
}

/// Dreams that go on from `count` states of these episodes, each before an action; `None` without episodes.
pub fn replayed<'m>(
    ensemble: &Ensemble<'m>,
    table: &Tensor,
    episodes: &[&Trajectory],
    count: usize,
    random: &mut Random,
) -> Option<Dream<'m>> {
    let drawn = Drawn::new(episodes, count, random)?;
    let data = Sequences::new(&drawn.episodes, ensemble.first.device());
    no_grad(|| {
        let states = data.before_actions().select(&drawn.rows(&data));
        let carry = |model: &WorldModel| drawn.carry(model, table, &data);
        let shadows = ensemble.others.iter().map(|model| (*model, carry(model))).collect();
        let dream = Dream::from_states(ensemble.first, table, carry(ensemble.first), states);
        Some(dream.with_shadows(shadows, ensemble.penalty))
    })
}
