//! Path parameters.

use axum::extract::{FromRequestParts, Path, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The parameters of the matched path: one `String`, or a tuple of them in the path's order.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let unreadable = || ApiError::bad_request("The path is not valid percent-encoded UTF-8.");
        let raw = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| unreadable())?;
        // No identifier and no name has one, and no database stores it: nothing can be there.
        let mut values = raw.iter();
        if let Some((name, value)) = values.find(|(_, value)| value.chars().any(char::is_control)) {
            let message = format!("There is nothing here; no {name} has control characters.");
            return Err(ApiError::not_found(message, name, value));
        }
        let Path(values) = Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|_| unreadable())?;
        Ok(Self(values))
    }
}
