//! C: a form between state and slot, of low rank and linear in both (after Ha and Schmidhuber 2018, whose controller is linear
//! too), or behind one hidden layer over the state. The same scores slots of dreams and candidates of real graphs.

use tch::{Device, Kind, Tensor};

use super::config::Sees;
use super::frame::{RULE, SLOT, WHOLE};

/// A controller has fewer parameters than this.
pub const MOST_PARAMETERS: usize = 1000;

/// What a controller is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControllerShape {
    /// Rank of the form.
    pub rank: usize,
    /// Width of M's carry, whether the controller reads it or not.
    pub memory: usize,
    /// What it reads of a state.
    pub sees: Sees,
    /// Width of a hidden layer (hyperbolic tangents) between what it reads and the form; 0 for none.
    pub hidden: usize,
}

/// Where the feature is that says what a candidate would earn at once: the last of a candidate's own.
const EARNS: usize = RULE + 7;

impl ControllerShape {
    /// A linear one of this rank that reads state and memory.
    pub fn linear(rank: usize, memory: usize) -> ControllerShape {
        ControllerShape { rank, memory, sees: Sees::StateAndMemory, hidden: 0 }
    }

    /// Numbers that it reads of a state.
    pub fn state(&self) -> usize {
        match self.sees {
            Sees::State => WHOLE,
            Sees::StateAndMemory => WHOLE + self.memory,
        }
    }

    /// `[.., state]`: what it reads of states `[.., U + H]`.
    pub fn reads(&self, state: &Tensor) -> Tensor {
        state.narrow(-1, 0, self.state() as i64)
    }

    /// Numbers that the form reads of a state.
    fn width(&self) -> usize {
        if self.hidden == 0 { self.state() } else { self.hidden }
    }

    /// Parameters of the hidden layer: for each of its numbers a weight for every number that is read, and a bias.
    fn layer(&self) -> usize {
        self.hidden * (self.state() + 1)
    }

    /// Parameters: those of the hidden layer; for each rank a weight for every number that the form reads, a bias, and a weight
    /// for every number of a slot; weights of a slot alone; weights and a bias for stopping.
    pub fn parameters(&self) -> usize {
        self.form() + SLOT + self.width() + 1
    }

    /// How many of the parameters are of the hidden layer and the form, before those of a slot alone.
    pub fn form(&self) -> usize {
        self.layer() + self.rank * (self.width() + 1 + SLOT)
    }

    /// That a controller can be made of it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        match self.parameters() {
            few if few < MOST_PARAMETERS => Ok(()),
            many => {
                let layer =
                    if self.hidden == 0 { String::new() } else { format!(" and a hidden layer of {}", self.hidden) };
                Err(format!(
                    "a controller of rank {} that reads {} numbers{layer} has {many} parameters, and must have fewer than \
                     {MOST_PARAMETERS}",
                    self.rank,
                    self.state()
                ))
            }
        }
    }

    /// Parameters of the controller that takes what earns most at once, or of one that knows nothing.
    pub fn first(&self, knows_gains: bool) -> Vec<f64> {
        let mut parameters = vec![0.0; self.parameters()];
        if knows_gains {
            parameters[self.form() + EARNS] = 2.0;
        }
        parameters
    }
}

/// `P` controllers.
#[derive(Debug)]
pub struct Controllers {
    shape: ControllerShape,
    /// `[P, Z, N]`, `[P, 1, N]`: the hidden layer.
    layer: Option<[Tensor; 2]>,
    /// `[P, Z, r]`, `[P, 1, r]`: the state's side; with a hidden layer, N stands in the place of Z.
    state: [Tensor; 2],
    /// `[P, r, SLOT]`: the slot's side.
    slot: Tensor,
    /// `[P, 1, SLOT]`: weights of a slot alone.
    alone: Tensor,
    /// `[P, Z, 1]`, `[P, 1, 1]`: to stop.
    stop: [Tensor; 2],
}

impl Controllers {
    /// Of these parameters, one list for each.
    pub fn new(shape: ControllerShape, parameters: &[Vec<f64>], device: Device) -> Controllers {
        let flat: Vec<f32> = parameters.iter().flatten().map(|p| *p as f32).collect();
        let size = [parameters.len() as i64, shape.parameters() as i64];
        Controllers::of(shape, &Tensor::from_slice(&flat).reshape(size).to_device(device))
    }

    /// Of parameters `[P, parameters]`, through which a gradient may flow.
    pub fn of(shape: ControllerShape, all: &Tensor) -> Controllers {
        let (p, r, slot) = (all.size()[0], shape.rank as i64, SLOT as i64);
        let (read, n, z) = (shape.state() as i64, shape.hidden as i64, shape.width() as i64);
        let mut at = 0;
        let mut take = |size: [i64; 2]| {
            let part = all.narrow(1, at, size[0] * size[1]).reshape([p, size[0], size[1]]);
            at += size[0] * size[1];
            part
        };
        Controllers {
            shape,
            layer: (n > 0).then(|| [take([read, n]), take([1, n])]),
            state: [take([z, r]), take([1, r])],
            slot: take([r, slot]),
            alone: take([1, slot]),
            stop: [take([z, 1]), take([1, 1])],
        }
    }

