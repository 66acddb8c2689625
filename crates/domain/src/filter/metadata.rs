//! Predicates over a file's metadata and tags.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::Metadata;
use crate::input::{InvalidInput, Length, Reader};

/// Most predicates of one sync.
const MOST: usize = 50;
const FIELD: Length = Length::new(1, 1024);
const TEXT: Length = Length::new(0, 4096);

/// One predicate. The field is looked up in the metadata first, then in the tags; its letter case does not matter, though
/// a key of exactly that case goes first. A field that is `null` counts as absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetadataFilter {
    /// Which field; 1 to 1024 characters.
    pub field: String,
    /// How to compare; `contains` by default.
    #[serde(default)]
    pub operator: Operator,
    /// What to compare with; only `exists` can do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Scalar>,
}

/// How a predicate compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// The same text; the same number if the value was given as one; the same flag in any letter case.
    Equals,
    /// Not `equals`, or absent.
    NotEquals,
    /// The value is a part of the text, or one of the elements of a list.
    #[default]
    Contains,
    /// Not `contains`, or absent.
    NotContains,
    /// Greater: as numbers if both are numbers, else as texts. Never true of what is absent.
    Gt,
    /// Less, likewise.
    Lt,
    /// Greater or equal, likewise.
    Gte,
    /// Less or equal, likewise.
    Lte,
    /// There; with the value `false`: absent.
    Exists,
}

impl Operator {
    const ALL: [Self; 9] = [
        Self::Equals,
        Self::NotEquals,
        Self::Contains,
        Self::NotContains,
        Self::Gt,
        Self::Lt,
        Self::Gte,
        Self::Lte,
        Self::Exists,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::Gt => "gt",
            Self::Lt => "lt",
            Self::Gte => "gte",
            Self::Lte => "lte",
            Self::Exists => "exists",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.as_str() == text)
    }
}

/// A flag, a number or a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// A flag.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text of at most 4096 characters.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl MetadataFilter {
    /// Whether a file with this metadata and these tags satisfies it.
    pub fn holds(&self, metadata: &Metadata, tags: &Metadata) -> bool {
        let found = look_up(metadata, &self.field).or_else(|| look_up(tags, &self.field));
        let Some(value) = &self.value else {
            return self.operator == Operator::Exists && found.is_some();
        };
        let ordering = || found.and_then(|found| order(found, value));
        match self.operator {
            Operator::Equals => found.is_some_and(|found| equals(found, value)),
            Operator::NotEquals => !found.is_some_and(|found| equals(found, value)),
            Operator::Contains => found.is_some_and(|found| contains(found, value)),
            Operator::NotContains => !found.is_some_and(|found| contains(found, value)),
            Operator::Gt => ordering().is_some_and(Ordering::is_gt),
            Operator::Lt => ordering().is_some_and(Ordering::is_lt),
            Operator::Gte => ordering().is_some_and(Ordering::is_ge),
            Operator::Lte => ordering().is_some_and(Ordering::is_le),
            Operator::Exists => found.is_some() == (*value != Scalar::Bool(false)),
        }
    }
}

impl fmt::Display for MetadataFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.operator.as_str())?;
        match &self.value {
            Some(value) => write!(f, " {value}"),
            None => Ok(()),
        }
    }
}

/// What S3 puts before the keys of a person's own metadata, to tell them from the system's.
pub(crate) const OWN: &str = "x-amz-meta-";

