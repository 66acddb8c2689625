//! Consent in a browser: begun with an API key, finished by the browser that the provider sends back.

mod callback;
mod page;
mod start;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(start::start))
        .routes(routes!(callback::callback))
}

#[cfg(test)]
pub(crate) use start::StartConsentRequest;
