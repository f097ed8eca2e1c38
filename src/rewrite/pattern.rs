//! Rules compiled for matching: names become numbers, attributes become positions, and the order in which nodes are
//! bound (the plan) is fixed once. What cannot be compiled is refused here, not when the rule fires.

use rustc_hash::FxHashMap;

use crate::graph::{Attr, Op, OpKind};
use crate::ops::{self, AttrDefault};

use super::rule::{Arity, AttrPattern, Expr, Operand, Rule, RuleInput, RuleNode};

/// Number of a named value of a rule.
pub(super) type ValueId = usize;
/// Number of a variable (`?a`) of a rule.
pub(super) type VarId = usize;

/// A rule compiled for matching.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The rule.
    pub rule: Rule,
    pub(super) values: Vec<PatternValue>,
    pub(super) value_ids: FxHashMap<String, ValueId>,
    pub(super) vars: Vec<String>,
    pub(super) var_ids: FxHashMap<String, VarId>,
    pub(super) source: Vec<PatternNode>,
    pub(super) target: Vec<PatternNode>,
    /// Attributes of the source that are computed: node, name, expression.
    pub(super) computed: Vec<(usize, &'static str, Expr)>,
    pub(super) source_outputs: Vec<PatternOperand>,
    pub(super) target_outputs: Vec<PatternOperand>,
    /// The node that a match is found at.
    pub(super) anchor: usize,
    pub(super) plan: Vec<Step>,
}

/// A named value of a rule.
#[derive(Clone, Debug)]
pub(super) struct PatternValue {
    /// The rule's input, if it is one.
    pub input: Option<RuleInput>,
    /// The source node that produces it, and as which output.
    pub producer: Option<(usize, usize)>,
    /// Whether it depends on inputs alone that must be constant: then it is looked for among constants, and nowhere else.
    pub constant: bool,
}

/// A node of a compiled rule.
#[derive(Clone, Debug)]
pub(super) struct PatternNode {
    pub kind: OpKind,
    pub inputs: Vec<PatternOperand>,
    pub outputs: Vec<PatternOperand>,
    /// (name, what is asked of it); `Any` is left out.
    pub attrs: Vec<(&'static str, AttrPattern)>,
    /// The operator of a target's node that is the same for every match.
    pub fixed: Option<Op>,
    pub repeated: bool,
    pub commutative: bool,
    /// Whether it depends on inputs alone that must be constant.
    pub constant: bool,
}

/// A mention of a value in a compiled rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternOperand {
    One(ValueId),
    Each(ValueId),
    All(ValueId),
    Absent,
}

impl PatternOperand {
    fn id(self) -> Option<ValueId> {
        match self {
            PatternOperand::One(v) | PatternOperand::Each(v) | PatternOperand::All(v) => Some(v),
            PatternOperand::Absent => None,
        }
    }
}

/// A step of a plan.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Bind `node` to the producer of a value that is bound.
    Up { value: ValueId, node: usize },
    /// Bind `node` to the producer of the first element of a list, which must be all of its outputs.
    UpList { list: ValueId, node: usize },
    /// Bind `node` to a consumer of a value that is bound.
    Down { value: ValueId, node: usize },
    /// Bind the repeated nodes once for every element of a list that is bound, from its producers.
    EachProducer { list: ValueId, node: usize, template: Vec<Step> },
    /// Bind the repeated nodes once for every element of a list that is bound, from its only consumers.
    EachConsumer { list: ValueId, node: usize, template: Vec<Step> },
    /// The first member is bound: find all others, through the value they share.
    Siblings { shared: ValueId, node: usize, template: Vec<Step> },
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// An operator's name or attribute is wrong.
    #[error("node {node} ({op}): {reason}")]
    Node {
        /// Position of the node.
        node: usize,
        /// Operator.
        op: String,
        /// What is wrong.
        reason: String,
    },
    /// A name that nothing binds.
    #[error("{name:?} is used and nothing binds it")]
    Unbound {
        /// The name.
        name: String,
    },
    /// A name bound twice.
    #[error("{name:?} is defined twice")]
    Doubled {
        /// The name.
        name: String,
    },
    /// A source that a match cannot walk through.
    #[error("the source is not connected through nodes or shared non-constant inputs (node {node}, {op})")]
    Disconnected {
        /// Position of a node that is not reached.
        node: usize,
        /// Its operator.
        op: String,
    },
    /// Source and target outputs differ in number or kind.
    #[error("source and target outputs do not correspond")]
    Outputs,
}

