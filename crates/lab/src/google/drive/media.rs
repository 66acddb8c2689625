//! `alt=media` and `files.export`: the bytes of a file, or of what a document becomes.

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::super::call::Call;
use super::super::refusal::Refusal;
use super::super::tree::access::Role;
use super::super::tree::item::{Content, Item};
use super::super::tree::kind;
use super::super::world::State;
use crate::fault::ObjectFault;

/// Larger exports are refused.
const LARGEST_EXPORT: usize = 10 * 1024 * 1024;

pub(super) fn get(call: &Call, state: &State) -> Result<Response<Body>, Refusal> {
    let (item, role) = call.file(state)?;
    let Content::Blob { bytes, .. } = &item.content else {
        return Err(Refusal::of("fileNotDownloadable").about("alt"));
    };
    may_download(call, state, item, role)?;
    answer(&call.headers, bytes, &item.mime_type, call.object)
}

/// Whether the caller may have the bytes at all.
pub(super) fn may_download(
    call: &Call,
    state: &State,
    item: &Item,
    role: Role,
) -> Result<(), Refusal> {
    if !state.tree.may_download(item, role) {
        return Err(Refusal::of("cannotDownloadFile"));
    }
    // Only who answers for a file may take it all the same.
    if item.abusive && !(call.flag("acknowledgeAbuse") && role >= Role::Organizer) {
        return Err(Refusal::of("cannotDownloadAbusiveFile"));
    }
    Ok(())
}

pub(super) fn export(call: &Call, state: &State) -> Result<Response<Body>, Refusal> {
    let (item, role) = call.file(state)?;
    let format = call.text("mimeType").unwrap_or_default();
    if kind::exports_of(&item.mime_type).is_empty() {
        return Err(Refusal::of("fileNotExportable").about("fileId"));
    }
    if !state.tree.may_download(item, role) {
        return Err(Refusal::of("cannotExportFile"));
    }
    let bytes = item.export(format).ok_or_else(|| {
        Refusal::of("badRequest")
            .saying("The requested conversion is not supported.")
            .about("convertTo")
    })?;
    if bytes.len() > LARGEST_EXPORT {
        return Err(Refusal::of("exportSizeLimitExceeded"));
    }
    // Exports are made anew each time, and their length is not known beforehand.
    let mut response = answer(
        &HeaderMap::new(),
        &bytes,
        format,
        Some(ObjectFault::NoLength),
    )?;
    response.headers_mut().remove(ACCEPT_RANGES);
    Ok(response)
}

/// The bytes, or the part of them that is asked for.
pub(crate) fn answer(
    headers: &HeaderMap,
    bytes: &Bytes,
    mime_type: &str,
    fault: Option<ObjectFault>,
) -> Result<Response<Body>, Refusal> {
    let asked = headers
        .get(RANGE)
        .filter(|_| fault != Some(ObjectFault::RangeIgnored))
        .and_then(|range| range.to_str().ok())
        .and_then(|range| part(range, bytes.len()));
    let (status, sent, range) = match asked {
        None => (StatusCode::OK, bytes.clone(), None),
        Some(Ok((first, end))) => (
            StatusCode::PARTIAL_CONTENT,
            bytes.slice(first..end),
            Some(format!("bytes {first}-{}/{}", end - 1, bytes.len())),
        ),
        Some(Err(Unsatisfiable)) => return Err(Refusal::of("requestedRangeNotSatisfiable")),
    };
    let length = sent.len();
    let mut response = if fault == Some(ObjectFault::NoLength) {
        let sent = stream::iter([Ok::<_, std::convert::Infallible>(sent)]);
        Response::new(Body::from_stream(sent))
    } else {
        Response::new(Body::from(sent))
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if fault != Some(ObjectFault::NoLength) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Ok(mime_type) = HeaderValue::try_from(mime_type) {
        headers.insert(CONTENT_TYPE, mime_type);
    }
    if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(CONTENT_RANGE, range);
    }
    Ok(response)
}

struct Unsatisfiable;

/// Where the asked part begins and ends; `None` when the header says nothing that is understood, and
/// everything is sent.
fn part(range: &str, length: usize) -> Option<Result<(usize, usize), Unsatisfiable>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, end) = if first.is_empty() {
        let count: usize = last.parse().ok()?;
        if count == 0 {
            return Some(Err(Unsatisfiable));
        }
        (length.saturating_sub(count), length)
    } else {
        let first: usize = first.parse().ok()?;
        let end = if last.is_empty() {
            length
        } else {
            let last: usize = last.parse().ok()?;
            if last < first {
                return None;
            }
            length.min(last.saturating_add(1))
        };
        (first, end)
    };
    if first >= length {
        return Some(Err(Unsatisfiable));
    }
    Some(Ok((first, end)))
}
