//! Reading untrusted JSON objects: every mistake is collected with the field's path, none is guessed away.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound};
use serde_json::{Map, Value};

use crate::Timestamp;
use crate::secret::{self, SecretString};

/// One thing wrong with an input, written for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where, outermost first: `["provider_config", "credentials", "access_key_id"]`.
    pub location: Vec<String>,
    /// A stable word for the kind of mistake, such as `missing` or `string_too_long`.
    pub kind: &'static str,
    /// What is wrong and what would be right. Never repeats the value.
    pub message: String,
}

impl FieldError {
    /// An error at a dotted path.
    pub fn new(path: &str, kind: &'static str, message: impl Into<String>) -> Self {
        let location = path
            .split('.')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        Self {
            location,
            kind,
            message: message.into(),
        }
    }

    /// The location as one dotted text.
    pub fn path(&self) -> String {
        self.location.join(".")
    }
}

/// An input that was refused, with at least one reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InvalidInput(pub Vec<FieldError>);

impl InvalidInput {
    /// A refusal for one reason.
    pub fn one(path: &str, kind: &'static str, message: impl Into<String>) -> Self {
        Self(vec![FieldError::new(path, kind, message)])
    }
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", error.path(), error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidInput {}

impl From<FieldError> for InvalidInput {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

/// Inclusive bounds on a text's length, in characters.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// Fewest characters.
    pub min: usize,
    /// Most characters.
    pub max: usize,
}

impl Length {
    /// Bounds from `min` to `max`.
    pub const fn new(min: usize, max: usize) -> Self {
        Self { min, max }
    }
}

/// Reads one JSON object field by field. `null` counts as absent.
///
/// The keys that were asked for are the accepted ones; [`finish`](Self::finish) refuses the rest by name. Whatever is
/// left inside when the reader is dropped is wiped, since it may hold secrets.
pub struct Reader {
    path: String,
    fields: Map<String, Value>,
    accepted: BTreeSet<&'static str>,
    errors: Vec<FieldError>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({})", self.path)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.fields.values_mut().for_each(secret::wipe);
    }
}

impl Reader {
    /// A reader of `fields`, which stand at `path` (empty for the root).
    pub fn new(path: &str, fields: Map<String, Value>) -> Self {
        Self {
            path: path.to_owned(),
            fields,
            accepted: BTreeSet::new(),
            errors: Vec::new(),
        }
    }

    /// The full path of one of this object's fields.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes a mistake in one of this object's fields.
    pub fn reject(&mut self, key: &str, kind: &'static str, message: impl Into<String>) {
        let path = self.path_of(key);
        self.errors.push(FieldError::new(&path, kind, message));
    }

    /// Notes mistakes found elsewhere, such as in a nested object.
    pub fn absorb(&mut self, errors: InvalidInput) {
        self.errors.extend(errors.0);
    }

    /// Takes a field's raw value; `null` counts as absent.
    pub fn value(&mut self, key: &'static str) -> Option<Value> {
        self.accepted.insert(key);
        self.fields.remove(key).filter(|value| !value.is_null())
    }

    /// Whether a field is there and `null`, where that means something: that it is to be cleared.
    pub fn is_null(&mut self, key: &'static str) -> bool {
        self.accepted.insert(key);
        self.fields.get(key).is_some_and(Value::is_null)
    }

    /// Takes a field that may not be there, so that it is not among the accepted ones; whether it was, `null` or not. What is
    /// wrong with it is for the caller to say.
    pub fn take_unwanted(&mut self, key: &str) -> bool {
        let value = self.fields.remove(key);
        let there = value.is_some();
        value.into_iter().for_each(secret_wipe_owned);
        there
    }

    /// An optional text within bounds.
    pub fn string(&mut self, key: &'static str, length: Length) -> Option<String> {
        let text = match self.value(key)? {
            Value::String(text) => text,
            other => return self.wrong_type(key, "string", other),
        };
        let count = text.chars().count();
        if count < length.min {
            secret_wipe_owned(Value::String(text));
            self.reject(
                key,
                "string_too_short",
                format!("must have at least {} character(s)", length.min),
            );
            return None;
        }
        if count > length.max {
            secret_wipe_owned(Value::String(text));
            self.reject(
                key,
                "string_too_long",
                format!("must have at most {} characters", length.max),
            );
            return None;
        }
        Some(text)
    }