impl Pattern {
    /// Compiles a rule.
    pub fn compile(rule: Rule) -> Result<Pattern, RuleError> {
        let mut names = Names::default();
        for input in &rule.inputs {
            names.define(
                &input.name,
                PatternValue { input: Some(input.clone()), producer: None, constant: input.constant },
            )?;
        }
        let source = compile_nodes(&rule.source.nodes, &mut names, true)?;
        let source_outputs = names.operands(&rule.source.outputs)?;
        let target = compile_nodes(&rule.target.nodes, &mut names, false)?;
        let target_outputs = names.operands(&rule.target.outputs)?;
        let kind = |o: &PatternOperand| matches!(o, PatternOperand::One(_));
        if source_outputs.len() != target_outputs.len()
            || source_outputs.is_empty()
            || source_outputs.iter().zip(&target_outputs).any(|(a, b)| kind(a) != kind(b))
        {
            return Err(RuleError::Outputs);
        }
        let computed = source.iter().enumerate().flat_map(|(i, node)| {
            node.attrs.iter().filter_map(move |(name, asked)| match asked {
                AttrPattern::Computed(expr) => Some((i, *name, expr.clone())),
                AttrPattern::Any | AttrPattern::Variable(_) | AttrPattern::Literal(_) => None,
            })
        });
        let computed = computed.collect();
        let mut pattern = Pattern {
            values: names.values,
            value_ids: names.ids,
            vars: Vec::new(),
            var_ids: FxHashMap::default(),
            source,
            target,
            computed,
            source_outputs,
            target_outputs,
            anchor: 0,
            plan: Vec::new(),
            rule,
        };
        pattern.number_variables()?;
        (pattern.anchor, pattern.plan) = Planner::new(&pattern).plan()?;
        Ok(pattern)
    }

    /// Operator of the node at which matches are found.
    pub fn anchor_kind(&self) -> OpKind {
        self.source[self.anchor].kind
    }

    fn number_variables(&mut self) -> Result<(), RuleError> {
        let mut names: Vec<String> = Vec::new();
        for node in &self.source {
            for (_, attr) in &node.attrs {
                if let AttrPattern::Variable(name) = attr
                    && !names.contains(name)
                {
                    names.push(name.clone());
                }
            }
        }
        for (name, _) in &self.rule.lets {
            if names.contains(name) {
                return Err(RuleError::Doubled { name: name.clone() });
            }
            names.push(name.clone());
        }
        for node in &self.target {
            for (_, attr) in &node.attrs {
                if let AttrPattern::Variable(name) = attr
                    && !names.contains(name)
                {
                    return Err(RuleError::Unbound { name: name.clone() });
                }
            }
        }
        self.var_ids = names.iter().cloned().enumerate().map(|(i, n)| (n, i)).collect();
        self.vars = names;
        Ok(())
    }
}

#[derive(Default)]
struct Names {
    values: Vec<PatternValue>,
    ids: FxHashMap<String, ValueId>,
}

impl Names {
    fn define(&mut self, name: &str, value: PatternValue) -> Result<ValueId, RuleError> {
        let id = self.values.len();
        if self.ids.insert(name.to_owned(), id).is_some() {
            return Err(RuleError::Doubled { name: name.to_owned() });
        }
        self.values.push(value);
        Ok(id)
    }

    fn operand(&self, operand: &Operand) -> Result<PatternOperand, RuleError> {
        let find = |name: &String| self.ids.get(name).copied().ok_or_else(|| RuleError::Unbound { name: name.clone() });
        Ok(match operand {
            Operand::One(name) | Operand::First(name) => PatternOperand::One(find(name)?),
            Operand::Each(name) => PatternOperand::Each(find(name)?),
            Operand::All(name) => PatternOperand::All(find(name)?),
            Operand::Absent => PatternOperand::Absent,
        })
    }

    fn operands(&self, operands: &[Operand]) -> Result<Vec<PatternOperand>, RuleError> {
        operands.iter().map(|o| self.operand(o)).collect()
    }
}

