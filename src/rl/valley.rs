//! Graphs whose gain lies behind steps that cost: what a search that follows estimated costs cannot find, made to order.
//!
//! A block is one product `s = x @ a` that several others read: `y_i = s @ b_i`, where `a` (a weight) narrows and the `b_i`
//! are inputs. The rule `associate-products-right` turns one reader into `x @ (a @ b_i)`. Since `x` is wider than `s`, that
//! costs more than it saves, for each reader but the last: when no reader is left `s` itself goes, which was most of the
//! block's time. A valley of depth d has d + 1 readers: d steps up, then one down, below where it began.
//!
//! There is no way round by the shipped rules: products of one input are merged only if their other factors are weights, and
//! each `y_i` is an output of the graph. (A test visits every graph that can be reached from small instances.)
//!
//! Beside the blocks there is a sum and a matrix product of many small inputs, which may be bracketed in any way: millions of
//! graphs of equal cost, which a search by cost visits before the first step up. The rule that brackets products is the one
//! that goes up in the blocks: it is not enough to like a rule.

use std::sync::Arc;

use crate::graph::{Attr, DType, Data, Facts, Graph, Init, Node, Op, OpKind, Tensor, TensorType, ValueRef, splitmix64};
use crate::ops;

/// A graph with a valley, and what lies behind it.
#[derive(Clone, Debug)]
pub struct Valley {
    /// Where the search begins.
    pub graph: Graph,
    /// The cheapest graph that can be reached.
    pub optimum: Graph,
    /// Rewrites from one to the other.
    pub rewrites: usize,
}

impl Valley {
    /// Actions that an episode on it should have: twice the shortest solution.
    pub fn horizon(&self) -> usize {
        2 * self.rewrites
    }
}

/// What a valley is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Steps up before the one that pays: 1 to 4.
    pub depth: usize,
    /// Independent blocks. Each step up costs 10 % or more of the graph at the start up to 3 blocks of depth 1, 2 of
    /// depth 2, 1 of greater depth.
    pub blocks: usize,
    /// Inputs of the sum, and of the product, that distract.
    pub leaves: usize,
}

/// Rows of `x`: so many that products of weights count little.
const ROWS: u64 = 4096;
/// Inputs of each distractor: there are 17!! = 34,459,425 ways to bracket 10 summands, 4,862 to bracket 10 factors.
const LEAVES: usize = 10;

/// A valley of this depth with distractors; the same seed gives the same graph.
pub fn valley(depth: usize, blocks: usize, seed: u64) -> Valley {
    shaped(Shape { depth, blocks, leaves: LEAVES }, seed)
}

/// What the names of valleys begin with.
const PREFIX: &str = "valley_";

/// The valley of a name: `valley_DEPTH_BLOCKS` or `valley_DEPTH_BLOCKS_SEED`; `None` for names of other things.
///
/// # Errors
/// The name begins as a valley's does and goes on otherwise.
pub fn named(name: &str) -> Option<Result<Valley, String>> {
    let numbers: Option<Vec<u64>> = name.strip_prefix(PREFIX)?.split('_').map(|part| part.parse().ok()).collect();
    let made = match numbers.as_deref() {
        Some(&[depth @ 1..=4, blocks @ 1..=64, ref seed @ ..]) if seed.len() <= 1 => {
            Ok(valley(depth as usize, blocks as usize, seed.first().copied().unwrap_or(0)))
        }
        _ => Err(format!("{name}: a valley is called {PREFIX}DEPTH_BLOCKS, with a depth of 1 to 4 and 1 to 64 blocks")),
    };
    Some(made)
}

