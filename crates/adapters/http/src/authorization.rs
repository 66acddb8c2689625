//! The one table of who may do what, and the door that reads it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use wharf_domain::access::{Permission, Principal};
use wharf_domain::audit::{Actor, Origin};
use wharf_domain::rate_limit::Category;
use wharf_domain::secret::SecretString;
use wharf_engine::{Caller, Engine, EngineError};

use crate::error::ApiError;
use crate::{ApiState, cors};

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

const METADATA: Category = Category::Metadata;
const DATA: Category = Category::Data;
const COMPUTE: Category = Category::Compute;

/// Every operation: method, path, what it asks of its caller, and which of the organization's limits it counts for. A `HEAD` is
/// what its `GET` is.
pub(crate) const TABLE: &[(&str, &str, Access, Category)] = &[
    ("GET", "/v1/organizations", READ, METADATA),
    ("PATCH", "/v1/organizations", ADMIN, METADATA),
    ("POST", "/v1/organizations/users", ADMIN, METADATA),
    ("GET", "/v1/organizations/users", ADMIN, METADATA),
    (
        "GET",
        "/v1/organizations/users/{user_email}",
        ADMIN,
        METADATA,
    ),
    (
        "PATCH",
        "/v1/organizations/users/{user_email}",
        ADMIN,
        METADATA,
    ),
    (
        "DELETE",
        "/v1/organizations/users/{user_email}",
        ADMIN,
        METADATA,
    ),
    (
        "POST",
        "/v1/organizations/users/{user_email}/api-keys",
        ADMIN,
        METADATA,
    ),
    (
        "GET",
        "/v1/organizations/users/{user_email}/api-keys",
        ADMIN,
        METADATA,
    ),
    (
        "PATCH",
        "/v1/organizations/users/{user_email}/api-keys/{key_name}",
        ADMIN,
        METADATA,
    ),
    (
        "DELETE",
        "/v1/organizations/users/{user_email}/api-keys/{key_name}",
        ADMIN,
        METADATA,
    ),
    (
        "POST",
        "/v1/organizations/users/{user_email}/api-keys/{key_name}/rotate",
        ADMIN,
        METADATA,
    ),
    ("GET", "/v1/organizations/audit/logs", ADMIN, DATA),
    ("GET", "/v1/organizations/audit/logs/export", ADMIN, DATA),
    (
        "GET",
        "/v1/organizations/audit/logs/{audit_id}",
        ADMIN,
        DATA,
    ),
    ("GET", "/v1/organizations/audit/settings", ADMIN, METADATA),
    ("PATCH", "/v1/organizations/audit/settings", ADMIN, METADATA),
    ("POST", "/v1/organizations/connections", ADMIN, METADATA),
    ("POST", "/v1/organizations/connections/list", READ, METADATA),
    (
        "GET",
        "/v1/organizations/connections/{connection_identifier}",
        READ,
        METADATA,
    ),
    (
        "PATCH",
        "/v1/organizations/connections/{connection_identifier}",
        ADMIN,
        METADATA,
    ),
    (
        "DELETE",
        "/v1/organizations/connections/{connection_identifier}",
        ADMIN,
        METADATA,
    ),
    (
        "POST",
        "/v1/organizations/connections/{connection_identifier}/test",
        WRITE,
        COMPUTE,
    ),
    (
        "GET",
        "/v1/organizations/connections/{connection_identifier}/checks",
        READ,
        METADATA,
    ),
    (
        "GET",
        "/v1/organizations/connections/{connection_identifier}/folders",
        READ,
        COMPUTE,
    ),
    (
        "GET",
        "/v1/organizations/connections/{connection_identifier}/files",
        READ,
        COMPUTE,
    ),
    (
        "GET",
        "/v1/organizations/setup/{provider_type}",
        READ,
        METADATA,
    ),
    ("POST", "/v1/oauth/{provider_type}/start", ADMIN, METADATA),
    (
        "GET",
        "/v1/oauth/{provider_type}/callback",
        PUBLIC,
        METADATA,
    ),
    ("POST", "/v1/hooks/{channel}", PUBLIC, METADATA),
    ("POST", "/v1/organizations/webhooks", ADMIN, METADATA),
    ("POST", "/v1/organizations/webhooks/list", ADMIN, METADATA),
    (
        "GET",
        "/v1/organizations/webhooks/{identifier}",
        ADMIN,
        METADATA,
    ),
    (
        "PUT",
        "/v1/organizations/webhooks/{identifier}",
        ADMIN,
        METADATA,
    ),
    (
        "DELETE",
        "/v1/organizations/webhooks/{identifier}",
        ADMIN,
        METADATA,
    ),
    (
        "GET",
        "/v1/organizations/webhooks/{identifier}/deliveries",
        ADMIN,
        DATA,
    ),
    (
        "POST",
        "/v1/organizations/webhooks/{identifier}/redeliver",
        ADMIN,
        COMPUTE,
    ),
    ("GET", "/v1/organizations/events", ADMIN, DATA),
    ("GET", "/v1/organizations/events/types", ADMIN, METADATA),
    (
        "GET",
        "/v1/organizations/events/subscriptions",
        ADMIN,
        METADATA,
    ),
    ("GET", "/v1/organizations/events/{event_id}", ADMIN, DATA),
    ("POST", "/v1/namespaces", WRITE, METADATA),
    ("GET", "/v1/namespaces", READ, METADATA),
    ("POST", "/v1/namespaces/list", READ, METADATA),
    (
        "GET",
        "/v1/namespaces/{namespace_identifier}",
        READ,
        METADATA,
    ),
    (
        "PATCH",
        "/v1/namespaces/{namespace_identifier}",
        WRITE,
        METADATA,
    ),
    (
        "PUT",
        "/v1/namespaces/{namespace_identifier}",
        WRITE,
        METADATA,
    ),
    (
        "DELETE",
        "/v1/namespaces/{namespace_identifier}",
        DELETE,
        METADATA,
    ),
    ("POST", "/v1/buckets", WRITE, METADATA),
    ("GET", "/v1/buckets", READ, METADATA),
    ("POST", "/v1/buckets/list", READ, METADATA),
    ("GET", "/v1/buckets/{bucket_identifier}", READ, METADATA),
    ("PATCH", "/v1/buckets/{bucket_identifier}", WRITE, METADATA),
    ("PUT", "/v1/buckets/{bucket_identifier}", WRITE, METADATA),
    (
        "DELETE",
        "/v1/buckets/{bucket_identifier}",
        DELETE,
        METADATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_identifier}/objects/list",
        READ,
        DATA,
    ),
    ("GET", "/v1/buckets/{bucket_identifier}/objects", READ, DATA),
    (
        "GET",
        "/v1/buckets/{bucket_identifier}/objects/{object_identifier}",
        READ,
        DATA,
    ),
    (
        "DELETE",
        "/v1/buckets/{bucket_identifier}/objects/{object_identifier}",
        DELETE,
        DATA,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_identifier}/objects/{object_identifier}/content",
        READ,
        DATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_identifier}/objects/{object_identifier}/restore",
        WRITE,
        DATA,
    ),
    ("POST", "/v1/buckets/{bucket_id}/syncs", WRITE, METADATA),
    ("POST", "/v1/buckets/{bucket_id}/syncs/list", READ, METADATA),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}",
        READ,
        METADATA,
    ),
    (
        "PATCH",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}",
        WRITE,
        METADATA,
    ),
    (
        "DELETE",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}",
        DELETE,
        METADATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/pause",
        WRITE,
        METADATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/resume",
        WRITE,
        METADATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/unlock",
        WRITE,
        METADATA,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/metrics",
        READ,
        METADATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/deletes/approve",
        DELETE,
        METADATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/deletes/discard",
        WRITE,
        METADATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq",
        READ,
        DATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq/requeue",
        WRITE,
        DATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq/bulk-mark-failed",
        WRITE,
        DATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/trigger",
        WRITE,
        COMPUTE,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs",
        READ,
        METADATA,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs/{sync_job_id}",
        READ,
        METADATA,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs/{sync_job_id}/events",
        READ,
        METADATA,
    ),
    (
        "GET",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/explain",
        READ,
        METADATA,
    ),
    (
        "POST",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/plan",
        WRITE,
        COMPUTE,
    ),
    ("POST", "/v1/buckets/{bucket_id}/syncs/plan", WRITE, COMPUTE),
    ("GET", "/v1/health", PUBLIC, METADATA),
    ("GET", "/v1/health/liveness", PUBLIC, METADATA),
    ("GET", "/v1/health/deep", PUBLIC, METADATA),
    ("GET", "/v1/health/beat", PUBLIC, METADATA),
    ("GET", "/openapi.json", PUBLIC, METADATA),
    ("GET", "/metrics", ADMIN, METADATA),
];