fn compile_nodes(nodes: &[RuleNode], names: &mut Names, is_source: bool) -> Result<Vec<PatternNode>, RuleError> {
    let mut compiled = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let inputs = names.operands(&node.inputs)?;
        let constant = !inputs.is_empty() && inputs.iter().filter_map(|o| o.id()).all(|v| names.values[v].constant);
        for (slot, output) in node.outputs.iter().enumerate() {
            if let Some(name) = output.name() {
                let producer = is_source.then_some((index, slot));
                names.define(name, PatternValue { input: None, producer, constant })?;
            }
        }
        let schema = ops::schema(node.op);
        let error = |reason: String| RuleError::Node { node: index, op: node.op.name().to_owned(), reason };
        let mut attrs = Vec::new();
        for (name, _) in &node.attrs {
            if !schema.attrs.iter().any(|a| a.name == name) {
                return Err(error(format!("no attribute {name:?}")));
            }
        }
        for spec in schema.attrs {
            let given = node.attrs.iter().find(|(n, _)| n == spec.name).map(|(_, a)| a.clone());
            match given.or_else(|| spec.default.value().map(AttrPattern::Literal)) {
                Some(AttrPattern::Any) if is_source => {}
                Some(AttrPattern::Any) => {
                    return Err(error(format!("attribute {:?} of a target cannot be \"*\"", spec.name)));
                }
                Some(asked) => attrs.push((spec.name, asked)),
                None if is_source || matches!(spec.default, AttrDefault::Absent(_)) => {}
                None => return Err(error(format!("attribute {:?} is required", spec.name))),
            }
        }
        compiled.push(PatternNode {
            kind: node.op,
            inputs,
            outputs: names.operands(&node.outputs)?,
            fixed: if is_source { None } else { fixed_op(node.op, &attrs) },
            attrs,
            repeated: node.repeated,
            commutative: schema.commutative,
            constant,
        });
    }
    Ok(compiled)
}

