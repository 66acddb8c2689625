use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::{Provider, UnknownProvider};
use wharf_domain::setup::{Grant, SetupDocument, SetupFormat};
use wharf_engine::{Setup, SetupWish};

use crate::ApiState;
use crate::error::{ApiError, Part};
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// What the other side must grant so that connections of a provider work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SetupKit)]
pub(crate) struct SetupView {
    /// Which provider it is for.
    #[schema(value_type = String)]
    provider_type: Provider,
    /// The external id that Wharf issued to this organization: `credentials.external_id` of every `iam_role` connection, and
    /// a condition of the role's trust policy. `null` for providers without roles.
    external_id: Option<String>,
    /// Who Wharf comes as when it assumes a role; `null` when this server has no identity of its own.
    principal: Option<String>,
    /// What a person does, in order.
    steps: Vec<String>,
    /// The least that must be granted.
    grants: Vec<GrantView>,
    /// The same, ready to be applied at the provider.
    documents: Vec<DocumentView>,
}

/// One permission.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SetupGrant)]
pub(crate) struct GrantView {
    /// The provider's name of it, such as `s3:GetObject`.
    action: String,
    /// What it is granted on.
    resource: String,
    /// What Wharf needs it for.
    purpose: String,
    /// Whether connections work without it.
    optional: bool,
}

/// A document that can be applied as it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SetupDocument)]
pub(crate) struct DocumentView {
    /// Such as `permission_policy` or `trust_policy`.
    name: String,
    /// `json`, `terraform`, `sql` or `text`.
    #[schema(value_type = String)]
    format: &'static str,
    /// What it is for and where it goes.
    purpose: String,
    /// A JSON document as it is, any other as a text.
    #[schema(value_type = Value)]
    content: Value,
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        Self {
            action: grant.action,
            resource: grant.resource,
            purpose: grant.purpose,
            optional: grant.optional,
        }
    }
}

impl From<SetupDocument> for DocumentView {
    fn from(document: SetupDocument) -> Self {
        let parsed = (document.format == SetupFormat::Json)
            .then(|| serde_json::from_str(&document.content).ok())
            .flatten();
        Self {
            name: document.name.to_owned(),
            format: document.format.as_str(),
            purpose: document.purpose,
            content: parsed.unwrap_or(Value::String(document.content)),
        }
    }
}

/// Get the setup kit of a provider
///
/// What the other side must grant, the least of it, for a bucket and prefix or for the connection at hand. For providers with
/// roles it tells the external id that Wharf issued to this organization; the first call issues it.
#[utoipa::path(
    get,
    path = "/v1/organizations/setup/{provider_type}",
    operation_id = "get_setup_kit",
    tag = "connections",
    params(
        ("provider_type" = String, Path, description = "Such as `s3` or `tigris`."),
        ("connection" = Option<String>, Query, description = "The connection at hand, by identifier or name."),
        ("source_path" = Option<String>, Query, description = "What a sync would read, such as `bucket/prefix`."),
        ("format" = Option<String>, Query, description = "`json` (everything, the default), or one document alone as `terraform`, `sql` or `text`."),
    ),
    responses((status = 200, description = "The kit.", content(
        (SetupView = "application/json"),
        (String = "text/plain"),
    ))),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(provider): Segments<String>,
    mut query: Query,
) -> Result<Response, ApiError> {
    let provider: Provider = provider.parse().map_err(|unknown: UnknownProvider| {
        let error = InvalidInput::one("provider_type", "enum", unknown.to_string());
        ApiError::invalid(Part::Path, &error)
    })?;
    query.only(&["connection", "source_path", "format"]);
    let wish = SetupWish {
        connection: query.string("connection", 200),
        source_path: query.string("source_path", 2048),
    };
    let format = match query.string("format", 40) {
        None => SetupFormat::Json,
        Some(word) => SetupFormat::parse(&word).unwrap_or_else(|| {
            query.reject("format", "enum", "must be json, terraform, sql or text");
            SetupFormat::Json
        }),
    };
    query.finish()?;
    let setup = state
        .engine()
        .setup(&caller, provider, wish)
        .await
        .map_err(ApiError::of_query)?;
    if format == SetupFormat::Json {
        return Ok(Json(view(provider, setup)).into_response());
    }
    let text = if format == SetupFormat::Text {
        Some(as_text(&setup))
    } else {
        let mut documents = setup.kit.documents.into_iter();
        documents
            .find(|document| document.format == format)
            .map(|document| document.content)
    };
    let Some(text) = text else {
        let message =
            format!("there is no such document for {provider}; json and text are always there");
        let error = InvalidInput::one("format", "unsupported", message);
        return Err(ApiError::invalid(Part::Query, &error));
    };
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, text).into_response())
}

fn view(provider: Provider, Setup { external_id, kit }: Setup) -> SetupView {
    SetupView {
        provider_type: provider,
        external_id: external_id.map(String::from),
        principal: kit.principal,
        steps: kit.steps,
        grants: kit.grants.into_iter().map(GrantView::from).collect(),
        documents: kit.documents.into_iter().map(DocumentView::from).collect(),
    }
}

/// The steps, numbered, and the documents below them.
fn as_text(setup: &Setup) -> String {
    let steps = (1..)
        .zip(&setup.kit.steps)
        .map(|(number, step)| format!("{number}. {step}\n"));
    // A text would only say the steps again.
    let documents = setup.kit.documents.iter();
    let documents = documents.filter(|document| document.format != SetupFormat::Text);
    let documents = documents.map(|document| {
        let content = document.content.trim_end();
        format!("\n--- {}: {}\n{content}\n", document.name, document.purpose)
    });
    steps.chain(documents).collect()
}
