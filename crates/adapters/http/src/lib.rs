//! The HTTP API: requests in, use cases of the engine, views out.
//!
//! One file per endpoint. A request's form ends here: everything malformed is answered with the field's name before the
//! engine hears of it. This crate must never know SQL, a provider or how credentials are sealed, and no view has a place
//! for a secret.

mod api_keys;
mod audit;
mod authorization;
mod body;
mod buckets;
mod check_report;
mod connections;
mod cors;
mod dead_letters;
mod done;
mod error;
mod events;
mod fields;
mod head;
mod health;
mod hooks;
mod idempotency;
mod jobs;
mod json;
mod limits;
mod listener;
mod namespaces;
mod network;
mod oauth;
mod objects;
mod observe;
mod openapi;
mod operator;
mod organization;
mod pagination;
mod path;
mod problem;
mod query;
mod rates;
mod revision;
mod scope;
mod setup;
mod state;
mod syncs;
mod time;
mod users;
mod webhooks;
mod words;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

pub use limits::Limits;
pub use openapi::openapi;
pub use state::ApiState;

/// The whole API on one engine.
pub fn router(state: ApiState) -> Router {
    let (routes, _) = openapi::routes().split_for_parts();
    routes
        .route_layer(from_fn_with_state(state.clone(), idempotency::once))
        .route_layer(from_fn_with_state(state.clone(), authorization::authorize))
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(head::bounded))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

/// Serves the API until `shutdown` comes, then finishes the requests at hand. Dropping it cuts them.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (streams, rates) = (state.clone(), state.clone());
    let shutdown = async move {
        shutdown.await;
        streams.event_streams().close();
    };
    listener::run(listener, router(state), rates.rates().limits(), shutdown).await;
}
