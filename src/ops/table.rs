//! The table of operators: which family each belongs to. The one place that matches on every operator.

use crate::graph::{Facts, Op, OpKind, TensorType};

use super::call::{Call, EvalCall, WorkCall};
use super::{
    Array, Element, EvalError, OpError, Schema, Work, activation, constructor, conv, elementwise, linear, movement,
    normalisation, pool, recurrent, reduce, resize, schema, shape, softmax, topk, unary,
};

/// The schema rows of all families.
pub(super) const SCHEMAS: &[&[Schema]] = &[
    elementwise::SCHEMAS,
    unary::SCHEMAS,
    activation::SCHEMAS,
    softmax::SCHEMAS,
    reduce::SCHEMAS,
    topk::SCHEMAS,
    normalisation::SCHEMAS,
    conv::SCHEMAS,
    linear::SCHEMAS,
    pool::SCHEMAS,
    movement::SCHEMAS,
    resize::SCHEMAS,
    shape::SCHEMAS,
    recurrent::SCHEMAS,
    constructor::SCHEMAS,
];

/// A group of operators with one file.
#[derive(Clone, Copy)]
enum Family {
    Elementwise,
    Unary,
    Activation,
    Softmax,
    Reduce,
    TopK,
    Normalisation,
    Conv,
    Linear,
    Pool,
    Movement,
    Resize,
    Shape,
    Recurrent,
    Constructor,
}

fn family(kind: OpKind) -> Family {
    use OpKind::*;
    match kind {
        Add | Sub | Mul | Div | Pow | Mod | Min | Max | Mean | Sum | PRelu | And | Or | Xor | Equal | Less
        | LessOrEqual | Greater | GreaterOrEqual | Where => Family::Elementwise,
        Neg | Abs | Sqrt | Exp | Log | Reciprocal | Floor | Ceil | Round | Sign | Not | IsNaN | IsInf | Erf | Sin
        | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh | Tanh | Asinh | Acosh | Atanh | Clip | Cast => Family::Unary,
        Relu | LeakyRelu | Sigmoid | Gelu | HardSigmoid | HardSwish | Elu | Selu | Celu | ThresholdedRelu
        | Softplus | Softsign | Mish => Family::Activation,
        Softmax | LogSoftmax | Hardmax | LpNormalization | CumSum => Family::Softmax,
        ReduceSum | ReduceMean | ReduceMax | ReduceMin | ReduceProd | ReduceL1 | ReduceL2 | ReduceLogSum
        | ReduceLogSumExp | ReduceSumSquare | ArgMax | ArgMin => Family::Reduce,
        TopK => Family::TopK,
        BatchNormalization
        | LayerNormalization
        | InstanceNormalization
        | GroupNormalization
        | RMSNormalization
        | LRN => Family::Normalisation,
        Conv | ConvTranspose => Family::Conv,
        MatMul | Gemm | Einsum => Family::Linear,
        MaxPool | AveragePool | GlobalAveragePool | GlobalMaxPool => Family::Pool,
        Concat | Split | Slice | Gather | GatherElements | GatherND | Transpose | Reshape | Flatten | Squeeze
        | Unsqueeze | Expand | Tile | Pad | DepthToSpace | SpaceToDepth | Trilu | Identity | Dropout => {
            Family::Movement
        }
        Resize => Family::Resize,
        Shape | Size | ConstantOfShape | Range | Constant => Family::Shape,
        LSTM | GRU => Family::Recurrent,
        Enlarge | IdentityKernel | IdentityMatrix | PoolKernel | BlockDiagonal | Ungroup => Family::Constructor,
    }
}

