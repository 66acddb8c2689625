//! `Idempotency-Key`: a request that is sent again takes effect once.

use std::panic::resume_unwind;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use wharf_domain::idempotency::{Claim, Claimed, StoredAnswer};
use wharf_engine::{Caller, EngineError, RepeatableRequest};

use crate::ApiState;
use crate::authorization::{drain, repeatable};
use crate::body;
use crate::error::ApiError;
use crate::scope::NAMESPACE_HEADER;

/// The header that names a request.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key.
const LONGEST: usize = 255;
/// Bytes of an answer that is kept.
const KEPT: usize = 64 * 1024;
/// Parts of paths whose answers may show a secret, once; these are never kept.
const SECRETS: [&str; 2] = ["/api-keys", "/webhooks"];

/// Claims a request's key before its handler runs, and keeps the answer.
pub(crate) async fn once(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let applies = path.is_some_and(|path| repeatable(request.method().as_str(), path));
    let caller = request.extensions().get::<Caller>().cloned();
    let (true, true, Some(mut caller)) = (request.headers().contains_key(HEADER), applies, caller)
    else {
        return Ok(next.run(request).await);
    };
    let keeps = path.is_some_and(|path| !SECRETS.iter().any(|part| path.contains(part)));
    let Some(key) = read(request.headers()) else {
        drain(request.into_body()).await;
        return Err(ApiError::idempotency_key_malformed(LONGEST));
    };
    let (mut parts, body) = request.into_parts();
    let body = body::whole(&parts.headers, body).await?;
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let of_header = |name: &str| {
        parts
            .headers
            .get(name)
            .map_or(&[][..], HeaderValue::as_bytes)
    };
    let claimed = state
        .engine()
        .claim_request(
            &caller,
            &RepeatableRequest {
                key: &key,
                method: parts.method.as_str(),
                target,
                headers: &[
                    of_header(CONTENT_TYPE.as_str()),
                    of_header(NAMESPACE_HEADER),
                ],
                body: &body,
            },
        )
        .await?;
    let claim = match claimed {
        Claimed::Granted(claim) => claim,
        Claimed::Answered(answer) => return Ok(replayed(answer)),
        Claimed::Running => return Err(ApiError::idempotency_in_progress()),
        Claimed::OtherRequest => return Err(ApiError::idempotency_key_reused()),
        Claimed::TookEffect {
            resource_type,
            resource_id,
        } => {
            return Err(ApiError::idempotency_effect_done(
                resource_type,
                &resource_id,
            ));
        }
    };
    caller.origin.claim = Some(claim.clone());
    parts.extensions.insert(caller.clone());
    let request = Request::from_parts(parts, Body::from(Bytes::from_owner(body)));
    let work = async move {
        let response = next.run(request).await;
        settle(&state, &caller, &claim, response, keeps).await
    };
    // It goes on when its client goes away: the answer is there for the one who asks again.
    match tokio::spawn(work.in_current_span()).await {
        Ok(response) => Ok(response),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(ApiError::internal()),
        },
    }
}

/// The key, if it stands there once and has a form that can be one.
fn read(headers: &HeaderMap) -> Option<String> {
    let mut given = headers.get_all(HEADER).iter();
    let key = given.next()?.as_bytes();
    let sound = given.next().is_none()
        && (1..=LONGEST).contains(&key.len())
        && key.iter().all(u8::is_ascii_graphic);
    sound.then(|| String::from_utf8_lossy(key).into_owned())
}

fn replayed(answer: StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (REPLAYED, HeaderValue::from_static("true")),
    ];
    (status, headers, answer.body).into_response()
}

/// Keeps an answer that may be given again; gives the key back where there is none and nothing took effect.
async fn settle(
    state: &ApiState,
    caller: &Caller,
    claim: &Claim,
    response: Response,
    keeps: bool,
) -> Response {
    let json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !(keeps && json && response.status().is_success()) {
        noted(state.engine().release_claim(caller, claim).await);
        return response;
    }
    let (parts, body) = response.into_parts();
    // Answers in JSON are whole already.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return ApiError::internal().into_response();
    };
    let text = std::str::from_utf8(&bytes)
        .ok()
        .filter(|text| text.len() <= KEPT);
    let settled = match text {
        Some(text) => {
            let answer = StoredAnswer {
                status: parts.status.as_u16(),
                body: text.to_owned(),
            };
            state.engine().keep_answer(caller, claim, answer).await
        }
        None => state.engine().release_claim(caller, claim).await,
    };
    noted(settled);
    Response::from_parts(parts, Body::from(bytes))
}

/// What the request did stands, whether or not its claim could be settled.
fn noted(settled: Result<(), EngineError>) {
    if let Err(error) = settled {
        tracing::warn!(%error, "the claim of a request could not be settled");
    }
}
