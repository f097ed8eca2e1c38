//! The engine on small graphs: what matches, what an edit makes, and that index and undo are exact under random edits.

use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::graph::{Attr, DType, Dim, Facts, Graph, OpKind, Tensor, TensorType, ValueRef, splitmix64};
use crate::ops;

/// A graph in the making, for tests.
struct Sketch {
    graph: Graph,
}

impl Sketch {
    fn new() -> Sketch {
        Sketch { graph: Graph::new("sketch") }
    }

    fn input(&mut self, name: &str, shape: &[i64]) -> ValueRef {
        ValueRef::first(self.graph.add_input(name, Facts::typed(TensorType::known(DType::F32, shape))))
    }

    fn weight(&mut self, name: &str, shape: &[u64]) -> ValueRef {
        let seed = name.bytes().fold(7, |h: u64, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let data = crate::graph::Data::Init(crate::graph::Init::Normal { seed, std: 1.0 });
        let tensor = Tensor::new(DType::F32, shape, data).unwrap();
        ValueRef::first(self.graph.add_node(crate::graph::Node::weight(name, tensor)))
    }

    fn apply(&mut self, kind: OpKind, attrs: &[(&str, Attr)], inputs: &[ValueRef], name: &str) -> ValueRef {
        let op = ops::build(kind, attrs.to_vec()).unwrap();
        let inputs = inputs.iter().map(|v| Some(*v)).collect();
        let node = ops::make_node(&self.graph, name, op, inputs, &[name.into()]).unwrap();
        ValueRef::first(self.graph.add_node(node))
    }

    fn done(mut self, outputs: &[(&str, ValueRef)]) -> Graph {
        outputs.iter().for_each(|(name, v)| self.graph.add_output(name, *v));
        self.graph.validate().unwrap();
        self.graph
    }
}

fn one(name: &str) -> Operand {
    Operand::One(name.into())
}

fn each(name: &str) -> Operand {
    Operand::Each(name.into())
}

fn input(name: &str, constant: bool, arity: Arity) -> RuleInput {
    RuleInput { name: name.into(), rank: None, dtype: DTypeClass::Float, constant, arity }
}

fn node(op: OpKind, inputs: &[Operand], output: Operand) -> RuleNode {
    RuleNode { op, inputs: inputs.to_vec(), outputs: vec![output], attrs: vec![], repeated: false }
}

fn with(mut node: RuleNode, attr: &str, value: AttrPattern) -> RuleNode {
    node.attrs.push((attr.into(), value));
    node
}

fn repeated(mut node: RuleNode) -> RuleNode {
    node.repeated = true;
    node
}

fn rule(
    name: &str,
    inputs: Vec<RuleInput>,
    source: (Vec<RuleNode>, Operand),
    target: (Vec<RuleNode>, Operand),
) -> Rule {
    let side = |(nodes, output): (Vec<RuleNode>, Operand)| RuleGraph { nodes, outputs: vec![output] };
    Rule { name: name.into(), inputs, source: side(source), target: side(target), lets: vec![], conditions: vec![] }
}

/// (x + c1) + c2 = x + (c1 + c2).
fn merge_additions() -> Rule {
    rule(
        "merge-additions",
        vec![input("x", false, Arity::One), input("c", true, Arity::One), input("d", true, Arity::One)],
        (
            vec![
                node(OpKind::Add, &[one("x"), one("c")], one("a")),
                node(OpKind::Add, &[one("a"), one("d")], one("y")),
            ],
            one("y"),
        ),
        (
            vec![
                node(OpKind::Add, &[one("c"), one("d")], one("s")),
                node(OpKind::Add, &[one("x"), one("s")], one("z")),
            ],
            one("z"),
        ),
    )
}

/// x @ w[i] for all i = split(x @ concat(w)).
fn merge_matmuls() -> Rule {
    let mut rule = rule(
        "merge-matmuls",
        vec![input("x", false, Arity::One), input("ws", true, Arity::List)],
        (vec![repeated(node(OpKind::MatMul, &[one("x"), each("ws")], each("ys")))], each("ys")),
        (
            vec![
                with(
                    node(OpKind::Concat, &[Operand::All("ws".into())], one("w")),
                    "axis",
                    AttrPattern::Literal(Attr::Int(1)),
                ),
                node(OpKind::MatMul, &[one("x"), one("w")], one("y")),
                with(
                    with(
                        node(OpKind::Split, &[one("y")], Operand::All("zs".into())),
                        "axis",
                        AttrPattern::Computed(Expr::Binary(
                            Arithmetic::Sub,
                            Box::new(Expr::Rank(one("x"))),
                            Box::new(Expr::Int(1)),
                        )),
                    ),
                    "split",
                    AttrPattern::Computed(Expr::Dim(Operand::All("ws".into()), Box::new(Expr::Int(1)))),
                ),
            ],
            Operand::All("zs".into()),
        ),
    );
    rule.conditions = vec![Condition::Compare(Comparison::Equal, Expr::Rank(each("ws")), Expr::Int(2))];
    rule
}

/// relu(a + b) for a = relu(x): neutral nonsense is not needed; relu(relu(x)) = relu(x).
fn relu_twice() -> Rule {
    rule(
        "relu-twice",
        vec![input("x", false, Arity::One)],
        (vec![node(OpKind::Relu, &[one("x")], one("a")), node(OpKind::Relu, &[one("a")], one("y"))], one("y")),
        (vec![node(OpKind::Relu, &[one("x")], one("z"))], one("z")),
    )
}

/// a + (b + c) = (a + b) + c: neutral, and its own inverse with the operands exchanged.
fn associate() -> Rule {
    rule(
        "associate",
        vec![input("a", false, Arity::One), input("b", false, Arity::One), input("c", false, Arity::One)],
        (
            vec![
                node(OpKind::Add, &[one("b"), one("c")], one("s")),
                node(OpKind::Add, &[one("a"), one("s")], one("y")),
            ],
            one("y"),
        ),
        (
            vec![
                node(OpKind::Add, &[one("a"), one("b")], one("t")),
                node(OpKind::Add, &[one("t"), one("c")], one("z")),
            ],
            one("z"),
        ),
    )
}

struct Neutral;

impl Scorer for Neutral {
    fn score(&self, _: &Graph, patch: &Patch) -> Option<f64> {
        let added = patch.nodes.iter().filter(|n| !n.constant).count();
        Some(added as f64 - patch.dead.len() as f64)
    }
}

fn index(graph: &Graph, rules: Vec<Rule>) -> Index {
    Index::new(graph, Arc::new(RuleSet::compile(rules).unwrap()), &Neutral)
}

#[test]
fn constants_of_two_additions_are_merged() {
    let mut s = Sketch::new();
    let (x, c, d) = (s.input("x", &[2, 3]), s.weight("c", &[3]), s.weight("d", &[2, 1]));
    let a = s.apply(OpKind::Add, &[], &[c, x], "a");
    let y = s.apply(OpKind::Add, &[], &[a, d], "y");
    let mut g = s.done(&[("out", y)]);
    let mut index = index(&g, vec![merge_additions()]);
    let found: Vec<_> = index.candidates().cloned().collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].score, -1.0);
    let applied = index.apply(&mut g, &found[0].patch, &Neutral);
    assert_eq!(g.validate(), Ok(()));
    assert_eq!(g.operator_count(), 1);
    assert_eq!(applied.clean_up.dead, 2);
    let output = g.outputs()[0].clone();
    assert_eq!((&*output.name, &**g.value_name(output.value)), ("out", "y"), "the value keeps its name");
    assert_eq!(index.candidates().count(), 0);
}

