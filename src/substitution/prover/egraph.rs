//! Terms as nodes of an e-graph, and matching of axioms in it.

use std::collections::{BTreeMap, HashMap};

use egg::{Analysis, DidMerge, EGraph, ENodeOrVar, Id, Language, RecExpr, Subst, Var};

use crate::graph::OpKind;
use crate::substitution::proof::pattern::{
    Apply, AttrValue, Binding, Pattern, PatternOp, attr_value, instantiate, match_head, own_operand,
};
use crate::substitution::proof::term::{Head, SymVal, TermId, World};

/// A node: a head by its number, on e-classes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ENode {
    pub head: u32,
    pub args: Vec<Id>,
}

impl Language for ENode {
    type Discriminant = u32;

    fn discriminant(&self) -> u32 {
        self.head
    }

    fn matches(&self, other: &ENode) -> bool {
        self.head == other.head && self.args.len() == other.args.len()
    }

    fn children(&self) -> &[Id] {
        &self.args
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.args
    }
}

/// Heads by number, and terms that stand for e-classes.
pub(super) struct Terms {
    pub world: World,
    pub heads: Vec<Head>,
    numbers: HashMap<Head, u32>,
}

impl Terms {
    pub fn new(world: World) -> Terms {
        Terms { world, heads: Vec::new(), numbers: HashMap::new() }
    }

    pub fn number(&mut self, head: &Head) -> u32 {
        if let Some(number) = self.numbers.get(head) {
            return *number;
        }
        let number = u32::try_from(self.heads.len()).expect("fewer than 2^32 heads");
        self.heads.push(head.clone());
        self.numbers.insert(head.clone(), number);
        number
    }
}

/// The data of an e-class is a term of it: one of the rule's own sides if there is one, else the first.
impl Analysis<ENode> for Terms {
    type Data = TermId;

    fn make(graph: &mut Graph, node: &ENode, _: Id) -> TermId {
        let args: Vec<TermId> = node.args.iter().map(|id| graph[*id].data).collect();
        let head = graph.analysis.heads[node.head as usize].clone();
        graph.analysis.world.apply_head(&head, args, None)
    }

    fn merge(&mut self, a: &mut TermId, b: TermId) -> DidMerge {
        let rank = |id: TermId| (!self.world.is_granted(id), self.world.shape(id).known_rank().is_none(), id);
        let (left, right) = (rank(*a), rank(b));
        if right < left {
            *a = b;
            DidMerge(true, false)
        } else {
            DidMerge(false, right != left)
        }
    }
}

pub(super) type Graph = EGraph<ENode, Terms>;

/// Adds a term.
pub(super) fn add(graph: &mut Graph, term: TermId) -> Id {
    let args: Vec<TermId> = graph.analysis.world.args(term).to_vec();
    let args = args.into_iter().map(|arg| add(graph, arg)).collect();
    let head = graph.analysis.world.head(term).clone();
    let head = graph.analysis.number(&head);
    graph.add_uncanonical(ENode { head, args })
}

/// A term as an expression.
pub(super) fn expression(graph: &mut Graph, term: TermId) -> RecExpr<ENode> {
    fn push(graph: &mut Graph, term: TermId, out: &mut RecExpr<ENode>) -> Id {
        let args: Vec<TermId> = graph.analysis.world.args(term).to_vec();
        let args = args.into_iter().map(|arg| push(graph, arg, out)).collect();
        let head = graph.analysis.world.head(term).clone();
        let head = graph.analysis.number(&head);
        out.add(ENode { head, args })
    }
    let mut out = RecExpr::default();
    push(graph, term, &mut out);
    out
}

/// A match in the making.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub classes: BTreeMap<String, Id>,
    /// Attributes and heads.
    pub binding: Binding,
    /// Computed attributes, with the values that they must have.
    pending: Vec<(AttrValue, SymVal)>,
}

/// More partial matches of one pattern at one place are dropped.
const MAX_BRANCHES: usize = 64;

/// All matches of a pattern in an e-class.
pub(super) fn matches_in(graph: &Graph, pattern: &Pattern, class: Id, found: Found) -> Vec<Found> {
    let class = graph.find(class);
    let apply = match pattern {
        Pattern::Var(name) => {
            let mut found = found;
            let known = *found.classes.entry(name.clone()).or_insert(class);
            return if graph.find(known) == class { vec![found] } else { Vec::new() };
        }
        Pattern::Apply(apply) => apply,
    };
    let mut all = Vec::new();
    for node in &graph[class].nodes {
        all.extend(matches_node(graph, apply, class, node, &found));
        if all.len() > MAX_BRANCHES {
            all.truncate(MAX_BRANCHES);
            break;
        }
    }
    all
}