/// A valley of any shape.
///
/// # Panics
/// The depth is not 1 to 4.
pub fn shaped(shape: Shape, seed: u64) -> Valley {
    assert!((1..=4).contains(&shape.depth), "valleys are 1 to 4 deep");
    let draw = |at: u64, count: u64| splitmix64(seed, at) % count;
    let side = |is_optimum: bool| {
        let mut graph = Graph::new(&format!("valley-{}-{}-{seed}", shape.depth, shape.blocks));
        for block in 0..shape.blocks as u64 {
            // Widths of the y_i (of all blocks, so that none is small beside another), of s, and of x. A step up costs (x - s) y, the whole (s + (d + 1) y) x or so: the widths
            // keep the first above a tenth of the second, and the end below the start.
            let width = [32, 48, 64][draw(0, 3) as usize];
            let (narrow, wide) = match shape.depth {
                1 => (2, 9 + draw(1 + block, 2)),
                2 => (3, 16 + draw(1 + block, 4)),
                _ => (5, 17 + draw(1 + block, 4)),
            };
            let (narrow, wide) = (narrow * width, wide * width);
            let x = input(&mut graph, &format!("x{block}"), &[ROWS, wide]);
            let a = weight(&mut graph, &format!("a{block}"), &[wide, narrow], splitmix64(seed, 100 + block));
            let s = (!is_optimum).then(|| apply(&mut graph, OpKind::MatMul, x, a));
            for reader in 0..=shape.depth {
                let b = input(&mut graph, &format!("b{block}_{reader}"), &[narrow, width]);
                let y = match s {
                    Some(s) => apply(&mut graph, OpKind::MatMul, s, b),
                    None => {
                        let ab = apply(&mut graph, OpKind::MatMul, a, b);
                        apply(&mut graph, OpKind::MatMul, x, ab)
                    }
                };
                graph.add_output(&format!("y{block}_{reader}"), y);
            }
        }
        for (name, kind) in [("t", OpKind::Add), ("u", OpKind::MatMul)] {
            let mut values: Vec<ValueRef> =
                (0..shape.leaves).map(|i| input(&mut graph, &format!("{name}{i}"), &[4, 4])).collect();
            // Some brackets, by the seed.
            for at in 0.. {
                if values.len() < 2 {
                    break;
                }
                let first = draw(1000 + at, values.len() as u64 - 1) as usize;
                let second = values.remove(first + 1);
                values[first] = apply(&mut graph, kind, values[first], second);
            }
            if let Some(value) = values.pop() {
                graph.add_output(name, value);
            }
        }
        graph
    };
    Valley { graph: side(false), optimum: side(true), rewrites: shape.blocks * (shape.depth + 1) }
}

fn input(graph: &mut Graph, name: &str, shape: &[u64]) -> ValueRef {
    let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
    ValueRef::first(graph.add_input(name, Facts::typed(TensorType::known(DType::F32, &shape))))
}

fn weight(graph: &mut Graph, name: &str, shape: &[u64], seed: u64) -> ValueRef {
    let drawn = Data::Init(Init::Normal { seed, std: 0.02 });
    let tensor = Tensor::new(DType::F32, shape, drawn).expect("a weight of a few million elements");
    ValueRef::first(graph.add_node(Node::weight(name, tensor)))
}

