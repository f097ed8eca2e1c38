//! JSON as a tree that keeps integers and floats apart, knows the order of fields, and refuses a field given twice.

use std::fmt::{self, Write};

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::base64;
use super::error::Problem;

/// A document may hold this many values: in memory each takes 32 bytes and more, in a file perhaps two.
const MAX_VALUES: usize = 1 << 25;

/// Refuses a JSON document of so many values that reading it would fill the memory. Takes no memory itself.
///
/// # Errors
/// There are too many.
pub fn check_json_size(bytes: &[u8]) -> Result<(), Problem> {
    if bytes.len() <= MAX_VALUES {
        return Ok(());
    }
    let (mut values, mut in_text, mut escaped) = (0usize, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    if values > MAX_VALUES {
        return Err(Problem::new(format_args!(
            "more than {MAX_VALUES} values; large tensors belong into a safetensors file beside the JSON file"
        )));
    }
    Ok(())
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// A number written without fraction and exponent.
    Int(i128),
    /// A number written with a fraction or an exponent.
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one JSON document; serde_json limits its nesting (128 levels).
    pub(super) fn parse(bytes: &[u8]) -> Result<Json, Problem> {
        check_json_size(bytes)?;
        serde_json::from_slice(bytes).map_err(|e| Problem::new(format_args!("not valid JSON: {e}")))
    }

    /// A text.
    pub(super) fn text(text: &str) -> Json {
        Json::Text(text.to_owned())
    }

    /// A number that JSON readers keep exactly; as a text above 2^53, which many do not.
    pub(super) fn exact(n: i128) -> Json {
        if n.unsigned_abs() <= 1 << 53 { Json::Int(n) } else { Json::Text(n.to_string()) }
    }

    /// A float, as a text if it is not finite.
    pub(super) fn float(v: f64) -> Json {
        match v {
            v if v.is_finite() => Json::Float(v),
            v if v.is_nan() => Json::text("nan"),
            v if v > 0.0 => Json::text("inf"),
            _ => Json::text("-inf"),
        }
    }

    /// A single-precision float with as few digits as tell it from its neighbours.
    pub(super) fn float32(v: f32) -> Json {
        let short = format!("{v:?}").parse::<f64>().unwrap_or(v.into());
        Json::float(if short as f32 == v { short } else { v.into() })
    }

    /// An object of the fields that are there.
    pub(super) fn object(fields: impl IntoIterator<Item = (&'static str, Option<Json>)>) -> Json {
        Json::Object(fields.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect())
    }

    /// What this is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "true or false",
            Json::Int(_) => "an integer",
            Json::Float(_) => "a number with a fraction or an exponent",
            Json::Text(_) => "a string",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }

    pub(super) fn into_text(self) -> Result<String, Problem> {
        match self {
            Json::Text(text) => Ok(text),
            other => Err(expected("a string", &other)),
        }
    }

    pub(super) fn into_bool(self) -> Result<bool, Problem> {
        match self {
            Json::Bool(v) => Ok(v),
            other => Err(expected("true or false", &other)),
        }
    }

    /// Bytes written as base64.
    pub(super) fn into_bytes(self) -> Result<Bytes, Problem> {
        base64::decode(&self.into_text()?).map(Bytes::from).ok_or_else(|| Problem::new("not base64"))
    }

    pub(super) fn into_list(self) -> Result<Vec<Json>, Problem> {
        match self {
            Json::List(list) => Ok(list),
            other => Err(expected("a list", &other)),
        }
    }

    pub(super) fn into_fields(self) -> Result<Fields, Problem> {
        match self {
            Json::Object(fields) => Ok(Fields { left: fields, asked: Vec::new() }),
            other => Err(expected("an object", &other)),
        }
    }

    /// An integer, also one written as a text.
    pub(super) fn to_int(&self) -> Result<i128, Problem> {
        match self {
            Json::Int(n) => Ok(*n),
            Json::Text(text) => text.parse().map_err(|_| expected("an integer", self)),
            other => Err(expected("an integer", other)),
        }
    }

    /// An integer that fits the type.
    pub(super) fn to_sized<T: TryFrom<i128>>(&self) -> Result<T, Problem> {
        let n = self.to_int()?;
        T::try_from(n).map_err(|_| {
            let name = std::any::type_name::<T>();
            Problem::new(format_args!("{n} does not fit {name}"))
        })
    }

    /// A float, also one written as an integer or as a text (`"nan"`, `"inf"`, `"-inf"`).
    pub(super) fn to_float(&self) -> Result<f64, Problem> {
        match self {
            Json::Float(v) => Ok(*v),
            Json::Int(n) => Ok(*n as f64),
            Json::Text(text) => text.parse().map_err(|_| expected("a number", self)),
            other => Err(expected("a number", other)),
        }
    }
}

/// A value of another kind than the format asks for.
pub(super) fn expected(what: &str, found: &Json) -> Problem {
    match found {
        Json::Text(text) if text.chars().count() <= 40 => Problem::new(format_args!("expected {what}, found {text:?}")),
        _ => Problem::new(format_args!("expected {what}, found {}", found.kind())),
    }
}

/// The fields of an object, taken one by one; what is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Fields {
    left: Vec<(String, Json)>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// The value of a field, if it is there.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Json> {
        self.asked.push(name);
        let at = self.left.iter().position(|(key, _)| key == name)?;
        Some(self.left.remove(at).1)
    }

    /// The value of a field that is read by `read`; errors name the field.
    pub(super) fn maybe<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        self.take(name).map(|json| read(json).map_err(|p| p.within(format_args!("{name:?}")))).transpose()
    }

    /// As [`Fields::maybe`], for a field that has to be there.
    pub(super) fn need<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.maybe(name, read)?.ok_or_else(|| Problem::new(format_args!("the field {name:?} is missing")))
    }

    /// A text; empty if the field is not there.
    pub(super) fn text(&mut self, name: &'static str) -> Result<String, Problem> {
        Ok(self.maybe(name, Json::into_text)?.unwrap_or_default())
    }

    /// A list whose elements are read by `read` and named in errors by `place`; empty if the field is not there.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(usize, Json) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        let Some(list) = self.maybe(name, Json::into_list)? else { return Ok(Vec::new()) };
        list.into_iter().enumerate().map(|(i, json)| read(i, json)).collect()
    }

    /// A name of the object for messages: its field `name`, if it has one, without taking it.
    pub(super) fn peek_text(&self, name: &str) -> Option<&str> {
        self.left.iter().find_map(|(key, value)| match value {
            Json::Text(text) if key == name && !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
    }

    /// Refuses fields that nobody asked for.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.left.first() {
            None => Ok(()),
            Some((key, _)) => {
                Err(Problem::new(format_args!("unknown field {key:?}; the fields here are {}", self.asked.join(", "))))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Json, E> {
        Ok(Json::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Json, E> {
        Ok(Json::Int(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Json, E> {
        Ok(Json::Int(v.into()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Json, E> {
        Ok(Json::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Json, E> {
        Ok(Json::text(v))
    }

    fn visit_string<E>(self, v: String) -> Result<Json, E> {
        Ok(Json::Text(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(json) = seq.next_element()? {
            list.push(json);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields: indexmap::IndexMap<String, Json> = indexmap::IndexMap::new();
        while let Some((key, value)) = map.next_entry::<String, Json>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the field {key:?} is given twice")));
            }
            fields.insert(key, value);
        }
        Ok(Json::Object(fields.into_iter().collect()))
    }
}

/// The value on one line.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(v) => write!(f, "{v}"),
            Json::Int(n) => write!(f, "{n}"),
            // Debug always writes a fraction or an exponent.
            Json::Float(v) => write!(f, "{v:?}"),
            Json::Text(text) => write_text(f, text),
            Json::List(list) => {
                f.write_char('[')?;
                for (i, item) in list.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                f.write_char(']')
            }
            Json::Object(fields) => {
                f.write_char('{')?;
                for (i, (key, value)) in fields.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    write_text(f, key)?;
                    write!(f, ": {value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_stay_apart_and_print_as_read() {
        let text = r#"{"a": [1, 1.0, -0.0, 1e-7, 18446744073709551615], "b": {"c": "q\"\n"}, "d": [null, true]}"#;
        assert_eq!(Json::parse(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn what_no_reader_should_swallow() {
        let error = |text: &str| Json::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error(r#"{"a": 1, "a": 2}"#).contains("\"a\" is given twice at line 1"));
        assert!(error("{\"a\": 1,\n").contains("line 2"));
        assert!(error(&"[".repeat(100_000)).contains("recursion limit"));
        assert!(error("[1e999]").contains("out of range"));
        assert!(error("{} {}").contains("trailing"));
    }

    #[test]
    fn a_flood_of_values_is_refused_before_it_is_read() {
        let flood = format!("[{}0]", "0,".repeat(1 << 25));
        assert!(Json::parse(flood.as_bytes()).unwrap_err().to_string().contains("more than 33554432 values"));
        // The same in a text is one value.
        assert!(Json::parse(format!("[\"\\\"{}\"]", "0,".repeat(1 << 25)).as_bytes()).is_ok());
    }

    #[test]
    fn short_floats_read_back_to_the_same_bits() {
        for bits in (0..u32::MAX).step_by(65_521) {
            let v = f32::from_bits(bits);
            let Json::Float(back) = Json::float32(v) else { continue };
            let text = Json::Float(back).to_string();
            let read = Json::parse(text.as_bytes()).unwrap().to_float().unwrap() as f32;
            assert_eq!(read.to_bits(), bits, "{text}");
        }
    }

    #[test]
    fn unknown_fields_are_named() {
        let mut fields = Json::parse(br#"{"name": "n", "stride": 1}"#).unwrap().into_fields().unwrap();
        assert_eq!(fields.text("name").as_deref(), Ok("n"));
        let _ = fields.take("strides");
        assert_eq!(
            fields.finish().unwrap_err().to_string(),
            "unknown field \"stride\"; the fields here are name, strides"
        );
    }
}
