use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// What became of a namespace that was to be deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedNamespace {
    #[schema(value_type = String)]
    message: &'static str,
    namespace_id: String,
}

/// Delete a namespace
///
/// It must be empty, unless `force` is set: then its buckets go with their syncs and objects. `default` stays.
#[utoipa::path(
    delete,
    path = "/v1/namespaces/{namespace_identifier}",
    operation_id = "delete_namespace",
    tag = "namespaces",
    params(
        ("namespace_identifier" = String, Path, description = "Identifier or name."),
        ("force" = Option<bool>, Query, description = "Whether its buckets go, too."),
    ),
    responses((status = 200, description = "It is gone.", body = DeletedNamespace)),
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    mut query: Query,
) -> Result<Json<DeletedNamespace>, ApiError> {
    let force = query.boolean("force").unwrap_or(false);
    query.finish()?;
    let namespace = state
        .engine()
        .delete_namespace(&caller, &identifier, force)
        .await?;
    Ok(Json(DeletedNamespace {
        message: "The namespace is deleted.",
        namespace_id: namespace.id.to_string(),
    }))
}
