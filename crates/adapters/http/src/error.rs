//! The one place where errors become HTTP answers: always the envelope, in our own words, without anything secret.

use std::any::Any;
use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use axum::Json;
use axum::extract::MatchedPath;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::access::Permission;
use wharf_domain::audit::ResourceType;
use wharf_domain::input::{FieldError, InvalidInput};
use wharf_engine::EngineError;

use crate::check_report::TestDetails;
use crate::cors;
use crate::rates::{Standing, seconds};

/// Seconds after which a call may be tried again when a part of Wharf is away.
const RETRY_AFTER: u32 = 2;
/// The same when a provider is throttling or away.
const RETRY_TEST_AFTER: u32 = 30;
/// The same when all streams of events are taken.
const RETRY_STREAM_AFTER: u32 = 10;

/// What every failed call answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorResponse {
    /// Always `false`.
    success: bool,
    /// The HTTP status again.
    status: u16,
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// For a person: what is wrong and what would help.
    pub(crate) message: String,
    /// The kind of error, such as `ValidationError` or `NotFoundError`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub(crate) kind: &'static str,
    /// A stable word for what exactly happened, where there are several possibilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<&'static str>,
    /// Facts for a program: `validation_errors`, `resource` and `id`, or the checks of a connection test.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) details: Option<Value>,
}

/// Which part of a request is invalid; the first element of a location.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Body,
    Query,
    Path,
    Header,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Query => "query",
            Self::Path => "path",
            Self::Header => "header",
        }
    }
}

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Answer>);

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    error: ErrorDetail,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let error = ErrorDetail {
            message: message.into(),
            kind,
            code: None,
            details: None,
        };
        Self(Box::new(Answer {
            status,
            error,
            headers: Vec::new(),
        }))
    }

    fn code(mut self, code: &'static str) -> Self {
        self.0.error.code = Some(code);
        self
    }

    fn details(mut self, details: Value) -> Self {
        self.0.error.details = Some(details);
        self
    }

    pub(crate) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// What is left of the body is not read: the connection ends with the answer, and the client is told so.
    fn and_close(self) -> Self {
        self.header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestError", message)
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "The API key is missing, unknown, expired or revoked; send a valid one as `Authorization: Bearer sk_…`.";
        Self::new(StatusCode::UNAUTHORIZED, "UnauthorizedError", message)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn forbidden(required: Permission, granted: Permission) -> Self {
        let message = format!(
            "This needs an API key with the permission {required}; the key that was sent has {granted}."
        );
        Self::new(StatusCode::FORBIDDEN, "ForbiddenError", message)
            .details(json!({"required": required.as_str(), "granted": granted.as_str()}))
    }

    pub(crate) fn not_found(message: impl Into<String>, resource: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFoundError", message)
            .details(json!({"resource": resource, "id": id}))
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = format!("The body has more than {limit} bytes; send less.");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PayloadTooLargeError",
            message,
        )
        .and_close()
    }

    pub(crate) fn body_too_slow(limit: Duration) -> Self {
        let message = format!(
            "The body did not arrive within {} seconds; send it again.",
            limit.as_secs()
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutError", message).and_close()
    }

    pub(crate) fn head_too_large(headers: usize, bytes: usize) -> Self {
        let message = format!(
            "The request's head has more than {headers} headers or {bytes} bytes; send less."
        );
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "RequestHeaderFieldsTooLargeError",
            message,
        )
    }

    pub(crate) fn target_too_long(limit: usize) -> Self {
        let message = format!("The path and query have more than {limit} bytes; send less.");
        Self::new(StatusCode::URI_TOO_LONG, "UriTooLongError", message)
    }

    pub(crate) fn not_json() -> Self {
        let message = "The body must be JSON; send it with `Content-Type: application/json`.";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaTypeError",
            message,
        )
    }

    pub(crate) fn unsatisfiable_range(size: u64) -> Self {
        let message = format!("The range lies outside the object, which has {size} bytes.");
        let content_range =
            HeaderValue::try_from(format!("bytes */{size}")).expect("digits make a header value");
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "RangeNotSatisfiableError",
            message,
        )
        .header(header::CONTENT_RANGE, content_range)
    }

    pub(crate) fn invalid(part: Part, errors: &InvalidInput) -> Self {
        let listed: Vec<Value> = errors
            .0
            .iter()
            .take(MOST_LISTED)
            .map(|error| validation_error(part, error))
            .collect();
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "ValidationError",
            summary(part, errors),
        )
        .details(json!({"validation_errors": listed}))
    }

    /// The same as an error of the engine, but what was invalid stood in the query.
    pub(crate) fn of_query(error: EngineError) -> Self {
        match error {
            EngineError::Invalid(errors) => Self::invalid(Part::Query, &errors),
            other => other.into(),
        }
    }

    fn unavailable(message: impl Into<String>, retry_after: u32) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableError",
            message,
        )
        .header(header::RETRY_AFTER, HeaderValue::from(retry_after))
    }

    pub(crate) fn too_many_streams() -> Self {
        let message =
            "Too many jobs are followed at the moment. Try again, or get the job now and then.";
        Self::unavailable(message, RETRY_STREAM_AFTER).code("too_many_streams")
    }

    pub(crate) fn too_many_requests(standing: &Standing) -> Self {
        let wait = seconds(standing.wait).max(1);
        let message = format!(
            "Too many requests: the limit is {} per minute. Try again in {wait} seconds.",
            standing.limit
        );
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsError",
            message,
        )
        .code("rate_limited")
        .details(json!({"retry_after_seconds": wait}))
        .header(header::RETRY_AFTER, HeaderValue::from(wait))
    }

    pub(crate) fn origin_not_allowed() -> Self {
        let message = "This API key may not be used from the origin that the request comes from; an admin can add it to the \
                       key's allowed_origins.";
        Self::new(StatusCode::FORBIDDEN, "ForbiddenError", message).code("origin_not_allowed")
    }

    pub(crate) fn idempotency_key_malformed(longest: usize) -> Self {
        let message = format!(
            "Idempotency-Key must be given once, with 1 to {longest} visible ASCII characters."
        );
        Self::bad_request(message).code("idempotency_key_malformed")
    }

    pub(crate) fn idempotency_key_reused() -> Self {
        let message = "was used for another request; choose a fresh one for each";
        let mistake = FieldError::new("Idempotency-Key", "idempotency_key_reused", message);
        Self::invalid(Part::Header, &InvalidInput(vec![mistake])).code("idempotency_key_reused")
    }

    pub(crate) fn idempotency_in_progress() -> Self {
        let message = "The first request with this Idempotency-Key is still at work; ask again.";
        Self::new(StatusCode::CONFLICT, "ConflictError", message)
            .code("idempotency_in_progress")
            .header(header::RETRY_AFTER, HeaderValue::from(1))
    }

    pub(crate) fn idempotency_effect_done(resource: ResourceType, id: &str) -> Self {
        let message = "A request with this Idempotency-Key took effect, but its answer is not kept; look at the resource.";
        Self::new(StatusCode::CONFLICT, "ConflictError", message)
            .code("idempotency_effect_done")
            .details(json!({"resource_type": resource.as_str(), "resource_id": id}))
    }

    pub(crate) fn wrong_method(method: &Method, path: &str) -> Self {
        let message = format!("{path} does not answer this method; see /openapi.json.");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowedError",
            message,
        )
        .details(json!({"method": method.as_str()}))
    }

    pub(crate) fn internal() -> Self {
        let message = "Something went wrong inside Wharf. Try again; if it goes on, tell the operator the `x-request-id` \
                       of this answer.";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            message,
        )
    }
}