#[test]
fn all_siblings_are_merged_in_one_action_found_once() {
    let mut s = Sketch::new();
    let x = s.input("x", &[5, 4]);
    let mut outs = Vec::new();
    for (i, width) in [3u64, 2, 7].into_iter().enumerate() {
        let w = s.weight(&format!("w{i}"), &[4, width]);
        let y = s.apply(OpKind::MatMul, &[], &[x, w], &format!("y{i}"));
        outs.push(y);
    }
    let names = ["o0", "o1", "o2"];
    let mut g = s.done(&names.iter().copied().zip(outs).collect::<Vec<_>>());
    let mut index = index(&g, vec![merge_matmuls()]);
    let found: Vec<_> = index.candidates().cloned().collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].found.nodes().count(), 3);
    let before = g.state_hash();
    let applied = index.apply(&mut g, &found[0].patch, &Neutral);
    assert_eq!(g.validate(), Ok(()));
    assert_eq!(g.operator_count(), 2, "one product and one split");
    let widths: Vec<_> = g.outputs().iter().map(|o| g.facts(o.value).ty.clone().unwrap().shape[1].clone()).collect();
    assert_eq!(widths, [3, 2, 7].map(Dim::Known));
    index.undo_to(&mut g, applied.before);
    assert_eq!(g.state_hash(), before);
    assert_eq!(index.candidates().cloned().collect::<Vec<_>>(), found);
}

