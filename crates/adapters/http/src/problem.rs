//! Errors as RFC 9457 tells them, for those who ask for it.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};

use crate::error::ErrorDetail;

const PROBLEM: &str = "application/problem+json";

/// Whether a caller wants problems rather than the usual envelope.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    let problem = quality(headers, PROBLEM);
    problem > 0.0 && problem >= quality(headers, "application/json")
}

/// How much a media type is wanted, 0 to 1; 0 unless it is named.
pub(crate) fn quality(headers: &HeaderMap, kind: &str) -> f32 {
    let ranges = headers.get_all(ACCEPT).iter();
    let ranges = ranges.filter_map(|value| value.to_str().ok());
    ranges
        .flat_map(|value| value.split(','))
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            if !parts.next()?.eq_ignore_ascii_case(kind) {
                return None;
            }
            let given = parts.find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
            });
            Some(given.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
        })
        .fold(0.0, f32::max)
}

/// An error's answer, told as a problem. Other answers stay as they are.
pub(crate) fn told(mut response: Response, request_id: &str) -> Response {
    let Some(error) = response.extensions_mut().remove::<ErrorDetail>() else {
        return response;
    };
    let status = response.status();
    let mut problem = json!({
        "type": format!("urn:wharf:error:{}", error.kind),
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": error.message,
        "instance": format!("urn:wharf:request:{request_id}"),
    });
    if let Some(code) = error.code {
        problem["code"] = json!(code);
    }
    if let Some(mut details) = error.details {
        let errors = details
            .as_object_mut()
            .and_then(|details| details.remove("validation_errors"));
        if let Some(errors) = errors {
            problem["errors"] = errors;
        }
        if details != Value::Object(serde_json::Map::new()) {
            problem["details"] = details;
        }
    }
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    *response.body_mut() = Body::from(problem.to_string());
    response
}
