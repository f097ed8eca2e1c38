//! Linear layers and small networks of them, with the initialisation that works for policy gradients.

use tch::Tensor;

use super::parameters::Place;

/// Gain of hidden layers (rectified): keeps the size of what passes through.
pub const HIDDEN_GAIN: f64 = std::f64::consts::SQRT_2;
/// Gain of a layer that ends in a policy's logits: all actions begin nearly equal (Andrychowicz et al. 2021).
pub const LOGIT_GAIN: f64 = 0.01;
/// Gain of a layer that ends in a value.
pub const VALUE_GAIN: f64 = 1.0;

/// `x W + b`, with `W` orthogonal and `b` zero at first.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `[N, inputs]` to `[N, outputs]`.
    pub fn new(place: &Place<'_>, inputs: usize, outputs: usize, gain: f64) -> Linear {
        Linear::from_bias(place, inputs, outputs, gain, 0.0)
    }

    /// The same with a bias that is `bias` at first.
    fn from_bias(place: &Place<'_>, inputs: usize, outputs: usize, gain: f64, bias: f64) -> Linear {
        let bias = Some(place.filled("bias", &[outputs], bias));
        Linear { bias, ..Linear::without_bias(place, inputs, outputs, gain) }
    }

    /// The same without a bias.
    pub fn without_bias(place: &Place<'_>, inputs: usize, outputs: usize, gain: f64) -> Linear {
        Linear { weight: place.orthogonal("weight", outputs, inputs, gain), bias: None }
    }

    /// Applies it.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }

    /// Applies it to the given rows of a table: `[C, inputs]` and `[N]` to `[N, outputs]`. The smaller side is multiplied.
    pub fn forward_rows(&self, table: &Tensor, rows: &Tensor) -> Tensor {
        if rows.size()[0] < table.size()[0] {
            self.forward(&table.index_select(0, rows))
        } else {
            self.forward(table).index_select(0, rows)
        }
    }
}

/// Two layers with a rectifier between them: `[N, inputs]` to `[N, outputs]`.
#[derive(Debug)]
pub struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    /// A network of this width in the middle; `gain` is that of the last layer.
    pub fn new(place: &Place<'_>, inputs: usize, width: usize, outputs: usize, gain: f64) -> Mlp {
        Mlp::around(place, inputs, width, outputs, gain, 0.0)
    }

    /// The same with results about `centre` at first.
    pub fn around(place: &Place<'_>, inputs: usize, width: usize, outputs: usize, gain: f64, centre: f64) -> Mlp {
        Mlp {
            first: Linear::new(&place.sub("first"), inputs, width, HIDDEN_GAIN),
            second: Linear::from_bias(&place.sub("second"), width, outputs, gain, centre),
        }
    }

    /// Applies it.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.second.forward(&self.first.forward(x).relu())
    }
}

/// Makes mean 0 and variance 1 of every row, without parameters: `[N, W]` to `[N, W]`.
pub fn normalise_rows(x: &Tensor) -> Tensor {
    let width = x.size()[1];
    x.layer_norm([width], None::<&Tensor>, None::<&Tensor>, 1e-5, false)
}
