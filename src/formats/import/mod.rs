//! From a [`Model`] as its file says it to a [`Graph`] in the normal form of operators, whatever the operator set.
//!
//! A node that is not understood (another domain, a function of the model, an unknown attribute, training, a feature that
//! is not covered) becomes opaque and is reported; it is never a reason to refuse a model. What is refused: names that
//! are doubled or that nothing defines, cycles, a wrong number of operands, types that do not fit.

mod along_axes;
mod captures;
mod elementwise;
mod error;
mod movement;
mod order;
mod site;
mod window;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexSet;

pub(super) use captures::{captures, inner_names};
pub use error::{ImportError, ImportWarning};

use crate::graph::{Dim, Facts, Graph, Inputs, Node, Op, OpKind, OpaqueOp, Output, TensorType, ValueRef};
use crate::ops;

use super::model::{DeclaredDim, DeclaredType, Model, ModelNode, ValueInfo};
use super::opset::{self, Row};
use order::Definition;
use site::{Normal, Operand, Read, Refusal, Site, opaque};

/// What the caller asks of an import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Sizes for named dimensions; a dimension without a name is called `input[axis]`.
    pub dims: BTreeMap<String, i64>,
}

/// A model with its graph.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The model as its file says it.
    pub model: Arc<Model>,
    /// Its graph.
    pub graph: Graph,
    /// What is worth telling.
    pub warnings: Vec<ImportWarning>,
    /// The sizes that were bound.
    pub dims: BTreeMap<String, i64>,
}

impl Imported {
    /// The version of ONNX's operator set; 0 if no node needs one.
    pub fn opset(&self) -> i64 {
        own_opset(&self.model).unwrap_or(0)
    }

    /// Number of opaque nodes.
    pub fn opaque_count(&self) -> usize {
        let opaque = |w: &&ImportWarning| matches!(w, ImportWarning::Opaque { .. });
        self.warnings.iter().filter(opaque).count()
    }
}

/// How messages name a node of a model: by its name, or by its position and operator if it has none.
pub(super) fn node_place(model: &Model, index: usize) -> String {
    super::error::node_place(&model.nodes[index].name, &model.nodes[index].op, index)
}

fn own_opset(model: &Model) -> Option<i64> {
    model.opset_import.get("").or_else(|| model.opset_import.get("ai.onnx")).copied()
}

fn is_own_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// Whether initialisers that are also inputs are constants: before IR version 4 every initialiser had to be an input.
pub(super) fn inputs_are_constants(model: &Model) -> bool {
    model.extra.ir_version.is_some_and(|version| version < 4)
}

/// Brings a model to the normal form.
///
/// # Errors
/// Faults of the model's structure, naming the node or value; see [`ImportError`].
pub fn import(model: impl Into<Arc<Model>>, options: &ImportOptions) -> Result<Imported, ImportError> {
    let model: Arc<Model> = model.into();
    let opset = check_opset(&model)?;
    let defined = order::definitions(&model)?;
    let captured: Vec<IndexSet<String>> = model.nodes.iter().map(captures).collect();
    let order = order::order(&model, &defined, &captured)?;
    let mut importer = Importer::new(&model, opset, options)?;
    importer.used = used_names(&model, &captured);
    importer.names = defined.keys().map(|&name| name.to_owned()).collect();
    model.nodes.iter().for_each(|node| inner_names(node, &mut importer.names));
    importer.add_inputs()?;
    importer.add_weights();
    importer.check_dims(&options.dims)?;
    for index in order {
        importer.add_node(index, &captured[index])?;
    }
    importer.add_outputs(&defined)?;
    let (graph, warnings) = (importer.graph, importer.warnings);
    debug_assert_eq!(graph.validate(), Ok(()));
    Ok(Imported { model, graph, warnings, dims: options.dims.clone() })
}

