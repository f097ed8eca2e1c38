//! Graph edits, undo and hash on small graphs; random edit sequences against from-scratch oracles.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn ty() -> Facts {
    Facts::typed(TensorType::known(DType::F32, &[2]))
}

fn apply(g: &mut Graph, kind: OpKind, inputs: &[ValueRef]) -> ValueRef {
    let constant = inputs.iter().all(|v| g.is_constant(*v));
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    let name = format!("v{}", SERIAL.fetch_add(1, Ordering::Relaxed));
    let out = Output { name: name.as_str().into(), facts: ty() };
    let inputs = inputs.iter().map(|v| Some(*v));
    ValueRef::first(g.add_node(Node::new("", Op::Apply(kind, Attrs::default()), inputs, [out], constant)))
}

/// y = relu(x) + relu(x), with the two relus as separate nodes when `twins`.
fn diamond(twins: bool) -> Graph {
    let mut g = Graph::new("diamond");
    let x = ValueRef::first(g.add_input("x", ty()));
    let a = apply(&mut g, OpKind::Relu, &[x]);
    let b = if twins { apply(&mut g, OpKind::Relu, &[x]) } else { a };
    let y = apply(&mut g, OpKind::Add, &[a, b]);
    g.add_output("y", y);
    g
}

#[test]
fn a_well_formed_graph_is_valid_and_ordered() {
    let g = diamond(true);
    assert_eq!(g.validate(), Ok(()));
    let order: Vec<usize> = g.topological().iter().map(|id| id.index()).collect();
    assert_eq!(order, [0, 1, 2, 3]);
    assert_eq!(g.operator_count(), 3);
}

#[test]
fn hash_ignores_order_and_names_but_not_structure() {
    let mut other_order = Graph::new("other");
    let x = ValueRef::first(other_order.add_input("input", ty()));
    let spare = apply(&mut other_order, OpKind::Exp, &[x]);
    let a = apply(&mut other_order, OpKind::Relu, &[x]);
    let y = apply(&mut other_order, OpKind::Add, &[a, a]);
    other_order.add_output("out", y);
    assert_eq!(diamond(false).state_hash(), other_order.state_hash(), "a dead node does not count");
    assert_ne!(diamond(false).state_hash(), diamond(true).state_hash(), "twins are not one node");
    other_order.replace_uses(a, spare);
    assert_ne!(diamond(false).state_hash(), other_order.state_hash());
}

#[test]
fn validator_names_what_is_broken() {
    let mut g = diamond(false);
    let relu = g.node_ids().nth(1).unwrap();
    let add = g.node_ids().nth(2).unwrap();
    g.set_input(Use { node: relu, slot: 0 }, Some(ValueRef::first(add)));
    assert!(matches!(g.validate(), Err(InvalidGraph::Cycle { .. })));
    let mut g = diamond(false);
    g.add_output("y", ValueRef::first(relu));
    assert!(matches!(g.validate(), Err(InvalidGraph::Output { .. })));
}

/// Everything that an undo must restore.
#[derive(PartialEq, Debug)]
struct Snapshot {
    hash: u128,
    nodes: Vec<(NodeId, Node)>,
    outputs: Vec<GraphOutput>,
    edges: Vec<(NodeId, u32, NodeId, u32)>,
}

fn snapshot(g: &Graph) -> Snapshot {
    Snapshot {
        hash: g.state_hash(),
        nodes: g.node_ids().map(|id| (id, g.node(id).clone())).collect(),
        outputs: g.outputs().to_vec(),
        edges: g.sorted_edges(),
    }
}

/// Random additions, rewirings and removals; undo must restore every detail, ids and edges included.
#[test]
fn undo_restores_exactly_whatever_was_done() {
    for seed in 0..200u64 {
        let mut draw = (0..).map(|i| splitmix64(seed, i));
        let mut pick = |n: usize| (draw.next().unwrap() % n as u64) as usize;
        let mut g = diamond(seed % 2 == 0);
        let mut marks = Vec::new();
        for _ in 0..30 {
            if pick(4) == 0 {
                marks.push((g.mark(), snapshot(&g)));
            }
            let order = g.topological();
            let some = ValueRef::first(order[pick(order.len())]);
            match pick(3) {
                0 => {
                    let other = ValueRef::first(order[pick(order.len())]);
                    let new = apply(&mut g, OpKind::Add, &[some, other]);
                    let later: Vec<Use> = g
                        .consumers(some)
                        .into_iter()
                        .filter(|u| u.node != new.node && !g.reaches(&[u.node], &[new.node]))
                        .collect();
                    later.into_iter().for_each(|u| g.set_input(u, Some(new)));
                }
                1 => {
                    let relu = apply(&mut g, OpKind::Relu, &[some]);
                    g.rename_value(relu, format!("r{}", pick(1 << 30)).as_str().into());
                }
                _ => {
                    let dead = |id: &NodeId| g.use_count(*id) == 0 && !g.feeds_output(*id) && !g.inputs().contains(id);
                    let found = g.node_ids().find(dead);
                    if let Some(id) = found {
                        g.remove_node(id);
                    }
                }
            }
            assert_eq!(g.validate(), Ok(()));
        }
        for (mark, before) in marks.into_iter().rev() {
            g.undo_to(mark);
            assert_eq!(snapshot(&g), before);
        }
    }
}
