use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::KeyView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// The API keys of a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListAPIKeysResponse)]
pub(crate) struct KeyList {
    /// Oldest first.
    results: Vec<KeyView>,
    total: u64,
}

/// List API keys
#[utoipa::path(
    get,
    path = "/v1/organizations/users/{user_email}/api-keys",
    operation_id = "list_keys_organizations_users_email",
    tag = "api keys",
    params(
        ("user_email" = String, Path, description = "The user's e-mail address."),
        ("include_revoked" = Option<bool>, Query, description = "Whether revoked ones are wanted, too."),
        ("include_session_keys" = Option<bool>, Query, description = "Makes no difference: Wharf has no session keys."),
    ),
    responses((status = 200, description = "The keys.", body = KeyList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(email): Segments<String>,
    mut query: Query,
) -> Result<Json<KeyList>, ApiError> {
    let include_revoked = query.boolean("include_revoked").unwrap_or(false);
    query.boolean("include_session_keys");
    query.finish()?;
    let engine = state.engine();
    let keys = engine.list_api_keys(&caller, &email).await?;
    let now = engine.now().await?;
    let results: Vec<KeyView> = keys
        .into_iter()
        .filter(|key| include_revoked || key.revoked_at.is_none())
        .map(|key| KeyView::new(caller.organization(), key, now))
        .collect();
    let total = results.len() as u64;
    Ok(Json(KeyList { results, total }))
}
