//! What the operator sets of ONNX say of the operators that we understand: since when each exists, how many inputs and
//! outputs it may have, which attributes with which defaults, each by version of the operator set. Facts of the ONNX
//! specification (operator sets 1 to 28); read by the importer and by the exporter.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::graph::OpKind;

/// Oldest operator set that is read. Before operator set 7 the operators that changed since are not understood.
pub const OLDEST: i64 = 1;
/// Newest operator set that is read.
pub const NEWEST: i64 = 28;

const LATEST: i64 = i64::MAX;
const MANY: usize = usize::MAX;

/// Type of an attribute, with its default if there is one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Form {
    /// An integer with a default.
    Int(i64),
    /// A float with a default.
    Float(f32),
    /// A text with a default.
    Text(&'static str),
    /// An integer that must be given.
    NeedInt,
    /// A text that must be given.
    NeedText,
    /// Integers that must be given.
    NeedInts,
    /// Floats that must be given.
    NeedFloats,
    /// An integer that may be left out.
    AnyInt,
    /// A float that may be left out.
    AnyFloat,
    /// Integers that may be left out.
    AnyInts,
    /// Floats that may be left out.
    AnyFloats,
    /// Texts that may be left out.
    AnyTexts,
    /// A tensor that may be left out.
    AnyTensor,
}

use Form::*;

/// An attribute in a range of operator sets.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Attribute {
    /// Name.
    pub name: &'static str,
    /// First operator set that has it so.
    pub since: i64,
    /// Last operator set that has it so.
    pub until: i64,
    /// Type and default.
    pub form: Form,
}

/// (first operator set, least number of inputs, greatest, greatest number of outputs).
type Arity = (i64, usize, usize, usize);

/// An operator of ONNX.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Row {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is in the normal form.
    pub kind: OpKind,
    /// Last operator set that has it.
    pub until: i64,
    arities: &'static [Arity],
    attributes: &'static [Attribute],
}

impl Row {
    const fn until(mut self, opset: i64) -> Row {
        self.until = opset;
        self
    }

    /// First operator set that has the operator as it was in operator set 7 or later.
    pub fn since(&self) -> i64 {
        self.arities[0].0
    }

    /// Whether an operator set has it.
    pub fn exists(&self, opset: i64) -> bool {
        (self.since()..=self.until).contains(&opset)
    }

    fn arity(&self, opset: i64) -> Arity {
        *self.arities.iter().rev().find(|form| form.0 <= opset).unwrap_or(&self.arities[0])
    }

    /// Least and greatest number of inputs in an operator set.
    pub fn inputs(&self, opset: i64) -> (usize, usize) {
        let form = self.arity(opset);
        (form.1, form.2)
    }

    /// Greatest number of outputs in an operator set.
    pub fn outputs(&self, opset: i64) -> usize {
        self.arity(opset).3
    }

    /// The attributes in an operator set.
    pub fn attributes(&self, opset: i64) -> impl Iterator<Item = &'static Attribute> {
        let attributes = self.attributes;
        attributes.iter().filter(move |a| (a.since..=a.until).contains(&opset))
    }

    /// An attribute in an operator set.
    pub fn attribute(&self, name: &str, opset: i64) -> Option<&'static Attribute> {
        self.attributes(opset).find(|a| a.name == name)
    }

    /// The defaults that an attribute has in the operator sets that have it.
    pub fn defaults<'n>(&self, name: &'n str) -> impl Iterator<Item = Form> + use<'n> {
        let attributes = self.attributes;
        attributes.iter().filter(move |a| a.name == name).map(|a| a.form)
    }
}

/// The row of an operator of ONNX's own domain, by its name in the file.
pub fn row_of(name: &str) -> Option<&'static Row> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static Row>> = OnceLock::new();
    BY_NAME.get_or_init(|| ROWS.iter().map(|row| (row.name, row)).collect()).get(name).copied()
}

const fn row(name: &'static str, kind: OpKind, arities: &'static [Arity], attributes: &'static [Attribute]) -> Row {
    Row { name, kind, until: LATEST, arities, attributes }
}

