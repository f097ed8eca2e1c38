//! V: from a graph under rewriting to numbers of fixed size.
//!
//! Node embeddings are pooled over the whole (their mean, and weighted by cost) and over the nodes that a candidate touches;
//! fixed orthogonal projections bring them to the width that M reads, and rows are normalised. The encoder is an agent's, was
//! trained to reconstruct graphs, or is the moving average of one that learns beside M (`vision.rs`): no gradient of M reaches
//! it, so that it cannot collapse to what is easy to predict.

use tch::{Device, Kind, Tensor, no_grad};

use super::frame::{Frame, GLOBALS_AT, MATCH, RULE, SLOT_FEATURES};
use super::slots::{SLOTS, Seat, Seats, choose};
use crate::rl::neighbourhood::Neighbourhoods;
use crate::rl::net::batch::Batch;
use crate::rl::net::classes::ClassCache;
use crate::rl::net::digest::Digest;
use crate::rl::net::encoder::{Encoder, EncoderConfig, Global};
use crate::rl::net::layers::normalise_rows;
use crate::rl::net::parameters::Parameters;
use crate::rl::observation::{CANDIDATE_FEATURES, RuleObservation};

/// V.
#[derive(Debug)]
pub struct View {
    /// What the encoder is made of.
    pub config: EncoderConfig,
    /// The encoder's parameters and the projections.
    pub parameters: Parameters,
    encoder: Encoder,
    cache: ClassCache,
    projections: Projections,
}

/// What brings pooled embeddings to the width that M reads: orthogonal, and never trained.
#[derive(Debug)]
pub struct Projections {
    whole: Tensor,
    touched: Tensor,
    rule: Tensor,
}

impl Projections {
    /// `[G, GLOBALS_AT]`: the wholes of a batch, given embeddings of its nodes.
    pub fn whole(&self, batch: &Batch, nodes: &Tensor) -> Tensor {
        let pooled = Tensor::cat(&[batch.nodes.sum(nodes), batch.costs.sum(nodes)], 1);
        normalise_rows(&pooled.matmul(&self.whole.tr()))
    }

    /// `[K, MATCH]`: what its candidates touch.
    pub fn touched(&self, batch: &Batch, nodes: &Tensor) -> Tensor {
        normalise_rows(&batch.touched.sum(nodes).matmul(&self.touched.tr()))
    }

    /// `[R, RULE]`: rules, by both of their sides, `[R, W]` each.
    pub fn rules(&self, sides: [&Tensor; 2]) -> Tensor {
        normalise_rows(&Tensor::cat(&sides, 1).matmul(&self.rule.tr()))
    }
}

/// What V sees of a state.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// `[WHOLE]`.
    pub whole: Vec<f32>,
    /// `[K * SLOT_FEATURES]`, for every distinct candidate.
    pub candidates: Vec<f32>,
}

/// What the names of an encoder's parameters begin with.
const ENCODER: &str = "encoder.";
/// Number of the feature that says how many there are.
const MANY: usize = 5;

impl Look {
    /// `[SLOT_FEATURES]` of a distinct candidate.
    pub fn candidate(&self, distinct: u32) -> &[f32] {
        let at = distinct as usize * SLOT_FEATURES;
        &self.candidates[at..at + SLOT_FEATURES]
    }

    /// The state as M reads it, and who sits on its seats.
    pub fn frame(&self, digest: &Digest, seats: &mut Seats) -> (Frame, [Option<Seat>; SLOTS]) {
        let seated = seats.seat(&choose(digest));
        let mut frame = Frame { whole: self.whole.clone(), ..Frame::blank() };
        for (slot, seat) in seated.iter().enumerate() {
            let Some(seat) = seat else { continue };
            frame.rules[slot] = seat.rule as i32;
            frame.kept[slot] = seat.kept;
            let at = slot * SLOT_FEATURES;
            frame.features[at..at + SLOT_FEATURES].copy_from_slice(self.candidate(seat.distinct));
        }
        (frame, seated)
    }
}

impl View {
    /// With an encoder of random parameters; `None` if its global vector is updated in its rounds: then embeddings cannot be
    /// kept by class.
    pub fn new(config: EncoderConfig, device: Device, seed: u64) -> Option<View> {
        if config.global != Global::Late {
            return None;
        }
        let parameters = Parameters::new(device, seed);
        let width = config.width;
        let encoder = Encoder::new(&parameters.root().sub("encoder"), config);
        let place = parameters.root().sub("projection");
        // They share their storage with the parameters, and take no gradient.
        let projections = Projections {
            whole: place.orthogonal("whole", GLOBALS_AT, 2 * width, 1.0).detach(),
            touched: place.orthogonal("touched", MATCH, width, 1.0).detach(),
            rule: place.orthogonal("rule", RULE, 2 * width, 1.0).detach(),
        };
        Some(View { config, encoder, cache: ClassCache::default(), projections, parameters })
    }