fn check_opset(model: &Model) -> Result<i64, ImportError> {
    let needed = model.nodes.iter().any(|node| is_own_domain(&node.domain));
    match own_opset(model) {
        Some(found) if !(opset::OLDEST..=opset::NEWEST).contains(&found) => {
            Err(ImportError::Opset { found, oldest: opset::OLDEST, newest: opset::NEWEST })
        }
        Some(found) => Ok(found),
        None if needed => Err(ImportError::NoOpset),
        None => Ok(opset::NEWEST),
    }
}

/// Names that some node, sub-graph or output uses.
fn used_names(model: &Model, captured: &[IndexSet<String>]) -> HashSet<String> {
    let inputs = model.nodes.iter().flat_map(|node| &node.inputs);
    let outer = captured.iter().flatten();
    let outputs = model.outputs.iter().map(|o| &o.name);
    inputs.chain(outer).chain(outputs).filter(|name| !name.is_empty()).cloned().collect()
}

struct Importer<'a> {
    model: &'a Model,
    opset: i64,
    functions: HashSet<(String, String)>,
    graph: Graph,
    values: HashMap<&'a str, ValueRef>,
    declared: HashMap<&'a str, TensorType>,
    /// Names of dimensions met in the file.
    symbols: IndexSet<String>,
    dims: BTreeMap<String, i64>,
    used: HashSet<String>,
    names: HashSet<String>,
    warnings: Vec<ImportWarning>,
}

