//! How large a request's head may be.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use crate::error::ApiError;

const MOST_HEADERS: usize = 100;
const MOST_BYTES: usize = 32 * 1024;
const LONGEST_TARGET: usize = 16 * 1024;

/// Refuses a request whose head is too large.
pub(crate) async fn bounded(request: Request, next: Next) -> Result<Response, ApiError> {
    let target = request.uri().path_and_query();
    let target = target.map_or(0, |target| target.as_str().len());
    if target > LONGEST_TARGET {
        return Err(ApiError::target_too_long(LONGEST_TARGET));
    }
    let headers = request.headers();
    // A line's colon, space and end count, too.
    let lines = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    if headers.len() > MOST_HEADERS || target + lines.sum::<usize>() > MOST_BYTES {
        return Err(ApiError::head_too_large(MOST_HEADERS, MOST_BYTES));
    }
    Ok(next.run(request).await)
}
