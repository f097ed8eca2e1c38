//! Graphs drawn at random to learn on.

use std::sync::Arc;

use anyhow::bail;
use clap::{Args, ValueEnum};
use rayon::prelude::*;

use crate::cost::CostModel;
use crate::rewrite::{Rule, RuleSet};
use crate::rl::env::Task;
use crate::rl::run::DrawConfig;
use crate::rl::task::{Distribution, Drawn, Family, MODELS};
use crate::rl::trainer::Subject;
use crate::substitution::inverse;

/// The flags.
#[derive(Args, Debug)]
pub struct DrawArgs {
    /// Also trains on so many graphs drawn at random: pieces of built-in models, pieces made worse by random rewrites, and
    /// models at other sizes; only graphs that gain 1 % or more.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u32).range(..=100_000))]
    draw: u32,
    /// Draws nothing from models of this kind. Repeatable.
    #[arg(long, value_name = "KIND", requires = "draw")]
    hold_out: Vec<FamilyArg>,
    /// Nodes of a drawn graph at most.
    #[arg(long, value_name = "N", default_value_t = 400, requires = "draw", value_parser = clap::value_parser!(u32).range(LEAST_NODES..))]
    most_nodes: u32,
}

impl DrawArgs {
    /// What was asked for.
    pub fn config(&self) -> DrawConfig {
        DrawConfig {
            count: self.draw as usize,
            held_out: self.hold_out.iter().map(|f| f.family()).collect(),
            most_nodes: if self.draw > 0 { self.most_nodes as usize } else { 0 },
        }
    }
}

/// See [`Family`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum FamilyArg {
    /// Convolutions on one path with short cuts: ResNets, MobileNet, VGG.
    Residual,
    /// Convolutions on many paths: Inception, NASNet, SqueezeNet.
    Branching,
    /// RepVGG, MobileOne.
    Reparameterised,
    /// LSTM, NasRNN.
    Recurrent,
    /// BERT, GPT-2, ViT and others with attention.
    Transformer,
    /// Linear layers with adapters.
    Adapter,
}

impl FamilyArg {
    fn family(self) -> Family {
        match self {
            FamilyArg::Residual => Family::Residual,
            FamilyArg::Branching => Family::Branching,
            FamilyArg::Reparameterised => Family::Reparameterised,
            FamilyArg::Recurrent => Family::Recurrent,
            FamilyArg::Transformer => Family::Transformer,
            FamilyArg::Adapter => Family::Adapter,
        }
    }
}

/// With fewer nodes there is hardly a piece of a model to draw.
const LEAST_NODES: i64 = 12;
/// A drawn graph gains so much at least, as a share: there is something to learn.
const LEAST_GAIN: f64 = 0.01;
/// Draws for each graph that is kept, at most.
const MOST_DRAWS: u64 = 100;
/// Draws that end it when none of them gives a graph that is small enough.
const FIRST_DRAWS: u64 = 64;
/// Draws that are made side by side.
const TOGETHER: u64 = 32;

/// The first draws that gain. Calls `found` for each.
pub fn subjects<'a>(
    config: &DrawConfig,
    rules: &Arc<RuleSet>,
    model: &'a dyn CostModel,
    found: &dyn Fn(),
) -> anyhow::Result<Vec<Subject<'a>>> {
    let subject = |(seed, drawn): (u64, Drawn)| {
        let task = Arc::new(Task::new(&drawn.graph, rules.clone(), model));
        Subject { name: format!("{} (draw {seed})", drawn.name), task, known_us: drawn.known_us }
    };
    Ok(draws(config, rules, model, found)?.into_iter().map(subject).collect())
}

/// The first draws that gain, with their seeds.
fn draws(
    config: &DrawConfig,
    rules: &Arc<RuleSet>,
    model: &dyn CostModel,
    found: &dyn Fn(),
) -> anyhow::Result<Vec<(u64, Drawn)>> {
    let mut kept = Vec::new();
    if config.count == 0 {
        return Ok(kept);
    }
    if MODELS.iter().all(|(_, family)| config.held_out.contains(family)) {
        bail!("--hold-out leaves no model to draw from");
    }
    let forwards: Vec<Rule> = (0..rules.len() as u32).map(|i| rules.rule(i).clone()).collect();
    let backwards: Vec<Rule> = forwards.iter().filter_map(inverse).collect();
    let fault = |(rule, why)| anyhow::anyhow!("rule {rule:?}: {why}");
    let distribution =
        Distribution::new(&forwards, &backwards, model, &config.held_out, config.most_nodes).map_err(fault)?;
    let gains = |drawn: &Drawn| {
        let start_us = crate::cost::graph_cost(model, &drawn.graph).time_us;
        drawn.known_us < start_us * (1.0 - LEAST_GAIN)
    };
    let (mut next, mut small_enough) = (0, 0);
    while kept.len() < config.count {
        if next >= MOST_DRAWS * config.count as u64 || (next >= FIRST_DRAWS && small_enough == 0) {
            bail!(
                "--draw: in {next} draws only {} graphs of at most {} nodes gain 1 % or more",
                kept.len(),
                config.most_nodes
            );
        }
        let drawn: Result<Vec<Option<Drawn>>, _> =
            (next..next + TOGETHER).into_par_iter().map(|seed| distribution.draw(seed)).collect();
        for (seed, drawn) in (next..).zip(drawn.map_err(fault)?) {
            small_enough += usize::from(drawn.is_some());
            if let Some(drawn) = drawn
                && kept.len() < config.count
                && gains(&drawn)
            {
                kept.push((seed, drawn));
                found();
            }
        }
        next += TOGETHER;
    }
    Ok(kept)
}