/// The value under a key of this name: a person's own before the system's, of exactly this letter case if there is one,
/// else of any. `null` is absent.
pub(crate) fn look_up<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a Value> {
    let present = |value: &&Value| !value.is_null();
    let own = metadata.get(&format!("{OWN}{}", key.to_lowercase()));
    let exact = own.filter(present).or_else(|| metadata.get(key));
    exact.filter(present).or_else(|| {
        let mut pairs = metadata.iter();
        let (_, value) = pairs
            .find(|(name, value)| present(value) && name.to_lowercase() == key.to_lowercase())?;
        Some(value)
    })
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn equals(found: &Value, value: &Scalar) -> bool {
    let found = text_of(found);
    match value {
        Scalar::Bool(flag) => found.eq_ignore_ascii_case(&flag.to_string()),
        Scalar::Number(number) => {
            order_of_numbers(&found, &number.to_string()) == Some(Ordering::Equal)
        }
        Scalar::Text(text) => found == *text,
    }
}

fn contains(found: &Value, value: &Scalar) -> bool {
    match found {
        Value::Array(items) => items.iter().any(|item| equals(item, value)),
        found => text_of(found).contains(&value.to_string()),
    }
}

fn order(found: &Value, value: &Scalar) -> Option<Ordering> {
    if matches!(found, Value::Array(_) | Value::Object(_)) {
        return None;
    }
    let (found, value) = (text_of(found), value.to_string());
    Some(order_of_numbers(&found, &value).unwrap_or_else(|| found.cmp(&value)))
}

/// How two texts compare as numbers, if both are.
fn order_of_numbers(one: &str, other: &str) -> Option<Ordering> {
    if let (Ok(one), Ok(other)) = (one.parse::<i128>(), other.parse::<i128>()) {
        return Some(one.cmp(&other));
    }
    let finite = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    finite(one)?.partial_cmp(&finite(other)?)
}

/// `metadata_filters`.
pub(super) fn read(reader: &mut Reader) -> Vec<MetadataFilter> {
    const KEY: &str = "metadata_filters";
    let items = match reader.value(KEY) {
        None => return Vec::new(),
        Some(Value::Array(items)) if items.len() <= MOST => items,
        Some(Value::Array(_)) => {
            reader.reject(KEY, "too_long", format!("must have at most {MOST} items"));
            return Vec::new();
        }
        Some(_) => {
            reader.reject(KEY, "wrong_type", "must be of type array of objects");
            return Vec::new();
        }
    };
    let mut filters = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        let key = format!("{KEY}.{i}");
        match item {
            Value::Object(fields) => match parse(fields, &reader.path_of(&key)) {
                Ok(filter) => filters.push(filter),
                Err(errors) => reader.absorb(errors),
            },
            _ => reader.reject(&key, "wrong_type", "must be of type object"),
        }
    }
    filters
}

fn parse(fields: Map<String, Value>, path: &str) -> Result<MetadataFilter, InvalidInput> {
    let mut reader = Reader::new(path, fields);
    let field = reader.required_string("field", FIELD);
    let operator = match reader.string("operator", Length::new(0, 100)) {
        None => Operator::default(),
        Some(word) => Operator::parse(&word).unwrap_or_else(|| {
            let accepted = Operator::ALL.map(Operator::as_str).join(", ");
            reader.reject("operator", "enum", format!("must be one of {accepted}"));
            Operator::default()
        }),
    };
    let value = read_value(&mut reader, operator);
    reader.finish()?;
    Ok(MetadataFilter {
        field: field.unwrap_or_default(),
        operator,
        value,
    })
}

