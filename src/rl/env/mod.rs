//! The environment: a graph under rewriting, one rewrite an action.
//!
//! A state is a graph, how many rewrites are left, and the cheapest cost so far; an action is a legal candidate of the latest
//! observation, or to stop. The horizon is a termination, which the observation tells of; nothing is ever truncated here.
//! There is no table of states met before: legality, reward and termination depend on the episode alone.
//!
//! A step costs what the edit touches: matches, costs, features and classes of neighbourhoods are kept, and made anew where
//! an edit reached. What is read whole are plain lists, one number or so for a node or a candidate.

mod books;
mod objective;
mod order;
mod rows;
#[cfg(test)]
mod rule_tests;
mod sites;
#[cfg(test)]
pub(super) mod tests;

pub use objective::{Objective, Quantity};

use std::sync::Arc;

use crate::cost::CostModel;
use crate::graph::{Changes, Graph, NodeId};
use crate::rewrite::{Candidate, RuleSet, clean_up};
use crate::search::{Reach, Saved, State, Step as Described};

use self::books::Books;
use self::objective::{Ledger, Moment, Transition};
use self::order::Order;
use self::rows::Rows;
use self::sites::{Legal, Scale, Site, Sites};
use crate::rl::features::{self, MIN_CHANGE_US, Whole};
use crate::rl::neighbourhood::{Classes, Labels, Neighbourhoods};
use crate::rl::observation::{Candidates, Observation, Plain};

/// What there is to do: a graph to rewrite, with all that is prepared once for any number of environments.
pub struct Task<'a> {
    root: State<'a>,
    books: Books,
    order: Order,
    rows: Rows,
    sites: Sites,
}

impl<'a> Task<'a> {
    /// The task of making a graph cheaper. The graph is cleaned up first.
    pub fn new(graph: &Graph, rules: Arc<RuleSet>, model: &'a dyn CostModel) -> Task<'a> {
        let mut graph = graph.clone();
        graph.commit();
        clean_up(&mut graph);
        graph.commit();
        let root = State::new(graph, rules, model);
        let books = Books::new(root.graph());
        let order = Order::new(root.graph());
        let ids: Vec<NodeId> = root.graph().node_ids().collect();
        let mut rows = Rows::default();
        rows.renew(&root, root.total_us(), &ids, &mut Vec::new());
        let mut sites = Sites::new(Scale { start_us: root.total_us(), weight_bytes: books.weight_bytes });
        for &id in &ids {
            sites.renew(&root, &books, &rows, id);
        }
        Task { root, books, order, rows, sites }
    }

    /// The graph at the start.
    pub fn graph(&self) -> &Graph {
        self.root.graph()
    }

    /// The rules.
    pub fn rules(&self) -> &Arc<RuleSet> {
        self.root.rules()
    }

    /// What estimates the costs.
    pub fn model(&self) -> &'a dyn CostModel {
        self.root.model()
    }

    /// Estimated time at the start, in microseconds.
    pub fn start_us(&self) -> f64 {
        self.root.total_us()
    }
}

/// Settings of an environment.
#[derive(Clone, PartialEq, Debug)]
pub struct EnvSettings {
    /// Actions of an episode at most; the observation says how many are left.
    pub horizon: usize,
    /// What is rewarded.
    pub objective: Objective,
    /// Discount: it matters to shaping only.
    pub gamma: f64,
    /// Weight of the potential `log(initial / current cost)`; 0 is no shaping.
    pub shaping: f64,
    /// Subtracted from the reward of each rewrite: part of the objective.
    pub step_cost: f64,
    /// How far one action reaches.
    pub reach: Reach,
    /// Whether observations hold the graph itself.
    pub plain: bool,
}

impl Default for EnvSettings {
    fn default() -> EnvSettings {
        EnvSettings {
            horizon: 64,
            objective: Objective::LogBest,
            gamma: 1.0,
            shaping: 0.0,
            step_cost: 0.0,
            reach: Reach::One,
            plain: false,
        }
    }
}

/// What an agent may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// End the episode.
    Stop,
    /// Apply the candidate at this position of the latest observation.
    Apply(usize),
}

