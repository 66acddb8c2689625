use axum::extract::State;

use super::view::ConnectionView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::revision::Revised;
use crate::scope::Authorized;

/// Get a connection
///
/// By identifier, or by name if it is not archived. What starts with `conn_` is an identifier.
#[utoipa::path(
    get,
    path = "/v1/organizations/connections/{connection_identifier}",
    operation_id = "get_storage_connection_organizations",
    tag = "connections",
    params(("connection_identifier" = String, Path, description = "Identifier or name.")),
    responses((status = 200, description = "The connection.", body = ConnectionView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
) -> Result<Revised<ConnectionView>, ApiError> {
    let connection = state.engine().read_connection(&caller, &identifier).await?;
    Ok(Revised(connection.revision, connection.into()))
}
