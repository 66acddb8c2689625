use axum::Json;
use axum::extract::State;

use super::view::NamespaceView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Get a namespace
#[utoipa::path(
    get,
    path = "/v1/namespaces/{namespace_identifier}",
    operation_id = "get_namespace",
    tag = "namespaces",
    params(("namespace_identifier" = String, Path, description = "Identifier or name.")),
    responses((status = 200, description = "The namespace.", body = NamespaceView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
) -> Result<Json<NamespaceView>, ApiError> {
    let namespace = state.engine().read_namespace(&caller, &identifier).await?;
    Ok(Json(namespace.into()))
}
