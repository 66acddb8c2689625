use axum::Json;
use axum::extract::State;

use super::view::OrganizationView;
use crate::ApiState;
use crate::error::ApiError;
use crate::scope::Authorized;

/// Get the organization
#[utoipa::path(
    get,
    path = "/v1/organizations",
    operation_id = "get_organization",
    tag = "organization",
    responses((status = 200, description = "The organization of the API key.", body = OrganizationView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
) -> Result<Json<OrganizationView>, ApiError> {
    let organization = state.engine().organization(&caller).await?;
    let most = state.rates().limits().requests_per_minute_per_organization;
    Ok(Json(OrganizationView::new(organization, most)))
}