/// The operator, if all attributes are literals that stand for themselves whatever the match.
fn fixed_op(kind: OpKind, attrs: &[(&'static str, AttrPattern)]) -> Option<Op> {
    let literal = |(name, asked): &(&'static str, AttrPattern)| match asked {
        AttrPattern::Literal(value) if !depends_on_match(kind, name, value) => Some((*name, value.clone())),
        _ => None,
    };
    ops::build(kind, attrs.iter().map(literal).collect::<Option<Vec<_>>>()?).ok()
}

/// Whether a literal attribute of a target stands for something else: a list left out for as many entries as there are
/// axes, the element type of a constructor for that of the match.
pub(super) fn depends_on_match(kind: OpKind, attr: &str, value: &Attr) -> bool {
    match value {
        Attr::Ints(list) => list.is_empty() && default_entry(attr).is_some(),
        Attr::Int(_) => attr == "dtype" && kind.is_constructor(),
        Attr::Float(_) | Attr::Str(_) | Attr::Floats(_) | Attr::Strs(_) => false,
    }
}

/// Finds the order in which a pattern's nodes are bound.
struct Planner<'a> {
    pattern: &'a Pattern,
    bound_nodes: Vec<bool>,
    bound_values: Vec<bool>,
}

impl<'a> Planner<'a> {
    fn new(pattern: &'a Pattern) -> Self {
        Planner {
            pattern,
            bound_nodes: vec![false; pattern.source.len()],
            bound_values: vec![false; pattern.values.len()],
        }
    }

    fn plan(mut self) -> Result<(usize, Vec<Step>), RuleError> {
        let root = self.pattern.source_outputs[0].id().and_then(|v| self.pattern.values[v].producer);
        let (root, _) = root.ok_or(RuleError::Outputs)?;
        let mut steps = Vec::new();
        let anchor = match self.group_at(root)? {
            Some((anchor, shared)) => {
                self.bind(anchor);
                let template = self.walk_template();
                steps.extend(template.iter().cloned());
                steps.push(Step::Siblings { shared, node: anchor, template });
                anchor
            }
            None => {
                let start = if self.pattern.source[root].repeated { self.list_producer() } else { None };
                let start = start.unwrap_or(root);
                self.bind(start);
                start
            }
        };
        while let Some(step) = self.next_step() {
            steps.push(step);
        }
        match self.bound_nodes.iter().position(|b| !b) {
            None => Ok((anchor, steps)),
            Some(node) => {
                let op = self.pattern.source[node].kind.name().to_owned();
                Err(RuleError::Disconnected { node, op })
            }
        }
    }

    /// If the root is repeated: the member to start from and the value that the group shares. `None` if the source is
    /// better walked from a single node: a root that is not repeated, or the producer of the list of members where they
    /// share nothing but perhaps a constant.
    fn group_at(&self, root: usize) -> Result<Option<(usize, ValueId)>, RuleError> {
        if !self.pattern.source[root].repeated {
            return Ok(None);
        }
        let shared = self.shared_value();
        let only_constant = match &shared {
            Ok((_, v)) => self.pattern.values[*v].input.as_ref().is_some_and(|i| i.constant),
            Err(_) => true,
        };
        if only_constant && self.list_producer().is_some() {
            return Ok(None);
        }
        shared.map(Some)
    }

    /// A node that produces a list as a whole.
    fn list_producer(&self) -> Option<usize> {
        let produces_list = |n: &PatternNode| n.outputs.iter().any(|o| matches!(o, PatternOperand::All(_)));
        self.pattern.source.iter().position(produces_list)
    }

    /// The repeated node through whose operand the members of a group hang together, and that operand: preferably not
    /// a constant.
    fn shared_value(&self) -> Result<(usize, ValueId), RuleError> {
        let mut best: Option<(bool, usize, ValueId)> = None;
        for (index, node) in self.pattern.source.iter().enumerate().filter(|(_, n)| n.repeated) {
            for operand in &node.inputs {
                if let PatternOperand::One(v) = *operand
                    && let Some(input) = &self.pattern.values[v].input
                {
                    let candidate = (input.constant, index, v);
                    if best.is_none_or(|b| candidate < b) {
                        best = Some(candidate);
                    }
                }
            }
        }
        let op = || self.pattern.source[0].kind.name().to_owned();
        best.map(|(_, node, v)| (node, v)).ok_or_else(|| RuleError::Disconnected { node: 0, op: op() })
    }

    fn bind(&mut self, node: usize) {
        self.bound_nodes[node] = true;
        let n = &self.pattern.source[node];
        for operand in n.inputs.iter().chain(&n.outputs) {
            if let Some(v) = operand.id() {
                self.bound_values[v] = true;
            }
        }
    }

    /// Steps that bind the repeated nodes connected with one that is bound, for one member.
    fn walk_template(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = self.simple_step(true) {
            steps.push(step);
        }
        steps
    }

    fn next_step(&mut self) -> Option<Step> {
        self.simple_step(false).or_else(|| self.list_step())
    }

    /// A node reached through a single value; within a template only repeated nodes through the member's own values.
    fn simple_step(&mut self, template: bool) -> Option<Step> {
        let pattern = self.pattern;
        for (node, n) in pattern.source.iter().enumerate() {
            if self.bound_nodes[node] || n.repeated != template {
                continue;
            }
            let own = |o: &PatternOperand| match (template, o) {
                (false, PatternOperand::One(v)) => Some(*v),
                (true, PatternOperand::Each(v)) => Some(*v),
                _ => None,
            };
            if let Some(value) = n.outputs.iter().filter_map(own).find(|v| self.bound_values[*v]) {
                self.bind(node);
                return Some(Step::Up { value, node });
            }
        }
        for (node, n) in pattern.source.iter().enumerate() {
            if self.bound_nodes[node] || n.repeated != template {
                continue;
            }
            let reachable = |o: &PatternOperand| match (template, o) {
                (true, PatternOperand::Each(v)) => self.bound_values[*v].then_some(*v),
                (false, PatternOperand::One(v)) => {
                    let value = &pattern.values[*v];
                    let through_constant = value.input.as_ref().is_some_and(|i| i.constant);
                    (self.bound_values[*v] && !through_constant).then_some(*v)
                }
                _ => None,
            };
            if let Some(value) = n.inputs.iter().find_map(reachable) {
                self.bind(node);
                return Some(Step::Down { value, node });
            }
        }
        None
    }

    fn list_step(&mut self) -> Option<Step> {
        let pattern = self.pattern;
        for (node, n) in pattern.source.iter().enumerate() {
            if self.bound_nodes[node] {
                continue;
            }
            for output in &n.outputs {
                match *output {
                    PatternOperand::Each(list) if self.bound_values[list] => {
                        self.bind(node);
                        let template = self.walk_template();
                        return Some(Step::EachProducer { list, node, template });
                    }
                    PatternOperand::All(list) if self.bound_values[list] => {
                        self.bind(node);
                        return Some(Step::UpList { list, node });
                    }
                    _ => {}
                }
            }
        }
        for (node, n) in pattern.source.iter().enumerate().filter(|(_, n)| n.repeated) {
            if self.bound_nodes[node] {
                continue;
            }
            for input in &n.inputs {
                if let PatternOperand::Each(list) = *input
                    && self.bound_values[list]
                {
                    self.bind(node);
                    let template = self.walk_template();
                    return Some(Step::EachConsumer { list, node, template });
                }
            }
        }
        None
    }
}

/// Whether an operand of a rule may be left out.
pub(super) fn is_optional(value: &PatternValue) -> bool {
    value.input.as_ref().is_some_and(|i| i.arity == Arity::Optional)
}

/// What every entry of a list attribute is when the list is left out ("not given" is the empty list).
pub(super) fn default_entry(attr: &str) -> Option<i64> {
    match attr {
        "strides" | "dilations" => Some(1),
        "pads" | "output_padding" => Some(0),
        _ => None,
    }
}

/// An attribute as integers, if it is an integer or a list of them.
pub(super) fn attr_ints(attr: &Attr) -> Option<&[i64]> {
    match attr {
        Attr::Int(v) => Some(std::slice::from_ref(v)),
        Attr::Ints(v) => Some(v),
        Attr::Float(_) | Attr::Str(_) | Attr::Floats(_) | Attr::Strs(_) => None,
    }
}
