//! The admin surface under `/__admin/`: what tests in another process do to the lab. It is not part of
//! any simulated provider, needs no signature and does not appear in the journal.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::fault::FaultRule;
use crate::identity::key::KeyPair;
use crate::identity::role::Role;
use crate::s3::bucket::BucketSettings;
use crate::s3::seed::Seed;
use crate::world::World;

/// No bucket can be named so.
pub(crate) const PREFIX: &str = "/__admin/";

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/__admin/reset", post(reset))
        .route("/__admin/seed", post(seed))
        .route("/__admin/faults", post(faults))
        .route("/__admin/buckets", post(set_bucket))
        .route("/__admin/clock", post(set_clock))
        .route("/__admin/keys", post(add_key))
        .route("/__admin/roles", post(add_role))
        .route("/__admin/sessions", delete(end_sessions))
        .route("/__admin/journal", get(journal).delete(clear_journal))
        .route("/__admin/objects", get(objects).delete(delete_object))
        .layer(DefaultBodyLimit::disable())
        .with_state(world)
}

async fn reset(State(world): State<Arc<World>>) -> StatusCode {
    world.reset();
    StatusCode::NO_CONTENT
}

async fn seed(State(world): State<Arc<World>>, Json(seed): Json<Seed>) -> Response {
    match world.store.seed(seed) {
        Ok(objects) => Json(json!({ "objects": objects })).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// The rules given replace those in force, and counting starts anew.
async fn faults(State(world): State<Arc<World>>, Json(rules): Json<Vec<FaultRule>>) -> StatusCode {
    world.faults().replace(rules);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct BucketOrder {
    bucket: String,
    #[serde(default)]
    settings: BucketSettings,
}

async fn set_bucket(State(world): State<Arc<World>>, Json(order): Json<BucketOrder>) -> StatusCode {
    world.store.set_bucket(&order.bucket, order.settings);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct ClockOrder {
    offset_s: i64,
}

async fn set_clock(State(world): State<Arc<World>>, Json(order): Json<ClockOrder>) -> StatusCode {
    world.clock.set_offset(order.offset_s);
    StatusCode::NO_CONTENT
}

async fn add_key(State(world): State<Arc<World>>, Json(key): Json<KeyPair>) -> StatusCode {
    world.identities.add_key(key);
    StatusCode::NO_CONTENT
}

async fn add_role(State(world): State<Arc<World>>, Json(role): Json<Role>) -> StatusCode {
    world.identities.add_role(role);
    StatusCode::NO_CONTENT
}

async fn end_sessions(State(world): State<Arc<World>>) -> StatusCode {
    world.identities.end_sessions();
    StatusCode::NO_CONTENT
}

async fn journal(State(world): State<Arc<World>>) -> Response {
    let entries = world.journal().entries();
    Json(entries).into_response()
}

async fn clear_journal(State(world): State<Arc<World>>) -> StatusCode {
    world.journal().clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct InBucket {
    bucket: String,
}

async fn objects(State(world): State<Arc<World>>, Query(query): Query<InBucket>) -> Response {
    match world.store.summaries(&query.bucket) {
        Some(summaries) => Json(summaries).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Deserialize)]
struct OneObject {
    bucket: String,
    key: String,
}

async fn delete_object(
    State(world): State<Arc<World>>,
    Query(query): Query<OneObject>,
) -> StatusCode {
    if world.store.delete(&query.bucket, &query.key, None).existed {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}