    /// A text within bounds that must be there.
    pub fn required_string(&mut self, key: &'static str, length: Length) -> Option<String> {
        self.require(key)
            .then(|| self.string(key, length))
            .flatten()
    }

    /// An optional secret text.
    pub fn secret(&mut self, key: &'static str, length: Length) -> Option<SecretString> {
        self.string(key, length).map(SecretString::new)
    }

    /// A secret text that must be there.
    pub fn required_secret(&mut self, key: &'static str, length: Length) -> Option<SecretString> {
        self.required_string(key, length).map(SecretString::new)
    }

    /// An optional flag.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(flag) => Some(flag),
            other => self.wrong_type(key, "boolean", other),
        }
    }

    /// An optional whole number within inclusive bounds.
    pub fn integer(&mut self, key: &'static str, min: u64, max: u64) -> Option<u64> {
        let value = self.value(key)?;
        let number = match &value {
            Value::Number(number) => number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from)),
            _ => None,
        };
        let Some(number) = number else {
            return self.wrong_type(key, "integer", value);
        };
        match u64::try_from(number) {
            Ok(number) if (min..=max).contains(&number) => Some(number),
            _ => {
                self.reject(key, "out_of_range", format!("must be from {min} to {max}"));
                None
            }
        }
    }

    /// An optional time in RFC 3339. One without an offset is meant in UTC, a date alone is the midnight that starts it;
    /// what is finer than a microsecond is cut off.
    pub fn timestamp(&mut self, key: &'static str) -> Option<Timestamp> {
        let text = self.string(key, Length::new(0, 64))?;
        let time = parse_time(&text);
        if time.is_none() {
            let message = "must be a time of the years 1 to 9999, as in 2026-01-31T12:00:00Z";
            self.reject(key, "invalid_format", message);
        }
        time
    }

    /// An optional nested object, to be read by a reader of its own.
    pub fn object(&mut self, key: &'static str) -> Option<Map<String, Value>> {
        match self.value(key)? {
            Value::Object(fields) => Some(fields),
            other => self.wrong_type(key, "object", other),
        }
    }

    /// An optional list of texts, each within bounds.
    pub fn strings(
        &mut self,
        key: &'static str,
        length: Length,
        most: usize,
    ) -> Option<Vec<String>> {
        let items = match self.value(key)? {
            Value::Array(items) => items,
            other => return self.wrong_type(key, "array of strings", other),
        };
        if items.len() > most {
            self.reject(key, "too_long", format!("must have at most {most} items"));
            return None;
        }
        let mut texts = Vec::with_capacity(items.len());
        for (i, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text)
                    if (length.min..=length.max).contains(&text.chars().count()) =>
                {
                    texts.push(text);
                }
                Value::String(_) => {
                    let message = format!("must have {} to {} characters", length.min, length.max);
                    self.reject(&format!("{key}.{i}"), "string_length", message);
                    return None;
                }
                other => {
                    secret_wipe_owned(other);
                    self.reject(&format!("{key}.{i}"), "string_type", "must be a string");
                    return None;
                }
            }
        }
        Some(texts)
    }

    /// Notes that `key` is missing unless it is there.
    pub fn require(&mut self, key: &'static str) -> bool {
        self.accepted.insert(key);
        let there = self.fields.get(key).is_some_and(|value| !value.is_null());
        if !there {
            self.reject(key, "missing", "is required");
        }
        there
    }

    /// Ends the reading: every key that nobody asked for is refused by name.
    ///
    /// # Errors
    /// All mistakes noted so far, in the order of their discovery.
    pub fn finish(mut self) -> Result<(), InvalidInput> {
        let unknown: Vec<String> = self
            .fields
            .keys()
            .filter(|key| !self.accepted.contains(key.as_str()))
            .cloned()
            .collect();
        let accepted = self.accepted.iter().copied().collect::<Vec<_>>().join(", ");
        for key in unknown {
            self.reject(
                &shown(&key),
                "extra_forbidden",
                format!("is not accepted here; accepted keys: {accepted}"),
            );
        }
        let errors = std::mem::take(&mut self.errors);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(InvalidInput(errors))
        }
    }

    fn wrong_type<T>(&mut self, key: &str, expected: &str, found: Value) -> Option<T> {
        let kind = match &found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.reject(
            key,
            "wrong_type",
            format!("must be of type {expected}, not {kind}"),
        );
        secret_wipe_owned(found);
        None
    }
}

