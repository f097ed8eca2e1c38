//! M: from a state and an action to the next state, the reward, whether it goes on, and the slots there will be.
//!
//! An LSTM carries what was; a trunk reads its output beside state and action, and every head reads the trunk. The carry is
//! explicit: passed in and returned, zero where an episode begins.

pub mod loss;
pub mod mixture;
pub mod normal;
pub mod slots;
pub mod twohot;

use tch::{Device, Kind, Tensor};

use self::mixture::Mixture;
use self::normal::Scales;
use self::slots::{Births, SlotNet};
use super::books::{Books, CHANGE, EARNS, TOLD};
use super::config::ModelConfig;
use super::frame::{ACTION, RULE, WHOLE};
use crate::rl::net::layers::{HIDDEN_GAIN, Linear, Mlp};
use crate::rl::net::parameters::{Parameters, Place};

/// Gain of the layers that predictions come from: small predictions at first, and not so small that learning is slow.
const FIRST_GAIN: f64 = 0.5;

/// Beginnings of the names of what says what is rewarded: the heads of reward, value and cost.
const OF_REWARDS: [&str; 3] = ["reward.", "value.", "cost."];

/// Whether a parameter, by its name, belongs to a head that says what is rewarded.
pub fn is_of_rewards(name: &str) -> bool {
    OF_REWARDS.iter().any(|head| name.starts_with(head))
}

/// What an LSTM carries from step to step.
#[derive(Debug)]
pub struct Carry {
    /// `[B, H]`: its output.
    pub h: Tensor,
    /// `[B, H]`: its cells.
    pub c: Tensor,
}

impl Carry {
    /// The same numbers.
    pub fn share(&self) -> Carry {
        Carry { h: self.h.shallow_clone(), c: self.c.shallow_clone() }
    }

    /// The same, at these rows.
    pub fn select(&self, rows: &Tensor) -> Carry {
        Carry { h: self.h.index_select(0, rows), c: self.c.index_select(0, rows) }
    }
}

/// M.
#[derive(Debug)]
pub struct WorldModel {
    /// What it is made of.
    pub config: ModelConfig,
    /// Its parameters.
    pub parameters: Parameters,
    /// Scales of what it reads and predicts.
    pub scales: Scales,
    lstm: Lstm,
    trunk: Linear,
    mixture: Linear,
    reward: Linear,
    goes_on: Linear,
    cost: Linear,
    value: Mlp,
    slots: SlotNet,
    births: Births,
}

#[derive(Debug)]
struct Lstm {
    input: Linear,
    state: Linear,
}

impl Lstm {
    fn new(place: &Place<'_>, inputs: usize, width: usize) -> Lstm {
        Lstm {
            input: Linear::new(&place.sub("input"), inputs, 4 * width, 1.0),
            state: Linear::without_bias(&place.sub("state"), width, 4 * width, 1.0),
        }
    }

    /// One step of `[B, 4H]`, the input already multiplied.
    fn step(&self, carry: &Carry, input: &Tensor) -> Carry {
        let gates = (input + self.state.forward(&carry.h)).chunk(4, 1);
        // The gate that keeps is open at first (Jozefowicz et al. 2015).
        let keep = (&gates[1] + 1.0).sigmoid();
        let c = keep * &carry.c + gates[0].sigmoid() * gates[2].tanh();
        Carry { h: gates[3].sigmoid() * c.tanh(), c }
    }
}

impl WorldModel {
    /// A model that knows nothing.
    pub fn new(config: ModelConfig, device: Device, seed: u64) -> WorldModel {
        let parameters = Parameters::new(device, seed);
        let root = parameters.root();
        let (input, width) = (WHOLE + ACTION, config.hidden);
        let head = |name: &str, outputs: usize, gain: f64| Linear::new(&root.sub(name), width, outputs, gain);
        let bins = twohot::BINS as usize;
        let (lstm, trunk) = (
            Lstm::new(&root.sub("lstm"), input, width),
            Linear::new(&root.sub("trunk"), width + input, width, HIDDEN_GAIN),
        );
        WorldModel {
            lstm,
            trunk,
            mixture: head("mixture", mixture::width(config.components, WHOLE), 0.1),
            reward: head("reward", bins, FIRST_GAIN),
            goes_on: head("continue", 1, FIRST_GAIN),
            cost: head("cost", 1, FIRST_GAIN),
            value: Mlp::new(&root.sub("value"), width + WHOLE, 64, bins, FIRST_GAIN),
            slots: SlotNet::new(&root.sub("slots"), &config),
            births: Births::new(&root.sub("births"), &config),
            scales: Scales::new(device),
            config,
            parameters,
        }
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.parameters.device()
    }

    /// From now on only the heads that say what is rewarded are fitted.
    pub fn freeze_dynamics(&self) {
        for (_, parameter) in self.parameters.all().into_iter().filter(|(name, _)| !is_of_rewards(name)) {
            let _ = parameter.set_requires_grad(false);
        }
    }

    /// The carry at the start of `batch` episodes.
    pub fn start(&self, batch: i64) -> Carry {
        let zeros = || Tensor::zeros([batch, self.config.hidden as i64], (Kind::Float, self.device()));
        Carry { h: zeros(), c: zeros() }
    }

