//! Path parameters.

use axum::extract::{FromRequestParts, Path, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use wharf_domain::input::{FieldError, InvalidInput};

use crate::error::{ApiError, Part};

/// The parameters of the matched path: one `String`, or a tuple of them in the path's order.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let unreadable = || ApiError::bad_request("The path is not valid percent-encoded UTF-8.");
        let raw = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| unreadable())?;
        // No identifier and no name has one, and no database stores it.
        let controls = raw
            .iter()
            .filter(|(_, value)| value.chars().any(char::is_control));
        let mistakes: Vec<FieldError> = controls
            .map(|(name, _)| {
                FieldError::new(
                    name,
                    "string_pattern",
                    "must not contain control characters",
                )
            })
            .collect();
        if !mistakes.is_empty() {
            return Err(ApiError::invalid(Part::Path, &InvalidInput(mistakes)));
        }
        let Path(values) = Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|_| unreadable())?;
        Ok(Self(values))
    }
}
