use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use utoipa::ToSchema;
use wharf_domain::input::{Length, Reader};
use wharf_engine::UpdateApiKey;

use super::scopes::{self, ScopeFields};
use super::view::KeyView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// What is to be different.
#[derive(ToSchema)]
#[schema(as = APIKeyUpdateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct UpdateKeyRequest {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Replaces all.
    #[schema(inline, min_items = 1, max_items = 10)]
    permissions: Option<Vec<crate::words::Permission>>,
    /// Replaces all; an empty list means the whole organization.
    #[schema(value_type = Option<Vec<ScopeFields>>, max_items = 100)]
    scopes: Option<Vec<ScopeFields>>,
    /// `null` ends it.
    #[schema(minimum = 1, maximum = 1_000_000)]
    rate_limit_override: Option<u32>,
    /// `null` ends it: the key does not expire any more.
    expires_at: Option<DateTime<Utc>>,
    /// `revoked` revokes the key for good, and stands alone then; `active` changes nothing.
    #[schema(inline)]
    status: Option<crate::words::KeyWish>,
    /// Replaces all; an empty list means any origin.
    #[schema(max_items = 50)]
    allowed_origins: Option<Vec<String>>,
}

/// What an update asks for.
pub(crate) enum Wish {
    Change(UpdateApiKey),
    Revoke,
}

impl UpdateKeyRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Wish {
        let no_limit = reader.is_null("rate_limit_override");
        let no_end = reader.is_null("expires_at");
        let update = UpdateApiKey {
            name: reader.string("name", Length::new(1, 100)),
            description: reader.string("description", Length::new(0, 500)),
            permissions: scopes::read_permissions(reader),
            scopes: scopes::read_scopes(reader),
            rate_limit_override: match scopes::read_rate_limit(reader) {
                None if no_limit => Some(None),
                limit => limit.map(Some),
            },
            expires_at: match reader.timestamp("expires_at") {
                None if no_end => Some(None),
                end => end.map(Some),
            },
            allowed_origins: scopes::read_origins(reader),
        };
        match reader.string("status", Length::new(0, 100)).as_deref() {
            None | Some("active") => Wish::Change(update),
            Some("revoked") => {
                if update != UpdateApiKey::default() {
                    let message =
                        "cannot be revoked together with another change; leave the others out";
                    reader.reject("status", "contradiction", message);
                }
                Wish::Revoke
            }
            Some(_) => {
                let message = "must be active or revoked; a key expires by its expires_at";
                reader.reject("status", "enum", message);
                Wish::Change(update)
            }
        }
    }
}

/// Update an API key
#[utoipa::path(
    patch,
    path = "/v1/organizations/users/{user_email}/api-keys/{key_name}",
    operation_id = "update_key_organizations_users_email_name",
    tag = "api keys",
    params(
        ("user_email" = String, Path, description = "The user's e-mail address."),
        ("key_name" = String, Path, description = "The key's name or identifier."),
    ),
    request_body = Option<UpdateKeyRequest>,
    responses((status = 200, description = "The key as it is now.", body = KeyView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments((email, name)): Segments<(String, String)>,
    body: Body,
) -> Result<Json<KeyView>, ApiError> {
    let engine = state.engine();
    let key = match body.read(UpdateKeyRequest::parse)? {
        Wish::Change(update) => {
            engine
                .update_api_key(&caller, &email, &name, update)
                .await?
        }
        Wish::Revoke => engine.revoke_api_key(&caller, &email, &name).await?,
    };
    let now = engine.now().await?;
    Ok(Json(KeyView::new(caller.organization(), key, now)))
}