impl<'a> Importer<'a> {
    fn new(model: &'a Model, opset: i64, options: &ImportOptions) -> Result<Importer<'a>, ImportError> {
        let mut importer = Importer {
            model,
            opset,
            functions: model.extra.functions.iter().filter_map(|f| captures::function_name(f)).collect(),
            graph: Graph::new(&model.name),
            values: HashMap::new(),
            declared: HashMap::new(),
            symbols: IndexSet::new(),
            dims: options.dims.clone(),
            used: HashSet::new(),
            names: HashSet::new(),
            warnings: Vec::new(),
        };
        for info in model.value_info.iter().chain(&model.outputs) {
            if let Some(ty) = importer.declared_type(info)? {
                importer.declared.insert(&info.name, ty);
            }
        }
        // Only inputs introduce names that a caller may bind.
        importer.symbols.clear();
        Ok(importer)
    }

    /// The declared type of a value, with the caller's sizes; `None` if not even the rank is declared.
    fn declared_type(&mut self, info: &ValueInfo) -> Result<Option<TensorType>, ImportError> {
        let Some(DeclaredType { dtype, shape: Some(shape) }) = &info.ty else { return Ok(None) };
        let mut dims = Vec::with_capacity(shape.len());
        for (axis, dim) in shape.iter().enumerate() {
            let name = match dim {
                DeclaredDim::Size(size) => {
                    let Ok(n) = i64::try_from(*size) else {
                        let place = format!("value {:?}", info.name);
                        return Err(ImportError::Dimension { place, axis, size: *size });
                    };
                    dims.push(Dim::Known(n));
                    continue;
                }
                DeclaredDim::Name(name) => name.clone(),
                DeclaredDim::Unknown => format!("{}[{axis}]", info.name),
            };
            dims.push(self.dims.get(&name).map_or_else(|| Dim::symbol(&name), |&n| Dim::Known(n)));
            self.symbols.insert(name);
        }
        Ok(Some(TensorType::new(*dtype, dims)))
    }

    fn add_inputs(&mut self) -> Result<(), ImportError> {
        let constants = inputs_are_constants(self.model);
        for input in &self.model.inputs {
            let default = self.model.weights.get(&input.name).map(|weight| TensorType::of(&weight.tensor));
            let declared = self.declared_type(input)?;
            if let (Some(declared), Some(found)) = (&declared, &default)
                && (declared.dtype != found.dtype || contradicts(declared, found))
            {
                return Err(ImportError::Declared {
                    place: format!("input {:?}", input.name),
                    declared: declared.to_string(),
                    found: found.to_string(),
                });
            }
            if constants && (default.is_some() || self.model.foreign_weights.contains_key(&input.name)) {
                continue;
            }
            let facts = Facts { ty: declared.or(default), elements: None };
            let id = self.graph.add_input(&input.name, facts);
            self.values.insert(&input.name, ValueRef::first(id));
        }
        Ok(())
    }

    /// Adds the weights that are no inputs. Those of foreign types are opaque nodes without operands.
    fn add_weights(&mut self) {
        for (name, weight) in &self.model.weights {
            if !self.values.contains_key(name.as_str()) {
                let id = self.graph.add_node(Node::weight(name, weight.tensor.clone()));
                self.values.insert(name, ValueRef::first(id));
            }
        }
        for (i, name) in self.model.foreign_weights.keys().enumerate() {
            if !self.values.contains_key(name.as_str()) {
                let op = OpaqueOp {
                    domain: String::new(),
                    op_type: "Initializer".to_owned(),
                    origin: self.model.nodes.len() + i,
                    own_inputs: 0,
                    captures: Vec::new(),
                };
                let output = Output { name: name.as_str().into(), facts: Facts::default() };
                let id = self.graph.add_node(Node::new(name.as_str(), Op::Opaque(Arc::new(op)), [], [output], false));
                self.values.insert(name, ValueRef::first(id));
            }
        }
    }

    fn check_dims(&self, dims: &BTreeMap<String, i64>) -> Result<(), ImportError> {
        for (name, &size) in dims {
            if size < 1 {
                return Err(ImportError::BadDim { name: name.clone(), size });
            }
            if !self.symbols.contains(name) {
                let known = self.symbols.iter().cloned().collect();
                return Err(ImportError::UnknownDim { name: name.clone(), known });
            }
        }
        Ok(())
    }

    fn add_outputs(&mut self, defined: &HashMap<&str, Definition>) -> Result<(), ImportError> {
        let mut seen = HashSet::new();
        for (i, output) in self.model.outputs.iter().enumerate() {
            let place = format!("output {i}");
            if output.name.is_empty() {
                return Err(ImportError::Nameless { place });
            }
            if !seen.insert(&output.name) {
                let other = "another output".to_owned();
                return Err(ImportError::Doubled { place, name: output.name.clone(), other });
            }
            if !defined.contains_key(output.name.as_str()) {
                return Err(ImportError::Undefined { place, name: output.name.clone() });
            }
            self.graph.add_output(&output.name, self.values[output.name.as_str()]);
        }
        Ok(())
    }

    fn add_node(&mut self, index: usize, captured: &IndexSet<String>) -> Result<(), ImportError> {
        let node = &self.model.nodes[index];
        let inputs: Vec<Option<ValueRef>> =
            node.inputs.iter().map(|name| self.values.get(name.as_str()).copied()).collect();
        let built = match self.normalise(index, node, &inputs) {
            Ok(built) => built,
            Err(Refusal::Opaque(reason)) => {
                self.warnings.push(ImportWarning::Opaque { node: node_place(self.model, index), reason });
                self.opaque_node(index, node, &inputs, captured)
            }
            Err(Refusal::Fault { field, problem }) => {
                return Err(ImportError::Node { node: node_place(self.model, index), field, problem });
            }
            Err(Refusal::Error(error)) => return Err(error),
        };
        let id = self.graph.add_node(built);
        self.graph.set_origin(id, u32::try_from(index).unwrap_or(u32::MAX));
        for (slot, name) in node.outputs.iter().enumerate().take(self.graph.node(id).outputs.len()) {
            if !name.is_empty() {
                self.values.insert(name, ValueRef { node: id, slot: slot as u32 });
            }
        }
        Ok(())
    }

    /// The node in the normal form.
    fn normalise(&mut self, index: usize, node: &'a ModelNode, inputs: &[Option<ValueRef>]) -> Read<Node> {
        if !is_own_domain(&node.domain) {
            return opaque("its domain is not ONNX's own");
        }
        if self.functions.contains(&(String::new(), node.op.clone())) {
            return opaque("it calls a function of the model");
        }
        if node.op == "Constant" && node.inputs.is_empty() && node.outputs.len() == 1 {
            let row = opset::row_of("Identity").expect("Identity is in the table");
            let site = Site { node, row, opset: self.opset, graph: &self.graph, inputs: &[], used: &[] };
            let tensor = elementwise::constant(&site)?;
            let mut weight = Node::weight(&node.outputs[0], tensor);
            weight.name = node.name.as_str().into();
            return Ok(weight);
        }
        let Some(row) = opset::row_of(&node.op) else { return opaque("the operator is not covered") };
        if !row.exists(self.opset) {
            return opaque(format!("operator set {} has no {}, or had another", self.opset, node.op));
        }
        self.check_arity(index, node, row)?;
        let trimmed = inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let inputs = &inputs[..trimmed];
        for value in inputs.iter().flatten() {
            if let Some(ty) = &self.graph.facts(*value).ty
                && !elementwise::computes_with(ty.dtype)
            {
                return opaque(format!("values of type {} are only passed through", ty.dtype));
            }
        }
        let used: Vec<bool> = node.outputs.iter().map(|name| self.used.contains(name)).collect();
        let site = Site { node, row, opset: self.opset, graph: &self.graph, inputs, used: &used };
        let normal = normal_form(&site)?;
        self.build(index, node, normal)
    }

    fn check_arity(&self, index: usize, node: &ModelNode, row: &Row) -> Read<()> {
        let arity =
            |problem: String| Err(Refusal::Error(ImportError::Arity { node: node_place(self.model, index), problem }));
        let (least, greatest) = row.inputs(self.opset);
        let found = node.inputs.len();
        if found < least || found > greatest {
            return arity(format!("{found} inputs; {} takes {}", row.name, range(least, greatest)));
        }
        if let Some(missing) = node.inputs[..least].iter().position(String::is_empty) {
            return arity(format!("input {missing} is left out"));
        }
        let found = node.outputs.len();
        if found == 0 || found > row.outputs(self.opset) {
            return arity(format!("{found} outputs; {} gives {}", row.name, range(1, row.outputs(self.opset))));
        }
        Ok(())
    }

    /// The graph's node of a normal form, typed.
    fn build(&mut self, index: usize, node: &'a ModelNode, normal: Normal) -> Read<Node> {
        let op = ops::build(normal.kind, normal.attrs).or_else(|e| opaque(e.to_string()))?;
        let mut inputs = Inputs::new();
        for operand in normal.inputs {
            inputs.push(match operand {
                Operand::Given(value) => value,
                Operand::New(what, tensor) => {
                    let name = self.fresh_name(&format!("{}_{what}", node.outputs[0]));
                    Some(ValueRef::first(self.graph.add_node(Node::weight(&name, tensor))))
                }
            });
        }
        let name = |slot: usize| node.outputs.get(slot).map_or("", String::as_str).into();
        let names: Vec<Arc<str>> = (0..normal.outputs).map(name).collect();
        let mut built = ops::make_node(&self.graph, &node.name, op, inputs, &names)
            .map_err(|source| Refusal::Error(ImportError::Types { node: node_place(self.model, index), source }))?;
        for (slot, output) in built.outputs.iter_mut().enumerate() {
            let Some(name) = node.outputs.get(slot) else { break };
            let Some(declared) = self.declared.get(name.as_str()) else { continue };
            let Some(inferred) = &output.facts.ty else {
                output.facts.ty = Some(declared.clone());
                continue;
            };
            if declared.dtype != inferred.dtype {
                return Err(Refusal::Error(ImportError::Declared {
                    place: format!("{}: output {name:?}", node_place(self.model, index)),
                    declared: declared.to_string(),
                    found: inferred.to_string(),
                }));
            }
            if contradicts(declared, inferred) {
                let (declared, inferred) = (declared.clone(), inferred.clone());
                self.warnings.push(ImportWarning::Shape { value: name.clone(), declared, inferred });
            }
        }
        Ok(built)
    }

    fn opaque_node(
        &self,
        index: usize,
        node: &ModelNode,
        inputs: &[Option<ValueRef>],
        captured: &IndexSet<String>,
    ) -> Node {
        let op = OpaqueOp {
            domain: node.domain.clone(),
            op_type: node.op.clone(),
            origin: index,
            own_inputs: inputs.len(),
            captures: captured.iter().cloned().collect(),
        };
        let outer = captured.iter().map(|name| self.values.get(name.as_str()).copied());
        let outputs = node.outputs.iter().map(|name| Output {
            name: name.as_str().into(),
            facts: Facts { ty: self.declared.get(name.as_str()).cloned(), elements: None },
        });
        let inputs = inputs.iter().copied().chain(outer);
        Node::new(node.name.as_str(), Op::Opaque(Arc::new(op)), inputs, outputs, false)
    }

    fn fresh_name(&mut self, stem: &str) -> String {
        let name = super::fresh_name(stem, |name| self.names.contains(name));
        self.names.insert(name.clone());
        name
    }
}

fn range(least: usize, greatest: usize) -> String {
    match greatest {
        usize::MAX => format!("{least} or more"),
        _ if least == greatest => least.to_string(),
        _ => format!("{least} to {greatest}"),
    }
}

/// Whether two types cannot be the same: ranks differ, or a size that both know.
fn contradicts(a: &TensorType, b: &TensorType) -> bool {
    let differ = |(x, y): (&Dim, &Dim)| x.known().zip(y.known()).is_some_and(|(x, y)| x != y);
    a.rank() != b.rank() || a.shape.iter().zip(b.shape.iter()).any(differ)
}

/// The normal form of a node: by family where something moved between operator sets, as it is otherwise.
fn normal_form(site: &Site<'_>) -> Read<Normal> {
    use OpKind::*;
    match site.row.kind {
        Softmax | LogSoftmax | Hardmax => along_axes::softmax(site),
        LpNormalization | ArgMax | ArgMin | Gather | GatherElements | Flatten => along_axes::one_axis(site),
        ReduceSum | ReduceMean | ReduceMax | ReduceMin | ReduceProd | ReduceL1 | ReduceL2 | ReduceLogSum
        | ReduceLogSumExp | ReduceSumSquare => along_axes::reduce(site),
        CumSum => along_axes::cumsum(site),
        TopK => along_axes::topk(site),
        BatchNormalization => along_axes::batch_norm(site),
        LayerNormalization | RMSNormalization => along_axes::layer_norm(site),
        GroupNormalization => along_axes::group_norm(site),
        LSTM | GRU => along_axes::recurrent(site),
        Conv => window::conv(site),
        ConvTranspose => window::conv_transpose(site),
        MaxPool | AveragePool => window::pool(site),
        Concat => movement::concat(site),
        Split => movement::split(site),
        Slice => movement::slice(site),
        Transpose => movement::transpose(site),
        Reshape => movement::reshape(site),
        Squeeze => movement::squeeze(site),
        Unsqueeze => movement::unsqueeze(site),
        Expand => movement::sizes_operand(site, "shape"),
        Tile => movement::sizes_operand(site, "repeats"),
        Pad => movement::pad(site),
        DepthToSpace | SpaceToDepth => movement::depth_space(site),
        Resize => movement::resize(site),
        Clip => elementwise::clip(site),
        Cast => elementwise::cast(site),
        Dropout => elementwise::dropout(site),
        Range => elementwise::range(site),
        ConstantOfShape => elementwise::constant_of_shape(site),
        _ => site.plain(),
    }
}

#[cfg(test)]
mod tests;
