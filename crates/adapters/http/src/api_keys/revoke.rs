use axum::Json;
use axum::extract::State;

use crate::ApiState;
use crate::done::Done;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// Revoke an API key
///
/// For good, and everywhere at once.
#[utoipa::path(
    delete,
    path = "/v1/organizations/users/{user_email}/api-keys/{key_name}",
    operation_id = "delete_key_organizations_users_email_name",
    tag = "api keys",
    params(
        ("user_email" = String, Path, description = "The user's e-mail address."),
        ("key_name" = String, Path, description = "The key's name or identifier."),
        ("force" = Option<bool>, Query, description = "Makes no difference: no apps embed keys of Wharf."),
    ),
    responses((status = 200, description = "The key is revoked.", body = Done)),
)]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments((email, name)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Json<Done>, ApiError> {
    query.boolean("force");
    query.finish()?;
    state
        .engine()
        .revoke_api_key(&caller, &email, &name)
        .await?;
    Ok(Json(Done::told("The API key is revoked.")))
}
