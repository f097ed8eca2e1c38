//! Graphs made from bytes: every operator, with attributes and operands that no checker would let pass.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use graphopt::cost::{self, DeviceProfile, Roofline};
use graphopt::formats::model::{DeclaredDim, DeclaredType, Model, ModelAttr, ModelNode, Storage, ValueInfo, Weight};
use graphopt::formats::opset::{self, Form};
use graphopt::formats::{ImportError, ImportOptions, Imported, export, import, write_json};
use graphopt::graph::{DType, Data, Graph, Init, Op, Tensor};
use graphopt::rewrite::{RuleSet, clean_up};
use graphopt::runtime;
use graphopt::search::{Budget, Greedy, Problem, Search};
use graphopt::substitution::Library;

/// Bytes as a source of choices; zeros when they are used up.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// Mostly small, sometimes where arithmetic overflows.
    fn number(&mut self) -> i64 {
        match self.byte() {
            b @ 0..=223 => i64::from(b % 12) - 3,
            224..=227 => i64::MAX,
            228..=231 => i64::MIN,
            232..=235 => 1 << 32,
            236..=239 => i64::from(i32::MAX),
            240..=243 => 1 << 62,
            _ => i64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    fn numbers(&mut self) -> Vec<i64> {
        let n = self.below(6);
        (0..n).map(|_| self.number()).collect()
    }

    fn float(&mut self) -> f32 {
        match self.byte() {
            b @ 0..=199 => (f32::from(b % 20) - 5.0) / 4.0,
            200..=207 => f32::NAN,
            208..=215 => f32::INFINITY,
            216..=223 => f32::MIN_POSITIVE,
            224..=231 => f32::MAX,
            _ => f32::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    fn size(&mut self) -> u64 {
        match self.byte() {
            b @ 0..=247 => u64::from(b % 6),
            248..=251 => 1 << 40,
            _ => self.number() as u64,
        }
    }

    fn text(&mut self) -> &'static str {
        const TEXTS: [&str; 24] = [
            "NOTSET",
            "VALID",
            "SAME_UPPER",
            "SAME_LOWER",
            "constant",
            "reflect",
            "edge",
            "wrap",
            "nearest",
            "linear",
            "DCR",
            "CRD",
            "half_pixel",
            "align_corners",
            "asymmetric",
            "floor",
            "ij,jk->ik",
            "ii->i",
            "bij,bjk->bik",
            "...i,...i->...",
            "bidirectional",
            "reverse",
            "none",
            "",
        ];
        TEXTS[self.below(TEXTS.len())]
    }

    fn dtype(&mut self) -> DType {
        const TYPES: [DType; 8] =
            [DType::F32, DType::F32, DType::F32, DType::I64, DType::Bool, DType::F64, DType::F16, DType::I32];
        TYPES[self.below(TYPES.len())]
    }
}

/// A model from bytes.
fn model(choices: &mut Choices<'_>) -> Model {
    let opset = 7 + choices.below(20) as i64;
    let mut model = Model { name: "fuzz".into(), ..Model::default() };
    model.opset_import.insert(String::new(), opset);
    let mut names = Vec::new();
    for i in 0..1 + choices.below(3) {
        let rank = choices.below(6);
        let dim = |c: &mut Choices<'_>| match c.byte() {
            0..=20 => DeclaredDim::Name("n".into()),
            21..=25 => DeclaredDim::Unknown,
            _ => DeclaredDim::Size(c.size()),
        };
        let shape = (!choices.one_in(40)).then(|| (0..rank).map(|_| dim(choices)).collect());
        let ty = (!choices.one_in(40)).then(|| DeclaredType { dtype: choices.dtype(), shape });
        let name = format!("x{i}");
        names.push(name.clone());
        model.inputs.push(ValueInfo { name, ty, doc: String::new(), proto: None });
    }
    for i in 0..choices.below(5) {
        let tensor = if choices.one_in(3) {
            let values = choices.numbers();
            let shape: &[u64] = if values.len() == 1 && choices.one_in(2) { &[] } else { &[values.len() as u64] };
            Tensor::from_i64s(shape, &values)
        } else {
            let rank = choices.below(5);
            let shape: Vec<u64> = (0..rank).map(|_| choices.size()).collect();
            let init = if choices.one_in(8) {
                Init::Constant(choices.float().into())
            } else {
                Init::Normal { seed: i as u64, std: 1.0 }
            };
            Tensor::new(choices.dtype(), &shape, Data::Init(init))
        };
        let Ok(tensor) = tensor else { continue };
        let name = format!("w{i}");
        names.push(name.clone());
        let weight = Weight { tensor, doc: String::new(), storage: Storage::Inline, metadata: Vec::new() };
        model.weights.insert(name, weight);
    }
    for i in 0..1 + choices.below(8) {
        let node = node(choices, i, opset, &mut names);
        model.nodes.push(node);
    }
    let last = names.last().cloned().unwrap_or_default();
    let other = names[choices.below(names.len())].clone();
    let outputs = if last == other { vec![last] } else { vec![last, other] };
    model.outputs =
        outputs.into_iter().map(|name| ValueInfo { name, ty: None, doc: String::new(), proto: None }).collect();
    model
}

fn node(choices: &mut Choices<'_>, index: usize, opset: i64, names: &mut Vec<String>) -> ModelNode {
    let row = &opset::ROWS[choices.below(opset::ROWS.len())];
    let (least, greatest) = row.inputs(opset);
    let count = least + choices.below(greatest.saturating_sub(least).min(3) + 1);
    let mut node = ModelNode { name: format!("n{index}"), op: row.name.into(), ..ModelNode::default() };
    for slot in 0..count {
        let left_out = slot >= least && choices.one_in(4);
        node.inputs.push(if left_out { String::new() } else { names[choices.below(names.len())].clone() });
    }
    for attribute in row.attributes(opset) {
        let needed = matches!(attribute.form, Form::NeedInt | Form::NeedText | Form::NeedInts | Form::NeedFloats);
        if !needed && choices.one_in(2) {
            continue;
        }
        let value = match attribute.form {
            Form::Int(_) | Form::NeedInt | Form::AnyInt => ModelAttr::Int(choices.number()),
            Form::Float(_) | Form::AnyFloat => ModelAttr::Float(choices.float()),
            Form::Text(_) | Form::NeedText => ModelAttr::Str(choices.text().as_bytes().into()),
            Form::NeedInts | Form::AnyInts => ModelAttr::Ints(choices.numbers()),
            Form::NeedFloats | Form::AnyFloats => {
                let n = choices.below(5);
                ModelAttr::Floats((0..n).map(|_| choices.float()).collect())
            }
            Form::AnyTexts => ModelAttr::Strs(vec![choices.text().as_bytes().into()]),
            Form::AnyTensor => {
                let value = [choices.float()];
                ModelAttr::Tensor(Tensor::from_f32s(&[1], &value).expect("one element"))
            }
        };
        node.attrs.insert(attribute.name.into(), value);
    }
    let outputs = 1 + choices.below(row.outputs(opset).min(3));
    for slot in 0..outputs {
        let name = format!("v{index}_{slot}");
        names.push(name.clone());
        node.outputs.push(name);
    }
    node
}

/// A graph of any operators: refused with a message, or optimised, folded, written and read again.
pub fn graph(data: &[u8]) {
    let model = model(&mut Choices(data));
    let Some(imported) = import_and_export(model) else { return };
    let roofline = Roofline::new(DeviceProfile::cpu());
    let budget = Budget { pops: 20, time: Some(Duration::from_secs(2)), ..Budget::default() };
    let mut clean = imported.graph.clone();
    clean_up(&mut clean);
    clean.commit();
    let (best, report) =
        Greedy.run(&Problem { graph: &clean, rules: rules(), model: &roofline, budget: &budget }, &mut |_| true);
    best.validate().expect("what a search gives is valid");
    let (before, after) = (cost::graph_cost(&roofline, &clean).time_us, report.best_us);
    assert!(after <= before * 1.000_001 + 1e-3, "a search never makes it dearer: {before} us to {after} us");
    let memory = runtime::peak_memory(&best, &Default::default());
    if elements(&best) > 1 << 16 || memory.bytes > 1 << 24 {
        return;
    }
    let folded = runtime::fold(&best);
    let Ok(model) = export(&best, &imported, &|value| folded.tensors.get(&value).cloned()) else { return };
    let after = text(&model);
    let again = match import(model, &ImportOptions::default()) {
        Ok(again) => again,
        // Operands that never fitted, which an opaque user or a value not computed before kept from being seen.
        Err(ImportError::Types { .. }) => return,
        Err(e) => panic!("what was written cannot be read: {e}\n{}\n{after}", text(&imported.model)),
    };
    for (before, after) in imported.graph.outputs().iter().zip(again.graph.outputs()) {
        assert_eq!(before.name, after.name);
    }
}

/// The model for people to read.
fn text(model: &Model) -> String {
    let mut out = Vec::new();
    write_json(model, &mut out).map_or_else(|e| e.to_string(), |()| String::from_utf8_lossy(&out).into_owned())
}

fn elements(graph: &Graph) -> u64 {
    let weight = |op: &Op| if let Op::Weight(tensor) = op { tensor.len() } else { 0 };
    let weights = graph.node_ids().map(|id| weight(&graph.node(id).op));
    let values = graph.node_ids().flat_map(|id| &graph.node(id).outputs).map(|output| match &output.facts.ty {
        Some(ty) => ty
            .known_shape()
            .map_or(0, |shape| shape.iter().fold(1u64, |n, &d| n.saturating_mul(d.try_into().unwrap_or(0)))),
        None => 0,
    });
    weights.chain(values).fold(0, u64::saturating_add)
}

/// A model that can be imported is valid, costs something that is a number, and is written as it was.
pub fn import_and_export(model: Model) -> Option<Imported> {
    let imported = import(model, &ImportOptions::default()).ok()?;
    imported.graph.validate().expect("an imported graph is valid");
    let cost = cost::graph_cost(&Roofline::new(DeviceProfile::cpu()), &imported.graph);
    assert!(!cost.time_us.is_nan() && cost.time_us >= 0.0, "{cost:?}");
    let written = export(&imported.graph, &imported, &|_| None).expect("what was not changed can be written");
    // Not compared as models: a NaN differs from itself.
    assert_eq!(written.nodes.len(), imported.model.nodes.len());
    Some(imported)
}

/// The shipped rules.
fn rules() -> &'static Arc<RuleSet> {
    static RULES: OnceLock<Arc<RuleSet>> = OnceLock::new();
    RULES.get_or_init(|| {
        let library = Library::built_in().expect("the shipped library");
        Arc::new(
            RuleSet::compile(library.substitutions.into_iter().map(|s| s.rule)).expect("the shipped rules compile"),
        )
    })
}