fn apply(graph: &mut Graph, kind: OpKind, left: ValueRef, right: ValueRef) -> ValueRef {
    let op: Op = ops::build(kind, Vec::<(&str, Attr)>::new()).expect("an operator without attributes");
    let inputs = [Some(left), Some(right)].into_iter().collect();
    let names: [Arc<str>; 1] = ["".into()];
    let node = ops::make_node(graph, "", op, inputs, &names).expect("the types of valleys fit");
    ValueRef::first(graph.add_node(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{DeviceProfile, Roofline, graph_cost};
    use crate::rl::env::tests::rules;
    use crate::search::{Backtracking, Budget, Greedy, Portfolio, Problem, Search, State, StopReason};

    fn search(method: &dyn Search, graph: &Graph, pops: usize) -> (f64, StopReason) {
        let model = Roofline::new(DeviceProfile::cpu());
        let budget = Budget { pops, ..Budget::default() };
        let problem = Problem { graph, rules: &rules(), model: &model, budget: &budget };
        let (_, report) = method.run(&problem, &mut |_| true);
        (report.best_us, report.stop_reason)
    }

    #[test]
    fn the_optimum_is_the_cheapest_of_all_graphs_that_can_be_reached() {
        let model = Roofline::new(DeviceProfile::cpu());
        for (depth, blocks, leaves) in [(1, 1, 3), (2, 1, 3), (4, 1, 2), (1, 2, 2)] {
            for seed in 0..2 {
                let valley = shaped(Shape { depth, blocks, leaves }, seed);
                let everything = Backtracking { alpha: 1e9, ..Backtracking::default() };
                let (best_us, why) = search(&everything, &valley.graph, 1_000_000);
                assert_eq!(why, StopReason::Exhausted);
                let optimum_us = graph_cost(&model, &valley.optimum).time_us;
                assert!((best_us / optimum_us - 1.0).abs() < 1e-9, "{best_us} {optimum_us}");
            }
        }
    }

    #[test]
    fn every_step_up_costs_a_tenth_and_the_last_step_pays() {
        let model = Roofline::new(DeviceProfile::cpu());
        for (depth, blocks) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (4, 1)] {
            for seed in 0..12 {
                let valley = valley(depth, blocks, seed);
                assert!((15..=75).contains(&valley.graph.len()), "{} nodes", valley.graph.len());
                let mut state = State::new(valley.graph.clone(), rules(), &model);
                let start_us = state.total_us();
                let mut highest = 0.0f64;
                for step in 1..=valley.rewrites {
                    let before_us = state.total_us();
                    let is_push = |c: &&Arc<crate::rewrite::Candidate>| {
                        state.rules().rule(c.found.rule).name == "associate-products-right"
                    };
                    // The same block first, as long as it has readers left.
                    let next = state.candidates().filter(is_push).min_by_key(|c| c.found.nodes().min()).cloned();
                    state.apply(&next.expect("a reader is left"));
                    let change = (state.total_us() - before_us) / start_us;
                    if step % (depth + 1) == 0 {
                        assert!(change < -0.1, "the last step pays: {change}");
                    } else {
                        assert!(
                            change > 0.1,
                            "depth {depth}, {blocks} blocks, seed {seed}: step {step} costs {change}"
                        );
                    }
                    highest = highest.max(state.total_us() / start_us);
                }
                assert!(highest > 1.1);
                let optimum_us = graph_cost(&model, &valley.optimum).time_us;
                assert!((state.total_us() / optimum_us - 1.0).abs() < 1e-9);
                assert!(optimum_us < 0.97 * start_us, "the gain is worth it: {}", optimum_us / start_us);
            }
        }
    }

    #[test]
    fn valleys_have_names() {
        let hash = |name: &str| named(name).unwrap().unwrap().graph.state_hash();
        assert_eq!(hash("valley_2_1"), valley(2, 1, 0).graph.state_hash());
        assert_eq!(hash("valley_1_3_7"), valley(1, 3, 7).graph.state_hash());
        assert!(named("resnet18").is_none());
        for wrong in ["valley_", "valley_5_1", "valley_1_0", "valley_1_1_1_1", "valley_x_1", "valley_1"] {
            assert!(named(wrong).unwrap().unwrap_err().contains("DEPTH"), "{wrong}");
        }
    }

    #[test]
    fn searches_by_cost_stay_at_the_start() {
        let model = Roofline::new(DeviceProfile::cpu());
        for depth in [1, 2, 4] {
            let valley = valley(depth, 1, 3);
            let start_us = graph_cost(&model, &valley.graph).time_us;
            let far = Backtracking { alpha: 1e9, ..Backtracking::default() };
            for (method, pops) in [(&Greedy as &dyn Search, 1000), (&Portfolio::default(), 1000), (&far, 1000)] {
                let (best_us, _) = search(method, &valley.graph, pops);
                assert!((best_us / start_us - 1.0).abs() < 1e-9, "{} at depth {depth}", method.name());
            }
        }
    }
}
