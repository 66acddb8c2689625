//! Strict JSON: a key that stands twice in one object is an error, since two readers could take it for different values.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use wharf_domain::input::{FieldError, shown};
use wharf_domain::secret;

/// A parsed value. Nesting is limited by `serde_json` itself.
pub(crate) struct Strict(pub(crate) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

/// Values read so far, wiped when reading ends in an error: they may be secrets.
struct Partial<T: Wipe + Default>(T);

trait Wipe {
    fn wipe(&mut self);
}

impl Wipe for Vec<Value> {
    fn wipe(&mut self) {
        self.iter_mut().for_each(secret::wipe);
    }
}

impl Wipe for Map<String, Value> {
    fn wipe(&mut self) {
        self.values_mut().for_each(secret::wipe);
    }
}

impl<T: Wipe + Default> Drop for Partial<T> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Partial(Vec::new());
        while let Some(Strict(item)) = access.next_element()? {
            items.0.push(item);
        }
        Ok(Value::Array(std::mem::take(&mut items.0)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Partial(Map::new());
        while let Some(key) = access.next_key::<String>()? {
            if fields.0.contains_key(&key) {
                let shown = shown(&key);
                return Err(A::Error::custom(format_args!(
                    "the key {shown:?} stands twice in one object"
                )));
            }
            let Strict(value) = access.next_value()?;
            fields.0.insert(key, value);
        }
        Ok(Value::Object(std::mem::take(&mut fields.0)))
    }
}

/// Every place with a NUL character, which no database stores in a text.
pub(crate) fn nul_characters(value: &Value) -> Vec<FieldError> {
    let mut found = Vec::new();
    look_for_nul(value, &mut Vec::new(), &mut found);
    found
}

fn look_for_nul(value: &Value, path: &mut Vec<String>, found: &mut Vec<FieldError>) {
    let refuse = |location: &[String]| FieldError {
        location: location.to_vec(),
        kind: "string_pattern",
        message: "must not contain the character NUL".to_owned(),
    };
    match value {
        Value::String(text) if text.contains('\0') => found.push(refuse(path)),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                path.push(i.to_string());
                look_for_nul(item, path, found);
                path.pop();
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                path.push(shown(&key.replace('\0', "\u{fffd}")));
                if key.contains('\0') {
                    found.push(refuse(path));
                }
                look_for_nul(value, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Value, serde_json::Error> {
        serde_json::from_str::<Strict>(text).map(|Strict(value)| value)
    }

    #[test]
    fn ordinary_json_is_read_as_it_is() {
        let value = json!({"a": [1, -2, 2.5, null, true, "x"], "b": {"c": "é"}, "": 18_446_744_073_709_551_615_u64});
        assert_eq!(parse(&value.to_string()).expect("good JSON"), value);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
            assert!(
                parse(text)
                    .expect_err("twice")
                    .to_string()
                    .contains("stands twice"),
                "{text}"
            );
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&r#"{"a":"#.repeat(100_000)).is_err());
    }

    #[test]
    fn nul_is_found_in_keys_and_values() {
        let found = nul_characters(&json!({"a": ["x", "\0"], "b\0": {"c": "d\0"}}));
        let paths: Vec<String> = found.iter().map(FieldError::path).collect();
        assert_eq!(paths, ["a.1", "b\u{fffd}", "b\u{fffd}.c"]);
    }
}
