//! Scales of what a model reads and predicts, taken from data.

use tch::{Device, Kind, Tensor, no_grad};

use super::super::frame::{SLOT_FEATURES, WHOLE};
use super::super::sequences::Sequences;

/// Deviations below this count as this much: a number that never changes is not to be divided by 0.
const LEAST: f64 = 1e-4;

/// Means and deviations, by number.
#[derive(Debug)]
pub struct Scales {
    /// `[U]` of states.
    pub whole: [Tensor; 2],
    /// `[U]` of the change of a state in one step.
    pub delta: [Tensor; 2],
    /// `[SLOT_FEATURES]` of slots.
    pub slot: [Tensor; 2],
    /// `[SLOT_FEATURES]`: deviation alone, of the change of a slot in one step.
    pub slot_delta: Tensor,
}

fn unit(width: usize, device: Device) -> [Tensor; 2] {
    let size = [width as i64];
    [Tensor::zeros(size, (Kind::Float, device)), Tensor::ones(size, (Kind::Float, device))]
}

/// `[W]`: mean and deviation of the rows `[N, W]`.
fn of_rows(rows: &Tensor) -> [Tensor; 2] {
    let mean = rows.mean_dim([0i64].as_slice(), false, Kind::Float);
    let deviation = (rows - &mean).square().mean_dim([0i64].as_slice(), false, Kind::Float).sqrt();
    [mean, deviation.clamp_min(LEAST)]
}

impl Scales {
    /// Before there is data.
    pub fn new(device: Device) -> Scales {
        let [_, ones] = unit(SLOT_FEATURES, device);
        Scales {
            whole: unit(WHOLE, device),
            delta: unit(WHOLE, device),
            slot: unit(SLOT_FEATURES, device),
            slot_delta: ones,
        }
    }

    /// The same numbers.
    pub fn share(&self) -> Scales {
        let both = |[mean, deviation]: &[Tensor; 2]| [mean.shallow_clone(), deviation.shallow_clone()];
        Scales {
            whole: both(&self.whole),
            delta: both(&self.delta),
            slot: both(&self.slot),
            slot_delta: self.slot_delta.shallow_clone(),
        }
    }

    /// Of data. With `normalise_deltas` off, changes are in units of the deviation of states.
    pub fn measure(&mut self, data: &Sequences, normalise_deltas: bool) {
        no_grad(|| {
            let t = data.mask.size()[1];
            let real = data.moves().flatten(0, 1).nonzero().squeeze_dim(1);
            let rows = |x: &Tensor| x.flatten(0, 1).index_select(0, &real);
            let (before, after) = (rows(&data.whole.narrow(1, 0, t)), rows(&data.whole.narrow(1, 1, t)));
            if before.size()[0] == 0 {
                return;
            }
            self.whole = of_rows(&before);
            self.delta = if normalise_deltas {
                of_rows(&(&after - &before))
            } else {
                [self.whole[0].zeros_like(), self.whole[1].shallow_clone()]
            };
            let (old, new) = (rows(&data.features.narrow(1, 0, t)), rows(&data.features.narrow(1, 1, t)));
            let present = rows(&data.present().narrow(1, 0, t)).flatten(0, 1).nonzero().squeeze_dim(1);
            let kept = rows(&data.kept.narrow(1, 1, t)).flatten(0, 1).nonzero().squeeze_dim(1);
            let pick = |x: &Tensor, which: &Tensor| x.flatten(0, 1).index_select(0, which);
            if present.numel() > 0 {
                self.slot = of_rows(&pick(&old, &present));
            }
            if kept.numel() > 0 {
                let change = pick(&new, &kept) - pick(&old, &kept);
                // Most features of most slots do not change: by the deviation of states a change would be next to nothing.
                self.slot_delta = of_rows(&change)[1].clamp_min(0.01);
            }
        });
    }

    /// All of them by name, sharing storage.
    pub fn tensors(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        let Scales { whole: [a, b], delta: [c, d], slot: [e, f], slot_delta } = self;
        vec![
            ("whole.mean", a),
            ("whole.deviation", b),
            ("delta.mean", c),
            ("delta.deviation", d),
            ("slot.mean", e),
            ("slot.deviation", f),
            ("slot_delta.deviation", slot_delta),
        ]
    }
}
