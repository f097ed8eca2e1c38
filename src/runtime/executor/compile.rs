//! From a graph to a program's steps.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tch::{Device, Tensor};

use super::packing;
use super::{ExecuteError, Given, NotRun, Operand, Options, Program, Step};
use crate::graph::{DType, Graph, NodeId, Op, OpKind, TensorType, ValueRef};
use crate::runtime::fold::Constants;
use crate::runtime::kernels::RunError;
use crate::runtime::weights::Weights;

/// Compiles a graph with constants folded before.
pub(super) fn compile(
    graph: &Graph,
    options: &Options,
    constants: &Constants,
    weights: &mut Weights,
) -> Result<Program, ExecuteError> {
    let program = Program {
        steps: Vec::new(),
        constants: Vec::new(),
        inputs: Vec::new(),
        supplied: Vec::new(),
        values: 0,
        outputs: Vec::new(),
        observed: Vec::new(),
        not_run: Vec::new(),
        place: options.place(),
    };
    let mut builder = Builder { graph, options, folded: constants, weights, at: FxHashMap::default(), program };
    builder.build()?;
    Ok(builder.program)
}

/// Whether a CUDA kernel takes this operand from the CPU: lists that are read on the host, and scalars of element-wise
/// operators, which libtorch passes by value.
pub(super) fn may_be_on_host(kind: OpKind, slot: usize, rank: usize) -> bool {
    use OpKind as K;
    match kind {
        K::Reshape
        | K::Expand
        | K::Tile
        | K::Slice
        | K::Pad
        | K::Squeeze
        | K::Unsqueeze
        | K::TopK
        | K::Split
        | K::Resize
        | K::Trilu
        | K::CumSum => slot > 0,
        K::ReduceSum
        | K::ReduceMean
        | K::ReduceMax
        | K::ReduceMin
        | K::ReduceProd
        | K::ReduceL1
        | K::ReduceL2
        | K::ReduceLogSum
        | K::ReduceLogSumExp
        | K::ReduceSumSquare => slot > 0,
        K::ConstantOfShape | K::Range | K::Shape | K::Size => true,
        K::Gather => slot == 1 && rank == 0,
        K::Add
        | K::Sub
        | K::Mul
        | K::Div
        | K::Pow
        | K::Equal
        | K::Less
        | K::LessOrEqual
        | K::Greater
        | K::GreaterOrEqual => rank == 0,
        _ => false,
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    options: &'a Options,
    folded: &'a Constants,
    weights: &'a mut Weights,
    /// Where each value that can be computed is found.
    at: FxHashMap<ValueRef, Operand>,
    program: Program,
}

impl Builder<'_> {
    fn build(&mut self) -> Result<(), ExecuteError> {
        for &id in self.graph.inputs() {
            let value = ValueRef::first(id);
            let given = self.given(value);
            if given.kind.is_none() {
                self.skip(id, "its type is not computed with");
            } else {
                self.at.insert(value, Operand::Value(given.slot));
            }
            self.program.inputs.push(given);
        }
        for id in self.graph.topological() {
            let node = self.graph.node(id);
            match &node.op {
                Op::Input | Op::Weight(_) => {}
                Op::Apply(..) if node.constant => {}
                Op::Apply(..) => self.apply(id)?,
                Op::Opaque(_) => self.opaque(id),
            }
        }
        for output in self.graph.outputs() {
            let operand = self.operand(output.value)?.unwrap_or(Operand::Omitted);
            self.program.outputs.push(operand);
        }
        for &value in &self.options.observe {
            let operand = self.operand(value)?.unwrap_or(Operand::Omitted);
            self.program.observed.push(operand);
        }
        self.pack()?;
        self.note_releases();
        Ok(())
    }

    fn given(&mut self, value: ValueRef) -> Given {
        let ty = self.graph.facts(value).ty.clone();
        let slot = self.new_value();
        let kind = ty.as_ref().and_then(|ty| self.options.place().kind(ty.dtype));
        Given { value, name: self.graph.value_name(value).to_string(), kind, ty, slot }
    }

    fn new_value(&mut self) -> usize {
        self.program.values += 1;
        self.program.values - 1
    }

    fn skip(&mut self, id: NodeId, why: &str) {
        let node = self.graph.node(id);
        let name = if node.name.is_empty() { self.graph.value_name(ValueRef::first(id)) } else { &node.name };
        let what = format!("{} {name}", node.op.label());
        self.program.not_run.push(NotRun { node: id, what, why: why.to_owned() });
    }

    /// Where a value is found; `None` if it is not computed.
    fn operand(&mut self, value: ValueRef) -> Result<Option<Operand>, ExecuteError> {
        if let Some(operand) = self.at.get(&value) {
            return Ok(Some(*operand));
        }
        let node = self.graph.node(value.node);
        let located = |error| ExecuteError::Constant { name: self.graph.value_name(value).to_string(), error };
        let tensor = match &node.op {
            Op::Weight(tensor) => self.weights.load(tensor, self.options.place()).map_err(located)?,
            _ => match self.folded.get(value) {
                Some(wide) => {
                    let ty = self.graph.facts(value).ty.as_ref();
                    let kind = ty.and_then(|ty| self.options.place().kind(ty.dtype)).unwrap_or_else(|| wide.kind());
                    let placed = || -> Result<Tensor, RunError> {
                        // Dense, so that a folded transpose costs nothing at run time.
                        Ok(wide.f_to_kind(kind)?.f_contiguous()?.f_to_device(self.options.device)?)
                    };
                    Some(placed().map_err(located)?)
                }
                None => None,
            },
        };
        let Some(mut tensor) = tensor else { return Ok(None) };
        if self.options.device != Device::Cpu && self.stays_on_host(value, tensor.dim()) {
            tensor = tensor.f_to_device(Device::Cpu).map_err(RunError::from).map_err(located)?;
        }
        self.program.constants.push(tensor);
        let operand = Operand::Constant(self.program.constants.len() - 1);
        self.at.insert(value, operand);
        Ok(Some(operand))
    }

    /// Whether every use of a constant can take it from the CPU.
    fn stays_on_host(&self, value: ValueRef, rank: usize) -> bool {
        let fits = |user: &crate::graph::Use| {
            self.on_host(user.node)
                || self.graph.node(user.node).op.kind().is_some_and(|k| may_be_on_host(k, user.slot as usize, rank))
        };
        !self.graph.is_output(value) && self.graph.consumers(value).iter().all(fits)
    }

    /// Whether a node computes with shapes alone.
    fn on_host(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        node.op.kind().is_some() && node.outputs.iter().all(|o| o.facts.elements.is_some()) && !node.outputs.is_empty()
    }

    fn apply(&mut self, id: NodeId) -> Result<(), ExecuteError> {
        let node = self.graph.node(id);
        let mut operands = SmallVec::new();
        for input in &node.inputs {
            match input {
                None => operands.push(Operand::Omitted),
                Some(value) => match self.operand(*value)? {
                    Some(operand) => operands.push(operand),
                    None => {
                        self.skip(id, "it depends on a node that is not run");
                        return Ok(());
                    }
                },
            }
        }
        let unknown = |o: &crate::graph::Output| {
            o.facts.ty.as_ref().is_some_and(|ty| self.options.place().kind(ty.dtype).is_none())
        };
        if node.outputs.iter().any(unknown) {
            self.skip(id, "its type is not computed with");
            return Ok(());
        }
        let first = self.program.values;
        self.program.values += node.outputs.len();
        for slot in 0..node.outputs.len() {
            self.at.insert(ValueRef { node: id, slot: slot as u32 }, Operand::Value(first + slot));
        }
        self.program.steps.push(Step {
            node: id,
            name: node.name.to_string(),
            op: node.op.clone(),
            operands,
            outputs: first..self.program.values,
            release: SmallVec::new(),
            on_host: self.options.device != Device::Cpu && self.on_host(id),
            packed: None,
        });
        Ok(())
    }

    fn opaque(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        self.skip(id, "its operator is not known");
        if !self.options.supply_opaque {
            return;
        }
        for slot in 0..node.outputs.len() {
            let value = ValueRef { node: id, slot: slot as u32 };
            let kind = |ty: &TensorType| self.options.place().kind(ty.dtype);
            if self.graph.facts(value).ty.as_ref().and_then(kind).is_some() {
                let given = self.given(value);
                self.at.insert(value, Operand::Value(given.slot));
                self.program.supplied.push(given);
            }
        }
    }

    fn pack(&mut self) -> Result<(), ExecuteError> {
        let mut shapes: packing::Shapes = vec![None; self.program.values];
        for (&value, operand) in &self.at {
            if let (Operand::Value(at), Some(ty)) = (*operand, &self.graph.facts(value).ty)
                && ty.dtype == DType::F32
            {
                shapes[at] = ty.known_shape();
            }
        }
        packing::pack(&mut self.program, &shapes)
            .map_err(|error| ExecuteError::Constant { name: "a packed weight".to_owned(), error })
    }

    /// Notes after which step each value can go.
    fn note_releases(&mut self) {
        let program = &mut self.program;
        let mut last: Vec<Option<usize>> = vec![None; program.values];
        for (position, step) in program.steps.iter().enumerate() {
            for operand in &step.operands {
                if let Operand::Value(value) = operand {
                    last[*value] = Some(position);
                }
            }
            // What nothing takes goes at once.
            for value in step.outputs.clone() {
                last[value] = Some(position);
            }
        }
        for operand in program.outputs.iter().chain(&program.observed) {
            if let Operand::Value(value) = operand {
                last[*value] = None;
            }
        }
        for (value, position) in last.into_iter().enumerate() {
            if let Some(position) = position {
                program.steps[position].release.push(value);
            }
        }
    }
}
