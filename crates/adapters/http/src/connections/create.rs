use axum::extract::State;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wharf_domain::connection::ConnectionName;
use wharf_domain::input::{Length, Reader};
use wharf_domain::provider::{Provider, parse_new};
use wharf_engine::{ConfigFields, CreateConnection};

use super::view::ConnectionView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::revision::Revised;
use crate::scope::Authorized;

/// A new connection.
#[derive(ToSchema)]
#[schema(as = StorageConnectionCreateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct CreateConnectionRequest {
    /// Unique among the organization's connections that are not archived; must not start with `conn_`.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `google_drive`, `s3`, `snowflake`, `sharepoint` or `tigris`.
    #[schema(pattern = "^(google_drive|s3|snowflake|sharepoint|tigris)$")]
    provider_type: String,
    /// The provider's settings, with its `credentials`. Secrets are sealed and never shown again.
    #[schema(value_type = Object)]
    provider_config: Map<String, Value>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Whether exports may write through it.
    #[schema(default = false)]
    write_enabled: Option<bool>,
    /// Whether it must pass a test before it is saved.
    #[schema(default = true)]
    test_before_save: Option<bool>,
}

impl CreateConnectionRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<CreateConnection> {
        let name = reader.required_string("name", Length::new(0, 1000));
        let name = name.and_then(|name| fields::noted(reader, ConnectionName::parse(&name)));
        let provider = reader.required_string("provider_type", Length::new(0, 100));
        let provider = provider.and_then(|word| {
            let parsed = word.parse::<Provider>();
            parsed
                .map_err(|unknown| reader.reject("provider_type", "enum", unknown.to_string()))
                .ok()
        });
        let config = reader
            .require("provider_config")
            .then(|| reader.object("provider_config"))
            .flatten();
        let provider_config = match (provider, config) {
            (Some(provider), Some(config)) => {
                fields::noted(reader, parse_new(provider, config, "provider_config"))
            }
            (None, Some(config)) => {
                // Nobody can read it without the provider; it wipes itself.
                drop(ConfigFields::new(config));
                None
            }
            (_, None) => None,
        };
        let description = fields::description(reader).filter(|text| !text.is_empty());
        let metadata = fields::metadata(reader).unwrap_or_default();
        let write_enabled = reader.boolean("write_enabled").unwrap_or(false);
        let test_before_save = reader.boolean("test_before_save").unwrap_or(true);
        Some(CreateConnection {
            name: name?,
            description,
            provider_config: provider_config?,
            metadata,
            write_enabled,
            test_before_save,
            by_consent: false,
        })
    }
}

/// Create a connection
///
/// Tests it first, unless told not to; a connection that fails its test is not saved. The credentials are sealed and
/// never shown again.
#[utoipa::path(
    post,
    path = "/v1/organizations/connections",
    operation_id = "create_storage_connection_organizations",
    tag = "connections",
    request_body = CreateConnectionRequest,
    responses((status = 200, description = "The stored connection.", body = ConnectionView)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    body: Body,
) -> Result<Revised<ConnectionView>, ApiError> {
    let new = body.read_whole(CreateConnectionRequest::parse)?;
    if new.test_before_save {
        state.count_test(&caller, None)?;
    }
    let connection = state.engine().create_connection(&caller, new).await?;
    Ok(Revised(connection.revision, connection.into()))
}
