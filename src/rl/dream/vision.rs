//! V's encoder learns: by reconstructing graphs, or by what matters to the task at hand, which is what a step earns, how the cost
//! changes, and what is seen next.
//!
//! What is seen next is told by an encoder that follows the one that learns as a moving average, without a gradient (as in Grill et
//! al. 2020), both normalised by row; and the rewards hold it to graphs. That average is V: M never meets the encoder that
//! learns. The small networks that tell are V's exercise alone, and are not used elsewhere.

use tch::{Device, Kind, Tensor};

use super::config::VisionLoss;
use super::frame::{GLOBALS_AT, MATCH, RULE};
use super::view::View;
use crate::rl::neighbourhood::Neighbourhoods;
use crate::rl::net::adam::Adam;
use crate::rl::net::autoencoder::AutoEncoder;
use crate::rl::net::batch::Batch;
use crate::rl::net::digest::Digest;
use crate::rl::net::encoder::{Encoder, Global};
use crate::rl::net::layers::{Mlp, normalise_rows};
use crate::rl::net::parameters::Parameters;
use crate::rl::observation::{GLOBAL_FEATURES, Observation, RuleObservation};
use crate::rl::random::Random;

/// How much of itself V keeps in an update.
const KEPT: f64 = 0.97;
const LEARNING_RATE: f64 = 1e-3;
const ADAM_EPS: f64 = 1e-8;
const MAX_GRAD_NORM: f64 = 1.0;
/// Width of the networks that tell.
const WIDTH: usize = 128;
/// Makes their first parameters others than V's.
const SEED: u64 = 0x7669_7369_6f6e;

/// A step that was really made.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The state before.
    pub before: &'a Digest,
    /// The distinct candidate of it that was applied.
    pub distinct: u32,
    /// The state behind.
    pub after: &'a Digest,
    /// What was earned, and by how much `log(initial / cost)` rose, each in units of its deviation.
    pub earned: [f32; 2],
}