fn parse_time(text: &str) -> Option<Timestamp> {
    let in_utc = || {
        let time = text.parse::<NaiveDateTime>();
        let midnight = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
        Some(time.ok().or_else(midnight)?.and_utc())
    };
    let time = DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .ok()
        .or_else(in_utc)?
        .trunc_subsecs(6);
    let first = NaiveDate::from_ymd_opt(1, 1, 1)?;
    let last = NaiveDate::from_ymd_opt(9999, 12, 31)?;
    (first..=last).contains(&time.date_naive()).then_some(time)
}

/// An unknown key as an error tells it. What is longer than any key there is could be a secret that slipped out of its
/// place.
pub fn shown(key: &str) -> String {
    const LONGEST: usize = 32;
    const ENOUGH: usize = 8;
    if key.chars().count() <= LONGEST {
        return key.to_owned();
    }
    let start: String = key.chars().take(ENOUGH).collect();
    start + "…"
}

fn secret_wipe_owned(mut value: Value) {
    secret::wipe(&mut value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reader(value: Value) -> Reader {
        let Value::Object(fields) = value else {
            panic!("an object")
        };
        Reader::new("body", fields)
    }

    #[test]
    fn every_mistake_is_collected_with_its_path() {
        let mut reader = reader(json!({"name": "", "count": -1, "flag": "yes", "extra": 1}));
        reader.required_string("name", Length::new(1, 5));
        reader.integer("count", 0, 10);
        reader.boolean("flag");
        reader.required_string("missing", Length::new(1, 5));
        let errors = reader.finish().expect_err("five mistakes").0;
        let seen: Vec<(String, &str)> = errors.iter().map(|e| (e.path(), e.kind)).collect();
        assert_eq!(
            seen,
            [
                ("body.name".into(), "string_too_short"),
                ("body.count".into(), "out_of_range"),
                ("body.flag".into(), "wrong_type"),
                ("body.missing".into(), "missing"),
                ("body.extra".into(), "extra_forbidden"),
            ]
        );
        assert!(errors[4].message.contains("count, flag, missing, name"));
    }

    #[test]
    fn null_counts_as_absent() {
        let mut reader = reader(json!({"name": null}));
        assert_eq!(reader.string("name", Length::new(1, 5)), None);
        assert!(reader.finish().is_ok());
    }

    #[test]
    fn times_may_come_with_an_offset_without_one_or_as_a_date() {
        let read = |text: &str| {
            let mut reader = reader(json!({ "at": text }));
            let time = reader.timestamp("at");
            reader.finish().map(|()| time.expect("a time").to_rfc3339())
        };
        for (text, expected) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
            (
                "2026-01-31T12:00:00.1234567+02:00",
                "2026-01-31T10:00:00.123456+00:00",
            ),
            ("2026-01-31T12:00:00.5", "2026-01-31T12:00:00.500+00:00"),
            ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "1769860800",
            "12026-01-31",
            "0000-01-01",
            "2026-02-30",
            "0001-01-01T00:00:00+23:00",
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.0[0].path(), "body.at", "{text}");
        }
    }

    #[test]
    fn a_message_never_repeats_the_value() {
        let mut reader = reader(json!({"secret": ["hunter2"]}));
        reader.required_secret("secret", Length::new(1, 5));
        let errors = reader.finish().expect_err("wrong type");
        assert!(!errors.to_string().contains("hunter2"));
    }
}
