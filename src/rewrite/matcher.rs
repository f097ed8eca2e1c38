//! Finding the matches of a rule at a node: a depth-first walk along the rule's plan, with a trail that takes bindings
//! back. Everything that the walk looked at is written to a [`Trace`], so that the index knows what a result rests on.

use smallvec::SmallVec;

use crate::graph::{Attr, Graph, Node, NodeId, Op, Use, ValueRef};

use super::bindings::{Binding, Match};
use super::expr::{Scope, is_per_member};
use super::pattern::{
    Pattern, PatternNode, PatternOperand, Step, ValueId, VarId, attr_ints, default_entry, is_optional,
};
use super::reads::Trace;
use super::rule::{AttrPattern, DTypeClass, RuleInput};

/// Groups larger than this are left alone.
const MAX_GROUP: usize = 256;

enum Undo {
    Value(ValueId),
    Push(ValueId),
    Var(VarId),
    Node(usize),
}

/// Buffers that searches use again, since most of them end at once.
#[derive(Default)]
pub(super) struct Buffers {
    found: Match,
    trail: Vec<Undo>,
}

/// Finds all matches of `pattern` (rule number `rule`) that are anchored at `anchor`.
pub(super) fn find(
    graph: &Graph,
    pattern: &Pattern,
    rule: u32,
    anchor: NodeId,
    trace: &mut Trace,
    buffers: &mut Buffers,
) -> SmallVec<[Match; 2]> {
    let node = graph.node(anchor);
    let orders = orders(&pattern.source[pattern.anchor], node);
    // Most searches end here.
    if !orders.iter().any(|&swapped| may_bind(graph, pattern, pattern.anchor, node, swapped)) {
        return SmallVec::new();
    }
    let mut found = std::mem::take(&mut buffers.found);
    found.reset(rule, pattern);
    let trail = std::mem::take(&mut buffers.trail);
    let mut matcher = Matcher { graph, pattern, anchor, trace, found, trail, results: SmallVec::new() };
    for &swapped in orders {
        if matcher.bind_node(pattern.anchor, anchor, swapped, 0) {
            matcher.solve(&pattern.plan);
        }
        matcher.undo(0);
    }
    (buffers.found, buffers.trail) = (matcher.found, matcher.trail);
    matcher.results
}

struct Matcher<'a> {
    graph: &'a Graph,
    pattern: &'a Pattern,
    anchor: NodeId,
    trace: &'a mut Trace,
    found: Match,
    trail: Vec<Undo>,
    results: SmallVec<[Match; 2]>,
}

impl<'a> Matcher<'a> {
    fn undo(&mut self, mark: usize) {
        while self.trail.len() > mark {
            match self.trail.pop().expect("longer than the mark") {
                Undo::Value(id) => self.found.values[id] = Binding::Free,
                Undo::Push(id) => {
                    if let Binding::List(list) = &mut self.found.values[id] {
                        list.pop();
                        if list.is_empty() {
                            self.found.values[id] = Binding::Free;
                        }
                    }
                }
                Undo::Var(id) => self.found.vars[id] = None,
                Undo::Node(node) => {
                    self.found.nodes[node].pop();
                }
            }
        }
    }

