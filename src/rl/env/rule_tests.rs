//! What an environment promises, compared with the same done plainly: legality, locality, classes, objectives, reach.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cost::{self, DeviceProfile, Roofline};
use crate::graph::{Graph, NodeId, splitmix64};
use crate::runtime;
use crate::search::State;

use super::tests::{model, rules};
use super::{Action, Env, EnvSettings, Objective, Quantity, Reach, Task};
use crate::rl::neighbourhood::Neighbourhoods;
use crate::rl::observation::{ClassId, Observation, Plain};

fn costs() -> Roofline {
    Roofline::new(DeviceProfile::cpu())
}

/// Takes `steps` random rewrites; tells of each state before the rewrite.
fn walk<'a>(env: &mut Env<'a>, seed: u64, steps: u64, mut seen: impl FnMut(&mut Env<'a>)) {
    for step in 0..steps {
        seen(env);
        match env.candidates() as u64 {
            0 => env.reset(),
            n => {
                env.step(Action::Apply((splitmix64(seed, step) % n) as usize));
            }
        }
    }
}

fn operators(graph: &Graph) -> usize {
    graph.node_ids().filter(|id| !graph.node(*id).constant).count()
}

#[test]
fn what_is_legal_keeps_the_limits_and_nothing_else_is_left_out() {
    let costs = costs();
    for (name, seed) in [("inception_pair", 1), ("bert_2_layers", 2), ("resnext_stage", 3), ("nasrnn_4", 4)] {
        let graph = model(name, &[]);
        let (weights, nodes) = (cost::weight_bytes(&graph), operators(&graph));
        let task = Arc::new(Task::new(&graph, rules(), &costs));
        let mut env = Env::new(task, EnvSettings { horizon: 1000, ..EnvSettings::default() });
        let mut refused = 0;
        walk(&mut env, seed, 40, |env| {
            env.graph().validate().unwrap();
            assert!(operators(env.graph()) <= 2 * nodes && cost::weight_bytes(env.graph()) <= 2 * weights);
            let legal: BTreeSet<usize> =
                (0..env.candidates()).map(|at| Arc::as_ptr(env.candidate(at)) as usize).collect();
            let rules: Vec<u32> = (0..env.candidates()).map(|at| env.candidate(at).found.rule).collect();
            assert!(rules.is_sorted(), "those of one rule lie together");
            let mut state = env.state().clone();
            for candidate in env.state().candidates() {
                let is_acyclic = candidate.patch.is_acyclic(state.graph());
                if !is_acyclic {
                    assert!(!legal.contains(&(Arc::as_ptr(candidate) as usize)));
                    refused += 1;
                    continue;
                }
                let saved = state.apply(candidate);
                let fits = operators(state.graph()) <= 2 * nodes && cost::weight_bytes(state.graph()) <= 2 * weights;
                // What the clean-up adds to a rewrite is not predicted: it may make legal what was refused.
                if legal.contains(&(Arc::as_ptr(candidate) as usize)) {
                    assert!(fits, "{name}: {:?}", state.rules().rule(candidate.found.rule).name);
                } else {
                    refused += 1;
                }
                state.undo(saved);
            }
        });
        if name == "resnext_stage" {
            assert!(refused > 0, "some candidates of {name} are refused");
        }
    }
}

/// The class of a node at a radius, written out.
struct Naive<'a> {
    plain: &'a Plain,
    table: &'a Neighbourhoods,
    known: HashMap<(usize, usize), String>,
}

