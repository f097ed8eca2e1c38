//! An edit as a value: new nodes with their types, and which values they replace. A patch is checked when it is built
//! (types and shapes of what it replaces stay the same) and applied later, if at all.

use smallvec::{SmallVec, smallvec};

use crate::graph::{
    Attr, DType, Data, Facts, Graph, Node, NodeId, Op, OpKind, Output, Tensor, TensorType, Use, ValueRef,
};
use crate::ops;

use super::bindings::{Binding, Match};
use super::expr::Scope;
use super::identity::passes_through;
use super::pattern::{Pattern, PatternNode, PatternOperand, default_entry};
use super::reads::Trace;
use super::rule::AttrPattern;

/// A value that a patch speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchValue {
    /// A value of the graph.
    Old(ValueRef),
    /// An output of one of the patch's nodes.
    New {
        /// Position of the node in the patch.
        node: u32,
        /// Which output.
        slot: u32,
    },
}

/// A node that a patch adds.
#[derive(Clone, PartialEq, Debug)]
pub struct PatchNode {
    /// Operator.
    pub op: Op,
    /// Operands.
    pub inputs: SmallVec<[Option<PatchValue>; 3]>,
    /// What is known of the results.
    pub outputs: SmallVec<[Facts; 1]>,
    /// Whether it depends on weights alone.
    pub constant: bool,
}

/// A checked edit.
#[derive(Clone, PartialEq, Debug)]
pub struct Patch {
    /// Nodes to add, operands first.
    pub nodes: Vec<PatchNode>,
    /// Which values are replaced, by what.
    pub replacements: SmallVec<[(ValueRef, PatchValue); 2]>,
    /// Nodes that nothing needs any more afterwards, constants not listed.
    pub dead: SmallVec<[NodeId; 6]>,
}

/// What a name of the target stands for while a patch is built.
#[derive(Clone, Debug)]
pub(super) enum Built {
    Zero,
    One(PatchValue),
    List(SmallVec<[PatchValue; 4]>),
}

/// What each name of a rule stands for.
pub(super) type Names = Vec<Option<Built>>;

/// What the results of one node of the target stand for.
type Results = SmallVec<[Built; 1]>;

/// Deaths beyond this many nodes are not predicted.
const MAX_DEATHS: usize = 128;

impl Patch {
    /// The edit that a match stands for, its dead nodes not told yet. `None` if its types do not work out, or if it would
    /// change nothing. `names` is a buffer.
    pub(super) fn build(
        graph: &Graph,
        pattern: &Pattern,
        found: &Match,
        names: &mut Names,
        trace: &mut Trace,
    ) -> Option<Patch> {
        let nodes = Vec::with_capacity(pattern.target.len());
        let mut builder = Builder { graph, pattern, found, trace, nodes, dtype: DType::F32 };
        builder.dtype = found.nodes().next().and_then(|id| graph.node(id).ty()).map_or(DType::F32, |ty| ty.dtype);
        builder.target(names)?;
        let mut replacements = SmallVec::new();
        for (from, to) in pattern.source_outputs.iter().zip(&pattern.target_outputs) {
            match (from, to) {
                (PatternOperand::One(from), PatternOperand::One(to)) => {
                    let (Binding::One(old), Some(Built::One(new))) = (&found.values[*from], &names[*to]) else {
                        return None;
                    };
                    replacements.push((*old, *new));
                }
                (
                    PatternOperand::All(from) | PatternOperand::Each(from),
                    PatternOperand::All(to) | PatternOperand::Each(to),
                ) => {
                    let (Binding::List(old), Some(Built::List(new))) = (&found.values[*from], &names[*to]) else {
                        return None;
                    };
                    if old.len() != new.len() {
                        return None;
                    }
                    replacements.extend(old.iter().copied().zip(new.iter().copied()));
                }
                _ => return None,
            }
        }
        replacements.retain(|(old, new)| PatchValue::Old(*old) != *new);
        let keeps_types = |(old, new): &(ValueRef, PatchValue)| {
            let ty = graph.facts(*old).ty.as_ref();
            ty.is_some() && builder.facts(*new).ty.as_ref() == ty
        };
        if replacements.is_empty() || !replacements.iter().all(keeps_types) {
            return None;
        }
        let nodes = std::mem::take(&mut builder.nodes);
        let mut patch = Patch { nodes, replacements, dead: SmallVec::new() };
        patch.drop_unused();
        Some(patch)
    }