/// What a `POST` that only reads ends with.
const READS_BY_POST: [&str; 4] = ["/list", "/jobs", "/dlq", "/plan"];

/// What an operation asks of its caller, and which of the organization's limits it counts for; `None` for what is no operation.
pub(crate) fn rule(method: &str, path: &str) -> Option<(Access, Category)> {
    let method = if method == "HEAD" { "GET" } else { method };
    TABLE
        .iter()
        .find(|(m, p, _, _)| *m == method && *p == path)
        .map(|(_, _, access, category)| (*access, *category))
}

/// Whether an API key still is good for an operation that began with it and goes on. That nobody can say does not make it worse.
pub(crate) async fn still_good(
    engine: &Engine,
    key: &SecretString,
    began: &Caller,
    (method, path): (&str, &str),
) -> bool {
    match engine.authenticate(key.expose()).await {
        // With other scopes the caller may ask again, and finds out.
        Ok(principal) => {
            principal.grant.scopes == began.principal.grant.scopes
                && matches!(access(method, path), Some(Access::Key(required)) if principal.permission() >= required)
        }
        Err(EngineError::Unavailable { .. }) => true,
        Err(_) => false,
    }
}

/// What an operation asks of its caller; `None` for what is no operation.
pub(crate) fn access(method: &str, path: &str) -> Option<Access> {
    rule(method, path).map(|(access, _)| access)
}