impl Naive<'_> {
    fn node(&mut self, at: usize, radius: usize) -> String {
        if let Some(known) = self.known.get(&(at, radius)) {
            return known.clone();
        }
        let text = if radius == 0 {
            let base = self.table.base(self.plain.nodes[at]);
            format!("{} {:?}", base.operator, base.features.map(f32::to_bits))
        } else {
            let before = self.node(at, radius - 1);
            let edges = |naive: &mut Self, is_mine: &dyn Fn(usize) -> bool| {
                let mine: Vec<usize> = (0..naive.plain.edges.len()).filter(|e| is_mine(*e)).collect();
                let mut texts: Vec<String> = mine.into_iter().map(|e| naive.edge(e, radius)).collect();
                texts.sort();
                texts.join(", ")
            };
            let plain = self.plain;
            let incoming = edges(self, &|e| plain.edges[e].to as usize == at);
            let outgoing = edges(self, &|e| plain.edges[e].from as usize == at);
            format!("{before} [{incoming}] [{outgoing}]")
        };
        // Of long texts the hash: they grow with the third power of the radius.
        let text = blake3::hash(text.as_bytes()).to_hex().to_string();
        self.known.insert((at, radius), text.clone());
        text
    }

    fn edge(&mut self, at: usize, radius: usize) -> String {
        let edge = self.plain.edges[at];
        if radius == 0 {
            return format!("{:?}", self.table.edge_base(edge.class).map(f32::to_bits));
        }
        let (from, to) = (edge.from as usize, edge.to as usize);
        format!("{} {} {}", self.edge(at, radius - 1), self.node(from, radius - 1), self.node(to, radius - 1))
    }
}

#[test]
fn classes_are_equal_where_neighbourhoods_are() {
    let costs = costs();
    let mut table = Neighbourhoods::new(2);
    let mut seen: Vec<Observation> = Vec::new();
    for (name, sizes) in
        [("nasrnn_4", vec![("steps", 2)]), ("attention_heads", vec![("heads", 2)]), ("lora_mlp", vec![])]
    {
        let task = Arc::new(Task::new(&model(name, &sizes), rules(), &costs));
        let mut env = Env::new(task, EnvSettings { plain: true, ..EnvSettings::default() });
        walk(&mut env, 5, 4, |env| seen.push(env.observe(&mut table)));
    }
    let (mut by_class, mut by_text) = (HashMap::<ClassId, String>::new(), HashMap::<String, ClassId>::new());
    let mut shared = 0;
    for observation in &seen {
        let plain = observation.plain.as_ref().unwrap();
        let mut naive = Naive { plain, table: &table, known: HashMap::new() };
        for (at, class) in observation.nodes.iter().enumerate() {
            let text = naive.node(at, 2);
            shared += usize::from(by_class.contains_key(class));
            assert_eq!(by_class.entry(*class).or_insert_with(|| text.clone()), &text);
            assert_eq!(by_text.entry(text).or_insert(*class), class);
        }
    }
    assert!(by_class.len() > 50 && shared > 50, "{} classes, {shared} nodes share one", by_class.len());
}

#[test]
fn an_edit_changes_no_class_that_is_further_away() {
    let costs = costs();
    for (name, rounds) in [("bert_2_layers", 1), ("inception_pair", 2), ("nasrnn_4", 3)] {
        let task = Arc::new(Task::new(&model(name, &[]), rules(), &costs));
        let mut env = Env::new(task, EnvSettings { horizon: 1000, ..EnvSettings::default() });
        let mut table = Neighbourhoods::new(rounds);
        let mut before: Option<(Graph, BTreeMap<NodeId, ClassId>)> = None;
        let mut kept = 0;
        walk(&mut env, 9, 30, |env| {
            let observation = env.observe(&mut table);
            let now: BTreeMap<NodeId, ClassId> = env.graph().node_ids().zip(observation.nodes).collect();
            if let Some((old, classes)) = &before {
                let new = env.graph();
                let is_edited = |id: &NodeId| match (old.get(*id), new.get(*id)) {
                    (Some(a), Some(b)) => {
                        let same_users =
                            old.users(*id) == new.users(*id) && old.feeds_output(*id) == new.feeds_output(*id);
                        a.op != b.op || a.inputs != b.inputs || !same_users
                    }
                    _ => true,
                };
                let all: BTreeSet<NodeId> = old.node_ids().chain(new.node_ids()).collect();
                let mut near: BTreeSet<NodeId> = all.iter().copied().filter(is_edited).collect();
                for _ in 0..rounds {
                    let around = |g: &Graph, id: NodeId| -> Vec<NodeId> {
                        let Some(node) = g.get(id) else { return Vec::new() };
                        let operands = node.inputs.iter().flatten().map(|v| v.node);
                        operands.chain(g.users(id).into_iter().map(|user| user.node)).collect()
                    };
                    let next: Vec<NodeId> =
                        near.iter().flat_map(|id| [around(old, *id), around(new, *id)].concat()).collect();
                    near.extend(next);
                }
                for (id, class) in now.iter().filter(|(id, _)| !near.contains(id)) {
                    assert_eq!(classes.get(id), Some(class), "{name}: node {}", id.index());
                    kept += 1;
                }
            }
            before = Some((env.graph().clone(), now));
        });
        assert!(kept > 100, "{name}: {kept} nodes were far from an edit");
    }
}

