//! Schemas: which inputs and attributes an operator has.

use std::fmt;
use std::sync::OnceLock;

use crate::graph::{Attr, Attrs, Op, OpKind};

use super::{OpError, table};

/// Type of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum AttrType {
    Int,
    Float,
    Str,
    Ints,
    Floats,
    Strs,
    /// An integer or a float.
    Number,
}

impl AttrType {
    /// The type of a value.
    pub fn of(attr: &Attr) -> AttrType {
        match attr {
            Attr::Int(_) => AttrType::Int,
            Attr::Float(_) => AttrType::Float,
            Attr::Str(_) => AttrType::Str,
            Attr::Ints(_) => AttrType::Ints,
            Attr::Floats(_) => AttrType::Floats,
            Attr::Strs(_) => AttrType::Strs,
        }
    }

    /// Whether a value of type `found` may stand where this type is asked for.
    pub fn accepts(self, found: AttrType) -> bool {
        self == found || (self == AttrType::Number && matches!(found, AttrType::Int | AttrType::Float))
    }
}

impl fmt::Display for AttrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AttrType::Int => "an integer",
            AttrType::Float => "a float",
            AttrType::Str => "a text",
            AttrType::Ints => "a list of integers",
            AttrType::Floats => "a list of floats",
            AttrType::Strs => "a list of texts",
            AttrType::Number => "a number",
        })
    }
}

/// What an attribute is when it is left out.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum AttrDefault {
    /// It may not be left out.
    Required(AttrType),
    /// It then has no value at all.
    Absent(AttrType),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// A number, of which the default is this float.
    Number(f32),
    /// A text.
    Str(&'static str),
    /// Integers. An empty list stands for "not given": what that means is said where the operator is.
    Ints(&'static [i64]),
    /// Floats; empty stands for "not given".
    Floats(&'static [f32]),
    /// Texts; empty stands for "not given".
    Strs(&'static [&'static str]),
}

impl AttrDefault {
    /// The type of the attribute.
    pub fn ty(self) -> AttrType {
        match self {
            AttrDefault::Required(ty) | AttrDefault::Absent(ty) => ty,
            AttrDefault::Int(_) => AttrType::Int,
            AttrDefault::Float(_) => AttrType::Float,
            AttrDefault::Number(_) => AttrType::Number,
            AttrDefault::Str(_) => AttrType::Str,
            AttrDefault::Ints(_) => AttrType::Ints,
            AttrDefault::Floats(_) => AttrType::Floats,
            AttrDefault::Strs(_) => AttrType::Strs,
        }
    }

    /// The value, if there is one.
    pub fn value(self) -> Option<Attr> {
        match self {
            AttrDefault::Required(_) | AttrDefault::Absent(_) => None,
            AttrDefault::Int(v) => Some(Attr::Int(v)),
            AttrDefault::Float(v) | AttrDefault::Number(v) => Some(Attr::Float(v)),
            AttrDefault::Str(v) => Some(Attr::str(v)),
            AttrDefault::Ints(v) => Some(Attr::ints(v)),
            AttrDefault::Floats(v) => Some(Attr::Floats(v.into())),
            AttrDefault::Strs(v) => Some(Attr::Strs(v.iter().map(|&s| s.into()).collect())),
        }
    }
}

/// An attribute of an operator.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AttrSpec {
    /// Name.
    pub name: &'static str,
    /// What it is when left out, and its type.
    pub default: AttrDefault,
}

/// No upper bound on the number of inputs or outputs.
pub(super) const MANY: usize = usize::MAX;

/// Inputs, outputs and attributes of an operator.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Schema {
    /// Operator.
    pub kind: OpKind,
    /// Least and greatest number of inputs (`usize::MAX`: any). The first `inputs.0` may not be left out.
    pub inputs: (usize, usize),
    /// Least and greatest number of outputs.
    pub outputs: (usize, usize),
    /// Attributes, in any order.
    pub attrs: &'static [AttrSpec],
    /// Whether the inputs may be permuted at will.
    pub commutative: bool,
    /// Whether an application to constants may be folded into a constant: not where a small constant would become a
    /// large one.
    pub foldable: bool,
}