/// An attribute in every operator set that has the operator.
const fn all(name: &'static str, form: Form) -> Attribute {
    Attribute { name, since: 1, until: LATEST, form }
}

/// An attribute in operator sets `since..=until`.
const fn a(name: &'static str, since: i64, until: i64, form: Form) -> Attribute {
    Attribute { name, since, until, form }
}

use OpKind::*;

/// Reductions other than ReduceSum: the axes became an operand in operator set 18.
const REDUCE: &[Arity] = &[(1, 1, 1, 1), (18, 1, 2, 1)];
const REDUCE_ATTRIBUTES: &[Attribute] =
    &[a("axes", 1, 17, AnyInts), all("keepdims", Int(1)), a("noop_with_empty_axes", 18, LATEST, Int(0))];
const ARG_ATTRIBUTES: &[Attribute] =
    &[all("axis", Int(0)), all("keepdims", Int(1)), a("select_last_index", 12, LATEST, Int(0))];
const SOFTMAX_ATTRIBUTES: &[Attribute] = &[a("axis", 1, 12, Int(1)), a("axis", 13, LATEST, Int(-1))];

/// Every operator that the importer understands.
pub const ROWS: &[Row] = &[
    // Element-wise with broadcasting.
    row("Add", Add, &[(7, 2, 2, 1)], &[]),
    row("Sub", Sub, &[(7, 2, 2, 1)], &[]),
    row("Mul", Mul, &[(7, 2, 2, 1)], &[]),
    row("Div", Div, &[(7, 2, 2, 1)], &[]),
    row("Pow", Pow, &[(7, 2, 2, 1)], &[]),
    row("Mod", Mod, &[(10, 2, 2, 1)], &[a("fmod", 10, LATEST, Int(0))]),
    row("Min", Min, &[(6, 1, MANY, 1)], &[]),
    row("Max", Max, &[(6, 1, MANY, 1)], &[]),
    row("Mean", Mean, &[(6, 1, MANY, 1)], &[]),
    row("Sum", Sum, &[(6, 1, MANY, 1)], &[]),
    row("PRelu", PRelu, &[(7, 2, 2, 1)], &[]),
    row("And", And, &[(7, 2, 2, 1)], &[]),
    row("Or", Or, &[(7, 2, 2, 1)], &[]),
    row("Xor", Xor, &[(7, 2, 2, 1)], &[]),
    row("Equal", Equal, &[(7, 2, 2, 1)], &[]),
    row("Less", Less, &[(7, 2, 2, 1)], &[]),
    row("LessOrEqual", LessOrEqual, &[(12, 2, 2, 1)], &[]),
    row("Greater", Greater, &[(7, 2, 2, 1)], &[]),
    row("GreaterOrEqual", GreaterOrEqual, &[(12, 2, 2, 1)], &[]),
    row("Where", Where, &[(9, 3, 3, 1)], &[]),
    // Element-wise, one operand.
    row("Neg", Neg, &[(6, 1, 1, 1)], &[]),
    row("Abs", Abs, &[(6, 1, 1, 1)], &[]),
    row("Sqrt", Sqrt, &[(6, 1, 1, 1)], &[]),
    row("Exp", Exp, &[(6, 1, 1, 1)], &[]),
    row("Log", Log, &[(6, 1, 1, 1)], &[]),
    row("Reciprocal", Reciprocal, &[(6, 1, 1, 1)], &[]),
    row("Floor", Floor, &[(6, 1, 1, 1)], &[]),
    row("Ceil", Ceil, &[(6, 1, 1, 1)], &[]),
    row("Round", Round, &[(11, 1, 1, 1)], &[]),
    row("Sign", Sign, &[(9, 1, 1, 1)], &[]),
    row("Not", Not, &[(1, 1, 1, 1)], &[]),
    row("IsNaN", IsNaN, &[(9, 1, 1, 1)], &[]),
    row(
        "IsInf",
        IsInf,
        &[(10, 1, 1, 1)],
        &[a("detect_negative", 10, LATEST, Int(1)), a("detect_positive", 10, LATEST, Int(1))],
    ),
    row("Erf", Erf, &[(9, 1, 1, 1)], &[]),
    row("Sin", Sin, &[(7, 1, 1, 1)], &[]),
    row("Cos", Cos, &[(7, 1, 1, 1)], &[]),
    row("Tan", Tan, &[(7, 1, 1, 1)], &[]),
    row("Asin", Asin, &[(7, 1, 1, 1)], &[]),
    row("Acos", Acos, &[(7, 1, 1, 1)], &[]),
    row("Atan", Atan, &[(7, 1, 1, 1)], &[]),
    row("Sinh", Sinh, &[(9, 1, 1, 1)], &[]),
    row("Cosh", Cosh, &[(9, 1, 1, 1)], &[]),
    row("Tanh", Tanh, &[(6, 1, 1, 1)], &[]),
    row("Asinh", Asinh, &[(9, 1, 1, 1)], &[]),
    row("Acosh", Acosh, &[(9, 1, 1, 1)], &[]),
    row("Atanh", Atanh, &[(9, 1, 1, 1)], &[]),
    row("Relu", Relu, &[(6, 1, 1, 1)], &[]),
    row("LeakyRelu", LeakyRelu, &[(6, 1, 1, 1)], &[all("alpha", Float(0.01))]),
    row("Sigmoid", Sigmoid, &[(6, 1, 1, 1)], &[]),
    row("Gelu", Gelu, &[(20, 1, 1, 1)], &[a("approximate", 20, LATEST, Text("none"))]),
    row("HardSigmoid", HardSigmoid, &[(6, 1, 1, 1)], &[all("alpha", Float(0.2)), all("beta", Float(0.5))]),
    row("HardSwish", HardSwish, &[(14, 1, 1, 1)], &[]),
    row("Elu", Elu, &[(6, 1, 1, 1)], &[all("alpha", Float(1.0))]),
    row("Selu", Selu, &[(6, 1, 1, 1)], &[all("alpha", Float(1.6732632)), all("gamma", Float(1.050701))]),
    row("Celu", Celu, &[(12, 1, 1, 1)], &[a("alpha", 12, LATEST, Float(1.0))]),
    row("ThresholdedRelu", ThresholdedRelu, &[(10, 1, 1, 1)], &[a("alpha", 10, LATEST, Float(1.0))]),
    row("Softplus", Softplus, &[(1, 1, 1, 1)], &[]),
    row("Softsign", Softsign, &[(1, 1, 1, 1)], &[]),
    row("Mish", Mish, &[(18, 1, 1, 1)], &[]),
    row(
        "Clip",
        Clip,
        &[(6, 1, 1, 1), (11, 1, 3, 1)],
        &[a("max", 1, 10, Float(f32::MAX)), a("min", 1, 10, Float(f32::MIN))],
    ),
    row(
        "Cast",
        Cast,
        &[(6, 1, 1, 1)],
        &[a("round_mode", 24, LATEST, Text("up")), a("saturate", 19, LATEST, Int(1)), all("to", NeedInt)],
    ),
    row(
        "CastLike",
        Cast,
        &[(15, 2, 2, 1)],
        &[a("round_mode", 24, LATEST, Text("up")), a("saturate", 19, LATEST, Int(1))],
    ),
    // Along axes.
    row("Softmax", Softmax, &[(1, 1, 1, 1)], SOFTMAX_ATTRIBUTES),
    row("LogSoftmax", LogSoftmax, &[(1, 1, 1, 1)], SOFTMAX_ATTRIBUTES),
    row("Hardmax", Hardmax, &[(1, 1, 1, 1)], SOFTMAX_ATTRIBUTES),
    row("LpNormalization", LpNormalization, &[(1, 1, 1, 1)], &[all("axis", Int(-1)), all("p", Int(2))]),
    row("CumSum", CumSum, &[(11, 2, 2, 1)], &[a("exclusive", 11, LATEST, Int(0)), a("reverse", 11, LATEST, Int(0))]),
    row(
        "ReduceSum",
        ReduceSum,
        &[(1, 1, 1, 1), (13, 1, 2, 1)],
        &[a("axes", 1, 12, AnyInts), all("keepdims", Int(1)), a("noop_with_empty_axes", 13, LATEST, Int(0))],
    ),
    row("ReduceMean", ReduceMean, REDUCE, REDUCE_ATTRIBUTES),
    row("ReduceMax", ReduceMax, REDUCE, REDUCE_ATTRIBUTES),
    row("ReduceMin", ReduceMin, REDUCE, REDUCE_ATTRIBUTES),
    row("ReduceProd", ReduceProd, REDUCE, REDUCE_ATTRIBUTES),
    row("ReduceL1", ReduceL1, REDUCE, REDUCE_ATTRIBUTES),
    row("ReduceL2", ReduceL2, REDUCE, REDUCE_ATTRIBUTES),
    row("ReduceLogSum", ReduceLogSum, REDUCE, REDUCE_ATTRIBUTES),
    row("ReduceLogSumExp", ReduceLogSumExp, REDUCE, REDUCE_ATTRIBUTES),
    row("ReduceSumSquare", ReduceSumSquare, REDUCE, REDUCE_ATTRIBUTES),
    row("ArgMax", ArgMax, &[(1, 1, 1, 1)], ARG_ATTRIBUTES),
    row("ArgMin", ArgMin, &[(1, 1, 1, 1)], ARG_ATTRIBUTES),
    row(
        "TopK",
        TopK,
        &[(1, 1, 1, 2), (10, 2, 2, 2)],
        &[
            all("axis", Int(-1)),
            a("k", 1, 9, NeedInt),
            a("largest", 11, LATEST, Int(1)),
            a("sorted", 11, LATEST, Int(1)),
        ],
    ),
    // Normalisation.
    row(
        "BatchNormalization",
        BatchNormalization,
        &[(7, 5, 5, 5), (14, 5, 5, 3)],
        &[
            all("epsilon", Float(1e-5)),
            all("momentum", Float(0.9)),
            a("spatial", 1, 8, Int(1)),
            a("training_mode", 14, LATEST, Int(0)),
        ],
    ),
    row(
        "LayerNormalization",
        LayerNormalization,
        &[(17, 2, 3, 3)],
        &[a("axis", 17, LATEST, Int(-1)), a("epsilon", 17, LATEST, Float(1e-5)), a("stash_type", 17, LATEST, Int(1))],
    ),
    row("InstanceNormalization", InstanceNormalization, &[(6, 3, 3, 1)], &[all("epsilon", Float(1e-5))]),
    row(
        "GroupNormalization",
        GroupNormalization,
        &[(18, 3, 3, 1)],
        &[
            a("epsilon", 18, LATEST, Float(1e-5)),
            a("num_groups", 18, LATEST, NeedInt),
            a("stash_type", 21, LATEST, Int(1)),
        ],
    ),
    row(
        "RMSNormalization",
        RMSNormalization,
        &[(23, 2, 2, 1)],
        &[a("axis", 23, LATEST, Int(-1)), a("epsilon", 23, LATEST, Float(1e-5)), a("stash_type", 23, LATEST, Int(1))],
    ),
    row(
        "LRN",
        LRN,
        &[(1, 1, 1, 1)],
        &[all("alpha", Float(1e-4)), all("beta", Float(0.75)), all("bias", Float(1.0)), all("size", NeedInt)],
    ),
    // Linear maps.
    row(
        "Conv",
        Conv,
        &[(1, 2, 3, 1)],
        &[
            all("auto_pad", Text("NOTSET")),
            all("dilations", AnyInts),
            all("group", Int(1)),
            all("kernel_shape", AnyInts),
            all("pads", AnyInts),
            all("strides", AnyInts),
        ],
    ),
    row(
        "ConvTranspose",
        ConvTranspose,
        &[(1, 2, 3, 1)],
        &[
            all("auto_pad", Text("NOTSET")),
            all("dilations", AnyInts),
            all("group", Int(1)),
            all("kernel_shape", AnyInts),
            all("output_padding", AnyInts),
            all("output_shape", AnyInts),
            all("pads", AnyInts),
            all("strides", AnyInts),
        ],
    ),
    row("MatMul", MatMul, &[(1, 2, 2, 1)], &[]),
    row(
        "Gemm",
        Gemm,
        &[(7, 3, 3, 1), (11, 2, 3, 1)],
        &[all("alpha", Float(1.0)), all("beta", Float(1.0)), all("transA", Int(0)), all("transB", Int(0))],
    ),
    row("Einsum", Einsum, &[(12, 1, MANY, 1)], &[a("equation", 12, LATEST, NeedText)]),
    // Pooling.
    row(
        "MaxPool",
        MaxPool,
        &[(1, 1, 1, 1), (8, 1, 1, 2)],
        &[
            all("auto_pad", Text("NOTSET")),
            a("ceil_mode", 10, LATEST, Int(0)),
            a("dilations", 10, LATEST, AnyInts),
            all("kernel_shape", NeedInts),
            all("pads", AnyInts),
            a("storage_order", 8, LATEST, Int(0)),
            all("strides", AnyInts),
        ],
    ),
    row(
        "AveragePool",
        AveragePool,
        &[(7, 1, 1, 1)],
        &[
            all("auto_pad", Text("NOTSET")),
            a("ceil_mode", 10, LATEST, Int(0)),
            all("count_include_pad", Int(0)),
            a("dilations", 19, LATEST, AnyInts),
            all("kernel_shape", NeedInts),
            all("pads", AnyInts),
            all("strides", AnyInts),
        ],
    ),
    row("GlobalAveragePool", GlobalAveragePool, &[(1, 1, 1, 1)], &[]),
    row("GlobalMaxPool", GlobalMaxPool, &[(1, 1, 1, 1)], &[]),
    // Moving elements.
    row("Concat", Concat, &[(4, 1, MANY, 1)], &[all("axis", NeedInt)]),
    row(
        "Split",
        Split,
        &[(2, 1, 1, MANY), (13, 1, 2, MANY)],
        &[all("axis", Int(0)), a("num_outputs", 18, LATEST, AnyInt), a("split", 1, 12, AnyInts)],
    ),
    row(
        "Slice",
        Slice,
        &[(1, 1, 1, 1), (10, 3, 5, 1)],
        &[a("axes", 1, 9, AnyInts), a("ends", 1, 9, NeedInts), a("starts", 1, 9, NeedInts)],
    ),
    row("Gather", Gather, &[(1, 2, 2, 1)], &[all("axis", Int(0))]),
    row("GatherElements", GatherElements, &[(11, 2, 2, 1)], &[a("axis", 11, LATEST, Int(0))]),
    row("GatherND", GatherND, &[(11, 2, 2, 1)], &[a("batch_dims", 12, LATEST, Int(0))]),
    row("Transpose", Transpose, &[(1, 1, 1, 1)], &[all("perm", AnyInts)]),
    row("Reshape", Reshape, &[(5, 2, 2, 1)], &[a("allowzero", 14, LATEST, Int(0))]),
    row("Flatten", Flatten, &[(1, 1, 1, 1)], &[all("axis", Int(1))]),
    row("Squeeze", Squeeze, &[(1, 1, 1, 1), (13, 1, 2, 1)], &[a("axes", 1, 12, AnyInts)]),
    row("Unsqueeze", Unsqueeze, &[(1, 1, 1, 1), (13, 2, 2, 1)], &[a("axes", 1, 12, NeedInts)]),
    row("Expand", Expand, &[(8, 2, 2, 1)], &[]),
    row("Tile", Tile, &[(6, 2, 2, 1)], &[]),
    row(
        "Pad",
        Pad,
        &[(2, 1, 1, 1), (11, 2, 3, 1), (18, 2, 4, 1)],
        &[all("mode", Text("constant")), a("pads", 1, 10, NeedInts), a("value", 1, 10, Float(0.0))],
    ),
    row(
        "DepthToSpace",
        DepthToSpace,
        &[(1, 1, 1, 1)],
        &[all("blocksize", NeedInt), a("mode", 11, LATEST, Text("DCR"))],
    ),
    row(
        "SpaceToDepth",
        SpaceToDepth,
        &[(1, 1, 1, 1)],
        &[all("blocksize", NeedInt), a("mode", 28, LATEST, Text("DCR"))],
    ),
    row("Trilu", Trilu, &[(14, 1, 2, 1)], &[a("upper", 14, LATEST, Int(1))]),
    row(
        "Resize",
        Resize,
        &[(10, 2, 2, 1), (11, 3, 4, 1), (13, 1, 4, 1)],
        &[
            a("antialias", 18, LATEST, Int(0)),
            a("axes", 18, LATEST, AnyInts),
            a("coordinate_transformation_mode", 11, LATEST, Text("half_pixel")),
            a("cubic_coeff_a", 11, LATEST, Float(-0.75)),
            a("exclude_outside", 11, LATEST, Int(0)),
            a("extrapolation_value", 11, LATEST, Float(0.0)),
            a("keep_aspect_ratio_policy", 18, LATEST, Text("stretch")),
            a("mode", 10, LATEST, Text("nearest")),
            a("nearest_mode", 11, LATEST, Text("round_prefer_floor")),
        ],
    ),
    row(
        "Upsample",
        Resize,
        &[(7, 1, 1, 1), (9, 2, 2, 1)],
        &[all("mode", Text("nearest")), a("scales", 1, 8, NeedFloats)],
    )
    .until(9),
    row("Identity", Identity, &[(1, 1, 1, 1)], &[]),
    row(
        "Dropout",
        Dropout,
        &[(7, 1, 1, 2), (12, 1, 3, 2)],
        &[a("ratio", 1, 11, Float(0.5)), a("seed", 12, LATEST, AnyInt)],
    ),
    // Shapes and constants.
    row("Shape", Shape, &[(1, 1, 1, 1)], &[a("end", 15, LATEST, AnyInt), a("start", 15, LATEST, Int(0))]),
    row("Size", Size, &[(1, 1, 1, 1)], &[]),
    row("ConstantOfShape", ConstantOfShape, &[(9, 1, 1, 1)], &[a("value", 9, LATEST, AnyTensor)]),
    row("Range", Range, &[(11, 3, 3, 1)], &[a("stash_type", 27, LATEST, Int(1))]),
    // Recurrent.
    row(
        "LSTM",
        LSTM,
        &[(7, 3, 8, 3)],
        &[
            all("activation_alpha", AnyFloats),
            all("activation_beta", AnyFloats),
            all("activations", AnyTexts),
            all("clip", AnyFloat),
            all("direction", Text("forward")),
            all("hidden_size", AnyInt),
            all("input_forget", Int(0)),
            a("layout", 14, LATEST, Int(0)),
        ],
    ),
    row(
        "GRU",
        GRU,
        &[(7, 3, 6, 2)],
        &[
            all("activation_alpha", AnyFloats),
            all("activation_beta", AnyFloats),
            all("activations", AnyTexts),
            all("clip", AnyFloat),
            all("direction", Text("forward")),
            all("hidden_size", AnyInt),
            a("layout", 14, LATEST, Int(0)),
            all("linear_before_reset", Int(0)),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_of_the_normal_form_has_a_row() {
        for &kind in OpKind::ALL {
            let is_node = !kind.is_constructor() && kind != OpKind::Constant;
            assert_eq!(row_of(kind.name()).is_some_and(|row| row.kind == kind), is_node, "{kind}");
        }
    }

    #[test]
    fn attributes_that_moved_are_where_their_operator_set_has_them() {
        let split = row_of("Split").unwrap();
        assert!(split.attribute("split", 12).is_some() && split.attribute("split", 13).is_none());
        assert_eq!((split.inputs(12), split.inputs(13)), ((1, 1), (1, 2)));
        let softmax = row_of("Softmax").unwrap();
        assert_eq!(softmax.attribute("axis", 12).map(|a| a.form), Some(Int(1)));
        assert_eq!(softmax.attribute("axis", 13).map(|a| a.form), Some(Int(-1)));
        assert!(!row_of("Gelu").unwrap().exists(19) && !row_of("Upsample").unwrap().exists(10));
    }
}