    /// `[.., U]`: states as networks read them.
    pub fn standardise(&self, whole: &Tensor) -> Tensor {
        let [mean, deviation] = &self.scales.whole;
        (whole - mean) / deviation
    }

    /// One step: `[B, U]` standardised and `[B, A]` to the carry behind it and the trunk `[B, H]`.
    pub fn step(&self, carry: &Carry, z: &Tensor, action: &Tensor) -> (Carry, Tensor) {
        assert_eq!((z.size()[1], action.size()[1]), (WHOLE as i64, ACTION as i64), "a state and an action");
        let x = Tensor::cat(&[z, action], 1);
        let carry = self.lstm.step(carry, &self.lstm.input.forward(&x));
        let trunk = self.trunk.forward(&Tensor::cat(&[&carry.h, &x], 1)).relu();
        (carry, trunk)
    }

    /// Whole episodes: `[N, T, U]` standardised and `[N, T, A]` to the carry *before* each action, as `[N, T, H]` each, and
    /// the trunk `[N, T, H]` behind it.
    pub fn unroll(&self, z: &Tensor, action: &Tensor) -> (Carry, Tensor) {
        let (n, t) = (z.size()[0], z.size()[1]);
        let x = Tensor::cat(&[z, action], 2);
        let input = self.lstm.input.forward(&x);
        let mut carry = self.start(n);
        let (mut h, mut c) = (vec![carry.h.shallow_clone()], vec![carry.c.shallow_clone()]);
        for at in 0..t {
            carry = self.lstm.step(&carry, &input.select(1, at));
            h.push(carry.h.shallow_clone());
            c.push(carry.c.shallow_clone());
        }
        let behind = Tensor::stack(&h[1..], 1);
        let trunk = self.trunk.forward(&Tensor::cat(&[&behind, &x], 2)).relu();
        let before = |all: &[Tensor]| Tensor::stack(&all[..t as usize], 1);
        (Carry { h: before(&h), c: before(&c) }, trunk)
    }

    /// Writes what follows from books into states `[.., U]`, standardised, and the features of slots
    /// `[.., S, SLOT_FEATURES]`. What states no change earns nothing: a slot that is empty stays so.
    pub fn write_books(&self, z: &Tensor, features: &Tensor, books: &Books) {
        let Some(scale) = self.config.books else { return };
        let (at, count) = TOLD;
        let [mean, deviation] = self.scales.whole.each_ref().map(|x| x.narrow(0, at, count));
        z.narrow(-1, at, count).copy_(&((books.told(scale) - mean) / deviation));
        features.select(-1, EARNS).copy_(&books.earns(&features.select(-1, CHANGE), scale));
    }

    /// Distribution of the change of the state, in units of [`Scales::delta`].
    pub fn change(&self, trunk: &Tensor) -> Mixture {
        Mixture::new(&self.mixture.forward(trunk), self.config.components, WHOLE)
    }

    /// `[.., U]` standardised, after a change in units of [`Scales::delta`].
    pub fn moved(&self, z: &Tensor, change: &Tensor) -> Tensor {
        let [mean, deviation] = &self.scales.delta;
        z + (change * deviation + mean) / &self.scales.whole[1]
    }

    /// `[.., BINS]`: the reward, as [`twohot`] has it, given the change of the cost. With books what follows from them is the
    /// first guess.
    pub fn reward(&self, trunk: &Tensor, books: &Books, change: &Tensor) -> Tensor {
        let own = self.reward.forward(trunk);
        match self.config.books {
            Some(_) => own + twohot::near(&books.earned(change)),
            None => own,
        }
    }

    /// `[..]`: logit of whether the episode goes on.
    pub fn goes_on(&self, trunk: &Tensor) -> Tensor {
        self.goes_on.forward(trunk).squeeze_dim(-1)
    }

    /// `[..]`: `log(initial / cost)` after the action `[.., A]` less before, times the scale of rewards. With books what the
    /// action states is the first guess.
    pub fn cost(&self, trunk: &Tensor, action: &Tensor, books: &Books) -> Tensor {
        let own = self.cost.forward(trunk).squeeze_dim(-1);
        match self.config.books {
            Some(scale) => own + books.stated(&action.select(-1, RULE as i64 + CHANGE), scale),
            None => own,
        }
    }

    /// `[.., BINS]`: the return from a state, `[.., H]` and `[.., U]` standardised.
    pub fn value(&self, h: &Tensor, z: &Tensor) -> Tensor {
        self.value.forward(&Tensor::cat(&[h, z], -1))
    }

    /// The network of slots.
    pub fn slots(&self) -> &SlotNet {
        &self.slots
    }

    /// The network of slots that come.
    pub fn births(&self) -> &Births {
        &self.births
    }

    /// Multiplications and additions of one step in a dream, for one state with `rules` rules, all of which are looked through for
    /// every slot that may come (on a CPU for those that come: see [`slots::Coming::rules`]).
    pub fn flops_per_step(&self, rules: usize) -> f64 {
        let ModelConfig { hidden: h, components, slot_width, births, .. } = self.config;
        let input = WHOLE + ACTION;
        let bins = twohot::BINS as usize;
        let heads = mixture::width(components, WHOLE) + bins + 2;
        let products = 4 * h * (input + h) + h * (h + input) + h * heads;
        2.0 * (products + slots::products(h, slot_width, births, rules)) as f64
    }
}
