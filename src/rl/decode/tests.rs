use std::cell::RefCell;
use std::rc::Rc;

use tch::Device;

use super::*;
use crate::cost::{DeviceProfile, Roofline};
use crate::rl::agent::AgentConfig;
use crate::rl::env::tests::{model, rules};
use crate::rl::net::encoder::EncoderConfig;
use crate::search::Budget;

fn agent() -> Agent {
    let encoder = EncoderConfig { width: 16, rounds: 2, ..EncoderConfig::default() };
    Agent::new(AgentConfig { encoder, horizon: 12, ..AgentConfig::default() }, Device::Cpu, 3)
}

/// What each way of asking reaches on a graph, with the rewrites.
fn results(agent: &Rc<RefCell<Agent>>, graph: &Graph) -> Vec<(f64, Vec<String>)> {
    let (rules, model) = (rules(), Roofline::new(DeviceProfile::cpu()));
    let budget = Budget { pops: 25, ..Budget::default() };
    let problem = Problem { graph, rules: &rules, model: &model, budget: &budget };
    let ways = [Decoding::Greedy, Decoding::Samples, Decoding::Beam { width: 3 }, Decoding::Guided];
    let run = |decoding| {
        let (found, report) = PolicySearch::shared(agent.clone(), decoding, 1).run(&problem, &mut |_| true);
        let reached_us = crate::cost::graph_cost(&model, &found).time_us;
        assert!((reached_us - report.best_us).abs() < 1e-6, "the graph is the one of the report");
        assert!(report.counts.pops <= 25 + BATCH, "{} pops", report.counts.pops);
        (report.best_us, report.applied.iter().map(|step| step.rule.clone()).collect())
    };
    ways.into_iter().map(run).collect()
}

#[test]
fn a_search_leaves_nothing_behind_in_the_agent() {
    let shared = Rc::new(RefCell::new(agent()));
    for name in ["nasrnn_4", "attention_heads", "nasrnn_4"] {
        let graph = model(name, &[]);
        let alone = results(&Rc::new(RefCell::new(agent())), &graph);
        assert_eq!(results(&shared, &graph), alone, "{name}");
    }
}

#[test]
fn a_path_turns_back_where_it_went_round_and_where_it_leads_nowhere() {
    let path: Vec<(u128, usize, u32)> = (0..PATIENCE + 3).map(|at| (at as u128, 0, 0)).collect();
    assert_eq!(turn(&path[..4], 2, 4), Some(2), "it was at graph 2 before");
    assert_eq!(turn(&path[..4], 99, 4), None);
    assert_eq!(turn(&path[..PATIENCE + 2], 99, 3), None, "one short of patience");
    assert_eq!(turn(&path, 99, 3), Some(3), "to the last gain");
    assert_eq!(turn(&path, 1, 3), Some(1), "further back where it went round");
}
