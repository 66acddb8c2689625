use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use utoipa::ToSchema;
use wharf_domain::access::Grant;
use wharf_domain::input::{Length, Reader};
use wharf_engine::CreateApiKey;

use super::scopes::{self, ScopeFields};
use super::view::IssuedKeyView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// A new API key.
#[derive(ToSchema)]
#[schema(as = APIKeyCreateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct CreateKeyRequest {
    /// Unique among the user's keys that are not revoked; must not start with `key_`.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Some of `read`, `write`, `delete`, `admin`; each includes the ones before it. Unless given: `read`, `write` and `delete`, as
    /// far as the user's role goes.
    #[schema(inline, min_items = 1, max_items = 10)]
    permissions: Option<Vec<crate::words::Permission>>,
    /// What the key is confined to; none means the whole organization. At most 100.
    #[schema(value_type = Option<Vec<ScopeFields>>, max_items = 100)]
    scopes: Option<Vec<ScopeFields>>,
    /// Requests per minute of this key.
    #[schema(minimum = 1, maximum = 1_000_000)]
    rate_limit_override: Option<u32>,
    expires_at: Option<DateTime<Utc>>,
    /// An end user that the key stands for. Kept and returned.
    #[schema(min_length = 1, max_length = 200)]
    principal_id: Option<String>,
    /// The origins from which a browser may use it, such as `https://app.example.com` or `https://*.example.com`.
    #[schema(max_items = 50)]
    allowed_origins: Option<Vec<String>>,
}

impl CreateKeyRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<CreateApiKey> {
        let name = reader.required_string("name", Length::new(1, 100));
        let description = reader.string("description", Length::new(0, 500));
        let permissions = scopes::read_permissions(reader);
        let scopes = scopes::read_scopes(reader);
        let grant = Grant {
            permissions: permissions.unwrap_or_default(),
            scopes: scopes.unwrap_or_default(),
            rate_limit_override: scopes::read_rate_limit(reader),
            expires_at: reader.timestamp("expires_at"),
            allowed_origins: scopes::read_origins(reader).flatten(),
        };
        let principal_id = reader.string("principal_id", Length::new(1, 200));
        Some(CreateApiKey {
            name: name?,
            description: description.unwrap_or_default(),
            grant,
            principal_id,
        })
    }
}

/// Create an API key
///
/// The answer shows the key, this once. A key allows no more than its user's role, and nobody can create one that allows more than
/// their own.
#[utoipa::path(
    post,
    path = "/v1/organizations/users/{user_email}/api-keys",
    operation_id = "create_key_organizations_users_email",
    tag = "api keys",
    params(("user_email" = String, Path, description = "The user's e-mail address.")),
    request_body = CreateKeyRequest,
    responses((status = 200, description = "The key.", body = IssuedKeyView)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(email): Segments<String>,
    body: Body,
) -> Result<Json<IssuedKeyView>, ApiError> {
    let new = body.read_whole(CreateKeyRequest::parse)?;
    let engine = state.engine();
    let issued = engine.create_api_key(&caller, &email, new).await?;
    let now = engine.now().await?;
    Ok(Json(IssuedKeyView::new(caller.organization(), issued, now)))
}