/// A walk that goes up and down.
const WALK: u64 = 1;

/// Rewards of a fixed walk under an objective, with the states on the way, the start included.
fn rewards<'a>(
    task: &Arc<Task<'a>>,
    settings: EnvSettings,
    measured: Option<Arc<AtomicUsize>>,
) -> (Vec<f64>, Vec<State<'a>>) {
    let mut env = Env::new(task.clone(), EnvSettings { horizon: 7, ..settings });
    if let Some(calls) = measured {
        env.measure_with(Box::new(move |graph| {
            calls.fetch_add(1, Ordering::Relaxed);
            // Anything will do that differs from the estimate.
            1000.0 + graph.state_hash() as u8 as f64
        }));
    }
    // An episode before it must leave no trace.
    walk(&mut env, 3, 4, |_| ());
    env.reset();
    let (mut rewards, mut states) = (Vec::new(), vec![env.state().clone()]);
    for at in 0..7 {
        let n = env.candidates() as u64;
        let step = env.step(Action::Apply((splitmix64(WALK, at) % n) as usize));
        assert_eq!(step.terminated, at == 6, "the horizon is a termination");
        rewards.push(step.reward);
        states.push(env.state().clone());
    }
    (rewards, states)
}

#[test]
fn objectives_are_as_their_formulas_say() {
    let costs = costs();
    let task = Arc::new(Task::new(&model("inception_pair", &[]), rules(), &costs));
    let with = |objective: Objective| EnvSettings { objective, ..EnvSettings::default() };
    let close = |a: &[f64], b: &[f64]| {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}")
    };
    let (log_best, states) = rewards(&task, with(Objective::LogBest), None);
    let time: Vec<f64> = states.iter().map(State::total_us).collect();
    let best: Vec<f64> = (0..time.len()).map(|t| time[..=t].iter().copied().fold(f64::INFINITY, f64::min)).collect();
    assert!(best[7] < time[0] && time.windows(2).any(|w| w[1] > w[0]), "the walk goes up and down");
    let steps = |f: &dyn Fn(usize) -> f64| (1..time.len()).map(f).collect::<Vec<f64>>();
    close(&log_best, &steps(&|t| (best[t - 1] / best[t]).ln()));
    let (difference, _) = rewards(&task, with(Objective::Difference), None);
    close(&difference, &steps(&|t| (time[t - 1] - time[t]) / time[0]));
    let (terminal, _) = rewards(&task, with(Objective::Terminal), None);
    close(&terminal, &steps(&|t| if t == 7 { (time[0] / best[7]).ln() } else { 0.0 }));
    // Time, memory, launches.
    let vector = |state: &State<'_>| {
        let cost = cost::graph_cost(&costs, state.graph());
        [cost.time_us, runtime::peak_memory(state.graph(), &BTreeMap::new()).bytes as f64, cost.launches]
    };
    let vectors: Vec<[f64; 3]> = states.iter().map(vector).collect();
    let weights = [0.5, 2.0, 0.25];
    let (weighted, _) = rewards(&task, with(Objective::Weighted { time: 0.5, memory: 2.0, launches: 0.25 }), None);
    let part = |t: usize, at: usize| weights[at] * (vectors[t - 1][at] - vectors[t][at]) / vectors[0][at];
    close(&weighted, &steps(&|t| part(t, 0) + part(t, 1) + part(t, 2)));
    for (at, quantity) in [(1, Quantity::Memory), (2, Quantity::Launches)] {
        let least = |t: usize| vectors[..=t].iter().map(|v| v[at]).fold(f64::INFINITY, f64::min);
        let (of_quantity, _) = rewards(&task, with(quantity.objective()), None);
        close(&of_quantity, &steps(&|t| (least(t - 1) / least(t)).ln()));
        assert_eq!(task.start(quantity), vectors[0][at]);
    }
    // Measured after 3, 6, and at the end.
    let calls = Arc::new(AtomicUsize::new(0));
    let (measured, _) = rewards(&task, with(Objective::Measured { every: 3 }), Some(calls.clone()));
    let us = |t: usize| 1000.0 + states[t].graph().state_hash() as u8 as f64;
    let mut least = us(0);
    let expected = steps(&|_| 0.0).into_iter().enumerate().map(|(at, zero)| match at + 1 {
        t @ (3 | 6 | 7) => {
            let before = least;
            least = least.min(us(t));
            (before / least).ln()
        }
        _ => zero,
    });
    close(&measured, &expected.collect::<Vec<f64>>());
    assert!(calls.load(Ordering::Relaxed) <= 6, "the start is measured once, though two episodes began there");
    // A potential changes no return, a cost of steps does.
    let shaped = EnvSettings { shaping: 0.7, ..EnvSettings::default() };
    let phi = |t: usize| if t == 7 { 0.0 } else { 0.7 * (time[0] / time[t]).ln() };
    close(&rewards(&task, shaped, None).0, &steps(&|t| log_best[t - 1] + phi(t) - phi(t - 1)));
    let discounted = EnvSettings { shaping: 0.7, gamma: 0.9, ..EnvSettings::default() };
    close(&rewards(&task, discounted, None).0, &steps(&|t| log_best[t - 1] + 0.9 * phi(t) - phi(t - 1)));
    let dear = EnvSettings { step_cost: 0.01, ..EnvSettings::default() };
    close(&rewards(&task, dear, None).0, &steps(&|t| log_best[t - 1] - 0.01));
}