/// What came of an action.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Step {
    /// The reward.
    pub reward: f64,
    /// Whether the episode is over: stopped, or at its horizon.
    pub terminated: bool,
    /// Always false: whoever cuts an episode short says so.
    pub truncated: bool,
    /// How things stand.
    pub info: Info,
}

/// How an episode stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Info {
    /// Estimated time at the start, in microseconds.
    pub start_us: f64,
    /// Estimated time now.
    pub cost_us: f64,
    /// Least estimated time of the episode.
    pub best_us: f64,
    /// Actions so far, without the one to stop.
    pub steps: usize,
}

/// The best graph of an episode.
#[derive(Clone, Debug)]
pub struct Best {
    /// The graph.
    pub graph: Graph,
    /// Its estimated time in microseconds.
    pub cost_us: f64,
    /// The actions that lead to it.
    pub actions: Vec<usize>,
    /// The rewrites that lead to it, for reports.
    pub rewrites: Vec<Described>,
}

/// A rewrite of the episode, with what undoes it.
struct Applied {
    candidate: Arc<Candidate>,
    saved: Saved,
}

/// An environment.
pub struct Env<'a> {
    task: Arc<Task<'a>>,
    settings: EnvSettings,
    state: State<'a>,
    books: Books,
    order: Order,
    rows: Rows,
    sites: Sites,
    path: Vec<Applied>,
    /// The actions taken, and after each the number of rewrites.
    actions: Vec<(usize, usize)>,
    /// How many of the actions lead to the best graph.
    best_actions: usize,
    best_us: f64,
    ledger: Ledger<'a>,
    over: bool,
    /// Nodes whose features are to be made anew.
    edited: Vec<NodeId>,
    /// Nodes whose candidates are to be made anew.
    renewed: Vec<NodeId>,
    /// Nodes whose features or candidates are not those of the root.
    strayed: Vec<NodeId>,
    legal: Vec<Legal>,
    /// Whether features and candidates are those of the state.
    current: bool,
    labels: Option<Labels>,
    /// Those of the root.
    root_labels: Option<Labels>,
    buffers: Buffers,
}

/// Memory used again and again.
#[derive(Default)]
struct Buffers {
    position: Vec<u32>,
    counts: Vec<u32>,
    /// Nodes that have other features than before.
    other: Vec<NodeId>,
}

