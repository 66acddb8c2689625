use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use wharf_domain::object::Object;

use super::range::{Wanted, wanted};
use super::view::file_name;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// What may stand in a `filename*` as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&');

/// Get the bytes of an object
///
/// Always as a download. A single byte range may be asked for; the entity tag is the SHA-256 of the whole object.
#[utoipa::path(
    get,
    path = "/v1/buckets/{bucket_identifier}/objects/{object_identifier}/content",
    operation_id = "get_object_content",
    tag = "objects",
    params(
        ("bucket_identifier" = String, Path, description = "Identifier or name."),
        ("object_identifier" = String, Path, description = "Identifier."),
        ("range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-99` or `bytes=-100`."),
        ("if-none-match" = Option<String>, Header, description = "An entity tag that is there already."),
        ("if-range" = Option<String>, Header, description = "The entity tag that the range belongs to."),
    ),
    responses(
        (status = 200, description = "All bytes.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The range.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "The entity tag still stands."),
        (status = 416, description = "The range lies outside the object.", body = crate::error::ErrorResponse),
    ),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn content(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, object)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let object = state
        .engine()
        .object(&caller, &bucket, &object, false)
        .await?;
    let size = object.content.size_bytes;
    let tag = format!("\"{}\"", object.content.sha256);
    if matches_tag(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let range = header_str(&headers, header::RANGE).filter(|_| if_range_holds(&headers, &tag));
    let (status, offset, length) = match wanted(range, size) {
        Wanted::All => (StatusCode::OK, 0, size),
        Wanted::Some { offset, length } => (StatusCode::PARTIAL_CONTENT, offset, length),
        Wanted::Unsatisfiable => return Err(ApiError::unsatisfiable_range(size)),
    };
    let found = state
        .engine()
        .object_content(object, offset, length)
        .await?;
    let mut described = describe(&found.object, &tag);
    described.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT {
        let content_range = format!("bytes {offset}-{}/{size}", offset + length - 1);
        described.insert(header::CONTENT_RANGE, text_value(content_range));
    }
    // Too late for an answer: the connection breaks off, which tells the reader that bytes are missing.
    let bytes = found
        .bytes
        .inspect_err(|error| tracing::warn!(code = error.code.as_str(), "a download broke off"));
    Ok((status, described, Body::from_stream(bytes)).into_response())
}

fn describe(object: &Object, tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = object
        .content
        .content_type
        .as_deref()
        .and_then(|text| HeaderValue::from_str(text).ok());
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(octets));
    headers.insert(
        header::CONTENT_DISPOSITION,
        text_value(disposition(file_name(&object.facts.path))),
    );
    headers.insert(header::ETAG, text_value(tag.to_owned()));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers
}

/// A download under a name: a plain one for old readers, the exact one encoded.
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ' ') {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{}",
        utf8_percent_encode(name, ENCODED)
    )
}

fn text_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

fn header_str(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn matches_tag(headers: &HeaderMap, tag: &str) -> bool {
    let Some(given) = header_str(headers, header::IF_NONE_MATCH) else {
        return false;
    };
    given
        .split(',')
        .map(str::trim)
        .any(|other| other == "*" || other.trim_start_matches("W/") == tag)
}

/// A range counts only for the bytes it was meant for.
fn if_range_holds(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get(header::IF_RANGE)
        .is_none_or(|given| given.as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_name_can_leave_its_quotes() {
        let text = disposition("a\"b\r\nSet-Cookie: x/é.html");
        assert_eq!(
            text,
            "attachment; filename=\"a_b__Set-Cookie_ x__.html\"; \
             filename*=UTF-8''a%22b%0D%0ASet-Cookie%3A%20x%2F%C3%A9.html"
        );
        assert!(HeaderValue::try_from(text).is_ok());
    }
}
