//! Browsers: which origins may use a key, and what pages there may read. Cookies play no part, so any origin may ask.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use wharf_domain::access::Grant;

use crate::authorization::methods;

/// Headers that pages may send.
const TAKEN: &str = "authorization, content-type, accept, idempotency-key, if-match, if-none-match, if-range, range, \
                     x-change-reason, x-namespace, x-request-id";
/// Headers that pages may read, beside the plainest.
const SHOWN: &str = "etag, retry-after, x-request-id, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, \
                     x-ratelimit-window, idempotency-replayed, content-range, content-disposition, accept-ranges";
/// Seconds for which a browser need not ask again.
const MAX_AGE: u32 = 600;

/// The page that a request comes from, if it comes from one.
pub(crate) struct Browser(Option<HeaderValue>);

impl Browser {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get(ORIGIN).cloned())
    }

    /// Whether the key may be used from there. What is no page is not asked.
    pub(crate) fn may_use(&self, grant: &Grant) -> bool {
        let (Some(origin), Some(allowed)) = (&self.0, &grant.allowed_origins) else {
            return true;
        };
        let origin = origin.to_str().unwrap_or_default();
        allowed.iter().any(|allowed| covers(allowed, origin))
    }

    /// Lets the page read the answer.
    pub(crate) fn let_read(self, headers: &mut HeaderMap) {
        if let Some(origin) = self.0 {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(SHOWN),
            );
        }
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}

/// Whether an origin is the allowed one, or below it where that begins with `*.`.
fn covers(allowed: &str, origin: &str) -> bool {
    let (allowed, origin) = (allowed.to_ascii_lowercase(), origin.to_ascii_lowercase());
    match allowed.split_once("://*.") {
        None => allowed.trim_end_matches('/') == origin,
        Some((scheme, above)) => {
            let host = origin
                .strip_prefix(scheme)
                .and_then(|rest| rest.strip_prefix("://"));
            let below = host.and_then(|host| host.strip_suffix(above)?.strip_suffix('.'));
            below.is_some_and(|below| {
                !below.is_empty()
                    && below
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
            })
        }
    }
}

/// Answers the question of a browser whether a page may make a request; `None` for what is no such question.
pub(crate) fn preflight(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    let origin = headers.get(ORIGIN)?;
    if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let methods: Vec<&str> = methods(path).collect();
    let methods = HeaderValue::try_from(methods.join(", ")).expect("methods are words");
    let headers = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(TAKEN),
        ),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE.into()),
        (VARY, HeaderValue::from_static("origin")),
    ];
    Some((StatusCode::NO_CONTENT, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_covered_by_itself_and_by_a_star_above_it() {
        for (allowed, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://App.Example.com/", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://*.example.com", "https://app.example.com"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("https://*.example.com:8443", "https://app.example.com:8443"),
        ] {
            assert!(covers(allowed, origin), "{allowed} {origin}");
        }
        for (allowed, origin) in [
            ("https://app.example.com", "http://app.example.com"),
            ("https://app.example.com", "https://app.example.com:8443"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://.example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "http://app.example.com"),
            ("https://*.example.com", "https://evil.test/.example.com"),
            ("https://*.example.com", "https://app.example.com.evil.test"),
            ("https://*.example.com", "null"),
        ] {
            assert!(!covers(allowed, origin), "{allowed} {origin}");
        }
    }
}