#[test]
fn one_action_reaches_all_equivalent_places() {
    let costs = costs();
    let task = Arc::new(Task::new(&model("bert_2_layers", &[]), rules(), &costs));
    let all = EnvSettings { reach: Reach::All, ..EnvSettings::default() };
    let mut table = Neighbourhoods::new(1);
    let (mut wide, mut one) = (Env::new(task.clone(), all), Env::new(task, EnvSettings::default()));
    let seen = wide.observe(&mut table).candidates;
    // Two layers: what is in one is in the other, too.
    let equivalent = |at: usize| 64f32.powf(seen.features[at][5]).round() as usize;
    let twice: Vec<usize> = (0..seen.len()).filter(|at| equivalent(*at) >= 2).collect();
    assert!(twice.len() > 10);
    let mut reached = 0;
    for at in twice {
        let candidate = wide.candidate(at).clone();
        let step = wide.step(Action::Apply(at));
        assert_eq!(step.info.steps, 1);
        // The same, one after another: gains add up as long as the places are apart.
        one.step(Action::Apply(at));
        let single = one.info().cost_us - one.info().start_us;
        let ratio = (step.info.cost_us - step.info.start_us) / single;
        if single.abs() > 1e-3 && ratio > 1.5 {
            assert!(
                (ratio - ratio.round()).abs() < 1e-6,
                "{}: {ratio}",
                wide.task().rules().rule(candidate.found.rule).name
            );
            assert!(ratio.round() as usize <= equivalent(at));
            reached += 1;
        }
        wide.graph().validate().unwrap();
        wide.reset();
        one.reset();
        assert_eq!(wide.graph().state_hash(), one.graph().state_hash());
    }
    assert!(reached > 3, "{reached}");
}
