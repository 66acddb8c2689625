//! The one table of who may do what, and the door that reads it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;
use wharf_domain::access::{Permission, Principal};
use wharf_domain::audit::{Actor, Origin};
use wharf_engine::Caller;

use crate::ApiState;
use crate::error::ApiError;

/// How much of a refused request's body is taken off the connection, and for how long.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Public,
    /// An API key with at least this permission.
    Key(Permission),
}

const PUBLIC: Access = Access::Public;
const READ: Access = Access::Key(Permission::Read);
const WRITE: Access = Access::Key(Permission::Write);
const DELETE: Access = Access::Key(Permission::Delete);
const ADMIN: Access = Access::Key(Permission::Admin);

/// Every operation. A `HEAD` is what its `GET` is.
pub(crate) const TABLE: &[(&str, &str, Access)] = &[
    ("POST", "/v1/organizations/connections", ADMIN),
    ("POST", "/v1/organizations/connections/list", READ),
    (
        "GET",
        "/v1/organizations/connections/{connection_identifier}",
        READ,
    ),
    (
        "PATCH",
        "/v1/organizations/connections/{connection_identifier}",
        ADMIN,
    ),
    (
        "DELETE",
        "/v1/organizations/connections/{connection_identifier}",
        ADMIN,
    ),
    (
        "POST",
        "/v1/organizations/connections/{connection_identifier}/test",
        WRITE,
    ),
    (
        "GET",
        "/v1/organizations/connections/{connection_identifier}/folders",
        READ,
    ),
    (
        "GET",
        "/v1/organizations/connections/{connection_identifier}/files",
        READ,
    ),
    ("GET", "/v1/organizations/setup/{provider_type}", READ),
    ("POST", "/v1/organizations/webhooks", ADMIN),
    ("POST", "/v1/organizations/webhooks/list", ADMIN),
    ("GET", "/v1/organizations/webhooks/{identifier}", ADMIN),
    ("PUT", "/v1/organizations/webhooks/{identifier}", ADMIN),
    ("DELETE", "/v1/organizations/webhooks/{identifier}", ADMIN),
    (
        "GET",
        "/v1/organizations/webhooks/{identifier}/deliveries",
        ADMIN,
    ),
    (
        "POST",
        "/v1/organizations/webhooks/{identifier}/redeliver",
        ADMIN,
    ),
    ("GET", "/v1/organizations/events", ADMIN),
    ("GET", "/v1/organizations/events/types", ADMIN),
    ("GET", "/v1/organizations/events/subscriptions", ADMIN),
    ("GET", "/v1/organizations/events/{event_id}", ADMIN),
    ("POST", "/v1/namespaces", WRITE),
    ("GET", "/v1/namespaces", READ),
    ("POST", "/v1/namespaces/list", READ),
    ("GET", "/v1/namespaces/{namespace_identifier}", READ),
    ("POST", "/v1/buckets", WRITE),
    ("GET", "/v1/buckets", READ),
    ("POST", "/v1/buckets/list", READ),
    ("GET", "/v1/buckets/{bucket_identifier}", READ),
    ("DELETE", "/v1/buckets/{bucket_identifier}", DELETE),
    ("POST", "/v1/buckets/{bucket_identifier}/objects/list", READ),
    ("GET", "/v1/buckets/{bucket_identifier}/objects", READ),
    (
        "GET",
        "/v1/buckets/{bucket_identifier}/objects/{object_identifier}",
        READ,
    ),
    (
        "DELETE",
        "/v1/buckets/{bucket_identifier}/objects/{object_identifier}",
        DELETE,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_identifier}/objects/{object_identifier}/content",
        READ,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_identifier}/objects/{object_identifier}/restore",
        WRITE,
    ),
    ("POST", "/v1/buckets/{bucket_id}/syncs", WRITE),
    ("POST", "/v1/buckets/{bucket_id}/syncs/list", READ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}",
        READ,
    ),
    (
        "PATCH",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}",
        WRITE,
    ),
    (
        "DELETE",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}",
        DELETE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/pause",
        WRITE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/resume",
        WRITE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/unlock",
        WRITE,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/metrics",
        READ,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/deletes/approve",
        DELETE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/deletes/discard",
        WRITE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq",
        READ,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq/requeue",
        WRITE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq/bulk-mark-failed",
        WRITE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/trigger",
        WRITE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs",
        READ,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs/{sync_job_id}",
        READ,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs/{sync_job_id}/events",
        READ,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/explain",
        READ,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/plan",
        WRITE,
    ),
    ("POST", "/v1/buckets/{bucket_id}/syncs/plan", WRITE),
    ("GET", "/v1/health", PUBLIC),
    ("GET", "/v1/health/liveness", PUBLIC),
    ("GET", "/v1/health/deep", PUBLIC),
    ("GET", "/v1/health/beat", PUBLIC),
    ("GET", "/openapi.json", PUBLIC),
    ("GET", "/metrics", ADMIN),
];

