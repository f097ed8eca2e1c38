//! Every architecture computes something that depends on all of it: run on libtorch at small sizes in f64, outputs are
//! finite, and a weight scaled by 1.01 or a sum without one of its terms shows in an output.

use tch::{Device, Tensor as Values};

use super::tests::{graph_of, small};
use super::*;
use crate::formats::model::ModelNode;
use crate::graph::Tensor;
use crate::runtime::{Constants, Options, Program, Weights, draw_inputs};

/// Changes smaller than this, relative to the largest output, would drown in the errors of f32.
const VISIBLE: f64 = 1e-6;

/// Weights and sums tried in each model, evenly spread over it.
const TRIED: usize = 3;

/// The bias of a key moves all scores of a query alike, which a softmax does not see: true of BERT itself.
fn is_invisible(name: &str) -> bool {
    name.contains("key.bias") || name.contains("/key/")
}

/// Runs variants of a model on the same inputs, each weight drawn once.
struct Runner {
    weights: Weights,
    inputs: Vec<Values>,
}

impl Runner {
    fn run(&mut self, model: &Model) -> Vec<Values> {
        let graph = graph_of(model);
        let constants = Constants::of(&graph, &mut self.weights);
        let program = Program::with(&graph, &Options::wide(Device::Cpu), &constants, &mut self.weights).unwrap();
        assert!(program.not_run().is_empty(), "{}: {:?}", model.name, program.not_run());
        let run = program.run(&self.inputs).unwrap_or_else(|e| panic!("{}: {e}", model.name));
        run.outputs.into_iter().map(|o| o.unwrap()).collect()
    }
}

/// Largest change of an output relative to that output's largest element.
fn change(a: &[Values], b: &[Values]) -> f64 {
    let one = |(a, b): (&Values, &Values)| (a - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[]);
    a.iter().zip(b).map(one).fold(0.0, f64::max)
}

fn scaled(tensor: &Tensor, factor: f64) -> Option<Tensor> {
    let init = match *tensor.data() {
        Data::Init(Init::Normal { seed, std }) => Init::Normal { seed, std: std * factor },
        Data::Init(Init::Uniform { seed, low, high }) => Init::Uniform { seed, low: low * factor, high: high * factor },
        _ => return None,
    };
    Some(Tensor::new(tensor.dtype(), tensor.shape(), Data::Init(init)).unwrap())
}

/// Some of the items, evenly spread, the last one among them.
fn spread<T: Clone>(items: &[T]) -> Vec<T> {
    let step = items.len().div_ceil(TRIED).max(1);
    items.iter().rev().step_by(step).cloned().collect()
}

#[test]
fn outputs_are_finite_and_depend_on_every_part() {
    for entry in ENTRIES {
        let sizes: Vec<(&str, u64)> = small(entry).into_iter().filter(|(name, _)| *name != "batch").collect();
        let model = build(entry.name, &sizes).unwrap();
        let inputs = draw_inputs(&graph_of(&model), &BTreeMap::new(), 0).unwrap();
        let mut runner = Runner { weights: Weights::default(), inputs };
        let reference = runner.run(&model);
        for output in &reference {
            let largest = output.abs().max().double_value(&[]);
            assert!(largest.is_finite() && (0.01..100.0).contains(&largest), "{}: {largest}", entry.name);
        }

        let names: Vec<String> = model.weights.keys().filter(|name| !is_invisible(name)).cloned().collect();
        let parameters: Vec<(String, Tensor)> =
            names.into_iter().filter_map(|n| Some((n.clone(), scaled(&model.weights[&n].tensor, 1.01)?))).collect();
        for (name, tensor) in spread(&parameters) {
            let mut other = model.clone();
            other.weights[&name].tensor = tensor;
            let change = change(&runner.run(&other), &reference);
            assert!(change > VISIBLE, "{}: {name} times 1.01 changes the output by {change:e}", entry.name);
        }

        // Of a bias and a product the product stays; sums of two weights are left alone.
        let is_weight = |name: &String| model.weights.contains_key(name);
        let is_sum = |n: &ModelNode| n.op == "Add" && !n.inputs.iter().all(is_weight) && !is_invisible(&n.name);
        let sums: Vec<usize> = (0..model.nodes.len()).filter(|&i| is_sum(&model.nodes[i])).collect();
        for index in spread(&sums) {
            let mut other = model.clone();
            let node = &mut other.nodes[index];
            node.op = "Identity".into();
            let kept = usize::from(is_weight(&node.inputs[0]));
            node.inputs = vec![node.inputs[kept].clone()];
            let name = node.name.clone();
            let change = change(&runner.run(&other), &reference);
            assert!(change > VISIBLE, "{}: without {name} the output changes by {change:e}", entry.name);
        }
    }
}
