use axum::Json;
use axum::extract::State;

use crate::ApiState;
use crate::done::Done;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Delete a user
///
/// For good: all keys of the user are revoked. The organization keeps at least one active admin.
#[utoipa::path(
    delete,
    path = "/v1/organizations/users/{user_email}",
    operation_id = "delete_user_organizations_email",
    tag = "users",
    params(("user_email" = String, Path, description = "The user's e-mail address.")),
    responses((status = 200, description = "The user is gone.", body = Done)),
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(email): Segments<String>,
) -> Result<Json<Done>, ApiError> {
    state.engine().delete_user(&caller, &email).await?;
    Ok(Json(Done::told(
        "The user is deleted and their API keys are revoked.",
    )))
}