impl<'a> Env<'a> {
    /// An environment at the start of an episode.
    pub fn new(task: Arc<Task<'a>>, settings: EnvSettings) -> Env<'a> {
        let ledger = Ledger::new(&settings.objective, &task.root);
        Env {
            state: task.root.clone(),
            books: task.books.clone(),
            order: task.order.clone(),
            rows: task.rows.clone(),
            sites: task.sites.clone(),
            path: Vec::new(),
            actions: Vec::new(),
            best_actions: 0,
            best_us: task.start_us(),
            ledger,
            over: false,
            edited: Vec::new(),
            renewed: Vec::new(),
            strayed: Vec::new(),
            legal: Vec::new(),
            current: false,
            labels: None,
            root_labels: None,
            buffers: Buffers::default(),
            settings,
            task,
        }
    }

    /// Measures graphs end to end, for [`Objective::Measured`]: called with a graph, it returns microseconds. What was
    /// measured once is kept by state hash. Without it the estimate is taken.
    pub fn measure_with(&mut self, measure: Box<dyn FnMut(&Graph) -> f64 + Send + 'a>) {
        self.ledger.measure_with(measure);
    }

    /// An environment of another task at the start of an episode, which measures as this one does.
    pub(super) fn with_task(&mut self, task: Arc<Task<'a>>, settings: EnvSettings) -> Env<'a> {
        let mut env = Env::new(task, settings);
        env.ledger.take_measure(&mut self.ledger);
        env
    }

    /// The task.
    pub fn task(&self) -> &Arc<Task<'a>> {
        &self.task
    }

    /// The settings.
    pub fn settings(&self) -> &EnvSettings {
        &self.settings
    }

    /// The graph now.
    pub fn graph(&self) -> &Graph {
        self.state.graph()
    }

    /// How the episode stands.
    pub fn info(&self) -> Info {
        Info {
            start_us: self.task.start_us(),
            cost_us: self.state.total_us(),
            best_us: self.best_us,
            steps: self.actions.len(),
        }
    }

    /// Whether the episode is over.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Begins another episode.
    pub fn reset(&mut self) {
        let root = &self.task.root;
        while let Some(Applied { saved, .. }) = self.path.pop() {
            if self.root_labels.is_none()
                && let Some(labels) = &mut self.labels
            {
                labels.edit(self.state.graph(), &saved.changes);
            }
            self.state.undo(saved);
        }
        debug_assert!(self.state.graph().len() == root.graph().len(), "undoing leads to the root");
        if let (Some(labels), Some(root)) = (&mut self.labels, &self.root_labels) {
            labels.clone_from(root);
        }
        self.books.clone_from(&self.task.books);
        self.order.clone_from(&self.task.order);
        self.strayed.append(&mut self.edited);
        self.strayed.append(&mut self.renewed);
        self.strayed.sort_unstable();
        self.strayed.dedup();
        for id in self.strayed.drain(..) {
            self.rows.take(&self.task.rows, id);
            self.sites.take(&self.task.sites, id);
        }
        self.sites.taken(&self.task.sites);
        self.actions.clear();
        self.best_actions = 0;
        self.best_us = self.task.start_us();
        self.ledger.reset();
        self.over = false;
        self.current = false;
    }

    /// Takes an action. In an episode that is over nothing happens.
    ///
    /// # Panics
    /// The position is not one of the latest observation.
    pub fn step(&mut self, action: Action) -> Step {
        if self.over {
            return Step { reward: 0.0, terminated: true, truncated: false, info: self.info() };
        }
        let (before_us, best_before_us) = (self.state.total_us(), self.best_us);
        if let Action::Apply(position) = action {
            self.look();
            let legal = self.legal[position];
            match self.settings.reach {
                Reach::One => self.apply(self.sites.at(legal).candidate.clone()),
                Reach::All => self.apply_all(legal),
            }
            self.actions.push((position, self.path.len()));
        }
        self.over = action == Action::Stop || self.actions.len() >= self.settings.horizon;
        let moment = Moment {
            root: &self.task.root,
            state: &self.state,
            steps: self.actions.len(),
            over: self.over,
            before_us,
            best_before_us,
        };
        let Transition { mut reward, is_best } = self.ledger.transition(&moment);
        if is_best {
            self.best_actions = self.actions.len();
        }
        self.best_us = self.best_us.min(self.state.total_us());
        if action != Action::Stop {
            reward -= self.settings.step_cost;
        }
        reward += self.shaping(before_us);
        Step { reward, terminated: self.over, truncated: false, info: self.info() }
    }

    /// `gamma Phi(s') - Phi(s)`, where the potential of an ended episode is 0.
    fn shaping(&self, before_us: f64) -> f64 {
        let start_us = self.task.start_us();
        if self.settings.shaping == 0.0 || start_us <= 0.0 {
            return 0.0;
        }
        let potential = |cost_us: f64| self.settings.shaping * (start_us / cost_us.max(f64::MIN_POSITIVE)).ln();
        let after = if self.over { 0.0 } else { potential(self.state.total_us()) };
        self.settings.gamma * after - potential(before_us)
    }

    fn apply(&mut self, candidate: Arc<Candidate>) {
        let saved = self.state.apply(&candidate);
        let Changes { content, users } = &saved.changes;
        self.books.update(self.state.graph(), &saved.changes);
        self.order.update(self.state.graph(), &saved.changes);
        self.sites.note(&saved.changes);
        self.edited.extend_from_slice(content);
        self.edited.extend(users.iter().map(|(id, _)| *id));
        self.renewed.extend(self.state.renewed_since(&saved));
        if let Some(labels) = &mut self.labels {
            labels.edit(self.state.graph(), &saved.changes);
        }
        self.path.push(Applied { candidate, saved });
        self.current = false;
    }

    /// Applies the candidate and its like elsewhere.
    fn apply_all(&mut self, chosen: Legal) {
        let group = self.sites.at(chosen).group;
        let places = self.legal.iter().map(|l| (l.anchor, self.sites.at(*l)));
        let alike: Vec<(NodeId, Site)> =
            places.filter(|(_, s)| s.group == group).map(|(a, s)| (a, s.clone())).collect();
        let first = self.sites.at(chosen).candidate.clone();
        self.apply(first.clone());
        for (anchor, site) in alike {
            if Arc::ptr_eq(&site.candidate, &first) {
                continue;
            }
            self.refresh();
            let left = self.sites.of(anchor).iter().find(|s| s.candidate.found == site.candidate.found);
            let Some(left) = left.filter(|left| left.group == group) else { continue };
            let is_legal =
                self.books.allow(&self.task.books, left) && left.candidate.patch.is_acyclic(self.state.graph());
            if is_legal {
                self.apply(left.candidate.clone());
            }
        }
    }

    /// Brings features and candidates up to date.
    fn refresh(&mut self) {
        let start_us = self.task.start_us();
        let other = &mut self.buffers.other;
        other.clear();
        self.rows.renew(&self.state, start_us, &self.edited, other);
        self.strayed.append(&mut self.edited);
        for id in &self.renewed {
            self.sites.renew(&self.state, &self.books, &self.rows, *id);
        }
        self.strayed.append(&mut self.renewed);
        self.sites.renew_rest(&self.state, &self.books, &self.rows, other, &mut self.strayed);
    }

    /// Brings features, candidates and what is legal up to date. No table of classes is needed, so that many environments
    /// may do it at a time.
    pub fn look(&mut self) {
        if self.current {
            return;
        }
        self.refresh();
        self.sites.legal(&self.state, &self.books, &self.task.books, &mut self.order, &mut self.legal);
        self.current = true;
    }

    /// Number of legal rewrites.
    pub fn candidates(&mut self) -> usize {
        self.look();
        self.legal.len()
    }

    /// What may be done now, in the order of the observation's candidates.
    pub fn candidate(&mut self, position: usize) -> &Arc<Candidate> {
        self.look();
        &self.sites.at(self.legal[position]).candidate
    }

    /// What an agent sees.
    pub fn observe(&mut self, table: &mut Neighbourhoods) -> Observation {
        self.look();
        self.begin_classes(table);
        let done = self.classify(table);
        debug_assert!(done, "every class may be added");
        self.collect()
    }

    /// Forgets classes of another table or generation.
    pub(super) fn begin_classes(&mut self, table: &Neighbourhoods) {
        let is_of = |labels: &Labels| labels.generation == table.generation() && labels.rounds() == table.rounds();
        if !self.labels.as_ref().is_some_and(is_of) {
            self.labels = Some(Labels::new(self.state.graph(), table.rounds(), table.generation()));
            self.root_labels = None;
        }
    }

    /// Brings the classes up to date, as far as they are known or may be added; whether all are.
    pub(super) fn classify(&mut self, classes: impl Classes) -> bool {
        let Some(labels) = &mut self.labels else { return false };
        let done = labels.update(self.state.graph(), &|id| self.rows.row(id), classes);
        if done && self.path.is_empty() && self.root_labels.is_none() {
            self.root_labels = Some(labels.clone());
        }
        done
    }

    /// What features are related to.
    fn whole(&self) -> Whole {
        Whole {
            start_us: self.task.start_us(),
            cost_us: self.state.total_us(),
            best_us: self.best_us,
            left: self.settings.horizon - self.actions.len(),
            horizon: self.settings.horizon,
            nodes: self.state.graph().len(),
            operators: (self.books.operators, self.task.books.most_operators()),
            weights: (self.task.books.weight_bytes, self.books.weight_bytes, self.task.books.most_weight_bytes()),
        }
    }

    /// The observation; classes and candidates are up to date.
    pub(super) fn collect(&mut self) -> Observation {
        let graph = self.state.graph();
        let Some(labels) = &self.labels else { return Observation::default() };
        let (rounds, start_us) = (labels.rounds(), self.task.start_us());
        let position = &mut self.buffers.position;
        position.clear();
        position.resize(graph.id_bound(), 0);
        let mut nodes = Vec::with_capacity(graph.len());
        let mut cost_share = Vec::with_capacity(graph.len());
        for id in graph.node_ids() {
            position[id.index()] = nodes.len() as u32;
            nodes.push(labels.node(id, rounds));
            cost_share.push(if start_us > 0.0 { (self.state.node_us(id) / start_us) as f32 } else { 0.0 });
        }
        let plain = self.settings.plain.then(|| Plain {
            nodes: graph.node_ids().map(|id| labels.node(id, 0)).collect(),
            edges: graph.node_ids().flat_map(|id| labels.plain_edges(graph, id, position)).collect(),
        });
        let whole = self.whole();
        let candidates = collect_candidates(&self.legal, &self.sites, &whole, &mut self.buffers);
        let globals = features::globals(&whole, self.legal.len());
        Observation { nodes, cost_share, plain, globals, candidates }
    }

    /// The state.
    #[cfg(test)]
    pub(super) fn state(&self) -> &State<'a> {
        &self.state
    }

