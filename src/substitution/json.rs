//! Strict reading of JSON (a key given twice is an error), objects whose every field must be known, and a layout for
//! people: what fits on a line stays on it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Width that lines are broken at where they can be.
const WIDTH: usize = 120;

/// A JSON value in which no object has a key twice.
pub(super) struct Strict(pub Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {key:?} is given twice")));
            }
            let Strict(value) = map.next_value()?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

/// What is wrong with a value, and where: a path such as `source.nodes[2].attrs.perm`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub path: String,
    pub problem: String,
}

impl Fault {
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Fault {
        Fault { path: path.into(), problem: problem.into() }
    }
}

/// Path of a field of what is at `path`.
pub(super) fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// An object whose fields are taken one after another; what is left over is an error.
pub(super) struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    pub fn of(value: Value, path: &str) -> Result<Fields, Fault> {
        match value {
            Value::Object(map) => Ok(Fields { path: path.to_owned(), map }),
            other => Err(expected("an object", &other, path)),
        }
    }

    /// Path of a field.
    pub fn at(&self, field: &str) -> String {
        join(&self.path, field)
    }

    /// Takes a field that may be left out.
    pub fn optional(&mut self, field: &str) -> Option<Value> {
        self.map.shift_remove(field)
    }

    /// Takes a field.
    pub fn required(&mut self, field: &str) -> Result<Value, Fault> {
        let path = &self.path;
        self.map.shift_remove(field).ok_or_else(|| Fault::new(path.clone(), format!("field {field:?} is missing")))
    }

    pub fn text(&mut self, field: &str) -> Result<String, Fault> {
        let value = self.required(field)?;
        text(value, &self.at(field))
    }

    pub fn list(&mut self, field: &str) -> Result<Vec<Value>, Fault> {
        let value = self.required(field)?;
        list(value, &self.at(field))
    }

    /// A list that is empty when the field is left out.
    pub fn list_or_empty(&mut self, field: &str) -> Result<Vec<Value>, Fault> {
        self.optional(field).map_or(Ok(Vec::new()), |value| list(value, &self.at(field)))
    }

    pub fn texts_or_empty(&mut self, field: &str) -> Result<Vec<String>, Fault> {
        let path = self.at(field);
        let items = self.list_or_empty(field)?;
        items.into_iter().enumerate().map(|(i, item)| text(item, &format!("{path}[{i}]"))).collect()
    }

    pub fn texts(&mut self, field: &str) -> Result<Vec<String>, Fault> {
        let path = self.at(field);
        let items = self.list(field)?;
        items.into_iter().enumerate().map(|(i, item)| text(item, &format!("{path}[{i}]"))).collect()
    }

    /// A natural number that is 0 when the field is left out.
    pub fn natural_or_zero(&mut self, field: &str) -> Result<u64, Fault> {
        match self.optional(field) {
            None => Ok(0),
            Some(value) => value.as_u64().ok_or_else(|| expected("a natural number", &value, &self.at(field))),
        }
    }

    /// The fields of an object in a field, in order; none when it is left out.
    pub fn entries_or_empty(&mut self, field: &str) -> Result<Vec<(String, Value)>, Fault> {
        match self.optional(field) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => Ok(map.into_iter().collect()),
            Some(other) => Err(expected("an object", &other, &self.at(field))),
        }
    }

    /// That no field is left over.
    pub fn finish(self) -> Result<(), Fault> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(field) => Err(Fault::new(self.path.clone(), format!("unknown field {field:?}"))),
        }
    }
}

pub(super) fn text(value: Value, path: &str) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(expected("a text", &other, path)),
    }
}

pub(super) fn list(value: Value, path: &str) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(expected("a list", &other, path)),
    }
}

pub(super) fn expected(what: &str, found: &Value, path: &str) -> Fault {
    let kind = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fault::new(path, format!("expected {what}, found {kind}"))
}

/// Writes a value for people to read: an object or list stays on its line if it fits.
pub(super) fn layout(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, 0, &mut out);
    out.push('\n');
    out
}

/// `indent`: of the line that the value starts on; `used`: columns of that line that are taken already.
fn write(value: &Value, indent: usize, used: usize, out: &mut String) {
    let line = compact(value);
    let breakable = matches!(value, Value::Array(items) if !items.is_empty()) || value.is_object();
    if !breakable || used + line.len() <= WIDTH {
        out.push_str(&line);
        return;
    }
    let inner = indent + 2;
    let new_line = |out: &mut String, indent: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    };
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                new_line(out, inner);
                write(item, inner, inner + 1, out);
            }
            new_line(out, indent);
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                new_line(out, inner);
                let key = format!("{}: ", compact(&Value::String(key.clone())));
                out.push_str(&key);
                write(item, inner, inner + key.len() + 1, out);
            }
            new_line(out, indent);
            out.push('}');
        }
        _ => out.push_str(&line),
    }
}

fn compact(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let field = |(key, item): (&String, &Value)| format!("{}: {}", Value::String(key.clone()), compact(item));
            format!("{{{}}}", map.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_given_twice_is_an_error() {
        let read = |text: &str| serde_json::from_str::<Strict>(text).map(|s| s.0).map_err(|e| e.to_string());
        assert!(read(r#"{"a": [{"b": 1, "b": 2}]}"#).unwrap_err().contains("the key \"b\" is given twice"));
        assert_eq!(read(r#"{"a": [1.5, null, -3]}"#).unwrap(), serde_json::json!({"a": [1.5, null, -3]}));
    }

    #[test]
    fn long_values_are_broken_and_short_ones_stay() {
        let value = serde_json::json!({"short": [1, 2], "long": vec!["some text or other"; 8]});
        let text = layout(&value);
        assert!(text.starts_with("{\n  \"short\": [1, 2],\n  \"long\": [\n    \"some"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