    /// Takes over parameters by name; those of an agent's encoder have the same.
    pub fn adopt(&mut self, values: &[(String, Tensor)]) {
        let value = |name: &str| values.iter().find(|(n, _)| n == name).map(|(_, t)| t.shallow_clone());
        self.parameters.copy_from(value);
        self.cache.clear();
    }

    /// Moves its encoder towards these parameters, by name: to `kept` times itself and the rest of them.
    pub fn follow(&mut self, values: &[(String, Tensor)], kept: f64) {
        no_grad(|| {
            for (name, own) in self.parameters.all() {
                let Some((_, value)) = values.iter().find(|(n, _)| *n == name) else { continue };
                let mixed = &own * kept + value.to_device(own.device()) * (1.0 - kept);
                own.shallow_clone().copy_(&mixed);
            }
        });
        self.cache.clear();
    }

    /// The encoder's parameters, by the names that agents have for them.
    pub fn encoder_parameters(&self) -> Vec<(String, Tensor)> {
        self.parameters.all().into_iter().filter(|(name, _)| name.starts_with(ENCODER)).collect()
    }

    /// Its projections.
    pub fn projections(&self) -> &Projections {
        &self.projections
    }

    /// `[G, GLOBALS_AT]`: the wholes of states, without keeping embeddings.
    pub fn wholes(&self, digests: &[&Digest], rules: &[RuleObservation], known: &Neighbourhoods) -> Tensor {
        no_grad(|| {
            let (batch, rows) = Batch::new(digests, rules, known, Global::Late, false, self.device());
            let (nodes, _) = rows.encode(&self.encoder).expect("rows of the batch's own classes");
            self.projections.whole(&batch, &nodes)
        })
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.parameters.device()
    }

    /// `[R * RULE]`: embeddings of the rules, from both of their sides.
    pub fn rules(&mut self, rules: &[RuleObservation], known: &Neighbourhoods) -> Vec<f32> {
        no_grad(|| {
            let device = self.device();
            let nodes = self.cache.encode(&self.encoder, known, device);
            let mean = |classes: &[u32]| {
                let rows: Vec<i64> = classes.iter().map(|&class| i64::from(class)).collect();
                let rows = nodes.index_select(0, &Tensor::from_slice(&rows).to_device(device));
                rows.sum_dim_intlist([0i64].as_slice(), false, Kind::Float) / classes.len().max(1) as f64
            };
            let side =
                |of: &dyn Fn(&RuleObservation) -> Tensor| Tensor::stack(&rules.iter().map(of).collect::<Vec<_>>(), 0);
            let (source, target) = (side(&|r| mean(&r.source.nodes)), side(&|r| mean(&r.target.nodes)));
            numbers(&self.projections.rules([&source, &target]))
        })
    }

    /// Looks at states.
    pub fn look(&mut self, digests: &[&Digest], rules: &[RuleObservation], known: &Neighbourhoods) -> Vec<Look> {
        no_grad(|| {
            let device = self.device();
            let (batch, _) = Batch::new(digests, rules, known, Global::Late, true, device);
            let nodes = self.cache.encode(&self.encoder, known, device);
            let whole = self.projections.whole(&batch, nodes);
            let whole = numbers(&Tensor::cat(&[&whole, &batch.globals], 1));
            let touched = self.projections.touched(&batch, nodes);
            // How many a slot stands for, on the scale of the feature in whose place it is.
            let many = &batch.log_sites / (6.0 * std::f64::consts::LN_2);
            let before = batch.features.narrow(1, 0, MANY as i64);
            let after = batch.features.narrow(1, MANY as i64 + 1, (CANDIDATE_FEATURES - MANY - 1) as i64);
            let candidates = numbers(&Tensor::cat(&[&before, &many.unsqueeze(1), &after, &touched], 1));
            let mut at = 0;
            let part = |(digest, whole): (&&Digest, &[f32])| {
                let count = digest.distinct.len() * SLOT_FEATURES;
                at += count;
                Look { whole: whole.to_vec(), candidates: candidates[at - count..at].to_vec() }
            };
            digests.iter().zip(whole.chunks(super::frame::WHOLE)).map(part).collect()
        })
    }
}

/// The numbers of a tensor, on the host.
fn numbers(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).contiguous().flatten(0, -1)).expect("a float tensor")
}
