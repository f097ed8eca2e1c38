//! From the normal form of an operator to what an operator set of ONNX has for it.

use indexmap::IndexMap;

use crate::formats::model::ModelAttr;
use crate::formats::opset::{self, Form};
use crate::graph::{Attr, Attrs, DType, Data, Op, OpKind, Tensor, TensorType};

use super::ExportError;

/// An operand of the written node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// The operand of the graph's node at this position.
    Own(usize),
    /// An optional operand left out.
    Absent,
    /// A constant that the normal form has as an attribute; the text goes into its name.
    New(&'static str, Tensor),
}

/// A node in terms of an operator set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plain {
    pub op: &'static str,
    pub attrs: IndexMap<String, ModelAttr>,
    pub inputs: Vec<Written>,
}

/// What is known of a node besides its operator.
pub(super) struct Context<'a> {
    pub opset: i64,
    /// Types of the operands, `None` where unknown or left out.
    pub types: &'a [Option<TensorType>],
    /// Constant operands.
    pub constants: &'a [Option<Tensor>],
    pub outputs: usize,
}

impl Context<'_> {
    fn dtype(&self) -> DType {
        self.types.first().and_then(Option::as_ref).map_or(DType::F32, |ty| ty.dtype)
    }

    fn rank(&self) -> Option<usize> {
        self.types.first().and_then(Option::as_ref).map(TensorType::rank)
    }
}

/// Writes an operator for an operator set.
pub(super) fn denormalise(kind: OpKind, attrs: &Attrs, context: &Context<'_>) -> Result<Plain, ExportError> {
    let mut writer = Writer {
        kind,
        op: Op::Apply(kind, attrs.clone()),
        context,
        left: attrs.iter().map(|(name, value)| (name, value.clone())).collect(),
        name: kind.name(),
        attrs: IndexMap::new(),
        inputs: (0..context.types.len()).map(Written::Own).collect(),
    };
    if kind.is_constructor() {
        return Err(ExportError::NotFolded { op: kind.name().to_owned() });
    }
    if kind == OpKind::Constant {
        return writer.constant();
    }
    writer.family()?;
    writer.finish()
}

struct Writer<'a> {
    kind: OpKind,
    op: Op,
    context: &'a Context<'a>,
    /// Attributes of the normal form that are not yet written.
    left: IndexMap<&'static str, Attr>,
    name: &'static str,
    attrs: IndexMap<String, ModelAttr>,
    inputs: Vec<Written>,
}

