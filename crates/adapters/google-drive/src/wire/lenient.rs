//! Documents that a type does not take as a whole, without what it does not take.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The fields of an object that a type takes, given that each is optional to it: numbers that it wants as texts become
/// texts, and what has no form of its own is left out.
pub(super) fn sound<T: DeserializeOwned>(document: Value) -> Value {
    let takes = |name: &str, value: &Value| {
        let alone = Map::from_iter([(name.to_owned(), value.clone())]);
        serde_json::from_value::<T>(Value::Object(alone)).is_ok()
    };
    let Value::Object(fields) = document else {
        return document;
    };
    let fields = fields.into_iter().filter_map(|(name, value)| {
        if takes(&name, &value) {
            return Some((name, value));
        }
        let text = value.is_number().then(|| Value::from(value.to_string()))?;
        takes(&name, &text).then_some((name, text))
    });
    Value::Object(fields.collect())
}

/// A document in which each item of a list is replaced.
pub(super) fn each(mut document: Value, list: &str, replace: impl Fn(Value) -> Value) -> Value {
    if let Some(Value::Array(items)) = document.get_mut(list) {
        for item in items {
            *item = replace(item.take());
        }
    }
    document
}