    /// The same environment with everything that is kept made anew: what tests compare with.
    #[cfg(test)]
    pub(super) fn without_memory(&self) -> Env<'a> {
        let mut fresh = Env::new(self.task.clone(), self.settings.clone());
        let Env { state, actions, best_us, over, .. } = self;
        let ids: Vec<NodeId> = state.graph().node_ids().collect();
        (fresh.state, fresh.actions, fresh.best_us, fresh.over) = (state.clone(), actions.clone(), *best_us, *over);
        (fresh.books, fresh.order) = (Books::new(state.graph()), Order::new(state.graph()));
        let scale = Scale { start_us: self.task.start_us(), weight_bytes: self.task.books.weight_bytes };
        (fresh.rows, fresh.sites) = (Rows::default(), Sites::new(scale));
        fresh.rows.renew(state, self.task.start_us(), &ids, &mut Vec::new());
        ids.iter().for_each(|id| fresh.sites.renew(state, &fresh.books, &fresh.rows, *id));
        fresh
    }

    /// The rewrites that lead to the best graph of the episode: each is a candidate of the state before it.
    pub fn best_candidates(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        let rewrites = self.actions[..self.best_actions].last().map_or(0, |(_, rewrites)| *rewrites);
        self.path[..rewrites].iter().map(|applied| &applied.candidate)
    }

    /// Positions of the candidates that lead to the best graph of the episode.
    pub fn best_actions(&self) -> Vec<usize> {
        self.actions[..self.best_actions].iter().map(|(position, _)| *position).collect()
    }

    /// The best graph of the episode: the cheapest by estimate, or by measurement where that is the objective.
    pub fn best(&self) -> Best {
        let mut state = self.task.root.clone();
        let mut described = Vec::new();
        for candidate in self.best_candidates() {
            described.push(state.describe(candidate));
            state.apply(candidate);
        }
        let actions = self.best_actions();
        Best { cost_us: state.total_us(), graph: state.into_graph(), actions, rewrites: described }
    }
}

/// The candidates as an agent sees them.
fn collect_candidates(legal: &[Legal], sites: &Sites, whole: &Whole, buffers: &mut Buffers) -> Candidates {
    let Buffers { position, counts, .. } = buffers;
    counts.clear();
    counts.resize(sites.groups(), 0);
    legal.iter().for_each(|l| counts[sites.at(*l).group as usize] += 1);
    let mut seen = Candidates {
        rules: Vec::with_capacity(legal.len()),
        features: Vec::with_capacity(legal.len()),
        starts: Vec::with_capacity(legal.len() + 1),
        touched: Vec::with_capacity(6 * legal.len()),
    };
    seen.starts.push(0);
    for l in legal {
        let site = sites.at(*l);
        seen.rules.push(site.candidate.found.rule);
        let mut own = site.features;
        own[5] = features::equivalent(counts[site.group as usize]);
        own[7] = features::earns(site.candidate.score, whole);
        seen.features.push(own);
        seen.touched.extend(site.touched.iter().map(|id| position[id.index()]));
        seen.starts.push(seen.touched.len() as u32);
    }
    seen
}

/// Whether a cost is below another by more than noise.
pub(super) fn is_less(us: f64, than_us: f64) -> bool {
    us < than_us - MIN_CHANGE_US
}
