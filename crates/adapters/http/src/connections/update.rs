use axum::extract::State;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wharf_domain::connection::{ConnectionName, PublicStatus};
use wharf_domain::input::{Length, Reader};
use wharf_engine::{ConfigFields, UpdateConnection};

use super::list::STATUSES;
use super::view::ConnectionView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::revision::{IfMatch, Revised};
use crate::scope::Authorized;

/// A change of a connection. What is left out, or null, stays as it is.
#[derive(ToSchema)]
#[schema(as = StorageConnectionUpdateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct UpdateConnectionRequest {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// An empty one clears it.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Replaces all key-value pairs; `{}` clears them.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// `ACTIVE`, `SUSPENDED` or `ARCHIVED`, in any letter case. A return to `ACTIVE` must pass a test.
    #[schema(inline)]
    status: Option<crate::words::ConnectionWish>,
    /// Must agree with `status` if both are given.
    is_active: Option<bool>,
    /// Whether exports may write through it.
    write_enabled: Option<bool>,
    /// Replaces the configuration, after a test. Secrets that are left out are kept while the type of the credentials
    /// and the host and account that they are sent to stay the same.
    #[schema(value_type = Option<Object>)]
    provider_config: Option<Map<String, Value>>,
}

impl UpdateConnectionRequest {
    pub(crate) fn parse(reader: &mut Reader) -> UpdateConnection {
        let name = reader.string("name", Length::new(0, 1000));
        UpdateConnection {
            if_revision: None,
            name: name.and_then(|name| fields::noted(reader, ConnectionName::parse(&name))),
            description: fields::description(reader),
            metadata: fields::metadata(reader),
            status: fields::word(reader, "status", PublicStatus::parse, STATUSES),
            is_active: reader.boolean("is_active"),
            write_enabled: reader.boolean("write_enabled"),
            provider_config: reader.object("provider_config").map(ConfigFields::new),
            by_consent: false,
        }
    }
}

/// Change a connection
///
/// A new configuration and a return to `ACTIVE` are tested first; when the test fails, nothing is changed.
#[utoipa::path(
    patch,
    path = "/v1/organizations/connections/{connection_identifier}",
    operation_id = "update_storage_connection_organizations",
    tag = "connections",
    params(("connection_identifier" = String, Path, description = "Identifier or name.")),
    request_body = Option<UpdateConnectionRequest>,
    responses((status = 200, description = "The changed connection.", body = ConnectionView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    IfMatch(if_revision): IfMatch,
    body: Body,
) -> Result<Revised<ConnectionView>, ApiError> {
    let mut update = body.read(UpdateConnectionRequest::parse)?;
    update.if_revision = if_revision;
    let activates = update.status == Some(PublicStatus::Active) || update.is_active == Some(true);
    if activates || update.provider_config.is_some() {
        let connection = state.engine().connection(&caller, &identifier).await?;
        if update.provider_config.is_some() || !connection.is_active() {
            state.count_test(&caller, Some(&connection))?;
        }
    }
    let connection = state
        .engine()
        .update_connection(&caller, &identifier, update)
        .await?;
    Ok(Revised(connection.revision, connection.into()))
}