    /// Removes new nodes that nothing uses (a target may compute what an absent bias makes needless).
    fn drop_unused(&mut self) {
        let mut used: SmallVec<[bool; 32]> = smallvec![false; self.nodes.len()];
        let mark = |used: &mut SmallVec<[bool; 32]>, v: &PatchValue| {
            if let PatchValue::New { node, .. } = v {
                used[*node as usize] = true;
            }
        };
        self.replacements.iter().for_each(|(_, new)| mark(&mut used, new));
        for i in (0..self.nodes.len()).rev() {
            if used[i] {
                self.nodes[i].inputs.iter().flatten().for_each(|v| mark(&mut used, v));
            }
        }
        if used.iter().all(|u| *u) {
            return;
        }
        let mut position = 0;
        let new_index: Vec<u32> = used
            .iter()
            .map(|u| {
                position += u32::from(*u);
                position.wrapping_sub(1)
            })
            .collect();
        let renumber = |v: &mut PatchValue| {
            if let PatchValue::New { node, .. } = v {
                *node = new_index[*node as usize];
            }
        };
        let mut keep = used.iter();
        self.nodes.retain(|_| *keep.next().expect("one flag a node"));
        self.nodes.iter_mut().flat_map(|n| n.inputs.iter_mut().flatten()).for_each(renumber);
        self.replacements.iter_mut().for_each(|(_, new)| renumber(new));
    }