/// Whether an operation changes nothing.
pub(crate) fn only_reads(method: &str, path: &str) -> bool {
    let by_post = || READS_BY_POST.iter().any(|end| path.ends_with(end));
    matches!(method, "GET" | "HEAD") || method == "POST" && by_post()
}

/// What a `POST` ends with that comes to the same however often it is sent. Some work in several steps: a claim could hold only the
/// first of them. A consent that was begun once more expires by itself, and what it was answered with is never kept.
const REPEATS_BY_ITSELF: [&str; 3] = ["/deletes/approve", "/deletes/discard", "/start"];

/// Whether an `Idempotency-Key` makes an operation take effect once.
pub(crate) fn repeatable(method: &str, path: &str) -> bool {
    let changes = !matches!(access(method, path), None | Some(Access::Public));
    let by_itself = REPEATS_BY_ITSELF.iter().any(|end| path.ends_with(end));
    method == "POST" && changes && !only_reads(method, path) && !by_itself
}

/// The methods that a path has.
pub(crate) fn methods(path: &str) -> impl Iterator<Item = &'static str> {
    let rows = TABLE.iter().filter(move |(_, p, _, _)| *p == path);
    rows.map(|(method, _, _, _)| *method)
}

/// Lets a request through when its API key is good for the route and within its limits, before anything of its body is read.
pub(crate) async fn authorize(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let rule = path.and_then(|path| rule(request.method().as_str(), path));
    // What is not in the table has no caller put in, and so none of its handlers runs.
    let Some((Access::Key(required), category)) = rule else {
        return next.run(request).await;
    };
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(peer)| *peer);
    let principal = match authenticated(&state, request.headers(), peer).await {
        Ok(principal) => principal,
        Err(refusal) => return refuse(request, refusal).await,
    };
    let browser = cors::Browser::of(request.headers());
    let readable = browser.may_use(&principal.grant);
    let standing = state.rates().request(&principal, category);
    let admitted = match &standing {
        Err(exhausted) => Err(ApiError::too_many_requests(exhausted)),
        Ok(_) if !readable => Err(ApiError::origin_not_allowed()),
        Ok(_) if principal.permission() < required => {
            Err(ApiError::forbidden(required, principal.permission()))
        }
        Ok(_) => Ok(()),
    };
    let mut response = match admitted {
        Ok(()) => {
            let origin = origin(&principal, request.headers(), peer);
            let caller = Caller {
                principal,
                wants: required,
                origin,
            };
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refuse(request, refusal).await,
    };
    let standing = standing.unwrap_or_else(|exhausted| exhausted);
    standing.tell(response.headers_mut());
    if readable {
        browser.let_read(response.headers_mut());
    }
    response
}

/// Whom the API key stands for. Who sends too many that stand for nobody is told to wait.
async fn authenticated(
    state: &ApiState,
    headers: &HeaderMap,
    peer: Option<SocketAddr>,
) -> Result<Principal, ApiError> {
    let key = bearer(headers).ok_or_else(ApiError::unauthorized)?;
    match state.engine().authenticate(key).await {
        Err(EngineError::Unauthenticated) => {
            state.count_guess(peer.map(|peer| peer.ip()))?;
            Err(ApiError::unauthorized())
        }
        known => Ok(known?),
    }
}

async fn refuse(request: Request, refusal: ApiError) -> Response {
    drain(request.into_body()).await;
    refusal.into_response()
}

/// Takes a body of usual size off the connection, unread: else the server would close the connection behind the refusal, and
/// a client that keeps connections may have sent its next request into it by then.
pub(crate) async fn drain(body: Body) {
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
pub(crate) fn header_text(headers: &HeaderMap, name: &str, longest: usize) -> Option<String> {
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
            .map(|(m, p, _, _)| ((*m).to_owned(), (*p).to_owned()))
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
