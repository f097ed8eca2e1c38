//! Attributes in JSON: bare values for operators that we know, values with their type for others.

use bytes::Bytes;

use super::base64;
use super::error::Problem;
use super::json_data::{self, Sources};
use super::json_read;
use super::json_tree::{Json, expected};
use super::model::ModelAttr;
use super::onnx_scan::Kind;
use super::proto;
use crate::graph::{DType, OpKind};

/// Attributes that are floats in every operator that we know and in every operator set, where `1` means `1.0`.
const FLOATS: [&str; 15] = [
    "alpha",
    "beta",
    "bias",
    "clip",
    "cubic_coeff_a",
    "epsilon",
    "extrapolation_value",
    "gamma",
    "max",
    "min",
    "momentum",
    "ratio",
    "spatial_scale",
    "value",
    "value_float",
];
/// Attributes that are lists of floats in every operator that we know.
const FLOAT_LISTS: [&str; 4] = ["activation_alpha", "activation_beta", "scales", "value_floats"];

/// Whether attributes of this operator may be written bare.
pub(super) fn is_known(domain: &str, op: &str) -> bool {
    domain.is_empty() && OpKind::from_name(op).is_some_and(|kind| !kind.is_constructor())
}

/// Reads an attribute.
pub(super) fn read(name: &str, json: Json, known: bool, sources: &mut Sources) -> Result<ModelAttr, Problem> {
    match json {
        Json::Object(_) => typed(json, sources),
        bare if known => self::bare(name, &bare),
        other => {
            let example = match &other {
                Json::Int(n) => format!("{{\"int\": {n}}}"),
                Json::Float(v) => format!("{{\"float\": {v:?}}}"),
                Json::Text(_) => "{\"string\": …}".to_owned(),
                _ => "{\"ints\": […]}".to_owned(),
            };
            Err(Problem::new(format_args!(
                "attributes of operators that graphopt does not know say their type, such as {example}"
            )))
        }
    }
}

/// A bare value: its shape and the attribute's name tell the type.
fn bare(name: &str, json: &Json) -> Result<ModelAttr, Problem> {
    if FLOATS.contains(&name) {
        return json.to_float().map(|v| ModelAttr::Float(v as f32));
    }
    let list = match json {
        Json::Int(_) => return json.to_sized().map(ModelAttr::Int),
        Json::Float(v) => return Ok(ModelAttr::Float(*v as f32)),
        Json::Text(text) => return Ok(ModelAttr::Str(Bytes::copy_from_slice(text.as_bytes()))),
        Json::List(list) => list,
        other => return Err(expected("a number, a string, a list or an object with a type", other)),
    };
    if FLOAT_LISTS.contains(&name) || list.iter().any(|j| matches!(j, Json::Float(_))) {
        return floats(list).map(ModelAttr::Floats);
    }
    if list.iter().any(|j| matches!(j, Json::Text(_))) {
        return list
            .iter()
            .map(|j| j.clone().into_text().map(|t| t.into_bytes().into()))
            .collect::<Result<_, _>>()
            .map(ModelAttr::Strs);
    }
    list.iter().map(|j| j.to_sized()).collect::<Result<_, _>>().map(ModelAttr::Ints)
}

fn floats(list: &[Json]) -> Result<Vec<f32>, Problem> {
    list.iter().map(|j| j.to_float().map(|v| v as f32)).collect()
}