fn validation_error(part: Part, error: &FieldError) -> Value {
    let location: Vec<String> = std::iter::once(part.as_str())
        .chain(error.location.iter().map(String::as_str))
        .map(shortened)
        .collect();
    json!({"type": error.kind, "location": location, "message": error.message})
}

/// Mistakes that one answer lists; the message tells how many more there are.
const MOST_LISTED: usize = 50;

/// A key that somebody sent, cut where it could be used to make an answer large.
fn shortened(key: &str) -> String {
    const LONGEST: usize = 64;
    match key.char_indices().nth(LONGEST) {
        None => key.to_owned(),
        Some((end, _)) => format!("{}…", &key[..end]),
    }
}

/// The first mistakes in one sentence, since some clients show the message only.
fn summary(part: Part, errors: &InvalidInput) -> String {
    const SHOWN: usize = 3;
    let mut text = format!("The request's {} is invalid: ", part.as_str());
    for (i, error) in errors.0.iter().take(SHOWN).enumerate() {
        let separator = if i == 0 { "" } else { "; " };
        let path = error
            .location
            .iter()
            .map(|key| shortened(key))
            .collect::<Vec<_>>()
            .join(".");
        let colon = if path.is_empty() { "" } else { ": " };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{path}{colon}{}", error.message);
    }
    if errors.0.len() > SHOWN {
        let _ = write!(text, "; and {} more", errors.0.len() - SHOWN);
    }
    text
}

