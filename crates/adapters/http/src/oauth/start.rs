use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wharf_domain::connection::ConnectionName;
use wharf_domain::input::{Length, Reader};
use wharf_engine::{BeginConsent, BegunConsent, ConsentClientFields, ConsentGoal};

use super::callback::provider_of;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::scope::Authorized;

/// A consent to be asked for: for a new connection, which has a `name`, or for a `connection` there is, which gets a new grant.
#[derive(ToSchema)]
#[schema(as = ConsentStartRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct StartConsentRequest {
    /// The identifier of your own application at the provider.
    #[schema(min_length = 1, max_length = 256)]
    client_id: String,
    /// Its secret.
    #[schema(min_length = 1, max_length = 8192)]
    client_secret: String,
    /// An OAuth connection, by identifier or name.
    #[schema(min_length = 1, max_length = 200)]
    connection: Option<String>,
    /// The name of a new connection.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// The shared drive to read.
    #[schema(min_length = 1, max_length = 256)]
    shared_drive_id: Option<String>,
    /// Whether the new connection must pass a test before it is saved.
    #[schema(default = true)]
    test_before_save: Option<bool>,
}

/// A consent that can be given now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsentStartResponse)]
pub(crate) struct StartedConsent {
    /// Open it in a browser, as the person whose files are to be read. It is good once.
    authorization_url: String,
    /// Until when the consent can be finished.
    #[serde(serialize_with = "crate::time::rfc3339")]
    expires_at: DateTime<Utc>,
    /// What must stand among the redirect URIs of your application at the provider.
    redirect_uri: String,
}

impl From<BegunConsent> for StartedConsent {
    fn from(begun: BegunConsent) -> Self {
        Self {
            authorization_url: begun.authorization_url,
            expires_at: begun.expires_at,
            redirect_uri: begun.redirect_uri,
        }
    }
}

impl StartConsentRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<(ConsentClientFields, ConsentGoal)> {
        let id = reader.required_string("client_id", Length::new(1, 256));
        let secret = reader.required_secret("client_secret", Length::new(1, 8192));
        let connection = reader.string("connection", Length::new(1, 200));
        let name = reader.string("name", Length::new(0, 1000));
        let description = fields::description(reader).filter(|text| !text.is_empty());
        let metadata = fields::metadata(reader);
        let drive = reader.string("shared_drive_id", Length::new(1, 256));
        let test_before_save = reader.boolean("test_before_save");
        let goal = match (connection, name) {
            (None, None) => {
                let message =
                    "is required for a new connection; for one there is, give connection instead";
                reader.reject("name", "missing", message);
                None
            }
            (Some(connection), None) => {
                let of_new_ones = [
                    ("description", description.is_some()),
                    ("metadata", metadata.is_some()),
                    ("shared_drive_id", drive.is_some()),
                    ("test_before_save", test_before_save.is_some()),
                ];
                for (field, _) in of_new_ones.into_iter().filter(|(_, given)| *given) {
                    let message = "is for new connections; change a connection there is with PATCH";
                    reader.reject(field, "conflict", message);
                }
                Some(ConsentGoal::Connection(connection))
            }
            (Some(_), Some(_)) => {
                let message = "stands beside name; give name for a new connection, or connection for one there is";
                reader.reject("connection", "conflict", message);
                None
            }
            (None, Some(name)) => fields::noted(reader, ConnectionName::parse(&name)).map(|name| {
                let drive = drive.map(|drive| ("shared_drive_id".to_owned(), json!(drive)));
                ConsentGoal::New {
                    name,
                    description,
                    metadata: metadata.unwrap_or_default(),
                    settings: drive.into_iter().collect(),
                    test_before_save: test_before_save.unwrap_or(true),
                }
            }),
        };
        let client = ConsentClientFields {
            id: id?,
            secret: secret?,
        };
        Some((client, goal?))
    }
}

/// Begin a consent
///
/// For providers with a consent flow, which is `google_drive`. The person who opens `authorization_url` is asked by the provider
/// whether your application may read their files, and sent back to this server, which then makes the connection, or gives the one
/// there is its new credentials, as if the caller of this operation had sent them: tested first, and only if they still may.
#[utoipa::path(
    post,
    path = "/v1/oauth/{provider_type}/start",
    operation_id = "start_consent",
    tag = "connections",
    params(("provider_type" = String, Path, description = "`google_drive`.")),
    request_body = StartConsentRequest,
    responses((status = 200, description = "The consent that can be given now.", body = StartedConsent)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn start(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(provider): Segments<String>,
    body: Body,
) -> Result<Json<StartedConsent>, ApiError> {
    let provider = provider_of(&provider)?;
    let (client, goal) = body.read_whole(StartConsentRequest::parse)?;
    // The test comes later, when nobody can be told to wait.
    if !matches!(
        goal,
        ConsentGoal::New {
            test_before_save: false,
            ..
        }
    ) {
        state.count_test(&caller, None)?;
    }
    let wish = BeginConsent {
        provider,
        client,
        goal,
    };
    let begun = state.engine().begin_consent(&caller, wish).await?;
    Ok(Json(begun.into()))
}