    fn orders(&self, node: usize, id: NodeId) -> &'static [bool] {
        orders(&self.pattern.source[node], self.graph.node(id))
    }

    /// The consumers of a value that may be bound to a node of the source, sorted.
    fn consumers(&mut self, value: ValueRef, node: usize) -> SmallVec<[Use; 4]> {
        let kind = self.pattern.source[node].kind;
        self.trace.users_of(value.node, kind);
        self.graph.consumers_of(value, kind)
    }

    /// Every way to carry out the steps; each complete one is a result.
    fn solve(&mut self, steps: &'a [Step]) {
        let Some((step, rest)) = steps.split_first() else {
            return self.accept();
        };
        match step {
            Step::Up { value, node } => {
                // Within the first member's template the value may be a list that has one element so far.
                let Some(v) = self.found.value(*value, 0) else { return };
                self.branch(*node, v.node, 0, rest);
            }
            Step::UpList { list, node } => {
                let Some(v) = self.found.value(*list, 0) else { return };
                self.branch(*node, v.node, 0, rest);
            }
            Step::Down { value, node } => {
                let Some(v) = self.found.value(*value, 0) else { return };
                for user in self.consumers(v, *node) {
                    self.branch(*node, user.node, 0, rest);
                }
            }
            Step::EachProducer { list, node, template } => {
                let Binding::List(values) = &self.found.values[*list] else { return };
                let anchors: SmallVec<[NodeId; 8]> = values.iter().map(|v| v.node).collect();
                self.members(&anchors, *node, template, rest);
            }
            Step::EachConsumer { list, node, template } => {
                let Binding::List(values) = &self.found.values[*list] else { return };
                let values = values.clone();
                let mut anchors: SmallVec<[NodeId; 8]> = SmallVec::new();
                for v in values {
                    self.trace.users(v.node);
                    match self.graph.consumers(v).as_slice() {
                        [Use { node, .. }] => anchors.push(*node),
                        _ => return,
                    }
                }
                self.members(&anchors, *node, template, rest);
            }
            Step::Siblings { shared, node, template } => {
                let mark = self.trail.len();
                if self.siblings(*shared, *node, template) {
                    self.solve(rest);
                }
                self.undo(mark);
            }
        }
    }

    fn branch(&mut self, node: usize, id: NodeId, member: usize, rest: &'a [Step]) {
        for &swapped in self.orders(node, id) {
            let mark = self.trail.len();
            if self.bind_node(node, id, swapped, member) {
                self.solve(rest);
            }
            self.undo(mark);
        }
    }

    /// Binds the repeated nodes at each of the anchors, in order.
    fn members(&mut self, anchors: &[NodeId], node: usize, template: &'a [Step], rest: &'a [Step]) {
        let mark = self.trail.len();
        let all = anchors.len() <= MAX_GROUP
            && anchors.iter().enumerate().all(|(member, &id)| self.member(node, id, template, member));
        if all {
            self.solve(rest);
        }
        self.undo(mark);
    }

    /// The first member is bound: binds all others that fit it. Fails when there are none, or when the first is not the
    /// one of lowest id (so that a group is found once).
    fn siblings(&mut self, shared: ValueId, node: usize, template: &'a [Step]) -> bool {
        let Some(v) = self.found.value(shared, 0) else { return false };
        if !self.member_conditions(0) {
            return false;
        }
        let first = self.found.nodes[node][0];
        for user in self.consumers(v, node) {
            let count = self.found.nodes[node].len();
            if user.node == first || count >= MAX_GROUP || self.found.nodes[node].contains(&user.node) {
                continue;
            }
            if self.member(node, user.node, template, count) && user.node < first {
                return false;
            }
        }
        self.found.nodes[node].len() >= 2
    }

    /// Binds the repeated nodes for one more member, anchored at `id`; takes everything back if it does not fit.
    fn member(&mut self, node: usize, id: NodeId, template: &'a [Step], member: usize) -> bool {
        for &swapped in self.orders(node, id) {
            let mark = self.trail.len();
            if self.bind_node(node, id, swapped, member)
                && self.walk(template, member)
                && self.member_conditions(member)
            {
                return true;
            }
            self.undo(mark);
        }
        false
    }

    /// Carries out a template's steps for one member, taking the first way that fits.
    fn walk(&mut self, steps: &'a [Step], member: usize) -> bool {
        let Some((step, rest)) = steps.split_first() else { return true };
        let (node, candidates): (usize, SmallVec<[NodeId; 4]>) = match step {
            Step::Up { value, node } => match self.found.value(*value, member) {
                Some(v) => (*node, SmallVec::from_slice(&[v.node])),
                None => return false,
            },
            Step::Down { value, node } => match self.found.value(*value, member) {
                Some(v) => (*node, self.consumers(v, *node).iter().map(|u| u.node).collect()),
                None => return false,
            },
            _ => return false,
        };
        for id in candidates {
            for &swapped in self.orders(node, id) {
                let mark = self.trail.len();
                if self.bind_node(node, id, swapped, member) && self.walk(rest, member) {
                    return true;
                }
                self.undo(mark);
            }
        }
        false
    }

    fn scope(&self, member: usize) -> Scope<'_> {
        Scope { graph: self.graph, pattern: self.pattern, found: &self.found, member }
    }

    fn member_conditions(&self, member: usize) -> bool {
        let scope = self.scope(member);
        self.pattern.rule.conditions.iter().filter(|c| is_per_member(c)).all(|c| scope.holds(c))
            && self.computed_attrs(true, member)
    }

    fn accept(&mut self) {
        let scope = self.scope(0);
        if self.pattern.rule.conditions.iter().filter(|c| !is_per_member(c)).all(|c| scope.holds(c))
            && self.computed_attrs(false, 0)
        {
            self.results.push(self.found.clone());
        }
    }

    /// Whether the attributes that the source computes are those of the nodes bound: of one member's, or of all others.
    fn computed_attrs(&self, repeated: bool, member: usize) -> bool {
        let scope = self.scope(member);
        self.pattern.computed.iter().filter(|(node, ..)| self.pattern.source[*node].repeated == repeated).all(
            |(node, name, expr)| {
                let given = self.found.nodes[*node].get(member).map(|id| &self.graph.node(*id).op);
                match given {
                    Some(Op::Apply(_, attrs)) => scope.eval(expr).and_then(|v| v.to_attr()).as_ref() == attrs.get(name),
                    _ => false,
                }
            },
        )
    }

    /// Binds a node of the source to a node of the graph, with all that follows at once: operator, attributes,
    /// operands, results. The caller undoes a failure.
    fn bind_node(&mut self, node: usize, id: NodeId, swapped: bool, member: usize) -> bool {
        let (graph, pattern) = (self.graph, self.pattern);
        let (asked, given) = (&pattern.source[node], graph.node(id));
        if given.op.kind() != Some(asked.kind)
            || given.constant != asked.constant
            || self.found.nodes.iter().flatten().any(|bound| *bound == id)
        {
            return false;
        }
        if !self.bind_attrs(node, given) {
            return false;
        }
        // The anchor itself is not written down: all is searched anew when its operands change.
        if id != self.anchor {
            self.trace.operands(id);
        }
        if !self.bind_operands(node, given, swapped, member) {
            return false;
        }
        for (slot, output) in asked.outputs.iter().enumerate() {
            let value = ValueRef { node: id, slot: slot as u32 };
            let bound = match *output {
                PatternOperand::One(v) => self.bind_value(v, Some(value)),
                PatternOperand::Each(v) => self.bind_element(v, value, member),
                PatternOperand::All(v) => {
                    let all = (0..given.outputs.len() as u32).map(|slot| ValueRef { node: id, slot }).collect();
                    self.bind_list(v, all)
                }
                PatternOperand::Absent => true,
            };
            if !bound {
                return false;
            }
        }
        let lists = asked.outputs.iter().any(|o| matches!(o, PatternOperand::All(_)));
        if !lists && given.outputs.len() > asked.outputs.len() {
            return false;
        }
        self.found.nodes[node].push(id);
        self.trail.push(Undo::Node(node));
        true
    }

    fn bind_attrs(&mut self, node: usize, given: &Node) -> bool {
        let Op::Apply(_, attrs) = &given.op else { return false };
        let pattern = self.pattern;
        for (name, asked) in &pattern.source[node].attrs {
            let Some(value) = attrs.get(name) else { return false };
            let fits = match asked {
                AttrPattern::Any => true,
                AttrPattern::Literal(literal) => literal == value || is_default_list(name, literal, value),
                AttrPattern::Variable(variable) => {
                    let id = pattern.var_ids[variable];
                    match &self.found.vars[id] {
                        Some(bound) => bound == value,
                        None => {
                            self.found.vars[id] = Some(value.clone());
                            self.trail.push(Undo::Var(id));
                            true
                        }
                    }
                }
                // It may speak of what is bound later.
                AttrPattern::Computed(_) => true,
            };
            if !fits {
                return false;
            }
        }
        true
    }

    fn bind_operands(&mut self, node: usize, given: &Node, swapped: bool, member: usize) -> bool {
        let pattern = self.pattern;
        let asked = &pattern.source[node].inputs;
        let mut next = 0;
        for operand in asked {
            let at = if swapped && next < 2 { 1 - next } else { next };
            let actual = given.inputs.get(at).copied().flatten();
            next += 1;
            let bound = match *operand {
                PatternOperand::One(v) => self.bind_value(v, actual),
                PatternOperand::Each(v) => actual.is_some_and(|value| self.bind_element(v, value, member)),
                PatternOperand::All(v) => {
                    let rest: Option<SmallVec<[ValueRef; 4]>> = given.inputs[next - 1..].iter().copied().collect();
                    next = given.inputs.len();
                    rest.is_some_and(|rest| self.bind_list(v, rest))
                }
                PatternOperand::Absent => actual.is_none(),
            };
            if !bound {
                return false;
            }
        }
        given.inputs[next.min(given.inputs.len())..].iter().all(Option::is_none)
    }

    fn bind_value(&mut self, id: ValueId, actual: Option<ValueRef>) -> bool {
        match (&self.found.values[id], actual) {
            (Binding::One(bound), Some(v)) => return *bound == v,
            (Binding::Absent, None) => return true,
            (Binding::Free, Some(v)) => {
                if !admits(self.graph, self.pattern, id, v) {
                    return false;
                }
                self.found.values[id] = Binding::One(v);
            }
            (Binding::Free, None) => {
                if !is_optional(&self.pattern.values[id]) {
                    return false;
                }
                self.found.values[id] = Binding::Absent;
            }
            _ => return false,
        }
        self.trail.push(Undo::Value(id));
        true
    }

    fn bind_element(&mut self, id: ValueId, value: ValueRef, member: usize) -> bool {
        let bound = match &self.found.values[id] {
            Binding::List(list) if member < list.len() => return list[member] == value,
            Binding::List(list) => list.len(),
            Binding::Free => 0,
            Binding::One(_) | Binding::Absent => return false,
        };
        if bound != member || !admits(self.graph, self.pattern, id, value) {
            return false;
        }
        match &mut self.found.values[id] {
            Binding::List(list) => list.push(value),
            free => *free = Binding::List(SmallVec::from_slice(&[value])),
        }
        self.trail.push(Undo::Push(id));
        true
    }

    fn bind_list(&mut self, id: ValueId, values: SmallVec<[ValueRef; 4]>) -> bool {
        match &self.found.values[id] {
            Binding::List(list) => *list == values,
            Binding::Free => {
                if values.is_empty() || !values.iter().all(|v| admits(self.graph, self.pattern, id, *v)) {
                    return false;
                }
                self.found.values[id] = Binding::List(values);
                self.trail.push(Undo::Value(id));
                true
            }
            Binding::One(_) | Binding::Absent => false,
        }
    }
}