impl Schema {
    /// A schema of one output and no attributes, foldable.
    pub(super) const fn of(kind: OpKind, inputs: (usize, usize)) -> Schema {
        Schema { kind, inputs, outputs: (1, 1), attrs: &[], commutative: false, foldable: true }
    }

    pub(super) const fn attrs(mut self, attrs: &'static [AttrSpec]) -> Schema {
        self.attrs = attrs;
        self
    }

    pub(super) const fn outputs(mut self, least: usize, greatest: usize) -> Schema {
        self.outputs = (least, greatest);
        self
    }

    pub(super) const fn commutative(mut self) -> Schema {
        self.commutative = true;
        self
    }

    pub(super) const fn not_foldable(mut self) -> Schema {
        self.foldable = false;
        self
    }

    /// The attribute of this name.
    pub fn attr(&self, name: &str) -> Option<&'static AttrSpec> {
        self.attrs.iter().find(|spec| spec.name == name)
    }
}

/// Constructors of attribute rows, so that the tables read as tables.
pub(super) mod rows {
    use super::{AttrDefault, AttrSpec, AttrType};

    pub const fn required(name: &'static str, ty: AttrType) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Required(ty) }
    }
    pub const fn absent(name: &'static str, ty: AttrType) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Absent(ty) }
    }
    pub const fn int(name: &'static str, value: i64) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Int(value) }
    }
    pub const fn float(name: &'static str, value: f32) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Float(value) }
    }
    pub const fn number(name: &'static str, value: f32) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Number(value) }
    }
    pub const fn text(name: &'static str, value: &'static str) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Str(value) }
    }
    pub const fn ints(name: &'static str) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Ints(&[]) }
    }
    pub const fn floats(name: &'static str) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Floats(&[]) }
    }
    pub const fn texts(name: &'static str) -> AttrSpec {
        AttrSpec { name, default: AttrDefault::Strs(&[]) }
    }
}

/// The schema of an operator.
pub fn schema(kind: OpKind) -> &'static Schema {
    static BY_KIND: OnceLock<Vec<&'static Schema>> = OnceLock::new();
    let by_kind = BY_KIND.get_or_init(|| {
        let find = |&kind: &OpKind| table::SCHEMAS.iter().copied().flatten().find(|schema| schema.kind == kind);
        OpKind::ALL.iter().map(|kind| find(kind).expect("every operator has a schema row (tested)")).collect()
    });
    by_kind[kind as usize]
}

/// An operator with the attributes given, after checking their names and types; those left out take the schema's
/// default. Whether they fit the operands is for [`super::infer`] to say.
pub fn build<S: AsRef<str>>(kind: OpKind, given: Vec<(S, Attr)>) -> Result<Op, OpError> {
    let schema = schema(kind);
    let mut values: Vec<(&'static str, Attr)> = Vec::with_capacity(schema.attrs.len());
    for (name, value) in given {
        let name = name.as_ref();
        let spec = schema.attr(name).ok_or_else(|| OpError::UnknownAttr { op: kind, attr: name.to_owned() })?;
        if values.iter().any(|(seen, _)| *seen == name) {
            return Err(OpError::RepeatedAttr { op: kind, attr: name.to_owned() });
        }
        let (expected, found) = (spec.default.ty(), AttrType::of(&value));
        if !expected.accepts(found) {
            return Err(OpError::AttrType { op: kind, attr: spec.name, expected, found });
        }
        values.push((spec.name, value));
    }
    for spec in schema.attrs {
        if values.iter().any(|(name, _)| *name == spec.name) {
            continue;
        }
        match (spec.default, spec.default.value()) {
            (AttrDefault::Required(expected), _) => {
                return Err(OpError::MissingAttr { op: kind, attr: spec.name, expected });
            }
            (_, Some(value)) => values.push((spec.name, value)),
            (_, None) => {}
        }
    }
    Ok(Op::Apply(kind, Attrs::new(values)))
}
