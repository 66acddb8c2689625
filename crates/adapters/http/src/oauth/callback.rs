use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::connection::Connection;
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{Provider, UnknownProvider};
use wharf_domain::secret::SecretString;
use wharf_engine::{ConsentAnswered, EngineError, Visitor};

use super::page;
use crate::ApiState;
use crate::authorization::header_text;
use crate::error::{ApiError, Part};
use crate::network::Peer;
use crate::path::Segments;
use crate::query::Query;

/// A consent that was given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsentResponse)]
pub(crate) struct FinishedConsent {
    message: &'static str,
    /// The connection that was made, or has its new credentials.
    connection_id: String,
    name: String,
}

/// The provider that a path names.
pub(super) fn provider_of(word: &str) -> Result<Provider, ApiError> {
    word.parse().map_err(|unknown: UnknownProvider| {
        let error = InvalidInput::one("provider_type", "enum", unknown.to_string());
        ApiError::invalid(Part::Path, &error)
    })
}

/// Finish a consent
///
/// Where the provider sends the person's browser; it carries no API key. The state stands for whoever began the consent and is good
/// once, for ten minutes. Answers a page, or JSON where `Accept` asks for it.
#[utoipa::path(
    get,
    path = "/v1/oauth/{provider_type}/callback",
    operation_id = "finish_consent",
    tag = "connections",
    params(
        ("provider_type" = String, Path, description = "`google_drive`."),
        ("state" = String, Query, max_length = 200, description = "As the consent began with it."),
        ("code" = Option<String>, Query, max_length = 4096, description = "What the provider gives for the consent."),
        ("error" = Option<String>, Query, max_length = 100, description = "The provider's word for why there is no code."),
    ),
    responses((status = 200, description = "The connection works with the consent.", content(
        (String = "text/html"),
        (FinishedConsent = "application/json"),
    ))),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn callback(
    State(state): State<ApiState>,
    method: Method,
    Segments(provider): Segments<String>,
    Peer(peer): Peer,
    headers: HeaderMap,
    query: Query,
) -> Response {
    let answer = if method == Method::HEAD {
        // Who only looks must not use the consent up.
        Err(ApiError::wrong_method(&method, query.path()))
    } else {
        let visitor = Visitor {
            ip_address: peer.map(|address| address.to_string()),
            user_agent: header_text(&headers, "user-agent", 256),
        };
        match finish(&state, &provider, visitor, query).await {
            Err(Refusal::Unknown(error)) => Err(state.count_guess(peer).err().unwrap_or(error)),
            Err(Refusal::Other(error)) => Err(error),
            Ok(connection) => Ok(connection),
        }
    };
    if page::wanted(&headers) {
        return page::told(answer);
    }
    let answer = answer.map(|connection| {
        Json(FinishedConsent {
            message: page::SUCCESS,
            connection_id: connection.id.to_string(),
            name: connection.name.as_str().to_owned(),
        })
    });
    page::sealed_off(answer.into_response())
}

/// Why a consent was not finished.
enum Refusal {
    /// The state stands for none; may be a guess.
    Unknown(ApiError),
    Other(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

async fn finish(
    state: &ApiState,
    provider: &str,
    visitor: Visitor,
    mut query: Query,
) -> Result<Connection, Refusal> {
    let provider = provider_of(provider)?;
    let word = query.text("state", 200).map(SecretString::new);
    let code = query.text("code", 4096).map(SecretString::new);
    let refused = query.string("error", 100);
    if !query.has("state") {
        query.reject("state", "missing", "is required");
    }
    if !query.has("code") && !query.has("error") {
        query.reject("code", "missing", "is required where there is no error");
    }
    query.finish()?;
    let answered = refused.map(ConsentAnswered::Refused);
    let answered = answered.or(code.map(ConsentAnswered::Code));
    let (Some(word), Some(answered)) = (word, answered) else {
        let error = InvalidInput::one("state", "missing", "is required");
        return Err(ApiError::invalid(Part::Query, &error).into());
    };
    let finished = state
        .engine()
        .finish_consent(provider, &word, answered, visitor);
    finished.await.map_err(|error| match &error {
        EngineError::Conflict { code, .. } if *code == "consent_unknown" => {
            Refusal::Unknown(error.into())
        }
        _ => Refusal::Other(error.into()),
    })
}