/// Orders in which a node's operands are tried.
fn orders(asked: &PatternNode, given: &Node) -> &'static [bool] {
    match given.inputs.as_slice() {
        [a, b] if asked.commutative && a != b => &[false, true],
        _ => &[false],
    }
}

/// Whether a node's attributes and operands, each by itself, are not against binding it: a quick rejection.
fn may_bind(graph: &Graph, pattern: &Pattern, node: usize, given: &Node, swapped: bool) -> bool {
    let asked = &pattern.source[node];
    let Op::Apply(_, attrs) = &given.op else { return false };
    let operand = |(at, operand): (usize, &PatternOperand)| {
        let actual = given.inputs.get(if swapped && at < 2 { 1 - at } else { at }).copied().flatten();
        match (*operand, actual) {
            (PatternOperand::One(v) | PatternOperand::Each(v), Some(value)) => admits(graph, pattern, v, value),
            (PatternOperand::One(v), None) => is_optional(&pattern.values[v]),
            (PatternOperand::Each(_), None) => false,
            (PatternOperand::Absent, actual) => actual.is_none(),
            (PatternOperand::All(_), _) => true,
        }
    };
    let lists = asked.inputs.iter().position(|o| matches!(o, PatternOperand::All(_))).unwrap_or(asked.inputs.len());
    asked.inputs[..lists].iter().enumerate().all(operand)
        && asked.attrs.iter().all(|(name, asked)| match asked {
            AttrPattern::Literal(literal) => {
                attrs.get(name).is_some_and(|value| literal == value || is_default_list(name, literal, value))
            }
            AttrPattern::Any | AttrPattern::Variable(_) | AttrPattern::Computed(_) => true,
        })
}