/// What an operation asks of its caller; `None` for what is no operation.
pub(crate) fn access(method: &str, path: &str) -> Option<Access> {
    let method = if method == "HEAD" { "GET" } else { method };
    TABLE
        .iter()
        .find(|(m, p, _)| *m == method && *p == path)
        .map(|(_, _, access)| *access)
}

/// Lets a request through when its API key is good for the route, before anything of its body is read.
pub(crate) async fn authorize(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let access = path.and_then(|path| access(request.method().as_str(), path));
    // What is not in the table has no caller put in, and so none of its handlers runs.
    if let Some(Access::Key(required)) = access {
        let principal = match admitted(&state, request.headers(), required).await {
            Ok(principal) => principal,
            Err(refusal) => {
                drain(request.into_body()).await;
                return Err(refusal);
            }
        };
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| *peer);
        let origin = origin(&principal, request.headers(), peer);
        request
            .extensions_mut()
            .insert(Caller { principal, origin });
    }
    Ok(next.run(request).await)
}

/// Whom the API key stands for, if that is enough for the route.
async fn admitted(
    state: &ApiState,
    headers: &HeaderMap,
    required: Permission,
) -> Result<Principal, ApiError> {
    let key = bearer(headers).ok_or_else(ApiError::unauthorized)?;
    let principal = state.engine().authenticate(key).await?;
    if principal.permission() < required {
        return Err(ApiError::forbidden(required, principal.permission()));
    }
    Ok(principal)
}

/// Takes a body of usual size off the connection, unread: else the server would close the connection behind the refusal, and
/// a client that keeps connections may have sent its next request into it by then.
async fn drain(body: Body) {
    let _ = timeout(DRAIN_TIME, to_bytes(body, DRAIN_BYTES)).await;
}

/// The API key of `Authorization: Bearer …`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let value = given.next()?;
    if given.next().is_some() {
        return None;
    }
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=256).contains(&key.len())).then_some(key)
}

fn origin(principal: &Principal, headers: &HeaderMap, peer: Option<SocketAddr>) -> Origin {
    Origin {
        actor: Actor::User {
            user_id: principal.user.to_string(),
            key_id: principal.key.to_string(),
        },
        reason: header_text(headers, "x-change-reason", 500),
        ip_address: peer.map(|peer| peer.ip().to_canonical().to_string()),
        user_agent: header_text(headers, "user-agent", 256),
        claim: None,
    }
}

/// A header as text for people: without control characters, cut to a length.
fn header_text(headers: &HeaderMap, name: &str, longest: usize) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    let text: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(longest)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_of_the_document_has_one_row_and_every_row_an_operation() {
        let document = crate::openapi();
        let documented: BTreeSet<(String, String)> = document
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| {
                crate::openapi::operations(item)
                    .into_iter()
                    .map(|(method, _)| (method.to_owned(), path.clone()))
            })
            .collect();
        let rows: Vec<(String, String)> = TABLE
            .iter()
            .map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned()))
            .collect();
        let distinct: BTreeSet<_> = rows.iter().cloned().collect();
        assert_eq!(distinct.len(), rows.len(), "a row stands twice");
        assert_eq!(distinct, documented);
    }

    #[test]
    fn only_one_well_formed_bearer_key_is_taken() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        headers.insert(
            header::AUTHORIZATION,
            "bearer  sk_x ".parse().expect("a header"),
        );
        assert_eq!(bearer(&headers), Some("sk_x"));
        headers.append(
            header::AUTHORIZATION,
            "Bearer sk_y".parse().expect("a header"),
        );
        assert_eq!(bearer(&headers), None);
        for text in ["sk_x", "Basic sk_x", "Bearer", "Bearer  "] {
            headers.insert(header::AUTHORIZATION, text.parse().expect("a header"));
            assert_eq!(bearer(&headers), None, "{text}");
        }
    }
}