impl Writer<'_> {
    fn ints(&self, name: &str) -> Vec<i64> {
        self.op.ints(name).unwrap_or(&[]).to_vec()
    }

    fn drop(&mut self, names: &[&'static str]) {
        for name in names {
            self.left.shift_remove(name);
        }
    }

    /// Whether the operator set has the attribute.
    fn has(&self, name: &str) -> bool {
        opset::row_of(self.name).is_some_and(|row| row.attribute(name, self.context.opset).is_some())
    }

    fn missing(&self, what: &str) -> ExportError {
        ExportError::Inexpressible { op: self.kind.name().to_owned(), what: what.to_owned(), opset: self.context.opset }
    }

    /// An operand that became an attribute becomes an operand again.
    fn operand(&mut self, what: &'static str, tensor: Tensor) {
        self.inputs.push(Written::New(what, tensor));
    }

    fn int_list(&mut self, name: &'static str) {
        let values = self.ints(name);
        self.drop(&[name]);
        self.operand(name, list(&values));
    }

    /// Sizes or axes that newer operator sets take as the second operand.
    fn moved(&mut self, name: &'static str) {
        if self.inputs.len() > 1 {
            self.drop(&[name]);
        } else if !self.has(name) {
            self.int_list(name);
        }
    }

    fn family(&mut self) -> Result<(), ExportError> {
        use OpKind::*;
        match self.kind {
            Softmax | LogSoftmax | Hardmax => self.softmax()?,
            ReduceSum | ReduceMean | ReduceMax | ReduceMin | ReduceProd | ReduceL1 | ReduceL2 | ReduceLogSum
            | ReduceLogSumExp | ReduceSumSquare => self.reduce(),
            Squeeze | Unsqueeze => self.moved("axes"),
            Expand | Reshape => self.moved("shape"),
            Tile => self.moved("repeats"),
            CumSum => {
                if self.inputs.len() == 1 {
                    let axis = self.op.int("axis").unwrap_or(0);
                    self.operand("axis", scalar_int(axis));
                }
                self.drop(&["axis"]);
            }
            TopK if self.context.opset < 10 => {
                let k = self.context.constants.get(1).and_then(Option::as_ref).and_then(|t| t.to_i64s(1));
                let Some(&[k]) = k.as_deref() else { return Err(self.missing("a computed k")) };
                self.inputs.truncate(1);
                self.attrs.insert("k".to_owned(), ModelAttr::Int(k));
            }
            Split => self.split(),
            Slice => self.slice()?,
            Pad => self.pad(),
            Clip => self.clip(),
            Resize => self.resize()?,
            Dropout if !self.has("ratio") => {
                let ratio = self.op.float("ratio").unwrap_or(0.5);
                if ratio != 0.5 {
                    self.operand("ratio", full(DType::F32, &[], ratio));
                }
                self.drop(&["ratio"]);
            }
            ConstantOfShape => self.constant_of_shape(),
            Conv | ConvTranspose => self.convolution(),
            MaxPool | AveragePool if !self.has("dilations") && self.ints("dilations").iter().all(|&d| d == 1) => {
                self.drop(&["dilations"]);
            }
            Gemm if self.inputs.len() == 2 && self.context.opset < 11 => {
                self.operand("c", full(self.context.dtype(), &[1], 0.0));
            }
            GroupNormalization if self.context.opset < 21 => {
                let (op, opset) = (self.kind.name().to_owned(), self.context.opset);
                return Err(ExportError::NotInOpset { op, since: 21, opset });
            }
            Shape if self.op.int("end") == Some(i64::MAX) => self.drop(&["end"]),
            LSTM | GRU => self.recurrent(),
            _ => {}
        }
        Ok(())
    }

    /// Before operator set 13 the operand is flattened at the axis: right only where the axes behind it have size 1.
    fn softmax(&mut self) -> Result<(), ExportError> {
        let coerced = self.op.int("coerced").unwrap_or(0) != 0;
        self.drop(&["coerced"]);
        if coerced == (self.context.opset < 13) {
            return Ok(());
        }
        let last = self.op.int("axis") == Some(-1);
        let axis = self.op.int("axis").and_then(|axis| usize::try_from(axis).ok());
        let agrees = axis.zip(self.context.types.first().and_then(Option::as_ref)).is_some_and(|(axis, ty)| {
            ty.shape.get(axis + 1..).is_some_and(|behind| behind.iter().all(|d| d.known() == Some(1)))
        });
        if agrees || last { Ok(()) } else { Err(self.missing("this axis")) }
    }

    fn reduce(&mut self) {
        if self.inputs.len() == 1 {
            self.drop(&["noop_with_empty_axes"]);
            if self.ints("axes").is_empty() {
                self.drop(&["axes"]);
                return;
            }
        }
        self.moved("axes");
    }

    fn split(&mut self) {
        let sizes = self.ints("split");
        if self.inputs.len() > 1 || sizes.is_empty() {
            self.drop(&["split"]);
            if self.inputs.len() == 1 && self.has("num_outputs") {
                self.attrs.insert("num_outputs".to_owned(), ModelAttr::Int(self.context.outputs as i64));
            }
        } else if !self.has("split") {
            self.int_list("split");
        }
    }

    fn slice(&mut self) -> Result<(), ExportError> {
        let dynamic = self.inputs.len() > 1;
        let unit = self.ints("steps").iter().all(|&s| s == 1);
        if !dynamic && self.has("starts") {
            if !unit {
                return Err(self.missing("steps"));
            }
            self.drop(&["steps"]);
            return Ok(());
        }
        if !dynamic {
            for name in ["starts", "ends", "axes"] {
                self.int_list(name);
            }
            if !unit {
                self.int_list("steps");
            }
        }
        self.drop(&["starts", "ends", "axes", "steps"]);
        Ok(())
    }

    fn pad(&mut self) {
        if self.has("pads") {
            return;
        }
        if self.inputs.len() == 1 {
            self.int_list("pads");
            let value = self.op.float("value").unwrap_or(0.0);
            if value != 0.0 {
                self.operand("value", full(self.context.dtype(), &[], value));
            }
        }
        self.drop(&["pads", "value"]);
    }

    fn clip(&mut self) {
        if self.has("min") {
            return;
        }
        let min = self.op.float("min").filter(|v| *v != f32::NEG_INFINITY);
        let max = self.op.float("max").filter(|v| *v != f32::INFINITY);
        self.drop(&["min", "max"]);
        if self.inputs.len() > 1 {
            return;
        }
        let dtype = self.context.dtype();
        match (min, max) {
            (Some(min), _) => self.operand("min", full(dtype, &[], min)),
            (None, Some(_)) => self.inputs.push(Written::Absent),
            (None, None) => {}
        }
        if let Some(max) = max {
            self.operand("max", full(dtype, &[], max));
        }
    }

    fn resize(&mut self) -> Result<(), ExportError> {
        let opset = self.context.opset;
        let axes = self.ints("axes");
        let scales = self.op.floats("scales").unwrap_or(&[]).to_vec();
        let sizes = self.ints("sizes");
        self.drop(&["scales", "sizes"]);
        if self.context.rank().is_some_and(|rank| axes.iter().copied().eq(0..rank as i64)) {
            self.drop(&["axes"]);
        }
        if opset >= 11 {
            // Operator sets 11 and 12 have no optional operands here: an empty tensor stands for one left out.
            let absent =
                |what: &'static str| if opset < 13 { Written::New(what, floats(&[])) } else { Written::Absent };
            self.inputs.push(absent("roi"));
            if scales.is_empty() {
                self.inputs.push(absent("scales"));
                self.operand("sizes", list(&sizes));
            } else {
                self.operand("scales", floats(&scales));
            }
            return Ok(());
        }
        let plain = self.op.text("coordinate_transformation_mode") == Some("asymmetric")
            && (self.op.text("nearest_mode") == Some("floor") || self.op.text("mode") == Some("linear"));
        if !plain || scales.is_empty() {
            return Err(self.missing("this coordinate transformation"));
        }
        self.drop(&["coordinate_transformation_mode", "nearest_mode"]);
        if opset < 10 {
            self.name = "Upsample";
        }
        if self.has("scales") {
            self.attrs.insert("scales".to_owned(), ModelAttr::Floats(scales));
        } else {
            self.operand("scales", floats(&scales));
        }
        Ok(())
    }

    fn constant_of_shape(&mut self) {
        let dtype = self.op.int("dtype").and_then(|n| i32::try_from(n).ok()).and_then(DType::from_onnx);
        let dtype = dtype.unwrap_or(DType::F32);
        let value = match self.left.get("value") {
            Some(Attr::Int(v)) if !dtype.is_float() => ints_of(dtype, &[1], &[*v]),
            Some(Attr::Int(v)) => full(dtype, &[1], *v as f32),
            Some(Attr::Float(v)) => full(dtype, &[1], *v),
            _ => full(dtype, &[1], 0.0),
        };
        self.attrs.insert("value".to_owned(), ModelAttr::Tensor(value));
        if self.inputs.is_empty() {
            self.int_list("shape");
        }
        self.drop(&["shape", "value", "dtype"]);
    }

    fn convolution(&mut self) {
        let kernel = self.context.types.get(1).and_then(Option::as_ref).and_then(TensorType::known_shape);
        if let Some(kernel) = kernel.and_then(|k| k.get(2..).map(<[i64]>::to_vec)) {
            self.attrs.insert("kernel_shape".to_owned(), ModelAttr::Ints(kernel));
        }
        if self.ints("output_padding").iter().all(|&p| p == 0) {
            self.drop(&["output_padding"]);
        }
    }

    fn recurrent(&mut self) {
        if self.op.float("clip") == Some(0.0) {
            self.drop(&["clip"]);
        }
        for name in ["activations", "activation_alpha", "activation_beta"] {
            let empty = match self.left.get(name) {
                Some(Attr::Strs(v)) => v.is_empty(),
                Some(Attr::Floats(v)) => v.is_empty(),
                _ => false,
            };
            if empty {
                self.drop(&[name]);
            }
        }
    }

    /// The rules' Constant: a tensor as attribute, which every operator set has.
    fn constant(self) -> Result<Plain, ExportError> {
        let tensor = match self.left.values().next() {
            Some(Attr::Float(v)) => full(DType::F32, &[], *v),
            Some(Attr::Int(v)) => scalar_int(*v),
            Some(Attr::Floats(v)) => floats(v),
            Some(Attr::Ints(v)) => list(v),
            _ => return Err(self.missing("a constant without a value")),
        };
        let attrs = IndexMap::from([("value".to_owned(), ModelAttr::Tensor(tensor))]);
        Ok(Plain { op: "Constant", attrs, inputs: Vec::new() })
    }

    /// Writes the attributes that are left: those that differ from the default. One that the operator set lacks must
    /// have the value that other operator sets take for granted.
    fn finish(mut self) -> Result<Plain, ExportError> {
        let opset = self.context.opset;
        let row = opset::row_of(self.name).expect("every operator has a row (tested)");
        if !row.exists(opset) {
            let op = self.kind.name().to_owned();
            return Err(ExportError::NotInOpset { op, since: row.since(), opset });
        }
        let (least, greatest) = row.inputs(opset);
        if self.inputs.len() < least || self.inputs.len() > greatest {
            return Err(self.missing(&format!("{} operands", self.inputs.len())));
        }
        // Upsample has few attributes; what they would say is in the row of Resize.
        let usual = opset::row_of(self.kind.name()).expect("every operator has a row (tested)");
        for (name, value) in std::mem::take(&mut self.left) {
            match row.attribute(name, opset) {
                Some(attribute) if is_default(attribute.form, &value) => {}
                Some(_) => {
                    self.attrs.insert(name.to_owned(), written(&value));
                }
                None if usual.defaults(name).any(|form| is_default(form, &value)) => {}
                None => return Err(self.missing(&format!("attribute {name:?}"))),
            }
        }
        self.attrs.sort_keys();
        Ok(Plain { op: self.name, attrs: self.attrs, inputs: self.inputs })
    }
}

