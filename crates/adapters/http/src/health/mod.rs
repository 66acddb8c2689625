//! How the server is, for load balancers and people. Needs no API key, and tells nothing about anyone's organization.

mod beat;
mod deep;
mod liveness;
mod overall;
mod watch;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use watch::HealthWatch;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(overall::overall))
        .routes(routes!(liveness::liveness))
        .routes(routes!(deep::deep))
        .routes(routes!(beat::beat))
}

/// The word for how something is.
fn word(well: bool) -> &'static str {
    if well { "OK" } else { "DEGRADED" }
}
