use axum::Json;
use axum::extract::State;

use super::view::UserView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Get a user
#[utoipa::path(
    get,
    path = "/v1/organizations/users/{user_email}",
    operation_id = "get_user_organizations_email",
    tag = "users",
    params(("user_email" = String, Path, description = "The user's e-mail address.")),
    responses((status = 200, description = "The user.", body = UserView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(email): Segments<String>,
) -> Result<Json<UserView>, ApiError> {
    let user = state.engine().user(&caller, &email).await?;
    Ok(Json(UserView::new(caller.organization(), user)))
}
