//! Proposals of shapes, attributes and elements that suit an operator.

use std::collections::BTreeMap;

use super::attributes::propose_attr;
use super::instance::{Misfit, Value, known_shape, typed};
use super::random::Random;
use super::value::Scope;
use crate::graph::{Attr, DType, Facts, Op, OpKind};
use crate::ops::{self, Array};
use crate::rewrite::{AttrPattern, DTypeClass, Operand, Rule, RuleNode};

/// Completes one application: operands that have no shape yet, and attributes.
pub(super) struct Proposer<'a> {
    pub rule: &'a Rule,
    pub node: &'a RuleNode,
    pub member: usize,
    pub members: usize,
    pub facts: &'a mut BTreeMap<String, Vec<Option<Facts>>>,
    pub random: &'a mut Random,
}

impl Proposer<'_> {
    /// Shapes for all operands, and the operator with its attributes; variables are bound as they are met.
    pub fn complete(&mut self, variables: &mut BTreeMap<String, Attr>) -> Result<Op, Misfit> {
        // The number of groups and transpositions decide shapes; other attributes follow shapes.
        let mut attrs: BTreeMap<&'static str, Attr> = BTreeMap::new();
        let slots = self.node.inputs.len();
        let order: Vec<usize> = match (0..slots).find(|&slot| self.shape(slot).is_some()) {
            Some(known) => std::iter::once(known).chain((0..slots).filter(|&slot| slot != known)).collect(),
            None => (0..slots).collect(),
        };
        for (position, &slot) in order.iter().enumerate() {
            if position == 1 {
                self.attributes(true, &mut attrs, variables)?;
            }
            self.operand(slot, &attrs)?;
        }
        self.attributes(true, &mut attrs, variables)?;
        self.attributes(false, &mut attrs, variables)?;
        ops::build(self.node.op, attrs.into_iter().collect::<Vec<_>>()).map_err(|e| Misfit(e.to_string()))
    }

    /// Attributes that decide shapes, or the others.
    fn attributes(
        &mut self,
        early: bool,
        attrs: &mut BTreeMap<&'static str, Attr>,
        variables: &mut BTreeMap<String, Attr>,
    ) -> Result<(), Misfit> {
        let is_early = |name: &str| matches!(name, "group" | "transA" | "transB" | "axis" | "equation");
        // Axes come before what has an entry for each, kernels and dilations before the padding that suits them.
        let first = |name: &str| matches!(name, "axes" | "kernel_shape" | "dilations");
        let node = self.node;
        let (ahead, behind): (Vec<_>, Vec<_>) = node.attrs.iter().partition(|(name, _)| first(name));
        for (name, pattern) in ahead.into_iter().chain(behind) {
            if is_early(name) != early || attrs.contains_key(name.as_str()) {
                continue;
            }
            let scope = Scope { members: self.members, facts: self.facts, variables, rule: self.rule };
            let value = match pattern {
                AttrPattern::Literal(value) => value.clone(),
                AttrPattern::Computed(_) => {
                    scope.attr(pattern, self.member).ok_or_else(|| Misfit(format!("{name} has no value")))?
                }
                AttrPattern::Variable(variable) => match variables.get(variable) {
                    Some(value) => value.clone(),
                    None => {
                        let value = self.attr(name, attrs)?;
                        variables.insert(variable.clone(), value.clone());
                        value
                    }
                },
                AttrPattern::Any => self.attr(name, attrs)?,
            };
            let spec = ops::schema(self.node.op).attr(name).ok_or_else(|| Misfit(format!("no attribute {name}")))?;
            attrs.insert(spec.name, value);
        }
        Ok(())
    }

    fn attr(&mut self, name: &str, attrs: &BTreeMap<&str, Attr>) -> Result<Attr, Misfit> {
        let shapes: Vec<Option<Vec<i64>>> = (0..self.node.inputs.len()).map(|slot| self.shape(slot)).collect();
        let listed = self.node.outputs.iter().any(|o| matches!(o, Operand::All(_)));
        let parts = if listed { self.members } else { self.node.outputs.len() };
        propose_attr(self.node.op, name, &shapes, attrs, parts, self.random)
            .ok_or_else(|| Misfit(format!("no proposal for {name} of {}", self.node.op)))
    }

    /// The shape of an operand, if it has one. For a list operand that of its first member.
    fn shape(&self, slot: usize) -> Option<Vec<i64>> {
        let operand = &self.node.inputs[slot];
        let list = self.facts.get(operand.name()?)?;
        let facts = match operand {
            Operand::Each(_) => list.get(self.member)?,
            _ => list.first()?,
        };
        known_shape(facts.as_ref()?)
    }

    /// Gives an operand a shape if it has none.
    fn operand(&mut self, slot: usize, attrs: &BTreeMap<&str, Attr>) -> Result<(), Misfit> {
        let operand = self.node.inputs[slot].clone();
        let Some(name) = operand.name() else { return Ok(()) };
        let have = self.facts.get(name).map_or(0, Vec::len);
        let wanted = match operand {
            Operand::Each(_) => self.member + 1,
            Operand::All(_) => self.members,
            _ => 1,
        };
        let input = self.rule.inputs.iter().find(|i| i.name == name);
        let Some(input) = input.filter(|_| have < wanted) else { return Ok(()) };
        let dtype = match input.dtype {
            DTypeClass::Float => DType::F32,
            DTypeClass::Int => DType::I64,
            DTypeClass::Any if self.random.percent(20) => DType::I64,
            DTypeClass::Any => DType::F32,
        };
        for index in have..wanted {
            let first = self.facts.get(name).and_then(|list| list.first()).cloned().flatten();
            let facts = match first.as_ref().and_then(known_shape).filter(|_| self.random.percent(95)) {
                // Members of a list resemble the first.
                Some(mut shape) => {
                    if !shape.is_empty() && self.random.percent(50) {
                        let axis = match (self.node.op, attrs.get("axis")) {
                            (OpKind::Concat, Some(Attr::Int(axis))) => usize::try_from(*axis).unwrap_or(0),
                            _ => self.random.below(shape.len()),
                        };
                        if let Some(size) = shape.get_mut(axis) {
                            *size = self.random.size();
                        }
                    }
                    let dtype = first.and_then(|f| f.ty).map_or(dtype, |ty| ty.dtype);
                    typed(dtype, &shape)
                }
                None => typed(dtype, &self.propose_shape(slot, name, input.rank, attrs)),
            };
            let list = self.facts.entry(name.to_owned()).or_default();
            debug_assert_eq!(list.len(), index);
            list.push(Some(facts));
        }
        Ok(())
    }

    fn propose_shape(
        &mut self,
        slot: usize,
        name: &str,
        rank: Option<usize>,
        attrs: &BTreeMap<&str, Attr>,
    ) -> Vec<i64> {
        // w2 often has the shape of w1.
        let stem = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let brothers: Vec<Vec<i64>> = self
            .rule
            .inputs
            .iter()
            .filter(|i| i.name != name && stem(&i.name) == stem(name) && i.rank == rank)
            .filter_map(|i| known_shape(self.facts.get(&i.name)?.first()?.as_ref()?))
            .collect();
        if let Some(shape) = brothers.first().filter(|_| self.random.percent(45)) {
            let mut shape = shape.clone();
            if !shape.is_empty() && self.random.percent(30) {
                let axis = self.random.below(shape.len());
                shape[axis] = self.random.size();
            }
            return shape;
        }
        let shapes: Vec<Option<Vec<i64>>> = (0..self.node.inputs.len()).map(|s| self.shape(s)).collect();
        let int = |name: &str| match attrs.get(name) {
            Some(Attr::Int(v)) => *v,
            _ => 0,
        };
        let known = shapes.iter().enumerate().find_map(|(s, shape)| Some((s, shape.clone()?)));
        let Some((other_slot, other)) = known else { return self.fresh(rank) };
        use OpKind::*;
        match self.node.op {
            Conv | ConvTranspose => self.kernel_or_input(slot, &shapes, int("group").max(1)),
            MatMul => self.factor(slot == 0, &other, rank),
            Gemm if slot < 2 => {
                let (mine, theirs) = if slot == 0 { ("transA", "transB") } else { ("transB", "transA") };
                let inner = match (slot, int(theirs)) {
                    (1, 0) | (0, 1) => other.last(),
                    _ => other.first(),
                };
                let (inner, outer) = (inner.copied().unwrap_or(1), self.random.size());
                match (slot, int(mine)) {
                    (1, 0) | (0, 1) => vec![inner, outer],
                    _ => vec![outer, inner],
                }
            }
            Gemm => {
                let product = match (&shapes[0], &shapes[1]) {
                    (Some(a), Some(b)) if a.len() == 2 && b.len() == 2 => {
                        vec![a[usize::from(int("transA") != 0)], b[usize::from(int("transB") == 0)]]
                    }
                    _ => other,
                };
                self.operand_of(&product, rank)
            }
            BatchNormalization | InstanceNormalization => match slot {
                0 => self.fresh(rank),
                _ => other.get(1).copied().into_iter().collect(),
            },
            LayerNormalization => other.last().copied().into_iter().collect(),
            Concat => {
                let mut shape = other;
                if let Ok(axis) = usize::try_from(int("axis"))
                    && let Some(size) = shape.get_mut(axis)
                {
                    *size = self.random.size();
                }
                shape
            }
            Gather => self.fresh(rank),
            Einsum => self.einsum_operand(slot, other_slot, &other, attrs),
            _ => self.operand_of(&other, rank),
        }
    }

    /// A shape of the rank asked for, or of any from 1 to 4.
    fn fresh(&mut self, rank: Option<usize>) -> Vec<i64> {
        let op = self.node.op;
        let rank = rank.unwrap_or_else(|| match op {
            OpKind::Conv | OpKind::ConvTranspose => self.random.pick(&[3, 4, 4]),
            OpKind::AveragePool | OpKind::MaxPool => 4,
            OpKind::MatMul => self.random.pick(&[1, 2, 2, 3, 4]),
            OpKind::Einsum => self.random.pick(&[2, 3, 4]),
            _ => self.random.pick(&[0, 1, 2, 2, 3, 3, 4]),
        });
        let mut shape: Vec<i64> = (0..rank).map(|_| self.random.size()).collect();
        let spatial =
            matches!(op, OpKind::Conv | OpKind::ConvTranspose | OpKind::AveragePool | OpKind::MaxPool | OpKind::Pad);
        if spatial {
            for size in shape.iter_mut().skip(2) {
                *size = self.random.pick(&[1, 3, 4, 5, 6]);
            }
            if let Some(batch) = shape.first_mut() {
                *batch = self.random.pick(&[1, 2]);
            }
            if let Some(channels) = shape.get_mut(1) {
                *channels = self.random.pick(&[1, 2, 3, 4, 4, 6]);
            }
        }
        if op == OpKind::Split && rank > 0 {
            let axis = self.random.below(rank);
            shape[axis] = self.random.pick(&[2, 3, 4, 5, 6, 8]);
        }
        shape
    }

    /// An operand that broadcasts with `other`: often the same shape, a scalar, or one axis of it.
    fn operand_of(&mut self, other: &[i64], rank: Option<usize>) -> Vec<i64> {
        let rank = rank.unwrap_or_else(|| match self.random.below(10) {
            0..4 => other.len(),
            4 => 0,
            5 => 1.min(other.len()),
            6 => other.len() + 1,
            _ => self.random.below(other.len() + 1),
        });
        let style = self.random.below(4);
        let axis = self.random.below(rank.min(3));
        let mut shape: Vec<i64> = Vec::with_capacity(rank);
        for position in 0..rank {
            let back = rank - position;
            let size = other.len().checked_sub(back).map_or(1, |at| other[at]);
            shape.push(match style {
                0 => size,
                1 if back == axis + 1 => size,
                1 => 1,
                2 if self.random.percent(50) => size,
                2 => 1,
                _ if size == 1 && self.random.percent(20) => self.random.size(),
                _ => size,
            });
        }
        shape
    }

    fn kernel_or_input(&mut self, slot: usize, shapes: &[Option<Vec<i64>>], group: i64) -> Vec<i64> {
        let transposed = self.node.op == OpKind::ConvTranspose;
        let spatial = |random: &mut Random, rank: usize, sizes: &[i64]| -> Vec<i64> {
            let first = random.pick(sizes);
            (0..rank).map(|_| if random.percent(60) { first } else { random.pick(sizes) }).collect()
        };
        match (slot, shapes.first().cloned().flatten(), shapes.get(1).cloned().flatten()) {
            (1, Some(x), _) if x.len() >= 3 => {
                let outputs = if self.random.percent(50) { x[1] } else { group * self.random.pick(&[1, 2, 3]) };
                let mut shape = if transposed { vec![x[1], outputs / group] } else { vec![outputs, x[1] / group] };
                shape.extend(spatial(self.random, x.len() - 2, &[1, 1, 1, 2, 3, 3, 5]));
                shape
            }
            (0, _, Some(w)) if w.len() >= 3 => {
                let channels = if transposed { w[0] } else { w[1] * group };
                let mut shape = vec![self.random.pick(&[1, 2]), channels];
                shape.extend(spatial(self.random, w.len() - 2, &[1, 3, 4, 5, 6]));
                shape
            }
            (2, _, Some(w)) if w.len() >= 2 => vec![if transposed { w[1] * group } else { w[0] }],
            _ => self.fresh(None),
        }
    }

    /// The other factor of a matrix product.
    fn factor(&mut self, first: bool, other: &[i64], rank: Option<usize>) -> Vec<i64> {
        let inner = match (first, other.len()) {
            (_, 0) => 1,
            (_, 1) => other[0],
            (true, n) => other[n - 2],
            (false, n) => other[n - 1],
        };
        let rank =
            rank.unwrap_or_else(|| if self.random.percent(60) { other.len() } else { self.random.pick(&[1, 2, 2, 3]) });
        if rank <= 1 {
            return vec![inner; rank];
        }
        let mut shape = Vec::with_capacity(rank);
        for position in 0..rank - 2 {
            let size = other.len().checked_sub(rank - position).map_or(2, |at| other[at]);
            shape.push(if self.random.percent(80) { size } else { 1 });
        }
        let square = self.random.percent(30);
        let outer = if square { inner } else { self.random.size() };
        shape.extend(if first { [outer, inner] } else { [inner, outer] });
        shape
    }

    fn einsum_operand(
        &mut self,
        slot: usize,
        other_slot: usize,
        other: &[i64],
        attrs: &BTreeMap<&str, Attr>,
    ) -> Vec<i64> {
        let Some(Attr::Str(equation)) = attrs.get("equation") else { return self.fresh(None) };
        let terms: Vec<&str> = equation.split("->").next().unwrap_or_default().split(',').collect();
        let (Some(mine), Some(theirs)) = (terms.get(slot), terms.get(other_slot)) else { return self.fresh(None) };
        mine.chars()
            .map(|c| match theirs.chars().position(|d| c == d).and_then(|at| other.get(at)) {
                Some(size) => *size,
                None => self.random.size(),
            })
            .collect()
    }
}

