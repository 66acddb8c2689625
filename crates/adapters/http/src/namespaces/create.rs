use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_domain::namespace::NamespaceName;

use super::fields::{PROCESSING, name, refuse_processing};
use super::view::NamespaceView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::scope::Authorized;

/// A new namespace. Fields for processing that Wharf does not do are accepted while they ask for nothing.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct CreateNamespaceRequest {
    /// Of `a-z A-Z 0-9 _ -`; unique within the organization; must not start with `ns_`.
    #[schema(min_length = 3, max_length = 64)]
    namespace_name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// `managed` or nothing.
    mode: Option<String>,
    /// `standard` or nothing.
    namespace_type: Option<String>,
    /// `org` or nothing.
    scope: Option<String>,
    /// Not supported.
    namespace_id: Option<String>,
    /// Not supported.
    #[schema(value_type = Option<Vec<String>>, max_items = 0)]
    features: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    feature_extractors: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    vector_configs: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    payload_indexes: Option<Value>,
    /// `false` or nothing.
    auto_create_indexes: Option<bool>,
    /// `false` or nothing.
    adaptive_indexing: Option<bool>,
    /// Not supported.
    ttl_seconds: Option<u64>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    infrastructure: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    trusted_issuers: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    tiering: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    spend_budget: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    cost_cap_override: Option<Value>,
}

impl CreateNamespaceRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<(NamespaceName, Option<String>)> {
        reader.require("namespace_name");
        let name = name(reader);
        let description = fields::description(reader).filter(|text| !text.is_empty());
        fields::not_supported(reader, "mode", &[json!("managed")], PROCESSING);
        fields::not_supported(
            reader,
            "namespace_type",
            &[json!("standard")],
            "every namespace is standard",
        );
        fields::not_supported(
            reader,
            "scope",
            &[json!("org")],
            "every namespace belongs to one organization",
        );
        fields::not_supported(
            reader,
            "namespace_id",
            &[],
            "Wharf draws identifiers itself",
        );
        for key in ["features", "vector_configs"] {
            fields::not_supported(reader, key, &[json!([])], PROCESSING);
        }
        refuse_processing(reader);
        Some((name?, description))
    }
}

/// Create a namespace
#[utoipa::path(
    post,
    path = "/v1/namespaces",
    operation_id = "create_namespace",
    tag = "namespaces",
    request_body = CreateNamespaceRequest,
    responses((status = 200, description = "The stored namespace.", body = NamespaceView)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    body: Body,
) -> Result<Json<NamespaceView>, ApiError> {
    let (name, description) = body.read_whole(CreateNamespaceRequest::parse)?;
    let namespace = state
        .engine()
        .create_namespace(&caller, name, description)
        .await?;
    Ok(Json(namespace.into()))
}
