use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_ports::NamespaceChange;

use super::fields::{PROCESSING, name};
use super::view::NamespaceView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::scope::Authorized;

/// A namespace as it is to be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct UpdateNamespaceRequest {
    /// Stays as it is unless given.
    #[schema(min_length = 3, max_length = 64)]
    namespace_name: Option<String>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    payload_indexes: Option<Value>,
}

impl UpdateNamespaceRequest {
    pub(crate) fn parse(reader: &mut Reader) -> NamespaceChange {
        let name = name(reader);
        fields::not_supported(reader, "payload_indexes", &[json!([])], PROCESSING);
        NamespaceChange {
            name,
            description: None,
        }
    }
}

/// Replace a namespace
///
/// Everything that this operation can replace but the name belongs to indexes, which Wharf does not have.
#[utoipa::path(
    put,
    path = "/v1/namespaces/{namespace_identifier}",
    operation_id = "update_namespace",
    tag = "namespaces",
    params(("namespace_identifier" = String, Path, description = "Identifier or name.")),
    request_body = Option<UpdateNamespaceRequest>,
    responses((status = 200, description = "The namespace as it is now.", body = NamespaceView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    body: Body,
) -> Result<Json<NamespaceView>, ApiError> {
    let change = body.read(UpdateNamespaceRequest::parse)?;
    let engine = state.engine();
    let namespace = engine
        .update_namespace(&caller, &identifier, change)
        .await?;
    Ok(Json(namespace.into()))
}