/// xs[i] @ w for all i = split(concat(xs) @ w).
fn hoist_matmuls() -> Rule {
    let mut hoist = merge_matmuls();
    hoist.inputs = vec![input("xs", false, Arity::List), input("w", true, Arity::One)];
    hoist.source = RuleGraph {
        nodes: vec![repeated(node(OpKind::MatMul, &[each("xs"), one("w")], each("ys")))],
        outputs: vec![each("ys")],
    };
    hoist.target = RuleGraph {
        nodes: vec![
            with(
                node(OpKind::Concat, &[Operand::All("xs".into())], one("x")),
                "axis",
                AttrPattern::Literal(Attr::Int(0)),
            ),
            node(OpKind::MatMul, &[one("x"), one("w")], one("y")),
            with(
                with(
                    node(OpKind::Split, &[one("y")], Operand::All("zs".into())),
                    "axis",
                    AttrPattern::Literal(Attr::Int(0)),
                ),
                "split",
                AttrPattern::Computed(Expr::Dim(Operand::All("xs".into()), Box::new(Expr::Int(0)))),
            ),
        ],
        outputs: vec![Operand::All("zs".into())],
    };
    hoist.conditions.clear();
    hoist
}

#[test]
fn merging_members_that_depend_on_one_another_makes_no_cycle() {
    // h1 = x @ w, h2 = h1 @ w: the same weight, yet one after the other.
    let mut s = Sketch::new();
    let (x, w) = (s.input("x", &[4, 4]), s.weight("w", &[4, 4]));
    let h1 = s.apply(OpKind::MatMul, &[], &[x, w], "h1");
    let h2 = s.apply(OpKind::MatMul, &[], &[h1, w], "h2");
    let mut g = s.done(&[("y", h2)]);
    let hoist = hoist_matmuls();
    let mut index = index(&g, vec![hoist]);
    let found: Vec<_> = index.candidates().cloned().collect();
    // The first product stays, since the merged one needs it: valid, and no gain (concat, product, split for one).
    assert_eq!((found.len(), found[0].score), (1, 2.0));
    index.apply(&mut g, &found[0].patch, &Neutral);
    assert_eq!(g.validate(), Ok(()));
    assert!(g.contains(h1.node));
}

#[test]
fn merging_across_a_dependence_is_refused_when_asked_for() {
    // h2 = relu(x @ w) @ w: merging would make relu depend on itself.
    let mut s = Sketch::new();
    let (x, w) = (s.input("x", &[4, 4]), s.weight("w", &[4, 4]));
    let h1 = s.apply(OpKind::MatMul, &[], &[x, w], "h1");
    let r = s.apply(OpKind::Relu, &[], &[h1], "r");
    let h2 = s.apply(OpKind::MatMul, &[], &[r, w], "h2");
    let g = s.done(&[("y", h2)]);
    let index = index(&g, vec![hoist_matmuls()]);
    let verdicts: Vec<bool> = index.candidates().map(|c| c.patch.is_acyclic(&g)).collect();
    assert_eq!(verdicts, [false]);
}

#[test]
fn an_inner_value_with_other_users_keeps_its_node() {
    let mut s = Sketch::new();
    let x = s.input("x", &[2]);
    let a = s.apply(OpKind::Relu, &[], &[x], "a");
    let y = s.apply(OpKind::Relu, &[], &[a], "y");
    let mut g = s.done(&[("a", a), ("y", y)]);
    let mut index = index(&g, vec![relu_twice()]);
    let found: Vec<_> = index.candidates().cloned().collect();
    // The target relu(x) is there already: nothing is added, y becomes another name of a.
    assert_eq!((found.len(), found[0].score), (1, -1.0));
    index.apply(&mut g, &found[0].patch, &Neutral);
    assert_eq!(g.operator_count(), 1);
    assert_eq!(g.outputs()[0].value, g.outputs()[1].value);
}

