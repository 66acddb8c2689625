//! Request bodies: bounded, strict JSON, read field by field.

use std::time::Duration;

use axum::body::Body as Incoming;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use wharf_domain::input::{InvalidInput, Reader};
use zeroize::Zeroizing;

use crate::error::{ApiError, Part};
use crate::json::{Strict, nul_characters};

/// Most bytes of a body.
pub(crate) const LIMIT: usize = 256 * 1024;
/// How long a body may take to arrive: long enough for a slow line, too short to hold many connections with few bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body that is a JSON object; an empty body or `null` counts as an empty object.
pub(crate) struct Body(Reader);

impl Body {
    /// Reads the whole body with `parse`. Every mistake is reported at once, unknown keys too.
    pub(crate) fn read<T>(mut self, parse: impl FnOnce(&mut Reader) -> T) -> Result<T, ApiError> {
        let parsed = parse(&mut self.0);
        self.0.finish()?;
        Ok(parsed)
    }

    /// The same for what cannot be made without some fields: `parse` notes their mistakes and then makes nothing.
    pub(crate) fn read_whole<T>(
        self,
        parse: impl FnOnce(&mut Reader) -> Option<T>,
    ) -> Result<T, ApiError> {
        let parsed = self.read(parse)?;
        parsed.ok_or_else(|| InvalidInput::one("", "invalid", "cannot be read").into())
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = whole(&parts.headers, body).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(Reader::new("", Map::new())));
        }
        if !is_json(&parts.headers) {
            return Err(ApiError::not_json());
        }
        // The parser's messages tell places and never contents.
        let Strict(value) = serde_json::from_slice(&bytes).map_err(|error| {
            ApiError::bad_request(format!("The body is not valid JSON: {error}."))
        })?;
        let mistakes = nul_characters(&value);
        let reader = match value {
            Value::Object(fields) => Reader::new("", fields),
            Value::Null => Reader::new("", Map::new()),
            mut other => {
                wharf_domain::secret::wipe(&mut other);
                return Err(InvalidInput::one("", "wrong_type", "must be a JSON object").into());
            }
        };
        if mistakes.is_empty() {
            Ok(Self(reader))
        } else {
            Err(ApiError::invalid(Part::Body, &InvalidInput(mistakes)))
        }
    }
}

/// A body's bytes, within bounds of size and time.
pub(crate) async fn whole(
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    tokio::time::timeout(PATIENCE, collect(headers, body))
        .await
        .map_err(|_| ApiError::body_too_slow(PATIENCE))?
}

/// The body's bytes in one buffer that never moves, so that no copy of a secret stays behind.
async fn collect(headers: &HeaderMap, mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LIMIT) {
        return Err(ApiError::body_too_large(LIMIT));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(LIMIT)));
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| ApiError::bad_request("The body ended early; send it again."))?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if bytes.len() + chunk.len() > bytes.capacity().min(LIMIT) {
            return Err(ApiError::body_too_large(LIMIT));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}