    /// Values of the graph that the patch keeps alive.
    fn kept(&self) -> impl Iterator<Item = ValueRef> + '_ {
        let operands = self.nodes.iter().flat_map(|n| n.inputs.iter().flatten());
        let results = self.replacements.iter().map(|(_, new)| new);
        operands.chain(results).filter_map(|v| match v {
            PatchValue::Old(v) => Some(*v),
            PatchValue::New { .. } => None,
        })
    }

    /// The nodes that nothing needs once the patch is applied.
    pub(super) fn deaths(&self, graph: &Graph, trace: &mut Trace) -> SmallVec<[NodeId; 6]> {
        let replaced = |v: ValueRef| self.replacements.iter().any(|(old, _)| *old == v);
        let mut dead: SmallVec<[NodeId; 6]> = SmallVec::new();
        let mut queue: SmallVec<[NodeId; 8]> = self.replacements.iter().map(|(old, _)| old.node).collect();
        while let Some(id) = queue.pop() {
            let node = graph.node(id);
            if dead.contains(&id) || node.constant || matches!(node.op, Op::Input) || dead.len() >= MAX_DEATHS {
                continue;
            }
            if self.kept().any(|v| v.node == id) {
                continue;
            }
            // One user that stays is enough, whatever becomes of the others.
            if let Some((_, user)) = graph.uses(id).find(|(v, user)| !dead.contains(user) && !replaced(*v)) {
                trace.operands(user);
                continue;
            }
            trace.users(id);
            if (0..node.outputs.len() as u32)
                .map(|slot| ValueRef { node: id, slot })
                .any(|v| graph.is_output(v) && !replaced(v))
            {
                continue;
            }
            dead.push(id);
            trace.operands(id);
            queue.extend(node.inputs.iter().flatten().map(|v| v.node));
        }
        dead
    }

    /// Whether applying the patch leaves the graph without a cycle: no value that it uses may depend on one that it
    /// replaces. One replaced value never makes a cycle, since it depends on the operands already.
    pub fn is_acyclic(&self, graph: &Graph) -> bool {
        if self.replacements.len() < 2 {
            return true;
        }
        let needs: SmallVec<[NodeId; 8]> = self.kept().map(|v| v.node).filter(|id| !graph.node(*id).constant).collect();
        let users: Vec<NodeId> = self
            .replacements
            .iter()
            .flat_map(|(old, _)| graph.consumers(*old))
            .map(|u| u.node)
            .filter(|id| !self.dead.contains(id))
            .collect();
        !graph.reaches(&users, &needs)
    }

    /// The same, given where each node stands in some topological order: most are decided without a walk, and a walk goes no
    /// further than the last node that is used.
    pub fn is_acyclic_in(&self, graph: &Graph, position: &[u32]) -> bool {
        if self.replacements.len() < 2 {
            return true;
        }
        let at = |id: NodeId| position[id.index()];
        let needs: SmallVec<[NodeId; 8]> = self.kept().map(|v| v.node).filter(|id| !graph.node(*id).constant).collect();
        let Some(last) = needs.iter().map(|id| at(*id)).max() else { return true };
        let users = self.replacements.iter().flat_map(|(old, _)| {
            graph
                .uses(old.node)
                .filter(move |(value, user)| value == old && !self.dead.contains(user))
                .map(|(_, user)| user)
        });
        let mut stack: SmallVec<[NodeId; 16]> = users.filter(|id| at(*id) <= last).collect();
        let mut seen: SmallVec<[NodeId; 32]> = SmallVec::new();
        while let Some(id) = stack.pop() {
            if needs.contains(&id) {
                return false;
            }
            if !seen.contains(&id) {
                seen.push(id);
                stack.extend(graph.uses(id).map(|(_, user)| user).filter(|id| at(*id) <= last));
            }
        }
        true
    }

    /// Bytes of the weights that folding the patch's constants would add.
    pub fn weight_bytes(&self) -> i64 {
        let feeds_work = |index: usize| {
            self.nodes.iter().any(|n| {
                let uses = |v: &PatchValue| matches!(v, PatchValue::New { node, .. } if *node as usize == index);
                !n.constant && n.inputs.iter().flatten().any(uses)
            })
        };
        let bytes = |ty: &TensorType| {
            let count = ty.count().known().unwrap_or(0).max(0) as u64;
            ty.dtype.byte_len(count).unwrap_or(0) as i64
        };
        let folded = self.nodes.iter().enumerate().filter(|(i, n)| n.constant && feeds_work(*i));
        folded.flat_map(|(_, n)| n.outputs.iter().filter_map(|f| f.ty.as_ref())).map(bytes).sum()
    }

    /// Adds the nodes and redirects every use of what is replaced; values keep their names. Dead nodes stay until the
    /// clean-up, which wants the nodes returned: those added, those that lost uses, and those that read another value of
    /// the graph now.
    pub(super) fn apply(&self, graph: &mut Graph) -> Vec<NodeId> {
        // Uses by the new nodes are not redirected: a target may build on the very value that it replaces.
        let users: SmallVec<[SmallVec<[Use; 4]>; 2]> =
            self.replacements.iter().map(|(old, _)| graph.consumers(*old)).collect();
        let mut ids: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        let resolve = |v: PatchValue, ids: &[NodeId]| match v {
            PatchValue::Old(v) => v,
            PatchValue::New { node, slot } => ValueRef { node: ids[node as usize], slot },
        };
        for node in &self.nodes {
            if let Op::Weight(tensor) = &node.op
                && let Some(equal) = graph.weight_of(tensor)
            {
                ids.push(equal);
                continue;
            }
            let inputs = node.inputs.iter().map(|v| v.map(|v| resolve(v, &ids)));
            let outputs = node.outputs.iter().map(|facts| Output { name: "".into(), facts: facts.clone() });
            let new = Node::new("", node.op.clone(), inputs, outputs, node.constant);
            ids.push(graph.add_node(new));
        }
        for ((old, new), users) in self.replacements.iter().zip(&users) {
            let value = resolve(*new, &ids);
            graph.replace_these_uses(users, *old, value);
            let name = graph.value_name(*old).clone();
            if !name.is_empty() && graph.value_name(value).is_empty() {
                graph.rename_value(*old, "".into());
                graph.rename_value(value, name);
            }
        }
        ids.extend(self.replacements.iter().map(|(old, _)| old.node));
        for ((_, new), users) in self.replacements.iter().zip(&users) {
            // Users of a value that was there before may equal its other users.
            if matches!(new, PatchValue::Old(_)) {
                ids.extend(users.iter().map(|user| user.node));
            }
        }
        ids
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    pattern: &'a Pattern,
    found: &'a Match,
    trace: &'a mut Trace,
    nodes: Vec<PatchNode>,
    /// Element type of the match's first result: that of constants which the target makes.
    dtype: DType,
}

