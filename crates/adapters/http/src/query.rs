//! Query strings, read parameter by parameter. Unknown ones are ignored, as clients and proxies add their own, except
//! where a misspelt one would be taken for an answer.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::{Map, Value};
use wharf_domain::Timestamp;
use wharf_domain::input::{FieldError, InvalidInput, Reader, shown};

use crate::error::{ApiError, Part};

/// The parameters of a request, with the mistakes found in them so far.
pub(crate) struct Query {
    path: String,
    pairs: Vec<(String, String)>,
    read: Vec<String>,
    errors: Vec<FieldError>,
}

impl Query {
    #[cfg(test)]
    pub(crate) fn parse(uri: &str) -> Self {
        Self::of(&uri.parse().expect("a good address"))
    }

    fn of(uri: &axum::http::Uri) -> Self {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let pairs = pairs
            .map(|axum::extract::Query(pairs)| pairs)
            .unwrap_or_default();
        Self {
            path: uri.path().to_owned(),
            pairs,
            read: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// The path of the request.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The parameters that were read so far, as they were sent. Unknown ones are not among them: what somebody put there,
    /// such as a key, is not repeated.
    pub(crate) fn known(&self) -> impl Iterator<Item = &(String, String)> {
        self.pairs.iter().filter(|(key, _)| self.read.contains(key))
    }

    /// Whether it is there, and not empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.any(|(key, value)| key == name && !value.is_empty())
    }

    /// Notes a mistake.
    pub(crate) fn reject(&mut self, name: &str, kind: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError {
            location: vec![name.to_owned()],
            kind,
            message: message.into(),
        });
    }

    /// Refuses every other parameter than these.
    pub(crate) fn only(&mut self, known: &[&str]) {
        let names = self.pairs.iter().map(|(name, _)| name.as_str());
        let unknown = names.filter(|name| !known.contains(name));
        let unknown: Vec<String> = unknown.map(shown).collect();
        for name in unknown {
            let message = format!("is not a parameter here; accepted: {}", known.join(", "));
            self.reject(&name, "extra_forbidden", message);
        }
    }

    /// A text; an empty one counts as absent.
    pub(crate) fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        self.read.push(name.to_owned());
        let mut given = self
            .pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.clone());
        let value = given.next()?;
        if given.any(|other| other != value) {
            self.reject(
                name,
                "contradiction",
                "is given twice with different values",
            );
            return None;
        }
        if value.chars().count() > longest {
            self.reject(
                name,
                "string_too_long",
                format!("must have at most {longest} characters"),
            );
            return None;
        }
        if value.contains('\0') {
            self.reject(name, "string_pattern", "must not contain NUL");
            return None;
        }
        (!value.is_empty()).then_some(value)
    }

    /// A text without control characters; an empty one counts as absent.
    pub(crate) fn string(&mut self, name: &str, longest: usize) -> Option<String> {
        let value = self.text(name, longest)?;
        if value.chars().any(char::is_control) {
            self.reject(
                name,
                "string_pattern",
                "must not contain control characters",
            );
            return None;
        }
        Some(value)
    }

    /// The text of a value that has no empty form: it is there with something in it, or not at all.
    fn written(&mut self, name: &str) -> Option<String> {
        let left_empty = |(key, value): &(String, String)| key == name && value.is_empty();
        if self.pairs.iter().any(left_empty) {
            return Some(String::new());
        }
        self.string(name, 40)
    }

    /// A whole number within inclusive bounds.
    pub(crate) fn integer(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        let text = self.written(name)?;
        let number = text
            .parse::<u32>()
            .ok()
            .filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.reject(
                name,
                "out_of_range",
                format!("must be a whole number from {min} to {max}"),
            );
        }
        number
    }

    /// One of a few words.
    pub(crate) fn word<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        accepted: &str,
    ) -> Option<T> {
        let word = self.string(name, 40)?;
        let parsed = parse(&word);
        if parsed.is_none() {
            self.reject(name, "enum", format!("must be one of {accepted}"));
        }
        parsed
    }

    /// A time, written as in bodies.
    pub(crate) fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.string(name, 64)?;
        let mut reader = Reader::new("", Map::from_iter([(name.to_owned(), Value::from(text))]));
        let time = reader.timestamp(name);
        if let Err(errors) = reader.finish() {
            self.errors.extend(errors.0);
        }
        time
    }

    /// A flag.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.written(name)?.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => {
                self.reject(name, "wrong_type", "must be true or false");
                None
            }
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every mistake that was noted.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(ApiError::invalid(Part::Query, &InvalidInput(self.errors)))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}