impl From<InvalidInput> for ApiError {
    fn from(errors: InvalidInput) -> Self {
        Self::invalid(Part::Body, &errors)
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NotFound { resource, id } => {
                let message = format!(
                    "There is no such {resource}; check its identifier{}.",
                    where_to_look(resource)
                );
                Self::not_found(message, resource, &id)
            }
            EngineError::Invalid(errors) => errors.into(),
            EngineError::Conflict { code, message } => {
                let taken = code.ends_with("_taken") || code.ends_with("_exists");
                let kind = if taken {
                    "AlreadyExistsError"
                } else {
                    "ConflictError"
                };
                Self::new(StatusCode::CONFLICT, kind, message).code(code)
            }
            EngineError::RevisionMismatch { resource, current } => {
                let message = format!(
                    "The {resource} has revision {current} by now, which is not the one in If-Match; read it again and \
                     repeat the change."
                );
                Self::new(
                    StatusCode::PRECONDITION_FAILED,
                    "PreconditionFailedError",
                    message,
                )
                .code("revision_mismatch")
                .details(json!({"current_revision": current}))
            }
            EngineError::ConnectionTestFailed(report) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "ValidationError",
                report.message(),
            )
            .code("connection_test_failed")
            .details(json!(TestDetails::from(&report))),
            EngineError::ConnectionTestUnavailable(report) => {
                Self::unavailable(report.message(), RETRY_TEST_AFTER)
                    .code("connection_test_unavailable")
                    .details(json!(TestDetails::from(&report)))
            }
            EngineError::CredentialsReentryRequired { fields, why } => {
                let mistakes = fields
                    .iter()
                    .map(|field| FieldError::new(field, "credentials_reentry_required", &why));
                Self::invalid(Part::Body, &InvalidInput(mistakes.collect()))
                    .code("credentials_reentry_required")
            }
            EngineError::NotSupported(message) => Self::bad_request(message),
            EngineError::ScopeDenied { resource, id } => {
                let message = format!(
                    "The scopes of the API key do not cover this {resource}; use a key that is scoped to it, or to what it belongs to."
                );
                Self::new(StatusCode::FORBIDDEN, "ForbiddenError", message)
                    .code("scope_denied")
                    .details(json!({"resource": resource, "id": id}))
            }
            EngineError::Forbidden { code, message } => {
                Self::new(StatusCode::FORBIDDEN, "ForbiddenError", message).code(code)
            }
            EngineError::Unauthenticated => Self::unauthorized(),
            EngineError::ProviderAway {
                code,
                message,
                after,
            } => {
                let what = message.trim_end_matches('.');
                let message = format!(
                    "The provider could not be asked ({code}): {what}. {}",
                    code.remedy()
                );
                let after = after.map_or(RETRY_AFTER, |after| {
                    u32::try_from(after.as_secs()).unwrap_or(u32::MAX).max(1)
                });
                Self::unavailable(message, after).code(code.as_str())
            }
            EngineError::Unavailable { what, source } => {
                let source = source.map(|source| chain(&*source)).unwrap_or_default();
                tracing::warn!(what, source, "a part of Wharf is not available");
                let message = format!("Wharf cannot reach {what}; nothing was changed. Try again.");
                Self::unavailable(message, RETRY_AFTER)
            }
            EngineError::Internal(source) => {
                tracing::error!(source = chain(&*source), "a request failed inside Wharf");
                Self::internal()
            }
        }
    }
}

fn where_to_look(resource: &str) -> &'static str {
    match resource {
        "bucket" | "object" | "sync" | "sync job" => {
            ", the namespace in X-Namespace and the API key's organization"
        }
        _ => " and the API key's organization",
    }
}

/// An error with its causes, for the log.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Answer {
            status,
            error,
            headers,
        } = *self.0;
        let envelope = ErrorResponse {
            success: false,
            status: status.as_u16(),
            error: error.clone(),
        };
        let mut response = (status, Json(envelope)).into_response();
        // For those who want it told otherwise.
        response.extensions_mut().insert(error);
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Answers paths that are no route.
pub(crate) async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::not_found(
        "There is no such route; see /openapi.json.",
        "route",
        uri.path(),
    )
}

/// Answers methods that a route does not have, and browsers that ask beforehand.
pub(crate) async fn wrong_method(
    method: Method,
    uri: Uri,
    path: Option<MatchedPath>,
    headers: HeaderMap,
) -> Response {
    let asked = path.and_then(|path| cors::preflight(&method, path.as_str(), &headers));
    if let Some(answer) = asked {
        return answer;
    }
    ApiError::wrong_method(&method, uri.path()).into_response()
}

/// Answers when a handler panicked. What the panic said stays out of the answer and of this log line: it may hold
/// anything.
pub(crate) fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::internal().into_response()
}
