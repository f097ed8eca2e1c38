//! What an agent is trained on: windows of built-in models, graphs made worse, and whole models, by family, so that a family
//! can be held out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cost::CostModel;
use crate::formats::import::{ImportOptions, import};
use crate::graph::Graph;
use crate::rewrite::{Rule, RuleError, RuleSet, clean_up};
use crate::search::{Budget, Greedy, Problem, RandomWalk, Search};
use crate::zoo;

use super::random::Random;
use super::window::window;

/// Kinds of architectures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Convolutions, one path with short cuts.
    Residual,
    /// Convolutions, many paths side by side.
    Branching,
    /// Convolutions in the form in which they are trained.
    Reparameterised,
    /// Cells unrolled over steps.
    Recurrent,
    /// Attention.
    Transformer,
    /// Linear layers with adapters.
    Adapter,
}

/// The built-in models that tasks are drawn from, with their families.
pub const MODELS: &[(&str, Family)] = &[
    ("resnet18", Family::Residual),
    ("resnet50", Family::Residual),
    ("resnext50_32x4d", Family::Residual),
    ("resnext_stage", Family::Residual),
    ("mobilenet_v2", Family::Residual),
    ("vgg19", Family::Residual),
    ("squeezenet1_1", Family::Branching),
    ("inception_v3", Family::Branching),
    ("inception_pair", Family::Branching),
    ("nasnet_a", Family::Branching),
    ("repvgg_a0", Family::Reparameterised),
    ("mobileone_s0", Family::Reparameterised),
    ("nasrnn", Family::Recurrent),
    ("nasrnn_4", Family::Recurrent),
    ("lstm", Family::Recurrent),
    ("bert_base", Family::Transformer),
    ("bert_2_layers", Family::Transformer),
    ("vit_b_16", Family::Transformer),
    ("gpt2", Family::Transformer),
    ("dalle", Family::Transformer),
    ("transformer_transducer", Family::Transformer),
    ("attention_heads", Family::Transformer),
    ("lora_mlp", Family::Adapter),
];

/// How a graph came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A piece of a model.
    Window,
    /// A piece of a model after random rewrites that do not gain, from where greedy does not find back.
    Walk,
    /// A model.
    Whole,
}

/// A graph to train on.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What it is, for logs.
    pub name: String,
    /// Family of the model that it is made from.
    pub family: Family,
    /// How it came about.
    pub kind: Kind,
    /// The graph, clean.
    pub graph: Graph,
    /// A time in microseconds that can be reached from it, by estimate.
    pub known_us: f64,
}

/// Operators of a window: at least, and at most.
const WINDOW: (usize, usize) = (12, 80);
/// Rewrites of a walk: at least, and at most.
const WALK: (usize, usize) = (10, 40);
/// Walks that are tried before a window is taken instead.
const TRIES: usize = 4;
/// Models, at random sizes, that a draw tries to make its graph of.
const MODELS_TRIED: usize = 64;
/// Greedy has found back when it is within this of what is known.
const FOUND: f64 = 1.0 + 1e-6;

/// Draws graphs: half of them windows, three in ten walks, the rest whole models.
pub struct Distribution<'a> {
    rules: Arc<RuleSet>,
    uphill: Vec<Rule>,
    model: &'a dyn CostModel,
    models: Vec<(&'static str, Family)>,
    most_nodes: usize,
}

impl<'a> Distribution<'a> {
    /// Draws from the models of all families but those held out, of which there is one at least; graphs of more than
    /// `most_nodes` nodes are drawn again.
    /// `rules` are what agents apply; walks apply them, and `backwards`, where they do not gain.
    ///
    /// # Errors
    /// A rule does not compile.
    ///
    /// # Panics
    /// All families are held out.
    pub fn new(
        rules: &[Rule],
        backwards: &[Rule],
        model: &'a dyn CostModel,
        held_out: &[Family],
        most_nodes: usize,
    ) -> Result<Distribution<'a>, (String, RuleError)> {
        let compiled = Arc::new(RuleSet::compile(rules.iter().cloned())?);
        let models: Vec<_> = MODELS.iter().copied().filter(|(_, family)| !held_out.contains(family)).collect();
        assert!(!models.is_empty(), "all families are held out");
        let uphill = rules.iter().chain(backwards).cloned().collect();
        Ok(Distribution { rules: compiled, uphill, model, models, most_nodes })
    }

    /// The rules that agents apply.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// A graph, if one was met that is small enough. The same seed draws the same one.
    ///
    /// # Errors
    /// A rule does not compile.
    pub fn draw(&self, seed: u64) -> Result<Option<Drawn>, (String, RuleError)> {
        let mut random = Random::new(seed);
        let kind = match random.below(10) {
            0..5 => Kind::Window,
            5..8 => Kind::Walk,
            _ => Kind::Whole,
        };
        for _ in 0..MODELS_TRIED {
            let (name, family) = self.models[random.below(self.models.len())];
            let whole = at_random_size(name, &mut random);
            if kind == Kind::Whole {
                if whole.len() <= self.most_nodes {
                    return Ok(Some(self.finish(name.to_owned(), family, kind, whole)));
                }
                continue;
            }
            let Some(piece) = self.window(&whole, &mut random) else { continue };
            if kind == Kind::Walk
                && let Some((graph, known_us)) = self.walk(&piece, &mut random)?
            {
                return Ok(Some(Drawn { name: format!("{name}, rewritten"), family, kind, graph, known_us }));
            }
            return Ok(Some(self.finish(format!("{name}, a piece"), family, Kind::Window, piece)));
        }
        Ok(None)
    }

    fn finish(&self, name: String, family: Family, kind: Kind, graph: Graph) -> Drawn {
        let known_us = self.greedy(&graph);
        Drawn { name, family, kind, graph, known_us }
    }

    fn window(&self, whole: &Graph, random: &mut Random) -> Option<Graph> {
        let size = WINDOW.0 + random.below(WINDOW.1 - WINDOW.0 + 1);
        let mut piece = window(whole, size, random)?;
        clean_up(&mut piece);
        piece.commit();
        (piece.operator_count() >= WINDOW.0 && piece.len() <= self.most_nodes).then_some(piece)
    }

    /// What greedy reaches, in microseconds.
    fn greedy(&self, graph: &Graph) -> f64 {
        let budget = Budget::default();
        let problem = Problem { graph, rules: &self.rules, model: self.model, budget: &budget };
        Greedy.run(&problem, &mut |_| true).1.best_us
    }

    /// A graph from where greedy does not reach what it reaches from `piece`, with that time.
    fn walk(&self, piece: &Graph, random: &mut Random) -> Result<Option<(Graph, f64)>, (String, RuleError)> {
        let known_us = self.greedy(piece);
        for _ in 0..TRIES {
            let rewrites = WALK.0 + random.below(WALK.1 - WALK.0 + 1);
            let walk = RandomWalk { hostile: &self.uphill, neutral: &[], rewrites, seed: random.bits() };
            let (graph, _) = walk.run(piece, self.model)?;
            if graph.len() <= self.most_nodes && self.greedy(&graph) > known_us * FOUND {
                return Ok(Some((graph, known_us)));
            }
        }
        Ok(None)
    }
}