/// What an update cost, by the keys of metrics.
pub type VisionLosses = Vec<(&'static str, f64)>;

/// The encoder that learns, with what it learns by.
#[derive(Debug)]
pub struct Vision {
    parameters: Parameters,
    encoder: Encoder,
    teller: Teller,
    adam: Adam,
}

#[derive(Debug)]
enum Teller {
    Reconstruct(AutoEncoder),
    Task { next: Mlp, earned: Mlp },
}

impl Vision {
    /// One that begins as V is.
    pub fn new(loss: VisionLoss, view: &View, seed: u64) -> Vision {
        let parameters = Parameters::new(view.device(), seed ^ SEED);
        let root = parameters.root();
        let encoder = Encoder::new(&root.sub("encoder"), view.config);
        let read = GLOBALS_AT + GLOBAL_FEATURES + RULE + MATCH;
        let teller = match loss {
            VisionLoss::Reconstruct => Teller::Reconstruct(AutoEncoder::new(&root.sub("decoder"), view.config.width)),
            VisionLoss::Task => Teller::Task {
                next: Mlp::new(&root.sub("next"), read, WIDTH, GLOBALS_AT, 1.0),
                earned: Mlp::new(&root.sub("earned"), read, WIDTH, 2, 0.1),
            },
        };
        let adam = Adam::new(parameters.all());
        let own = view.encoder_parameters();
        parameters.copy_from(|name| own.iter().find(|(n, _)| n == name).map(|(_, t)| t.shallow_clone()));
        Vision { encoder, teller, adam, parameters }
    }

    /// Whether it reads graphs as they are, beside digests.
    pub fn reads_graphs(&self) -> bool {
        matches!(self.teller, Teller::Reconstruct(_))
    }

    /// An update by reconstructing graphs, and V follows.
    ///
    /// # Panics
    /// It learns by something else.
    pub fn reconstruct(
        &mut self,
        view: &mut View,
        observations: &[Observation],
        known: &Neighbourhoods,
        random: &mut Random,
    ) -> VisionLosses {
        let Teller::Reconstruct(decoder) = &self.teller else { panic!("an encoder that learns by reconstructing") };
        let result = decoder.reconstruct(&self.encoder, known, observations, random);
        self.step(view, &result.loss);
        vec![
            ("losses/vision_reconstruct", result.loss.double_value(&[])),
            ("losses/vision_operators_right", result.operators_right),
            ("losses/vision_edges_right", result.edges_right),
        ]
    }

    /// An update by what steps earn and lead to, and V follows.
    ///
    /// # Panics
    /// It learns by something else.
    pub fn tell(
        &mut self,
        view: &mut View,
        steps: &[Step<'_>],
        rules: &[RuleObservation],
        known: &Neighbourhoods,
    ) -> VisionLosses {
        let Teller::Task { next, earned } = &self.teller else { panic!("an encoder that learns by what matters") };
        let after: Vec<&Digest> = steps.iter().map(|step| step.after).collect();
        let seen = view.wholes(&after, rules, known);
        let read = self.read(view, steps, rules, known);
        let consistency = distance(&next.forward(&read), &seen);
        let truth: Vec<f32> = steps.iter().flat_map(|step| step.earned).collect();
        let truth = Tensor::from_slice(&truth).reshape([-1, 2]).to_device(view.device());
        let wrong = (earned.forward(&read) - truth).square().mean_dim([0i64].as_slice(), false, Kind::Float) / 2.0;
        self.step(view, &(&consistency + wrong.sum(Kind::Float)));
        let wrong = Vec::<f32>::try_from(wrong.detach().to_device(Device::Cpu)).expect("two numbers");
        vec![
            ("losses/vision_next", consistency.double_value(&[])),
            ("losses/vision_reward", f64::from(wrong[0])),
            ("losses/vision_cost", f64::from(wrong[1])),
        ]
    }

    /// `[B, read]`: states and actions by the encoder that learns. Of an action, its rule and the nodes that it touches alone: its
    /// own features tell what it earns, and nothing would be left to learn.
    fn read(&self, view: &View, steps: &[Step<'_>], rules: &[RuleObservation], known: &Neighbourhoods) -> Tensor {
        let before: Vec<&Digest> = steps.iter().map(|step| step.before).collect();
        let (batch, rows) = Batch::new(&before, rules, known, Global::Late, false, view.device());
        let (nodes, _) = rows.encode(&self.encoder).expect("rows of the batch's own classes");
        let mut first = 0;
        let chosen: Vec<i64> = steps
            .iter()
            .map(|step| {
                let own = first + i64::from(step.distinct);
                first += step.before.distinct.len() as i64;
                own
            })
            .collect();
        let chosen = Tensor::from_slice(&chosen).to_device(view.device());
        let projections = view.projections();
        let touched = projections.touched(&batch, &nodes).index_select(0, &chosen);
        let [source, target] = &batch.rule_sides;
        let rule_of = batch.rule_of_pair.index_select(0, &batch.pair_of_candidate.index_select(0, &chosen));
        let rule = projections.rules([&source.sum(&nodes), &target.sum(&nodes)]).index_select(0, &rule_of);
        Tensor::cat(&[&projections.whole(&batch, &nodes), &batch.globals, &rule, &touched], 1)
    }

    /// A step of Adam, none if the gradient is not finite; V follows.
    fn step(&mut self, view: &mut View, loss: &Tensor) {
        self.adam.zero_grad();
        loss.backward();
        if self.adam.clip_grad_norm(MAX_GRAD_NORM).is_finite() {
            self.adam.step(LEARNING_RATE, ADAM_EPS);
        }
        view.follow(&self.parameters.all(), KEPT);
    }

    /// Steps of Adam so far.
    pub fn steps(&self) -> u64 {
        self.adam.steps()
    }

    /// Everything that learning changes, by name.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        self.adam.with(&self.parameters)
    }

    /// Takes up what [`Vision::tensors`] gave.
    pub fn restore(&mut self, steps: u64, value: impl Fn(&str) -> Option<Tensor>) {
        self.adam.restore_with(&self.parameters, steps, value);
    }
}

/// `[]`: half the mean squared difference of rows `[B, W]`, the first of them normalised as the second are: 0 where they point
/// the same way, 1 where they have nothing in common, 2 where they are opposite.
fn distance(told: &Tensor, seen: &Tensor) -> Tensor {
    (normalise_rows(told) - seen).square().mean(Kind::Float) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::quality::effective_rank;
    use crate::rl::dream::tests::numbers;
    use crate::rl::net::digest::NodeKey;
    use crate::rl::net::encoder::EncoderConfig;
    use crate::rl::net::testing::{observation, rules};

    fn view() -> View {
        tch::set_num_threads(1);
        View::new(EncoderConfig { width: 16, rounds: 2, ..EncoderConfig::default() }, Device::Cpu, 1).unwrap()
    }

    #[test]
    fn the_distance_by_hand() {
        let rows = |values: &[f32]| Tensor::from_slice(values).reshape([1, -1]);
        let seen = rows(&[1.0, -1.0, 1.0, -1.0]);
        let to = |told: &[f32]| distance(&rows(told), &seen).double_value(&[]);
        // The same but for scale and mean; its opposite; half of each: ((0 + 4 + 4 + 0) / 4) / 2.
        for (told, by_hand) in [([7.0, 3.0, 7.0, 3.0], 0.0), ([3.0, 7.0, 3.0, 7.0], 2.0), ([2.0, 2.0, 0.0, 0.0], 1.0)] {
            assert!((to(&told) - by_hand).abs() < 1e-4, "{told:?}: {}", to(&told));
        }
    }

    #[test]
    fn v_follows_by_the_share_that_it_does_not_keep() {
        let mut view = view();
        let before = view.encoder_parameters().remove(0);
        let old = numbers(&before.1)[0];
        let target = vec![(before.0.clone(), before.1.detach().ones_like() * 3.0)];
        view.follow(&target, 0.75);
        let own = view.encoder_parameters();
        assert!((numbers(&own[0].1)[0] - (0.75 * old + 0.25 * 3.0)).abs() < 1e-6);
        let other = View::new(view.config, Device::Cpu, 1).unwrap().encoder_parameters();
        assert!(own[1].1.equal(&other[1].1), "what is not named stays");
    }

    #[test]
    fn what_steps_earn_is_learned_and_what_is_seen_does_not_collapse() {
        let mut view = view();
        let mut known = Neighbourhoods::new(2);
        let mut random = Random::new(1);
        let rules = rules(&mut known, &mut random);
        let mut digest = || Digest::new(observation(&mut known, &mut random, 9, 6), NodeKey::Class);
        let digests: Vec<Digest> = (0..33).map(|_| digest()).collect();
        // What is earned lies in the graph: the share of its first node's class.
        let step = |at: usize| {
            let earned = 4.0 * digests[at].nodes[0].share - 1.0;
            Step { before: &digests[at], distinct: 0, after: &digests[at + 1], earned: [earned, -earned] }
        };
        let steps: Vec<Step<'_>> = (0..32).map(step).collect();
        let refs: Vec<&Digest> = digests.iter().collect();
        let rank = |view: &View| effective_rank(&view.wholes(&refs, &rules, &known));
        let before = rank(&view);
        let begun_with = numbers(&view.wholes(&refs, &rules, &known));
        let mut vision = Vision::new(VisionLoss::Task, &view, 3);
        let losses: Vec<VisionLosses> = (0..150).map(|_| vision.tell(&mut view, &steps, &rules, &known)).collect();
        let of = |at: usize, which: usize| losses[at][which].1;
        assert!(of(149, 1) < 0.3 * of(0, 1) && of(149, 0) < 0.5 * of(0, 0), "{:?} {:?}", losses[0], losses[149]);
        let after = rank(&view);
        assert!(after.0 > 0.5 * before.0 && after.1 > 0.5 * before.1, "{before:?}, then {after:?}");
        assert!(numbers(&view.wholes(&refs, &rules, &known)) != begun_with, "V follows");
        let still = View::new(view.config, Device::Cpu, 1).unwrap();
        let projections = |view: &View| {
            let all = view.parameters.all().into_iter().filter(|(name, _)| name.starts_with("projection."));
            all.flat_map(|(_, t)| numbers(&t)).collect::<Vec<f32>>()
        };
        assert!(projections(&view) == projections(&still), "projections are not trained");
    }
}
