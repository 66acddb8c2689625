//! The admin surface of the lab's Google under `/__admin/`: what tests in another process do to it. It is
//! no part of Google, needs no token and does not appear in the journal.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::handle::GoogleLab;
use super::oauth::directory::GrantState;
use super::seed::Seed;
use super::surface::surface;
use super::tree::mutation::Mutation;
use super::world::GoogleWorld;
use crate::fault::FaultRule;

pub(crate) const PREFIX: &str = "/__admin/";

pub(crate) fn router(world: Arc<GoogleWorld>) -> Router {
    Router::new()
        .route("/__admin/reset", post(reset))
        .route("/__admin/seed", post(seed))
        .route("/__admin/mutate", post(mutate))
        .route("/__admin/faults", post(faults))
        .route("/__admin/clock", post(clock))
        .route("/__admin/accounts", post(accounts))
        .route(
            "/__admin/access-token",
            get(access_tokens).post(access_token),
        )
        .route("/__admin/grants", get(grants).post(set_grant))
        .route("/__admin/key-file", get(key_file))
        .route("/__admin/sessions", delete(end_sessions))
        .route("/__admin/feed-tokens", delete(forget_feed_tokens))
        .route("/__admin/files", get(files))
        .route("/__admin/deliveries", get(deliveries))
        .route("/__admin/surface", get(surface_told))
        .route("/__admin/journal", get(journal).delete(clear_journal))
        .layer(DefaultBodyLimit::disable())
        .with_state(GoogleLab::new(world))
}

type Google = State<GoogleLab>;

fn refused(why: &impl ToString) -> Response {
    (StatusCode::BAD_REQUEST, why.to_string()).into_response()
}

async fn reset(State(google): Google) -> StatusCode {
    google.reset();
    StatusCode::NO_CONTENT
}

async fn seed(State(google): Google, Json(seed): Json<Seed>) -> Response {
    match google.seed(seed) {
        Ok(made) => Json(made).into_response(),
        Err(error) => refused(&error),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Mutations {
    Many(Vec<Mutation>),
    One(Box<Mutation>),
}

/// One mutation or a list; the ids of what was made, `null` where nothing was.
async fn mutate(State(google): Google, Json(mutations): Json<Mutations>) -> Response {
    let mutations = match mutations {
        Mutations::Many(many) => many,
        Mutations::One(one) => vec![*one],
    };
    let mut made = Vec::new();
    for mutation in mutations {
        match google.mutate(mutation) {
            Ok(id) => made.push(id),
            Err(error) => return refused(&error),
        }
    }
    Json(json!({ "ids": made })).into_response()
}

async fn faults(State(google): Google, Json(rules): Json<Vec<FaultRule>>) -> StatusCode {
    google.set_faults(rules);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct ClockOrder {
    advance_s: i64,
}

async fn clock(State(google): Google, Json(order): Json<ClockOrder>) -> StatusCode {
    google.advance_clock(order.advance_s);
    StatusCode::NO_CONTENT
}

/// How accounts are dealt with from now on; what is not said stays.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct AccountsOrder {
    consent_as: Option<String>,
    deny_consent: Option<bool>,
    rotate_refresh_tokens: Option<bool>,
    token_seconds: Option<i64>,
    delegate: Option<Delegation>,
    delete: Option<String>,
}

#[derive(Deserialize)]
struct Delegation {
    email: String,
    scopes: Vec<String>,
}

async fn accounts(State(google): Google, Json(order): Json<AccountsOrder>) -> StatusCode {
    if let Some(email) = order.consent_as {
        google.consent_as(&email);
    }
    if let Some(denies) = order.deny_consent {
        google.deny_consent(denies);
    }
    if let Some(rotates) = order.rotate_refresh_tokens {
        google.rotate_refresh_tokens(rotates);
    }
    if let Some(seconds) = order.token_seconds {
        google.set_token_seconds(seconds);
    }
    if let Some(delegation) = order.delegate {
        google.delegate(&delegation.email, delegation.scopes);
    }
    if let Some(email) = order.delete {
        google.delete_account(&email);
    }
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct TokenOrder {
    email: String,
    scopes: Vec<String>,
}

async fn access_token(State(google): Google, Json(order): Json<TokenOrder>) -> Response {
    let scopes: Vec<_> = order.scopes.iter().map(String::as_str).collect();
    let token = google.access_token(&order.email, &scopes);
    Json(json!({ "access_token": token })).into_response()
}

async fn access_tokens(State(google): Google) -> Response {
    Json(google.access_tokens()).into_response()
}

async fn grants(State(google): Google) -> Response {
    Json(google.grants()).into_response()
}

#[derive(Deserialize)]
struct GrantOrder {
    refresh_token: String,
    state: GrantState,
}

async fn set_grant(State(google): Google, Json(order): Json<GrantOrder>) -> StatusCode {
    if google.set_grant(&order.refresh_token, order.state) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

#[derive(Deserialize)]
struct OfAccount {
    email: String,
}

async fn key_file(State(google): Google, Query(query): Query<OfAccount>) -> Response {
    match google.key_file(&query.email) {
        Some(key) => Json(key).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn end_sessions(State(google): Google) -> StatusCode {
    google.end_sessions();
    StatusCode::NO_CONTENT
}

async fn forget_feed_tokens(State(google): Google) -> StatusCode {
    google.forget_feed_tokens();
    StatusCode::NO_CONTENT
}

async fn files(State(google): Google) -> Response {
    Json(google.files()).into_response()
}

async fn deliveries(State(google): Google) -> Response {
    Json(google.deliveries()).into_response()
}

/// The table of what is served, to be compared with Google's description.
async fn surface_told() -> Response {
    Json(surface().told()).into_response()
}

async fn journal(State(google): Google) -> Response {
    Json(google.journal()).into_response()
}

async fn clear_journal(State(google): Google) -> StatusCode {
    google.clear_journal();
    StatusCode::NO_CONTENT
}