/// `{"float": 1}` and the like.
fn typed(json: Json, sources: &mut Sources) -> Result<ModelAttr, Problem> {
    let Json::Object(mut fields) = json else { return Err(expected("an object", &json)) };
    let (Some((kind, value)), true) = (fields.pop(), fields.is_empty()) else {
        return Err(Problem::new("expected an object with one field, the type"));
    };
    let strings = |value: Json| value.into_list()?.into_iter().map(Json::into_text).collect::<Result<Vec<_>, _>>();
    let read = || match kind.as_str() {
        "float" => Ok(ModelAttr::Float(value.to_float()? as f32)),
        "int" => Ok(ModelAttr::Int(value.to_sized()?)),
        "string" => Ok(ModelAttr::Str(value.into_text()?.into_bytes().into())),
        "bytes" => Ok(ModelAttr::Str(value.into_bytes()?)),
        "floats" => Ok(ModelAttr::Floats(floats(&value.into_list()?)?)),
        "ints" => Ok(ModelAttr::Ints(value.into_list()?.iter().map(|j| j.to_sized()).collect::<Result<_, _>>()?)),
        "strings" => Ok(ModelAttr::Strs(strings(value)?.into_iter().map(|t| t.into_bytes().into()).collect())),
        "bytes_list" => {
            Ok(ModelAttr::Strs(value.into_list()?.into_iter().map(Json::into_bytes).collect::<Result<_, _>>()?))
        }
        "tensor" => {
            let mut fields = value.into_fields()?;
            let dtype: DType = fields.need("dtype", |j| j.into_text()?.parse().map_err(Problem::new))?;
            let shape = fields.need("shape", json_read::shape)?;
            let tensor = fields.need("data", |j| json_data::read(j, dtype, &shape, sources))?;
            fields.finish()?;
            Ok(ModelAttr::Tensor(tensor))
        }
        "proto" => Ok(ModelAttr::Proto(json_read::message::<proto::AttributeProto>(value, Kind::Attribute)?)),
        other => Err(Problem::new(format_args!(
            "unknown type {other:?}; the types are float, int, string, bytes, floats, ints, strings, bytes_list, tensor, \
             proto"
        ))),
    };
    let place = format!("{kind:?}");
    read().map_err(|p| p.within(place))
}

/// The attribute as JSON: bare where that reads back as the same. Sub-graphs are written elsewhere.
pub(super) fn write<'a>(
    name: &str,
    value: &'a ModelAttr,
    known: bool,
    tensor: &mut dyn FnMut(&'a crate::graph::Tensor) -> Json,
) -> Option<Json> {
    let one = |kind: &'static str, json: Json| Json::object([(kind, Some(json))]);
    let text = |bytes: &Bytes| std::str::from_utf8(bytes).ok().map(Json::text);
    let (kind, json) = match value {
        ModelAttr::Float(v) => ("float", Json::float32(*v)),
        ModelAttr::Int(v) => ("int", Json::exact((*v).into())),
        ModelAttr::Str(v) => match text(v) {
            Some(json) => ("string", json),
            None => ("bytes", Json::Text(base64::encode(v))),
        },
        ModelAttr::Floats(v) => ("floats", Json::List(v.iter().map(|&x| Json::float32(x)).collect())),
        ModelAttr::Ints(v) => ("ints", Json::List(v.iter().map(|&x| Json::exact(x.into())).collect())),
        ModelAttr::Strs(v) => match v.iter().map(text).collect::<Option<Vec<_>>>() {
            Some(list) => ("strings", Json::List(list)),
            None => ("bytes_list", Json::List(v.iter().map(|b| Json::Text(base64::encode(b))).collect())),
        },
        ModelAttr::Tensor(t) => ("tensor", tensor(t)),
        ModelAttr::Proto(bytes) => ("proto", Json::Text(base64::encode(bytes))),
        ModelAttr::Graph(_) => return None,
    };
    let plain = !matches!(kind, "tensor" | "proto" | "bytes" | "bytes_list");
    if plain && known && bare(name, &json).is_ok_and(|read| same(&read, value)) {
        return Some(json);
    }
    Some(one(kind, json))
}

/// Equality by bits.
fn same(a: &ModelAttr, b: &ModelAttr) -> bool {
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    match (a, b) {
        (ModelAttr::Float(a), ModelAttr::Float(b)) => a.to_bits() == b.to_bits(),
        (ModelAttr::Floats(a), ModelAttr::Floats(b)) => bits(a) == bits(b),
        _ => a == b,
    }
}
