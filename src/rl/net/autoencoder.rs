//! A graph auto-encoder (Kipf and Welling 2016): from the embeddings of nodes, what operator each is and which of them an
//! edge joins. It is trained before the policy, on graphs along random rewrites, where the encoder is to be kept as it is
//! afterwards.

use tch::{Kind, Tensor};

use super::classes::ClassBatch;
use super::encoder::Encoder;
use super::layers::Linear;
use super::parameters::Place;
use crate::rl::neighbourhood::{Neighbourhoods, OPERATORS};
use crate::rl::observation::{ClassId, Observation};
use crate::rl::random::Random;

/// The decoders.
#[derive(Debug)]
pub struct AutoEncoder {
    operator: Linear,
    from: Linear,
    to: Linear,
    width: f64,
}

/// What reconstruction costs, and how often it is right.
#[derive(Debug)]
pub struct Reconstruction {
    /// What is minimised: cross-entropy of operators plus that of edges, in nats.
    pub loss: Tensor,
    /// Share of the different nodes whose operator is told.
    pub operators_right: f64,
    /// Share of pairs of which it is told whether an edge joins them; half of them are joined.
    pub edges_right: f64,
}

impl AutoEncoder {
    /// Decoders of random parameters.
    pub fn new(place: &Place<'_>, width: usize) -> AutoEncoder {
        AutoEncoder {
            operator: Linear::new(&place.sub("operator"), width, OPERATORS, 0.1),
            from: Linear::new(&place.sub("from"), width, width, 1.0),
            to: Linear::new(&place.sub("to"), width, width, 1.0),
            width: width as f64,
        }
    }

    /// Reconstructs observations that hold their graphs: every edge, and as many pairs drawn from the same graph.
    ///
    /// # Panics
    /// An observation has no graph.
    pub fn reconstruct(
        &self,
        encoder: &Encoder,
        known: &Neighbourhoods,
        observations: &[Observation],
        random: &mut Random,
    ) -> Reconstruction {
        let device = encoder.device();
        let tops = observations.iter().flat_map(|o| o.nodes.iter().copied());
        let classes = ClassBatch::new(known, tops, device);
        let nodes = classes.encode(encoder);
        let mut pairs = Pairs::default();
        for observation in observations {
            let plain = observation.plain.as_ref().expect("graphs were asked for");
            let row = |position: usize| classes.row(observation.nodes[position]);
            for edge in &plain.edges {
                pairs.push(row(edge.from as usize), row(edge.to as usize), 1.0);
                let [a, b] = [0, 1].map(|_| random.below(plain.nodes.len()));
                let joined = plain.edges.iter().any(|e| (e.from as usize, e.to as usize) == (a, b));
                pairs.push(row(a), row(b), f32::from(u8::from(joined)));
            }
        }
        let targets: Vec<i64> = classes.tops().iter().map(|class| operator_of(known, *class)).collect();
        let targets = Tensor::from_slice(&targets).to_device(device);
        let logits = self.operator.forward(&nodes);
        let operators = logits.cross_entropy_for_logits(&targets);
        let operators_right = logits.accuracy_for_logits(&targets).double_value(&[]);
        let rows = |rows: &[i64]| Tensor::from_slice(rows).to_device(device);
        let from = self.from.forward_rows(&nodes, &rows(&pairs.from));
        let to = self.to.forward_rows(&nodes, &rows(&pairs.to));
        let scores = (from * to).sum_dim_intlist([1i64].as_slice(), false, Kind::Float) / self.width.sqrt();
        let joined = Tensor::from_slice(&pairs.joined).to_device(device);
        let edges =
            scores.binary_cross_entropy_with_logits(&joined, None::<&Tensor>, None::<&Tensor>, tch::Reduction::Mean);
        let right = scores.gt(0.0).eq_tensor(&joined.gt(0.5)).to_kind(Kind::Double).mean(Kind::Double);
        Reconstruction { loss: operators + edges, operators_right, edges_right: right.double_value(&[]) }
    }
}

/// The operator of the nodes of a class of the largest radius.
fn operator_of(known: &Neighbourhoods, class: ClassId) -> i64 {
    let base = (1..=known.rounds()).rev().fold(class, |class, level| known.node(level, class).before);
    i64::from(known.base(base).operator)
}

/// Pairs of rows, and whether an edge joins them.
#[derive(Default)]
struct Pairs {
    from: Vec<i64>,
    to: Vec<i64>,
    joined: Vec<f32>,
}

impl Pairs {
    fn push(&mut self, from: i64, to: i64, joined: f32) {
        self.from.push(from);
        self.to.push(to);
        self.joined.push(joined);
    }
}

#[cfg(test)]
mod tests {
    use super::super::adam::Adam;
    use super::super::encoder::EncoderConfig;
    use super::super::parameters::Parameters;
    use super::super::testing;
    use super::*;
    use tch::Device;

    #[test]
    fn operators_and_edges_are_learned() {
        let mut known = Neighbourhoods::new(2);
        let mut random = Random::new(1);
        let observations: Vec<Observation> =
            (0..4).map(|_| testing::observation(&mut known, &mut random, 8, 0)).collect();
        let parameters = Parameters::new(Device::Cpu, 0);
        let config = EncoderConfig { width: 16, rounds: 2, ..EncoderConfig::default() };
        let encoder = Encoder::new(&parameters.root().sub("encoder"), config);
        let decoder = AutoEncoder::new(&parameters.root().sub("decoder"), 16);
        let mut adam = Adam::new(parameters.all());
        let mut losses = Vec::new();
        for _ in 0..60 {
            adam.zero_grad();
            let result = decoder.reconstruct(&encoder, &known, &observations, &mut random);
            losses.push(result.loss.double_value(&[]));
            result.loss.backward();
            adam.step(0.01, 1e-8);
        }
        let last = decoder.reconstruct(&encoder, &known, &observations, &mut random);
        assert!(losses[59] < 0.6 * losses[0], "{losses:?}");
        assert!(last.operators_right > 0.99 && last.edges_right > 0.7, "{last:?}");
        let without: Vec<String> =
            parameters.all().into_iter().filter(|(_, p)| !p.grad().defined()).map(|(name, _)| name).collect();
        assert!(without.is_empty(), "{without:?}");
    }
}
