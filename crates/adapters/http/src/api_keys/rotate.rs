use axum::Json;
use axum::extract::State;

use super::view::IssuedKeyView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Rotate an API key
///
/// The answer shows the new key, this once; the old one stops working at once. Nobody can rotate a key that allows more than their
/// own.
#[utoipa::path(
    post,
    path = "/v1/organizations/users/{user_email}/api-keys/{key_name}/rotate",
    operation_id = "rotate_key_organizations_users_email_name",
    tag = "api keys",
    params(
        ("user_email" = String, Path, description = "The user's e-mail address."),
        ("key_name" = String, Path, description = "The key's name or identifier."),
    ),
    responses((status = 200, description = "The key.", body = IssuedKeyView)),
)]
pub(super) async fn rotate(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments((email, name)): Segments<(String, String)>,
) -> Result<Json<IssuedKeyView>, ApiError> {
    let engine = state.engine();
    let issued = engine.rotate_api_key(&caller, &email, &name).await?;
    let now = engine.now().await?;
    Ok(Json(IssuedKeyView::new(caller.organization(), issued, now)))
}