#[test]
fn clean_up_removes_what_passes_through_and_merges_twins() {
    let mut s = Sketch::new();
    let x = s.input("x", &[2, 3]);
    let i = s.apply(OpKind::Identity, &[], &[x], "i");
    let t = s.apply(OpKind::Transpose, &[("perm", Attr::ints(&[0, 1]))], &[i], "t");
    let a = s.apply(OpKind::Relu, &[], &[t], "a");
    let b = s.apply(OpKind::Relu, &[], &[x], "b");
    let y = s.apply(OpKind::Add, &[], &[a, b], "y");
    let _dead = s.apply(OpKind::Exp, &[], &[a], "e");
    let mut g = s.done(&[("y", y)]);
    let done = clean_up(&mut g);
    assert_eq!(g.validate(), Ok(()));
    assert_eq!(g.operator_count(), 2);
    assert_eq!((done.passed_through, done.merged), (2, 1));
    assert_eq!(clean_up(&mut g), CleanUp::default(), "clean stays clean");
}

/// A random graph of additions, relus, products with shared operands.
fn random_graph(seed: u64) -> Graph {
    let mut draw = (0..).map(|i| splitmix64(seed, i));
    let mut pick = |n: usize| (draw.next().unwrap() % n as u64) as usize;
    let mut s = Sketch::new();
    let mut values = vec![s.input("x", &[4, 4]), s.input("z", &[4, 4])];
    let weights: Vec<ValueRef> = (0..3).map(|i| s.weight(&format!("w{i}"), &[4, 4])).collect();
    for i in 0..14 {
        let (a, b) = (values[pick(values.len())], values[pick(values.len())]);
        let name = format!("v{i}");
        let v = match pick(4) {
            0 => s.apply(OpKind::Relu, &[], &[a], &name),
            1 => s.apply(OpKind::Add, &[], &[a, weights[pick(3)]], &name),
            2 => s.apply(OpKind::MatMul, &[], &[a, weights[pick(3)]], &name),
            _ => s.apply(OpKind::Add, &[], &[a, b], &name),
        };
        values.push(v);
    }
    let last = values.len() - 1;
    let mut g = s.done(&[("y", values[last]), ("y2", values[last - 1])]);
    clean_up(&mut g);
    g
}

#[test]
fn index_and_undo_agree_with_a_search_from_scratch_under_random_edits() {
    let rules = || vec![merge_additions(), merge_matmuls(), relu_twice(), associate()];
    let set = Arc::new(RuleSet::compile(rules()).unwrap());
    let mut applications = HashSet::new();
    for seed in 0..150 {
        let mut g = random_graph(seed);
        let mut index = Index::new(&g, set.clone(), &Neutral);
        let mut history = Vec::new();
        for turn in 0..12 {
            let candidates: Vec<_> = index.candidates().filter(|c| c.patch.is_acyclic(&g)).cloned().collect();
            if candidates.is_empty() {
                break;
            }
            let choice = &candidates[splitmix64(seed, 1000 + turn) as usize % candidates.len()];
            let before = (g.state_hash(), index.snapshot());
            applications.insert(choice.found.rule);
            let applied = index.apply(&mut g, &choice.patch, &Neutral);
            if splitmix64(seed, 2000 + turn).is_multiple_of(8) {
                index.forget_old_readers();
            }
            assert_eq!(g.validate(), Ok(()), "seed {seed} turn {turn}");
            assert_eq!(index.snapshot(), Index::new(&g, set.clone(), &Neutral).snapshot(), "seed {seed} turn {turn}");
            history.push((applied.before, before));
        }
        for (mark, (hash, snapshot)) in history.into_iter().rev() {
            index.undo_to(&mut g, mark);
            assert_eq!(g.state_hash(), hash);
            assert_eq!(index.snapshot(), snapshot);
        }
    }
    assert_eq!(applications.len(), 4, "every rule was applied somewhere");
}

#[test]
fn a_patch_learns_that_its_new_node_came_to_be_by_another_edit() {
    // u = p + relu(r) becomes p + r, which p + (r + q) = (p + r) + q would have added; p keeps its users throughout.
    let mut s = Sketch::new();
    let (x, p, q) = (s.input("x", &[4]), s.input("p", &[4]), s.input("q", &[4]));
    let r = s.apply(OpKind::Relu, &[], &[x], "r");
    let twice = s.apply(OpKind::Relu, &[], &[r], "twice");
    let u = s.apply(OpKind::Add, &[], &[p, twice], "u");
    let inner = s.apply(OpKind::Add, &[], &[r, q], "inner");
    let y = s.apply(OpKind::Add, &[], &[p, inner], "y");
    let mut g = s.done(&[("u", u), ("y", y)]);
    let set = Arc::new(RuleSet::compile([relu_twice(), associate()]).unwrap());
    let mut index = Index::new(&g, set.clone(), &Neutral);
    let before = index.snapshot();
    let added = |index: &Index| {
        let at_y = index.candidates().filter(|c| c.found.nodes().any(|id| id == y.node));
        at_y.map(|c| c.patch.nodes.len()).min()
    };
    assert_eq!(added(&index), Some(2));
    let simpler = index.candidates().find(|c| c.found.rule == 0).unwrap().clone();
    let applied = index.apply(&mut g, &simpler.patch, &Neutral);
    assert_eq!(added(&index), Some(1), "p + r is there now");
    assert_eq!(index.snapshot(), Index::new(&g, set, &Neutral).snapshot());
    index.undo_to(&mut g, applied.before);
    assert_eq!(index.snapshot(), before);
}

