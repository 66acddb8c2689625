use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::audit::AuditSettings;
use wharf_domain::input::Reader;

use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::scope::Authorized;

/// What the organization wants of its audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditSettings)]
pub(crate) struct SettingsView {
    /// Whether reads of connections, namespaces and buckets leave rows, too.
    read_auditing_enabled: bool,
}

impl From<AuditSettings> for SettingsView {
    fn from(settings: AuditSettings) -> Self {
        Self {
            read_auditing_enabled: settings.read_auditing_enabled,
        }
    }
}

/// What is to be different.
#[derive(ToSchema)]
#[schema(as = AuditSettingsUpdateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct UpdateSettingsRequest {
    /// Whether reads of connections, namespaces and buckets leave rows, too.
    read_auditing_enabled: Option<bool>,
}

impl UpdateSettingsRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<bool> {
        reader.boolean("read_auditing_enabled")
    }
}

/// Get the settings of the audit trail
#[utoipa::path(
    get,
    path = "/v1/organizations/audit/settings",
    operation_id = "get_audit_settings_organizations",
    tag = "audit",
    responses((status = 200, description = "The settings.", body = SettingsView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
) -> Result<Json<SettingsView>, ApiError> {
    let settings = state.engine().audit_settings(&caller).await?;
    Ok(Json(settings.into()))
}

/// Change the settings of the audit trail
#[utoipa::path(
    patch,
    path = "/v1/organizations/audit/settings",
    operation_id = "update_audit_settings_organizations",
    tag = "audit",
    request_body = Option<UpdateSettingsRequest>,
    responses((status = 200, description = "The settings as they are now.", body = SettingsView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    body: Body,
) -> Result<Json<SettingsView>, ApiError> {
    let wish = body.read(UpdateSettingsRequest::parse)?;
    let settings = state.engine().update_audit_settings(&caller, wish).await?;
    Ok(Json(settings.into()))
}
