//! Revisions in headers: the `ETag` of what is shown, and `If-Match` on what is changed.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::ApiError;

/// An answer about one revision of a thing.
pub(crate) struct Revised<T>(pub(crate) u64, pub(crate) T);

impl<T: Serialize> IntoResponse for Revised<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.1).into_response();
        let tag = HeaderValue::try_from(format!("\"{}\"", self.0));
        response
            .headers_mut()
            .insert(ETAG, tag.expect("digits make a header value"));
        response
    }
}

/// The revision that a request is meant for; `None` when it is meant for any.
pub(crate) struct IfMatch(pub(crate) Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let malformed = "If-Match must be one ETag as an answer carried it, such as \"3\", or *.";
        read(&parts.headers)
            .map(Self)
            .ok_or_else(|| ApiError::bad_request(malformed))
    }
}

/// No revision has this number: nothing matches it.
const NONE: u64 = 0;

#[expect(clippy::option_option, reason = "malformed, absent, or a number")]
fn read(headers: &HeaderMap) -> Option<Option<u64>> {
    let mut given = headers.get_all(IF_MATCH).iter();
    let Some(value) = given.next() else {
        return Some(None);
    };
    let value = value.to_str().ok()?.trim();
    if given.next().is_some() {
        return None;
    }
    if value == "*" {
        return Some(None);
    }
    // A weak tag promises too little to match.
    let (weak, quoted) = match value.strip_prefix("W/") {
        Some(quoted) => (true, quoted),
        None => (false, value),
    };
    let tag = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if tag.contains('"') {
        return None;
    }
    let revision = tag
        .parse()
        .ok()
        .filter(|revision: &u64| revision.to_string() == tag);
    Some(Some(revision.filter(|_| !weak).unwrap_or(NONE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::option_option, reason = "as `read` answers")]
    fn of(value: &str) -> Option<Option<u64>> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, value.parse().expect("a header value"));
        read(&headers)
    }

    #[test]
    fn one_tag_or_a_star_is_taken() {
        assert_eq!(read(&HeaderMap::new()), Some(None));
        assert_eq!(of("*"), Some(None));
        assert_eq!(of(" \"17\" "), Some(Some(17)));
        for other in [
            "W/\"17\"",
            "\"017\"",
            "\"abc\"",
            "\"\"",
            "\"99999999999999999999\"",
        ] {
            assert_eq!(of(other), Some(Some(NONE)), "{other}");
        }
        for malformed in ["17", "\"17", "", "\"1\", \"2\"", "**", "w/\"1\"", "\""] {
            assert_eq!(of(malformed), None, "{malformed}");
        }
    }
}