/// `axis` of a node, as rank(value) - 1.
fn last_axis(node: RuleNode, value: &str) -> RuleNode {
    let rank = Box::new(Expr::Rank(one(value)));
    with(node, "axis", AttrPattern::Computed(Expr::Binary(Arithmetic::Sub, rank, Box::new(Expr::Int(1)))))
}

#[test]
fn a_computed_attribute_of_a_source_speaks_of_whatever_the_match_binds() {
    // concat(softmax(x), softmax(y)) along the last axis: the axes are computed from results and from another operand.
    let softmax = |from: &str, to: &str| last_axis(node(OpKind::Softmax, &[one(from)], one(to)), "x");
    let odd = rule(
        "odd",
        vec![input("x", false, Arity::One), input("y", false, Arity::One)],
        (
            vec![
                softmax("x", "a"),
                softmax("y", "b"),
                last_axis(node(OpKind::Concat, &[one("a"), one("b")], one("z")), "z"),
            ],
            one("z"),
        ),
        (vec![last_axis(node(OpKind::Concat, &[one("x"), one("y")], one("t")), "x")], one("t")),
    );
    for (softmax_axis, concat_axis, count) in [(1, 1, 1), (0, 1, 0), (1, 0, 0)] {
        let mut s = Sketch::new();
        let (x, y) = (s.input("x", &[2, 2]), s.input("y", &[2, 2]));
        let a = s.apply(OpKind::Softmax, &[("axis", Attr::Int(1))], &[x], "a");
        let b = s.apply(OpKind::Softmax, &[("axis", Attr::Int(softmax_axis))], &[y], "b");
        let z = s.apply(OpKind::Concat, &[("axis", Attr::Int(concat_axis))], &[a, b], "z");
        let g = s.done(&[("z", z)]);
        assert_eq!(index(&g, vec![odd.clone()]).candidates().count(), count, "{softmax_axis} {concat_axis}");
    }
}

#[test]
fn members_of_a_group_are_those_whose_computed_attributes_fit() {
    let mut rule = merge_matmuls();
    rule.name = "merge-softmaxes".into();
    rule.inputs = vec![input("x", false, Arity::One)];
    rule.conditions.clear();
    rule.source = RuleGraph {
        nodes: vec![repeated(last_axis(node(OpKind::Softmax, &[one("x")], each("ys")), "x"))],
        outputs: vec![each("ys")],
    };
    rule.target = RuleGraph {
        nodes: vec![repeated(last_axis(node(OpKind::LogSoftmax, &[one("x")], each("zs")), "x"))],
        outputs: vec![each("zs")],
    };
    let mut s = Sketch::new();
    let x = s.input("x", &[2, 2, 2]);
    let axes = [2, 0, 2, 1];
    let mut names = ["p", "q", "r", "s"].into_iter();
    let results = axes.map(|axis| s.apply(OpKind::Softmax, &[("axis", Attr::Int(axis))], &[x], names.next().unwrap()));
    let g = s.done(&[("a", results[0]), ("b", results[1]), ("c", results[2]), ("d", results[3])]);
    let members: Vec<_> = index(&g, vec![rule]).candidates().map(|c| c.found.nodes().collect::<Vec<_>>()).collect();
    assert_eq!(members, [[results[0].node, results[2].node]]);
}

#[test]
fn a_rule_that_cannot_be_matched_is_refused_when_it_is_compiled() {
    let mut loose = merge_additions();
    loose.source.nodes.push(node(OpKind::Relu, &[one("c")], one("r")));
    loose.source.outputs.push(one("r"));
    loose.target.outputs.push(one("z"));
    assert!(matches!(Pattern::compile(loose), Err(RuleError::Disconnected { .. })));
    let mut unbound = merge_additions();
    unbound.target.nodes[0].inputs[0] = one("nowhere");
    assert!(matches!(Pattern::compile(unbound), Err(RuleError::Unbound { .. })));
}
