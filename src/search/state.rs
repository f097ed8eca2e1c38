//! A graph under search: its matches and its cost, kept current, with undo.

use std::sync::Arc;

use crate::cost::{self, CostModel};
use crate::graph::{Changes, Graph, NodeId};
use crate::rewrite::{Candidate, CleanUp, Index, IndexMark, Patch, RuleSet, Scorer};

use super::Step;

/// Scores a patch by the change in time that the cost model predicts, in microseconds.
struct PredictedChange<'a>(&'a dyn CostModel);

impl Scorer for PredictedChange<'_> {
    fn score(&self, graph: &Graph, patch: &Patch) -> Option<f64> {
        Some(cost::predicted_change(self.0, graph, patch))
    }
}

/// A graph with its index of matches and its cost.
#[derive(Clone)]
pub struct State<'a> {
    graph: Graph,
    index: Index,
    model: &'a dyn CostModel,
    costs: Vec<f64>,
    total_us: f64,
}

/// What an application needs to be undone.
#[derive(Debug)]
pub struct Saved {
    mark: IndexMark,
    costs: Vec<(NodeId, f64)>,
    total_us: f64,
    /// What the clean-up after the rewrite did.
    pub clean_up: CleanUp,
    /// What rewrite and clean-up changed.
    pub changes: Changes,
}

impl<'a> State<'a> {
    /// The state of a clean graph.
    pub fn new(graph: Graph, rules: Arc<RuleSet>, model: &'a dyn CostModel) -> State<'a> {
        let index = Index::new(&graph, rules, &PredictedChange(model));
        let mut state = State { graph, index, model, costs: Vec::new(), total_us: 0.0 };
        state.costs.resize(state.graph.id_bound(), 0.0);
        let ids: Vec<NodeId> = state.graph.node_ids().collect();
        for id in ids {
            let time = cost::node_cost(model, &state.graph, id).time_us;
            state.costs[id.index()] = time;
            state.total_us += time;
        }
        state
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its estimated time in microseconds.
    pub fn total_us(&self) -> f64 {
        self.total_us
    }

    /// Estimated time of a node in microseconds.
    pub fn node_us(&self, id: NodeId) -> f64 {
        self.costs[id.index()]
    }

    /// All candidates, scored by predicted change in microseconds.
    pub fn candidates(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        self.index.candidates()
    }

    /// The candidates anchored at a node.
    pub fn candidates_at(&self, id: NodeId) -> impl Iterator<Item = &Arc<Candidate>> {
        self.index.candidates_at(id)
    }

    /// Nodes whose candidates may have changed since an application.
    pub fn renewed_since(&self, saved: &Saved) -> impl Iterator<Item = NodeId> {
        self.index.renewed_since(saved.mark)
    }

    /// The rules.
    pub fn rules(&self) -> &Arc<RuleSet> {
        self.index.rules()
    }

    /// What estimates the costs.
    pub fn model(&self) -> &'a dyn CostModel {
        self.model
    }

    /// Applies a candidate.
    pub fn apply(&mut self, candidate: &Candidate) -> Saved {
        let applied = self.index.apply(&mut self.graph, &candidate.patch, &PredictedChange(self.model));
        let total_us = self.total_us;
        let mut costs = Vec::new();
        self.costs.resize(self.costs.len().max(self.graph.id_bound()), 0.0);
        for &id in &applied.changes.content {
            let now = if self.graph.contains(id) { cost::node_cost(self.model, &self.graph, id).time_us } else { 0.0 };
            let before = std::mem::replace(&mut self.costs[id.index()], now);
            costs.push((id, before));
            self.total_us += now - before;
        }
        Saved { mark: applied.before, costs, total_us, clean_up: applied.clean_up, changes: applied.changes }
    }

    /// Undoes the latest application that is not undone.
    pub fn undo(&mut self, saved: Saved) {
        self.index.undo_to(&mut self.graph, saved.mark);
        for (id, before) in saved.costs {
            self.costs[id.index()] = before;
        }
        self.total_us = saved.total_us;
    }

    /// What applying a candidate would be called in a report.
    pub fn describe(&self, candidate: &Candidate) -> Step {
        let name = |id: NodeId| {
            let node = self.graph.node(id);
            let value = node.outputs.iter().map(|o| &o.name).find(|n| !n.is_empty());
            if node.name.is_empty() { value.map(|n| n.to_string()) } else { Some(node.name.to_string()) }
        };
        let nodes = candidate.found.nodes().filter_map(name).collect();
        Step { rule: self.index.rules().rule(candidate.found.rule).name.clone(), nodes }
    }

    /// Gives the graph away.
    pub fn into_graph(mut self) -> Graph {
        self.graph.commit();
        self.graph
    }
}
