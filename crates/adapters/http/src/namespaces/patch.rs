use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_ports::NamespaceChange;

use super::fields::{NOTHING_OF_THE_KIND, PROCESSING, name, refuse_processing};
use super::view::NamespaceView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::scope::Authorized;

/// What is to be different. Fields for processing that Wharf does not do are accepted while they ask for nothing.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct PatchNamespaceRequest {
    /// Of `a-z A-Z 0-9 _ -`; unique within the organization; must not start with `ns_`.
    #[schema(min_length = 3, max_length = 64)]
    namespace_name: Option<String>,
    /// An empty one clears it.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    feature_extractors: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    payload_indexes: Option<Value>,
    /// `false` or nothing.
    auto_create_indexes: Option<bool>,
    /// `false` or nothing.
    adaptive_indexing: Option<bool>,
    /// `false` or nothing.
    repair_vectors: Option<bool>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    infrastructure: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    trusted_issuers: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    spend_budget: Option<Value>,
    /// `false` or nothing.
    pinned: Option<bool>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    tiering: Option<Value>,
    /// Not supported.
    expires_at: Option<String>,
    /// Not supported.
    ttl_seconds: Option<u64>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    cost_cap_override: Option<Value>,
}

impl PatchNamespaceRequest {
    pub(crate) fn parse(reader: &mut Reader) -> NamespaceChange {
        let change = NamespaceChange {
            name: name(reader),
            description: fields::description(reader).map(|text| (!text.is_empty()).then_some(text)),
        };
        refuse_processing(reader);
        fields::not_supported(reader, "repair_vectors", &[json!(false)], PROCESSING);
        let harmless = [json!(false), json!({"enabled": false})];
        fields::not_supported(reader, "pinned", &harmless, NOTHING_OF_THE_KIND);
        fields::not_supported(reader, "expires_at", &[], "namespaces do not expire");
        change
    }
}

/// Change a namespace
#[utoipa::path(
    patch,
    path = "/v1/namespaces/{namespace_identifier}",
    operation_id = "patch_namespace",
    tag = "namespaces",
    params(("namespace_identifier" = String, Path, description = "Identifier or name.")),
    request_body = Option<PatchNamespaceRequest>,
    responses((status = 200, description = "The namespace as it is now.", body = NamespaceView)),
)]
pub(super) async fn patch(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    body: Body,
) -> Result<Json<NamespaceView>, ApiError> {
    let change = body.read(PatchNamespaceRequest::parse)?;
    let engine = state.engine();
    let namespace = engine
        .update_namespace(&caller, &identifier, change)
        .await?;
    Ok(Json(namespace.into()))
}