fn read_value(reader: &mut Reader, operator: Operator) -> Option<Scalar> {
    let value = match reader.value("value") {
        None => {
            if operator != Operator::Exists {
                let message = format!("is required with the operator {}", operator.as_str());
                reader.reject("value", "missing", message);
            }
            return None;
        }
        Some(Value::Bool(flag)) => Scalar::Bool(flag),
        Some(Value::Number(number)) => Scalar::Number(number),
        Some(Value::String(text)) if text.chars().count() <= TEXT.max => Scalar::Text(text),
        Some(Value::String(_)) => {
            let message = format!("must have at most {} characters", TEXT.max);
            reader.reject("value", "string_too_long", message);
            return None;
        }
        Some(_) => {
            let message = "must be of type boolean, number or string";
            reader.reject("value", "wrong_type", message);
            return None;
        }
    };
    let is_flag = matches!(value, Scalar::Bool(_));
    let message = match operator {
        Operator::Exists if !is_flag => "must be true, false or left out with the operator exists",
        Operator::Gt | Operator::Lt | Operator::Gte | Operator::Lte if is_flag => {
            "must be a number or a text to be greater or less than"
        }
        _ => return Some(value),
    };
    reader.reject("value", "wrong_type", message);
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Metadata {
        match value {
            Value::Object(fields) => fields,
            _ => panic!("an object"),
        }
    }

    fn holds(filter: Value, metadata: Value) -> bool {
        let filter = parse(object(filter), "filter").expect("a filter");
        filter.holds(&object(metadata), &object(json!({"Team": "blue"})))
    }

    #[test]
    fn every_operator_compares_as_it_says() {
        let metadata = json!({
            "author": "John Smith", "size": "9", "count": 12, "ratio": "0.5", "zip": "01234",
            "live": "True", "tags": ["a", "b"], "none": null
        });
        for (field, operator, value, expected) in [
            ("author", "equals", json!("John Smith"), true),
            ("AUTHOR", "equals", json!("John Smith"), true),
            ("author", "equals", json!("john smith"), false),
            ("author", "not_equals", json!("x"), true),
            ("absent", "not_equals", json!("x"), true),
            ("absent", "equals", json!("x"), false),
            ("author", "contains", json!("Smi"), true),
            ("tags", "contains", json!("b"), true),
            ("tags", "contains", json!("c"), false),
            ("tags", "gt", json!("a"), false),
            ("author", "not_contains", json!("Smi"), false),
            ("absent", "not_contains", json!("x"), true),
            ("size", "lt", json!(10), true),
            ("size", "lt", json!("10"), true),
            ("size", "equals", json!(9.0), true),
            ("zip", "equals", json!("1234"), false),
            ("zip", "equals", json!(1234), true),
            ("count", "gte", json!(12), true),
            ("count", "lte", json!(11), false),
            ("count", "gt", json!(9_007_199_254_740_993_u64), false),
            ("ratio", "gt", json!(0.25), true),
            ("author", "gt", json!(5), true),
            ("author", "lt", json!("K"), true),
            ("absent", "gt", json!(0), false),
            ("live", "equals", json!(true), true),
            ("live", "equals", json!(false), false),
            ("live", "exists", json!(true), true),
            ("live", "exists", json!(false), false),
            ("none", "exists", json!(true), false),
            ("absent", "exists", json!(false), true),
            ("team", "equals", json!("blue"), true),
        ] {
            let filter = json!({"field": field, "operator": operator, "value": value});
            assert_eq!(
                holds(filter.clone(), metadata.clone()),
                expected,
                "{filter}"
            );
        }
        assert!(holds(
            json!({"field": "author", "value": "John"}),
            metadata.clone()
        ));
        assert!(holds(
            json!({"field": "author", "operator": "exists"}),
            metadata
        ));
    }

    #[test]
    fn a_person_s_own_metadata_is_found_by_its_bare_key() {
        let told = json!({"x-amz-meta-camera": "mine", "camera": "the system's", "etag": "e"});
        let metadata = told.as_object().expect("an object").clone();
        assert_eq!(look_up(&metadata, "Camera"), Some(&json!("mine")));
        assert_eq!(look_up(&metadata, "etag"), Some(&json!("e")));
        assert_eq!(
            look_up(&metadata, "x-amz-meta-camera"),
            Some(&json!("mine"))
        );
    }

    #[test]
    fn metadata_goes_before_tags_and_the_exact_key_before_others() {
        let filter = json!({"field": "Team", "operator": "equals", "value": "red"});
        assert!(holds(filter.clone(), json!({"team": "red"})));
        assert!(holds(
            filter,
            json!({"TEAM": "blue", "Team": "red", "team": "blue"})
        ));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (filter, path) in [
            (json!({"value": 1}), "f.field"),
            (json!({"field": "a"}), "f.value"),
            (json!({"field": "a", "value": [1]}), "f.value"),
            (
                json!({"field": "a", "operator": "like", "value": "x"}),
                "f.operator",
            ),
            (
                json!({"field": "a", "operator": "gt", "value": true}),
                "f.value",
            ),
            (
                json!({"field": "a", "operator": "exists", "value": "x"}),
                "f.value",
            ),
            (json!({"field": "a", "value": "x".repeat(4097)}), "f.value"),
            (json!({"field": "a", "value": "x", "values": 1}), "f.values"),
        ] {
            let error = parse(object(filter.clone()), "f").expect_err("refused");
            assert_eq!(error.0[0].path(), path, "{filter}");
        }
    }
}