/// Sizes that a model may be drawn at.
const SCALED: &[&str] =
    &["batch", "image", "sequence", "steps", "layers", "hidden", "input", "frames", "rank", "blocks"];

/// A model with some of its sizes halved or doubled, where they fit; cleaned up.
fn at_random_size(name: &str, random: &mut Random) -> Graph {
    let entry = zoo::entry(name).expect("the table names built-in models");
    let scalable = entry.sizes.iter().filter(|size| SCALED.contains(&size.name));
    let sizes: Vec<(&str, u64)> = scalable
        .map(|size| {
            let value = match random.below(4) {
                0 => size.default.div_ceil(2),
                1 if size.default <= 256 => 2 * size.default,
                _ => size.default,
            };
            (size.name, value.clamp(size.min, size.max))
        })
        .collect();
    let built = zoo::build(name, &sizes).or_else(|_| zoo::build(name, &[])).expect("the default sizes fit");
    let mut graph = import(built, &ImportOptions::default()).expect("built-in models import").graph;
    clean_up(&mut graph);
    graph.commit();
    graph
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cost::{DeviceProfile, Roofline, graph_cost};
    use crate::rl::env::tests::model;
    use crate::substitution::{Library, inverse};

    #[test]
    fn every_built_in_model_has_a_family() {
        let named: BTreeSet<&str> = MODELS.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, zoo::ENTRIES.iter().map(|e| e.name).collect());
    }

    #[test]
    fn windows_are_sound_graphs_of_the_size_asked_for() {
        for (name, seed) in [("bert_2_layers", 1), ("inception_pair", 2), ("nasrnn_4", 3), ("squeezenet1_1", 4)] {
            let whole = model(name, &[]);
            for size in [1, 7, 30] {
                let mut random = Random::new(seed);
                let piece = window(&whole, size, &mut random).unwrap();
                piece.validate().unwrap();
                assert_eq!(piece.operator_count(), size, "{name}");
                assert_eq!(piece.topological().len(), piece.len(), "nothing is dead");
                let whole_us = graph_cost(&Roofline::new(DeviceProfile::cpu()), &whole).time_us;
                assert!(graph_cost(&Roofline::new(DeviceProfile::cpu()), &piece).time_us < whole_us);
            }
            let all = window(&whole, usize::MAX, &mut Random::new(seed)).unwrap();
            let operators =
                |g: &Graph| g.node_ids().filter(|id| !g.node(*id).constant && g.node(*id).op.kind().is_some()).count();
            assert_eq!(operators(&all), operators(&whole), "{name} is connected");
        }
    }

    #[test]
    fn draws_are_of_all_kinds_and_of_no_family_that_is_held_out() {
        let costs = Roofline::new(DeviceProfile::cpu());
        let forwards: Vec<Rule> = Library::starter().unwrap().rules().cloned().collect();
        let backwards: Vec<Rule> = forwards.iter().filter_map(inverse).collect();
        let held_out = [Family::Transformer, Family::Branching, Family::Residual];
        let drawing = Distribution::new(&forwards, &backwards, &costs, &held_out, 400).unwrap();
        let mut kinds = [0; 3];
        for seed in 0..30 {
            let drawn = drawing.draw(seed).unwrap().unwrap();
            drawn.graph.validate().unwrap();
            assert!(!held_out.contains(&drawn.family) && drawn.graph.len() <= 400, "{}", drawn.name);
            kinds[drawn.kind as usize] += 1;
            let greedy_us = drawing.greedy(&drawn.graph);
            match drawn.kind {
                Kind::Walk => assert!(greedy_us > drawn.known_us * FOUND, "greedy fails on {}", drawn.name),
                Kind::Window | Kind::Whole => assert_eq!(greedy_us, drawn.known_us),
            }
            if seed < 5 {
                assert_eq!(drawing.draw(seed).unwrap().unwrap().graph.state_hash(), drawn.graph.state_hash());
            }
        }
        assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
        let small = Distribution::new(&forwards, &backwards, &costs, &held_out, 5).unwrap();
        assert!(small.draw(0).unwrap().is_none(), "no piece has so few nodes");
    }
}