/// Whether a value may stand for a name: an input by its rank, type and constancy; an inner value by the operator of its
/// producer (a quick rejection before the walk goes there).
fn admits(graph: &Graph, pattern: &Pattern, id: ValueId, value: ValueRef) -> bool {
    let declared = &pattern.values[id];
    let node = graph.node(value.node);
    if let Some((producer, slot)) = declared.producer {
        let asked = &pattern.source[producer];
        let slot_fits = value.slot as usize == slot || !matches!(asked.outputs[slot], PatternOperand::One(_));
        return node.op.kind() == Some(asked.kind) && slot_fits && node.constant == declared.constant;
    }
    declared.input.as_ref().is_none_or(|input| admits_input(graph, input, value))
}

fn admits_input(graph: &Graph, input: &RuleInput, value: ValueRef) -> bool {
    let Some(ty) = &graph.facts(value).ty else { return false };
    let dtype = match input.dtype {
        DTypeClass::Float => ty.dtype.is_float(),
        DTypeClass::Int => ty.dtype.is_int(),
        DTypeClass::Any => true,
    };
    dtype && input.rank.is_none_or(|rank| rank == ty.rank()) && (!input.constant || graph.is_constant(value))
}

/// Whether an attribute has in every entry what a list that is left out stands for.
fn is_default_list(name: &str, literal: &Attr, value: &Attr) -> bool {
    match (literal, default_entry(name), attr_ints(value)) {
        (Attr::Ints(list), Some(entry), Some(given)) if list.is_empty() => given.iter().all(|n| *n == entry),
        _ => false,
    }
}