/// Types and partial values of the outputs.
///
/// `inputs` has `None` for optional inputs left out. An input of unknown type makes every output unknown. Dimensions may
/// be expressions; what follows from them is stated exactly, and a result that they do not determine is unknown.
///
/// # Errors
/// Operands that no run could accept: wrong number, element types or shapes.
pub fn infer(op: &Op, inputs: &[Option<&Facts>], num_outputs: usize) -> Result<Vec<Facts>, OpError> {
    let kind = op.kind().ok_or_else(|| OpError::NotApplied(op.label()))?;
    let call = Call { kind, op, inputs, outputs: num_outputs };
    check_arity(kind, inputs.len(), |i| inputs[i].is_some())?;
    let schema = schema(kind);
    if num_outputs < schema.outputs.0 || num_outputs > schema.outputs.1 {
        let problem = format!("{num_outputs} outputs; {} expected", range(schema.outputs));
        return Err(OpError::Arity { op: kind, problem });
    }
    if inputs.iter().flatten().any(|facts| facts.ty.is_none()) {
        return call.unknown();
    }
    match family(kind) {
        Family::Elementwise => elementwise::infer(&call),
        Family::Unary => unary::infer(&call),
        Family::Activation => activation::infer(&call),
        Family::Softmax => softmax::infer(&call),
        Family::Reduce => reduce::infer(&call),
        Family::TopK => topk::infer(&call),
        Family::Normalisation => normalisation::infer(&call),
        Family::Conv => conv::infer(&call),
        Family::Linear => linear::infer(&call),
        Family::Pool => pool::infer(&call),
        Family::Movement => movement::infer(&call),
        Family::Resize => resize::infer(&call),
        Family::Shape => shape::infer(&call),
        Family::Recurrent => recurrent::infer(&call),
        Family::Constructor => constructor::infer(&call),
    }
}

/// Arithmetic, traffic and launches of one application. Dimensions that are no numbers count as 1, operators that are
/// not of the table as no work.
pub fn work(op: &Op, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> Work {
    let Some(kind) = op.kind() else { return Work::default() };
    let call = WorkCall { kind, op, inputs, outputs };
    match family(kind) {
        Family::Elementwise => elementwise::work(&call),
        Family::Unary => unary::work(&call),
        Family::Activation => activation::work(&call),
        Family::Softmax => softmax::work(&call),
        Family::Reduce => reduce::work(&call),
        Family::TopK => topk::work(&call),
        Family::Normalisation => normalisation::work(&call),
        Family::Conv => conv::work(&call),
        Family::Linear => linear::work(&call),
        Family::Pool => pool::work(&call),
        Family::Movement => movement::work(&call),
        Family::Resize => resize::work(&call),
        Family::Shape => shape::work(&call),
        Family::Recurrent => recurrent::work(&call),
        Family::Constructor => constructor::work(&call),
    }
}

/// The values of all outputs: the reference semantics, over the reals.
///
/// Element types of tensors play no part: integers and booleans are numbers, a quotient is exact, and a cast to a
/// floating-point type changes nothing. Optional outputs are always computed.
///
/// # Errors
/// Operands that do not fit; functions that the element type lacks; results above [`super::MAX_EVALUATED`] elements.
pub fn evaluate<E: Element>(op: &Op, inputs: &[Option<&Array<E>>]) -> Result<Vec<Array<E>>, EvalError> {
    let kind = op.kind().ok_or_else(|| EvalError::NotApplied(op.label()))?;
    check_arity(kind, inputs.len(), |i| inputs[i].is_some())
        .map_err(|error| EvalError::Operands { op: kind, problem: error.to_string() })?;
    let call = EvalCall { kind, op, inputs };
    match family(kind) {
        Family::Elementwise => elementwise::evaluate(&call),
        Family::Unary => unary::evaluate(&call),
        Family::Activation => activation::evaluate(&call),
        Family::Softmax => softmax::evaluate(&call),
        Family::Reduce => reduce::evaluate(&call),
        Family::TopK => topk::evaluate(&call),
        Family::Normalisation => normalisation::evaluate(&call),
        Family::Conv => conv::evaluate(&call),
        Family::Linear => linear::evaluate(&call),
        Family::Pool => pool::evaluate(&call),
        Family::Movement => movement::evaluate(&call),
        Family::Resize => resize::evaluate(&call),
        Family::Shape => shape::evaluate(&call),
        Family::Recurrent => recurrent::evaluate(&call),
        Family::Constructor => constructor::evaluate(&call),
    }
}

fn check_arity(kind: OpKind, count: usize, present: impl Fn(usize) -> bool) -> Result<(), OpError> {
    let (least, greatest) = schema(kind).inputs;
    if count < least || count > greatest {
        let problem = format!("{count} inputs; {} expected", range((least, greatest)));
        return Err(OpError::Arity { op: kind, problem });
    }
    let needed = if greatest == super::schema::MANY { count } else { least };
    match (0..needed).find(|&i| !present(i)) {
        Some(i) => Err(OpError::Arity { op: kind, problem: format!("input {i} is left out") }),
        None => Ok(()),
    }
}

fn range((least, greatest): (usize, usize)) -> String {
    match greatest {
        super::schema::MANY => format!("{least} or more"),
        _ if least == greatest => least.to_string(),
        _ => format!("{least} to {greatest}"),
    }
}
