//! Who asks, and in which namespace.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use wharf_domain::namespace::{DEFAULT_NAMESPACE, Namespace};
use wharf_engine::Caller;

use crate::ApiState;
use crate::error::ApiError;

/// The header that names a namespace by identifier or name.
pub(crate) const NAMESPACE_HEADER: &str = "x-namespace";

/// A caller whose API key was found good enough for the route.
pub(crate) struct Authorized(pub(crate) Caller);

impl FromRequestParts<ApiState> for Authorized {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &ApiState) -> Result<Self, ApiError> {
        // A route that is missing from the authorization table has no caller: it answers nobody.
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .map(Self)
            .ok_or_else(ApiError::unauthorized)
    }
}

/// The namespace that a request means; `default` when it names none.
pub(crate) struct InNamespace(pub(crate) Namespace);

impl FromRequestParts<ApiState> for InNamespace {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let Authorized(caller) = Authorized::from_request_parts(parts, state).await?;
        let mut given = parts.headers.get_all(NAMESPACE_HEADER).iter();
        let named = given.next();
        if given.any(|other| Some(other) != named) {
            let message = "X-Namespace is given twice with different values; give it once.";
            return Err(ApiError::bad_request(message));
        }
        let named = named.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let identifier = named.as_deref().map_or(DEFAULT_NAMESPACE, str::trim);
        let identifier = if identifier.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            identifier
        };
        Ok(Self(
            state.engine().enter_namespace(&caller, identifier).await?,
        ))
    }
}