/// An operand while a node is built.
enum Slot {
    Zero,
    None,
    Value(PatchValue),
}

impl Builder<'_> {
    fn facts(&self, v: PatchValue) -> &Facts {
        match v {
            PatchValue::Old(v) => self.graph.facts(v),
            PatchValue::New { node, slot } => &self.nodes[node as usize].outputs[slot as usize],
        }
    }

    fn is_constant(&self, v: PatchValue) -> bool {
        match v {
            PatchValue::Old(v) => self.graph.is_constant(v),
            PatchValue::New { node, .. } => self.nodes[node as usize].constant,
        }
    }

    /// Builds every node of the target; what each name stands for.
    fn target(&mut self, names: &mut Names) -> Option<()> {
        let pattern = self.pattern;
        names.clear();
        names.extend(self.found.values.iter().map(|binding| match binding {
            Binding::Free => None,
            Binding::Absent => Some(Built::Zero),
            Binding::One(v) => Some(Built::One(PatchValue::Old(*v))),
            Binding::List(list) => Some(Built::List(list.iter().map(|v| PatchValue::Old(*v)).collect())),
        }));
        let count = self.found.count(pattern);
        for node in &pattern.target {
            let members = if node.repeated { count } else { 1 };
            for member in 0..members {
                let built = self.node(node, names, member, count)?;
                for (output, value) in node.outputs.iter().zip(built) {
                    match (*output, value) {
                        (PatternOperand::One(id) | PatternOperand::All(id), value) => names[id] = Some(value),
                        (PatternOperand::Each(id), Built::One(v)) => match &mut names[id] {
                            Some(Built::List(list)) => list.push(v),
                            other => *other = Some(Built::List(smallvec![v])),
                        },
                        (PatternOperand::Each(_), _) => return None,
                        (PatternOperand::Absent, _) => {}
                    }
                }
            }
        }
        Some(())
    }

    /// Builds one node of the target, or finds the value that it would compute. One result for each output.
    fn node(&mut self, node: &PatternNode, names: &[Option<Built>], member: usize, count: usize) -> Option<Results> {
        let schema = ops::schema(node.kind);
        let mut slots: SmallVec<[Slot; 6]> = SmallVec::new();
        for operand in &node.inputs {
            match *operand {
                PatternOperand::Absent => slots.push(Slot::None),
                PatternOperand::One(id) => slots.push(match names[id].as_ref()? {
                    Built::Zero => Slot::Zero,
                    Built::One(v) => Slot::Value(*v),
                    Built::List(_) => return None,
                }),
                PatternOperand::Each(id) => match names[id].as_ref()? {
                    Built::List(list) => slots.push(Slot::Value(*list.get(member)?)),
                    Built::Zero | Built::One(_) => return None,
                },
                PatternOperand::All(id) => match names[id].as_ref()? {
                    Built::List(list) => slots.extend(list.iter().map(|v| Slot::Value(*v))),
                    Built::Zero | Built::One(_) => return None,
                },
            }
        }
        let mut inputs: SmallVec<[Option<PatchValue>; 3]> = SmallVec::new();
        for (at, slot) in slots.iter().enumerate() {
            match slot {
                Slot::Value(v) => inputs.push(Some(*v)),
                Slot::None => inputs.push(None),
                Slot::Zero if at >= schema.inputs.0 => inputs.push(None),
                Slot::Zero => return self.with_zero(node.kind, at, &slots),
            }
        }
        while inputs.last().is_some_and(Option::is_none) {
            inputs.pop();
        }
        if node.kind == OpKind::Constant {
            return self.constant(node, member);
        }
        let op = match &node.fixed {
            Some(op) => op.clone(),
            None => ops::build(node.kind, self.attrs(node, &inputs, member)?).ok()?,
        };
        let lists = node.outputs.iter().any(|o| matches!(o, PatternOperand::All(_)));
        let results = if lists { count } else { node.outputs.len() };
        let values = self.add(op, inputs, results)?;
        Some(if lists { smallvec![Built::List(values)] } else { values.into_iter().map(Built::One).collect() })
    }

    /// What an operator makes of an operand that is zero.
    fn with_zero(&mut self, kind: OpKind, at: usize, slots: &[Slot]) -> Option<Results> {
        let other = slots.get(1 - at.min(1));
        match (kind, other) {
            (OpKind::Add | OpKind::Sub, Some(Slot::Zero)) => Some(smallvec![Built::Zero]),
            (OpKind::Add, Some(Slot::Value(v))) => Some(smallvec![Built::One(*v)]),
            (OpKind::Sub, Some(Slot::Value(v))) if at == 1 => Some(smallvec![Built::One(*v)]),
            (OpKind::Sub, Some(Slot::Value(v))) => {
                let op = ops::build(OpKind::Neg, Vec::<(&str, Attr)>::new()).ok()?;
                let inputs = SmallVec::from_iter([Some(*v)]);
                Some(self.add(op, inputs, 1)?.into_iter().map(Built::One).collect())
            }
            (OpKind::Div, _) if at == 1 => None,
            (
                OpKind::Mul
                | OpKind::Div
                | OpKind::MatMul
                | OpKind::Neg
                | OpKind::Reshape
                | OpKind::Unsqueeze
                | OpKind::Squeeze
                | OpKind::Transpose
                | OpKind::Flatten
                | OpKind::Expand
                | OpKind::Slice
                | OpKind::ReduceSum
                | OpKind::Einsum,
                _,
            ) => Some(smallvec![Built::Zero]),
            (OpKind::Concat, _) if slots.iter().all(|s| matches!(s, Slot::Zero)) => Some(smallvec![Built::Zero]),
            _ => None,
        }
    }

    fn constant(&mut self, node: &PatternNode, member: usize) -> Option<Results> {
        let (name, asked) = node.attrs.first()?;
        let tensor = match (self.attr(asked, member)?, self.dtype) {
            (Attr::Float(v), dtype) if dtype.is_float() => scalar(dtype, f64::from(v)),
            (Attr::Int(v), dtype) if *name == "value_float" => scalar(dtype, v as f64),
            (Attr::Int(v), _) => Tensor::from_i64s(&[], &[v]).ok(),
            (Attr::Ints(v), _) => Tensor::from_i64s(&[v.len() as u64], &v).ok(),
            _ => None,
        }?;
        let weight = Node::weight("", tensor);
        let outputs = weight.outputs.iter().map(|o| o.facts.clone()).collect();
        self.nodes.push(PatchNode { op: weight.op.clone(), inputs: SmallVec::new(), outputs, constant: true });
        Some(smallvec![Built::One(PatchValue::New { node: self.nodes.len() as u32 - 1, slot: 0 })])
    }

    fn attr(&self, asked: &AttrPattern, member: usize) -> Option<Attr> {
        let scope = Scope { graph: self.graph, pattern: self.pattern, found: self.found, member };
        match asked {
            AttrPattern::Any => None,
            AttrPattern::Literal(value) => Some(value.clone()),
            AttrPattern::Variable(name) => match self.found.var(self.pattern.var_ids[name]) {
                Some(value) => Some(value.clone()),
                None => scope.eval(&super::rule::Expr::Variable(name.clone()))?.to_attr(),
            },
            AttrPattern::Computed(expr) => scope.eval(expr)?.to_attr(),
        }
    }

    fn attrs(
        &self,
        node: &PatternNode,
        inputs: &[Option<PatchValue>],
        member: usize,
    ) -> Option<Vec<(&'static str, Attr)>> {
        let mut attrs = Vec::with_capacity(node.attrs.len());
        for (name, asked) in &node.attrs {
            let value = match (self.attr(asked, member)?, default_entry(name)) {
                (Attr::Ints(list), Some(entry)) if list.is_empty() => {
                    let kernel = inputs.get(1).copied().flatten();
                    let rank = kernel.and_then(|w| self.facts(w).ty.as_ref())?.rank().checked_sub(2)?;
                    Attr::ints(&vec![entry; if *name == "pads" { 2 * rank } else { rank }])
                }
                (Attr::Int(_), _) if *name == "dtype" && node.kind.is_constructor() => {
                    Attr::Int(i64::from(self.dtype.onnx()))
                }
                (value, _) => value,
            };
            attrs.push((*name, value));
        }
        Some(attrs)
    }

    /// Adds a node, unless it passes an operand through or a node that computes the same is there already.
    fn add(
        &mut self,
        op: Op,
        inputs: SmallVec<[Option<PatchValue>; 3]>,
        results: usize,
    ) -> Option<SmallVec<[PatchValue; 4]>> {
        let facts: SmallVec<[Option<&Facts>; 4]> = inputs.iter().map(|v| v.map(|v| self.facts(v))).collect();
        let outputs: SmallVec<[Facts; 1]> = ops::infer(&op, &facts, results).ok()?.into();
        let passed = passes_through(&op, &facts, &outputs);
        drop(facts);
        if let Some(at) = passed {
            return inputs[at].map(|v| smallvec![v]);
        }
        if let Some(twin) = self.twin(&op, &inputs, results) {
            return Some(twin);
        }
        let constant = inputs.iter().flatten().all(|v| self.is_constant(*v)) && ops::folds(&op, &outputs);
        self.nodes.push(PatchNode { op, inputs, outputs, constant });
        let node = self.nodes.len() as u32 - 1;
        Some((0..results as u32).map(|slot| PatchValue::New { node, slot }).collect())
    }

    fn twin(&mut self, op: &Op, inputs: &[Option<PatchValue>], results: usize) -> Option<SmallVec<[PatchValue; 4]>> {
        let same = |n: &PatchNode| n.op == *op && *n.inputs == *inputs && n.outputs.len() == results;
        if let Some(node) = self.nodes.iter().position(same) {
            let node = node as u32;
            return Some((0..results as u32).map(|slot| PatchValue::New { node, slot }).collect());
        }
        let old: Option<SmallVec<[Option<ValueRef>; 3]>> = inputs
            .iter()
            .map(|v| match v {
                None => Some(None),
                Some(PatchValue::Old(v)) => Some(Some(*v)),
                Some(PatchValue::New { .. }) => None,
            })
            .collect();
        let old = old?;
        let first = old.iter().flatten().next()?;
        if let Some(kind) = op.kind() {
            self.trace.users_of(first.node, kind);
        }
        let mut twin: Option<NodeId> = None;
        for (value, user) in self.graph.uses(first.node) {
            let node = self.graph.node(user);
            if value != *first || node.outputs.len() != results || node.op != *op {
                continue;
            }
            // Another of its operands may become, or cease to be, the one that is asked for.
            if old.len() > 1 {
                self.trace.operands(user);
            }
            if node.inputs == old {
                twin = Some(twin.map_or(user, |twin| twin.min(user)));
            }
        }
        let node = twin?;
        Some((0..results as u32).map(|slot| PatchValue::Old(ValueRef { node, slot })).collect())
    }
}

fn scalar(dtype: DType, value: f64) -> Option<Tensor> {
    let bytes = match dtype {
        DType::F64 => value.to_le_bytes().to_vec(),
        DType::F32 => (value as f32).to_le_bytes().to_vec(),
        DType::F16 => half::f16::from_f64(value).to_le_bytes().to_vec(),
        DType::BF16 => half::bf16::from_f64(value).to_le_bytes().to_vec(),
        _ => return None,
    };
    Tensor::new(dtype, &[], Data::Bytes(bytes.into())).ok()
}
