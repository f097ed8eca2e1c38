//! The environment itself as a world that rollouts go through: a model without error, at the price of rewriting and encoding graphs.

use tch::{Device, Tensor, no_grad};

use super::collect::Ground;
use super::play::{Eye, Pick, Playing, Scene};
use crate::rl::dream::chance::Chance;
use crate::rl::dream::data::{Player, Trajectory};
use crate::rl::dream::dream::STOP;
use crate::rl::dream::frame::{Deed, EMPTY, Frame, SLOT_FEATURES};
use crate::rl::dream::model::{Carry, WorldModel};
use crate::rl::dream::replay::Drawn;
use crate::rl::dream::sequences::{Sequences, States, embed, embed_action, stack};
use crate::rl::dream::world::World;
use crate::rl::random::Random;

/// Real episodes side by side.
pub struct Exact<'w, 'a> {
    eye: &'w mut Eye,
    model: &'w WorldModel,
    /// `[R, RULE]`.
    table: &'w Tensor,
    playing: Vec<Playing<'a>>,
    /// Where each is; `None` where it is over.
    scenes: Vec<Option<Scene>>,
    states: States,
    carry: Carry,
}

impl<'w, 'a> Exact<'w, 'a> {
    /// Episodes that begin on these grounds, `each` on every one.
    pub fn begin(
        eye: &'w mut Eye,
        (model, table): (&'w WorldModel, &'w Tensor),
        grounds: &[Ground<'_, 'a>],
        each: usize,
    ) -> Exact<'w, 'a> {
        let all = grounds.iter().flat_map(|ground| std::iter::repeat_n(ground, each));
        let playing: Vec<Playing<'a>> = all.map(|ground| Ground::begin(ground, Player::Policy)).collect();
        let carry = model.start(playing.len() as i64);
        Exact::of(eye, (model, table), playing, carry)
    }

    /// Episodes that go on from `count` states of episodes that were played; `None` without such. Who holds which seat is
    /// settled anew there.
    pub fn replayed(
        eye: &'w mut Eye,
        (model, table): (&'w WorldModel, &'w Tensor),
        grounds: &[Ground<'_, 'a>],
        (episodes, count): (&[&Trajectory], usize),
        random: &mut Random,
    ) -> Option<Exact<'w, 'a>> {
        let drawn = Drawn::new(episodes, count, random)?;
        let carry = drawn.carry(model, table, &Sequences::new(&drawn.episodes, model.device()));
        let again = |(episode, at): &(usize, usize)| {
            let episode = drawn.episodes[*episode];
            let mut playing = Ground::begin(&grounds[episode.root], Player::Policy);
            for action in &episode.actions[..*at] {
                playing.step((*action, Deed::Stop));
            }
            playing
        };
        let playing = drawn.places.iter().map(again).collect();
        Some(Exact::of(eye, (model, table), playing, carry))
    }

    fn of(
        eye: &'w mut Eye,
        (model, table): (&'w WorldModel, &'w Tensor),
        playing: Vec<Playing<'a>>,
        carry: Carry,
    ) -> Exact<'w, 'a> {
        let scenes = playing.iter().map(|_| None).collect();
        let mut exact = Exact { eye, model, table, playing, scenes, states: stack(&[], model.device()), carry };
        exact.look();
        exact
    }

    /// Looks at all that go on.
    fn look(&mut self) {
        let going = self.playing.iter_mut().enumerate().filter(|(_, playing)| !playing.env.is_over());
        let mut going: Vec<(usize, &mut Playing<'a>)> = going.collect();
        let looks = self.eye.look(&mut going.iter_mut().map(|(_, p)| &mut p.env).collect::<Vec<_>>());
        for ((at, playing), (digest, look)) in going.into_iter().zip(looks) {
            self.scenes[at] = Some(playing.scene(digest, look));
        }
        let blank = Frame::blank();
        let frames: Vec<&Frame> = self.scenes.iter().map(|s| s.as_ref().map_or(&blank, |s| &s.frame)).collect();
        self.states = stack(&frames, self.model.device());
    }

    fn z(&self) -> Tensor {
        self.model.standardise(&self.states.whole)
    }
}

impl World for Exact<'_, '_> {
    fn state(&self) -> Tensor {
        Tensor::cat(&[&self.z(), &self.carry.h], 1)
    }

    fn slots(&self) -> Tensor {
        embed(&self.states.rules, &self.states.features, self.table)
    }

    fn present(&self) -> Tensor {
        self.states.rules.ge(0)
    }

    fn going(&self) -> Tensor {
        let going: Vec<f32> = self.scenes.iter().map(|s| if s.is_some() { 1.0 } else { 0.0 }).collect();
        Tensor::from_slice(&going).to_device(self.model.device())
    }

    fn step(&mut self, action: &Tensor, chance: &mut Chance<'_>) -> Tensor {
        let device = self.model.device();
        let actions = Vec::<i64>::try_from(action.to_device(Device::Cpu)).expect("whole numbers");
        let (mut rewards, mut rules, mut features) = (Vec::new(), Vec::new(), Vec::new());
        for ((playing, scene), action) in self.playing.iter_mut().zip(&mut self.scenes).zip(actions) {
            let pick = if action == STOP { Pick::Stop } else { Pick::Slot(action as usize) };
            let done = scene.take().map(|scene| scene.act(pick, chance.random));
            match &done {
                Some((_, Deed::Apply { rule, features: own, .. })) => {
                    rules.push(i64::from(*rule));
                    features.extend_from_slice(own);
                }
                Some((_, Deed::Stop)) | None => {
                    rules.push(i64::from(EMPTY));
                    features.extend([0.0f32; SLOT_FEATURES]);
                }
            }
            rewards.push(done.map_or(0.0, |done| {
                playing.step(done);
                playing.earned_since(playing.actions().len() - 1)
            }));
        }
        no_grad(|| {
            let features = Tensor::from_slice(&features).reshape([-1, SLOT_FEATURES as i64]).to_device(device);
            let action = embed_action(&Tensor::from_slice(&rules).to_device(device), &features, self.table);
            self.carry = self.model.step(&self.carry, &self.z(), &action).0;
        });
        self.look();
        Tensor::from_slice(&rewards).to_device(device)
    }
}