fn matches_node(graph: &Graph, apply: &Apply, class: Id, node: &ENode, found: &Found) -> Vec<Found> {
    let Head::Apply(application) = &graph.analysis.heads[node.head as usize] else { return Vec::new() };
    let own = own_operand(apply, application);
    if node.args.len() != apply.args.len() + usize::from(own.is_some()) {
        return Vec::new();
    }
    if let PatternOp::Kind(kind) = &apply.op
        && *kind != application.kind
    {
        return Vec::new();
    }
    let mut start = found.clone();
    if !match_head(apply, application, &mut start.binding) {
        return Vec::new();
    }
    for ((_, pattern), (_, value)) in apply.attrs.iter().zip(&application.attrs) {
        if matches!(pattern, AttrValue::Computed(_) | AttrValue::Function(..)) {
            start.pending.push((pattern.clone(), value.clone()));
        }
    }
    if let Some(label) = &apply.label {
        start.classes.insert(label.clone(), class);
    }
    if let (Some(name), Some(last)) = (own, node.args.last()) {
        let last = graph.find(*last);
        let known = *start.classes.entry(name).or_insert(last);
        if graph.find(known) != last {
            return Vec::new();
        }
    }
    let mut all = vec![start];
    for (pattern, arg) in apply.args.iter().zip(&node.args) {
        all = all.into_iter().flat_map(|found| matches_in(graph, pattern, *arg, found)).take(MAX_BRANCHES).collect();
    }
    all
}

/// What a match binds, with a term for each e-class; `None` if a computed attribute has another value.
pub(super) fn bound(graph: &Graph, found: &Found) -> Option<Binding> {
    let mut binding = found.binding.clone();
    for (name, class) in &found.classes {
        binding.terms.insert(name.clone(), graph[graph.find(*class)].data);
    }
    let world = &graph.analysis.world;
    let agrees = |(pattern, value): &(AttrValue, SymVal)| match attr_value(world, pattern, &binding) {
        Some(computed) => computed.normal(&world.facts) == *value,
        // Not computable yet: something is bound by a hint later, and checked by whoever builds the side.
        None => true,
    };
    found.pending.iter().all(agrees).then_some(binding)
}

/// A side under a binding as a pattern of concrete nodes over e-classes.
pub(super) fn concrete(
    graph: &mut Graph,
    pattern: &Pattern,
    classes: &BTreeMap<String, Id>,
    binding: &mut Binding,
) -> Option<(RecExpr<ENodeOrVar<ENode>>, Subst)> {
    let mut out = RecExpr::default();
    let mut subst = Subst::default();
    let mut names: Vec<String> = Vec::new();
    push(graph, pattern, classes, binding, &mut out, &mut names)?;
    for (i, name) in names.iter().enumerate() {
        subst.insert(Var::from_u32(i as u32), *classes.get(name)?);
    }
    Some((out, subst))
}

fn push(
    graph: &mut Graph,
    pattern: &Pattern,
    classes: &BTreeMap<String, Id>,
    binding: &mut Binding,
    out: &mut RecExpr<ENodeOrVar<ENode>>,
    names: &mut Vec<String>,
) -> Option<Id> {
    match pattern {
        Pattern::Var(name) => {
            classes.get(name)?;
            let at = names.iter().position(|n| n == name).unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            });
            Some(out.add(ENodeOrVar::Var(Var::from_u32(at as u32))))
        }
        Pattern::Apply(apply) => {
            let mut args = Vec::with_capacity(apply.args.len());
            for arg in &apply.args {
                args.push(push(graph, arg, classes, binding, out, names)?);
            }
            let term = instantiate(&mut graph.analysis.world, pattern, binding)?;
            let head = graph.analysis.world.head(term).clone();
            if let Some(own) = head.application().and_then(|a| own_operand(apply, a)) {
                args.push(push(graph, &Pattern::Var(own), classes, binding, out, names)?);
            }
            let head = graph.analysis.number(&head);
            Some(out.add(ENodeOrVar::ENode(ENode { head, args })))
        }
    }
}

/// The operators of the nodes of an e-class.
pub(super) fn kinds(graph: &Graph, class: Id) -> impl Iterator<Item = OpKind> {
    graph[class].nodes.iter().filter_map(|node| match &graph.analysis.heads[node.head as usize] {
        Head::Apply(a) => Some(a.kind),
        _ => None,
    })
}