/// Elements for an input, of a kind that suits where the source uses it.
pub(super) fn draw_elements(
    rule: &Rule,
    name: &str,
    facts: &Facts,
    all: &BTreeMap<String, Vec<Option<Facts>>>,
    random: &mut Random,
) -> Result<Value, Misfit> {
    let shape = known_shape(facts).ok_or_else(|| Misfit("an input without a shape".into()))?;
    let count = shape.iter().product::<i64>().max(0) as usize;
    let used_as = |op: OpKind, slot: usize| {
        rule.source.nodes.iter().any(|n| n.op == op && n.inputs.get(slot).is_some_and(|o| o.name() == Some(name)))
    };
    let positive = used_as(OpKind::BatchNormalization, 4);
    let divisor = used_as(OpKind::Div, 1) || used_as(OpKind::Reciprocal, 0);
    let indexed = rule
        .source
        .nodes
        .iter()
        .find(|n| n.op == OpKind::Gather && n.inputs.get(1).is_some_and(|o| o.name() == Some(name)));
    // Any index that is valid along every axis will do.
    let limit = indexed.and_then(|n| {
        let source = all.get(n.inputs[0].name()?)?.first()?.as_ref()?;
        known_shape(source)?.into_iter().min()
    });
    let integer = facts.ty.as_ref().is_some_and(|ty| ty.dtype == DType::I64);
    let mut data = Vec::with_capacity(count);
    for _ in 0..count {
        let magnitude = 0.25 + 1.5 * random.unit();
        data.push(match (limit, integer) {
            (Some(limit), _) => random.below(usize::try_from(limit.max(1)).unwrap_or(1)) as f64,
            (None, true) => random.below(9) as f64 - 4.0,
            (None, false) if positive => magnitude,
            (None, false) if divisor || random.percent(50) => magnitude * if random.percent(50) { 1.0 } else { -1.0 },
            (None, false) => 3.0 * random.unit() - 1.5,
        });
        // Weights of graphs are stored as f32: the same numbers on both ways.
        if let Some(last) = data.last_mut() {
            *last = f64::from(*last as f32);
        }
    }
    let shape: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
    let array = Array::new(&shape, data).map_err(|e| Misfit(e.to_string()))?;
    Ok(Value { facts: facts.clone(), array })
}
