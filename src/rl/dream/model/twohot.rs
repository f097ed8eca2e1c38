//! Numbers as distributions over bins: two-hot codes on a symmetric logarithmic scale (Hafner et al. 2023).

use tch::{Device, Kind, Tensor};

/// Bins.
pub const BINS: i64 = 41;
/// The outermost bins, on the logarithmic scale: numbers up to about 19.
const MOST: f64 = 3.0;

/// `sign(x) log(1 + |x|)`.
pub fn symlog(x: &Tensor) -> Tensor {
    x.sign() * x.abs().log1p()
}

/// The inverse of [`symlog`].
pub fn symexp(x: &Tensor) -> Tensor {
    x.sign() * x.abs().expm1()
}

/// `[..]` to `[.., BINS]`: the weight of each of the two bins beside a number; the nearer has more.
pub fn encode(x: &Tensor) -> Tensor {
    let position = (symlog(x).clamp(-MOST, MOST) + MOST) * ((BINS - 1) as f64 / (2.0 * MOST));
    let bins = Tensor::arange(BINS, (Kind::Float, x.device()));
    (1.0f64 - (position.unsqueeze(-1) - bins).abs()).clamp_min(0.0)
}

/// `[.., BINS]` logits to `[..]`: the expected number.
pub fn decode(logits: &Tensor) -> Tensor {
    symexp(&logits.softmax(-1, Kind::Float).matmul(&bins(logits.device())))
}

/// Weight on all bins together where a number is known to be near.
const ELSEWHERE: f64 = 0.02;

/// `[..]` to `[.., BINS]`: logits that say that a number is near these.
pub fn near(x: &Tensor) -> Tensor {
    (encode(&x.detach()) * (1.0 - ELSEWHERE) + ELSEWHERE / BINS as f64).log()
}

fn bins(device: Device) -> Tensor {
    Tensor::linspace(-MOST, MOST, BINS, (Kind::Float, device))
}

/// `[..]`: cross entropy of logits `[.., BINS]` against numbers `[..]`.
pub fn loss(logits: &Tensor, x: &Tensor) -> Tensor {
    -(encode(x) * logits.log_softmax(-1, Kind::Float)).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::tests::numbers;

    #[test]
    fn a_number_lies_between_its_two_bins() {
        // Bins are 0.15 apart on the logarithmic scale. log(1.2) = 0.18232, which is 0.21548 of the way from bin 21 (0.15)
        // to bin 22 (0.30).
        let code = numbers(&encode(&Tensor::from_slice(&[0.2f32])));
        assert!((code[21] - 0.784_52).abs() < 1e-4 && (code[22] - 0.215_48).abs() < 1e-4, "{code:?}");
        assert!((code.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let x = Tensor::from_slice(&[-5.0f32, -0.01, 0.0, 0.3, 12.0]);
        let back = decode(&(encode(&x) + 1e-12).log());
        assert!(back.allclose(&x, 1e-3, 1e-4, false), "{:?}", numbers(&back));
    }

    #[test]
    fn what_is_near_is_told_within_a_few_percent() {
        let x = Tensor::from_slice(&[0.0f32, 0.05, 0.9, 4.0]);
        let told = numbers(&decode(&near(&x)));
        for (told, x) in told.iter().zip(numbers(&x)) {
            assert!((told - x).abs() <= 0.05 * x + 1e-6, "{told} for {x}");
        }
    }

    #[test]
    fn the_loss_of_equal_logits_is_the_log_of_the_number_of_bins() {
        let loss = loss(&Tensor::zeros([2, BINS], (Kind::Float, Device::Cpu)), &Tensor::from_slice(&[0.2f32, -3.0]));
        numbers(&loss).into_iter().for_each(|l| assert!((l - (BINS as f32).ln()).abs() < 1e-5));
    }

    #[test]
    fn the_loss_by_hand() {
        // 0.2 has 0.78452 on bin 21 and 0.21548 on bin 22. Logits log 2 and log 4 there, 0 elsewhere: the sum is 39 + 6 = 45.
        let mut logits = vec![0.0f32; BINS as usize];
        (logits[21], logits[22]) = (2f32.ln(), 4f32.ln());
        let loss = numbers(&loss(&Tensor::from_slice(&logits).unsqueeze(0), &Tensor::from_slice(&[0.2f32])))[0];
        let by_hand = 45f32.ln() - 0.784_52 * 2f32.ln() - 0.215_48 * 4f32.ln();
        assert!((loss - by_hand).abs() < 1e-4, "{loss}, by hand {by_hand}");
    }
}
