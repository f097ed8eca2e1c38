//! What a match binds: nodes, values, and attributes.

use smallvec::SmallVec;

use crate::graph::{Attr, Dim, Graph, NodeId, ValueRef};

use super::pattern::{Pattern, ValueId, VarId};

/// What a named value of a rule is bound to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Binding {
    /// Not yet.
    #[default]
    Free,
    /// A value.
    One(ValueRef),
    /// An optional operand that is left out.
    Absent,
    /// A list, as far as it is known.
    List(SmallVec<[ValueRef; 4]>),
}

/// The value of a variable or an expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Val {
    /// An integer.
    Int(Dim),
    /// A list of integers.
    List(Vec<Dim>),
    /// An attribute that is no integer.
    Attr(Attr),
}

impl Val {
    /// The value of an attribute.
    pub fn of(attr: &Attr) -> Val {
        match attr {
            Attr::Int(v) => Val::Int(Dim::Known(*v)),
            Attr::Ints(v) => Val::List(v.iter().map(|n| Dim::Known(*n)).collect()),
            Attr::Float(_) | Attr::Str(_) | Attr::Floats(_) | Attr::Strs(_) => Val::Attr(attr.clone()),
        }
    }

    /// The attribute of this value, if its integers are numbers.
    pub fn to_attr(&self) -> Option<Attr> {
        match self {
            Val::Int(d) => Some(Attr::Int(d.known()?)),
            Val::List(ds) => Some(Attr::Ints(ds.iter().map(Dim::known).collect::<Option<Vec<i64>>>()?.into())),
            Val::Attr(attr) => Some(attr.clone()),
        }
    }
}

/// A match: everything that a rule's names stand for at one place of a graph.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Match {
    /// Which rule of the rule set.
    pub rule: u32,
    /// For each node of the source, the nodes that it is bound to (several if it is repeated).
    pub(super) nodes: Vec<SmallVec<[NodeId; 1]>>,
    pub(super) values: Vec<Binding>,
    pub(super) vars: Vec<Option<Attr>>,
}

impl Match {
    /// Binds nothing of a rule, in the memory of an earlier match.
    pub(super) fn reset(&mut self, rule: u32, pattern: &Pattern) {
        self.rule = rule;
        self.nodes.clear();
        self.nodes.resize_with(pattern.source.len(), SmallVec::new);
        self.values.clear();
        self.values.resize_with(pattern.values.len(), || Binding::Free);
        self.vars.clear();
        self.vars.resize_with(pattern.vars.len(), || None);
    }

    /// The nodes of the graph that the match binds, in the order of the source.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().flatten().copied()
    }

    /// How many members the match's groups have (0 if the rule has none).
    pub(super) fn count(&self, pattern: &Pattern) -> usize {
        let lists = self.values.iter().filter_map(|b| match b {
            Binding::List(list) => Some(list.len()),
            _ => None,
        });
        let repeated = pattern.source.iter().zip(&self.nodes).filter(|(p, _)| p.repeated).map(|(_, n)| n.len());
        repeated.chain(lists).max().unwrap_or(0)
    }

    /// The value that a single name, or the given member of a list, stands for.
    pub(super) fn value(&self, id: ValueId, member: usize) -> Option<ValueRef> {
        match &self.values[id] {
            Binding::One(v) => Some(*v),
            Binding::List(list) => list.get(member).copied(),
            Binding::Free | Binding::Absent => None,
        }
    }

    /// Whether the values and nodes that the match speaks of still exist (their types are checked elsewhere).
    pub fn is_alive(&self, graph: &Graph) -> bool {
        self.nodes().all(|id| graph.contains(id))
    }

    pub(super) fn var(&self, id: VarId) -> Option<&Attr> {
        self.vars[id].as_ref()
    }
}