    /// `[P, n, S + 1]`: scores of the slots `[P, n, S, SLOT]` in states `[P, n, U + H]`, and of stopping. What is not `present`
    /// (`[P, n, S]` bool) has a score far below any other.
    pub fn scores(&self, state: &Tensor, slots: &Tensor, present: &Tensor) -> Tensor {
        let size = slots.size();
        let (p, n, s) = (size[0], size[1], size[2]);
        assert_eq!(state.size()[..2], [p, n], "as many states as lists of slots");
        let read = self.shape.reads(state);
        let state = match &self.layer {
            Some([weights, bias]) => (read.matmul(weights) + bias).tanh(),
            None => read,
        };
        let form = (state.matmul(&self.state[0]) + &self.state[1]).matmul(&self.slot) + &self.alone;
        let scores = slots.reshape([p * n, s, SLOT as i64]).bmm(&form.reshape([p * n, SLOT as i64, 1]));
        let scores = scores.reshape([p, n, s]).where_scalarother(present, FAR_BELOW);
        let stop = state.matmul(&self.stop[0]) + &self.stop[1];
        Tensor::cat(&[scores, stop], 2)
    }

    /// `[P, n]` int64: what each does; the number of slots is to stop.
    pub fn choose(&self, state: &Tensor, slots: &Tensor, present: &Tensor) -> Tensor {
        self.scores(state, slots, present).argmax(-1, false).to_kind(Kind::Int64)
    }
}

/// Below every score, and finite.
const FAR_BELOW: f64 = -1e9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::tests::numbers;

    #[test]
    fn the_form_by_hand() {
        let shape = ControllerShape::linear(1, 1);
        let (z, mut parameters) = (shape.state(), shape.first(false));
        // State 2 in its first number, 0 in the rest. The rank's side of the state: 3 * 2 + bias 1 = 7.
        (parameters[0], parameters[z]) = (3.0, 1.0);
        // The slot's side reads its number 5 by 0.5; its number 6 counts alone by -1; to stop is 0.25 * 2 + 4 = 4.5.
        parameters[z + 1 + 5] = 0.5;
        parameters[z + 1 + SLOT + 6] = -1.0;
        parameters[z + 1 + 2 * SLOT] = 0.25;
        *parameters.last_mut().unwrap() = 4.0;
        let mut state = vec![0.0f32; z];
        state[0] = 2.0;
        let mut slots = vec![0.0f32; 2 * SLOT];
        (slots[5], slots[6], slots[SLOT + 5]) = (1.0, 2.0, 9.0);
        let controllers = Controllers::new(shape, &[parameters], Device::Cpu);
        let state = Tensor::from_slice(&state).reshape([1, 1, -1]);
        let slots = Tensor::from_slice(&slots).reshape([1, 1, 2, SLOT as i64]);
        let present = Tensor::from_slice(&[true, false]).reshape([1, 1, 2]);
        // 7 * 0.5 * 1 - 2 = 1.5.
        assert_eq!(numbers(&controllers.scores(&state, &slots, &present)), [1.5, -1e9, 4.5]);
        assert_eq!(controllers.choose(&state, &slots, &present).int64_value(&[0, 0]), 2);
    }

    #[test]
    fn the_hidden_layer_by_hand() {
        let shape = ControllerShape { hidden: 1, sees: Sees::State, ..ControllerShape::linear(1, 3) };
        let mut parameters = shape.first(false);
        assert_eq!((shape.state(), parameters.len()), (WHOLE, WHOLE + 1 + (1 + 1 + SLOT) + SLOT + 2));
        // The layer: tanh(0.5 * 2 - 1) = 0 with the state's first number 2, and tanh(-1) without it.
        (parameters[0], parameters[WHOLE]) = (0.5, -1.0);
        // The rank's side of the state: 4 times that, and bias 1; the slot's side reads its number 5. To stop is twice it.
        let form = WHOLE + 1;
        (parameters[form], parameters[form + 1], parameters[form + 2 + 5]) = (4.0, 1.0, 1.0);
        parameters[shape.form() + SLOT] = 2.0;
        // Two states that differ in what is remembered too, which is not read.
        let mut state = vec![0.0f32; 2 * (WHOLE + 3)];
        (state[0], state[WHOLE]) = (2.0, 9.0);
        let mut slot = vec![0.0f32; 2 * SLOT];
        (slot[5], slot[SLOT + 5]) = (1.0, 1.0);
        let scores = Controllers::new(shape, &[parameters], Device::Cpu).scores(
            &Tensor::from_slice(&state).reshape([1, 2, -1]),
            &Tensor::from_slice(&slot).reshape([1, 2, 1, SLOT as i64]),
            &Tensor::from_slice(&[true, true]).reshape([1, 2, 1]),
        );
        let low = -(1f32.tanh());
        let by_hand = [1.0, 0.0, 1.0 + 4.0 * low, 2.0 * low];
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(numbers(&scores).iter().zip(&by_hand).all(close), "{scores:?}, by hand {by_hand:?}");
    }

    #[test]
    fn it_stays_small() {
        let linear = |memory| ControllerShape::linear(2, memory);
        assert_eq!(linear(128).parameters(), 699);
        assert!(linear(128).check().is_ok());
        assert!(linear(256).check().unwrap_err().contains("fewer than 1000"));
        let alone = ControllerShape { sees: Sees::State, ..linear(128) };
        assert_eq!(alone.parameters(), 315);
        let hidden = |hidden| ControllerShape { hidden, ..alone };
        assert_eq!(hidden(12).parameters(), 939);
        assert!(hidden(12).check().is_ok() && hidden(13).check().unwrap_err().contains("hidden layer of 13"));
    }
}
