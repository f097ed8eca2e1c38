//! What a search for matches looked at, and who looked at what: so that an edit makes exactly those results stale that
//! rest on what it changed.
//!
//! A node's operator, attributes, types and constancy never change while it lives, so reading them is not written down:
//! only its operands (an edit may exchange them) and its users. A node cannot vanish unseen either: what uses it must be
//! given another operand first.

use smallvec::SmallVec;

use crate::graph::{Changes, Graph, NodeId, OpKind};

/// One thing that a search looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// The operands of a node.
    Operands(NodeId),
    /// All users of a node's results.
    Users(NodeId),
    /// The users of a node's results that apply this operator.
    UsersOf(NodeId, OpKind),
}

/// What a search has looked at so far.
#[derive(Default, Debug)]
pub(super) struct Trace {
    reads: Vec<Read>,
}

impl Trace {
    #[inline]
    pub fn operands(&mut self, id: NodeId) {
        self.add(Read::Operands(id));
    }

    #[inline]
    pub fn users(&mut self, id: NodeId) {
        self.add(Read::Users(id));
    }

    #[inline]
    pub fn users_of(&mut self, id: NodeId, kind: OpKind) {
        self.add(Read::UsersOf(id, kind));
    }

    #[inline]
    pub fn add(&mut self, read: Read) {
        if !self.reads.contains(&read) {
            self.reads.push(read);
        }
    }

    pub fn as_slice(&self) -> &[Read] {
        &self.reads
    }

    pub fn clear(&mut self) {
        self.reads.clear();
    }
}

/// What an edit changed, by node.
#[derive(Clone, Default, Debug)]
pub(super) struct Marks {
    nodes: Vec<MarkedNode>,
}

#[derive(Clone, Copy, Default, Debug)]
struct MarkedNode {
    operands: bool,
    users: bool,
    /// Operators of the users gained and lost, a bit each; two operators may share one.
    kinds: u64,
}

fn bit(kind: OpKind) -> u64 {
    1 << (kind as u32 % 64)
}

impl Marks {
    pub fn set(&mut self, changes: &Changes, bound: usize) {
        self.nodes.resize(self.nodes.len().max(bound), MarkedNode::default());
        changes.content.iter().for_each(|id| self.nodes[id.index()].operands = true);
        for (id, kind) in &changes.users {
            let node = &mut self.nodes[id.index()];
            node.users = true;
            node.kinds |= kind.map_or(0, bit);
        }
    }

    pub fn clear(&mut self, changes: &Changes) {
        let users = changes.users.iter().map(|(id, _)| id);
        changes.content.iter().chain(users).for_each(|id| self.nodes[id.index()] = MarkedNode::default());
    }

    /// Whether a node is new or has other operands.
    pub fn is_new(&self, id: NodeId) -> bool {
        self.nodes[id.index()].operands
    }

    /// Whether something of these changed.
    pub fn touch(&self, reads: &[Read]) -> bool {
        reads.iter().any(|read| match *read {
            Read::Operands(id) => self.nodes[id.index()].operands,
            Read::Users(id) => self.nodes[id.index()].users,
            Read::UsersOf(id, kind) => self.nodes[id.index()].kinds & bit(kind) != 0,
        })
    }
}

/// For each node, the anchors whose search looked at it. Lists only grow, by appending, so that an undo need only shorten
/// them; they may name anchors that no longer look there, until [`Readers::rebuild`].
#[derive(Clone, Default, Debug)]
pub(super) struct Readers {
    operands: Vec<SmallVec<[NodeId; 8]>>,
    users: Vec<SmallVec<[NodeId; 8]>>,
    /// The lists appended to since the latest rebuild, in order.
    added: Vec<Read>,
    /// Number of rebuilds.
    rebuilds: u32,
    /// How many names all lists had after the latest rebuild.
    needed: usize,
}

/// A point to go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadersMark {
    added: usize,
    rebuilds: u32,
}

impl Readers {
    pub fn grow(&mut self, graph: &Graph) {
        let bound = graph.id_bound();
        if self.operands.len() < bound {
            self.operands.resize_with(bound, SmallVec::new);
            self.users.resize_with(bound, SmallVec::new);
        }
    }

    fn list(&mut self, read: Read) -> &mut SmallVec<[NodeId; 8]> {
        match read {
            Read::Operands(id) => &mut self.operands[id.index()],
            Read::Users(id) | Read::UsersOf(id, _) => &mut self.users[id.index()],
        }
    }

    pub fn add(&mut self, anchor: NodeId, reads: &[Read]) {
        for read in reads {
            let list = self.list(*read);
            if !list.contains(&anchor) {
                list.push(anchor);
                self.added.push(*read);
            }
        }
    }

    /// A point to go back to.
    pub fn mark(&self) -> ReadersMark {
        ReadersMark { added: self.added.len(), rebuilds: self.rebuilds }
    }

    /// Takes back everything added since the mark. False if that is no longer known: then what is wanted must be added.
    pub fn undo_to(&mut self, mark: ReadersMark) -> bool {
        if mark.rebuilds != self.rebuilds {
            return false;
        }
        while self.added.len() > mark.added {
            let read = self.added.pop().expect("longer than the mark");
            self.list(read).pop();
        }
        true
    }

    /// Whether so much was added that most of it must be out of date.
    pub fn are_crowded(&self) -> bool {
        self.added.len() > 4 * self.needed + 1024
    }

    /// Forgets everybody and adds these, for good.
    pub fn rebuild<'a>(&mut self, all: impl Iterator<Item = (NodeId, &'a [Read])>) {
        self.operands.iter_mut().chain(&mut self.users).for_each(SmallVec::clear);
        self.added.clear();
        all.for_each(|(anchor, reads)| self.add(anchor, reads));
        self.needed = self.added.len();
        self.added.clear();
        self.rebuilds += 1;
    }

    /// The anchors that a change may concern, ascending: the nodes given other operands, and whoever looked at what
    /// changed.
    pub fn concerned(&self, changes: &Changes) -> SmallVec<[NodeId; 64]> {
        let mut anchors: SmallVec<[NodeId; 64]> = SmallVec::new();
        for id in &changes.content {
            anchors.push(*id);
            anchors.extend_from_slice(&self.operands[id.index()]);
        }
        for (id, _) in &changes.users {
            anchors.extend_from_slice(&self.users[id.index()]);
        }
        anchors.sort_unstable();
        anchors.dedup();
        anchors
    }
}