fn is_default(form: Form, value: &Attr) -> bool {
    match (form, value) {
        (Form::Int(a), Attr::Int(b)) => a == *b,
        (Form::Float(a), Attr::Float(b)) => a.to_bits() == b.to_bits(),
        (Form::Text(a), Attr::Str(b)) => a == &**b,
        _ => false,
    }
}

fn written(value: &Attr) -> ModelAttr {
    let bytes = |s: &str| bytes::Bytes::copy_from_slice(s.as_bytes());
    match value {
        Attr::Int(v) => ModelAttr::Int(*v),
        Attr::Float(v) => ModelAttr::Float(*v),
        Attr::Str(v) => ModelAttr::Str(bytes(v)),
        Attr::Ints(v) => ModelAttr::Ints(v.to_vec()),
        Attr::Floats(v) => ModelAttr::Floats(v.to_vec()),
        Attr::Strs(v) => ModelAttr::Strs(v.iter().map(|s| bytes(s)).collect()),
    }
}

fn list(values: &[i64]) -> Tensor {
    ints_of(DType::I64, &[values.len() as u64], values)
}

fn scalar_int(value: i64) -> Tensor {
    ints_of(DType::I64, &[], &[value])
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_f32s(&[values.len() as u64], values).expect("one element for each number")
}

fn ints_of(dtype: DType, shape: &[u64], values: &[i64]) -> Tensor {
    let width = (dtype.bits() / 8) as usize;
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()[..width].to_vec()).collect();
    Tensor::new(dtype, shape, Data::Bytes(data.into())).expect("one element for each number")
}

/// A tensor of one element.
fn full(dtype: DType, shape: &[u64], value: f32) -> Tensor {
    let data = match dtype {
        DType::F64 => f64::from(value).to_le_bytes().to_vec(),
        DType::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        DType::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        DType::F32 => value.to_le_bytes().to_vec(),
        _ => return ints_of(dtype, shape, &[value as i64]),
    };
    Tensor::new(dtype, shape, Data::Bytes(data.into())).expect("one element")
}
